//! Warming over the request path of an edge: makes the requests that visitors would make.
//!
//! A fetch sends the fields that a browser on the device sends. So an origin whose responses depend
//! on `User-Agent`, `Accept` or `Accept-Encoding` gives, and `Vary` selects, what visitors will
//! get.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HOST, USER_AGENT};
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode, Version};
use http_body::Body;

use super::path::{
    BoxFuture, FetchPurpose, Page, PageDecision, PageReadError, RequestPath, SiteFacts,
    TrafficCounts, WarmLookup, WarmOutcome,
};
use tero_edge::request::admit::{self, RequestSource};
use tero_edge::request::body::EdgeBody;
use tero_edge::request::exchange::{Exchange, Requester};
use tero_edge::request::provenance::{NotStored, Provenance};
use tero_edge::request::warm_lookup::{look_below_for_plan, look_for_plan};
use tero_edge::request::{self, Answer, Edge, Look, Visit};
use tero_edge::run_id::RunId;
use tero_edge::store::Key;
use tero_edge::store::stored::StoredResponse;
use tero_edge::telemetry::Outcome;
use tero_edge::telemetry::popularity::Hours;
use tero_edge::telemetry::warm_use::UsedResponses;
use tero_policy_host::device::Device;
use tero_policy_host::{PopularPage, WarmUrl};
use tero_semantics::authority::Scheme;
use tero_semantics::decision::LookupDecision;
use tero_semantics::host_pattern::is_pattern;
use tero_semantics::key;
use tero_semantics::retry_after::retry_after;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// All current browsers accept these.
const ENCODINGS: HeaderValue = HeaderValue::from_static("gzip, deflate, br, zstd");
const ACCEPT_PAGE: HeaderValue =
    HeaderValue::from_static("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
const ACCEPT_IMAGE: HeaderValue =
    HeaderValue::from_static("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8");
const ACCEPT_ANY: HeaderValue = HeaderValue::from_static("*/*");

/// The request path of an edge.
pub(super) struct EdgeRequestPath(Arc<Edge>);

/// The request of a plan for a page that is not stored as the plan wants it.
pub(super) struct PlanFetch {
    /// The request, as it was let in.
    pub(super) exchange: Arc<Exchange>,
    /// What is stored.
    pub(super) found: WarmLookup,
    /// The stored response, if there is one.
    pub(super) stored: Option<Arc<StoredResponse>>,
}

/// The request path of `edge`, as warming sees it.
pub(super) fn path(edge: &Arc<Edge>) -> Arc<dyn RequestPath> {
    Arc::new(EdgeRequestPath::new(edge))
}

/// The `n` pages of a site that visitors of this node request most in these hours; none of a site that
/// is not there.
pub(crate) fn popular_here(edge: &Edge, site: &str, hours: Hours, n: usize) -> Vec<PopularPage> {
    let Some(index) = edge.sites.load().named(site).map(|site| site.index) else {
        return Vec::new();
    };
    request::count_hits(edge);
    edge.popularity.top(index, hours, n, edge.clock.wall())
}

impl RequestPath for EdgeRequestPath {
    fn clock(&self) -> &Clock {
        &self.0.clock
    }

    fn site(&self, name: &str) -> Option<SiteFacts> {
        let sites = self.0.sites.load();
        let site = sites.named(name)?;
        let asked_for = self.0.popularity.web_origins(site.index);
        let (scheme, host) = web_origin(&site.settings.hosts, &asked_for);
        Some(SiteFacts {
            index: site.index,
            scheme,
            host,
            hosts: site.settings.hosts.clone(),
            hosts_of_others: sites
                .iter()
                .filter(|other| other.index != site.index)
                .flat_map(|other| other.settings.hosts.clone())
                .collect(),
            by_device: site.needs_device,
            zone: site.counters.zone(),
        })
    }

    fn decide(&self, page: &Page, device: Device) -> Option<PageDecision> {
        let exchange = self.admit(page, device, Requester::Visitor)?;
        Some(PageDecision {
            looked_up: exchange.decision.lookup == LookupDecision::Cache
                && !exchange.floor.never
                && exchange.own_answer().is_none(),
            variant: exchange.decision.variant.clone(),
            key: exchange.key.clone(),
        })
    }

    fn fetch(
        &self,
        page: &Page,
        device: Device,
        purpose: FetchPurpose,
    ) -> BoxFuture<'_, WarmOutcome> {
        let prepared = self.prepare(page, device, purpose);
        Box::pin(async move {
            let PlanFetch {
                exchange,
                mut found,
                mut stored,
            } = match prepared {
                Ok(fetch) => fetch,
                Err(outcome) => return outcome,
            };
            let edge = &self.0;
            let visit = Visit {
                edge,
                exchange: &exchange,
            };
            if found == WarmLookup::Absent {
                (found, stored) = look_below_for_plan(visit, purpose.until, purpose.changed).await;
            }
            if found == WarmLookup::Fresh {
                return WarmOutcome::Fresh;
            }
            let answer = request::fetch_for_plan(visit, found, stored).await;
            outcome_of(answer, &edge.clock, || self.is_kept(&exchange)).await
        })
    }

    fn look(&self, page: &Page, device: Device, purpose: FetchPurpose) -> WarmLookup {
        let exchange = self.admit(page, device, Requester::Plan(purpose.run));
        exchange.map_or(WarmLookup::Absent, |exchange| {
            let visit = Visit {
                edge: &self.0,
                exchange: &exchange,
            };
            look_for_plan(visit, purpose.until, purpose.changed).0
        })
    }

    fn has_room(&self, site: usize, page: &Page) -> bool {
        let path = page.target.split('?').next().unwrap_or_default();
        self.0
            .sites
            .load()
            .at(site)
            .is_none_or(|site| site.has_room_for(path))
    }

    fn read(
        &self,
        page: &Page,
        run: RunId,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<Vec<u8>, PageReadError>> {
        let exchange = self.admit(page, Device::Unknown, Requester::Plan(run));
        Box::pin(async move {
            let mut exchange =
                exchange.ok_or_else(|| PageReadError::lasting("can't be requested"))?;
            if let Some(exchange) = Arc::get_mut(&mut exchange) {
                exchange.parts.headers.remove(ACCEPT_ENCODING);
            }
            let visit = Visit {
                edge: &self.0,
                exchange: &exchange,
            };
            let answer = current(visit).await;
            if let Some(error) = read_trouble(&answer, &self.0.clock) {
                return Err(error);
            }
            // The parser recognises gzip by its first bytes.
            let coding = answer.response.headers().get(CONTENT_ENCODING);
            if let Some(coding) = coding
                .filter(|coding| !matches!(coding.as_bytes(), b"identity" | b"gzip" | b"x-gzip"))
            {
                return Err(PageReadError::lasting(format!(
                    "is compressed with {}",
                    coding.to_str().unwrap_or("an unknown coding")
                )));
            }
            collect(answer.response.into_body(), max_bytes).await
        })
    }

    fn popular(&self, site: usize, hours: Hours, n: usize) -> Vec<PopularPage> {
        request::count_hits(&self.0);
        self.0.popularity.top(site, hours, n, self.0.clock.wall())
    }

    fn plan_warm(&self, site: usize, plan: &str, popular: &[PopularPage]) -> Vec<WarmUrl> {
        let sites = self.0.sites.load_full();
        let Some(site) = sites.at(site) else {
            return Vec::new();
        };
        site.policies.plan_warm(plan, popular, self.0.clock.wall())
    }

    fn is_shielded(&self, site: &str) -> bool {
        let sites = self.0.sites.load();
        sites.named(site).is_some_and(|site| site.shields.is_some())
    }

    fn used(&self, run: RunId) -> UsedResponses {
        self.0.warm_use.of(run)
    }

    fn count(&self) {
        request::count_hits(&self.0);
    }

    fn traffic(&self, site: usize) -> TrafficCounts {
        let sites = self.0.sites.load();
        let Some(site) = sites.at(site) else {
            return TrafficCounts::default();
        };
        let outcomes = site.counters.outcomes_in_all();
        let hits = [
            Outcome::Hit,
            Outcome::Stale,
            Outcome::Revalidated,
            Outcome::Collapsed,
        ];
        TrafficCounts {
            hits: hits
                .into_iter()
                .map(|outcome| outcomes.count(outcome))
                .sum(),
        }
    }

    fn release(&self, is_over: &dyn Fn(RunId) -> bool) {
        self.0.store.release(is_over);
    }
}

impl EdgeRequestPath {
    /// The request path of `edge`.
    pub(super) fn new(edge: &Arc<Edge>) -> EdgeRequestPath {
        EdgeRequestPath(Arc::clone(edge))
    }

    /// The edge.
    pub(super) fn edge(&self) -> &Arc<Edge> {
        &self.0
    }

    /// The request for a page, unless it is stored as the plan wants it, or can't be.
    pub(super) fn prepare(
        &self,
        page: &Page,
        device: Device,
        purpose: FetchPurpose,
    ) -> Result<PlanFetch, WarmOutcome> {
        let exchange = self
            .admit(page, device, Requester::Plan(purpose.run))
            .ok_or_else(|| failed("the edge refuses this request"))?;
        let visit = Visit {
            edge: &self.0,
            exchange: &exchange,
        };
        if !visit.disposition(Look::Peek).is_looked_up() {
            let reason = match (exchange.own_answer(), exchange.floor.never) {
                (Some(_), _) => "answered by a policy",
                (None, true) => "passes, by site.never",
                (None, false) => "passes, by decision of the policies",
            };
            return Err(WarmOutcome::NotStored {
                reason: reason.to_owned(),
                bytes: 0,
            });
        }
        let (found, stored) = look_for_plan(visit, purpose.until, purpose.changed);
        if found == WarmLookup::Fresh {
            return Err(WarmOutcome::Fresh);
        }
        Ok(PlanFetch {
            exchange,
            found,
            stored,
        })
    }

    /// Whether the responses under the key of a request are kept for the plan.
    pub(super) fn is_kept(&self, exchange: &Exchange) -> bool {
        self.0.store.is_kept(&Key::new(&exchange.key))
    }

    fn admit(&self, page: &Page, device: Device, requester: Requester) -> Option<Arc<Exchange>> {
        let source = RequestSource {
            device: Some(device),
            scheme: page.scheme,
            requester,
            ..RequestSource::default()
        };
        admit::admit(&self.0, head_of(page, device)?, source).ok()
    }
}

/// The answer to a request for what the next hop has now: a stored response is revalidated even if
/// it is fresh.
async fn current(visit: Visit<'_>) -> Answer {
    if !visit.disposition(Look::Peek).is_looked_up() {
        return request::answer(visit, None).await;
    }
    let whole_time = Timestamp::from_unix_millis(i64::MAX);
    let (found, stored) = look_below_for_plan(visit, whole_time, None).await;
    request::fetch_for_plan(visit, found, stored).await
}

/// Why the answer is not the page that was to be read.
fn read_trouble(answer: &Answer, clock: &Clock) -> Option<PageReadError> {
    let status = answer.response.status();
    match trouble_of(answer, clock) {
        Some(WarmOutcome::Failed {
            reason, overloaded, ..
        }) => Some(PageReadError {
            reason: if answer.provenance.failure.is_some() {
                format!("could not be read: {reason}")
            } else {
                format!("was {reason}")
            },
            may_pass: overloaded,
        }),
        _ if status == StatusCode::OK => None,
        _ => Some(PageReadError::lasting(format!(
            "was answered with {status}"
        ))),
    }
}

/// The scheme and the host to fetch under: those of the site's that are requested most, or else the
/// first host. `*` and `*.NAME` are not hosts: visitors may send any name to such a site, so that
/// their requests tell the scheme alone.
fn web_origin(named: &[String], asked_for: &[Box<str>]) -> (Scheme, Option<Arc<str>>) {
    let mut of_site = asked_for
        .iter()
        .map(|origin| parts_of(origin))
        .filter(|(_, authority)| is_of_site(named, authority));
    match of_site.next() {
        Some((scheme, authority)) => (scheme, Some(authority.into())),
        None => {
            let first = named.iter().find(|host| !is_pattern(host));
            let takes_any = named.iter().any(|host| is_pattern(host));
            let scheme = asked_for.first().filter(|_| takes_any);
            let scheme = scheme.map_or(Scheme::default(), |origin| parts_of(origin).0);
            (scheme, first.map(|host| host.as_str().into()))
        }
    }
}

/// Scheme and authority of a web origin. One without a scheme was saved by an earlier version.
fn parts_of(origin: &str) -> (Scheme, &str) {
    match origin.split_once("://") {
        Some((scheme, authority)) => (Scheme::from_name(scheme).unwrap_or_default(), authority),
        None => (Scheme::default(), origin),
    }
}

/// Whether a site that names these hosts answers for an authority.
fn is_of_site(named: &[String], authority: &str) -> bool {
    let host = key::host_of(authority);
    let mut named = named
        .iter()
        .map(String::as_str)
        .filter(|named| !is_pattern(named));
    named.any(|named| named == authority || Some(named) == host)
}

/// The head of a visitor's request.
fn head_of(page: &Page, device: Device) -> Option<Parts> {
    let request = Request::builder()
        .method(Method::GET)
        .version(Version::HTTP_11)
        .uri(&page.target);
    let mut head = request.body(()).ok()?.into_parts().0;
    let headers = &mut head.headers;
    headers.insert(HOST, HeaderValue::from_str(&page.host).ok()?);
    headers.insert(USER_AGENT, HeaderValue::from_static(user_agent(device)));
    headers.insert(ACCEPT, accept(&page.target));
    headers.insert(ACCEPT_ENCODING, ENCODINGS);
    if let Some((mobile, platform)) = hints(device) {
        headers.insert("sec-ch-ua-mobile", HeaderValue::from_static(mobile));
        headers.insert("sec-ch-ua-platform", HeaderValue::from_static(platform));
    }
    Some(head)
}

/// A common `User-Agent` of the device class, followed by our name for readers of the origin's log.
fn user_agent(device: Device) -> &'static str {
    match device {
        Device::Desktop => {
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 tero-warm/0.1"
        }
        Device::Mobile => {
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36 tero-warm/0.1"
        }
        Device::Tablet => {
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 tero-warm/0.1"
        }
        Device::Tv => {
            "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 tero-warm/0.1"
        }
        Device::Bot => "Mozilla/5.0 (compatible; tero-warm-bot/0.1)",
        Device::Unknown => "tero-warm/0.1",
    }
}

