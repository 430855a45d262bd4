//! What became of the requests of a log, counted by day and local hour, site, variant, reason and URL.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{Datelike, NaiveDate, Timelike};
use chrono_tz::Tz;

use tero_edge::request::exchange::Exchange;
use tero_edge::request::provenance::Provenance;
use tero_edge::request::rehearsal::{OriginAnswered, OriginAsker, OriginQuestion, RehearsedAnswer};
use tero_edge::store::stored::StoredResponse;
use tero_edge::telemetry::Outcome;
use tero_edge::telemetry::counters::Traffic;
use tero_semantics::cache_status::Forward;
use tero_semantics::key;
use tero_semantics::timestamp::Timestamp;
use tero_time::zones;

/// Reasons, and variants, that are told apart; further ones count as one.
const MAX_NAMES: usize = 200;

/// The name of further ones.
const FURTHER: &str = "(further ones)";

/// The name of requests about which no policy gave a reason, and of requests without a variant.
const NONE: &str = "-";

/// URLs that are told apart. When there are more, those with the fewest requests go.
const MAX_URLS: usize = 100_000;

/// Requests, and what they cost the origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCell {
    /// Requests of visitors, and bytes that they were sent, by outcome.
    pub traffic: Traffic,
    /// Requests to the origin.
    pub origin: OriginLoad,
    /// Requests whose visitors waited for the origin, by why.
    pub waits: WaitCounts,
}

/// Requests whose visitors waited for the origin, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitCounts {
    /// The answer is not stored: of other methods, private, passed by a rule or a policy.
    pub not_stored: u64,
    /// Nothing was stored for the URL and the variant: not yet, or not any more.
    pub first: u64,
    /// The stored response was stale, and could not be used while it was revalidated.
    pub expired: u64,
    /// The answer is an error.
    pub failed: u64,
}

impl WaitCounts {
    fn count(&mut self, came: &Provenance) {
        let is_kept = came.collapsed || came.storing.is_stored();
        let requests = match (came.outcome, came.forward) {
            (Outcome::Hit | Outcome::Stale | Outcome::Rule, _) => return,
            (Outcome::Error, _) => &mut self.failed,
            (Outcome::Pass, _) | (_, Some(Forward::Bypass | Forward::Method)) => {
                &mut self.not_stored
            }
            _ if !is_kept => &mut self.not_stored,
            (_, Some(Forward::Stale | Forward::Request | Forward::Partial)) => &mut self.expired,
            (_, Some(Forward::UriMiss | Forward::VaryMiss) | None) => &mut self.first,
        };
        *requests += 1;
    }

    fn add(&mut self, other: &WaitCounts) {
        self.not_stored += other.not_stored;
        self.first += other.first;
        self.expired += other.expired;
        self.failed += other.failed;
    }
}

/// Requests to the origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OriginLoad {
    /// For visitors who wait.
    pub visitors: u64,
    /// In the background, for responses that are used stale.
    pub background: u64,
    /// Before responses expire.
    pub ahead: u64,
    /// By warming plans.
    pub plans: u64,
    /// Bytes of content that the origin sent.
    pub bytes: u64,
}

impl OriginLoad {
    /// All requests.
    pub fn requests(&self) -> u64 {
        self.visitors + self.background + self.ahead + self.plans
    }

    fn count(&mut self, asker: OriginAsker, bytes: u64) {
        let requests = match asker {
            OriginAsker::Visitor => &mut self.visitors,
            OriginAsker::Background => &mut self.background,
            OriginAsker::Ahead => &mut self.ahead,
            OriginAsker::Plan(_) => &mut self.plans,
        };
        *requests += 1;
        self.bytes += bytes;
    }

    fn add(&mut self, other: &OriginLoad) {
        self.visitors += other.visitors;
        self.background += other.background;
        self.ahead += other.ahead;
        self.plans += other.plans;
        self.bytes += other.bytes;
    }
}

impl TrafficCell {
    /// Adds that of `other`.
    pub fn add(&mut self, other: &TrafficCell) {
        self.traffic.add(&other.traffic);
        self.origin.add(&other.origin);
        self.waits.add(&other.waits);
    }

    /// The share of visitors' requests that did not wait for the origin; `None` without requests.
    pub fn unwaited(&self) -> Option<f64> {
        let requests = &self.traffic.requests;
        let at_once = [Outcome::Hit, Outcome::Stale, Outcome::Rule];
        let at_once: u64 = at_once.iter().map(|one| requests.count(*one)).sum();
        ratio(at_once, requests.total())
    }
}

/// The requests of a day, by local hour.
pub type DayHours = [TrafficCell; 24];

/// A minute, and requests to the origin in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusiestMinute {
    /// Its begin.
    pub at: Timestamp,
    /// Requests to the origin.
    pub requests: u64,
}

