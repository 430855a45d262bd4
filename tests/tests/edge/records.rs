//! What the access log and the figures say of answers: all of them, with the bytes and the time that
//! they really took.

use std::path::PathBuf;

use serde_json::Value;
use tero_tests::{
    Client, Edge, EdgeBuilder, Gate, Origin, Reply, Request, eventually, folder, get,
};

use crate::program::{Serving, configuration};

/// The lines of an access log in JSON.
struct Lines {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

/// An edge with an access log.
fn logging(builder: EdgeBuilder) -> (Edge, Lines) {
    logging_with(builder, "")
}

/// An edge with an access log that has these keys.
fn logging_with(builder: EdgeBuilder, keys: &str) -> (Edge, Lines) {
    let folder = folder();
    let path = folder.path().join("access.log");
    let keys = format!("[access_log]\npath = {path:?}\nformat = \"json\"\n{keys}");
    let edge = builder.section(&keys).start();
    let _folder = folder;
    (edge, Lines { _folder, path })
}

impl Lines {
    fn read(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.path).unwrap();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
            .collect()
    }

    /// Waits until there are so many lines.
    #[track_caller]
    fn wait_for(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} lines"), || self.read().len() >= count);
        let lines = self.read();
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines
    }

    /// The last line, once there are so many.
    #[track_caller]
    fn last_of(&self, count: usize) -> Value {
        self.wait_for(count).pop().unwrap()
    }
}

#[test]
fn a_line_has_the_fields_that_are_chosen() {
    let origin = Origin::start();
    origin.otherwise(|asked| match asked.path() {
        "/private" => Reply::ok("x").header("Cache-Control", "private"),
        "/broken" => Reply::hang_up(),
        _ => Reply::fresh(60, "x").header("Content-Type", "text/plain"),
    });
    let fields = "fields = [\"peer\", \"proxies\", \"client\", \"scheme\", \"authority\", \"path\", \"query\", \"site\", \"status\", \
         \"forward\", \"stored\", \"not_stored\", \"collapsed\", \"failure\", \"age\", \"ttl\", \"origin\", \"origin_status\", \
         \"origin_seconds\", \"content_type\", \"device\", \"variant\", \"policy_reason\", \"bytes\"]";
    let proxied = "trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]";
    let (edge, lines) = logging_with(Edge::before(&origin).server(proxied), fields);
    let hop = origin.address().to_string();
    let request = |target: &str| {
        get(target)
            .header("X-Forwarded-For", "198.51.100.7, 10.0.0.9")
            .header("X-Forwarded-Proto", "https")
    };
    edge.send(&request("/a?b=c"));
    let line = lines.last_of(1);
    for (key, expected) in [
        ("peer", Value::from("127.0.0.1")),
        ("proxies", Value::from(vec!["10.0.0.9", "127.0.0.1"])),
        ("client", "198.51.100.7".into()),
        ("scheme", "https".into()),
        ("authority", "www.example".into()),
        ("path", "/a".into()),
        ("query", "b=c".into()),
        ("site", "site".into()),
        ("status", 200.into()),
        ("forward", "uri-miss".into()),
        ("stored", true.into()),
        ("not_stored", Value::Null),
        ("collapsed", false.into()),
        ("failure", Value::Null),
        ("age", 0.into()),
        ("ttl", 60.into()),
        ("origin", hop.clone().into()),
        ("origin_status", 200.into()),
        ("content_type", "text/plain".into()),
        ("device", Value::Null),
        ("variant", Value::Null),
        ("policy_reason", Value::Null),
        ("bytes", 1.into()),
    ] {
        assert_eq!(line[key], expected, "{key} of {line}");
    }
    assert!(line["origin_seconds"].is_f64(), "{line}");
    assert_eq!(line.as_object().unwrap().len(), 24, "{line}");
    edge.advance_secs(10);
    edge.send(&request("/a?b=c"));
    let line = lines.last_of(2);
    for (key, expected) in [
        ("forward", Value::Null),
        ("stored", false.into()),
        ("age", 10.into()),
        ("ttl", 50.into()),
        ("origin", Value::Null),
        ("origin_status", Value::Null),
        ("origin_seconds", Value::Null),
    ] {
        assert_eq!(line[key], expected, "{key} of {line}");
    }
    edge.send(&request("/private"));
    assert_eq!(lines.last_of(3)["not_stored"], "private");
    edge.send(&request("/broken"));
    let line = lines.last_of(4);
    assert!(
        line["failure"].is_string() && line["origin"].is_null(),
        "{line}"
    );
}

