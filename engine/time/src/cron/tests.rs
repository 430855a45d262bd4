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
    due(
        "*/30 * * * *",
        NEW_YORK,
        "2026-11-01T05:30:00Z",
        &["2026-11-01T07:00:00Z"],
    );
}

fn check_refused(expression: &str, expected: &str) {
    let error = Schedule::parse(expression, BUENOS_AIRES).unwrap_err();
    assert!(
        error.to_string().contains(expected),
        "{expression}: {error}"
    );
}

#[test]
fn a_malformed_schedule_is_refused() {
    check_refused("", "this one has 0");
    check_refused("30 8 * *", "this one has 4");
    check_refused("0 30 8 * * *", "this one has 6");
    check_refused("@daily", "this one has 1");
    check_refused("60 8 * * *", "");
    check_refused("x 8 * * *", "");
    check_refused("30 25 * * *", "");
    check_refused("0 9 30 2 *", "no date ever matches");
    check_refused("0 9 31 4,6,9,11 *", "no date ever matches");
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
