//! `POST /explain`: what would happen to a request, and why. It changes nothing and is not counted
//! as traffic.

use std::time::Duration;

use http::HeaderValue;
use http::header::HOST;

use super::call::Call;
use super::context::AdminContext;
use super::reply::AdminRefusal;
use super::subject::{ExplainSubject, URL, subject};
use tero_admin_api::endpoints::Explain;
use tero_admin_api::{
    EngineRule, ExpectedOutcome, ExplainResponse, ExplanationTime, HookTrace, KeyParts,
    PolicyTrace, RequestTerms, RequestWords, ResponseTerms, ResponseTrace, ResponseWords,
    StoredVariant,
};
use tero_edge::request::explain::{ExplainInput, Explanation, explain};
use tero_edge::request::refusal::AdmissionRefusal;
use tero_edge::store::stored::StoredResponse;
use tero_policy_host::compare::{
    lookup, query, request_words as more_of_request, response_words as more_of_response, storing,
};
use tero_policy_host::{Policy, PolicyAnswer, RequestAnswer, ResponseAnswer};
use tero_semantics::host_pattern::is_pattern;
use tero_semantics::key;
use tero_semantics::storability::Storability;
use tero_time::zones;

/// Explains the request in the question.
pub(super) fn answer(
    context: &AdminContext,
    call: Call<'_, Explain>,
) -> Result<ExplainResponse, AdminRefusal> {
    let input = input(context, subject(&call.read()?)?)?;
    let explanation =
        explain(&context.edge, input).map_err(|refused| not_let_in(context, refused))?;
    Ok(response(&explanation))
}

