//! Rules and values in the text of a configuration: where they stand, and what they say instead.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use tero_config::units;

/// The keys of a rule's lifetimes.
pub(super) const LIFETIMES: [&str; 3] = ["ttl", "inside", "outside"];

/// The keys under which a rule has its patterns.
pub(super) const PATTERNS: [&str; 2] = ["paths", "match"];

/// The keys of a lifetime's parts, where it is a table.
const PARTS: [&str; 4] = ["business_hours", "otherwise", "inside", "outside"];

/// A text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            // A string takes all that is written to it.
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether an inline table has a key.
pub(super) fn has_key(rule: &str, key: &str) -> bool {
    value_of(rule, key).is_some()
}

/// The place of a key's value in an inline table.
pub(super) fn value_of(rule: &str, key: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(at) = rule[from..].find(key).map(|at| from + at) {
        from = at + key.len();
        let is_whole = rule[..at].ends_with([' ', ',', '{', '\n', '\t'])
            && rule[from..].trim_start().starts_with('=');
        if !is_whole {
            continue;
        }
        let start = from + rule[from..].find('=')? + 1;
        let start = start + (rule[start..].len() - rule[start..].trim_start().len());
        let mut depth = 0_i32;
        let mut in_text = false;
        for (index, byte) in rule.bytes().enumerate().skip(start) {
            match byte {
                b'"' => in_text = !in_text,
                b'{' | b'[' if !in_text => depth += 1,
                b'}' | b']' if !in_text && depth > 0 => depth -= 1,
                b'}' | b',' if !in_text && depth == 0 => {
                    let end = start + rule[start..index].trim_end().len();
                    return Some((start, end));
                }
                _ => {}
            }
        }
    }
    None
}

/// A rule whose lifetimes are at least so long; `None` if none of them is a duration.
pub(super) fn raised(rule: &str, ttl: Duration) -> Option<String> {
    let mut rule = rule.to_owned();
    let mut has_duration = false;
    for key in LIFETIMES {
        if let Some((start, end)) = value_of(&rule, key) {
            has_duration |= has_durations(&rule[start..end]);
            let value = raised_value(&rule[start..end], ttl);
            rule.replace_range(start..end, &value);
        }
    }
    has_duration.then_some(rule)
}

/// Whether a lifetime is a duration in quotes, seconds, or a table with one of these.
fn has_durations(value: &str) -> bool {
    any_part(value, &|part| {
        quoted_duration(part).is_some() || part.parse::<u64>().is_ok()
    })
}

/// Whether a rule writes a lifetime as a duration in quotes.
pub(super) fn has_quoted_duration(rule: &str) -> bool {
    let mut values = LIFETIMES.iter().filter_map(|key| value_of(rule, key));
    values.any(|(start, end)| any_part(&rule[start..end], &|part| quoted_duration(part).is_some()))
}

/// Whether a lifetime, or a part of one that is a table, is as `is_meant` says.
fn any_part(value: &str, is_meant: &impl Fn(&str) -> bool) -> bool {
    if value.starts_with('{') {
        let mut values = PARTS.iter().filter_map(|key| value_of(value, key));
        return values.any(|(start, end)| any_part(&value[start..end], is_meant));
    }
    is_meant(value)
}

fn quoted_duration(value: &str) -> Option<Duration> {
    units::duration(value.strip_prefix('"')?.strip_suffix('"')?)
}

/// A lifetime that is at least so long: a duration in quotes, seconds, or a table of these.
pub(super) fn raised_value(value: &str, least: Duration) -> String {
    if let Some(duration) = quoted_duration(value) {
        return match duration < least {
            true => format!("\"{}\"", shown(least)),
            false => value.to_owned(),
        };
    }
    if let Ok(secs) = value.parse::<u64>() {
        return secs.max(least.as_secs()).to_string();
    }
    if value.starts_with('{') {
        let mut table = value.to_owned();
        for key in PARTS {
            if let Some((start, end)) = value_of(&table, key) {
                let raised = raised_value(&table[start..end], least);
                table.replace_range(start..end, &raised);
            }
        }
        return table;
    }
    value.to_owned()
}