fn hints(device: Device) -> Option<(&'static str, &'static str)> {
    match device {
        Device::Desktop => Some(("?0", "\"Windows\"")),
        Device::Mobile => Some(("?1", "\"Android\"")),
        Device::Tablet => Some(("?0", "\"Android\"")),
        Device::Tv | Device::Bot | Device::Unknown => None,
    }
}

/// The `Accept` of a browser, which depends on how it uses the resource. Only the file name tells
/// that here.
fn accept(target: &str) -> HeaderValue {
    let path = target.split('?').next().unwrap_or(target);
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("png" | "jpg" | "jpeg" | "gif" | "webp" | "avif" | "svg" | "ico") => ACCEPT_IMAGE,
        None | Some("html" | "htm" | "php") => ACCEPT_PAGE,
        Some(_) => ACCEPT_ANY,
    }
}

pub(super) fn failed(reason: &str) -> WarmOutcome {
    WarmOutcome::Failed {
        reason: reason.to_owned(),
        overloaded: false,
        retry_after: None,
    }
}

/// Reads the response to its end, so that it is stored as a whole, and returns the outcome.
async fn outcome_of(answer: Answer, clock: &Clock, kept: impl Fn() -> bool) -> WarmOutcome {
    if let Some(trouble) = trouble_of(&answer, clock) {
        return trouble;
    }
    let Answer {
        response,
        provenance: came,
    } = answer;
    let read = match is_brought(&came) {
        true => count(response.into_body()).await,
        false => Ok(0),
    };
    outcome_by(&came, read, kept)
}

