use super::*;

fn moment(text: &str) -> Moment<'static> {
    text.parse().unwrap()
}

#[test]
fn moments_are_read_with_weekday_and_offset() {
    let now = moment("2026-11-24T08:59:59-03:00");
    assert_eq!(
        (now.unix_secs, now.weekday, now.utc_offset_mins),
        (1_795_521_599, Weekday::Tuesday, -180)
    );
    assert_eq!(
        (
            now.year, now.month, now.day, now.hour, now.minute, now.second
        ),
        (2026, 11, 24, 8, 59, 59)
    );
    assert_eq!(moment("2024-02-29T23:59:59Z").weekday, Weekday::Thursday);
    assert_eq!(moment("2000-03-01T00:00:00+05:30").unix_secs, 951_849_000);
    for text in [
        "",
        "2026-11-31T00:00:00Z",
        "2026-11-24 00:00:00Z",
        "2026-11-24T24:00:00Z",
        "2026-13-01T00:00:00Z",
        "1969-12-31T00:00:00Z",
        "2026-11-24T08:59:59",
    ] {
        assert!(text.parse::<Moment>().is_err(), "{text}");
    }
}

fn check_until(now: &Moment, time: &str, secs: u32) {
    assert_eq!(
        now.until(time.parse().unwrap()).as_secs(),
        secs,
        "from {now:?} until {time}"
    );
}

#[test]
fn the_wait_is_exact_on_both_sides_of_the_second() {
    check_until(&moment("2026-11-24T17:59:59-03:00"), "18:00", 1);
    check_until(&moment("2026-11-24T18:00:00-03:00"), "18:00", 86_400);
    check_until(&moment("2026-11-24T18:00:01-03:00"), "18:00", 86_399);
    check_until(&moment("2026-11-24T23:59:59-03:00"), "24:00", 1);
    check_until(&moment("2026-11-24T00:00:00-03:00"), "00:00", 86_400);
    check_until(&moment("2026-11-24T23:30:00-03:00"), "00:30", 3_600);
}

/// Madrid, 29 March 2026: at 01:00 UTC, 02:00 becomes 03:00.
#[test]
fn a_skipped_time_comes_right_after_the_gap() {
    let change = moment("2026-03-29T01:00:00Z").unix_secs;
    let now = moment("2026-03-29T01:00:00+01:00").before_offset_change(change, 120);
    check_until(&now, "01:59", 59 * 60);
    check_until(&now, "02:00", 3_600);
    check_until(&now, "02:30", 3_600);
    check_until(&now, "03:00", 3_600);
    check_until(&now, "03:01", 3_660);
    check_until(&now, "09:00", 7 * 3_600);
    check_until(&now, "01:00", 23 * 3_600);
    check_until(&now, "00:30", 22 * 3_600 + 1_800);
}

/// Madrid, 25 October 2026: at 01:00 UTC, 03:00 becomes 02:00.
#[test]
fn a_repeated_time_comes_at_its_next_occurrence() {
    let change = moment("2026-10-25T01:00:00Z").unix_secs;
    let before = moment("2026-10-25T01:30:00+02:00").before_offset_change(change, 60);
    check_until(&before, "02:00", 1_800);
    check_until(&before, "02:30", 3_600);
    check_until(&before, "03:00", 2 * 3_600 + 1_800);
    check_until(&before, "09:00", 8 * 3_600 + 1_800);
    let first_showing = moment("2026-10-25T02:45:00+02:00").before_offset_change(change, 60);
    check_until(&first_showing, "02:30", 45 * 60);
    check_until(&first_showing, "02:00", 15 * 60);
    check_until(&first_showing, "01:59", 24 * 3_600 + 14 * 60);
    check_until(&moment("2026-10-25T02:30:00+01:00"), "02:30", 86_400);
}

#[test]
fn a_change_far_ahead_or_behind_changes_nothing() {
    let now = moment("2026-11-24T17:00:00-03:00");
    let far = now.unix_secs + 86_400 * 100;
    check_until(&now.clone().before_offset_change(far, -240), "18:00", 3_600);
    check_until(
        &now.clone().before_offset_change(now.unix_secs, -240),
        "18:00",
        3_600,
    );
    assert!(
        Moment {
            unix_secs: u64::MAX,
            ..now
        }
        .until(LocalTime::at(18, 0))
        .as_secs()
            <= 86_400
    );
}

/// Minute by minute, for changes of every kind: the answer is the first minute at which the clock
/// shows the time or jumps over it.
#[test]
fn the_wait_is_the_one_found_minute_by_minute() {
    let start = moment("2026-03-29T00:00:00Z").unix_secs;
    for jump_mins in [-120, -60, -30, 30, 60, 120] {
        for (begin, time) in (0..180)
            .step_by(17)
            .flat_map(|begin| (0..1_440).step_by(37).map(move |time| (begin, time)))
        {
            let now = Moment::new(start + begin * 60, -30)
                .before_offset_change(start + 90 * 60, -30 + jump_mins);
            let shown = |mins: i64| {
                let then = now.plus_secs(mins * 60);
                then.unix() / 60 + i64::from(then.utc_offset_mins)
            };
            let meets = |mins: &i64| {
                let (before, after) = (shown(mins - 1), shown(*mins));
                after.rem_euclid(1_440) == time
                    || (before + 1..=after).any(|skipped| skipped.rem_euclid(1_440) == time)
            };
            let expected = (1..).find(meets).unwrap();
            let time = LocalTime::from_mins(u16::try_from(time).unwrap()).unwrap();
            assert_eq!(
                i64::from(now.until(time).as_secs()),
                expected * 60,
                "{jump_mins} from {begin} until {time}"
            );
        }
    }
}
