//! Spans of requests: sent to a collector by OTLP, and traces taken over and passed on.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tero_tests::{Client, Origin, Reply, eventually, get};

use crate::program::{Serving, configuration};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A collector that answers with a status.
struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Batch>>>,
}

/// What came in one request.
#[derive(Clone, Debug)]
struct Batch {
    head: String,
    service: BTreeMap<String, String>,
    spans: Vec<Span>,
}

impl Collector {
    fn start(status: u16) -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let keeps = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).unwrap() > 0 {}
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .map_or(0, |length| length.parse().unwrap());
                let mut content = vec![0; length];
                stream.read_exact(&mut content).unwrap();
                let batch = batch(head, &content);
                keeps.lock().unwrap().push(batch);
                let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        });
        Collector { address, received }
    }

    fn batches(&self) -> Vec<Batch> {
        self.received.lock().unwrap().clone()
    }

    fn spans(&self) -> Vec<Span> {
        let batches = self.batches().into_iter();
        batches.flat_map(|batch| batch.spans).collect()
    }

    /// The span with this path, once it is there.
    fn span_of(&self, path: &str) -> Span {
        let find = || {
            let mut spans = self.spans().into_iter();
            spans
                .find(|span| attributes(&span.attributes).get("url.path") == Some(&path.to_owned()))
        };
        eventually("the span arrives", || find().is_some());
        find().unwrap()
    }
}

fn batch(head: String, content: &[u8]) -> Batch {
    let request = ExportTraceServiceRequest::decode(content).expect("it is protobuf");
    let resource = &request.resource_spans[0];
    let service = attributes(&resource.resource.as_ref().unwrap().attributes);
    let scopes = resource.scope_spans.iter();
    Batch {
        head,
        service,
        spans: scopes.flat_map(|scope| scope.spans.clone()).collect(),
    }
}

fn attributes(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.clone()) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => panic!("{other:?}"),
    };
    let pairs = pairs.iter();
    pairs.map(|pair| (pair.key.clone(), text(pair))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn edge(origin: &Origin, collector: SocketAddr, keys: &str, server: &str) -> Serving {
    let text = configuration(origin, "");
    let table =
        format!("[telemetry.otlp]\nendpoint = \"http://{collector}\"\n{keys}\n\n[policies]\n");
    let text = text.replace("[server]\n", &format!("[server]\n{server}\n"));
    Serving::start(&text.replace("[policies]\n", &table))
}

#[test]
fn a_request_has_a_span_that_tells_how_its_answer_came_about() {
    let origin = Origin::start();
    origin.on("/page", Reply::fresh(600, "a page"));
    origin.on("/bad", Reply::status(503));
    let collector = Collector::start(200);
    let token = "token = \"a-token-of-the-test\"";
    let serving = edge(
        &origin,
        collector.address,
        &format!("sample = \"100%\"\n{token}"),
        "",
    );
    let mut client = serving.client();
    client.send(&get("/page?secret=1").header("Traceparent", PARENT));
    client.send(&get("/page?secret=1"));
    client.send(&get("/bad"));
    eventually("all spans arrive", || collector.spans().len() == 3);
    let spans = collector.spans();
    let told: Vec<_> = spans
        .iter()
        .map(|span| attributes(&span.attributes))
        .collect();
    let [miss, hit, bad] = &told[..] else {
        panic!("{told:?}")
    };
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.response.body.size", "6"),
        ("url.scheme", "http"),
        ("url.path", "/page"),
        ("server.address", "www.example"),
        ("tero.site", "site"),
        ("tero.outcome", "miss"),
        ("tero.forward", "uri-miss"),
        ("tero.stored", "true"),
        ("tero.collapsed", "false"),
        ("tero.origin_status", "200"),
    ] {
        assert_eq!(
            miss.get(key).map(String::as_str),
            Some(value),
            "{key}: {miss:?}"
        );
    }
    assert!(miss.contains_key("tero.origin") && miss.contains_key("tero.request_id"));
    assert!(
        !format!("{miss:?}").contains("secret"),
        "a query may hold what is private"
    );
    assert_eq!(hit["tero.outcome"], "hit");
    assert!(!hit.contains_key("tero.origin") && hit.contains_key("tero.ttl_seconds"));
    assert_eq!(
        (&*bad["tero.outcome"], &*bad["http.response.status_code"]),
        ("miss", "503")
    );
    // The trace goes on; without one, the request begins its own.
    assert_eq!(hex(&spans[0].trace_id), TRACE);
    assert_eq!(hex(&spans[0].parent_span_id), "00f067aa0ba902b7");
    assert_ne!(hex(&spans[1].trace_id), TRACE);
    assert!(spans[1].parent_span_id.is_empty());
    let first = &spans[0];
    assert!(first.end_time_unix_nano >= first.start_time_unix_nano);
    let errors: Vec<_> = spans.iter().map(|span| span.status.is_some()).collect();
    assert_eq!(errors, [false, false, true]);
    // The origin is told the span that asks it.
    let asked = origin.only("/page").header("traceparent").unwrap();
    assert_eq!(asked, format!("00-{TRACE}-{}-01", hex(&first.span_id)));
    let batch = &collector.batches()[0];
    assert!(
        batch.head.starts_with("POST /v1/traces HTTP/1.1\r\n"),
        "{}",
        batch.head
    );
    assert!(
        batch
            .head
            .contains("content-type: application/x-protobuf\r\n")
    );
    assert!(
        batch
            .head
            .contains("authorization: Bearer a-token-of-the-test\r\n")
    );
    assert_eq!(batch.service["service.name"], "tero");
    eventually("they are counted", || {
        serving.metric("tero_spans_total{result=\"sent\"}") == Some(3.0)
    });
}

