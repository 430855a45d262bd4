//! Fields of requests to the origin and of responses, by path: set, or removed. The first rule for a path is used.

use std::collections::BTreeMap;

use tero_policy::{
    Manifest, Moment, PathPattern, Policy, Request, RequestDecision, Response, ResponseDecision,
};

/// The settings: `{ rules = [{ path = "/embed/*", response = { content-security-policy = "frame-ancestors *" } }] }`
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderRules {
    rules: Vec<Rule>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    path: PathPattern,
    /// In the request to the origin. It becomes part of the key.
    #[serde(default)]
    request: Edits,
    /// In every response to a client, hits too.
    #[serde(default)]
    response: Edits,
    /// In a response before it is stored.
    #[serde(default)]
    stored: Edits,
}

/// Fields with their values; an empty value removes the field.
type Edits = BTreeMap<String, String>;

impl HeaderRules {
    fn rule(&self, path: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.path.matches(path))
    }

    /// The names of the fields that any rule changes.
    fn names(&self, of: impl Fn(&Rule) -> &Edits) -> Vec<String> {
        let names = self.rules.iter().flat_map(|rule| of(rule).keys().cloned());
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Policy for HeaderRules {
    type Settings = HeaderRules;

    fn configure(settings: HeaderRules) -> Result<HeaderRules, String> {
        Ok(settings)
    }

    fn manifest(&self) -> Manifest {
        Manifest::new()
            .on_request()
            .on_response()
            .path_patterns(self.rules.iter().map(|rule| &rule.path))
            .request_edits(self.names(|rule| &rule.request))
            .response_edits(self.names(|rule| &rule.response))
            .stored_edits(self.names(|rule| &rule.stored))
    }

    fn on_request(&self, request: &Request<'_>, _: &Moment<'_>) -> RequestDecision {
        let mut decision = RequestDecision::new();
        let Some(rule) = self.rule(request.path) else {
            return decision;
        };
        for (name, value) in &rule.request {
            decision = match value.is_empty() {
                true => decision.remove_request_field(name),
                false => decision.set_request_field(name, value),
            };
        }
        for (name, value) in &rule.response {
            decision = match value.is_empty() {
                true => decision.remove_response_field(name),
                false => decision.set_response_field(name, value),
            };
        }
        decision
    }

    fn on_response(
        &self,
        request: &Request<'_>,
        _: &Response<'_>,
        _: &Moment<'_>,
    ) -> ResponseDecision {
        let mut decision = ResponseDecision::by_headers();
        let Some(rule) = self.rule(request.path) else {
            return decision;
        };
        for (name, value) in &rule.stored {
            decision = match value.is_empty() {
                true => decision.remove_field(name),
                false => decision.set_field(name, value),
            };
        }
        decision
    }
}

tero_policy::export!(HeaderRules);
