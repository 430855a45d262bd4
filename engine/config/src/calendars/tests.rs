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
        &[(
            1,
            "extends",
            "`builtin:atlantis` is not a calendar that comes with tero",
        )],
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
fn a_year_without_a_day_is_not_filled_in() {
    let day = "[[day]]\ndate = \"2027-05-02\"\nname = \"X\"\nkind = \"closed\"\n";
    let coverage = |text: &str| parse(text).unwrap().coverage(2027);
    for (top, without, with) in [
        ("", Some(YearCoverage::Empty), Some(YearCoverage::Complete)),
        (
            "extends = \"builtin:argentina\"\n",
            Some(YearCoverage::ByLaw),
            Some(YearCoverage::Complete),
        ),
    ] {
        assert_eq!(
            coverage(&format!("{top}years = [2027]\n")),
            without,
            "{top}"
        );
        assert_eq!(
            coverage(&format!("{top}years = [2027]\n{day}")),
            with,
            "{top}"
        );
    }
    let empty = parse("years = [2027]").unwrap();
    let new_year = Timestamp::from_unix_secs(1_798_761_600);
    assert_eq!(missing_years(&empty, new_year), [2027]);
    assert_eq!(years_by_law(&empty, new_year), [] as [i32; 0]);
}

#[test]
fn several_calendars_are_extended_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        CalendarSource::File(path)
    };
    let day = |date: &str, name: &str| {
        format!("[[day]]\ndate = \"{date}\"\nname = \"{name}\"\nkind = \"closed\"\n")
    };
    let both = "years = [2026, 2027]\n";
    write(
        "shared/company.toml",
        &[
            both,
            &day("2026-12-25", "Fiesta"),
            &day("2027-05-03", "Puente"),
        ]
        .concat(),
    );
    let shop = write(
        "shop.toml",
        &[
            "extends = [\"builtin:spain/madrid\", \"shared/company.toml\"]\n",
            &day("2026-03-02", "Inventario"),
        ]
        .concat(),
    );
    let calendar = load(&shop).unwrap();
    let name = |date: &str| {
        let day = calendar.on(date.parse().unwrap());
        day.map(|day| day.name.clone()).unwrap_or_default()
    };
    assert_eq!(name("2026-12-25"), "Fiesta");
    assert_eq!(name("2026-05-02"), "Fiesta de la Comunidad de Madrid");
    assert_eq!(name("2026-03-02"), "Inventario");
    // Of 2027 the company knows all, and Madrid the laws; of 2025 the company knows nothing.
    assert!(calendar.covers(2026) && !calendar.covers(2025));
    assert_eq!(calendar.coverage(2027), Some(YearCoverage::ByLaw));

    let refused = |text: &str| load(&write("bad.toml", text)).unwrap_err().to_string();
    for (text, words) in [
        ("extends = []", "is empty"),
        ("extends = 3", "is not a text"),
        ("extends = [\"builtin:spain\", 3]", "is not a text"),
        ("extends = \"nowhere.toml\"", "nowhere.toml: "),
        ("extends = \"bad.toml\"", "is one file too many"),
        (
            "extends = [\"builtin:spain/Cataluña \"]",
            "did you mean \"builtin:spain/cataluna\"?",
        ),
    ] {
        assert!(refused(text).contains(words), "{text}: {}", refused(text));
    }
    let many = |count| format!("extends = {:?}", vec!["builtin:chile"; count]);
    assert!(load(&write("many.toml", &many(8))).is_ok());
    assert!(refused(&many(9)).contains("names 9 calendars"));
    // A mistake of a file below is told with its own place.
    write(
        "below.toml",
        "years = [2026]\n[[day]]\ndate = \"2026-02-30\"\n",
    );
    assert!(refused("extends = \"below.toml\"").contains("below.toml: line 3: day[1].date"));
}

#[test]
fn files_extend_each_other_up_to_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: String| folder.path().join(name);
    let chain = |length: usize| {
        for number in 0..length {
            let text = format!("extends = \"{}.toml\"", number + 1);
            std::fs::write(path(format!("{number}.toml")), text).unwrap();
        }
        std::fs::write(path(format!("{length}.toml")), "years = [2026]").unwrap();
        load(&CalendarSource::File(path("0.toml".to_owned())))
    };
    assert!(chain(4).is_ok());
    assert!(chain(5).is_err());
    // In all: 8 files of 8 files each are too many.
    let eight = |prefix: &str| {
        let names: Vec<String> = (0..8)
            .map(|number| format!("{prefix}{number}.toml"))
            .collect();
        format!("extends = {names:?}")
    };
    std::fs::write(path("wide.toml".to_owned()), eight("a")).unwrap();
    for number in 0..8 {
        std::fs::write(path(format!("a{number}.toml")), eight("b")).unwrap();
        std::fs::write(path(format!("b{number}.toml")), "years = [2026]").unwrap();
    }
    let wide = load(&CalendarSource::File(path("wide.toml".to_owned()))).unwrap_err();
    assert!(wide.to_string().contains("is one file too many"), "{wide}");
}

