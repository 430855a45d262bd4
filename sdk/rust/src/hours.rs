//! Windows of local time, opening hours made of them, and their next change.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::moment::weekday_of;
use crate::{Duration, Holiday, LocalTime, Moment, Opening, Weekday, Weekdays};

/// A window of local time: from one time of day to another, on some days of the week.
///
/// `from` is in the window, `to` is not. If `to` is not later than `from`, the window ends on the
/// next day: `22:00` to `04:00` on Friday ends on Saturday morning. A window belongs to the day on
/// which it begins. On a holiday no window begins, and a window of the evening before goes on to
/// its end. On a half-day a window has the hours of the calendar instead of its own, if the weekday
/// is one of its days.
///
/// In settings it is `{ days = ["mon-sat"], from = "09:00", to = "18:00" }`. Without `days` it is
/// every day, and the whole day is `00:00` to `24:00`.
///
/// ```
/// use tero_policy::{LocalTime, Moment, Weekdays, Window};
///
/// let window = Window::new(Weekdays::ALL, LocalTime::at(9, 0), LocalTime::at(18, 0)).unwrap();
/// let closing: Moment = "2026-11-24T18:00:00-03:00".parse().unwrap();
/// assert!(!window.contains(&closing));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Window {
    /// The days on which it begins.
    pub days: Weekdays,
    /// The time at which it begins, at most 23:59.
    pub from: LocalTime,
    /// The time at which it ends; never the same as `from`.
    pub to: LocalTime,
}

impl Window {
    /// A window.
    ///
    /// # Errors
    /// `from` is `to` or 24:00, so the window covers nothing.
    ///
    /// ```
    /// # use tero_policy::{LocalTime, Weekdays, Window};
    /// let nine = LocalTime::at(9, 0);
    /// assert!(Window::new(Weekdays::ALL, nine, LocalTime::at(18, 0)).is_ok());
    /// assert!(Window::new(Weekdays::ALL, nine, nine).is_err());
    /// ```
    pub fn new(days: Weekdays, from: LocalTime, to: LocalTime) -> Result<Window, String> {
        if from == LocalTime::END_OF_DAY {
            return Err(
                "a window cannot begin at 24:00: write \"00:00\" and the next day".to_owned(),
            );
        }
        if from == to {
            return Err(format!(
                "a window from {from} to {to} covers nothing: for the whole day write \"00:00\" to \"24:00\""
            ));
        }
        // The midnight that begins a day means the one that ends it.
        let to = if to == LocalTime::MIDNIGHT {
            LocalTime::END_OF_DAY
        } else {
            to
        };
        Ok(Window { days, from, to })
    }

    /// Whether the moment is in the window; holidays and half-days are considered.
    ///
    /// ```
    /// # use tero_policy::{LocalTime, Moment, Weekdays, Window};
    /// let window = Window::new(Weekdays::ALL, LocalTime::at(9, 0), LocalTime::at(18, 0)).unwrap();
    /// let noon: Moment = "2026-12-25T12:00:00-03:00".parse().unwrap();
    /// assert!(window.contains(&noon));
    /// assert!(!window.contains(&noon.on_holiday("Navidad")));
    /// ```
    pub fn contains(&self, now: &Moment) -> bool {
        contains(std::slice::from_ref(self), HolidayRule::Calendar, now)
    }

    /// Whether it ends on the day after it begins.
    fn crosses_midnight(&self) -> bool {
        self.to < self.from
    }

    /// Whether it is open at this time of a day on which it begins.
    fn covers(&self, day: Weekday, time: LocalTime) -> bool {
        self.days.contains(day) && self.from <= time && (time < self.to || self.crosses_midnight())
    }

    /// Whether it is still open at this time of the day after one on which it begins.
    fn lasts(&self, day_before: Weekday, time: LocalTime) -> bool {
        self.crosses_midnight() && self.days.contains(day_before) && time < self.to
    }

    /// Whether `other` is open whenever this window is, in a week without holidays.
    ///
    /// ```
    /// # use tero_policy::{LocalTime, Weekdays, Window};
    /// let window = |from, to| {
    ///     Window::new(Weekdays::ALL, LocalTime::at(from, 0), LocalTime::at(to, 0)).unwrap()
    /// };
    /// assert!(window(10, 12).is_within(&window(9, 18)));
    /// assert!(!window(8, 12).is_within(&window(9, 18)));
    /// ```
    pub fn is_within(&self, other: &Window) -> bool {
        // Windows change at their own ends, so nothing changes between the ends of both and
        // midnight.
        let times = [
            LocalTime::MIDNIGHT,
            self.from,
            self.to,
            other.from,
            other.to,
        ];
        Weekday::ALL.into_iter().all(|day| {
            times
                .iter()
                .filter(|time| **time < LocalTime::END_OF_DAY)
                .all(|&time| !self.is_open(day, time) || other.is_open(day, time))
        })
    }

