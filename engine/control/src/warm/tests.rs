mod after_restart;
mod sources;
mod worth;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono_tz::Tz;

use super::path::{
    BoxFuture, FetchPurpose, Page, PageDecision, SiteFacts, TrafficCounts, WarmLookup, WarmOutcome,
};
use super::report::RunState;
use super::*;
use tero_config::{MissedRunAction, PlanVariants};
use tero_edge::server::ShutdownStage;
use tero_edge::telemetry::popularity::Hours;
use tero_edge::telemetry::warm_use::UsedResponses;
use tero_policy_host::device::Device;
use tero_policy_host::{PopularPage, WarmUrl};
use tero_time::clock::Clock;

const BUENOS_AIRES: Tz = chrono_tz::America::Argentina::Buenos_Aires;

/// Tuesday 24 November 2026, 08:00 in Buenos Aires.
const EIGHT: Timestamp = Timestamp::from_unix_secs(1_795_518_000);

const MINUTE: Duration = Duration::from_secs(60);

/// An edge that stores in a list, before a site whose phones and tablets get variants of `/v/…`.
struct FakePath {
    clock: Clock,
    hosts: Vec<String>,
    popular: Vec<PopularPage>,
    of_policies: Vec<WarmUrl>,
    texts: HashMap<&'static str, &'static str>,
    /// How each fetch of a page goes, and how long it takes; `Fetched` at once where there is none.
    fates: HashMap<&'static str, (WarmOutcome, Duration)>,
    /// What is stored already.
    found: HashMap<&'static str, WarmLookup>,
    full: AtomicBool,
    hits: AtomicU64,
    seen: Mutex<FakeRecord>,
}

#[derive(Default)]
struct FakeRecord {
    purposes: Vec<FetchPurpose>,
    released: u64,
    fetched: Vec<(String, Device)>,
    at: Vec<Timestamp>,
    under_way: usize,
    most_under_way: usize,
    asked_hours: Vec<Hours>,
}

impl FakePath {
    fn new() -> FakePath {
        FakePath {
            clock: Clock::by_hand(EIGHT),
            hosts: vec![
                "*".to_owned(),
                "www.example".to_owned(),
                "example".to_owned(),
            ],
            popular: Vec::new(),
            of_policies: Vec::new(),
            texts: HashMap::new(),
            fates: HashMap::new(),
            found: HashMap::new(),
            full: AtomicBool::new(false),
            hits: AtomicU64::new(0),
            seen: Mutex::default(),
        }
    }
}

impl RequestPath for FakePath {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn site(&self, name: &str) -> Option<SiteFacts> {
        let host = self
            .hosts
            .iter()
            .find(|host| *host != "*")
            .map(|host| host.as_str().into());
        let facts = || SiteFacts {
            index: 3,
            hosts: self.hosts.clone(),
            host,
            by_device: true,
            zone: BUENOS_AIRES,
        };
        (name == "site").then(facts)
    }

    fn decide(&self, page: &Page, device: Device) -> Option<PageDecision> {
        let variant = match device {
            Device::Mobile | Device::Tablet if page.target.starts_with("/v/") => {
                Some(Arc::from(device.as_str()))
            }
            _ => None,
        };
        let key = format!("{}{}#{variant:?}", page.host, page.target).into_bytes();
        Some(PageDecision {
            looked_up: !page.target.starts_with("/pay"),
            variant,
            key,
        })
    }

