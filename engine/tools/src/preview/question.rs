//! Asks one policy what it decides about one URL at a moment.

use std::cell::Cell;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};

use super::decision::PreviewDecision;
use tero_config as config;
use tero_policy_host::compare::{request_words, response_words};
use tero_policy_host::device::{Device, DeviceSource};
use tero_policy_host::{Chain, ClientFacts, PolicyRequest, PolicyResponse};
use tero_semantics::decision::{
    LookupDecision, RequestDecision, ResponseDecision, StoringDecision,
};
use tero_semantics::key::{self, KeyParts};
use tero_semantics::timestamp::Timestamp;

/// How often a failing policy is asked the same question: on a busy machine it misses deadlines.
const ATTEMPTS: usize = 5;

/// The policy to ask, and the policies that it works with.
#[derive(Clone, Copy)]
pub(super) struct PolicyUnderPreview<'a> {
    pub(super) name: &'a str,
    /// A chain of this policy only.
    pub(super) alone: &'a Chain,
    /// All policies of the site.
    pub(super) site: &'a Chain,
}

/// A request to ask about.
#[derive(Clone, Copy)]
pub(super) struct RequestTarget<'a> {
    pub(super) site: &'a config::Site,
    pub(super) host: &'a str,
    /// A path with its query.
    pub(super) url: &'a str,
    pub(super) device: Device,
}

/// A policy and a request, ready to be asked about at any moment.
pub(super) struct UrlQuestion<'a> {
    alone: &'a Chain,
    policy: &'a str,
    host: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    device: Device,
    /// The variant that the policies of the site decide on together at the beginning.
    variant: Option<String>,
    headers: HeaderMap,
    key: Vec<u8>,
    unanswered: Cell<u64>,
}

impl<'a> UrlQuestion<'a> {
    /// A question about `target`. Its key and variant are those of the moment `from`.
    pub(super) fn new(
        policy: &PolicyUnderPreview<'a>,
        target: RequestTarget<'a>,
        from: Timestamp,
    ) -> UrlQuestion<'a> {
        let (path, query) = match target.url.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target.url, None),
        };
        let mut question = UrlQuestion {
            alone: policy.alone,
            policy: policy.name,
            host: target.host,
            path,
            query,
            device: target.device,
            variant: None,
            headers: HeaderMap::new(),
            key: Vec::new(),
            unanswered: Cell::new(0),
        };
        let decision = policy.site.on_request(&question.request(), from);
        question.variant = decision.variant.as_deref().map(str::to_owned);
        let route = target.site.route_of(&Method::GET, path);
        let rule = target.site.query_rule(route, &decision.query);
        let query = key::canonical_query(query, rule);
        let parts = KeyParts {
            scheme: "http",
            authority: target.host,
            path,
            query: query.as_deref(),
            variant: decision.variant.as_deref(),
        };
        key::write_key(&mut question.key, &parts);
        if let Some(extended) = &decision.extended {
            key::write_suffix(&mut question.key, &extended.key_suffix());
        }
        question
    }

    /// What the policy decides at that moment about a request for the URL and a 200 without fields.
    ///
    /// A policy that fails decides nothing, which would look like a change: it is asked again.
    pub(super) fn ask(&self, now: Timestamp) -> PreviewDecision {
        for _ in 0..ATTEMPTS {
            let before = self.failures();
            let decision = self.ask_once(now);
            if self.failures() == before {
                return decision;
            }
        }
        self.unanswered.set(self.unanswered.get() + 1);
        self.ask_once(now)
    }

    /// At how many moments the policy failed every time.
    pub(super) fn unanswered(&self) -> u64 {
        self.unanswered.get()
    }

    fn failures(&self) -> u64 {
        let policies = self.alone.policies().iter();
        policies.map(|policy| policy.counters().failures()).sum()
    }

    fn ask_once(&self, now: Timestamp) -> PreviewDecision {
        let response = PolicyResponse {
            status: StatusCode::OK,
            headers: &self.headers,
            length: None,
            header_ttl: None,
            header_browser_ttl: None,
            key: &self.key,
        };
        let of_request = self.alone.on_request(&self.request(), now);
        let of_response = self.alone.on_response(&self.request(), &response, now);
        self.decision(&of_request, of_response)
    }

    fn request(&self) -> PolicyRequest<'_> {
        PolicyRequest {
            method: &Method::GET,
            scheme: "http",
            host: self.host,
            path: self.path,
            query: self.query,
            headers: &self.headers,
            device: self.device,
            device_source: DeviceSource::default(),
            client: ClientFacts::default(),
            route: None,
            variant: self.variant.as_deref(),
        }
    }

    fn decision(&self, request: &RequestDecision, response: ResponseDecision) -> PreviewDecision {
        let secs = |duration: Option<Duration>| duration.map(|duration| duration.as_secs());
        let mut more = request_words(request.extended.as_deref());
        more.extend(response_words(
            response.error_ttl,
            response.expiry,
            response.admit,
            &response.fields,
        ));
        let reason = response.reason.or_else(|| request.reason.clone());
        PreviewDecision {
            pass: request.lookup == LookupDecision::Pass,
            variant: request.variant.as_deref().map(str::to_owned),
            storing: match response.storing {
                StoringDecision::ByHeaders => "by-headers",
                StoringDecision::Never => "never",
                StoringDecision::Always => "always",
            },
            ttl_secs: secs(response.ttl),
            browser_ttl_secs: secs(response.browser_ttl),
            stale_while_revalidate_secs: secs(response.stale_while_revalidate),
            stale_if_error_secs: secs(response.stale_if_error),
            more,
            reason: reason.map(|reason| self.without_name(&reason).to_owned()),
        }
    }

    /// A reason without the policy's name before it: only this policy was asked.
    fn without_name<'r>(&self, reason: &'r str) -> &'r str {
        let rest = reason.strip_prefix(self.policy).unwrap_or(reason);
        rest.trim_start_matches(": ")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn keys_have_what_the_site_and_the_route_say_of_the_query() {
        let text = "[[site]]\nname = \"shop\"\nhosts = [\"shop.example\"]\norigins = [\"http://127.0.0.1:1\"]\n\
                    query = { drop = [\"utm_*\"] }\n\
                    [[site.route]]\nmatch = [\"/static/*\"]\nquery = \"none\"\n\
                    [[site.route]]\nmatch = [\"/post/*\"]\nmethods = [\"POST\"]\nquery = \"none\"";
        let config = config::Config::parse(text, "tero.toml", Path::new("")).unwrap();
        let host = tero_policy_host::Host::new(&config::PolicyHost {
            compiled_cache: None,
            ..Default::default()
        })
        .unwrap();
        let chain = Chain::new(&host, Vec::new(), 1).unwrap();
        let policy = PolicyUnderPreview {
            name: "none",
            alone: &chain,
            site: &chain,
        };
        for (url, expected) in [
            ("/a?utm_x=1&page=2", "http://shop.example/a?page=2"),
            ("/static/a.css?v=1", "http://shop.example/static/a.css"),
            ("/post/a?v=1", "http://shop.example/post/a?v=1"),
        ] {
            let target = RequestTarget {
                site: &config.sites[0],
                host: "shop.example",
                url,
                device: Device::Unknown,
            };
            let question = UrlQuestion::new(&policy, target, Timestamp::from_unix_secs(1_000));
            assert_eq!(key::url_of(&question.key), expected);
        }
    }
}
