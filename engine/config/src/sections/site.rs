//! `[[site]]`.

mod rules;

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use http::{HeaderValue, Method};
use ipnet::IpNet;

use super::at_most::AtMostRule;
use super::balance::{Balance, Health, Retry};
use super::cluster::WhenBlind;
use super::compress::Compress;
use super::country::CountrySource;
use super::error_page::ErrorPage;
use super::field_edits;
use super::hsts::Hsts;
use super::https_redirect::{self, HttpsRedirect};
use super::never::NeverRule;
use super::origin::{self, Origin};
use super::refresh_ahead::RefreshAhead;
use super::route::Route;
use super::shield::Shield;
use super::site_purge::SitePurge;
use crate::files::BaseDir;
use crate::forms::{self, OriginAddress};
use crate::reader::TableReader;
use tero_semantics::cookies::CookiePattern;
use tero_semantics::decision::QueryRule;
use tero_semantics::default_ttl::DefaultTtls;
use tero_semantics::field_edits::FieldEdits;
use tero_semantics::operator_floor::{BoundedPaths, LifetimeBound, OperatorFloor};
use tero_semantics::request_fields::FieldPattern;
use tero_semantics::reuse::ClientDirectives;
use tero_semantics::storability::CrawlerAdmission;
use tero_semantics::storability::FloorExceptions;

