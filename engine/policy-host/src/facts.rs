//! The facts that policies may be told: a request, a response, and popular pages.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::device::{Device, DeviceSource};

/// A request as policies may see it. Each policy is told only the parts that its manifest names.
#[derive(Clone, Copy, Debug)]
pub struct PolicyRequest<'a> {
    /// The method.
    pub method: &'a http::Method,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The host in lower case, without port.
    pub host: &'a str,
    /// The path as it came, percent-encoded.
    pub path: &'a str,
    /// The query without the question mark.
    pub query: Option<&'a str>,
    /// The client's fields. If a value is not UTF-8, policies see U+FFFD in place of the invalid
    /// bytes.
    pub headers: &'a HeaderMap,
    /// The device class. Its value is ignored if
    /// [`Chain::needs_device`](crate::Chain::needs_device) is false.
    pub device: Device,
    /// How the device class was found, under the same condition.
    pub device_source: DeviceSource,
    /// Who asks.
    pub client: ClientFacts<'a>,
    /// The name of the route that matched, if it has one.
    pub route: Option<&'a str>,
    /// The variant that `on_request` decided. Only
    /// [`Chain::on_response`](crate::Chain::on_response) reads it.
    pub variant: Option<&'a str>,
}

/// The client of a request. Of its address policies are told the network that their manifests name,
/// and the bucket that is made of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientFacts<'a> {
    /// Its address. Failures of policies are counted by it.
    pub address: Option<IpAddr>,
    /// Its country, two capital letters (ISO 3166-1). Its value is ignored if
    /// [`Chain::needs_country`](crate::Chain::needs_country) is false.
    pub country: Option<&'a str>,
    /// Its region, what follows the hyphen in ISO 3166-2, under the same condition.
    pub region: Option<&'a str>,
    /// The bucket of the visitor where a test case gives it; `None` to make it of cookie and address.
    pub bucket: Option<u16>,
}

impl ClientFacts<'_> {
    /// A client of which only the address is known.
    pub fn of(address: Option<IpAddr>) -> Self {
        ClientFacts {
            address,
            ..ClientFacts::default()
        }
    }
}

/// A response as policies may see it.
#[derive(Clone, Copy, Debug)]
pub struct PolicyResponse<'a> {
    /// The status.
    pub status: StatusCode,
    /// The next hop's fields.
    pub headers: &'a HeaderMap,
    /// The length from `Content-Length`, in bytes.
    pub length: Option<u64>,
    /// The freshness lifetime that the fields give a shared cache (RFC 9111 §4.2.1).
    pub header_ttl: Option<Duration>,
    /// The freshness lifetime that the fields give a browser.
    pub header_browser_ttl: Option<Duration>,
    /// The key under which the response will be stored. Policies are told its hash.
    pub key: &'a [u8],
}

/// A page that visitors requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PopularPage {
    /// The path and query.
    pub url: String,
    /// How often it was requested.
    pub requests: u64,
    /// The variant in which it was requested.
    pub variant: Option<Arc<str>>,
}

/// The question that policies are asked when a warming plan is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlanRequest<'a> {
    /// The name of the plan.
    pub(crate) plan: &'a str,
    /// The pages that visitors requested.
    pub(crate) popular: &'a [PopularPage],
    /// The variants of the site's whole chain.
    pub(crate) variants: &'a [Arc<str>],
}
