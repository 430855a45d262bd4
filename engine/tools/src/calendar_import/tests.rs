use proptest::prelude::*;

use super::*;
use tero_config::calendars;

fn file(events: &[&str]) -> String {
    let mut text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\n".to_owned();
    for event in events {
        let lines = event.replace('\n', "\r\n");
        text += &format!("BEGIN:VEVENT\r\nUID:1\r\n{lines}\r\nEND:VEVENT\r\n");
    }
    text + "END:VCALENDAR\r\n"
}

/// The days as `12-25 Navidad`, and what was left out.
fn read(events: &[&str], years: &[i32]) -> (Vec<String>, Vec<String>) {
    let years = years.iter().copied().collect();
    let imported = import(&file(events), &years, None).unwrap();
    let calendar = calendars::parse(&imported.toml).unwrap();
    let days = calendar
        .days()
        .map(|(date, day)| format!("{date} {}", day.name));
    let days: Vec<String> = days.collect();
    assert_eq!(days.len(), imported.days);
    (days, imported.left_out)
}

#[test]
fn events_of_whole_days_become_holidays() {
    let events = [
        "DTSTART;VALUE=DATE:20271225\nDTEND;VALUE=DATE:20271226\nSUMMARY:Navidad",
        // A folded line, a text with escapes, and an event of two days over the new year.
        "SUMMARY;LANGUAGE=es:Puente\\, con\\nfines tu\n rísticos\nDTSTART;VALUE=DATE:20271231\nDURATION:P2D",
        "DTSTART:20270501\nSUMMARY:Día del \"Trabajador\"",
    ];
    let (days, left_out) = read(&events, &[]);
    assert_eq!(
        days,
        [
            "2027-05-01 Día del \"Trabajador\"",
            "2027-12-25 Navidad",
            "2027-12-31 Puente, con fines turísticos",
            "2028-01-01 Puente, con fines turísticos",
        ]
    );
    assert_eq!(left_out, [] as [String; 0]);
    assert_eq!(read(&events, &[2028]).0.len(), 1);
}

#[test]
fn yearly_events_are_repeated() {
    let dates = |rule: &str, years: &[i32]| {
        let event = format!("DTSTART;VALUE=DATE:20240229\nSUMMARY:X\nRRULE:{rule}");
        let (days, left_out) = read(&[&event, "DTSTART:20260101\nSUMMARY:Y"], years);
        assert_eq!(left_out, [] as [String; 0]);
        let mut years = days.iter().filter(|day| day.ends_with('X'));
        let years: Vec<&str> = years.by_ref().map(|day| &day[..4]).collect();
        years.join(" ")
    };
    assert_eq!(dates("FREQ=YEARLY", &[]), "2024 2028");
    assert_eq!(
        dates("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", &[2026, 2032]),
        "2032"
    );
    assert_eq!(
        dates("FREQ=YEARLY;INTERVAL=8;COUNT=3", &[]),
        "2024 2032 2040"
    );
    assert_eq!(dates("FREQ=YEARLY;UNTIL=20320228", &[]), "2024 2028");
    let exception =
        "DTSTART:20260101\nSUMMARY:X\nRRULE:FREQ=YEARLY;COUNT=3\nEXDATE;VALUE=DATE:20270101";
    assert_eq!(read(&[exception], &[]).0, ["2026-01-01 X", "2028-01-01 X"]);
}

