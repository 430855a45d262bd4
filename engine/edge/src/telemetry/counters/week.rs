//! The figures of the last seven days by hour of the local week, for each site.
//!
//! Requests pay nothing for them. They are made of what the counters of the site say more than the
//! last time: a count belongs to the latest hour of the day that it was counted under. Times and errors
//! are counted under the parity of the hour, so that of two neighbouring hours each gets its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{Datelike as _, Days, NaiveDate, Timelike as _};
use chrono_tz::Tz;

use super::histogram::HistogramSnapshot;
use super::outcomes::Traffic;
use super::{HOURS, SiteCounters};
use tero_semantics::timestamp::Timestamp;
use tero_time::zones;

/// Days that are kept.
const DAYS: u64 = 7;

/// The figures of a site by hour of the local week. Their memory is bounded: hours with requests, at
/// most 168, times variants.
#[derive(Debug, Default)]
pub struct WeekCounters(Mutex<WeekState>);

#[derive(Debug, Default)]
struct WeekState {
    /// What was counted when it was last looked, by variant: each hour of the day.
    seen: BTreeMap<Arc<str>, Box<[Traffic; HOURS]>>,
    seen_seconds: [HistogramSnapshot; 2],
    seen_errors: [u64; 2],
    hours: BTreeMap<HourOfWeek, HourFigures>,
}

/// An hour of the last seven days, on the clock of the site's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HourOfWeek {
    /// The local day.
    pub date: NaiveDate,
    /// The local hour, 0 to 23.
    pub hour: u8,
}

impl HourOfWeek {
    /// The hour of an instant in a zone.
    pub(super) fn at(now: Timestamp, zone: Tz) -> HourOfWeek {
        let local = zones::local(now, zone);
        HourOfWeek {
            date: local.date_naive(),
            hour: u8::try_from(local.hour()).unwrap_or(0),
        }
    }

    /// The same hour so many days before.
    fn days_before(self, days: u64) -> HourOfWeek {
        let date = self.date.checked_sub_days(Days::new(days));
        HourOfWeek {
            date: date.unwrap_or(self.date),
            hour: self.hour,
        }
    }

    /// The day of the week, 0 for Monday to 6 for Sunday.
    pub fn weekday(self) -> u8 {
        u8::try_from(self.date.weekday().num_days_from_monday()).unwrap_or(0)
    }
}

/// The figures of one hour.
#[derive(Clone, Debug, PartialEq)]
pub struct HourFigures {
    /// Which.
    pub hour: HourOfWeek,
    /// By variant, those with traffic.
    pub variants: Vec<VariantTraffic>,
    /// Times from the heads of requests to the heads of their responses.
    pub head_seconds: HistogramSnapshot,
    /// Responses with 5xx, without those of rules of the site.
    pub errors: u64,
}

/// What a variant had in an hour.
#[derive(Clone, Debug, PartialEq)]
pub struct VariantTraffic {
    /// Its name; empty for no variant.
    pub variant: Arc<str>,
    /// Its requests and bytes.
    pub traffic: Traffic,
}

impl HourFigures {
    fn new(hour: HourOfWeek) -> HourFigures {
        HourFigures {
            hour,
            variants: Vec::new(),
            head_seconds: HistogramSnapshot::default(),
            errors: 0,
        }
    }

    /// All traffic.
    pub fn traffic(&self) -> Traffic {
        self.variants
            .iter()
            .fold(Traffic::default(), |mut sum, variant| {
                sum.add(&variant.traffic);
                sum
            })
    }

    fn add(&mut self, variant: &Arc<str>, traffic: &Traffic) {
        let known = self.variants.iter_mut();
        match known.into_iter().find(|known| known.variant == *variant) {
            Some(known) => known.traffic.add(traffic),
            None => self.variants.push(VariantTraffic {
                variant: Arc::clone(variant),
                traffic: *traffic,
            }),
        }
    }
}

