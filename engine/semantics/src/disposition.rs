//! The disposition of a request: what becomes of it, before anything is done about it (RFC 9111
//! §4); and how a miss is fetched.
//!
//! The request path carries the answer out; an explanation words it. Neither decides again.

use std::sync::Arc;

use http::Method;

use super::cache_control::RequestDirectives;
use super::cache_status::Forward;
use super::decision::LookupDecision;
use super::freshness::Freshness;
use super::reuse::{
    self, Absent, ClientDirectives, Reuse, RevalidationReason, reuse, stale_if_error,
};
use super::timestamp::Timestamp;

/// The facts of a request that decide its disposition.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'r> {
    /// Its method.
    pub method: &'r Method,
    /// Whether it has content.
    pub has_content: bool,
    /// Whether it asks for another protocol, and may have it (RFC 9110 §7.8).
    pub asks_for_upgrade: bool,
    /// Whether a policy answers it by itself, and may.
    pub is_answered: bool,
    /// Whether the operator's floor says that its path is never looked up.
    pub is_never: bool,
    /// Whether it goes to another origin than a GET for its URL.
    pub is_apart: bool,
    /// What the policies decided.
    pub lookup: LookupDecision,
    /// Whether it has a cookie that makes it a pass, by the operator's word.
    pub has_pass_cookie: bool,
    /// Its directives about caching.
    pub directives: &'r RequestDirectives,
    /// Whether they count.
    pub client: ClientDirectives,
    /// When it was received.
    pub at: Timestamp,
}

/// A stored response, as far as its reuse is decided by it.
pub trait StoredFreshness {
    /// Its lifetime and age.
    fn freshness(&self) -> &Freshness;

    /// Whether the content of the response that was to take its place broke off.
    fn successor_broke_off(&self) -> bool {
        false
    }
}

impl<S: StoredFreshness> StoredFreshness for Arc<S> {
    #[inline]
    fn freshness(&self) -> &Freshness {
        (**self).freshness()
    }

    fn successor_broke_off(&self) -> bool {
        (**self).successor_broke_off()
    }
}

impl StoredFreshness for Freshness {
    fn freshness(&self) -> &Freshness {
        self
    }
}

/// Whether the origin is expected to answer, by what happened lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OriginOutlook {
    /// Nothing speaks against it.
    #[default]
    Good,
    /// It failed, and may be back.
    Doubtful,
    /// It failed a moment ago, and is left alone.
    Resting,
}

/// The result of a look-up under the key of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredMatch<S> {
    /// A response that the request selects (§4.1).
    Selected(S),
    /// Responses that other requests select.
    OtherVariants,
    /// Nothing.
    Nothing,
}

/// Why a request is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassReason {
    /// By the operator's floor.
    Never,
    /// By a policy's decision.
    Policy,
    /// It has a cookie that makes it one.
    Cookie,
    /// It is a GET or HEAD with content.
    Content,
    /// It is a HEAD that goes to another origin than a GET for its URL.
    Apart,
    /// Nothing is ever stored for its method.
    Method,
}

