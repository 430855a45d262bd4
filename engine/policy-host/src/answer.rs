//! The answers of guests, checked against the contract and turned into the types of the engine. One
//! value out of bounds makes the whole answer a bad one.

mod edits;
mod manifest;
mod query;
mod request;

pub(super) use manifest::manifest;
pub(super) use request::request;

use std::sync::Arc;
use std::time::Duration;

use crate::contract::types;
use crate::device::Device;
use crate::manifest::Manifest;
use tero_semantics::decision::{
    Expiry, ExtendedDecision, LookupDecision, QueryRule, StoringDecision,
};
use tero_semantics::field_edits::FieldEdits;
use tero_semantics::timestamp::Timestamp;

/// The longest lifetime: a year.
const MAX_TTL_SECS: u32 = 31_536_000;
/// The most tags in one answer, and the longest tag in bytes.
const MAX_TAGS: usize = 64;
const MAX_TAG_BYTES: usize = 128;
/// The last instant that may end a stored response, in seconds since the Unix epoch: the end of the
/// year 9999.
const MAX_EXPIRY_SECS: u64 = 253_402_300_799;
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
    /// What else it decides; `None` for nothing. It isn't [sealed](ExtendedDecision::seal).
    pub extended: Option<Box<ExtendedDecision>>,
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
    /// How long a response with a status of 400 or above is fresh; at most a year.
    pub error_ttl: Option<Duration>,
    /// When it ends at the latest.
    pub expiry: Option<Expiry>,
    /// Whether it is worth a place in the store.
    pub admit: Option<bool>,
    /// Fields that it gets and loses before it is stored; each is one of the manifest's.
    pub fields: FieldEdits,
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

/// Checks an answer to `on-response`.
///
/// # Errors
/// The rule that it breaks.
pub(super) fn response(
    raw: types::ResponseDecision,
    manifest: &Manifest,
) -> Result<ResponseAnswer, String> {
    let may = manifest.abilities;
    able("admission", may.admission, raw.admit.is_some())?;
    able("error-ttl", may.error_ttl, raw.error_ttl_secs.is_some())?;
    able("expiry", may.expiry, raw.expiry.is_some())?;
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
        error_ttl: lifetime("error-ttl-secs", raw.error_ttl_secs)?,
        expiry: raw.expiry.map(expiry).transpose()?,
        admit: raw.admit,
        fields: edits::edits(raw.edits, &manifest.stored_edits, "stored-edits")?,
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

fn expiry(raw: types::Expiry) -> Result<Expiry, String> {
    let (types::Expiry::PurgeAt(secs) | types::Expiry::StaleAt(secs)) = raw;
    let at = i64::try_from(secs)
        .ok()
        .filter(|_| secs <= MAX_EXPIRY_SECS)
        .map(Timestamp::from_unix_secs)
        .ok_or_else(|| {
            format!("an expiry at {secs}; at most {MAX_EXPIRY_SECS} (the year 9999) is allowed")
        })?;
    Ok(match raw {
        types::Expiry::PurgeAt(_) => Expiry::PurgeAt(at),
        types::Expiry::StaleAt(_) => Expiry::StaleAt(at),
    })
}

/// Checks that the manifest names an ability that an answer uses.
fn able(ability: &str, is_named: bool, is_used: bool) -> Result<(), String> {
    if is_used && !is_named {
        return Err(format!(
            "its manifest does not name the ability `{ability}`"
        ));
    }
    Ok(())
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