#[test]
fn a_line_tells_why_the_policies_decided_for_a_hit_too() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::ok("x"));
    let settings = "[policy.settings]\nversion = 3\n\
         rules = [{ name = \"pages\", match = [\"*\"], ttl = 60 }]";
    let builder = Edge::before(&origin).policy("rules", "builtin:json-rules", settings);
    let (edge, lines) = logging_with(builder, "fields = [\"policy_reason\"]");
    for count in 1..=2 {
        edge.get("/x");
        let line = lines.last_of(count);
        let reason = line["policy_reason"].as_str();
        assert!(
            reason.is_some_and(|reason| reason.contains("pages")),
            "{line}"
        );
    }
}

#[test]
fn addresses_can_be_shortened() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "x"));
    let proxied = "trusted_proxies = [\"127.0.0.1\"]";
    let keys = "client_address = \"shortened\"\nfields = [\"client\", \"peer\", \"proxies\"]";
    let (edge, lines) = logging_with(Edge::before(&origin).server(proxied), keys);
    let from = |address: &str| get("/x").header("X-Forwarded-For", address);
    edge.send(&from("198.51.100.77"));
    edge.send(&from("2001:db8:7:6::5"));
    edge.send(&from("198.51.100.77").host("nobody.example"));
    let told = |line: &Value| line.to_string();
    let expected = |client: &str| {
        format!("{{\"client\":\"{client}\",\"peer\":\"127.0.0.0\",\"proxies\":[\"127.0.0.0\"]}}")
    };
    // Each came on a connection of its own, and they end in any order.
    let mut read: Vec<String> = lines.wait_for(3).iter().map(told).collect();
    read.sort();
    let clients = ["198.51.100.0", "198.51.100.0", "2001:db8:7::"];
    assert_eq!(read, clients.map(expected));
}

fn responses(edge: &Edge, site: &str, status: u16) -> f64 {
    let labels = [format!("site=\"{site}\""), format!("status=\"{status}\"")];
    edge.metric("tero_responses_total", &[&labels[0], &labels[1]])
}

