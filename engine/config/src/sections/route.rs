//! `[[site.route]]`.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method};
use ipnet::IpNet;

use super::balance::{Balance, Retry};
use super::basic_auth::BasicAuth;
use super::compress::{self, Compress, RouteCompress};
use super::field_edits;
use super::origin::Origin;
use super::redirect::Redirect;
use super::respond::Respond;
use crate::forms;
use crate::mistakes::{Mistake, did_you_mean};
use crate::reader::TableReader;
use tero_semantics::decision::QueryRule;
use tero_semantics::default_ttl::DefaultTtls;
use tero_semantics::field_edits::FieldEdits;
use tero_semantics::path::PathPattern;

section! {
    /// What holds for some paths of a site. Routes are tried in the order of the file: the first
    /// that matches applies, and no other. See operating.md.
    #[derive(Clone, Debug, PartialEq)]
    [[site.route]]
    pub struct Route {
        place: FilePosition;
        /// The name in metrics, the access log and explanations; unique in its site.
        name: Option<Arc<str>> = rule("none: it is not counted by itself"),
            Text("1 to 64 of `a-z`, `0-9`, `-`, `_`") => forms::name;
        /// The paths that it is for. `*` matches any text, slashes included.
        paths as "match": Vec<PathPattern> = required,
            Texts("a path pattern, such as `/api/*`; at least one")
            => forms::path_pattern,
            at_least_one("write the paths, [\"/api/*\"], or [\"*\"] for all");
        /// The methods that it is for. `GET` includes HEAD.
        methods: Vec<Method> = rule("all", Vec::new()), Texts("a method, such as `GET`")
            => forms::method, distinct();
        /// Networks whose clients may use it; all if it is empty. Others get 403.
        allow: Vec<IpNet> = [], Texts("a network such as `10.0.0.0/8`, or an address")
            => forms::network, distinct();
        /// Networks whose clients may not use it, even if `allow` has them.
        deny: Vec<IpNet> = [], Texts("a network such as `10.0.0.0/8`, or an address")
            => forms::network, distinct();
        /// See `[site.route.auth]`.
        auth: Option<BasicAuth> = rule("none"), Nested(BasicAuth);
        /// See `[site.route.redirect]`.
        redirect: Option<Redirect> = rule("none"), Nested(Redirect);
        /// See `[site.route.respond]`.
        respond: Option<Respond> = rule("none"), Nested(Respond);
        /// The names of the origins that its requests go to, in place of the site's. They rest and
        /// fail by themselves; `max_fetches`, the retry budget and the circuit breaker are the
        /// route's own. See origins.md.
        origins: Vec<Arc<str>> = rule("those of the site", Vec::new()),
            Texts("the name of a `[[site.origin]]`") => forms::name, distinct();
        /// As `[site.balance]`, in its place.
        balance: Option<Balance> = rule("that of the site"), Nested(Balance);
        /// As `[site.retry]`, in its place as a whole.
        retry: Option<Retry> = rule("that of the site"), Nested(Retry);
        /// As `max_fetches` of the site, for the requests of the route alone.
        max_fetches: Option<usize> = rule("that of the site"), Count(1, 100_000);
        /// Maximum time to open a connection to an origin, in place of the site's.
        connect_timeout: Option<Duration> = rule("that of the site"), Duration("10ms", "1min");
        /// Maximum time for a request without a body over all origins, in place of the site's.
        deadline: Option<Duration> = rule("that of the site"), Duration("100ms", "1h");
        /// Maximum time to the head of the origin's response, in place of the site's.
        response_timeout: Option<Duration> = rule("that of the site"), Duration("10ms", "10min");
        /// Maximum time between two pieces of a body, in place of the site's.
        body_timeout: Option<Duration> = rule("that of the site"), Duration("10ms", "10min");
        /// Fields that requests to the origin get and lose, after those of the site. See
        /// operating.md.
        request_fields: FieldEdits = rule("none", FieldEdits::default()),
            Text("`{ set = { NAME = \"VALUE\" }, remove = [\"NAME\"] }`") by field_edits::of_requests;
        /// Fields that responses to clients get and lose, after those of the site.
        response_fields: FieldEdits = rule("none", FieldEdits::default()),
            Text("`{ set = { NAME = \"VALUE\" }, remove = [\"NAME\"] }`") by field_edits::of_responses;
        /// As `cache_control` of the site, in its place.
        cache_control: Option<HeaderValue> = rule("that of the site"),
            Text("directives, such as `public, max-age=60`")
            => forms::cache_control;
        /// As `cache_control_at_most` of the site, in its place.
        cache_control_at_most: Option<Duration> = rule("that of the site"), Duration("0s", "1y");
        /// As `query` of the site, in its place.
        query: Option<QueryRule> = rule("that of the site"),
            Text("`\"all\"`, `\"none\"`, `{ keep = [\"page\"] }` or `{ drop = [\"utm_*\"] }`")
            by forms::query_rule;
        /// `false`, or a table as `[site.compress]`, in its place.
        compress: RouteCompress = rule("as the site says", RouteCompress::default()),
            Nested(Compress) by compress::of_route;
        /// As `default_ttl` of the site, which counts for what this one doesn't name.
        default_ttl: DefaultTtls = {}, Table => forms::default_ttl;
    }
}

