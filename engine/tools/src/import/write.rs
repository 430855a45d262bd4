//! Writes the configuration as TOML for people to read and change.

use std::fmt::Write as _;

use chrono_tz::Tz;

use super::calendar::calendar_of;
use super::legacy::{DAYS, LegacyFile, LegacyPlan};
use super::target::ImportTarget;
use tero_config::raw::{RawKind, RawValue, quote};

/// The name of the only policy.
const POLICY: &str = "rules";
/// The longest list on one line, in bytes; the items of a longer one get a line each.
const LINE: usize = 100;

/// Writes the whole configuration.
pub(super) fn configuration(
    legacy: &LegacyFile,
    document: &RawValue,
    target: &ImportTarget,
    file_name: &str,
) -> String {
    let site = site_name(legacy.name.as_deref().unwrap_or_default());
    let file = file_name
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or(file_name)
        .replace(char::is_control, " ");
    let mut out = format!(
        "# Made by `tero import` from {file}. `tero check` checks it, `tero serve` runs it.\n\n"
    );
    out.push_str(
        "[server]\nlisten = [\"0.0.0.0:8080\"]\n\n[admin]\nlisten = \"127.0.0.1:9090\"\n\n",
    );
    policy(&mut out, legacy, document);
    let hosts: Vec<String> = target.hosts.iter().map(|host| quote(host)).collect();
    let comment = if target.hosts.iter().any(|host| host == "*") {
        "   # plans fetch pages under these names: write those of your site"
    } else {
        ""
    };
    let _ = write!(
        out,
        "\n[[site]]\nname = {}\nhosts = [{}]{comment}\norigins = [{}]\npolicies = [\"{POLICY}\"]\n",
        quote(&site),
        hosts.join(", "),
        quote(&target.origin)
    );
    if let Some(zone) = legacy.zone {
        let _ = writeln!(out, "zone = {}", quote(zone.name()));
    }
    for entry in &legacy.plans {
        plan(&mut out, entry, &site, legacy.zone);
    }
    out
}

fn policy(out: &mut String, legacy: &LegacyFile, document: &RawValue) {
    let _ = write!(
        out,
        "[[policy]]\nname = \"{POLICY}\"\nmodule = \"builtin:json-rules\"\n"
    );
    if legacy.holidays_count {
        match legacy.zone.and_then(|zone| calendar_of(zone.name())) {
            Some(calendar) => {
                let _ = writeln!(out, "calendar = \"builtin:{calendar}\"");
            }
            None => out.push_str(
                "# calendar = \"holidays.toml\"   # the rules treat holidays as closed: name a calendar file\n",
            ),
        }
    }
    out.push_str("\n[policy.settings]\n");
    let RawKind::Table(entries) = &document.kind else {
        return;
    };
    // Plans are not settings of the policy.
    for entry in entries.iter().filter(|entry| entry.key != "warming") {
        let _ = write!(out, "{} = ", bare_or_quoted(&entry.key));
        value(out, &entry.value);
        out.push('\n');
    }
}

fn plan(out: &mut String, plan: &LegacyPlan, site: &str, zone: Option<Tz>) {
    let _ = write!(
        out,
        "\n[[warm]]\nname = {}\nsite = {}\n",
        quote(&plan.name),
        quote(site)
    );
    if let Some((hour, minute, days)) = &plan.at {
        let _ = writeln!(
            out,
            "schedule = \"{minute} {} * * {}\"",
            hour % 24,
            weekdays(days, *hour == 24)
        );
        let _ = writeln!(
            out,
            "zone = {}",
            quote(zone.map_or("UTC", |zone| zone.name()))
        );
    }
    if !plan.urls.is_empty() {
        let _ = writeln!(out, "urls = {}", texts(&plan.urls));
    }
    if let Some(sitemap) = &plan.sitemap {
        let _ = writeln!(out, "sitemap = {}", quote(sitemap));
    }
    if plan.popular > 0 {
        let _ = writeln!(out, "popular = {}", plan.popular);
    }
    if !plan.variants.is_empty() {
        let _ = writeln!(out, "variants = {}", texts(&plan.variants));
    }
}

