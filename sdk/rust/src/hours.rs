//! Windows of local time, opening hours made of them, and when they next change.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::moment::weekday_of;
use crate::{Duration, Holiday, LocalTime, Moment, Opening, Weekday, Weekdays};

/// A window of local time: some days of the week, from a time of day to another.
///
/// `from` is in the window and `to` is not. Where `to` is not later than `from`, the window ends
/// the next day: `22:00` to `04:00` on Friday ends on Saturday morning. A window belongs to the day
/// on which it begins: on a holiday none begins, and what began on the evening before goes on to
/// its end; on a half-day it has the hours of the calendar instead of its own, if the weekday is
/// one of its days.
///
/// In settings: `{ days = ["mon-sat"], from = "09:00", to = "18:00" }`; without `days` it is every
/// day, and the whole day is `00:00` to `24:00`.
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
            return Err(
                "a window can't begin at 24:00: write \"00:00\" and the next day".to_owned(),
            );
        }
        if from == to {
            return Err(format!(
                "a window from {from} to {to} covers nothing: for the whole day write \"00:00\" to \"24:00\""
            ));
        }
        // A window until the midnight at which the day begins ends at the midnight at which it
        // ends.
        let to = if to == LocalTime::MIDNIGHT {
            LocalTime::END_OF_DAY
        } else {
            to
        };
        Ok(Window { days, from, to })
    }

    /// Whether the moment is in the window, holidays and half-days considered.
    pub fn contains(&self, now: &Moment) -> bool {
        contains(std::slice::from_ref(self), HolidayRule::Calendar, now)
    }

    /// Whether it ends on the day after it begins.
    fn crosses_midnight(&self) -> bool {
        self.to < self.from
    }

    /// Whether it is open at that time of a day on which it begins.
    fn covers(&self, day: Weekday, time: LocalTime) -> bool {
        self.days.contains(day) && self.from <= time && (time < self.to || self.crosses_midnight())
    }

    /// Whether it is still open at that time of the day after one on which it begins.
    fn lasts(&self, day_before: Weekday, time: LocalTime) -> bool {
        self.crosses_midnight() && self.days.contains(day_before) && time < self.to
    }

    /// Whether it is open at no time of an ordinary week at which `other` is closed.
    pub fn is_within(&self, other: &Window) -> bool {
        // A window changes at its own ends, so between those of both, and midnights, nothing does.
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

    /// Whether it is open at that time of an ordinary day.
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

    /// How long until it next opens or closes, holidays considered; none where that does not happen
    /// within thirty days.
    pub fn until_change(&self, now: &Moment) -> Option<Duration> {
        let open = self.is_open(now);
        let secs = self
            .breaks(now)
            .find(|secs| open_after(&self.windows, self.holidays, now, *secs) != open)?;
        Some(Duration::from_secs(u64::try_from(secs).unwrap_or(0)))
    }

    /// The seconds from now, in order, at which the answer may change: the ends of windows and
    /// half-days, midnights, and the change of the offset. Nearly always one of the first few does,
    /// so each is computed when it is asked for.
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
        // Of every time its next showing, the soonest on top.
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

/// As far as the holidays of coming days are known on every one of them, with a day to spare for
/// the clock's changes.
const HORIZON_DAYS: i64 = 30;

/// What the windows that begin on a day are.
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

/// Whether it is open so many seconds later.
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
