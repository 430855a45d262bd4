//! Rules for the query.

use super::quoted;
use crate::contract::types;
use tero_semantics::decision::{QueryParameters, QueryRule};

/// The most query patterns in one rule, and the longest pattern in bytes.
const MAX_PATTERNS: usize = 128;
const MAX_PATTERN_BYTES: usize = 256;

pub(super) fn query_rule(raw: types::QueryRule) -> Result<QueryRule, String> {
    let parameters = match raw.parameters {
        types::QueryParameters::All => QueryParameters::All,
        types::QueryParameters::Ignore(names) => QueryParameters::Ignore(patterns(names)?),
        types::QueryParameters::Only(names) => QueryParameters::Only(patterns(names)?),
    };
    Ok(QueryRule {
        parameters,
        sort: raw.sort,
    })
}

fn patterns(patterns: Vec<String>) -> Result<Vec<String>, String> {
    if patterns.len() > MAX_PATTERNS {
        return Err(format!(
            "{} names of query parameters; at most {MAX_PATTERNS} are allowed",
            patterns.len()
        ));
    }
    match patterns
        .iter()
        .find(|pattern| pattern.is_empty() || pattern.len() > MAX_PATTERN_BYTES)
    {
        Some(pattern) => Err(format!(
            "{} is not the name of a query parameter (1 to {MAX_PATTERN_BYTES} bytes)",
            quoted(pattern)
        )),
        None => Ok(patterns),
    }
}
