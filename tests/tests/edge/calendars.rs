//! Calendars: shipped holidays match independent sources, missing years are reported, and days can
//! be added without a restart.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate};
use tero_config::CalendarSource;
use tero_config::calendars::{BUILTIN_CALENDARS, builtin_calendars, load};
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
        let shipped: BTreeSet<String> = calendar
            .days()
            .filter(|(date, _)| {
                calendar.covers(date.year()) && (2024..=2026).contains(&date.year())
            })
            .map(|(date, _)| date.to_string())
            .collect();
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

/// Holidays of all calendars from 2024 to 2030, by another package.
const REGIONS: &str = include_str!("../../data/holidays-by-region.tsv");

/// Where that package differs, why, and its days that we don't have (-) and ours that it doesn't
/// have (+). A country's holds for its regions too.
const EXPLAINED: &[(&str, &str, &str)] = &[
    (
        "argentina",
        "Resolución JGM 139/2025 moved 12 October 2025 to Friday the 10th",
        "-2025-10-12 +2025-10-10",
    ),
    ("spain/ceuta", FEASTS_OF_ISLAM, ESTIMATES),
    ("spain/melilla", FEASTS_OF_ISLAM, ESTIMATES),
];

/// Real Decreto 2001/1983, article 45.3; the resolutions of the Dirección General de Trabajo.
const FEASTS_OF_ISLAM: &str =
    "they follow the moon, and the city names their dates year by year; the package estimates them";
const ESTIMATES: &str = "-2027-03-09 -2027-05-16 -2028-02-26 -2028-05-05 \
    -2029-02-14 -2029-04-24 -2030-02-04 -2030-04-13";

