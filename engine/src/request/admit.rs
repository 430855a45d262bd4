//! Whether a request is let in, and for which site (RFC 9110 §7.2, §7.4).

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, PRAGMA, RANGE, TRANSFER_ENCODING,
};
use http::request::Parts;
use http::{HeaderMap, Method, Version};

use super::Edge;
use super::site::Site;
use crate::policy::Ask;
use crate::semantics::cache_control::RequestDirectives;
use crate::semantics::decision::{Device, Lookup, RequestDecision};
use crate::semantics::timestamp::Timestamp;
use crate::semantics::{forwarding, key};

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
    /// What the policies decided.
    pub decision: Arc<RequestDecision>,
    /// The key, as `semantics::key` writes it.
    pub key: Vec<u8>,
    /// What the client says about caching.
    pub directives: RequestDirectives,
    /// Which fields that matter for the answer are there.
    pub fields: Presence,
    /// When it was received.
    pub at: Timestamp,
    /// Who asked.
    pub client: Option<IpAddr>,
    /// The run of a warming plan that asks; 0 for a visitor.
    pub warm_run: u64,
}

/// Which request fields are present, found in one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
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
    /// Of all fields together.
    pub bytes: usize,
    hosts: u8,
}

/// Why a request was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No `Host`, several, or one that is none.
    #[error("the Host field is missing, doubled or malformed")]
    BadHost,
    /// Target and fields are longer than `max_header_bytes` together.
    #[error("the header is too long")]
    TooLong,
    /// The target is no path.
    #[error("the request target is malformed")]
    BadTarget,
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
}

impl Presence {
    /// Looks through `headers` once.
    pub fn of(headers: &HeaderMap) -> Presence {
        let mut fields = Presence::default();
        for (name, value) in headers {
            // As they were written: name, colon, space, value, end of line.
            fields.bytes += name.as_str().len() + value.len() + 4;
            match *name {
                IF_NONE_MATCH | IF_MODIFIED_SINCE | IF_MATCH | IF_UNMODIFIED_SINCE | IF_RANGE => fields.conditional = true,
                RANGE => fields.range = true,
                AUTHORIZATION => fields.authorization = true,
                CACHE_CONTROL | PRAGMA => fields.directives = true,
                TRANSFER_ENCODING => fields.content = true,
                CONTENT_LENGTH => fields.content |= value.as_bytes() != b"0",
                HOST => fields.hosts = u8::try_from(headers.get_all(HOST).iter().count()).unwrap_or(u8::MAX),
                _ => {}
            }
        }
        fields
    }
}

impl Exchange {
    /// The question to the policies.
    pub fn ask(&self) -> Ask<'_> {
        Ask {
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
            _ if self.decision.lookup == Lookup::Pass => Handling::Pass,
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

/// Lets a request in, asks the site's policies about it, and writes its key. A `device` that is given stands for the client's own.
///
/// # Errors
/// [`Refused`] with the reason; the parts come back for the answer.
pub fn admit(edge: &Edge, parts: Parts, from: From) -> Result<Exchange, Box<(Refused, Parts)>> {
    let at = edge.clock.now();
    let fields = Presence::of(&parts.headers);
    let (site, host) = match find_site(edge, &parts, fields) {
        Ok(found) => found,
        Err(refused) => return Err(Box::new((refused, parts))),
    };
    let device = match from.device {
        Some(device) => device,
        None if site.policies.needs_device() => edge.devices.classify(&parts.headers),
        None => Device::Unknown,
    };
    let directives = if fields.directives { RequestDirectives::of(&parts.headers) } else { RequestDirectives::default() };
    let decision = Arc::clone(&edge.no_decision);
    let mut exchange = Exchange {
        site,
        parts,
        host,
        device,
        decision,
        key: Vec::new(),
        directives,
        fields,
        at,
        client: from.client,
        warm_run: from.warm_run,
    };
    if !exchange.site.policies.is_empty() {
        exchange.decision = exchange.site.policies.on_request(&exchange.ask(), at);
    }
    exchange.key = write_key(&exchange);
    Ok(exchange)
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct From {
    /// The client's address; none for a warming plan.
    pub client: Option<IpAddr>,
    /// The device that a warming plan stands for.
    pub device: Option<Device>,
    /// The run of a warming plan; 0 for a visitor.
    pub warm_run: u64,
}

fn find_site(edge: &Edge, parts: &Parts, fields: Presence) -> Result<(Arc<Site>, Box<str>), Refused> {
    if matches!(parts.method, Method::TRACE | Method::CONNECT) {
        return Err(Refused::Method);
    }
    // The connection stops reading at about this bound, but what came in one piece with the rest gets this far.
    if fields.bytes + parts.uri.path().len() + parts.uri.query().map_or(0, str::len) > edge.max_header_bytes {
        return Err(Refused::TooLong);
    }
    let host = host(parts, fields)?;
    if !parts.uri.path().starts_with('/') {
        return Err(Refused::BadTarget);
    }
    if forwarding::is_loop(&parts.headers, &edge.name) {
        return Err(Refused::Loop);
    }
    let site = edge.sites.load().of_host(&host).cloned().ok_or(Refused::UnknownHost)?;
    Ok((site, host))
}

/// The host that a request is for: of its target if that is absolute, else of its one `Host` (RFC 9112 §3.2).
fn host(parts: &Parts, fields: Presence) -> Result<Box<str>, Refused> {
    if fields.hosts > 1 || (fields.hosts == 0 && parts.version == Version::HTTP_11) {
        return Err(Refused::BadHost);
    }
    let named = match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => parts.headers.get(HOST).and_then(|host| host.to_str().ok()).ok_or(Refused::BadHost)?,
    };
    without_port(named).map(|host| host.to_ascii_lowercase().into_boxed_str()).ok_or(Refused::BadHost)
}

fn without_port(named: &str) -> Option<&str> {
    let (host, port) = match named.rfind(':') {
        // The colons of an address in brackets are not the one before a port.
        Some(colon) if !named[colon..].contains(']') => (&named[..colon], &named[colon + 1..]),
        _ => (named, ""),
    };
    let is_host = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_[]:%~".contains(&byte));
    (is_host && port.bytes().all(|byte| byte.is_ascii_digit())).then_some(host)
}

fn write_key(exchange: &Exchange) -> Vec<u8> {
    let uri = &exchange.parts.uri;
    let query = key::canonical_query(uri.query(), &exchange.decision.query);
    let mut written = Vec::with_capacity(exchange.host.len() + uri.path().len() + uri.query().map_or(0, str::len) + 32);
    key::write_key(&mut written, SCHEME, &exchange.host, uri.path(), query.as_deref(), exchange.decision.variant.as_deref());
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_part_of_a_host() {
        for (named, host) in [
            ("a.example", Some("a.example")),
            ("a.example:8080", Some("a.example")),
            ("[::1]:80", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("a.example:", Some("a.example")),
            ("a.example:8o", None),
            ("user@a.example", None),
            ("", None),
            (":80", None),
            ("a b", None),
        ] {
            assert_eq!(without_port(named), host, "{named}");
        }
    }
}
