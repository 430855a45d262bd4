//! A rehearsed edge: requests collapse, go stale, are validated and revalidated as on a real one, and no
//! socket is opened.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use tero_config::Config;
use tero_control::rehearsal::EdgeRehearsal;
use tero_edge::request::admit::RequestSource;
use tero_edge::request::refusal::AdmissionRefusal;
use tero_edge::request::rehearsal::{
    OriginAsker, OriginQuestion, OriginReply, RehearsalStage, RehearsalWorld, RehearsedAnswer,
    SentAnswer,
};
use tero_semantics::timestamp::Timestamp;
use tero_tests::{compiled_cache, compiler, guests, toml_string};

/// When rehearsals begin, in seconds since 1970.
const BEGIN: i64 = 1_795_518_000;

/// What is heard of a rehearsal.
#[derive(Clone, Debug, Default)]
struct Heard {
    answers: Arc<Mutex<Vec<String>>>,
    asked: Arc<Mutex<Vec<(i64, OriginAsker)>>>,
}

impl RehearsalWorld for Heard {
    fn ask_origin(&mut self, question: &OriginQuestion<'_>) -> OriginReply {
        let asked = (question.at.unix_secs(), question.asker);
        self.asked.lock().unwrap().push(asked);
        let mut headers = HeaderMap::new();
        let path = question.exchange.parts.uri.path();
        let (status, cache_control) = match path {
            "/private" => (StatusCode::OK, "private"),
            "/broken" => (StatusCode::INTERNAL_SERVER_ERROR, "no-store"),
            "/failing" if asked.0 > BEGIN => (StatusCode::BAD_GATEWAY, "no-store"),
            "/failing" => (StatusCode::OK, "max-age=10, stale-if-error=60"),
            _ => (StatusCode::OK, "max-age=10, stale-while-revalidate=5"),
        };
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static(cache_control),
        );
        if path == "/tagged" {
            headers.insert(header::ETAG, HeaderValue::from_static("\"a\""));
        }
        let holds = question.if_changed.is_some();
        OriginReply {
            status: if holds {
                StatusCode::NOT_MODIFIED
            } else {
                status
            },
            headers,
            bytes: if holds { 0 } else { 100 },
            takes: Duration::from_secs(2),
        }
    }

    fn answered(&mut self, answer: &RehearsedAnswer<'_>) {
        let told = format!(
            "{} {} after {}",
            answer.exchange.parts.uri.path(),
            answer.provenance.outcome.as_str(),
            answer.waited.as_secs()
        );
        self.answers.lock().unwrap().push(told);
    }

    fn refused(&mut self, refusal: AdmissionRefusal, _: SentAnswer) {
        self.answers.lock().unwrap().push(refusal.to_string());
    }
}

/// A rehearsal on which a test sends requests.
struct Rehearsing {
    stage: EdgeRehearsal,
    heard: Heard,
    begin: Timestamp,
}

impl Rehearsing {
    fn new(site: &str) -> Rehearsing {
        let text = format!(
            "[policies]\ncompiled_cache = {}\n[[site]]\nname = \"site\"\nhosts = [\"www.example\"]\norigins = [\"http://127.0.0.1:1\"]\n{site}",
            toml_string(&compiled_cache().display().to_string())
        );
        let config = Config::parse(&text, "tero.toml", Path::new("")).unwrap();
        let (heard, begin) = (Heard::default(), Timestamp::from_unix_secs(BEGIN));
        let world = Box::new(heard.clone());
        let stage = EdgeRehearsal::new(&config, &compiler(), begin, world, true).unwrap();
        Rehearsing {
            stage,
            heard,
            begin,
        }
    }

    fn send(&mut self, after_secs: u64, host: &str, path: &str) {
        self.send_as(
            after_secs,
            http::Request::get(path).header(header::HOST, host),
        );
    }

    fn send_as(&mut self, after_secs: u64, request: http::request::Builder) {
        self.stage
            .turn_to(self.begin.saturating_add(Duration::from_secs(after_secs)));
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        if !head.headers.contains_key(header::HOST) {
            let host = HeaderValue::from_static("www.example");
            head.headers.insert(header::HOST, host);
        }
        let sent = SentAnswer {
            status: StatusCode::OK,
            bytes: Some(100),
            is_own: false,
        };
        let source = RequestSource {
            peer: Some([192, 0, 2, 1].into()),
            ..RequestSource::default()
        };
        self.stage.send(head, source, sent);
    }

    fn told(&mut self) -> Vec<String> {
        self.stage.finish();
        std::mem::take(&mut *self.heard.answers.lock().unwrap())
    }

    fn asked(&self) -> Vec<(i64, OriginAsker)> {
        let asked = self.heard.asked.lock().unwrap();
        let begin = self.begin.unix_secs();
        asked
            .iter()
            .map(|(at, asker)| (at - begin, *asker))
            .collect()
    }
}

#[test]
fn requests_collapse_while_a_fetch_takes_its_time_and_stale_ones_are_revalidated_behind() {
    let mut rehearsing = Rehearsing::new("");
    for after in [0, 1, 2, 9, 11, 12, 40] {
        rehearsing.send(after, "www.example", "/a");
    }
    assert_eq!(
        rehearsing.told(),
        [
            "/a miss after 2",
            "/a collapsed after 1",
            "/a hit after 0",
            "/a hit after 0",
            "/a stale after 0",
            "/a stale after 0",
            "/a miss after 2",
        ]
    );
    use OriginAsker::{Background, Visitor};
    assert_eq!(
        rehearsing.asked(),
        [(0, Visitor), (11, Background), (40, Visitor)]
    );
}

