//! Rate limits: how many requests a client may send (`[[limit]]`).
//!
//! A site has the limits that are for it, compiled when the configuration is loaded; a site without
//! any has none. Each client has a bucket for each limit, in the one table of
//! [`crate::limit_table`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{Datelike, NaiveTime, Timelike, Weekday};
use http::Method;
use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};

use crate::limit_table::LimitTable;
use crate::telemetry::limit_counters::LimitCounters;
use tero_config as config;
use tero_semantics::path::PathReadings;
use tero_semantics::rate_limit::{
    BucketAnswer, BucketRate, RATE_LIMIT, RATE_LIMIT_POLICY, whole_secs,
};
use tero_semantics::timestamp::Timestamp;
use tero_time::zones;

/// All limits of a configuration, and the table of their buckets.
#[derive(Clone, Debug, Default)]
pub struct RateLimits {
    table: Option<Arc<LimitTable>>,
    all: Vec<Arc<RateLimit>>,
}

/// The limits of a site.
#[derive(Clone, Debug)]
pub struct SiteLimits {
    table: Arc<LimitTable>,
    limits: Vec<Arc<RateLimit>>,
}

/// A limit.
#[derive(Debug)]
pub struct RateLimit {
    /// What the configuration says of it.
    pub settings: config::Limit,
    /// What it did.
    pub counters: Arc<LimitCounters>,
    rate: BucketRate,
    /// `None` if it holds at any time.
    hours: Option<HoursGate>,
}

/// A request, as far as limits go by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct LimitedRequest<'r> {
    /// Which limits are meant.
    pub(super) class: LimitClass<'r>,
    /// The client; one that is unknown is not limited.
    pub(super) client: Option<IpAddr>,
    pub(super) method: &'r Method,
    pub(super) path: &'r str,
    /// When it was received.
    pub(super) at: Timestamp,
    /// The same, as the system's clock shows it.
    pub(super) wall: Timestamp,
}

/// Limits by the class of requests that they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LimitClass<'r> {
    /// Those without a class, which are for all requests.
    None,
    /// Those of this class.
    Only(&'r str),
    /// Both.
    With(&'r str),
}

impl LimitClass<'_> {
    #[inline]
    fn has(self, class: Option<&str>) -> bool {
        match (self, class) {
            (LimitClass::None | LimitClass::With(_), None) => true,
            (LimitClass::Only(own) | LimitClass::With(own), Some(class)) => own == class,
            (LimitClass::None, Some(_)) | (LimitClass::Only(_), None) => false,
        }
    }
}

/// A limit that a request is over.
#[derive(Clone, Debug)]
pub(super) struct ExceededLimit {
    pub(super) limit: Arc<RateLimit>,
    /// After this time the client is let in again.
    pub(super) wait: Duration,
}

impl RateLimits {
    /// The limits of a configuration. The table and the counters are those of `old`, if they still
    /// fit.
    pub fn new(
        limits: &[config::Limit],
        memory: &config::LimitMemory,
        old: &RateLimits,
    ) -> RateLimits {
        let new = LimitTable::new(memory.memory);
        let table = match &old.table {
            Some(table) if table.bytes() == new.bytes() => Arc::clone(table),
            _ => Arc::new(new),
        };
        let counters = |name: &str| {
            let before = old.all.iter().find(|limit| *limit.settings.name == *name);
            before
                .map(|limit| Arc::clone(&limit.counters))
                .unwrap_or_default()
        };
        RateLimits {
            table: Some(table).filter(|_| !limits.is_empty()),
            all: limits
                .iter()
                .map(|settings| Arc::new(RateLimit::new(settings, counters(&settings.name))))
                .collect(),
        }
    }

    /// The limits that are for a site; `None` if there are none.
    pub fn of_site(&self, site: &str) -> Option<Box<SiteLimits>> {
        let is_for = |limit: &&Arc<RateLimit>| {
            let sites = &limit.settings.sites;
            sites.is_empty() || sites.iter().any(|own| **own == *site)
        };
        let limits: Vec<_> = self.all.iter().filter(is_for).cloned().collect();
        let table = self.table.as_ref().filter(|_| !limits.is_empty())?;
        Some(Box::new(SiteLimits {
            table: Arc::clone(table),
            limits,
        }))
    }

