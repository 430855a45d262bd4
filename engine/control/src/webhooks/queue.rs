//! What one webhook tells, and when: quiet hours, reminders, rates, what waits.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use chrono::NaiveTime;

use super::WebhookCounts;
use crate::events::{EventChange, EventRecord, Severity};
use tero_config::{Webhook, WebhookSeverity};
use tero_semantics::timestamp::Timestamp;
use tero_time::zones;

/// Notes that wait, at most. Of further ones the oldest are left out.
const MAX_WAITING: usize = 200;
/// Notes in one message.
const MAX_IN_MESSAGE: usize = 20;
/// The rest after a failure; twice as long after each further one.
const FIRST_REST: Duration = Duration::from_secs(10);
const LONGEST_REST: Duration = Duration::from_secs(10 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// What is told of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EventNote {
    /// It is new.
    Told(EventRecord),
    /// It goes on.
    GoesOn(EventRecord),
    /// It is over.
    Resolved(EventRecord),
}

impl EventNote {
    /// The event.
    pub(crate) fn event(&self) -> &EventRecord {
        match self {
            EventNote::Told(event) | EventNote::GoesOn(event) | EventNote::Resolved(event) => event,
        }
    }

    /// Its name in messages.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            EventNote::Told(_) => "told",
            EventNote::GoesOn(_) => "goes_on",
            EventNote::Resolved(_) => "resolved",
        }
    }
}

/// What a webhook has told, and what waits.
#[derive(Debug)]
pub(crate) struct WebhookQueue {
    pub(crate) settings: Webhook,
    pub(crate) counts: WebhookCounts,
    waiting: VecDeque<EventNote>,
    /// What is being sent.
    under_way: Vec<EventNote>,
    /// When messages of the last hour were sent.
    sent: VecDeque<Timestamp>,
    /// Open events, and when they were told last.
    told: BTreeMap<u64, Timestamp>,
    failures: u32,
    /// After a failure, when the next attempt is due.
    rests_until: Option<Timestamp>,
}

impl WebhookQueue {
    pub(crate) fn new(settings: Webhook) -> WebhookQueue {
        WebhookQueue {
            settings,
            counts: WebhookCounts::default(),
            waiting: VecDeque::new(),
            under_way: Vec::new(),
            sent: VecDeque::new(),
            told: BTreeMap::new(),
            failures: 0,
            rests_until: None,
        }
    }

    /// The same, with other settings.
    pub(crate) fn with(self, settings: Webhook) -> WebhookQueue {
        WebhookQueue { settings, ..self }
    }

    /// Something has changed. What is over before it was told is not told at all.
    pub(crate) fn take(&mut self, change: &EventChange) {
        let (event, note) = match change {
            EventChange::Told(event) => (event, EventNote::Told(event.clone())),
            EventChange::Resolved(event) => {
                let number = event.number;
                let waited = self.waiting.len();
                self.waiting.retain(|note| note.event().number != number);
                let is_told = self.told.remove(&number).is_some()
                    || self
                        .under_way
                        .iter()
                        .any(|note| note.event().number == number);
                if self.waiting.len() < waited && !is_told {
                    return;
                }
                (event, EventNote::Resolved(event.clone()))
            }
        };
        if self.settings.severity == WebhookSeverity::Page
            && event.kind.severity() != Severity::Page
        {
            return;
        }
        self.waiting.push_back(note);
        if self.waiting.len() > MAX_WAITING {
            self.waiting.pop_front();
            self.counts.left_out += 1;
        }
    }

    /// The notes of the message that is due, if one is. [`WebhookQueue::sent`] has to follow.
    pub(crate) fn due(
        &mut self,
        open: &[EventRecord],
        now: Timestamp,
        wall: Timestamp,
    ) -> Option<Vec<EventNote>> {
        if self
            .rests_until
            .is_some_and(|end| now < end && end.since(now) <= LONGEST_REST)
        {
            return None;
        }
        if self.under_way.is_empty() {
            self.remind(open, now);
            self.under_way = self.choose(now, wall);
        }
        (!self.under_way.is_empty()).then(|| self.under_way.clone())
    }

