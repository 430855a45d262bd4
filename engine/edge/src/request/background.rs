//! The request of a revalidation that no visitor waits for: what of the visitor's own request it
//! keeps.
//!
//! Its answer is for all, so it asks for what is shown to everybody. Of the fields of the visitor who
//! happened to set it off it has those that select the stored response (`Vary`), those that policies
//! decide by, and the few that every request has. Cookies, credentials and whatever else only this
//! visitor's program sends stay behind.

use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE, HeaderName};
use http::{HeaderMap, Request};

use super::exchange::{Exchange, FieldPresence};
use super::visit::{OwnedVisit, Visit};
use crate::store::stored::StoredResponse;
use tero_policy_host::Manifest;
use tero_policy_host::cookies::is_meant;
use tero_policy_host::device;
use tero_semantics::cache_control::RequestDirectives;
use tero_semantics::client_cert::CLIENT_CERT;
use tero_semantics::cookies::retain_cookies;
use tero_semantics::forwarding;

/// A visit that asks for a stored response on behalf of all who select it. It has no client: none
/// waits for its answer, or for interim responses.
pub(super) fn on_behalf_of_all(visit: Visit<'_>, stored: &StoredResponse) -> OwnedVisit {
    let exchange = visit.exchange;
    // Both are known by one id, which the copy takes along.
    let _ = exchange.request_id();
    let mut headers = exchange.parts.headers.clone();
    let manifests = || {
        let policies = exchange.policies().policies().iter();
        policies.map(|policy| policy.manifest())
    };
    let is_needed = |name: &HeaderName| {
        stored.head.secondary_key.fields().contains(name)
            || manifests().any(|manifest: &Manifest| manifest.headers.contains(name))
    };
    // An application that renders for devices by itself reads what their class was made of.
    let is_of_device = |name: &str| exchange.site.needs_device && device::reads(name);
    forwarding::remove_named(&mut headers, |name| {
        !is_of_every_request(name)
            && !is_of_device(name)
            && HeaderName::try_from(name).is_ok_and(|name| !is_needed(&name))
    });
    if !is_needed(&COOKIE) {
        retain_cookies(&mut headers, |name| {
            let mut read = manifests().flat_map(|manifest| &manifest.cookies);
            read.any(|cookie| is_meant(cookie, name))
        });
    }
    let fields = FieldPresence {
        authorization: headers.contains_key(AUTHORIZATION) || headers.contains_key(&CLIENT_CERT),
        cookie: headers.contains_key(COOKIE),
        conditional: false,
        range: false,
        ..exchange.fields
    };
    let exchange = Exchange {
        parts: parts(exchange, headers),
        fields,
        directives: RequestDirectives::default(),
        connection: None,
        ..Exchange::clone(exchange)
    };
    OwnedVisit::new(Arc::clone(visit.edge), Arc::new(exchange))
}

/// Whether the next hop needs a field of every request, or is sent it by every client: origins refuse
/// requests without `User-Agent`, and answer in another format without `Accept`. Cookies are weighed
/// one by one.
fn is_of_every_request(name: &str) -> bool {
    matches!(
        name,
        "accept" | "accept-encoding" | "cdn-loop" | "cookie" | "host" | "user-agent" | "via"
    )
}

/// The head of the request with other fields. What hangs on the client's connection stays behind.
fn parts(exchange: &Exchange, headers: HeaderMap) -> http::request::Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = exchange.parts.method.clone();
    parts.uri = exchange.parts.uri.clone();
    parts.version = exchange.parts.version;
    parts.headers = headers;
    parts
}
