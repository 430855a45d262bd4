//! Whether a request is let in, and for which site (RFC 9110 §7.2, §7.4).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, EXPECT, HOST, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, PRAGMA, RANGE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

use super::client::ClientHandle;
use super::site::Site;
use super::{Edge, trial, upgrade};
use tero_policy_host::device::Device;
use tero_policy_host::device::DeviceFields;
use tero_policy_host::{Chain, PolicyRequest};
use tero_semantics::cache_control::RequestDirectives;
use tero_semantics::decision::{LookupDecision, RequestDecision};
use tero_semantics::forwarding::{self, CDN_LOOP};
use tero_semantics::key;
use tero_semantics::timestamp::Timestamp;

/// The scheme that clients speak to the edge.
const SCHEME: &str = "http";

/// A request that was let in, with what has been found out about it.
#[derive(Debug)]
pub struct Exchange {
    /// For which site.
    pub site: Arc<Site>,
    /// The head of the request, as it came.
    pub parts: Parts,
    /// Lower case, without port.
    pub host: Box<str>,
    /// The class of the client's device; unknown where no policy asks.
    pub device: Device,
    /// Whether the canary answers in the place of the active version.
    pub is_canary: bool,
    /// What the policies decided.
    pub decision: Arc<RequestDecision>,
    /// The key, as `semantics::key` writes it.
    pub key: Vec<u8>,
    /// What the client says about caching.
    pub directives: RequestDirectives,
    /// Which fields that matter for the answer are there.
    pub fields: FieldPresence,
    /// When it was received.
    pub at: Timestamp,
    /// Who asked.
    pub client: Option<IpAddr>,
    /// Who waits for the answer; nobody, for a warming plan.
    pub connection: Option<ClientHandle>,
    /// The run of a warming plan that asks; 0 for a visitor.
    pub warm_run: u64,
}

/// Which request fields are present, found in one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldPresence {
    /// One of the fields of RFC 9110 §13.1.
    pub conditional: bool,
    /// `Range`
    pub range: bool,
    /// `Authorization`
    pub authorization: bool,
    /// `Cache-Control` or `Pragma`
    pub directives: bool,
    /// Content of some length.
    pub content: bool,
    /// `Expect` or `Upgrade`
    pub unusual: bool,
}

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

/// Why a request was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionRefusal {
    /// No `Host`, several, or one that is none.
    #[error("the Host field is missing, doubled or malformed")]
    BadHost,
    /// Target and fields are longer than `max_header_bytes` together.
    #[error("the header is too long")]
    TooLong,
    /// The target is no path.
    #[error("the request target is malformed")]
    BadTarget,
    /// An expectation other than `100-continue` (RFC 9110 §10.1.1).
    #[error("the expectation can not be met")]
    Expectation,
    /// TRACE and CONNECT.
    #[error("this method is not offered")]
    Method,
    /// The request has been here before (RFC 8586).
    #[error("the request has passed through this edge already")]
    Loop,
    /// No site has this host.
    #[error("no site is configured for this host")]
    UnknownHost,
}

/// What the edge has to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// Look up, then reuse or fetch.
    Cache,
    /// To the origin and back, by a policy's decision.
    Pass,
    /// To the origin and back, since nothing is ever stored for this method.
    Method,
    /// To the origin, and then whatever both sides speak.
    Upgrade,
}

