//! Under any schedule of faults, each visitor gets a right answer, a stale one that was allowed, or an
//! error that names its cause, within its deadline.
//!
//! A schedule is random and shrinks. The origin is scripted and stamps each answer with the time and
//! the terms under which it was given; the clock is turned by hand.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use tero_admin_api::OriginReport;
use tero_admin_api::endpoints::Origins;
use tero_semantics::timestamp::Timestamp;
use tero_tests::{Answer, Edge, Origin, OriginRequest, Reply, get};
use tero_time::clock::Clock;

/// How many schedules the property is checked on. `PROPTEST_CASES` overrides it.
const SCHEDULES: u32 = 200;

const SETTINGS: &str = "connect_timeout = \"1s\"\nresponse_timeout = \"2s\"\nbody_timeout = \"2s\"\ndeadline = \"5s\"\n\
                        stale_if_error = \"0s\"\nerror_ttl = \"1s\"\n[site.health]\nrest = \"2s\"\nmax_rest = \"4s\"";
const CACHE: &str = "collapse_timeout = \"3s\"";

/// The longest that a visitor may wait by these settings: for another one's fetch, for a place, for an
/// answer, and for the rest of its content.
const DEADLINE_SECS: u64 = 3 + 1 + 5 + 2;

/// `error_ttl`, and the time in which a failing page or origin is tried again.
const RECOVERED_SECS: u64 = 6;

/// The content of an answer of the origin that is an error.
const SORRY: &str = "sorry";

/// What the origin does with all requests for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Mood {
    /// It answers, on these terms.
    Well(Terms),
    Refuses,
    Silent,
    SilentInHead,
    SilentInBody,
    Resets,
    HangsUp,
    CutsBody,
    Malformed,
    Fails(u16),
    RetryLater,
}

/// Seconds for which an answer is fresh, and may be used stale. `None` if it may not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Terms(Option<[u64; 3]>);

/// Some visitors who come at the same time, after a while.
#[derive(Clone, Debug)]
struct Moment {
    passes_secs: u64,
    mood: Mood,
    /// Which of the pages they want.
    visitors: Vec<u8>,
}

/// What a visitor got.
#[derive(Debug)]
struct Visit {
    page: u8,
    answer: Answer,
    came: Timestamp,
    left: Timestamp,
}

impl Terms {
    fn cache_control(self) -> String {
        match self.0 {
            None => "no-store".to_owned(),
            Some([fresh, swr, sie]) => {
                format!("max-age={fresh}, stale-while-revalidate={swr}, stale-if-error={sie}")
            }
        }
    }
}

impl Mood {
    fn is_well(self) -> bool {
        matches!(self, Mood::Well(_))
    }

    /// Whether all requests end without the clock: if it is turned before, they end by a timeout that
    /// the origin has no part in.
    fn responds(self) -> bool {
        !matches!(self, Mood::Silent | Mood::SilentInHead | Mood::SilentInBody)
    }

    /// What `Cache-Status` may say of it.
    fn causes(self) -> &'static [&'static str] {
        match self {
            Mood::Well(_) => &[],
            Mood::Refuses => &[
                "origin refused the connection",
                "origin could not be reached",
                "origin broke off",
            ],
            Mood::Silent | Mood::SilentInHead => &["origin did not answer in time"],
            Mood::Resets | Mood::HangsUp => &["origin broke off"],
            Mood::Malformed => &["origin sent a malformed response"],
            Mood::Fails(_) | Mood::RetryLater => &["origin answered with an error"],
            // Whoever waits for a fetch whose content doesn't come.
            Mood::SilentInBody => &["origin did not answer in time"],
            Mood::CutsBody => &[],
        }
    }

    fn reply(self, stamped: impl Fn(Terms) -> Reply) -> Reply {
        const SHORT: Terms = Terms(Some([5, 5, 5]));
        match self {
            Mood::Well(terms) => stamped(terms),
            // It has just been asked: it is about to stop.
            Mood::Refuses | Mood::Resets => Reply::reset(),
            Mood::Silent => Reply::silence(),
            Mood::SilentInHead => Reply::raw_then_silence("HTTP/1.1 200 OK\r\nCache-C"),
            Mood::SilentInBody => stamped(SHORT).announcing(100).then_silence(),
            Mood::CutsBody => stamped(SHORT).announcing(100).then_close(),
            Mood::HangsUp => Reply::hang_up(),
            Mood::Malformed => Reply::raw("HTTP/1.1 two hundred\r\n\r\n"),
            Mood::Fails(status) => Reply::status(status).body(SORRY),
            Mood::RetryLater => Reply::status(503).header("Retry-After", "3").body(SORRY),
        }
    }
}

