//! What a static JSON policy file says about a request, read without the policy.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Datelike, Days, FixedOffset, NaiveDate, Timelike};
use chrono_tz::Tz;
use percent_encoding::percent_decode_str;
use regex::{Regex, RegexBuilder};

use crate::import::pattern::{PatternSyntax, syntax_of};
use crate::import::translate::{OddPatterns, translate};
use crate::replay::record::LogRecord;
use tero_config::raw::{self, RawKind, RawValue};
use tero_config::{CalendarSource, Mistakes, calendars};
use tero_policy_host::device::Device;
use tero_semantics::timestamp::Timestamp;
use tero_time::calendar::{Calendar, HolidayKind};
use tero_time::moment::instant_of;
use tero_time::zones;

/// The bytes that a compiled pattern may take.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// Minutes of a day.
const DAY_MINUTES: u32 = 24 * 60;

/// The rules of a file.
pub(super) struct OldFile {
    zone: Tz,
    hours: Option<OldHours>,
    variants: Vec<OldVariant>,
    rules: Vec<OldRule>,
    calendar: Option<Arc<Calendar>>,
}

/// Opening hours, in minutes since midnight.
struct OldHours {
    /// From Monday.
    days: [bool; 7],
    from: u32,
    to: u32,
    holidays_count: bool,
}

struct OldVariant {
    name: String,
    devices: Vec<Device>,
    paths: Vec<Regex>,
}

/// A rule of a file.
pub(super) struct OldRule {
    pub(super) never: bool,
    /// Sorted, each once.
    pub(super) tags: Vec<String>,
    patterns: Vec<Regex>,
    ttl: OldTtl,
    spread: u64,
}

enum OldTtl {
    Origin,
    One(OldLength),
    ByHours {
        open: OldLength,
        otherwise: OldLength,
    },
}

#[derive(Clone, Copy)]
enum OldLength {
    Secs(u64),
    /// A time of day, in minutes since midnight.
    Until(u32),
}

/// What a file says about a request.
pub(super) struct OldDecision<'f> {
    pub(super) rule: Option<&'f OldRule>,
    pub(super) variant: Option<&'f str>,
    pub(super) lifetime: OldLifetime,
}

/// How long a response is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OldLifetime {
    /// As its fields say.
    ByFields,
    /// Between so many seconds; `spread` leaves room.
    Secs { least: u64, most: u64 },
}

impl OldDecision<'_> {
    /// In words.
    pub(super) fn describe(&self) -> String {
        match (self.rule, self.lifetime) {
            (None, _) => "no rule".to_owned(),
            (Some(rule), _) if rule.never => "never".to_owned(),
            (Some(_), OldLifetime::ByFields) => "origin".to_owned(),
            (Some(_), OldLifetime::Secs { least, most }) if least == most => {
                format!("ttl {most} s")
            }
            (Some(_), OldLifetime::Secs { least, most }) => format!("ttl {least} to {most} s"),
        }
    }
}

impl OldFile {
    /// Reads a file that was imported before.
    ///
    /// # Errors
    /// What makes it unreadable.
    pub(super) fn read(json: &str, calendar: Option<&CalendarSource>) -> Result<OldFile, String> {
        let written = raw::from_json(json).map_err(|error| error.problem)?;
        // Days, times and lifetimes are those of the import; patterns are read as they are written.
        let mut plain = written.clone();
        translate(&mut plain, OddPatterns::Translate, &Mistakes::of("", json));
        let calendar = calendar
            .map(calendars::load)
            .transpose()
            .map_err(|error| error.to_string())?;
        let zone = get(&plain, "timezone").and_then(text).unwrap_or("UTC");
        let spread = get(&plain, "spread").and_then(number).unwrap_or(0);
        let pairs = items(get(&written, "rules"))
            .iter()
            .zip(items(get(&plain, "rules")));
        Ok(OldFile {
            zone: zone.parse().map_err(|_| format!("{zone} is not a zone"))?,
            hours: get(&plain, "business_hours").map(hours),
            variants: variants(get(&written, "variants"))?,
            rules: pairs
                .map(|(written, plain)| rule(written, plain, spread))
                .collect::<Result<_, _>>()?,
            calendar,
        })
    }

