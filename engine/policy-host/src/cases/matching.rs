//! Compares answers, field by field, with the expected ones.

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use super::case::{Expectation, instant};
use super::report::Mismatch;
use crate::answer::{RequestAnswer, ResponseAnswer};
use crate::trial::HookAnswer;
use tero_config::units::show_duration;
use tero_semantics::decision::{
    Expiry, ExtendedDecision, LookupDecision, QueryParameters, QueryRule, StoringDecision,
};
use tero_semantics::field_edits::FieldEdits;

/// An answer by field, in the words of a case file. A field that is left out is null.
pub(super) fn fields(answer: &HookAnswer) -> Value {
    match answer {
        HookAnswer::Request(answer) => request(answer),
        HookAnswer::Response(answer) => response(answer),
        HookAnswer::Warm(pages) => pages
            .iter()
            .map(|page| json!({ "url": page.url, "variants": page.variants, "priority": page.priority }))
            .collect::<Vec<_>>()
            .into(),
    }
}

fn request(answer: &RequestAnswer) -> Value {
    let lookup = answer.lookup.map(|lookup| match lookup {
        LookupDecision::Cache => "cache",
        LookupDecision::Pass => "pass",
    });
    let (ignore, only) = match answer
        .query
        .as_ref()
        .map(|QueryRule { parameters, .. }| parameters)
    {
        Some(QueryParameters::Ignore(names)) => (Some(names), None),
        Some(QueryParameters::Only(names)) => (None, Some(names)),
        Some(QueryParameters::All) | None => (None, None),
    };
    let mut fields = json!({
        "lookup": lookup,
        "variant": answer.variant.as_deref(),
        "query_ignore": ignore,
        "query_only": only,
        "query_sort": answer.query.as_ref().is_some_and(|rule| rule.sort),
        "reason": answer.reason,
    });
    let nothing = ExtendedDecision::default();
    let extended = answer.extended.as_deref().unwrap_or(&nothing);
    for (name, value) in of_extended(extended) {
        fields[name] = value;
    }
    fields
}

/// What else is decided about a request, by field.
fn of_extended(extended: &ExtendedDecision) -> [(&'static str, Value); 13] {
    let parts = extended.key_parts.iter();
    let parts = parts.map(|part| (part.name.to_string(), Value::from(&*part.value)));
    let origin = &extended.origin;
    let own = extended.answer.as_deref();
    [
        ("key_parts", parts.collect::<Map<_, _>>().into()),
        ("path", json!(origin.path)),
        ("query", json!(origin.query)),
        ("origin", json!(origin.origin.as_deref())),
        ("set_request", set(&origin.fields.set)),
        ("remove_request", removed(&origin.fields)),
        ("set_response", set(&extended.response_fields.set)),
        ("remove_response", removed(&extended.response_fields)),
        ("answer", own.map(|own| own.status.as_str()).into()),
        (
            "answer_headers",
            own.map_or(Value::Null, |own| set(&own.fields)),
        ),
        (
            "answer_body",
            own.map(|own| String::from_utf8_lossy(&own.body)).into(),
        ),
        ("log_tag", json!(extended.log_tag.as_deref())),
        ("rate_class", json!(extended.rate_class.as_deref())),
    ]
}

/// Fields with their values, by name.
fn set(fields: &[(HeaderName, HeaderValue)]) -> Value {
    let fields = fields.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (name.to_string(), Value::from(value))
    });
    fields.collect::<Map<_, _>>().into()
}

fn removed(edits: &FieldEdits) -> Value {
    let names = edits.remove.iter();
    names.map(|name| Value::from(name.as_str())).collect()
}

fn response(answer: &ResponseAnswer) -> Value {
    let storing = match answer.storing {
        StoringDecision::ByHeaders => "by-headers",
        StoringDecision::Never => "never",
        StoringDecision::Always => "always",
    };
    let (purge_at, stale_at) = match answer.expiry {
        Some(Expiry::PurgeAt(at)) => (Some(instant(at)), None),
        Some(Expiry::StaleAt(at)) => (None, Some(instant(at))),
        None => (None, None),
    };
    let admit = answer.admit.map(|admit| if admit { "yes" } else { "no" });
    json!({
        "error_ttl": answer.error_ttl.map(show_duration),
        "purge_at": purge_at,
        "stale_at": stale_at,
        "admit": admit,
        "set_stored": set(&answer.fields.set),
        "remove_stored": removed(&answer.fields),
        "storing": storing,
        "ttl": answer.ttl.map(show_duration),
        "browser_ttl": answer.browser_ttl.map(show_duration),
        "stale_while_revalidate": answer.stale_while_revalidate.map(show_duration),
        "stale_if_error": answer.stale_if_error.map(show_duration),
        "tags": answer.tags,
        "reason": answer.reason,
    })
}

/// The differences of an answer from the expected one.
pub(super) fn differences(expected: &[Expectation], answer: &Value) -> Vec<Mismatch> {
    let mut problems = Vec::new();
    for expected in expected {
        match expected {
            Expectation::Is(_, Value::Array(pages)) if answer.is_array() => {
                pages_differ(pages, answer, &mut problems)
            }
            Expectation::Is(field, value) if answer[field] != *value => {
                problems.push(problem(field, show(value), &answer[field]))
            }
            Expectation::Contains(field, part)
                if !answer[field]
                    .as_str()
                    .is_some_and(|text| text.contains(part)) =>
            {
                problems.push(problem(field, format!("… {part} …"), &answer[field]));
            }
            Expectation::Is(..) | Expectation::Contains(..) => {}
        }
    }
    problems
}

fn pages_differ(expected: &[Value], answer: &Value, problems: &mut Vec<Mismatch>) {
    let count = expected.len().max(answer.as_array().map_or(0, Vec::len));
    for index in 0..count {
        match (expected.get(index), answer.get(index)) {
            (Some(Value::Object(keys)), Some(page)) => {
                for (key, value) in keys
                    .iter()
                    .filter(|(key, value)| page[key.as_str()] != **value)
                {
                    problems.push(problem(
                        &format!("page {}: {key}", index + 1),
                        show(value),
                        &page[key.as_str()],
                    ));
                }
            }
            (expected, page) => {
                problems.push(Mismatch {
                    field: format!("page {}", index + 1),
                    expected: url_of(expected),
                    got: url_of(page),
                });
            }
        }
    }
}

fn url_of(page: Option<&Value>) -> String {
    page.map_or_else(|| "no page".to_owned(), |page| show(&page["url"]))
}

/// The differences between the answers of a used and of a fresh instance.
pub(super) fn changes(fresh: &Value, used: &Value) -> Vec<Mismatch> {
    match (fresh, used) {
        (Value::Object(fresh), Value::Object(used)) => fresh
            .iter()
            .filter(|(field, value)| used.get(*field) != Some(value))
            .map(|(field, value)| change(field, value, used.get(field).unwrap_or(&Value::Null)))
            .collect(),
        _ if fresh != used => vec![change("pages", fresh, used)],
        _ => Vec::new(),
    }
}

fn change(field: &str, fresh: &Value, used: &Value) -> Mismatch {
    Mismatch {
        field: format!("{field} of a used instance"),
        expected: format!("{}, as of a fresh one", show(fresh)),
        got: show(used),
    }
}

fn problem(field: &str, expected: String, got: &Value) -> Mismatch {
    Mismatch {
        field: field.to_owned(),
        expected,
        got: show(got),
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
