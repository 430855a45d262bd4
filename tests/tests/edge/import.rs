//! The static JSON policy file of the example, imported and run: every rule on both sides of every
//! boundary.

use std::sync::OnceLock;

use tero_admin_api::PurgeResponse;
use tero_tests::{ART, Edge, Origin, Reply, compiled_cache, get, toml_string};

use crate::program::{assert_code, err, out, run, sample_file};

/// The configuration that `tero import` makes of the sample file.
fn imported(origin: &str) -> String {
    static IMPORTED: OnceLock<String> = OnceLock::new();
    let imported = IMPORTED.get_or_init(|| {
        let file = sample_file().display().to_string();
        let output = run(&[
            "import",
            &file,
            "--origin",
            "http://origin.invalid:1",
            "--host",
            "www.example",
        ]);
        assert_code(&output, 0);
        out(&output)
    });
    imported.replace("http://origin.invalid:1", origin)
}

/// An edge with the imported configuration on free ports.
fn edge(origin: &Origin, local_time: &str) -> Edge {
    let compiled = toml_string(&compiled_cache().display().to_string());
    let module = "module = \"builtin:json-rules\"\n";
    let text = imported(&origin.url())
        .replace("0.0.0.0:8080", "127.0.0.1:0")
        .replace("127.0.0.1:9090", "127.0.0.1:0");
    // Many tests share the processor, so deadlines are longer.
    let text = text.replace(
        module,
        &format!("{module}limits = {{ deadline = \"5s\" }}\n"),
    );
    Edge::from_toml(
        &format!("{text}\n[policies]\ncompiled_cache = {compiled}\n"),
        local_time,
        ART,
    )
}

/// An origin whose pages are fresh for 7 seconds by their own fields, and contain the name of the
/// requested variant.
fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(7, asked.header("tero-variant").unwrap_or_default()));
    origin
}

const OPEN: &[&str] = &[
    "2026-11-24T09:00:00",
    "2026-11-24T12:30:00",
    "2026-11-24T17:59:59",
    // A Saturday.
    "2026-11-28T09:00:00",
    "2026-11-28T17:59:59",
];

const CLOSED: &[&str] = &[
    "2026-11-24T00:00:00",
    "2026-11-24T08:59:59",
    "2026-11-24T18:00:00",
    "2026-11-24T23:59:59",
    "2026-11-28T08:59:59",
    "2026-11-28T18:00:00",
    // A Sunday.
    "2026-11-29T09:00:00",
    "2026-11-29T12:00:00",
    // Immaculate Conception, a Tuesday; Christmas, a Friday.
    "2026-12-08T09:00:00",
    "2026-12-08T12:00:00",
    "2026-12-25T17:59:59",
];

/// A path for each pattern of each rule, with the lifetimes in opening hours and otherwise.
const LIFETIMES: &[(&str, u64, u64)] = &[
    ("/api/v1/disponibilidad/palermo", 15, 120),
    ("/api/v1/disponibilidad/palermo/2026-11-24", 15, 120),
    ("/", 120, 1_800),
    ("/barberias/palermo", 120, 1_800),
    ("/turnos/nuevo", 120, 1_800),
    ("/img/logo.png", 86_400, 86_400),
    ("/assets/app.bin", 31_536_000, 31_536_000),
    ("/sitio.css", 31_536_000, 31_536_000),
    ("/turnos.js", 31_536_000, 31_536_000),
    ("/fonts/inter.woff2", 31_536_000, 31_536_000),
    // All other paths have the origin's lifetime.
    ("/contacto", 7, 7),
    ("/api/v1/otra", 7, 7),
    ("/barberias", 7, 7),
];

const NEVER: &[&str] = &[
    "/api/v1/pagos/1",
    "/webhooks/mercadopago",
    "/checkout/paso-1",
    "/mi-cuenta/turnos",
    "/api/v1/sesion/nueva",
];

