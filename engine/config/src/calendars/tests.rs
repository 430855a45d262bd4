//! Calendar files, good and bad, and the shipped calendars.

use tero_time::calendar::HolidayKind;

use super::*;

fn check(text: &str, expected: &[(usize, &str, &str)]) {
    let mistakes = parse(text).err().unwrap_or_default();
    let found: Vec<(usize, &str, &str)> = mistakes
        .iter()
        .map(|it| (it.line, &*it.key, &*it.problem))
        .collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn a_good_file_is_read() {
    let calendar = parse(
        "years = [2026]\n[[day]]\ndate = \"2026-12-25\"\nname = \"Navidad\"\nkind = \"closed\"\n\
         [[day]]\ndate = 2026-12-24\nname = \"Nochebuena\"\nkind = \"half-day\"\nfrom = \"09:00\"\nuntil = \"13:00\"\n",
    )
    .unwrap();
    let on = |text: &str| calendar.on(text.parse().unwrap()).map(|it| it.kind);
    assert_eq!(on("2026-12-25"), Some(HolidayKind::Closed));
    assert_eq!(
        on("2026-12-24"),
        Some(HolidayKind::HalfDay {
            from_mins: 540,
            until_mins: 780
        })
    );
    assert_eq!(on("2026-12-23"), None);
    assert!(calendar.covers(2026) && !calendar.covers(2025));
}

#[test]
fn mistakes_come_all_at_once_with_line_key_and_problem() {
    let day = |date: &str, rest: &str| format!("[[day]]\ndate = {date}\nname = \"X\"\n{rest}\n");
    check(
        "yers = [2026]",
        &[(1, "yers", "is not known"), (1, "years", "is missing")],
    );
    check("years = [", &[(1, "file", "unclosed array, expected `]`")]);
    check(
        "years = [2026, 2026]",
        &[(1, "years", "2026 is listed twice")],
    );
    check("years = 2026", &[(1, "years", "is not a list")]);
    check("years = []", &[(1, "years", "is empty")]);
    check(
        "years = [2026]\nday = 3",
        &[(2, "day", "is not a list of days")],
    );
    let impossible = format!(
        "years = [2026]\n{}",
        day("\"2026-02-30\"", "kind = \"closed\"")
    );
    check(
        &impossible,
        &[(3, "day[1].date", "\"2026-02-30\" is not a date")],
    );
    let loose = format!(
        "years = [2026]\n{}",
        day("\"2026-2-3\"", "kind = \"closed\"")
    );
    check(&loose, &[(3, "day[1].date", "\"2026-2-3\" is not a date")]);
    let double = format!(
        "years = [2026]\n{0}{0}",
        day("\"2026-05-01\"", "kind = \"closed\"")
    );
    check(&double, &[(7, "day[2].date", "2026-05-01 is listed twice")]);
    let hours = format!(
        "years = [2026]\n{}",
        day(
            "\"2026-05-01\"",
            "kind = \"half-day\"\nfrom = \"13:00\"\nuntil = \"9:00\""
        )
    );
    check(&hours, &[(7, "day[1].until", "is not a time of day")]);
    let order = format!(
        "years = [2026]\n{}",
        day(
            "\"2026-05-01\"",
            "kind = \"half-day\"\nfrom = \"13:00\"\nuntil = \"13:00\""
        )
    );
    check(&order, &[(7, "day[1].until", "is not after `from`")]);
    let closed = format!(
        "years = [2026]\n{}",
        day("\"2026-05-01\"", "kind = \"closed\"\nfrom = \"13:00\"")
    );
    check(
        &closed,
        &[(
            6,
            "day[1].from",
            "sets hours for a day that is not a half-day",
        )],
    );
    let bare = "years = [2026]\n[[day]]\nsize = 3\n";
    check(
        bare,
        &[
            (3, "day[1].size", "is not known"),
            (2, "day[1].date", "is missing"),
            (2, "day[1].name", "is missing"),
            (2, "day[1].kind", "is missing"),
        ],
    );
}

#[test]
fn a_file_may_extend_a_shipped_calendar() {
    let day = |date: &str, kind: &str| {
        format!("[[day]]\ndate = \"{date}\"\nname = \"X\"\nkind = {kind}\n")
    };
    let half_day = "\"half-day\"\nfrom = \"09:00\"\nuntil = \"13:00\"";
    let days = [
        day("2026-12-24", half_day),
        day("2026-12-07", "\"working\""),
        day("2026-12-08", half_day),
        day("2027-01-01", "\"closed\""),
    ]
    .concat();
    let calendar = parse(&format!("extends = \"builtin:argentina\"\n{days}")).unwrap();
    let on = |text: &str| calendar.on(text.parse().unwrap()).map(|it| it.kind);
    let hours = HolidayKind::HalfDay {
        from_mins: 540,
        until_mins: 780,
    };
    assert_eq!(
        (on("2026-12-25"), on("2026-12-07")),
        (Some(HolidayKind::Closed), None)
    );
    assert_eq!(
        (on("2026-12-24"), on("2026-12-08")),
        (Some(hours), Some(hours))
    );
    assert!(calendar.covers(2026) && !calendar.covers(2027));
    assert!(
        parse(&format!(
            "extends = \"builtin:argentina\"\nyears = [2027]\n{days}"
        ))
        .unwrap()
        .covers(2027)
    );

    check(
        "extends = \"builtin:atlantis\"",
        &[(1, "extends", "is not a calendar that comes with tero")],
    );
    let idle = format!(
        "extends = \"builtin:chile\"\n{}",
        day("2026-12-09", "\"working\"")
    );
    check(
        &idle,
        &[(3, "day[1].date", "2026-12-09 is a working day already")],
    );
    let double = format!(
        "extends = \"builtin:chile\"\n{0}{0}",
        day("2026-12-08", "\"working\"")
    );
    check(&double, &[(7, "day[2].date", "2026-12-08 is listed twice")]);
}

#[test]
fn every_shipped_calendar_is_good() {
    for name in BUILTIN_CALENDARS {
        let calendar = builtin(name).unwrap();
        let count = |year: i32| {
            calendar
                .days()
                .filter(|(date, _)| date.year() == year)
                .count()
        };
        assert!(
            [2024, 2025, 2026]
                .into_iter()
                .all(|year| calendar.covers(year) && count(year) >= 7),
            "{name}"
        );
        assert!(
            calendar
                .days()
                .all(|(date, _)| calendar.covers(date.year())),
            "{name}"
        );
    }
}

#[test]
fn argentina_has_its_moved_and_bridge_days() {
    let calendar = load(&CalendarSource::Builtin("argentina".to_owned())).unwrap();
    assert_eq!(calendar.years().collect::<Vec<_>>(), [2024, 2025, 2026]);
    for closed in [
        "2024-11-18",
        "2025-10-10",
        "2025-11-24",
        "2026-03-23",
        "2026-06-15",
        "2026-04-03",
        "2026-12-07",
        "2026-12-25",
    ] {
        assert!(calendar.on(closed.parse().unwrap()).is_some(), "{closed}");
    }
    for working in [
        "2024-11-20",
        "2025-10-13",
        "2025-06-17",
        "2026-11-20",
        "2026-12-24",
        "2026-06-17",
    ] {
        assert!(calendar.on(working.parse().unwrap()).is_none(), "{working}");
    }
    assert_eq!(calendar.days().count(), 60);
}

#[test]
fn a_year_without_data_is_reported_two_months_ahead() {
    let calendar = load(&CalendarSource::Builtin("argentina".to_owned())).unwrap();
    let first_of_2027 = Timestamp::from_unix_secs(1_798_761_600);
    let before = |days: u64| first_of_2027.saturating_sub(Duration::from_secs(days * 86_400));
    assert!(missing_years(&calendar, before(200)).is_empty());
    assert!(missing_years(&calendar, before(62)).is_empty());
    assert_eq!(missing_years(&calendar, before(61)), [2027]);
    assert_eq!(missing_years(&calendar, first_of_2027), [2027]);
    assert_eq!(missing_years(&Calendar::default(), before(1)), [2026, 2027]);
}

#[test]
fn an_unknown_name_and_a_missing_file_are_refused_with_a_cure() {
    let unknown = load(&CalendarSource::Builtin("atlantis".to_owned())).unwrap_err();
    assert!(
        unknown.to_string().contains("builtin:argentina"),
        "{unknown}"
    );
    let missing = load(&CalendarSource::File("/nowhere/calendar.toml".into())).unwrap_err();
    assert!(matches!(missing, CalendarError::Unreadable { .. }));
}
