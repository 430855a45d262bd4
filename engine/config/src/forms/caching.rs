//! The forms of what is cached: keys, lifetimes, queries, codings.

use std::time::Duration;

use super::form_result::FormResult;
use crate::mistakes::Mistake;
use crate::raw::{RawEntry, RawKind, RawValue};
use crate::reader::TableReader;
use crate::units;
use tero_semantics::cache_control::ResponseDirectives;
use tero_semantics::content_coding::ContentCoding;
use tero_semantics::cookies::CookiePattern;
use tero_semantics::decision::{QueryParameters, QueryRule};
use tero_semantics::default_ttl::{DefaultTtlKey, DefaultTtls, MAX_DEFAULT_TTLS};
use tero_semantics::media_type::MediaTypePattern;
use tero_semantics::path::PathPattern;

/// The names of query parameters that a rule may have.
const MAX_QUERY_NAMES: usize = 256;

/// The shortest default lifetime of a response.
const MIN_DEFAULT_TTL: Duration = Duration::from_secs(1);

/// The longest one: a year.
const MAX_DEFAULT_TTL: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A surrogate key: 1 to 128 bytes of visible ASCII.
pub fn tag(text: &str) -> FormResult<String> {
    if (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(
        format!("`{text}` is not a surrogate key"),
        "write 1 to 128 visible ASCII characters",
    ))
}

/// Names of cookies: a token (RFC 6265 §4.1.1) of 1 to 128 bytes, or the beginning of one followed
/// by `*`.
pub fn cookie(text: &str) -> FormResult<CookiePattern> {
    let name = text.strip_suffix('*').unwrap_or(text);
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte);
    if (1..=128).contains(&text.len()) && name.bytes().all(is_token) {
        return Ok(CookiePattern::new(text));
    }
    Err(Mistake::new(
        format!("`{text}` is not the name of a cookie"),
        "write its name alone, \"sessionid\", or its beginning, \"wordpress_logged_in_*\"",
    ))
}

/// A media type, or a kind of media types: `text/*`, `application/*+xml`.
pub fn media_type(text: &str) -> FormResult<MediaTypePattern> {
    MediaTypePattern::parse(text).ok_or_else(|| {
        Mistake::new(
            format!("`{text}` is not a media type"),
            "write type and subtype, \"application/json\", or a kind, \"text/*\"",
        )
    })
}

/// A pattern over paths.
pub fn path_pattern(text: &str) -> FormResult<PathPattern> {
    text.parse().map_err(|problem: String| {
        Mistake::new(
            problem,
            "write a path such as \"/cart\", \"/api/*\" or \"*.css\"",
        )
    })
}

/// A `Cache-Control` of responses.
pub fn cache_control(text: &str) -> FormResult<http::HeaderValue> {
    const CURE: &str = "write directives, such as \"public, max-age=60\" or \"no-store\"";
    let refused = || Mistake::new(format!("`{text}` says nothing of caching"), CURE);
    let value = http::HeaderValue::from_str(text).map_err(|_| refused())?;
    let headers = http::HeaderMap::from_iter([(http::header::CACHE_CONTROL, value.clone())]);
    let directives = ResponseDirectives::of(&headers);
    let is_number = |digits: &str| {
        let digits = digits.trim().trim_matches('"');
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let lifetimes = text.split(',').filter_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        let name = name.trim().to_ascii_lowercase();
        let names = [
            "max-age",
            "s-maxage",
            "stale-while-revalidate",
            "stale-if-error",
        ];
        names.contains(&&*name).then_some(value)
    });
    let mut bad = lifetimes.filter(|value| !is_number(value));
    if let Some(bad) = bad.next() {
        let problem = format!("`{}` is not a number of seconds", bad.trim());
        return Err(Mistake::new(problem, CURE));
    }
    if directives == ResponseDirectives::default() {
        return Err(refused());
    }
    Ok(value)
}

