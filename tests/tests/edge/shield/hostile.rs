//! Who says what to a tier: clients that speak like edges, edges that lie, shields that answer
//! nonsense.

use tero_tests::{Edge, Origin, Reply, get};

use super::{BY_DEVICE, before, behind, clock, from_phone, tier};

/// The fields with which an edge speaks to a shield.
const EDGE_FIELDS: [(&str, &str); 4] = [
    ("Tero-Variant", "mobile"),
    ("Tero-Tier", "plan"),
    ("tero_variant", "mobile"),
    ("Tero-Later", "1"),
];

#[test]
fn fields_of_edges_are_removed_from_the_requests_of_all_others() {
    let clock = clock();
    let others: [&str; 3] = [
        "",
        "trusted_edges = [\"10.0.0.0/8\"]",
        "trusted_proxies = [\"127.0.0.1\"]",
    ];
    for server in others {
        let origin = super::super::warming::origin();
        let edge = tier("edge", &clock, Edge::before(&origin).server(server));
        edge.get("/x").assert_forwarded("uri-miss", "/x ");
        for (name, value) in EDGE_FIELDS {
            // The same key, and not a plan's request.
            edge.send(&get("/x").header(name, value)).assert_hit("/x ");
            let target = format!("/{name}");
            edge.send(&get(&target).header(name, value));
            let asked = origin.only(&target);
            let told = asked.headers.iter();
            let mut told = told.filter(|(name, _)| name.to_ascii_lowercase().starts_with("tero"));
            assert!(told.next().is_none(), "{server}: {asked:?}");
        }
    }
}

#[test]
fn what_a_client_says_to_an_edge_doesn_t_reach_the_shield() {
    let origin = super::super::warming::origin();
    let clock = clock();
    let shield = tier("shield", &clock, before(&origin));
    let edge = tier(
        "edge",
        &clock,
        behind(&shield).policy("p", "builtin:json-rules", BY_DEVICE),
    );
    let mut lying = from_phone("/x");
    for (name, value) in EDGE_FIELDS {
        lying = lying.header(name, value.replace("mobile", "desktop"));
    }
    edge.send(&lying).assert_forwarded("uri-miss", "/x mobile");
    let asked = origin.only("/x");
    assert_eq!(asked.header("tero-tier"), None, "{asked:?}");
    assert_eq!(asked.header("tero-variant").as_deref(), Some("mobile"));
}

#[test]
fn malformed_fields_of_an_edge_are_refused_and_store_nothing() {
    let origin = super::super::warming::origin();
    let clock = clock();
    let shield = tier("shield", &clock, before(&origin));
    let long = "x".repeat(33);
    for (name, value) in [
        ("Tero-Variant", ""),
        ("Tero-Variant", "mobile, tablet"),
        ("Tero-Variant", "Mobile"),
        ("Tero-Variant", "m\u{f6}bil"),
        ("Tero-Variant", "mobile\tx"),
        ("Tero-Variant", "http://www.example/"),
        ("Tero-Variant", &long),
        ("Tero-Tier", "plan=1"),
        ("Tero-Tier", "plan, ;"),
        ("Tero-Tier", ""),
    ] {
        let told = shield.send(&get("/x").header(name, value));
        assert_eq!(told.status, 400, "{name}: {value}: {told:?}");
    }
    let twice = get("/x")
        .header("Tero-Variant", "a")
        .header("Tero-Variant", "b");
    assert_eq!(shield.send(&twice).status, 400);
    assert_eq!(origin.total(), 0);
    // Members of later versions are no reason.
    let later = get("/x").header("Tero-Tier", "purge=\"a7:19\", plan");
    shield.send(&later).assert_forwarded("uri-miss", "/x ");
}

#[test]
fn a_variant_that_an_edge_invents_is_its_own_page() {
    let origin = super::super::warming::origin();
    let clock = clock();
    let shield = tier("shield", &clock, before(&origin));
    shield.get("/x").assert_forwarded("uri-miss", "/x ");
    let lying = get("/x").header("Tero-Variant", "http-www-example");
    shield
        .send(&lying)
        .assert_forwarded("uri-miss", "/x http-www-example");
    shield.get("/x").assert_hit("/x ");
    // A purge of the URL drops it with the others.
    let purge = shield.admin_post("/purge", r#"{"url": "http://www.example/x"}"#);
    let purged: tero_admin_api::PurgeResponse = purge.read();
    assert_eq!(purged.purged, 2);
}

#[test]
fn an_edge_that_goes_on_inventing_variants_fills_no_memory() {
    let origin = super::super::warming::origin();
    let clock = clock();
    let few = before(&origin).cache("max_policy_variants = 2");
    let shield = tier("shield", &clock, few);
    let told = |variant: &str| shield.send(&get("/x").header("Tero-Variant", variant));
    for variant in ["a", "b"] {
        told(variant).assert_forwarded("uri-miss", &format!("/x {variant}"));
        told(variant).assert_hit(&format!("/x {variant}"));
    }
    for _ in 0..2 {
        let passed = told("c");
        passed.assert_forwarded("bypass", "/x c");
        passed.assert_detail("max_policy_variants");
        // The edge in front need not store it either.
        assert_eq!(passed.header("tero-tier").as_deref(), Some("store=never"));
    }
    told("b").assert_hit("/x b");
    shield.get("/x").assert_forwarded("uri-miss", "/x ");
}

#[test]
fn nonsense_of_a_shield_says_nothing_and_reaches_no_visitor() {
    let clock = clock();
    for value in [
        "stale",
        "stale=x",
        "stale=-1",
        "store=\"never\"",
        "stale=1 ;;",
        "(((",
        "stale=99999999999",
    ] {
        let origin = Origin::start();
        origin.on("/x", Reply::fresh(60, "x").header("Tero-Tier", value));
        let edge = tier("edge", &clock, Edge::before(&origin));
        let told = edge.get("/x");
        told.assert_forwarded("uri-miss", "x");
        assert_eq!(told.header("tero-tier"), None, "{value}");
        let told = edge.get("/x");
        told.assert_hit("x");
        assert_eq!(told.header("tero-tier"), None, "{value}");
    }
}

#[test]
fn what_an_origin_says_as_a_shield_is_kept_from_visitors() {
    let origin = Origin::start();
    let told_by = |value: &str| {
        Reply::fresh(60, "x")
            .header("Tero-Tier", value)
            .header("ETag", "\"1\"")
    };
    origin.on("/stale", told_by("stale=4294967295"));
    origin.on("/never", told_by("store=never"));
    origin.on("/mine", told_by("store=not-this"));
    origin.on(
        "/no-store",
        told_by("stale=1").header("Cache-Control", "no-store"),
    );
    let clock = clock();
    let edge = tier("edge", &clock, Edge::before(&origin));
    for path in ["/stale", "/never", "/mine", "/no-store"] {
        for _ in 0..2 {
            let told = edge.get(path);
            assert_eq!((told.status, told.text().as_str()), (200, "x"), "{told:?}");
            assert!(!told.cache_status().hit, "{told:?}");
            assert_eq!(told.header("tero-tier"), None);
        }
        assert_eq!(origin.requests(path), 2, "{path}");
    }
    let post = tero_tests::Request::new("POST", "/never").body("x");
    assert_eq!(edge.send(&post).header("tero-tier"), None);
}
