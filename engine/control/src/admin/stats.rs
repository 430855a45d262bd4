//! `GET /stats`: hit rates by site, variant and local hour.

use serde_json::{Map, Value, json};

use super::AdminContext;
use super::reply::AdminResponse;
use tero_edge::request::site::Site;
use tero_edge::telemetry::Outcome;
use tero_edge::telemetry::counters::{HOURS, Outcomes};

/// Everything that was counted since the start.
pub(super) fn stats(state: &AdminContext) -> AdminResponse {
    let usage = state.edge.store.usage();
    let decisions = state.host.decisions();
    let sites: Vec<Value> = state
        .edge
        .sites
        .load()
        .iter()
        .map(|site| site_stats(site))
        .collect();
    AdminResponse::json(&json!({
        "sites": sites,
        "cache": { "entries": usage.entries, "bytes": usage.bytes, "fill_bytes": usage.fill_bytes, "evictions": usage.evictions },
        "decision_cache": {
            "hits": decisions.hits,
            "misses": decisions.misses,
            "hit_rate": rate(decisions.hits, decisions.hits + decisions.misses),
            "entries": decisions.entries,
            "bytes": decisions.bytes,
        },
    }))
}

fn site_stats(site: &Site) -> Value {
    let counters = &site.counters;
    let variants: Vec<Value> = (0..counters.variants().len())
        .map(|variant| {
            let name = &*counters.variants()[variant];
            let mut entry = figures(&counters.outcomes_of_variant(variant));
            entry.insert(
                "variant".to_owned(),
                if name.is_empty() {
                    Value::Null
                } else {
                    name.into()
                },
            );
            entry.insert(
                "hours".to_owned(),
                hours(|hour| counters.outcomes(variant, hour)),
            );
            Value::Object(entry)
        })
        .collect();
    let mut entry = figures(&counters.outcomes_in_all());
    entry.insert("site".to_owned(), (&*site.settings.name).into());
    entry.insert("zone".to_owned(), counters.zone().name().into());
    entry.insert(
        "response_bytes".to_owned(),
        counters.response_bytes().into(),
    );
    entry.insert(
        "origin_requests".to_owned(),
        counters
            .origin_requests()
            .into_iter()
            .map(|(status, count)| (status.to_owned(), count.into()))
            .collect::<Map<_, _>>()
            .into(),
    );
    entry.insert("variants".to_owned(), variants.into());
    entry.insert(
        "hours".to_owned(),
        hours(|hour| counters.outcomes_of_hour(hour)),
    );
    Value::Object(entry)
}

/// The hours of the local day in which there were requests.
fn hours(outcomes: impl Fn(usize) -> Outcomes) -> Value {
    let hours = (0..HOURS)
        .map(|hour| (hour, outcomes(hour)))
        .filter(|(_, outcomes)| outcomes.total() > 0);
    hours
        .map(|(hour, outcomes)| {
            let mut entry = figures(&outcomes);
            entry.insert("hour".to_owned(), hour.into());
            Value::Object(entry)
        })
        .collect()
}

fn figures(outcomes: &Outcomes) -> Map<String, Value> {
    let by_outcome: Map<String, Value> = Outcome::ALL
        .into_iter()
        .map(|outcome| (outcome.as_str().to_owned(), outcomes.count(outcome).into()))
        .collect();
    let mut entry = Map::new();
    entry.insert("requests".to_owned(), outcomes.total().into());
    entry.insert(
        "hit_rate".to_owned(),
        outcomes.hit_rate().map_or(Value::Null, rounded),
    );
    entry.insert("outcomes".to_owned(), by_outcome.into());
    entry
}

fn rate(part: u64, whole: u64) -> Value {
    #[allow(clippy::cast_precision_loss)] // A rate needs four digits.
    if whole == 0 {
        Value::Null
    } else {
        rounded(part as f64 / whole as f64)
    }
}

/// To four digits: more is noise.
fn rounded(rate: f64) -> Value {
    ((rate * 10_000.0).round() / 10_000.0).into()
}