    fn fetch(
        &self,
        page: &Page,
        device: Device,
        purpose: FetchPurpose,
    ) -> BoxFuture<'_, WarmOutcome> {
        let url = format!("{}{}", page.host, page.target);
        let fate = self.fates.get(page.target.as_str()).cloned();
        Box::pin(async move {
            {
                let mut seen = lock(&self.seen);
                seen.fetched.push((url, device));
                seen.purposes.push(purpose);
                seen.at.push(self.clock.now());
                seen.under_way += 1;
                seen.most_under_way = seen.most_under_way.max(seen.under_way);
            }
            let (outcome, takes) = fate.unwrap_or((
                WarmOutcome::Fetched {
                    bytes: 100,
                    kept: true,
                },
                Duration::ZERO,
            ));
            self.clock.sleep(takes).await;
            lock(&self.seen).under_way -= 1;
            outcome
        })
    }

    fn look(&self, page: &Page, _: Device, _: FetchPurpose) -> WarmLookup {
        self.found
            .get(page.target.as_str())
            .copied()
            .unwrap_or(WarmLookup::Absent)
    }

    fn has_room(&self, site: usize) -> bool {
        assert_eq!(site, 3);
        !self.full.load(Ordering::Relaxed)
    }

    fn read(&self, page: &Page, _: u64, _: usize) -> BoxFuture<'_, Result<Vec<u8>, String>> {
        let text = self
            .texts
            .get(page.target.as_str())
            .map(|text| text.as_bytes().to_vec());
        if page.target == "/endless.xml" {
            return Box::pin(std::future::pending());
        }
        Box::pin(async move { text.ok_or_else(|| "was answered with 404 Not Found".to_owned()) })
    }

    fn popular(&self, site: usize, hours: Hours, n: usize) -> Vec<PopularPage> {
        assert_eq!(site, 3);
        lock(&self.seen).asked_hours.push(hours);
        self.popular.iter().take(n).cloned().collect()
    }

    fn plan_warm(&self, _: usize, plan: &str, _: &[PopularPage]) -> Vec<WarmUrl> {
        assert!(matches!(plan, "plan" | "long"));
        self.of_policies.clone()
    }

    fn used(&self, run: u64) -> UsedResponses {
        UsedResponses {
            responses: run * 10,
            bytes: run * 7,
            hits: run * 30,
        }
    }

    fn count(&self) {}

    fn traffic(&self, site: usize) -> TrafficCounts {
        assert_eq!(site, 3);
        TrafficCounts {
            hits: self.hits.load(Ordering::Relaxed),
        }
    }

    fn release(&self, is_over: &dyn Fn(u64) -> bool) {
        lock(&self.seen).released = (1..=9).filter(|run| is_over(*run)).count() as u64;
    }
}

fn plan() -> config::Plan {
    config::Plan {
        place: config::FilePosition { line: 1, column: 1 },
        name: "plan".into(),
        site: "site".into(),
        schedule: None,
        zone: None,
        window: 240 * MINUTE,
        missed: MissedRunAction::Run,
        urls: Vec::new(),
        url_files: Vec::new(),
        sitemaps: Vec::new(),
        max_sitemap_bytes: 1 << 20,
        max_sitemaps: 50,
        sitemap_timeout: MINUTE,
        popular: 0,
        variants: PlanVariants::Seen,
        max_urls: 1_000,
        concurrency: 4,
        rate: 1_000.0,
        retries: 0,
        deadline: 15 * MINUTE,
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A warmer that follows its plans until it is dropped.
struct RunningWarmer {
    fake: Arc<FakePath>,
    warmer: Arc<Warmer>,
    stage: watch::Sender<ShutdownStage>,
    follower: tokio::task::JoinHandle<()>,
}

impl RunningWarmer {
    fn start(fake: FakePath, plans: Vec<config::Plan>) -> RunningWarmer {
        RunningWarmer::remembering(fake, plans, PlanMemory::default())
    }

    fn remembering(fake: FakePath, plans: Vec<config::Plan>, memory: PlanMemory) -> RunningWarmer {
        let fake = Arc::new(fake);
        let warmer = Warmer::on(Arc::clone(&fake) as Arc<dyn RequestPath>, plans, memory).unwrap();
        let (stage, stages) = watch::channel(ShutdownStage::Running);
        let follower = tokio::spawn({
            let warmer = Arc::clone(&warmer);
            async move { warmer.follow(stages).await }
        });
        RunningWarmer {
            fake,
            warmer,
            stage,
            follower,
        }
    }

    /// Runs the plan and waits for its end.
    async fn run(&self) -> RunReport {
        let run = self.warmer.start("plan").unwrap();
        self.wait_for(run, |progress| progress.state.is_over())
            .await
    }

    async fn wait_for(&self, run: RunId, condition: impl FnMut(&RunProgress) -> bool) -> RunReport {
        self.warmer
            .watch(run)
            .unwrap()
            .wait_for(condition)
            .await
            .unwrap();
        self.warmer.run(run).unwrap()
    }

    fn fetched(&self) -> Vec<(String, Device)> {
        lock(&self.fake.seen).fetched.clone()
    }

    fn urls(&self) -> Vec<String> {
        self.fetched().into_iter().map(|(url, _)| url).collect()
    }

    /// Turns the clock, second by second, until the run is over: planning has threads of its own,
    /// which no clock waits for.
    async fn turn_until_over(&self, run: RunId) -> RunReport {
        while !self.warmer.run(run).unwrap().state.is_over() {
            self.advance(Duration::from_secs(1)).await;
        }
        self.warmer.run(run).unwrap()
    }

    /// Lets everything happen that needs no time.
    async fn settle(&self) {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }

    async fn advance(&self, by: Duration) {
        self.fake.clock.advance(by);
        self.settle().await;
    }
}

#[tokio::test]
async fn each_page_is_fetched_once_per_variant_that_visitors_get() {
    let running = RunningWarmer::start(
        FakePath::new(),
        vec![config::Plan {
            urls: strings(&["/", "/v/1", "/", "/pay/now"]),
            ..plan()
        }],
    );
    let report = running.run().await;
    let device = |device: Device, url: &str| (url.to_owned(), device);
    let mut fetched = running.fetched();
    fetched.sort();
    assert_eq!(
        fetched,
        [
            device(Device::Mobile, "www.example/"),
            device(Device::Desktop, "www.example/v/1"),
            device(Device::Mobile, "www.example/v/1"),
            device(Device::Tablet, "www.example/v/1")
        ]
    );
    assert_eq!(
        (report.state, report.planned, report.fetched, report.bytes),
        (RunState::Done, 4, 4, 400)
    );
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("1 pages are passed by")),
        "{:?}",
        report.notes
    );
    assert_eq!(report.used_later, 10);
    assert_eq!(report.started, "2026-11-24T08:00:00-03:00");
}