fn mood() -> impl Strategy<Value = Mood> {
    let terms = prop::sample::select(vec![
        Terms(Some([10, 0, 0])),
        Terms(Some([4, 8, 0])),
        Terms(Some([4, 0, 20])),
        Terms(Some([3, 4, 12])),
        Terms(None),
    ]);
    let faults = vec![
        Mood::Refuses,
        Mood::Silent,
        Mood::SilentInHead,
        Mood::SilentInBody,
        Mood::Resets,
        Mood::HangsUp,
        Mood::CutsBody,
        Mood::Malformed,
        Mood::Fails(500),
        Mood::Fails(502),
        Mood::Fails(503),
        Mood::Fails(504),
        Mood::RetryLater,
    ];
    prop_oneof![terms.prop_map(Mood::Well), prop::sample::select(faults)]
}

fn moments() -> impl Strategy<Value = Vec<Moment>> {
    let visitors = prop::collection::vec(0_u8..3, 1..5);
    let moment = (0_u64..12, mood(), visitors);
    let moment = moment.prop_map(|(passes_secs, mood, visitors)| Moment {
        passes_secs,
        mood,
        visitors,
    });
    prop::collection::vec(moment, 1..9)
}

/// An origin whose mood changes.
struct MoodyOrigin {
    origin: Origin,
    mood: Arc<Mutex<Mood>>,
}

impl MoodyOrigin {
    fn start() -> MoodyOrigin {
        MoodyOrigin {
            origin: Origin::start(),
            mood: Arc::new(Mutex::new(Mood::Well(Terms(None)))),
        }
    }

    /// Has it answer by its mood, and by this clock.
    fn answer_by(&self, clock: &Clock) {
        let (mood, clock, serial) = (Arc::clone(&self.mood), clock.clone(), AtomicU64::new(0));
        self.origin.otherwise(move |asked: &OriginRequest| {
            let mood = *mood.lock().expect("no other thread failed");
            mood.reply(|terms| {
                let [fresh, swr, sie] = terms.0.unwrap_or_default();
                Reply::ok(asked.path())
                    .header("Cache-Control", terms.cache_control())
                    .header("X-Born", clock.now().unix_millis().to_string())
                    .header(
                        "X-Serial",
                        serial.fetch_add(1, Ordering::Relaxed).to_string(),
                    )
                    .header("X-Terms", format!("{fresh} {swr} {sie}"))
                    .header("X-Shared", terms.0.is_some().to_string())
            })
        });
    }

    fn turn(&self, mood: Mood) {
        let before = std::mem::replace(
            &mut *self.mood.lock().expect("no other thread failed"),
            mood,
        );
        match (before == Mood::Refuses, mood == Mood::Refuses) {
            (false, true) => self.origin.stop(),
            (true, false) => self.origin.start_again(),
            _ => {}
        }
    }
}

#[allow(clippy::disallowed_methods)] // It gives the processor to other threads.
fn settle(met: impl Fn() -> bool, most: Duration) {
    let pause = Duration::from_millis(1);
    for _ in 0..most.as_millis() {
        if met() {
            return;
        }
        std::thread::sleep(pause);
    }
}

