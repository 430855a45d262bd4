//! Whether a request is let in, and for which site (RFC 9110 §7.2, §7.4).

use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use http::header::EXPECT;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Version};

use super::client::ClientHandle;
use super::cookies;
use super::decided;
use super::edge::Edge;
use super::exchange::{Exchange, FieldPresence, OriginContact, Requester};
use super::field_scan::FieldScan;
use super::identity::{PeerFacts, RequestIdentity, change_fields, must_change_fields};
use super::refusal::AdmissionRefusal;
use super::request_id::RequestId;
use super::site::Site;
use super::tls_client::TlsClient;
use super::verdict::{self, Verdict};
use tero_config::{HttpsRedirect, IpNet};
use tero_policy_host::device::{self, Device, DeviceFields, DeviceSource};
use tero_semantics::authority::Scheme;
use tero_semantics::cache_control::RequestDirectives;
use tero_semantics::client_cert::CLIENT_CERT;
use tero_semantics::forwarded::says_https;
use tero_semantics::operator_floor::FloorRuling;

/// Lets a request in, asks the site's policies about it, and writes its key. A `device` that is
/// given stands for the client's own.
///
/// # Errors
/// [`RefusedRequest`] with the reason.
pub fn admit(
    edge: &Edge,
    parts: Parts,
    source: RequestSource,
) -> Result<Arc<Exchange>, Box<RefusedRequest>> {
    let (exchange, ()) = admit_to(edge, parts, source, |exchange| {
        if exchange.site.limits.is_some() && exchange.take_allowance() {
            exchange.key = exchange.write_key();
        } else {
            consult(exchange);
        }
    })?;
    Ok(exchange)
}

/// Lets a visitor's request in as [`admit`] does, unless a rule of the site answers it.
///
/// # Errors
/// [`RefusedRequest`] with the reason.
#[inline]
pub(super) fn admit_visitor(
    edge: &Edge,
    parts: Parts,
    source: RequestSource,
) -> Result<(Arc<Exchange>, Option<Box<Verdict>>), Box<RefusedRequest>> {
    admit_to(edge, parts, source, |exchange| {
        if exchange.is_as_shield() {
            consult(exchange);
            return None;
        }
        if !exchange.site.may_rule() {
            return ask_policies(exchange);
        }
        match verdict::verdict(exchange) {
            Verdict::Admit => ask_policies_after_rules(exchange),
            decided => Some(Box::new(decided)),
        }
    })
}

/// Has the site's policies decide about a visitor's request, and writes its key. What the rules of
/// the site say of that decision is returned, if the request doesn't go on.
#[inline]
fn ask_policies(exchange: &mut Exchange) -> Option<Box<Verdict>> {
    if exchange.site.limits.is_some() && exchange.take_allowance() {
        exchange.key = exchange.write_key();
        return None;
    }
    consult(exchange);
    ruled_by_decision(exchange)
}

/// The same after the rules of the site, which have asked its limits.
pub(super) fn ask_policies_after_rules(exchange: &mut Exchange) -> Option<Box<Verdict>> {
    if exchange.is_refused_by_limit() {
        exchange.key = exchange.write_key();
        return None;
    }
    consult(exchange);
    ruled_by_decision(exchange)
}

#[inline]
fn ruled_by_decision(exchange: &mut Exchange) -> Option<Box<Verdict>> {
    exchange.decision.extended.as_ref()?;
    decided::verdict(exchange).map(Box::new)
}

#[inline]
fn consult(exchange: &mut Exchange) {
    if !exchange.site.policies.is_empty() {
        exchange.decision = exchange
            .site
            .policies
            .on_request(&exchange.ask(), exchange.wall());
        if exchange.site.canary.is_some() {
            ask_canary(exchange);
        }
    }
    if exchange.edge.is_some() {
        exchange.take_over_decision();
    }
    if exchange.decision.extended.is_some() {
        decided::apply_floor(exchange);
    }
    exchange.key = exchange.write_key();
}

