//! What is true of a request, decided once: by which scheme it came, for which authority, from which
//! client. Then its fields are made to say the same, so that the key, `Vary`, the device class and
//! policies see what the next hop sees.

use std::net::IpAddr;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderValue, Method};

use super::client::ClientHandle;
use super::edge::Edge;
use super::field_scan::SuspectFields;
use super::refusal::AdmissionRefusal;
use super::request_id::RequestId;
use super::site::{Site, Sites};
use tero_config::UnderscoreFields;
use tero_semantics::authority::{Authority, NamedAuthority, Scheme};
use tero_semantics::forwarded::named_authority;
use tero_semantics::forwarding;
use tero_semantics::request_fields::{RequestFieldKind, has_underscore, is_essential, kind_of};
use tero_semantics::tier::TierRequest;

/// Who asks, and for what.
#[derive(Debug)]
pub(super) struct RequestIdentity {
    /// By which scheme the client asks.
    pub(super) scheme: Scheme,
    /// For which authority, if its port counts.
    pub(super) authority: Authority,
    /// The client; `None` for a plan, and if it is unknown.
    pub(super) client: Option<IpAddr>,
    /// The trusted proxies between the client and us, the nearest last.
    pub(super) proxies: Box<[IpAddr]>,
    /// Whether a trusted proxy opened the connection.
    pub(super) is_of_trusted_peer: bool,
    /// What the edge in front has decided; `None` if no trusted edge opened the connection.
    pub(super) edge: Option<Box<TierRequest>>,
}

/// What the connection tells by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerFacts {
    /// Who opened it; `None` for a plan, and for a peer without an address.
    pub(super) peer: Option<IpAddr>,
    /// Whether it came by a Unix socket, whose peers have no address.
    pub(super) is_unix: bool,
    /// The scheme of its listener.
    pub(super) scheme: Scheme,
}

impl RequestIdentity {
    /// The identity of a request that names the authority `own`. Trusted proxies are believed.
    ///
    /// # Errors
    /// [`AdmissionRefusal::BadHost`] if the authority is malformed.
    ///
    /// [`AdmissionRefusal::OtherScheme`] if the target has another scheme than the connection.
    ///
    /// [`AdmissionRefusal::BadTierFields`] if an edge's own fields are malformed.
    #[inline]
    pub(super) fn of(
        parts: &Parts,
        own: &str,
        connection: PeerFacts,
        sites: &Sites,
    ) -> Result<RequestIdentity, AdmissionRefusal> {
        match connection.peer {
            Some(peer) if sites.trust(peer) => {
                let scheme = scheme_of_target(parts)?.unwrap_or(connection.scheme);
                RequestIdentity::told(parts, Some(peer), own, scheme, sites)
            }
            None if connection.is_unix && sites.trust_unix_peers() => {
                let scheme = scheme_of_target(parts)?.unwrap_or(connection.scheme);
                RequestIdentity::told(parts, None, own, scheme, sites)
            }
            client => {
                // The target would claim a secured connection, or deny it (RFC 9110 §7.4).
                if scheme_of_target(parts)?.is_some_and(|scheme| scheme != connection.scheme) {
                    return Err(AdmissionRefusal::OtherScheme);
                }
                let named = NamedAuthority::parse(own).ok_or(AdmissionRefusal::BadHost)?;
                Ok(RequestIdentity {
                    scheme: connection.scheme,
                    authority: Authority::new(named, connection.scheme),
                    client,
                    proxies: Box::default(),
                    is_of_trusted_peer: false,
                    edge: None,
                })
            }
        }
    }

    /// The identity that trusted proxies tell. A `peer` that is `None` has no address.
    #[cold]
    fn told(
        parts: &Parts,
        peer: Option<IpAddr>,
        own: &str,
        of_request: Scheme,
        sites: &Sites,
    ) -> Result<RequestIdentity, AdmissionRefusal> {
        let facts = sites.facts_of(parts, peer);
        let edge = match sites.is_edge(peer) {
            false => None,
            true => {
                let told = TierRequest::of(&parts.headers);
                Some(Box::new(told.map_err(|_| AdmissionRefusal::BadTierFields)?))
            }
        };
        let named = named_authority(&facts, Some(own)).ok_or(AdmissionRefusal::BadHost)?;
        let scheme = facts.scheme.unwrap_or(of_request);
        Ok(RequestIdentity {
            scheme,
            authority: Authority::new(named, scheme),
            client: facts.client,
            proxies: facts.proxies.into(),
            is_of_trusted_peer: true,
            edge,
        })
    }

