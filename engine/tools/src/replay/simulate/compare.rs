//! Simulations of one log side by side: where they differ, and which differences are more than noise.

use std::collections::{BTreeSet, HashMap};

use chrono::NaiveDate;
use serde::Serialize;

use super::Simulation;
use super::noise::{NoiseInterval, interval};
use super::tally::{Tally, TrafficCell, UrlFigures, sum};

/// URLs that are told of each comparison.
const TOLD_URLS: usize = 20;

/// How a simulation differs from the first one.
#[derive(Clone, Debug, Serialize)]
pub struct ScenarioDifference {
    /// The name of the other simulation.
    pub name: String,
    /// By how much its hit rate is higher.
    pub hit_rate: NoisyDifference,
    /// By how much its hit rate of bytes is higher.
    pub byte_hit_rate: NoisyDifference,
    /// By how much the share of requests is higher that do not wait for the origin.
    pub unwaited: NoisyDifference,
    /// How many more requests the origin gets, as a share of those in the first.
    pub origin_requests: NoisyDifference,
    /// The same of bytes.
    pub origin_bytes: NoisyDifference,
    /// By how much its hit rate is higher, by local hour.
    pub hours: Vec<NoisyDifference>,
    /// The URLs that differ most.
    pub urls: Vec<UrlDifference>,
}

/// A difference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NoisyDifference {
    /// Its size; `None` where one side has no value.
    pub by: Option<f64>,
    /// The range in which 95 of 100 drawings of days lie.
    pub interval: Option<NoiseInterval>,
    /// Whether it is more than noise; `None` where that can't be told.
    pub is_certain: Option<bool>,
}

/// A URL that two simulations treat in another way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UrlDifference {
    /// The URL.
    pub url: String,
    /// Requests.
    pub requests: u64,
    /// Requests that waited for the origin, in the first and in the other.
    pub waited: [u64; 2],
    /// Requests to the origin.
    pub origin: [u64; 2],
    /// What policies gave as a reason last, or why it was not stored.
    pub reasons: [String; 2],
}

/// The differences of all others from the first.
pub(super) fn differences(simulations: &[(String, Simulation)]) -> Vec<ScenarioDifference> {
    let Some(((_, first), others)) = simulations.split_first() else {
        return Vec::new();
    };
    others
        .iter()
        .map(|(name, other)| difference(name, &first.tally, &other.tally))
        .collect()
}

/// Cells of the same day in both.
struct DayPair {
    first: [TrafficCell; 24],
    other: [TrafficCell; 24],
}

fn difference(name: &str, first: &Tally, other: &Tally) -> ScenarioDifference {
    let dates: BTreeSet<NaiveDate> = first
        .days
        .keys()
        .chain(other.days.keys())
        .copied()
        .collect();
    let day = |tally: &Tally, date: &NaiveDate| match tally.days.get(date) {
        Some(hours) => **hours,
        None => [TrafficCell::default(); 24],
    };
    let days: Vec<DayPair> = dates
        .iter()
        .map(|date| DayPair {
            first: day(first, date),
            other: day(other, date),
        })
        .collect();
    let whole = |figure: fn(&TrafficCell) -> Option<f64>, is_share: bool| {
        let pairs = days
            .iter()
            .map(|day| (sum(day.first.iter()), sum(day.other.iter())));
        of_pairs(&pairs.collect::<Vec<_>>(), figure, is_share)
    };
    let hours = (0..24).map(|hour| {
        let pairs = days.iter().map(|day| (day.first[hour], day.other[hour]));
        of_pairs(&pairs.collect::<Vec<_>>(), hit_rate, false)
    });
    ScenarioDifference {
        name: name.to_owned(),
        hit_rate: whole(hit_rate, false),
        byte_hit_rate: whole(|cell| cell.traffic.bytes.hit_rate(), false),
        unwaited: whole(TrafficCell::unwaited, false),
        origin_requests: whole(|cell| Some(cell.origin.requests() as f64), true),
        origin_bytes: whole(|cell| Some(cell.origin.bytes as f64), true),
        hours: hours.collect(),
        urls: match (&first.urls, &other.urls) {
            (Some(first), Some(other)) => urls(first, other),
            _ => Vec::new(),
        },
    }
}

fn hit_rate(cell: &TrafficCell) -> Option<f64> {
    cell.traffic.requests.hit_rate()
}