/// A copy of a rule for one of its patterns, with a name of its own; the rule itself if it has no
/// other.
pub(super) fn with_pattern_alone(rule: &str, pattern: &str) -> String {
    let Some(list) = PatternList::of(rule).filter(|list| list.patterns.len() > 1) else {
        return rule.to_owned();
    };
    let mut own = rule.to_owned();
    own.replace_range(list.place, &format!("[{}]", quoted(pattern)));
    if let Some((start, end)) = value_of(&own, "name") {
        let name = own[start..end].trim_matches('"').to_owned();
        let part: String = pattern
            .chars()
            .filter(|char| char.is_ascii_alphanumeric())
            .take(24)
            .collect();
        let part = if part.is_empty() {
            "home".to_owned()
        } else {
            part.to_ascii_lowercase()
        };
        own.replace_range(start..end, &format!("\"{name}-{part}\""));
    }
    own
}

/// A rule without one of its patterns; `None` if it has no other.
pub(super) fn without_pattern(rule: &str, pattern: &str) -> Option<String> {
    let mut shorter = rule.to_owned();
    loop {
        let list = PatternList::of(&shorter)?.patterns;
        let Some(at) = list.iter().position(|(_, named)| named == pattern) else {
            return Some(shorter);
        };
        let cut = match (list.get(at + 1), at.checked_sub(1)) {
            (Some((next, _)), _) => list[at].0.start..next.start,
            (None, Some(before)) => list[before].0.end..list[at].0.end,
            (None, None) => return None,
        };
        shorter.replace_range(cut, "");
    }
}

/// The patterns of a rule, as its text has them.
struct PatternList {
    /// The bytes of the list.
    place: Range<usize>,
    /// The bytes of each pattern, and what it says.
    patterns: Vec<(Range<usize>, String)>,
}

impl PatternList {
    /// Those of an inline table, if it has any.
    fn of(rule: &str) -> Option<PatternList> {
        const BEFORE: &str = "rule = ";
        let text = format!("{BEFORE}{rule}");
        let root = DeTable::parse(&text).ok()?;
        let rule = root.get_ref().get("rule")?.get_ref().as_table()?;
        let list = PATTERNS.iter().find_map(|key| rule.get(*key))?;
        let place = |value: &Spanned<DeValue<'_>>| {
            value.span().start - BEFORE.len()..value.span().end - BEFORE.len()
        };
        let patterns = list.get_ref().as_array()?.iter();
        let patterns =
            patterns.filter_map(|one| Some((place(one), one.get_ref().as_str()?.to_owned())));
        Some(PatternList {
            place: place(list),
            patterns: patterns.collect(),
        })
    }
}

/// A text without an inline table that stands in a list, or with its key in another table; `None` if it
/// stands elsewhere.
pub(super) fn without_entry(text: &str, place: Range<usize>) -> Option<String> {
    let is_bare = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '_' | '-');
    let before = text[..place.start].trim_end();
    let start = match before.strip_suffix('=') {
        None => place.start,
        Some(key) => key.trim_end().trim_end_matches(is_bare).len(),
    };
    let before = text[..start].trim_end();
    let after = text[place.end..].trim_start();
    if let Some(next) = after.strip_prefix(',') {
        let is_within = before.ends_with(['{', '[', ',']);
        let next = next.trim_start_matches([' ', '\n', '\t', '\r']);
        return is_within.then(|| format!("{}{next}", &text[..start]));
    }
    let is_last = after.starts_with(['}', ']']);
    let rest = &text[place.end..];
    match before.strip_suffix(',') {
        Some(before) if is_last => Some(format!("{before}{rest}")),
        None if is_last && before.ends_with(['{', '[']) => Some(format!("{before}{rest}")),
        _ => None,
    }
}

/// A duration as the configuration writes it.
pub(super) fn shown(duration: Duration) -> String {
    let secs = duration.as_secs();
    for (unit, name) in [(86_400, "d"), (3_600, "h"), (60, "min")] {
        if secs >= unit && secs.is_multiple_of(unit) {
            return format!("{}{name}", secs / unit);
        }
    }
    format!("{secs}s")
}
