//! The answers of guests, checked against the contract and turned into the types of the engine. One
//! value out of bounds makes the whole answer a bad one.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use crate::contract::types;
use crate::device::Device;
use crate::manifest::{Hook, Manifest};
use tero_semantics::decision::{LookupDecision, QueryParameters, QueryRule, StoringDecision};

/// The most names in one list of a manifest.
const MAX_NAMES: usize = 32;
/// The longest name of a cookie, in bytes.
const MAX_COOKIE_NAME_BYTES: usize = 128;
/// The longest name of a variant, in bytes.
const MAX_VARIANT_BYTES: usize = 32;
/// The longest lifetime: a year.
const MAX_TTL_SECS: u32 = 31_536_000;
/// The most tags in one answer, and the longest tag in bytes.
const MAX_TAGS: usize = 64;
const MAX_TAG_BYTES: usize = 128;
/// The most query patterns in one answer, and the longest pattern in bytes.
const MAX_PATTERNS: usize = 128;
const MAX_PATTERN_BYTES: usize = 256;
/// The longest reason, in bytes.
const MAX_REASON_BYTES: usize = 200;
/// The most URLs in one answer to `plan-warm`, the longest URL in bytes, and the most variants of
/// one URL.
const MAX_WARM_URLS: usize = 100_000;
const MAX_WARM_URL_BYTES: usize = 8 << 10;
const MAX_WARM_VARIANTS: usize = 64;

/// A checked answer to `on-request`. A field that is `None` is left to the site's next policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestAnswer {
    /// Whether the request is looked up.
    pub lookup: Option<LookupDecision>,
    /// One of the manifest's variants.
    pub variant: Option<Arc<str>>,
    /// The rule for the query.
    pub query: Option<QueryRule>,
    /// The reason: 1 to 200 bytes of printable ASCII.
    pub reason: Option<String>,
}

/// A checked answer to `on-response`. A field that is `None` is left to the site's next policy, and
/// then to the response's own fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseAnswer {
    /// Whether the response is stored.
    pub storing: StoringDecision,
    /// How long the response is fresh at the edge; at most a year.
    pub ttl: Option<Duration>,
    /// How long a browser may keep it; at most a year.
    pub browser_ttl: Option<Duration>,
    /// How long it is served stale while it is revalidated (RFC 5861 §3); at most a year.
    pub stale_while_revalidate: Option<Duration>,
    /// How long it is served stale if the origin fails (RFC 5861 §4); at most a year.
    pub stale_if_error: Option<Duration>,
    /// Surrogate keys: at most 64, 1 to 128 bytes of visible ASCII each.
    pub tags: Vec<Box<str>>,
    /// The reason: 1 to 200 bytes of printable ASCII.
    pub reason: Option<String>,
}

/// A page to fetch ahead of demand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WarmUrl {
    /// The path and query.
    pub url: String,
    /// Names of variants or device classes; if empty, those of the plan.
    pub variants: Vec<String>,
    /// Pages with a higher priority are fetched first.
    pub priority: u8,
}

