//! `[[limit]]`.

use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveTime, Weekday};
use chrono_tz::Tz;
use ipnet::IpNet;

use crate::forms;
use crate::mistakes::Mistake;
use tero_semantics::path::PathPattern;

/// Limits of a configuration, at most.
pub(crate) const MAX_LIMITS: usize = 64;

section! {
    /// How many requests a client may send; at most 64 limits. Of several that apply to a request, the
    /// strictest answers. See operating.md.
    #[derive(Clone, Debug)]
    [[limit]]
    pub struct Limit {
        place: FilePosition;
        /// The name in answers, metrics, the access log and explanations; unique.
        name: Arc<str> = required, Text("1 to 64 of `a-z`, `0-9`, `-`, `_`") => forms::name;
        /// The sites that it is for; all if it is empty. A client has one allowance for all of them.
        sites: Vec<Arc<str>> = [], Texts("the name of a `[[site]]`") => forms::name, distinct();
        /// The paths that it is for. `*` matches any text, slashes included. A path that an origin
        /// may read as one of these counts too.
        paths as "match": Vec<PathPattern> = ["*"],
            Texts("a path pattern, such as `/api/*`") => forms::path_pattern,
            at_least_one("write the paths, [\"/api/*\"], or leave the key out");
        /// The methods that it is for; all if it is empty.
        methods: Vec<http::Method> = [], Texts("a method, such as `POST`") => limited_method,
            distinct();
        /// The class of requests that it is for, which policies choose (`rate-class`). Without it, it is
        /// for requests of any class, and is taken before policies are asked.
        class: Option<Arc<str>> = rule("none"), Text("1 to 64 of `a-z`, `0-9`, `-`, `_`")
            => |text| forms::name(text).map(Arc::from);
        /// So many requests a client gets back in the time `per`.
        requests: u32 = required, Count(1, 1_000_000);
        /// The time for `requests`.
        per: Duration = "1s", Duration("100ms", "24h");
        /// So many requests a client may send at once, after a pause. It has to come back within 24
        /// hours.
        burst: u32 = rule("as many as `requests`", requests), Count(1, 1_000_000);
        /// What a request costs beside its one if it has to be sent to the origin. Charged
        /// afterwards: it is never refused for that. At most `burst`.
        fetch_cost: u32 = 0, Count(0, 1_000_000);
        /// The bits of an IPv4 address that make a client.
        ipv4_prefix: u8 = 32, Count(8, 32);
        /// The bits of an IPv6 address that make a client.
        ipv6_prefix: u8 = 64, Count(16, 128);
        /// Networks whose clients are not limited.
        exempt: Vec<IpNet> = [], Texts("a network such as `10.0.0.0/8`, or an address")
            => forms::network, distinct();
        /// Whether it only counts and logs what it would refuse.
        log_only: bool = false, Flag;
        /// The hours in which it holds, in the local time of `zone`. If it ends at or before its
        /// beginning, it ends on the next day.
        window: Option<LimitHours> = rule("all day"), Text("`HH:MM-HH:MM`") => limit_hours;
        /// The days on which it holds. A window over midnight belongs to the day of its beginning.
        days: Vec<Weekday>
            = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
            SomeOf("mon", "tue", "wed", "thu", "fri", "sat", "sun") => weekdays;
        /// The time zone of `window` and `days`.
        zone: Tz = rule("UTC", Tz::UTC), Text("an IANA zone") => forms::zone;
    }
}

section! {
    /// What all limits share.
    #[derive(Clone, Debug)]
    [limits]
    pub struct LimitMemory {
        /// The memory for the allowances of clients, 16 bytes for each. If it is full, requests of
        /// further clients pass and are counted (`tero_limit_overflows_total`).
        memory: u64 = "4MiB", Size("64KiB", "1GiB");
    }
}

/// Hours of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitHours {
    /// When they begin.
    pub from: NaiveTime,
    /// When they end; on the next day if that is not after the beginning.
    pub until: NaiveTime,
}

impl Limit {
    /// Whether it holds on some days or in some hours only.
    pub fn has_hours(&self) -> bool {
        self.window.is_some() || !ALL_DAYS.iter().all(|day| self.days.contains(day))
    }
}

const ALL_DAYS: [Weekday; 7] = [
    Weekday::Mon,
    Weekday::Tue,
    Weekday::Wed,
    Weekday::Thu,
    Weekday::Fri,
    Weekday::Sat,
    Weekday::Sun,
];

fn weekdays(words: &[String]) -> Vec<Weekday> {
    words.iter().filter_map(|word| word.parse().ok()).collect()
}

pub(super) fn limit_hours(text: &str) -> Result<LimitHours, Mistake> {
    let hours = || {
        let (from, until) = text.split_once('-')?;
        Some(LimitHours {
            from: time_of_day(from)?,
            until: time_of_day(until)?,
        })
    };
    hours().ok_or_else(|| {
        let problem = format!("`{text}` is not a span of hours");
        Mistake::new(
            problem,
            "write it as \"08:00-18:00\", or \"22:00-06:00\" over midnight",
        )
    })
}

fn time_of_day(text: &str) -> Option<NaiveTime> {
    let text = text.trim();
    let is_whole = text.len() == "00:00".len();
    NaiveTime::parse_from_str(text, "%H:%M")
        .ok()
        .filter(|_| is_whole)
}

fn limited_method(text: &str) -> Result<http::Method, Mistake> {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let upper = text.to_ascii_uppercase();
    let method = text.parse::<http::Method>().ok();
    match method.filter(|_| text == upper || !known.contains(&&*upper)) {
        Some(method) => Ok(method),
        None if known.contains(&&*upper) => {
            let problem = format!("`{text}` is in lower case");
            Err(Mistake::new(problem, format!("write \"{upper}\"")))
        }
        None => Err(Mistake::new(
            format!("`{text}` is not a method"),
            "write one such as \"POST\"",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_two_times_of_a_day() {
        for (text, from, until) in [
            ("08:00-18:30", "08:00", "18:30"),
            ("22:00 - 06:00", "22:00", "06:00"),
            ("00:00-00:00", "00:00", "00:00"),
        ] {
            let hours = limit_hours(text).unwrap();
            let shown = |time: NaiveTime| time.format("%H:%M").to_string();
            assert_eq!(
                (shown(hours.from), shown(hours.until)),
                (from.into(), until.into())
            );
        }
        for bad in [
            "",
            "08:00",
            "8:00-18:00",
            "08:00-24:00",
            "08:00-18:60",
            "08:00-18:00-19:00",
        ] {
            assert!(limit_hours(bad).is_err(), "{bad}");
        }
    }
}
