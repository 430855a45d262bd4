//! `POST /explain`: what would become of a request, and why. It changes nothing and counts as no
//! traffic.

use chrono::DateTime;
use http::HeaderValue;
use http::header::HOST;
use serde_json::{Map, Value, json};

use super::AdminContext;
use super::asked::explain::{self as asked, ExplainRequest, URL};
use super::reply::{AdminRefusal, AdminResponse};
use tero_edge::request::explain::{ExplainInput, Explanation, explain};
use tero_edge::request::refusal::AdmissionRefusal;
use tero_edge::store::stored::StoredResponse;
use tero_policy_host::compare::{lookup, query, storing};
use tero_policy_host::{PolicyAnswer, RequestAnswer, ResponseAnswer};
use tero_semantics::decision::QueryRule;
use tero_semantics::key;
use tero_semantics::storability::Storability;

/// Explains the request that the content tells of.
pub(super) fn answer(state: &AdminContext, content: &[u8]) -> Result<AdminResponse, AdminRefusal> {
    let subject = subject(state, asked::read(content)?)?;
    let explanation =
        explain(&state.edge, subject).map_err(|refused| not_let_in(state, refused))?;
    Ok(AdminResponse::json(&document(&explanation)))
}

fn not_let_in(state: &AdminContext, refused: AdmissionRefusal) -> AdminRefusal {
    let sites = state.edge.sites.load();
    let hosts: Vec<&str> = sites
        .iter()
        .flat_map(|site| &site.settings.hosts)
        .map(String::as_str)
        .collect();
    match refused {
        AdmissionRefusal::UnknownHost => AdminRefusal::unknown(
            refused.to_string(),
            format!("the hosts are {}", hosts.join(", ")),
        ),
        refused => AdminRefusal::bad(
            format!("such a request is not let in: {refused}"),
            "ask about one that a visitor could send",
        ),
    }
}

fn subject(state: &AdminContext, asked: ExplainRequest) -> Result<ExplainInput, AdminRefusal> {
    let ExplainRequest {
        mut request,
        host,
        at,
        device,
        response,
    } = asked;
    let host = host.map_or_else(|| only_host(state), Ok)?;
    request.headers_mut().insert(HOST, host);
    Ok(ExplainInput {
        parts: request.into_parts().0,
        at,
        device,
        response,
    })
}

/// The host of a path: where there is one site with a name, that is meant.
fn only_host(state: &AdminContext) -> Result<HeaderValue, AdminRefusal> {
    let sites = state.edge.sites.load();
    let mut named = sites
        .iter()
        .filter_map(|site| site.settings.hosts.iter().find(|host| *host != "*"));
    match (named.next(), sites.iter().count()) {
        (Some(host), 1) => host
            .parse()
            .map_err(|_| AdminRefusal::bad("the site's host is none that can be asked for", URL)),
        _ => Err(AdminRefusal::bad(
            "a path does not tell which site is meant",
            URL,
        )),
    }
}

fn document(explanation: &Explanation) -> Value {
    let exchange = &explanation.exchange;
    let (at, zone) = (exchange.at, exchange.site.counters.zone());
    let instant = DateTime::from_timestamp(at.unix_secs(), 0).unwrap_or_default();
    let canary = exchange.site.canary.as_ref().filter(|_| exchange.is_canary);
    let policies: Vec<Value> = explanation
        .on_request
        .answers
        .iter()
        .zip(&explanation.on_response.answers)
        .map(|((policy, request), (_, response))| {
            json!({
                "policy": &**policy.name(),
                "digest": policy.digest(),
                "canary": canary.is_some_and(|canary| canary.policy == *policy.name()),
                "on_request": word(request, request_answer),
                "on_response": word(response, response_answer),
            })
        })
        .collect();
    let rules: Vec<Value> = explanation
        .rules
        .iter()
        .map(|rule| json!({ "rule": rule.name, "text": rule.text }))
        .collect();
    json!({
        "site": &*exchange.site.settings.name,
        "at": { "unix_secs": at.unix_secs(), "local": instant.with_timezone(&zone).to_rfc3339(), "zone": zone.name() },
        "device": exchange.device.as_str(),
        "policies": policies,
        "decision": {
            "lookup": lookup(exchange.decision.lookup),
            "variant": exchange.decision.variant.as_deref(),
            "query": query(&exchange.decision.query),
            "reason": exchange.decision.reason.as_deref(),
        },
        "response": response(explanation),
        "rules": rules,
        "key": { "url": key::url_of(&exchange.key), "variant": key::variant_of(&exchange.key) },
        "stored": stored(explanation),
        "would": { "outcome": explanation.would.outcome, "why": explanation.would.why },
    })
}

