use super::offset::look_ahead;
use super::*;
use crate::testing::{BUENOS_AIRES, MADRID, NEW_YORK, SANTIAGO, at};

fn shown(now: &str, zone: Tz) -> String {
    let it = moment(at(now), zone, &Calendar::default());
    let date = format!(
        "{:04}-{:02}-{:02} {}",
        it.year, it.month, it.day, it.weekday
    );
    format!(
        "{date} {:02}:{:02}:{:02} {:+}",
        it.hour, it.minute, it.second, it.utc_offset_mins
    )
}

fn check_shown(zone: Tz, now: &str, expected: &str) {
    assert_eq!(shown(now, zone), expected, "{now} in {zone}");
}

#[test]
fn a_moment_shows_what_the_wall_clock_shows() {
    check_shown(
        BUENOS_AIRES,
        "2026-11-24T12:00:00Z",
        "2026-11-24 Tue 09:00:00 -180",
    );
    check_shown(
        BUENOS_AIRES,
        "2026-01-01T02:59:59Z",
        "2025-12-31 Wed 23:59:59 -180",
    );
    check_shown(
        BUENOS_AIRES,
        "2026-01-01T03:00:00Z",
        "2026-01-01 Thu 00:00:00 -180",
    );
    // Summer time of 2008/2009: from 19 October 2008 (00:00 became 01:00) to 15 March 2009 (00:00
    // became 23:00).
    check_shown(
        BUENOS_AIRES,
        "2008-10-19T02:59:59Z",
        "2008-10-18 Sat 23:59:59 -180",
    );
    check_shown(
        BUENOS_AIRES,
        "2008-10-19T03:00:00Z",
        "2008-10-19 Sun 01:00:00 -120",
    );
    check_shown(
        BUENOS_AIRES,
        "2009-03-15T01:59:59Z",
        "2009-03-14 Sat 23:59:59 -120",
    );
    check_shown(
        BUENOS_AIRES,
        "2009-03-15T02:00:00Z",
        "2009-03-14 Sat 23:00:00 -180",
    );
    check_shown(
        SANTIAGO,
        "2026-04-05T02:59:59Z",
        "2026-04-04 Sat 23:59:59 -180",
    );
    check_shown(
        SANTIAGO,
        "2026-04-05T03:00:00Z",
        "2026-04-04 Sat 23:00:00 -240",
    );
    check_shown(
        SANTIAGO,
        "2026-09-06T03:59:59Z",
        "2026-09-05 Sat 23:59:59 -240",
    );
    check_shown(
        SANTIAGO,
        "2026-09-06T04:00:00Z",
        "2026-09-06 Sun 01:00:00 -180",
    );
    check_shown(
        MADRID,
        "2026-03-29T00:59:59Z",
        "2026-03-29 Sun 01:59:59 +60",
    );
    check_shown(
        MADRID,
        "2026-03-29T01:00:00Z",
        "2026-03-29 Sun 03:00:00 +120",
    );
    check_shown(
        MADRID,
        "2026-10-25T00:59:59Z",
        "2026-10-25 Sun 02:59:59 +120",
    );
    check_shown(
        MADRID,
        "2026-10-25T01:00:00Z",
        "2026-10-25 Sun 02:00:00 +60",
    );
    check_shown(
        NEW_YORK,
        "2026-03-08T06:59:59Z",
        "2026-03-08 Sun 01:59:59 -300",
    );
    check_shown(
        NEW_YORK,
        "2026-03-08T07:00:00Z",
        "2026-03-08 Sun 03:00:00 -240",
    );
    check_shown(
        NEW_YORK,
        "2026-11-01T05:59:59Z",
        "2026-11-01 Sun 01:59:59 -240",
    );
    check_shown(
        NEW_YORK,
        "2026-11-01T06:00:00Z",
        "2026-11-01 Sun 01:00:00 -300",
    );
    check_shown(
        chrono_tz::UTC,
        "2024-02-29T23:59:59Z",
        "2024-02-29 Thu 23:59:59 +0",
    );
}

fn check_next_change(zone: Tz, now: &str, expected: Option<(&str, i16)>) {
    let expected = expected.map(|(time, utc_offset_mins)| OffsetChange {
        unix_secs: at(time).unix_secs(),
        utc_offset_mins,
    });
    assert_eq!(
        next_offset_change(at(now), zone),
        expected,
        "{now} in {zone}"
    );
    assert_eq!(
        moment(at(now), zone, &Calendar::default()).next_offset_change,
        expected,
        "{now} in {zone}"
    );
}

