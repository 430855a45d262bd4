//! Answers to `on-request`.

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, StatusCode};

use super::edits::{edits, value};
use super::query::query_rule;
use super::{RequestAnswer, able, quoted, reason};
use crate::contract::types;
use crate::manifest::Manifest;
use tero_semantics::decision::{
    ExtendedDecision, KeyPart, LookupDecision, OriginEdits, PolicyAnswer, QueryRule,
};
use tero_semantics::field_edits::{EditedMessage, Untouchable, untouchable};

/// The longest value of a part of the key, in bytes.
const MAX_KEY_PART_BYTES: usize = 128;
/// The longest path, and the longest query, that the origin is asked for, in bytes.
const MAX_TARGET_BYTES: usize = 8 << 10;
/// The most fields of an answer of the policy's own, and the longest content in bytes.
const MAX_ANSWER_FIELDS: usize = 32;
const MAX_ANSWER_BODY_BYTES: usize = 64 << 10;
/// The longest word for the access log, in bytes.
const MAX_LOG_TAG_BYTES: usize = 64;

/// Checks an answer to `on-request`.
///
/// # Errors
/// The rule that it breaks.
pub(crate) fn request(
    raw: types::RequestDecision,
    manifest: &Manifest,
) -> Result<RequestAnswer, String> {
    let extended = match is_plain(&raw) {
        true => None,
        false => Some(Box::new(extended(&raw, manifest)?)),
    };
    // What was given without a change decides nothing.
    let extended = extended.filter(|extended| !extended.is_empty());
    let types::RequestDecision {
        lookup,
        variant_name,
        query,
        reason: given,
        ..
    } = raw;
    let variant = |name: String| declared(&name, &manifest.variants, "variant");
    Ok(RequestAnswer {
        lookup: lookup.map(|lookup| match lookup {
            types::Lookup::Cache => LookupDecision::Cache,
            types::Lookup::Pass => LookupDecision::Pass,
        }),
        variant: variant_name.map(variant).transpose()?,
        query: query.map(|choice| chosen(choice, manifest)).transpose()?,
        extended,
        reason: given.map(reason).transpose()?,
    })
}

/// Whether nothing is decided beyond look-up, variant and query.
fn is_plain(raw: &types::RequestDecision) -> bool {
    raw.key_parts.is_empty()
        && raw.rewrite.is_none()
        && raw.origin.is_none()
        && raw.request_edits.is_empty()
        && raw.response_edits.is_empty()
        && raw.answer.is_none()
        && raw.log_tag.is_none()
        && raw.rate_class.is_none()
}

#[cold]
fn extended(raw: &types::RequestDecision, manifest: &Manifest) -> Result<ExtendedDecision, String> {
    let may = manifest.abilities;
    able("rewrite", may.rewrite, raw.rewrite.is_some())?;
    able("answer", may.answer, raw.answer.is_some())?;
    able("log-tag", may.log_tag, raw.log_tag.is_some())?;
    let (path, query) = match &raw.rewrite {
        Some(rewrite) => (
            rewrite.path.as_deref().map(path).transpose()?,
            rewrite.query.as_deref().map(query_text).transpose()?,
        ),
        None => (None, None),
    };
    let origin = |name: &String| declared(name, &manifest.origins, "origin");
    let rate_class = |name: &String| declared(name, &manifest.rate_classes, "rate class");
    Ok(ExtendedDecision {
        key_parts: key_parts(&raw.key_parts, &manifest.key_parts)?,
        origin: OriginEdits {
            path,
            query,
            origin: raw.origin.as_ref().map(origin).transpose()?,
            fields: edits(
                raw.request_edits.clone(),
                &manifest.request_edits,
                "request-edits",
            )?,
        },
        response_fields: edits(
            raw.response_edits.clone(),
            &manifest.response_edits,
            "response-edits",
        )?,
        answer: raw.answer.as_ref().map(own_answer).transpose()?,
        log_tag: raw.log_tag.as_deref().map(log_tag).transpose()?,
        rate_class: raw.rate_class.as_ref().map(rate_class).transpose()?,
        sealed_suffix: None,
    })
}

/// A rule for the query, from the manifest or from the answer.
fn chosen(choice: types::QueryChoice, manifest: &Manifest) -> Result<QueryRule, String> {
    match choice {
        types::QueryChoice::Rule(rule) => query_rule(rule),
        types::QueryChoice::Declared(place) => {
            let rule = manifest.query_rules.get(usize::from(place));
            rule.cloned().ok_or_else(|| {
                format!(
                    "the rule {place} for the query; its manifest names {}",
                    manifest.query_rules.len()
                )
            })
        }
    }
}

