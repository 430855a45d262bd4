//! `tero schedule`: the real program.

use tero_tests::{Origin, folder};

use crate::program::{assert_code, configuration, err, out, run_in};

const SHOP: &str = "policies = [\"hours\"]\n\n[[policy]]\nname = \"hours\"\nmodule = \"builtin:business-hours\"\ncalendar = \"builtin:argentina\"\n\
    limits = { deadline = \"5s\" }\n[policy.settings]\nzone = \"America/Argentina/Buenos_Aires\"\ndays = [\"mon-sat\"]\nopen = \"09:00\"\nclose = \"18:00\"\n\
    rules = [{ name = \"pages\", paths = [\"/shops/*\"], inside = \"2min\", outside = \"until-open\" }]\n\n\
    [[warm]]\nname = \"opening\"\nsite = \"site\"\nschedule = \"30 8 * * MON-SAT\"\nurls = [\"/shops/palermo\"]\n";

#[test]
fn a_preview_is_printed_as_text_and_as_json() {
    let (folder, origin) = (folder(), Origin::start());
    std::fs::write(
        folder.path().join("tero.toml"),
        configuration(&origin, SHOP),
    )
    .unwrap();
    let from = ["--from", "2026-12-24T17:00", "--next", "20h"];
    let told = run_in(folder.path(), &[&["schedule"], &from[..]].concat());
    assert_code(&told, 0);
    let told = out(&told);
    let lines: Vec<&str> = told.lines().collect();
    let expected = [
        "# site: hours asked about / /shops/palermo /shops/x",
        "# from 2026-12-24T20:00:00Z until 2026-12-25T16:00:00Z, each minute",
        "",
        "2026-12-24 Thursday",
        "  18:00:00 -03:00 = 21:00:00Z hours: \"pages: closed, until it opens\" (fresh for 1d 15h), was \"pages: open, until the next change\": /shops/palermo /shops/x",
        "",
        "2026-12-25 Friday",
        "  00:00:00 -03:00 = 03:00:00Z holiday: Navidad (closed), for hours",
        "  08:30:00 -03:00 = 11:30:00Z plan opening warms site",
    ];
    assert_eq!(lines, expected, "{told}");
    let json: serde_json::Value = serde_json::from_str(&out(&run_in(
        folder.path(),
        &[&["schedule", "--json"], &from[..]].concat(),
    )))
    .unwrap();
    let first = &json["events"][0];
    assert_eq!(
        (&first["what"], &first["utc"], &first["after"]["ttl_secs"]),
        (
            &"decision".into(),
            &"2026-12-24T21:00:00Z".into(),
            &140_400.into()
        )
    );
    assert_eq!(json["events"].as_array().unwrap().len(), 3, "{json}");
    assert_eq!(origin.total(), 0, "nothing is fetched");
}

#[test]
fn wrong_arguments_are_refused() {
    let (folder, origin) = (folder(), Origin::start());
    std::fs::write(
        folder.path().join("tero.toml"),
        configuration(&origin, SHOP),
    )
    .unwrap();
    for (arguments, words) in [
        (["--next", "0s"], "1min"),
        (["--next", "1y"], "92d"),
        (["--next", "soon"], "92d"),
        (["--from", "noon"], "2026-12-24T00:00"),
        (["--site", "other"], "the sites are site"),
        (["--url", "x"], "is not a path"),
    ] {
        let refused = run_in(folder.path(), &[&["schedule"], &arguments[..]].concat());
        assert_code(&refused, 2);
        assert!(
            err(&refused).contains(words),
            "{arguments:?}: {}",
            err(&refused)
        );
    }
    std::fs::write(folder.path().join("tero.toml"), "[[site]]\n").unwrap();
    assert_code(&run_in(folder.path(), &["schedule"]), 1);
}
