//! The policies of `examples/policies`, through a running edge.

use std::path::Path;

use tero_admin_api::endpoints::RemoveTable;
use tero_tests::{
    Answer, Edge, EdgeBuilder, Origin, Reply, Request, folder, get, guests, toml_string,
};

fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(60, format!("page {}", asked.target)));
    origin
}

/// An edge with this example, with its settings.
fn with(origin: &Origin, name: &str, settings: &str) -> EdgeBuilder {
    let (_, module) = guests::examples()
        .into_iter()
        .find(|(example, _)| *example == name)
        .expect("an example has this name");
    let keys = format!("settings = {{ {settings} }}\nlimits = {{ deadline = \"10s\" }}");
    Edge::before(origin).policy(name, &module.display().to_string(), &keys)
}

fn visitor(target: &str, name: &str) -> Request {
    get(target).header("Cookie", format!("visitor={name}"))
}

const CRAWLER: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

#[test]
fn pages_that_have_moved_are_redirected_by_the_table() {
    let origin = origin();
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/policies/redirects/redirects.csv");
    let file = toml_string(&file.canonicalize().unwrap().display().to_string());
    let edge = with(&origin, "redirects", "status = 301")
        .section(&format!("[[table]]\nname = \"redirects\"\nfile = {file}\n"))
        .start();
    let moved = edge.get("/blog/2019/hello");
    assert_eq!(moved.status, 301);
    assert_eq!(
        moved.header("location").as_deref(),
        Some("/archive/2019/hello")
    );
    let gone = edge.get("/summer-sale");
    assert_eq!((gone.status, gone.text().as_str()), (410, "gone\n"));
    assert_eq!(origin.total(), 0, "the policy answers by itself");
    edge.get("/here").assert_forwarded("uri-miss", "page /here");
}

#[test]
fn a_pushed_table_redirects_at_once_and_stays_while_a_policy_reads_it() {
    let (origin, state) = (origin(), folder());
    let edge = with(&origin, "redirects", "status = 301")
        .state_dir(state.path())
        .start();
    edge.get("/old").assert_forwarded("uri-miss", "page /old");
    let push = |content: &str| {
        let request = Request::new("POST", "/data/redirects/versions");
        edge.admin(&request.body(content))
    };
    assert_eq!(push("/old,/new\n").status, 201);
    let to = |answer: Answer| (answer.status, answer.header("location").unwrap_or_default());
    assert_eq!(to(edge.get("/old")), (301, "/new".to_owned()));
    assert_eq!(push("/old,/newer\n").status, 201);
    assert_eq!(to(edge.get("/old")), (301, "/newer".to_owned()));
    let refused = edge.ask::<RemoveTable>(&["redirects"], &());
    assert_eq!(refused.status, 409, "{refused:?}");
    assert!(refused.text().contains("redirects"), "{refused:?}");
    assert_eq!(to(edge.get("/old")), (301, "/newer".to_owned()));
}

#[test]
fn visitors_stay_in_their_half_and_both_pages_are_stored() {
    let origin = origin();
    let settings = "experiment = \"prices-2026\", cookie = \"visitor\", path = \"/prices\", alternative = \"/prices-b\", tenths = 5";
    let edge = with(&origin, "ab-test", settings).start();
    let names: Vec<String> = (0..40).map(|number| format!("visitor-{number}")).collect();
    let pages: Vec<String> = names
        .iter()
        .map(|name| edge.send(&visitor("/prices", name)).text())
        .collect();
    let alternatives = pages
        .iter()
        .filter(|page| *page == "page /prices-b")
        .count();
    assert!((8..32).contains(&alternatives), "{alternatives} of 40");
    assert!(
        pages
            .iter()
            .all(|page| page == "page /prices" || page == "page /prices-b")
    );
    for (name, page) in names.iter().zip(&pages) {
        let again = edge.send(&visitor("/prices", name));
        again.assert_hit(page);
    }
    assert_eq!(origin.total(), 2);
}

