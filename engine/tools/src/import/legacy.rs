//! Reads a static JSON policy file.

mod keys;
mod values;

use std::ops::Range;

use chrono_tz::Tz;

use keys::{BUSINESS_HOURS, FILE, KEY, RULE, TTL, VARIANT, WARMING, YEAR_SECS};
use tero_config::raw::{RawKind, RawValue};
use tero_config::reader::TableReader;
use tero_config::{Mistake, Mistakes, did_you_mean, forms};
use tero_policy_host::device::Device;
pub(super) use values::DAYS;
use values::{any, days, device, pattern, tag, time_of_day};

/// What the configuration takes from the file, beside the settings of the policy.
#[derive(Debug, Default)]
pub(super) struct LegacyFile {
    pub(super) name: Option<String>,
    pub(super) zone: Option<Tz>,
    pub(super) holidays_count: bool,
    pub(super) plans: Vec<LegacyPlan>,
}

/// A warming plan.
#[derive(Debug)]
pub(super) struct LegacyPlan {
    pub(super) name: String,
    /// Hour, minute, and days of the week from Monday (0); `None` if the plan has no time.
    pub(super) at: Option<(u32, u32, Vec<usize>)>,
    pub(super) urls: Vec<String>,
    pub(super) sitemap: Option<String>,
    pub(super) popular: u64,
    pub(super) variants: Vec<String>,
}

/// Reads the file, and adds what is wrong with it to `mistakes`.
pub(super) fn read(document: &RawValue, mistakes: &Mistakes<'_>) -> LegacyFile {
    if !matches!(document.kind, RawKind::Table(_)) {
        let problem = format!("an object was expected, this is {}", document.describe());
        mistakes.add(
            &document.at,
            "",
            Mistake::new(problem, "write { \"rules\": [ … ] }"),
        );
        return LegacyFile::default();
    }
    refuse_doubles(document, "", mistakes);
    let file = TableReader::of(&FILE, document, mistakes);
    file.count("version");
    let name = file.text_as("name", any);
    let zone = file.text_as("timezone", forms::zone);
    let has_hours = file.written("business_hours").is_some();
    let holidays_count = file
        .written("business_hours")
        .is_some_and(|value| business_hours(TableReader::of(&BUSINESS_HOURS, value, mistakes)));
    if let Some(value) = file.written("key") {
        let key = TableReader::of(&KEY, value, mistakes);
        key.texts_as("ignore_query", any);
        key.flag("sort_query");
    }
    let declared = variants(&file, mistakes);
    rules(&file, has_hours, mistakes);
    let plans = list(&file, "warming")
        .iter()
        .map(|value| plan(TableReader::of(&WARMING, value, mistakes), &declared))
        .collect();
    refuse_same_names(&file, "warming", mistakes);
    LegacyFile {
        name,
        zone,
        holidays_count,
        plans,
    }
}

/// Returns whether the site is closed on holidays.
fn business_hours(reader: TableReader<'_>) -> bool {
    reader.texts_as("days", days);
    refuse_no_day(&reader);
    let (from, to) = (
        reader.text_as("from", time_of_day),
        reader.text_as("to", time_of_day),
    );
    if let (Some(from), Some(to)) = (from, to)
        && (from == to || from == (24, 0))
    {
        // A window with `to` before `from` passes midnight.
        reader.refuse(
            "to",
            Mistake::new(
                "the hours cover nothing",
                "write a `to` that differs from `from`; \"00:00\" to \"24:00\" is all day",
            ),
        );
    }
    reader.word("holidays").as_deref() == Some("closed")
}

/// Returns the names of the variants.
fn variants(file: &TableReader<'_>, mistakes: &Mistakes<'_>) -> Vec<String> {
    let Some(value) = file.written("variants") else {
        return Vec::new();
    };
    let RawKind::Table(entries) = &value.kind else {
        let problem = format!("an object was expected, this is {}", value.describe());
        file.refuse(
            "variants",
            Mistake::new(
                problem,
                "write { \"mobile\": { \"devices\": [\"mobile\"], \"paths\": [\"/\"] } }",
            ),
        );
        return Vec::new();
    };
    for entry in entries {
        // The edge joins variants of several policies with `+`.
        let name = forms::variant(&entry.key).and_then(|_| {
            if entry.key.contains('+') {
                Err(Mistake::new(
                    "a name with `+`",
                    "write 1 to 32 of a-z, 0-9, - and _",
                ))
            } else {
                Ok(())
            }
        });
        if let Err(mistake) = name {
            mistakes.add(&entry.key_at, "variants", mistake);
        }
        let reader = TableReader::of(&VARIANT, &entry.value, mistakes);
        reader.texts_as("devices", device);
        reader.texts_as("paths", pattern);
        for name in ["devices", "paths"] {
            if reader.written(name).is_some_and(is_empty_list) {
                reader.refuse(name, Mistake::new("the list is empty", "name at least one"));
            }
        }
    }
    entries.iter().map(|entry| entry.key.clone()).collect()
}

