//! Counters of a site, in one shard per worker thread, so that hits on different threads don't
//! contend for a cache line.
//!
//! Outcomes are counted by variant and by the local hour of the day. All other figures of requests
//! are sums over these, so the parts always add up to the whole. Figures by the hour of the week are
//! made of what was counted since they were last looked at ([`WeekCounters`]).

mod histogram;
mod outcomes;
mod saved_week;
mod week;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono_tz::Tz;

use super::Outcome;
use super::coding_counters::CodingCounters;
use super::repeats::RepeatLimits;
use super::rule_counters::RuleCounters;
use super::status_counts::StatusCounts;
use tero_semantics::timestamp::Timestamp;
use tero_time::moment::local_hour;

pub(super) use histogram::Histogram;

pub use histogram::{BUCKETS, HistogramSnapshot};
pub use outcomes::{Outcomes, Traffic};
pub use saved_week::{SavedHour, SavedVariant, SavedWeek};
pub use week::{HourFigures, HourOfWeek, VariantTraffic, WeekCounters};

/// Hours of the day.
pub const HOURS: usize = 24;
/// Classes of an origin's statuses: their hundreds, 1 to 5.
const STATUS_CLASSES: usize = 5;
/// The local hour is looked up again at each multiple of this many seconds: zones change their
/// offsets on the quarter of an hour only.
const HOUR_CHECK_SECS: i64 = 900;

/// At most so many generations of counters follow each other, since each uses memory. After that,
/// counters begin again at zero.
const MAX_GENERATIONS: usize = 32;

thread_local! {
    static WORKER: Cell<usize> = const { Cell::new(0) };
}

/// Sets this thread's shard: the number of its worker, from 0. Other threads use shard 0.
pub fn set_worker(worker: usize) {
    WORKER.set(worker);
}

/// The number of this thread's worker.
pub(super) fn worker() -> usize {
    WORKER.get()
}

/// The counters of one site.
#[derive(Debug)]
pub struct SiteCounters {
    /// The counters from before the site got other variants or another zone. Requests that began then still count
    /// there.
    before: Option<Arc<SiteCounters>>,
    zone: Tz,
    /// Names of the variants; the first, `""`, stands for no variant.
    variants: Vec<Arc<str>>,
    shards: Box<[Shard]>,
    /// The current hour of the day in the lowest byte, and above it the quarter of an hour for
    /// which it is known.
    hour: AtomicU64,
    /// Bounds messages of the log about the site.
    pub repeats: RepeatLimits,
    /// What became of coding its stored responses.
    pub coding: Arc<CodingCounters>,
    /// Answers of its rules; the same in all generations.
    pub rules: Arc<RuleCounters>,
    /// The figures of the last week by local hour; the same in all generations.
    week: Arc<WeekCounters>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    /// By variant, hour and outcome.
    traffic: Box<[TrafficCell]>,
    /// Bytes that were not sent, since the edge had coded the content.
    saved_bytes: AtomicU64,
    statuses: StatusCounts,
    /// Errors of even and those of odd local hours.
    errors: [AtomicU64; 2],
    /// Times to the head of responses that were at hand, whose last byte left with their head: those
    /// of even and those of odd local hours.
    at_once_seconds: [Histogram; 2],
    /// Times to the head of all other responses, in the same way.
    head_seconds: [Histogram; 2],
    /// Times to the last byte of these.
    last_byte_seconds: Histogram,
    abandoned: AtomicU64,
    origin_statuses: [AtomicU64; STATUS_CLASSES],
    origin_failures: AtomicU64,
    origin_seconds: Histogram,
}

/// Requests, and bytes of content sent. A hit touches one line of memory for both.
#[derive(Debug, Default)]
struct TrafficCell {
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// Where a request was counted: its variant, hour and outcome. The bytes that follow belong there too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedPlace(usize);

/// A request as [`SiteCounters::record`] counts it.
#[derive(Clone, Copy, Debug)]
pub struct AnsweredRequest<'r> {
    /// How it was answered.
    pub outcome: Outcome,
    /// The policies' variant of its key; an unknown one counts as no variant.
    pub variant: Option<&'r str>,
    /// The status of its response.
    pub status: http::StatusCode,
    /// The content of its response in bytes, if all of it is sent with the head. Otherwise `None`:
    /// [`SiteCounters::record_bytes`] and [`SiteCounters::record_last_byte`] follow.
    pub bytes: Option<u64>,
    /// The time from its head to the head of its response.
    pub took: Duration,
    /// When it was received.
    pub at: Timestamp,
}

