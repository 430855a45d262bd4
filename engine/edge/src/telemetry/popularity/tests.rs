use std::collections::HashMap;
use std::time::Duration;

use super::saved::{SavedPage, SavedSite};
use super::sketch::{ENTRY_BYTES, HOUR_BYTES};
use super::*;

const UTC: Tz = chrono_tz::UTC;
const HOUR: Duration = Duration::from_secs(3_600);
/// Monday 5 January 2026, 00:00 UTC.
const MONDAY: Timestamp = Timestamp::from_unix_secs(1_767_571_200);

fn counters(zone: Tz, max_bytes: usize) -> Popularity {
    let popularity = Popularity::within(max_bytes);
    popularity.set_sites(&[zone]);
    popularity
}

fn of_page<'p>(url: &'p str, variant: Option<&'p str>, requests: u32) -> PageRequests<'p> {
    PageRequests {
        url,
        variant,
        requests,
    }
}

fn urls(pages: &[PopularPage]) -> Vec<&str> {
    pages.iter().map(|page| &*page.url).collect()
}

/// Requests for pages, whose numbers are distributed as on real sites, in an order that mixes rare
/// and frequent pages.
fn zipf(pages: u32, requests: u32) -> Vec<u32> {
    let total: f64 = (1..=pages).map(|rank| 1.0 / f64::from(rank)).sum();
    let mut all: Vec<u32> = (1..=pages)
        .flat_map(|rank| {
            let share = f64::from(requests) / f64::from(rank) / total;
            std::iter::repeat_n(rank, (share.round() as usize).max(1))
        })
        .collect();
    let mut state = 1_u64;
    for at in (1..all.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        all.swap(at, (state >> 33) as usize % (at + 1));
    }
    all
}

#[test]
fn pages_are_found_by_the_hours_in_which_they_were_requested() {
    let popularity = counters(chrono_tz::America::Argentina::Buenos_Aires, 1 << 20);
    let nine = MONDAY.saturating_add(12 * HOUR); // 09:00 in Buenos Aires.
    popularity.record(0, of_page("/turnos", Some("mobile"), 30), nine);
    popularity.record(0, of_page("/", None, 20), nine);
    popularity.record(
        0,
        of_page("/noche", None, 90),
        nine.saturating_add(12 * HOUR),
    );
    let at_nine = Hours::NONE.with(9);
    let top = popularity.top(0, at_nine, 10, nine);
    assert_eq!(urls(&top), ["/turnos", "/"]);
    assert_eq!(
        (top[0].requests, top[0].variant.as_deref()),
        (30, Some("mobile"))
    );
    assert_eq!((top[1].requests, top[1].variant.as_deref()), (20, None));
    assert_eq!(urls(&popularity.top(0, Hours::ALL, 1, nine)), ["/noche"]);
    assert_eq!(popularity.top(0, Hours::NONE.with(10), 10, nine), []);
    assert_eq!(popularity.top(1, Hours::ALL, 10, nine), []);
}

#[test]
fn a_request_counts_half_after_a_week() {
    let popularity = counters(UTC, 1 << 20);
    popularity.record(0, of_page("/old", None, 100), MONDAY);
    popularity.record(
        0,
        of_page("/new", None, 60),
        MONDAY.saturating_add(HALF_LIFE),
    );
    let top = popularity.top(0, Hours::ALL, 2, MONDAY.saturating_add(HALF_LIFE));
    assert_eq!(urls(&top), ["/new", "/old"]);
    assert_eq!((top[0].requests, top[1].requests), (60, 50));
    // After half a year the old page is gone, and new requests count fully.
    let later = MONDAY.saturating_add(26 * HALF_LIFE);
    popularity.record(0, of_page("/now", None, 7), later);
    assert_eq!(popularity.top(0, Hours::ALL, 1, later)[0].requests, 7);
    let shard_of_now = popularity.top(0, Hours::ALL, 9, later);
    assert!(
        shard_of_now
            .iter()
            .all(|page| page.url == "/now" || page.requests <= 1),
        "{shard_of_now:?}"
    );
}

/// Checks that no page is reported with more requests than it had, or with fewer than that by more
/// than `bound`.
fn assert_reported_within(bound: f64, popularity: &Popularity, exact: &HashMap<u32, u32>) {
    let reported: HashMap<String, u64> = popularity
        .top(0, Hours::ALL, usize::MAX, MONDAY)
        .into_iter()
        .map(|page| (page.url, page.requests))
        .collect();
    for (rank, &count) in exact {
        let reported = reported.get(&format!("/page/{rank}")).copied().unwrap_or(0);
        assert!(
            reported <= u64::from(count) && f64::from(count) - reported as f64 <= bound,
            "page {rank}: reported {reported}, was {count}, bound {bound}"
        );
    }
}

