//! `tero traffic`, and logs in several formats for commands that read them.

use std::io::Write as _;

use crate::program::{assert_code, err, out, run};

#[test]
fn the_same_seed_writes_the_same_log() {
    let traffic = |arguments: &[&str]| {
        let all = [&["traffic", "--days", "1", "--scale", "0.1"], arguments].concat();
        let written = run(&all);
        assert_code(&written, 0);
        out(&written)
    };
    let (one, again) = (traffic(&["--seed", "7"]), traffic(&["--seed", "7"]));
    assert!(one == again && one.lines().count() > 500);
    assert!(one != traffic(&["--seed", "8"]));
    let first: serde_json::Value = serde_json::from_str(one.lines().next().unwrap()).unwrap();
    for key in [
        "at",
        "method",
        "host",
        "target",
        "status",
        "user_agent",
        "etag",
        "cache_control",
    ] {
        assert!(first.get(key).is_some(), "{key} is not in {first}");
    }
    let news = traffic(&["--site", "news", "--format", "combined"]);
    assert!(news.contains("GET /nota/") && news.lines().all(|line| line.contains("HTTP/1.1\"")));
}

#[test]
fn traffic_that_cannot_be_made_is_wrong_usage() {
    for (arguments, part) in [
        (&["--site", "forum"][..], "booking, news"),
        (&["--scale", "0"], "--scale"),
        (&["--scale", "1001"], "--scale"),
        (&["--days", "0"], "0"),
        (&["--days", "401"], "401"),
        (&["--zone", "Mars/Olympus"], "Mars/Olympus"),
        (&["--from", "tomorrow"], "tomorrow"),
        (&["--from", "+262142-12-31"], "1970 to 9000"),
        (&["--from=-262143-01-01"], "1970 to 9000"),
        (&["--from", "1969-12-31"], "1970 to 9000"),
        (&["--format", "xml"], "xml"),
    ] {
        let refused = run(&[&["traffic"], arguments].concat());
        assert_code(&refused, 2);
        assert!(err(&refused).contains(part), "{part}: {}", err(&refused));
    }
}

#[test]
fn a_diff_reads_packed_logs_of_other_servers() {
    let folder = tero_tests::folder();
    let cloudfront = "#Version: 1.0\n#Fields: date time cs-method x-host-header cs-uri-stem sc-status cs(User-Agent) cs-uri-query x-edge-result-type\n\
        2026-11-24\t11:59:00\tGET\ta.example\t/slow/1\t200\tMozilla/5.0%20(X11)\t-\tHit\n\
        2026-11-24\t11:59:01\tGET\ta.example\t/slow/1\tcut\n";
    let path = folder.path().join("log.gz");
    let mut packed = flate2::write::GzEncoder::new(
        std::fs::File::create(&path).unwrap(),
        flate2::Compression::fast(),
    );
    packed.write_all(cloudfront.as_bytes()).unwrap();
    packed.finish().unwrap();
    let settings = |ttl: u64| {
        format!("{{\"rules\":[{{\"name\":\"slow\",\"match\":[\"/slow/*\"],\"ttl\":{ttl}}}]}}")
    };
    let diff = run(&[
        "policy",
        "diff",
        "builtin:json-rules",
        "builtin:json-rules",
        "--settings-a",
        &settings(60),
        "--settings-b",
        &settings(600),
        "--log",
        &path.display().to_string(),
        "--json",
    ]);
    assert_code(&diff, 1);
    let told: serde_json::Value = serde_json::from_str(&out(&diff)).unwrap();
    assert_eq!(
        (
            &told["requests"],
            &told["unreadable_lines"],
            &told["fields"]["ttl"]["different"]
        ),
        (&1.into(), &1.into(), &1.into()),
        "{told}"
    );
}