/// The days as a field of a cron expression; three and more in a row become a range. Times at 24:00
/// belong to the day after: `midnight_after` moves the days by one.
fn weekdays(days: &[usize], midnight_after: bool) -> String {
    let mut days: Vec<usize> = days
        .iter()
        .map(|day| (day + usize::from(midnight_after)) % 7)
        .collect();
    days.sort_unstable();
    days.dedup();
    if days.len() == 7 {
        return "*".to_owned();
    }
    let runs = days.chunk_by(|one, next| one + 1 == *next);
    let name = |day: usize| DAYS[day].to_ascii_uppercase();
    let parts: Vec<String> = runs
        .flat_map(|run| match run {
            [first, .., last] if run.len() > 2 => vec![format!("{}-{}", name(*first), name(*last))],
            run => run.iter().map(|day| name(*day)).collect(),
        })
        .collect();
    parts.join(",")
}

fn value(out: &mut String, written: &RawValue) {
    match &written.kind {
        RawKind::List(items)
            if items
                .iter()
                .any(|item| matches!(item.kind, RawKind::Table(_))) =>
        {
            out.push_str("[\n");
            for item in items {
                let _ = writeln!(out, "  {},", inline(item));
            }
            out.push(']');
        }
        RawKind::List(items) if inline(written).len() > LINE => {
            out.push_str("[\n");
            for item in items {
                let _ = writeln!(out, "  {},", inline(item));
            }
            out.push(']');
        }
        _ => out.push_str(&inline(written)),
    }
}

fn inline(value: &RawValue) -> String {
    match &value.kind {
        // The reader refuses `null` everywhere.
        RawKind::Null => "\"\"".to_owned(),
        RawKind::Flag(flag) => flag.to_string(),
        RawKind::Integer(number) => number.to_string(),
        RawKind::Float(number) => format!("{number:?}"),
        RawKind::Text(text) | RawKind::Datetime(text) => quote(text),
        RawKind::List(items) => format!(
            "[{}]",
            items.iter().map(inline).collect::<Vec<_>>().join(", ")
        ),
        RawKind::Table(entries) if entries.is_empty() => "{}".to_owned(),
        RawKind::Table(entries) => {
            let entries = entries
                .iter()
                .map(|entry| format!("{} = {}", bare_or_quoted(&entry.key), inline(&entry.value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

fn texts(items: &[String]) -> String {
    format!(
        "[{}]",
        items
            .iter()
            .map(|item| quote(item))
            .collect::<Vec<_>>()
            .join(", ")
    )
}

fn bare_or_quoted(key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if bare { key.to_owned() } else { quote(key) }
}

/// A name for the site, made of the name in the file.
fn site_name(name: &str) -> String {
    let mapped: String = name
        .to_lowercase()
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() || character == '_' {
                character
            } else {
                '-'
            }
        })
        .take(64)
        .collect();
    match mapped.trim_matches('-') {
        "" => "site".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_a_cron_field() {
        let cases: [(&[usize], bool, &str); 7] = [
            (&[0, 1, 2, 3, 4, 5], false, "MON-SAT"),
            (&[0, 1, 2, 3, 4, 5, 6], false, "*"),
            (&[0, 2, 4], false, "MON,WED,FRI"),
            (&[5, 6], false, "SAT,SUN"),
            (&[6, 0, 1, 2], false, "MON-WED,SUN"),
            (&[0], true, "TUE"),
            (&[5, 6], true, "MON,SUN"),
        ];
        for (days, midnight_after, field) in cases {
            assert_eq!(weekdays(days, midnight_after), field, "{days:?}");
        }
    }

    #[test]
    fn the_name_in_the_file_becomes_the_name_of_the_site() {
        for (name, site) in [
            ("cdn-argentina", "cdn-argentina"),
            ("CDN Perú", "cdn-per"),
            ("", "site"),
            ("!!", "site"),
        ] {
            assert_eq!(site_name(name), site);
        }
    }
}