fn rules(file: &TableReader<'_>, has_hours: bool, mistakes: &Mistakes<'_>) {
    if file.written("rules").is_none() {
        file.refuse(
            "rules",
            Mistake::new(
                "`rules` is missing",
                "write \"rules\": [ … ], with at least one rule",
            ),
        );
    }
    for value in list(file, "rules") {
        rule(TableReader::of(&RULE, value, mistakes), has_hours, mistakes);
    }
    refuse_same_names(file, "rules", mistakes);
}

fn rule(rule: TableReader<'_>, has_hours: bool, mistakes: &Mistakes<'_>) {
    rule.text_as("name", any);
    let patterns = rule.texts_as("match", pattern);
    if patterns.is_empty() && rule.written("match").is_some_and(is_empty_list) {
        rule.refuse(
            "match",
            Mistake::new(
                "the list is empty",
                "write at least one pattern, [\"/\"] or [\"*\"]",
            ),
        );
    }
    let never = rule.word("cache").is_some();
    for name in ["stale_while_revalidate", "stale_if_error"] {
        rule.count(name);
    }
    rule.texts_as("tags", tag);
    rule.count("spread");
    match rule.written("ttl") {
        Some(_) if never => rule.refuse(
            "ttl",
            Mistake::new("a rule with `cache` has no `ttl`", "keep `cache` or `ttl`"),
        ),
        Some(value) => ttl(&rule, value, has_hours, mistakes),
        None if !never && rule.written("cache").is_none() => {
            rule.refuse(
                "ttl",
                Mistake::new(
                    "the rule decides nothing",
                    "write \"ttl\": seconds, \"ttl\": \"origin\" or \"cache\": \"never\"",
                ),
            );
        }
        None => {}
    }
}

/// Reads a lifetime, `"origin"`, or two lifetimes: one in business hours and one otherwise.
fn ttl(rule: &TableReader<'_>, value: &RawValue, has_hours: bool, mistakes: &Mistakes<'_>) {
    match &value.kind {
        RawKind::Text(word) if word == "origin" => {}
        RawKind::Table(_) => {
            let parts = TableReader::of(&TTL, value, mistakes);
            for name in ["business_hours", "otherwise"] {
                match parts.written(name) {
                    Some(part) => length(&parts, name, part),
                    None => parts.refuse(
                        name,
                        Mistake::new(format!("`{name}` is missing"), format!("write `{name}`")),
                    ),
                }
            }
            if !has_hours {
                rule.refuse(
                    "ttl",
                    Mistake::new(
                        "the file has no business_hours",
                        "write them at the top, or one number of seconds here",
                    ),
                );
            }
        }
        _ => length(rule, "ttl", value),
    }
}

/// Reads a lifetime: seconds, or the time of day at which it ends.
fn length(reader: &TableReader<'_>, name: &str, value: &RawValue) {
    match &value.kind {
        RawKind::Integer(secs) if u64::try_from(*secs).is_ok_and(|secs| secs <= YEAR_SECS) => {}
        RawKind::Integer(secs) => reader.refuse(
            name,
            Mistake::new(
                format!("{secs} is out of range"),
                "write 0 to 31536000 seconds (a year)",
            ),
        ),
        RawKind::Text(text)
            if text
                .strip_prefix("until ")
                .is_some_and(|time| time_of_day(time).is_ok()) => {}
        _ => {
            // A part of a lifetime has no parts.
            let cure = match name {
                "ttl" => {
                    "write seconds, a number with its unit (\"90s\", \"5min\", \"24h\"), \"until 18:00\", \"origin\", or two of them as { \"business_hours\": …, \"otherwise\": … }"
                }
                _ => {
                    "write seconds, a number with its unit (\"90s\", \"5min\", \"24h\") or \"until 18:00\""
                }
            };
            let shown = match &value.kind {
                RawKind::Text(text) => format!("`{}`", text.escape_debug()),
                _ => value.describe().to_owned(),
            };
            reader.refuse(name, Mistake::new(format!("{shown} is not a ttl"), cure));
        }
    }
}

