//! Stores over disks in memory that fail, hang, fill up, and lose what was not synced.

mod copies;
mod faults;
mod handover;
mod large;
mod races;
mod variants;

/// The shim's view of where it is.
mod files {
    pub(super) use tero_state::segments::files::{FileSystem, OpenFile};
}
#[path = "../../../../state/src/segments/shim.rs"]
pub(super) mod shim;

use bytes::Bytes;
use http::HeaderMap;

use super::*;
use crate::store::stored::{StoredBody, StoredHead};
use crate::store::tests::{head_with, key};
use crate::store::{PurgeWatch, Store};
use shim::ShimDisk;
use tero_semantics::timestamp::Timestamp;
use tero_semantics::validation::HeadLimits;
use tero_semantics::vary::SecondaryKey;

const NOW: Timestamp = Timestamp::from_unix_secs(1_795_608_000);
const MAX_OBJECT: u64 = 128 << 10;

/// A store over a disk in memory. The lock and the secret of the disk lie in a folder.
struct World {
    folder: Arc<tempfile::TempDir>,
    disk: ShimDisk,
    clock: Clock,
    tier: Arc<DiskTier>,
    store: Store,
}

fn settings(folder: &tempfile::TempDir, disks: usize) -> config::Cache {
    let disk = |number: usize| config::CacheDisk {
        path: folder.path().join(number.to_string()),
        size: 64 << 20,
        write_queue: 8 << 20,
        max_object: 8 << 20,
        read_timeout: Duration::from_millis(500),
        erase_within: Duration::from_secs(7 * 86_400),
    };
    config::Cache {
        memory: 64 << 20,
        fill_memory: 0,
        warm_memory: 8 << 20,
        max_object: MAX_OBJECT,
        max_variants: 3,
        compress_threads: 1,
        compress_share: config::units::Share::parse("100%").unwrap(),
        compress_queue: 16,
        max_policy_variants: 64,
        collapse_timeout: Duration::from_secs(10),
        hit_for_miss: Duration::from_secs(120),
        disks: (0..disks).map(disk).collect(),
    }
}

fn not_open(folder: &tempfile::TempDir, disk: &ShimDisk, clock: &Clock) -> Arc<DiskTier> {
    let files = Arc::new(disk.clone());
    let tier = DiskTier::to_be_opened(&settings(folder, 1), clock, files);
    let tier = tier.expect("it has a disk");
    tier.name_sites(vec!["site".into()]);
    Arc::new(tier)
}

fn store_over(folder: &tempfile::TempDir, tier: &Arc<DiskTier>) -> Store {
    let max_head = HeadLimits {
        max_bytes: 8 << 10,
        max_fields: 100,
    };
    Store::new(&settings(folder, 1), max_head, Some(Arc::clone(tier)))
}

impl World {
    fn new() -> World {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        World::on(&folder, &ShimDisk::default(), Clock::by_hand(NOW))
    }

    fn on(folder: &Arc<tempfile::TempDir>, disk: &ShimDisk, clock: Clock) -> World {
        let tier = not_open(folder, disk, &clock);
        tier.open_now().unwrap();
        World {
            folder: Arc::clone(folder),
            disk: disk.clone(),
            store: store_over(folder, &tier),
            clock,
            tier,
        }
    }

    /// The next process, on what the disk has by `then`.
    fn restarted(self, then: impl FnOnce(&ShimDisk) -> ShimDisk) -> World {
        let (folder, clock) = (Arc::clone(&self.folder), self.clock.clone());
        let disk = then(&self.disk);
        drop(self);
        World::on(&folder, &disk, clock)
    }

    /// The same after an orderly end.
    fn closed(self) -> World {
        self.tier.close();
        self.restarted(ShimDisk::clone)
    }

    /// The same after SIGKILL: what was written stays.
    fn killed(self) -> World {
        self.restarted(ShimDisk::copy)
    }

    /// The same after the power failed: what was not synced is lost.
    fn without_power(self) -> World {
        self.restarted(|disk| disk.after_power_failure(&mut |_| 0))
    }

    fn watch(&self, key: &Key) -> PurgeWatch {
        self.store.watch_purges(key.as_bytes(), 0)
    }

    fn put(&self, path: &str, response: StoredResponse) -> Arc<StoredResponse> {
        let key = key(path, None);
        let (watch, stored) = (self.watch(&key), Arc::new(response));
        assert!(self.store.insert(&key, Arc::clone(&stored), &watch));
        stored
    }

