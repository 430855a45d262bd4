//! Windows of local time, opening hours made of them, and when they next change.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::{Duration, LocalTime, Moment, Weekday, Weekdays};

/// A window of local time: some days of the week, from a time of day to another.
///
/// `from` is in the window and `to` is not. Where `to` is not later than `from`, the window ends the next day: `22:00` to `04:00`
/// on Friday ends on Saturday morning. On a holiday it is closed from midnight to midnight; on a half-day it has the hours of
/// the calendar instead of its own, if the weekday is one of its days.
///
/// In settings: `{ days = ["mon-sat"], from = "09:00", to = "18:00" }`; without `days` it is every day, and the whole day is
/// `00:00` to `24:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Window {
    /// The days on which it begins.
    pub days: Weekdays,
    /// When it begins; at most 23:59.
    pub from: LocalTime,
    /// When it ends; not the same as `from`.
    pub to: LocalTime,
}

impl Window {
    /// A window.
    ///
    /// # Errors
    /// Where `from` is `to` or 24:00: such a window covers nothing.
    pub fn new(days: Weekdays, from: LocalTime, to: LocalTime) -> Result<Window, String> {
        if from == LocalTime::END_OF_DAY {
            return Err("a window can't begin at 24:00: write \"00:00\" and the next day".to_owned());
        }
        if from == to {
            return Err(format!("a window from {from} to {to} covers nothing: for the whole day write \"00:00\" to \"24:00\""));
        }
        // A window until the midnight at which the day begins ends at the midnight at which it ends.
        let to = if to == LocalTime::MIDNIGHT { LocalTime::END_OF_DAY } else { to };
        Ok(Window { days, from, to })
    }

    /// Whether the moment is in the window, holidays and half-days considered.
    pub fn contains(&self, now: &Moment) -> bool {
        contains(std::slice::from_ref(self), HolidayRule::Calendar, now)
    }

    /// Whether the window covers that time of an ordinary day.
    fn covers(&self, day: Weekday, time: LocalTime) -> bool {
        if self.from < self.to {
            self.days.contains(day) && self.from <= time && time < self.to
        } else {
            (self.days.contains(day) && self.from <= time) || (self.days.contains(day.yesterday()) && time < self.to)
        }
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Window, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw {
            #[serde(default)]
            days: Weekdays,
            from: LocalTime,
            to: LocalTime,
        }
        let raw = Raw::deserialize(deserializer)?;
        Window::new(raw.days, raw.from, raw.to).map_err(D::Error::custom)
    }
}

/// What a day of the calendar means for opening hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HolidayRule {
    /// `"calendar"`: a holiday is closed, a half-day has the hours of the calendar.
    #[default]
    Calendar,
    /// `"closed"`: holidays and half-days alike are closed.
    Closed,
    /// `"open"`: a day like any other.
    Open,
}

/// Opening hours: windows and what holidays mean for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Hours {
    /// Open in any of them.
    pub windows: Vec<Window>,
    /// What holidays mean.
    pub holidays: HolidayRule,
}

impl Hours {
    /// Open in any of the windows, but for holidays.
    pub fn new(windows: Vec<Window>, holidays: HolidayRule) -> Hours {
        Hours { windows, holidays }
    }

    /// Whether it is open.
    pub fn is_open(&self, now: &Moment) -> bool {
        contains(&self.windows, self.holidays, now)
    }

    /// How long until it next opens or closes; none where that does not happen within eight days.
    ///
    /// Tomorrow's holidays are not known before tomorrow. So days to come are taken for ordinary ones, and a midnight within open
    /// hours counts as a change, because the day that begins then may be a holiday.
    pub fn until_change(&self, now: &Moment) -> Option<Duration> {
        let open = self.is_open(now);
        self.breaks(now).into_iter().map(|secs| (secs, now.plus_secs(secs))).find_map(|(secs, then)| {
            let opens = self.is_open(&then);
            let perhaps_a_holiday = self.holidays != HolidayRule::Open && opens && then.time() == LocalTime::MIDNIGHT;
            (opens != open || perhaps_a_holiday).then(|| Duration::from_secs(u64::try_from(secs).unwrap_or(0)))
        })
    }

    /// The seconds from now, in order, at which the answer may change: the ends of windows, midnights, and the change of the offset.
    fn breaks(&self, now: &Moment) -> Vec<i64> {
        let mut times = vec![LocalTime::MIDNIGHT];
        times.extend(self.windows.iter().flat_map(|window| [window.from, window.to]));
        times.extend(now.holiday.iter().filter_map(|holiday| holiday.open).flat_map(|open| [open.from, open.until]));
        times.sort_unstable();
        times.dedup();
        let mut breaks: Vec<i64> = now.change().map(|(at, _)| at - now.unix()).into_iter().collect();
        for time in times {
            let mut secs = 0;
            for _ in 0..=8 {
                let from = now.plus_secs(secs);
                secs += i64::from(from.until(time).as_secs());
                breaks.push(secs);
            }
        }
        breaks.retain(|&secs| secs <= 8 * 86_400);
        breaks.sort_unstable();
        breaks.dedup();
        breaks
    }
}