/// What became of the requests for a URL.
#[derive(Clone, Debug, Default)]
pub struct UrlFigures {
    /// Requests.
    pub requests: u64,
    /// Requests whose visitors waited for the origin.
    pub waited: u64,
    /// Requests to the origin, whoever asked.
    pub origin: u64,
    /// What policies gave as a reason last, or why it is not stored.
    pub reason: Option<Arc<str>>,
}

/// What became of the requests of a log.
#[derive(Debug)]
pub struct Tally {
    /// By day and hour, in the zone of each site.
    pub days: BTreeMap<NaiveDate, Box<DayHours>>,
    /// By site.
    pub sites: BTreeMap<Arc<str>, TrafficCell>,
    /// By variant.
    pub variants: BTreeMap<Arc<str>, TrafficCell>,
    /// By what policies gave as a reason.
    pub reasons: BTreeMap<Arc<str>, TrafficCell>,
    /// Requests that were not let in, by why.
    pub refused: BTreeMap<String, u64>,
    /// The busiest minute of the origin.
    pub busiest: BusiestMinute,
    /// By URL; `None` unless it is wanted.
    pub urls: Option<HashMap<Box<str>, UrlFigures>>,
    /// The zone of the site that was asked first.
    pub zone: Tz,
    /// The zone of each site.
    pub zones: BTreeMap<Arc<str>, Tz>,
    /// URLs of which only their own lines tell something, since there are so many.
    pub forgotten_urls: u64,
    minute: BusiestMinute,
    place: LocalPlace,
    none: Arc<str>,
    further: Arc<str>,
    has_zone: bool,
}

/// The local day and hour of the last request: most requests are of the same minute.
#[derive(Clone, Copy, Debug)]
struct LocalPlace {
    zone: Tz,
    minute: i64,
    date: NaiveDate,
    hour: usize,
}

impl Tally {
    /// Nothing is counted yet. `by_url` keeps figures for each URL.
    pub fn new(by_url: bool) -> Tally {
        Tally {
            days: BTreeMap::new(),
            sites: BTreeMap::new(),
            variants: BTreeMap::new(),
            reasons: BTreeMap::new(),
            refused: BTreeMap::new(),
            busiest: BusiestMinute::default(),
            urls: by_url.then(HashMap::new),
            zone: Tz::UTC,
            zones: BTreeMap::new(),
            forgotten_urls: 0,
            minute: BusiestMinute::default(),
            place: LocalPlace {
                zone: Tz::UTC,
                minute: i64::MIN,
                date: NaiveDate::MIN,
                hour: 0,
            },
            none: NONE.into(),
            further: FURTHER.into(),
            has_zone: false,
        }
    }

    /// Everything.
    pub fn total(&self) -> TrafficCell {
        let mut total = TrafficCell::default();
        let hours = self.days.values().flat_map(|day| day.iter());
        hours.for_each(|hour| total.add(hour));
        total
    }

    /// By local hour.
    pub fn by_hour(&self) -> DayHours {
        let mut hours = DayHours::default();
        for day in self.days.values() {
            for (sum, hour) in hours.iter_mut().zip(day.iter()) {
                sum.add(hour);
            }
        }
        hours
    }

    /// By day of the week, from Monday.
    pub fn by_weekday(&self) -> [TrafficCell; 7] {
        let mut days = [TrafficCell::default(); 7];
        for (date, hours) in &self.days {
            let day = &mut days[date.weekday().num_days_from_monday() as usize];
            hours.iter().for_each(|hour| day.add(hour));
        }
        days
    }

    /// Counts an answer.
    pub fn answered(&mut self, answer: &RehearsedAnswer<'_>) {
        let (exchange, outcome) = (answer.exchange, answer.provenance.outcome);
        let bytes = answer.sent.bytes.unwrap_or_default();
        let count = |cell: &mut TrafficCell| {
            cell.traffic.count(outcome, 1, bytes);
            cell.waits.count(answer.provenance);
        };
        count(self.cell_at(exchange, exchange.wall()));
        count(
            self.sites
                .entry(Arc::clone(&exchange.site.settings.name))
                .or_default(),
        );
        count(self.variant_of(exchange));
        let reason = reason_of(exchange, answer.stored);
        self.count_reason(reason, count);
        if self.urls.is_some() {
            self.count_url(answer, reason);
        }
    }

    /// Counts the answer to a request to the origin where its variant and its reason are counted. They
    /// are known once it has come.
    pub fn origin_answered(&mut self, answered: &OriginAnswered<'_>) {
        let OriginAnswered {
            exchange,
            asker,
            bytes,
            stored,
        } = *answered;
        let count = |cell: &mut TrafficCell| cell.origin.count(asker, bytes);
        count(self.variant_of(exchange));
        self.count_reason(reason_of(exchange, stored), count);
    }

    fn variant_of(&mut self, exchange: &Exchange) -> &mut TrafficCell {
        let variant = exchange.decision.variant.as_ref().unwrap_or(&self.none);
        named(&mut self.variants, variant, &self.further)
    }

