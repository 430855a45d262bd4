//! Runs the week: sends each request at its time, and counts the results.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::Timelike;
use chrono_tz::Tz;
use tero_admin_api::endpoints::WarmRuns;
use tero_semantics::timestamp::Timestamp;
use tero_time::zones;

use super::Traffic;
use super::origin::BookingSite;
use super::visitors::{CLOSING_HOUR, OPENING_HOUR};
use crate::{ART, Client, Edge, compiled_cache, get, instant, toml_string};

/// How the site is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The response's own fields decide.
    WithoutPolicies,
    /// A static policy file decides.
    JsonPolicy,
    /// The shipped WebAssembly policies decide.
    Policies,
    /// The shipped policies, with a warming plan half an hour before opening.
    PoliciesAndWarming,
}

/// The counts of one local hour, summed over days.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hour {
    /// Requests of visitors that were looked up.
    pub looked_up: u64,
    /// Looked-up requests that were answered without waiting for the origin.
    pub hits: u64,
    /// Requests to the origin, including those of plans.
    pub to_origin: u64,
}

/// The results of a simulation.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// How the site was served.
    pub way: Way,
    /// By local hour, on open days.
    pub open_days: [Hour; 24],
    /// By local hour, on closed days.
    pub quiet_days: [Hour; 24],
    /// The number of requests of visitors.
    pub requests: u64,
    /// The number of requests to the origin.
    pub to_origin: u64,
    /// The most requests to the origin in a minute, and that minute's local time.
    pub busiest_minute: (u64, String),
    /// Runs of the plan: the local start, and the number of pages fetched.
    pub runs: Vec<(String, u64)>,
}

impl Hour {
    /// Hits over looked-up requests; 0 if there were none.
    pub fn hit_rate(&self) -> f64 {
        if self.looked_up == 0 {
            0.0
        } else {
            self.hits as f64 / self.looked_up as f64
        }
    }

    fn add(&mut self, other: &Hour) {
        self.looked_up += other.looked_up;
        self.hits += other.hits;
        self.to_origin += other.to_origin;
    }
}

impl Figures {
    /// The hit rate of the first hour after opening.
    pub fn first_hour(&self) -> f64 {
        self.open_days[OPENING_HOUR as usize].hit_rate()
    }

    /// The hit rate of the other opening hours.
    pub fn busy_hours(&self) -> f64 {
        let mut sum = Hour::default();
        self.open_days[OPENING_HOUR as usize + 1..CLOSING_HOUR as usize]
            .iter()
            .for_each(|hour| sum.add(hour));
        sum.hit_rate()
    }

    /// The hit rate over all hours.
    pub fn hit_rate(&self) -> f64 {
        let mut sum = Hour::default();
        self.open_days
            .iter()
            .chain(&self.quiet_days)
            .for_each(|hour| sum.add(hour));
        sum.hit_rate()
    }
}

impl Way {
    /// All ways, in the order of reports.
    pub const ALL: [Way; 4] = [
        Way::WithoutPolicies,
        Way::JsonPolicy,
        Way::Policies,
        Way::PoliciesAndWarming,
    ];

    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Way::WithoutPolicies => "without policies",
            Way::JsonPolicy => "JSON policy",
            Way::Policies => "Wasm policies",
            Way::PoliciesAndWarming => "Wasm policies and warming",
        }
    }

    /// The configuration of an edge in front of this origin.
    pub fn configuration(self, origin: &str) -> String {
        let (policies, names) = match self {
            Way::WithoutPolicies => (String::new(), ""),
            Way::JsonPolicy => (JSON_POLICY.to_owned(), "\"rules\""),
            Way::Policies | Way::PoliciesAndWarming => (
                WASM_POLICIES.to_owned(),
                "\"never\", \"hours\", \"devices\", \"popular\"",
            ),
        };
        let plan = if self == Way::PoliciesAndWarming {
            PLAN
        } else {
            ""
        };
        let compiled = toml_string(&compiled_cache().display().to_string());
        format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\nidle_timeout = \"1h\"\n\n[admin]\nlisten = \"127.0.0.1:0\"\n\n\
             [policies]\ncompiled_cache = {compiled}\n{policies}\n[[site]]\nname = \"site\"\nhosts = [\"www.example\"]\n\
             origins = [\"{origin}\"]\npolicies = [{names}]\nzone = \"{ART}\"\n{plan}"
        )
    }
}

/// The static policy file of `examples/barberpro`, without its plans.
const JSON_POLICY: &str = r#"
[[policy]]
name = "rules"
module = "builtin:json-rules"
calendar = "builtin:argentina"
limits = { deadline = "5s" }

[policy.settings]
version = 3
timezone = "America/Argentina/Buenos_Aires"
business_hours = { days = ["mon", "tue", "wed", "thu", "fri", "sat"], from = "09:00", to = "18:00", holidays = "closed" }
key = { ignore_query = ["utm_*", "fbclid"], sort_query = true }
variants.mobile = { devices = ["mobile"], paths = ["/", "/barberias/*", "/turnos/*"] }
rules = [
    { name = "payments", match = ["/checkout/*"], cache = "never" },
    { name = "availability", match = ["/api/v1/disponibilidad/*"], ttl = { business_hours = 15, otherwise = 120 }, stale_while_revalidate = 15 },
    { name = "shop-pages", match = ["/", "/barberias/*", "/turnos/*"], ttl = { business_hours = 120, otherwise = 1800 }, stale_while_revalidate = 300 },
    { name = "images", match = ["/img/*"], ttl = 86400, stale_while_revalidate = 3600 },
    { name = "assets", match = ["/assets/*"], ttl = 31536000 },
]
"#;

