//! What a simulation tells: figures as they are printed, drawn, and written as JSON.

use chrono::Datelike;
use chrono_tz::Tz;
use serde::Serialize;

use super::assumptions::{AssumptionNote, Assumptions};
use super::curve::CurvePoint;
use super::noise::{MIN_DAYS, NoiseInterval, interval};
use super::tally::{OriginLoad, Tally, TrafficCell, ratio, sum};
use super::{LogSummary, Simulation};
use tero_edge::request::rehearsal::{LONGEST_QUIET, PlanFigures};
use tero_edge::telemetry::Outcome;
use tero_time::zones;

const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// How many pages a plan fetches, none of which is used, before a forecast asks why.
const MANY_UNUSED_PAGES: u64 = 20;

/// The share of lines that can't be used above which a forecast is warned of.
const MANY_BAD_LINES: f64 = 0.01;

const DAY_SECS: u64 = 86_400;

/// What one or several simulations of a log tell.
#[derive(Clone, Debug, Serialize)]
pub struct ForecastReport {
    /// The log.
    pub log: ForecastLog,
    /// The simulations, the one that others are compared with first.
    pub scenarios: Vec<ScenarioReport>,
    /// Where the others differ from the first.
    pub differences: Vec<super::compare::ScenarioDifference>,
    /// Hit rate over memory, if it was wanted.
    pub curve: Vec<CurvePoint>,
    /// What the log doesn't tell.
    pub assumptions: Vec<AssumptionNote>,
    /// Why the forecast may be wrong.
    pub warnings: Vec<String>,
}

/// A log.
#[derive(Clone, Debug, Serialize)]
pub struct ForecastLog {
    /// Requests that were rehearsed.
    pub requests: u64,
    /// The time of the first one, in RFC 3339 with the local time of the site.
    pub first: String,
    /// The time of the last one.
    pub last: String,
    /// Local days with requests.
    pub days: usize,
    /// Requests that can't be sent.
    pub unsendable: u64,
    /// Lines that can't be used.
    pub bad_lines: Vec<NamedCount>,
    /// The first of them.
    pub first_bad_lines: Vec<String>,
    /// Requests that the edge did not let in.
    pub refused: Vec<NamedCount>,
}

/// Something that was counted.
#[derive(Clone, Debug, Serialize)]
pub struct NamedCount {
    /// What.
    pub what: String,
    /// How often.
    pub count: u64,
}

/// Figures of some requests.
#[derive(Clone, Debug, Serialize)]
pub struct RequestFigures {
    /// Which.
    pub name: String,
    /// Requests of visitors.
    pub requests: u64,
    /// Bytes that they were sent.
    pub bytes: u64,
    /// Hits of all kinds over looked-up requests; `None` if there were none.
    pub hit_rate: Option<f64>,
    /// The same of bytes.
    pub byte_hit_rate: Option<f64>,
    /// The share of requests that did not wait for the origin.
    pub unwaited: Option<f64>,
    /// Requests to the origin.
    pub origin_requests: u64,
    /// Bytes of content that the origin sent.
    pub origin_bytes: u64,
    /// The range of the hit rate in which 95 of 100 drawings of days lie.
    pub hit_rate_interval: Option<NoiseInterval>,
    /// Requests by outcome.
    pub outcomes: Vec<NamedCount>,
}

/// One simulation.
#[derive(Clone, Debug, Serialize)]
pub struct ScenarioReport {
    /// Its name.
    pub name: String,
    /// Everything.
    pub total: RequestFigures,
    /// By local hour.
    pub hours: Vec<RequestFigures>,
    /// By day of the week.
    pub weekdays: Vec<RequestFigures>,
    /// By site.
    pub sites: Vec<RequestFigures>,
    /// By variant.
    pub variants: Vec<RequestFigures>,
    /// By what policies gave as a reason.
    pub reasons: Vec<RequestFigures>,
    /// The first hour after opening.
    pub opening: Option<RequestFigures>,
    /// Requests to the origin, by who asked.
    pub origin: OriginFigures,
    /// What warming plans gave and wasted.
    pub plans: Vec<PlanGain>,
    /// Keys evicted to make room.
    pub evictions: u64,
    /// Bytes in use at the end.
    pub memory_used: u64,
    /// Keys with a stored response at the end.
    pub entries: u64,
}

/// Requests to the origin.
#[derive(Clone, Debug, Serialize)]
pub struct OriginFigures {
    /// For visitors who wait.
    pub visitors: u64,
    /// In the background, for responses that are used stale.
    pub background: u64,
    /// Before responses expire.
    pub ahead: u64,
    /// By warming plans.
    pub plans: u64,
    /// Requests in the busiest minute.
    pub busiest_minute_requests: u64,
    /// That minute, in RFC 3339 with the local time of the site.
    pub busiest_minute: String,
    /// Requests a day, and the range in which 95 of 100 drawings of days lie.
    pub requests_a_day: f64,
    /// See `requests_a_day`.
    pub requests_a_day_interval: Option<NoiseInterval>,
}

