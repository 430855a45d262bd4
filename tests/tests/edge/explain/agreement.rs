//! What an explanation tells is what the request then gets: over random requests and whatever is
//! stored by then.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tero_admin_api::endpoints::Explain;
use tero_admin_api::{ExpectedOutcome, ExplainRequest, FieldValues};
use tero_tests::{Answer, Edge, Origin, OriginRequest, Reply, Request, eventually};

/// How many sequences of requests are tried.
const SEQUENCES: u32 = 60;
/// The largest content that is stored, in bytes; `/large` is larger.
const MAX_OBJECT: usize = 1024;

/// A request, and how long after the one before it comes.
#[derive(Clone, Debug)]
struct Step {
    after_secs: u64,
    method: &'static str,
    path: &'static str,
    fields: Vec<(&'static str, &'static str)>,
    content: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let methods = prop_oneof![
        8 => Just("GET"),
        2 => Just("HEAD"),
        1 => Just("POST"),
        1 => Just("OPTIONS"),
    ];
    let paths = prop_oneof![
        Just("/fresh"),
        Just("/swr"),
        Just("/bare"),
        Just("/vary"),
        Just("/private"),
        Just("/large"),
        Just("/cut"),
        Just("/each"),
        Just("/never"),
        Just("/floor"),
        Just("/bounded"),
        Just("/silent"),
    ];
    let field = prop_oneof![
        3 => Just(("Range", "bytes=0-9")),
        2 => Just(("Range", "bytes=600-699")),
        1 => Just(("Range", "bytes=5000-")),
        1 => Just(("Range", "bytes=0-4, 600-604")),
        2 => Just(("If-None-Match", "\"1\"")),
        1 => Just(("If-Match", "\"2\"")),
        2 => Just(("X-Kind", "a")),
        2 => Just(("Cache-Control", "no-store")),
        2 => Just(("Cache-Control", "only-if-cached")),
        1 => Just(("Cache-Control", "no-cache")),
        1 => Just(("Cache-Control", "max-age=3")),
        1 => Just(("Cache-Control", "max-stale=100")),
        1 => Just(("Authorization", "Basic eDp5")),
        1 => Just(("Cookie", "lang=es")),
        1 => Just(("Cookie", "session=7")),
        1 => Just(("Upgrade", "websocket")),
    ];
    let step = (
        prop_oneof![4 => Just(0_u64), 2 => 1..8_u64, 1 => Just(200)],
        methods,
        paths,
        prop::collection::vec(field, 0..3),
        prop::bool::weighted(0.05),
    );
    let step = step.prop_map(|(after_secs, method, path, mut fields, content)| {
        fields.sort();
        fields.dedup_by_key(|field| field.0);
        if fields.iter().any(|field| field.0 == "Upgrade") {
            fields.push(("Connection", "upgrade"));
        }
        Step {
            after_secs,
            method,
            path,
            fields,
            content: content && method != "HEAD",
        }
    });
    prop::collection::vec(step, 1..16)
}

/// The path ends with what the resource is like.
fn reply(asked: &OriginRequest, is_first: bool) -> Reply {
    let kind = asked.path().rsplit('/').next().unwrap_or_default();
    let length = if kind == "large" { 2 * MAX_OBJECT } else { 800 };
    let whole = "x".repeat(length);
    let range = asked.header("range").and_then(|range| {
        let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        let first: usize = first.parse().ok()?;
        let last = last.parse().unwrap_or(length - 1).min(length - 1);
        (first <= last).then_some((first, last))
    });
    let reply = if asked.header("if-none-match").as_deref() == Some("\"1\"") {
        Reply::status(304)
    } else if let Some((first, last)) = range {
        Reply::status(206)
            .body(&whole[first..=last])
            .header("Content-Range", format!("bytes {first}-{last}/{length}"))
    } else if kind == "cut" && is_first && asked.method == "GET" {
        Reply::ok(&whole[..400]).announcing(length).then_close()
    } else {
        Reply::ok(whole)
    };
    match kind {
        "swr" => reply
            .header("Cache-Control", "max-age=3, stale-while-revalidate=5")
            .header("ETag", "\"1\""),
        "bare" => reply.header("Cache-Control", "max-age=3"),
        "vary" => reply
            .header("Cache-Control", "max-age=5")
            .header("Vary", "X-Kind"),
        "private" => reply.header("Cache-Control", "private"),
        "silent" => reply,
        "each" => reply
            .header("Cache-Control", "no-cache")
            .header("ETag", "\"1\""),
        _ => reply
            .header("Cache-Control", "max-age=5")
            .header("ETag", "\"1\""),
    }
}