/// Lets a request in, and has `decide` ask policies about it and write its key. Its result is
/// returned, too. An exchange is large: it is moved once, to the place where it stays.
#[inline]
pub(super) fn admit_to<T>(
    edge: &Edge,
    mut parts: Parts,
    source: RequestSource,
    decide: impl FnOnce(&mut Exchange) -> T,
) -> Result<(Arc<Exchange>, T), Box<RefusedRequest>> {
    let at = edge.clock.now();
    let seen = FieldScan::of(&parts.headers, &edge.loop_entry);
    let (site, identity) = match find_site(edge, &parts, &seen, &source) {
        Ok(found) => found,
        Err(refusal) => {
            return Err(Box::new(RefusedRequest {
                refusal,
                parts,
                source,
            }));
        }
    };
    let trace = match &edge.tracer {
        None => None,
        Some(tracer) => tracer.begin(&parts.headers, identity.is_of_trusted_peer),
    };
    let country = match &site.country {
        None => None,
        Some(lookup) => {
            let is_trusted = identity.is_of_trusted_peer;
            lookup.of(&parts.headers, identity.client, is_trusted)
        }
    };
    let mut id = OnceLock::new();
    let claims_https = seen.suspects.of_proxies
        && !identity.is_of_trusted_peer
        && site.settings.redirect_to_https != HttpsRedirect::Off
        && says_https(&parts.headers);
    let (mut fields, device) =
        if must_change_fields(seen.host, seen.suspects, &site, &identity.authority) {
            // Before the fields of proxies are taken out; without such fields there is none.
            let viewer = viewer_of(&seen.device, &parts.headers, &identity);
            id = told_id(&parts.headers, &identity);
            let suspects = seen.suspects;
            change_fields(&mut parts, suspects, &site, &identity.authority);
            scan_again(edge, &parts, &site, &source, viewer)
        } else {
            (seen.presence, device_of(edge, &site, &source, seen.device))
        };
    if let Some(certificate) = source.tls.as_ref().and_then(|tls| tls.certificate()) {
        show_certificate(certificate, &mut parts.headers, &mut fields);
    }
    if fields.cookie {
        cookies::weigh(&site, &mut parts.headers, &mut fields);
    }
    fields.claims_https = claims_https;
    if let Some(lookup) = &site.country
        && !identity.is_of_trusted_peer
    {
        lookup.remove_untrusted(&mut parts.headers);
    }
    let device_source = match site.needs_device_source {
        true => device::source_of(&parts.headers, device),
        false => DeviceSource::Nothing,
    };
    let directives = if fields.directives {
        RequestDirectives::of(&parts.headers)
    } else {
        RequestDirectives::default()
    };
    let floor = match &site.floor {
        None => FloorRuling::default(),
        Some(floor) => floor.ruling(parts.uri.path()),
    };
    let told = &site.settings.surrogate_keys_to;
    let is_told_keys = !told.is_empty() && source.peer.is_some_and(|peer| is_in(told, peer));
    let (route, is_apart) = match &site.routes {
        None => (None, false),
        Some(routes) => {
            let asked = (&parts.method, parts.uri.path());
            let route = routes.first(asked.0, asked.1);
            (route, routes.is_apart(route, asked))
        }
    };
    let decision = Arc::clone(&edge.no_decision);
    fields.content |= source.has_content;
    // Nodes that share the work say whom they ask as a shield. What else is in their networks, such as a
    // load balancer, brings visitors.
    let told = match &site.settings.shield {
        None => identity.edge,
        Some(_) => identity.edge.filter(|edge| edge.to_shield),
    };
    let mut exchange = Exchange {
        site,
        route,
        is_apart,
        is_restricted: false,
        parts,
        scheme: identity.scheme,
        authority: identity.authority,
        device,
        device_source,
        country,
        is_canary: false,
        decision,
        floor,
        is_told_keys,
        key: Vec::new(),
        directives,
        fields,
        at,
        client: identity.client,
        proxies: identity.proxies,
        edge: told,
        connection: source.connection,
        requester: source.requester,
        id,
        proven: None,
        trace,
        exceeded: None,
        told_reason: OnceLock::new(),
        contact: OriginContact::default(),
    };
    if exchange.edge.is_some() {
        exchange.take_over_requester();
    }
    let decided = decide(&mut exchange);
    Ok((Arc::new(exchange), decided))
}

/// Whether one of the networks has an address.
#[cold]
fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// Tells the next hop who the client is. As with credentials in a field, the answer is for this client,
/// unless it says otherwise.
#[cold]
fn show_certificate(
    certificate: &HeaderValue,
    headers: &mut HeaderMap,
    fields: &mut FieldPresence,
) {
    headers.insert(&CLIENT_CERT, certificate.clone());
    fields.authorization = true;
}

/// What is to know of the fields that are left.
#[cold]
fn scan_again(
    edge: &Edge,
    parts: &Parts,
    site: &Site,
    source: &RequestSource,
    viewer: Option<Device>,
) -> (FieldPresence, Device) {
    let left = FieldScan::again(&parts.headers, &edge.loop_entry);
    let device = DeviceFields {
        viewer,
        ..left.device
    };
    (left.presence, device_of(edge, site, source, device))
}

/// The class of a visitor whose user agent a trusted proxy keeps to itself, as the proxy tells it.
fn viewer_of(
    fields: &DeviceFields<'_>,
    headers: &HeaderMap,
    identity: &RequestIdentity,
) -> Option<Device> {
    if identity.is_of_trusted_peer && fields.is_of_proxy() {
        device::viewer(headers)
    } else {
        None
    }
}

