//! Time zone data: the compiled-in ones are right, a newer folder replaces them, and the program
//! tells which are in force.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use chrono_tz::Tz;
use flate2::read::GzDecoder;
use serde_json::Value;
use tero_semantics::timestamp::Timestamp;
use tero_tests::{Client, Origin, Request, folder, get};
use tero_time::moment::next_offset_change;
use tero_time::zones;

use crate::program::{Serving, assert_code, configuration, err, out, run, run_in};

/// Offsets of every zone from 2007 to 2030, by another reader of another package.
const OFFSETS: &[u8] = include_bytes!("../../data/zone-offsets.tsv.gz");

/// 2007-01-01T00:00:00Z and 2031-01-01T00:00:00Z.
const SPAN: [i64; 2] = [1_167_609_600, 1_924_992_000];

const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Every change of the offset in the span.
fn changes(zone: Tz) -> Vec<i64> {
    let [mut at, end] = SPAN;
    let mut found = Vec::new();
    while at < end {
        let now = Timestamp::from_unix_secs(at);
        at = match next_offset_change(now, zone) {
            Some(change) if change.unix_secs < end => {
                found.push(change.unix_secs);
                change.unix_secs
            }
            _ => now.saturating_add(YEAR).unix_secs(),
        };
    }
    found
}

#[test]
fn the_compiled_in_data_show_what_tzdata_shows_from_2007_to_2030() {
    let mut text = String::new();
    GzDecoder::new(OFFSETS).read_to_string(&mut text).unwrap();
    let release = zones::in_force().release().to_owned();
    assert!(text.contains(&format!("release {release},")), "{release}");
    let mut compared = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (names, series) = line.split_once('\t').unwrap();
        let (first, rest) = series.split_once(' ').unwrap_or((series, ""));
        let mut expected = vec![(SPAN[0], first.parse::<i32>().unwrap())];
        expected.extend(rest.split_whitespace().map(|change| {
            let (at, offset) = change.split_once(':').unwrap();
            (at.parse::<i64>().unwrap(), offset.parse().unwrap())
        }));
        for name in names.split(' ') {
            let Ok(zone) = name.parse::<Tz>() else {
                continue;
            };
            let offset = |secs| {
                zones::local(Timestamp::from_unix_secs(secs), zone)
                    .offset()
                    .local_minus_utc()
            };
            let shown: Vec<_> = std::iter::once(SPAN[0])
                .chain(changes(zone))
                .map(|at| (at, offset(at)))
                .collect();
            assert_eq!(shown, expected, "{name}");
            compared.insert(zone.name());
        }
    }
    let all: BTreeSet<_> = chrono_tz::TZ_VARIANTS
        .iter()
        .map(|zone| zone.name())
        .collect();
    let missing: Vec<_> = all.difference(&compared).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// A zone file of version 2 (RFC 9636) without transitions, whose footer holds this rule.
fn zone_file(rule: &str) -> Vec<u8> {
    let mut file = Vec::new();
    for _ in 0..2 {
        file.extend(b"TZif2");
        file.extend([0; 15]);
        for count in [0, 0, 0, 0, 1, 4] {
            file.extend([0, 0, 0, count]);
        }
        file.extend([0; 6]);
        file.extend(b"UTC\0");
    }
    file.extend(format!("\n{rule}\n").bytes());
    file
}

/// Writes a folder of zone files in which Madrid has this rule.
fn write_zones(folder: &Path, release: Option<&str>, rule: &str) {
    let europe = folder.join("zi/Europe");
    std::fs::create_dir_all(&europe).unwrap();
    std::fs::write(europe.join("Madrid"), zone_file(rule)).unwrap();
    let source = folder.join("zi/tzdata.zi");
    match release {
        Some(release) => std::fs::write(source, format!("# version {release}\n")).unwrap(),
        None => drop(std::fs::remove_file(source)),
    }
}

const MADRID: &str = "zone = \"Europe/Madrid\"\n\n[time]\nzoneinfo = \"zi\"\n";