    fn count_reason(&mut self, reason: &str, count: impl FnOnce(&mut TrafficCell)) {
        match self.reasons.get_mut(reason) {
            Some(cell) => count(cell),
            None => count(named(&mut self.reasons, &reason.into(), &self.further)),
        }
    }

    fn count_url(&mut self, answer: &RehearsedAnswer<'_>, reason: &str) {
        let waited = !matches!(
            answer.provenance.outcome,
            Outcome::Hit | Outcome::Stale | Outcome::Rule
        );
        let not_stored = answer.provenance.storing.refusal();
        let reason = not_stored.map_or(reason, |refusal| refusal.as_str());
        let figures = self.url_of(answer.exchange);
        figures.requests += 1;
        figures.waited += u64::from(waited);
        if figures.reason.as_deref() != Some(reason) {
            figures.reason = Some(reason.into());
        }
    }

    /// Counts a request to the origin, with the content that it brings.
    pub fn asked_origin(&mut self, question: &OriginQuestion<'_>, bytes: u64) {
        let OriginQuestion {
            exchange, asker, ..
        } = *question;
        let at = exchange.site.clock.wall_of(question.at);
        let count = |cell: &mut TrafficCell| cell.origin.count(asker, bytes);
        count(self.cell_at(exchange, at));
        count(
            self.sites
                .entry(Arc::clone(&exchange.site.settings.name))
                .or_default(),
        );
        let minute = at.unix_secs().div_euclid(60);
        if self.minute.at.unix_secs().div_euclid(60) != minute {
            self.minute = BusiestMinute {
                at: Timestamp::from_unix_secs(minute * 60),
                requests: 0,
            };
        }
        self.minute.requests += 1;
        if self.minute.requests > self.busiest.requests {
            self.busiest = self.minute;
        }
        if self.urls.is_some() {
            self.url_of(exchange).origin += 1;
        }
    }

    /// Counts a request that was not let in.
    pub fn refused(&mut self, why: &str) {
        *self.refused.entry(why.to_owned()).or_default() += 1;
    }

    /// Notes of how many URLs nothing was remembered.
    pub fn note_forgotten(&mut self, urls: u64) {
        self.forgotten_urls = urls;
    }

    fn url_of(&mut self, exchange: &Exchange) -> &mut UrlFigures {
        let url = key::url_of(&exchange.key);
        let urls = self.urls.get_or_insert_default();
        if urls.len() >= MAX_URLS && !urls.contains_key(url) {
            thin_out(urls);
        }
        urls.entry(url.into()).or_default()
    }

    fn cell_at(&mut self, exchange: &Exchange, at: Timestamp) -> &mut TrafficCell {
        let zone = exchange.site.counters.zone();
        if !self.has_zone {
            (self.zone, self.has_zone) = (zone, true);
        }
        let site = &exchange.site.settings.name;
        if !self.zones.contains_key(site) {
            self.zones.insert(Arc::clone(site), zone);
        }
        let minute = at.unix_secs().div_euclid(60);
        if self.place.minute != minute || self.place.zone != zone {
            let local = zones::local(at, zone);
            self.place = LocalPlace {
                zone,
                minute,
                date: local.date_naive(),
                hour: local.hour() as usize,
            };
        }
        let day = self.days.entry(self.place.date).or_default();
        &mut day[self.place.hour.min(23)]
    }
}

/// The reason that policies gave for a response, or for its request.
fn reason_of<'a>(exchange: &'a Exchange, stored: Option<&'a Arc<StoredResponse>>) -> &'a str {
    let of_response = stored.and_then(|stored| stored.head.fields.detail());
    let reason = of_response.or(exchange.decision.reason.as_deref());
    reason.unwrap_or(NONE)
}

/// The cell of a name, or that of further ones.
fn named<'c>(
    cells: &'c mut BTreeMap<Arc<str>, TrafficCell>,
    name: &Arc<str>,
    further: &Arc<str>,
) -> &'c mut TrafficCell {
    let is_further = cells.len() >= MAX_NAMES && !cells.contains_key(name);
    let name = if is_further { further } else { name };
    cells.entry(Arc::clone(name)).or_default()
}

/// Drops the half of the URLs with the fewest requests.
fn thin_out(urls: &mut HashMap<Box<str>, UrlFigures>) {
    let mut counts: Vec<u64> = urls.values().map(|url| url.requests + url.origin).collect();
    let middle = counts.len() / 2;
    let (_, middle, _) = counts.select_nth_unstable(middle);
    let middle = *middle;
    urls.retain(|_, url| url.requests + url.origin > middle);
}

/// All of these together.
pub(super) fn sum<'c>(cells: impl Iterator<Item = &'c TrafficCell>) -> TrafficCell {
    let mut all = TrafficCell::default();
    cells.for_each(|cell| all.add(cell));
    all
}

/// A share; `None` of nothing.
pub(super) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
