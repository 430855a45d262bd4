use std::path::Path;

use super::*;
use crate::events::Finding;
use tero_config::Config;
use tero_time::clock::Clock;

const NOW: Timestamp = Timestamp::from_unix_secs(1_795_608_000);

/// A process of an edge that tells a webhook by this URL.
struct Process {
    dir: Arc<StateDir>,
    memory: EventMemory,
    runtime: tokio::runtime::Runtime,
}

impl Process {
    fn of(dir: StateDir, url: &str) -> Process {
        let text = format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\n[[site]]\nname = \"a\"\nhosts = [\"*\"]\norigins = [\"http://a\"]\n\
             [[webhook]]\nname = \"chat\"\nurl = \"{url}\"\n"
        );
        let config = Config::parse(&text, "tero.toml", Path::new("")).unwrap();
        let (dir, log) = (Arc::new(dir), Arc::new(EventLog::default()));
        let clock = Clock::by_hand(NOW);
        let webhooks = Webhooks::new("edge".to_owned(), clock, Arc::clone(&log), config.webhooks);
        Process {
            memory: EventMemory::new(Some(&dir), &log, &Arc::new(webhooks)),
            dir,
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap(),
        }
    }

    fn first(folder: &Path, url: &str) -> Process {
        let process = Process::of(StateDir::open(folder).unwrap(), url);
        process.restore();
        process
    }

    /// The next one, which is made ready and doesn't serve yet.
    fn successor(&self, folder: &Path, url: &str) -> Process {
        self.dir.hand_over(true);
        let lock = self.dir.lock_to_share().unwrap();
        Process::of(StateDir::take_over(folder, lock).unwrap(), url)
    }

    fn restore(&self) {
        self.runtime.block_on(self.memory.restore(NOW));
    }

    fn save(&self) {
        self.runtime.block_on(self.memory.save());
    }

    /// Looks, and finds that these policies are off. Returns how much changed; `None` if it is another
    /// process's turn.
    fn look(&self, policies: &[&str]) -> Option<usize> {
        let finding = |name: &&str| Finding {
            kind: IncidentKind::PolicyOff,
            subject: (*name).to_owned(),
            text: String::new(),
        };
        let findings = policies.iter().map(finding).collect();
        self.runtime.block_on(async {
            let telling = self.memory.turn().telling().await?;
            let changes = self.memory.log.look(findings, NOW);
            changes
                .iter()
                .for_each(|change| self.memory.webhooks.take(change));
            self.memory.save_told(&telling).await;
            Some(changes.len())
        })
    }
}

const URL: &str = "http://127.0.0.1:1/secret";

#[test]
fn an_event_is_told_by_one_of_two_processes() {
    let folder = tempfile::tempdir().unwrap();
    let before = Process::first(folder.path(), URL);
    assert_eq!(before.look(&["hours"]), Some(1));
    let successor = before.successor(folder.path(), URL);
    // The one before tells on, and the successor tells nothing and spoils nothing.
    assert_eq!(before.look(&["hours", "rules"]), Some(1));
    successor.save();
    assert_eq!(successor.look(&["hours", "rules"]), None);
    before.memory.leave();
    successor.restore();
    assert_eq!(before.look(&["hours", "rules", "late"]), None);
    assert_eq!(successor.look(&["hours", "rules", "late"]), Some(1));
    let numbers = successor.memory.log.events().into_iter();
    let numbers: Vec<u64> = numbers.map(|event| event.number).collect();
    assert_eq!(numbers, [3, 2, 1]);
    // It isn't the one before that saves any more.
    before.save();
    drop((before, successor));
    let next = Process::first(folder.path(), URL);
    assert_eq!(next.look(&["hours", "rules", "late"]), Some(0));
}

#[test]
fn a_process_whose_successor_fails_tells_on() {
    let folder = tempfile::tempdir().unwrap();
    let before = Process::first(folder.path(), URL);
    assert_eq!(before.look(&["hours"]), Some(1));
    // It ends before its turn.
    let successor = before.successor(folder.path(), URL);
    successor.save();
    drop(successor);
    before.memory.leave();
    assert_eq!(before.look(&["hours", "rules"]), None);
    before.memory.take_back();
    before.dir.hand_over(false);
    assert_eq!(before.look(&["hours", "rules"]), Some(1));
    drop(before);
    let next = Process::first(folder.path(), URL);
    assert_eq!(next.look(&["hours", "rules"]), Some(0));
}

#[test]
fn a_file_of_an_earlier_version_says_nothing_of_urls() {
    let saved = r#"{"events": [], "told": {"chat": [3]}}"#;
    let saved: SavedEvents = serde_json::from_str(saved).unwrap();
    let told = ToldEvents {
        numbers: vec![3],
        place: None,
    };
    assert_eq!(saved.told(), BTreeMap::from([("chat".to_owned(), told)]));
}

#[test]
fn no_url_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::first(folder.path(), URL);
    assert_eq!(process.look(&["hours"]), Some(1));
    let saved = std::fs::read_to_string(folder.path().join(FILE_NAME)).unwrap();
    assert!(saved.contains("hours") && saved.contains("chat"), "{saved}");
    assert!(
        !saved.contains("secret") && !saved.contains("127.0.0.1"),
        "{saved}"
    );
}