impl WeekCounters {
    /// The hours with traffic, the earliest first.
    pub(super) fn hours(&self) -> Vec<HourFigures> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.hours.values().cloned().collect()
    }

    /// Takes over those of the days that are kept, if there are none yet.
    pub(super) fn restore(&self, hours: Vec<HourFigures>, now: HourOfWeek) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.hours.is_empty() {
            return;
        }
        let begin = now.days_before(DAYS);
        let is_kept = |figures: &HourFigures| figures.hour > begin && figures.hour <= now;
        let kept = hours.into_iter().filter(is_kept);
        state
            .hours
            .extend(kept.map(|figures| (figures.hour, figures)));
    }

    /// Takes in what was counted since the last time.
    pub(super) fn fold(&self, counters: &SiteCounters, now: Timestamp) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        let now = HourOfWeek::at(now, counters.zone());
        for (index, variant) in counters.variants().iter().enumerate() {
            let seen = state.seen.entry(Arc::clone(variant)).or_default();
            for hour in 0..HOURS {
                let counted = counters.traffic(index, hour);
                let new = grown(&counted, &seen[hour]);
                seen[hour] = counted;
                if !new.is_empty() {
                    let hour = latest(now, hour);
                    let figures = state.hours.entry(hour);
                    let figures = figures.or_insert_with(|| HourFigures::new(hour));
                    figures.add(variant, &new);
                }
            }
        }
        for parity in 0..2 {
            let counted = counters.head_seconds_of(parity);
            let new = match counted.count() < state.seen_seconds[parity].count() {
                true => counted.clone(),
                false => counted.since(&state.seen_seconds[parity]),
            };
            state.seen_seconds[parity] = counted;
            if new.count() > 0 {
                let hour = latest_of_parity(now, parity);
                let figures = state.hours.entry(hour);
                let figures = figures.or_insert_with(|| HourFigures::new(hour));
                figures.head_seconds = std::mem::take(&mut figures.head_seconds).plus(&new);
            }
            let errors = counters.errors_of(parity);
            let seen = std::mem::replace(&mut state.seen_errors[parity], errors);
            // All of them if the counters have begun anew.
            let new = errors.checked_sub(seen).unwrap_or(errors);
            if new > 0 {
                let hour = latest_of_parity(now, parity);
                let figures = state.hours.entry(hour);
                figures.or_insert_with(|| HourFigures::new(hour)).errors += new;
            }
        }
        let begin = now.days_before(DAYS);
        state.hours.retain(|hour, _| *hour > begin);
    }
}

/// What was counted more; all of it if the counters have begun anew.
fn grown(counted: &Traffic, seen: &Traffic) -> Traffic {
    if counted.requests.total() < seen.requests.total() {
        return *counted;
    }
    counted.since(seen)
}

/// The latest hour with this number on the clock, up to `now`.
fn latest(now: HourOfWeek, hour: usize) -> HourOfWeek {
    let hour = u8::try_from(hour).unwrap_or(0);
    let yesterday = now.date.pred_opt().unwrap_or(now.date);
    let date = if hour <= now.hour {
        now.date
    } else {
        yesterday
    };
    HourOfWeek { date, hour }
}

