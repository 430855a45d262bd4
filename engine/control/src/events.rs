//! What an operator must know: found by looking at the edge every few seconds, told once, and resolved
//! when it is over.
//!
//! Finding is apart from telling: `event_watch` says what is wrong at a moment, this file what becomes
//! of that over time, `webhooks` tells operators. An event begins when its condition is first seen; it is told
//! when the condition has held for a while ([`IncidentKind::patience`]), so that no operator is
//! woken for what passes by itself, and it is resolved when the condition has been gone for [`CALM`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tero_semantics::timestamp::Timestamp;

/// A condition that has been gone for so long is over.
const CALM: Duration = Duration::from_secs(60);
/// Events that are remembered; of resolved ones the oldest make room.
const MAX_EVENTS: usize = 500;
/// Events at a time: a configuration may have thousands of origins.
const MAX_OPEN: usize = 200;
/// Of these, what tickets leave to pages: a page must be told however many origins are down.
const KEPT_FOR_PAGES: usize = 50;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IncidentKind {
    /// An origin is not asked: it rests or is down.
    OriginDown,
    /// No origin of a site is well, or its circuit breaker is open.
    SiteWithoutOrigin,
    /// Many answers of a site are errors.
    ErrorsRise,
    /// The hit rate of a site is far below that of its last day.
    HitRateFalls,
    /// A policy is switched off.
    PolicyOff,
    /// The guard of a canary rolled it back.
    CanaryRolledBack,
    /// A certificate ends soon.
    CertificateEnds,
    /// A calendar of a policy has no holidays for a year that begins soon.
    CalendarEnds,
    /// The last run of a warming plan failed.
    WarmingFailed,
    /// A purge goes on and on.
    PurgeLags,
    /// The last reload was refused, and the old configuration stays.
    ReloadRefused,
    /// The successor of the last upgrade could not take over, and this process serves on.
    UpgradeFailed,
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// To be looked at in working hours.
    Ticket,
    /// To be looked at now.
    Page,
}

impl Severity {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Ticket => "ticket",
            Severity::Page => "page",
        }
    }
}

impl IncidentKind {
    /// Every kind.
    pub const ALL: [IncidentKind; 12] = [
        IncidentKind::OriginDown,
        IncidentKind::SiteWithoutOrigin,
        IncidentKind::ErrorsRise,
        IncidentKind::HitRateFalls,
        IncidentKind::PolicyOff,
        IncidentKind::CanaryRolledBack,
        IncidentKind::CertificateEnds,
        IncidentKind::CalendarEnds,
        IncidentKind::WarmingFailed,
        IncidentKind::PurgeLags,
        IncidentKind::ReloadRefused,
        IncidentKind::UpgradeFailed,
    ];

    /// Its name in metrics, logs and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            IncidentKind::OriginDown => "origin_down",
            IncidentKind::SiteWithoutOrigin => "site_without_origin",
            IncidentKind::ErrorsRise => "errors_rise",
            IncidentKind::HitRateFalls => "hit_rate_falls",
            IncidentKind::PolicyOff => "policy_off",
            IncidentKind::CanaryRolledBack => "canary_rolled_back",
            IncidentKind::CertificateEnds => "certificate_ends",
            IncidentKind::CalendarEnds => "calendar_ends",
            IncidentKind::WarmingFailed => "warming_failed",
            IncidentKind::PurgeLags => "purge_lags",
            IncidentKind::ReloadRefused => "reload_refused",
            IncidentKind::UpgradeFailed => "upgrade_failed",
        }
    }

    /// How much it matters.
    pub fn severity(self) -> Severity {
        match self {
            IncidentKind::SiteWithoutOrigin
            | IncidentKind::ErrorsRise
            | IncidentKind::PurgeLags => Severity::Page,
            _ => Severity::Ticket,
        }
    }

    /// How long its condition has to hold before it is told.
    pub fn patience(self) -> Duration {
        match self {
            IncidentKind::OriginDown => Duration::from_secs(60),
            IncidentKind::SiteWithoutOrigin => Duration::from_secs(20),
            IncidentKind::ErrorsRise => Duration::from_secs(60),
            IncidentKind::HitRateFalls => Duration::from_secs(10 * 60),
            _ => Duration::ZERO,
        }
    }
}

