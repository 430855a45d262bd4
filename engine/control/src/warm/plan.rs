//! Plans of the configuration with their time zones and parsed schedules.

use std::sync::Arc;

use chrono::SecondsFormat;
use chrono_tz::Tz;

use tero_config as config;
use tero_semantics::timestamp::Timestamp;
use tero_time::cron::{Schedule, ScheduleError};
use tero_time::zones;

/// Why a plan can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Its schedule can't be parsed, or never comes due.
    #[error("the schedule {schedule:?} of the plan {plan} can't be used: {source}")]
    Schedule {
        /// The plan.
        plan: Arc<str>,
        /// The schedule, as written in the configuration.
        schedule: String,
        /// Why.
        source: Box<ScheduleError>,
    },
    /// Its site is not configured.
    #[error("the plan {plan} names the site {site}, which is not configured")]
    NoSite {
        /// The plan.
        plan: Arc<str>,
        /// The name of the site.
        site: Arc<str>,
    },
}

/// A plan of the configuration.
#[derive(Debug)]
pub(super) struct PlanEntry {
    pub(super) plan: config::Plan,
    pub(super) zone: Tz,
    schedule: Option<Schedule>,
}

impl PlanEntry {
    /// Parses the schedule of a plan. Its zone is the plan's own, or the one of its site.
    ///
    /// # Errors
    /// [`PlanError`]
    fn new(
        zone_of: impl Fn(&str) -> Option<Tz>,
        plan: config::Plan,
    ) -> Result<PlanEntry, PlanError> {
        let of_site = zone_of(&plan.site).ok_or_else(|| PlanError::NoSite {
            plan: Arc::clone(&plan.name),
            site: Arc::clone(&plan.site),
        });
        let zone = plan.zone.unwrap_or(of_site?);
        let schedule = plan
            .schedule
            .as_ref()
            .map(|schedule| {
                Schedule::parse(schedule, zone).map_err(|source| PlanError::Schedule {
                    plan: Arc::clone(&plan.name),
                    schedule: schedule.clone(),
                    source: Box::new(source),
                })
            })
            .transpose()?;
        Ok(PlanEntry {
            plan,
            zone,
            schedule,
        })
    }

    /// Whether it has a schedule.
    pub(super) fn is_scheduled(&self) -> bool {
        self.schedule.is_some()
    }

    /// When it comes due next after `time`; `None` without a schedule.
    pub(super) fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        self.schedule.as_ref()?.next_after(time)
    }

    /// The last time that it came due after `from` and not after `now`. It looks at each of these
    /// times: at most one for every minute of the longest window.
    pub(super) fn last_due(&self, from: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let due = std::iter::successors(self.next_after(from), |due| self.next_after(*due));
        due.take_while(|due| *due <= now).last()
    }
}

/// Parses the schedules of plans. `zone_of` knows the zones of sites.
///
/// # Errors
/// [`PlanError`] for the first plan that can't be used.
pub(super) fn entries(
    zone_of: impl Fn(&str) -> Option<Tz>,
    plans: Vec<config::Plan>,
) -> Result<Vec<PlanEntry>, PlanError> {
    plans
        .into_iter()
        .map(|plan| PlanEntry::new(&zone_of, plan))
        .collect()
}

/// The plan with that name.
pub(super) fn find<'p>(plans: &'p [PlanEntry], name: &str) -> Option<&'p PlanEntry> {
    plans.iter().find(|entry| &*entry.plan.name == name)
}

/// RFC 3339 with the local time of `zone`.
pub(super) fn local_time(time: Timestamp, zone: Tz) -> String {
    zones::local(time, zone).to_rfc3339_opts(SecondsFormat::Secs, true)
}