fn plan(reader: TableReader<'_>, declared: &[String]) -> LegacyPlan {
    let time = reader.text_as("at", time_of_day);
    let days: Vec<usize> = texts(reader.texts_as("days", days)).concat();
    refuse_no_day(&reader);
    if reader.written("days").is_some() && reader.written("at").is_none() {
        reader.refuse(
            "days",
            Mistake::new(
                "days without a time",
                "write `at` too, or leave `days` out to start the plan from outside",
            ),
        );
    }
    let days = if days.is_empty() {
        (0..7).collect()
    } else {
        days
    };
    LegacyPlan {
        name: reader.text_as("name", forms::name).unwrap_or_default(),
        at: time.map(|(hour, minute)| (hour, minute, days)),
        urls: texts(reader.texts_as("urls", forms::page)),
        sitemap: reader.text_as("sitemap", forms::page),
        popular: reader.count("popular").unwrap_or_default(),
        variants: texts(reader.texts_as("variants", |text| variant(text, declared))),
    }
}

/// Reads the name of a variant of the file, or of a device class.
fn variant(text: &str, declared: &[String]) -> Result<String, Mistake> {
    let name = forms::variant(text)?;
    if Device::from_name(&name).is_some() || declared.contains(&name) {
        return Ok(name);
    }
    let known = || {
        declared
            .iter()
            .map(String::as_str)
            .chain(Device::ALL.map(Device::as_str))
    };
    let cure = match did_you_mean(&name, known()) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("write one of {}", known().collect::<Vec<_>>().join(", ")),
    };
    Err(Mistake::new(
        format!("`{name}` is neither a variant nor a device class"),
        cure,
    ))
}

/// The items of a list of objects.
fn list<'a>(file: &TableReader<'a>, name: &str) -> &'a [RawValue] {
    match file.written(name) {
        Some(RawValue {
            kind: RawKind::List(items),
            ..
        }) => items,
        Some(value) => {
            file.refuse(
                name,
                Mistake::new(
                    format!("a list was expected, this is {}", value.describe()),
                    "write [ { … }, … ]",
                ),
            );
            &[]
        }
        None => &[],
    }
}

fn refuse_same_names(file: &TableReader<'_>, list_name: &str, mistakes: &Mistakes<'_>) {
    let mut seen: Vec<&str> = Vec::new();
    let Some(RawValue {
        kind: RawKind::List(items),
        ..
    }) = file.written(list_name)
    else {
        return;
    };
    for item in items {
        let RawKind::Table(entries) = &item.kind else {
            continue;
        };
        let Some(entry) = entries.iter().find(|entry| entry.key == "name") else {
            continue;
        };
        let RawKind::Text(name) = &entry.value.kind else {
            continue;
        };
        if seen.contains(&name.as_str()) {
            let mistake = Mistake::new(
                format!("there is a `{name}` already"),
                "give each its own name",
            );
            mistakes.add(&entry.value.at, &format!("{list_name}.name"), mistake);
        }
        seen.push(name);
    }
}

/// Refuses keys that are written twice: JSON allows them, and readers differ in which one counts.
fn refuse_doubles(value: &RawValue, path: &str, mistakes: &Mistakes<'_>) {
    match &value.kind {
        RawKind::Table(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                let path = if path.is_empty() {
                    entry.key.clone()
                } else {
                    format!("{path}.{}", entry.key)
                };
                if entries[..index]
                    .iter()
                    .any(|earlier| earlier.key == entry.key)
                {
                    mistakes.add(
                        &entry.key_at,
                        &path,
                        Mistake::new(
                            format!("`{}` is written twice", entry.key),
                            "keep one of the two",
                        ),
                    );
                }
                refuse_doubles(&entry.value, &path, mistakes);
            }
        }
        RawKind::List(items) => items
            .iter()
            .for_each(|item| refuse_doubles(item, path, mistakes)),
        _ => {}
    }
}

fn is_empty_list(value: &RawValue) -> bool {
    matches!(&value.kind, RawKind::List(items) if items.is_empty())
}

fn texts<T>(placed: Vec<(T, Range<usize>)>) -> Vec<T> {
    placed.into_iter().map(|(value, _)| value).collect()
}

fn refuse_no_day(reader: &TableReader<'_>) {
    if reader.written("days").is_some_and(is_empty_list) {
        reader.refuse(
            "days",
            Mistake::new("no day is named", "name at least one, [\"mon\"]"),
        );
    }
}