/// Has the visitors of a moment come, and turns the clock until all have been answered.
fn visit(edge: &Edge, moment: &Moment) -> Result<Vec<Visit>, TestCaseError> {
    let came = edge.clock().now();
    let visitors: Vec<_> = moment
        .visitors
        .iter()
        .map(|&page| {
            let (mut client, clock) = (edge.client(), edge.clock().clone());
            std::thread::spawn(move || {
                let answer = client.send(&get(format!("/{page}")));
                let left = clock.now();
                Visit {
                    page,
                    answer,
                    came,
                    left,
                }
            })
        })
        .collect();
    let all_left = || visitors.iter().all(std::thread::JoinHandle::is_finished);
    // On a busy machine an answer may take a while.
    let at_first = if moment.mood.responds() { 3_000 } else { 25 };
    settle(all_left, Duration::from_millis(at_first));
    let mut secs = 0;
    while !all_left() {
        // The edge's timers begin when its threads get the processor, which a busy machine gives them
        // late: after the deadline there is time for that.
        prop_assert!(secs < DEADLINE_SECS + 3, "a visitor waits for {secs} s");
        edge.advance_secs(1);
        secs += 1;
        let patience = if secs < DEADLINE_SECS { 8 } else { 3_000 };
        settle(all_left, Duration::from_millis(patience));
    }
    let visits = visitors
        .into_iter()
        .map(|visitor| visitor.join().expect("the edge answers"));
    Ok(visits.collect())
}

/// The number in a field.
fn number(answer: &Answer, name: &str) -> Option<i64> {
    answer.header(name)?.parse().ok()
}

/// What has been seen of a schedule so far.
#[derive(Default)]
struct Seen {
    moods: HashSet<Mood>,
    /// Answers that may not be stored, by their serial number.
    unshared: HashSet<i64>,
    /// When the origin was last ill; `None` if it never was.
    ill_until: Option<Timestamp>,
}

impl Seen {
    /// Whether the origin was never ill when a visitor came, or has been well for long.
    fn has_recovered(&self, visit: &Visit) -> bool {
        let recovered =
            |ill: Timestamp| visit.came.since(ill) >= Duration::from_secs(RECOVERED_SECS);
        self.ill_until.is_none_or(recovered)
    }

    fn check(&mut self, visit: &Visit, mood: Mood) -> TestCaseResult {
        match visit.answer.status {
            200 => self.check_page(visit, mood),
            _ => self.check_error(visit, mood),
        }
    }

    fn check_page(&mut self, visit: &Visit, mood: Mood) -> TestCaseResult {
        let answer = &visit.answer;
        let (content, told) = (format!("/{}", visit.page), answer.cache_status());
        if answer.whole {
            prop_assert_eq!(answer.text(), content);
        } else {
            // The client sees that it was cut. It may have joined a fetch that began while the origin
            // was ill.
            let cuts = |mood: &Mood| matches!(mood, Mood::CutsBody | Mood::SilentInBody);
            let may_be_cut = self.moods.iter().any(cuts) && !self.has_recovered(visit);
            prop_assert!(cuts(&mood) || may_be_cut, "cut");
            prop_assert!(content.starts_with(&answer.text()));
        }
        let born = number(answer, "x-born").expect("the origin stamps what it sends");
        let terms = answer
            .header("x-terms")
            .expect("the origin stamps what it sends");
        let terms: Vec<i64> = terms
            .split(' ')
            .map(|secs| secs.parse().expect("a number"))
            .collect();
        let age_secs = visit
            .came
            .unix_millis()
            .saturating_sub(born)
            .div_euclid(1_000);
        if answer.header("x-shared").as_deref() == Some("false") {
            prop_assert!(age_secs <= 0, "of another visitor");
            let serial = number(answer, "x-serial").expect("it is stamped");
            prop_assert!(self.unshared.insert(serial), "it was for another visitor");
        }
        // Age and lifetime say the same to whoever comes next.
        let is_stale = told.ttl.is_some_and(|ttl| ttl <= 0) && (told.hit || told.detail.is_some());
        let age = answer.age().unwrap_or(0);
        prop_assert!(
            !is_stale || age >= terms[0].unsigned_abs(),
            "made fresh again"
        );
        let stale_secs = age_secs - terms[0];
        let window = match &told.detail {
            Some(_) => terms[1].max(terms[2]),
            None => terms[1],
        };
        prop_assert!(
            age_secs <= 0 || stale_secs < 0 || stale_secs < window,
            "stale for {stale_secs} s of {window} s"
        );
        Ok(())
    }

