//! What could not be followed or told lately. It rests for a while: trying may mean fetching, compiling or
//! uploading, and nothing else of the fleet is looked at meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{FleetVersionsError, SyncReport, SyncTrouble};
use crate::cluster::bus::BusError;
use tero_semantics::timestamp::Timestamp;

/// How long a change is left alone that can't be followed or told.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// By which way a change goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncWay {
    /// From the fleet to this node.
    Follow,
    /// From this node to the fleet.
    Tell,
}

/// A change that is tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct SyncAttempt<'a> {
    /// `policy` or `table`.
    pub(super) kind: &'static str,
    /// Its name.
    pub(super) name: &'a str,
    /// The change that the fleet is at.
    pub(super) change: u64,
    pub(super) way: SyncWay,
}

/// Changes that failed, by kind and name.
#[derive(Debug, Default)]
pub(super) struct FailedChanges(BTreeMap<(&'static str, String), FailedChange>);

#[derive(Debug)]
struct FailedChange {
    change: u64,
    way: SyncWay,
    why: String,
    /// `None` means at once.
    try_again: Option<Timestamp>,
}

impl FailedChanges {
    /// Tries a change, unless it has just failed. Its failure is a trouble of this policy or table alone,
    /// and `None`.
    ///
    /// # Errors
    /// [`BusError::Unreachable`]: a lost connection holds up all of them.
    pub(super) fn attempt<T>(
        &mut self,
        attempt: &SyncAttempt<'_>,
        now: Timestamp,
        report: &mut SyncReport,
        act: impl FnOnce() -> Result<T, FleetVersionsError>,
    ) -> Result<Option<T>, FleetVersionsError> {
        let (kind, name) = (attempt.kind, attempt.name);
        let key = (kind, name.to_owned());
        let failed = self.0.get(&key);
        let resting = failed.filter(|it| it.rests(attempt, now));
        let why = if let Some(resting) = resting {
            resting.why.clone()
        } else {
            let error = match act() {
                Ok(done) => {
                    self.0.remove(&key);
                    return Ok(Some(done));
                }
                Err(FleetVersionsError::Bus(error @ BusError::Unreachable(_))) => {
                    return Err(error.into());
                }
                Err(error) => error,
            };
            let why = error.to_string();
            if failed.is_none_or(|failed| failed.why != why) {
                tracing::error!(kind, name, "this node and the fleet differ: {why}");
            }
            let failed = FailedChange {
                change: attempt.change,
                way: attempt.way,
                why: why.clone(),
                try_again: Some(now.saturating_add(TRY_AGAIN_AFTER)),
            };
            self.0.insert(key, failed);
            why
        };
        let troubles = match attempt.way {
            SyncWay::Follow => &mut report.troubles,
            SyncWay::Tell => &mut report.untold,
        };
        let name = name.to_owned();
        troubles.push(SyncTrouble { kind, name, why });
        Ok(None)
    }

    /// Has what failed by one way be tried at once.
    pub(super) fn end_rests(&mut self, way: SyncWay) {
        let failed = self.0.values_mut().filter(|failed| failed.way == way);
        failed.for_each(|failed| failed.try_again = None);
    }
}

impl FailedChange {
    /// Whether this is the attempt that failed, and it is too early to try it again.
    fn rests(&self, attempt: &SyncAttempt<'_>, now: Timestamp) -> bool {
        let is_same = (self.change, self.way) == (attempt.change, attempt.way);
        is_same && self.try_again.is_some_and(|at| now < at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_unix_secs(1_795_597_200 + secs)
    }

    fn policy(way: SyncWay, change: u64) -> SyncAttempt<'static> {
        SyncAttempt {
            kind: "policy",
            name: "rules",
            change,
            way,
        }
    }

    /// Whether something is tried that fails.
    fn is_tried(failed: &mut FailedChanges, attempt: &SyncAttempt<'_>, secs: i64) -> bool {
        let (mut report, mut is_tried) = (SyncReport::default(), false);
        let done = failed.attempt(attempt, at(secs), &mut report, || {
            is_tried = true;
            Err::<(), _>(BusError::Content("too large".to_owned()).into())
        });
        assert!(matches!(done, Ok(None)));
        let (troubles, other) = match attempt.way {
            SyncWay::Follow => (report.troubles, report.untold),
            SyncWay::Tell => (report.untold, report.troubles),
        };
        assert_eq!(other, []);
        assert_eq!(troubles[0].to_string(), "policy rules: too large");
        is_tried
    }

    #[test]
    fn what_fails_rests_by_both_ways() {
        for way in [SyncWay::Follow, SyncWay::Tell] {
            let (mut failed, attempt) = (FailedChanges::default(), policy(way, 1));
            assert!(is_tried(&mut failed, &attempt, 0));
            assert!(!is_tried(&mut failed, &attempt, 29));
            assert!(is_tried(&mut failed, &attempt, 30));
            // Another change of the fleet is tried at once.
            assert!(is_tried(&mut failed, &policy(way, 2), 31));
        }
    }

    #[test]
    fn an_operator_ends_the_rest_of_what_is_told() {
        let mut failed = FailedChanges::default();
        assert!(is_tried(&mut failed, &policy(SyncWay::Tell, 1), 0));
        failed.end_rests(SyncWay::Tell);
        assert!(is_tried(&mut failed, &policy(SyncWay::Tell, 1), 1));
        let followed = SyncAttempt {
            name: "other",
            ..policy(SyncWay::Follow, 1)
        };
        let report = &mut SyncReport::default();
        let fails = || Err::<(), _>(BusError::Content("no".to_owned()).into());
        assert!(matches!(
            failed.attempt(&followed, at(0), report, fails),
            Ok(None)
        ));
        failed.end_rests(SyncWay::Tell);
        let must_rest = || -> Result<(), FleetVersionsError> { panic!("it rests") };
        assert!(matches!(
            failed.attempt(&followed, at(1), report, must_rest),
            Ok(None)
        ));
    }

    #[test]
    fn a_lost_connection_rests_nothing() {
        let (mut failed, attempt) = (FailedChanges::default(), policy(SyncWay::Tell, 1));
        let report = &mut SyncReport::default();
        let lost = || Err::<(), _>(BusError::Unreachable("cut off".to_owned()).into());
        assert!(failed.attempt(&attempt, at(0), report, lost).is_err());
        assert!(is_tried(&mut failed, &attempt, 1));
    }
}
