//! The values of decisions in words, for reports and explanations.

use tero_semantics::decision::{
    Expiry, KeyPart, LookupDecision, OriginEdits, PolicyAnswer, QueryParameters, QueryRule,
    StoringDecision,
};
use tero_semantics::field_edits::FieldEdits;

/// The word of the contract.
pub fn storing(storing: StoringDecision) -> &'static str {
    match storing {
        StoringDecision::ByHeaders => "by-headers",
        StoringDecision::Never => "never",
        StoringDecision::Always => "always",
    }
}

/// The word of the contract.
pub fn lookup(lookup: LookupDecision) -> String {
    match lookup {
        LookupDecision::Cache => "cache",
        LookupDecision::Pass => "pass",
    }
    .to_owned()
}

/// A rule for the query in words: `all`, or `ignore utm_*, fbclid; sorted`.
pub fn query(rule: &QueryRule) -> String {
    let parameters = match &rule.parameters {
        QueryParameters::All => "all".to_owned(),
        QueryParameters::Ignore(names) => format!("ignore {}", names.join(", ")),
        QueryParameters::Only(names) if names.is_empty() => "none".to_owned(),
        QueryParameters::Only(names) => format!("only {}", names.join(", ")),
    };
    if rule.sort {
        format!("{parameters}; sorted")
    } else {
        parameters
    }
}

/// Parts of the key in words: `market=ar, plan=gold`.
pub fn key_parts(parts: &[KeyPart]) -> String {
    let parts = parts
        .iter()
        .map(|part| format!("{}={}", part.name, part.value));
    listed(parts.collect())
}

/// The path and the query that the origin is asked for, in words: `/a?b=1`, or `path /a`, or
/// `query b=1` if only one of them is given.
pub fn rewrite(origin: &OriginEdits) -> String {
    match (origin.path.as_deref(), origin.query.as_deref()) {
        (None, None) => "-".to_owned(),
        (Some(path), None) => format!("path {path}"),
        (None, Some(query)) => format!("query {query}"),
        (Some(path), Some("")) => path.to_owned(),
        (Some(path), Some(query)) => format!("{path}?{query}"),
    }
}

/// Changes of fields in words: `set x-a: 1; remove x-b`.
pub fn edits(edits: &FieldEdits) -> String {
    let set = edits.set.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        format!("set {name}: {value}")
    });
    let removed = edits.remove.iter().map(|name| format!("remove {name}"));
    let parts: Vec<_> = set.chain(removed).collect();
    if parts.is_empty() {
        return "-".to_owned();
    }
    parts.join("; ")
}

/// A policy's own answer in words: `301, location: /new, 0 bytes`.
pub fn answer(answer: &PolicyAnswer) -> String {
    let mut parts = vec![answer.status.as_u16().to_string()];
    let fields = answer.fields.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        format!("{name}: {value}")
    });
    parts.extend(fields);
    parts.push(format!("{} bytes", answer.body.len()));
    parts.join(", ")
}

/// When a stored response ends, in words: `purge at 1700000000`.
pub fn expiry(expiry: Option<Expiry>) -> String {
    match expiry {
        None => "-".to_owned(),
        Some(Expiry::PurgeAt(at)) => format!("purge at {}", at.unix_secs()),
        Some(Expiry::StaleAt(at)) => format!("stale at {}", at.unix_secs()),
    }
}

/// Whether a response is worth a place in the store, in words.
pub fn admit(admit: Option<bool>) -> String {
    match admit {
        None => "-",
        Some(true) => "yes",
        Some(false) => "no",
    }
    .to_owned()
}

fn listed(parts: Vec<String>) -> String {
    match parts.is_empty() {
        true => "-".to_owned(),
        false => parts.join(", "),
    }
}