/// The name as the manifest has it.
fn declared(name: &str, names: &[Arc<str>], what: &str) -> Result<Arc<str>, String> {
    match names.iter().find(|declared| ***declared == *name) {
        Some(declared) => Ok(Arc::clone(declared)),
        None => Err(format!(
            "the {what} {} is not in its manifest",
            quoted(name)
        )),
    }
}

fn key_parts(raw: &[types::KeyPart], names: &[Arc<str>]) -> Result<Vec<KeyPart>, String> {
    if raw.len() > names.len() {
        return Err(format!(
            "{} parts of the key; its manifest names {}",
            raw.len(),
            names.len()
        ));
    }
    let mut parts: Vec<KeyPart> = Vec::with_capacity(raw.len());
    for types::KeyPart { name, value } in raw {
        declared(name, names, "part of the key")?;
        if parts.iter().any(|part| *part.name == **name) {
            return Err(format!(
                "two values of the part {} of the key",
                quoted(name)
            ));
        }
        if value.len() > MAX_KEY_PART_BYTES || !value.bytes().all(|it| matches!(it, b' '..=b'~')) {
            return Err(format!(
                "{} is not a part of the key (at most {MAX_KEY_PART_BYTES} bytes of printable ASCII)",
                quoted(value)
            ));
        }
        parts.push(KeyPart {
            name: name.as_str().into(),
            value: value.as_str().into(),
        });
    }
    Ok(parts)
}

fn path(path: &str) -> Result<Box<str>, String> {
    let is_good = path.len() <= MAX_TARGET_BYTES
        && path.starts_with('/')
        && path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'))
        && is_percent_encoded(path)
        && PathAndQuery::try_from(path).is_ok();
    if !is_good {
        return Err(format!(
            "{} is not a path (percent-encoded, from `/` on, at most 8 KiB)",
            quoted(path)
        ));
    }
    Ok(path.into())
}

fn query_text(query: &str) -> Result<Box<str>, String> {
    let is_good = query.len() <= MAX_TARGET_BYTES
        && query
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#')
        && PathAndQuery::try_from(format!("/?{query}")).is_ok();
    if !is_good {
        return Err(format!(
            "{} is not a query (percent-encoded, without `?`, at most 8 KiB)",
            quoted(query)
        ));
    }
    Ok(query.into())
}

/// Whether two hexadecimal digits follow each percent sign.
fn is_percent_encoded(path: &str) -> bool {
    path.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

fn own_answer(raw: &types::Answer) -> Result<Arc<PolicyAnswer>, String> {
    let status = StatusCode::from_u16(raw.status)
        .ok()
        .filter(|status| matches!(status.as_u16(), 200..=203 | 207..=303 | 305..=599))
        .ok_or_else(|| {
            format!(
                "{} is not the status of an answer (200 to 599, but not 204 to 206 or 304)",
                raw.status
            )
        })?;
    if raw.fields.len() > MAX_ANSWER_FIELDS {
        return Err(format!(
            "an answer with {} fields; at most {MAX_ANSWER_FIELDS} are allowed",
            raw.fields.len()
        ));
    }
    if raw.body.len() > MAX_ANSWER_BODY_BYTES {
        return Err(format!(
            "an answer of {} bytes; at most {MAX_ANSWER_BODY_BYTES} (64 KiB) are allowed",
            raw.body.len()
        ));
    }
    Ok(Arc::new(PolicyAnswer {
        status,
        fields: raw
            .fields
            .iter()
            .map(answer_field)
            .collect::<Result<_, _>>()?,
        body: raw.body.as_bytes().into(),
    }))
}

fn answer_field((name, given): &(String, String)) -> Result<(HeaderName, HeaderValue), String> {
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("{} is not a field name", quoted(name)))?;
    if let Some(why) = untouchable_in_answer(&name) {
        return Err(format!(
            "an answer with the field `{name}`: {}",
            why.reason()
        ));
    }
    let given = value(&name, given)?;
    Ok((name, given))
}

/// Why an answer of a policy's own can't have a field. Nothing stores it here, so it may say how
/// long browsers keep it and by which validator.
fn untouchable_in_answer(name: &HeaderName) -> Option<Untouchable> {
    match name.as_str() {
        "cache-control" | "cdn-cache-control" | "expires" | "etag" | "last-modified" | "vary" => {
            None
        }
        _ => untouchable(name, EditedMessage::Response),
    }
}

fn log_tag(tag: &str) -> Result<Arc<str>, String> {
    if !(1..=MAX_LOG_TAG_BYTES).contains(&tag.len())
        || !tag.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(format!(
            "{} is not a word for the log (1 to {MAX_LOG_TAG_BYTES} bytes of visible ASCII)",
            quoted(tag)
        ));
    }
    Ok(tag.into())
}