/// The difference of a figure, drawn by pairs of the same day: what both have in common is no noise.
fn of_pairs(
    pairs: &[(TrafficCell, TrafficCell)],
    figure: fn(&TrafficCell) -> Option<f64>,
    is_share: bool,
) -> NoisyDifference {
    let of = |choice: &mut dyn Iterator<Item = usize>| {
        let (mut first, mut other) = (TrafficCell::default(), TrafficCell::default());
        for day in choice {
            first.add(&pairs[day].0);
            other.add(&pairs[day].1);
        }
        let (first, other) = (figure(&first)?, figure(&other)?);
        match is_share {
            false => Some(other - first),
            true if first > 0.0 => Some(other / first - 1.0),
            true => None,
        }
    };
    let interval = interval(pairs.len(), |choice| of(&mut choice.iter().copied()));
    let by = of(&mut (0..pairs.len()));
    let is_same = pairs
        .iter()
        .all(|(first, other)| figure(first) == figure(other));
    NoisyDifference {
        by,
        interval,
        is_certain: interval.map(|interval| !is_same && interval.excludes_zero()),
    }
}

/// The URLs whose visitors wait most differently, or that cost the origin most differently.
fn urls(
    first: &HashMap<Box<str>, UrlFigures>,
    other: &HashMap<Box<str>, UrlFigures>,
) -> Vec<UrlDifference> {
    let nothing = UrlFigures::default();
    let all: BTreeSet<&str> = first.keys().chain(other.keys()).map(|url| &**url).collect();
    let mut differing: Vec<(u64, UrlDifference)> = all
        .into_iter()
        .filter_map(|url| {
            let a = first.get(url).unwrap_or(&nothing);
            let b = other.get(url).unwrap_or(&nothing);
            let by = a.waited.abs_diff(b.waited).max(a.origin.abs_diff(b.origin));
            let reason = |figures: &UrlFigures| figures.reason.as_deref().unwrap_or("-").to_owned();
            (by > 0).then(|| {
                let difference = UrlDifference {
                    url: url.to_owned(),
                    requests: a.requests.max(b.requests),
                    waited: [a.waited, b.waited],
                    origin: [a.origin, b.origin],
                    reasons: [reason(a), reason(b)],
                };
                (by, difference)
            })
        })
        .collect();
    differing.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.url.cmp(&b.1.url)));
    let told = differing.into_iter().take(TOLD_URLS);
    told.map(|(_, difference)| difference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_edge::telemetry::Outcome;

    fn cell(hits: u64, misses: u64) -> TrafficCell {
        let mut cell = TrafficCell::default();
        cell.traffic.count(Outcome::Hit, hits, hits);
        cell.traffic.count(Outcome::Miss, misses, misses);
        cell.origin.visitors = misses;
        cell
    }

    #[test]
    fn a_difference_that_days_share_is_certain_and_one_that_they_do_not_is_noise() {
        let pairs = |by: &[i64]| -> Vec<(TrafficCell, TrafficCell)> {
            let other = |by: &i64| cell(500_u64.checked_add_signed(*by).unwrap(), 500);
            by.iter().map(|by| (cell(500, 500), other(by))).collect()
        };
        let certain = of_pairs(&pairs(&[100; 7]), hit_rate, false);
        assert_eq!(certain.is_certain, Some(true));
        assert!(certain.by.unwrap() > 0.04);
        let noise = of_pairs(&pairs(&[100, -100, 90, -90, 5, -5, 0]), hit_rate, false);
        assert_eq!(noise.is_certain, Some(false));
        let same = of_pairs(&pairs(&[0; 7]), hit_rate, false);
        assert_eq!((same.by, same.is_certain), (Some(0.0), Some(false)));
        let few = of_pairs(&pairs(&[100; 2]), hit_rate, false);
        assert_eq!(few.is_certain, None);
    }

    #[test]
    fn urls_that_differ_most_come_first_with_both_reasons() {
        let url = |waited, reason: &str| UrlFigures {
            requests: 10,
            waited,
            origin: waited,
            reason: Some(reason.into()),
        };
        let first = HashMap::from([
            ("/a".into(), url(5, "open")),
            ("/b".into(), url(9, "open")),
            ("/c".into(), url(1, "open")),
        ]);
        let other = HashMap::from([
            ("/a".into(), url(4, "shut")),
            ("/b".into(), url(1, "shut")),
            ("/c".into(), url(1, "shut")),
        ]);
        let told = urls(&first, &other);
        let names: Vec<&str> = told.iter().map(|one| one.url.as_str()).collect();
        assert_eq!(names, ["/b", "/a"]);
        assert_eq!(told[0].reasons, ["open", "shut"]);
        assert_eq!(told[0].waited, [9, 1]);
    }
}
