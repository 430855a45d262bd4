//! What is wrong at a moment: the origins, the policies, the plans, the certificates, the counters of an
//! edge, each asked for what it knows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::acme::CertificateOrders;
use crate::certificates::CertificateUpkeep;
use crate::events::{Finding, IncidentKind};
use crate::handover::Handover;
use crate::reload::Reloader;
use crate::rollout::Rollout;
use crate::warm::Warmer;
use crate::warm::report::RunState;
use tero_config::calendars::missing_years;
use tero_edge::origin::HopCondition;
use tero_edge::request::Edge;
use tero_edge::request::site::{OriginUse, Site};
use tero_edge::telemetry::counters::Outcomes;
use tero_policy_host::PolicyStatus;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// A certificate that ends within this time is told of, or within this part of its lifetime if that is less.
const CERTIFICATE_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);
const CERTIFICATE_SOON_PART: u32 = 6;
/// A purge that takes longer lags.
const PURGE_LAG: Duration = Duration::from_secs(30);
/// Rates are those of this time.
const RATE_OVER: Duration = Duration::from_secs(5 * 60);
/// Fewer requests say nothing about a rate.
const LEAST_REQUESTS: u64 = 50;
/// A greater share of answers that are errors is too much.
const MOST_ERRORS: f64 = 0.05;
/// A hit rate below this share of that of the last day is far below.
const FAR_BELOW: f64 = 0.7;

/// The parts of an edge that are looked at.
#[derive(Debug)]
pub(crate) struct EventSources {
    pub(crate) edge: Arc<Edge>,
    pub(crate) rollout: Arc<Rollout>,
    pub(crate) warmer: Arc<Warmer>,
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) handover: Arc<Handover>,
    pub(crate) certificates: Arc<CertificateUpkeep>,
    pub(crate) orders: Option<Arc<CertificateOrders>>,
    /// What was counted at the last looks, by site.
    pub(crate) samples: Mutex<BTreeMap<String, VecDeque<SiteSample>>>,
}

/// What a site had counted at a moment.
#[derive(Clone, Debug)]
pub(crate) struct SiteSample {
    at: Timestamp,
    outcomes: Outcomes,
    /// As [`SiteCounters::errors`](tero_edge::telemetry::counters::SiteCounters::errors).
    errors: u64,
}

impl EventSources {
    /// The time.
    pub(crate) fn clock(&self) -> &Clock {
        &self.edge.clock
    }