    /// What the file says about a request and the response to it.
    pub(super) fn decide(&self, logged: &LogRecord, device: Device) -> OldDecision<'_> {
        let path = logged.target.split('?').next().unwrap_or_default();
        let path = percent_decode_str(path).decode_utf8_lossy();
        let matches = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(&path));
        let variant = self
            .variants
            .iter()
            .find(|variant| variant.devices.contains(&device) && matches(&variant.paths));
        let rule = self.rules.iter().find(|rule| matches(&rule.patterns));
        let is_lasting = matches!(logged.status.as_u16(), 200 | 203 | 204 | 301 | 304 | 308);
        let lifetime = rule
            .filter(|_| is_lasting)
            .map_or(OldLifetime::ByFields, |rule| self.lifetime(rule, logged.at));
        OldDecision {
            rule,
            variant: variant.map(|variant| variant.name.as_str()),
            lifetime,
        }
    }

    fn lifetime(&self, rule: &OldRule, now: Timestamp) -> OldLifetime {
        let local = zones::local(now, self.zone);
        let length = match rule.ttl {
            OldTtl::Origin => return OldLifetime::ByFields,
            OldTtl::One(length) => length,
            OldTtl::ByHours { open, otherwise } => {
                if self.is_open(&local) {
                    open
                } else {
                    otherwise
                }
            }
        };
        let most = match length {
            OldLength::Secs(secs) => secs,
            OldLength::Until(minute) => self.until(&local, minute),
        };
        OldLifetime::Secs {
            least: most - most * rule.spread / 100,
            most,
        }
    }

    fn is_open(&self, local: &DateTime<FixedOffset>) -> bool {
        let Some(hours) = &self.hours else {
            return false;
        };
        let (today, minute) = (local.date_naive(), local.hour() * 60 + local.minute());
        let crosses = hours.to < hours.from;
        let begins = |date: NaiveDate| hours.days[date.weekday().num_days_from_monday() as usize];
        let began_today = begins(today)
            && match self.holiday(hours, today) {
                None => hours.from <= minute && (minute < hours.to || crosses),
                Some(HolidayKind::Closed) => false,
                Some(HolidayKind::HalfDay {
                    from_mins,
                    until_mins,
                }) => u32::from(from_mins) <= minute && minute < u32::from(until_mins),
            };
        let yesterday = today - Days::new(1);
        let lasts = crosses
            && minute < hours.to
            && begins(yesterday)
            && self.holiday(hours, yesterday).is_none();
        began_today || lasts
    }

    fn holiday(&self, hours: &OldHours, date: NaiveDate) -> Option<HolidayKind> {
        let calendar = self.calendar.as_ref().filter(|_| hours.holidays_count)?;
        calendar.on(date).map(|holiday| holiday.kind)
    }

    /// The seconds until the clock next shows a time of day. A time that is skipped comes at the end
    /// of the gap.
    fn until(&self, local: &DateTime<FixedOffset>, minute: u32) -> u64 {
        let days = u64::from(minute / DAY_MINUTES);
        let showings = (0..3).flat_map(|ahead| {
            let date = local.date_naive() + Days::new(ahead + days);
            let minute = minute % DAY_MINUTES;
            let naive = date
                .and_hms_opt(minute / 60, minute % 60, 0)
                .unwrap_or_default();
            let first = instant_of(naive, self.zone);
            // A clock that is set back by half an hour or an hour shows it again.
            let again = [30, 60].map(|minutes| first.saturating_add(Duration::from_mins(minutes)));
            let shows = move |at: &Timestamp| zones::local(*at, self.zone).naive_local() == naive;
            [first].into_iter().chain(again.into_iter().filter(shows))
        });
        let after = showings
            .map(|showing| showing.unix_secs() - local.timestamp())
            .filter(|secs| *secs > 0);
        after
            .min()
            .and_then(|secs| u64::try_from(secs).ok())
            .unwrap_or(0)
    }
}

fn get<'v>(table: &'v RawValue, key: &str) -> Option<&'v RawValue> {
    let RawKind::Table(entries) = &table.kind else {
        return None;
    };
    let entry = entries.iter().find(|entry| entry.key == key)?;
    Some(&entry.value)
}

fn text(value: &RawValue) -> Option<&str> {
    match &value.kind {
        RawKind::Text(text) => Some(text),
        _ => None,
    }
}

fn number(value: &RawValue) -> Option<u64> {
    match value.kind {
        RawKind::Integer(number) => u64::try_from(number).ok(),
        _ => None,
    }
}

fn items(value: Option<&RawValue>) -> &[RawValue] {
    match value {
        Some(RawValue {
            kind: RawKind::List(items),
            ..
        }) => items,
        _ => &[],
    }
}