impl Route {
    /// Whether it is for requests with this method. `GET` includes HEAD.
    pub fn takes(&self, method: &Method) -> bool {
        let asked = match *method {
            Method::HEAD => &Method::GET,
            _ => method,
        };
        self.methods.is_empty() || self.methods.contains(method) || self.methods.contains(asked)
    }

    /// Whether it is for a request with this method, and for its path as it came.
    pub fn is_for(&self, method: &Method, path: &str) -> bool {
        self.takes(method) && self.paths.iter().any(|pattern| pattern.matches(path))
    }

    /// The keys that are written and say which origins its requests go to, or how.
    fn keys_of_origins(&self) -> Vec<&'static str> {
        [
            ("origins", !self.origins.is_empty()),
            ("balance", self.balance.is_some()),
            ("retry", self.retry.is_some()),
            ("max_fetches", self.max_fetches.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, is_written)| is_written.then_some(key))
        .collect()
    }

    /// Whether its requests reach origins by themselves: with places, a retry budget and a circuit
    /// breaker of their own.
    pub fn has_own_origins(&self) -> bool {
        !self.keys_of_origins().is_empty()
    }

    /// Refuses origins that the site doesn't have, and a route that could not be told of.
    pub(super) fn check_origins(&self, reader: &TableReader<'_>, site: &[Origin]) {
        if let (Some(key), None) = (self.keys_of_origins().first(), &self.name) {
            let problem = "a route with origins of its own has no name";
            let cure = "write name = \"…\": metrics and `tero origins` use it";
            reader.refuse(key, Mistake::new(problem, cure));
        }
        let names = || site.iter().filter_map(|origin| origin.name.as_deref());
        let unknown = self
            .origins
            .iter()
            .find(|name| !names().any(|own| own == &***name));
        if let Some(name) = unknown {
            let known: Vec<&str> = names().collect();
            let cure = match (did_you_mean(name, names()), known.is_empty()) {
                (Some(meant), _) => format!("did you mean `{meant}`?"),
                (None, true) => "write [[site.origin]] with a name and its url".to_owned(),
                (None, false) => format!("the names of [[site.origin]] are {}", known.join(", ")),
            };
            let problem = format!("the site has no origin with the name {name}");
            reader.refuse("origins", Mistake::new(problem, cure));
            return;
        }
        let mut own = site.iter().filter(|origin| self.names(origin)).peekable();
        if own.peek().is_some() && own.all(|origin| origin.backup) {
            let problem = "every origin of the route is a backup";
            let cure = "name one without `backup` too";
            reader.refuse("origins", Mistake::new(problem, cure));
        }
    }

    /// Whether `origins` names this one.
    pub fn names(&self, origin: &Origin) -> bool {
        let mut own = self.origins.iter();
        own.any(|name| origin.name.as_deref() == Some(&**name))
    }
}