/// The response that policies were asked about, and what would become of it.
fn response(explanation: &Explanation) -> Value {
    let (origin, status) = explanation.response;
    let decision = &explanation.on_response.decision;
    let refusal = match explanation.storability {
        Storability::Yes | Storability::Part(_) => None,
        Storability::No(refusal) => Some(refusal.as_str()),
    };
    json!({
        "from": origin.as_str(),
        "status": status.as_u16(),
        "would_be_stored": refusal.is_none(),
        "refusal": refusal,
        "lifetime_secs": explanation.freshness.lifetime().as_secs(),
        "lifetime_from": explanation.freshness.source().as_str(),
        "decision": {
            "storing": storing(decision.storing),
            "ttl_secs": secs(decision.ttl),
            "browser_ttl_secs": secs(decision.browser_ttl),
            "stale_while_revalidate_secs": secs(decision.stale_while_revalidate),
            "stale_if_error_secs": secs(decision.stale_if_error),
            "tags": decision.tags,
            "reason": decision.reason.as_deref(),
        },
    })
}

fn secs(duration: Option<std::time::Duration>) -> Option<u64> {
    duration.map(|duration| duration.as_secs())
}

fn word<A>(word: &PolicyAnswer<A>, answer: impl Fn(&A) -> Map<String, Value>) -> Value {
    match word {
        PolicyAnswer::Answer(said) => json!({ "answer": answer(said) }),
        PolicyAnswer::Failed { kind, reason } => {
            json!({ "failed": kind.as_str(), "reason": reason })
        }
        PolicyAnswer::NoHook => json!({ "not_asked": "it does not answer this" }),
        PolicyAnswer::Off(reason) => json!({ "not_asked": "it is switched off", "reason": reason }),
    }
}

/// Only what it says.
fn request_answer(answer: &RequestAnswer) -> Map<String, Value> {
    let said = [
        ("lookup", answer.lookup.map(|said| lookup(said).into())),
        ("variant", answer.variant.as_deref().map(Value::from)),
        (
            "query",
            answer
                .query
                .as_ref()
                .map(|rule: &QueryRule| query(rule).into()),
        ),
        ("reason", answer.reason.as_deref().map(Value::from)),
    ];
    said.into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn response_answer(answer: &ResponseAnswer) -> Map<String, Value> {
    let tags = (!answer.tags.is_empty()).then(|| json!(answer.tags));
    let said = [
        ("storing", Some(storing(answer.storing).into())),
        ("ttl_secs", secs(answer.ttl).map(Value::from)),
        (
            "browser_ttl_secs",
            secs(answer.browser_ttl).map(Value::from),
        ),
        (
            "stale_while_revalidate_secs",
            secs(answer.stale_while_revalidate).map(Value::from),
        ),
        (
            "stale_if_error_secs",
            secs(answer.stale_if_error).map(Value::from),
        ),
        ("tags", tags),
        ("reason", answer.reason.as_deref().map(Value::from)),
    ];
    said.into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

/// What is stored under the key, the latest first.
fn stored(explanation: &Explanation) -> Vec<Value> {
    let at = explanation.exchange.at;
    let selected = explanation.selected.as_ref().map(|stored| stored.id);
    let entry = |stored: &StoredResponse| {
        let head = &stored.head;
        json!({
            "selected": selected == Some(stored.id),
            "status": head.status.as_u16(),
            "bytes": stored.body.len(),
            "vary": head.secondary_key.fields().iter().map(|name| name.as_str()).collect::<Vec<_>>(),
            "age_secs": head.freshness.age(at).as_secs(),
            "lifetime_secs": head.freshness.lifetime().as_secs(),
            "lifetime_from": head.freshness.source().as_str(),
            "fresh": head.freshness.is_fresh(at),
            "fresh_for_secs": head.freshness.remaining_secs(at),
            "served_while_revalidated": head.freshness.allows_while_revalidate(at),
            "served_if_the_origin_fails": head.freshness.allows_if_error(at),
            "tags": head.fields.tags().collect::<Vec<_>>(),
            "warmed": head.warm_run.is_some(),
            "reason": head.fields.detail(),
        })
    };
    explanation
        .stored
        .iter()
        .flat_map(|variants| variants.all())
        .map(|stored| entry(stored))
        .collect()
}
