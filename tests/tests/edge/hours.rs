//! Opening hours to the second: both sides of every boundary of windows, across midnight, holidays,
//! half-days, clock changes and the end of the year.

use std::cell::Cell;

use chrono::DateTime;
use tero_semantics::timestamp::Timestamp;
use tero_tests::{ART, Edge, EdgeBuilder, Origin, Reply, folder, toml_string};

/// An edge that tells what its policy decides at a moment. Each question is about a new page, so
/// that nothing is stored for it.
struct Shop {
    edge: Edge,
    asked: Cell<u32>,
    _origin: Origin,
}

/// A policy for opening hours, with one rule for all pages.
fn hours(zone: &str, windows: &str, rule: &str) -> String {
    format!(
        "settings = {{ zone = {}, windows = [{windows}], rules = [{{ paths = [\"*\"], {rule} }}] }}",
        toml_string(zone)
    )
}

const UNTIL: &str = "inside = \"until-close\", outside = \"until-open\"";

impl Shop {
    fn with(zone: &str, module: &str, keys: &str) -> Shop {
        Shop::of(|origin| {
            Edge::before(origin)
                .zone(zone)
                .policy("hours", module, keys)
        })
    }

    fn open(zone: &str, windows: &str) -> Shop {
        Shop::with(zone, "builtin:business-hours", &hours(zone, windows, UNTIL))
    }

    fn of(build: impl FnOnce(&Origin) -> EdgeBuilder) -> Shop {
        let origin = Origin::start();
        origin.otherwise(|_| Reply::fresh(86_400, "page"));
        let edge = build(&origin).start();
        Shop {
            edge,
            asked: Cell::new(0),
            _origin: origin,
        }
    }

    /// The lifetime of a page that is stored now, and the reason.
    fn ask(&self, path: &str) -> (i64, String) {
        self.asked.set(self.asked.get() + 1);
        let answer = self.edge.get(&format!("{path}?n={}", self.asked.get()));
        let status = answer.cache_status();
        (status.ttl.unwrap_or(-1), status.detail.unwrap_or_default())
    }

    #[track_caller]
    fn check(&self, when: &str, path: &str, ttl: i64, words: &str) {
        let (found, reason) = self.ask(path);
        assert_eq!(found, ttl, "{when}: {reason}");
        assert!(
            reason.contains(words),
            "{when}: {reason:?} does not say {words:?}"
        );
    }

    /// Checks the lifetime at a local time, and a word of the reason.
    #[track_caller]
    fn at(&self, local: &str, ttl: i64, words: &str) {
        self.edge.turn_to(local);
        self.check(local, "/", ttl, words);
    }

    /// The same at an instant in UTC, which no clock change makes ambiguous.
    #[track_caller]
    fn at_utc(&self, utc: &str, ttl: i64, words: &str) {
        let instant = DateTime::parse_from_rfc3339(utc).unwrap().timestamp();
        self.edge
            .clock()
            .turn_to(Timestamp::from_unix_secs(instant));
        self.check(utc, "/", ttl, words);
    }

    /// Checks every boundary: the old state lasts until the second before it, and the new state
    /// begins on it and lasts for so many seconds.
    #[track_caller]
    fn changes(&self, boundaries: &[(&str, &str, i64)]) {
        for (utc, now, ttl) in boundaries {
            let before = if *now == "open" { "closed" } else { "open" };
            let instant =
                DateTime::parse_from_rfc3339(utc).unwrap() - chrono::TimeDelta::seconds(1);
            self.at_utc(&instant.to_rfc3339(), 1, before);
            self.at_utc(utc, *ttl, now);
        }
    }
}

const HOUR: i64 = 3_600;