    /// All that is wrong now.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let wall = self.edge.clock.wall();
        let mut found = Vec::new();
        for site in self.edge.sites.load().iter() {
            found.extend(origins(site));
            found.extend(self.rates(site));
        }
        found.extend(self.policies(wall));
        found.extend(self.certificates(wall));
        found.extend(self.plans());
        let lag = self.edge.counters.purges.running_for(self.edge.clock.now());
        if lag > PURGE_LAG {
            let secs = lag.as_secs();
            let text = format!(
                "a purge has been going on for {secs} s: visitors may see what was withdrawn"
            );
            found.push(finding(IncidentKind::PurgeLags, "purge", text));
        }
        if self.reloader.was_refused() {
            let text =
                "the configuration was refused, and the old one stays: `tero check` says why";
            found.push(finding(IncidentKind::ReloadRefused, "configuration", text));
        }
        if self.handover.has_failed() {
            let text = "the program could not take over from this process, which serves on: the log says why";
            found.push(finding(IncidentKind::UpgradeFailed, "program", text));
        }
        found
    }

    /// What the rates of a site say.
    fn rates(&self, site: &Site) -> Vec<Finding> {
        let now = self.edge.clock.now();
        let name = site.settings.name.to_string();
        let sample = SiteSample {
            at: now,
            outcomes: site.counters.outcomes_in_all(),
            errors: site.counters.errors(),
        };
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = samples.entry(name.clone()).or_default();
        while samples
            .front()
            .is_some_and(|first| now < first.at || now.since(first.at) > RATE_OVER)
        {
            samples.pop_front();
        }
        let first = samples.front().cloned();
        samples.push_back(sample.clone());
        let Some(first) = first else {
            return Vec::new();
        };
        let recent = sample.outcomes.since(&first.outcomes);
        if recent.total() < LEAST_REQUESTS {
            return Vec::new();
        }
        let mut found = Vec::new();
        let share = share(sample.errors.saturating_sub(first.errors), recent.total());
        if share > MOST_ERRORS {
            let percent = share * 100.0;
            let text = format!("{percent:.0} % of the answers of {name} are errors");
            found.push(finding(IncidentKind::ErrorsRise, &name, text));
        }
        // No usual rate is above 1, so most sites need not be asked for theirs.
        if let Some(rate) = recent.hit_rate().filter(|rate| *rate < FAR_BELOW)
            && let Some(usual) = usual_hit_rate(site, self.edge.clock.wall())
            && rate < FAR_BELOW * usual
        {
            let (rate, usual) = (rate * 100.0, usual * 100.0);
            let text = format!(
                "the hit rate of {name} is {rate:.0} %, and was {usual:.0} % in the last day"
            );
            found.push(finding(IncidentKind::HitRateFalls, &name, text));
        }
        found
    }

    fn policies(&self, wall: Timestamp) -> Vec<Finding> {
        let mut found = Vec::new();
        for (name, versions) in self.rollout.state().policies() {
            let policy = versions.active();
            if let PolicyStatus::SwitchedOff { reason, .. } = policy.status(wall) {
                let text =
                    format!("policy {name} is switched off, and the headers decide: {reason}");
                found.push(finding(IncidentKind::PolicyOff, name, text));
            }
            let calendar = policy.calendar();
            if calendar.has_years() && !missing_years(calendar, wall).is_empty() {
                let text = format!(
                    "the calendar of policy {name} has no holidays for a year that begins soon"
                );
                found.push(finding(IncidentKind::CalendarEnds, name, text));
            }
            if let (Some(rolled_back), None) = (&versions.record().rolled_back, versions.canary()) {
                let text = format!(
                    "the canary of policy {name} was rolled back: {}",
                    rolled_back.reason
                );
                found.push(finding(IncidentKind::CanaryRolledBack, name, text));
            }
        }
        found
    }

    fn certificates(&self, wall: Timestamp) -> Vec<Finding> {
        let of_files = self.certificates.statuses().into_iter();
        let of_files = of_files.map(|status| (status.file.display().to_string(), status.validity));
        let orders = self.orders.iter().flat_map(|orders| orders.report());
        let ordered = orders.filter_map(|name| Some((name.name.to_string(), name.validity?)));
        let mut found = Vec::new();
        for (name, validity) in of_files.chain(ordered) {
            let end = validity.not_after;
            if end <= wall {
                let text = format!("the certificate {name} has ended: browsers refuse it");
                found.push(finding(IncidentKind::CertificateEnds, &name, text));
            } else if validity.ends_soon(wall, CERTIFICATE_SOON, CERTIFICATE_SOON_PART) {
                let hours = end.since(wall).as_secs() / (60 * 60);
                let left = match hours / 24 {
                    0 => format!("{hours} hours"),
                    days => format!("{days} days"),
                };
                let text = format!("the certificate {name} ends in {left}");
                found.push(finding(IncidentKind::CertificateEnds, &name, text));
            }
        }
        found
    }

    /// The plans whose last run failed.
    fn plans(&self) -> Vec<Finding> {
        let runs = self.warmer.runs();
        let mut found = Vec::new();
        for plan in self.warmer.plans() {
            let mut of_plan = runs.iter();
            let last =
                of_plan.find(|run| run.plan == *plan.name && !run.dry_run && run.state.is_over());
            let Some(last) = last else { continue };
            if matches!(last.state, RunState::Failed | RunState::DeadlinePassed) {
                let (state, failed, planned) = (last.state.as_str(), last.failed, last.planned);
                let text = format!(
                    "run {} of plan {} ended as {state}: {failed} of {planned} pages failed",
                    last.id, last.plan
                );
                found.push(finding(IncidentKind::WarmingFailed, &last.plan, text));
            }
        }
        found
    }
}

fn finding(kind: IncidentKind, subject: &str, text: impl Into<String>) -> Finding {
    Finding {
        kind,
        subject: subject.to_owned(),
        text: text.into(),
    }
}