/// A folder with zone files, and a configuration that names them.
fn place(release: Option<&str>, rule: &str) -> tempfile::TempDir {
    let (folder, origin) = (folder(), Origin::start());
    write_zones(folder.path(), release, rule);
    let text = configuration(&origin, MADRID);
    std::fs::write(folder.path().join("tero.toml"), text).unwrap();
    folder
}

fn compiled_in() -> String {
    zones::in_force().release().to_owned()
}

#[test]
fn the_check_and_the_version_tell_the_release() {
    for (release, told) in [
        (
            Some("2099a"),
            "2099a from zi; passed over: VERSION, compiled in",
        ),
        (
            Some("2001a"),
            "VERSION, compiled in; passed over: 2001a from zi",
        ),
        (
            None,
            "of unknown release from zi; passed over: VERSION, compiled in",
        ),
    ] {
        let place = place(release, "<+05>-5");
        let checked = run_in(place.path(), &["check"]);
        assert_code(&checked, 0);
        let told = told.replace("VERSION", &compiled_in());
        assert!(
            out(&checked).contains(&format!("time zone data: {told}\n")),
            "{}",
            out(&checked)
        );
    }
    let version = out(&run(&["--version"]));
    assert!(
        version
            .lines()
            .nth(1)
            .is_some_and(|line| line.starts_with("time zone data: 2")),
        "{version}"
    );
    assert_eq!(out(&run(&["-V"])).lines().count(), 1);
}

#[test]
fn a_folder_without_zone_files_is_refused() {
    let place = place(Some("2099a"), "<+05>-5");
    std::fs::remove_dir_all(place.path().join("zi/Europe")).unwrap();
    let checked = run_in(place.path(), &["check"]);
    assert_code(&checked, 1);
    assert!(
        err(&checked).contains("the folder zi has no zone files"),
        "{}",
        err(&checked)
    );
    std::fs::remove_dir_all(place.path().join("zi")).unwrap();
    let checked = run_in(place.path(), &["check"]);
    assert_code(&checked, 1);
    assert!(
        err(&checked).contains("there is no folder zi"),
        "{}",
        err(&checked)
    );
}

#[test]
fn a_damaged_zone_file_is_told() {
    let place = place(Some("2099a"), "<+05>-5");
    std::fs::write(place.path().join("zi/Europe/Rome"), "TZif").unwrap();
    let checked = run_in(place.path(), &["check"]);
    assert_code(&checked, 0);
    assert!(
        err(&checked).contains("warning: the file of the zone Europe/Rome is damaged"),
        "{}",
        err(&checked)
    );
    let json: Value =
        serde_json::from_str(&out(&run_in(place.path(), &["check", "--json"]))).unwrap();
    let expected = serde_json::json!({
        "release": "2099a", "folder": "zi", "damaged": ["Europe/Rome"]
    });
    assert_eq!(json["zone_data"], expected);
}

#[test]
fn the_schedule_follows_the_data_and_tells_where_the_others_differ() {
    let place = place(Some("2099a"), "<+02>-2");
    let arguments = ["schedule", "--from", "2026-03-20T00:00", "--next", "30d"];
    let told = run_in(place.path(), &arguments);
    assert_code(&told, 0);
    // Midnight on the clock of the folder, on which the clock never changes.
    assert!(
        out(&told).contains("# from 2026-03-19T22:00:00Z"),
        "{}",
        out(&told)
    );
    assert!(!out(&told).contains("the clock goes"), "{}", out(&told));
    let version = compiled_in();
    let line = |span: &str| {
        format!(
            "warning: Europe/Madrid, {span}: the offset is +02:00 by the time zone data in use (2099a from zi) and +01:00 by {version}, compiled in\n"
        )
    };
    let expected = [
        line("2026-03-19T22:00:00Z until 2026-03-29T01:00:00Z"),
        line("2026-10-25T01:00:00Z until 2027-03-19T22:00:00Z"),
    ];
    assert_eq!(err(&told), expected.concat());
    // With older data the same difference is told the other way around.
    write_zones(place.path(), Some("2001a"), "<+02>-2");
    let told = run_in(place.path(), &arguments);
    assert!(
        out(&told).contains("the clock goes forward by 60 minutes"),
        "{}",
        out(&told)
    );
    assert!(
        err(&told).contains("the offset is +01:00 by the time zone data in use"),
        "{}",
        err(&told)
    );
    // The compiled-in data alone are compared with nothing.
    let text = std::fs::read_to_string(place.path().join("tero.toml")).unwrap();
    let text = text.replace("zoneinfo = \"zi\"", "zoneinfo = \"\"");
    std::fs::write(place.path().join("tero.toml"), text).unwrap();
    assert_eq!(err(&run_in(place.path(), &arguments)), "");
}

