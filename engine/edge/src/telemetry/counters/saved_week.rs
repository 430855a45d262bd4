//! The saved figures of a week, so that a restart doesn't forget the last Monday at nine.
//!
//! Anything may have happened to a saved file: impossible hours are left out when it is restored, and
//! memory stays bounded. What a later version has saved beside is passed over: it may be rolled back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::histogram::{BUCKETS, HistogramSnapshot};
use super::outcomes::{Outcomes, Traffic};
use super::week::{HourFigures, HourOfWeek, VariantTraffic};
use crate::telemetry::Outcome;

/// The longest name of a variant, in bytes, when variants of several policies join.
const MAX_VARIANT_BYTES: usize = 1_024;

/// More variants than a site has.
const MAX_VARIANTS: usize = 4_096;

/// More requests, or bytes, than a site has had in a week.
const MAX_COUNT: u64 = 1 << 60;

/// The figures of a site by local hour, as they are saved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedWeek {
    /// The name of the site's zone. Hours of another zone are not restored.
    pub zone: String,
    /// The hours with traffic.
    pub hours: Vec<SavedHour>,
}

/// The figures of an hour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedHour {
    /// The local day, as 2026-11-24.
    pub date: Box<str>,
    /// The local hour, 0 to 23.
    pub hour: u8,
    /// Times from the heads of requests to the heads of their responses: how many are in each class.
    pub head_classes: Vec<u64>,
    /// The sum of these times, in seconds.
    pub head_seconds: f64,
    /// Responses with 5xx. An earlier version doesn't save them.
    #[serde(default)]
    pub errors: u64,
    /// Requests and bytes by variant.
    pub variants: Vec<SavedVariant>,
}

/// What a variant had in an hour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedVariant {
    /// Its name; empty for no variant.
    pub variant: Box<str>,
    /// Requests by the name of their outcome.
    pub requests: BTreeMap<String, u64>,
    /// Bytes of content by the name of the outcome.
    pub bytes: BTreeMap<String, u64>,
}

impl SavedWeek {
    /// Gives up the split by variant.
    pub fn sum_variants(&mut self) {
        for hour in &mut self.hours {
            hour.sum_variants();
        }
    }

    /// Gives up all hours but so many, the latest.
    pub fn keep_latest(&mut self, hours: usize) {
        let first = self.hours.len().saturating_sub(hours);
        self.hours.drain(..first);
    }
}

impl SavedHour {
    fn sum_variants(&mut self) {
        let mut sum = SavedVariant {
            variant: "".into(),
            requests: BTreeMap::new(),
            bytes: BTreeMap::new(),
        };
        for variant in std::mem::take(&mut self.variants) {
            for (name, count) in variant.requests {
                *sum.requests.entry(name).or_default() += count;
            }
            for (name, count) in variant.bytes {
                *sum.bytes.entry(name).or_default() += count;
            }
        }
        self.variants.push(sum);
    }

    pub(super) fn of(figures: &HourFigures) -> SavedHour {
        let variant = |variant: &VariantTraffic| SavedVariant {
            variant: Box::from(&*variant.variant),
            requests: by_name(&variant.traffic.requests),
            bytes: by_name(&variant.traffic.bytes),
        };
        SavedHour {
            date: figures.hour.date.to_string().into(),
            hour: figures.hour.hour,
            head_classes: figures.head_seconds.buckets.to_vec(),
            head_seconds: figures.head_seconds.sum_secs,
            errors: figures.errors,
            variants: figures.variants.iter().map(variant).collect(),
        }
    }

    /// The figures, unless they are impossible.
    pub(super) fn figures(&self) -> Option<HourFigures> {
        let buckets: [u64; BUCKETS.len() + 1] = self.head_classes.clone().try_into().ok()?;
        let mut counts = buckets.iter().chain([&self.errors]);
        let counts_are_possible = counts.all(|count| *count <= MAX_COUNT);
        let is_time = self.head_seconds.is_finite() && self.head_seconds >= 0.0;
        let is_possible = self.hour < 24 && counts_are_possible && is_time;
        if !is_possible || self.variants.len() > MAX_VARIANTS {
            return None;
        }
        let variants = self.variants.iter().map(SavedVariant::traffic);
        Some(HourFigures {
            hour: HourOfWeek {
                date: self.date.parse().ok()?,
                hour: self.hour,
            },
            variants: variants.collect::<Option<_>>()?,
            head_seconds: HistogramSnapshot {
                buckets,
                sum_secs: self.head_seconds,
            },
            errors: self.errors,
        })
    }
}

impl SavedVariant {
    fn traffic(&self) -> Option<VariantTraffic> {
        (self.variant.len() <= MAX_VARIANT_BYTES).then_some(())?;
        Some(VariantTraffic {
            variant: (*self.variant).into(),
            traffic: Traffic {
                requests: outcomes(&self.requests)?,
                bytes: outcomes(&self.bytes)?,
            },
        })
    }
}

fn by_name(outcomes: &Outcomes) -> BTreeMap<String, u64> {
    let counted =
        Outcome::ALL.map(|outcome| (outcome.as_str().to_owned(), outcomes.count(outcome)));
    counted
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// Counts of outcomes with these names. An unknown name or an impossible number makes them impossible.
fn outcomes(by_name: &BTreeMap<String, u64>) -> Option<Outcomes> {
    let mut counts = Outcomes::default();
    for (name, count) in by_name {
        let mut all = Outcome::ALL.into_iter();
        let outcome = all.find(|outcome| outcome.as_str() == name)?;
        (*count <= MAX_COUNT).then_some(())?;
        counts.set(outcome, *count);
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_version_has_saved_beside_is_passed_over() {
        let hour = r#"{"date": "2026-11-24", "hour": 9, "head_classes": [], "head_seconds": 1.5,
            "later": 1, "variants": [{"variant": "", "requests": {"hit": 2}, "bytes": {}, "later": []}]}"#;
        let saved = format!(r#"{{"zone": "UTC", "hours": [{hour}], "later": {{}}}}"#);
        let week: SavedWeek = serde_json::from_str(&saved).unwrap();
        assert_eq!(week.hours[0].variants[0].requests["hit"], 2);
    }
}