/// Checks the lifetime of every rule at each of these local times.
fn check_lifetimes(times: &[&str], lifetime: impl Fn(&(&str, u64, u64)) -> u64) {
    let origin = origin();
    let edge = edge(&origin, times[0]);
    for (index, time) in times.iter().enumerate() {
        edge.turn_to(time);
        for rule in LIFETIMES {
            // The query is in the key, so each time has its own page.
            let target = format!("{}?at={index}", rule.0);
            let answer = edge.get(&target);
            let status = answer.cache_status();
            assert_eq!(
                (status.stored, status.fwd.as_deref()),
                (true, Some("uri-miss")),
                "{target} at {time}: {answer:?}"
            );
            assert_eq!(
                status.ttl,
                Some(lifetime(rule) as i64),
                "{target} at {time}: {answer:?}"
            );
        }
    }
}

#[test]
fn every_rule_has_its_lifetime_in_opening_hours() {
    check_lifetimes(OPEN, |rule| rule.1);
}

#[test]
fn every_rule_has_its_other_lifetime_outside_opening_hours() {
    check_lifetimes(CLOSED, |rule| rule.2);
}

#[test]
fn imported_lifetimes_end_at_their_second() {
    let origin = origin();
    let edge = edge(&origin, "2026-11-24T10:00:00");
    edge.get("/barberias/palermo");
    edge.turn_to("2026-11-24T10:01:59");
    let answer = edge.get("/barberias/palermo");
    assert_eq!(
        (
            answer.cache_status().hit,
            answer.cache_status().ttl,
            answer.age()
        ),
        (true, Some(1), Some(119))
    );
    edge.turn_to("2026-11-24T10:02:00");
    // Stale by now, and served while it is revalidated: the rule's stale_while_revalidate is 300.
    assert_eq!(edge.get("/barberias/palermo").cache_status().ttl, Some(0));
    origin.wait_for("/barberias/palermo", 2);
}

#[test]
fn rules_that_never_cache_pass_at_every_hour() {
    for time in [
        "2026-11-24T08:59:59",
        "2026-11-24T09:00:00",
        "2026-11-29T12:00:00",
        "2026-12-08T12:00:00",
    ] {
        let origin = origin();
        let edge = edge(&origin, time);
        for path in NEVER {
            for count in 1..=2 {
                edge.get(path).assert_forwarded("bypass", "");
                assert_eq!(origin.requests(path), count, "{path} at {time}");
            }
        }
        assert_eq!(edge.metric("tero_cache_entries", &[]), 0.0);
    }
}

#[test]
fn the_reason_names_the_rule() {
    let origin = origin();
    let edge = edge(&origin, "2026-11-24T10:00:00");
    for (path, rule) in [
        ("/api/v1/pagos/1", "payments"),
        ("/mi-cuenta/x", "account"),
        ("/api/v1/disponibilidad/x", "availability"),
        ("/", "shop-pages"),
        ("/img/x.png", "images"),
        ("/x.css", "assets"),
        ("/contacto", "everything-else"),
    ] {
        edge.get(path).assert_detail(rule);
    }
}

#[test]
fn stale_responses_bridge_a_failing_origin_as_long_as_the_rule_says() {
    let seconds = |path: &str| match path {
        "/api/v1/disponibilidad/x" => (15, 15, 60),
        "/" => (120, 300, 86_400),
        "/img/x.png" => (86_400, 3_600, 604_800),
        _ => unreachable!("these are the rules with stale_if_error"),
    };
    for path in ["/api/v1/disponibilidad/x", "/", "/img/x.png"] {
        let (ttl, revalidate, error) = seconds(path);
        let origin = origin();
        let edge = edge(&origin, "2026-11-24T10:00:00");
        edge.get(path).assert_forwarded("uri-miss", "");
        origin.stop();
        for age in [ttl, ttl + revalidate, ttl + error - 1] {
            edge.turn_to("2026-11-24T10:00:00");
            edge.advance_secs(age);
            let answer = edge.get(path);
            assert_eq!(
                (answer.status, answer.age()),
                (200, Some(age)),
                "{path}: {answer:?}"
            );
        }
        edge.advance_secs(1);
        edge.get(path).assert_failed(502, "origin");
    }
}

