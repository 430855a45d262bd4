use super::*;

fn moment(text: &str) -> Moment<'static> {
    text.parse().unwrap()
}

fn window(json: &str) -> Window {
    serde_json::from_str(json).unwrap()
}

fn hours(json: &str) -> Hours {
    Hours::new(vec![window(json)], HolidayRule::Calendar)
}

fn check(json: &str, text: &str, expected: bool) {
    assert_eq!(
        window(json).contains(&moment(text)),
        expected,
        "{json} at {text}"
    );
}

#[test]
fn a_window_holds_its_first_second_and_not_its_last() {
    let shop = r#"{"days": ["mon-sat"], "from": "09:00", "to": "18:00"}"#;
    check(shop, "2026-11-24T08:59:59-03:00", false);
    check(shop, "2026-11-24T09:00:00-03:00", true);
    check(shop, "2026-11-24T17:59:59-03:00", true);
    check(shop, "2026-11-24T18:00:00-03:00", false);
    check(shop, "2026-11-28T12:00:00-03:00", true);
    check(shop, "2026-11-29T12:00:00-03:00", false);
}

#[test]
fn a_window_across_midnight_belongs_to_the_day_it_begins() {
    let bar = r#"{"days": ["fri"], "from": "22:00", "to": "04:00"}"#;
    check(bar, "2026-11-27T21:59:59-03:00", false);
    check(bar, "2026-11-27T22:00:00-03:00", true);
    check(bar, "2026-11-28T03:59:59-03:00", true);
    check(bar, "2026-11-28T04:00:00-03:00", false);
    check(bar, "2026-11-28T22:00:00-03:00", false);
    check(bar, "2026-11-27T03:00:00-03:00", false);
}