/// Whether the next hop has sent content for an answer.
fn is_brought(came: &Provenance) -> bool {
    match came.outcome {
        Outcome::Hit | Outcome::Collapsed | Outcome::Stale | Outcome::Revalidated => false,
        Outcome::Miss | Outcome::Pass | Outcome::Error | Outcome::Rule => true,
    }
}

/// The outcome of a fetch that came about so, and of whose content so much was read.
pub(super) fn outcome_by(
    came: &Provenance,
    read: Result<u64, String>,
    kept: impl Fn() -> bool,
) -> WarmOutcome {
    match came.outcome {
        // Another request's fetch has stored it.
        Outcome::Hit | Outcome::Collapsed => return WarmOutcome::Fresh,
        Outcome::Stale | Outcome::Revalidated => {
            return WarmOutcome::Fetched {
                bytes: 0,
                kept: kept(),
            };
        }
        Outcome::Miss | Outcome::Pass | Outcome::Error | Outcome::Rule => {}
    }
    match read {
        Err(reason) => WarmOutcome::Failed {
            reason,
            overloaded: true,
            retry_after: None,
        },
        Ok(bytes) if came.storing.is_stored() => WarmOutcome::Fetched {
            bytes,
            kept: kept(),
        },
        Ok(bytes) => WarmOutcome::NotStored {
            reason: came
                .storing
                .refusal()
                .map_or("not storable", NotStored::as_str)
                .to_owned(),
            bytes,
        },
    }
}