/// Checks a manifest.
///
/// # Errors
/// The rule that it breaks.
pub(super) fn manifest(raw: &types::Manifest) -> Result<Manifest, String> {
    for (what, names) in [
        ("request fields", &raw.headers),
        ("cookies", &raw.cookies),
        ("response fields", &raw.response_headers),
        ("variants", &raw.variants),
    ] {
        if names.len() > MAX_NAMES {
            return Err(format!(
                "{} {what}; at most {MAX_NAMES} are allowed",
                names.len()
            ));
        }
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
        zone: raw.zone.as_deref().map(zone).transpose()?,
        variants: variants(&raw.variants)?,
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

fn variants(names: &[String]) -> Result<Vec<Arc<str>>, String> {
    let variants = distinct(names, variant)?;
    if variants.len() < names.len() {
        return Err("a variant is declared twice".to_owned());
    }
    Ok(variants)
}

fn variant(name: &str) -> Result<Arc<str>, String> {
    if name.is_empty() || name.len() > MAX_VARIANT_BYTES || !name.bytes().all(is_of_variant) {
        return Err(format!(
            "{} is not the name of a variant (1 to {MAX_VARIANT_BYTES} of a-z, 0-9, - and _)",
            quoted(name)
        ));
    }
    Ok(name.into())
}

fn is_of_variant(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_')
}

/// Checks an answer to `on-request`.
///
/// # Errors
/// The rule that it breaks.
pub(super) fn request(
    raw: types::RequestDecision,
    manifest: &Manifest,
) -> Result<RequestAnswer, String> {
    let declared = |name: String| match manifest
        .variants
        .iter()
        .find(|declared| ***declared == *name)
    {
        Some(declared) => Ok(Arc::clone(declared)),
        None => Err(format!(
            "the variant {} is not in its manifest",
            quoted(&name)
        )),
    };
    Ok(RequestAnswer {
        lookup: raw.lookup.map(|lookup| match lookup {
            types::Lookup::Cache => LookupDecision::Cache,
            types::Lookup::Pass => LookupDecision::Pass,
        }),
        variant: raw.variant_name.map(declared).transpose()?,
        query: raw.query.map(query_rule).transpose()?,
        reason: raw.reason.map(reason).transpose()?,
    })
}

fn query_rule(raw: types::QueryRule) -> Result<QueryRule, String> {
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

/// Checks an answer to `on-response`.
///
/// # Errors
/// The rule that it breaks.
pub(super) fn response(raw: types::ResponseDecision) -> Result<ResponseAnswer, String> {
    if raw.tags.len() > MAX_TAGS {
        return Err(format!(
            "{} tags; at most {MAX_TAGS} are allowed",
            raw.tags.len()
        ));
    }
    Ok(ResponseAnswer {
        storing: match raw.storing {
            types::Storing::ByHeaders => StoringDecision::ByHeaders,
            types::Storing::Never => StoringDecision::Never,
            types::Storing::Always => StoringDecision::Always,
        },
        ttl: lifetime("ttl-secs", raw.ttl_secs)?,
        browser_ttl: lifetime("browser-ttl-secs", raw.browser_ttl_secs)?,
        stale_while_revalidate: lifetime(
            "stale-while-revalidate-secs",
            raw.stale_while_revalidate_secs,
        )?,
        stale_if_error: lifetime("stale-if-error-secs", raw.stale_if_error_secs)?,
        tags: raw.tags.into_iter().map(tag).collect::<Result<_, _>>()?,
        reason: raw.reason.map(reason).transpose()?,
    })
}

fn lifetime(field: &str, secs: Option<u32>) -> Result<Option<Duration>, String> {
    match secs {
        Some(secs) if secs > MAX_TTL_SECS => Err(format!(
            "{field} {secs}; at most {MAX_TTL_SECS} (a year) is allowed"
        )),
        secs => Ok(secs.map(|secs| Duration::from_secs(u64::from(secs)))),
    }
}

fn tag(tag: String) -> Result<Box<str>, String> {
    if tag.is_empty()
        || tag.len() > MAX_TAG_BYTES
        || !tag.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(format!(
            "{} is not a tag (1 to {MAX_TAG_BYTES} bytes of visible ASCII)",
            quoted(&tag)
        ));
    }
    Ok(tag.into())
}

/// Checks an answer to `plan-warm`. `variants` are those of the whole site.
///
/// # Errors
/// The rule that it breaks.
pub(super) fn warm_urls(
    raw: Vec<types::WarmUrl>,
    variants: &[Arc<str>],
) -> Result<Vec<WarmUrl>, String> {
    if raw.len() > MAX_WARM_URLS {
        return Err(format!(
            "{} URLs to warm; at most {MAX_WARM_URLS} are allowed",
            raw.len()
        ));
    }
    raw.into_iter().map(|raw| warm_url(raw, variants)).collect()
}

fn warm_url(raw: types::WarmUrl, known: &[Arc<str>]) -> Result<WarmUrl, String> {
    let types::WarmUrl {
        url,
        variants,
        priority,
    } = raw;
    if !url.starts_with('/')
        || url.len() > MAX_WARM_URL_BYTES
        || url
            .chars()
            .any(|char| char.is_control() || char.is_whitespace())
    {
        return Err(format!("{} is not a path to warm", quoted(&url)));
    }
    if variants.len() > MAX_WARM_VARIANTS {
        return Err(format!(
            "{} variants of {}; at most {MAX_WARM_VARIANTS} are allowed",
            variants.len(),
            quoted(&url)
        ));
    }
    let declared = |name: &&String| {
        known.iter().any(|known| **known == ***name) || Device::from_name(name).is_some()
    };
    if let Some(unknown) = variants.iter().find(|name| !declared(name)) {
        return Err(format!(
            "{} is neither a variant of the site nor a device class",
            quoted(unknown)
        ));
    }
    Ok(WarmUrl {
        url,
        variants,
        priority,
    })
}

fn reason(text: String) -> Result<String, String> {
    if text.is_empty()
        || text.len() > MAX_REASON_BYTES
        || !text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    {
        return Err(format!(
            "{} is not a reason (1 to {MAX_REASON_BYTES} bytes of printable ASCII)",
            quoted(&text)
        ));
    }
    Ok(text)
}

/// The beginning of a guest's text, escaped for a message.
fn quoted(text: &str) -> String {
    let shown = &text[..text.floor_char_boundary(64)];
    format!(
        "{shown:?}{}",
        if shown.len() < text.len() { "…" } else { "" }
    )
}

#[cfg(test)]
mod tests;