#[test]
fn tags_of_rules_can_be_purged() {
    let origin = origin();
    let edge = edge(&origin, "2026-11-24T10:00:00");
    for path in [
        "/",
        "/barberias/palermo",
        "/api/v1/disponibilidad/x",
        "/img/x.png",
    ] {
        edge.get(path);
    }
    for (tag, purged) in [("paginas", 2), ("disponibilidad", 1), ("imagenes", 0)] {
        let answer = edge.admin_post("/purge", &format!("{{\"tag\": \"{tag}\"}}"));
        assert_eq!(answer.read::<PurgeResponse>().purged, purged, "{tag}");
    }
    edge.get("/img/x.png").assert_hit("");
}

#[test]
fn tracking_parameters_and_parameter_order_do_not_count() {
    let origin = origin();
    let edge = edge(&origin, "2026-11-24T10:00:00");
    edge.get("/barberias/palermo?b=2&a=1")
        .assert_forwarded("uri-miss", "");
    for tracking in [
        "utm_source=x",
        "utm_campaign=y",
        "fbclid=1",
        "gclid=1",
        "msclkid=1",
        "mc_cid=1",
        "mc_eid=1",
    ] {
        edge.get(&format!("/barberias/palermo?{tracking}&a=1&b=2"))
            .assert_hit("");
    }
    assert_eq!(
        origin.only("/barberias/palermo").target,
        "/barberias/palermo?a=1&b=2"
    );
}

#[test]
fn phones_and_tablets_get_their_variants_on_the_named_paths() {
    const PHONE: &str = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Mobile Safari/537.36";
    const TABLET: &str = "Mozilla/5.0 (Linux; Android 14; SM-X910) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36";
    const DESKTOP: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
    let origin = origin();
    let edge = edge(&origin, "2026-11-24T10:00:00");
    for (path, phone, tablet) in [
        ("/", "mobile", ""),
        ("/barberias/palermo", "mobile", ""),
        ("/turnos/nuevo", "mobile", ""),
        ("/img/logo.png", "mobile", "tablet"),
        ("/api/v1/disponibilidad/x", "", ""),
        ("/contacto", "", ""),
    ] {
        for (agent, variant) in [(PHONE, phone), (TABLET, tablet), (DESKTOP, "")] {
            assert_eq!(
                edge.send(&get(path).header("User-Agent", agent)).text(),
                variant,
                "{path} for {agent}"
            );
        }
    }
}

#[test]
fn plans_of_the_file_keep_their_names() {
    let origin = origin();
    let text = imported(&origin.url());
    for words in [
        "name = \"apertura\"",
        "name = \"mediodia\"",
        "30 8 * * MON-SAT",
        "30 12 * * MON-FRI",
        "/barberias/belgrano",
        "/sitemap.xml",
    ] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
    assert!(
        !text.contains("cdn-argentina-policies.json\""),
        "the configuration refers to no other file:\n{text}"
    );
}

#[test]
fn the_plan_apertura_warms_both_variants_at_half_past_eight() {
    let origin = origin();
    let sitemap = "<?xml version=\"1.0\"?><urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\
                   <url><loc>http://www.example/turnos/nuevo</loc></url></urlset>";
    origin.on(
        "/sitemap.xml",
        Reply::ok(sitemap).header("Content-Type", "application/xml"),
    );
    let edge = edge(&origin, "2026-11-24T08:29:59");
    edge.turn_to("2026-11-24T08:30:00");
    for path in [
        "/",
        "/barberias/palermo",
        "/barberias/recoleta",
        "/barberias/belgrano",
        "/turnos/nuevo",
    ] {
        origin.wait_for(path, 2);
        let mut variants: Vec<_> = origin
            .asked(path)
            .iter()
            .map(|asked| asked.header("tero-variant").unwrap_or_default())
            .collect();
        variants.sort();
        assert_eq!(variants, ["", "mobile"], "{path}");
    }
    tero_tests::eventually("the last page is stored", || {
        edge.get("/turnos/nuevo").cache_status().hit
    });
    edge.get("/").assert_hit("");
}

