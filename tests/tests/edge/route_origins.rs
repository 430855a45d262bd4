//! Routes with origins and timeouts of their own, and which responses they may share.

use tero_admin_api::{OriginReport, OriginState, OriginsResponse};
use tero_tests::{
    Answer, Client, Edge, EdgeBuilder, Origin, Reply, Request, eventually, folder, get, toml_string,
};

/// An origin that answers each request with `body`, which is fresh for a minute.
fn saying(body: &'static str) -> Origin {
    let origin = Origin::start();
    origin.otherwise(move |_| Reply::fresh(60, body));
    origin
}

/// A shop, and two origins for its payments.
struct Shop {
    app: Origin,
    payments: [Origin; 2],
}

impl Shop {
    fn start() -> Shop {
        Shop {
            app: saying("app"),
            payments: [saying("payments-1"), saying("payments-2")],
        }
    }

    /// An edge with a route for payments, which has these keys beside its origins.
    fn edge(&self, keys: &str) -> EdgeBuilder {
        self.edge_with("", keys)
    }

    /// The same, where the site has keys, too.
    fn edge_with(&self, site: &str, keys: &str) -> EdgeBuilder {
        let hop = |name: &str, origin: &Origin, keys: &str| {
            format!("name = \"{name}\"\nurl = \"{}\"\n{keys}", origin.url())
        };
        let [first, second] = &self.payments;
        Edge::before_hop(&hop("app", &self.app, ""))
            .next_hop(&hop("payments-1", first, "only_by_name = true"))
            .next_hop(&hop(
                "payments-2",
                second,
                "only_by_name = true\nbackup = true",
            ))
            .server("workers = 1")
            .site(&format!(
                "{site}\n[[site.route]]\nname = \"payments\"\nmatch = [\"/pay/*\"]\n\
                 origins = [\"payments-1\", \"payments-2\"]\n{keys}"
            ))
    }
}

fn reports(edge: &Edge) -> Vec<OriginReport> {
    edge.admin_get("/origins").read::<OriginsResponse>().origins
}

fn answer(mut client: Client) -> Answer {
    let mut answer = client.head();
    client.rest(&mut answer);
    answer
}

#[test]
fn a_route_asks_its_own_origins_and_the_other_paths_none_of_them() {
    let shop = Shop::start();
    let edge = shop.edge("").start();
    for number in 0..4 {
        assert_eq!(edge.get(&format!("/{number}")).text(), "app");
        assert_eq!(edge.get(&format!("/pay/{number}")).text(), "payments-1");
    }
    shop.payments[0].stop();
    assert_eq!(edge.get("/pay/over").text(), "payments-2", "its own backup");
    shop.payments[1].stop();
    let failed = edge.get("/pay/down");
    failed.assert_failed(502, "origin refused the connection");
    assert_eq!(edge.get("/still").text(), "app");
    assert_eq!(shop.app.total(), 5);
}

#[test]
fn reports_metrics_log_and_explanation_name_the_origins_of_a_route() {
    let shop = Shop::start();
    let folder = folder();
    let path = folder.path().join("log");
    let log = toml_string(&path.display().to_string());
    let edge = shop
        .edge("")
        .section(&format!(
            "[access_log]\npath = {log}\nformat = \"json\"\nfields = [\"path\", \"route\", \"origin\"]"
        ))
        .start();
    edge.get("/pay/1");
    let told: Vec<_> = reports(&edge)
        .into_iter()
        .map(|report| (report.origin, report.routes.concat(), report.only_by_name))
        .collect();
    let expected = [
        ("app", "", false),
        ("payments-1", "payments", true),
        ("payments-2", "payments", true),
    ];
    let expected =
        expected.map(|(origin, route, alone)| (origin.to_owned(), route.to_owned(), alone));
    assert_eq!(told, expected);
    for name in ["tero_origin_breaker_open{", "tero_origin_waiting{"] {
        let samples = edge.metrics();
        let of_route = samples.iter().filter(|(sample, _)| {
            sample.starts_with(name) && sample.contains("route=\"payments\"")
        });
        assert_eq!(of_route.count(), 1, "{name}");
    }
    let asked = "{\"url\": \"http://www.example/pay/1\"}";
    let told = edge.admin_post("/explain", asked).text();
    assert!(
        told.contains(
            "route `payments` applies: /pay/*; its requests go to payments-1, payments-2"
        ),
        "{told}"
    );
    let mut line = String::new();
    eventually("a line", || {
        line = std::fs::read_to_string(&path).unwrap_or_default();
        line.ends_with('\n')
    });
    assert!(line.contains("\"origin\":\"payments-1\""), "{line}");
}

#[test]
fn an_origin_of_a_route_is_taken_out_by_its_name() {
    let shop = Shop::start();
    let edge = shop.edge("").start();
    let drain = "{\"site\": \"site\", \"origin\": \"payments-1\"}";
    let report: OriginReport = edge.admin_post("/origins/drain", drain).read();
    assert_eq!(report.state, OriginState::Drained);
    assert_eq!(edge.get("/pay/1").text(), "payments-2");
    edge.admin_post("/origins/resume", drain);
    assert_eq!(edge.get("/pay/2").text(), "payments-1");
}