#[test]
fn every_answer_has_a_line_and_is_counted_by_its_status() {
    let origin = Origin::start();
    origin.on("/a", Reply::fresh(60, "a").header("ETag", "\"a\""));
    origin.on("/broken", Reply::hang_up());
    origin.on("/odd", Reply::status(520).body("odd"));
    let (edge, lines) = logging(Edge::before(&origin));
    let fields = |count: usize| "X-Many: 0123456789\r\n".repeat(count);
    let large = fields(3_000);
    let many = fields(150);
    let cases: &[(&str, u16, &str, &str)] = &[
        (
            "GET /a HTTP/1.1\r\nHost: www.example\r\n\r\n",
            200,
            "miss",
            "GET",
        ),
        (
            "GET /a HTTP/1.1\r\nHost: www.example\r\nIf-None-Match: \"a\"\r\n\r\n",
            304,
            "hit",
            "GET",
        ),
        (
            "HEAD /b HTTP/1.1\r\nHost: www.example\r\n\r\n",
            404,
            "miss",
            "HEAD",
        ),
        (
            "POST /b HTTP/1.1\r\nHost: www.example\r\nContent-Length: 1\r\n\r\nx",
            404,
            "pass",
            "POST",
        ),
        (
            "GET /broken HTTP/1.1\r\nHost: www.example\r\n\r\n",
            502,
            "error",
            "GET",
        ),
        ("GET /a HTTP/1.1\r\n\r\n", 400, "refused", "GET"),
        (
            "TRACE /a HTTP/1.1\r\nHost: www.example\r\n\r\n",
            405,
            "refused",
            "TRACE",
        ),
        (
            "GET /a HTTP/1.1\r\nHost: www.example\r\nExpect: tea\r\n\r\n",
            417,
            "refused",
            "GET",
        ),
        (
            "GET /a HTTP/1.1\r\nHost: else.example\r\n\r\n",
            421,
            "refused",
            "GET",
        ),
        (
            "GET /a HTTP/1.1\r\nHost: www.example\r\nCDN-Loop: OURS\r\n\r\n",
            508,
            "refused",
            "GET",
        ),
        // These are refused before they are read.
        (
            &format!("GET /a HTTP/1.1\r\nHost: www.example\r\n{many}\r\n"),
            431,
            "refused",
            "",
        ),
        (
            &format!("GET /a HTTP/1.1\r\nHost: www.example\r\n{large}\r\n"),
            431,
            "refused",
            "",
        ),
        (
            "GET /a HTTP/1.1\r\nHost : www.example\r\n\r\n",
            400,
            "refused",
            "",
        ),
        (
            "POST /a HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            501,
            "refused",
            "",
        ),
    ];
    for (place, (request, status, outcome, method)) in cases.iter().enumerate() {
        let site = if *outcome == "refused" { "" } else { "site" };
        let before = responses(&edge, site, *status);
        let mut client = edge.client();
        let ours = || origin.only("/a").header("cdn-loop").unwrap();
        let request = &match request.contains("OURS") {
            true => request.replace("OURS", &ours()),
            false => (*request).to_owned(),
        };
        let _ = client.try_write(request);
        let mut answer = client.head_to(*method == "HEAD");
        client.rest(&mut answer);
        assert_eq!(answer.status, *status, "{request}");
        let line = lines.last_of(place + 1);
        assert_eq!(line["status"], *status, "{line}");
        assert_eq!(line["outcome"], *outcome, "{line}");
        assert_eq!(line["method"], *method, "{line}");
        assert_eq!(line["client"], "127.0.0.1", "{line}");
        assert_eq!(line["bytes"], answer.body.len(), "{line}");
        let detail = answer.header("cache-status").unwrap();
        assert_eq!(line["cache_status"], detail.as_str(), "{line}");
        assert_eq!(responses(&edge, site, *status), before + 1.0, "{request}");
    }
    let all = edge.metric("tero_responses_total", &[]);
    assert_eq!(all, cases.len() as f64);
    // An unregistered status is counted by its class.
    edge.get("/odd");
    assert_eq!(
        edge.metric("tero_responses_total", &["site=\"site\"", "status=\"5xx\""]),
        1.0
    );
}

#[test]
fn a_request_whose_client_leaves_before_the_answer_has_a_line() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "x"));
    origin.on("/p", Reply::fresh(60, "p"));
    let (edge, lines) = logging(Edge::before(&origin));
    origin.hold();
    let mut left = Vec::new();
    for (target, method) in [("/x", "GET"), ("/p", "POST")] {
        let mut client = edge.client();
        client.start(&Request::new(method, target));
        origin.wait_for(target, 1);
        left.push(client);
    }
    edge.advance_secs(3);
    left.remove(0).finish();
    left.remove(0).reset();
    let mut told = lines.wait_for(2);
    told.sort_by_key(|line| line["method"].to_string());
    for (line, (method, target)) in told.iter().zip([("GET", "/x"), ("POST", "/p")]) {
        assert_eq!(line["status"], 499, "{line}");
        assert_eq!(line["outcome"], "abandoned", "{line}");
        assert_eq!(
            (&line["method"], &line["target"]),
            (&method.into(), &target.into())
        );
        assert_eq!(line["bytes"], 0, "{line}");
        assert_eq!(line["seconds"], 3.0, "{line}");
        assert_eq!(line["cache_status"], "", "{line}");
    }
    assert_eq!(edge.metric("tero_requests_abandoned_total", &[]), 2.0);
    // It was not answered, so it counts as no response.
    assert_eq!(edge.metric("tero_responses_total", &[]), 0.0);
    origin.release();
    // Its fetch goes on.
    edge.until("/x", |answer| answer.cache_status().hit);
    assert_eq!(edge.metric("tero_requests_abandoned_total", &[]), 2.0);
}

