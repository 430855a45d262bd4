//! Translates what other programs would read otherwise, before the file is checked: patterns, days,
//! times and lifetimes, where the translation is exact.

use std::ops::Range;

use super::pattern::{self, Translation};
use tero_config::raw::{RawEntry, RawKind, RawValue};
use tero_config::{Mistake, Mistakes};

/// What becomes of patterns that are odd, though their meaning is clear enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OddPatterns {
    /// They are translated, and the table of rules tells it.
    #[default]
    Translate,
    /// They are mistakes.
    Refuse,
}

/// What a rule of the file became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedRule {
    /// Its name; empty if it has none.
    pub name: String,
    /// Its patterns in the file.
    pub written: Vec<String>,
    /// Its patterns in the policy.
    pub patterns: Vec<String>,
    /// What it decides, for people.
    pub decision: String,
    /// What is odd about it.
    pub notes: Vec<String>,
}

/// Translates the document in place, and says what became of each rule.
pub(crate) fn translate(
    document: &mut RawValue,
    odd: OddPatterns,
    mistakes: &Mistakes<'_>,
) -> Vec<ImportedRule> {
    let RawKind::Table(entries) = &mut document.kind else {
        return Vec::new();
    };
    let translator = Translator { odd, mistakes };
    translator.refuse_unit(entries);
    let mut rules = Vec::new();
    for entry in entries.iter_mut() {
        let value = &mut entry.value;
        match entry.key.as_str() {
            "timezone" => translator.one_zone(value),
            "business_hours" => translator.business_hours(value),
            "variants" => translator.variants(value),
            "rules" => rules = translator.rules(value),
            "warming" => translator.plans(value),
            _ => {}
        }
    }
    rules
}

struct Translator<'m> {
    odd: OddPatterns,
    mistakes: &'m Mistakes<'m>,
}