/// The origins of a site that are not asked. Those that an operator took out don't count.
fn origins(site: &Site) -> Vec<Finding> {
    let name = &site.settings.name;
    let hops = site.hops.figures();
    let is_ill = |condition: &HopCondition| {
        matches!(
            condition,
            HopCondition::Resting | HopCondition::Down | HopCondition::OnTrial
        )
    };
    let ill: Vec<_> = hops
        .iter()
        .filter(|hop| is_ill(&hop.state.condition))
        .collect();
    let mut found = Vec::new();
    for hop in &ill {
        let text = format!(
            "origin {} of {name} is not asked: {}",
            hop.name, hop.state.reason
        );
        found.push(finding(
            IncidentKind::OriginDown,
            &format!("{name}/{}", hop.name),
            text,
        ));
    }
    let conditions = site.hop_conditions();
    found.extend(without_origin(
        name,
        site.origins()
            .zip(conditions)
            .map(|((asked_for, origin), conditions)| OriginsLeft {
                asked_for,
                is_none_well: conditions.iter().any(is_ill)
                    && !conditions.contains(&HopCondition::Healthy),
                is_breaker_open: origin.breaker_figures().1,
            }),
    ));
    found
}

/// What is left of the origins that some requests of a site go to.
#[derive(Clone, Copy)]
struct OriginsLeft<'s> {
    asked_for: OriginUse<'s>,
    is_none_well: bool,
    is_breaker_open: bool,
}

/// The site and those of its requests that get no answers from origins.
fn without_origin<'s>(name: &str, all: impl Iterator<Item = OriginsLeft<'s>>) -> Vec<Finding> {
    let mut found = Vec::new();
    for left in all {
        let (subject, of) = match left.asked_for {
            OriginUse::Site => (name.to_owned(), name.to_owned()),
            OriginUse::Route(route) => (
                format!("{name}/{route}"),
                format!("route {route} of {name}"),
            ),
            OriginUse::ByName => (
                format!("{name}/(by name)"),
                format!("the requests of {name} whose origin policies choose by name"),
            ),
        };
        // One sentence is enough.
        let what = match (left.is_none_well, left.is_breaker_open) {
            (true, _) => format!("no origin of {of} is well"),
            (false, true) => format!("the circuit breaker of {of} is open"),
            (false, false) => continue,
        };
        let text = format!("{what}: visitors get what is stored");
        found.push(finding(IncidentKind::SiteWithoutOrigin, &subject, text));
    }
    found
}

/// The hit rate of the last day, as far as it was counted in hours; `None` for fewer than 12 hours.
fn usual_hit_rate(site: &Site, wall: Timestamp) -> Option<f64> {
    let hours = site.counters.week(wall);
    let last_day = &hours[hours.len().saturating_sub(25)..hours.len().saturating_sub(1)];
    if last_day.len() < 12 {
        return None;
    }
    let mut outcomes = Outcomes::default();
    for hour in last_day {
        outcomes.add(&hour.traffic().requests);
    }
    outcomes.hit_rate()
}

#[allow(clippy::cast_precision_loss)] // A share with two digits.
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origins_of_a_route_are_not_those_of_its_site() {
        let left = |asked_for, is_none_well, is_breaker_open| OriginsLeft {
            asked_for,
            is_none_well,
            is_breaker_open,
        };
        let told = |all: &[OriginsLeft<'_>]| {
            let found = without_origin("shop", all.iter().copied());
            let told = found.into_iter().map(|one| (one.subject, one.text));
            told.collect::<Vec<_>>()
        };
        let entry = |subject: &str, text: &str| {
            let text = format!("{text}: visitors get what is stored");
            (subject.to_owned(), text)
        };
        let (site, route) = (OriginUse::Site, OriginUse::Route("pay"));
        let open = "the circuit breaker of route pay of shop is open";
        assert_eq!(
            told(&[left(site, false, false), left(route, false, false)]),
            []
        );
        assert_eq!(
            told(&[left(site, false, true), left(route, false, true)]),
            [
                entry("shop", "the circuit breaker of shop is open"),
                entry("shop/pay", open),
            ]
        );
        assert_eq!(
            told(&[left(site, true, true), left(route, false, false)]),
            [entry("shop", "no origin of shop is well")]
        );
        assert_eq!(
            told(&[left(site, false, false), left(route, true, false)]),
            [entry("shop/pay", "no origin of route pay of shop is well")]
        );
    }
}
