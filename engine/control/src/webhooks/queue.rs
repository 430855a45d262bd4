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
mod tests;
