//! A rehearsed edge: requests collapse, go stale, are validated and revalidated as on a real one, and no
//! socket is opened.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use tero_config::Config;
use tero_control::rehearsal::EdgeRehearsal;
use tero_edge::request::refusal::AdmissionRefusal;
use tero_edge::request::rehearsal::{
    OriginAsker, OriginQuestion, OriginReply, RehearsalStage, RehearsalWorld, RehearsedAnswer,
    SentAnswer,
};
use tero_semantics::timestamp::Timestamp;
use tero_tests::{compiled_cache, compiler, toml_string};

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
        let (heard, begin) = (Heard::default(), Timestamp::from_unix_secs(1_795_518_000));
        let world = Box::new(heard.clone());
        let stage = EdgeRehearsal::new(&config, &compiler(), begin, world, true).unwrap();
        Rehearsing {
            stage,
            heard,
            begin,
        }
    }

    fn send(&mut self, after_secs: u64, host: &str, path: &str) {
        self.stage
            .turn_to(self.begin.saturating_add(Duration::from_secs(after_secs)));
        let request = http::Request::get(path)
            .header("host", host)
            .body(())
            .unwrap();
        let sent = SentAnswer {
            status: StatusCode::OK,
            bytes: 100,
        };
        self.stage
            .send(request.into_parts().0, Default::default(), sent);
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
