//! How long a stored response is fresh, how old it is (RFC 9111 §4.2), and how long after that it
//! may be used stale (RFC 5861).
//!
//! Ages follow §4.2.3 to the letter, the time that the origin took to respond included. A policy's
//! TTL is different in kind: it is the operator's own promise. It replaces the fields of the
//! response, `no-cache` included, and counts from the arrival here, whatever `Age` the response
//! came with; `Age` still tells the true age.

mod age;
mod lifetime;
mod saved;

use std::time::Duration;

use http::StatusCode;
use http::header::HeaderMap;

use super::cache_control::ResponseDirectives;
use super::decision::{Expiry, ResponseDecision};
use super::operator_floor::LifetimeBound;
use super::timestamp::Timestamp;
use super::validation::has_validator;
pub use age::age_value;
use age::initial_age;
use lifetime::explicit_lifetime;
pub use lifetime::{
    LifetimeSource, MAX_HEURISTIC, browser_lifetime, field_lifetime, header_lifetime,
    is_heuristically_cacheable,
};

/// What a site says for responses that don't say it themselves. The `Default` is zero: no stale use,
/// and a lifetime by heuristic alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SiteDefaults {
    /// The lifetime of a response without an explicit one.
    pub ttl: Option<Duration>,
    /// How long after freshness one that has been fresh may be used if the next hop fails (RFC 5861
    /// §4).
    pub stale_if_error: Duration,
    /// How long after freshness one that has been fresh may be used while it is revalidated (RFC
    /// 5861 §3).
    pub stale_while_revalidate: Duration,
}

/// Everything that the freshness of a response follows from.
#[derive(Clone, Copy, Debug)]
pub struct FreshnessInput<'a> {
    /// The status of the response; after a 304, that of the stored response.
    pub status: StatusCode,
    /// The fields of the response, `Age` among them; after a 304, the updated ones.
    pub response_headers: &'a HeaderMap,
    /// The directives that govern.
    pub directives: &'a ResponseDirectives,
    /// What the policies decided.
    pub decision: &'a ResponseDecision,
    /// What the site says where the response doesn't.
    pub defaults: SiteDefaults,
    /// When the request was sent (§4.2.3).
    pub request_time: Timestamp,
    /// When the head of the response came (§4.2.3).
    pub response_time: Timestamp,
}

/// The freshness of a stored response. It is fixed when the response comes; only revalidation and
/// a soft purge change it.
///
/// ```
/// use std::time::Duration;
/// use http::StatusCode;
/// use http::header::{AGE, CACHE_CONTROL, HeaderMap, HeaderValue};
/// use tero_semantics::cache_control::ResponseDirectives;
/// use tero_semantics::decision::ResponseDecision;
/// use tero_semantics::freshness::{Freshness, FreshnessInput, LifetimeSource, SiteDefaults};
/// use tero_semantics::timestamp::Timestamp;
///
/// // A response comes that has lain in an inner cache for 20 seconds.
/// let arrival = Timestamp::from_unix_secs(1_773_144_000);
/// let response = HeaderMap::from_iter([
///     (CACHE_CONTROL, HeaderValue::from_static("max-age=60, stale-while-revalidate=30")),
///     (AGE, HeaderValue::from_static("20")),
/// ]);
/// let freshness = Freshness::of(&FreshnessInput {
///     status: StatusCode::OK,
///     response_headers: &response,
///     directives: &ResponseDirectives::of(&response),
///     decision: &ResponseDecision::default(),
///     defaults: SiteDefaults::default(),
///     request_time: arrival,
///     response_time: arrival,
/// });
/// assert_eq!(freshness.lifetime(), Duration::from_secs(60));
/// assert_eq!(freshness.source(), LifetimeSource::MaxAge);
///
/// // It is fresh for the 40 seconds that are left of its lifetime.
/// let after = |secs| arrival.saturating_add(Duration::from_secs(secs));
/// assert_eq!(freshness.age(after(39)), Duration::from_secs(59));
/// assert_eq!(freshness.remaining_secs(after(39)), 1);
/// assert!(freshness.is_fresh(after(39)));
/// assert!(!freshness.is_fresh(after(40)));
/// assert_eq!(freshness.fresh_until(), after(40));
///
/// // For 30 more seconds it may be used while it is revalidated.
/// assert_eq!(freshness.staleness(after(69)), Duration::from_secs(29));
/// assert!(freshness.allows_while_revalidate(after(69)));
/// assert!(!freshness.allows_while_revalidate(after(70)));
/// assert!(!freshness.allows_if_error(after(69)));
/// assert_eq!(freshness.usable_until(), after(70));
///
/// // Without a validator it is then of no more use.
/// assert!(freshness.is_worth_keeping(&response, after(69)));
/// assert!(!freshness.is_worth_keeping(&response, after(70)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// When the age was zero.
    born: Timestamp,
    fresh_until: Timestamp,
    lifetime_secs: u32,
    while_revalidate_secs: u32,
    if_error_secs: u32,
    over_after: SecondsToEnd,
    traits: FreshnessTraits,
}