/// The shipped policies. Pages that don't change at opening time may stay fresh beyond it; free
/// appointments may not.
const WASM_POLICIES: &str = r#"
[[policy]]
name = "never"
module = "builtin:json-rules"
limits = { deadline = "5s" }

[policy.settings]
version = 3
key = { ignore_query = ["utm_*", "fbclid"], sort_query = true }
rules = [{ name = "payments", match = ["/checkout/*"], cache = "never" }]

[[policy]]
name = "hours"
module = "builtin:business-hours"
calendar = "builtin:argentina"
limits = { deadline = "5s" }

[policy.settings]
zone = "America/Argentina/Buenos_Aires"
days = ["mon-sat"]
open = "09:00"
close = "18:00"
rules = [
    { name = "availability", paths = ["/api/v1/disponibilidad/*"], inside = "15s", outside = "2min", stale_while_revalidate = "15s" },
    { name = "pages", paths = ["/", "/barberias/*", "/turnos/*"], inside = "10min", outside = "1h", clip = false, spread = 40, stale_while_revalidate = "10min" },
    { name = "images", paths = ["/img/*"], inside = "1d", outside = "1d", clip = false, spread = 10, stale_while_revalidate = "1h" },
    { name = "assets", paths = ["/assets/*"], inside = "365d", outside = "365d", clip = false },
]

[[policy]]
name = "devices"
module = "builtin:device-variants"
limits = { deadline = "5s" }
settings = { variants = [{ name = "mobile", devices = ["mobile"], paths = ["/", "/barberias/*", "/turnos/*"] }] }

[[policy]]
name = "popular"
module = "builtin:popular-pages"
limits = { deadline = "5s" }
settings = { top = 500, min_requests = 1, exclude = ["/api/*"] }
"#;

/// Warms the pages in the sitemap, and those that are popular in the hours of the window.
const PLAN: &str = r#"
[[warm]]
name = "apertura"
site = "site"
schedule = "30 8 * * MON-SAT"
sitemap = "/sitemap.xml"
variants = ["desktop", "mobile"]
window = "4h"
rate = 0.2
deadline = "30min"
"#;

/// The local time of the plan, in minutes from midnight.
const PLAN_MINUTE: u32 = 8 * 60 + 30;

/// The time between two fetches of the plan, as its rate says.
const PACE: Duration = Duration::from_secs(5);

/// How long, in real time, to wait for another thread.
const A_MOMENT: Duration = Duration::from_millis(200);

/// Serves the traffic in this way, and returns the results.
///
/// # Panics
/// If the edge does not start, or does not answer.
pub fn simulate(way: Way, traffic: &Traffic) -> Figures {
    let zone: Tz = ART.parse().expect("the zone exists");
    let first = instant(&format!("{}T00:00:00", traffic.first), zone);
    let clock = tero_time::clock::Clock::by_hand(first.saturating_sub(Duration::from_secs(86_400)));
    let origin = BookingSite::start(clock.clone(), way != Way::WithoutPolicies);
    let edge = Edge::on_clock(&way.configuration(&origin.url()), clock, zone);
    let mut week = Week {
        way,
        zone,
        edge: &edge,
        origin: &origin,
        client: edge.client(),
        warming_since: None,
        hours: BTreeMap::new(),
    };
    let visits = traffic.visits(zone);
    for visit in &visits {
        week.turn_to(visit.at);
        let request = get(visit.target.clone()).header("User-Agent", visit.user_agent);
        week.visit(&request);
    }
    let by_hour = std::mem::take(&mut week.hours);
    let requests = visits.iter().filter(|visit| visit.at >= first).count();
    week.figures(traffic, requests as u64, &by_hour, first.unix_secs())
}

struct Week<'w> {
    way: Way,
    zone: Tz,
    edge: &'w Edge,
    origin: &'w BookingSite,
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
        let due = instant(
            &format!("{day}T{:02}:{:02}:00", PLAN_MINUTE / 60, PLAN_MINUTE % 60),
            self.zone,
        );
        let is_sunday = chrono::Datelike::weekday(&day) == chrono::Weekday::Sun;
        (now < due && due <= time && !is_sunday).then_some(due)
    }

    fn visit(&mut self, request: &crate::Request) {
        let before = self.origin.answered();
        let answer = self.client.send(request);
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

    fn figures(
        &self,
        traffic: &Traffic,
        requests: u64,
        by_hour: &BTreeMap<i64, Hour>,
        first_secs: i64,
    ) -> Figures {
        let minutes = self.origin.by_minute().split_off(&(first_secs / 60));
        let local = |secs: i64| zones::local(Timestamp::from_unix_secs(secs), self.zone);
        let (mut open_days, mut quiet_days) = ([Hour::default(); 24], [Hour::default(); 24]);
        let mut add = |secs: i64, hour: &Hour| {
            let time = local(secs);
            let days = if traffic.opens(time.date_naive()) {
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
        let runs = self.edge.call::<WarmRuns>(&[], &()).runs.into_iter();
        Figures {
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