#[test]
fn calendars_match_the_package_holidays_from_2024_to_2030() {
    let mut unexplained = Vec::new();
    let mut compared = BTreeSet::new();
    for row in REGIONS.lines().filter(|line| !line.starts_with('#')) {
        let [name, year, days] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{row}")
        };
        let calendar = load(&CalendarSource::Builtin(name.to_owned())).unwrap();
        let mut theirs: BTreeSet<NaiveDate> = days
            .split(' ')
            .map(|day| format!("{year}-{day}").parse().unwrap())
            .collect();
        let country = name.split('/').next().unwrap();
        let explained = EXPLAINED
            .iter()
            .filter(|(of, ..)| *of == name || *of == country);
        for change in explained.flat_map(|(.., changes)| changes.split(' ')) {
            let (sign, date) = change.split_at(1);
            if date.starts_with(year) {
                let date = date.parse().unwrap();
                let is_new = match sign {
                    "-" => theirs.remove(&date),
                    _ => theirs.insert(date),
                };
                assert!(is_new, "{name}: {change} explains nothing");
            }
        }
        let year: i32 = year.parse().unwrap();
        let days = calendar.days().map(|(date, _)| date);
        let ours: BTreeSet<NaiveDate> = days.filter(|date| date.year() == year).collect();
        let only = |sign: char, one: &BTreeSet<NaiveDate>, other: &BTreeSet<NaiveDate>| {
            let only = one.difference(other);
            only.map(|date| format!("{name} {sign}{date}"))
                .collect::<Vec<_>>()
        };
        unexplained.extend(only('-', &theirs, &ours));
        unexplained.extend(only('+', &ours, &theirs));
        compared.insert(name.to_owned());
    }
    assert_eq!(unexplained, [] as [String; 0], "{}", unexplained.join("\n"));
    assert_eq!(compared, builtin_calendars().into_iter().collect());
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
    let years = |name| edge.metric(name, &["policy=\"hours\""]);
    let missing = || years("tero_policy_calendar_missing_years");
    let by_law = || years("tero_policy_calendar_years_by_law");
    assert_eq!((missing(), by_law()), (0.0, 0.0));
    edge.turn_to("2026-11-01T00:00:00");
    // The laws of Argentina hold for any year; its decrees for 2027 are not known.
    assert_eq!((missing(), by_law()), (0.0, 1.0));
    let folder = tero_tests::folder();
    let own = folder.path().join("days.toml");
    let days = |day: &str| {
        std::fs::write(
            &own,
            format!(
                "years = [2026, 2027]\n[[day]]\ndate = \"{day}\"\nname = \"X\"\nkind = \"closed\"\n"
            ),
        )
        .unwrap();
        let keys = keys.replace("builtin:argentina", &own.display().to_string());
        let edge = Edge::before(&origin)
            .policy("hours", "builtin:business-hours", &keys)
            .zone("UTC")
            .at("2026-11-01T00:00:00")
            .start();
        edge.metric("tero_policy_calendar_missing_years", &["policy=\"hours\""])
    };
    // A year that the file names without a day in it is a gap.
    assert_eq!((days("2026-12-24"), days("2027-12-24")), (1.0, 1.0));
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
fn the_check_tells_a_year_by_law_from_a_gap() {
    let folder = tero_tests::folder();
    let origin = Origin::start();
    let hours = HOURS.replace("UTC", "America/Argentina/Salta");
    std::fs::write(
        folder.path().join("tero.toml"),
        configuration(&origin, &hours),
    )
    .unwrap();
    // Whatever the year is, the decrees of 2023 and before are not known, and later ones not yet.
    let schedule = |days: &str| {
        std::fs::write(folder.path().join("days.toml"), days).unwrap();
        let from = ["schedule", "--from", "2023-09-14T12:00", "--next", "3d"];
        let told = run_in(folder.path(), &from);
        assert_code(&told, 0);
        (out(&told), err(&told))
    };
    let salta = "extends = \"builtin:argentina/salta\"\n";
    let notice = "notice: the calendar of the policy hours has the holidays of 2023 by law; decrees for 2023 are not known\n";
    let (events, told) = schedule(salta);
    assert!(told.contains(notice) && !told.contains("warning"), "{told}");
    assert!(
        events.contains("holiday: Señor y Virgen del Milagro (closed), for hours"),
        "{events}"
    );
    // An empty list of days does not silence it; a day does.
    let named = format!("{salta}years = [2023]\n");
    assert!(schedule(&named).1.contains(notice));
    let day = "[[day]]\ndate = \"2023-09-16\"\nname = \"Puente\"\nkind = \"closed\"\n";
    assert_eq!(schedule(&format!("{named}{day}")).1, "");
    // Without laws, it is a gap.
    let (_, told) = schedule("years = [2023]\n");
    assert!(
        told.contains("warning: the calendar of the policy hours has no data for 2023"),
        "{told}"
    );
}

#[test]
fn a_policy_names_a_region() {
    let folder = tero_tests::folder();
    let origin = Origin::start();
    let check = |calendar: &str| {
        let hours = HOURS.replace("days.toml", calendar);
        let text = configuration(&origin, &hours);
        std::fs::write(folder.path().join("tero.toml"), text).unwrap();
        let checked = run_in(folder.path(), &["check", "--json"]);
        serde_json::from_str::<serde_json::Value>(&out(&checked)).unwrap()
    };
    assert_eq!(
        check("builtin:spain/madrid")["errors"],
        serde_json::json!([])
    );
    let refused = check("builtin:spain/Madird");
    let error = &refused["errors"][0];
    assert_eq!(
        error["problem"],
        "there is no calendar `builtin:spain/Madird`"
    );
    let cure = error["cure"].as_str().unwrap();
    assert!(
        cure.starts_with("did you mean \"builtin:spain/madrid\"?"),
        "{cure}"
    );
}

