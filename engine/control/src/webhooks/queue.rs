//! What one webhook tells, and when: quiet hours, reminders, rates, what waits.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use chrono::NaiveTime;

use super::WebhookCounts;
use crate::events::{EventChange, EventRecord, Severity};
use tero_config::{Webhook, WebhookSeverity};
use tero_semantics::timestamp::Timestamp;
use tero_time::zones;

/// Notes that wait, at most. For further ones a reminder is left out, else the oldest note of a ticket,
/// else the oldest.
const MAX_WAITING: usize = 200;
/// Notes in one message.
const MAX_IN_MESSAGE: usize = 20;
/// Of the messages in an hour, one in so many is kept for pages, see [`kept_for_pages`].
const KEPT_FOR_PAGES: usize = 4;
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

    /// Whether an operator has to look at it now.
    fn is_of_page(&self) -> bool {
        self.event().kind.severity() == Severity::Page
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

    /// The same, with other settings. Another place has not failed yet: it is tried at once. One with
    /// another URL was told nothing: it is told of the events that are open.
    pub(crate) fn with(self, settings: Webhook, open: &[EventRecord]) -> WebhookQueue {
        let is_other_url = self.settings.url != settings.url;
        let (failures, rests_until) = match is_same_place(&self.settings, &settings) {
            true => (self.failures, self.rests_until),
            false => (0, None),
        };
        let mut queue = WebhookQueue {
            settings,
            failures,
            rests_until,
            ..self
        };
        if is_other_url {
            queue.told.clear();
            queue.under_way.clear();
            queue.waiting.clear();
            for event in open {
                queue.wait(EventNote::Told(event.clone()));
            }
        }
        queue
    }

    /// Something has changed. What is over before it was told is not told at all, and an end only
    /// where the beginning was told: not to a webhook that came later, nor of what was left out.
    pub(crate) fn take(&mut self, change: &EventChange) {
        match change {
            EventChange::Told(event) => {
                let is_of_event = |note: &EventNote| note.event().number == event.number;
                // A reload may just have had it told to a new place.
                if !self.waiting.iter().any(is_of_event) {
                    self.wait(EventNote::Told(event.clone()));
                }
            }
            EventChange::Resolved(event) => {
                let is_of_event = |note: &EventNote| note.event().number == event.number;
                self.waiting.retain(|note| !is_of_event(note));
                let is_told = self.told.remove(&event.number).is_some();
                if is_told || self.under_way.iter().any(is_of_event) {
                    self.wait(EventNote::Resolved(event.clone()));
                }
            }
        }
    }

    /// Goes on with events of a process before, of which it has told these: their ends are told, and
    /// the beginnings of others that go on.
    pub(crate) fn restore(&mut self, events: &[EventRecord], told: &[u64], now: Timestamp) {
        for event in events {
            match (told.contains(&event.number), event.resolved) {
                (true, None) => drop(self.told.insert(event.number, now)),
                (true, Some(_)) => self.wait(EventNote::Resolved(event.clone())),
                (false, None) => self.wait(EventNote::Told(event.clone())),
                (false, Some(_)) => {}
            }
        }
    }

    /// The numbers of the events of which it has told the beginning, but not the end.
    pub(crate) fn told(&self) -> Vec<u64> {
        let notes = self.waiting.iter().chain(&self.under_way);
        let ends = notes.filter(|note| matches!(note, EventNote::Resolved(_)));
        let ends = ends.map(|note| note.event().number);
        let mut told: Vec<u64> = self.told.keys().copied().chain(ends).collect();
        told.sort_unstable();
        told.dedup();
        told
    }

    /// Has a note wait for a message. If too many do, the one that matters least is left out.
    fn wait(&mut self, note: EventNote) {
        if self.settings.severity == WebhookSeverity::Page && !note.is_of_page() {
            return;
        }
        self.waiting.push_back(note);
        if self.waiting.len() <= MAX_WAITING {
            return;
        }
        let reminder = |note: &EventNote| matches!(note, EventNote::GoesOn(_));
        let notes = || self.waiting.iter();
        let least = notes()
            .position(|note| reminder(note) && !note.is_of_page())
            .or_else(|| notes().position(reminder))
            .or_else(|| notes().position(|note| !note.is_of_page()));
        self.waiting.remove(least.unwrap_or(0));
        self.counts.left_out += 1;
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

    /// The message was taken at the place of `settings`, or not. The answer of a place from before a
    /// reload says nothing of the one that there is now.
    pub(crate) fn sent(&mut self, settings: &Webhook, is_sent: bool, now: Timestamp) {
        if !is_sent {
            self.counts.failed += 1;
            if !is_same_place(settings, &self.settings) {
                return;
            }
            let doubled = 2_u32.saturating_pow(self.failures);
            self.failures += 1;
            let rest = FIRST_REST.saturating_mul(doubled).min(LONGEST_REST);
            self.rests_until = Some(now.saturating_add(rest));
            return;
        }
        self.counts.sent += 1;
        if settings.url != self.settings.url {
            return;
        }
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

    /// Has open events that were told long ago be told again. One that waits to be told again does so
    /// once, however long that takes.
    fn remind(&mut self, open: &[EventRecord], now: Timestamp) {
        self.told
            .retain(|number, _| open.iter().any(|event| event.number == *number));
        for event in open {
            let Some(told) = self.told.get_mut(&event.number) else {
                continue;
            };
            let is_due = now < *told || now.since(*told) >= self.settings.remind;
            let waits = || {
                let mut waiting = self.waiting.iter();
                waiting.any(|note| note.event().number == event.number)
            };
            if is_due && !waits() {
                *told = now;
                self.wait(EventNote::GoesOn(event.clone()));
            }
        }
    }

    /// What may be told now, of what waits: pages first. Tickets alone leave some of the messages of
    /// the hour to pages.
    fn choose(&mut self, now: Timestamp, wall: Timestamp) -> Vec<EventNote> {
        while self
            .sent
            .front()
            .is_some_and(|sent| now < *sent || now.since(*sent) >= HOUR)
        {
            self.sent.pop_front();
        }
        let most = self.settings.most_per_hour as usize;
        let has_pages = self.waiting.iter().any(EventNote::is_of_page);
        let may_send = match has_pages {
            true => most,
            false => most - kept_for_pages(most),
        };
        if self.sent.len() >= may_send {
            return Vec::new();
        }
        let is_quiet = self.is_quiet(wall);
        let mut chosen = Vec::new();
        for is_turn_of_pages in [true, false] {
            if is_quiet && !is_turn_of_pages {
                break;
            }
            let mut left = VecDeque::new();
            for note in self.waiting.drain(..) {
                match note.is_of_page() == is_turn_of_pages && chosen.len() < MAX_IN_MESSAGE {
                    true => chosen.push(note),
                    false => left.push_back(note),
                }
            }
            self.waiting = left;
        }
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

/// How many of the messages in an hour only pages may use: a quarter, rounded up. Of a single message, none
/// is kept, since tickets would never be told.
fn kept_for_pages(most_per_hour: usize) -> usize {
    let quarter = most_per_hour.div_ceil(KEPT_FOR_PAGES);
    quarter.min(most_per_hour.saturating_sub(1))
}

/// Whether messages go to the same place, in the same way.
fn is_same_place(one: &Webhook, other: &Webhook) -> bool {
    one.url == other.url && one.token == other.token && one.ca == other.ca
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
            let settings = queue.settings.clone();
            queue.sent(&settings, true, at(secs));
        }
        notes
            .iter()
            .map(|note| (note.as_str(), note.event().number))
            .collect()
    }

    /// The message that was due at a moment is not taken.
    fn fail(queue: &mut WebhookQueue, secs: i64) {
        let settings = queue.settings.clone();
        queue.sent(&settings, false, at(secs));
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
    fn a_restart_goes_on_with_what_was_told() {
        let mut before = queue("");
        let kind = IncidentKind::PolicyOff;
        for number in 1..=3 {
            before.take(&told(number, kind));
        }
        message(&mut before, &[], 0);
        before.take(&told(4, kind));
        // Its end waits when the process ends.
        before.take(&resolved(1, kind));
        assert_eq!(before.told(), [1, 2, 3]);
        let ended = |number| EventRecord {
            resolved: Some(at(1)),
            ..event(number, kind)
        };
        let events = [ended(1), ended(2), event(3, kind), event(4, kind)];
        let mut after = queue("remind = \"1h\"");
        after.restore(&events, &before.told(), at(10));
        let open = [event(3, kind), event(4, kind)];
        let first = [("resolved", 1), ("resolved", 2), ("told", 4)];
        assert_eq!(message(&mut after, &open, 10), first);
        let reminders = [("goes_on", 3), ("goes_on", 4)];
        assert_eq!(message(&mut after, &open, 3_610), reminders);
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
    fn pages_have_messages_that_tickets_leave() {
        let kept = [1, 2, 3, 4, 5, 12, 1_000].map(kept_for_pages);
        assert_eq!(kept, [0, 1, 1, 1, 2, 3, 250]);
        let mut queue = queue("most_per_hour = 2");
        queue.take(&told(1, IncidentKind::PolicyOff));
        assert_eq!(message(&mut queue, &[], 0), [("told", 1)]);
        queue.take(&told(2, IncidentKind::PolicyOff));
        assert_eq!(message(&mut queue, &[], 1), []);
        queue.take(&told(3, IncidentKind::ErrorsRise));
        assert_eq!(message(&mut queue, &[], 2), [("told", 3), ("told", 2)]);
    }

    #[test]
    fn what_was_not_taken_is_sent_again_later_and_later() {
        let mut queue = queue("");
        queue.take(&told(1, IncidentKind::PolicyOff));
        let mut now = 0;
        for rest in [10, 20, 40, 80, 160, 320, 600, 600] {
            let first = queue.due(&[], at(now), at(now)).unwrap();
            assert_eq!(first.len(), 1);
            fail(&mut queue, now);
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
    #[test]
    fn reminders_do_not_pile_up() {
        let mut queue = queue("quiet = \"22:00-21:00\"\nremind = \"1h\"\nmost_per_hour = 1");
        let open: Vec<_> = (1..=3)
            .map(|number| event(number, IncidentKind::ErrorsRise))
            .collect();
        for event in &open {
            queue.take(&EventChange::Told(event.clone()));
        }
        assert_eq!(message(&mut queue, &open, 0).len(), 3);
        // A ticket, which waits for the end of the quiet hours, was told before these.
        queue.told.insert(4, at(0));
        let open = [&open[..], &[event(4, IncidentKind::PolicyOff)]].concat();
        for hour in 1..=10 {
            let told = message(&mut queue, &open, hour * 3_600);
            assert_eq!(told, [("goes_on", 1), ("goes_on", 2), ("goes_on", 3)]);
            assert_eq!(queue.waiting.len(), 1, "at hour {hour}");
        }
        // A place that takes nothing is not reminded of each hour of that.
        let (mut now, mut attempts) = (11 * 3_600, 0);
        while now < 40 * 3_600 {
            if let Some(notes) = queue.due(&open, at(now), at(now)) {
                assert_eq!(notes.len(), 3);
                fail(&mut queue, now);
                attempts += 1;
            }
            now += 600;
        }
        assert!(attempts > 100 && queue.waiting.len() <= 1);
        assert_eq!(queue.counts.left_out, 0);
    }

    #[test]
    fn tickets_do_not_crowd_out_pages() {
        let mut queue = queue("most_per_hour = 4");
        let most = MAX_WAITING as u64;
        queue.take(&told(1, IncidentKind::ErrorsRise));
        for number in 2..most + 50 {
            queue.take(&told(number, IncidentKind::PolicyOff));
        }
        queue.take(&told(most + 50, IncidentKind::PurgeLags));
        assert_eq!(queue.waiting.len(), MAX_WAITING);
        // The pages go first, though tickets came before.
        let first = message(&mut queue, &[], 0);
        assert_eq!(&first[..2], [("told", 1), ("told", most + 50)]);
        assert_eq!(first.len(), MAX_IN_MESSAGE);
        // Tickets take three of four messages, so that a page finds room.
        assert_eq!(message(&mut queue, &[], 1).len(), MAX_IN_MESSAGE);
        assert_eq!(message(&mut queue, &[], 2).len(), MAX_IN_MESSAGE);
        assert_eq!(message(&mut queue, &[], 3), []);
        queue.take(&told(1_000, IncidentKind::SiteWithoutOrigin));
        assert_eq!(message(&mut queue, &[], 4)[0], ("told", 1_000));
        assert_eq!(message(&mut queue, &[], 5), []);
        // Pages alone are bounded too.
        for number in 2_000..2_000 + 2 * most {
            queue.take(&told(number, IncidentKind::ErrorsRise));
        }
        assert_eq!(queue.waiting.len(), MAX_WAITING);
        assert!(queue.waiting.iter().all(EventNote::is_of_page));
    }

    #[test]
    fn an_end_is_told_only_where_the_beginning_was() {
        let mut queue = queue("");
        // The webhook came with a reload, after the event.
        queue.take(&resolved(1, IncidentKind::PolicyOff));
        assert_eq!(message(&mut queue, &[], 0), []);
        // What was left out has no end either.
        for number in 2..MAX_WAITING as u64 + 3 {
            queue.take(&told(number, IncidentKind::PolicyOff));
        }
        assert_eq!(queue.counts.left_out, 1);
        queue.waiting.clear();
        queue.take(&resolved(2, IncidentKind::PolicyOff));
        assert_eq!(message(&mut queue, &[], 1), []);
        // What is on its way when it ends was told.
        queue.take(&told(1_000, IncidentKind::PolicyOff));
        assert!(queue.due(&[], at(2), at(2)).is_some());
        queue.take(&resolved(1_000, IncidentKind::PolicyOff));
        assert_eq!(message(&mut queue, &[], 3), [("told", 1_000)]);
        assert_eq!(message(&mut queue, &[], 4), [("resolved", 1_000)]);
    }

    #[test]
    fn a_place_that_a_reload_corrects_is_tried_at_once() {
        let mut before = queue("");
        before.take(&told(1, IncidentKind::PolicyOff));
        for secs in [0, 10, 30] {
            assert!(before.due(&[], at(secs), at(secs)).is_some());
            fail(&mut before, secs);
        }
        assert_eq!(before.due(&[], at(31), at(31)), None);
        let wrong = before.settings.clone();
        // Other settings of the same place don't end its rest.
        let mut before = before.with(queue("remind = \"2h\"").settings, &[]);
        assert_eq!(before.due(&[], at(31), at(31)), None);
        let right = Webhook {
            url: Some("http://127.0.0.1:2/".parse().unwrap()),
            ..wrong.clone()
        };
        let mut after = before.with(right, &[event(1, IncidentKind::PolicyOff)]);
        assert!(after.due(&[], at(31), at(31)).is_some());
        // An answer of the old place that comes now is not one of the new.
        after.sent(&wrong, false, at(31));
        assert_eq!(message(&mut after, &[], 31), [("told", 1)]);
    }

    #[test]
    fn a_new_place_is_told_of_all_open_events_and_of_no_end_of_others() {
        let mut queue = queue("");
        let kind = IncidentKind::PolicyOff;
        for number in [1, 2, 3] {
            queue.take(&told(number, kind));
        }
        let open = [event(1, kind), event(3, kind)];
        assert_eq!(message(&mut queue, &open, 0).len(), 3);
        queue.take(&resolved(2, kind));
        // A message to the old place is under way.
        assert!(queue.due(&open, at(1), at(1)).is_some());
        let old = queue.settings.clone();
        let new = Webhook {
            url: Some("http://127.0.0.1:2/".parse().unwrap()),
            ..old.clone()
        };
        let mut queue = queue.with(new.clone(), &open);
        queue.sent(&old, true, at(2));
        queue.take(&told(3, kind));
        queue.take(&resolved(2, kind));
        assert_eq!(message(&mut queue, &open, 3), [("told", 1), ("told", 3)]);
        // Another token of the same place changes nothing.
        let token = Some("a-secret-of-many-letters".to_owned());
        let mut queue = queue.with(Webhook { token, ..new }, &open);
        assert_eq!(message(&mut queue, &open, 4), []);
        queue.take(&resolved(1, kind));
        assert_eq!(message(&mut queue, &open[1..], 5), [("resolved", 1)]);
    }
}