fn query_parameters(value: &RawValue) -> FormResult<QueryParameters> {
    let refused = || {
        let cure = "write \"all\", \"none\", { keep = [\"page\"] } or { drop = [\"utm_*\"] }";
        Mistake::new("this says nothing of query parameters", cure)
    };
    match &value.kind {
        RawKind::Text(text) if text == "all" => Ok(QueryParameters::All),
        RawKind::Text(text) if text == "none" => Ok(QueryParameters::Only(Vec::new())),
        RawKind::Table(entries) => match entries.as_slice() {
            [RawEntry { key, value, .. }] if key == "keep" => {
                parameter_names(value).map(QueryParameters::Only)
            }
            [RawEntry { key, value, .. }] if key == "drop" => {
                parameter_names(value).map(QueryParameters::Ignore)
            }
            _ => Err(refused()),
        },
        _ => Err(refused()),
    }
}

fn parameter_names(value: &RawValue) -> FormResult<Vec<String>> {
    let cure = "write names, or how they begin, [\"page\", \"utm_*\"]";
    let RawKind::List(items) = &value.kind else {
        let problem = format!("a list was expected, this is {}", value.describe());
        return Err(Mistake::new(problem, cure));
    };
    if items.is_empty() || items.len() > MAX_QUERY_NAMES {
        let problem = format!("these are {} names", items.len());
        let cure = format!("write 1 to {MAX_QUERY_NAMES}");
        return Err(Mistake::new(problem, cure));
    }
    let name = |item: &RawValue| match &item.kind {
        RawKind::Text(text) if is_parameter_name(text) => Ok(text.clone()),
        _ => Err(Mistake::new("this is not the name of a parameter", cure)),
    };
    items.iter().map(name).collect()
}

/// A name, or a prefix followed by `*`.
fn is_parameter_name(text: &str) -> bool {
    let name = text.strip_suffix('*').unwrap_or(text);
    let is_good = |byte: u8| byte.is_ascii_graphic() && !b"*=&#".contains(&byte);
    (1..=128).contains(&text.len()) && name.bytes().all(is_good)
}

/// Lifetimes by content type or status.
pub fn default_ttl(value: &RawValue) -> FormResult<DefaultTtls> {
    const FORM: &str = "write { \"text/html\" = \"1min\", \"image/*\" = \"1d\", 404 = \"30s\" }";
    let RawKind::Table(entries) = &value.kind else {
        let problem = format!("a table was expected, this is {}", value.describe());
        return Err(Mistake::new(problem, FORM));
    };
    if entries.len() > MAX_DEFAULT_TTLS {
        let problem = format!("these are {} lifetimes", entries.len());
        let cure = format!("write at most {MAX_DEFAULT_TTLS}");
        return Err(Mistake::new(problem, cure));
    }
    let mut ttls: Vec<(DefaultTtlKey, Duration)> = Vec::new();
    for RawEntry { key, value, .. } in entries {
        let Some(parsed) = DefaultTtlKey::parse(key) else {
            let problem =
                format!("`{key}` is neither a content type nor a status that may be stored");
            return Err(Mistake::new(problem, FORM));
        };
        if ttls.iter().any(|(other, _)| *other == parsed) {
            let problem = format!("`{key}` is written twice");
            return Err(Mistake::new(problem, "write each once"));
        }
        let ttl = match &value.kind {
            RawKind::Text(text) => units::duration(text),
            _ => None,
        };
        match ttl {
            Some(ttl) if (MIN_DEFAULT_TTL..=MAX_DEFAULT_TTL).contains(&ttl) => {
                ttls.push((parsed, ttl));
            }
            _ => {
                let problem = format!("`{key}` has no lifetime from 1s to 1y");
                let cure = format!("write {}", units::DURATION_FORM);
                return Err(Mistake::new(problem, cure));
            }
        }
    }
    Ok(DefaultTtls::new(ttls))
}

/// A content coding that can be made.
pub fn content_coding(text: &str) -> FormResult<ContentCoding> {
    let mut all = ContentCoding::ALL.into_iter();
    all.find(|coding| coding.as_str() == text).ok_or_else(|| {
        Mistake::new(
            format!("`{text}` is not a content coding that can be made"),
            "write \"br\", \"zstd\" or \"gzip\"",
        )
    })
}

/// Which query parameters count.
pub(crate) fn query_rule(reader: &TableReader<'_>, key: &str) -> Option<QueryRule> {
    let value = reader.written(key)?;
    match query_parameters(value) {
        Ok(parameters) => Some(QueryRule {
            parameters,
            sort: true,
        }),
        Err(mistake) => {
            reader.refuse(key, mistake);
            None
        }
    }
}