/// The latest even or odd hour, up to `now`.
fn latest_of_parity(now: HourOfWeek, parity: usize) -> HourOfWeek {
    let hour = usize::from(now.hour);
    match (hour % 2 == parity, hour) {
        (true, hour) => latest(now, hour),
        (false, 0) => latest(now, HOURS - 1),
        (false, hour) => latest(now, hour - 1),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{AnsweredRequest, SavedHour, SavedWeek};
    use super::*;
    use crate::telemetry::Outcome;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// 2026-11-24, a Tuesday, 09:00 in Buenos Aires.
    fn nine() -> Timestamp {
        Timestamp::from_unix_secs(1_795_521_600)
    }

    fn counters() -> Arc<SiteCounters> {
        let zone = chrono_tz::America::Argentina::Buenos_Aires;
        Arc::new(SiteCounters::new(zone, &["mobile".into()], 2))
    }

    fn answer(counters: &SiteCounters, at: Timestamp, outcome: Outcome, millis: u64) {
        answer_with(counters, at, (outcome, http::StatusCode::OK), millis);
    }

    fn answer_with(
        counters: &SiteCounters,
        at: Timestamp,
        (outcome, status): (Outcome, http::StatusCode),
        millis: u64,
    ) {
        counters.record(&AnsweredRequest {
            outcome,
            variant: Some("mobile"),
            status,
            bytes: Some(100),
            took: Duration::from_millis(millis),
            at,
        });
    }

    /// Weekday, hour and requests.
    fn shown(hours: &[HourFigures]) -> Vec<(u8, u8, u64)> {
        let shown = hours.iter().map(|figures| {
            let HourOfWeek { hour, .. } = figures.hour;
            let requests = figures.traffic().requests.total();
            assert_eq!(figures.head_seconds.count(), requests);
            (figures.hour.weekday(), hour, requests)
        });
        shown.collect()
    }

    #[test]
    fn both_sides_of_a_full_hour_count_in_their_own() {
        let counters = counters();
        let last_second = nine().saturating_sub(Duration::from_secs(1));
        answer(&counters, last_second, Outcome::Miss, 300);
        answer(&counters, nine(), Outcome::Hit, 1);
        answer(&counters, nine(), Outcome::Hit, 1);
        let hours = counters.week(nine());
        assert_eq!(shown(&hours), [(1, 8, 1), (1, 9, 2)]);
        assert_eq!(hours[0].head_seconds.fast_share(), Some(0.0));
        assert_eq!(hours[1].head_seconds.fast_share(), Some(1.0));
        assert_eq!(hours[1].traffic().bytes.hit_rate(), Some(1.0));
        assert_eq!(&*hours[1].variants[0].variant, "mobile");
        // Looking twice counts once.
        assert_eq!(counters.week(nine()), hours);
    }

    #[test]
    fn errors_of_origins_count_in_their_hour_and_answers_of_rules_do_not() {
        let counters = counters();
        let failed = |at, outcome| {
            let status = http::StatusCode::SERVICE_UNAVAILABLE;
            answer_with(&counters, at, (outcome, status), 1);
        };
        let last_second = nine().saturating_sub(Duration::from_secs(1));
        failed(last_second, Outcome::Miss);
        failed(nine(), Outcome::Error);
        failed(nine(), Outcome::Pass);
        failed(nine(), Outcome::Rule);
        let errors = |now| -> Vec<u64> {
            let hours = counters.week(now).into_iter();
            hours.map(|figures| figures.errors).collect()
        };
        assert_eq!(errors(nine()), [1, 2]);
        assert_eq!(errors(nine()), [1, 2]);
        assert_eq!(counters.errors(), 3);
        failed(nine().saturating_add(HOUR), Outcome::Miss);
        assert_eq!(errors(nine().saturating_add(HOUR)), [1, 2, 1]);
    }

    #[test]
    fn an_hour_is_kept_for_seven_days() {
        let counters = counters();
        let mut now = nine();
        for _ in 0..8 * 24 {
            answer(&counters, now, Outcome::Hit, 1);
            counters.week(now);
            now = now.saturating_add(HOUR);
        }
        let last = now.saturating_sub(HOUR);
        let hours = counters.week(last);
        assert_eq!(hours.len(), 7 * 24);
        assert!(shown(&hours).iter().all(|(_, _, requests)| *requests == 1));
        assert_eq!(shown(&hours)[0], (2, 9, 1));
        let quiet = last.saturating_add(HOUR * 24 * 7);
        assert_eq!(counters.week(quiet), []);
    }

    #[test]
    fn what_was_counted_before_midnight_belongs_to_the_day_before() {
        let counters = counters();
        let midnight = nine().saturating_add(HOUR * 15);
        let before = midnight.saturating_sub(Duration::from_secs(1));
        answer(&counters, before, Outcome::Hit, 1);
        answer(&counters, midnight, Outcome::Hit, 1);
        assert_eq!(shown(&counters.week(midnight)), [(1, 23, 1), (2, 0, 1)]);
    }

    #[test]
    fn saved_figures_are_gone_on_with() {
        let old = counters();
        let status = http::StatusCode::BAD_GATEWAY;
        answer_with(&old, nine(), (Outcome::Miss, status), 300);
        let saved = old.save_week(nine());
        let later = nine().saturating_add(HOUR * 24 * 6);
        let new = counters();
        assert_eq!(new.restore_week(&saved, later), 0);
        answer(&new, later, Outcome::Hit, 1);
        let hours = new.week(later);
        assert_eq!(shown(&hours), [(1, 9, 1), (0, 9, 1)]);
        assert_eq!(hours[0], old.week(nine())[0]);
        // Counters that have begun keep what they have.
        assert_eq!(new.restore_week(&saved, later), 0);
        assert_eq!(shown(&new.week(later)), [(1, 9, 1), (0, 9, 1)]);
    }

    #[test]
    fn saved_hours_that_can_not_be_are_left_out() {
        let old = counters();
        answer(&old, nine(), Outcome::Hit, 1);
        let good = old.save_week(nine());
        let restored = |saved: &SavedWeek, now| {
            let new = counters();
            (new.restore_week(saved, now), new.week(now).len())
        };
        assert_eq!(restored(&good, nine()), (0, 1));
        // Too old, or not yet.
        let week_later = nine().saturating_add(HOUR * 24 * 7);
        assert_eq!(restored(&good, week_later), (0, 0));
        assert_eq!(restored(&good, nine().saturating_sub(HOUR)), (0, 0));
        let spoil: [fn(&mut SavedHour); 8] = [
            |hour| hour.date = "2026-02-30".into(),
            |hour| hour.hour = 24,
            |hour| hour.head_classes.push(1),
            |hour| hour.head_classes[0] = u64::MAX,
            |hour| hour.head_seconds = f64::NAN,
            |hour| hour.errors = u64::MAX,
            |hour| _ = hour.variants[0].requests.insert("sideways".to_owned(), 1),
            |hour| _ = hour.variants[0].bytes.insert("hit".to_owned(), u64::MAX),
        ];
        for spoil in spoil {
            let mut saved = good.clone();
            spoil(&mut saved.hours[0]);
            assert_eq!(restored(&saved, nine()), (1, 0), "{saved:?}");
        }
        // The clock of another zone has other hours.
        let other_zone = SavedWeek {
            zone: "Europe/Madrid".to_owned(),
            ..good
        };
        assert_eq!(restored(&other_zone, nine()), (0, 0));
    }

    #[test]
    fn counters_with_more_variants_go_on() {
        let old = counters();
        answer(&old, nine(), Outcome::Hit, 1);
        old.week(nine());
        let new = old.continued(old.zone(), &["desktop".into()]);
        answer(&new, nine(), Outcome::Hit, 1);
        assert_eq!(shown(&new.week(nine())), [(1, 9, 2)]);
    }
}