    /// Leaves the port out of the authority: the edge has no listener there.
    #[cold]
    pub(super) fn forget_port(&mut self) {
        self.authority = self.authority.without_port();
    }
}

/// Who sent a request that was not let in.
#[derive(Debug)]
pub(super) struct RefusedSender<'s> {
    /// As in [`RequestIdentity`].
    pub(super) client: Option<IpAddr>,
    /// As in [`RequestIdentity`].
    pub(super) proxies: Box<[IpAddr]>,
    /// The connection.
    pub(super) connection: Option<&'s ClientHandle>,
    /// The id of the request.
    pub(super) id: RequestId,
}

impl<'s> RefusedSender<'s> {
    /// The sender of a request. Trusted proxies are believed.
    #[cold]
    pub(super) fn of(
        edge: &Edge,
        parts: &Parts,
        by: PeerFacts,
        connection: Option<&'s ClientHandle>,
    ) -> RefusedSender<'s> {
        let (sites, peer) = (edge.sites.load(), by.peer);
        let is_trusted = match peer {
            Some(peer) => sites.trust(peer),
            None => by.is_unix && sites.trust_unix_peers(),
        };
        if !is_trusted {
            return RefusedSender {
                client: peer,
                proxies: Box::default(),
                connection,
                id: RequestId::draw(),
            };
        }
        let facts = sites.facts_of(parts, peer);
        RefusedSender {
            client: facts.client,
            proxies: facts.proxies.into(),
            connection,
            id: RequestId::told(&parts.headers).unwrap_or_else(RequestId::draw),
        }
    }
}

/// The scheme of an absolute target (RFC 9112 §3.2.2).
///
/// # Errors
/// [`AdmissionRefusal::BadTarget`] if it is not one of HTTP.
#[inline]
fn scheme_of_target(parts: &Parts) -> Result<Option<Scheme>, AdmissionRefusal> {
    match parts.uri.scheme_str() {
        None => Ok(None),
        Some(name) => match Scheme::from_name(name) {
            Some(scheme) => Ok(Some(scheme)),
            None => Err(AdmissionRefusal::BadTarget),
        },
    }
}

/// Whether the fields of a request have to be changed before anybody looks at them. `host` is its
/// `Host` as it came.
#[inline]
pub(super) fn must_change_fields(
    host: Option<&HeaderValue>,
    suspects: SuspectFields,
    site: &Site,
    authority: &Authority,
) -> bool {
    suspects.any()
        || !site.settings.forward_fields.is_empty()
        || host.is_none_or(|host| host.as_bytes() != authority.as_str().as_bytes())
}

/// Leaves the fields that may go on, and has `Host` say the authority.
#[cold]
pub(super) fn change_fields(
    parts: &mut Parts,
    suspects: SuspectFields,
    site: &Site,
    authority: &Authority,
) {
    let headers = &mut parts.headers;
    if suspects.nominated {
        forwarding::strip_nominated(headers);
    }
    let drops_underscores =
        suspects.underscores && site.settings.underscores == UnderscoreFields::Drop;
    // A form or an editor tunnels its PUT through a POST, which is never answered from the store.
    let drops_overrides =
        suspects.method_override && matches!(parts.method, Method::GET | Method::HEAD);
    let drops_content = suspects.of_content && matches!(parts.method, Method::GET | Method::HEAD);
    if suspects.of_proxies || drops_underscores || drops_overrides || drops_content {
        forwarding::remove_named(headers, |name| match kind_of(name) {
            RequestFieldKind::OfProxies => true,
            RequestFieldKind::MethodOverride if drops_overrides => true,
            RequestFieldKind::OfContent if drops_content => true,
            _ => drops_underscores && has_underscore(name),
        });
    }
    let forwarded = &site.settings.forward_fields;
    if !forwarded.is_empty() {
        forwarding::remove_named(headers, |name| {
            !is_essential(name) && !forwarded.iter().any(|pattern| pattern.matches(name))
        });
    }
    if let Ok(host) = HeaderValue::try_from(authority.as_str()) {
        headers.insert(HOST, host);
    }
}