impl Freshness {
    /// The freshness of a response that has just come, or that a 304 has just updated.
    pub fn of(input: &FreshnessInput<'_>) -> Freshness {
        Freshness::made_of(input, None)
    }

    /// The freshness of a response that a shield has served stale, and says so: it became stale so
    /// long before it came, whatever its fields and a policy's TTL give it. It has been fresh there,
    /// so that its stale windows count.
    #[must_use]
    pub fn of_stale(input: &FreshnessInput<'_>, stale: Duration) -> Freshness {
        Freshness::made_of(input, Some(stale))
    }

    fn made_of(input: &FreshnessInput<'_>, stale: Option<Duration>) -> Freshness {
        let (directives, decision) = (input.directives, input.decision);
        let response_time = input.response_time;
        let age = initial_age(input.response_headers, input.request_time, response_time);
        let born = response_time.saturating_sub(age);
        let (lifetime, source) = lifetime_of(input);
        let fresh_until = match source {
            LifetimeSource::Policy => response_time.saturating_add(lifetime),
            _ => born.saturating_add(lifetime),
        };
        let rule = StaleRule {
            is_forbidden: directives.forbids_stale(),
            has_been_fresh: stale.is_some() || fresh_until > response_time,
        };
        let fresh_until = match stale {
            None => fresh_until,
            Some(stale) => response_time.saturating_sub(stale),
        };
        let can_bridge = input.status.is_success() || input.status.is_redirection();
        let if_error = rule.window(
            decision.stale_if_error,
            directives.stale_if_error,
            input.defaults.stale_if_error,
        );
        let freshness = Freshness {
            born,
            fresh_until,
            lifetime_secs: secs(lifetime),
            while_revalidate_secs: secs(rule.window(
                decision.stale_while_revalidate,
                directives.stale_while_revalidate,
                input.defaults.stale_while_revalidate,
            )),
            if_error_secs: if can_bridge { secs(if_error) } else { 0 },
            over_after: SecondsToEnd::NEVER,
            traits: FreshnessTraits::of(source)
                .with(MUST_VALIDATE, must_validate(input))
                .with(FORBIDS_STALE, rule.is_forbidden)
                .with(CAN_BRIDGE, can_bridge),
        };
        match decision.expiry {
            Some(expiry) => freshness.ended(expiry),
            None => freshness,
        }
    }

    /// The same freshness, ended at the instant that a policy names.
    fn ended(mut self, expiry: Expiry) -> Freshness {
        let (Expiry::PurgeAt(at) | Expiry::StaleAt(at)) = expiry;
        if at < self.fresh_until {
            let beyond = self.fresh_until.since(at).as_millis().div_ceil(1_000);
            let beyond = u32::try_from(beyond).unwrap_or(u32::MAX);
            self.lifetime_secs = self.lifetime_secs.saturating_sub(beyond);
            self.fresh_until = at;
            self.traits.set_source(LifetimeSource::Expiry);
        }
        if let Expiry::PurgeAt(_) = expiry {
            self.over_after = SecondsToEnd::of(at.since(self.fresh_until));
        }
        self
    }