impl Translator<'_> {
    fn refuse(&self, at: &Range<usize>, key: &str, problem: impl Into<String>, cure: &str) {
        self.mistakes
            .add(at, key, Mistake::new(problem.into(), cure));
    }

    /// Refuses `ttl_unit`, and takes it out, so that it is told once.
    fn refuse_unit(&self, entries: &mut Vec<RawEntry>) {
        let Some(index) = entries.iter().position(|entry| entry.key == "ttl_unit") else {
            return;
        };
        let entry = entries.remove(index);
        if entry.value.kind != RawKind::Text("seconds".to_owned()) {
            self.refuse(
                &entry.key_at,
                "ttl_unit",
                "the policy counts lifetimes in seconds",
                "write each with its unit (\"2m\", \"24h\"), and leave `ttl_unit` out",
            );
        }
    }

    /// Refuses several zones, and keeps the first, so that the rest of the file is checked.
    fn one_zone(&self, value: &mut RawValue) {
        if let RawKind::List(items) = &mut value.kind {
            self.refuse(
                &value.at,
                "timezone",
                format!("{} zones in one file", items.len()),
                "keep one zone; write a file and a site for each other one",
            );
            if !items.is_empty() {
                *value = items.swap_remove(0);
            }
        }
    }

    fn business_hours(&self, value: &mut RawValue) {
        if let RawKind::List(items) = &mut value.kind {
            self.refuse(
                &value.at,
                "business_hours",
                format!(
                    "{} windows of opening hours; the policy has one",
                    items.len()
                ),
                "keep one window, or use `builtin:business-hours`, which has several",
            );
            if items.is_empty() {
                return;
            }
            *value = items.swap_remove(0);
        }
        for name in ["from", "to"] {
            time_of(value, name);
        }
        days_of(value);
    }

    fn variants(&self, value: &mut RawValue) {
        let RawKind::Table(variants) = &mut value.kind else {
            return;
        };
        for variant in variants {
            if let Some(paths) = entry_of(&mut variant.value, "paths") {
                self.patterns(paths, "variants.paths", &mut Vec::new());
            }
        }
    }

    fn rules(&self, value: &mut RawValue) -> Vec<ImportedRule> {
        let RawKind::List(rules) = &mut value.kind else {
            return Vec::new();
        };
        rules.iter_mut().map(|rule| self.rule(rule)).collect()
    }

    fn rule(&self, rule: &mut RawValue) -> ImportedRule {
        let mut notes = Vec::new();
        let (mut written, mut patterns) = (Vec::new(), Vec::new());
        if let Some(list) = entry_of(rule, "match") {
            written = texts(list);
            self.patterns(list, "rules.match", &mut notes);
            patterns = texts(list);
        }
        for name in ["ttl", "stale_while_revalidate", "stale_if_error"] {
            if let Some(value) = entry_of(rule, name) {
                lifetime(value);
            }
        }
        ImportedRule {
            name: entry_of(rule, "name").map_or_else(String::new, |name| shown(name)),
            written,
            patterns,
            decision: decision(rule),
            notes,
        }
    }

    fn plans(&self, value: &mut RawValue) {
        let RawKind::List(plans) = &mut value.kind else {
            return;
        };
        for plan in plans {
            time_of(plan, "at");
            days_of(plan);
        }
    }

    /// Translates a list of patterns. One that is refused becomes `*`, so that the rest of the file
    /// is checked.
    fn patterns(&self, list: &mut RawValue, key: &str, notes: &mut Vec<String>) {
        let RawKind::List(items) = &mut list.kind else {
            return;
        };
        let mut out: Vec<RawValue> = Vec::new();
        for item in items.drain(..) {
            let RawKind::Text(text) = &item.kind else {
                out.push(item);
                continue;
            };
            let patterns = self.pattern(text, &item.at, key, notes);
            for pattern in patterns {
                let kind = RawKind::Text(pattern);
                // Two patterns of a file may become the same one.
                if !out.iter().any(|other| other.kind == kind) || item.kind == kind {
                    let at = item.at.clone();
                    out.push(RawValue { at, kind });
                }
            }
        }
        *items = out;
    }

    fn pattern(
        &self,
        text: &str,
        at: &Range<usize>,
        key: &str,
        notes: &mut Vec<String>,
    ) -> Vec<String> {
        let Translation { patterns, odd } = match pattern::translate(text) {
            Ok(translation) => translation,
            Err(mistake) => {
                self.mistakes.add(at, key, mistake);
                return vec!["*".to_owned()];
            }
        };
        if let Some(odd) = odd {
            let (text, becomes) = (text.escape_debug(), patterns.join("\", \""));
            match self.odd {
                OddPatterns::Refuse => self.refuse(
                    at,
                    key,
                    format!("`{text}` is odd: {odd}"),
                    &format!("write \"{becomes}\""),
                ),
                OddPatterns::Translate => notes.push(format!("{text}: {odd}")),
            }
        }
        patterns
    }
}

/// The value of the first entry of that name.
fn entry_of<'v>(table: &'v mut RawValue, name: &str) -> Option<&'v mut RawValue> {
    let RawKind::Table(entries) = &mut table.kind else {
        return None;
    };
    let entry = entries.iter_mut().find(|entry| entry.key == name)?;
    Some(&mut entry.value)
}

fn texts(list: &RawValue) -> Vec<String> {
    let RawKind::List(items) = &list.kind else {
        return Vec::new();
    };
    items.iter().map(shown).collect()
}

fn shown(value: &RawValue) -> String {
    match &value.kind {
        RawKind::Text(text) => text.clone(),
        _ => value.to_json(),
    }
}

/// What a translated rule decides, for people.
fn decision(rule: &mut RawValue) -> String {
    if let Some(cache) = entry_of(rule, "cache") {
        return shown(cache);
    }
    let Some(ttl) = entry_of(rule, "ttl") else {
        return String::new();
    };
    match &ttl.kind {
        RawKind::Integer(secs) => format!("{secs} s"),
        RawKind::Table(parts) => {
            let part = |part: &RawEntry| match &part.value.kind {
                RawKind::Integer(secs) => format!("{} {secs} s", part.key),
                _ => format!("{} {}", part.key, shown(&part.value)),
            };
            parts.iter().map(part).collect::<Vec<_>>().join(", ")
        }
        _ => shown(ttl),
    }
}

