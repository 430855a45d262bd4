//! Random lives of a resource: the origin changes, time passes, and clients come alone or several
//! at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use tero_semantics::http_date::date_value;
use tero_tests::{Answer, Edge, Origin, Reply, Request, get};

use super::model::{Model, Mood, Representation, Resource};

/// A request of a client.
#[derive(Clone, Debug)]
struct ClientRequest {
    head: bool,
    one: Option<&'static str>,
    coding: Option<&'static str>,
    authorised: bool,
    range: Option<(usize, usize)>,
}

/// A moment of a life: time has passed, the origin may have changed, and clients come at once.
#[derive(Clone, Debug)]
struct Moment {
    passes_secs: u64,
    mood: Mood,
    wishes: Vec<ClientRequest>,
}

/// A response that a client got.
pub(crate) struct ClientResponse {
    /// Seconds since the life began.
    pub(crate) at: u64,
    pub(crate) method: &'static str,
    pub(crate) answer: Answer,
    /// The number of the origin's response that it came from.
    pub(crate) reply: Option<u64>,
    pub(crate) representation: Option<Representation>,
    /// The number of the 304 that freshened it last; 0 if none did.
    pub(crate) validated: u64,
    wish: ClientRequest,
}

impl std::fmt::Debug for ClientResponse {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ClientResponse {
            at,
            answer,
            representation,
            validated,
            wish,
            ..
        } = self;
        write!(
            formatter,
            "after {at} s, {wish:?}: {} {:?}, ",
            answer.status, answer.headers
        )?;
        write!(
            formatter,
            "{} bytes, whole: {}, of {representation:?}, validated by {validated}",
            answer.body.len(),
            answer.whole
        )
    }
}

impl ClientResponse {
    /// The value of a field that the client sent.
    pub(crate) fn asked(&self, name: &str) -> Option<String> {
        self.wish.field(name)
    }
}

/// All responses of a life.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) model: Arc<Model>,
    pub(crate) responses: Vec<ClientResponse>,
}

const CACHE_CONTROL: [&str; 13] = [
    "max-age=60",
    "max-age=60",
    "max-age=60",
    "max-age=20, stale-while-revalidate=20",
    "max-age=10, stale-if-error=100",
    "s-maxage=20, max-age=5",
    "public, max-age=30",
    "max-age=30, must-revalidate",
    "no-cache",
    "max-age=60, no-cache=\"x-secret\"",
    "private, max-age=60",
    "no-store",
    "max-age=0",
];

fn wish() -> impl Strategy<Value = ClientRequest> {
    let one = prop::sample::select(vec![None, Some("1"), Some("1"), Some("2")]);
    let coding = prop::sample::select(vec![None, Some("gzip"), Some("br")]);
    // Few values, so that ranges often overlap.
    let range = prop::option::weighted(
        0.5,
        prop::sample::select(vec![(0, 99), (100, 99), (50, 99), (0, 199), (150, 2_000)]),
    );
    (
        prop::bool::weighted(0.1),
        one,
        coding,
        prop::bool::weighted(0.1),
        range,
    )
        .prop_map(|(head, one, coding, authorised, range)| ClientRequest {
            head,
            one,
            coding,
            authorised,
            range,
        })
}

fn mood() -> impl Strategy<Value = Mood> {
    let status = prop::sample::select(vec![200_u16, 200, 200, 200, 203, 404]);
    let age = prop::option::weighted(0.15, 1_u64..15);
    (
        prop::sample::select(&CACHE_CONTROL[..]),
        prop::bool::weighted(0.08),
        status,
        age,
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
    )
        .prop_map(
            |(cache_control, set_cookie, status, age, changes, fails, breaks_off)| Mood {
                cache_control,
                set_cookie,
                status,
                age,
                changes,
                fails,
                breaks_off,
            },
        )
}

fn resource() -> impl Strategy<Value = Resource> {
    let vary = prop::sample::select(vec![
        &[][..],
        &[],
        &["x-one"],
        &["accept-encoding"],
        &["x-one", "accept-encoding"],
    ]);
    let length = prop_oneof![Just(0_usize), 1_usize..400, 400_usize..3_000];
    (
        vary,
        length,
        prop::option::weighted(0.8, any::<bool>()),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(vary, length, strong, chunked, takes_ranges)| Resource {
            vary,
            length,
            strong,
            chunked,
            takes_ranges,
        })
}

fn moments() -> impl Strategy<Value = Vec<Moment>> {
    let moment = (0_u64..25, mood(), prop::collection::vec(wish(), 1..4)).prop_map(
        |(passes_secs, mood, wishes)| Moment {
            passes_secs,
            mood,
            wishes,
        },
    );
    prop::collection::vec(moment, 1..9)
}