fn minutes(value: Option<&RawValue>) -> u32 {
    let time = value.and_then(text).unwrap_or_default();
    let (hour, minute) = time.split_once(':').unwrap_or_default();
    let number = |digits: &str| digits.parse::<u32>().unwrap_or(0);
    number(hour) * 60 + number(minute)
}

fn hours(value: &RawValue) -> OldHours {
    const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let mut days = [false; 7];
    let index = |name: &str| {
        let name = name.trim().to_ascii_lowercase();
        NAMES.iter().position(|day| name.starts_with(day))
    };
    for item in items(get(value, "days")).iter().filter_map(text) {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (Some(mut day), Some(last)) = (index(first), index(last)) else {
            continue;
        };
        while day != last {
            days[day] = true;
            day = (day + 1) % 7;
        }
        days[last] = true;
    }
    OldHours {
        days,
        from: minutes(get(value, "from")),
        to: minutes(get(value, "to")),
        holidays_count: get(value, "holidays").and_then(text) == Some("closed"),
    }
}

fn variants(value: Option<&RawValue>) -> Result<Vec<OldVariant>, String> {
    let Some(RawKind::Table(entries)) = value.map(|value| &value.kind) else {
        return Ok(Vec::new());
    };
    let variant = |entry: &raw::RawEntry| {
        let devices = items(get(&entry.value, "devices"));
        let paths = match get(&entry.value, "paths") {
            Some(paths) => matchers(paths)?,
            None => vec![matcher("*")?],
        };
        Ok(OldVariant {
            name: entry.key.clone(),
            devices: devices
                .iter()
                .filter_map(text)
                .filter_map(Device::from_name)
                .collect(),
            paths,
        })
    };
    entries.iter().map(variant).collect()
}

fn rule(written: &RawValue, plain: &RawValue, spread: u64) -> Result<OldRule, String> {
    let mut tags: Vec<String> = items(get(plain, "tags"))
        .iter()
        .filter_map(text)
        .map(str::to_owned)
        .collect();
    tags.sort_unstable();
    tags.dedup();
    let patterns = get(written, "match").map(matchers).transpose()?;
    Ok(OldRule {
        never: get(plain, "cache").is_some(),
        tags,
        patterns: patterns.unwrap_or_default(),
        ttl: get(plain, "ttl").map_or(OldTtl::Origin, ttl),
        spread: get(plain, "spread").and_then(number).unwrap_or(spread),
    })
}

fn ttl(value: &RawValue) -> OldTtl {
    match &value.kind {
        RawKind::Table(_) => OldTtl::ByHours {
            open: length(get(value, "business_hours")),
            otherwise: length(get(value, "otherwise")),
        },
        RawKind::Text(word) if word == "origin" => OldTtl::Origin,
        _ => OldTtl::One(length(Some(value))),
    }
}

fn length(value: Option<&RawValue>) -> OldLength {
    match value
        .and_then(text)
        .and_then(|text| text.strip_prefix("until "))
    {
        Some(time) => {
            let (hour, minute) = time.split_once(':').unwrap_or_default();
            let number = |digits: &str| digits.parse::<u32>().unwrap_or(0);
            OldLength::Until(number(hour) * 60 + number(minute))
        }
        None => OldLength::Secs(value.and_then(number).unwrap_or(0)),
    }
}

fn matchers(list: &RawValue) -> Result<Vec<Regex>, String> {
    items(Some(list))
        .iter()
        .filter_map(text)
        .map(matcher)
        .collect()
}

/// The pattern as a regular expression over a decoded path.
fn matcher(pattern: &str) -> Result<Regex, String> {
    let syntax = syntax_of(pattern).map_err(|mistake| mistake.problem)?;
    let inside = match syntax {
        PatternSyntax::Expression => pattern.replace("\\d", "[0-9]"),
        PatternSyntax::Glob => of_glob(&percent_decode_str(pattern).decode_utf8_lossy()),
    };
    RegexBuilder::new(&format!("^(?:{inside})$"))
        .dot_matches_new_line(true)
        .size_limit(MAX_REGEX_BYTES)
        .build()
        .map_err(|error| format!("`{}`: {error}", pattern.escape_debug()))
}

fn of_glob(pattern: &str) -> String {
    let mut out = String::new();
    let mut in_braces = false;
    for character in pattern.chars() {
        match character {
            '*' => out.push_str(".*"),
            '{' => {
                in_braces = true;
                out.push_str("(?:");
            }
            '}' => {
                in_braces = false;
                out.push(')');
            }
            ',' if in_braces => out.push('|'),
            other => out.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    out
}