fn contains(windows: &[Window], holidays: HolidayRule, now: &Moment) -> bool {
    let time = now.time();
    match (&now.holiday, holidays) {
        (None, _) | (_, HolidayRule::Open) => windows.iter().any(|window| window.covers(now.weekday, time)),
        (Some(holiday), HolidayRule::Calendar) => {
            holiday.open.is_some_and(|open| open.from <= time && time < open.until)
                && windows.iter().any(|window| window.days.contains(now.weekday))
        }
        (Some(_), HolidayRule::Closed) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Moment {
        text.parse().unwrap()
    }

    fn window(json: &str) -> Window {
        serde_json::from_str(json).unwrap()
    }

    fn hours(json: &str) -> Hours {
        Hours::new(vec![window(json)], HolidayRule::Calendar)
    }

    fn check(json: &str, text: &str, expected: bool) {
        assert_eq!(window(json).contains(&moment(text)), expected, "{json} at {text}");
    }

    #[test]
    fn a_window_holds_its_first_second_and_not_its_last() {
        let shop = r#"{"days": ["mon-sat"], "from": "09:00", "to": "18:00"}"#;
        check(shop, "2026-11-24T08:59:59-03:00", false);
        check(shop, "2026-11-24T09:00:00-03:00", true);
        check(shop, "2026-11-24T17:59:59-03:00", true);
        check(shop, "2026-11-24T18:00:00-03:00", false);
        check(shop, "2026-11-28T12:00:00-03:00", true);
        check(shop, "2026-11-29T12:00:00-03:00", false);
    }

    #[test]
    fn a_window_across_midnight_belongs_to_the_day_it_begins() {
        let bar = r#"{"days": ["fri"], "from": "22:00", "to": "04:00"}"#;
        check(bar, "2026-11-27T21:59:59-03:00", false);
        check(bar, "2026-11-27T22:00:00-03:00", true);
        check(bar, "2026-11-28T03:59:59-03:00", true);
        check(bar, "2026-11-28T04:00:00-03:00", false);
        check(bar, "2026-11-28T22:00:00-03:00", false);
        check(bar, "2026-11-27T03:00:00-03:00", false);
    }

    #[test]
    fn both_spellings_of_midnight_end_a_day() {
        for to in ["24:00", "00:00"] {
            let evening = format!(r#"{{"days": ["fri"], "from": "20:00", "to": "{to}"}}"#);
            check(&evening, "2026-11-27T23:59:59-03:00", true);
            check(&evening, "2026-11-28T00:00:00-03:00", false);
        }
        check(r#"{"from": "00:00", "to": "24:00"}"#, "2026-11-28T00:00:00-03:00", true);
    }

    #[test]
    fn windows_that_cover_nothing_are_refused_with_a_cure() {
        let refusal = |json: &str| serde_json::from_str::<Window>(json).unwrap_err().to_string();
        assert!(refusal(r#"{"from": "09:00", "to": "09:00"}"#).contains("write \"00:00\" to \"24:00\""));
        assert!(refusal(r#"{"from": "24:00", "to": "09:00"}"#).contains("can't begin at 24:00"));
        assert!(refusal(r#"{"from": "09:00", "until": "10:00"}"#).contains("unknown field `until`"));
    }

    #[test]
    fn holidays_close_and_half_days_have_their_own_hours() {
        let shop = hours(r#"{"days": ["mon-sat"], "from": "09:00", "to": "18:00"}"#);
        let closed = Hours { holidays: HolidayRule::Closed, ..shop.clone() };
        let open = Hours { holidays: HolidayRule::Open, ..shop.clone() };
        let holiday = moment("2026-12-25T12:00:00-03:00").on_holiday("Navidad");
        assert_eq!((shop.is_open(&holiday), closed.is_open(&holiday), open.is_open(&holiday)), (false, false, true));
        let half_day = |text: &str| moment(text).on_half_day("Nochebuena", LocalTime::at(8, 0), LocalTime::at(13, 0));
        for (time, is_open) in [("07:59:59", false), ("08:00:00", true), ("12:59:59", true), ("13:00:00", false)] {
            let now = half_day(&format!("2026-12-24T{time}-03:00"));
            assert_eq!(shop.is_open(&now), is_open, "{time}");
            assert!(!closed.is_open(&now));
        }
        assert!(
            !shop.is_open(&half_day("2026-11-29T10:00:00-03:00")),
            "a half-day on a Sunday does not open a shop that has none"
        );
    }

    fn check_change(hours: &Hours, now: &Moment, secs: Option<u32>) {
        assert_eq!(hours.until_change(now).map(Duration::as_secs), secs, "{hours:?} from {now:?}");
    }

    #[test]
    fn the_next_change_is_exact_and_skips_days_off() {
        let shop = hours(r#"{"days": ["mon-sat"], "from": "09:00", "to": "18:00"}"#);
        check_change(&shop, &moment("2026-11-24T08:59:50-03:00"), Some(10));
        check_change(&shop, &moment("2026-11-24T09:00:00-03:00"), Some(9 * 3_600));
        check_change(&shop, &moment("2026-11-24T17:59:59-03:00"), Some(1));
        check_change(&shop, &moment("2026-11-24T18:00:00-03:00"), Some(15 * 3_600));
        check_change(&shop, &moment("2026-11-28T18:00:00-03:00"), Some(39 * 3_600));
        let one_day = hours(r#"{"days": ["mon"], "from": "09:00", "to": "18:00"}"#);
        check_change(&one_day, &moment("2026-11-23T18:00:00-03:00"), Some(6 * 86_400 + 15 * 3_600));
        check_change(&Hours::default(), &moment("2026-11-23T18:00:00-03:00"), None);
    }

    #[test]
    fn holidays_move_the_next_change() {
        let shop = hours(r#"{"days": ["mon-sat"], "from": "09:00", "to": "18:00"}"#);
        check_change(&shop, &moment("2026-12-25T08:59:50-03:00").on_holiday("Navidad"), Some(86_400 + 10));
        let half_day = moment("2026-12-24T12:00:00-03:00").on_half_day("Nochebuena", LocalTime::at(9, 0), LocalTime::at(13, 0));
        check_change(&shop, &half_day, Some(3_600));
    }

    #[test]
    fn midnight_in_open_hours_may_begin_a_holiday() {
        let always = hours(r#"{"from": "00:00", "to": "24:00"}"#);
        check_change(&always, &moment("2026-11-24T23:00:00-03:00"), Some(3_600));
        check_change(&Hours { holidays: HolidayRule::Open, ..always }, &moment("2026-11-24T23:00:00-03:00"), None);
    }

    /// Madrid: 02:00 becomes 03:00 on 29 March 2026, and 03:00 becomes 02:00 on 25 October.
    #[test]
    fn the_next_change_sees_the_clock_jump() {
        let spring = moment("2026-03-29T01:00:00Z").unix_secs;
        let in_gap = hours(r#"{"from": "02:30", "to": "05:00"}"#);
        check_change(&in_gap, &moment("2026-03-29T01:59:00+01:00").before_offset_change(spring, 120), Some(60));
        check_change(&in_gap, &moment("2026-03-29T03:00:00+02:00"), Some(2 * 3_600));
        let autumn = moment("2026-10-25T01:00:00Z").unix_secs;
        let in_overlap = hours(r#"{"from": "02:30", "to": "05:00"}"#);
        check_change(&in_overlap, &moment("2026-10-25T02:00:00+02:00").before_offset_change(autumn, 60), Some(1_800));
        // The clock goes back to 02:00, where the window is closed once more.
        check_change(&in_overlap, &moment("2026-10-25T02:45:00+02:00").before_offset_change(autumn, 60), Some(900));
        check_change(&in_overlap, &moment("2026-10-25T02:00:00+01:00"), Some(1_800));
    }

    /// Minute by minute, over a weekend with a change of the clock.
    #[test]
    fn the_next_change_is_what_a_patient_observer_finds() {
        let change = moment("2026-10-25T01:00:00Z").unix_secs;
        for jump_mins in [-60, -30, 60] {
            for json in [
                r#"{"days": ["mon-sat"], "from": "09:00", "to": "18:00"}"#,
                r#"{"days": ["sat"], "from": "22:00", "to": "02:30"}"#,
                r#"{"days": ["sun"], "from": "02:10", "to": "02:50"}"#,
            ] {
                let hours = Hours { holidays: HolidayRule::Open, ..hours(json) };
                for start_mins in (0..2_000).step_by(37) {
                    let start = moment("2026-10-24T12:00:00+02:00").before_offset_change(change, 120 + jump_mins);
                    let now = start.plus_secs(start_mins * 60);
                    let expected = (1..).find(|mins| hours.is_open(&now.plus_secs(mins * 60)) != hours.is_open(&now)).unwrap();
                    assert_eq!(
                        hours.until_change(&now),
                        Some(Duration::from_mins(expected as u64)),
                        "{json} {jump_mins} from {now:?}"
                    );
                }
            }
        }
    }
}