impl ClientRequest {
    fn method(&self) -> &'static str {
        if self.head { "HEAD" } else { "GET" }
    }

    fn field(&self, name: &str) -> Option<String> {
        match name {
            "x-one" => self.one.map(str::to_owned),
            "accept-encoding" => self.coding.map(str::to_owned),
            _ => None,
        }
    }

    fn request(&self, path: &str) -> Request {
        let mut request = Request::new(self.method(), path);
        for name in ["X-One", "Accept-Encoding"] {
            if let Some(value) = self.field(&name.to_ascii_lowercase()) {
                request = request.header(name, value);
            }
        }
        if self.authorised {
            request = request.header("Authorization", "Basic YTpi");
        }
        match self.range {
            Some((first, length)) => {
                request.header("Range", format!("bytes={first}-{}", first + length))
            }
            None => request,
        }
    }
}

/// How much is in memory before the first life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MemoryBefore {
    Empty,
    /// It is full, so that what a life stores has to prove itself first.
    Full,
}

/// Runs `count` random lives behind one edge, and checks each; half of them in a full memory.
pub(crate) fn lives(count: u32, check: impl Fn(&Life) -> TestCaseResult) {
    let lives = || (resource(), moments());
    run(count / 2, lives(), MemoryBefore::Empty, &check);
    run(count / 2, lives(), MemoryBefore::Full, check);
}

/// Like [`lives`], with resources too large to store, range requests, and an origin with few
/// validators.
pub(crate) fn lives_in_parts(count: u32, check: impl Fn(&Life) -> TestCaseResult) {
    let resource =
        prop::option::weighted(0.9, prop::bool::weighted(0.8)).prop_map(|strong| Resource {
            vary: &[],
            length: 2_000,
            strong,
            chunked: false,
            takes_ranges: true,
        });
    let of_parts = |mut moment: Moment| {
        moment.mood = Mood {
            cache_control: "max-age=60",
            set_cookie: false,
            status: 200,
            ..moment.mood
        };
        moment.wishes.iter_mut().for_each(|wish| wish.head = false);
        moment
    };
    let moments = moments().prop_map(move |moments| moments.into_iter().map(of_parts).collect());
    run(count, (resource, moments), MemoryBefore::Empty, check);
}

/// Fills the memory of an edge with small pages.
fn fill(origin: &Origin, edge: &Edge) {
    origin.otherwise(|_| Reply::fresh(31_536_000, "x".repeat(900)));
    let mut client = edge.client();
    for number in 0..600 {
        client.send(&get(format!("/filling/{number}")));
    }
    assert!(edge.metric("tero_cache_newcomer_bytes", &[]) > 0.0);
}

fn run(
    count: u32,
    lives: impl Strategy<Value = (Resource, Vec<Moment>)>,
    before: MemoryBefore,
    check: impl Fn(&Life) -> TestCaseResult,
) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let origin = Origin::start();
    // Content that is too large to store is kept in parts.
    let small = match before {
        MemoryBefore::Empty => "",
        MemoryBefore::Full => "memory = \"1MiB\"",
    };
    let edge = Edge::before(&origin)
        .cache(&format!("max_object = \"1KiB\"\n{small}"))
        .start();
    if before == MemoryBefore::Full {
        fill(&origin, &edge);
    }
    let config = Config {
        cases: count,
        failure_persistence: None,
        ..Config::default()
    };
    let lived = TestRunner::new(config).run(&lives, |(resource, mut moments)| {
        // Without validators, a response to HEAD freshens the stored one if the lengths agree (RFC
        // 9111 §4.3.5).
        if resource.strong.is_none() {
            moments
                .iter_mut()
                .flat_map(|moment| &mut moment.wishes)
                .for_each(|wish| wish.head = false);
        }
        let path = format!("/{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let model = Arc::new(Model::new(resource));
        let answering = Arc::clone(&model);
        origin.on_each(&path, move |asked, _| answering.answer(asked));
        check(&live(&edge, &path, &model, &moments))
    });
    lived.unwrap_or_else(|failure| panic!("{failure}"));
}

fn live(edge: &Edge, path: &str, model: &Arc<Model>, moments: &[Moment]) -> Life {
    let mut life = Life {
        model: Arc::clone(model),
        responses: Vec::new(),
    };
    let mut at = 0;
    for moment in moments {
        edge.advance_secs(moment.passes_secs);
        at += moment.passes_secs;
        let date = date_value(edge.clock().now());
        model.turns(
            &moment.mood,
            date.to_str().expect("a date is ASCII").to_owned(),
        );
        let mut clients: Vec<_> = moment
            .wishes
            .iter()
            .map(|wish| {
                let mut client = edge.client();
                client.start(&wish.request(path));
                client
            })
            .collect();
        for (client, wish) in clients.iter_mut().zip(&moment.wishes) {
            let mut answer = client.head_to(wish.head);
            client.rest(&mut answer);
            life.responses.push(response(model, at, wish, answer));
        }
    }
    life
}

fn response(model: &Model, at: u64, wish: &ClientRequest, answer: Answer) -> ClientResponse {
    let reply = answer
        .header("x-reply")
        .map(|number| number.parse().unwrap());
    let made = reply.map(|number| model.reply(number));
    let validated = answer
        .header("x-validated")
        .map_or(0, |number| number.parse().unwrap());
    let representation = made.map(|made| made.representation);
    ClientResponse {
        at,
        method: wish.method(),
        answer,
        reply,
        representation,
        validated,
        wish: wish.clone(),
    }
}