/// What would become of a request, in the words of explanations.
fn explained(edge: &Edge, step: &Step, path: &str) -> ExpectedOutcome {
    let content = step.content.then_some(("Content-Length", "1"));
    let fields = step.fields.iter().copied().chain(content);
    let question = ExplainRequest {
        url: path.to_owned(),
        method: Some(step.method.to_owned()),
        headers: fields
            .map(|(name, value)| (name.to_owned(), FieldValues::One(value.to_owned())))
            .collect(),
        ..ExplainRequest::default()
    };
    edge.call::<Explain>(&[], &question).would
}

fn sent(edge: &Edge, step: &Step, path: &str) -> Answer {
    let request = step
        .fields
        .iter()
        .fold(Request::new(step.method, path), |request, (name, value)| {
            request.header(*name, *value)
        });
    edge.send(&if step.content {
        request.body("y")
    } else {
        request
    })
}

/// What became of a request, in the same words.
fn outcome(answer: &Answer) -> &'static str {
    let told = answer.cache_status();
    match told.fwd.as_deref() {
        None if told.hit && told.ttl.is_some_and(|ttl| ttl <= 0) => "stale",
        None if told.hit => "hit",
        None => "error",
        Some("stale" | "request") => "revalidate",
        Some("bypass" | "method") => "pass",
        Some(_) => "miss",
    }
}

#[test]
fn an_explanation_tells_what_the_request_then_gets() {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let origin = Origin::start();
    let never =
        "[policy.settings]\nrules = [{ name = \"n\", match = [\"/*/never\"], cache = \"never\" }]";
    let edge = Edge::before(&origin)
        .cache(&format!("max_object = \"{MAX_OBJECT}B\""))
        .site("client_directives = \"obey\"\nupgrades = [\"websocket\"]\npass_cookies = [\"session\"]")
        .site("default_ttl = { \"*/*\" = \"3s\" }")
        .site("[[site.never]]\nmatch = [\"/*/floor\"]")
        .site("[[site.at_most]]\nmatch = [\"/*/bounded\"]\nttl = \"2s\"\nstale = \"1s\"")
        .policy("never", "builtin:json-rules", never)
        .start();
    let config = Config {
        cases: SEQUENCES,
        failure_persistence: None,
        ..Config::default()
    };
    let seen = std::cell::RefCell::new(BTreeSet::new());
    // From a fixed seed, so that how much of the request path is met doesn't depend on luck.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let tried = TestRunner::new_with_rng(config, rng).run(&steps(), |steps| {
        let sequence = NEXT.fetch_add(1, Ordering::Relaxed);
        let paths: BTreeSet<_> = steps.iter().map(|step| step.path).collect();
        for path in paths {
            let path = format!("/{sequence}{path}");
            origin.on_each(&path, |asked, count| reply(asked, count == 0));
        }
        for step in &steps {
            edge.advance_secs(step.after_secs);
            let path = format!("/{sequence}{}", step.path);
            let would = explained(&edge, step, &path);
            let answer = sent(&edge, step, &path);
            prop_assert_eq!(
                would.outcome.as_str(),
                outcome(&answer),
                "{:?} of {:?}\n{:?}\n{:?}",
                step,
                steps,
                would,
                answer
            );
            seen.borrow_mut().insert(kind(&would.why));
            // What goes on behind the answer comes to its end first.
            eventually("the end of all fetches", || edge.is_quiet());
        }
        Ok(())
    });
    tried.unwrap_or_else(|failure| panic!("{failure}"));
    // The test would show little if most of it were never met.
    assert!(seen.borrow().len() >= 12, "only {:?}", seen.borrow());
}

/// An explanation without its numbers.
fn kind(why: &str) -> String {
    why.chars().filter(|char| !char.is_ascii_digit()).collect()
}