#[tokio::test]
async fn wanted_variants_are_names_or_devices_and_those_not_declared_are_skipped() {
    let variants = strings(&["desktop", "mobile", "no-such"]);
    let plan = config::Plan {
        urls: strings(&["/", "/v/1"]),
        variants: PlanVariants::These(variants),
        ..plan()
    };
    let running = RunningWarmer::start(FakePath::new(), vec![plan]);
    let report = running.run().await;
    let mut fetched = running.fetched();
    fetched.sort();
    assert_eq!(
        fetched,
        [
            ("www.example/".to_owned(), Device::Desktop),
            ("www.example/v/1".to_owned(), Device::Desktop),
            ("www.example/v/1".to_owned(), Device::Mobile)
        ]
    );
    assert_eq!((report.planned, report.failed), (3, 0));
}

#[tokio::test]
async fn the_report_says_what_was_fresh_not_stored_and_failed_and_why() {
    let not_stored = WarmOutcome::NotStored {
        reason: "no-store".to_owned(),
        bytes: 7,
    };
    let failed = WarmOutcome::Failed {
        reason: "answered with 404".to_owned(),
        overloaded: false,
        retry_after: None,
    };
    let fates = [
        ("/fresh", WarmOutcome::Fresh),
        ("/no-store", not_stored),
        ("/gone", failed),
    ];
    let fates = fates
        .into_iter()
        .map(|(target, outcome)| (target, (outcome, Duration::ZERO)))
        .collect();
    let running = RunningWarmer::start(
        FakePath {
            fates,
            ..FakePath::new()
        },
        vec![config::Plan {
            urls: strings(&["/", "/fresh", "/no-store", "/gone"]),
            ..plan()
        }],
    );
    let report = running.run().await;
    assert_eq!(
        (
            report.planned,
            report.fetched,
            report.fresh,
            report.not_stored,
            report.failed
        ),
        (4, 1, 1, 1, 1)
    );
    assert_eq!(
        (
            report.failures[0].url.as_str(),
            report.failures[0].reason.as_str()
        ),
        ("www.example/gone", "answered with 404")
    );
    assert_eq!(report.refusals[0].reason, "no-store");
    assert_eq!(report.bytes, 107);
    let totals = &running.warmer.totals()["plan"];
    assert_eq!(
        (
            totals.runs,
            totals.fetched,
            totals.fresh,
            totals.not_stored,
            totals.failed,
            totals.used
        ),
        (1, 1, 1, 1, 1, 10)
    );
}