#[test]
fn memory_and_errors_stay_within_their_bounds() {
    let max_bytes = 256 * 1024;
    let popularity = counters(UTC, max_bytes);
    let requests = zipf(20_000, 400_000);
    let mut exact: HashMap<u32, u32> = HashMap::new();
    for rank in &requests {
        *exact.entry(*rank).or_default() += 1;
        popularity.record(0, of_page(&format!("/page/{rank}"), None, 1), MONDAY);
        debug_assert!(popularity.bytes() <= max_bytes);
    }
    assert!(popularity.bytes() <= max_bytes);
    let bound = popularity.error_bound(0, MONDAY);
    // Pages that would fit, over all shards, if each were as large as the largest here. At least
    // half as many stay in the sketch.
    let room = max_bytes / (ENTRY_BYTES + "/page/20000".len() + HOUR_BYTES);
    // The shards aren't filled evenly: allow a tenth more.
    assert!(
        bound <= 1.1 * 2.0 * requests.len() as f64 / room as f64,
        "{bound} with room for {room}"
    );
    assert_reported_within(bound, &popularity, &exact);
    let top: Vec<String> = popularity
        .top(0, Hours::ALL, 50, MONDAY)
        .into_iter()
        .map(|page| page.url)
        .collect();
    let agreed = (1..=50)
        .filter(|rank| top.contains(&format!("/page/{rank}")))
        .count();
    assert!(agreed >= 48, "{agreed} of the top 50");
}

#[test]
fn impossible_pages_are_not_counted() {
    let popularity = counters(UTC, 1 << 20);
    popularity.record(0, of_page(&"x".repeat(MAX_URL_BYTES + 1), None, 1), MONDAY);
    popularity.record(0, of_page("/a\0b", None, 1), MONDAY);
    popularity.record(0, of_page("", None, 1), MONDAY);
    popularity.record(0, of_page("/", None, 0), MONDAY);
    popularity.record(7, of_page("/", None, 1), MONDAY);
    assert_eq!(popularity.top(0, Hours::ALL, 9, MONDAY), []);
}

#[test]
fn a_clock_that_goes_back_is_harmless() {
    let popularity = counters(UTC, 1 << 20);
    for millis in [i64::MAX, 0, i64::MIN, 1_767_571_200_000, i64::MAX] {
        popularity.record(
            0,
            of_page("/", None, 1),
            Timestamp::from_unix_millis(millis),
        );
        assert!(
            popularity
                .top(0, Hours::ALL, 9, Timestamp::from_unix_millis(millis))
                .len()
                <= 1
        );
    }
}

#[test]
fn sites_added_later_share_the_memory_and_leave_the_counters() {
    let popularity = counters(UTC, 1 << 20);
    for page in 0..10_000 {
        popularity.record(0, of_page(&format!("/{page}"), None, 1 + page % 7), MONDAY);
    }
    popularity.record(0, of_page("/", None, 500), MONDAY);
    popularity.set_sites(&[UTC, chrono_tz::Europe::Madrid, UTC, UTC]);
    assert!(popularity.bytes() <= 1 << 18);
    popularity.record(3, of_page("/three", None, 5), MONDAY);
    assert_eq!(urls(&popularity.top(0, Hours::ALL, 1, MONDAY)), ["/"]);
    assert_eq!(urls(&popularity.top(3, Hours::ALL, 1, MONDAY)), ["/three"]);
}

#[test]
fn the_most_requested_hosts_are_known_whatever_else_is_sent() {
    let popularity = counters(UTC, 1 << 20);
    for number in 0..1_000 {
        popularity.record_web_origin(0, &format!("junk-{number}.example"), 1);
        popularity.record_web_origin(0, "www.example", 3);
        popularity.record_web_origin(0, "example", 1);
    }
    popularity.record_web_origin(0, &"x".repeat(300), 1_000_000);
    popularity.record_web_origin(1, "nowhere", 1);
    let hosts = popularity.web_origins(0);
    assert_eq!(
        (&*hosts[0], &*hosts[1], hosts.len()),
        ("www.example", "example", MAX_WEB_ORIGINS)
    );
    popularity.set_sites(&[UTC, UTC]);
    assert_eq!(&*popularity.web_origins(0)[0], "www.example");
    assert_eq!(popularity.web_origins(1), []);
}

#[test]
fn without_memory_nothing_is_counted() {
    let popularity = counters(UTC, 0);
    popularity.record(0, of_page("/", None, 1), MONDAY);
    assert_eq!(popularity.bytes(), 0);
}

#[test]
fn counters_survive_a_restart() {
    let popularity = counters(UTC, 1 << 20);
    let nine = MONDAY.saturating_add(9 * HOUR);
    let evening = nine.saturating_add(12 * HOUR);
    let later = nine.saturating_add(HALF_LIFE);
    popularity.record(0, of_page("/turnos?dia=1", Some("mobile"), 30), nine);
    popularity.record(0, of_page("/", None, 20), nine);
    popularity.record(0, of_page("/noche", None, 90), evening);
    popularity.record_web_origin(0, "www.example", 7);
    let text = serde_json::to_string(&popularity.save(0, later).unwrap()).unwrap();
    let again = counters(UTC, 1 << 20);
    let restore = || again.restore(0, serde_json::from_str(&text).unwrap(), later);
    assert_eq!(restore(), 0);
    for (hours, now) in [
        (Hours::NONE.with(9), later),
        (Hours::ALL, later.saturating_add(HALF_LIFE)),
    ] {
        assert_eq!(
            again.top(0, hours, 10, now),
            popularity.top(0, hours, 10, now)
        );
    }
    assert_eq!(again.web_origins(0), popularity.web_origins(0));
    let most_at_nine = || again.top(0, Hours::NONE.with(9), 1, later)[0].requests;
    assert_eq!(most_at_nine(), 15);
    // It continues from there, and a second restore doesn't count twice.
    again.record(0, of_page("/", None, 100), later);
    restore();
    assert_eq!(most_at_nine(), 110);
    assert_eq!(popularity.save(1, nine), None);
    assert_eq!(again.restore(1, SavedSite::default(), nine), 0);
}

