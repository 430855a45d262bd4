//! Compares two versions of a policy over an access log: what each decides about the requests in
//! it, field by field.
//!
//! A log knows less than a request did: the method, the target, the time, the status and the
//! length, and most often the user agent and the referer. Other fields that the policies read are
//! absent for both.

use std::io::{self, Read};
use std::sync::Arc;

use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use super::log::{LogOptions, LogReport, LogStream};
use super::record::{LineFault, LogRecord};
use tero_config::Config;
use tero_policy_host::compare::{ComparedRequest, Comparison};
use tero_policy_host::device::{Device, DeviceSource, classify};
use tero_policy_host::{Chain, ClientFacts, PolicyRequest, PolicyResponse};
use tero_semantics::authority::Scheme;
use tero_semantics::decision::{RequestDecision, ResponseDecision};
use tero_semantics::key::{self, KeyParts};

/// The result of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    /// Agreements and differences, by field.
    pub comparison: Comparison,
    /// How many lines are too long or in no known format.
    pub unreadable: u64,
}

/// Where the requests of a log went.
#[derive(Clone, Copy, Debug)]
pub struct LoggedSites<'s> {
    /// The host of lines without one.
    pub host: &'s str,
    /// The configuration whose sites say which of a query counts; `None`: all of it does.
    pub config: Option<&'s Config>,
}

/// Compares what two versions decide about the requests of a log.
///
/// # Errors
/// If the log can't be read.
pub fn diff(
    left: &Chain,
    right: &Chain,
    log: impl Read,
    sites: LoggedSites<'_>,
) -> io::Result<Diff> {
    let mut comparison = Comparison::default();
    let unreadable = each_request(log, |logged| {
        compare(&mut comparison, left, right, logged, sites);
    })?;
    Ok(Diff {
        comparison,
        unreadable,
    })
}

/// Hands over each request of a log. Returns how many lines are too long or in no known format.
pub(crate) fn each_request(log: impl Read, mut each: impl FnMut(&LogRecord)) -> io::Result<u64> {
    let mut report = LogReport::default();
    let options = Arc::new(LogOptions::default());
    let mut stream = LogStream::new(Box::new(log), "log".into(), 0, options);
    while let Some(read) = stream.read(&mut report) {
        match read {
            Ok(logged) => each(&logged),
            Err(bad) => {
                if let LineFault::Broken(error) = bad.fault {
                    return Err(io::Error::other(error));
                }
            }
        }
    }
    Ok(report.bad_lines())
}

/// What policies decide about a request of a log and the response to it.
#[derive(Debug)]
pub(crate) struct LoggedDecision {
    /// About the request.
    pub(crate) request: Arc<RequestDecision>,
    /// About the response.
    pub(crate) response: ResponseDecision,
}

/// Asks policies about a request of a log and the response to it.
pub(crate) fn decide(chain: &Chain, logged: &LogRecord, sites: LoggedSites<'_>) -> LoggedDecision {
    let request = request_of(logged, sites.host);
    let decision = chain.on_request(&request, logged.at);
    let response = respond(chain, &request, &decision, logged, sites);
    LoggedDecision {
        request: decision,
        response,
    }
}

/// The device class of a request of a log.
pub(crate) fn device_of(logged: &LogRecord) -> Device {
    classify(&logged.request)
}

/// Asks both versions about one request and the response to it.
fn compare(
    comparison: &mut Comparison,
    left: &Chain,
    right: &Chain,
    logged: &LogRecord,
    sites: LoggedSites<'_>,
) {
    let (one, other) = (decide(left, logged, sites), decide(right, logged, sites));
    let host = sites.host;
    let about = ComparedRequest {
        at: logged.at,
        host: logged.host_or(host),
        target: &logged.target,
        device: device_of(logged).as_str(),
    };
    comparison.request(&about, &one.request, &other.request);
    comparison.response(&about, &one.response, &other.response);
}

