//! The request to the next hop, made from the client's.

use std::net::IpAddr;

use http::header::{
    ACCEPT_ENCODING, CONNECTION, EXPECT, FORWARDED, HOST, HeaderName, IF_RANGE, RANGE, TE, VIA,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};

use super::coding;
use super::exchange::Exchange;
use super::tier;
use super::verdict;
use super::visit::Visit;
use crate::origin::{ChosenOrigin, ContentLeave, FetchTimes, RequestBody};
use tero_semantics::cache_status::Forward;
use tero_semantics::forwarded::{
    ForwardedHops, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO,
};
use tero_semantics::request_id::X_REQUEST_ID;
use tero_semantics::surrogate_keys::remove_surrogate_keys;
use tero_semantics::tier::TERO_TIER;
use tero_semantics::trace_context::TRACEPARENT;
use tero_semantics::{forwarding, key, range, validation, vary};

/// Fields that are added to a client's.
const ADDED_FIELDS: usize = 10;

/// How much the next hop is asked for.
#[derive(Clone, Debug, Default)]
pub(super) enum FetchKind {
    /// The whole response.
    #[default]
    Whole,
    /// The whole response, on condition that the one with these fields no longer holds (RFC 9111
    /// §4.3.1).
    IfChanged(HeaderMap),
    /// What follows the first bytes of a response of which these are stored, or the whole of
    /// another one (RFC 9110 §13.1.5).
    Rest {
        /// So many bytes are there.
        from: u64,
        /// The strong validator that the bytes came with.
        validator: HeaderValue,
    },
    /// The range that the client asks for.
    Range,
}

/// A request whose answer may be stored, by the query that counts.
pub(super) fn for_storing(
    visit: Visit<'_>,
    body: RequestBody,
    wanted: &FetchKind,
) -> Request<RequestBody> {
    let exchange = visit.exchange;
    let (path, query) = exchange.asked_target();
    let query = key::canonical_query(query, exchange.query_rule());
    let mut request = build(visit, body, (path, query.as_deref()), false);
    let headers = request.headers_mut();
    validation::strip_conditions(headers);
    match wanted {
        FetchKind::Range => {}
        FetchKind::Whole | FetchKind::IfChanged(_) | FetchKind::Rest { .. } => {
            headers.remove(RANGE);
        }
    }
    if coding::asks_for_identity(visit) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    } else if let Some(accepted) = vary::normalised_accept_encoding(headers) {
        headers.insert(ACCEPT_ENCODING, accepted);
    }
    match wanted {
        FetchKind::Whole | FetchKind::Range => {}
        FetchKind::IfChanged(stored) => {
            validation::add_conditions(stored, headers);
        }
        FetchKind::Rest { from, validator } => {
            headers.insert(RANGE, range::from_on(*from));
            headers.insert(IF_RANGE, validator.clone());
        }
    }
    *request.method_mut() = Method::GET;
    request
}