#[test]
fn a_refusal_names_the_client_that_a_trusted_proxy_tells() {
    let origin = Origin::start();
    let builder = Edge::before(&origin).server("trusted_proxies = [\"127.0.0.1\"]");
    let (edge, lines) = logging(builder);
    let asking = |host: &str| {
        let request = get("/x").header("X-Forwarded-For", "198.51.100.7");
        edge.send(&request.host(host)).status
    };
    assert_eq!((asking("else.example"), asking("a b")), (421, 400));
    for line in lines.wait_for(2) {
        assert_eq!(line["client"], "198.51.100.7", "{line}");
    }
    // Others are not believed.
    let (edge, lines) = logging(Edge::before(&origin));
    let request = get("/x").header("X-Forwarded-For", "198.51.100.7");
    edge.send(&request.host("else.example"));
    assert_eq!(lines.last_of(1)["client"], "127.0.0.1");
}

#[test]
fn a_denied_access_to_the_admin_interface_is_counted_and_told_once_a_minute() {
    let origin = Origin::start();
    let keys = "\n[admin]\ntoken = \"0123456789abcdef\"\n";
    let serving = Serving::start(&configuration(&origin, "").replace("\n[admin]\n", keys));
    let address = serving.admin_address();
    let admin = |request: Request| Client::connect(address).send(&request.host("localhost"));
    for number in 0..50 {
        let wrong = get("/stats").header("Authorization", format!("Bearer {number}"));
        assert_eq!(admin(wrong).status, 401);
    }
    let told = serving.line_with(&["the admin interface denied access", "the token is wrong"]);
    assert!(
        told.contains("client=127.0.0.1") && !told.contains("Bearer"),
        "{told}"
    );
    let told = serving.log().matches("denied access").count();
    assert_eq!(told, 1, "{}", serving.log());
    let right = get("/metrics").header("Authorization", "Bearer 0123456789abcdef");
    let metrics = admin(right).text();
    let line = "tero_admin_refused_total{status=\"401\"} 50";
    assert!(metrics.contains(line), "{metrics}");
}

#[test]
fn a_request_whose_header_does_not_arrive_in_time_gets_a_408() {
    let origin = Origin::start();
    let (edge, lines) = logging(Edge::before(&origin).server("header_timeout = \"5s\""));
    for (place, part) in [
        "G",
        "GET /x HTTP/1.1\r\n",
        "GET /x HTTP/1.1\r\nHost: www.exa",
    ]
    .into_iter()
    .enumerate()
    {
        let mut slow = edge.client();
        slow.write(part);
        // An answer on another connection gives the edge the time to read the first bytes.
        edge.get("/other");
        let waiter = std::thread::spawn(move || (slow.head(), slow.is_closed()));
        edge.advance_until(60, || waiter.is_finished());
        let (answer, is_closed) = waiter.join().unwrap();
        assert_eq!((answer.status, is_closed), (408, true), "{part}");
        answer.assert_detail("in time");
        let line = lines.last_of(2 * place + 2);
        assert_eq!(
            (&line["status"], &line["method"]),
            (&408.into(), &"".into()),
            "{line}"
        );
    }
    assert_eq!(responses(&edge, "", 408), 3.0);
    assert_eq!(origin.requests("/x"), 0);
}

#[test]
fn a_connection_without_a_request_ends_without_an_answer() {
    let origin = Origin::start();
    let (edge, lines) = logging(Edge::before(&origin).server("idle_timeout = \"5s\""));
    let mut silent = edge.client();
    edge.get("/other");
    let waiter = std::thread::spawn(move || silent.is_closed());
    edge.advance_until(60, || waiter.is_finished());
    assert!(waiter.join().unwrap());
    lines.wait_for(1);
}