/// The failure, if the next hop failed or the response is an error, also if a stale response is
/// served instead.
fn trouble_of(answer: &Answer, clock: &Clock) -> Option<WarmOutcome> {
    // Another request's fetch may have brought it, with the fields of the next hop.
    let told = || retry_after(answer.response.headers(), clock.wall());
    trouble_by(&answer.provenance, answer.response.status(), told)
}

/// The same by how the answer came about, its status, and how long its fields ask to be left alone.
pub(super) fn trouble_by(
    came: &Provenance,
    status: StatusCode,
    told: impl FnOnce() -> Option<Duration>,
) -> Option<WarmOutcome> {
    if came.failure.is_none() && !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    let overloaded = came.outcome == Outcome::Stale
        || status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS;
    let retry_after = match came.next_hop {
        Some(reply) => reply.retry_after,
        None => told(),
    };
    Some(WarmOutcome::Failed {
        reason: match came.failure {
            Some(failure) => failure.reason.to_owned(),
            None => format!("answered with {status}"),
        },
        overloaded,
        retry_after,
    })
}

async fn next(body: &mut EdgeBody) -> Option<Result<bytes::Bytes, String>> {
    loop {
        let frame =
            std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
        match frame {
            Err(error) => return Some(Err(format!("the response was cut short: {error}"))),
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Some(Ok(data));
                }
            }
        }
    }
}

