use super::*;
use crate::testing::{BUENOS_AIRES, MADRID, NEW_YORK, SANTIAGO, at};

/// Checks the first `expected.len()` instants after `after` at which the expression comes due.
fn due(expression: &str, zone: Tz, after: &str, expected: &[&str]) {
    let schedule = Schedule::parse(expression, zone).unwrap();
    let mut now = at(after);
    for expected in expected {
        let next = schedule.next_after(now).unwrap();
        assert_eq!(
            next,
            at(expected),
            "{expression} in {zone} after {}",
            naive(now.unix_secs())
        );
        now = next;
    }
}

#[test]
fn a_schedule_follows_the_local_clock() {
    let opening = "30 8 * * MON-SAT";
    due(
        opening,
        BUENOS_AIRES,
        "2026-11-27T11:29:59Z",
        &[
            "2026-11-27T11:30:00Z",
            "2026-11-28T11:30:00Z",
            "2026-11-30T11:30:00Z",
        ],
    );
    due(
        "0 0 1 1 *",
        BUENOS_AIRES,
        "2026-12-31T12:00:00Z",
        &["2027-01-01T03:00:00Z", "2028-01-01T03:00:00Z"],
    );
    due(
        "59 23 31 12 *",
        NEW_YORK,
        "2026-12-31T12:00:00Z",
        &["2027-01-01T04:59:00Z", "2028-01-01T04:59:00Z"],
    );
    due(
        "0 9 * * *",
        MADRID,
        "2026-03-28T00:00:00Z",
        &["2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z"],
    );
    due(
        "0 12 29 2 *",
        MADRID,
        "2026-03-28T00:00:00Z",
        &["2028-02-29T11:00:00Z", "2032-02-29T11:00:00Z"],
    );
}

#[test]
fn a_job_in_a_skipped_hour_runs_once_right_after_the_gap() {
    due(
        "30 0 * * *",
        BUENOS_AIRES,
        "2008-10-18T12:00:00Z",
        &["2008-10-19T03:00:00Z", "2008-10-20T02:30:00Z"],
    );
    due(
        "*/15 0 * * *",
        BUENOS_AIRES,
        "2008-10-18T12:00:00Z",
        &["2008-10-19T03:00:00Z", "2008-10-20T02:00:00Z"],
    );
    due(
        "*/15 * * * *",
        MADRID,
        "2026-03-29T00:45:00Z",
        &["2026-03-29T01:00:00Z", "2026-03-29T01:15:00Z"],
    );
    due(
        "30 2 * * *",
        MADRID,
        "2026-03-28T12:00:00Z",
        &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
    );
    due(
        "30 2 * * *",
        NEW_YORK,
        "2026-03-07T12:00:00Z",
        &["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"],
    );
    due(
        "30 0 * * *",
        SANTIAGO,
        "2026-09-05T12:00:00Z",
        &["2026-09-06T04:00:00Z", "2026-09-07T03:30:00Z"],
    );
    // Samoa skipped the whole of 30 December 2011.
    due(
        "0 9 * * *",
        chrono_tz::Pacific::Apia,
        "2011-12-29T19:00:00Z",
        &["2011-12-30T10:00:00Z", "2011-12-30T19:00:00Z"],
    );
}

#[test]
fn a_job_in_a_repeated_hour_runs_once() {
    due(
        "30 23 * * *",
        BUENOS_AIRES,
        "2009-03-14T12:00:00Z",
        &["2009-03-15T01:30:00Z", "2009-03-16T02:30:00Z"],
    );
    due(
        "30 2 * * *",
        MADRID,
        "2026-10-24T12:00:00Z",
        &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
    );
    due(
        "30 1 * * *",
        NEW_YORK,
        "2026-10-31T12:00:00Z",
        &["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"],
    );
    due(
        "30 23 * * *",
        SANTIAGO,
        "2026-04-04T12:00:00Z",
        &["2026-04-05T02:30:00Z", "2026-04-06T03:30:00Z"],
    );
    // In the middle of the second pass.
    due(
        "30 1 * * *",
        NEW_YORK,
        "2026-11-01T06:10:00Z",
        &["2026-11-02T06:30:00Z"],
    );
    // A list of hours is a list of times of day, however many they are.
    due(
        "30 0-23 * * *",
        NEW_YORK,
        "2026-11-01T05:00:00Z",
        &["2026-11-01T05:30:00Z", "2026-11-01T07:30:00Z"],
    );
}

