//! Local time, and the time until the local clock shows a certain time.

mod parse;

use crate::{Duration, LocalTime, Weekday};

const DAY_SECS: i64 = 86_400;

/// The local time of the policy's zone, with the holidays around it.
///
/// Tests parse a moment from an RFC 3339 time with its offset:
///
/// ```
/// use tero_policy::{Moment, Weekday};
///
/// let now: Moment = "2026-11-24T08:59:59-03:00".parse().unwrap();
/// assert_eq!((now.hour, now.weekday), (8, Weekday::Tuesday));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moment<'a> {
    /// Seconds since the Unix epoch.
    pub unix_secs: u64,
    /// Local year.
    pub year: u16,
    /// 1 to 12
    pub month: u8,
    /// 1 to 31
    pub day: u8,
    /// Local day of the week.
    pub weekday: Weekday,
    /// 0 to 23
    pub hour: u8,
    /// 0 to 59
    pub minute: u8,
    /// 0 to 59; always 0 in `on_request`, so that decisions can be remembered.
    pub second: u8,
    /// The minutes by which the local clock is ahead of UTC: −180 in Buenos Aires.
    pub utc_offset_mins: i16,
    /// The next change of the offset, if there is one within 400 days.
    pub next_offset_change: Option<OffsetChange>,
    /// The entry of today's local date in the policy's calendar.
    pub holiday: Option<Holiday<'a>>,
    /// The calendar entries from yesterday (−1) to 31 days ahead, without today's, by date.
    pub nearby_holidays: Vec<NearbyHoliday<'a>>,
}

/// A calendar entry of a day before or after today.
///
/// ```
/// use tero_policy::Moment;
///
/// let eve: Moment = "2026-12-24T18:00:00-03:00".parse().unwrap();
/// let eve = eve.with_holiday(1, "Navidad");
/// assert_eq!(eve.nearby_holidays[0].days_ahead, 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct NearbyHoliday<'a> {
    /// −1 is yesterday, 1 is tomorrow.
    pub days_ahead: i8,
    /// The entry.
    pub holiday: Holiday<'a>,
}

/// A change of a zone's offset from UTC.
///
/// ```
/// use tero_policy::OffsetChange;
///
/// let change = OffsetChange { unix_secs: 1_774_746_000, utc_offset_mins: 120 };
/// let now = tero_policy::Moment::new(1_774_742_400, 60)
///     .before_offset_change(change.unix_secs, change.utc_offset_mins);
/// assert_eq!(now.next_offset_change, Some(change));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OffsetChange {
    /// The time from which the new offset holds, in seconds since the Unix epoch.
    pub unix_secs: u64,
    /// The new offset, in minutes ahead of UTC.
    pub utc_offset_mins: i16,
}

/// A day of the policy's calendar.
///
/// ```
/// use tero_policy::Moment;
///
/// let now: Moment = "2026-12-25T12:00:00-03:00".parse().unwrap();
/// let holiday = now.on_holiday("Navidad").holiday.unwrap();
/// assert_eq!((holiday.name, holiday.open), ("Navidad", None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Holiday<'a> {
    /// Its name.
    pub name: &'a str,
    /// The hours of a half-day; `None` if the day is closed.
    pub open: Option<Opening>,
}

/// The opening hours of a half-day.
///
/// ```
/// use tero_policy::{LocalTime, Moment};
///
/// let (from, until) = (LocalTime::at(9, 0), LocalTime::at(13, 0));
/// let half_day = Moment::epoch().on_half_day("Nochebuena", from, until);
/// let opening = half_day.holiday.unwrap().open.unwrap();
/// assert_eq!((opening.from, opening.until), (from, until));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Opening {
    /// The opening time.
    pub from: LocalTime,
    /// The closing time, later than `from`.
    pub until: LocalTime,
}

