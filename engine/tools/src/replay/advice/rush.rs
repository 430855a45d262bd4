//! When warming helps: the local hour in which requests rise most, and how many pages its visitors
//! want.

use std::collections::{BTreeMap, HashMap};

use chrono::{Datelike, Timelike};
use chrono_tz::Tz;

use super::plain::is_plain_host;
use super::{ConfigEdit, ConfigText, Proposal, hashed};
use crate::replay::record::LogRecord;
use tero_time::zones;

/// By how much requests must rise from one hour to the next.
const MIN_RISE: f64 = 2.0;

/// The share of an hour's requests that the warmed pages should get.
const COVERED: f64 = 0.8;

/// The most pages that are proposed.
const MAX_PAGES: usize = 500;

/// How many pages are counted.
const MAX_COUNTED: usize = 100_000;

/// How many hosts are counted.
const MAX_HOSTS: usize = 1_000;

/// Names of weekdays in schedules, Monday first.
const DAYS: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];

#[derive(Debug)]
pub(super) struct RushStudy {
    zone: Tz,
    /// Requests by weekday and local hour.
    hours: [[u64; 24]; 7],
    /// Requests for pages by local hour and URL.
    pages: HashMap<(u8, u64), u64>,
    /// Requests by plain host.
    hosts: BTreeMap<Box<str>, u64>,
}

impl RushStudy {
    pub(super) fn new(zone: Tz) -> RushStudy {
        RushStudy {
            zone,
            hours: [[0; 24]; 7],
            pages: HashMap::new(),
            hosts: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, record: &LogRecord) {
        let local = zones::local(record.at, self.zone);
        let (day, hour) = (local.weekday().num_days_from_monday(), local.hour());
        self.hours[day as usize % 7][hour as usize % 24] += 1;
        self.add_host(record);
        let is_page = record
            .content_type()
            .is_none_or(|kind| kind.as_bytes().starts_with(b"text/html"));
        if !is_page {
            return;
        }
        let key = (hour as u8, hashed(&record.path()));
        if self.pages.len() < MAX_COUNTED || self.pages.contains_key(&key) {
            *self.pages.entry(key).or_default() += 1;
        }
    }

    fn add_host(&mut self, record: &LogRecord) {
        let Some(host) = record.host.as_deref().filter(|host| is_plain_host(host)) else {
            return;
        };
        if let Some(requests) = self.hosts.get_mut(host) {
            *requests += 1;
        } else if self.hosts.len() < MAX_HOSTS {
            self.hosts.insert(host.into(), 1);
        }
    }

    /// The host that is requested most.
    fn host(&self) -> Option<String> {
        let most = self.hosts.iter().max_by_key(|(_, requests)| **requests);
        most.map(|(host, _)| host.to_string())
    }

    /// The hour of the greatest rise, with its factor.
    fn rise(&self) -> Option<(usize, f64)> {
        let total = |hour: usize| self.hours.iter().map(|day| day[hour]).sum::<u64>();
        let all: u64 = (0..24).map(total).sum();
        (1..24)
            // A night hour with few visitors rises easily, and nobody gains.
            .filter(|hour| total(*hour) * 24 >= all)
            .map(|hour| (hour, total(hour) as f64 / total(hour - 1).max(1) as f64))
            .max_by(|one, other| one.1.total_cmp(&other.1))
            .filter(|(_, factor)| *factor >= MIN_RISE)
    }

    pub(super) fn proposal(&self, config: &ConfigText) -> Option<Proposal> {
        let (hour, factor) = self.rise()?;
        if config.has_plan() {
            return None;
        }
        let usual = self.hours.iter().map(|day| day[hour]).max().unwrap_or(0);
        let days: Vec<&str> = DAYS
            .iter()
            .zip(&self.hours)
            .filter(|(_, day)| day[hour] * 2 >= usual)
            .map(|(name, _)| *name)
            .collect();
        let mut counts: Vec<u64> = self
            .pages
            .iter()
            .filter(|((of, _), _)| usize::from(*of) == hour)
            .map(|(_, count)| *count)
            .collect();
        counts.sort_unstable_by(|one, other| other.cmp(one));
        let wanted = COVERED * counts.iter().sum::<u64>() as f64;
        let mut sum = 0.0;
        let pages = counts
            .iter()
            .take_while(|count| {
                let is_needed = sum < wanted;
                sum += **count as f64;
                is_needed
            })
            .count()
            .clamp(1, MAX_PAGES);
        Some(Proposal {
            title: format!("warm {pages} pages at {:02}:30", hour - 1),
            reason: format!(
                "requests rise {factor:.1} times at {hour:02}:00, and {pages} pages get {:.0} % of those for pages in that hour",
                100.0 * COVERED
            ),
            edits: vec![ConfigEdit::Plan {
                name: format!("before-{hour:02}"),
                // A site of patterns alone doesn't say under which host its pages are requested.
                host: self.host().filter(|_| !config.site_has_host()),
                schedule: format!("30 {} * * {}", hour - 1, days.join(",")),
                zone: self.zone.name().to_owned(),
                pages,
            }],
        })
    }
}