fn not_let_in(context: &AdminContext, refused: AdmissionRefusal) -> AdminRefusal {
    let sites = context.edge.sites.load();
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

fn input(context: &AdminContext, subject: ExplainSubject) -> Result<ExplainInput, AdminRefusal> {
    let ExplainSubject {
        mut request,
        scheme,
        host,
        at,
        device,
        response,
    } = subject;
    let host = host.map_or_else(|| only_host(context), Ok)?;
    request.headers_mut().insert(HOST, host);
    Ok(ExplainInput {
        parts: request.into_parts().0,
        scheme,
        at,
        device,
        response,
    })
}

/// The host of a path, if the edge has one site: one of its names, or any where it answers for all.
fn only_host(context: &AdminContext) -> Result<HeaderValue, AdminRefusal> {
    let sites = context.edge.sites.load();
    let mut all = sites.iter();
    let (Some(site), None) = (all.next(), all.next()) else {
        let hosts = sites.iter().flat_map(|site| &site.settings.hosts);
        let hosts: Vec<&str> = hosts.map(String::as_str).collect();
        return Err(AdminRefusal::bad(
            "a path does not tell which site is meant",
            format!("{URL}, with one of the hosts {}", hosts.join(", ")),
        ));
    };
    let hosts = &site.settings.hosts;
    match hosts.iter().find(|host| !is_pattern(host)) {
        None if hosts.iter().any(|host| host == "*") => Ok(ANY_HOST),
        None => Err(AdminRefusal::bad(
            "a path does not tell which host is meant",
            format!("{URL}, with a host that {} covers", hosts.join(", ")),
        )),
        Some(host) => host
            .parse()
            .map_err(|_| AdminRefusal::bad("the site's host can't be requested", URL)),
    }
}

/// Stands for a host where the site answers for every one.
const ANY_HOST: HeaderValue = HeaderValue::from_static("localhost");

fn response(explanation: &Explanation) -> ExplainResponse {
    let exchange = &explanation.exchange;
    let answers = explanation.on_request.answers.iter();
    let policies = answers.zip(&explanation.on_response.answers);
    ExplainResponse {
        site: exchange.site.settings.name.to_string(),
        at: time(explanation),
        device: exchange.device.as_str().to_owned(),
        policies: policies
            .map(|((policy, request), (_, response))| PolicyTrace {
                policy: policy.name().to_string(),
                digest: policy.digest().to_owned(),
                canary: is_canary(explanation, policy),
                on_request: trace(request, request_words),
                on_response: trace(response, response_words),
            })
            .collect(),
        decision: RequestTerms {
            lookup: lookup(exchange.decision.lookup),
            variant: exchange.decision.variant.as_deref().map(str::to_owned),
            query: query(exchange.query_rule()),
            more: more_of_request(exchange.decision.extended.as_deref()),
            reason: exchange.decision.reason.as_deref().map(str::to_owned),
        },
        response: response_trace(explanation),
        rules: explanation
            .rules
            .iter()
            .map(|rule| EngineRule {
                rule: rule.name.to_owned(),
                text: rule.text.clone(),
            })
            .collect(),
        key: KeyParts {
            url: key::url_of(&exchange.key).to_owned(),
            variant: key::variant_of(&exchange.key).map(str::to_owned),
            suffix: key::suffix_of(&exchange.key)
                .map(|suffix| String::from_utf8_lossy(suffix).into_owned()),
        },
        stored: stored(explanation),
        would: ExpectedOutcome {
            outcome: explanation.would.outcome.to_owned(),
            why: explanation.would.why.clone(),
        },
    }
}

fn time(explanation: &Explanation) -> ExplanationTime {
    let exchange = &explanation.exchange;
    let (unix_secs, zone) = (exchange.wall().unix_secs(), exchange.site.counters.zone());
    ExplanationTime {
        unix_secs,
        local: zones::local(exchange.wall(), zone).to_rfc3339(),
        zone: zone.name().to_owned(),
    }
}

fn is_canary(explanation: &Explanation, policy: &Policy) -> bool {
    let exchange = &explanation.exchange;
    let canary = exchange.site.canary.as_ref().filter(|_| exchange.is_canary);
    canary.is_some_and(|canary| canary.policy == *policy.name())
}

/// The response that policies were asked about, and whether it would be stored.
fn response_trace(explanation: &Explanation) -> ResponseTrace {
    let (origin, status) = explanation.response;
    let decision = &explanation.on_response.decision;
    let refusal = match explanation.storability {
        Storability::Yes | Storability::Part(_) => None,
        Storability::No(refusal) => Some(refusal.as_str().to_owned()),
    };
    ResponseTrace {
        from: origin.as_str().to_owned(),
        status: status.as_u16(),
        would_be_stored: refusal.is_none(),
        refusal,
        lifetime_secs: explanation.freshness.lifetime().as_secs(),
        lifetime_from: explanation.freshness.source().as_str().to_owned(),
        decision: ResponseTerms {
            storing: storing(decision.storing).to_owned(),
            ttl_secs: secs(decision.ttl),
            browser_ttl_secs: secs(decision.browser_ttl),
            stale_while_revalidate_secs: secs(decision.stale_while_revalidate),
            stale_if_error_secs: secs(decision.stale_if_error),
            tags: tags(&decision.tags),
            more: more_of_response(
                decision.error_ttl,
                decision.expiry,
                decision.admit,
                &decision.fields,
            ),
            reason: decision.reason.as_deref().map(str::to_owned),
        },
    }
}

fn secs(duration: Option<Duration>) -> Option<u64> {
    duration.map(|duration| duration.as_secs())
}

fn tags(tags: &[impl AsRef<str>]) -> Vec<String> {
    tags.iter().map(|tag| tag.as_ref().to_owned()).collect()
}

fn trace<A, W>(answer: &PolicyAnswer<A>, words: impl Fn(&A) -> W) -> HookTrace<W> {
    match answer {
        PolicyAnswer::Answer(answer) => HookTrace::Answer {
            answer: words(answer),
        },
        PolicyAnswer::Failed { kind, reason } => HookTrace::Failure {
            failed: kind.as_str().to_owned(),
            reason: reason.to_string(),
        },
        PolicyAnswer::NoHook => HookTrace::Silence {
            not_asked: "it does not answer this".to_owned(),
            reason: None,
        },
        PolicyAnswer::Off(reason) => HookTrace::Silence {
            not_asked: "it is switched off".to_owned(),
            reason: Some(reason.to_string()),
        },
    }
}

fn request_words(answer: &RequestAnswer) -> RequestWords {
    RequestWords {
        lookup: answer.lookup.map(lookup),
        variant: answer.variant.as_deref().map(str::to_owned),
        query: answer.query.as_ref().map(query),
        more: more_of_request(answer.extended.as_deref()),
        reason: answer.reason.clone(),
    }
}

fn response_words(answer: &ResponseAnswer) -> ResponseWords {
    ResponseWords {
        storing: storing(answer.storing).to_owned(),
        ttl_secs: secs(answer.ttl),
        browser_ttl_secs: secs(answer.browser_ttl),
        stale_while_revalidate_secs: secs(answer.stale_while_revalidate),
        stale_if_error_secs: secs(answer.stale_if_error),
        tags: tags(&answer.tags),
        more: more_of_response(
            answer.error_ttl,
            answer.expiry,
            answer.admit,
            &answer.fields,
        ),
        reason: answer.reason.clone(),
    }
}

/// The responses stored under the key, the latest first.
fn stored(explanation: &Explanation) -> Vec<StoredVariant> {
    let variants = explanation.stored.iter();
    variants
        .flat_map(|variants| variants.all())
        .map(|stored| stored_variant(explanation, stored))
        .collect()
}

fn stored_variant(explanation: &Explanation, stored: &StoredResponse) -> StoredVariant {
    let at = explanation.exchange.at;
    let selected = explanation.selected.as_ref();
    let head = &stored.head;
    let freshness = match explanation.exchange.floor.at_most {
        Some(bound) => head.freshness.bounded(bound),
        None => head.freshness,
    };
    let vary = head.secondary_key.fields().iter();
    StoredVariant {
        selected: selected.is_some_and(|selected| selected.id == stored.id),
        status: head.status.as_u16(),
        bytes: stored.body.len(),
        vary: vary.map(|name| name.as_str().to_owned()).collect(),
        age_secs: freshness.age(at).as_secs(),
        lifetime_secs: freshness.lifetime().as_secs(),
        lifetime_from: freshness.source().as_str().to_owned(),
        fresh: freshness.is_fresh(at),
        fresh_for_secs: freshness.remaining_secs(at),
        served_while_revalidated: freshness.allows_while_revalidate(at),
        served_if_the_origin_fails: freshness.allows_if_error(at),
        tags: head.fields.tags().map(str::to_owned).collect(),
        warmed: head.warm_run.is_some(),
        reason: head.fields.detail().map(str::to_owned),
    }
}