#[test]
fn requests_that_share_a_fetch_have_spans_of_their_own() {
    let origin = Origin::start();
    let gate = tero_tests::Gate::new();
    origin.on("/slow", Reply::fresh(600, "slow").behind(&gate));
    let collector = Collector::start(200);
    let serving = edge(&origin, collector.address, "sample = \"100%\"", "");
    let mut clients = [(); 2].map(|()| serving.client());
    for client in &mut clients {
        client.start(&get("/slow"));
    }
    gate.wait_for_arrivals(1);
    gate.open();
    for client in &mut clients {
        let mut answer = client.head();
        client.rest(&mut answer);
        assert_eq!(answer.text(), "slow");
    }
    eventually("both spans arrive", || collector.spans().len() == 2);
    let fetched = collector.spans().into_iter();
    let fetched = fetched.filter(|span| attributes(&span.attributes)["tero.outcome"] == "miss");
    assert_eq!(fetched.count(), 1);
}

#[test]
fn strangers_do_not_decide_what_is_sampled_and_their_traces_pass_through() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::ok("x"));
    let collector = Collector::start(200);
    let least = "sample = \"0.01%\"";
    let serving = edge(&origin, collector.address, least, "");
    let ask = |serving: &Serving, path: &str| {
        let request = get(path).header("Traceparent", PARENT);
        Client::connect(serving.address()).send(&request);
        origin.only(path).header("traceparent").unwrap()
    };
    // One in ten thousand would be sampled.
    let passed = (0..20).filter(|number| ask(&serving, &format!("/{number}")) == PARENT);
    assert!(passed.count() >= 19);
    let trusting = "trusted_proxies = [\"127.0.0.1\"]";
    let serving = edge(&origin, collector.address, least, trusting);
    let asked = ask(&serving, "/trusted");
    assert!(asked.contains(TRACE) && asked != PARENT, "{asked}");
    assert_eq!(hex(&collector.span_of("/trusted").trace_id), TRACE);
}

#[test]
fn a_collector_that_is_down_or_refuses_costs_spans_and_nothing_else() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(600, "x"));
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for address in [closed, Collector::start(500).address] {
        let serving = edge(&origin, address, "sample = \"100%\"", "");
        let mut client = serving.client();
        assert_eq!(client.send(&get("/x")).text(), "x");
        serving.line_with(&["WARN", "spans can't be sent"]);
        assert_eq!(
            serving.metric("tero_spans_total{result=\"failed\"}"),
            Some(1.0)
        );
        // During the rest no spans are made, and the trace passes through.
        let request = get("/rest").header("Traceparent", PARENT);
        assert_eq!(client.send(&request).text(), "x");
        assert_eq!(
            serving.metric("tero_spans_total{result=\"sent\"}"),
            Some(0.0)
        );
    }
}