fn request_of<'l>(logged: &'l LogRecord, host: &'l str) -> PolicyRequest<'l> {
    PolicyRequest {
        method: &logged.method,
        scheme: logged.scheme_or(Scheme::Http).as_str(),
        host: logged.host_or(host),
        path: logged.path(),
        query: logged.query(),
        headers: &logged.request,
        device: classify(&logged.request),
        device_source: DeviceSource::default(),
        client: ClientFacts::default(),
        route: None,
        variant: None,
    }
}

/// What a version decides about the logged response, after its own decision about the request.
fn respond(
    chain: &Chain,
    request: &PolicyRequest<'_>,
    decision: &RequestDecision,
    logged: &LogRecord,
    sites: LoggedSites<'_>,
) -> ResponseDecision {
    let variant = decision.variant.as_deref();
    let key = key_of(request, decision, sites);
    let mut headers: HeaderMap = logged.response.clone();
    headers.extend(
        logged
            .content_bytes()
            .map(|bytes| (CONTENT_LENGTH, bytes.into())),
    );
    let response = PolicyResponse {
        status: logged.status,
        headers: &headers,
        length: logged.content_bytes(),
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

/// The key of a request, after what a version decided about it.
fn key_of(
    request: &PolicyRequest<'_>,
    decision: &RequestDecision,
    sites: LoggedSites<'_>,
) -> Vec<u8> {
    let authority = request.host.to_ascii_lowercase();
    let host = authority.split(':').next().unwrap_or_default();
    let site = sites.config.and_then(|config| config.site_of(host));
    let rule = site.map_or(&decision.query, |site| {
        let route = site.route_of(request.method, request.path);
        site.query_rule(route, &decision.query)
    });
    let query = key::canonical_query(request.query, rule);
    let parts = KeyParts {
        scheme: request.scheme,
        authority: &authority,
        path: request.path,
        query: query.as_deref(),
        variant: decision.variant.as_deref(),
    };
    let mut key = Vec::new();
    key::write_key(&mut key, &parts);
    key
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn keys_have_what_the_sites_and_routes_of_a_configuration_say_of_the_query() {
        let text = "[[site]]\nname = \"shop\"\nhosts = [\"*.shop.example\"]\norigins = [\"http://127.0.0.1:1\"]\n\
                    query = { drop = [\"utm_*\"] }\n\
                    [[site.route]]\nmatch = [\"/static/*\"]\nquery = \"none\"";
        let config = Config::parse(text, "tero.toml", Path::new("")).unwrap();
        let key = |host: &str, target: &str, config: Option<&Config>| {
            let line = format!(
                "10.0.0.1 - - [24/Nov/2026:08:59:00 -0300] \"GET {target} HTTP/1.1\" 200 5"
            );
            let logged = crate::replay::log::parse(&line).unwrap();
            let request = request_of(&logged, host);
            let sites = LoggedSites { host, config };
            let key = key_of(&request, &RequestDecision::default(), sites);
            key::url_of(&key).to_owned()
        };
        for (host, target, expected) in [
            (
                "a.shop.example",
                "/a?utm_x=1&b=2",
                "http://a.shop.example/a?b=2",
            ),
            (
                "A.Shop.example:80",
                "/static/a?v=1",
                "http://a.shop.example:80/static/a",
            ),
            (
                "other.example",
                "/static/a?v=1",
                "http://other.example/static/a?v=1",
            ),
        ] {
            assert_eq!(key(host, target, Some(&config)), expected);
        }
        let all = key("a.shop.example", "/static/a?v=1", None);
        assert_eq!(all, "http://a.shop.example/static/a?v=1");
    }

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
        let sites = LoggedSites {
            host: "h",
            config: None,
        };
        let diff = diff(&chain, &chain, log.as_bytes(), sites).unwrap();
        assert_eq!((diff.comparison.requests, diff.unreadable), (2, 2));
    }
}
