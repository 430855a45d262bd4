//! What a fleet has served, and what was purged.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::fleet::NODES;
use super::{is_set, path};

/// The pages.
pub(super) const PAGES: usize = 12;
/// Those that visitors ask for all the time. The others are asked for after each fault.
pub(super) const WATCHED: usize = 6;
/// The time of one answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Purges that are older are not compared with answers any more.
const COMPARED_FOR: Duration = Duration::from_secs(180);

/// An answer: where and when it was asked for, and the version that it had.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenVersion {
    pub(super) node: usize,
    pub(super) page: usize,
    pub(super) begun: Instant,
    pub(super) version: u64,
}

/// A purge that was answered: no version before this one is valid.
#[derive(Clone, Copy, Debug)]
pub(super) struct DonePurge {
    pub(super) node: usize,
    pub(super) page: usize,
    pub(super) at: Instant,
    pub(super) version: u64,
    /// Whether the answer said that the log has it.
    pub(super) is_logged: bool,
}

/// What the threads of the test share.
#[derive(Debug, Default)]
pub(super) struct SharedRecord {
    versions: [AtomicU64; PAGES],
    addresses: [Mutex<Option<SocketAddr>>; NODES],
    kills: [AtomicU64; NODES],
    is_over: AtomicBool,
    seen: Mutex<Vec<SeenVersion>>,
    purges: Mutex<Vec<DonePurge>>,
    sums: Mutex<Sums>,
}

#[derive(Debug, Default)]
struct Sums {
    answers: u64,
    purges: u64,
    unlogged: u64,
    /// Purges that were not logged as their node was ended.
    ended: u64,
    lost: u64,
    late: u64,
    latest: Duration,
}

/// Ends the threads, also if the test fails.
pub(super) struct StopWhenDropped<'a>(&'a AtomicBool);

impl Drop for StopWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

impl SharedRecord {
    /// An empty one, for the rest of the process: the origin reads the versions.
    pub(super) fn new() -> &'static SharedRecord {
        Box::leak(Box::default())
    }

    pub(super) fn stop_when_dropped(&self) -> StopWhenDropped<'_> {
        StopWhenDropped(&self.is_over)
    }

    pub(super) fn is_over(&self) -> bool {
        is_set(&self.is_over)
    }

    /// The version of a page at the origin.
    pub(super) fn version(&self, page: usize) -> u64 {
        self.versions[page].load(SeqCst)
    }

    /// Changes a page at the origin, and returns the new version.
    pub(super) fn bump(&self, page: usize) -> u64 {
        self.versions[page].fetch_add(1, SeqCst) + 1
    }

    /// Says where a node serves; `None` if it does not.
    pub(super) fn serves(&self, node: usize, address: Option<SocketAddr>) {
        *lock(&self.addresses[node]) = address;
    }

    /// How often a node was ended.
    pub(super) fn kills(&self, node: usize) -> u64 {
        self.kills[node].load(SeqCst)
    }

    /// A node is ended. What it has taken and could not log is not claimed: its answers said so.
    pub(super) fn ends(&self, node: usize) {
        self.kills[node].fetch_add(1, SeqCst);
        self.serves(node, None);
        let mut purges = lock(&self.purges);
        let before = purges.len();
        purges.retain(|purge| purge.node != node || purge.is_logged);
        lock(&self.sums).ended += (before - purges.len()) as u64;
    }

    /// All that the nodes have taken is logged.
    pub(super) fn all_logged(&self, since: Instant) {
        let mut purges = lock(&self.purges);
        let waiting = purges.iter_mut().filter(|purge| purge.at < since);
        waiting.for_each(|purge| purge.is_logged = true);
    }

    /// Notes a purge that was answered by a node that had been ended so often when it was asked.
    pub(super) fn purged(&self, purge: DonePurge, kills: u64) {
        let mut purges = lock(&self.purges);
        let mut sums = lock(&self.sums);
        sums.purges += 1;
        sums.unlogged += u64::from(!purge.is_logged);
        if purge.is_logged || self.kills(purge.node) == kills {
            purges.push(purge);
        } else {
            sums.ended += 1;
        }
    }

    /// Notes an answer.
    pub(super) fn seen(&self, seen: SeenVersion) {
        lock(&self.seen).push(seen);
    }

    /// The version from which on a page is valid.
    pub(super) fn valid(&self, page: usize) -> u64 {
        let purges = lock(&self.purges);
        let of_page = purges.iter().filter(|purge| purge.page == page);
        of_page.map(|purge| purge.version).max().unwrap_or(0)
    }

    /// Asks a node for a page; `None` if it does not answer.
    pub(super) fn ask(&self, node: usize, page: usize) -> Option<u64> {
        let address = (*lock(&self.addresses[node]))?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let path = path(page);
        let asked =
            format!("GET {path} HTTP/1.1\r\nHost: www.example\r\nConnection: close\r\n\r\n");
        stream.write_all(asked.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        if !head.starts_with("HTTP/1.1 200") {
            return None;
        }
        body.parse().ok()
    }

    /// Compares answers with purges.
    pub(super) fn check(&self, lost: u64, bound: Duration, what: &str) {
        let seen = std::mem::take(&mut *lock(&self.seen));
        let mut purges = lock(&self.purges);
        let mut sums = lock(&self.sums);
        sums.answers += seen.len() as u64;
        sums.lost += lost;
        for answer in seen {
            let before = purges
                .iter()
                .filter(|purge| purge.page == answer.page && answer.version < purge.version);
            let late = before
                .map(|purge| answer.begun.saturating_duration_since(purge.at))
                .max();
            let Some(late) = late else { continue };
            sums.latest = sums.latest.max(late);
            if late > bound {
                sums.late += 1;
                let SeenVersion {
                    node,
                    page,
                    version,
                    ..
                } = answer;
                eprintln!(
                    "{what}: {late:.1?} after its purge, n{node} served version {version} of page {page}"
                );
            }
        }
        purges.retain(|purge| purge.at.elapsed() < COMPARED_FOR);
    }

    /// Fails if a purge was lost, or a page was served for too long after its purge.
    pub(super) fn assert_nothing_lost(&self) {
        let sums = lock(&self.sums);
        assert!(sums.answers > 0 && sums.purges > 0, "{sums:?}");
        assert_eq!((sums.lost, sums.late), (0, 0), "{sums:?}");
    }
}