#[test]
fn an_interval_runs_on_through_a_repeated_hour() {
    due(
        "*/30 * * * *",
        NEW_YORK,
        "2026-11-01T05:00:00Z",
        &[
            "2026-11-01T05:30:00Z",
            "2026-11-01T06:00:00Z",
            "2026-11-01T06:30:00Z",
            "2026-11-01T07:00:00Z",
        ],
    );
    // A minute of every hour, and minutes of one hour.
    due(
        "30 * * * *",
        MADRID,
        "2026-10-25T00:00:00Z",
        &[
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:30:00Z",
            "2026-10-25T02:30:00Z",
        ],
    );
    due(
        "*/30 2 * * *",
        MADRID,
        "2026-10-24T12:00:00Z",
        &[
            "2026-10-25T00:00:00Z",
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T01:30:00Z",
            "2026-10-26T01:00:00Z",
        ],
    );
    // In the middle of the second pass, and at its last minute.
    due(
        "*/20 1 * * *",
        NEW_YORK,
        "2026-11-01T06:25:00Z",
        &["2026-11-01T06:40:00Z", "2026-11-02T06:00:00Z"],
    );
    // A year without a match until the hour that is repeated.
    due(
        "* 1 1 11 *",
        NEW_YORK,
        "2025-11-02T00:00:00Z",
        &["2026-11-01T05:00:00Z", "2026-11-01T05:01:00Z"],
    );
    // Half an hour, on Lord Howe.
    due(
        "*/15 * * * *",
        chrono_tz::Australia::Lord_Howe,
        "2026-04-04T14:30:00Z",
        &[
            "2026-04-04T14:45:00Z",
            "2026-04-04T15:00:00Z",
            "2026-04-04T15:15:00Z",
        ],
    );
}

#[test]
fn every_minute_is_every_minute_whatever_the_clock_does() {
    for (zone, from) in [
        (MADRID, "2026-10-24T22:00:00Z"),
        (MADRID, "2026-03-28T22:00:00Z"),
        (NEW_YORK, "2026-11-01T03:00:00Z"),
        (SANTIAGO, "2026-04-05T01:00:00Z"),
        (chrono_tz::Australia::Lord_Howe, "2026-04-04T13:00:00Z"),
    ] {
        let schedule = Schedule::parse("* * * * *", zone).unwrap();
        let mut now = at(from);
        for _ in 0..6 * 60 {
            let next = schedule.next_after(now).unwrap();
            assert_eq!(next.unix_secs() - now.unix_secs(), 60, "{zone} {now:?}");
            now = next;
        }
    }
}

/// Checks that two expressions come due at the same times for two years.
fn same(one: &str, other: &str) {
    let parse = |expression| Schedule::parse(expression, MADRID).unwrap();
    let (one, other) = (parse(one), parse(other));
    let mut now = at("2026-01-01T00:00:00Z");
    for _ in 0..200 {
        let next = one.next_after(now).unwrap();
        assert_eq!(Some(next), other.next_after(now), "{one:?} {other:?}");
        now = next;
    }
}

#[test]
fn what_is_documented_is_accepted() {
    same("@yearly", "0 0 1 1 *");
    same("@annually", "0 0 1 JAN *");
    same("@Monthly", "0 0 1 * *");
    same("@weekly", "0 0 * * SUN");
    same("@daily", "0 0 * * *");
    same(" @midnight ", "0 0 * * ?");
    same("@hourly", "0 * ? * *");
    same("30 8 * * mon-Sat", "30 8 * * 1-6");
    same("0 9 * * SAT-SUN", "0 9 * * 0,6");
    same("0 9 * * 7", "0 9 * * SUN");
    same("0 9 * * 5-7", "0 9 * * FRI,SAT,SUN");
    same("0-59/15 9-17/4 * * *", "0,15,30,45 9,13,17 * * *");
    same("0 9 * feb-APR *", "0 9 * 2,3,4 *");
    same("0 0,8-10,23 * * *", "0 0,8,9,10,23 * * *");
    // A day of either field, where both are restricted.
    due(
        "0 12 15 * MON",
        MADRID,
        "2026-06-09T00:00:00Z",
        &["2026-06-15T10:00:00Z", "2026-06-22T10:00:00Z"],
    );
    for (expression, days) in [
        ("0 12 L * *", ["01-31", "02-28", "03-31"]),
        ("0 12 LW * *", ["01-30", "02-27", "03-31"]),
        ("0 12 15W * *", ["01-15", "02-16", "03-16"]),
        ("0 12 * * FRI#2", ["01-09", "02-13", "03-13"]),
        ("0 12 * * fril", ["01-30", "02-27", "03-27"]),
        ("0 12 * * 0#1", ["01-04", "02-01", "03-01"]),
    ] {
        let schedule = Schedule::parse(expression, chrono_tz::UTC).unwrap();
        let mut now = at("2026-01-01T00:00:00Z");
        for day in days {
            now = schedule.next_after(now).unwrap();
            assert_eq!(now, at(&format!("2026-{day}T12:00:00Z")), "{expression}");
        }
    }
}

