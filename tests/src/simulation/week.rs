//! Runs the week: sends each request at its time, and counts the results.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::Timelike;
use chrono_tz::Tz;
use http::Method;
use tero_admin_api::endpoints::WarmRuns;
use tero_semantics::timestamp::Timestamp;
use tero_time::zones;
use tero_tools::replay::record::LogRecord;
use tero_tools::traffic::TrafficPlan;

use super::figures::{Figures, Hour};
use super::origin::SampleSite;
use super::settings::{Way, hours};
use crate::{Client, Edge, get, instant};

/// The time between two fetches of the plan, as its rate says.
const PACE: Duration = Duration::from_secs(5);

/// How long, in real time, to wait for another thread.
const A_MOMENT: Duration = Duration::from_millis(200);

/// Serves the plan's visitors in this way, and returns the results. The edge starts a day before the
/// plan's first, and learns what visitors want.
///
/// # Panics
/// If the edge does not start, or does not answer.
pub fn simulate(way: Way, plan: &TrafficPlan) -> Figures {
    let zone = plan.zone;
    let first = instant(&format!("{}T00:00:00", plan.first), zone);
    let lead = TrafficPlan {
        first: plan.first.pred_opt().expect("a day goes before"),
        days: plan.days + 1,
        ..plan.clone()
    };
    let clock = tero_time::clock::Clock::by_hand(first.saturating_sub(Duration::from_secs(86_400)));
    let origin = SampleSite::start(clock.clone(), plan.kind, way != Way::WithoutPolicies);
    let edge = Edge::on_clock(&way.configuration(plan.kind, &origin.url()), clock, zone);
    let mut week = Week {
        way,
        plan,
        zone,
        edge: &edge,
        origin: &origin,
        client: edge.client(),
        warming_since: None,
        hours: BTreeMap::new(),
    };
    let mut requests = 0;
    for record in lead.requests() {
        // Payments are passed on in each way.
        if record.method == Method::GET {
            week.turn_to(record.at);
            week.visit(&record);
            requests += u64::from(record.at >= first);
        }
    }
    let by_hour = std::mem::take(&mut week.hours);
    week.figures(requests, &by_hour, first.unix_secs())
}

struct Week<'w> {
    way: Way,
    plan: &'w TrafficPlan,
    zone: Tz,
    edge: &'w Edge,
    origin: &'w SampleSite,
    client: Client,
    /// While a plan runs, the time of its latest fetch.
    warming_since: Option<Timestamp>,
    /// Counts by hours since the Unix epoch. They match local hours: the offset of the zone is
    /// whole.
    hours: BTreeMap<i64, Hour>,
}