    /// Writes a response that is in memory.
    fn write(&self, path: &str, stored: &Arc<StoredResponse>) {
        self.tier.offer(&key(path, None), stored);
        self.tier.settle();
    }

    fn put_and_write(&self, path: &str, response: StoredResponse) -> Arc<StoredResponse> {
        let stored = self.put(path, response);
        self.write(path, &stored);
        stored
    }

    /// Has memory make room for others.
    fn evict(&self, path: &str) {
        let key = key(path, None);
        if let Some(variants) = self.store.peek(key.as_bytes()) {
            let all = variants.all().iter();
            all.for_each(|stored| self.tier.leaves(&key, stored));
            self.store.main.invalidate(&key);
            self.store.warmed.invalidate(&key);
        }
    }

    /// A stored response that is in memory alone gets the head of a 304.
    fn freshen(&self, path: &str, stored: &StoredResponse) -> Arc<StoredResponse> {
        let (key, head) = (key(path, None), stored.head.clone());
        let (new, watch) = (Arc::new(stored.with_head(head)), self.watch(&key));
        self.store
            .replace(&key, stored.id, Arc::clone(&new), &watch);
        new
    }

    /// The writer takes a job that it can't end until the disk hangs no more.
    fn hold_writer(&self) {
        let held = self.put_and_write("/held", response(b"held"));
        self.disk.set(|faults| faults.hangs = true);
        // It reads the content that is there.
        self.freshen("/held", &held);
    }

    /// What a request without selecting fields gets: from memory, else from the disk.
    fn look_up(&self, path: &str) -> Option<Arc<StoredResponse>> {
        let key = key(path, None);
        let select = |variants: crate::store::Variants| variants.select(&HeaderMap::new()).cloned();
        if let Some(found) = self.store.lookup(key.as_bytes()) {
            return select(found);
        }
        if !self.tier.may_have(key.as_bytes()) {
            return None;
        }
        let watch = self.watch(&key);
        let loaded = self.load(&key);
        let restored: Vec<_> = loaded
            .into_iter()
            .filter_map(|loaded| self.store.restore(&key, loaded.response, &watch))
            .collect();
        match self.store.lookup(key.as_bytes()) {
            Some(found) => select(found),
            None => restored.first().cloned(),
        }
    }

    fn load(&self, key: &Key) -> Vec<LoadedResponse> {
        match self.tier.load_at_once(key.as_bytes()) {
            Some(loaded) => loaded,
            None => {
                let (reply, answer) = oneshot::channel();
                self.tier.load(key.as_bytes(), reply);
                answer.blocking_recv().unwrap_or_default()
            }
        }
    }

    fn body(&self, path: &str) -> Option<Vec<u8>> {
        let found = self.look_up(path)?;
        Some(found.body.pieces().concat())
    }

    fn purge(&self, path: &str, mode: PurgeMode) {
        let scope = PurgeScope::Keys(vec![key(path, None).as_bytes().to_vec()]);
        self.store.purge(&scope, mode, self.clock.now());
        self.tier.sync_purges();
    }

    fn figures(&self) -> DiskFigures {
        self.tier.figures().remove(0)
    }
}

/// Waits for other threads, a minute at most.
#[allow(clippy::disallowed_methods)] // They work in real time.
fn wait_until(holds: impl Fn() -> bool) {
    let begin = std::time::Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it doesn't come");
        std::thread::yield_now();
    }
}

fn response(body: &[u8]) -> StoredResponse {
    of_head(head_with(&["tag"]), body)
}

/// A variant whose content is the name of its language. It may be coded.
fn in_language(language: &'static str) -> StoredResponse {
    let fields = |name: &'static str, value| {
        let value = http::HeaderValue::from_static(value);
        HeaderMap::from_iter([(http::HeaderName::from_static(name), value)])
    };
    let (vary, request) = (
        fields("vary", "accept-language"),
        fields("accept-language", language),
    );
    let head = StoredHead {
        secondary_key: SecondaryKey::of(&vary, &request),
        may_be_coded: true,
        ..head_with(&["tag"])
    };
    of_head(head, language.as_bytes())
}

fn of_head(head: StoredHead, body: &[u8]) -> StoredResponse {
    StoredResponse::new(head, StoredBody::new(vec![Bytes::copy_from_slice(body)]))
}