    /// Whether it is open at this time of an ordinary day.
    fn is_open(&self, day: Weekday, time: LocalTime) -> bool {
        self.covers(day, time) || self.lasts(day.yesterday(), time)
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

/// The effect of a calendar day on opening hours.
///
/// ```
/// use tero_policy::HolidayRule;
///
/// let rule: HolidayRule = serde_json::from_str("\"closed\"").unwrap();
/// assert_eq!(rule, HolidayRule::Closed);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HolidayRule {
    /// `"calendar"`: holidays are closed, and half-days have the hours of the calendar.
    #[default]
    Calendar,
    /// `"closed"`: holidays and half-days are closed.
    Closed,
    /// `"open"`: holidays and half-days are ordinary days.
    Open,
}

/// Opening hours: windows, and the effect of holidays.
///
/// ```
/// use tero_policy::{HolidayRule, Hours, LocalTime, Moment, Weekdays, Window};
///
/// let window = Window::new(Weekdays::ALL, LocalTime::at(9, 0), LocalTime::at(18, 0)).unwrap();
/// let hours = Hours::new(vec![window], HolidayRule::Calendar);
/// let now: Moment = "2026-11-24T08:59:50-03:00".parse().unwrap();
/// assert!(!hours.is_open(&now));
/// assert_eq!(hours.until_change(&now).unwrap().as_secs(), 10);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Hours {
    /// The windows. It is open in any of them.
    pub windows: Vec<Window>,
    /// The effect of holidays.
    pub holidays: HolidayRule,
}

impl Hours {
    /// Opening hours of these windows.
    ///
    /// ```
    /// # use tero_policy::{HolidayRule, Hours};
    /// assert_eq!(Hours::new(Vec::new(), HolidayRule::Calendar), Hours::default());
    /// ```
    pub fn new(windows: Vec<Window>, holidays: HolidayRule) -> Hours {
        Hours { windows, holidays }
    }

    /// Whether it is open.
    ///
    /// ```
    /// # use tero_policy::{Hours, Moment};
    /// assert!(!Hours::default().is_open(&Moment::epoch()), "without windows it is never open");
    /// ```
    pub fn is_open(&self, now: &Moment) -> bool {
        contains(&self.windows, self.holidays, now)
    }

    /// The time until it next opens or closes, holidays considered; `None` if it does not within
    /// thirty days.
    ///
    /// ```
    /// # use tero_policy::{Hours, Moment};
    /// assert_eq!(Hours::default().until_change(&Moment::epoch()), None);
    /// ```
    pub fn until_change(&self, now: &Moment) -> Option<Duration> {
        let open = self.is_open(now);
        let secs = self
            .breaks(now)
            .find(|secs| open_after(&self.windows, self.holidays, now, *secs) != open)?;
        Some(Duration::from_secs(u64::try_from(secs).unwrap_or(0)))
    }

    /// The seconds from now, in order, at which the answer may change: the ends of windows and
    /// half-days, midnights, and the change of the offset. Nearly always one of the first few is a
    /// change, so each is computed only when it is needed.
    fn breaks(&self, now: &Moment) -> impl Iterator<Item = i64> {
        let ends = self
            .windows
            .iter()
            .flat_map(|window| [window.from, window.to]);
        let half_days = now
            .holiday
            .iter()
            .chain(now.nearby_holidays.iter().map(|near| &near.holiday));
        let half_days = half_days
            .filter_map(|holiday| holiday.open)
            .flat_map(|open| [open.from, open.until]);
        let times = std::iter::once(LocalTime::MIDNIGHT)
            .chain(ends)
            .chain(half_days);
        // The next occurrence of every time, the soonest on top.
        let mut next: BinaryHeap<_> = times
            .map(|time| Reverse((now.showing_after(0, time), Some(time))))
            .collect();
        next.extend(now.change().map(|(at, _)| Reverse((at - now.unix(), None))));
        std::iter::from_fn(move || {
            let Reverse((secs, time)) = next.pop()?;
            next.extend(time.map(|time| Reverse((now.showing_after(secs, time), Some(time)))));
            Some(secs)
        })
        .take_while(|secs| *secs <= HORIZON_DAYS * 86_400)
    }
}

/// The days ahead for which the holidays of every day are known, with a day to spare for changes of
/// the clock.
const HORIZON_DAYS: i64 = 30;

/// The hours of the windows that begin on a day.
enum Day {
    Ordinary,
    Half(Opening),
    Closed,
}

impl HolidayRule {
    fn day(self, entry: Option<&Holiday>) -> Day {
        match (entry, self) {
            (None, _) | (_, HolidayRule::Open) => Day::Ordinary,
            (Some(entry), HolidayRule::Calendar) => entry.open.map_or(Day::Closed, Day::Half),
            (Some(_), HolidayRule::Closed) => Day::Closed,
        }
    }
}

fn contains(windows: &[Window], holidays: HolidayRule, now: &Moment) -> bool {
    open_after(windows, holidays, now, 0)
}

/// Whether it is open this many seconds later.
fn open_after(windows: &[Window], holidays: HolidayRule, now: &Moment, secs: i64) -> bool {
    let (local_day, time) = now.clock_after(secs);
    let (weekday, days_ahead) = (weekday_of(local_day), local_day - now.local_day());
    let day = |days: i64| holidays.day(now.holiday_on(days_ahead + days));
    let began_today = match day(0) {
        Day::Ordinary => windows.iter().any(|window| window.covers(weekday, time)),
        Day::Half(open) => {
            open.from <= time
                && time < open.until
                && windows.iter().any(|window| window.days.contains(weekday))
        }
        Day::Closed => false,
    };
    began_today
        || (windows
            .iter()
            .any(|window| window.lasts(weekday.yesterday(), time))
            && matches!(day(-1), Day::Ordinary))
}

#[cfg(test)]
mod tests;