    /// The message was taken, or not.
    pub(crate) fn sent(&mut self, is_sent: bool, now: Timestamp) {
        if !is_sent {
            self.counts.failed += 1;
            let doubled = 2_u32.saturating_pow(self.failures);
            self.failures += 1;
            let rest = FIRST_REST.saturating_mul(doubled).min(LONGEST_REST);
            self.rests_until = Some(now.saturating_add(rest));
            return;
        }
        self.counts.sent += 1;
        (self.failures, self.rests_until) = (0, None);
        self.sent.push_back(now);
        for note in self.under_way.drain(..) {
            match &note {
                EventNote::Told(event) | EventNote::GoesOn(event) => {
                    self.told.insert(event.number, now);
                }
                EventNote::Resolved(event) => {
                    self.told.remove(&event.number);
                }
            }
        }
    }

    /// Has open events that were told long ago be told again.
    fn remind(&mut self, open: &[EventRecord], now: Timestamp) {
        self.told
            .retain(|number, _| open.iter().any(|event| event.number == *number));
        for event in open {
            let Some(told) = self.told.get_mut(&event.number) else {
                continue;
            };
            if now < *told || now.since(*told) >= self.settings.remind {
                *told = now;
                self.waiting.push_back(EventNote::GoesOn(event.clone()));
            }
        }
    }

    /// What may be told now, of what waits.
    fn choose(&mut self, now: Timestamp, wall: Timestamp) -> Vec<EventNote> {
        while self
            .sent
            .front()
            .is_some_and(|sent| now < *sent || now.since(*sent) >= HOUR)
        {
            self.sent.pop_front();
        }
        if self.sent.len() >= self.settings.most_per_hour as usize {
            return Vec::new();
        }
        let is_quiet = self.is_quiet(wall);
        let (mut chosen, mut left) = (Vec::new(), VecDeque::new());
        for note in self.waiting.drain(..) {
            let may_go = !is_quiet || note.event().kind.severity() == Severity::Page;
            if may_go && chosen.len() < MAX_IN_MESSAGE {
                chosen.push(note);
            } else {
                left.push_back(note);
            }
        }
        self.waiting = left;
        chosen
    }

    fn is_quiet(&self, wall: Timestamp) -> bool {
        let Some(hours) = self.settings.quiet else {
            return false;
        };
        let time: NaiveTime = zones::local(wall, self.settings.zone).time();
        match hours.from < hours.until {
            true => hours.from <= time && time < hours.until,
            false => hours.from <= time || time < hours.until,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::events::IncidentKind;
    use tero_config::Config;

    const NINE: i64 = 1_795_597_200; // 2026-11-25, 06:00 in Buenos Aires, 09:00 UTC.

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_unix_secs(NINE + secs)
    }

    fn queue(keys: &str) -> WebhookQueue {
        let text = format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\n[[site]]\nname = \"a\"\nhosts = [\"*\"]\norigins = [\"http://a\"]\n\
             [[webhook]]\nname = \"chat\"\nurl = \"http://127.0.0.1:1/\"\n{keys}"
        );
        let config = Config::parse(&text, "tero.toml", Path::new("")).unwrap();
        WebhookQueue::new(config.webhooks[0].clone())
    }

    fn event(number: u64, kind: IncidentKind) -> EventRecord {
        EventRecord {
            number,
            kind,
            subject: number.to_string(),
            text: "it is not well".to_owned(),
            began: at(0),
            told: at(0),
            resolved: None,
        }
    }

    fn told(number: u64, kind: IncidentKind) -> EventChange {
        EventChange::Told(event(number, kind))
    }

    fn resolved(number: u64, kind: IncidentKind) -> EventChange {
        EventChange::Resolved(event(number, kind))
    }

    /// What is told at a moment, and taken.
    fn message(
        queue: &mut WebhookQueue,
        open: &[EventRecord],
        secs: i64,
    ) -> Vec<(&'static str, u64)> {
        let notes = queue.due(open, at(secs), at(secs)).unwrap_or_default();
        if !notes.is_empty() {
            queue.sent(true, at(secs));
        }
        notes
            .iter()
            .map(|note| (note.as_str(), note.event().number))
            .collect()
    }