#[test]
fn what_crawlers_fetch_is_not_kept_and_what_visitors_fetch_is() {
    let origin = origin();
    let edge = with(&origin, "crawler-guard", "keep = [\"/\"]").start();
    let crawler = get("/deep/471").header("User-Agent", CRAWLER);
    for _ in 0..2 {
        let served = edge.send(&crawler);
        assert_eq!(served.text(), "page /deep/471");
        assert!(!served.cache_status().hit);
    }
    edge.get("/deep/471");
    edge.get("/deep/471").assert_hit("page /deep/471");
    edge.send(&crawler).assert_hit("page /deep/471");
    assert_eq!(origin.requests("/deep/471"), 3);
}

#[test]
fn fields_are_changed_on_misses_and_on_hits() {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let told = asked.header("x-embedded").unwrap_or_default();
        Reply::fresh(60, told).header("X-Powered-By", "magic")
    });
    let settings = "rules = [{ path = \"/embed/*\", request = { x-embedded = \"yes\" } }, { path = \"*\", response = { x-frame-options = \"DENY\" }, stored = { x-powered-by = \"\" } }]";
    let edge = with(&origin, "header-rules", settings).start();
    for _ in 0..2 {
        let page = edge.get("/prices");
        assert_eq!(page.header("x-frame-options").as_deref(), Some("DENY"));
        assert_eq!(page.header("x-powered-by"), None);
    }
    assert_eq!(origin.requests("/prices"), 1);
    assert_eq!(edge.get("/embed/map").text(), "yes");
}

#[test]
fn a_page_is_purged_at_the_instant_that_the_application_names() {
    let origin = Origin::start();
    origin.on_in_turn(
        "/offers",
        [
            Reply::ok("old").header("X-Changes-At", "2026-11-24T12:00:30-03:00"),
            Reply::ok("new"),
        ],
    );
    let edge = with(
        &origin,
        "scheduled-publishing",
        "ttl = \"10min\", purge = true",
    )
    .at("2026-11-24T12:00:00")
    .zone("America/Argentina/Buenos_Aires")
    .start();
    assert_eq!(edge.get("/offers").text(), "old");
    edge.advance_secs(29);
    edge.get("/offers").assert_hit("old");
    edge.advance_secs(1);
    assert_eq!(edge.get("/offers").text(), "new");
}

#[test]
fn visitors_go_to_the_start_page_of_their_country() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(60, asked.header("x-country").unwrap_or_default()));
    let settings =
        "start = { AR = \"/ar/\", CL = \"/cl/\" }, elsewhere = \"/int/\", differ = [\"/prices/*\"]";
    let edge = with(&origin, "country", settings)
        .server("workers = 1\ntrusted_proxies = [\"127.0.0.1\"]")
        .site("country = { field = \"X-Geo-Country\" }")
        .start();
    let from = |target: &str, country: &str| {
        let request = get(target).header("X-Forwarded-For", "203.0.113.9");
        edge.send(&request.header("X-Geo-Country", country))
    };
    for (country, page) in [("AR", "/ar/"), ("CL", "/cl/"), ("JP", "/int/")] {
        let start = from("/", country);
        assert_eq!(
            (start.status, start.header("location").as_deref()),
            (302, Some(page))
        );
    }
    for (country, told) in [("AR", "AR"), ("CL", "CL"), ("JP", "other"), ("FR", "other")] {
        assert_eq!(from("/prices/basic", country).text(), told);
    }
    assert_eq!(origin.total(), 3, "Japan and France share a page");
}

#[test]
fn a_table_of_networks_tells_the_country() {
    let (origin, state) = (origin(), folder());
    let networks = state.path().join("networks.csv");
    std::fs::write(&networks, "203.0.113.0/24,AR\n2001:db8::/32,CL-RM\n").unwrap();
    let file = toml_string(&networks.display().to_string());
    let settings = "start = { AR = \"/ar/\", CL = \"/cl/\" }, elsewhere = \"/int/\", differ = []";
    let edge = with(&origin, "country", settings)
        .server("workers = 1\ntrusted_proxies = [\"127.0.0.1\"]")
        .section(&format!(
            "[[table]]\nname = \"geo\"\nkind = \"networks\"\nfile = {file}\n"
        ))
        .site("country = { table = \"geo\" }")
        .start();
    for (client, page) in [
        ("203.0.113.9", "/ar/"),
        ("2001:db8::9", "/cl/"),
        ("198.51.100.9", "/int/"),
    ] {
        let start = edge.send(&get("/").header("X-Forwarded-For", client));
        assert_eq!(start.header("location").as_deref(), Some(page), "{client}");
    }
}
