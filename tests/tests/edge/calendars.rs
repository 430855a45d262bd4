//! Calendars: shipped holidays match independent sources, missing years are reported, and days can
//! be added without a restart.

use std::collections::BTreeSet;

use tero_config::CalendarSource;
use tero_config::calendars::{BUILTIN_CALENDARS, load};
use tero_tests::{Edge, Origin, Reply, eventually, get};

use crate::program::{Serving, assert_code, configuration, err, out, run_in};

const LISTS: &str = include_str!("../../data/holidays.tsv");

/// Known mistakes of the lists, and the source for each correction.
const CORRECTIONS: &[(&str, char, &str, &str)] = &[
    // Resolución JGM 139/2025 moved it to Friday the 10th.
    ("argentina", 'd', "-2025-10-12", "+2025-10-10"),
    ("argentina", 'p', "-2025-10-12", "+2025-10-10"),
    // Decreto 1103/2026, of October, is newer than the list.
    ("argentina", 'd', "+2026-11-09", ""),
    // Holy Saturday is a holiday (Ley 2.977); Easter Sunday is not.
    ("chile", 'd', "-2024-03-31", "+2024-03-30"),
    ("chile", 'd', "-2025-04-20", "+2025-04-19"),
    ("chile", 'd', "-2026-04-05", "+2026-04-04"),
    // Since 2024 it is on the first of October (Ley Federal del Trabajo, article 74).
    ("mexico", 'd', "-2024-12-01", "+2024-10-01"),
    // The BOE leaves Sundays to the communities.
    ("spain", 'd', "-2024-12-08", ""),
    ("spain", 'd', "-2025-10-12", ""),
    ("spain", 'd', "-2026-11-01", ""),
    ("spain", 'd', "-2026-12-06", ""),
];

#[test]
fn shipped_holidays_match_two_independent_lists() {
    for country in BUILTIN_CALENDARS {
        let calendar = load(&CalendarSource::Builtin(country.to_owned())).unwrap();
        let shipped: BTreeSet<String> = calendar.days().map(|(date, _)| date.to_string()).collect();
        for list in ['d', 'p'] {
            let rows = LISTS
                .lines()
                .filter(|line| !line.starts_with('#'))
                .map(|line| line.split('\t').collect::<Vec<_>>());
            let of_list = rows
                .filter(|row| row[0] == country && row[2].contains(list))
                .map(|row| row[1].to_owned());
            let mut expected: BTreeSet<String> = of_list.collect();
            for (_, _, one, other) in CORRECTIONS
                .iter()
                .filter(|it| it.0 == country && it.1 == list)
            {
                for change in [one, other] {
                    match change.split_at_checked(1) {
                        Some(("-", date)) => assert!(
                            expected.remove(date),
                            "{country} {list}: {date} is not in the list"
                        ),
                        Some((_, date)) => assert!(
                            expected.insert(date.to_owned()),
                            "{country} {list}: {date} is in the list"
                        ),
                        None => {}
                    }
                }
            }
            assert!(expected.len() > 20, "{country} {list}");
            assert_eq!(shipped, expected, "{country} {list}");
        }
    }
}

#[test]
fn a_metric_warns_two_months_before_a_year_without_holidays() {
    let origin = Origin::start();
    let keys = "calendar = \"builtin:argentina\"\nsettings = { zone = \"UTC\", open = \"09:00\", close = \"18:00\" }";
    let edge = Edge::before(&origin)
        .policy("hours", "builtin:business-hours", keys)
        .zone("UTC")
        .at("2026-10-31T23:59:59")
        .start();
    let missing = || edge.metric("tero_policy_calendar_missing_years", &["policy=\"hours\""]);
    assert_eq!(missing(), 0.0);
    edge.turn_to("2026-11-01T00:00:00");
    assert_eq!(missing(), 1.0);
    let without = Edge::before(&origin)
        .policy(
            "hours",
            "builtin:business-hours",
            keys.split_once('\n').unwrap().1,
        )
        .start();
    assert!(
        !without
            .admin_get("/metrics")
            .text()
            .contains("tero_policy_calendar_missing_years{"),
        "it has no calendar to miss any"
    );
}