/// What a warming plan gave and wasted.
#[derive(Clone, Debug, Serialize)]
pub struct PlanGain {
    /// Its name.
    pub plan: String,
    /// How often it ran.
    pub runs: u64,
    /// Responses that it fetched and that were stored.
    pub fetched: u64,
    /// Responses that visitors used.
    pub used: u64,
    /// Hits on them, in windows that have ended.
    pub hits_given: u64,
    /// Bytes that it fetched.
    pub bytes: u64,
    /// Bytes that no visitor used, in windows that have ended.
    pub wasted_bytes: u64,
    /// Fetches that failed, or whose answer was not stored.
    pub in_vain: u64,
}

/// Tells what simulations of one log found; `opening` is the local hour in which the site opens.
pub fn report(
    simulations: &[(String, Simulation)],
    assumptions: &Assumptions,
    opening: Option<u8>,
) -> ForecastReport {
    let first = simulations.first().map(|(_, first)| first);
    let curve = simulations.iter().find_map(|(_, one)| one.curve.as_ref());
    ForecastReport {
        log: first.map_or_else(
            || log_report(&LogSummary::default(), None),
            |first| log_report(&first.log, Some(&first.tally)),
        ),
        scenarios: simulations
            .iter()
            .map(|(name, one)| scenario(name, one, opening))
            .collect(),
        differences: super::compare::differences(simulations),
        curve: curve
            .map(super::curve::HitCurve::points)
            .unwrap_or_default(),
        assumptions: assumptions.notes(),
        warnings: first
            .map(|first| warnings(first, opening))
            .unwrap_or_default(),
    }
}

fn log_report(log: &LogSummary, tally: Option<&Tally>) -> ForecastLog {
    let counted = |(what, count): (String, u64)| NamedCount { what, count };
    let zone = tally.map_or(Tz::UTC, |tally| tally.zone);
    ForecastLog {
        requests: log.requests,
        first: zones::local(log.first, zone).to_rfc3339(),
        last: zones::local(log.last, zone).to_rfc3339(),
        days: tally.map_or(0, |tally| tally.days.len()),
        unsendable: log.unsendable,
        bad_lines: log
            .bad_lines
            .iter()
            .map(|(what, count)| counted(((*what).to_owned(), *count)))
            .collect(),
        first_bad_lines: log.told_lines.clone(),
        refused: tally
            .into_iter()
            .flat_map(|tally| tally.refused.clone())
            .map(counted)
            .collect(),
    }
}

/// Why a forecast may be wrong.
fn warnings(simulation: &Simulation, opening: Option<u8>) -> Vec<String> {
    let (log, tally) = (&simulation.log, &simulation.tally);
    let mut warnings = log.doubts.clone();
    let days = tally.days.len();
    if days < MIN_DAYS {
        warnings.push(format!(
            "the log has {days} local {}: with fewer than {MIN_DAYS}, how sure the figures are can't be told, nor how days of the week differ",
            if days == 1 { "day" } else { "days" }
        ));
    }
    let bad: u64 = log.bad_lines.values().sum();
    if ratio(bad, bad + log.requests).is_some_and(|share| share > MANY_BAD_LINES) {
        warnings.push(format!(
            "{bad} {} can't be used, more than 1 of 100: what they tell is missing",
            if bad == 1 { "line" } else { "lines" }
        ));
    }
    let refused: u64 = tally.refused.values().sum();
    if ratio(refused, log.requests).is_some_and(|share| share > MANY_BAD_LINES) {
        warnings.push(format!(
            "{refused} requests are not let in, more than 1 of 100: see which hosts the sites name"
        ));
    }
    if log.without_bytes > 0 {
        warnings.push(format!(
            "{} lines don't say how many bytes were sent: they count as none, and their content weighs in memory what is assumed of it",
            log.without_bytes
        ));
    }
    if log.own_answers > 0 {
        warnings.push(format!(
            "{} lines are of redirects, refusals and errors of the server that wrote the log: they say nothing of the origin, which is taken to answer as it did before, or with 200",
            log.own_answers
        ));
    }
    if log.without_host > 0 {
        warnings.push(format!(
            "{} lines don't say their host: the assumed one counts",
            log.without_host
        ));
    }
    if log.longest_quiet > LONGEST_QUIET {
        warnings.push(format!(
            "nothing was asked for {} days: only the first {} of them are rehearsed",
            log.longest_quiet.as_secs() / DAY_SECS,
            LONGEST_QUIET.as_secs() / DAY_SECS
        ));
    }
    let unused = simulation.plans.iter();
    for plan in unused.filter(|plan| plan.used == 0 && plan.fetched >= MANY_UNUSED_PAGES) {
        warnings.push(format!(
            "the plan {} fetches {} pages, and the log has no request for any of them: do its pages have the host of the log's requests?",
            plan.name, plan.fetched
        ));
    }
    if tally.forgotten_urls > 0 {
        warnings.push(format!(
            "there are more URLs than are remembered: {} lines were of further ones, whose length and status only these lines tell",
            tally.forgotten_urls
        ));
    }
    if opening.is_none() && days > 0 {
        warnings.push(
            "the opening is taken to be the hour in which requests rise most: --opening says otherwise"
                .to_owned(),
        );
    }
    warnings
}