section! {
    /// Hosts and the application behind them; at least one site.
    #[derive(Clone, Debug)]
    [[site]]
    pub struct Site {
        place: FilePosition;
        /// The name that plans, purges and metrics use; unique.
        name: Arc<str> = required, Text("1 to 64 of `a-z`, `0-9`, `-`, `_`") => forms::name;
        /// The hosts of the site. `*.example.org` matches every name below `example.org` at any depth,
        /// `*` every host. An exact host goes before the longest name below which a host is, and that
        /// before `*`. A port of a request counts if it is named here or is one of `[server] listen`;
        /// any other is dropped.
        hosts: Vec<String> = required,
            Texts("a host name or address, with or without a port, `*.NAME`, or `*`; at least one")
            => forms::host,
            at_least_one("name the hosts that it answers for, or write [\"*\"]");
        /// The next hops. Fetches go to them in turn; an origin that can't be reached is left out
        /// for a while.
        origins: Vec<OriginAddress> = [],
            Texts("`http://HOST[:PORT]`, `https://HOST[:PORT]` or `unix:/PATH`")
            => forms::origin,
            at_least_one("write at least one, [\"http://127.0.0.1:3000\"]"),
            distinct();
        /// The next hops, each with settings of its own; in place of `origins`. See
        /// `[[site.origin]]`.
        next_hops as "origin": Vec<Origin> = rule("those of `origins`", Vec::new()),
            NestedList(Origin);
        /// See `[site.balance]`.
        balance: Balance = {}, Nested(Balance);
        /// See `[site.health]`.
        health: Health = {}, Nested(Health);
        /// See `[site.retry]`.
        retry: Retry = {}, Nested(Retry);
        /// See `[site.shield]`.
        shield: Option<Shield> = rule("none: the origins are asked"), Nested(Shield);
        /// Maximum time for a request without a body until the head of its response, over all
        /// origins that are tried.
        deadline: Duration = "60s", Duration("100ms", "1h");
        /// The `Host` that is sent to the origin.
        host_header: Option<String> = rule("the host of the request"), Text("`HOST[:PORT]`")
            => forms::host_header;
        /// What becomes of request fields with an underscore in their name. CGI and WSGI can't tell
        /// `X_Tenant` from `X-Tenant`, so `pass` is for applications that need such fields.
        underscores: UnderscoreFields = "drop",
            OneOf("drop" => UnderscoreFields::Drop, "pass" => UnderscoreFields::Pass);
        /// If it is not empty, only these request fields are forwarded, and those without which the
        /// request would mean something else. Policies and `Vary` see no others either.
        forward_fields: Vec<FieldPattern> = [],
            Texts("a field name, or how names begin: `x-app-*`")
            => forms::forwarded_field, distinct();
        /// The policies of the site, asked in this order.
        policies: Vec<Arc<str>> = [], Texts("the name of a `[[policy]]`")
            => forms::name, distinct();
        /// Parts of the safety floor that a policy may lift on this site with `always`.
        policy_may_override: FloorExceptions = [],
            SomeOf("set-cookie", "authorization", "private", "no-store", "no-cache")
            => floor_exceptions;
        /// Cookies that make a request a pass, in any spelling that an application may read: it is
        /// not looked up, and its answer is not stored. For pages that depend on who is logged in.
        pass_cookies: Vec<CookiePattern> = [],
            Texts("the name of a cookie, or its beginning followed by `*`") => forms::cookie,
            distinct();
        /// Cookies that don't count and are not sent on, as if the client had not sent them. A
        /// cookie that `pass_cookies` names is never ignored.
        ignore_cookies: Vec<CookiePattern> = [],
            Texts("the name of a cookie, or its beginning followed by `*`") => forms::cookie,
            distinct();
        /// How many values the parts of keys may have that policies choose beyond variants, each
        /// combination counted as one. Beyond it, requests with new values pass, until one was not
        /// asked for a day.
        max_key_values: usize = 1000, Count(1, 1_000_000);
        /// The time zone of the hours in `/stats`.
        zone: Option<Tz> = rule("the zone of its first policy that has one, else UTC"),
            Text("an IANA zone") => forms::zone;
        /// Maximum number of concurrent requests to the origins. Further requests wait for up to
        /// `connect_timeout`.
        max_fetches: usize = 256, Count(1, 100_000);
        /// How long a request keeps its place among `max_fetches` while the edge waits for the
        /// client: for the body of its request, or until it accepts a response that only this
        /// client reads. After that, another request may take the place.
        release_fetch_after: Duration = "1s", Duration("0s", "10min");
        /// Maximum number of connections to the origins that are in use, also by requests that have
        /// lost their place among `max_fetches`. Idle connections and tunnels don't count. Further
        /// requests wait for up to `connect_timeout`.
        max_origin_connections: usize
            = rule("four times `max_fetches`", max_fetches.saturating_mul(4)),
            Count(1, 1_000_000);
        /// Maximum number of requests that wait for one of `max_fetches`. Further ones get a 503 at
        /// once. Of the requests for one URL, one stands in the queue, and warming waits until a
        /// quarter of `max_fetches` is free.
        max_waiting: usize = rule("four times `max_fetches`", max_fetches.saturating_mul(4)),
            Count(1, 1_000_000);
        /// How much of a request's body is read before the request takes one of `max_fetches`. A
        /// body that fits may be sent again where the request may. A longer body is streamed from
        /// then on. At most `max_connections` times as much memory is
        /// used.
        request_buffer: u64 = "16KiB", Size("0B", "1MiB");
        /// How often the names of origins are looked up. Connections to addresses that a name no
        /// longer has are closed after their request.
        look_up_every: Duration = "30s", Duration("1s", "1d");
        /// How long a connection to an origin is used for further requests.
        max_connection_age: Duration = "10min", Duration("1s", "1d");
        /// Maximum time to open a connection to an origin, the TLS handshake included.
        connect_timeout: Duration = "3s", Duration("10ms", "1min");
        /// Maximum time from the end of a request to the head of its response. While a request is
        /// being sent, it is the maximum time for which the origin may accept no byte.
        response_timeout: Duration = "30s", Duration("10ms", "10min");
        /// Maximum time between two pieces of a body.
        body_timeout: Duration = "30s", Duration("10ms", "10min");
        /// Whether `Expect: 100-continue` goes on to the origin, and the client sends its content
        /// only when the origin wants it. Otherwise the edge wants it itself.
        expect_continue: bool = false, Flag;
        /// With `expect_continue`: how long the origin may say nothing before the client is told to
        /// send its content all the same.
        expect_continue_timeout: Duration = "1s", Duration("10ms", "1min");
        /// Protocols that clients may switch to with `Upgrade`. Others are ignored.
        upgrades: Vec<String> = ["websocket"], Texts("a protocol name") => forms::protocol;
        /// Maximum number of open connections that have switched protocols. Beyond it: 503.
        max_tunnels: usize = 1000, Count(1, 1_000_000);
        /// Maximum silence of both sides of a tunnel.
        tunnel_idle_timeout: Duration = "5min", Duration("1s", "24h");
        /// The `Cache-Control` that takes the place of the one of responses, and of their targeted
        /// fields, `Expires` and `Pragma`: for what is decided, and for clients. Not of errors, nor
        /// where the safety floor keeps a response from being stored.
        cache_control: Option<HeaderValue> = rule("what the response says"),
            Text("directives, such as `public, max-age=60`")
            => forms::cache_control;
        /// The greatest lifetime and stale window that responses may give themselves, for what is
        /// decided and for clients: greater ones are lowered.
        cache_control_at_most: Option<Duration> = rule("none"), Duration("0s", "1y");
        /// Which query parameters count, sorted by name: for the key, and for the origin if the
        /// response may be stored. `drop` and `keep` have names, or how names begin: `utm_*`. A rule of
        /// a policy goes before it.
        query: Option<QueryRule> = rule("all, as they are"),
            Text("`\"all\"`, `\"none\"`, `{ keep = [\"page\"] }` or `{ drop = [\"utm_*\"] }`")
            by forms::query_rule;
        /// The lifetimes of responses that give none, by content type or status: `{ "text/html" =
        /// "1min", "image/*" = "1d", 404 = "30s" }`, `1s` to `1y` each. Not for `no-cache`. See
        /// operating.md.
        default_ttl: DefaultTtls = {}, Table => forms::default_ttl;
        /// Whether `default_ttl` counts for requests with cookies too, ignored ones aside.
        default_ttl_with_cookies: bool = false, Flag;
        /// How long a response that was fresh may be served stale while the origin can't be
        /// reached, breaks off, takes too long or answers 5xx; used if neither policy nor response
        /// sets it. Never against `must-revalidate`, `proxy-revalidate`, `no-cache` or `s-maxage`.
        stale_if_error: Duration = "1h", Duration("0s", "1y");
        /// What happens to stored responses while the node may miss purges of its `[cluster]`: they are
        /// served as ever, are revalidated before each use, or are revalidated and served if the origin
        /// fails. See cluster.md.
        when_blind: WhenBlind = "serve",
            OneOf(
                "serve" => WhenBlind::Serve,
                "revalidate" => WhenBlind::Revalidate,
                "stale-if-error" => WhenBlind::StaleIfError
            );
        /// How long a response may be served stale while it is revalidated; used if neither policy
        /// nor response sets it.
        stale_while_revalidate: Duration = "0s", Duration("0s", "1y");
        /// How long a failure of the origin is remembered for a URL of which nothing is stored that
        /// may stand in: no connection, no answer in time, or a status of 502, 503 or 504. Requests
        /// for the URL get the same error meanwhile.
        error_ttl: Duration = "1s", Duration("0s", "1h");
        /// Whether `Cache-Control` and `Pragma` of requests are obeyed. `ignore` protects the
        /// origin; `no-store` and `only-if-cached` are always obeyed.
        client_directives: ClientDirectives = "ignore",
            OneOf("ignore" => ClientDirectives::Ignore, "obey" => ClientDirectives::Obey);
        /// What becomes of a response that a crawler fetched, if no policy decides (`admit`): `admit`
        /// stores it like any other. `serve` sends it and doesn't store it, so that pages which only
        /// crawlers read push no others out. What is stored is sent to crawlers either way. A crawler
        /// is a client of the device class `bot`: monitors and libraries too.
        crawlers: CrawlerAdmission = "admit",
            OneOf("serve" => CrawlerAdmission::Serve, "admit" => CrawlerAdmission::Admit);
        /// Targeted cache-control fields (RFC 9213). The first that is present and valid applies.
        targeted_fields: Vec<http::HeaderName> = ["tero-cache-control", "cdn-cache-control"],
            Texts("a field name") => forms::field;
        /// The networks that are told the surrogate keys of responses, with `Surrogate-Key`: other
        /// edges of yours, or a CDN in front. All others get no field with such keys. It is the
        /// address that opened the connection that counts.
        surrogate_keys_to: Vec<IpNet> = [], Texts("a network such as `10.0.0.0/8`, or an address")
            => forms::network, distinct();
        /// Whether `Cache-Status` shows the key.
        cache_status_key: bool = false, Flag;
        /// See `[site.refresh_ahead]`.
        refresh_ahead: Option<RefreshAhead>
            = rule("none: responses are not revalidated before they expire"),
            Nested(RefreshAhead);
        /// See `[site.purge]`.
        purge: Option<SitePurge> = rule("none: clients can't purge"), Nested(SitePurge);
        /// See `[site.country]`.
        country: Option<CountrySource> = rule("none: policies are told no country"),
            Nested(CountrySource);
        /// See `[[site.never]]`.
        never: Vec<NeverRule> = rule("none", Vec::new()), NestedList(NeverRule);
        /// See `[[site.at_most]]`.
        at_most: Vec<AtMostRule> = rule("none", Vec::new()), NestedList(AtMostRule);
        /// See `[site.compress]`.
        compress: Option<Compress> = rule("none: responses are served as they came"),
            Nested(Compress);
        /// Networks whose clients may use the site; all if it is empty. Others get 403.
        allow: Vec<IpNet> = [], Texts("a network such as `10.0.0.0/8`, or an address")
            => forms::network, distinct();
        /// Networks whose clients may not use the site, even if `allow` has them.
        deny: Vec<IpNet> = [], Texts("a network such as `10.0.0.0/8`, or an address")
            => forms::network, distinct();
        /// Whether requests over http are sent to https: with this status, or, if it is `true`, GET
        /// and HEAD with 301 and others with 308. `/.well-known/acme-challenge/` is exempt.
        redirect_to_https: HttpsRedirect = false, Text("`true`, `false`, or a status: 301, 302, 303, 307, 308")
            by https_redirect::https_redirect;
        /// The port that `redirect_to_https` leads to.
        https_port: u16 = 443, Count(1, 65_535);
        /// See `[site.hsts]`.
        hsts: Option<Hsts> = rule("none"), Nested(Hsts);
        /// Fields that requests to the origin get and lose. See operating.md.
        request_fields: FieldEdits = rule("none", FieldEdits::default()),
            Text("`{ set = { NAME = \"VALUE\" }, remove = [\"NAME\"] }`") by field_edits::of_requests;
        /// Fields that responses to clients get and lose.
        response_fields: FieldEdits = rule("none", FieldEdits::default()),
            Text("`{ set = { NAME = \"VALUE\" }, remove = [\"NAME\"] }`") by field_edits::of_responses;
        /// See `[[site.error_page]]`.
        error_pages as "error_page": Vec<ErrorPage> = rule("none", Vec::new()), NestedList(ErrorPage);
        /// See `[[site.route]]`; at most 256.
        routes as "route": Vec<Route> = rule("none", Vec::new()), NestedList(Route);
    }
}