impl Week<'_> {
    /// Turns the clock; while a plan runs, in steps from one of its fetches to the next.
    fn turn_to(&mut self, time: Timestamp) {
        let began = self.edge.clock().now();
        if self.way == Way::PoliciesAndWarming
            && let Some(due) = self.plan_before(time)
        {
            let before = self.origin.answered();
            self.edge.clock().turn_to(due);
            // The plan reads the sitemap first.
            wait(A_MOMENT * 50, || self.origin.answered() > before);
            self.warming_since = Some(due);
        }
        while let Some(last) = self.warming_since
            && last.saturating_add(PACE) <= time
        {
            let (before, _) = self.progress();
            let next = last.saturating_add(PACE);
            self.edge.clock().turn_to(next);
            let is_over = || self.progress().1;
            wait(A_MOMENT, || self.progress().0 > before || is_over());
            self.warming_since = (!is_over()).then_some(next);
        }
        self.edge.clock().turn_to(time);
        // The edge has closed a connection that was idle for too long.
        if time.since(began) > Duration::from_secs(600) {
            self.client = self.edge.client();
        }
    }

    /// How many pages the latest run has finished, and whether it has ended.
    fn progress(&self) -> (u64, bool) {
        let runs = self.edge.call::<WarmRuns>(&[], &()).runs;
        runs.first().map_or((0, true), |run| {
            let finished = run.fetched + run.fresh + run.not_stored + run.failed;
            (finished, run.state.is_over())
        })
    }

    /// The time at which the plan comes due, if that is between now and `time`.
    fn plan_before(&self, time: Timestamp) -> Option<Timestamp> {
        let local = |time: Timestamp| zones::local(time, self.zone);
        let now = self.edge.clock().now();
        let day = local(time).date_naive();
        let hours = hours(self.plan.kind);
        let (hour, minute) = (hours.plan_minute / 60, hours.plan_minute % 60);
        let due = instant(&format!("{day}T{hour:02}:{minute:02}:00"), self.zone);
        let is_sunday = chrono::Datelike::weekday(&day) == chrono::Weekday::Sun;
        let rests = is_sunday && hours.rests_on_sundays;
        (now < due && due <= time && !rests).then_some(due)
    }

    fn visit(&mut self, record: &LogRecord) {
        let agent = record.user_agent().and_then(|agent| agent.to_str().ok());
        let request = get(record.target.to_string()).header("User-Agent", agent.unwrap_or("-"));
        let before = self.origin.answered();
        let answer = self.client.send(&request);
        let status = answer.cache_status();
        let hour = self
            .hours
            .entry(self.edge.clock().now().unix_secs().div_euclid(3_600))
            .or_default();
        if status.fwd.as_deref() != Some("bypass") {
            hour.looked_up += 1;
            hour.hits += u64::from(status.hit);
        }
        // A background revalidation belongs to this moment.
        if status.hit && status.ttl.is_some_and(|ttl| ttl <= 0) {
            wait(A_MOMENT, || self.origin.answered() > before);
        }
    }

    fn figures(&self, requests: u64, by_hour: &BTreeMap<i64, Hour>, first_secs: i64) -> Figures {
        let minutes = self.origin.by_minute().split_off(&(first_secs / 60));
        let local = |secs: i64| zones::local(Timestamp::from_unix_secs(secs), self.zone);
        let (mut open_days, mut quiet_days) = ([Hour::default(); 24], [Hour::default(); 24]);
        let mut add = |secs: i64, hour: &Hour| {
            let time = local(secs);
            let days = if self.plan.is_working_day(time.date_naive()) {
                &mut open_days
            } else {
                &mut quiet_days
            };
            days[time.hour() as usize].add(hour);
        };
        by_hour
            .range(first_secs / 3_600..)
            .for_each(|(hour, figures)| add(hour * 3_600, figures));
        minutes.iter().for_each(|(minute, count)| {
            add(
                minute * 60,
                &Hour {
                    to_origin: *count,
                    ..Hour::default()
                },
            )
        });
        let busiest = minutes
            .iter()
            .max_by_key(|(_, count)| **count)
            .map_or((0, 0), |(minute, count)| (*minute, *count));
        let opens = hours(self.plan.kind).opens;
        let is_rush = |minute: i64| {
            let time = local(minute * 60);
            time.hour() == opens && self.plan.is_working_day(time.date_naive())
        };
        let rush = minutes.iter().filter(|(minute, _)| is_rush(**minute));
        let runs = self.edge.call::<WarmRuns>(&[], &()).runs.into_iter();
        Figures {
            rush_minute: rush.map(|(_, count)| *count).max().unwrap_or(0),
            kind: self.plan.kind,
            way: self.way,
            open_days,
            quiet_days,
            requests,
            to_origin: minutes.values().sum(),
            busiest_minute: (
                busiest.1,
                local(busiest.0 * 60).format("%a %H:%M").to_string(),
            ),
            runs: runs.rev().map(|run| (run.started, run.fetched)).collect(),
        }
    }
}

/// Waits until a condition is met, at most for `most` of real time.
#[allow(clippy::disallowed_methods)] // Real time for real threads.
fn wait(most: Duration, mut met: impl FnMut() -> bool) {
    let until = Instant::now() + most;
    while !met() && Instant::now() < until {
        std::thread::yield_now();
    }
}
