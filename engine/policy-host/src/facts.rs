//! The facts that policies may be told: a request, a response, and popular pages.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::device::Device;

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
    /// The client's address. No policy is told; failures are counted by it.
    pub client: Option<IpAddr>,
    /// The variant that `on_request` decided. Only
    /// [`Chain::on_response`](crate::Chain::on_response) reads it.
    pub variant: Option<&'a str>,
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