#[test]
fn a_reload_reads_the_zone_files_again() {
    let (zone_files, origin) = (folder(), Origin::start());
    write_zones(zone_files.path(), Some("2099a"), "<+05>-5");
    let path = zone_files.path().join("zi").display().to_string();
    let more = MADRID.replace("\"zi\"", &tero_tests::toml_string(&path));
    let serving = Serving::start(&configuration(&origin, &more));
    serving.line_with(&["time zone data: 2099a from"]);
    let mut admin = Client::connect(serving.admin_address());
    let mut assert_in_force = |release: &str, offset: &str| {
        let metrics = admin.send(&get("/metrics").host("localhost")).text();
        let sample = format!("tero_zone_data_info{{release=\"{release}\",source=\"folder\"}} 1\n");
        assert!(metrics.contains(&sample), "{metrics}");
        let question = Request::new("POST", "/explain")
            .host("localhost")
            .body(r#"{ "url": "http://www.example/page" }"#);
        let explained = admin.send(&question).text();
        let json: Value =
            serde_json::from_str(&explained).unwrap_or_else(|_| panic!("{explained}"));
        assert!(
            json["at"]["local"].as_str().unwrap().ends_with(offset),
            "{json}"
        );
    };
    assert_in_force("2099a", "+05:00");
    write_zones(zone_files.path(), Some("2099b"), "<-07>7");
    assert_in_force("2099a", "+05:00");
    serving.signal("HUP");
    serving.line_with(&["time zone data: 2099b from"]);
    serving.line_with(&["read again"]);
    assert_in_force("2099b", "-07:00");
    // A folder that can't be used leaves the old data.
    std::fs::remove_dir_all(zone_files.path().join("zi/Europe")).unwrap();
    serving.signal("HUP");
    serving.line_with(&["the old configuration stays", "has no zone files"]);
    assert_in_force("2099b", "-07:00");
}

#[test]
fn schedules_and_zones_are_checked_with_their_cure() {
    let (folder, origin) = (folder(), Origin::start());
    let check = |zone: &str, schedule: &str| {
        let plan = format!(
            "zone = \"{zone}\"\n\n[[warm]]\nname = \"w\"\nsite = \"site\"\nurls = [\"/\"]\nschedule = \"{schedule}\"\n"
        );
        let text = configuration(&origin, &plan);
        std::fs::write(folder.path().join("tero.toml"), text).unwrap();
        let checked = run_in(folder.path(), &["check", "--json"]);
        serde_json::from_str::<Value>(&out(&checked)).unwrap()
    };
    let good = check("Europe/Madrid", "@daily");
    assert_eq!(
        (&good["errors"], &good["notices"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
    let notice = &check("CET", "@daily")["notices"][0];
    assert_eq!(notice["key"], "site.zone");
    assert_eq!(notice["cure"], "name the place: \"Europe/Madrid\"");
    for (zone, schedule, problem, cure) in [
        (
            "ART",
            "@daily",
            "`ART` is not a zone",
            "America/Argentina/Buenos_Aires",
        ),
        (
            "GMT-3",
            "@daily",
            "`GMT-3` is not a zone",
            "\"Etc/GMT+3\", with its sign reversed",
        ),
        (
            "UTC",
            "*/60 * * * *",
            "steps over all values but 0",
            "write `0`",
        ),
        ("UTC", "0 9 * * +MON", "begins with a +", "write `MON`"),
        ("UTC", "@reboot", "not a nickname", "ready_after"),
    ] {
        let refused = check(zone, schedule);
        let error = &refused["errors"][0];
        let told = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        assert!(
            told("problem").contains(problem) && told("cure").contains(cure),
            "{zone} {schedule}: {refused}"
        );
    }
}
