//! Whether a stored response may answer a request, and how (RFC 9111 §4).

use std::time::Duration;

use super::cache_control::{MaxStale, RequestDirectives};
use super::freshness::Freshness;
use super::timestamp::Timestamp;

/// Whether a client's own `Cache-Control` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientDirectives {
    /// Requests can't make the edge ask the origin (`only-if-cached` and `no-store` are obeyed: they cost the origin nothing).
    #[default]
    Ignore,
    /// As RFC 9111 §5.2.1 says.
    Obey,
}

/// Why a stored response must be validated before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is stale.
    Stale,
    /// It says `no-cache` (§5.2.2.4).
    NoCache,
    /// The request says `no-cache` (§5.2.1.4).
    RequestNoCache,
    /// It is older than the request wants (§5.2.1.1).
    RequestMaxAge,
    /// It won't stay fresh for as long as the request wants (§5.2.1.3).
    RequestMinFresh,
}

impl Why {
    /// The name in logs and explanations.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Stale => "stale",
            Why::NoCache => "no-cache",
            Why::RequestNoCache => "request-no-cache",
            Why::RequestMaxAge => "request-max-age",
            Why::RequestMinFresh => "request-min-fresh",
        }
    }

    /// Whether the request is to blame rather than the stored response (RFC 9211 §2.2: `fwd=request` or `fwd=stale`).
    pub fn is_of_request(self) -> bool {
        match self {
            Why::Stale | Why::NoCache => false,
            Why::RequestNoCache | Why::RequestMaxAge | Why::RequestMinFresh => true,
        }
    }
}

/// What to do with a stored response that was selected for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Serve it.
    Fresh,
    /// Serve it, stale, and revalidate it in the background.
    StaleWhileRevalidate,
    /// Validate it first.
    Revalidate(Why),
    /// It would have to be validated, but the request forbids it (`only-if-cached`): answer 504 (§5.2.1.7).
    Unsatisfiable,
}

/// What to do with a request for which nothing is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Fetch.
    Fetch,
    /// The request forbids it (`only-if-cached`): answer 504 (§5.2.1.7).
    Unsatisfiable,
}

/// What to do with a stored response that was selected for a request (§4).
///
/// A client's `max-stale` is met as `stale-while-revalidate` is: it is served at once and revalidated behind its back, since the next
/// client may not be so patient.
pub fn reuse(freshness: &Freshness, request: &RequestDirectives, client: ClientDirectives, now: Timestamp) -> Reuse {
    match judge(freshness, request, client, now) {
        Reuse::Revalidate(_) if request.only_if_cached => Reuse::Unsatisfiable,
        reuse => reuse,
    }
}

fn judge(freshness: &Freshness, request: &RequestDirectives, client: ClientDirectives, now: Timestamp) -> Reuse {
    let obeyed = obeyed(request, client);
    if obeyed.no_cache {
        return Reuse::Revalidate(Why::RequestNoCache);
    }
    if obeyed.max_age.is_some_and(|limit| whole_secs(freshness.age(now)) > limit) {
        return Reuse::Revalidate(Why::RequestMaxAge);
    }
    if freshness.is_fresh(now) {
        let left = Duration::from_secs(u64::try_from(freshness.remaining_secs(now)).unwrap_or(0));
        return match obeyed.min_fresh {
            Some(wanted) if left < wanted => Reuse::Revalidate(Why::RequestMinFresh),
            _ => Reuse::Fresh,
        };
    }
    if freshness.must_validate() {
        return Reuse::Revalidate(Why::NoCache);
    }
    // Who asks for a youngest or a freshest response does not want a stale one (§5.2.1.1), unless `max-stale` says so.
    let wants_fresh = obeyed.max_age.is_some() || obeyed.min_fresh.is_some();
    if (!wants_fresh && freshness.allows_while_revalidate(now)) || accepts_stale(freshness, &obeyed, now) {
        return Reuse::StaleWhileRevalidate;
    }
    Reuse::Revalidate(Why::Stale)
}

fn whole_secs(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

/// What to do with a request for which nothing is stored.
pub fn absent(request: &RequestDirectives) -> Absent {
    if request.only_if_cached { Absent::Unsatisfiable } else { Absent::Fetch }
}

/// Whether a stored response may be used although it is stale, because the next hop could not be reached, did not answer in time or
/// in full, or answered with a server error (§4.2.4, RFC 5861 §4). Without leave of the response, a policy, the site or the client, it
/// may not.
pub fn stale_if_error(freshness: &Freshness, request: &RequestDirectives, client: ClientDirectives, now: Timestamp) -> bool {
    let obeyed = obeyed(request, client);
    if freshness.is_fresh(now) || freshness.allows_if_error(now) {
        return true;
    }
    let asked = obeyed.stale_if_error.is_some_and(|window| freshness.staleness(now) < window);
    (asked && !freshness.forbids_stale()) || accepts_stale(freshness, &obeyed, now)
}

/// Whether the client's `max-stale` covers a stale response (§5.2.1.2), and the response does not forbid it.
fn accepts_stale(freshness: &Freshness, obeyed: &RequestDirectives, now: Timestamp) -> bool {
    let covered = match obeyed.max_stale {
        None => false,
        Some(MaxStale::Any) => true,
        Some(MaxStale::Within(limit)) => whole_secs(freshness.staleness(now)) <= limit,
    };
    covered && !freshness.forbids_stale()
}

fn obeyed(request: &RequestDirectives, client: ClientDirectives) -> RequestDirectives {
    match client {
        ClientDirectives::Obey => *request,
        ClientDirectives::Ignore => RequestDirectives::default(),
    }
}