#[test]
fn a_newer_response_takes_the_place_of_an_older_one_after_a_start_too() {
    for end in [World::closed, World::killed] {
        let world = World::new();
        world.put_and_write("/a", response(b"old"));
        world.put_and_write("/a", response(b"new"));
        let world = end(world);
        assert_eq!(world.body("/a"), Some(b"new".to_vec()));
        world.evict("/a");
        assert_eq!(world.body("/a"), Some(b"new".to_vec()));
    }
}

#[test]
fn an_older_response_is_not_found_while_a_newer_one_waits_to_be_written() {
    let world = World::new();
    world.put_and_write("/a", response(b"old"));
    let new = world.put("/a", response(b"new"));
    assert!(!world.tier.may_have(key("/a", None).as_bytes()));
    world.store.main.invalidate(&key("/a", None));
    assert_eq!(world.body("/a"), None);
    drop(new);
}

#[test]
fn what_was_withdrawn_stays_away_after_a_start() {
    for end in [World::closed, World::killed] {
        let world = World::new();
        let stored = world.put_and_write("/a", response(b"old"));
        world.put_and_write("/b", response(b"other"));
        world.store.drop_response(&key("/a", None), stored.id);
        world.tier.settle();
        let world = end(world);
        assert_eq!(world.body("/a"), None);
        assert_eq!(world.body("/b"), Some(b"other".to_vec()));
    }
}

#[test]
fn a_new_head_is_written_without_its_content() {
    let world = World::new();
    let body = vec![7; 100_000];
    let old = world.put_and_write("/a", response(&body));
    let before = world.figures();
    for number in 0..3 {
        let key = key("/a", None);
        let held = world.store.lookup(key.as_bytes()).unwrap().all()[0].clone();
        let new = Arc::new(held.with_head(StoredHead {
            freshness: held.head.freshness,
            ..head_with(&["tag", "fresher"])
        }));
        let watch = world.watch(&key);
        world.store.replace(&key, held.id, Arc::clone(&new), &watch);
        world.tier.settle();
        assert_eq!(world.figures().written_heads, number + 1);
    }
    drop(old);
    let grown = world.figures().bytes - before.bytes;
    assert!(grown < 3 * 400, "{grown} bytes for three heads");
    let world = world.killed();
    let found = world.look_up("/a").unwrap();
    let mut tags: Vec<&str> = found.head.fields.tags().collect();
    tags.sort_unstable();
    assert_eq!(tags, ["fresher", "tag"]);
    assert_eq!(found.body.pieces().concat(), body);
    assert_eq!(world.figures().records, 1, "older heads are not found");
}

#[test]
fn a_soft_purge_leaves_a_stale_response_whose_content_is_not_written_again() {
    let world = World::new();
    world.put_and_write("/a", response(&[7; 50_000]));
    world.purge("/a", PurgeMode::Soft);
    let held = world.look_up("/a").unwrap();
    assert!(!held.head.freshness.is_fresh(NOW));
    let before = world.figures().bytes;
    world.write("/a", &held);
    assert!(world.figures().bytes - before < 400);
    let world = world.killed();
    let found = world.look_up("/a").unwrap();
    assert!(!found.head.freshness.is_fresh(NOW));
    assert_eq!(found.body.len(), 50_000);
}

#[test]
fn a_response_counts_as_purged_from_when_it_was_fetched() {
    // It leaves memory while a purge is carried out, and is written after that has ended.
    let world = World::new();
    let stored = world.put("/a", response(b"old"));
    world.purge("/a", PurgeMode::Hard);
    world.write("/a", &stored);
    assert_eq!(world.body("/a"), None);
    let world = world.killed();
    assert_eq!(world.body("/a"), None);
    world.put_and_write("/a", response(b"new"));
    assert_eq!(world.killed().body("/a"), Some(b"new".to_vec()));
}

#[test]
fn responses_that_come_back_stand_behind_those_that_came_later() {
    let world = World::new();
    for language in ["fr", "en"] {
        world.put_and_write("/a", in_language(language));
    }
    // Without a note that it was not used: the next ones would be written at once.
    let key = key("/a", None);
    world.store.main.invalidate(&key);
    for language in ["de", "es"] {
        world.put("/a", in_language(language));
    }
    let (watch, loaded) = (world.watch(&key), world.load(&key));
    assert_eq!(loaded.len(), 2);
    for loaded in loaded {
        let restored = world.store.restore(&key, loaded.response, &watch);
        assert!(restored.is_some());
    }
    let held = world.store.peek(key.as_bytes()).unwrap();
    let held = held
        .all()
        .iter()
        .map(|stored| stored.body.pieces().concat());
    // Memory has room for three.
    assert!(held.eq([b"es", b"de", b"en"]));
}

