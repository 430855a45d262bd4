//! Files and policies that decide alike, and that do not.

use super::*;
use crate::import::{Import, ImportTarget, OddPatterns, import};

fn imported(json: &str) -> Import {
    let target = ImportTarget::new("http://127.0.0.1:3000", &["www.example".to_owned()]).unwrap();
    import(json, "x.json", &target, OddPatterns::Translate)
        .unwrap_or_else(|errors| panic!("{errors}"))
}

/// A log line of this path, at a local time of Buenos Aires.
fn line(time: &str, path: &str, status: u16) -> String {
    format!("10.0.0.1 - - [{time} -0300] \"GET {path} HTTP/1.1\" {status} 5\n")
}

const PROVED: &str = r#"{ "timezone": "America/Argentina/Buenos_Aires", "spread": 10,
    "business_hours": { "days": ["lunes a viernes"], "from": "9:00", "to": "18hs", "holidays": "closed" },
    "rules": [
        { "match": ["^/pagos/.*$", "/v[12]/cuenta"], "cache": "never" },
        { "match": ["*.{css,js}"], "ttl": "7d", "tags": ["b", "a"] },
        { "match": ["/con espacio/*", "/ñandú"], "ttl": { "business_hours": 60, "otherwise": "until 9:00" } },
        { "match": ["/origen"], "ttl": "origin" }
    ] }"#;

#[test]
fn a_file_and_its_policy_decide_alike() {
    let json = PROVED.replace("until 9:00", "until 09:00");
    let import = imported(&json);
    let mut log = String::new();
    // Both sides of both ends, a holiday, a Saturday.
    for time in [
        "24/Nov/2026:08:59:59",
        "24/Nov/2026:09:00:00",
        "24/Nov/2026:17:59:59",
        "24/Nov/2026:18:00:00",
        "28/Nov/2026:12:00:00",
        "08/Dec/2026:12:00:00",
    ] {
        for path in [
            "/pagos/1",
            "/pagos",
            "/v1/cuenta",
            "/v3/cuenta",
            "/a.css?x=1",
            "/con%20espacio/1",
            "/%C3%B1and%C3%BA",
            "/origen",
            "/otro",
        ] {
            log += &line(time, path, 200);
            log += &line(time, path, 404);
        }
    }
    log += "nonsense\n";
    let proof = prove(&import.json, &import.toml, log.as_bytes(), "h").unwrap();
    assert_eq!(
        (proof.requests, proof.different, proof.unreadable),
        (108, 0, 1),
        "{:#?}",
        proof.samples
    );
}

#[test]
fn a_difference_is_found() {
    let json = r#"{ "rules": [{ "match": ["/pagos/.*"], "cache": "never" }, { "match": ["*"], "ttl": 600 }] }"#;
    let import = imported(json);
    // As if the pattern had been taken literally, and a lifetime had been misread.
    let wrong = import.toml.replace("/pagos/*", "/pagos/.*");
    let log =
        line("24/Nov/2026:09:00:00", "/pagos/1", 200) + &line("24/Nov/2026:09:00:00", "/otro", 200);
    let proof = prove(json, &wrong, log.as_bytes(), "h").unwrap();
    assert_eq!((proof.requests, proof.different), (2, 1));
    let sample = &proof.samples[0];
    assert_eq!(
        (&*sample.request, &*sample.file, &*sample.policy),
        ("GET /pagos/1", "never", "ttl 600 s")
    );
    let wrong = import.toml.replace("ttl = 600", "ttl = 601");
    let proof = prove(json, &wrong, log.as_bytes(), "h").unwrap();
    assert_eq!((proof.requests, proof.different), (2, 1));
}
