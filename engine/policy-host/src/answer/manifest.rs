//! Manifests.

use std::sync::Arc;

use http::HeaderName;

use super::query::query_rule;
use super::quoted;
use crate::contract::types;
use crate::manifest::{Abilities, BucketRule, Hook, Manifest, NetworkPrefix, PathPatterns};
use tero_semantics::field_edits::{EditedMessage, untouchable};
use tero_semantics::path::PathPattern;

/// The most names in one list of a manifest.
const MAX_NAMES: usize = 32;
/// The most tables, and the most parts of the key.
const MAX_TABLES: usize = 16;
const MAX_KEY_PARTS: usize = 8;
/// The most path patterns.
const MAX_PATH_PATTERNS: usize = 256;
/// The longest name of a cookie, in bytes.
const MAX_COOKIE_NAME_BYTES: usize = 128;
/// The longest name of a variant or of a part of the key, in bytes.
const MAX_VARIANT_BYTES: usize = 32;
/// The longest name of an origin, in bytes: a host and a port.
const MAX_ORIGIN_BYTES: usize = 261;
/// The longest name of an experiment, in bytes.
const MAX_EXPERIMENT_BYTES: usize = 64;
/// How many buckets there may be.
const BUCKETS: std::ops::RangeInclusive<u16> = 2..=10_000;

/// Checks a manifest.
///
/// # Errors
/// The rule that it breaks.
pub(crate) fn manifest(raw: &types::Manifest) -> Result<Manifest, String> {
    for (what, names, most) in [
        ("request fields", &raw.headers, MAX_NAMES),
        ("cookies", &raw.cookies, MAX_NAMES),
        ("response fields", &raw.response_headers, MAX_NAMES),
        ("variants", &raw.variants, MAX_NAMES),
        ("tables", &raw.tables, MAX_TABLES),
        ("parts of the key", &raw.key_parts, MAX_KEY_PARTS),
        ("origins", &raw.origins, MAX_NAMES),
        ("rate classes", &raw.rate_classes, MAX_NAMES),
        ("`request-edits`", &raw.request_edits, MAX_NAMES),
        ("`response-edits`", &raw.response_edits, MAX_NAMES),
        ("`stored-edits`", &raw.stored_edits, MAX_NAMES),
    ] {
        if names.len() > most {
            return Err(format!(
                "{} {what}; at most {most} are allowed",
                names.len()
            ));
        }
    }
    if raw.query_rules.len() > MAX_NAMES {
        return Err(format!(
            "{} rules for the query; at most {MAX_NAMES} are allowed",
            raw.query_rules.len()
        ));
    }
    let asked = raw.hooks.iter().map(hook).collect::<Vec<_>>();
    Ok(Manifest {
        hooks: Hook::ALL
            .into_iter()
            .filter(|hook| asked.contains(hook))
            .collect(),
        headers: distinct(&raw.headers, field)?,
        cookies: distinct(&raw.cookies, cookie)?,
        response_headers: distinct(&raw.response_headers, field)?,
        query: raw.query,
        device: raw.device,
        device_source: raw.device_source,
        zone: raw.zone.as_deref().map(zone).transpose()?,
        network: raw.network.map(network).transpose()?,
        country: raw.country,
        region: raw.region,
        bucket: raw.bucket.as_ref().map(bucket).transpose()?,
        route: raw.route,
        tables: distinct(&raw.tables, |name| configured(name, "a table"))?,
        variants: once(&raw.variants, "a variant", variant)?,
        query_rules: raw
            .query_rules
            .iter()
            .cloned()
            .map(query_rule)
            .collect::<Result<_, _>>()?,
        key_parts: once(&raw.key_parts, "a part of the key", variant)?,
        origins: distinct(&raw.origins, origin)?,
        rate_classes: distinct(&raw.rate_classes, |name| configured(name, "a rate class"))?,
        request_edits: distinct(&raw.request_edits, |name| {
            editable(name, EditedMessage::Request)
        })?,
        response_edits: distinct(&raw.response_edits, |name| {
            editable(name, EditedMessage::Response)
        })?,
        stored_edits: distinct(&raw.stored_edits, |name| {
            editable(name, EditedMessage::Response)
        })?,
        abilities: abilities(raw.abilities),
        path_patterns: raw.path_patterns.as_ref().map(path_patterns).transpose()?,
    })
}

/// Checks the names, and keeps each once, in the order of the manifest.
fn distinct<T: PartialEq>(
    names: &[String],
    check: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    names
        .iter()
        .try_fold(Vec::with_capacity(names.len()), |mut checked, name| {
            let name = check(name)?;
            if !checked.contains(&name) {
                checked.push(name);
            }
            Ok(checked)
        })
}

/// Checks names of which each may occur once.
fn once<T: PartialEq>(
    names: &[String],
    what: &str,
    check: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let checked = distinct(names, check)?;
    if checked.len() < names.len() {
        return Err(format!("{what} is declared twice"));
    }
    Ok(checked)
}