#[test]
fn a_response_for_all_requests_does_not_come_back_beside_newer_ones_for_some() {
    let world = World::new();
    world.put_and_write("/a", response(b"for all"));
    let key = key("/a", None);
    world.store.main.invalidate(&key);
    let (watch, loaded) = (world.watch(&key), world.load(&key));
    assert_eq!(loaded.len(), 1);
    world.put("/a", in_language("de"));
    for loaded in loaded {
        let restored = world.store.restore(&key, loaded.response, &watch);
        assert!(restored.is_none(), "no request selects it any more");
    }
}

#[test]
fn memory_holds_nothing_of_a_buffer_that_was_read_into() {
    let world = World::new();
    let body: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let body = &body[..100_000];
    world.put_and_write("/a", response(body));
    let key = key("/a", None);
    world.store.main.invalidate(&key);
    let watch = world.watch(&key);
    let mut loaded = world.load(&key);
    let passing = world.store.passing(loaded.remove(0).response, &watch);
    let passing = passing.unwrap();
    assert_eq!(passing.body.pieces().len(), 2);
    assert_eq!(passing.body.pieces().concat(), body);
    assert!(world.store.peek(key.as_bytes()).is_none());
    assert!(world.store.usage().bytes < 100_000);
    // It counts while a client reads it.
    let passing = world.store.count_passing(passing);
    assert!(world.store.usage().bytes >= 100_000);
    drop(passing);
    assert!(world.store.usage().bytes < 100_000);
    for loaded in world.load(&key) {
        let restored = world.store.restore(&key, loaded.response, &watch);
        assert_eq!(restored.unwrap().body.pieces(), [body]);
    }
}

#[test]
fn several_disks_have_their_shares() {
    let shares = [10, 40, 100];
    let mut counts = [0; 3];
    for number in 0..30_000 {
        counts[share_of(format!("key {number}").as_bytes(), &shares)] += 1;
    }
    for (count, share) in counts.into_iter().zip([10, 30, 60]) {
        let expected = 300 * share;
        assert!(
            (expected - 300..expected + 300).contains(&count),
            "{counts:?}"
        );
    }
    // Sizes near the bounds of numbers.
    let shares = [64_u64 << 40, 128 << 40];
    let first = (0..1000_u32).filter(|number| share_of(&number.to_le_bytes(), &shares) == 0);
    assert!((400..600).contains(&first.count()));
}

#[test]
fn each_of_several_disks_finds_its_own_again() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, files) = (Clock::by_hand(NOW), ShimDisk::default());
    let settings = settings(&folder, 3);
    let open = || {
        let files = Arc::new(files.clone());
        let tier = DiskTier::to_be_opened(&settings, &clock, files).unwrap();
        tier.name_sites(vec!["site".into()]);
        tier.open_now().unwrap();
        tier
    };
    let paths: Vec<String> = (0..60).map(|number| format!("/{number}")).collect();
    let tier = open();
    for path in &paths {
        tier.offer(&key(path, None), &Arc::new(response(path.as_bytes())));
    }
    tier.settle();
    assert!(tier.figures().iter().all(|disk| disk.records > 5));
    drop(tier);
    let tier = open();
    for path in &paths {
        let loaded = tier.load_at_once(key(path, None).as_bytes()).unwrap();
        assert_eq!(loaded[0].response.body.pieces().concat(), path.as_bytes());
    }
}

#[test]
fn what_is_withdrawn_or_replaced_while_it_is_written_stays_away() {
    for is_withdrawn in [true, false] {
        let world = World::new();
        for number in 0..100 {
            let path = format!("/{number}");
            let stored = world.put(&path, response(b"old"));
            world.tier.offer(&key(&path, None), &stored);
            if is_withdrawn {
                world.store.drop_response(&key(&path, None), stored.id);
            } else {
                world.put(&path, response(b"new"));
            }
        }
        world.tier.settle();
        for number in 0..100 {
            world
                .store
                .main
                .invalidate(&key(&format!("/{number}"), None));
        }
        let paths = (0..100).map(|number| format!("/{number}"));
        assert!(paths.clone().all(|path| world.body(&path).is_none()));
        // After a kill, one that was replaced may be used again.
        if is_withdrawn {
            let (world, mut paths) = (world.killed(), paths);
            assert!(paths.all(|path| world.body(&path).is_none()));
        }
    }
}