    /// An error of the origin, or one of tero's own, which names a fault that there was.
    fn check_error(&self, visit: &Visit, mood: Mood) -> TestCaseResult {
        let answer = &visit.answer;
        prop_assert!(
            !(mood.is_well() && self.has_recovered(visit)),
            "an error, though the origin is well"
        );
        let mut moods = self.moods.iter();
        if answer.text() == SORRY {
            let of_origin = |mood: &Mood| match mood {
                Mood::Fails(status) => *status == answer.status,
                Mood::RetryLater => answer.status == 503,
                _ => false,
            };
            prop_assert!(moods.any(of_origin), "an error that the origin never sent");
            return Ok(());
        }
        prop_assert!(matches!(answer.status, 502..=504), "an unknown error");
        prop_assert!(answer.whole, "an error is whole");
        let detail = answer.cache_status().detail.unwrap_or_default();
        // The clock is turned while a connection is being opened, which takes real time.
        let is_late = detail.contains("did not accept a connection in time");
        prop_assert!(
            is_late || moods.any(|mood| mood.causes().iter().any(|cause| detail.contains(cause))),
            "an error that names no cause: {}",
            detail
        );
        Ok(())
    }
}

/// Whether nothing goes on between edge and origin.
fn is_idle(edge: &Edge) -> bool {
    let origins = || edge.call::<Origins>(&[], &()).origins;
    let is_idle = |origin: &OriginReport| origin.in_flight == 0;
    edge.is_quiet() && origins().iter().all(is_idle)
}

fn live(moments: &[Moment]) -> TestCaseResult {
    let moody = MoodyOrigin::start();
    let edge = Edge::before(&moody.origin)
        .server("workers = 1")
        .cache(CACHE)
        .site(SETTINGS)
        .start();
    moody.answer_by(edge.clock());
    let mut seen = Seen::default();
    for (place, moment) in moments.iter().enumerate() {
        for _ in 0..moment.passes_secs {
            // Timers of what goes on in the background begin when it gets the processor.
            settle(|| is_idle(&edge), Duration::from_millis(8));
            edge.advance_secs(1);
        }
        // What waited for a silent origin has come to its deadline.
        if moment.passes_secs >= RECOVERED_SECS {
            settle(|| is_idle(&edge), Duration::from_secs(3));
        }
        moody.turn(moment.mood);
        seen.moods.insert(moment.mood);
        for visit in visit(&edge, moment)? {
            let checked = seen.check(&visit, moment.mood);
            let waited = visit.left.since(visit.came);
            let told = |error: TestCaseError| {
                TestCaseError::fail(format!(
                    "moment {place}, after {waited:?}: {error}: {:?}",
                    visit.answer
                ))
            };
            checked.map_err(told)?;
        }
        // What goes on in the background ends as well, before the clock is turned on.
        if moment.mood.responds() {
            settle(|| is_idle(&edge), Duration::from_secs(3));
        }
        if !moment.mood.is_well() {
            seen.ill_until = Some(edge.clock().now());
        }
    }
    Ok(())
}

#[test]
fn each_visitor_gets_a_right_answer_an_allowed_stale_one_or_an_error_with_its_cause_in_time() {
    let config = Config {
        cases: SCHEDULES,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let lived = TestRunner::new(config).run(&moments(), |moments| live(&moments));
    lived.unwrap_or_else(|failure| panic!("{failure}"));
}
