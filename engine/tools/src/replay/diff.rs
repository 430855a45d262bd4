//! Compares two versions of a policy over an access log: what each decides about the requests in
//! it, field by field.
//!
//! A log knows less than a request did: the method, the target, the time, the status and the
//! length, the user agent and the referer. Other fields that the policies read are absent for both.

use std::io::{self, BufRead};

use http::HeaderMap;
use http::header::{CONTENT_LENGTH, REFERER, USER_AGENT};

use super::log::{LoggedRequest, parse};
use tero_policy_host::compare::{ComparedRequest, Comparison};
use tero_policy_host::device::classify;
use tero_policy_host::{Chain, PolicyRequest, PolicyResponse};
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
    let mut diff = Diff::default();
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if io::Read::take(&mut log, MAX_LINE_BYTES).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(diff);
        }
        let is_cut = bytes.last() != Some(&b'\n') && bytes.len() as u64 == MAX_LINE_BYTES;
        if is_cut {
            log.skip_until(b'\n')?;
        }
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim();
        match parse(line) {
            Some(logged) if !is_cut => compare(&mut diff.comparison, left, right, &logged, host),
            _ if line.is_empty() => {}
            _ => diff.unreadable += 1,
        }
    }
}

/// Asks both versions about one request and the response to it.
fn compare(
    comparison: &mut Comparison,
    left: &Chain,
    right: &Chain,
    logged: &LoggedRequest,
    host: &str,
) {
    let headers = fields_of(logged);
    let device = classify(&headers);
    let host = logged.host.as_deref().unwrap_or(host);
    let (path, query) = match logged.target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (logged.target.as_str(), None),
    };
    let request = PolicyRequest {
        method: &logged.method,
        scheme: "http",
        host,
        path,
        query,
        headers: &headers,
        device,
        variant: None,
    };
    let about = ComparedRequest {
        at: logged.at,
        host,
        target: &logged.target,
        device: device.as_str(),
    };
    let decide = |chain: &Chain| chain.on_request(&request, logged.at);
    let (one, other) = (decide(left), decide(right));
    comparison.request(&about, &one, &other);
    let one = respond(left, &request, &one, logged);
    let other = respond(right, &request, &other, logged);
    comparison.response(&about, &one, &other);
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
    let (host, path) = (request.host, request.path);
    let query = key::canonical_query(request.query, &decision.query);
    let mut key = Vec::new();
    let parts = KeyParts {
        scheme: "http",
        host,
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