async fn count(mut body: EdgeBody) -> Result<u64, String> {
    let mut bytes = 0;
    while let Some(piece) = next(&mut body).await {
        bytes += piece?.len() as u64;
    }
    Ok(bytes)
}

async fn collect(mut body: EdgeBody, max_bytes: usize) -> Result<Vec<u8>, PageReadError> {
    let mut read = Vec::new();
    while let Some(piece) = next(&mut body).await {
        let piece = piece.map_err(|reason| PageReadError {
            reason: format!("could not be read: {reason}"),
            may_pass: true,
        })?;
        if read.len() + piece.len() > max_bytes {
            let reason = format!("is larger than {max_bytes} bytes");
            return Err(PageReadError::lasting(reason));
        }
        read.extend_from_slice(&piece);
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_policy_host::device::classify;

    #[test]
    fn a_fetch_looks_like_the_device_it_stands_for() {
        for device in Device::ALL {
            let page = Page {
                scheme: Scheme::Http,
                host: "www.example".into(),
                target: "/a?b".to_owned(),
            };
            let head = head_of(&page, device).unwrap();
            assert_eq!(classify(&head.headers), device);
            assert_eq!(head.headers[HOST], "www.example");
        }
        let odd = Page {
            scheme: Scheme::Http,
            host: "www.example".into(),
            target: "/ \n".to_owned(),
        };
        assert!(head_of(&odd, Device::Mobile).is_none());
    }

    #[test]
    fn pages_are_fetched_under_the_web_origin_that_visitors_ask_for() {
        let check = |named: &[&str], asked_for: &[&str], expected: Option<(Scheme, &str)>| {
            let named: Vec<String> = named.iter().map(|host| (*host).to_owned()).collect();
            let asked_for: Vec<Box<str>> = asked_for.iter().map(|host| (*host).into()).collect();
            let (scheme, host) = web_origin(&named, &asked_for);
            assert_eq!(
                host.as_deref().map(|host| (scheme, host)),
                expected,
                "{named:?} {asked_for:?}"
            );
        };
        let http = |host| Some((Scheme::Http, host));
        let https = |host| Some((Scheme::Https, host));
        check(&["www.example", "example"], &[], http("www.example"));
        check(
            &["www.example", "example"],
            &["http://example", "http://www.example"],
            http("example"),
        );
        check(
            &["www.example"],
            &["https://www.example", "http://www.example"],
            https("www.example"),
        );
        check(
            &["www.example"],
            &["http://www.example:8080"],
            http("www.example:8080"),
        );
        check(
            &["www.example:8443"],
            &["https://www.example", "https://www.example:8443"],
            https("www.example:8443"),
        );
        // As an earlier version saved it.
        check(&["www.example", "example"], &["example"], http("example"));
        check(
            &["www.example"],
            &["https://gone.example"],
            http("www.example"),
        );
        // Visitors may send any name to a site that takes any host.
        check(&["*"], &["https://any.example"], None);
        check(
            &["www.example", "*"],
            &["https://any.example"],
            https("www.example"),
        );
        check(&["*", "www.example"], &[], http("www.example"));
        check(&["*.example"], &["https://any.example"], None);
        check(
            &["*.example", "www.example"],
            &["https://*.example", "https://any.example"],
            https("www.example"),
        );
        check(&["*"], &[], None);
    }

    #[test]
    fn images_are_asked_for_as_images() {
        for (target, expected) in [
            ("/", ACCEPT_PAGE),
            ("/a.b/c", ACCEPT_PAGE),
            ("/img/1.png?x=a.html", ACCEPT_IMAGE),
            ("/a.css", ACCEPT_ANY),
            ("/x.html", ACCEPT_PAGE),
        ] {
            assert_eq!(accept(target), expected, "{target}");
        }
    }
}