/// The configuration, and what stands on standard error, of an import of `json`.
fn import_of(json: &str, more: &[&str]) -> (std::process::Output, tempfile::TempDir) {
    let folder = tero_tests::folder();
    let file = folder.path().join("rules.json");
    std::fs::write(&file, json).unwrap();
    let file = file.display().to_string();
    let args: Vec<&str> = ["import", &file].iter().chain(more).copied().collect();
    (run(&args), folder)
}

const PAYMENTS: &str = include_str!("../../data/import/27-pay.json");

#[test]
fn payments_behind_an_expression_are_never_stored() {
    let origin = origin();
    let (output, _folder) = import_of(PAYMENTS, &["--origin", &origin.url()]);
    assert_code(&output, 0);
    let text = out(&output)
        .replace("0.0.0.0:8080", "127.0.0.1:0")
        .replace("127.0.0.1:9090", "127.0.0.1:0")
        .replace(
            "[policy.settings]",
            "[policy.limits]\ndeadline = \"5s\"\n[policy.settings]",
        );
    let edge = Edge::from_toml(&text, "2026-11-24T12:00:00", ART);
    for _ in 0..2 {
        let status = edge.get("/pagos/1").cache_status();
        assert_eq!(status.fwd.as_deref(), Some("bypass"), "{status:?}");
    }
    edge.get("/otro");
    edge.get("/otro").assert_hit("");
}

#[test]
fn an_import_ends_with_a_table_of_its_rules() {
    let (output, _folder) = import_of(PAYMENTS, &[]);
    let table = err(&output);
    for text in [
        "payments",
        "/pagos/.*",
        "/pagos/*",
        "never",
        "600 s",
        "the same",
    ] {
        assert!(table.contains(text), "{text}:\n{table}");
    }
    assert!(out(&output).starts_with("# Made by"), "{}", out(&output));
}

#[test]
fn strict_refuses_odd_patterns() {
    let json = r#"{ "rules": [{ "match": ["/tienda/**"], "ttl": 1 }] }"#;
    let (output, _folder) = import_of(json, &[]);
    assert_code(&output, 0);
    assert!(err(&output).contains("`*` matches `/` as well"));
    let (output, _folder) = import_of(json, &["--strict"]);
    assert_code(&output, 1);
    assert!(out(&output).is_empty() && err(&output).contains("rules.json:1:"));
}

#[test]
fn an_import_is_proved_over_an_access_log() {
    let folder = tero_tests::folder();
    let log = folder.path().join("access.log");
    let line = |path: &str| {
        format!("10.0.0.1 - - [24/Nov/2026:12:00:00 -0300] \"GET {path} HTTP/1.1\" 200 5\n")
    };
    std::fs::write(&log, line("/pagos/1") + &line("/otro") + "nonsense\n").unwrap();
    let log = log.display().to_string();
    let (output, _folder) = import_of(PAYMENTS, &["--prove", &log]);
    assert_code(&output, 0);
    let told = err(&output);
    assert!(
        told.contains("2 requests: 2 decided alike, 0 differently; 1 lines could not be read"),
        "{told}"
    );
    let (output, _folder) = import_of(PAYMENTS, &["--prove", "/nowhere.log"]);
    assert_code(&output, 1);
    assert!(out(&output).is_empty() && err(&output).contains("/nowhere.log"));
    let empty = folder.path().join("empty.log");
    for text in ["", "nonsense\n"] {
        std::fs::write(&empty, text).unwrap();
        let (output, _folder) = import_of(PAYMENTS, &["--prove", &empty.display().to_string()]);
        assert_code(&output, 1);
        assert!(
            err(&output).contains("nothing is proved"),
            "{}",
            err(&output)
        );
    }
    // The sample file over real requests.
    let real = concat!(env!("CARGO_MANIFEST_DIR"), "/data/access.log.gz");
    let mut text = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(std::fs::File::open(real).unwrap());
    std::io::Read::read_to_end(&mut reader, &mut text).unwrap();
    std::fs::write(&log, &text).unwrap();
    let sample = std::fs::read_to_string(sample_file()).unwrap();
    let (output, _folder) = import_of(&sample, &["--prove", &log]);
    assert_code(&output, 0);
    assert!(
        err(&output).contains("10000 requests: 10000 decided alike"),
        "{}",
        err(&output)
    );
}