impl Site {
    /// What holds above all policies; `None` if nothing does.
    pub fn floor(&self) -> Option<Box<OperatorFloor>> {
        let never = |is_meant: fn(&NeverRule) -> bool| {
            let rules = self.never.iter().filter(move |rule| is_meant(rule));
            rules.flat_map(|rule| rule.paths.clone()).collect()
        };
        let at_most = self.at_most.iter().map(|rule| BoundedPaths {
            patterns: rule.paths.clone(),
            bound: LifetimeBound {
                ttl: rule.ttl,
                stale: rule.stale,
            },
        });
        let floor = OperatorFloor {
            never: never(|rule| rule.what.store),
            never_answered: never(|rule| rule.what.respond),
            at_most: at_most.collect(),
        };
        (floor != OperatorFloor::default()).then(|| Box::new(floor))
    }
}

impl Site {
    /// The route of a request with this method for a path, as it came.
    pub fn route_of(&self, method: &Method, path: &str) -> Option<&Route> {
        self.routes.iter().find(|route| route.is_for(method, path))
    }

    /// Which of the query of a request on `route` counts: as policies have `decided`, or as the
    /// configuration says where they decided nothing.
    #[inline]
    pub fn query_rule<'s>(
        &'s self,
        route: Option<&'s Route>,
        decided: &'s QueryRule,
    ) -> &'s QueryRule {
        let of_route = route.and_then(|route| route.query.as_ref());
        match of_route.or(self.query.as_ref()) {
            Some(own) if *decided == QueryRule::default() => own,
            _ => decided,
        }
    }
}

impl Site {
    /// Reads the table, and checks the next hops together.
    pub(crate) fn read_checked(reader: &TableReader<'_>, base_dir: BaseDir<'_>) -> Site {
        let mut site = Site::read(reader, base_dir);
        site.next_hops = origin::next_hops(reader, &site.origins, site.next_hops);
        rules::check(reader, &site);
        if let (Some(shield), Some(table)) = (&site.shield, reader.nested("shield")) {
            shield.check(&table);
        }
        site
    }
}

/// What becomes of request fields with an underscore in their name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnderscoreFields {
    /// They are dropped.
    #[default]
    Drop,
    /// They are forwarded.
    Pass,
}

fn floor_exceptions(words: &[String]) -> FloorExceptions {
    let lifts = |part: &str| words.iter().any(|word| word == part);
    FloorExceptions {
        set_cookie: lifts("set-cookie"),
        authorization: lifts("authorization"),
        private: lifts("private"),
        no_store: lifts("no-store"),
        no_cache: lifts("no-cache"),
    }
}
