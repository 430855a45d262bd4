//! What contract 0.2 added to decisions, as names with words: for explanations and previews.

use std::collections::BTreeMap;
use std::time::Duration;

use super::DecisionField;
use super::words::{admit, answer, edits, expiry, key_parts, rewrite};
use tero_semantics::decision::{Expiry, ExtendedDecision};
use tero_semantics::field_edits::FieldEdits;

/// Names of decisions with their words; what is not decided is absent.
pub type DecisionWords = BTreeMap<String, String>;

/// What is decided of a request beyond look-up, variant and query.
pub fn request_words(decision: Option<&ExtendedDecision>) -> DecisionWords {
    let Some(decision) = decision else {
        return DecisionWords::new();
    };
    let ExtendedDecision {
        key_parts: parts,
        origin,
        response_fields,
        answer: own,
        log_tag,
        rate_class,
        sealed_suffix: _,
    } = decision;
    let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().map(str::to_owned);
    named([
        (
            DecisionField::KeyParts,
            (!parts.is_empty()).then(|| key_parts(parts)),
        ),
        (
            DecisionField::Rewrite,
            (origin.path.is_some() || origin.query.is_some()).then(|| rewrite(origin)),
        ),
        (DecisionField::Origin, text(&origin.origin)),
        (DecisionField::RequestEdits, edited(&origin.fields)),
        (DecisionField::ResponseEdits, edited(response_fields)),
        (DecisionField::Answer, own.as_deref().map(answer)),
        (DecisionField::LogTag, text(log_tag)),
        (DecisionField::RateClass, text(rate_class)),
    ])
}

/// What is decided of a response beyond storing, lifetimes and tags.
pub fn response_words(
    error_ttl: Option<Duration>,
    ends: Option<Expiry>,
    admitted: Option<bool>,
    fields: &FieldEdits,
) -> DecisionWords {
    named([
        (
            DecisionField::ErrorTtl,
            error_ttl.map(|ttl| format!("{} s", ttl.as_secs())),
        ),
        (DecisionField::Expiry, ends.map(|ends| expiry(Some(ends)))),
        (
            DecisionField::Admit,
            admitted.map(|admitted| admit(Some(admitted))),
        ),
        (DecisionField::StoredEdits, edited(fields)),
    ])
}

fn edited(fields: &FieldEdits) -> Option<String> {
    (!fields.is_empty()).then(|| edits(fields))
}

fn named<const N: usize>(words: [(DecisionField, Option<String>); N]) -> DecisionWords {
    words
        .into_iter()
        .filter_map(|(field, words)| Some((field.as_str().to_owned(), words?)))
        .collect()
}
