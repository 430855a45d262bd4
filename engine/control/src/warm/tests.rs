//! Warming over a request path without a network, with a hand-turned clock.

mod after_restart;
mod fetches;
mod runs;
mod shared;
mod sources;
mod turns;
mod worth;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono_tz::Tz;

use super::path::{
    BoxFuture, FetchPurpose, Page, PageDecision, PageReadError, SiteFacts, TrafficCounts,
    WarmLookup, WarmOutcome,
};
use super::report::RunState;
use super::*;
use tero_config::{MissedRunAction, PlanVariants};
use tero_edge::server::ShutdownStage;
use tero_edge::telemetry::popularity::Hours;
use tero_edge::telemetry::warm_use::UsedResponses;
use tero_policy_host::device::Device;
use tero_policy_host::{PopularPage, WarmUrl};
use tero_semantics::authority::Scheme;
use tero_time::clock::Clock;

const BUENOS_AIRES: Tz = chrono_tz::America::Argentina::Buenos_Aires;

/// Tuesday 24 November 2026, 08:00 in Buenos Aires.
const EIGHT: Timestamp = Timestamp::from_unix_secs(1_795_518_000);

const MINUTE: Duration = Duration::from_secs(60);

/// A request path that only notes its fetches. Its site has variants of `/v/…` for phones and
/// tablets.
struct FakePath {
    clock: Clock,
    hosts: Vec<String>,
    popular: Vec<PopularPage>,
    of_policies: Vec<WarmUrl>,
    texts: HashMap<&'static str, &'static str>,
    /// How often reading a text fails before it is read.
    unreadable: Mutex<HashMap<&'static str, u32>>,
    /// The outcome of fetching a page, and how long that takes; otherwise `Fetched` at once.
    fates: HashMap<&'static str, (WarmOutcome, Duration)>,
    /// What is stored of a page; otherwise nothing.
    found: HashMap<&'static str, WarmLookup>,
    full: AtomicBool,
    is_shielded: bool,
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
            unreadable: Mutex::default(),
            fates: HashMap::new(),
            found: HashMap::new(),
            full: AtomicBool::new(false),
            is_shielded: false,
            hits: AtomicU64::new(0),
            seen: Mutex::default(),
        }
    }
}

/// A request path on which `/slow` takes a minute and has one byte.
fn slow() -> FakePath {
    let stored = WarmOutcome::Fetched {
        bytes: 1,
        kept: true,
    };
    FakePath {
        fates: HashMap::from([("/slow", (stored, MINUTE))]),
        ..FakePath::new()
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
            .find(|host| !host.starts_with('*'))
            .map(|host| host.as_str().into());
        let facts = || SiteFacts {
            index: 3,
            hosts: self.hosts.clone(),
            hosts_of_others: vec!["blog.names.example".to_owned()],
            scheme: Scheme::Http,
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

    fn has_room(&self, site: usize, _: &Page) -> bool {
        assert_eq!(site, 3);
        !self.full.load(Ordering::Relaxed)
    }

    fn read(
        &self,
        page: &Page,
        _: RunId,
        _: usize,
    ) -> BoxFuture<'_, Result<Vec<u8>, PageReadError>> {
        let text = self
            .texts
            .get(page.target.as_str())
            .map(|text| text.as_bytes().to_vec());
        if let Some(left) = lock(&self.unreadable).get_mut(page.target.as_str())
            && *left > 0
        {
            *left -= 1;
            let error = PageReadError {
                reason: "was answered with 503 Service Unavailable".to_owned(),
                may_pass: true,
            };
            return Box::pin(async { Err(error) });
        }
        if page.target == "/endless.xml" {
            return Box::pin(std::future::pending());
        }
        Box::pin(async move {
            text.ok_or_else(|| PageReadError::lasting("was answered with 404 Not Found"))
        })
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

    fn used(&self, run: RunId) -> UsedResponses {
        UsedResponses {
            responses: run.number() * 10,
            bytes: run.number() * 7,
            hits: run.number() * 30,
        }
    }

    fn count(&self) {}

    fn is_shielded(&self, site: &str) -> bool {
        assert_eq!(site, "site");
        self.is_shielded
    }

    fn traffic(&self, site: usize) -> TrafficCounts {
        assert_eq!(site, 3);
        TrafficCounts {
            hits: self.hits.load(Ordering::Relaxed),
        }
    }

    fn release(&self, is_over: &dyn Fn(RunId) -> bool) {
        lock(&self.seen).released = (1..=9)
            .filter_map(RunId::new)
            .filter(|run| is_over(*run))
            .count() as u64;
    }
}

fn plan() -> config::Plan {
    config::Plan {
        scheme: None,
        place: config::FilePosition { line: 1, column: 1 },
        name: "plan".into(),
        site: "site".into(),
        host: None,
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

/// The run of this number.
fn id(number: u64) -> RunId {
    RunId::new(number).unwrap()
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A warmer whose task runs.
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

    /// Runs the plan and waits until the run ends.
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

    /// Turns the clock second by second until the run ends. Planning uses threads, for which the
    /// clock does not wait.
    async fn turn_until_over(&self, run: RunId) -> RunReport {
        while !self.warmer.run(run).unwrap().state.is_over() {
            self.advance(Duration::from_secs(1)).await;
        }
        self.warmer.run(run).unwrap()
    }

    /// Lets all tasks run until they wait for the clock.
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
