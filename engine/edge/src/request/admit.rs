//! Whether a request is let in, and for which site (RFC 9110 §7.2, §7.4).

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, COOKIE, EXPECT, HOST, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, PRAGMA, RANGE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use super::client::ClientHandle;
use super::cookies;
use super::edge::Edge;
use super::exchange::{Exchange, FieldPresence, Requester};
use super::refusal::AdmissionRefusal;
use super::site::Site;
use tero_policy_host::device::{Device, DeviceFields};
use tero_semantics::cache_control::RequestDirectives;
use tero_semantics::forwarding::{CDN_LOOP, LoopEntry};
use tero_semantics::key;

/// What letting a request in needs of its fields, found in the same pass.
#[derive(Debug, Default)]
struct FieldScan<'a> {
    presence: FieldPresence,
    device: DeviceFields<'a>,
    host: Option<&'a HeaderValue>,
    /// `Host` comes more than once.
    many_hosts: bool,
    /// The request has been here before.
    loops: bool,
    /// Bytes of all fields together, as they were written.
    bytes: usize,
}

impl<'a> FieldScan<'a> {
    fn of(headers: &'a HeaderMap, own_entry: &LoopEntry) -> FieldScan<'a> {
        let mut seen = FieldScan::default();
        for (name, value) in headers {
            // Name, colon, space, value, end of line.
            seen.bytes += name.as_str().len() + value.len() + 4;
            seen.note(name, value, own_entry);
        }
        seen
    }

    fn note(&mut self, name: &HeaderName, value: &'a HeaderValue, own_entry: &LoopEntry) {
        let presence = &mut self.presence;
        match *name {
            IF_NONE_MATCH | IF_MODIFIED_SINCE | IF_MATCH | IF_UNMODIFIED_SINCE | IF_RANGE => {
                presence.conditional = true
            }
            RANGE => presence.range = true,
            AUTHORIZATION => presence.authorization = true,
            COOKIE => presence.cookie = true,
            CACHE_CONTROL | PRAGMA => presence.directives = true,
            TRANSFER_ENCODING => presence.content = true,
            EXPECT | UPGRADE => presence.unusual = true,
            CONTENT_LENGTH => presence.content |= value.as_bytes() != b"0",
            HOST => self.many_hosts |= self.host.replace(value).is_some(),
            _ if *name == CDN_LOOP => self.loops |= own_entry.is_in(value),
            _ => self.device.note(name, value),
        }
    }
}

/// Lets a request in, asks the site's policies about it, and writes its key. A `device` that is
/// given stands for the client's own.
///
/// # Errors
/// [`AdmissionRefusal`] with the reason; the parts come back for the answer.
pub fn admit(
    edge: &Edge,
    parts: Parts,
    source: RequestSource,
) -> Result<Exchange, Box<(AdmissionRefusal, Parts)>> {
    let mut exchange = admit_without_policies(edge, parts, source)?;
    if !exchange.site.policies.is_empty() {
        exchange.decision = exchange
            .site
            .policies
            .on_request(&exchange.ask(), exchange.at);
        if exchange.site.canary.is_some() {
            ask_canary(&mut exchange);
        }
    }
    exchange.key = exchange.write_key();
    Ok(exchange)
}

/// Lets a request in, before any policy is asked, and without a key.
pub(super) fn admit_without_policies(
    edge: &Edge,
    mut parts: Parts,
    source: RequestSource,
) -> Result<Exchange, Box<(AdmissionRefusal, Parts)>> {
    let at = edge.clock.now();
    let seen = FieldScan::of(&parts.headers, &edge.loop_entry);
    let (site, host) = match find_site(edge, &parts, &seen) {
        Ok(found) => found,
        Err(refused) => return Err(Box::new((refused, parts))),
    };
    let device = match source.device {
        Some(device) => device,
        None if site.needs_device => edge.devices.class_of(seen.device, &site.device_models),
        None => Device::Unknown,
    };
    let mut fields = seen.presence;
    if fields.cookie {
        cookies::weigh(&site.settings, &mut parts.headers, &mut fields);
    }
    let directives = if fields.directives {
        RequestDirectives::of(&parts.headers)
    } else {
        RequestDirectives::default()
    };
    let decision = Arc::clone(&edge.no_decision);
    Ok(Exchange {
        site,
        parts,
        host,
        device,
        is_canary: false,
        decision,
        key: Vec::new(),
        directives,
        fields,
        at,
        client: source.client,
        connection: source.connection,
        requester: source.requester,
    })
}

/// Has the canary decide in the place of the active version, if the key is of its share.
fn ask_canary(exchange: &mut Exchange) {
    if let Some(canary) = exchange.chosen_canary() {
        exchange.decision = canary.chain.on_request(&exchange.ask(), exchange.at);
        exchange.is_canary = true;
    }
}

/// Where a request comes from.
#[derive(Clone, Debug, Default)]
pub struct RequestSource {
    /// The client's address; none for a warming plan.
    pub client: Option<IpAddr>,
    /// The connection that the request came on; none for a warming plan.
    pub connection: Option<ClientHandle>,
    /// The device that a warming plan stands for.
    pub device: Option<Device>,
    /// Who asks.
    pub requester: Requester,
}

fn find_site(
    edge: &Edge,
    parts: &Parts,
    seen: &FieldScan<'_>,
) -> Result<(Arc<Site>, Box<str>), AdmissionRefusal> {
    if matches!(parts.method, Method::TRACE | Method::CONNECT) {
        return Err(AdmissionRefusal::Method);
    }
    if seen.presence.unusual && !is_expectation_met(parts) {
        return Err(AdmissionRefusal::Expectation);
    }
    // The connection stops reading at about this bound, but what came in one piece with the rest
    // gets this far.
    if seen.bytes + parts.uri.path().len() + parts.uri.query().map_or(0, str::len)
        > edge.max_header_bytes
    {
        return Err(AdmissionRefusal::TooLong);
    }
    let host = host(parts, seen)?;
    if !parts.uri.path().starts_with('/') {
        return Err(AdmissionRefusal::BadTarget);
    }
    if seen.loops {
        return Err(AdmissionRefusal::Loop);
    }
    let site = edge
        .sites
        .load()
        .of_host(&host)
        .cloned()
        .ok_or(AdmissionRefusal::UnknownHost)?;
    Ok((site, host))
}

/// Whether every expectation is one that is met (RFC 9110 §10.1.1). HTTP/1.0 has none.
fn is_expectation_met(parts: &Parts) -> bool {
    let mut expected = parts.headers.get_all(EXPECT).iter();
    parts.version < Version::HTTP_11
        || expected.all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// The host that a request is for: of its target if that is absolute, else of its one `Host` (RFC
/// 9112 §3.2).
fn host(parts: &Parts, seen: &FieldScan<'_>) -> Result<Box<str>, AdmissionRefusal> {
    if seen.many_hosts || (seen.host.is_none() && parts.version == Version::HTTP_11) {
        return Err(AdmissionRefusal::BadHost);
    }
    let named = match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => seen
            .host
            .and_then(|host| host.to_str().ok())
            .ok_or(AdmissionRefusal::BadHost)?,
    };
    key::host_of(named)
        .map(|host| host.to_ascii_lowercase().into_boxed_str())
        .ok_or(AdmissionRefusal::BadHost)
}
