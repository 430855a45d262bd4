//! `[[site.route]]`.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use ipnet::IpNet;

use super::basic_auth::BasicAuth;
use super::field_edits;
use super::redirect::Redirect;
use super::respond::Respond;
use crate::forms;
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
        methods: Vec<http::Method> = rule("all", Vec::new()), Texts("a method, such as `GET`")
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
        /// As `default_ttl` of the site, which counts for what this one doesn't name.
        default_ttl: DefaultTtls = {}, Table => forms::default_ttl;
    }
}