fn scenario(name: &str, simulation: &Simulation, opening: Option<u8>) -> ScenarioReport {
    let tally = &simulation.tally;
    let total = tally.total();
    let by_hour = tally.by_hour();
    let days: Vec<TrafficCell> = tally.days.values().map(|hours| sum(hours.iter())).collect();
    let hour_days = |hour: usize| -> Vec<TrafficCell> {
        tally.days.values().map(|hours| hours[hour]).collect()
    };
    let opening = opening.map(usize::from).or_else(|| rise(&by_hour));
    let named = |cells: &std::collections::BTreeMap<std::sync::Arc<str>, TrafficCell>| {
        let mut all: Vec<RequestFigures> = cells
            .iter()
            .map(|(name, cell)| figures(name, cell, &[]))
            .collect();
        all.sort_by_key(|figures| std::cmp::Reverse(figures.requests));
        all
    };
    let weekdays = tally.by_weekday();
    let of_weekday = |day: usize| -> Vec<TrafficCell> {
        let dates = tally
            .days
            .iter()
            .filter(move |(date, _)| date.weekday().num_days_from_monday() as usize == day);
        dates.map(|(_, hours)| sum(hours.iter())).collect()
    };
    let busiest = zones::local(tally.busiest.at, tally.zone);
    let (a_day, a_day_interval) = a_day(&days);
    ScenarioReport {
        name: name.to_owned(),
        total: figures("all", &total, &days),
        hours: (0..24)
            .map(|hour| figures(&format!("{hour:02}:00"), &by_hour[hour], &hour_days(hour)))
            .collect(),
        weekdays: (0..7)
            .map(|day| figures(WEEKDAYS[day], &weekdays[day], &of_weekday(day)))
            .collect(),
        sites: named(&tally.sites),
        variants: named(&tally.variants),
        reasons: named(&tally.reasons),
        opening: opening
            .map(|hour| figures(&format!("{hour:02}:00"), &by_hour[hour], &hour_days(hour))),
        origin: OriginFigures {
            visitors: total.origin.visitors,
            background: total.origin.background,
            ahead: total.origin.ahead,
            plans: total.origin.plans,
            busiest_minute_requests: tally.busiest.requests,
            busiest_minute: busiest.to_rfc3339(),
            requests_a_day: a_day,
            requests_a_day_interval: a_day_interval,
        },
        plans: simulation.plans.iter().map(plan).collect(),
        evictions: simulation.usage.evictions,
        memory_used: simulation.usage.bytes,
        entries: simulation.usage.entries,
    }
}

fn plan(figures: &PlanFigures) -> PlanGain {
    PlanGain {
        plan: figures.name.clone(),
        runs: figures.runs,
        fetched: figures.fetched,
        used: figures.used,
        hits_given: figures.hits_given,
        bytes: figures.bytes,
        wasted_bytes: figures.wasted_bytes,
        in_vain: figures.failed + figures.not_stored,
    }
}

/// Figures of a cell, with intervals over the same of each day.
fn figures(name: &str, cell: &TrafficCell, days: &[TrafficCell]) -> RequestFigures {
    let OriginLoad { bytes, .. } = cell.origin;
    let outcomes = Outcome::ALL.iter().map(|outcome| NamedCount {
        what: outcome.as_str().to_owned(),
        count: cell.traffic.requests.count(*outcome),
    });
    RequestFigures {
        name: name.to_owned(),
        requests: cell.traffic.requests.total(),
        bytes: cell.traffic.bytes.total(),
        hit_rate: cell.traffic.requests.hit_rate(),
        byte_hit_rate: cell.traffic.bytes.hit_rate(),
        unwaited: cell.unwaited(),
        origin_requests: cell.origin.requests(),
        origin_bytes: bytes,
        hit_rate_interval: interval(days.len(), |choice| {
            sum(choice.iter().map(|day| &days[*day]))
                .traffic
                .requests
                .hit_rate()
        }),
        outcomes: outcomes.filter(|counted| counted.count > 0).collect(),
    }
}

/// Requests to the origin a day.
fn a_day(days: &[TrafficCell]) -> (f64, Option<NoiseInterval>) {
    let mean = |requests: u64, days: usize| requests as f64 / days.max(1) as f64;
    let all: u64 = days.iter().map(|day| day.origin.requests()).sum();
    let of = |choice: &[usize]| {
        let drawn: u64 = choice.iter().map(|day| days[*day].origin.requests()).sum();
        Some(mean(drawn, choice.len()))
    };
    (mean(all, days.len()), interval(days.len(), of))
}

/// The hour in which requests rise most over the hour before.
fn rise(hours: &[TrafficCell; 24]) -> Option<usize> {
    let requests = |hour: usize| hours[hour % 24].traffic.requests.total();
    let rises = (0..24).map(|hour| (requests(hour).saturating_sub(requests(hour + 23)), hour));
    rises.max().filter(|(by, _)| *by > 0).map(|(_, hour)| hour)
}
