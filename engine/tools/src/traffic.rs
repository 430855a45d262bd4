//! Made-up traffic of a site: the same plan gives the same requests, as a log tells them.
//!
//! Visitors come by a curve of the local day and the weekday. They have devices with the user agents
//! of real browsers, and look at pages by Zipf's law, new pages among them. Advertisements send them
//! with parameters in the query, crawlers walk through everything, and scanners ask for what the site
//! does not have. [`SiteModel`] says how the site answers: status, length, validators, and when a page
//! changes.
//!
//! It is used by `tero traffic`, the simulated week of the documentation, tests and the demo.

pub mod agents;
pub(crate) mod booking;
mod news;
pub mod site;
pub mod write;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use chrono::{Datelike, NaiveDate, NaiveTime, Timelike, Weekday};
use chrono_tz::Tz;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_TYPE, ETAG, REFERER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};

use crate::dice::Dice;
use crate::replay::record::{LinePlace, LogRecord};
use agents::{AGENTS, SiteAgent};
use site::SiteModel;
use tero_semantics::authority::Scheme;
use tero_semantics::timestamp::Timestamp;
use tero_time::{moment, zones};

/// The largest factor of [`TrafficPlan::scale`].
pub const MAX_SCALE: f64 = 1_000.0;

/// The most days of a plan.
pub const MAX_DAYS: u32 = 400;

/// The days of a plan lie in these years: no zone takes an instant of them out of the calendar.
pub const YEARS: RangeInclusive<i32> = 1970..=9_000;

/// The kind of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SiteKind {
    /// Appointments at barber shops: opening hours, a rush when the doors open, pages by device.
    Booking,
    /// News: new pages all day, mornings and evenings, quiet nights, sudden interest in one page.
    News,
}

/// How many visitors come, when, and what for.
#[derive(Clone, Debug, PartialEq)]
pub struct TrafficPlan {
    /// The kind of the site.
    pub kind: SiteKind,
    /// The first local day, in one of [`YEARS`].
    pub first: NaiveDate,
    /// The number of days, at most [`MAX_DAYS`].
    pub days: u32,
    /// The zone of the site and its visitors.
    pub zone: Tz,
    /// Days that are like Sundays.
    pub holidays: Vec<NaiveDate>,
    /// The same seed gives the same requests.
    pub seed: u64,
    /// The number of visits, as a multiple of the usual curve, at most [`MAX_SCALE`].
    pub scale: f64,
    /// The host of the site.
    pub host: Box<str>,
}

/// The requests of a plan in the order of time.
#[derive(Debug)]
pub struct TrafficRequests {
    plan: TrafficPlan,
    model: SiteModel,
    dice: Dice,
    /// The start of the next minute whose visits are drawn.
    minute: Timestamp,
    end: Timestamp,
    /// Requests of visits that have begun, the earliest on top.
    pending: BinaryHeap<Reverse<PendingRequest>>,
    drawn: u64,
    line: u64,
}

/// A request that a visitor will send.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PendingRequest {
    at: Timestamp,
    /// Ties are broken by the order of drawing.
    number: u64,
    view: PageView,
    agent: usize,
    client: [u8; 4],
}

/// What a visitor asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PageView {
    pub(crate) is_post: bool,
    pub(crate) target: String,
    /// How long the visitor reads before the next request, on average; 0: a browser asks for the
    /// next one at once.
    pub(crate) reads_secs: u64,
}

/// A minute of a site's day, for which visits are drawn.
#[derive(Clone, Copy, Debug)]
struct TrafficMinute {
    at: Timestamp,
    day: NaiveDate,
    hour: u32,
    minute: u32,
    /// Days since the plan's first, which may be negative.
    age_days: i64,
    is_quiet: bool,
}

impl SiteKind {
    /// All kinds.
    pub const ALL: [SiteKind; 2] = [SiteKind::Booking, SiteKind::News];