#[test]
fn the_next_offset_change_is_exact_and_only_announced_within_the_horizon() {
    check_next_change(BUENOS_AIRES, "2026-11-24T12:00:00Z", None);
    check_next_change(
        BUENOS_AIRES,
        "2008-10-19T02:59:59Z",
        Some(("2008-10-19T03:00:00Z", -120)),
    );
    check_next_change(
        BUENOS_AIRES,
        "2008-10-19T03:00:00Z",
        Some(("2009-03-15T02:00:00Z", -180)),
    );
    check_next_change(BUENOS_AIRES, "2009-03-15T02:00:00Z", None);
    check_next_change(
        MADRID,
        "2026-03-29T00:59:59Z",
        Some(("2026-03-29T01:00:00Z", 120)),
    );
    check_next_change(
        MADRID,
        "2026-03-29T01:00:00Z",
        Some(("2026-10-25T01:00:00Z", 60)),
    );
    check_next_change(
        NEW_YORK,
        "2026-11-24T12:00:00Z",
        Some(("2027-03-14T07:00:00Z", -240)),
    );
    check_next_change(
        SANTIAGO,
        "2026-04-05T03:00:00Z",
        Some(("2026-09-06T04:00:00Z", -180)),
    );
    // Buenos Aires had no change between 3 March 2000 and 30 December 2007 at 03:00 UTC. It is
    // announced 400 days ahead, not before.
    let change = at("2007-12-30T03:00:00Z");
    let horizon = std::time::Duration::from_secs(400 * 86_400);
    let announced = change.saturating_sub(horizon);
    assert_eq!(
        next_offset_change(
            announced.saturating_sub(std::time::Duration::from_secs(1)),
            BUENOS_AIRES
        ),
        None
    );
    assert_eq!(
        next_offset_change(announced, BUENOS_AIRES),
        Some(OffsetChange {
            unix_secs: change.unix_secs(),
            utc_offset_mins: -120
        })
    );
}

#[test]
fn a_remembered_offset_never_differs_from_a_fresh_one() {
    // Forward in odd steps and back again, through four zones in turn, so that spans are entered
    // from both ends.
    let steps = 3_000;
    for step in (0..steps).chain((0..steps).rev()) {
        let secs = 1_190_000_000 + step * 211_111;
        for zone in [BUENOS_AIRES, SANTIAGO, MADRID, NEW_YORK] {
            let it = moment(Timestamp::from_unix_secs(secs), zone, &Calendar::default());
            assert_eq!(
                i64::from(it.utc_offset_mins) * 60,
                offset_at(secs, zone),
                "{secs} in {zone}"
            );
            let fresh = look_ahead(secs, zone)
                .next
                .filter(|next| next.unix_secs - secs <= HORIZON_SECS);
            if step % 50 == 0 {
                assert_eq!(it.next_offset_change, fresh, "{secs} in {zone}");
            }
        }
    }
}

#[test]
fn a_holiday_depends_on_the_local_date() {
    let mut calendar = Calendar::covering([2026]);
    let kind = crate::calendar::HolidayKind::Closed;
    calendar.set(
        "2026-12-25".parse().unwrap(),
        Some(Holiday {
            name: "Navidad".to_owned(),
            kind,
        }),
    );
    let holiday = |now: &str| {
        moment(at(now), BUENOS_AIRES, &calendar)
            .holiday
            .map(|it| it.name.clone())
    };
    assert_eq!(holiday("2026-12-25T02:59:59Z"), None);
    assert_eq!(holiday("2026-12-25T03:00:00Z").as_deref(), Some("Navidad"));
    assert_eq!(holiday("2026-12-26T02:59:59Z").as_deref(), Some("Navidad"));
    assert_eq!(holiday("2026-12-26T03:00:00Z"), None);
}

#[test]
fn cutting_to_the_minute_drops_only_the_seconds() {
    for (now, minute) in [
        ("2026-11-24T12:00:00Z", "2026-11-24T12:00:00Z"),
        ("2026-11-24T12:00:59Z", "2026-11-24T12:00:00Z"),
        ("2026-11-24T12:01:00Z", "2026-11-24T12:01:00Z"),
    ] {
        assert_eq!(cut_to_minute(at(now), BUENOS_AIRES), at(minute), "{now}");
    }
    assert_eq!(
        cut_to_minute(Timestamp::from_unix_millis(59_999), chrono_tz::UTC),
        Timestamp::from_unix_secs(0)
    );
}

#[test]
fn hours_are_those_of_the_zone() {
    assert_eq!(local_hour(at("2026-11-24T02:59:59Z"), BUENOS_AIRES), 23);
    assert_eq!(local_hour(at("2026-11-24T03:00:00Z"), BUENOS_AIRES), 0);
    assert_eq!(
        local_hour_of_week(at("2026-11-23T03:00:00Z"), BUENOS_AIRES),
        0
    );
    assert_eq!(
        local_hour_of_week(at("2026-11-23T02:59:59Z"), BUENOS_AIRES),
        167
    );
    assert_eq!(
        local_hour_of_week(at("2026-11-24T12:00:00Z"), BUENOS_AIRES),
        24 + 9
    );
}

#[test]
fn instants_out_of_range_are_clamped() {
    for millis in [i64::MIN, -1, 0, i64::MAX] {
        let it = moment(
            Timestamp::from_unix_millis(millis),
            BUENOS_AIRES,
            &Calendar::default(),
        );
        assert!((1969..=9999).contains(&it.year), "{it:?}");
    }
}
