//! Whether a stored response may answer a request, and how (RFC 9111 §4).

use std::time::Duration;

use super::cache_control::{MaxStale, RequestDirectives};
use super::freshness::Freshness;
use super::timestamp::Timestamp;

/// Whether the `Cache-Control` of clients counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientDirectives {
    /// No: requests can't make the cache ask the origin. Only `only-if-cached` and `no-store` are
    /// obeyed; they cost the origin nothing.
    #[default]
    Ignore,
    /// Yes, as RFC 9111 §5.2.1 says.
    Obey,
}

/// Why a stored response must be validated before it is used.
///
/// ```
/// use tero_semantics::reuse::RevalidationReason;
///
/// assert_eq!(RevalidationReason::RequestMaxAge.as_str(), "request-max-age");
/// assert!(RevalidationReason::RequestMaxAge.is_of_request());
/// assert!(!RevalidationReason::Stale.is_of_request());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevalidationReason {
    /// It is stale.
    Stale,
    /// It has `no-cache` (§5.2.2.4).
    NoCache,
    /// The request has `no-cache` (§5.2.1.4).
    RequestNoCache,
    /// It is older than the request's `max-age` (§5.2.1.1).
    RequestMaxAge,
    /// It won't stay fresh for the request's `min-fresh` (§5.2.1.3).
    RequestMinFresh,
    /// A purge of it may have been missed.
    Blind,
}

impl RevalidationReason {
    /// The name in logs and explanations.
    pub fn as_str(self) -> &'static str {
        match self {
            RevalidationReason::Stale => "stale",
            RevalidationReason::NoCache => "no-cache",
            RevalidationReason::RequestNoCache => "request-no-cache",
            RevalidationReason::RequestMaxAge => "request-max-age",
            RevalidationReason::RequestMinFresh => "request-min-fresh",
            RevalidationReason::Blind => "blind",
        }
    }

    /// Whether the reason lies in the request rather than in the stored response (RFC 9211 §2.2:
    /// `fwd=request` or `fwd=stale`).
    pub fn is_of_request(self) -> bool {
        match self {
            RevalidationReason::Stale | RevalidationReason::NoCache | RevalidationReason::Blind => {
                false
            }
            RevalidationReason::RequestNoCache
            | RevalidationReason::RequestMaxAge
            | RevalidationReason::RequestMinFresh => true,
        }
    }
}

/// What to do with the stored response that a request selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Serve it.
    Fresh,
    /// Serve it, stale, and revalidate it in the background.
    StaleWhileRevalidate,
    /// Validate it first.
    Revalidate(RevalidationReason),
    /// It must be validated, but the request forbids that (`only-if-cached`): answer 504
    /// (§5.2.1.7).
    Unsatisfiable,
}

/// What to do with a request that selects no stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Fetch.
    Fetch,
    /// The request forbids that (`only-if-cached`): answer 504 (§5.2.1.7).
    Unsatisfiable,
}

/// What to do with the stored response that a request selects (§4).
///
/// A response that is usable only by the client's `max-stale` is treated like one within its
/// `stale-while-revalidate` window: served at once and revalidated in the background, since the
/// next client may be less patient.
///
/// ```
/// use std::time::Duration;
/// use tero_semantics::cache_control::RequestDirectives;
/// use tero_semantics::reuse::{ClientDirectives, Reuse, RevalidationReason, reuse};
/// # use http::StatusCode;
/// # use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
/// # use tero_semantics::cache_control::ResponseDirectives;
/// # use tero_semantics::decision::ResponseDecision;
/// # use tero_semantics::freshness::{Freshness, FreshnessInput, SiteDefaults};
/// # use tero_semantics::timestamp::Timestamp;
/// # let arrival = Timestamp::from_unix_secs(1_773_144_000);
/// # let cache_control = HeaderValue::from_static("max-age=60, stale-while-revalidate=30");
/// # let response = HeaderMap::from_iter([(CACHE_CONTROL, cache_control)]);
/// # let freshness = Freshness::of(&FreshnessInput {
/// #     status: StatusCode::OK,
/// #     response_headers: &response,
/// #     directives: &ResponseDirectives::of(&response),
/// #     decision: &ResponseDecision::default(),
/// #     defaults: SiteDefaults::default(),
/// #     request_time: arrival,
/// #     response_time: arrival,
/// # });
///
/// // A response with `max-age=60, stale-while-revalidate=30`, some seconds after its arrival:
/// let after = |secs, request| {
///     let now = arrival.saturating_add(Duration::from_secs(secs));
///     reuse(&freshness, request, ClientDirectives::Obey, now)
/// };
/// let plain = RequestDirectives::default();
/// assert_eq!(after(59, &plain), Reuse::Fresh);
/// assert_eq!(after(60, &plain), Reuse::StaleWhileRevalidate);
/// assert_eq!(after(90, &plain), Reuse::Revalidate(RevalidationReason::Stale));
///
/// let only_if_cached = RequestDirectives { only_if_cached: true, ..plain };
/// assert_eq!(after(90, &only_if_cached), Reuse::Unsatisfiable);
/// ```
#[inline]
pub fn reuse(
    freshness: &Freshness,
    request: &RequestDirectives,
    client: ClientDirectives,
    now: Timestamp,
) -> Reuse {
    match judge(freshness, &obeyed(request, client), now) {
        Reuse::Revalidate(_) if request.only_if_cached => Reuse::Unsatisfiable,
        reuse => reuse,
    }
}