#[tokio::test]
async fn a_plan_runs_when_its_local_time_comes_and_once_however_far_the_clock_jumps() {
    let scheduled = config::Plan {
        urls: strings(&["/"]),
        schedule: Some("30 8 * * MON-SAT".to_owned()),
        ..plan()
    };
    let running = RunningWarmer::start(FakePath::new(), vec![scheduled]);
    running.settle().await;
    assert_eq!(
        running.warmer.plans()[0].next.as_deref(),
        Some("2026-11-24T08:30:00-03:00")
    );
    running.advance(30 * MINUTE - Duration::from_secs(1)).await;
    assert_eq!(running.warmer.runs().len(), 0);
    running.advance(Duration::from_secs(1)).await;
    let report = running
        .wait_for(1, |progress| progress.state.is_over())
        .await;
    assert_eq!((report.trigger, report.fetched), (RunTrigger::Schedule, 1));
    running.advance(Duration::from_secs(1)).await;
    assert_eq!(running.warmer.runs().len(), 1);
    // Over three openings and a Sunday.
    running.advance(6 * 24 * 60 * MINUTE).await;
    running
        .wait_for(2, |progress| progress.state.is_over())
        .await;
    running.settle().await;
    assert_eq!(running.warmer.runs().len(), 2);
}

#[tokio::test]
async fn a_plan_never_runs_twice_at_once() {
    let fates = HashMap::from([(
        "/slow",
        (
            WarmOutcome::Fetched {
                bytes: 1,
                kept: true,
            },
            MINUTE,
        ),
    )]);
    let running = RunningWarmer::start(
        FakePath {
            fates,
            ..FakePath::new()
        },
        vec![config::Plan {
            urls: strings(&["/slow"]),
            ..plan()
        }],
    );
    assert_eq!(running.warmer.start("other"), Err(StartError::Unknown));
    assert_eq!(running.warmer.start("plan"), Ok(1));
    assert_eq!(running.warmer.start("plan"), Err(StartError::Running(1)));
    running
        .wait_for(1, |progress| progress.state == RunState::Fetching)
        .await;
    running.settle().await;
    assert_eq!(running.warmer.plans()[0].running, Some(1));
    running.advance(MINUTE).await;
    let report = running
        .wait_for(1, |progress| progress.state.is_over())
        .await;
    assert_eq!((report.state, report.seconds), (RunState::Done, 60));
    assert_eq!(running.warmer.start("plan"), Ok(2));
}

#[tokio::test]
async fn a_run_ends_at_its_deadline_and_drops_what_is_under_way() {
    let fates = HashMap::from([(
        "/slow",
        (
            WarmOutcome::Fetched {
                bytes: 1,
                kept: true,
            },
            60 * MINUTE,
        ),
    )]);
    let plan = config::Plan {
        urls: strings(&["/", "/slow"]),
        deadline: 5 * MINUTE,
        ..plan()
    };
    let running = RunningWarmer::start(
        FakePath {
            fates,
            ..FakePath::new()
        },
        vec![plan],
    );
    let run = running.warmer.start("plan").unwrap();
    running
        .wait_for(run, |progress| progress.finished == 1)
        .await;
    running.settle().await;
    running.advance(5 * MINUTE).await;
    let report = running
        .wait_for(run, |progress| progress.state.is_over())
        .await;
    assert_eq!(
        (report.state, report.planned, report.fetched, report.seconds),
        (RunState::DeadlinePassed, 2, 1, 300)
    );
}

#[tokio::test]
async fn a_run_can_be_cancelled() {
    let fates = HashMap::from([(
        "/slow",
        (
            WarmOutcome::Fetched {
                bytes: 1,
                kept: true,
            },
            MINUTE,
        ),
    )]);
    let running = RunningWarmer::start(
        FakePath {
            fates,
            ..FakePath::new()
        },
        vec![config::Plan {
            urls: strings(&["/slow"]),
            ..plan()
        }],
    );
    let run = running.warmer.start("plan").unwrap();
    running
        .wait_for(run, |progress| progress.state == RunState::Fetching)
        .await;
    assert!(running.warmer.cancel(run));
    let report = running
        .wait_for(run, |progress| progress.state.is_over())
        .await;
    assert_eq!(report.state, RunState::Cancelled);
    assert!(!running.warmer.cancel(run));
    assert!(!running.warmer.cancel(77));
}

