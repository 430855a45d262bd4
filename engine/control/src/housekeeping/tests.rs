use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::build_info::BuildInfo;
use crate::serve::{Server, serve};
use crate::warm::plan_memory::PlanMemory;
use tero_config::Config;
use tero_edge::telemetry::Outcome;
use tero_edge::telemetry::counters::AnsweredRequest;
use tero_edge::telemetry::popularity::Hours;
use tero_edge::telemetry::popularity::PageRequests;
use tero_edge::telemetry::popularity::saved::SavedSite;
use tero_semantics::timestamp::Timestamp;
use tero_state::dir::StateDir;
use tero_state::file;
use tero_time::clock::Clock;

const NOON: Timestamp = Timestamp::from_unix_secs(1_795_608_000);

const MINUTE: Duration = Duration::from_secs(60);

const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]
workers = 1
[admin]
listen = "127.0.0.1:0"
[policies]
compiled_cache = ""
[[site]]
name = "shop"
hosts = ["shop.example"]
origins = ["http://127.0.0.1:9"]
"#;

fn server(now: Timestamp) -> Server {
    let config = Config::parse(CONFIG, "tero.toml", Path::new("")).unwrap();
    serve(
        config,
        Clock::by_hand(now),
        &tero_policy_host::Compiler::InProcess,
        BuildInfo::default(),
    )
    .unwrap()
}

/// Housekeeping with a state directory. The edge has its own, too, without one.
struct RunningHousekeeping {
    server: Server,
    folder: tempfile::TempDir,
    stage: watch::Sender<ShutdownStage>,
    task: tokio::task::JoinHandle<()>,
}

impl RunningHousekeeping {
    fn start(server: Server, folder: tempfile::TempDir) -> RunningHousekeeping {
        let dir = Arc::new(StateDir::open(folder.path()).unwrap());
        let edge = Arc::clone(server.edge());
        let housekeeping = Housekeeping {
            warmer: Warmer::new(&edge, Vec::new(), PlanMemory::default()).unwrap(),
            counts: SavedCounts::new(Some(&dir)),
            certificates: CertificateUpkeep::new(&[], None, &edge.clock),
            events: None,
            edge,
        };
        housekeeping.counts.restore(&housekeeping.edge);
        let (stage, stages) = watch::channel(ShutdownStage::Running);
        RunningHousekeeping {
            server,
            folder,
            stage,
            task: tokio::spawn(housekeeping.run(stages)),
        }
    }

    /// Lets all tasks run until they wait for the clock.
    async fn settle(&self) {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }

    fn saved_at(&self) -> Option<Timestamp> {
        let bytes = std::fs::read(self.folder.path().join("popularity.json")).ok()?;
        let saved: BTreeMap<String, SavedSite> = file::parse(&bytes).unwrap();
        Some(Timestamp::from_unix_millis(saved["shop"].unix_millis))
    }

    async fn stop(self) -> tempfile::TempDir {
        self.stage.send_replace(ShutdownStage::Draining);
        self.task.await.unwrap();
        self.folder
    }
}

fn wanted(edge: &Edge) -> Vec<String> {
    let top = edge.popularity.top(0, Hours::ALL, 10, edge.clock.now());
    top.into_iter().map(|page| page.url).collect()
}

#[tokio::test]
async fn popularity_is_saved_every_five_minutes_and_at_the_end() {
    let running = RunningHousekeeping::start(server(NOON), tempfile::tempdir().unwrap());
    let clock = running.server.edge().clock.clone();
    running.settle().await;
    clock.advance(5 * MINUTE - Duration::from_millis(1));
    running.settle().await;
    assert_eq!(running.saved_at(), None);
    clock.advance(Duration::from_millis(1));
    while running.saved_at().is_none() {
        tokio::task::yield_now().await;
    }
    let saved_at = NOON.saturating_add(5 * MINUTE);
    assert_eq!(running.saved_at(), Some(saved_at));
    let wanted_page = PageRequests {
        url: "/wanted",
        variant: None,
        requests: 3,
    };
    let edge = running.server.edge();
    edge.popularity.record(0, wanted_page, clock.now());
    clock.advance(MINUTE);
    running.settle().await;
    assert_eq!(running.saved_at(), Some(saved_at));

    let folder = running.stop().await;
    let again = RunningHousekeeping::start(server(NOON), folder);
    assert_eq!(again.saved_at(), Some(saved_at.saturating_add(MINUTE)));
    assert_eq!(wanted(again.server.edge()), ["/wanted"]);
}

#[tokio::test]
async fn a_week_outlives_a_restart() {
    let running = RunningHousekeeping::start(server(NOON), tempfile::tempdir().unwrap());
    let request = AnsweredRequest {
        outcome: Outcome::Hit,
        variant: None,
        status: http::StatusCode::OK,
        bytes: Some(100),
        took: Duration::from_millis(1),
        at: NOON,
    };
    let week = |running: &RunningHousekeeping| {
        let sites = running.server.edge().sites.load();
        sites.ever()[0].counters.week(NOON)
    };
    let sites = running.server.edge().sites.load_full();
    sites.ever()[0].counters.record(&request);
    let before = week(&running);
    assert_eq!(before[0].traffic().requests.total(), 1);

    let folder = running.stop().await;
    let again = RunningHousekeeping::start(server(NOON), folder);
    assert_eq!(week(&again), before);
}

#[tokio::test]
async fn an_unreadable_file_is_ignored_and_replaced() {
    for nonsense in [
        "{",
        r#"{"version": 2, "content": {}}"#,
        r#"{"version": 1, "content": {"shop": 1}}"#,
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("popularity.json"), nonsense).unwrap();
        let running = RunningHousekeeping::start(server(NOON), folder);
        assert_eq!(wanted(running.server.edge()), [""; 0], "{nonsense}");
        let folder = running.stop().await;
        let again = RunningHousekeeping::start(server(NOON), folder);
        assert_eq!(again.saved_at(), Some(NOON), "{nonsense}");
    }
}

#[tokio::test]
async fn without_a_state_directory_nothing_is_saved() {
    let server = server(NOON);
    let saved = SavedCounts::default();
    saved.restore(server.edge());
    saved.save(server.edge()).await;
    assert_eq!(wanted(server.edge()), [""; 0]);
}