    /// Whether a policy has had it purged by now: it may not be used in any way.
    ///
    /// ```
    /// # use http::StatusCode;
    /// # use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
    /// # use tero_semantics::cache_control::ResponseDirectives;
    /// # use tero_semantics::decision::{Expiry, ResponseDecision};
    /// # use tero_semantics::freshness::{Freshness, FreshnessInput, SiteDefaults};
    /// # use tero_semantics::timestamp::Timestamp;
    /// # let noon = Timestamp::from_unix_secs(1_773_144_000);
    /// # let one = Timestamp::from_unix_secs(1_773_147_600);
    /// # let cache_control = HeaderValue::from_static("max-age=86400, stale-if-error=600");
    /// # let response = HeaderMap::from_iter([(CACHE_CONTROL, cache_control)]);
    /// // A response that came at noon with `Cache-Control: max-age=86400, stale-if-error=600`:
    /// let until_one = |expiry| Freshness::of(&FreshnessInput {
    ///     decision: &ResponseDecision { expiry: Some(expiry), ..ResponseDecision::default() },
    /// #     status: StatusCode::OK,
    /// #     response_headers: &response,
    /// #     directives: &ResponseDirectives::of(&response),
    /// #     defaults: SiteDefaults::default(),
    /// #     request_time: noon,
    /// #     response_time: noon,
    ///     // …
    /// });
    /// let (purged, stale) = (until_one(Expiry::PurgeAt(one)), until_one(Expiry::StaleAt(one)));
    /// assert_eq!((purged.fresh_until(), stale.fresh_until()), (one, one));
    /// assert!(purged.is_over(one) && !purged.allows_if_error(one));
    /// assert!(!stale.is_over(one) && stale.allows_if_error(one));
    /// ```
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.over_at().is_some_and(|over| now >= over)
    }

    fn over_at(&self) -> Option<Timestamp> {
        let after = self.over_after.get()?;
        Some(self.fresh_until.saturating_add(after))
    }

    /// The same freshness, on another clock: one that shows `to` when the first shows `from`.
    #[must_use]
    pub fn moved(mut self, from: Timestamp, to: Timestamp) -> Freshness {
        let by = to.unix_millis().saturating_sub(from.unix_millis());
        for time in [&mut self.born, &mut self.fresh_until] {
            *time = Timestamp::from_unix_millis(time.unix_millis().saturating_add(by));
        }
        self
    }

    /// The same freshness, within the operator's bound. Clients can't ask for more either.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use http::StatusCode;
    /// # use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
    /// # use tero_semantics::cache_control::ResponseDirectives;
    /// # use tero_semantics::decision::ResponseDecision;
    /// # use tero_semantics::freshness::{Freshness, FreshnessInput, SiteDefaults};
    /// # use tero_semantics::operator_floor::LifetimeBound;
    /// # use tero_semantics::timestamp::Timestamp;
    /// # let now = Timestamp::from_unix_secs(1_773_144_000);
    /// # let cache_control = HeaderValue::from_static("max-age=3600, stale-if-error=600");
    /// # let response = HeaderMap::from_iter([(CACHE_CONTROL, cache_control)]);
    /// # let freshness = Freshness::of(&FreshnessInput {
    /// #     status: StatusCode::OK,
    /// #     response_headers: &response,
    /// #     directives: &ResponseDirectives::of(&response),
    /// #     decision: &ResponseDecision::default(),
    /// #     defaults: SiteDefaults::default(),
    /// #     request_time: now,
    /// #     response_time: now,
    /// # });
    /// // With `Cache-Control: max-age=3600, stale-if-error=600`:
    /// let ttl = Duration::from_secs(60);
    /// let bounded = freshness.bounded(LifetimeBound { ttl, stale: ttl });
    /// assert_eq!(bounded.lifetime(), ttl);
    /// assert_eq!(bounded.usable_until(), now.saturating_add(2 * ttl));
    /// ```
    #[must_use]
    pub fn bounded(mut self, bound: LifetimeBound) -> Freshness {
        let (ttl, stale) = (secs(bound.ttl), secs(bound.stale));
        if let Some(beyond @ 1..) = self.lifetime_secs.checked_sub(ttl) {
            let beyond = Duration::from_secs(beyond.into());
            self.end_at(self.fresh_until.saturating_sub(beyond));
            self.lifetime_secs = ttl;
            self.traits.set_source(LifetimeSource::AtMost);
        }
        self.while_revalidate_secs = self.while_revalidate_secs.min(stale);
        self.if_error_secs = self.if_error_secs.min(stale);
        self.traits = self.traits.with(FORBIDS_STALE, true);
        self
    }

    /// Whether this freshness is within the operator's bound.
    #[inline]
    pub fn is_within(&self, bound: LifetimeBound) -> bool {
        let stale = self.while_revalidate_secs.max(self.if_error_secs);
        self.lifetime_secs <= secs(bound.ttl) && stale <= secs(bound.stale) && self.forbids_stale()
    }

    /// The current age (§4.2.3). `Age` tells it in whole seconds, rounded down.
    #[inline]
    pub fn age(&self, now: Timestamp) -> Duration {
        now.since(self.born)
    }

    /// The freshness lifetime (§4.2.1) in whole seconds, counted from when the age was zero; a
    /// policy's TTL counts from arrival.
    #[inline]
    pub fn lifetime(&self) -> Duration {
        Duration::from_secs(self.lifetime_secs.into())
    }

    /// What gave the lifetime.
    #[inline]
    pub fn source(&self) -> LifetimeSource {
        self.traits.source()
    }

    /// Whether the response is fresh: its lifetime exceeds its age (§4.2).
    #[inline]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        now < self.fresh_until
    }

    /// The seconds of freshness that are left, rounded up so that they and `Age` add up to the
    /// lifetime; negative once stale. This is the `ttl` of `Cache-Status` (RFC 9211 §2.5).
    #[inline]
    pub fn remaining_secs(&self, now: Timestamp) -> i64 {
        let millis = self
            .fresh_until
            .unix_millis()
            .saturating_sub(now.unix_millis());
        if millis > 0 {
            millis.saturating_add(999) / 1_000
        } else {
            millis.div_euclid(1_000)
        }
    }

    /// How long the response has been stale; zero while it is fresh.
    #[inline]
    pub fn staleness(&self, now: Timestamp) -> Duration {
        now.since(self.fresh_until)
    }

    /// Whether freshness ends by this lifetime of the response's own fields, and nothing else.
    pub(super) fn ends_after(&self, own: Duration) -> bool {
        self.fresh_until == self.born.saturating_add(own)
    }

    /// When freshness ends: the first instant at which the response is stale.
    #[inline]
    pub fn fresh_until(&self) -> Timestamp {
        self.fresh_until
    }

    /// When freshness and both stale windows are over: from then on the response is of use only
    /// with a validator, if at all.
    pub fn usable_until(&self) -> Timestamp {
        let window = self.while_revalidate_secs.max(self.if_error_secs);
        let usable = self
            .fresh_until
            .saturating_add(Duration::from_secs(window.into()));
        self.over_at().map_or(usable, |over| usable.min(over))
    }

    /// Whether the response can still be used after `now`, other than by a client's `max-stale`:
    /// it is fresh, a stale window is open or will be, or the fields in `stored` have a validator.
    /// A response for which this is false is not worth storing.
    pub fn is_worth_keeping(&self, stored: &HeaderMap, now: Timestamp) -> bool {
        now < self.usable_until() || (has_validator(stored) && !self.is_over(now))
    }

    /// Whether the response may be used stale now while it is revalidated (RFC 5861 §3).
    #[inline]
    pub fn allows_while_revalidate(&self, now: Timestamp) -> bool {
        self.staleness(now) < Duration::from_secs(self.while_revalidate_secs.into())
            && !self.is_over(now)
    }

    /// Whether the response may be used stale now because the next hop failed (RFC 5861 §4).
    #[inline]
    pub fn allows_if_error(&self, now: Timestamp) -> bool {
        self.staleness(now) < Duration::from_secs(self.if_error_secs.into()) && !self.is_over(now)
    }

    /// Whether `no-cache` demands validation before every use (§5.2.2.4).
    #[inline]
    pub fn must_validate(&self) -> bool {
        self.traits.has(MUST_VALIDATE)
    }

    /// Whether the directives of the response forbid stale use (§4.2.4), or the operator bounds it,
    /// so that clients can't ask for it either.
    #[inline]
    pub fn forbids_stale(&self) -> bool {
        self.traits.has(FORBIDS_STALE)
    }

    /// Whether the response may stand in for the next hop when that fails: it is a success or a
    /// redirect. A stored error is not content, whatever its stale windows say: an origin that fails
    /// must not be hidden by an older failure.
    #[inline]
    pub fn can_bridge(&self) -> bool {
        self.traits.has(CAN_BRIDGE)
    }

    /// The freshness after a soft purge at `now`: stale from then on, with stale windows that open
    /// at `now` unless they opened before.
    ///
    /// ```
    /// # use http::StatusCode;
    /// # use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
    /// # use tero_semantics::cache_control::ResponseDirectives;
    /// # use tero_semantics::decision::ResponseDecision;
    /// # use tero_semantics::freshness::{Freshness, FreshnessInput, SiteDefaults};
    /// # use tero_semantics::timestamp::Timestamp;
    /// # let now = Timestamp::from_unix_secs(1_773_144_000);
    /// # let cache_control = HeaderValue::from_static("max-age=60, stale-if-error=30");
    /// # let response = HeaderMap::from_iter([(CACHE_CONTROL, cache_control)]);
    /// # let freshness = Freshness::of(&FreshnessInput {
    /// #     status: StatusCode::OK,
    /// #     response_headers: &response,
    /// #     directives: &ResponseDirectives::of(&response),
    /// #     decision: &ResponseDecision::default(),
    /// #     defaults: SiteDefaults::default(),
    /// #     request_time: now,
    /// #     response_time: now,
    /// # });
    /// // With `Cache-Control: max-age=60, stale-if-error=30`:
    /// assert!(freshness.is_fresh(now));
    /// let purged = freshness.made_stale(now);
    /// assert!(!purged.is_fresh(now));
    /// assert!(purged.allows_if_error(now));
    /// ```
    pub fn made_stale(mut self, now: Timestamp) -> Freshness {
        self.end_at(self.fresh_until.min(now));
        self
    }

    /// Ends freshness at another instant. The one from which it is of no use at all stays, or comes up to
    /// a second earlier: it is kept in whole seconds.
    fn end_at(&mut self, at: Timestamp) {
        let over_at = self.over_at();
        self.fresh_until = at;
        if let Some(over_at) = over_at {
            self.over_after = SecondsToEnd::of(over_at.since(at));
        }
    }
}

