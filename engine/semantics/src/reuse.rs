//! Whether a stored response may answer a request, and how (RFC 9111 §4).

use std::time::Duration;

use super::cache_control::{MaxStale, RequestDirectives};
use super::freshness::Freshness;
use super::timestamp::Timestamp;

/// Whether a client's own `Cache-Control` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientDirectives {
    /// Requests can't make the edge ask the origin (`only-if-cached` and `no-store` are obeyed:
    /// they cost the origin nothing).
    #[default]
    Ignore,
    /// As RFC 9111 §5.2.1 says.
    Obey,
}

/// Why a stored response must be validated before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevalidationReason {
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

impl RevalidationReason {
    /// The name in logs and explanations.
    pub fn as_str(self) -> &'static str {
        match self {
            RevalidationReason::Stale => "stale",
            RevalidationReason::NoCache => "no-cache",
            RevalidationReason::RequestNoCache => "request-no-cache",
            RevalidationReason::RequestMaxAge => "request-max-age",
            RevalidationReason::RequestMinFresh => "request-min-fresh",
        }
    }

    /// Whether the request is to blame rather than the stored response (RFC 9211 §2.2:
    /// `fwd=request` or `fwd=stale`).
    pub fn is_of_request(self) -> bool {
        match self {
            RevalidationReason::Stale | RevalidationReason::NoCache => false,
            RevalidationReason::RequestNoCache
            | RevalidationReason::RequestMaxAge
            | RevalidationReason::RequestMinFresh => true,
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
    Revalidate(RevalidationReason),
    /// It would have to be validated, but the request forbids it (`only-if-cached`): answer 504
    /// (§5.2.1.7).
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
/// A client's `max-stale` is met as `stale-while-revalidate` is: it is served at once and
/// revalidated behind its back, since the next client may not be so patient.
pub fn reuse(
    freshness: &Freshness,
    request: &RequestDirectives,
    client: ClientDirectives,
    now: Timestamp,
) -> Reuse {
    match judge(freshness, request, client, now) {
        Reuse::Revalidate(_) if request.only_if_cached => Reuse::Unsatisfiable,
        reuse => reuse,
    }
}

fn judge(
    freshness: &Freshness,
    request: &RequestDirectives,
    client: ClientDirectives,
    now: Timestamp,
) -> Reuse {
    let obeyed = obeyed(request, client);
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
    if freshness.must_validate() {
        return Reuse::Revalidate(RevalidationReason::NoCache);
    }
    // Who asks for a youngest or a freshest response does not want a stale one (§5.2.1.1), unless
    // `max-stale` says so.
    let wants_fresh = obeyed.max_age.is_some() || obeyed.min_fresh.is_some();
    if (!wants_fresh && freshness.allows_while_revalidate(now))
        || accepts_stale(freshness, &obeyed, now)
    {
        return Reuse::StaleWhileRevalidate;
    }
    Reuse::Revalidate(RevalidationReason::Stale)
}

fn whole_secs(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

/// What to do with a request for which nothing is stored.
pub fn absent(request: &RequestDirectives) -> Absent {
    if request.only_if_cached {
        Absent::Unsatisfiable
    } else {
        Absent::Fetch
    }
}

/// Whether a stored response may be used although it is stale, because the next hop could not be
/// reached, did not answer in time or in full, or answered with a server error (§4.2.4, RFC 5861
/// §4). Without leave of the response, a policy, the site or the client, it may not.
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
    let asked = obeyed
        .stale_if_error
        .is_some_and(|window| freshness.staleness(now) < window);
    (asked && !freshness.forbids_stale()) || accepts_stale(freshness, &obeyed, now)
}

/// Whether the client's `max-stale` covers a stale response (§5.2.1.2), and the response does not
/// forbid it.
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

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::super::cache_control::ResponseDirectives;
    use super::super::decision::ResponseDecision;
    use super::super::freshness::{FreshnessInput, StaleDefaults};
    use super::super::testing::{NOON, headers};
    use super::ClientDirectives::{Ignore, Obey};
    use super::Reuse::{Fresh, Revalidate, StaleWhileRevalidate, Unsatisfiable};
    use super::*;

    fn stored(cache_control: &str) -> Freshness {
        let headers = headers(&[("cache-control", cache_control)]);
        Freshness::of(&FreshnessInput {
            status: StatusCode::OK,
            response_headers: &headers,
            directives: &ResponseDirectives::of(&headers),
            decision: &ResponseDecision::default(),
            defaults: StaleDefaults::default(),
            request_time: NOON,
            response_time: NOON,
        })
    }

    fn asked(cache_control: &str) -> RequestDirectives {
        RequestDirectives::of(&headers(&[("cache-control", cache_control)]))
    }

    fn after(secs: u64) -> Timestamp {
        NOON.saturating_add(Duration::from_secs(secs))
    }

    fn check(response: &str, request: &str, client: ClientDirectives, rows: &[(u64, Reuse)]) {
        for (secs, expected) in rows {
            let seen = reuse(&stored(response), &asked(request), client, after(*secs));
            assert_eq!(
                seen, *expected,
                "{response} | {request} | {client:?} | {secs}"
            );
        }
    }

    #[test]
    fn fresh_is_served_and_stale_is_validated() {
        let stale = Revalidate(RevalidationReason::Stale);
        check(
            "max-age=10",
            "",
            Ignore,
            &[(0, Fresh), (9, Fresh), (10, stale), (11, stale)],
        );
        check("max-age=0", "", Ignore, &[(0, stale)]);
        check(
            "max-age=10, no-cache",
            "",
            Ignore,
            &[
                (0, Revalidate(RevalidationReason::NoCache)),
                (20, Revalidate(RevalidationReason::NoCache)),
            ],
        );
        check(
            "max-age=10, must-revalidate",
            "",
            Ignore,
            &[(9, Fresh), (10, stale)],
        );
        check(
            "max-age=10, immutable",
            "",
            Ignore,
            &[(9, Fresh), (10, stale)],
        );
    }

    #[test]
    fn stale_is_served_while_it_is_revalidated_within_its_window() {
        let stale = Revalidate(RevalidationReason::Stale);
        let rows = [
            (9, Fresh),
            (10, StaleWhileRevalidate),
            (14, StaleWhileRevalidate),
            (15, stale),
        ];
        check("max-age=10, stale-while-revalidate=5", "", Ignore, &rows);
        check("max-age=10, stale-while-revalidate=5", "", Obey, &rows);
        check(
            "max-age=0, stale-while-revalidate=3600",
            "",
            Ignore,
            &[(0, StaleWhileRevalidate), (3_600, stale)],
        );
        for strict in ["must-revalidate", "proxy-revalidate", "s-maxage=10"] {
            check(
                &format!("max-age=10, {strict}, stale-while-revalidate=5"),
                "",
                Ignore,
                &[(9, Fresh), (10, stale)],
            );
        }
    }

    #[test]
    fn clients_decide_only_where_they_are_obeyed() {
        let rows: &[(&str, u64, Reuse)] = &[
            (
                "no-cache",
                1,
                Revalidate(RevalidationReason::RequestNoCache),
            ),
            ("max-age=0", 0, Fresh),
            (
                "max-age=0",
                1,
                Revalidate(RevalidationReason::RequestMaxAge),
            ),
            ("max-age=3", 3, Fresh),
            (
                "max-age=3",
                4,
                Revalidate(RevalidationReason::RequestMaxAge),
            ),
            ("min-fresh=4", 6, Fresh),
            (
                "min-fresh=4",
                7,
                Revalidate(RevalidationReason::RequestMinFresh),
            ),
            ("no-store", 1, Fresh),
        ];
        for (request, secs, expected) in rows {
            check("max-age=10", request, Obey, &[(*secs, *expected)]);
            check("max-age=10", request, Ignore, &[(*secs, Fresh)]);
        }
        let stale = Revalidate(RevalidationReason::Stale);
        check(
            "max-age=10",
            "max-stale",
            Obey,
            &[
                (10, StaleWhileRevalidate),
                (1_000_000, StaleWhileRevalidate),
            ],
        );
        check(
            "max-age=10",
            "max-stale=5",
            Obey,
            &[(15, StaleWhileRevalidate), (16, stale)],
        );
        check("max-age=10", "max-stale=5", Ignore, &[(15, stale)]);
        for strict in ["must-revalidate", "proxy-revalidate", "s-maxage=10"] {
            check(
                &format!("max-age=10, {strict}"),
                "max-stale",
                Obey,
                &[(11, stale)],
            );
        }
        check(
            "max-age=10, no-cache",
            "max-stale",
            Obey,
            &[(1, Revalidate(RevalidationReason::NoCache))],
        );
        // Who wants it young or fresh does not want it stale, unless they say so.
        check(
            "max-age=10, stale-while-revalidate=9",
            "max-age=100",
            Obey,
            &[(11, stale)],
        );
        check(
            "max-age=10, stale-while-revalidate=9",
            "min-fresh=0",
            Obey,
            &[(11, stale)],
        );
        check(
            "max-age=10, stale-while-revalidate=9",
            "max-age=100, max-stale=5",
            Obey,
            &[(11, StaleWhileRevalidate)],
        );
    }

    #[test]
    fn only_if_cached_is_always_obeyed() {
        for client in [Ignore, Obey] {
            check(
                "max-age=10",
                "only-if-cached",
                client,
                &[(9, Fresh), (10, Unsatisfiable)],
            );
            check(
                "max-age=10, no-cache",
                "only-if-cached",
                client,
                &[(0, Unsatisfiable)],
            );
            check(
                "max-age=10, stale-while-revalidate=1",
                "only-if-cached",
                client,
                &[(10, StaleWhileRevalidate), (11, Unsatisfiable)],
            );
        }
        check(
            "max-age=10",
            "only-if-cached, no-cache",
            Obey,
            &[(1, Unsatisfiable)],
        );
        check(
            "max-age=10",
            "only-if-cached, no-cache",
            Ignore,
            &[(1, Fresh)],
        );
        assert_eq!(absent(&asked("only-if-cached")), Absent::Unsatisfiable);
        assert_eq!(absent(&asked("no-cache")), Absent::Fetch);
    }

    #[test]
    fn stale_is_served_on_errors_only_with_leave() {
        // Response, request, whether clients are obeyed, and the seconds before which stale may be
        // served.
        let rows = [
            ("max-age=10", "", Ignore, 10),
            ("max-age=10, stale-if-error=5", "", Ignore, 15),
            ("max-age=0, stale-if-error=1", "", Ignore, 1),
            (
                "max-age=10, stale-if-error=5, must-revalidate",
                "",
                Obey,
                10,
            ),
            (
                "max-age=10, stale-if-error=5, proxy-revalidate",
                "",
                Obey,
                10,
            ),
            ("s-maxage=10, stale-if-error=5", "", Obey, 10),
            ("max-age=10, stale-if-error=5, no-cache", "", Obey, 0),
            ("max-age=10", "stale-if-error=5", Obey, 15),
            ("max-age=10", "stale-if-error=5", Ignore, 10),
            ("max-age=10, must-revalidate", "stale-if-error=5", Obey, 10),
            // `max-stale` includes its last second.
            ("max-age=10", "max-stale=5", Obey, 16),
            ("max-age=10", "max-stale=5", Ignore, 10),
            ("max-age=10, must-revalidate", "max-stale=5", Obey, 10),
        ];
        for (response, request, client, until) in rows {
            let may =
                |secs| stale_if_error(&stored(response), &asked(request), client, after(secs));
            assert!(until == 0 || may(until - 1), "{response} | {request}");
            assert!(!may(until), "{response} | {request}");
        }
    }
}