impl PassReason {
    /// Why the request goes forward (RFC 9211 §2.2).
    pub fn forward(self) -> Forward {
        match self {
            PassReason::Never
            | PassReason::Policy
            | PassReason::Cookie
            | PassReason::Content
            | PassReason::Apart => Forward::Bypass,
            PassReason::Method => Forward::Method,
        }
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition<S> {
    /// A policy's own answer.
    Answer,
    /// The stored response answers it.
    Serve(S),
    /// The stored response answers it, stale, and is revalidated in the background.
    ServeWhileRevalidating(S),
    /// The stored response answers it, stale, since the origin is left alone after a failure (RFC
    /// 5861 §4).
    ServeWhileOriginRests(S),
    /// The stored response answers it, stale, while a request in the background tries whether the origin
    /// is back (RFC 5861 §4).
    ServeWhileOriginIsTried(S),
    /// The stored response is validated first.
    Revalidate {
        /// The stored response.
        stored: S,
        /// Why it can't be used as it is.
        why: RevalidationReason,
    },
    /// Nothing stored will do.
    Fetch(Forward),
    /// To the origin and back: nothing is looked up and nothing stored.
    Pass(PassReason),
    /// To the origin, and then whatever protocol both sides speak.
    Upgrade,
    /// Nothing stored will do, and the request forbids fetching (`only-if-cached`): 504
    /// (§5.2.1.7).
    GatewayTimeout,
}

impl<S> Disposition<S> {
    /// Whether the cache takes part in the request.
    pub fn is_looked_up(&self) -> bool {
        !matches!(
            self,
            Disposition::Answer | Disposition::Pass(_) | Disposition::Upgrade
        )
    }
}

impl RevalidationReason {
    /// Why the request goes forward (RFC 9211 §2.2).
    pub fn forward(self) -> Forward {
        if self.is_of_request() {
            Forward::Request
        } else {
            Forward::Stale
        }
    }
}

/// What becomes of a request. `look_up` is asked only where the cache takes part in it, and
/// `outlook` only where a stale response could answer.
///
/// ```
/// use http::Method;
/// use tero_semantics::cache_control::RequestDirectives;
/// use tero_semantics::cache_status::Forward;
/// use tero_semantics::decision::LookupDecision;
/// use tero_semantics::disposition::{
///     Disposition, OriginOutlook, PassReason, RequestFacts, StoredMatch, disposition,
/// };
/// use tero_semantics::freshness::Freshness;
/// use tero_semantics::reuse::ClientDirectives;
/// use tero_semantics::timestamp::Timestamp;
///
/// let get = RequestFacts {
///     method: &Method::GET,
///     has_content: false,
///     asks_for_upgrade: false,
///     is_answered: false,
///     is_never: false,
///     is_apart: false,
///     lookup: LookupDecision::Cache,
///     has_pass_cookie: false,
///     directives: &RequestDirectives::default(),
///     client: ClientDirectives::Ignore,
///     at: Timestamp::from_unix_secs(784_111_777),
/// };
/// let nothing = || StoredMatch::<Freshness>::Nothing;
/// let good = || OriginOutlook::Good;
/// assert_eq!(disposition(&get, nothing, good), Disposition::Fetch(Forward::UriMiss));
/// let post = RequestFacts { method: &Method::POST, ..get };
/// assert_eq!(disposition(&post, nothing, good), Disposition::Pass(PassReason::Method));
/// ```
#[inline]
pub fn disposition<S: StoredFreshness>(
    request: &RequestFacts<'_>,
    look_up: impl FnOnce() -> StoredMatch<S>,
    outlook: impl FnOnce() -> OriginOutlook,
) -> Disposition<S> {
    if request.is_answered {
        return Disposition::Answer;
    }
    if request.asks_for_upgrade {
        return Disposition::Upgrade;
    }
    if let Some(reason) = passes(request) {
        return Disposition::Pass(reason);
    }
    match look_up() {
        StoredMatch::Selected(stored) => of_stored(request, stored, outlook),
        StoredMatch::OtherVariants => absent(request, Forward::VaryMiss),
        StoredMatch::Nothing => absent(request, Forward::UriMiss),
    }
}

#[inline]
fn passes(request: &RequestFacts<'_>) -> Option<PassReason> {
    match *request.method {
        _ if request.is_never => Some(PassReason::Never),
        _ if request.lookup == LookupDecision::Pass => Some(PassReason::Policy),
        _ if request.has_pass_cookie => Some(PassReason::Cookie),
        // Content in a GET has no meaning that a key could tell apart (RFC 9110 §9.3.1).
        Method::GET | Method::HEAD if request.has_content => Some(PassReason::Content),
        Method::HEAD if request.is_apart => Some(PassReason::Apart),
        Method::GET | Method::HEAD => None,
        _ => Some(PassReason::Method),
    }
}

#[inline]
fn of_stored<S: StoredFreshness>(
    request: &RequestFacts<'_>,
    stored: S,
    outlook: impl FnOnce() -> OriginOutlook,
) -> Disposition<S> {
    let RequestFacts {
        directives,
        client,
        at,
        ..
    } = *request;
    match reuse(stored.freshness(), directives, client, at) {
        Reuse::Fresh => Disposition::Serve(stored),
        // As if it were not there.
        _ if stored.freshness().is_over(at) => absent(request, Forward::UriMiss),
        Reuse::StaleWhileRevalidate => match outlook() {
            OriginOutlook::Resting => Disposition::ServeWhileOriginRests(stored),
            OriginOutlook::Good | OriginOutlook::Doubtful => {
                Disposition::ServeWhileRevalidating(stored)
            }
        },
        Reuse::Revalidate(why @ RevalidationReason::Stale)
            if stale_if_error(stored.freshness(), directives, client, at) =>
        {
            match outlook() {
                OriginOutlook::Resting => Disposition::ServeWhileOriginRests(stored),
                // The origin is asked again, and this request does not take the risk.
                OriginOutlook::Doubtful => Disposition::ServeWhileOriginIsTried(stored),
                // It failed in the content, which no head tells beforehand (RFC 5861 §4).
                OriginOutlook::Good if stored.successor_broke_off() => {
                    Disposition::ServeWhileOriginIsTried(stored)
                }
                OriginOutlook::Good => Disposition::Revalidate { stored, why },
            }
        }
        Reuse::Revalidate(why) => Disposition::Revalidate { stored, why },
        Reuse::Unsatisfiable => Disposition::GatewayTimeout,
    }
}

fn absent<S>(request: &RequestFacts<'_>, why: Forward) -> Disposition<S> {
    match reuse::absent(request.directives) {
        Absent::Fetch => Disposition::Fetch(why),
        Absent::Unsatisfiable => Disposition::GatewayTimeout,
    }
}

/// The part that is stored of a response, as far as a request is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartFacts {
    /// Whether it is fresh and holds all that the request asks for (§3.3).
    pub answers: bool,
    /// Whether the whole is too large to be stored.
    pub is_of_too_large: bool,
}

/// What decides how a miss is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchFacts {
    /// The request is a HEAD.
    pub is_head: bool,
    /// It asks for a range.
    pub asks_for_range: bool,
    /// It says `no-store`.
    pub no_store: bool,
    /// The part that is stored of the response.
    pub part: Option<PartFacts>,
    /// The answer was not storable lately.
    pub is_hit_for_miss: bool,
}