#[inline]
fn judge(freshness: &Freshness, obeyed: &RequestDirectives, now: Timestamp) -> Reuse {
    if obeyed.no_cache {
        return Reuse::Revalidate(RevalidationReason::RequestNoCache);
    }
    if obeyed
        .max_age
        .is_some_and(|limit| whole_secs(freshness.age(now)) > limit)
    {
        return Reuse::Revalidate(RevalidationReason::RequestMaxAge);
    }
    if freshness.is_fresh(now) {
        let left = freshness.fresh_until().since(now);
        return match obeyed.min_fresh {
            Some(wanted) if left < wanted => Reuse::Revalidate(RevalidationReason::RequestMinFresh),
            _ => Reuse::Fresh,
        };
    }
    judge_stale(freshness, obeyed, now)
}

fn judge_stale(freshness: &Freshness, obeyed: &RequestDirectives, now: Timestamp) -> Reuse {
    if freshness.must_validate() {
        return Reuse::Revalidate(RevalidationReason::NoCache);
    }
    // A request with `max-age` or `min-fresh` does not want a stale response (§5.2.1.1), unless
    // `max-stale` says so.
    let wants_fresh = obeyed.max_age.is_some() || obeyed.min_fresh.is_some();
    if (!wants_fresh && freshness.allows_while_revalidate(now))
        || accepts_stale(freshness, obeyed, now)
    {
        return Reuse::StaleWhileRevalidate;
    }
    Reuse::Revalidate(RevalidationReason::Stale)
}

/// In the precision of `Age` and of directives.
#[inline]
fn whole_secs(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

/// What to do with a request that selects no stored response.
///
/// ```
/// use tero_semantics::cache_control::RequestDirectives;
/// use tero_semantics::reuse::{Absent, absent};
///
/// let plain = RequestDirectives::default();
/// assert_eq!(absent(&plain), Absent::Fetch);
/// let only_if_cached = RequestDirectives { only_if_cached: true, ..plain };
/// assert_eq!(absent(&only_if_cached), Absent::Unsatisfiable);
/// ```
pub fn absent(request: &RequestDirectives) -> Absent {
    if request.only_if_cached {
        Absent::Unsatisfiable
    } else {
        Absent::Fetch
    }
}

/// Whether a stored response may be used even if it is stale, because the next hop could not be
/// reached, did not answer in time or in full, or answered with a server error (§4.2.4, RFC 5861
/// §4). Without permission by the response, a policy, the site or the client, it may not, and a
/// stored error never may.
///
/// ```
/// use std::time::Duration;
/// use tero_semantics::cache_control::{MaxStale, RequestDirectives};
/// use tero_semantics::reuse::{ClientDirectives, stale_if_error};
/// # use http::StatusCode;
/// # use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
/// # use tero_semantics::cache_control::ResponseDirectives;
/// # use tero_semantics::decision::ResponseDecision;
/// # use tero_semantics::freshness::{Freshness, FreshnessInput, SiteDefaults};
/// # use tero_semantics::timestamp::Timestamp;
/// # let arrival = Timestamp::from_unix_secs(1_773_144_000);
/// # let cache_control = HeaderValue::from_static("max-age=60, stale-if-error=30");
/// # let response = HeaderMap::from_iter([(CACHE_CONTROL, cache_control)]);
/// # let freshness = Freshness::of(&FreshnessInput {
/// #     status: StatusCode::OK,
/// #     response_headers: &response,
/// #     directives: &ResponseDirectives::of(&response),
/// #     decision: &ResponseDecision::default(),
/// #     defaults: SiteDefaults::default(),
/// #     request_time: arrival,
/// #     response_time: arrival,
/// # });
///
/// // A response with `max-age=60, stale-if-error=30`, some seconds after its arrival:
/// let may_use = |secs, request| {
///     let now = arrival.saturating_add(Duration::from_secs(secs));
///     stale_if_error(&freshness, request, ClientDirectives::Obey, now)
/// };
/// let plain = RequestDirectives::default();
/// assert!(may_use(89, &plain));
/// assert!(!may_use(90, &plain));
///
/// let patient = RequestDirectives { max_stale: Some(MaxStale::Any), ..plain };
/// assert!(may_use(90, &patient));
/// ```
pub fn stale_if_error(
    freshness: &Freshness,
    request: &RequestDirectives,
    client: ClientDirectives,
    now: Timestamp,
) -> bool {
    let obeyed = obeyed(request, client);
    if freshness.is_fresh(now) || freshness.allows_if_error(now) {
        return true;
    }
    if !freshness.can_bridge() || freshness.is_over(now) {
        return false;
    }
    let asked = obeyed
        .stale_if_error
        .is_some_and(|window| freshness.staleness(now) < window);
    (asked && !freshness.forbids_stale()) || accepts_stale(freshness, &obeyed, now)
}

/// Whether the client's `max-stale` covers a stale response (§5.2.1.2), and the response does not
/// forbid stale use.
fn accepts_stale(freshness: &Freshness, obeyed: &RequestDirectives, now: Timestamp) -> bool {
    let covered = match obeyed.max_stale {
        None => false,
        Some(MaxStale::Any) => true,
        Some(MaxStale::Within(limit)) => whole_secs(freshness.staleness(now)) <= limit,
    };
    covered && !freshness.forbids_stale() && !freshness.is_over(now)
}

/// The directives of a request that count.
#[inline]
fn obeyed(request: &RequestDirectives, client: ClientDirectives) -> RequestDirectives {
    match client {
        ClientDirectives::Obey => *request,
        ClientDirectives::Ignore => RequestDirectives::default(),
    }
}

#[cfg(test)]
mod tests;
