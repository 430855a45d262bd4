//! Hosts of sites: exact ones, those below a name, and all others.

use tero_admin_api::PurgeResponse;
use tero_config::Config;
use tero_policy_host::check::check_policies;
use tero_tests::{Edge, EdgeBuilder, Origin, Reply, eventually, get};

/// An origin that says which site asks it, by the `Host` that the site sends.
fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(60, asked.header("host").unwrap_or_default()));
    origin
}

/// A site for these hosts, whose origin says its name.
fn site(origin: &Origin, name: &str, hosts: &str) -> String {
    let url = origin.url();
    format!(
        "[[site]]\nname = \"{name}\"\nhosts = [{hosts}]\norigins = [\"{url}\"]\nhost_header = \"{name}\"\n"
    )
}

fn sites(origin: &Origin) -> EdgeBuilder {
    Edge::before(origin)
        .section(&site(
            origin,
            "shop",
            "\"*.shop.example\", \"shop.example\"",
        ))
        .section(&site(origin, "deep", "\"*.deep.SHOP.example\""))
        .section(&site(origin, "exact", "\"www.shop.example\""))
}

#[test]
fn most_exact_host_decides() {
    let origin = origin();
    let check = |edge: &Edge, rest: Option<&str>| {
        for (host, site) in [
            ("shop.example", Some("shop")),
            ("a.shop.example", Some("shop")),
            ("A.SHOP.example.", Some("shop")),
            ("a.b.shop.example:8080", Some("shop")),
            ("www.shop.example", Some("exact")),
            ("www.shop.example:8080", Some("exact")),
            ("a.www.shop.example", Some("shop")),
            ("deep.shop.example", Some("shop")),
            ("a.deep.shop.example", Some("deep")),
            ("a.b.deep.shop.example", Some("deep")),
            ("workshop.example", rest),
            ("example", rest),
            (".shop.example", rest),
        ] {
            let answer = edge.send(&get(format!("/{host}")).host(host));
            match site {
                Some(site) => assert_eq!(answer.text(), site, "{host}"),
                None => assert!(matches!(answer.status, 400 | 421), "{host}: {answer:?}"),
            }
        }
    };
    check(&sites(&origin).start(), None);
    let all = sites(&origin).section(&site(&origin, "rest", "\"*\""));
    check(&all.start(), Some("rest"));
}

#[test]
fn hosts_below_a_name_are_told_apart_and_purged_by_url_and_prefix() {
    let origin = origin();
    let edge = sites(&origin).start();
    let hit = |host: &str| edge.send(&get("/page").host(host)).cache_status().hit;
    for target in [
        "{\"url\": \"http://a.shop.example/page\"}",
        "{\"prefix\": \"http://a.shop.example/\"}",
    ] {
        for host in ["a.shop.example", "b.shop.example"] {
            hit(host);
            assert!(hit(host), "{host}");
        }
        let purged: PurgeResponse = edge.admin_post("/purge", target).read();
        assert_eq!(purged.purged, 1, "{target}");
        assert!(!hit("a.shop.example") && hit("b.shop.example"), "{target}");
    }
    let refused = edge.admin_post("/purge", "{\"url\": \"http://*.shop.example/page\"}");
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("a visitor can't request"),
        "{refused:?}"
    );
    let told = edge.admin_post("/explain", "{\"url\": \"http://a.b.shop.example/page\"}");
    assert!(told.text().contains("\"site\":\"shop\""), "{told:?}");
}

/// Checks a configuration as `tero check` does.
fn mistakes(builder: &EdgeBuilder) -> Result<(), String> {
    let text = builder.to_toml();
    let config = Config::parse(&text, "tero.toml", &std::env::temp_dir())
        .map_err(|errors| errors.to_string())?;
    check_policies(&config, &text).map_err(|errors| errors.to_string())
}

#[test]
fn a_plan_needs_a_host_that_the_site_answers_for() {
    let origin = origin();
    let below = || Edge::before(&origin).section(&site(&origin, "below", "\"*.shop.example\""));
    let plan = |host: &str| {
        let keys = "urls = [\"/page\"]\nschedule = \"0 9 * * *\"";
        let exact = site(&origin, "exact", "\"www.shop.example\"");
        below().section(&format!(
            "{exact}[[warm]]\nname = \"plan\"\nsite = \"below\"\n{host}\n{keys}"
        ))
    };
    for (host, parts) in [
        ("", ["warm.site", "has no host name"]),
        (
            "host = \"*.shop.example\"",
            ["warm.host", "`*.shop.example` is not a host to fetch under"],
        ),
        (
            "host = \"shop.example\"",
            ["warm.host", "`shop.example` is not a host of the site"],
        ),
        (
            "host = \"www.shop.example\"",
            ["warm.host", "`www.shop.example` is not a host of the site"],
        ),
    ] {
        let message = mistakes(&plan(host)).expect_err(host);
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    let good = plan("host = \"a.shop.example\"");
    mistakes(&good).unwrap();
    let edge = good.start();
    edge.admin_post("/warm/plan", "{}");
    eventually("the page is warm", || {
        edge.send(&get("/page").host("a.shop.example"))
            .cache_status()
            .hit
    });
    assert_eq!(
        edge.send(&get("/page").host("a.shop.example")).text(),
        "below"
    );
}

#[test]
fn mistakes_in_hosts_are_told_with_their_cure() {
    let origin = origin();
    for (hosts, problem, cure) in [
        (
            "\"*.shop.example:8080\"",
            "has a port",
            "write \"*.shop.example\"",
        ),
        ("\"*.[::1]\"", "is not a name with a star", "*.example.org"),
        ("\"*.\"", "is not a name with a star", "*.example.org"),
        ("\"a.*.example\"", "is not a host", "write a name"),
        ("\"*shop.example\"", "is not a host", "write a name"),
        (
            "\"*.shop.example\", \"*.Shop.example\"",
            "named in line",
            "name each host once",
        ),
    ] {
        let builder = Edge::before(&origin).section(&site(&origin, "bad", hosts));
        let message = builder.try_start().expect_err(hosts);
        assert!(
            message.contains(problem) && message.contains(cure),
            "{message}"
        );
    }
}

#[test]
fn a_name_of_many_labels_finds_no_site() {
    let origin = origin();
    let edge = sites(&origin).start();
    let host = "a.".repeat(8_000) + "shop.example";
    assert_eq!(edge.send(&get("/").host(&host)).status, 421);
}