#[test]
fn every_boundary_of_several_windows_around_two_holidays() {
    let windows =
        "{ days = [\"mon-fri\"], from = \"09:00\", to = \"13:00\" }, { days = [\"mon-fri\"], from = \"16:00\", to = \"20:00\" },
        { days = [\"fri\"], from = \"22:00\", to = \"04:00\" }";
    let shop = Shop::with(
        ART,
        "builtin:business-hours",
        &(hours(ART, windows, UNTIL) + "\ncalendar = \"builtin:argentina\""),
    );
    // A Friday; the Monday and the Tuesday after it are holidays.
    shop.changes(&[
        ("2026-12-04T09:00:00-03:00", "open", 4 * HOUR),
        ("2026-12-04T13:00:00-03:00", "closed", 3 * HOUR),
        ("2026-12-04T16:00:00-03:00", "open", 4 * HOUR),
        ("2026-12-04T20:00:00-03:00", "closed", 2 * HOUR),
        ("2026-12-04T22:00:00-03:00", "open", 6 * HOUR),
        ("2026-12-05T04:00:00-03:00", "closed", 101 * HOUR),
        ("2026-12-09T09:00:00-03:00", "open", 4 * HOUR),
        ("2026-12-09T13:00:00-03:00", "closed", 3 * HOUR),
    ]);
    shop.at(
        "2026-12-07T08:59:59",
        48 * HOUR + 1,
        "closed (holiday: Puente",
    );
    shop.at("2026-12-07T09:00:00", 48 * HOUR, "closed (holiday: Puente");
    shop.at(
        "2026-12-08T12:00:00",
        21 * HOUR,
        "closed (holiday: Inmaculada",
    );
}

#[test]
fn a_night_window_before_a_holiday_ends_as_usual() {
    let window = "{ from = \"22:00\", to = \"04:00\" }";
    let shop = Shop::with(
        ART,
        "builtin:business-hours",
        &(hours(ART, window, UNTIL) + "\ncalendar = \"builtin:argentina\""),
    );
    shop.changes(&[
        ("2026-12-24T22:00:00-03:00", "open", 6 * HOUR),
        ("2026-12-25T04:00:00-03:00", "closed", 42 * HOUR),
        ("2026-12-26T22:00:00-03:00", "open", 6 * HOUR),
        ("2026-12-27T04:00:00-03:00", "closed", 18 * HOUR),
    ]);
    shop.at("2026-12-24T23:59:59", 4 * HOUR + 1, "open");
    shop.at("2026-12-25T00:00:00", 4 * HOUR, "open (holiday: Navidad)");
    shop.at(
        "2026-12-25T22:00:00",
        24 * HOUR,
        "closed (holiday: Navidad)",
    );
    shop.at("2026-12-26T02:00:00", 20 * HOUR, "closed");
}

#[test]
fn a_half_day_follows_the_hours_of_the_calendar() {
    let folder = folder();
    let calendar = folder.path().join("days.toml");
    let text = "extends = \"builtin:argentina\"\n[[day]]\ndate = \"2026-12-24\"\nname = \"Nochebuena\"\nkind = \"half-day\"\nfrom = \"10:00\"\nuntil = \"13:30\"\n";
    std::fs::write(&calendar, text).unwrap();
    let calendar = format!(
        "\ncalendar = {}",
        toml_string(&calendar.display().to_string())
    );
    let window = "{ days = [\"mon-sat\"], from = \"09:00\", to = \"18:00\" }";
    let shop = Shop::with(
        ART,
        "builtin:business-hours",
        &(hours(ART, window, UNTIL) + &calendar),
    );
    shop.changes(&[
        ("2026-12-23T18:00:00-03:00", "closed", 16 * HOUR),
        ("2026-12-24T10:00:00-03:00", "open", 3 * HOUR + 1_800),
        ("2026-12-24T13:30:00-03:00", "closed", 43 * HOUR + 1_800),
        ("2026-12-26T09:00:00-03:00", "open", 9 * HOUR),
        ("2026-12-26T18:00:00-03:00", "closed", 39 * HOUR),
    ]);
    shop.at("2026-12-24T09:00:00", HOUR, "closed (half-day: Nochebuena)");
}

/// The sample file: every boundary of a week; Sundays and holidays have none.
#[test]
fn every_boundary_of_the_json_file() {
    let sample = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/barberpro/cdn-argentina-policies.json");
    let keys = format!(
        "settings_file = {}\ncalendar = \"builtin:argentina\"",
        toml_string(&sample.display().to_string())
    );
    let shop = Shop::with(ART, "builtin:json-rules", &keys);
    let days = [
        ("16", true),
        ("17", true),
        ("18", true),
        ("19", true),
        ("20", true),
        ("21", true),
        ("22", false),
        ("23", false),
    ];
    for (day, opens) in days {
        for (time, open) in [
            ("08:59:59", false),
            ("09:00:00", true),
            ("17:59:59", true),
            ("18:00:00", false),
        ] {
            let (ttl, words) = if open && opens {
                (120, "business hours")
            } else {
                (1_800, "otherwise")
            };
            shop.at(&format!("2026-11-{day}T{time}"), ttl, words);
        }
    }
}

/// The clock went from 00:00 to 01:00 on 19 October 2008, and from 24:00 back to 23:00 on 14 March
/// 2009.
#[test]
fn clock_changes_in_argentina() {
    let night = Shop::open(ART, "{ from = \"23:00\", to = \"02:00\" }");
    night.changes(&[
        ("2008-10-19T02:00:00Z", "open", 2 * HOUR),
        ("2008-10-19T04:00:00Z", "closed", 21 * HOUR),
        ("2008-10-20T01:00:00Z", "open", 3 * HOUR),
    ]);
    // The opening time is skipped: the shop opens at the end of the gap.
    let midnight = Shop::open(ART, "{ from = \"00:30\", to = \"05:00\" }");
    midnight.changes(&[
        ("2008-10-19T03:00:00Z", "open", 4 * HOUR),
        ("2008-10-19T07:00:00Z", "closed", 19 * HOUR + 1_800),
    ]);
    // 23:00 to 24:00 came twice: a shop that is open then is open twice.
    let evening = Shop::open(ART, "{ from = \"22:30\", to = \"23:30\" }");
    evening.changes(&[
        ("2009-03-15T00:30:00Z", "open", HOUR),
        ("2009-03-15T01:30:00Z", "closed", 1_800),
        ("2009-03-15T02:00:00Z", "open", 1_800),
        ("2009-03-15T02:30:00Z", "closed", 23 * HOUR),
    ]);
}

#[test]
fn clock_changes_in_santiago_madrid_and_new_york() {
    let day = "{ from = \"09:00\", to = \"18:00\" }";
    for (zone, boundaries) in [
        (
            "America/Santiago",
            [
                ("2026-04-04T21:00:00Z", "closed", 16 * HOUR),
                ("2026-04-05T13:00:00Z", "open", 9 * HOUR),
            ],
        ),
        (
            "America/Santiago",
            [
                ("2026-09-05T22:00:00Z", "closed", 14 * HOUR),
                ("2026-09-06T12:00:00Z", "open", 9 * HOUR),
            ],
        ),
        (
            "Europe/Madrid",
            [
                ("2026-03-28T17:00:00Z", "closed", 14 * HOUR),
                ("2026-03-29T07:00:00Z", "open", 9 * HOUR),
            ],
        ),
        (
            "Europe/Madrid",
            [
                ("2026-10-24T16:00:00Z", "closed", 16 * HOUR),
                ("2026-10-25T08:00:00Z", "open", 9 * HOUR),
            ],
        ),
        (
            "America/New_York",
            [
                ("2026-03-07T23:00:00Z", "closed", 14 * HOUR),
                ("2026-03-08T13:00:00Z", "open", 9 * HOUR),
            ],
        ),
        (
            "America/New_York",
            [
                ("2026-10-31T22:00:00Z", "closed", 16 * HOUR),
                ("2026-11-01T14:00:00Z", "open", 9 * HOUR),
            ],
        ),
    ] {
        Shop::open(zone, day).changes(&boundaries);
    }
    let night = Shop::open("Europe/Madrid", "{ from = \"02:30\", to = \"05:00\" }");
    night.changes(&[
        // 02:30 is skipped.
        ("2026-03-29T01:00:00Z", "open", 2 * HOUR),
        ("2026-03-29T03:00:00Z", "closed", 21 * HOUR + 1_800),
        // 02:00 to 03:00 comes twice.
        ("2026-10-25T00:30:00Z", "open", 1_800),
        ("2026-10-25T01:00:00Z", "closed", 1_800),
        ("2026-10-25T01:30:00Z", "open", 2 * HOUR + 1_800),
        ("2026-10-25T04:00:00Z", "closed", 21 * HOUR + 1_800),
    ]);
}

#[test]
fn the_end_of_the_year_is_an_ordinary_midnight() {
    let shop = Shop::open(ART, "{ from = \"22:00\", to = \"02:00\" }");
    shop.changes(&[
        ("2026-12-31T22:00:00-03:00", "open", 4 * HOUR),
        ("2027-01-01T02:00:00-03:00", "closed", 20 * HOUR),
        ("2027-01-01T22:00:00-03:00", "open", 4 * HOUR),
    ]);
    shop.at("2026-12-31T23:59:59", 2 * HOUR + 1, "open");
    shop.at("2027-01-01T00:00:00", 2 * HOUR, "open");
}

#[test]
fn browsers_do_not_keep_a_page_beyond_its_change() {
    let window = "{ from = \"09:00\", to = \"18:00\" }";
    let shop = Shop::with(
        ART,
        "builtin:business-hours",
        &hours(ART, window, "inside = \"1d\", outside = \"1h\""),
    );
    let told = |local: &str| {
        shop.edge.turn_to(local);
        let answer = shop.edge.get("/page");
        (
            answer.cache_status().hit,
            answer.header("cache-control").unwrap(),
            answer.age().unwrap_or_default(),
        )
    };
    // The origin's own lifetime is a day.
    assert_eq!(
        told("2026-11-24T17:00:00"),
        (false, "max-age=3600".to_owned(), 0)
    );
    assert_eq!(
        told("2026-11-24T17:59:59"),
        (true, "max-age=3600".to_owned(), 3_599),
        "a browser takes the age off"
    );
    assert!(!told("2026-11-24T18:00:00").0);
    let until = Shop::with(
        ART,
        "builtin:business-hours",
        &hours(
            ART,
            window,
            "inside = \"until 12:00\", outside = \"1h\", browser_ttl = \"10min\"",
        ),
    );
    until.edge.turn_to("2026-11-24T11:55:00");
    let answer = until.edge.get("/page");
    assert_eq!(
        (
            answer.cache_status().ttl,
            answer.header("cache-control").as_deref()
        ),
        (Some(300), Some("max-age=300"))
    );
}

#[test]
fn a_thousand_pages_expire_at_different_seconds() {
    let spread = hours(
        ART,
        "{ from = \"09:00\", to = \"18:00\" }",
        "inside = \"10min\", outside = \"1h\", spread = 20",
    );
    let (shop, twin) = (
        Shop::with(ART, "builtin:business-hours", &spread),
        Shop::with(ART, "builtin:business-hours", &spread),
    );
    let mut expiring = std::collections::BTreeMap::new();
    let mut client = shop.edge.client();
    for n in 0..1_000 {
        let ttl = client
            .send(&tero_tests::get(format!("/list?page={n}")))
            .cache_status()
            .ttl
            .unwrap();
        assert!((480..=600).contains(&ttl), "{ttl}");
        *expiring.entry(ttl).or_insert(0) += 1;
        if n % 100 == 0 {
            assert_eq!(
                twin.edge.get(&format!("/list?page={n}")).cache_status().ttl,
                Some(ttl),
                "another edge says another lifetime"
            );
        }
    }
    assert!(
        expiring.len() > 100 && expiring.values().all(|pages| *pages < 30),
        "{expiring:?}"
    );
}

/// The configuration of the booking site in `examples`.
#[test]
fn every_boundary_of_the_booking_site() {
    let text = include_str!("../../../examples/barberpro/tero.toml");
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(7, "page"));
    let text = text
        .replace("0.0.0.0:8080", "127.0.0.1:0")
        .replace("127.0.0.1:9090", "127.0.0.1:0")
        .replace("http://127.0.0.1:3000", &origin.url())
        .replace("[access_log]\npath = \"-\"\nformat = \"combined\"\n", "")
        .replace(
            "calendar = \"builtin:argentina\"",
            "calendar = \"builtin:argentina\"\nlimits = { deadline = \"5s\" }",
        );
    let edge = Edge::from_toml(&text, "2026-11-16T00:00:00", ART);
    for (number, day) in (16..=23).enumerate() {
        let opens = day < 22;
        for (time, open) in [
            ("08:59:59", false),
            ("09:00:00", true),
            ("17:59:59", true),
            ("18:00:00", false),
        ] {
            edge.turn_to(&format!("2026-11-{day}T{time}"));
            let page = tero_tests::get(format!("/api/v1/disponibilidad/{number}-{time}"))
                .host("www.barberpro.com.ar");
            let status = edge.send(&page).cache_status();
            let ttl = match (opens && open, time) {
                (true, "17:59:59") => 1,
                (true, _) => 15,
                (false, "08:59:59") if opens => 1,
                (false, _) => 120,
            };
            assert_eq!(status.ttl, Some(ttl), "{day} {time}: {status:?}");
            let words = if opens && open {
                "availability: open"
            } else {
                "availability: closed"
            };
            assert!(
                status.detail.as_deref().unwrap().contains(words),
                "{day} {time}: {status:?}"
            );
        }
    }
}