#[test]
fn saved_counters_fit_into_less_memory_and_keep_their_bound() {
    let popularity = counters(UTC, 256 * 1024);
    for rank in zipf(5_000, 100_000) {
        popularity.record(0, of_page(&format!("/page/{rank}"), None, 1), MONDAY);
    }
    let saved = popularity.save(0, MONDAY).unwrap();
    let small = counters(UTC, 64 * 1024);
    assert_eq!(small.restore(0, saved, MONDAY), 0);
    assert!(small.bytes() <= 64 * 1024, "{}", small.bytes());
    assert!(small.error_bound(0, MONDAY) >= popularity.error_bound(0, MONDAY));
    assert_eq!(
        urls(&small.top(0, Hours::ALL, 3, MONDAY)),
        ["/page/1", "/page/2", "/page/3"]
    );
}

fn saved(url: &str, variant: Option<&str>, weight: f64, hours: Vec<(u8, f32)>) -> SavedPage {
    SavedPage {
        url: url.into(),
        variant: variant.map(Into::into),
        weight,
        hours,
    }
}

#[test]
fn impossible_values_of_saved_counters_are_left_out() {
    let pages = vec![
        saved("/good", Some("mobile"), 2.0, vec![(9, 2.0)]),
        saved("", None, 1.0, vec![(9, 1.0)]),
        saved("/a\0b", None, 1.0, vec![(9, 1.0)]),
        saved(&"x".repeat(MAX_URL_BYTES + 1), None, 1.0, vec![(9, 1.0)]),
        saved("/variant", Some("a\0b"), 1.0, vec![(9, 1.0)]),
        saved("/nan", None, f64::NAN, vec![(9, 1.0)]),
        saved("/negative", None, -1.0, vec![(9, 1.0)]),
        saved("/endless", None, f64::INFINITY, vec![(9, 1.0)]),
        saved("/hour", None, 1.0, vec![(168, 1.0)]),
        saved("/twice", None, 1.0, vec![(9, 1.0), (9, 1.0)]),
        saved("/hours", None, 1.0, vec![(9, f32::NAN)]),
    ];
    let hosts = vec![
        ("x".repeat(300).into(), 5),
        ("".into(), 1),
        ("www.example".into(), u64::MAX),
    ];
    for unix_millis in [MONDAY.unix_millis(), i64::MAX, i64::MIN] {
        let popularity = counters(UTC, 1 << 20);
        let saved = SavedSite {
            unix_millis,
            error_bound: f64::NAN,
            pages: pages.clone(),
            hosts: hosts.clone(),
        };
        assert_eq!(popularity.restore(0, saved, MONDAY), 12);
        assert_eq!(urls(&popularity.top(0, Hours::ALL, 10, MONDAY)), ["/good"]);
        assert_eq!(popularity.web_origins(0), ["www.example".into()]);
        popularity.record(0, of_page("/now", None, 1), MONDAY);
    }
}

#[test]
fn counters_saved_by_a_fast_clock_weigh_no_more_than_later_requests() {
    let popularity = counters(UTC, 1 << 20);
    popularity.record(0, of_page("/old", None, 10), MONDAY);
    let mut saved = popularity.save(0, MONDAY).unwrap();
    saved.unix_millis = MONDAY.saturating_add(20 * HALF_LIFE).unix_millis();
    let again = counters(UTC, 1 << 20);
    again.restore(0, saved, MONDAY);
    again.record(0, of_page("/new", None, 11), MONDAY);
    assert_eq!(urls(&again.top(0, Hours::ALL, 2, MONDAY)), ["/new", "/old"]);
    assert_eq!(again.top(0, Hours::ALL, 2, MONDAY)[1].requests, 10);
}

#[test]
fn hosts_keep_their_order_beyond_32_bits_of_requests() {
    let saved = SavedSite {
        hosts: vec![
            ("less".into(), 5_000_000_000),
            ("more".into(), 6_000_000_000),
        ],
        ..SavedSite::default()
    };
    let again = counters(UTC, 1 << 20);
    again.restore(0, saved.clone(), MONDAY);
    assert_eq!(again.web_origins(0), ["more".into(), "less".into()]);
    assert_eq!(again.save(0, MONDAY).unwrap().hosts, saved.hosts);
}
