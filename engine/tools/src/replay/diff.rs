//! Compares two versions of a policy over an access log: what each decides about the requests in
//! it, field by field.
//!
//! A log knows less than a request did: the method, the target, the time, the status and the
//! length, the user agent and the referer. Other fields that the policies read are absent for both.

use std::io::{self, BufRead};
use std::sync::Arc;

use http::HeaderMap;
use http::header::{CONTENT_LENGTH, REFERER, USER_AGENT};

use super::log::{LoggedRequest, parse};
use tero_policy_host::compare::{ComparedRequest, Comparison};
use tero_policy_host::device::{Device, DeviceSource, classify};
use tero_policy_host::{Chain, ClientFacts, PolicyRequest, PolicyResponse};
use tero_semantics::decision::{RequestDecision, ResponseDecision};
use tero_semantics::key::{self, KeyParts};

/// The longest line that is read. A longer line counts as unreadable.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// The result of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    /// Agreements and differences, by field.
    pub comparison: Comparison,
    /// How many lines are too long or in no known format.
    pub unreadable: u64,
}

/// Compares what two versions decide about the requests of a log. `host` is for lines without a
/// host.
///
/// # Errors
/// If the log can't be read.
pub fn diff(left: &Chain, right: &Chain, mut log: impl BufRead, host: &str) -> io::Result<Diff> {
    let mut comparison = Comparison::default();
    let unreadable = each_request(&mut log, |logged| {
        compare(&mut comparison, left, right, logged, host);
    })?;
    Ok(Diff {
        comparison,
        unreadable,
    })
}

/// Hands over each request of a log. Returns how many lines are too long or in no known format.
pub(crate) fn each_request(
    mut log: impl BufRead,
    mut each: impl FnMut(&LoggedRequest),
) -> io::Result<u64> {
    let mut unreadable = 0;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if io::Read::take(&mut log, MAX_LINE_BYTES).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(unreadable);
        }
        let is_cut = bytes.last() != Some(&b'\n') && bytes.len() as u64 == MAX_LINE_BYTES;
        if is_cut {
            log.skip_until(b'\n')?;
        }
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim();
        match parse(line) {
            Some(logged) if !is_cut => each(&logged),
            _ if line.is_empty() => {}
            _ => unreadable += 1,
        }
    }
}

/// What policies decide about a request of a log and the response to it.
#[derive(Debug)]
pub(crate) struct LoggedDecision {
    /// About the request.
    pub(crate) request: Arc<RequestDecision>,
    /// About the response.
    pub(crate) response: ResponseDecision,
}

/// Asks policies about a request of a log and the response to it. `host` is for lines without a
/// host.
pub(crate) fn decide(chain: &Chain, logged: &LoggedRequest, host: &str) -> LoggedDecision {
    let headers = fields_of(logged);
    let request = request_of(logged, &headers, host);
    let decision = chain.on_request(&request, logged.at);
    let response = respond(chain, &request, &decision, logged);
    LoggedDecision {
        request: decision,
        response,
    }
}

/// The device class of a request of a log.
pub(crate) fn device_of(logged: &LoggedRequest) -> Device {
    classify(&fields_of(logged))
}

/// Asks both versions about one request and the response to it.
fn compare(
    comparison: &mut Comparison,
    left: &Chain,
    right: &Chain,
    logged: &LoggedRequest,
    host: &str,
) {
    let (one, other) = (decide(left, logged, host), decide(right, logged, host));
    let about = ComparedRequest {
        at: logged.at,
        host: logged.host.as_deref().unwrap_or(host),
        target: &logged.target,
        device: device_of(logged).as_str(),
    };
    comparison.request(&about, &one.request, &other.request);
    comparison.response(&about, &one.response, &other.response);
}

fn request_of<'l>(
    logged: &'l LoggedRequest,
    headers: &'l HeaderMap,
    host: &'l str,
) -> PolicyRequest<'l> {
    let (path, query) = match logged.target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (logged.target.as_str(), None),
    };
    PolicyRequest {
        method: &logged.method,
        scheme: "http",
        host: logged.host.as_deref().unwrap_or(host),
        path,
        query,
        headers,
        device: classify(headers),
        device_source: DeviceSource::default(),
        client: ClientFacts::default(),
        route: None,
        variant: None,
    }
}

/// The fields of the request that a log knows.
fn fields_of(logged: &LoggedRequest) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.extend(logged.user_agent.clone().map(|value| (USER_AGENT, value)));
    headers.extend(logged.referer.clone().map(|value| (REFERER, value)));
    headers
}

/// What a version decides about the logged response, after its own decision about the request.
fn respond(
    chain: &Chain,
    request: &PolicyRequest<'_>,
    decision: &RequestDecision,
    logged: &LoggedRequest,
) -> ResponseDecision {
    let variant = decision.variant.as_deref();
    let (authority, path) = (request.host.to_ascii_lowercase(), request.path);
    let query = key::canonical_query(request.query, &decision.query);
    let mut key = Vec::new();
    let parts = KeyParts {
        scheme: "http",
        authority: &authority,
        path,
        query: query.as_deref(),
        variant,
    };
    key::write_key(&mut key, &parts);
    let mut headers = HeaderMap::new();
    headers.extend(logged.bytes.map(|bytes| (CONTENT_LENGTH, bytes.into())));
    let response = PolicyResponse {
        status: logged.status,
        headers: &headers,
        length: logged.bytes,
        header_ttl: None,
        header_browser_ttl: None,
        key: &key,
    };
    let request = PolicyRequest {
        variant,
        ..*request
    };
    chain.on_response(&request, &response, logged.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_and_too_long_lines_are_counted_and_left_out() {
        let host = tero_policy_host::Host::new(&tero_config::PolicyHost {
            compiled_cache: None,
            ..Default::default()
        })
        .unwrap();
        let chain = Chain::new(&host, Vec::new(), 1).unwrap();
        let good = "10.0.0.1 - - [24/Nov/2026:08:59:00 -0300] \"GET /a HTTP/1.1\" 200 5";
        let log = format!("{good}\nnonsense\n\n{}\n{good}", "x".repeat(300_000));
        let diff = diff(&chain, &chain, log.as_bytes(), "h").unwrap();
        assert_eq!((diff.comparison.requests, diff.unreadable), (2, 2));
    }
}