impl<'a> FieldScan<'a> {
    fn of(headers: &'a HeaderMap, edge_name: &str) -> FieldScan<'a> {
        let mut seen = FieldScan::default();
        for (name, value) in headers {
            // Name, colon, space, value, end of line.
            seen.bytes += name.as_str().len() + value.len() + 4;
            seen.note(name, value, edge_name);
        }
        seen
    }

    fn note(&mut self, name: &HeaderName, value: &'a HeaderValue, edge_name: &str) {
        let presence = &mut self.presence;
        match *name {
            IF_NONE_MATCH | IF_MODIFIED_SINCE | IF_MATCH | IF_UNMODIFIED_SINCE | IF_RANGE => {
                presence.conditional = true
            }
            RANGE => presence.range = true,
            AUTHORIZATION => presence.authorization = true,
            CACHE_CONTROL | PRAGMA => presence.directives = true,
            TRANSFER_ENCODING => presence.content = true,
            EXPECT | UPGRADE => presence.unusual = true,
            CONTENT_LENGTH => presence.content |= value.as_bytes() != b"0",
            HOST => self.many_hosts |= self.host.replace(value).is_some(),
            _ if *name == CDN_LOOP => self.loops |= forwarding::names_us(value, edge_name),
            _ => self.device.note(name, value),
        }
    }
}

impl Exchange {
    /// The policies that answer for this request, from its beginning to its end.
    pub fn policies(&self) -> &Chain {
        match &self.site.canary {
            Some(canary) if self.is_canary => &canary.chain,
            _ => &self.site.policies,
        }
    }

    /// Counts a request to the origin: the status of its answer, or none where it failed, after
    /// `took`.
    pub(super) fn count_origin(&self, status: Option<StatusCode>, took: Duration) {
        self.site.counters.record_origin(status, took);
        trial::record_origin(self);
    }

    /// The question to the policies.
    pub fn ask(&self) -> PolicyRequest<'_> {
        PolicyRequest {
            method: &self.parts.method,
            scheme: SCHEME,
            host: &self.host,
            path: self.parts.uri.path(),
            query: self.parts.uri.query(),
            headers: &self.parts.headers,
            device: self.device,
            variant: self.decision.variant.as_deref(),
        }
    }

    /// What is to be done.
    pub fn handling(&self) -> Handling {
        match self.parts.method {
            _ if self.fields.unusual && upgrade::wanted(self).is_some() => Handling::Upgrade,
            _ if self.decision.lookup == LookupDecision::Pass => Handling::Pass,
            // Content in a GET has no meaning that a key could tell apart (RFC 9110 §9.3.1).
            Method::GET | Method::HEAD if self.fields.content => Handling::Pass,
            Method::GET | Method::HEAD => Handling::Cache,
            _ => Handling::Method,
        }
    }

    /// The absolute URL, with the query that counts.
    pub fn url(&self) -> Option<http::Uri> {
        http::Uri::try_from(key::url_of(&self.key)).ok()
    }

    /// Path and the query that counts.
    pub fn counting_target(&self) -> String {
        let path = self.parts.uri.path();
        match key::canonical_query(self.parts.uri.query(), &self.decision.query) {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
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
    exchange.key = write_key(&exchange);
    Ok(exchange)
}

/// Lets a request in, before any policy is asked, and without a key.
pub(super) fn admit_without_policies(
    edge: &Edge,
    parts: Parts,
    source: RequestSource,
) -> Result<Exchange, Box<(AdmissionRefusal, Parts)>> {
    let at = edge.clock.now();
    let seen = FieldScan::of(&parts.headers, &edge.name);
    let (site, host) = match find_site(edge, &parts, &seen) {
        Ok(found) => found,
        Err(refused) => return Err(Box::new((refused, parts))),
    };
    let device = match source.device {
        Some(device) => device,
        None if site.needs_device => edge.devices.class_of(seen.device),
        None => Device::Unknown,
    };
    let fields = seen.presence;
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
        warm_run: source.warm_run,
    })
}

/// Has the canary decide in the place of the active version, if the key is of its share.
fn ask_canary(exchange: &mut Exchange) {
    let taken = exchange
        .site
        .canary
        .as_ref()
        .filter(|canary| canary.takes(exchange));
    if let Some(canary) = taken {
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
    /// The run of a warming plan; 0 for a visitor.
    pub warm_run: u64,
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

pub(super) fn write_key(exchange: &Exchange) -> Vec<u8> {
    let uri = &exchange.parts.uri;
    let query = key::canonical_query(uri.query(), &exchange.decision.query);
    let mut written = Vec::with_capacity(
        exchange.host.len() + uri.path().len() + uri.query().map_or(0, str::len) + 32,
    );
    key::write_key(
        &mut written,
        SCHEME,
        &exchange.host,
        uri.path(),
        query.as_deref(),
        exchange.decision.variant.as_deref(),
    );
    written
}