/// The id of the request, if a trusted proxy tells it.
fn told_id(headers: &HeaderMap, identity: &RequestIdentity) -> OnceLock<RequestId> {
    let told = identity
        .is_of_trusted_peer
        .then(|| RequestId::told(headers));
    told.flatten().map_or_else(OnceLock::new, OnceLock::from)
}

#[inline]
fn device_of(edge: &Edge, site: &Site, source: &RequestSource, fields: DeviceFields<'_>) -> Device {
    match source.device {
        Some(device) => device,
        None if site.needs_device => edge.devices.class_of(fields, &site.device_models),
        None => Device::Unknown,
    }
}

/// Has the canary decide in the place of the active version, if the key is of its share.
fn ask_canary(exchange: &mut Exchange) {
    if let Some(canary) = exchange.chosen_canary() {
        exchange.decision = canary.chain.on_request(&exchange.ask(), exchange.wall());
        exchange.is_canary = true;
    }
}

/// A request that was not let in.
#[derive(Debug)]
pub struct RefusedRequest {
    /// Why.
    pub refusal: AdmissionRefusal,
    /// Its head.
    pub parts: Parts,
    /// Where it comes from.
    pub source: RequestSource,
}

/// Where a request comes from.
#[derive(Clone, Debug, Default)]
pub struct RequestSource {
    /// The address that the connection comes from, the client's or a proxy's. `None` for a warming
    /// plan, and for a peer without an address.
    pub peer: Option<IpAddr>,
    /// Whether the connection came by a Unix socket.
    pub is_unix: bool,
    /// The scheme that the connection speaks.
    pub scheme: Scheme,
    /// The connection that the request came on; none for a warming plan.
    pub connection: Option<ClientHandle>,
    /// Content follows, whether or not a field tells its length.
    pub has_content: bool,
    /// What the client has shown in its TLS handshake, on a listener that asks for certificates.
    pub tls: Option<Arc<TlsClient>>,
    /// The device that a warming plan stands for.
    pub device: Option<Device>,
    /// Who asks.
    pub requester: Requester,
}

impl RequestSource {
    /// What the connection tells by itself.
    #[inline]
    pub(super) fn peer_facts(&self) -> PeerFacts {
        PeerFacts {
            peer: self.peer,
            is_unix: self.is_unix,
            scheme: self.scheme,
        }
    }
}

fn find_site(
    edge: &Edge,
    parts: &Parts,
    seen: &FieldScan<'_>,
    source: &RequestSource,
) -> Result<(Arc<Site>, RequestIdentity), AdmissionRefusal> {
    if matches!(parts.method, Method::TRACE | Method::CONNECT) {
        return Err(AdmissionRefusal::Method);
    }
    if seen.presence.unusual && !is_expectation_met(parts) {
        return Err(AdmissionRefusal::Expectation);
    }
    // The connection stops reading at about this bound, but what came in one piece with the rest
    // gets this far.
    if seen.bytes + parts.uri.path().len() + parts.uri.query().map_or(0, str::len)
        > edge.max_header_bytes.load(Relaxed)
    {
        return Err(AdmissionRefusal::TooLong);
    }
    let own = named_authority(parts, seen)?;
    if let Some(tls) = &source.tls
        && !tls.asked_for(own)
    {
        return Err(AdmissionRefusal::OtherName);
    }
    let sites = edge.sites.load();
    let mut identity = RequestIdentity::of(parts, own, source.peer_facts(), &sites)?;
    if !parts.uri.path().starts_with('/') {
        return Err(AdmissionRefusal::BadTarget);
    }
    if seen.is_loop {
        return Err(AdmissionRefusal::Loop);
    }
    let (site, names_port) = sites
        .of_authority(&identity.authority)
        .ok_or(AdmissionRefusal::UnknownHost)?;
    if let Some(port) = identity.authority.port()
        && !names_port
        && !edge.ports().contains(&port)
    {
        identity.forget_port();
    }
    Ok((Arc::clone(site), identity))
}

/// Whether every expectation is one that is met (RFC 9110 §10.1.1). HTTP/1.0 has none.
fn is_expectation_met(parts: &Parts) -> bool {
    let mut expected = parts.headers.get_all(EXPECT).iter();
    parts.version < Version::HTTP_11
        || expected.all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// The authority that a request names: in its target if that is absolute, else in its one `Host`.
/// Beside an absolute target, `Host` counts for nothing (RFC 9112 §3.2.2).
fn named_authority<'p>(
    parts: &'p Parts,
    seen: &FieldScan<'p>,
) -> Result<&'p str, AdmissionRefusal> {
    if seen.has_many_hosts || (seen.host.is_none() && parts.version == Version::HTTP_11) {
        return Err(AdmissionRefusal::BadHost);
    }
    match parts.uri.authority() {
        Some(authority) => Ok(authority.as_str()),
        None => seen
            .host
            .and_then(|host| host.to_str().ok())
            .ok_or(AdmissionRefusal::BadHost),
    }
}