/// Writes a lifetime with a unit as seconds.
fn lifetime(value: &mut RawValue) {
    match &mut value.kind {
        RawKind::Table(parts) => parts.iter_mut().for_each(|part| lifetime(&mut part.value)),
        RawKind::Text(text) => {
            if let Some(secs) = seconds(text) {
                value.kind = RawKind::Integer(secs);
            }
        }
        _ => {}
    }
}

/// The seconds that `30s`, `5m`, `24h` and `7d` stand for. A number alone has no unit, and stays.
fn seconds(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: i64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim_start() {
        "s" | "sec" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// Writes a time of day with two digits each.
fn time_of(table: &mut RawValue, name: &str) {
    if let Some(value) = entry_of(table, name)
        && let RawKind::Text(text) = &value.kind
        && let Some(time) = time(text)
    {
        value.kind = RawKind::Text(time);
    }
}

/// Reads `9:00`, `18hs`, `18 h` and `18:30hs`, as people write times in Spanish.
fn time(text: &str) -> Option<String> {
    let bare = text.trim_end_matches(['h', 's', '.']).trim_end();
    let has_unit = bare.len() < text.len();
    let (hour, minute) = match bare.split_once(':') {
        Some(parts) => parts,
        None if has_unit => (bare, "00"),
        None => return None,
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    ((1..=2).contains(&hour.len()) && minute.len() == 2 && digits(hour) && digits(minute))
        .then(|| format!("{hour:0>2}:{minute}"))
}

/// Writes the days of the week by their English names.
fn days_of(table: &mut RawValue) {
    let Some(RawValue {
        kind: RawKind::List(items),
        ..
    }) = entry_of(table, "days")
    else {
        return;
    };
    for item in items {
        if let RawKind::Text(text) = &item.kind
            && let Some(days) = days(text)
        {
            item.kind = RawKind::Text(days);
        }
    }
}

/// The day, or the range of days, that a Spanish text names.
fn days(text: &str) -> Option<String> {
    let range = text.split_once('-').or_else(|| text.split_once(" a "));
    match range {
        Some((first, last)) => Some(format!("{}-{}", day(first)?, day(last)?)),
        None => day(text).map(str::to_owned),
    }
}

fn day(text: &str) -> Option<&'static str> {
    Some(match text.trim().to_lowercase().as_str() {
        "lunes" | "lun" => "mon",
        "martes" | "mar" => "tue",
        "miércoles" | "miercoles" | "mié" | "mie" => "wed",
        "jueves" | "jue" => "thu",
        "viernes" | "vie" => "fri",
        "sábado" | "sabado" | "sáb" | "sab" => "sat",
        "domingo" | "dom" => "sun",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spanish_days_and_times_have_one_meaning() {
        for (text, expected) in [
            ("lunes", Some("mon")),
            ("Miércoles", Some("wed")),
            ("lun-vie", Some("mon-fri")),
            ("lunes a sábado", Some("mon-sat")),
            ("mon", None),
            ("lundi", None),
        ] {
            assert_eq!(days(text).as_deref(), expected, "{text}");
        }
        for (text, expected) in [
            ("9:00", Some("09:00")),
            ("18hs", Some("18:00")),
            ("18 hs.", Some("18:00")),
            ("8:30 h", Some("08:30")),
            ("09:00", Some("09:00")),
            ("9", None),
            ("18.30", None),
            ("hs", None),
            ("123:00", None),
        ] {
            assert_eq!(time(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn lifetimes_with_a_unit_are_seconds() {
        for (text, expected) in [
            ("30s", Some(30)),
            ("5m", Some(300)),
            ("5 min", Some(300)),
            ("24h", Some(86_400)),
            ("7d", Some(604_800)),
            ("300", None),
            ("1y", None),
            ("h", None),
            ("-1s", None),
            ("9999999999999999999d", None),
            ("999999999999999999d", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