#[test]
fn every_shipped_calendar_is_good() {
    for name in builtin_calendars() {
        let calendar = shipped::builtin(&name).unwrap();
        for year in law::LAW_YEARS {
            let holidays = builtin_holidays(&name, year).unwrap();
            assert!((7..=30).contains(&holidays.len()), "{name} {year}");
            assert!(calendar.coverage(year) >= Some(YearCoverage::ByLaw));
        }
        let covered = |(date, _): (chrono::NaiveDate, _)| calendar.coverage(date.year()).is_some();
        // A day of the first week of the year after the last one would be a rule's mistake.
        assert!(calendar.days().all(covered), "{name}");
    }
    assert_eq!(builtin_calendars().len(), 41);
}

#[test]
fn a_decree_has_a_calendar_a_law_does_not_contradict() {
    let names = builtin_calendars();
    for name in &names {
        for decree in decrees::of(name) {
            assert!(!decree.source.is_empty(), "{decree:?}");
            // What a decree makes a working day was a holiday, and what it adds was none.
            let country = name.split('/').next().unwrap();
            let law = law::CountryLaw::named(country).unwrap();
            let region = law
                .regions
                .iter()
                .find(|region| name.ends_with(&format!("/{}", region.name)));
            let was_holiday = law.holidays(region).contains_key(&decree.date);
            assert_eq!(was_holiday, decree.holiday.is_none(), "{decree:?}");
        }
    }
    let all: usize = names.iter().map(|name| decrees::of(name).count()).sum();
    assert!(all > 40, "{all} decrees of known calendars");
}

#[test]
fn laws_and_decrees_are_told_apart() {
    let in_december = |year| {
        let holidays = builtin_holidays("argentina", year).unwrap();
        let december = holidays.into_iter().filter(|day| day.date.month() == 12);
        december
            .map(|day| (day.date.day(), day.decree))
            .collect::<Vec<_>>()
    };
    let decree = Some("Resolución JGM 164/2025");
    assert_eq!(in_december(2026), [(7, decree), (8, None), (25, None)]);
    assert_eq!(in_december(2027), [(8, None), (25, None)]);
    assert_eq!(builtin_holidays("argentina/atlantis", 2026), None);
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
        "2027-11-20",
        "2030-11-18",
    ] {
        assert!(calendar.on(closed.parse().unwrap()).is_some(), "{closed}");
    }
    for working in [
        "2024-11-20",
        "2025-10-12",
        "2025-10-13",
        "2025-06-17",
        "2026-11-20",
        "2026-12-24",
        "2026-06-17",
    ] {
        assert!(calendar.on(working.parse().unwrap()).is_none(), "{working}");
    }
}

#[test]
fn a_year_is_looked_at_two_months_ahead() {
    let source = |name: &str| load(&CalendarSource::Builtin(name.to_owned())).unwrap();
    let first_of_2027 = Timestamp::from_unix_secs(1_798_761_600);
    let before = |days: u64| first_of_2027.saturating_sub(Duration::from_secs(days * 86_400));
    // By law, decrees not known: a notice, not a gap.
    let argentina = source("argentina");
    for (now, by_law) in [
        (before(200), &[][..]),
        (before(62), &[]),
        (before(61), &[2027]),
        (first_of_2027, &[2027]),
    ] {
        assert_eq!(years_by_law(&argentina, now), by_law);
        assert_eq!(missing_years(&argentina, now), [] as [i32; 0]);
    }
    // Where decrees don't decide, laws are all.
    assert_eq!(
        years_by_law(&source("mexico"), first_of_2027),
        [] as [i32; 0]
    );
    let own = Calendar::covering([2026]);
    assert_eq!(missing_years(&own, before(62)), [] as [i32; 0]);
    assert_eq!(missing_years(&own, before(61)), [2027]);
    assert_eq!(missing_years(&Calendar::default(), before(1)), [2026, 2027]);
}

#[test]
fn an_unknown_name_and_a_missing_file_are_refused_with_a_cure() {
    let cure = |name: &str| {
        load(&CalendarSource::Builtin(name.to_owned()))
            .unwrap_err()
            .to_string()
    };
    for (name, meant) in [
        ("atlantis", "write \"builtin:argentina\""),
        ("argentine", "did you mean \"builtin:argentina\"?"),
        (
            "argentina/Córdoba",
            "did you mean \"builtin:argentina/cordoba\"?",
        ),
        (
            "Santa Cruz",
            "did you mean \"builtin:argentina/santa-cruz\"?",
        ),
        ("spain/madird", "did you mean \"builtin:spain/madrid\"?"),
    ] {
        assert!(cure(name).contains(meant), "{name}: {}", cure(name));
    }
    let missing = load(&CalendarSource::File("/nowhere/calendar.toml".into())).unwrap_err();
    assert!(matches!(missing, CalendarError::Unreadable { .. }));
}