#[test]
fn checks_of_health_ask_each_origin_of_a_site_whoever_names_it() {
    let shop = Shop::start();
    shop.payments[0].on("/healthz", Reply::status(500));
    let edge = shop
        .edge("")
        .site("[site.health]\npath = \"/healthz\"\nfall = 1")
        .start();
    eventually("a check has failed", || {
        reports(&edge)[1].state == OriginState::Down
    });
    assert_eq!(edge.get("/pay/1").text(), "payments-2");
    assert!(shop.app.requests("/healthz") > 0);
}

#[test]
fn what_an_origin_fails_for_one_route_is_known_to_all_who_ask_it() {
    let shop = Shop::start();
    let edge = shop
        .edge("[[site.route]]\nname = \"refunds\"\nmatch = [\"/refund/*\"]\norigins = [\"payments-1\", \"payments-2\"]")
        .start();
    shop.payments[0].stop();
    assert_eq!(edge.get("/pay/1").text(), "payments-2");
    assert_eq!(reports(&edge)[1].state, OriginState::Resting);
    assert_eq!(edge.get("/refund/1").text(), "payments-2");
    assert_eq!(
        reports(&edge)[1].failed,
        1,
        "the second route has not tried it"
    );
}

#[test]
fn the_breaker_of_a_route_leaves_the_other_paths_alone() {
    let shop = Shop::start();
    let edge = shop.edge("").start();
    for number in 0..30 {
        edge.get(&format!("/pay/{number}"));
        edge.get(&format!("/{number}"));
    }
    edge.advance_secs(61);
    for payments in &shop.payments {
        payments.otherwise(|_| Reply::status(503));
    }
    for number in 0..10 {
        edge.get(&format!("/pay/{number}"));
    }
    let open = |labels: &[&str]| {
        let samples = edge.metrics();
        let mut matching = samples.into_iter().filter(|(name, _)| {
            name.starts_with("tero_origin_breaker_open{")
                && name.contains("route=") != labels.is_empty()
        });
        matching.next().map(|(_, value)| value)
    };
    assert_eq!(open(&["route"]), Some(1.0));
    assert_eq!(open(&[]), Some(0.0));
    edge.get("/pay/29").assert_detail("left alone");
    assert_eq!(shop.app.requests("/29"), 1);
    edge.get("/29").assert_forwarded("stale", "app");
}

#[test]
fn a_busy_site_leaves_the_places_of_a_route_free() {
    let shop = Shop::start();
    shop.app.otherwise(|_| Reply::silence());
    let edge = shop.edge_with("max_fetches = 1", "max_fetches = 1").start();
    let mut waiting = edge.client();
    waiting.start(&get("/slow"));
    shop.app.wait_for("/slow", 1);
    assert_eq!(edge.get("/pay/1").text(), "payments-1");
    // The site itself has no place left.
    let mut second = edge.client();
    second.start(&get("/second"));
    edge.advance_until(10, || second.is_answered());
    answer(second).assert_failed(503, "too many requests");
}

#[test]
fn a_route_waits_as_long_as_it_says_for_connections_and_answers() {
    let shop = Shop::start();
    shop.payments[0].otherwise(|_| Reply::silence());
    shop.payments[1].otherwise(|_| Reply::silence());
    let edge = shop
        .edge("response_timeout = \"2s\"\ndeadline = \"3s\"")
        .start();
    let mut client = edge.client();
    client.start(&get("/pay/1"));
    shop.payments[0].wait_for("/pay/1", 1);
    edge.advance_until(2, || shop.payments[1].requests("/pay/1") == 1);
    assert!(!client.is_answered());
    // The deadline comes before the response timeout of the second one.
    edge.advance_until(1, || client.is_answered());
    assert_eq!(answer(client).status, 504);
}

#[test]
fn a_route_says_after_what_its_requests_are_sent_again() {
    let shop = Shop::start();
    shop.payments[0].otherwise(|_| Reply::status(503));
    let edge = shop
        .edge("retry = { on = [\"503\"], methods = [\"PUT\"] }")
        .start();
    assert_eq!(edge.get("/pay/1").text(), "payments-2");
    assert_eq!(
        edge.send(&Request::new("PUT", "/pay/2")).text(),
        "payments-2"
    );
    shop.app.otherwise(|_| Reply::status(503));
    assert_eq!(edge.get("/1").status, 503);
}