/// A condition that holds at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) kind: IncidentKind,
    /// What it is about: a site, an origin of a site, a policy, a plan, a certificate.
    pub(crate) subject: String,
    /// What is wrong, in a sentence for people.
    pub(crate) text: String,
}

/// Something that an operator must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Counts from 1, through restarts where there is a state directory.
    pub number: u64,
    /// What is wrong.
    pub kind: IncidentKind,
    /// What it is about.
    pub subject: String,
    /// In a sentence for people.
    pub text: String,
    /// When the condition was first seen.
    pub began: Timestamp,
    /// When it was told.
    pub told: Timestamp,
    /// When the condition was last seen, if it is over.
    pub resolved: Option<Timestamp>,
}

/// What became of the events of a kind since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EventTotals {
    /// Events that were told.
    pub told: u64,
    /// Of these, those that are over.
    pub resolved: u64,
    /// From the beginning of events to their telling, all together.
    pub detection_seconds: f64,
    /// From the beginning of resolved events to their end, all together.
    pub resolution_seconds: f64,
}

/// The events of an edge.
#[derive(Debug, Default)]
pub struct EventLog(Mutex<EventState>);

#[derive(Debug, Default)]
struct EventState {
    next: u64,
    /// Conditions that were seen, told or not.
    seen: BTreeMap<(IncidentKind, String), SeenCondition>,
    events: VecDeque<EventRecord>,
    totals: BTreeMap<IncidentKind, EventTotals>,
}

#[derive(Debug)]
struct SeenCondition {
    began: Timestamp,
    last: Timestamp,
    text: String,
    /// The event that tells of it.
    number: Option<u64>,
}

/// What has changed with a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventChange {
    /// It is told.
    Told(EventRecord),
    /// It is over.
    Resolved(EventRecord),
}

impl EventLog {
    /// Takes in what is wrong at a moment, all of it; tells what has changed.
    pub(crate) fn look(&self, findings: Vec<Finding>, now: Timestamp) -> Vec<EventChange> {
        let mut state = self.state();
        for finding in findings {
            let key = (finding.kind, finding.subject);
            let is_known = state.seen.contains_key(&key);
            let most = match key.0.severity() {
                Severity::Page => MAX_OPEN,
                Severity::Ticket => MAX_OPEN - KEPT_FOR_PAGES,
            };
            if !is_known && state.seen.len() >= most {
                continue;
            }
            let seen = state.seen.entry(key).or_insert_with(|| SeenCondition {
                began: now,
                last: now,
                text: String::new(),
                number: None,
            });
            seen.last = now;
            seen.text = finding.text;
        }
        let mut changes = state.tell(now);
        changes.extend(state.resolve(now));
        state.forget();
        changes
    }

    /// Goes on with the events of a process before, the oldest first. Conditions of those that are not
    /// over have to be seen again within [`CALM`], else they are over.
    pub(crate) fn restore(&self, events: &[EventRecord], now: Timestamp) {
        let mut state = self.state();
        for event in events {
            state.next = state.next.max(event.number);
            state.events.push_back(event.clone());
            if event.resolved.is_none() {
                let seen = SeenCondition {
                    began: event.began,
                    last: now,
                    text: event.text.clone(),
                    number: Some(event.number),
                };
                state.seen.insert((event.kind, event.subject.clone()), seen);
            }
        }
        state.forget();
    }

    /// The events, the latest first.
    pub fn events(&self) -> Vec<EventRecord> {
        self.state().events.iter().rev().cloned().collect()
    }

    /// How many events of each kind there are now.
    pub fn open(&self) -> BTreeMap<IncidentKind, u64> {
        let state = self.state();
        let mut open: BTreeMap<IncidentKind, u64> = IncidentKind::ALL.map(|kind| (kind, 0)).into();
        for event in state.events.iter().filter(|event| event.resolved.is_none()) {
            *open.entry(event.kind).or_default() += 1;
        }
        open
    }