    /// Every limit, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<RateLimit>> {
        self.all.iter()
    }

    /// The table of their buckets; `None` without limits.
    pub fn table(&self) -> Option<&LimitTable> {
        self.table.as_deref()
    }
}

impl SiteLimits {
    /// Takes what a request costs of each limit that applies to it. If one refuses it, the request
    /// costs nothing, and the one that holds the client up longest is returned; else one that would
    /// refuse it but for `log_only`.
    pub(super) fn take(&self, request: LimitedRequest<'_>) -> Option<ExceededLimit> {
        let mut exceeded: Option<ExceededLimit> = None;
        // A bit for each limit. There are at most 64.
        let mut taken = 0_u64;
        for (place, limit, client) in self.applying(request) {
            match self.take_of(limit, client, request.at) {
                None => taken |= 1 << place,
                Some(wait) => {
                    let rank = |limit: &RateLimit, wait: Duration| (!limit.settings.log_only, wait);
                    let is_stricter = exceeded
                        .as_ref()
                        .is_none_or(|other| rank(limit, wait) > rank(&other.limit, other.wait));
                    if is_stricter {
                        let limit = Arc::clone(limit);
                        exceeded = Some(ExceededLimit { limit, wait });
                    }
                }
            }
        }
        if exceeded.as_ref().is_some_and(ExceededLimit::refuses) {
            self.give_back(taken, request);
        }
        exceeded
    }

    /// Takes one request; the time to wait if there is none.
    #[inline]
    fn take_of(&self, limit: &RateLimit, client: IpAddr, at: Timestamp) -> Option<Duration> {
        let owner = limit.bucket_of(client);
        self.table
            .change(&owner, at, |bucket| match limit.rate.take(bucket, at, 1) {
                BucketAnswer::Taken(state) => (Some(state), None),
                BucketAnswer::Refused(wait) => (None, Some(wait)),
            })
            .flatten()
    }

    #[cold]
    fn give_back(&self, taken: u64, request: LimitedRequest<'_>) {
        for (place, limit, client) in self.applying(request) {
            if taken >> place & 1 == 1 {
                self.table
                    .change(&limit.bucket_of(client), request.at, |bucket| {
                        (Some(limit.rate.give_back(bucket, 1)), ())
                    });
            }
        }
    }

    /// Charges what a request costs beside its one, since it was sent to the origin.
    #[cold]
    pub(super) fn charge_fetch(&self, request: LimitedRequest<'_>) {
        for (_, limit, client) in self.applying(request) {
            let cost = limit.settings.fetch_cost;
            if cost > 0 {
                self.table
                    .change(&limit.bucket_of(client), request.at, |bucket| {
                        (Some(limit.rate.charge(bucket, request.at, cost)), ())
                    });
            }
        }
    }

    /// The limits that apply to a request, each with its place and the client.
    fn applying<'s>(
        &'s self,
        request: LimitedRequest<'s>,
    ) -> impl Iterator<Item = (usize, &'s Arc<RateLimit>, IpAddr)> {
        let limits = self.limits.iter().enumerate();
        limits.filter_map(move |(place, limit)| {
            let client = request.client?;
            (limit.is_for(request) && !limit.exempts(client)).then_some((place, limit, client))
        })
    }

    /// The limits that apply to a request of a client who is not exempt.
    pub(super) fn explained<'s>(
        &'s self,
        request: LimitedRequest<'s>,
    ) -> impl Iterator<Item = &'s RateLimit> {
        let limits = self.limits.iter().map(|limit| &**limit);
        limits.filter(move |limit| limit.is_for(request))
    }
}

impl RateLimit {
    fn new(settings: &config::Limit, counters: Arc<LimitCounters>) -> RateLimit {
        RateLimit {
            rate: BucketRate::new(settings.requests, settings.per, settings.burst),
            hours: settings.has_hours().then(HoursGate::default),
            settings: settings.clone(),
            counters,
        }
    }

    #[inline]
    fn is_for(&self, request: LimitedRequest<'_>) -> bool {
        let settings = &self.settings;
        request.class.has(settings.class.as_deref())
            && (settings.methods.is_empty() || settings.methods.contains(request.method))
            && self.is_for_path(request.path)
            && self
                .hours
                .as_ref()
                .is_none_or(|gate| gate.is_open(settings, request.wall))
    }