#[tokio::test]
async fn a_stopping_edge_ends_its_runs_and_starts_none() {
    let fates = HashMap::from([(
        "/slow",
        (
            WarmOutcome::Fetched {
                bytes: 1,
                kept: true,
            },
            MINUTE,
        ),
    )]);
    let running = RunningWarmer::start(
        FakePath {
            fates,
            ..FakePath::new()
        },
        vec![config::Plan {
            urls: strings(&["/slow"]),
            ..plan()
        }],
    );
    let run = running.warmer.start("plan").unwrap();
    running
        .wait_for(run, |progress| progress.state == RunState::Fetching)
        .await;
    running.stage.send_replace(ShutdownStage::Draining);
    running.follower.await.unwrap();
    assert_eq!(running.warmer.run(run).unwrap().state, RunState::Cancelled);
    assert_eq!(running.warmer.start("plan"), Err(StartError::Stopping));
}

#[tokio::test]
async fn no_more_are_under_way_than_the_plan_says() {
    let fates = HashMap::from([(
        "/1",
        (
            WarmOutcome::Fetched {
                bytes: 1,
                kept: true,
            },
            MINUTE,
        ),
    )]);
    let fates = (2..9).fold(fates, |mut fates, page| {
        let target: &'static str = ["/2", "/3", "/4", "/5", "/6", "/7", "/8"][page - 2];
        fates.insert(
            target,
            (
                WarmOutcome::Fetched {
                    bytes: 1,
                    kept: true,
                },
                MINUTE,
            ),
        );
        fates
    });
    let urls = strings(&["/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8"]);
    let running = RunningWarmer::start(
        FakePath {
            fates,
            ..FakePath::new()
        },
        vec![config::Plan {
            urls,
            concurrency: 3,
            ..plan()
        }],
    );
    let run = running.warmer.start("plan").unwrap();
    running
        .wait_for(run, |progress| progress.state == RunState::Fetching)
        .await;
    for _ in 0..3 {
        running.settle().await;
        running.advance(MINUTE).await;
    }
    assert_eq!(
        running
            .wait_for(run, |progress| progress.state.is_over())
            .await
            .fetched,
        8
    );
    assert_eq!(lock(&running.fake.seen).most_under_way, 3);
}

#[tokio::test]
async fn fetches_keep_to_the_rate_and_leave_an_overloaded_origin_alone() {
    let overloaded = WarmOutcome::Failed {
        reason: "busy".to_owned(),
        overloaded: true,
        retry_after: Some(5 * MINUTE),
    };
    let fates = HashMap::from([("/3", (overloaded, Duration::ZERO))]);
    let urls = strings(&["/1", "/2", "/3", "/4", "/5"]);
    let plan = config::Plan {
        urls,
        concurrency: 1,
        rate: 0.5,
        deadline: 60 * MINUTE,
        ..plan()
    };
    let running = RunningWarmer::start(
        FakePath {
            fates,
            ..FakePath::new()
        },
        vec![plan],
    );
    let run = running.warmer.start("plan").unwrap();
    running
        .wait_for(run, |progress| progress.finished == 1)
        .await;
    for _ in 0..400 {
        running.advance(Duration::from_secs(1)).await;
    }
    let report = running
        .wait_for(run, |progress| progress.state.is_over())
        .await;
    assert_eq!((report.fetched, report.failed), (4, 1));
    let at: Vec<u64> = lock(&running.fake.seen)
        .at
        .iter()
        .map(|at| at.since(EIGHT).as_secs())
        .collect();
    // One every two seconds; five minutes' rest after the third; then half as fast, and faster
    // again.
    assert_eq!(at[..3], [0, 2, 4]);
    assert!(at[3] >= 304 && at[4] - at[3] > 2, "{at:?}");
}