#[test]
fn bytes_are_counted_with_and_without_a_known_length() {
    let origin = Origin::start();
    let body = "x".repeat(100_000);
    origin.on("/known", Reply::fresh(60, &body));
    origin.on("/chunked", Reply::fresh(60, &body).chunked());
    origin.on(
        "/streamed",
        Reply::ok(&body)
            .header("Cache-Control", "no-store")
            .chunked(),
    );
    let (edge, lines) = logging(Edge::before(&origin));
    let mut lengths = Vec::new();
    for (target, range) in [
        ("/known", None),
        ("/known", None),
        ("/known", Some("bytes=5-9")),
        ("/chunked", None),
        ("/chunked", None),
        ("/streamed", None),
    ] {
        let mut request = get(target);
        if let Some(range) = range {
            request = request.header("Range", range);
        }
        let answer = edge.send(&request);
        assert!(answer.whole, "{answer:?}");
        lengths.push(answer.body.len() as u64);
        let line = lines.last_of(lengths.len());
        assert_eq!(line["bytes"], answer.body.len(), "{target} {line}");
    }
    let sent: u64 = lengths.iter().sum();
    assert_eq!(edge.metric("tero_response_bytes_total", &[]), sent as f64);
}

/// More than the buffers of two sockets hold.
const LARGE: usize = 24 << 20;

#[test]
fn bytes_that_a_client_did_not_take_are_not_counted() {
    let origin = Origin::start();
    let body = "x".repeat(LARGE);
    origin.on("/stored", Reply::fresh(60, &body));
    origin.on(
        "/streamed",
        Reply::ok(&body).header("Cache-Control", "no-store"),
    );
    let cache = "memory = \"256MiB\"\nmax_object = \"64MiB\"";
    let (edge, lines) = logging(Edge::before(&origin).cache(cache));
    assert_eq!(edge.get("/stored").body.len(), LARGE);
    let whole = lines.last_of(1)["bytes"].as_u64().unwrap();
    assert_eq!(whole, LARGE as u64);
    let mut sent = whole;
    for (place, target) in ["/stored", "/streamed"].into_iter().enumerate() {
        let mut client = edge.client();
        client.start(&get(target));
        let answer = client.head();
        assert_eq!(answer.header("content-length"), Some(LARGE.to_string()));
        client.exactly(10_000);
        client.reset();
        let line = lines.last_of(place + 2);
        let bytes = line["bytes"].as_u64().unwrap();
        assert!((10_000..whole).contains(&bytes), "{target}: {line}");
        sent += bytes;
    }
    let counted = edge.metric("tero_response_bytes_total", &[]);
    let too_much = counted - sent as f64;
    assert!(
        (0.0..=2.0 * 65_536.0).contains(&too_much),
        "{counted} of {sent}"
    );
}

#[test]
fn without_a_log_bytes_that_a_client_did_not_take_are_not_counted_either() {
    let origin = Origin::start();
    origin.on("/stored", Reply::fresh(60, "x".repeat(LARGE)));
    let edge = Edge::before(&origin)
        .cache("memory = \"256MiB\"\nmax_object = \"64MiB\"")
        .start();
    let bytes = || edge.metric("tero_response_bytes_total", &[]);
    assert_eq!(edge.get("/stored").body.len(), LARGE);
    eventually("all is counted", || bytes() == LARGE as f64);
    let mut client = edge.client();
    client.start(&get("/stored"));
    client.head();
    client.exactly(10_000);
    client.reset();
    eventually("both responses have ended", || {
        edge.metric("tero_response_seconds_count", &[]) == 2.0
    });
    assert!(bytes() < 2.0 * LARGE as f64, "{}", bytes());
}

#[test]
fn time_is_measured_to_the_head_and_to_the_last_byte() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.on("/slow", Reply::fresh(60, "firstlast!").in_halves(&gate));
    let (edge, lines) = logging(Edge::before(&origin));
    let mut client = edge.client();
    client.start(&get("/slow"));
    let mut answer = client.head();
    client.exactly(5);
    edge.advance_secs(7);
    // The line is not written before the last byte has left.
    edge.get("/other");
    lines.wait_for(1);
    gate.open();
    client.rest(&mut answer);
    let line = lines.last_of(2);
    assert_eq!(line["seconds"], 0.0, "{line}");
    assert_eq!(line["total_seconds"], 7.0, "{line}");
    assert_eq!(line["bytes"], 10, "{line}");
    assert_eq!(edge.metric("tero_request_seconds_sum", &[]), 0.0);
    assert_eq!(edge.metric("tero_response_seconds_sum", &[]), 7.0);
    for name in ["tero_request_seconds_count", "tero_response_seconds_count"] {
        assert_eq!(edge.metric(name, &[]), 2.0, "{name}");
    }
}