#[test]
fn what_is_not_stored_is_asked_for_by_each_and_a_304_brings_no_content() {
    let mut rehearsing = Rehearsing::new("");
    for after in [0, 1, 10] {
        rehearsing.send(after, "www.example", "/private");
    }
    // Who waits for an answer that is not for others goes by itself then.
    assert_eq!(
        rehearsing.told(),
        [
            "/private miss after 2",
            "/private miss after 3",
            "/private miss after 2"
        ]
    );
    let mut rehearsing = Rehearsing::new("");
    for after in [0, 30, 33] {
        rehearsing.send(after, "www.example", "/tagged");
    }
    assert_eq!(
        rehearsing.told(),
        [
            "/tagged miss after 2",
            "/tagged revalidated after 2",
            "/tagged hit after 0"
        ]
    );
    let mut rehearsing = Rehearsing::new("");
    rehearsing.send(0, "other.example", "/");
    rehearsing.send(0, "www.example", "/broken");
    assert_eq!(
        rehearsing.told(),
        [
            "no site is configured for this host",
            "/broken miss after 2"
        ]
    );
}

#[test]
fn popular_responses_are_revalidated_ahead_in_a_rehearsal() {
    let mut rehearsing =
        Rehearsing::new("[site.refresh_ahead]\nbefore = \"2s\"\nmin_hits = 2\nshare = 0.5\n");
    // Others earn the share of requests that go ahead.
    for place in 0..8 {
        rehearsing.send(0, "www.example", &format!("/other/{place}"));
    }
    for after in 0..12 {
        rehearsing.send(after, "www.example", "/a");
    }
    let told = rehearsing.told();
    let asked = rehearsing.asked();
    assert!(
        asked.iter().any(|(_, asker)| *asker == OriginAsker::Ahead),
        "{asked:?} {told:?}"
    );
}

#[test]
fn passwords_of_a_path_that_a_policy_chose_are_taken_for_good_and_its_class_is_counted() {
    let policy = format!(
        r#"
[[site.route]]
match = ["/admin/*"]
auth = {{ users = ["ana:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"] }}
[[limit]]
name = "searches"
class = "search"
requests = 1
per = "1min"
[[policy]]
name = "rules"
module = {}
[policy.settings]
on_request = [{{ path = "/search", rewrite_path = "/admin/search", rate_class = "search" }}]
rate_classes = ["search"]
"#,
        toml_string(&guests::deciding_path().display().to_string())
    );
    let mut rehearsing = Rehearsing::new(&format!("policies = [\"rules\"]\n{policy}"));
    for after in [0, 5] {
        let request = http::Request::get("/search");
        // ana:secret
        rehearsing.send_as(
            after,
            request.header("authorization", "Basic YW5hOnNlY3JldA=="),
        );
    }
    rehearsing.send_as(6, http::Request::get("/search"));
    let told = rehearsing.told();
    assert_eq!(rehearsing.asked(), [(0, OriginAsker::Visitor)], "{told:?}");
    assert_eq!(
        told,
        [
            "/search miss after 2",
            // Over the limit.
            "/search error after 0",
            // Without a password.
            "/search rule after 0"
        ]
    );
}

#[test]
fn a_purge_is_not_a_request_to_the_origin_and_purges_nothing() {
    for (site, outcome) in [("", "error"), ("[site.purge]\nfrom = [\"::/0\"]\n", "pass")] {
        let mut rehearsing = Rehearsing::new(site);
        rehearsing.send(0, "www.example", "/a");
        let purge = http::Request::builder().method("PURGE").uri("/a");
        rehearsing.send_as(3, purge);
        rehearsing.send(4, "www.example", "/a");
        let expected = [
            "/a miss after 2".to_owned(),
            format!("/a {outcome} after 0"),
            "/a hit after 0".to_owned(),
        ];
        assert_eq!(rehearsing.told(), expected);
        assert_eq!(rehearsing.asked(), [(0, OriginAsker::Visitor)]);
    }
}

#[test]
fn a_stale_response_bridges_an_error_to_a_head_too() {
    let mut rehearsing = Rehearsing::new("");
    rehearsing.send(0, "www.example", "/failing");
    rehearsing.send_as(20, http::Request::head("/failing"));
    // Longer than it may be used.
    rehearsing.send_as(90, http::Request::head("/failing"));
    assert_eq!(
        rehearsing.told(),
        [
            "/failing miss after 2",
            "/failing stale after 2",
            "/failing miss after 2"
        ]
    );
}

#[test]
fn years_without_requests_are_jumped_over_with_their_plans() {
    let plan =
        "[[warm]]\nname = \"daily\"\nsite = \"site\"\nschedule = \"0 3 * * *\"\nurls = [\"/b\"]\n";
    let mut rehearsing = Rehearsing::new(plan);
    let years = 200 * 365 * 86_400;
    rehearsing.send(0, "www.example", "/a");
    rehearsing.send(years, "www.example", "/a");
    rehearsing.send(years + 1, "www.example", "/c");
    let told = rehearsing.told();
    assert_eq!(
        told[..2],
        ["/a miss after 2", "/a miss after 2"],
        "{told:?}"
    );
    let runs = rehearsing.stage.plans()[0].runs;
    assert!((4..=6).contains(&runs), "{runs}");
}