#[tokio::test]
async fn other_plans_are_taken_over_and_wrong_ones_refused() {
    let running = RunningWarmer::start(
        FakePath::new(),
        vec![config::Plan {
            schedule: Some("0 9 * * *".to_owned()),
            ..plan()
        }],
    );
    running.settle().await;
    let wrong = config::Plan {
        schedule: Some("0 9 30 2 *".to_owned()),
        ..plan()
    };
    let error = running.warmer.reload(vec![wrong]).unwrap_err();
    assert!(
        error.to_string().contains("no date ever matches"),
        "{error}"
    );
    let elsewhere = config::Plan {
        site: "nowhere".into(),
        ..plan()
    };
    assert!(matches!(
        running.warmer.reload(vec![elsewhere]),
        Err(PlanError::NoSite { .. })
    ));
    assert_eq!(
        running.warmer.plans()[0].schedule.as_deref(),
        Some("0 9 * * *")
    );
    let earlier = config::Plan {
        schedule: Some("10 8 * * *".to_owned()),
        urls: strings(&["/"]),
        ..plan()
    };
    running.warmer.reload(vec![earlier]).unwrap();
    running.settle().await;
    running.advance(10 * MINUTE).await;
    assert_eq!(
        running
            .wait_for(1, |progress| progress.state.is_over())
            .await
            .fetched,
        1
    );
}

#[tokio::test]
async fn only_so_many_runs_are_remembered() {
    let running = RunningWarmer::start(FakePath::new(), vec![plan()]);
    for _ in 0..MAX_REMEMBERED_RUNS + 5 {
        running.run().await;
    }
    let runs = running.warmer.runs();
    assert_eq!(runs.len(), MAX_REMEMBERED_RUNS);
    assert_eq!(runs[0].id as usize, MAX_REMEMBERED_RUNS + 5);
    assert!(running.warmer.run(1).is_none());
}

#[tokio::test]
async fn a_plan_is_cancelled_by_its_name() {
    let fates = HashMap::from([(
        "/slow",
        (
            WarmOutcome::Fetched {
                bytes: 1,
                kept: true,
            },
            MINUTE,
        ),
    )]);
    let running = RunningWarmer::start(
        FakePath {
            fates,
            ..FakePath::new()
        },
        vec![config::Plan {
            urls: strings(&["/slow"]),
            ..plan()
        }],
    );
    assert_eq!(running.warmer.cancel_plan("plan"), Err(CancelError::Idle));
    assert_eq!(
        running.warmer.cancel_plan("other"),
        Err(CancelError::Unknown)
    );
    let run = running.warmer.start("plan").unwrap();
    running
        .wait_for(run, |progress| progress.state == RunState::Fetching)
        .await;
    assert_eq!(running.warmer.cancel_plan("plan"), Ok(run));
    running
        .wait_for(run, |progress| progress.state == RunState::Cancelled)
        .await;
    assert_eq!(running.warmer.cancel_plan("plan"), Err(CancelError::Idle));
    running.settle().await;
    assert_eq!(
        running.warmer.totals()["plan"].ended,
        BTreeMap::from([("cancelled", 1)])
    );
}

#[tokio::test]
async fn what_an_overloaded_origin_did_not_give_is_tried_again_and_its_wish_is_kept_to_the_deadline()
 {
    let overloaded = WarmOutcome::Failed {
        reason: "busy".to_owned(),
        overloaded: true,
        retry_after: Some(MINUTE),
    };
    let fates = HashMap::from([("/1", (overloaded, Duration::ZERO))]);
    let plan = config::Plan {
        urls: strings(&["/1", "/2"]),
        concurrency: 1,
        retries: 2,
        deadline: 100 * Duration::from_secs(1),
        ..plan()
    };
    let running = RunningWarmer::start(
        FakePath {
            fates,
            ..FakePath::new()
        },
        vec![plan],
    );
    let run = running.warmer.start("plan").unwrap();
    running
        .wait_for(run, |progress| progress.state == RunState::Fetching)
        .await;
    let report = running.turn_until_over(run).await;
    // A minute's rest after each of two tries; the third would have come too late.
    assert_eq!(
        (report.state, report.fetched, report.failed, report.retried),
        (RunState::DeadlinePassed, 1, 0, 2)
    );
    let at: Vec<u64> = lock(&running.fake.seen)
        .at
        .iter()
        .map(|at| at.since(EIGHT).as_secs())
        .collect();
    assert_eq!(at.len(), 3);
    assert!(
        at[0] == 0 && (60..63).contains(&at[1]) && (60..65).contains(&at[2]),
        "{at:?}"
    );
}