/// How a miss is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchPlan {
    /// As a HEAD: nothing of it is stored.
    Head,
    /// Not at all: a stored part answers the request (§3.3).
    FromPart,
    /// The range alone, since the whole is too large to be stored.
    RangeOnly,
    /// Without waiting for another request's fetch, and without followers.
    Alone(AloneReason),
    /// Together with all that want the same: one of them fetches.
    Collapse,
}

impl FetchPlan {
    /// Whether a failure that another request has just met answers a request with this plan too.
    /// Not where a stored part answers it, nor where answers differ from request to request.
    ///
    /// ```
    /// use tero_semantics::disposition::{AloneReason, FetchPlan};
    ///
    /// assert!(FetchPlan::Collapse.shares_failures());
    /// assert!(!FetchPlan::FromPart.shares_failures());
    /// assert!(!FetchPlan::Alone(AloneReason::HitForMiss).shares_failures());
    /// ```
    pub fn shares_failures(self) -> bool {
        match self {
            FetchPlan::Head
            | FetchPlan::RangeOnly
            | FetchPlan::Collapse
            | FetchPlan::Alone(AloneReason::TooLarge) => true,
            FetchPlan::FromPart
            | FetchPlan::Alone(AloneReason::NoStore | AloneReason::HitForMiss) => false,
        }
    }
}

/// Why a request fetches by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AloneReason {
    /// The whole is too large to be stored.
    TooLarge,
    /// The request says `no-store`: its answer is not for others.
    NoStore,
    /// The answer was not storable lately.
    HitForMiss,
}