/// A request that the edge has no part in, for this reason: as the client sent it, content included, but
/// for what policies change.
pub(super) fn as_sent(visit: Visit<'_>, body: RequestBody, why: Forward) -> Request<RequestBody> {
    let parts = &visit.exchange.parts;
    // The cache of the next hop has no part in it either.
    let passes = why == Forward::Bypass;
    let mut request = build(visit, body, visit.exchange.asked_target(), passes);
    // HTTP/2 has trailers for those who ask (RFC 9110 §6.5.1); over HTTP/1.1 none are passed on.
    if parts.version == Version::HTTP_2 && parts.headers.contains_key(TE) {
        let headers = request.headers_mut();
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    request
}

fn build(
    visit: Visit<'_>,
    body: RequestBody,
    (path, query): (&str, Option<&str>),
    passes: bool,
) -> Request<RequestBody> {
    let Visit { edge, exchange } = visit;
    let mut request = Request::new(body);
    *request.method_mut() = exchange.parts.method.clone();
    *request.uri_mut() = target(&exchange.parts.uri, path, query);
    if let Some(times) = own_times(exchange) {
        request.extensions_mut().insert(times);
    }
    if let Some(name) = exchange.extended().and_then(|it| it.origin.origin.clone()) {
        request.extensions_mut().insert(ChosenOrigin(name));
    }
    let headers = request.headers_mut();
    *headers = exchange.parts.headers.clone();
    headers.reserve(ADDED_FIELDS);
    forwarding::strip_request_hop_by_hop(headers);
    // The reader of the content has sent 100 when the content comes to the next hop (RFC 9110
    // §10.1.1), unless `pass` asks the next hop for it.
    headers.remove(EXPECT);
    if exchange.site.rules.is_some() && !exchange.is_as_shield() {
        verdict::edit_request(exchange, headers);
    }
    if let Some(extended) = exchange.extended() {
        // A policy's word goes before that of the configuration, as elsewhere.
        extended.origin.fields.apply(headers);
    }
    say_identity(headers, visit);
    tier::tell_next_hop(visit, passes, headers);
    forwarding::append_via(headers, exchange.parts.version, &edge.name);
    forwarding::append_cdn_loop(headers, &edge.loop_entry);
    request
}

/// How long the request waits, where its route says that.
fn own_times(exchange: &Exchange) -> Option<FetchTimes> {
    let route = &exchange.route()?.settings;
    let own = [
        route.connect_timeout,
        route.response_timeout,
        route.deadline,
    ];
    let site = &exchange.site.settings;
    own.iter().any(Option::is_some).then(|| FetchTimes {
        connect: route.connect_timeout.unwrap_or(site.connect_timeout),
        response: route.response_timeout.unwrap_or(site.response_timeout),
        deadline: route.deadline.unwrap_or(site.deadline),
    })
}

/// Says what is true of the request, and nothing that its key doesn't have but for the client's
/// address and the request's id. What the client said with these fields has been dropped. `Host` says the authority
/// already, unless the site names another.
fn say_identity(headers: &mut HeaderMap, visit: Visit<'_>) {
    let exchange = visit.exchange;
    let (scheme, authority) = (exchange.scheme, &exchange.authority);
    let mut say = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    say(X_FORWARDED_HOST, authority.as_str());
    say(X_FORWARDED_PORT, authority.port_text(scheme));
    say(X_FORWARDED_PROTO, scheme.as_str());
    if let Some(client) = exchange.client {
        say(X_FORWARDED_FOR, &forwarded_for(client, &exchange.proxies));
    }
    // A plan asks by itself.
    if !exchange.requester.is_plan() {
        let hops = ForwardedHops {
            client: exchange.client,
            proxies: &exchange.proxies,
            scheme,
            authority: authority.as_str(),
        };
        say(FORWARDED, &hops.write());
    }
    say(X_REQUEST_ID, exchange.request_id().as_str());
    if let Some(host) = &exchange.site.settings.host_header {
        say(HOST, host);
    }
    if let Some(trace) = &exchange.trace {
        headers.insert(TRACEPARENT, trace.context.to_value());
    }
}

/// Lets the client have the interim responses to `request` as they come (RFC 9110 §15.2); HTTP/1.0
/// knows none. 100 is for each hop to say; it gives leave to send the content. None is ever stored,
/// and followers of a fetch get none, since it is not their request.
pub(super) fn pass_interim_on(visit: Visit<'_>, request: &mut Request<RequestBody>) {
    let Visit { edge, exchange } = visit;
    let Some(caller) = exchange
        .connection
        .clone()
        .filter(|_| exchange.parts.version >= Version::HTTP_11)
    else {
        return;
    };
    let leave = request.extensions().get::<ContentLeave>().cloned();
    let via = edge.via.clone();
    hyper::ext::on_informational(request, move |interim| {
        if interim.status() == StatusCode::CONTINUE {
            leave.iter().for_each(ContentLeave::give);
        } else {
            let mut headers = interim.headers().clone();
            forwarding::strip_response_hop_by_hop(&mut headers);
            remove_surrogate_keys(&mut headers);
            headers.remove(TERO_TIER);
            headers.append(VIA, via.clone());
            caller.send_interim(interim.status(), &headers);
        }
    });
}

fn target(uri: &Uri, path: &str, query: Option<&str>) -> Uri {
    let target = match query {
        Some(query) => Uri::try_from(format!("{path}?{query}")),
        None => Uri::try_from(path),
    };
    target.unwrap_or_else(|_| uri.clone())
}

/// An address as text. Formatting one, as the standard library does, takes longer than anything
/// else that is added here.
fn written(client: IpAddr) -> String {
    let IpAddr::V4(client) = client else {
        return client.to_string();
    };
    let mut text = String::with_capacity("255.255.255.255".len());
    for (place, octet) in client.octets().into_iter().enumerate() {
        if place > 0 {
            text.push('.');
        }
        for power in [100, 10, 1] {
            if octet >= power || power == 1 {
                text.push(char::from(b'0' + octet / power % 10));
            }
        }
    }
    text
}

/// The client, then the proxies that are trusted.
fn forwarded_for(client: IpAddr, proxies: &[IpAddr]) -> String {
    let mut list = written(client);
    for proxy in proxies {
        list.push_str(", ");
        list.push_str(&written(*proxy));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_ever() {
        for text in [
            "0.0.0.0",
            "127.0.0.1",
            "10.20.30.40",
            "255.199.100.9",
            "101.110.99.10",
            "::1",
            "2001:db8::ff00:42:8329",
        ] {
            assert_eq!(written(text.parse().unwrap()), text);
        }
    }
}