    /// What became of the events of each kind.
    pub fn totals(&self) -> BTreeMap<IncidentKind, EventTotals> {
        let state = self.state();
        let of_kind = |kind| (kind, state.totals.get(&kind).copied().unwrap_or_default());
        IncidentKind::ALL.map(of_kind).into()
    }

    fn state(&self) -> MutexGuard<'_, EventState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventState {
    fn tell(&mut self, now: Timestamp) -> Vec<EventChange> {
        let mut changes = Vec::new();
        for ((kind, subject), seen) in &mut self.seen {
            let held = seen.last.since(seen.began);
            if seen.number.is_some() || seen.last != now || held < kind.patience() {
                continue;
            }
            self.next += 1;
            seen.number = Some(self.next);
            let event = EventRecord {
                number: self.next,
                kind: *kind,
                subject: subject.clone(),
                text: seen.text.clone(),
                began: seen.began,
                told: now,
                resolved: None,
            };
            let totals = self.totals.entry(*kind).or_default();
            totals.told += 1;
            totals.detection_seconds += now.since(seen.began).as_secs_f64();
            self.events.push_back(event.clone());
            changes.push(EventChange::Told(event));
        }
        changes
    }

    fn resolve(&mut self, now: Timestamp) -> Vec<EventChange> {
        let mut changes = Vec::new();
        let (events, totals) = (&mut self.events, &mut self.totals);
        self.seen.retain(|(kind, _), seen| {
            // A clock that was set back must not keep an event open.
            if now >= seen.last && now.since(seen.last) < CALM {
                return true;
            }
            let mut told = events.iter_mut().filter(|_| seen.number.is_some());
            if let Some(event) = told.find(|event| Some(event.number) == seen.number) {
                event.resolved = Some(seen.last);
                let totals = totals.entry(*kind).or_default();
                totals.resolved += 1;
                totals.resolution_seconds += seen.last.since(seen.began).as_secs_f64();
                changes.push(EventChange::Resolved(event.clone()));
            }
            false
        });
        changes
    }