impl fmt::Display for SharedRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sums = lock(&self.sums);
        write!(
            formatter,
            "purges lost {}, answers later than the bound {}, the latest {:.1?} after its purge; \
             {} purges ({} not logged at once, {} of them with nodes that were ended), {} answers",
            sums.lost, sums.late, sums.latest, sums.purges, sums.unlogged, sums.ended, sums.answers
        )
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn the_record_notices_answers_that_are_late_and_claims_nothing_of_nodes_that_ended() {
    let record = SharedRecord::default();
    let at = Instant::now();
    let bound = Duration::from_secs(10);
    let purge = |page: usize, version: u64, is_logged: bool| {
        let node = 0;
        let purge = DonePurge {
            node,
            page,
            at,
            version,
            is_logged,
        };
        record.purged(purge, 0);
    };
    let seen = |page: usize, version: u64, after: Duration| {
        let begun = at + after;
        record.seen(SeenVersion {
            node: 1,
            page,
            begun,
            version,
        });
    };
    purge(0, 2, true);
    purge(1, 2, false);
    assert_eq!([record.valid(0), record.valid(1)], [2, 2]);
    seen(0, 1, bound);
    seen(0, 2, 2 * bound);
    seen(1, 2, 2 * bound);
    record.check(0, bound, "in time");
    record.assert_nothing_lost();
    // Its answer said that it was not logged, and its node ended.
    record.ends(0);
    purge(2, 2, false);
    assert_eq!(
        [record.valid(0), record.valid(1), record.valid(2)],
        [2, 0, 0]
    );
    seen(1, 1, 2 * bound);
    record.check(0, bound, "not claimed");
    record.assert_nothing_lost();
    seen(0, 1, 2 * bound);
    record.check(0, bound, "late");
    let late = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        record.assert_nothing_lost();
    }));
    assert!(late.is_err());
}