fn hook(raw: &types::Hook) -> Hook {
    match raw {
        types::Hook::OnRequest => Hook::OnRequest,
        types::Hook::OnResponse => Hook::OnResponse,
        types::Hook::PlanWarm => Hook::PlanWarm,
    }
}

fn field(name: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("{} is not a field name", quoted(name)))
}

/// A field that policies may set and remove.
fn editable(name: &str, of: EditedMessage) -> Result<HeaderName, String> {
    let name = field(name)?;
    match untouchable(&name, of) {
        Some(why) => Err(format!(
            "the field `{name}` can't be set or removed: {}",
            why.reason()
        )),
        None => Ok(name),
    }
}

fn cookie(name: &str) -> Result<Box<str>, String> {
    // A cookie's name is a token, like the name of a field (RFC 6265 §4.1.1).
    if name.len() > MAX_COOKIE_NAME_BYTES || HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(format!("{} is not the name of a cookie", quoted(name)));
    }
    Ok(name.into())
}

fn zone(name: &str) -> Result<chrono_tz::Tz, String> {
    tero_config::forms::zone(name)
        .map_err(|mistake| format!("{} is not a time zone ({})", quoted(name), mistake.cure))
}

fn network(raw: types::NetworkPrefix) -> Result<NetworkPrefix, String> {
    let types::NetworkPrefix { ipv4, ipv6 } = raw;
    if ipv4 > 32 || ipv6 > 128 {
        return Err(format!(
            "a network of {ipv4} and {ipv6} bits; at most 32 of IPv4 and 128 of IPv6 are allowed"
        ));
    }
    Ok(NetworkPrefix { ipv4, ipv6 })
}

fn bucket(raw: &types::BucketRule) -> Result<BucketRule, String> {
    let experiment = raw.experiment.as_str();
    if !(1..=MAX_EXPERIMENT_BYTES).contains(&experiment.len())
        || !experiment.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(format!(
            "{} is not the name of an experiment (1 to {MAX_EXPERIMENT_BYTES} bytes of visible ASCII)",
            quoted(experiment)
        ));
    }
    if !BUCKETS.contains(&raw.buckets) {
        return Err(format!(
            "{} buckets; {} to {} are allowed",
            raw.buckets,
            BUCKETS.start(),
            BUCKETS.end()
        ));
    }
    let exact = |name: &str| match name.ends_with('*') {
        true => Err(format!("{} names more than one cookie", quoted(name))),
        false => cookie(name),
    };
    Ok(BucketRule {
        experiment: experiment.into(),
        buckets: raw.buckets,
        cookie: raw.cookie.as_deref().map(exact).transpose()?,
        network: network(raw.network)?,
    })
}

fn path_patterns(raw: &types::PathPatterns) -> Result<PathPatterns, String> {
    if raw.patterns.len() > MAX_PATH_PATTERNS {
        return Err(format!(
            "{} path patterns; at most {MAX_PATH_PATTERNS} are allowed",
            raw.patterns.len()
        ));
    }
    let pattern = |text: &str| {
        let parsed = text.parse::<PathPattern>();
        parsed.map_err(|why| format!("{} is not a path pattern ({why})", quoted(text)))
    };
    Ok(PathPatterns {
        patterns: distinct(&raw.patterns, pattern)?,
        each_response: raw.each_response,
    })
}

/// The name of an origin: the written one, or its host and port.
fn origin(name: &str) -> Result<Arc<str>, String> {
    if !(1..=MAX_ORIGIN_BYTES).contains(&name.len())
        || !name.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(format!(
            "{} is not the name of an origin (1 to {MAX_ORIGIN_BYTES} bytes of visible ASCII)",
            quoted(name)
        ));
    }
    Ok(name.into())
}

/// A name as the configuration has it.
fn configured(name: &str, what: &str) -> Result<Arc<str>, String> {
    tero_config::forms::name(name)
        .map(Arc::from)
        .map_err(|mistake| {
            format!(
                "{} is not the name of {what} ({})",
                quoted(name),
                mistake.cure
            )
        })
}

fn variant(name: &str) -> Result<Arc<str>, String> {
    if name.is_empty() || name.len() > MAX_VARIANT_BYTES || !name.bytes().all(is_of_variant) {
        return Err(format!(
            "{} is not the name of a variant or of a part of the key (1 to {MAX_VARIANT_BYTES} of a-z, 0-9, - and _)",
            quoted(name)
        ));
    }
    Ok(name.into())
}

fn is_of_variant(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_')
}

fn abilities(raw: types::Abilities) -> Abilities {
    use types::Abilities as Raw;
    Abilities {
        rewrite: raw.contains(Raw::REWRITE),
        answer: raw.contains(Raw::ANSWER),
        log_tag: raw.contains(Raw::LOG_TAG),
        admission: raw.contains(Raw::ADMISSION),
        error_ttl: raw.contains(Raw::ERROR_TTL),
        expiry: raw.contains(Raw::EXPIRY),
    }
}