#[test]
fn methods_with_other_origins_share_no_stored_response() {
    let shop = Shop::start();
    for payments in &shop.payments {
        payments.otherwise(|asked| {
            let url = format!("http://www.example{}", asked.target);
            Reply::fresh(60, "of the payments").header("Content-Location", url)
        });
    }
    let site = "[[site.route]]\nname = \"write\"\nmatch = [\"/w/*\"]\nmethods = [\"POST\"]\norigins = [\"payments-1\"]\n\
                [[site.route]]\nname = \"head\"\nmatch = [\"/h/*\"]\nmethods = [\"HEAD\"]\norigins = [\"payments-1\"]";
    let edge = shop.edge(site).start();
    // The answer to a POST that stands for a later GET stands for those of its own origin only.
    edge.send(&Request::new("POST", "/w/1"));
    edge.get("/w/1").assert_forwarded("uri-miss", "app");
    assert_eq!(edge.get("/w/1").text(), "app");
    // It makes the stored response invalid all the same.
    edge.send(&Request::new("POST", "/w/1"));
    edge.get("/w/1").assert_forwarded("uri-miss", "app");
    // Where the origins are the same, it stands.
    edge.send(&Request::new("POST", "/pay/1"));
    edge.get("/pay/1").assert_hit("of the payments");
    // A HEAD with another origin isn't answered by the stored response of a GET, and changes nothing
    // of it.
    edge.get("/h/1").assert_forwarded("uri-miss", "app");
    for asked in 1..=2 {
        let head = edge.send(&Request::new("HEAD", "/h/1"));
        assert_eq!(head.header("content-length").as_deref(), Some("15"));
        assert_eq!(shop.payments[0].requests("/h/1"), asked);
    }
    edge.get("/h/1").assert_hit("app");
    let asked = "{\"url\": \"http://www.example/h/1\", \"method\": \"HEAD\"}";
    let told = edge.admin_post("/explain", asked).text();
    assert!(
        told.contains("a GET for the URL goes to other origins"),
        "{told}"
    );
    edge.send(&Request::new("HEAD", "/pay/1"));
    assert_eq!(shop.payments[0].asked("/pay/1").len(), 1, "a hit");
}

#[test]
fn counters_and_state_of_origins_stay_over_a_reload_that_names_them_elsewhere() {
    let shop = Shop::start();
    let edge = shop.edge("").start();
    edge.get("/pay/1");
    shop.payments[0].stop();
    edge.get("/pay/2");
    let next = shop.edge(
        "[[site.route]]\nname = \"more\"\nmatch = [\"/more\"]\norigins = [\"payments-1\", \"app\"]",
    );
    edge.reload(&next).unwrap();
    let report = &reports(&edge)[1];
    assert_eq!((report.requests, report.state), (2, OriginState::Resting));
    assert_eq!(report.routes, ["payments", "more"]);
    assert_eq!(edge.get("/more").text(), "app");
}

#[test]
fn mistakes_in_origins_of_routes_are_told_with_their_cure() {
    let shop = Shop::start();
    let route = |keys: &str| {
        shop.edge(&format!(
            "[[site.route]]\nname = \"b\"\nmatch = [\"/b\"]\n{keys}"
        ))
    };
    let alone = format!("url = \"{}\"\nonly_by_name = true", shop.app.url());
    for (builder, parts) in [
        (
            route("origins = [\"payment-1\"]"),
            &["site.route.origins", "did you mean `payments-1`?"][..],
        ),
        (
            route("origins = [\"payments-1\", \"payments-1\"]"),
            &["it is in the list already"],
        ),
        (
            route("origins = [\"payments-2\"]"),
            &["every origin of the route is a backup"],
        ),
        (
            shop.edge("[[site.route]]\nmatch = [\"/b\"]\nmax_fetches = 3"),
            &["site.route.max_fetches", "has no name"],
        ),
        (
            Edge::before_hop(&alone),
            &["asked by its name only", "leave `only_by_name` out"],
        ),
        (
            Edge::before(&shop.app)
                .site("[[site.route]]\nname = \"b\"\nmatch = [\"/b\"]\norigins = [\"a\"]"),
            &["write [[site.origin]] with a name"],
        ),
        (
            route("methods = [\"POST\"]\ncompress = false"),
            &["the route is for none"],
        ),
        (route("compress = true"), &["write compress = {}"]),
    ] {
        let message = builder.try_start().expect_err("it is refused");
        for part in parts {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}

#[test]
fn after_the_first_timeout_no_visitor_waits_for_one_of_two_origins_that_hangs() {
    let (hanging, well) = (Origin::start(), saying("well"));
    hanging.otherwise(|_| Reply::silence());
    let edge = Edge::before(&hanging)
        .origin(&well.url())
        .server("workers = 1")
        .site("response_timeout = \"2s\"")
        .start();
    let mut first = edge.client();
    first.start(&get("/first"));
    eventually("one of the two is asked", || {
        hanging.total() + well.total() == 1
    });
    if hanging.total() == 0 {
        first = edge.client();
        first.start(&get("/second"));
        eventually("the other one is asked", || hanging.total() == 1);
    }
    edge.advance_secs(2);
    assert_eq!(answer(first).text(), "well");
    for rest in 0..20 {
        // The clock stands still: each answer comes at once, also while the origin is tried.
        for number in 0..10 {
            assert_eq!(edge.get(&format!("/{rest}/{number}")).text(), "well");
        }
        edge.advance_secs(5);
    }
    let tried = hanging.total();
    assert!((2..=10).contains(&tried), "{tried} requests in 100 s");
}
