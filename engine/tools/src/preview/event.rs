//! Events of a preview, with the time at which they happen on the clock of a zone.

use chrono::SecondsFormat;
use chrono_tz::Tz;
use serde::Serialize;

use super::decision::{DecisionChange, PreviewDecision};
use tero_semantics::timestamp::Timestamp;
use tero_time::zones;

/// The time that a preview covers.
#[derive(Clone, Copy, Debug)]
pub(super) struct PreviewSpan {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

/// Something that happens at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PreviewEvent {
    /// The time on the clock of `zone`, with its offset (RFC 3339).
    pub local: String,
    /// The time in UTC (RFC 3339).
    pub utc: String,
    /// The IANA name of the zone.
    pub zone: String,
    /// What happens.
    #[serde(flatten)]
    pub what: EventKind,
    #[serde(skip)]
    pub(super) at: Timestamp,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum EventKind {
    /// The clock of the zone is put forward or back.
    OffsetChange {
        /// Minutes east of UTC before the event.
        before_mins: i16,
        /// Minutes east of UTC after it.
        after_mins: i16,
    },
    /// A day of a calendar begins.
    Holiday {
        /// The name of the holiday.
        name: String,
        /// The opening hours of a half-day; `None` on a day that is closed.
        open: Option<String>,
        /// The policies with this holiday in their calendars.
        policies: Vec<String>,
    },
    /// A policy starts to decide differently.
    Decision {
        /// The site.
        site: String,
        /// The policy.
        policy: String,
        /// The URLs concerned, each with a device if the policy depends on devices.
        urls: Vec<String>,
        /// The decision before the event.
        before: Box<PreviewDecision>,
        /// The decision after it.
        after: Box<PreviewDecision>,
    },
    /// A warming plan comes due.
    Plan {
        /// The plan.
        plan: String,
        /// The site of the plan.
        site: String,
    },
}

impl EventKind {
    /// Adds a URL to a decision that changes in the same way, lifetimes aside. Returns whether this
    /// is such a decision.
    pub(super) fn add_url(&mut self, url: &str, change: &DecisionChange) -> bool {
        match self {
            EventKind::Decision {
                urls,
                before,
                after,
                ..
            } if before.is_like(&change.before) && after.is_like(&change.after) => {
                urls.push(url.to_owned());
                before.widen(&change.before);
                after.widen(&change.after);
                true
            }
            _ => false,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            EventKind::OffsetChange { .. } => 0,
            EventKind::Holiday { .. } => 1,
            EventKind::Decision { .. } => 2,
            EventKind::Plan { .. } => 3,
        }
    }
}

impl PreviewEvent {
    pub(super) fn new(at: Timestamp, zone: Tz, what: EventKind) -> PreviewEvent {
        PreviewEvent {
            local: rfc3339(at, zone),
            utc: rfc3339(at, Tz::UTC),
            zone: zone.name().to_owned(),
            what,
            at,
        }
    }

    /// Sorts events by time; at one time, causes come before effects.
    pub(super) fn order(&self) -> (Timestamp, u8) {
        (self.at, self.what.rank())
    }
}

pub(super) fn rfc3339(at: Timestamp, zone: Tz) -> String {
    zones::local(at, zone).to_rfc3339_opts(SecondsFormat::Secs, zone == Tz::UTC)
}
