//! A policy that decides as its settings say, in everything that contract 0.2 lets it decide.
//!
//! Settings are lists of rules for `on_request` and `on_response`. The first rule whose `path` the path
//! begins with, and whose `agent` the user agent contains, gives the decision. The manifest names what
//! the rules use; `cookies`, `headers`, `origins` and `rate_classes` name more. In texts, `{path}`,
//! `{query}`, `{cookie:NAME}`, `{header:NAME}`, `{country}`, `{region}`, `{route}` and `{source}` (how
//! the device class was found) stand for what the policy is told, or for nothing.

use std::collections::BTreeMap;

use tero_policy::{
    Answer, DeviceSource, Duration, Manifest, Moment, Policy, Request, RequestDecision, Response,
    ResponseDecision,
};

type Fields = BTreeMap<String, String>;

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Deciding {
    on_request: Vec<RequestRule>,
    on_response: Vec<ResponseRule>,
    cookies: Vec<String>,
    headers: Vec<String>,
    origins: Vec<String>,
    rate_classes: Vec<String>,
    client: bool,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RequestRule {
    path: String,
    agent: String,
    pass: bool,
    only_query: Option<Vec<String>>,
    key_parts: Fields,
    rewrite_path: Option<String>,
    rewrite_query: Option<String>,
    origin: Option<String>,
    set_request: Fields,
    remove_request: Vec<String>,
    set_response: Fields,
    remove_response: Vec<String>,
    answer: Option<OwnAnswer>,
    log_tag: Option<String>,
    rate_class: Option<String>,
    reason: Option<String>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OwnAnswer {
    status: u16,
    fields: Fields,
    body: String,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ResponseRule {
    path: String,
    agent: String,
    ttl: Option<u64>,
    error_ttl: Option<u64>,
    stale_if_error: Option<u64>,
    purge_at: Option<u64>,
    stale_at: Option<u64>,
    admit: Option<bool>,
    set: Fields,
    remove: Vec<String>,
}

impl Policy for Deciding {
    type Settings = Deciding;

    fn configure(settings: Deciding) -> Result<Deciding, String> {
        Ok(settings)
    }

    fn manifest(&self) -> Manifest {
        let mut manifest = Manifest::new()
            .on_request()
            .on_response()
            .query()
            .rewrites()
            .answers()
            .log_tags()
            .refuses_admission()
            .error_ttls()
            .expires();
        if self.client {
            manifest = manifest.country().region().route().device_source();
        }
        let agents = self.on_request.iter().map(|rule| &rule.agent);
        let mut agents = agents.chain(self.on_response.iter().map(|rule| &rule.agent));
        if agents.any(|agent| !agent.is_empty()) {
            manifest = manifest.header("user-agent");
        }
        for name in &self.headers {
            manifest = manifest.header(name);
        }
        for name in &self.cookies {
            manifest = manifest.cookie(name);
        }
        let named =
            |of: fn(&RequestRule) -> Vec<String>| distinct(self.on_request.iter().flat_map(of));
        manifest
            .key_parts(named(|rule| rule.key_parts.keys().cloned().collect()))
            .request_edits(named(|rule| {
                rule.set_request
                    .keys()
                    .chain(&rule.remove_request)
                    .cloned()
                    .collect()
            }))
            .response_edits(named(|rule| {
                rule.set_response
                    .keys()
                    .chain(&rule.remove_response)
                    .cloned()
                    .collect()
            }))
            .stored_edits(distinct(
                self.on_response
                    .iter()
                    .flat_map(|rule| rule.set.keys().chain(&rule.remove).cloned()),
            ))
            .origins(distinct(
                named(|rule| rule.origin.iter().cloned().collect())
                    .into_iter()
                    .filter(|name| !name.contains('{'))
                    .chain(self.origins.iter().cloned()),
            ))
            .rate_classes(distinct(
                named(|rule| rule.rate_class.iter().cloned().collect())
                    .into_iter()
                    .chain(self.rate_classes.iter().cloned()),
            ))
    }

    fn on_request(&self, request: &Request, _: &Moment) -> RequestDecision {
        let mut rules = self.on_request.iter();
        let Some(rule) = rules.find(|rule| is_for(&rule.path, &rule.agent, request)) else {
            return RequestDecision::new();
        };
        let mut decision = match rule.pass {
            true => RequestDecision::pass(),
            false => RequestDecision::new(),
        };
        if let Some(names) = &rule.only_query {
            decision = decision.only_query(names.clone());
        }
        for (name, value) in &rule.key_parts {
            decision = decision.key_part(name, filled(value, request));
        }
        if let Some(path) = &rule.rewrite_path {
            decision = decision.rewrite_path(filled(path, request));
        }
        if let Some(query) = &rule.rewrite_query {
            decision = decision.rewrite_query(filled(query, request));
        }
        if let Some(origin) = &rule.origin {
            decision = decision.origin(filled(origin, request));
        }
        for (name, value) in &rule.set_request {
            decision = decision.set_request_field(name, filled(value, request));
        }
        for name in &rule.remove_request {
            decision = decision.remove_request_field(name);
        }
        for (name, value) in &rule.set_response {
            decision = decision.set_response_field(name, filled(value, request));
        }
        for name in &rule.remove_response {
            decision = decision.remove_response_field(name);
        }
        if let Some(own) = &rule.answer {
            let mut answer = Answer::new(own.status).body(filled(&own.body, request));
            for (name, value) in &own.fields {
                answer = answer.field(name, filled(value, request));
            }
            decision = decision.answer(answer);
        }
        if let Some(tag) = &rule.log_tag {
            decision = decision.log_tag(filled(tag, request));
        }
        if let Some(class) = &rule.rate_class {
            decision = decision.rate_class(class);
        }
        match &rule.reason {
            Some(reason) => decision.because(reason),
            None => decision,
        }
    }

    fn on_response(&self, request: &Request, _: &Response, _: &Moment) -> ResponseDecision {
        let mut rules = self.on_response.iter();
        let Some(rule) = rules.find(|rule| is_for(&rule.path, &rule.agent, request)) else {
            return ResponseDecision::by_headers();
        };
        let mut decision = ResponseDecision::by_headers();
        if let Some(ttl) = rule.ttl {
            decision = decision.ttl(Duration::from_secs(ttl));
        }
        if let Some(ttl) = rule.error_ttl {
            decision = decision.error_ttl(Duration::from_secs(ttl));
        }
        if let Some(window) = rule.stale_if_error {
            decision = decision.stale_if_error(Duration::from_secs(window));
        }
        if let Some(at) = rule.purge_at {
            decision = decision.purge_at(at);
        }
        if let Some(at) = rule.stale_at {
            decision = decision.stale_at(at);
        }
        if let Some(admit) = rule.admit {
            decision = decision.admit(admit);
        }
        for (name, value) in &rule.set {
            decision = decision.set_field(name, filled(value, request));
        }
        for name in &rule.remove {
            decision = decision.remove_field(name);
        }
        decision
    }
}

fn is_for(path: &str, agent: &str, request: &Request) -> bool {
    let own = request.header("user-agent").unwrap_or_default();
    request.path.starts_with(path) && own.contains(agent)
}

fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}

/// A text with what its names in braces stand for.
fn filled(text: &str, request: &Request) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        filled.push_str(before);
        filled.push_str(meant(name, request).unwrap_or_default());
        rest = after;
    }
    filled + rest
}

fn meant<'r>(name: &str, request: &Request<'r>) -> Option<&'r str> {
    if let Some(cookie) = name.strip_prefix("cookie:") {
        return request.cookie(cookie);
    }
    if let Some(header) = name.strip_prefix("header:") {
        return request.header(header);
    }
    match name {
        "path" => Some(request.path),
        "query" => request.query,
        "country" => request.client.country,
        "region" => request.client.region,
        "route" => request.route,
        "source" => Some(match request.device_source {
            DeviceSource::ClientHints => "hints",
            DeviceSource::UserAgent => "agent",
            DeviceSource::Nothing => "nothing",
        }),
        _ => None,
    }
}

tero_policy::export!(Deciding);