    /// The name on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            SiteKind::Booking => "booking",
            SiteKind::News => "news",
        }
    }

    /// The kind of this name; `None` if there is none.
    pub fn from_name(name: &str) -> Option<SiteKind> {
        SiteKind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl PageView {
    pub(crate) fn get(target: impl Into<String>, reads_secs: u64) -> PageView {
        PageView {
            is_post: false,
            target: target.into(),
            reads_secs,
        }
    }

    pub(crate) fn post(target: impl Into<String>, reads_secs: u64) -> PageView {
        PageView {
            is_post: true,
            ..PageView::get(target, reads_secs)
        }
    }

    pub(crate) fn method(&self) -> Method {
        if self.is_post {
            Method::POST
        } else {
            Method::GET
        }
    }
}

impl TrafficPlan {
    /// A week in Buenos Aires from Thursday 13 August 2026. Monday is a holiday (San Martín).
    pub fn week(kind: SiteKind) -> TrafficPlan {
        let day = |day| NaiveDate::from_ymd_opt(2026, 8, day).unwrap_or_default();
        TrafficPlan {
            kind,
            first: day(13),
            days: 7,
            zone: chrono_tz::America::Argentina::Buenos_Aires,
            holidays: vec![day(17)],
            seed: 1,
            scale: 1.0,
            host: "www.example".into(),
        }
    }

    /// The days, in order.
    pub fn dates(&self) -> impl Iterator<Item = NaiveDate> {
        self.first
            .iter_days()
            .take(self.days.min(MAX_DAYS) as usize)
    }

    /// Whether a day is like any other: neither a Sunday nor a holiday.
    pub fn is_working_day(&self, day: NaiveDate) -> bool {
        day.weekday() != Weekday::Sun && !self.holidays.contains(&day)
    }

    /// Its requests. A day may have some of visits that began on the day before; the last day ends
    /// with the last visit that began in it. A plan that begins outside [`YEARS`] has none.
    pub fn requests(&self) -> TrafficRequests {
        let midnight = |day: NaiveDate| moment::instant_of(day.and_time(NaiveTime::MIN), self.zone);
        let is_in_range = YEARS.contains(&self.first.year());
        let (first, days) = match is_in_range {
            true => (self.first, self.days.min(MAX_DAYS)),
            false => (NaiveDate::default(), 0),
        };
        let after = first + chrono::Days::new(days.into());
        TrafficRequests {
            model: SiteModel::new(self.kind),
            dice: Dice::seeded(self.seed),
            minute: midnight(first),
            end: midnight(after),
            pending: BinaryHeap::new(),
            drawn: 0,
            line: 0,
            plan: self.clone(),
        }
    }
}

impl TrafficRequests {
    /// Draws the visits that begin in a minute.
    fn draw(&mut self) {
        let local = zones::local(self.minute, self.plan.zone);
        let day = local.date_naive();
        let minute = TrafficMinute {
            at: self.minute,
            day,
            hour: local.hour(),
            minute: local.minute(),
            age_days: (day - self.plan.first).num_days(),
            is_quiet: !self.plan.is_working_day(day),
        };
        let scale = self.plan.scale.clamp(0.0, MAX_SCALE);
        for _ in 0..self.dice.events(self.rate(minute) * scale) {
            let agent = self.dice.weighted(AGENTS.iter().map(|agent| agent.weight));
            let views = self.visit(minute, &AGENTS[agent]);
            self.begin(minute.at, agent, views);
        }
        let Some(campaign) = Campaign::on(self.plan.seed, minute.day) else {
            return;
        };
        for _ in 0..self.dice.events(campaign.rate(minute) * scale) {
            let agent = self.dice.weighted(
                AGENTS
                    .iter()
                    .map(|agent| if agent.is_phone { agent.weight } else { 0 }),
            );
            let views = match self.plan.kind {
                SiteKind::Booking => {
                    booking::campaign_visit(&mut self.dice, campaign.number % booking::SHOPS)
                }
                SiteKind::News => news::campaign_visit(&mut self.dice, minute, campaign.number),
            };
            self.begin(minute.at, agent, views);
        }
    }

    /// Visits in a minute, on average.
    fn rate(&self, minute: TrafficMinute) -> f64 {
        match self.plan.kind {
            SiteKind::Booking => booking::rate(minute),
            SiteKind::News => news::rate(minute),
        }
    }

    fn visit(&mut self, minute: TrafficMinute, agent: &SiteAgent) -> Vec<PageView> {
        if self.dice.below(300) == 0 {
            return scan();
        }
        let dice = &mut self.dice;
        match (self.plan.kind, agent.is_crawler) {
            (SiteKind::Booking, true) => {
                booking::crawl(dice, booking::SHOPS, |shop| shop.to_string())
            }
            (SiteKind::Booking, false) => {
                let shop = booking::shop(dice, minute.age_days);
                booking::browse(dice, &shop.to_string())
            }
            (SiteKind::News, true) => news::crawl(dice, minute),
            (SiteKind::News, false) => news::browse(dice, minute),
        }
    }

    /// Spreads the requests of a visit over time.
    fn begin(&mut self, minute: Timestamp, agent: usize, views: Vec<PageView>) {
        let [a, b, c, ..] = self.dice.next().to_le_bytes();
        let mut millis = minute.unix_millis() + signed(self.dice.below(60_000));
        for view in views {
            let pause = 50 + self.dice.below(150) + self.dice.below(view.reads_secs * 2_000 + 1);
            self.drawn += 1;
            self.pending.push(Reverse(PendingRequest {
                at: Timestamp::from_unix_millis(millis),
                number: self.drawn,
                view,
                agent,
                client: [10, a, b, c],
            }));
            millis += signed(pause);
        }
    }

    fn record(&mut self, request: PendingRequest) -> LogRecord {
        let agent = &AGENTS[request.agent];
        let target = &request.view.target;
        let answer = self.model.answer(target, agent.is_phone, request.at);
        let mut fields = HeaderMap::new();
        fields.insert(USER_AGENT, HeaderValue::from_static(agent.name));
        if !agent.is_crawler {
            fields.insert(
                ACCEPT_ENCODING,
                HeaderValue::from_static("gzip, deflate, br"),
            );
        }
        if answer.is_part {
            let referer = format!("https://{}/", self.plan.host);
            fields.extend(
                HeaderValue::try_from(referer)
                    .ok()
                    .map(|url| (REFERER, url)),
            );
        }
        let mut response = HeaderMap::new();
        response.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
        response.insert(
            CACHE_CONTROL,
            HeaderValue::from_static(answer.cache_control),
        );
        let etag = answer
            .etag
            .and_then(|etag| HeaderValue::try_from(etag).ok());
        response.extend(etag.map(|etag| (ETAG, etag)));
        self.line += 1;
        LogRecord {
            at: request.at,
            method: request.view.method(),
            scheme: Some(Scheme::Https),
            host: Some(self.plan.host.clone()),
            target: request.view.target.into(),
            status: answer.status,
            bytes: Some(answer.bytes),
            bytes_have_head: false,
            cache: None,
            took: None,
            origin_took: None,
            client: Some(IpAddr::from(request.client)),
            request: fields,
            response,
            place: LinePlace {
                file: 0,
                line: self.line,
            },
        }
    }
}

impl Iterator for TrafficRequests {
    type Item = LogRecord;

    fn next(&mut self) -> Option<LogRecord> {
        loop {
            let is_due = self
                .pending
                .peek()
                .is_some_and(|Reverse(next)| next.at < self.minute || self.minute >= self.end);
            if is_due {
                let Reverse(request) = self.pending.pop()?;
                return Some(self.record(request));
            }
            if self.minute >= self.end {
                return None;
            }
            self.draw();
            self.minute = self
                .minute
                .saturating_add(std::time::Duration::from_secs(60));
        }
    }
}

/// An advertisement that runs for part of a day, and sends visitors to one page.
#[derive(Clone, Copy, Debug)]
struct Campaign {
    /// The minute of the day.
    start: u32,
    minutes: u32,
    number: u64,
}

impl Campaign {
    /// Visits in a minute, on average, while it runs.
    const RATE: f64 = 5.0;

    /// The campaign of a day: two days of five have one.
    fn on(seed: u64, day: NaiveDate) -> Option<Campaign> {
        let day = u64::from(day.num_days_from_ce().unsigned_abs());
        let mut dice = Dice::seeded(seed ^ day.wrapping_mul(0x9e37_79b9));
        dice.percent(40).then(|| Campaign {
            start: 11 * 60 + small(dice.below(9 * 60)),
            minutes: 30 + small(dice.below(60)),
            number: dice.next(),
        })
    }

    fn rate(self, minute: TrafficMinute) -> f64 {
        let now = minute.hour * 60 + minute.minute;
        if (self.start..self.start + self.minutes).contains(&now) {
            Campaign::RATE
        } else {
            0.0
        }
    }
}

/// A query as advertisements add it: the name of the campaign, and a number of the click.
fn campaign_query(dice: &mut Dice) -> String {
    let click = dice.below(1_000_000);
    match dice.below(3) {
        0 => format!("utm_source=instagram&utm_medium=cpc&fbclid=IwAR{click}"),
        1 => format!("utm_source=google&gclid=Cj0KCQ{click}"),
        _ => format!("fbclid=IwAR{click}"),
    }
}

/// What scanners ask every site for.
fn scan() -> Vec<PageView> {
    ["/wp-login.php", "/.env", "/phpmyadmin/", "/.git/config"]
        .into_iter()
        .map(|target| PageView::get(target, 1))
        .collect()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