    #[inline]
    fn is_for_path(&self, path: &str) -> bool {
        let is_for_all = matches!(&*self.settings.paths, [only] if only.as_str() == "*");
        is_for_all || PathReadings::of(path).are_met_by(&self.settings.paths)
    }

    fn exempts(&self, client: IpAddr) -> bool {
        self.settings
            .exempt
            .iter()
            .any(|network| network.contains(&client))
    }

    /// Whose bucket it is: the limit's, by its name, and the client's network.
    #[inline]
    fn bucket_of(&self, client: IpAddr) -> (&str, u128) {
        (&self.settings.name, self.network_of(client))
    }

    /// The network that is one client. One of IPv4 is written as in IPv6.
    #[inline]
    fn network_of(&self, client: IpAddr) -> u128 {
        match client.to_canonical() {
            IpAddr::V4(address) => {
                let bits = u32::from(self.settings.ipv4_prefix.min(32));
                let kept = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() & kept)
                    .to_ipv6_mapped()
                    .to_bits()
            }
            IpAddr::V6(address) => {
                let bits = u32::from(self.settings.ipv6_prefix.min(128));
                let kept = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & kept).to_bits()
            }
        }
    }

    /// What it says, for people: `api: 10 per 1s for each client, 20 at once`.
    pub(super) fn describe(&self) -> String {
        let config::Limit {
            name,
            requests,
            per,
            burst,
            ..
        } = &self.settings;
        let only = match self.settings.log_only {
            true => "; it only logs",
            false => "",
        };
        format!("{name}: {requests} per {per:?} for each client, {burst} at once{only}")
    }
}

impl ExceededLimit {
    /// Whether the request is refused for it.
    pub(super) fn refuses(&self) -> bool {
        !self.limit.settings.log_only
    }

    /// The fields of the refusal.
    pub(super) fn add_fields(&self, headers: &mut HeaderMap) {
        let (rate, name) = (self.limit.rate, &self.limit.settings.name);
        headers.insert(RETRY_AFTER, whole_secs(self.wait).into());
        let fields = [
            (RATE_LIMIT_POLICY, rate.policy_field(name)),
            (RATE_LIMIT, rate.limit_field(name, self.wait)),
        ];
        for (field, value) in fields {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(field, value);
            }
        }
    }

    /// Counts and tells it.
    pub(super) fn tell(&self, site: &str, request: LimitedRequest<'_>) {
        let (counters, name) = (&self.limit.counters, &self.limit.settings.name);
        let message = match self.refuses() {
            true => {
                counters.refuse();
                "a client is over a limit"
            }
            false => {
                counters.spare();
                "a client is over a limit that only logs"
            }
        };
        if let Some(left_out) = counters.repeats.due(request.at) {
            let client = request.client.map(|client| client.to_string());
            let client = client.unwrap_or_default();
            tracing::warn!(limit = %name, site, client, path = request.path, left_out, "{message}");
        }
    }
}

/// Whether the hours of a limit hold: found out once a minute.
#[derive(Debug, Default)]
struct HoursGate {
    /// The minute since 1970 for which it was found out, and in the lowest bit whether they hold; 0
    /// before the first time.
    known: AtomicU64,
}

impl HoursGate {
    fn is_open(&self, limit: &config::Limit, wall: Timestamp) -> bool {
        let minute = u64::try_from(wall.unix_secs() / 60).unwrap_or(0);
        let known = self.known.load(Ordering::Relaxed);
        if known >> 1 == minute && known != 0 {
            return known & 1 == 1;
        }
        let is_open = is_within(limit, wall);
        self.known
            .store(minute << 1 | u64::from(is_open), Ordering::Relaxed);
        is_open
    }
}

/// Whether a time is one of a limit's.
fn is_within(limit: &config::Limit, wall: Timestamp) -> bool {
    let local = zones::local(wall, limit.zone);
    let (today, now) = (local.weekday(), local.time());
    let holds_on = |day: Weekday| limit.days.contains(&day);
    let Some(hours) = limit.window else {
        return holds_on(today);
    };
    // What begins at this minute has begun, and what ends at it has ended.
    let now = NaiveTime::from_hms_opt(now.hour(), now.minute(), 0).unwrap_or(now);
    if hours.from < hours.until {
        return holds_on(today) && (hours.from..hours.until).contains(&now);
    }
    (holds_on(today) && now >= hours.from) || (holds_on(today.pred()) && now < hours.until)
}