/// How a miss is fetched.
///
/// ```
/// use tero_semantics::disposition::{AloneReason, FetchFacts, FetchPlan, fetch_plan};
///
/// let get = FetchFacts {
///     is_head: false,
///     asks_for_range: false,
///     no_store: false,
///     part: None,
///     is_hit_for_miss: false,
/// };
/// assert_eq!(fetch_plan(&get), FetchPlan::Collapse);
/// let not_storable = FetchFacts { is_hit_for_miss: true, ..get };
/// assert_eq!(fetch_plan(&not_storable), FetchPlan::Alone(AloneReason::HitForMiss));
/// ```
#[inline]
pub fn fetch_plan(facts: &FetchFacts) -> FetchPlan {
    if facts.is_head {
        return FetchPlan::Head;
    }
    if facts.part.is_some_and(|part| part.answers) {
        return FetchPlan::FromPart;
    }
    let is_of_too_large = facts.part.is_some_and(|part| part.is_of_too_large);
    match () {
        () if is_of_too_large && facts.asks_for_range => FetchPlan::RangeOnly,
        () if is_of_too_large => FetchPlan::Alone(AloneReason::TooLarge),
        () if facts.no_store => FetchPlan::Alone(AloneReason::NoStore),
        () if facts.is_hit_for_miss => FetchPlan::Alone(AloneReason::HitForMiss),
        () => FetchPlan::Collapse,
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::super::cache_control::ResponseDirectives;
    use super::super::decision::{Expiry, ResponseDecision};
    use super::super::freshness::{FreshnessInput, SiteDefaults};
    use super::super::testing::{self, NOON, headers};
    use super::*;

    fn freshness(cache_control: &str) -> Freshness {
        let headers = headers(&[("cache-control", cache_control)]);
        Freshness::of(&FreshnessInput {
            status: StatusCode::OK,
            response_headers: &headers,
            directives: &ResponseDirectives::of(&headers),
            decision: &ResponseDecision::default(),
            defaults: SiteDefaults::default(),
            request_time: NOON,
            response_time: NOON,
        })
    }

    fn facts<'r>(method: &'r Method, directives: &'r RequestDirectives) -> RequestFacts<'r> {
        RequestFacts {
            method,
            has_content: false,
            asks_for_upgrade: false,
            is_answered: false,
            is_never: false,
            is_apart: false,
            lookup: LookupDecision::Cache,
            has_pass_cookie: false,
            directives,
            client: ClientDirectives::Ignore,
            at: NOON,
        }
    }

    #[test]
    fn what_passes_is_never_looked_up() {
        let directives = RequestDirectives::default();
        let check = |facts: RequestFacts<'_>, expected| {
            let seen = disposition(
                &facts,
                || -> StoredMatch<Freshness> { panic!("{facts:?} was looked up") },
                || OriginOutlook::Good,
            );
            assert_eq!(seen, expected, "{facts:?}");
        };
        let get = facts(&Method::GET, &directives);
        let pass = RequestFacts {
            lookup: LookupDecision::Pass,
            ..get
        };
        let cookie = RequestFacts {
            has_pass_cookie: true,
            ..get
        };
        let content = RequestFacts {
            has_content: true,
            ..get
        };
        let upgrade = RequestFacts {
            asks_for_upgrade: true,
            ..pass
        };
        check(pass, Disposition::Pass(PassReason::Policy));
        check(cookie, Disposition::Pass(PassReason::Cookie));
        // The answer to a POST of such a visitor must not stand for later GETs.
        let post = RequestFacts {
            method: &Method::POST,
            ..cookie
        };
        check(post, Disposition::Pass(PassReason::Cookie));
        check(content, Disposition::Pass(PassReason::Content));
        check(upgrade, Disposition::Upgrade);
        for method in [Method::POST, Method::PUT, Method::OPTIONS] {
            let facts = facts(&method, &directives);
            check(facts, Disposition::Pass(PassReason::Method));
        }
    }

    #[test]
    fn a_policys_answer_goes_before_all_else() {
        let directives = RequestDirectives::default();
        for method in [Method::GET, Method::POST] {
            let answered = RequestFacts {
                is_answered: true,
                is_never: true,
                lookup: LookupDecision::Pass,
                asks_for_upgrade: true,
                ..facts(&method, &directives)
            };
            let seen = disposition(
                &answered,
                || -> StoredMatch<Freshness> { panic!("it was looked up") },
                || OriginOutlook::Good,
            );
            assert_eq!(seen, Disposition::Answer);
            assert!(!seen.is_looked_up());
        }
    }

    #[test]
    fn what_a_policy_has_purged_is_as_if_it_were_not_there() {
        let headers = headers(&[("cache-control", "max-age=10, stale-if-error=50")]);
        let ends = NOON.saturating_add(std::time::Duration::from_secs(20));
        let stored = Freshness::of(&FreshnessInput {
            status: StatusCode::OK,
            response_headers: &headers,
            directives: &ResponseDirectives::of(&headers),
            decision: &ResponseDecision {
                expiry: Some(Expiry::PurgeAt(ends)),
                ..ResponseDecision::default()
            },
            defaults: SiteDefaults::default(),
            request_time: NOON,
            response_time: NOON,
        });
        let obeys = RequestDirectives::of(&testing::headers(&[("cache-control", "max-stale")]));
        let only_if_cached =
            RequestDirectives::of(&testing::headers(&[("cache-control", "only-if-cached")]));
        let seen = |secs, directives, outlook| {
            let facts = RequestFacts {
                client: ClientDirectives::Obey,
                at: NOON.saturating_add(std::time::Duration::from_secs(secs)),
                ..facts(&Method::GET, directives)
            };
            disposition(&facts, || StoredMatch::Selected(stored), || outlook)
        };
        let plain = RequestDirectives::default();
        for outlook in [OriginOutlook::Good, OriginOutlook::Resting] {
            let gone = Disposition::Fetch(Forward::UriMiss);
            assert_ne!(seen(19, &plain, outlook), gone);
            assert_eq!(seen(20, &plain, outlook), gone);
            assert_eq!(seen(20, &obeys, outlook), gone);
            assert_eq!(
                seen(20, &only_if_cached, outlook),
                Disposition::GatewayTimeout
            );
        }
    }

    #[test]
    fn a_response_whose_successor_broke_off_is_served_as_long_as_stale_if_error_lasts() {
        struct Bridging(Freshness);
        impl StoredFreshness for Bridging {
            fn freshness(&self) -> &Freshness {
                &self.0
            }
            fn successor_broke_off(&self) -> bool {
                true
            }
        }
        let none = RequestDirectives::default();
        let after = |secs, cache_control| {
            let facts = RequestFacts {
                at: NOON.saturating_add(std::time::Duration::from_secs(secs)),
                ..facts(&Method::GET, &none)
            };
            let stored = Bridging(freshness(cache_control));
            disposition(
                &facts,
                || StoredMatch::Selected(stored),
                || OriginOutlook::Good,
            )
        };
        let bridges = "max-age=10, stale-if-error=5";
        assert!(matches!(after(9, bridges), Disposition::Serve(_)));
        for secs in [10, 14] {
            let seen = after(secs, bridges);
            assert!(matches!(seen, Disposition::ServeWhileOriginIsTried(_)));
        }
        assert!(matches!(after(15, bridges), Disposition::Revalidate { .. }));
        assert!(matches!(
            after(10, "max-age=10"),
            Disposition::Revalidate { .. }
        ));
    }

    #[test]
    fn the_stored_response_decides_or_its_absence() {
        let none = RequestDirectives::default();
        let only_if_cached =
            RequestDirectives::of(&headers(&[("cache-control", "only-if-cached")]));
        let (fresh, stale) = (freshness("max-age=10"), freshness("max-age=0"));
        let meanwhile = freshness("max-age=0, stale-while-revalidate=5");
        let revalidate = Disposition::Revalidate {
            stored: stale,
            why: RevalidationReason::Stale,
        };
        let rows = [
            (
                StoredMatch::Selected(fresh),
                &none,
                Disposition::Serve(fresh),
            ),
            (
                StoredMatch::Selected(meanwhile),
                &none,
                Disposition::ServeWhileRevalidating(meanwhile),
            ),
            (StoredMatch::Selected(stale), &none, revalidate),
            (
                StoredMatch::OtherVariants,
                &none,
                Disposition::Fetch(Forward::VaryMiss),
            ),
            (
                StoredMatch::Nothing,
                &none,
                Disposition::Fetch(Forward::UriMiss),
            ),
            (
                StoredMatch::Selected(fresh),
                &only_if_cached,
                Disposition::Serve(fresh),
            ),
            (
                StoredMatch::Selected(stale),
                &only_if_cached,
                Disposition::GatewayTimeout,
            ),
            (
                StoredMatch::Nothing,
                &only_if_cached,
                Disposition::GatewayTimeout,
            ),
        ];
        for method in [Method::GET, Method::HEAD] {
            for (stored, directives, expected) in rows {
                let seen = disposition(
                    &facts(&method, directives),
                    || stored,
                    || OriginOutlook::Good,
                );
                assert_eq!(seen, expected, "{method} {stored:?}");
            }
        }
    }

    #[test]
    fn a_miss_is_fetched_together_unless_something_speaks_against_it() {
        let collapse = FetchFacts {
            is_head: false,
            asks_for_range: false,
            no_store: false,
            part: None,
            is_hit_for_miss: false,
        };
        let part = |answers, is_of_too_large| {
            Some(PartFacts {
                answers,
                is_of_too_large,
            })
        };
        let ranged = FetchFacts {
            asks_for_range: true,
            ..collapse
        };
        let alone = FetchPlan::Alone;
        for (facts, expected) in [
            (collapse, FetchPlan::Collapse),
            (ranged, FetchPlan::Collapse),
            (
                FetchFacts {
                    is_head: true,
                    part: part(true, true),
                    ..ranged
                },
                FetchPlan::Head,
            ),
            (
                FetchFacts {
                    part: part(true, true),
                    ..ranged
                },
                FetchPlan::FromPart,
            ),
            (
                FetchFacts {
                    part: part(false, true),
                    ..ranged
                },
                FetchPlan::RangeOnly,
            ),
            (
                FetchFacts {
                    part: part(false, true),
                    ..collapse
                },
                alone(AloneReason::TooLarge),
            ),
            (
                FetchFacts {
                    part: part(false, false),
                    ..ranged
                },
                FetchPlan::Collapse,
            ),
            (
                FetchFacts {
                    no_store: true,
                    ..ranged
                },
                alone(AloneReason::NoStore),
            ),
            (
                FetchFacts {
                    is_hit_for_miss: true,
                    ..ranged
                },
                alone(AloneReason::HitForMiss),
            ),
        ] {
            assert_eq!(fetch_plan(&facts), expected, "{facts:?}");
        }
    }

    #[test]
    fn stale_responses_are_served_without_asking_an_origin_that_rests() {
        use Disposition::{
            Revalidate, Serve, ServeWhileOriginIsTried, ServeWhileOriginRests,
            ServeWhileRevalidating,
        };
        let stale = RevalidationReason::Stale;
        for (cache_control, age, outlook, expected) in [
            (
                "max-age=60, stale-if-error=60",
                59,
                OriginOutlook::Resting,
                Serve(()),
            ),
            (
                "max-age=60, stale-if-error=60",
                61,
                OriginOutlook::Resting,
                ServeWhileOriginRests(()),
            ),
            (
                "max-age=60, stale-if-error=60",
                61,
                OriginOutlook::Doubtful,
                ServeWhileOriginIsTried(()),
            ),
            (
                "max-age=60, stale-if-error=60",
                61,
                OriginOutlook::Good,
                Revalidate {
                    stored: (),
                    why: stale,
                },
            ),
            (
                "max-age=60, stale-if-error=60",
                121,
                OriginOutlook::Resting,
                Revalidate {
                    stored: (),
                    why: stale,
                },
            ),
            (
                "max-age=60, stale-while-revalidate=60",
                61,
                OriginOutlook::Resting,
                ServeWhileOriginRests(()),
            ),
            (
                "max-age=60, stale-while-revalidate=60",
                61,
                OriginOutlook::Doubtful,
                ServeWhileRevalidating(()),
            ),
            (
                "max-age=60, must-revalidate, stale-if-error=60",
                61,
                OriginOutlook::Resting,
                Revalidate {
                    stored: (),
                    why: stale,
                },
            ),
        ] {
            let directives = RequestDirectives::default();
            let facts = RequestFacts {
                at: NOON.saturating_add(std::time::Duration::from_secs(age)),
                ..facts(&Method::GET, &directives)
            };
            let stored = freshness(cache_control);
            let seen = disposition(&facts, || StoredMatch::Selected(stored), || outlook);
            let seen = match seen {
                Serve(_) => Serve(()),
                ServeWhileOriginRests(_) => ServeWhileOriginRests(()),
                ServeWhileOriginIsTried(_) => ServeWhileOriginIsTried(()),
                ServeWhileRevalidating(_) => ServeWhileRevalidating(()),
                Revalidate { why, .. } => Revalidate { stored: (), why },
                other => panic!("{cache_control} {age}: {other:?}"),
            };
            let is_same = match (seen, expected) {
                (Revalidate { .. }, Revalidate { .. }) => true,
                (seen, expected) => seen == expected,
            };
            assert!(is_same, "{cache_control} {age} {outlook:?}: {seen:?}");
        }
    }
}