#[test]
fn both_spellings_of_midnight_end_a_day() {
    for to in ["24:00", "00:00"] {
        let evening = format!(r#"{{"days": ["fri"], "from": "20:00", "to": "{to}"}}"#);
        check(&evening, "2026-11-27T23:59:59-03:00", true);
        check(&evening, "2026-11-28T00:00:00-03:00", false);
    }
    check(
        r#"{"from": "00:00", "to": "24:00"}"#,
        "2026-11-28T00:00:00-03:00",
        true,
    );
}

#[test]
fn windows_that_cover_nothing_are_refused_with_a_cure() {
    let refusal = |json: &str| {
        serde_json::from_str::<Window>(json)
            .unwrap_err()
            .to_string()
    };
    assert!(
        refusal(r#"{"from": "09:00", "to": "09:00"}"#).contains("write \"00:00\" to \"24:00\"")
    );
    assert!(refusal(r#"{"from": "24:00", "to": "09:00"}"#).contains("cannot begin at 24:00"));
    assert!(refusal(r#"{"from": "09:00", "until": "10:00"}"#).contains("unknown field `until`"));
}

#[test]
fn holidays_are_closed_and_half_days_have_their_own_hours() {
    let shop = hours(r#"{"days": ["mon-sat"], "from": "09:00", "to": "18:00"}"#);
    let closed = Hours {
        holidays: HolidayRule::Closed,
        ..shop.clone()
    };
    let open = Hours {
        holidays: HolidayRule::Open,
        ..shop.clone()
    };
    let holiday = moment("2026-12-25T12:00:00-03:00").on_holiday("Navidad");
    assert_eq!(
        (
            shop.is_open(&holiday),
            closed.is_open(&holiday),
            open.is_open(&holiday)
        ),
        (false, false, true)
    );
    let half_day = |text: &str| {
        moment(text).on_half_day("Nochebuena", LocalTime::at(8, 0), LocalTime::at(13, 0))
    };
    for (time, is_open) in [
        ("07:59:59", false),
        ("08:00:00", true),
        ("12:59:59", true),
        ("13:00:00", false),
    ] {
        let now = half_day(&format!("2026-12-24T{time}-03:00"));
        assert_eq!(shop.is_open(&now), is_open, "{time}");
        assert!(!closed.is_open(&now));
    }
    assert!(
        !shop.is_open(&half_day("2026-11-29T10:00:00-03:00")),
        "a half-day on a Sunday does not open a shop that has none"
    );
}

fn check_change(hours: &Hours, now: &Moment, secs: Option<u32>) {
    assert_eq!(
        hours.until_change(now).map(Duration::as_secs),
        secs,
        "{hours:?} from {now:?}"
    );
}

#[test]
fn the_next_change_is_exact_and_skips_days_off() {
    let shop = hours(r#"{"days": ["mon-sat"], "from": "09:00", "to": "18:00"}"#);
    check_change(&shop, &moment("2026-11-24T08:59:50-03:00"), Some(10));
    check_change(&shop, &moment("2026-11-24T09:00:00-03:00"), Some(9 * 3_600));
    check_change(&shop, &moment("2026-11-24T17:59:59-03:00"), Some(1));
    check_change(
        &shop,
        &moment("2026-11-24T18:00:00-03:00"),
        Some(15 * 3_600),
    );
    check_change(
        &shop,
        &moment("2026-11-28T18:00:00-03:00"),
        Some(39 * 3_600),
    );
    let one_day = hours(r#"{"days": ["mon"], "from": "09:00", "to": "18:00"}"#);
    check_change(
        &one_day,
        &moment("2026-11-23T18:00:00-03:00"),
        Some(6 * 86_400 + 15 * 3_600),
    );
    check_change(
        &Hours::default(),
        &moment("2026-11-23T18:00:00-03:00"),
        None,
    );
}

#[test]
fn holidays_move_the_next_change() {
    let shop = hours(r#"{"days": ["mon-sat"], "from": "09:00", "to": "18:00"}"#);
    check_change(
        &shop,
        &moment("2026-12-25T08:59:50-03:00").on_holiday("Navidad"),
        Some(86_400 + 10),
    );
    let half_day = moment("2026-12-24T12:00:00-03:00").on_half_day(
        "Nochebuena",
        LocalTime::at(9, 0),
        LocalTime::at(13, 0),
    );
    check_change(&shop, &half_day, Some(3_600));
}

#[test]
fn the_next_opening_is_after_the_holidays_to_come() {
    let shop = hours(r#"{"days": ["mon-sat"], "from": "09:00", "to": "18:00"}"#);
    let thursday = moment("2026-12-24T18:00:00-03:00").with_holiday(1, "Navidad");
    check_change(&shop, &thursday, Some(39 * 3_600));
    check_change(
        &Hours {
            holidays: HolidayRule::Open,
            ..shop.clone()
        },
        &thursday,
        Some(15 * 3_600),
    );
    let half_day = thursday.with_half_day(2, "Puente", LocalTime::at(11, 30), LocalTime::at(13, 0));
    check_change(&shop, &half_day, Some(41 * 3_600 + 1_800));
    check_change(
        &Hours {
            holidays: HolidayRule::Closed,
            ..shop.clone()
        },
        &half_day,
        Some((24 * 3 + 15) * 3_600),
    );
    // Three weeks away: as far as the calendar tells.
    let away = (1..=21).fold(moment("2026-12-26T18:00:00-03:00"), |now, day| {
        now.with_holiday(day, "Vacaciones")
    });
    check_change(&shop, &away, Some(22 * 86_400 - 9 * 3_600 + 86_400));
    let long = (1..=31).fold(moment("2026-12-26T18:00:00-03:00"), |now, day| {
        now.with_holiday(day, "Vacaciones")
    });
    check_change(&shop, &long, None);
}

#[test]
fn open_all_day_is_closed_from_midnight_to_midnight_of_a_holiday() {
    let always = hours(r#"{"from": "00:00", "to": "24:00"}"#);
    let eve = moment("2026-12-24T23:00:00-03:00");
    check_change(&always, &eve, None);
    check_change(&always, &eve.with_holiday(1, "Navidad"), Some(3_600));
    check_change(
        &always,
        &moment("2026-12-25T00:00:00-03:00").on_holiday("Navidad"),
        Some(86_400),
    );
    check_change(
        &always,
        &moment("2026-12-25T00:00:00-03:00")
            .on_holiday("Navidad")
            .with_holiday(1, "Otra"),
        Some(2 * 86_400),
    );
}

/// A window of the evening before a holiday goes on to its end. On the evening of the holiday none
/// begins.
#[test]
fn a_night_belongs_to_the_day_on_which_it_began() {
    let bar = hours(r#"{"from": "22:00", "to": "04:00"}"#);
    let eve = |time: &str| moment(&format!("2026-12-24T{time}-03:00")).with_holiday(1, "Navidad");
    let holiday = |time: &str| moment(&format!("2026-12-25T{time}-03:00")).on_holiday("Navidad");
    let after =
        |time: &str| moment(&format!("2026-12-26T{time}-03:00")).with_holiday(-1, "Navidad");
    for (now, is_open, change) in [
        (eve("21:59:59"), false, 1),
        (eve("22:00:00"), true, 6 * 3_600),
        (holiday("03:59:59"), true, 1),
        (holiday("04:00:00"), false, 42 * 3_600),
        (holiday("22:00:00"), false, 24 * 3_600),
        (after("03:59:59"), false, 18 * 3_600 + 1),
        (after("21:59:59"), false, 1),
        (after("22:00:00"), true, 6 * 3_600),
    ] {
        assert_eq!(bar.is_open(&now), is_open, "{now:?}");
        check_change(&bar, &now, Some(change));
    }
    let half_day = moment("2026-12-31T01:00:00-03:00").on_half_day(
        "Fin de",
        LocalTime::at(9, 0),
        LocalTime::at(13, 0),
    );
    check_change(&bar, &half_day, Some(3 * 3_600));
    let next_day = moment("2027-01-01T01:00:00-03:00").with_half_day(
        -1,
        "Fin de",
        LocalTime::at(9, 0),
        LocalTime::at(13, 0),
    );
    assert!(
        !bar.is_open(&next_day),
        "the half-day's hours were in place of the night's"
    );
}

#[test]
fn a_window_within_another_is_found() {
    let within = |inner: &str, outer: &str| window(inner).is_within(&window(outer));
    let day = r#"{"days": ["mon-fri"], "from": "09:00", "to": "18:00"}"#;
    assert!(within(day, day));
    assert!(within(
        r#"{"days": ["mon"], "from": "09:00", "to": "17:59"}"#,
        day
    ));
    assert!(!within(
        r#"{"days": ["sat"], "from": "09:00", "to": "17:59"}"#,
        day
    ));
    assert!(!within(
        r#"{"days": ["mon"], "from": "08:59", "to": "18:00"}"#,
        day
    ));
    assert!(!within(
        r#"{"days": ["mon"], "from": "09:00", "to": "18:01"}"#,
        day
    ));
    let night = r#"{"days": ["fri"], "from": "22:00", "to": "04:00"}"#;
    assert!(within(
        r#"{"days": ["sat"], "from": "00:00", "to": "04:00"}"#,
        night
    ));
    assert!(!within(
        r#"{"days": ["sat"], "from": "00:00", "to": "04:01"}"#,
        night
    ));
    assert!(!within(
        night,
        r#"{"days": ["fri"], "from": "22:00", "to": "24:00"}"#
    ));
    assert!(within(night, r#"{"from": "00:00", "to": "24:00"}"#));
}

/// Madrid: 02:00 becomes 03:00 on 29 March 2026, and 03:00 becomes 02:00 on 25 October.
#[test]
fn the_next_change_sees_the_clock_jump() {
    let spring = moment("2026-03-29T01:00:00Z").unix_secs;
    let in_gap = hours(r#"{"from": "02:30", "to": "05:00"}"#);
    check_change(
        &in_gap,
        &moment("2026-03-29T01:59:00+01:00").before_offset_change(spring, 120),
        Some(60),
    );
    check_change(
        &in_gap,
        &moment("2026-03-29T03:00:00+02:00"),
        Some(2 * 3_600),
    );
    let autumn = moment("2026-10-25T01:00:00Z").unix_secs;
    let in_overlap = hours(r#"{"from": "02:30", "to": "05:00"}"#);
    check_change(
        &in_overlap,
        &moment("2026-10-25T02:00:00+02:00").before_offset_change(autumn, 60),
        Some(1_800),
    );
    // The clock goes back to 02:00, where the window is closed once more.
    check_change(
        &in_overlap,
        &moment("2026-10-25T02:45:00+02:00").before_offset_change(autumn, 60),
        Some(900),
    );
    check_change(
        &in_overlap,
        &moment("2026-10-25T02:00:00+01:00"),
        Some(1_800),
    );
}

/// Minute by minute, over a weekend with a change of the clock.
#[test]
fn the_next_change_is_the_one_found_minute_by_minute() {
    let change = moment("2026-10-25T01:00:00Z").unix_secs;
    for jump_mins in [-60, -30, 60] {
        for json in [
            r#"{"days": ["mon-sat"], "from": "09:00", "to": "18:00"}"#,
            r#"{"days": ["sat"], "from": "22:00", "to": "02:30"}"#,
            r#"{"days": ["sun"], "from": "02:10", "to": "02:50"}"#,
        ] {
            let hours = Hours {
                holidays: HolidayRule::Open,
                ..hours(json)
            };
            for start_mins in (0..2_000).step_by(37) {
                let start = moment("2026-10-24T12:00:00+02:00")
                    .before_offset_change(change, 120 + jump_mins);
                let now = start.plus_secs(start_mins * 60);
                let expected = (1..)
                    .find(|mins| hours.is_open(&now.plus_secs(mins * 60)) != hours.is_open(&now))
                    .unwrap();
                assert_eq!(
                    hours.until_change(&now),
                    Some(Duration::from_mins(expected as u64)),
                    "{json} {jump_mins} from {now:?}"
                );
            }
        }
    }
}