impl<'a> Moment<'a> {
    /// The Unix epoch in UTC, which `on_request` is told if the manifest names no zone.
    ///
    /// ```
    /// # use tero_policy::Moment;
    /// assert_eq!((Moment::epoch().year, Moment::epoch().unix_secs), (1970, 0));
    /// ```
    pub fn epoch() -> Moment<'a> {
        Moment::new(0, 0)
    }

    /// The moment at this offset in minutes ahead of UTC. For tests.
    ///
    /// ```
    /// # use tero_policy::Moment;
    /// assert_eq!(Moment::new(0, 60).hour, 1);
    /// ```
    pub fn new(unix_secs: u64, utc_offset_mins: i16) -> Moment<'a> {
        let local = (i64::try_from(unix_secs).unwrap_or(i64::MAX / 2)
            + i64::from(utc_offset_mins) * 60)
            .max(0);
        let (year, month, day) = civil(local / DAY_SECS);
        let of_day = local % DAY_SECS;
        Moment {
            unix_secs,
            year,
            month,
            day,
            weekday: weekday_of(local / DAY_SECS),
            hour: (of_day / 3_600) as u8,
            minute: (of_day / 60 % 60) as u8,
            second: (of_day % 60) as u8,
            utc_offset_mins,
            next_offset_change: None,
            holiday: None,
            nearby_holidays: Vec::new(),
        }
    }

    /// Makes today a holiday. For tests.
    ///
    /// ```
    /// # use tero_policy::Moment;
    /// assert_eq!(Moment::epoch().on_holiday("Navidad").holiday.unwrap().name, "Navidad");
    /// ```
    pub fn on_holiday(mut self, name: &'a str) -> Moment<'a> {
        self.holiday = Some(Holiday { name, open: None });
        self
    }

    /// Makes today a half-day with these hours. For tests.
    ///
    /// ```
    /// # use tero_policy::{LocalTime, Moment};
    /// let (from, until) = (LocalTime::at(9, 0), LocalTime::at(13, 0));
    /// let now = Moment::epoch().on_half_day("Nochebuena", from, until);
    /// assert_eq!(now.holiday.unwrap().open.unwrap().until, until);
    /// ```
    pub fn on_half_day(mut self, name: &'a str, from: LocalTime, until: LocalTime) -> Moment<'a> {
        self.holiday = Some(Holiday {
            name,
            open: Some(Opening { from, until }),
        });
        self
    }

    /// Adds a holiday this many days ahead; −1 is yesterday. For tests.
    ///
    /// ```
    /// # use tero_policy::Moment;
    /// let now = Moment::epoch().with_holiday(1, "Navidad");
    /// assert_eq!(now.holiday_on(1).unwrap().name, "Navidad");
    /// ```
    pub fn with_holiday(mut self, days_ahead: i8, name: &'a str) -> Moment<'a> {
        self.nearby_holidays.push(NearbyHoliday {
            days_ahead,
            holiday: Holiday { name, open: None },
        });
        self
    }

    /// Adds a half-day this many days ahead. For tests.
    ///
    /// ```
    /// # use tero_policy::{LocalTime, Moment};
    /// let (from, until) = (LocalTime::at(9, 0), LocalTime::at(13, 0));
    /// let now = Moment::epoch().with_half_day(1, "Nochebuena", from, until);
    /// assert_eq!(now.holiday_on(1).unwrap().open.unwrap().from, from);
    /// ```
    pub fn with_half_day(
        mut self,
        days_ahead: i8,
        name: &'a str,
        from: LocalTime,
        until: LocalTime,
    ) -> Moment<'a> {
        let holiday = Holiday {
            name,
            open: Some(Opening { from, until }),
        };
        self.nearby_holidays.push(NearbyHoliday {
            days_ahead,
            holiday,
        });
        self
    }

    /// Adds the next change of the offset. For tests.
    ///
    /// ```
    /// # use tero_policy::{LocalTime, Moment};
    /// // The clock goes from 02:00 to 03:00 in an hour.
    /// let now = Moment::new(3_600, 0).before_offset_change(7_200, 60);
    /// assert_eq!(now.until(LocalTime::at(3, 0)).as_secs(), 3_600);
    /// ```
    pub fn before_offset_change(mut self, unix_secs: u64, utc_offset_mins: i16) -> Moment<'a> {
        self.next_offset_change = Some(OffsetChange {
            unix_secs,
            utc_offset_mins,
        });
        self
    }

    /// The calendar entry of the day this many days ahead: 0 is today, −1 yesterday. Days before
    /// yesterday and more than 31 days ahead are unknown and have no entry.
    ///
    /// ```
    /// # use tero_policy::Moment;
    /// let now = Moment::epoch().on_holiday("Año Nuevo");
    /// assert!(now.holiday_on(0).is_some() && now.holiday_on(1).is_none());
    /// ```
    pub fn holiday_on(&self, days_ahead: i64) -> Option<&Holiday<'a>> {
        if days_ahead == 0 {
            return self.holiday.as_ref();
        }
        self.nearby_holidays
            .iter()
            .find(|near| i64::from(near.days_ahead) == days_ahead)
            .map(|near| &near.holiday)
    }

    /// The time of day, cut to the minute.
    ///
    /// ```
    /// # use tero_policy::{LocalTime, Moment};
    /// let now: Moment = "2026-11-24T08:59:59-03:00".parse().unwrap();
    /// assert_eq!(now.time(), LocalTime::at(8, 59));
    /// ```
    pub fn time(&self) -> LocalTime {
        LocalTime::at(u16::from(self.hour % 24), u16::from(self.minute % 60))
    }

    /// The time until the local clock next shows `time`; always more than zero, and exact to the
    /// second.
    ///
    /// It is exact across a change of the offset. A time that is skipped comes right after the gap.
    /// A time that occurs twice comes at its next occurrence. 24:00 is the next midnight.
    ///
    /// ```
    /// use tero_policy::{LocalTime, Moment};
    /// let now: Moment = "2026-11-24T17:59:30-03:00".parse().unwrap();
    /// assert_eq!(now.until(LocalTime::at(18, 0)).as_secs(), 30);
    /// ```
    pub fn until(&self, time: LocalTime) -> Duration {
        Duration::from_secs(u64::try_from(self.showing_after(0, time)).unwrap_or(0))
    }

    /// The seconds from now until the clock first shows `time` later than `secs` from now.
    pub(crate) fn showing_after(&self, secs: i64, time: LocalTime) -> i64 {
        let from = self.unix() + secs;
        let after = |from: i64, offset: i64| next_showing(from + 1 + offset, time) - offset;
        let (old, change) = self.offset_at(from);
        let next = after(from, old);
        let next = match change {
            Some((at, new)) if next >= at => {
                // Skipped times lie between the local time before the change and the local time
                // after it.
                if next_showing(at + old, time) < at + new {
                    at
                } else {
                    after(at - 1, new)
                }
            }
            _ => next,
        };
        next - self.unix()
    }

    /// The local clock this many seconds from now: the date as days since 1970, and the time of
    /// day, cut to the minute.
    pub(crate) fn clock_after(&self, secs: i64) -> (i64, LocalTime) {
        let then = self.unix() + secs;
        let local = (then + self.offset_at(then).0).max(0);
        let mins = u16::try_from(local % DAY_SECS / 60).unwrap_or(0);
        (
            local / DAY_SECS,
            LocalTime::from_mins(mins).unwrap_or_default(),
        )
    }

    /// The offset in seconds at an instant from now on, and the change that is still ahead then.
    fn offset_at(&self, unix: i64) -> (i64, Option<(i64, i64)>) {
        match self.change() {
            Some((at, new)) if unix >= at => (new, None),
            change => (i64::from(self.utc_offset_mins) * 60, change),
        }
    }

    /// This many seconds later. The calendar is dropped, because its days are counted from today.
    #[cfg(test)]
    pub(crate) fn plus_secs(&self, secs: i64) -> Moment<'a> {
        let now = self.unix() + secs;
        let (offset, change) = self.offset_at(now);
        let next_offset_change = self.next_offset_change.filter(|_| change.is_some());
        Moment {
            next_offset_change,
            ..Moment::new(now as u64, (offset / 60) as i16)
        }
    }

    /// The local date as days since 1970.
    pub(crate) fn local_day(&self) -> i64 {
        days_from_civil(
            i64::from(self.year),
            i64::from(self.month),
            i64::from(self.day),
        )
    }

    /// The time of the next change, and the new offset in seconds.
    pub(crate) fn change(&self) -> Option<(i64, i64)> {
        let change = self.next_offset_change?;
        let at = i64::try_from(change.unix_secs).ok()?;
        (at > self.unix()).then_some((at, i64::from(change.utc_offset_mins) * 60))
    }

    pub(crate) fn unix(&self) -> i64 {
        // Small enough that no sum below overflows.
        i64::try_from(self.unix_secs)
            .unwrap_or(i64::MAX)
            .min(i64::MAX / 4)
    }
}

/// The first local second, from `local` on, at which the clock shows `time`.
fn next_showing(local: i64, time: LocalTime) -> i64 {
    let of_day = i64::from(time.as_secs()) % DAY_SECS;
    let today = local - local.rem_euclid(DAY_SECS) + of_day;
    if today >= local {
        today
    } else {
        today + DAY_SECS
    }
}

/// 1 January 1970 was a Thursday.
pub(crate) fn weekday_of(days: i64) -> Weekday {
    Weekday::Thursday.plus(usize::try_from(days.rem_euclid(7)).unwrap_or(0))
}

/// Year, month and day of a number of days since 1970, by Howard Hinnant's algorithm; years from
/// 1970 to 65535.
fn civil(days: i64) -> (u16, u8, u8) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    (
        u16::try_from(year).unwrap_or(u16::MAX),
        month as u8,
        (doy - (153 * mp + 2) / 5 + 1) as u8,
    )
}

/// The days from 1970 to a date, by the same author.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

#[cfg(test)]
mod tests;