/// How long after the end of freshness a response is of no use at all, by a policy. In whole seconds,
/// up to 194 days: three bytes, since every stored response has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SecondsToEnd([u8; 3]);

impl SecondsToEnd {
    /// No policy says so.
    const NEVER: SecondsToEnd = SecondsToEnd([u8::MAX; 3]);
    const MOST: u64 = (1 << 24) - 2;

    fn of(after: Duration) -> SecondsToEnd {
        let [low, middle, high, ..] = after.as_secs().min(SecondsToEnd::MOST).to_le_bytes();
        SecondsToEnd([low, middle, high])
    }

    fn get(self) -> Option<Duration> {
        let [low, middle, high] = self.0;
        let secs = u32::from_le_bytes([low, middle, high, 0]);
        (self != SecondsToEnd::NEVER).then(|| Duration::from_secs(secs.into()))
    }
}

const MUST_VALIDATE: u8 = 1 << 4;
const FORBIDS_STALE: u8 = 1 << 5;
const CAN_BRIDGE: u8 = 1 << 6;
/// The bits of [`FreshnessTraits`] that say the source.
const SOURCE: u8 = (1 << 4) - 1;

/// What gave a lifetime, and three properties, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FreshnessTraits(u8);

impl FreshnessTraits {
    fn of(source: LifetimeSource) -> FreshnessTraits {
        FreshnessTraits(source as u8)
    }