impl AnsweredRequest<'_> {
    /// Whether a visitor got an error, of an origin or the edge's own. What a rule of the site answers is what an
    /// operator wants, as 503 is in maintenance.
    fn is_error(&self) -> bool {
        self.status.is_server_error() && self.outcome != Outcome::Rule
    }
}

impl Shard {
    fn new(cells: usize) -> Shard {
        Shard {
            traffic: (0..cells).map(|_| TrafficCell::default()).collect(),
            saved_bytes: AtomicU64::new(0),
            statuses: StatusCounts::default(),
            errors: Default::default(),
            at_once_seconds: Default::default(),
            head_seconds: Default::default(),
            last_byte_seconds: Histogram::default(),
            abandoned: AtomicU64::new(0),
            origin_statuses: Default::default(),
            origin_failures: AtomicU64::new(0),
            origin_seconds: Histogram::default(),
        }
    }
}

impl SiteCounters {
    /// Zero counters for a site in `zone` with these variants, in a shard for each of `workers`
    /// threads.
    pub fn new(zone: Tz, variants: &[Arc<str>], workers: usize) -> SiteCounters {
        let variants: Vec<Arc<str>> = std::iter::once(Arc::from(""))
            .chain(variants.iter().cloned())
            .collect();
        let cells = variants.len() * HOURS * Outcome::ALL.len();
        SiteCounters {
            before: None,
            zone,
            variants,
            shards: (0..workers.max(1)).map(|_| Shard::new(cells)).collect(),
            hour: AtomicU64::new(0),
            repeats: RepeatLimits::default(),
            coding: Arc::default(),
            rules: Arc::default(),
            week: Arc::default(),
        }
    }

    /// Counters that continue these in `zone` and know these variants too. The same counters if
    /// that is so already. Earlier requests stay in the hours of the zone that they were counted in.
    pub fn continued(
        self: &Arc<SiteCounters>,
        zone: Tz,
        variants: &[Arc<str>],
    ) -> Arc<SiteCounters> {
        let new = variants
            .iter()
            .filter(|variant| !self.variants.contains(variant));
        let all: Vec<Arc<str>> = self.variants[1..].iter().chain(new).cloned().collect();
        if all.len() + 1 == self.variants.len() && zone == self.zone {
            return Arc::clone(self);
        }
        let counters = SiteCounters::new(zone, &all, self.shards.len());
        let continues = self.generations().count() < MAX_GENERATIONS;
        Arc::new(SiteCounters {
            before: continues.then(|| Arc::clone(self)),
            coding: Arc::clone(&self.coding),
            rules: Arc::clone(&self.rules),
            week: Arc::clone(&self.week),
            ..counters
        })
    }

    /// These counters and those before them.
    fn generations(&self) -> impl Iterator<Item = &SiteCounters> {
        std::iter::successors(Some(self), |counters| counters.before.as_deref())
    }

    /// The time zone of the hours.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// Names of the variants. The first is `""`, for no variant.
    pub fn variants(&self) -> &[Arc<str>] {
        &self.variants
    }

    /// Counts a request; tells where, for the bytes that follow.
    pub fn record(&self, request: &AnsweredRequest<'_>) -> CountedPlace {
        let shard = self.shard();
        let hour = self.hour(request.at);
        let cell = self.cell(request.variant, hour, request.outcome);
        let traffic = &shard.traffic[cell];
        traffic.requests.fetch_add(1, Ordering::Relaxed);
        shard.statuses.record(request.status);
        if request.is_error() {
            shard.errors[hour % 2].fetch_add(1, Ordering::Relaxed);
        }
        match request.bytes {
            Some(bytes) => {
                traffic.bytes.fetch_add(bytes, Ordering::Relaxed);
                shard.at_once_seconds[hour % 2].record(request.took);
            }
            None => shard.head_seconds[hour % 2].record(request.took),
        }
        CountedPlace(cell)
    }

    /// Where a request is counted that is received at `at`.
    pub fn place(&self, outcome: Outcome, variant: Option<&str>, at: Timestamp) -> CountedPlace {
        CountedPlace(self.cell(variant, self.hour(at), outcome))
    }