fn check_refused(expression: &str, problem: &str, cure: &str) {
    let error = Schedule::parse(expression, BUENOS_AIRES).unwrap_err();
    assert!(
        error.to_string().contains(problem) && error.cure().contains(cure),
        "{expression}: {error}; {}",
        error.cure()
    );
}

#[test]
fn everything_else_is_refused_with_its_cure() {
    check_refused("", "this one has 0", "five fields");
    check_refused("30 8 * *", "this one has 4", "five fields");
    check_refused("0 30 8 * * *", "this one has 6", "five fields");
    check_refused("60 8 * * *", "the minute `60` has `60`", "write 0 to 59");
    check_refused("x 8 * * *", "the minute `x`", "write 0 to 59");
    check_refused("30 24 * * *", "the hour `24`", "write 0 to 23");
    check_refused("0 8 0 * *", "the day of month `0`", "write 1 to 31");
    check_refused("0 8 32 * *", "the day of month `32`", "write 1 to 31");
    check_refused("0 8 * 13 *", "the month `13`", "or JAN to DEC");
    check_refused("0 8 * * 8", "the day of week `8`", "or SUN to SAT");
    check_refused("0 8 * * MONDAY", "has `MONDAY`", "or SUN to SAT");
    // Names belong to their fields.
    check_refused("MON 8 * * *", "the minute `MON`", "write 0 to 59");
    check_refused("0 8 * FRI *", "the month `FRI`", "or JAN to DEC");
    check_refused("0 8 L L *", "the month `L`", "or JAN to DEC");
    check_refused("? 8 * * *", "the minute `?`", "write 0 to 59");
    // Steps that leave one value only.
    check_refused("*/60 * * * *", "steps over all values but 0", "write `0`");
    check_refused("*/100 * * * *", "steps over all values but 0", "at most 59");
    check_refused("0 */24 * * *", "steps over all values but 0", "at most 23");
    check_refused("0 0 */31 * *", "steps over all values but 1", "at most 30");
    check_refused("0 0 * * */7", "steps over all values but 0", "at most 6");
    check_refused("10-20/11 * * * *", "all values but 10", "write `10`");
    assert!(Schedule::parse("10-20/10 */23 */30 */11 */6", BUENOS_AIRES).is_ok());
    check_refused("*/0 * * * *", "not a number above 0", "*/15");
    check_refused("*/ * * * *", "not a number above 0", "*/15");
    check_refused("*/5/5 * * * *", "not a number above 0", "*/15");
    check_refused("/5 * * * *", "single value", "*/…");
    check_refused("5/5 * * * *", "single value", "`5-59/…`");
    check_refused("0 9 * * +MON", "begins with a +", "write `MON`");
    check_refused("0 9 * * FRI-MON", "runs backwards", "`5-6,0-1`");
    check_refused("50-10 * * * *", "runs backwards", "`50-59,0-10`");
    check_refused("1,,2 * * * *", "empty part", "write 0 to 59");
    check_refused(", * * * *", "empty part", "write 0 to 59");
    check_refused("5- * * * *", "empty part", "write 0 to 59");
    check_refused("1-2-3 * * * *", "the minute `1-2-3`", "write 0 to 59");
    check_refused("0 9 32W * *", "the day of month `32W`", "write 1 to 31");
    check_refused("0 9 * * FRI#6", "not 1 to 5", "FRI#2");
    check_refused("0 9 * * L", "no day before L", "FRIL");
    check_refused("99999999999 * * * *", "out of range", "write 0 to 59");
    check_refused("@reboot", "not a nickname", "ready_after");
    check_refused("@every 5m", "not a nickname", "*/15 * * * *");
    check_refused("@dayly", "not a nickname", "@daily");
    check_refused(
        "0 9 30 2 *",
        "no date ever matches",
        "a day that the month has",
    );
    check_refused("0 9 31 4,6,9,11 *", "no date ever matches", "");
    assert!(Schedule::parse("0 9 29 2 *", BUENOS_AIRES).is_ok());
}

#[test]
fn a_schedule_never_comes_due_past_its_last_year() {
    assert_eq!(
        Schedule::parse("0 9 * * *", BUENOS_AIRES)
            .unwrap()
            .next_after(Timestamp::from_unix_millis(i64::MAX)),
        None
    );
}