    #[test]
    fn an_event_is_told_reminded_of_and_resolved() {
        let mut queue = queue("remind = \"1h\"");
        queue.take(&told(1, IncidentKind::PolicyOff));
        let open = [event(1, IncidentKind::PolicyOff)];
        assert_eq!(message(&mut queue, &open, 0), [("told", 1)]);
        assert_eq!(message(&mut queue, &open, 3_599), []);
        assert_eq!(message(&mut queue, &open, 3_600), [("goes_on", 1)]);
        assert_eq!(message(&mut queue, &open, 3_601), []);
        queue.take(&resolved(1, IncidentKind::PolicyOff));
        assert_eq!(message(&mut queue, &[], 3_700), [("resolved", 1)]);
        assert_eq!(message(&mut queue, &[], 100_000), []);
    }

    #[test]
    fn quiet_hours_follow_the_local_clock_and_pages_come_all_the_same() {
        let mut queue = queue("quiet = \"22:00-07:00\"\nzone = \"America/Argentina/Buenos_Aires\"");
        queue.take(&told(1, IncidentKind::PolicyOff));
        queue.take(&told(2, IncidentKind::ErrorsRise));
        queue.take(&told(3, IncidentKind::CalendarEnds));
        assert_eq!(message(&mut queue, &[], 0), [("told", 2)]);
        // What is over before the morning is not told at all.
        queue.take(&resolved(1, IncidentKind::PolicyOff));
        assert_eq!(message(&mut queue, &[], 3_599), []);
        assert_eq!(message(&mut queue, &[], 3_600), [("told", 3)]);
    }

    #[test]
    fn messages_are_bounded_and_what_waits_comes_together() {
        let mut queue = queue("most_per_hour = 1");
        for (number, secs) in [(1, 1), (2, 2), (3, 3)] {
            queue.take(&told(number, IncidentKind::PolicyOff));
            let expected: &[_] = if number == 1 { &[("told", 1)] } else { &[] };
            assert_eq!(message(&mut queue, &[], secs), expected);
        }
        assert_eq!(message(&mut queue, &[], 3_600), []);
        assert_eq!(message(&mut queue, &[], 3_601), [("told", 2), ("told", 3)]);
        for number in 10..10 + MAX_WAITING as u64 + 5 {
            queue.take(&told(number, IncidentKind::PolicyOff));
        }
        assert_eq!(queue.counts.left_out, 5);
        assert_eq!(message(&mut queue, &[], 7_300).len(), MAX_IN_MESSAGE);
    }

    #[test]
    fn what_was_not_taken_is_sent_again_later_and_later() {
        let mut queue = queue("");
        queue.take(&told(1, IncidentKind::PolicyOff));
        let mut now = 0;
        for rest in [10, 20, 40, 80, 160, 320, 600, 600] {
            let first = queue.due(&[], at(now), at(now)).unwrap();
            assert_eq!(first.len(), 1);
            queue.sent(false, at(now));
            assert_eq!(
                queue.due(&[], at(now + rest - 1), at(now + rest - 1)),
                None,
                "{rest}"
            );
            now += rest;
        }
        // What has come meanwhile waits for the next message.
        queue.take(&told(2, IncidentKind::PolicyOff));
        assert_eq!(message(&mut queue, &[], now), [("told", 1)]);
        assert_eq!(message(&mut queue, &[], now), [("told", 2)]);
        assert_eq!(queue.counts.failed, 8);
    }

    #[test]
    fn a_webhook_for_pages_tells_of_nothing_else() {
        let mut queue = queue("severity = \"page\"");
        queue.take(&told(1, IncidentKind::PolicyOff));
        queue.take(&told(2, IncidentKind::SiteWithoutOrigin));
        assert_eq!(message(&mut queue, &[], 0), [("told", 2)]);
        queue.take(&resolved(2, IncidentKind::SiteWithoutOrigin));
        assert_eq!(message(&mut queue, &[], 1), [("resolved", 2)]);
    }
}