const HOURS: &str = "policies = [\"hours\"]\n\n[[policy]]\nname = \"hours\"\nmodule = \"builtin:business-hours\"\ncalendar = \"days.toml\"\n\
    limits = { deadline = \"5s\" }\nsettings = { zone = \"UTC\", open = \"00:00\", close = \"24:00\", rules = [{ paths = [\"*\"], inside = \"1min\", outside = \"1h\" }] }\n";

#[test]
fn the_check_warns_of_a_year_without_holidays() {
    let folder = tero_tests::folder();
    let origin = Origin::start();
    std::fs::write(
        folder.path().join("tero.toml"),
        configuration(&origin, HOURS),
    )
    .unwrap();
    std::fs::write(folder.path().join("days.toml"), "years = [1999]\n").unwrap();
    let checked = run_in(folder.path(), &["check"]);
    assert_code(&checked, 0);
    assert!(
        err(&checked).contains("warning: tero.toml:")
            && err(&checked).contains("has no data for 2"),
        "{}",
        err(&checked)
    );
    let json: serde_json::Value =
        serde_json::from_str(&out(&run_in(folder.path(), &["check", "--json"]))).unwrap();
    assert_eq!(json["warnings"][0]["key"], "policy.calendar");
    assert!(
        json["warnings"][0]["cure"]
            .as_str()
            .unwrap()
            .contains("years = [2"),
        "{json}"
    );
}

#[test]
fn holidays_are_added_without_a_restart() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(7, "page"));
    // A calendar that covers every year and has no holidays.
    let years = format!("years = {:?}\n", (1970..2200).collect::<Vec<_>>());
    let configuration = configuration(&origin, HOURS);
    let folder = tero_tests::folder();
    let calendar = folder.path().join("days.toml");
    std::fs::write(&calendar, &years).unwrap();
    let serving =
        Serving::start(&configuration.replace("days.toml", &calendar.display().to_string()));
    let detail = |path: &str| {
        serving
            .client()
            .send(&get(path).host("www.example"))
            .cache_status()
            .detail
            .unwrap_or_default()
    };
    assert!(detail("/before").contains("open"), "{}", detail("/before"));
    let date = serving
        .client()
        .send(&get("/date").host("www.example"))
        .header("date")
        .unwrap();
    let today = chrono::DateTime::parse_from_rfc2822(&date)
        .unwrap()
        .date_naive();
    let day = |date: chrono::NaiveDate| {
        format!("[[day]]\ndate = \"{date}\"\nname = \"Inventario\"\nkind = \"closed\"\n")
    };
    std::fs::write(
        &calendar,
        [years, day(today), day(today.succ_opt().unwrap())].concat(),
    )
    .unwrap();
    serving.signal("HUP");
    serving.line_with(&["read again"]);
    let mut number = 0;
    eventually("a page of the new holiday", || {
        number += 1;
        detail(&format!("/after/{number}")).contains("closed (holiday: Inventario)")
    });
}

