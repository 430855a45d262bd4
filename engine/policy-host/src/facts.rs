//! What policies may be told: a request, a response, and the pages that visitors wanted.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::device::Device;

/// A request, as policies may see it. Each is told only what its manifest asks for.
#[derive(Clone, Copy, Debug)]
pub struct PolicyRequest<'a> {
    /// The method.
    pub method: &'a http::Method,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Lower case, without port.
    pub host: &'a str,
    /// As it came, percent-encoded.
    pub path: &'a str,
    /// Without the question mark.
    pub query: Option<&'a str>,
    /// The client's fields. A value that is not UTF-8 reaches policies with U+FFFD in place of what
    /// is not.
    pub headers: &'a HeaderMap,
    /// The class of the device; anything where [`Chain::needs_device`] says no.
    pub device: Device,
    /// What `on_request` decided; only looked at in [`Chain::on_response`].
    pub variant: Option<&'a str>,
}

/// A response, as policies may see it.
#[derive(Clone, Copy, Debug)]
pub struct PolicyResponse<'a> {
    /// The status.
    pub status: StatusCode,
    /// The next hop's fields.
    pub headers: &'a HeaderMap,
    /// From `Content-Length`, in bytes.
    pub length: Option<u64>,
    /// The freshness lifetime that the fields give a shared cache.
    pub header_ttl: Option<Duration>,
    /// How long the fields let a browser keep it.
    pub header_browser_ttl: Option<Duration>,
    /// The key under which it will be stored; policies are told its hash.
    pub key: &'a [u8],
}

/// A page that visitors wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PopularPage {
    /// Path and query.
    pub url: String,
    /// How often it was asked for.
    pub requests: u64,
    /// Under which variant.
    pub variant: Option<Arc<str>>,
}

/// What policies are asked when a warming plan is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlanRequest<'a> {
    /// The name of the plan.
    pub(crate) plan: &'a str,
    /// The pages that visitors wanted.
    pub(crate) popular: &'a [PopularPage],
    /// The variants of the whole site.
    pub(crate) variants: &'a [Arc<str>],
}
