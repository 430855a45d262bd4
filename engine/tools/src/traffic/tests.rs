use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::replay::log::parse;
use tero_config::AccessLogFormat;

fn short(kind: SiteKind) -> TrafficPlan {
    TrafficPlan {
        days: 2,
        ..TrafficPlan::week(kind)
    }
}

fn between(plan: &TrafficPlan, from: &str, until: &str) -> usize {
    let instant = |text: &str| moment::instant_of(text.parse().unwrap(), plan.zone);
    let (from, until) = (instant(from), instant(until));
    plan.requests()
        .filter(|record| from <= record.at && record.at < until)
        .count()
}

#[test]
fn the_same_seed_gives_the_same_requests_in_order() {
    for kind in SiteKind::ALL {
        let plan = short(kind);
        let records: Vec<LogRecord> = plan.requests().collect();
        assert!(records.len() > 10_000, "{}", records.len());
        assert!(
            records
                .iter()
                .eq(plan.requests().collect::<Vec<_>>().iter())
        );
        assert!(records.is_sorted_by_key(|record| record.at));
        let other = TrafficPlan {
            seed: 2,
            ..plan.clone()
        };
        assert_ne!(other.requests().next(), Some(records[0].clone()));
        let half = TrafficPlan { scale: 0.5, ..plan };
        let share = half.requests().count() as f64 / records.len() as f64;
        assert!((0.45..0.55).contains(&share), "{share}");
    }
}

#[test]
fn a_plan_of_any_day_ends() {
    for first in [NaiveDate::MIN, NaiveDate::MAX, NaiveDate::default()] {
        let plan = TrafficPlan {
            first,
            days: MAX_DAYS,
            scale: 0.001,
            ..TrafficPlan::week(SiteKind::Booking)
        };
        let is_in_range = YEARS.contains(&first.year());
        assert_eq!(plan.requests().next().is_some(), is_in_range);
    }
    let last = NaiveDate::from_ymd_opt(*YEARS.end(), 12, 31).unwrap();
    let plan = TrafficPlan {
        first: last,
        days: 2,
        scale: 0.01,
        ..TrafficPlan::week(SiteKind::News)
    };
    assert!(plan.requests().count() > 0);
}

#[test]
fn doors_make_a_rush_on_working_days_alone() {
    let plan = TrafficPlan::week(SiteKind::Booking);
    let rush = between(&plan, "2026-08-13T09:00:00", "2026-08-13T09:05:00");
    let later = between(&plan, "2026-08-13T11:00:00", "2026-08-13T11:05:00");
    let holiday = between(&plan, "2026-08-17T09:00:00", "2026-08-17T09:05:00");
    let sunday = between(&plan, "2026-08-16T09:00:00", "2026-08-16T09:05:00");
    assert!(rush > 2 * later, "{rush} and {later}");
    assert!(
        rush > 5 * holiday.max(sunday),
        "{rush}, {holiday} and {sunday}"
    );
}

#[test]
fn the_day_is_that_of_the_zone() {
    let plan = TrafficPlan {
        zone: chrono_tz::Europe::Madrid,
        // The clocks go back on this day, which has 25 hours.
        first: NaiveDate::from_ymd_opt(2026, 10, 25).unwrap(),
        days: 1,
        ..TrafficPlan::week(SiteKind::News)
    };
    let (first, last) = (
        plan.requests().next().unwrap(),
        plan.requests().last().unwrap(),
    );
    assert_eq!(zones::local(first.at, plan.zone).date_naive(), plan.first);
    assert!(last.at.since(first.at).as_secs() > 24 * 3_600 + 1_800);
}

#[test]
fn the_parts_of_real_traffic_are_there() {
    for kind in SiteKind::ALL {
        let (mut agents, mut paths) = (BTreeSet::new(), BTreeMap::<String, u64>::new());
        let (mut campaigns, mut missing) = (0, 0);
        for record in TrafficPlan::week(kind).requests() {
            agents.insert(record.user_agent().unwrap().to_str().unwrap().to_owned());
            *paths.entry(record.path().to_owned()).or_default() += 1;
            campaigns += u64::from(record.query().is_some_and(|query| query.contains("clid=")));
            missing += u64::from(record.status == http::StatusCode::NOT_FOUND);
        }
        assert_eq!(agents.len(), AGENTS.len());
        assert!(
            campaigns > 1_000 && missing > 50,
            "{campaigns} and {missing}"
        );
        if kind == SiteKind::Booking {
            let of = |shop: u64| paths[&format!("/barberias/{shop}")];
            assert!(of(0) > of(5) && of(5) > of(50), "Zipf's law");
            assert!(of(booking::SHOPS) > 50, "a new shop is advertised");
        } else {
            assert!(
                paths
                    .keys()
                    .filter(|path| path.starts_with("/nota/"))
                    .count()
                    > 500
            );
        }
    }
}

#[test]
fn pages_change_and_parts_do_not() {
    let model = SiteModel::new(SiteKind::Booking);
    let at = |hours: i64| Timestamp::from_unix_secs(1_786_000_000 + hours * 3_600);
    let tags = |target: &str, is_phone| -> BTreeSet<Option<String>> {
        (0..48)
            .map(|hours| model.answer(target, is_phone, at(hours)).etag)
            .collect()
    };
    assert!(tags("/", false).len() > 10);
    assert_eq!(tags("/img/3.svg", false).len(), 1);
    assert_eq!(tags("/checkout/3", false), BTreeSet::from([None]));
    assert_ne!(tags("/turnos/3", false), tags("/turnos/3", true));
    assert_eq!(
        tags("/turnos/3?utm_source=a", true),
        tags("/turnos/3", true)
    );
    let article = news::newest(at(0)) + 1;
    let model = SiteModel::new(SiteKind::News);
    let tag = |hours| {
        model
            .answer(&format!("/nota/{article}"), false, at(hours))
            .etag
    };
    assert_ne!(tag(1), tag(2));
    assert_eq!(tag(5), tag(40));
    assert_eq!(
        model.answer("/nota/x", false, at(0)).status,
        http::StatusCode::NOT_FOUND
    );
}

#[test]
fn written_lines_are_read_again() {
    for kind in SiteKind::ALL {
        for record in short(kind).requests().take(2_000) {
            let mut expected = record.clone();
            expected.place = LinePlace::default();
            expected.request.remove(ACCEPT_ENCODING);
            let json = parse(&write::line(&record, AccessLogFormat::Json)).unwrap();
            assert_eq!(json, expected);
            let combined = parse(&write::line(&record, AccessLogFormat::Combined)).unwrap();
            assert_eq!(combined.at.unix_secs(), record.at.unix_secs());
            assert_eq!(combined.request, expected.request);
            assert_eq!(
                (combined.target, combined.bytes),
                (record.target, record.bytes)
            );
        }
    }
}