#[test]
fn malformed_calendars_are_refused_with_file_line_and_cure() {
    let folder = tero_tests::folder();
    let origin = Origin::start();
    let site = "policies = [\"hours\"]\n";
    let good = "[[policy]]\nname = \"hours\"\nmodule = \"builtin:business-hours\"\nCALENDAR[policy.settings]\nzone = \"UTC\"\n\
        windows = [\n    { from = \"09:00\", to = \"18:00\" },\n    WINDOW]\nrules = [\n    { paths = [\"/a/*\"], inside = \"1min\", outside = \"1h\" },\n    RULE]\nPLAN";
    let calendar = folder.path().join("days.toml");
    let check =
        |holes: [(&str, &str); 4], days: &str, file: &str, line_of: &str, words: &[&str]| {
            let entries = holes.iter().fold(good.to_owned(), |text, (hole, with)| {
                text.replace(hole, with)
            });
            let text = configuration(&origin, &format!("{site}{entries}"));
            std::fs::write(folder.path().join("tero.toml"), &text).unwrap();
            std::fs::write(&calendar, days).unwrap();
            let checked = run_in(folder.path(), &["check", "--json"]);
            if words.is_empty() {
                assert_code(&checked, 0);
                return;
            }
            assert_code(&checked, 1);
            let json: serde_json::Value = serde_json::from_str(&out(&checked)).unwrap();
            let error = &json["errors"][0];
            let line = 1 + text
                .lines()
                .position(|line| line.contains(line_of))
                .unwrap() as u64;
            assert_eq!(
                (error["file"].as_str(), error["line"].as_u64()),
                (Some("tero.toml"), Some(line)),
                "{error}"
            );
            let told = format!("{} {}", error["problem"], error["cure"]);
            assert!(
                words.iter().chain([&file]).all(|word| told.contains(word)),
                "{words:?}: {error}"
            );
        };
    let holes = |window, rule, plan, calendar| {
        [
            ("WINDOW", window),
            ("RULE", rule),
            ("PLAN", plan),
            ("CALENDAR", calendar),
        ]
    };
    let plan = |schedule: &str| {
        format!(
            "[[warm]]\nname = \"p\"\nsite = \"site\"\nurls = [\"/\"]\nschedule = \"{schedule}\"\n"
        )
    };
    let with_calendar = holes("", "", "", "calendar = \"days.toml\"\n");
    let day = |date: &str| format!("[[day]]\ndate = \"{date}\"\nname = \"X\"\nkind = \"closed\"\n");
    check(holes("", "", "", ""), "", "", "", &[]);
    check(
        holes("{ from = \"10:00\", to = \"10:00\" }", "", "", ""),
        "",
        "",
        "10:00",
        &["covers nothing", "00:00"],
    );
    check(
        holes("{ from = \"10:00\", to = \"12:00\" }", "", "", ""),
        "",
        "",
        "10:00",
        &["never opens by itself", "leave it out"],
    );
    check(
        holes(
            "{ days = [], from = \"20:00\", to = \"22:00\" }",
            "",
            "",
            "",
        ),
        "",
        "",
        "20:00",
        &["days"],
    );
    check(
        holes(
            "",
            "{ paths = [\"/a/b\"], inside = \"1s\", outside = \"1s\" }",
            "",
            "",
        ),
        "",
        "",
        "/a/b",
        &["/a/b is decided by", "put this rule before that one"],
    );
    let (impossible, never) = (plan("61 9 * * *"), plan("0 9 30 2 *"));
    check(
        holes("", "", &impossible, ""),
        "",
        "",
        "61 9",
        &["five fields"],
    );
    check(
        holes("", "", &never, ""),
        "",
        "",
        "30 2",
        &["no date ever matches"],
    );
    check(
        with_calendar,
        &format!("years = [2026]\n{0}{0}", day("2026-05-01")),
        "days.toml",
        "days.toml",
        &["line 7", "listed twice", "keep one"],
    );
    check(
        with_calendar,
        &format!("years = [2026]\n{}", day("2026-02-30")),
        "days.toml",
        "days.toml",
        &["line 3", "is not a date"],
    );
    let zone = configuration(
        &origin,
        &format!("{site}{}", good.replace("UTC", "America/Buenos_Ayres")),
    )
    .replace("WINDOW", "")
    .replace("RULE", "")
    .replace("PLAN", "")
    .replace("CALENDAR", "");
    std::fs::write(folder.path().join("tero.toml"), &zone).unwrap();
    let told = err(&run_in(folder.path(), &["check"]));
    let line = 1 + zone
        .lines()
        .position(|line| line.contains("Ayres"))
        .unwrap();
    assert!(
        told.contains(&format!("tero.toml:{line}:")) && told.contains("America/Buenos_Aires"),
        "{told}"
    );
    let served = run_in(folder.path(), &["serve"]);
    assert_code(&served, 1);
    assert!(
        err(&served).contains(&format!("tero.toml:{line}:")),
        "{}",
        err(&served)
    );
}