#[test]
fn the_line_of_a_tunnel_has_its_bytes_and_its_end() {
    let origin = Origin::start();
    origin.on_each("/ws", |_, _| Reply::switching("websocket"));
    let (edge, lines) = logging(Edge::before(&origin).site("upgrades = [\"websocket\"]"));
    let mut client = edge.client();
    let asks = get("/ws")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket");
    client.start(&asks);
    assert_eq!(client.head().status, 101);
    client.write("0123456789");
    assert_eq!(client.exactly(10), b"0123456789");
    edge.get("/other");
    lines.wait_for(1);
    edge.advance_secs(3);
    drop(client);
    let line = lines.last_of(2);
    assert_eq!(line["status"], 101, "{line}");
    assert_eq!(line["bytes"], 10, "{line}");
    assert_eq!(line["total_seconds"], 3.0, "{line}");
}

#[test]
fn pipelined_answers_have_a_line_each() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(60, &asked.target));
    let (edge, lines) = logging(Edge::before(&origin));
    for earlier in [0, 5] {
        let mut client = edge.client();
        let requests: Vec<u8> = (1..=5)
            .flat_map(|number| get("/".to_owned() + &"a".repeat(number)).to_bytes())
            .collect();
        client.write(requests);
        for number in 1..=5 {
            let mut answer = client.head();
            client.rest(&mut answer);
            assert_eq!(answer.body.len(), number + 1);
        }
        // The lines of two connections have no order.
        lines.wait_for(earlier + 5);
    }
    let bytes: Vec<_> = lines
        .wait_for(10)
        .iter()
        .map(|line| line["bytes"].clone())
        .collect();
    assert_eq!(bytes, [2, 3, 4, 5, 6, 2, 3, 4, 5, 6]);
}

#[test]
fn lines_that_can_not_be_written_are_counted_and_told_once() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "x"));
    let log = "\n[access_log]\npath = \"/dev/full\"\n";
    let serving = Serving::start(&configuration(&origin, log));
    let mut client = serving.client();
    for _ in 0..200 {
        assert_eq!(client.send(&get("/x")).status, 200);
    }
    let failed = || serving.metric("tero_access_log_lines_total{result=\"failed\"}");
    eventually("all lines are counted", || failed() == Some(200.0));
    let message = "the access log can't be written";
    serving.line_with(&[message]);
    let told = serving.log().matches(message).count();
    assert_eq!(told, 1, "{}", serving.log());
}

#[test]
fn an_origin_that_is_down_is_told_once_a_minute() {
    let origin = Origin::start();
    let serving = Serving::start(&configuration(&origin, ""));
    let mut client = serving.client();
    origin.stop();
    for number in 0..100 {
        let target = format!("/{number}");
        assert_eq!(client.send(&get(&target)).status, 502);
        let upload = Request::new("POST", &target).body("x");
        assert_eq!(client.send(&upload).status, 502);
    }
    for message in ["fetch failed", "pass failed"] {
        serving.line_with(&[message]);
        let told = serving.log().matches(message).count();
        assert_eq!(told, 1, "{message}:\n{}", serving.log());
    }
}

#[test]
fn sighup_reopens_the_log_before_the_next_line() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "x"));
    let log = "\n[access_log]\npath = \"access.log\"\nformat = \"json\"\n";
    let serving = Serving::start(&configuration(&origin, log));
    let path = serving.folder.path().join("access.log");
    let rotated = serving.folder.path().join("access.log.1");
    let count =
        |path: &PathBuf| std::fs::read_to_string(path).map_or(0, |text| text.lines().count());
    let mut client = serving.client();
    client.send(&get("/x"));
    eventually("the line is written", || count(&path) == 1);
    std::fs::rename(&path, &rotated).unwrap();
    serving.signal("HUP");
    // The file is there without a request.
    eventually("the file is opened again", || path.exists());
    for _ in 0..20 {
        client.send(&get("/x"));
    }
    eventually("the lines are written", || count(&path) == 20);
    assert_eq!(count(&rotated), 1);
}