#[tokio::test]
async fn a_page_that_fails_again_and_again_has_failed() {
    let down = WarmOutcome::Failed {
        reason: "down".to_owned(),
        overloaded: true,
        retry_after: None,
    };
    let fates = HashMap::from([("/1", (down, Duration::ZERO))]);
    let running = RunningWarmer::start(
        FakePath {
            fates,
            ..FakePath::new()
        },
        vec![config::Plan {
            urls: strings(&["/1"]),
            retries: 2,
            ..plan()
        }],
    );
    let run = running.warmer.start("plan").unwrap();
    let report = running.turn_until_over(run).await;
    assert_eq!(
        (report.state, report.failed, report.retried),
        (RunState::Done, 1, 2)
    );
    assert_eq!(running.urls().len(), 3);
}

#[tokio::test]
async fn visitors_go_first() {
    let fake = FakePath::new();
    fake.full.store(true, Ordering::Relaxed);
    let running = RunningWarmer::start(
        fake,
        vec![config::Plan {
            urls: strings(&["/1"]),
            ..plan()
        }],
    );
    let run = running.warmer.start("plan").unwrap();
    running
        .wait_for(run, |progress| progress.state == RunState::Fetching)
        .await;
    for _ in 0..50 {
        running.advance(Duration::from_secs(1)).await;
    }
    assert_eq!(running.urls().len(), 0);
    running.fake.full.store(false, Ordering::Relaxed);
    assert_eq!(running.turn_until_over(run).await.fetched, 1);
}

#[tokio::test]
async fn a_dry_run_tells_what_would_be_fetched_and_stands_in_nobodys_way() {
    let found = HashMap::from([
        ("/1", WarmLookup::GoesStale),
        ("/2", WarmLookup::Fresh),
        ("/3", WarmLookup::Changed),
    ]);
    let running = RunningWarmer::start(
        FakePath {
            found,
            ..FakePath::new()
        },
        vec![config::Plan {
            urls: strings(&["/1", "/2", "/3", "/4"]),
            ..plan()
        }],
    );
    let run = running.warmer.start_dry("plan").unwrap();
    assert_eq!(
        running.warmer.start_dry("plan"),
        Err(StartError::Running(run))
    );
    let real = running.warmer.start("plan").unwrap();
    let report = running
        .wait_for(run, |progress| progress.state.is_over())
        .await;
    assert!(report.dry_run);
    assert_eq!(
        (report.state, report.planned, report.fetched, report.fresh),
        (RunState::Done, 4, 0, 1)
    );
    let listed: Vec<_> = report
        .would_fetch
        .iter()
        .map(|page| (page.url.as_str(), page.because))
        .collect();
    assert_eq!(
        listed,
        [
            ("www.example/1", "goes-stale"),
            ("www.example/3", "changed"),
            ("www.example/4", "absent")
        ]
    );
    running
        .wait_for(real, |progress| progress.state.is_over())
        .await;
    assert_eq!(running.urls().len(), 4, "by the run that was none of paper");
    running.settle().await;
    assert_eq!(running.warmer.totals()["plan"].runs, 1);
}

#[tokio::test]
async fn a_plan_has_run_once_a_run_is_over() {
    let fates = HashMap::from([(
        "/slow",
        (
            WarmOutcome::Fetched {
                bytes: 1,
                kept: true,
            },
            MINUTE,
        ),
    )]);
    let running = RunningWarmer::start(
        FakePath {
            fates,
            ..FakePath::new()
        },
        vec![config::Plan {
            urls: strings(&["/slow"]),
            ..plan()
        }],
    );
    assert_eq!(running.warmer.has_run("other"), None);
    let run = running.warmer.start_first("plan").unwrap();
    running
        .wait_for(run, |progress| progress.state == RunState::Fetching)
        .await;
    running.settle().await;
    assert_eq!(running.warmer.has_run("plan"), Some(false));
    running.advance(MINUTE).await;
    assert_eq!(
        running
            .wait_for(run, |progress| progress.state.is_over())
            .await
            .trigger,
        RunTrigger::Start
    );
    running.settle().await;
    assert_eq!(running.warmer.has_run("plan"), Some(true));
}