    /// Counts a request whose connection ended before there was an answer.
    pub fn record_abandoned(&self) {
        self.shard().abandoned.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the end of a response that was counted without its bytes: the time from the head of
    /// the request to the last byte that was sent.
    pub fn record_last_byte(&self, took: Duration) {
        self.shard().last_byte_seconds.record(took);
    }

    /// Counts bytes of content that were sent, of a response that was counted there without them.
    pub fn record_bytes(&self, place: CountedPlace, bytes: u64) {
        if let Some(traffic) = self.shard().traffic.get(place.0) {
            traffic.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Counts bytes of content that were not sent, since the edge had coded it.
    pub fn record_saved(&self, bytes: u64) {
        self.shard().saved_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts a request to the origin that took `took`: the status of the response, or `None` if it
    /// failed.
    pub fn record_origin(&self, status: Option<http::StatusCode>, took: Duration) {
        let shard = self.shard();
        match status.map(|status| usize::from(status.as_u16() / 100)) {
            Some(class @ 1..=STATUS_CLASSES) => &shard.origin_statuses[class - 1],
            _ => &shard.origin_failures,
        }
        .fetch_add(1, Ordering::Relaxed);
        shard.origin_seconds.record(took);
    }

    /// What a variant, by its index in [`SiteCounters::variants`], had in an hour of the day, 0 to 23.
    pub fn traffic(&self, variant: usize, hour: usize) -> Traffic {
        let mut traffic = Traffic::default();
        for counters in self.generations() {
            let mut names = counters.variants.iter();
            let Some(known) = names.position(|name| *name == self.variants[variant]) else {
                continue;
            };
            let first = (known * HOURS + hour) * Outcome::ALL.len();
            for shard in &counters.shards {
                let cells = &shard.traffic[first..first + Outcome::ALL.len()];
                for (outcome, cell) in Outcome::ALL.into_iter().zip(cells) {
                    let requests = cell.requests.load(Ordering::Relaxed);
                    let bytes = cell.bytes.load(Ordering::Relaxed);
                    traffic.count(outcome, requests, bytes);
                }
            }
        }
        traffic
    }

    /// What a variant had, by its index in [`SiteCounters::variants`].
    pub fn traffic_of_variant(&self, variant: usize) -> Traffic {
        (0..HOURS).fold(Traffic::default(), |mut sum, hour| {
            sum.add(&self.traffic(variant, hour));
            sum
        })
    }

    /// All traffic.
    pub fn traffic_in_all(&self) -> Traffic {
        (0..self.variants.len()).fold(Traffic::default(), |mut sum, variant| {
            sum.add(&self.traffic_of_variant(variant));
            sum
        })
    }

    /// Requests of a variant, by its index in [`SiteCounters::variants`], in an hour of the day, 0
    /// to 23.
    pub fn outcomes(&self, variant: usize, hour: usize) -> Outcomes {
        self.traffic(variant, hour).requests
    }

    /// Requests of a variant, by its index in [`SiteCounters::variants`].
    pub fn outcomes_of_variant(&self, variant: usize) -> Outcomes {
        self.traffic_of_variant(variant).requests
    }

    /// Requests in an hour of the day, 0 to 23.
    pub fn outcomes_of_hour(&self, hour: usize) -> Outcomes {
        (0..self.variants.len()).fold(Outcomes::default(), |mut sum, variant| {
            sum.add(&self.outcomes(variant, hour));
            sum
        })
    }

    /// All requests.
    pub fn outcomes_in_all(&self) -> Outcomes {
        self.traffic_in_all().requests
    }

    /// Has the figures by local hour take in what was counted until `now`. To be done at least every
    /// hour: what was counted since the last time belongs to the latest hours.
    pub fn fold_week(&self, now: Timestamp) {
        self.week.fold(self, now);
    }

    /// The figures of the last seven days by local hour, with all that was counted until `now`.
    pub fn week(&self, now: Timestamp) -> Vec<HourFigures> {
        self.fold_week(now);
        self.week.hours()
    }

    /// The figures of the last seven days, to be saved.
    pub fn save_week(&self, now: Timestamp) -> SavedWeek {
        SavedWeek {
            zone: self.zone().name().to_owned(),
            hours: self.week(now).iter().map(SavedHour::of).collect(),
        }
    }

    /// Continues from saved figures, if nothing has been counted yet and the zone is the same. Leaves out
    /// impossible hours, and returns how many those are.
    pub fn restore_week(&self, saved: &SavedWeek, now: Timestamp) -> usize {
        if saved.zone != self.zone().name() {
            return 0;
        }
        let hours: Vec<_> = saved.hours.iter().filter_map(SavedHour::figures).collect();
        let impossible = saved.hours.len() - hours.len();
        self.week.restore(hours, HourOfWeek::at(now, self.zone()));
        impossible
    }

    /// Times to the heads of responses in the local hours of this parity: 0 for even hours.
    fn head_seconds_of(&self, parity: usize) -> HistogramSnapshot {
        self.histogram(|shard| &shard.at_once_seconds[parity])
            .plus(&self.histogram(|shard| &shard.head_seconds[parity]))
    }

    /// Requests whose connections ended before there was an answer.
    pub fn abandoned(&self) -> u64 {
        self.all_shards()
            .map(|shard| shard.abandoned.load(Ordering::Relaxed))
            .sum()
    }

    /// Bytes of content sent.
    pub fn response_bytes(&self) -> u64 {
        self.traffic_in_all().bytes.total()
    }

    /// Bytes of content that were not sent, since the edge had coded it.
    pub fn saved_bytes(&self) -> u64 {
        self.all_shards()
            .map(|shard| shard.saved_bytes.load(Ordering::Relaxed))
            .sum()
    }

    /// Responses by status; see [`StatusCounts::add_to`] for the names.
    pub fn statuses(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        self.all_shards()
            .for_each(|shard| shard.statuses.add_to(&mut sums));
        sums
    }

    /// Responses with 5xx, without those of rules of the site.
    pub fn errors(&self) -> u64 {
        self.errors_of(0) + self.errors_of(1)
    }

    /// Errors in the local hours of this parity.
    fn errors_of(&self, parity: usize) -> u64 {
        self.all_shards()
            .map(|shard| shard.errors[parity].load(Ordering::Relaxed))
            .sum()
    }

    /// Times from the head of a request to the head of its response.
    pub fn request_seconds(&self) -> HistogramSnapshot {
        self.head_seconds_of(0).plus(&self.head_seconds_of(1))
    }

    /// Times from the head of a request to the last byte of its response.
    pub fn response_seconds(&self) -> HistogramSnapshot {
        self.histogram(|shard| &shard.at_once_seconds[0])
            .plus(&self.histogram(|shard| &shard.at_once_seconds[1]))
            .plus(&self.histogram(|shard| &shard.last_byte_seconds))
    }

    /// Requests to the origin by the class of the status, `"1xx"` to `"5xx"`, and `"failed"` for
    /// those without a response.
    pub fn origin_requests(&self) -> Vec<(&'static str, u64)> {
        let sum = |cell: &dyn Fn(&Shard) -> &AtomicU64| {
            let shards = self.all_shards();
            shards
                .map(|shard| cell(shard).load(Ordering::Relaxed))
                .sum()
        };
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().enumerate();
        let answered =
            classes.map(|(class, name)| (name, sum(&|shard| &shard.origin_statuses[class])));
        let failed = ("failed", sum(&|shard| &shard.origin_failures));
        answered.chain([failed]).collect()
    }

    /// Times from a request to the origin to the head of its response.
    pub fn origin_seconds(&self) -> HistogramSnapshot {
        self.histogram(|shard| &shard.origin_seconds)
    }

    fn histogram(&self, of: impl Fn(&Shard) -> &Histogram) -> HistogramSnapshot {
        let mut sum = HistogramSnapshot::default();
        for histogram in self.all_shards().map(of) {
            sum = sum.plus(&histogram.snapshot());
        }
        sum
    }

    fn all_shards(&self) -> impl Iterator<Item = &Shard> {
        self.generations().flat_map(|counters| &counters.shards)
    }

    fn shard(&self) -> &Shard {
        &self.shards[WORKER.get() % self.shards.len()]
    }

    fn cell(&self, variant: Option<&str>, hour: usize, outcome: Outcome) -> usize {
        (self.variant_index(variant) * HOURS + hour) * Outcome::ALL.len() + outcome.index()
    }

    fn variant_index(&self, variant: Option<&str>) -> usize {
        let Some(variant) = variant else { return 0 };
        let mut names = self.variants.iter();
        names.position(|name| **name == *variant).unwrap_or(0)
    }

    fn hour(&self, now: Timestamp) -> usize {
        let known = self.hour.load(Ordering::Relaxed);
        let quarter = now.unix_secs().div_euclid(HOUR_CHECK_SECS) as u64;
        if known >> 8 == quarter && known != 0 {
            return (known & 0xff) as usize % HOURS;
        }
        let hour = usize::from(local_hour(now, self.zone)) % HOURS;
        self.hour
            .store(quarter << 8 | hour as u64, Ordering::Relaxed);
        hour
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(variant: &str, bytes: u64) -> AnsweredRequest<'_> {
        AnsweredRequest {
            outcome: Outcome::Hit,
            variant: Some(variant),
            status: http::StatusCode::OK,
            bytes: Some(bytes),
            took: Duration::ZERO,
            at: Timestamp::from_unix_secs(0),
        }
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let counters = SiteCounters::new(
            chrono_tz::America::Argentina::Buenos_Aires,
            &["mobile".into()],
            2,
        );
        // 2026-11-24 09:00 in Buenos Aires.
        let nine = Timestamp::from_unix_secs(1_795_608_000);
        let hit = AnsweredRequest {
            outcome: Outcome::Hit,
            variant: Some("mobile"),
            status: http::StatusCode::OK,
            bytes: Some(10),
            took: Duration::from_micros(700),
            at: nine,
        };
        counters.record(&hit);
        counters.record(&AnsweredRequest {
            outcome: Outcome::Miss,
            variant: None,
            bytes: Some(20),
            at: nine.saturating_sub(Duration::from_secs(1)),
            ..hit
        });
        let passed = counters.record(&AnsweredRequest {
            outcome: Outcome::Pass,
            variant: None,
            bytes: None,
            ..hit
        });
        counters.record_bytes(passed, 30);
        counters.record_last_byte(Duration::from_secs(2));
        let all = counters.outcomes_in_all();
        assert_eq!(all.total(), 3);
        assert_eq!(all.hit_rate(), Some(0.5));
        let bytes = counters.traffic_in_all().bytes;
        assert_eq!(bytes.count(Outcome::Pass), 30);
        assert_eq!(bytes.hit_rate(), Some(1.0 / 3.0));
        assert_eq!(counters.outcomes_of_hour(9).total(), 2);
        assert_eq!(counters.outcomes_of_hour(8).count(Outcome::Miss), 1);
        assert_eq!(counters.outcomes_of_variant(1).count(Outcome::Hit), 1);
        assert_eq!(counters.response_bytes(), 60);
        assert_eq!(counters.request_seconds().buckets[1], 3);
        let to_last_byte = counters.response_seconds();
        assert_eq!((to_last_byte.buckets[1], to_last_byte.buckets[12]), (2, 1));
        assert_eq!(counters.statuses(), BTreeMap::from([("200".to_owned(), 3)]));
    }

    #[test]
    fn counters_with_more_variants_include_the_old_ones_and_requests_still_counted_there() {
        let old = Arc::new(SiteCounters::new(chrono_tz::UTC, &["a".into()], 1));
        let count = |counters: &SiteCounters, variant| {
            counters.record(&hit(variant, 5));
        };
        count(&old, "a");
        let new = old.continued(chrono_tz::UTC, &["b".into(), "a".into()]);
        count(&new, "b");
        count(&old, "a");
        assert_eq!(
            new.variants(),
            ["".into(), "a".into(), Arc::<str>::from("b")]
        );
        assert_eq!(new.outcomes_of_variant(1).total(), 2);
        assert_eq!(
            (new.outcomes_in_all().total(), new.response_bytes()),
            (3, 15)
        );
        assert_eq!(new.request_seconds().buckets[0], 3);
        assert!(Arc::ptr_eq(
            &new,
            &new.continued(chrono_tz::UTC, &["a".into()])
        ));
        let many = (0..100).fold(new, |counters, number| {
            counters.continued(chrono_tz::UTC, &[number.to_string().into()])
        });
        assert!(many.generations().count() <= MAX_GENERATIONS);
    }

    #[test]
    fn an_undeclared_variant_counts_as_no_variant() {
        let counters = SiteCounters::new(chrono_tz::UTC, &[], 1);
        counters.record(&hit("who", 0));
        assert_eq!(counters.outcomes_of_variant(0).total(), 1);
    }
}