#[test]
fn calendars_and_their_days_are_listed() {
    let folder = tero_tests::folder();
    let list = |arguments: &[&str]| {
        let listed = run_in(folder.path(), &[&["calendar", "list"], arguments].concat());
        assert_code(&listed, 0);
        (out(&listed), err(&listed))
    };
    let (all, _) = list(&[]);
    assert_eq!(all.lines().count(), builtin_calendars().len());
    let line = |name: &str| all.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(line("builtin:argentina/salta ").ends_with(" 2024-2026; by law 2022-2023, 2027-2100"));
    assert!(line("builtin:mexico ").ends_with(" 2022-2100"));
    let (days, told) = list(&["builtin:argentina", "--year", "2026"]);
    assert!(days.contains("2026-12-07 Mon  Puente con fines turísticos (Resolución JGM 164/2025)\n2026-12-08 Tue  Inmaculada Concepción de María\n"), "{days}");
    assert_eq!(told, "");
    let (days, told) = list(&["builtin:argentina", "--year", "2027"]);
    assert!(
        !days.contains("Puente") && days.contains("2027-12-08"),
        "{days}"
    );
    assert!(
        told.contains("notice: builtin:argentina has the holidays of 2027 by law"),
        "{told}"
    );
    let half_day = "years = [2027]\n[[day]]\ndate = \"2027-12-24\"\nname = \"Nochebuena\"\nkind = \"half-day\"\nfrom = \"09:00\"\nuntil = \"13:00\"\n";
    std::fs::write(folder.path().join("own.toml"), half_day).unwrap();
    let (days, _) = list(&["own.toml", "--year", "2027"]);
    assert_eq!(days, "2027-12-24 Fri  Nochebuena, open 09:00 to 13:00\n");
    let (json, _) = list(&["own.toml", "--year", "2028", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["coverage"], json["days"].as_array().unwrap().len()),
        (&"missing".into(), 0)
    );
    let unknown = run_in(folder.path(), &["calendar", "list", "builtin:peru"]);
    assert_code(&unknown, 1);
    assert!(
        err(&unknown).contains("there is no calendar `builtin:peru`"),
        "{}",
        err(&unknown)
    );
    assert_code(
        &run_in(
            folder.path(),
            &["calendar", "list", "own.toml", "--year", "20"],
        ),
        2,
    );
}

#[test]
fn an_icalendar_file_becomes_a_calendar() {
    let folder = tero_tests::folder();
    let origin = Origin::start();
    let event = |lines: &str| format!("BEGIN:VEVENT\r\n{lines}\r\nEND:VEVENT\r\n");
    let ics = [
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//gob//ES\r\n",
        &event("DTSTART;VALUE=DATE:20230616\r\nSUMMARY:Puente con fines\r\n  turísticos"),
        &event("DTSTART:20230616T100000Z\r\nSUMMARY:Reunión"),
        "END:VCALENDAR\r\n",
    ];
    std::fs::write(folder.path().join("feriados.ics"), ics.concat()).unwrap();
    let import = [
        "calendar",
        "import",
        "feriados.ics",
        "--extends",
        "builtin:argentina",
    ];
    let imported = run_in(folder.path(), &import);
    assert_code(&imported, 0);
    assert!(
        err(&imported).contains("left out: \"Reunión\""),
        "{}",
        err(&imported)
    );
    // The file completes the year of a policy.
    std::fs::write(folder.path().join("days.toml"), out(&imported)).unwrap();
    std::fs::write(
        folder.path().join("tero.toml"),
        configuration(&origin, HOURS),
    )
    .unwrap();
    let from = ["schedule", "--from", "2023-06-14T12:00", "--next", "8d"];
    let told = run_in(folder.path(), &from);
    assert_code(&told, 0);
    assert_eq!(err(&told), "");
    for holiday in [
        "Puente con fines turísticos (closed)",
        "Paso a la Inmortalidad del General Manuel Belgrano",
    ] {
        assert!(out(&told).contains(holiday), "{}", out(&told));
    }
    let other_year = run_in(
        folder.path(),
        &["calendar", "import", "feriados.ics", "--year", "2027"],
    );
    assert_code(&other_year, 1);
    assert!(
        err(&other_year).contains("no event of whole days in 2027"),
        "{}",
        err(&other_year)
    );
    assert_code(
        &run_in(folder.path(), &["calendar", "import", "nowhere.ics"]),
        1,
    );
    let unknown = [
        "calendar",
        "import",
        "feriados.ics",
        "--extends",
        "builtin:peru",
    ];
    assert_code(&run_in(folder.path(), &unknown), 1);
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
        &["write 0 to 59"],
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