    fn source(self) -> LifetimeSource {
        LifetimeSource::ALL[usize::from(self.0 & SOURCE)]
    }

    fn set_source(&mut self, source: LifetimeSource) {
        self.0 = self.0 & !SOURCE | source as u8;
    }

    fn with(self, bit: u8, is_set: bool) -> FreshnessTraits {
        FreshnessTraits(if is_set { self.0 | bit } else { self.0 & !bit })
    }

    #[inline]
    fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

/// A policy's TTL, or what the fields give, or the site's default, or a heuristic. `no-cache` means never fresh without validation
/// (§5.2.2.4), whatever the lifetime.
fn lifetime_of(input: &FreshnessInput<'_>) -> (Duration, LifetimeSource) {
    if let Some(ttl) = input.decision.ttl_of(input.status) {
        return (ttl, LifetimeSource::Policy);
    }
    let (headers, directives) = (input.response_headers, input.directives);
    let explicit = explicit_lifetime(headers, directives, input.response_time);
    let default = input
        .defaults
        .ttl
        .map(|ttl| (ttl, LifetimeSource::DefaultTtl));
    let (lifetime, source) = explicit
        .or(default)
        .unwrap_or_else(|| field_lifetime(input.status, headers, directives, input.response_time));
    if must_validate(input) {
        (Duration::ZERO, source)
    } else {
        (lifetime, source)
    }
}

fn must_validate(input: &FreshnessInput<'_>) -> bool {
    input.decision.ttl_of(input.status).is_none() && input.directives.no_cache.is_all()
}

/// How long a response may be used stale.
struct StaleRule {
    /// Its own directives forbid it (§4.2.4).
    is_forbidden: bool,
    has_been_fresh: bool,
}

impl StaleRule {
    /// A stale window: as a policy decided, else as the directive of the response says, else the
    /// site's default.
    fn window(
        &self,
        decided: Option<Duration>,
        directive: Option<Duration>,
        default: Duration,
    ) -> Duration {
        match decided {
            // Only a policy may allow stale use that the response forbids (§4.2.4).
            Some(decided) => decided,
            None if self.is_forbidden => Duration::ZERO,
            // The default is for responses that have been fresh. Many applications put `max-age=0`
            // on a page that is for one visitor; it must not be used for the next one.
            None if !self.has_been_fresh => directive.unwrap_or(Duration::ZERO),
            None => directive.unwrap_or(default),
        }
    }
}

fn secs(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
