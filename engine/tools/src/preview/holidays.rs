//! The days of the policies' calendars.

use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;

use super::event::{EventKind, PreviewEvent, PreviewSpan};
use tero_policy_host::Policy;
use tero_time::calendar::{HolidayKind, YearCoverage};
use tero_time::moment;

/// A day of one or more calendars.
struct HolidayEntry {
    date: NaiveDate,
    zone: Tz,
    name: String,
    /// The hours of a half-day.
    open: Option<String>,
    policies: Vec<String>,
}

/// An event for each day of the span that is in a calendar.
pub(super) fn events(policies: &[Arc<Policy>], span: PreviewSpan) -> Vec<PreviewEvent> {
    let mut entries: Vec<HolidayEntry> = Vec::new();
    for policy in with_calendars(policies) {
        let (zone, dates) = dates_of(policy, span);
        for (date, holiday) in policy.calendar().days() {
            if !dates.contains(&date) {
                continue;
            }
            let entry = HolidayEntry {
                date,
                zone,
                name: holiday.name.clone(),
                open: hours(&holiday.kind),
                policies: vec![policy.name().to_string()],
            };
            match entries.iter_mut().find(|other| other.is_same_day(&entry)) {
                Some(other) => other.policies.extend(entry.policies),
                None => entries.push(entry),
            }
        }
    }
    entries.into_iter().map(HolidayEntry::into_event).collect()
}

/// A warning for each year of the span that a calendar does not cover.
pub(super) fn warnings(policies: &[Arc<Policy>], span: PreviewSpan) -> Vec<String> {
    let is_missing = |coverage| coverage <= Some(YearCoverage::Empty);
    let warning = |policy: &str, year| {
        format!(
            "the calendar of the policy {policy} has no data for {year}: its holidays count as working days"
        )
    };
    about_years(policies, span, is_missing, warning)
}

/// A notice for each year of the span that a calendar has by law alone.
pub(super) fn notices(policies: &[Arc<Policy>], span: PreviewSpan) -> Vec<String> {
    let is_by_law = |coverage| coverage == Some(YearCoverage::ByLaw);
    let notice = |policy: &str, year| {
        format!(
            "the calendar of the policy {policy} has the holidays of {year} by law; decrees for {year} are not known"
        )
    };
    about_years(policies, span, is_by_law, notice)
}

fn about_years(
    policies: &[Arc<Policy>],
    span: PreviewSpan,
    is_meant: impl Fn(Option<YearCoverage>) -> bool,
    tell: impl Fn(&str, i32) -> String,
) -> Vec<String> {
    let mut told = Vec::new();
    for policy in with_calendars(policies) {
        let (_, dates) = dates_of(policy, span);
        for year in dates.start().year()..=dates.end().year() {
            if is_meant(policy.calendar().coverage(year)) {
                told.push(tell(policy.name(), year));
            }
        }
    }
    told
}

fn with_calendars(policies: &[Arc<Policy>]) -> impl Iterator<Item = &Policy> {
    let has_calendar = |policy: &&Policy| policy.calendar().has_years();
    policies.iter().map(|policy| &**policy).filter(has_calendar)
}

/// The policy's zone, and the local dates of the span.
fn dates_of(policy: &Policy, span: PreviewSpan) -> (Tz, RangeInclusive<NaiveDate>) {
    let zone = policy.manifest().zone.unwrap_or(Tz::UTC);
    let date = |now| moment::moment(now, zone, &Default::default()).date();
    (zone, date(span.from)..=date(span.until))
}

fn hours(kind: &HolidayKind) -> Option<String> {
    match *kind {
        HolidayKind::Closed => None,
        HolidayKind::HalfDay {
            from_mins,
            until_mins,
        } => Some(format!("{} to {}", clock(from_mins), clock(until_mins))),
    }
}

fn clock(mins: u16) -> String {
    format!("{:02}:{:02}", mins / 60, mins % 60)
}

impl HolidayEntry {
    fn is_same_day(&self, other: &HolidayEntry) -> bool {
        self.date == other.date
            && self.zone == other.zone
            && self.name == other.name
            && self.open == other.open
    }

    fn into_event(self) -> PreviewEvent {
        let midnight = moment::instant_of(self.date.and_time(Default::default()), self.zone);
        let what = EventKind::Holiday {
            name: self.name,
            open: self.open,
            policies: self.policies,
        };
        PreviewEvent::new(midnight, self.zone, what)
    }
}