    /// Makes room: of resolved events the oldest go.
    fn forget(&mut self) {
        while self.events.len() > MAX_EVENTS {
            let oldest = self
                .events
                .iter()
                .position(|event| event.resolved.is_some());
            self.events.remove(oldest.unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_unix_secs(1_795_608_000 + secs)
    }

    fn finding(kind: IncidentKind, subject: &str) -> Finding {
        Finding {
            kind,
            subject: subject.to_owned(),
            text: format!("{subject} is not well"),
        }
    }

    /// What each look changes: `+kind` is told, `-kind` is over.
    fn changes(log: &EventLog, findings: &[(IncidentKind, &str)], secs: i64) -> Vec<String> {
        let findings = findings.iter();
        let findings = findings
            .map(|(kind, subject)| finding(*kind, subject))
            .collect();
        let changes = log.look(findings, at(secs)).into_iter();
        let shown = changes.map(|change| match change {
            EventChange::Told(event) => format!("+{} {}", event.kind.as_str(), event.subject),
            EventChange::Resolved(event) => format!("-{} {}", event.kind.as_str(), event.subject),
        });
        shown.collect()
    }

    #[test]
    fn an_event_is_told_once_after_its_patience_and_resolved_after_a_calm() {
        let log = EventLog::default();
        let down = [(IncidentKind::OriginDown, "app-1")];
        assert_eq!(changes(&log, &down, 0), Vec::<String>::new());
        assert_eq!(changes(&log, &down, 59), Vec::<String>::new());
        assert_eq!(changes(&log, &down, 60), ["+origin_down app-1"]);
        assert_eq!(changes(&log, &down, 65), Vec::<String>::new());
        // A gap that is shorter than the calm is the same event.
        assert_eq!(changes(&log, &[], 124), Vec::<String>::new());
        assert_eq!(changes(&log, &down, 124), Vec::<String>::new());
        assert_eq!(changes(&log, &[], 184), ["-origin_down app-1"]);
        let totals = log.totals()[&IncidentKind::OriginDown];
        assert_eq!((totals.told, totals.resolved), (1, 1));
        assert_eq!(
            (totals.detection_seconds, totals.resolution_seconds),
            (60.0, 124.0)
        );
        assert_eq!(log.events()[0].resolved, Some(at(124)));
    }

    #[test]
    fn what_passes_by_itself_is_not_told() {
        let log = EventLog::default();
        changes(&log, &[(IncidentKind::OriginDown, "app-1")], 0);
        assert_eq!(changes(&log, &[], 100), Vec::<String>::new());
        // It begins anew.
        changes(&log, &[(IncidentKind::OriginDown, "app-1")], 110);
        assert_eq!(
            changes(&log, &[(IncidentKind::OriginDown, "app-1")], 169),
            Vec::<String>::new()
        );
        assert_eq!(
            changes(&log, &[(IncidentKind::OriginDown, "app-1")], 170).len(),
            1
        );
    }

    #[test]
    fn events_are_bounded_and_open_ones_stay() {
        let log = EventLog::default();
        changes(&log, &[(IncidentKind::PolicyOff, "stays")], 0);
        for round in 0..i64::try_from(MAX_EVENTS).unwrap() + 50 {
            let subject = round.to_string();
            changes(
                &log,
                &[
                    (IncidentKind::PolicyOff, "stays"),
                    (IncidentKind::PolicyOff, &subject),
                ],
                100 * round,
            );
        }
        let events = log.events();
        assert_eq!(events.len(), MAX_EVENTS);
        assert!(events.iter().any(|event| event.subject == "stays"));
        let many: Vec<String> = (0..MAX_OPEN + 50)
            .map(|number| format!("n{number}"))
            .collect();
        let many: Vec<_> = many
            .iter()
            .map(|name| (IncidentKind::PolicyOff, &**name))
            .collect();
        changes(&log, &many, 1_000_000);
        assert!(log.open()[&IncidentKind::PolicyOff] <= MAX_OPEN as u64);
    }

    #[test]
    fn tickets_leave_room_for_pages() {
        let log = EventLog::default();
        let many: Vec<String> = (0..2 * MAX_OPEN).map(|number| number.to_string()).collect();
        let mut found: Vec<_> = many
            .iter()
            .map(|name| (IncidentKind::PolicyOff, &**name))
            .collect();
        found.push((IncidentKind::PurgeLags, "purge"));
        changes(&log, &found, 0);
        let open = log.open();
        assert_eq!(open[&IncidentKind::PurgeLags], 1);
        assert_eq!(
            open[&IncidentKind::PolicyOff],
            (MAX_OPEN - KEPT_FOR_PAGES) as u64
        );
    }

    #[test]
    fn a_process_goes_on_with_the_events_of_the_one_before() {
        let before = EventLog::default();
        let both = [
            (IncidentKind::PolicyOff, "hours"),
            (IncidentKind::WarmingFailed, "morning"),
        ];
        changes(&before, &both, 0);
        changes(&before, &both[..1], 100);
        changes(&before, &[], 110);
        let mut events = before.events();
        events.reverse();
        let log = EventLog::default();
        log.restore(&events, at(500));
        assert_eq!(log.events(), before.events());
        assert_eq!(log.open()[&IncidentKind::PolicyOff], 1);
        // The same event goes on, and is not told again; then it is over.
        assert_eq!(changes(&log, &both[..1], 505), Vec::<String>::new());
        assert_eq!(changes(&log, &both[1..], 565).len(), 2);
        let shown = log.events().into_iter();
        let shown = shown.map(|event| (event.number, event.resolved));
        let resolved = [(3, None), (2, Some(at(0))), (1, Some(at(505)))];
        assert_eq!(shown.collect::<Vec<_>>(), resolved);
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_no_event_open() {
        let log = EventLog::default();
        changes(&log, &[(IncidentKind::PolicyOff, "hours")], 1_000);
        assert_eq!(changes(&log, &[], 0), ["-policy_off hours"]);
    }
}