#[test]
fn what_cannot_be_said_is_left_out_and_told() {
    for (event, reason) in [
        ("DTSTART:20261225T090000Z\nSUMMARY:X", "half-day"),
        (
            "DTSTART:20261225\nDTEND:20261226T100000\nSUMMARY:X",
            "ends at a time",
        ),
        (
            "DTSTART:20261225\nDTEND:20270301\nSUMMARY:X",
            "more than 31 days",
        ),
        ("DTSTART:20261225\nDURATION:PT1H\nSUMMARY:X", "DURATION"),
        ("DTSTART:20261225\nSTATUS:CANCELLED\nSUMMARY:X", "cancelled"),
        (
            "DTSTART:20261225\nSUMMARY:X\nRRULE:FREQ=MONTHLY",
            "repeated",
        ),
        (
            "DTSTART:20261225\nSUMMARY:X\nRRULE:FREQ=YEARLY;BYDAY=1MO",
            "repeated",
        ),
        (
            "DTSTART:20261225\nSUMMARY:X\nRRULE:FREQ=YEARLY;INTERVAL=0",
            "repeated",
        ),
        ("DTSTART:20261225\nSUMMARY:X\nRDATE:20270101", "RDATE"),
        ("DTSTART:20261325\nSUMMARY:X", "half-day"),
        ("SUMMARY:X", "no DTSTART"),
        ("DTSTART:20261225", "no SUMMARY"),
    ] {
        let (days, left_out) = read(&[event, "DTSTART:20260101\nSUMMARY:Y"], &[]);
        assert_eq!(days, ["2026-01-01 Y"], "{event}");
        assert!(
            left_out.len() == 1 && left_out[0].contains(reason),
            "{left_out:?}"
        );
    }
}

#[test]
fn other_files_are_refused() {
    let years = BTreeSet::new();
    let refused = |text: &str| import(text, &years, None).unwrap_err().to_string();
    assert!(
        refused("").contains("not an iCalendar file"),
        "{}",
        refused("")
    );
    assert!(refused("years = [2026]").contains("not an iCalendar file"));
    assert!(refused(&file(&[])).contains("no event of whole days"));
    let deep = "BEGIN:A\n".repeat(100_000);
    assert_eq!(
        refused(&deep),
        "line 9: components lie in each other more than 8 levels deep"
    );
    let only_2026 = BTreeSet::from([2026]);
    let other_year = import(&file(&["DTSTART:20270101\nSUMMARY:X"]), &only_2026, None);
    assert!(other_year.unwrap_err().to_string().contains("in 2026"));
    let many =
        file(&["DTSTART:20270101\nSUMMARY:X\nRRULE:FREQ=YEARLY;COUNT=99999\nDTEND:20270120"; 2]);
    assert!(matches!(
        import(&many, &years, None),
        Err(CalendarImportError::TooMany)
    ));
    let long = " ".repeat(MAX_ICALENDAR_BYTES + 1);
    assert!(matches!(
        import(&long, &years, None),
        Err(CalendarImportError::TooLarge)
    ));
}

#[test]
fn a_long_name_is_cut_at_a_character() {
    let event = format!("DTSTART:20260101\nSUMMARY:{}", "ñ".repeat(150));
    let (days, _) = read(&[&event], &[]);
    assert_eq!(days[0].len(), "2026-01-01 ".len() + 200);
}

proptest! {
    #[test]
    fn whatever_is_imported_is_a_calendar_file(
        lines in prop::collection::vec(
            prop_oneof![
                "(DTSTART|DTEND|RRULE|SUMMARY|EXDATE|DURATION|STATUS)(;VALUE=DATE)?:[0-9TZ;=,P\\\\A-Z\u{1}-\u{1f}é]{0,24}",
                "(BEGIN|END):V(EVENT|CALENDAR)",
                "DTSTART:20(2[0-9])(0[1-9])([01][0-9])",
                "RRULE:FREQ=YEARLY(;(COUNT|INTERVAL)=-?[0-9]{1,9})?",
                "SUMMARY:\\PC{0,20}",
                "\\PC{0,20}",
            ],
            0..24,
        )
    ) {
        let text = format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\n{}\nEND:VEVENT\nEND:VCALENDAR\n", lines.join("\n"));
        if let Ok(imported) = import(&text, &BTreeSet::new(), Some("builtin:chile")) {
            let calendar = calendars::parse(&imported.toml);
            prop_assert!(calendar.is_ok(), "{:?}\n{}", calendar, imported.toml);
        }
    }
}
