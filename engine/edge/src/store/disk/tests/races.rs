//! A purge against writing, eviction, promotion and restart: no purged response comes back, and each
//! response is whole and its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;

/// What happens to a store and its disk. There is one page for each number.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A response is fetched and stored.
    Store(u8),
    /// The same, and the purge comes between the fetch and the storing.
    StoreOverPurge(u8),
    Purge(u8, PurgeMode),
    PurgeTag(PurgeMode),
    PurgePrefix,
    /// It is used, so that it is written when it leaves memory.
    Use(u8),
    Evict(u8),
    LookUp(u8),
    /// It is read from the disk, and the purge comes before it is back in memory.
    RestoreOverPurge(u8),
    /// The response of the page is withdrawn.
    Withdraw(u8),
    Kill,
    Close,
    /// The power fails: what was not synced may be lost.
    Fail,
}

/// What a look-up may find of a page.
#[derive(Clone, Debug, Default)]
struct Page {
    /// The versions that were not purged, the newest last.
    good: Vec<u64>,
    /// Those of them that were purged softly: they are stale.
    stale: Vec<u64>,
    /// Versions that were withdrawn, and not purged: a power failure may bring them back.
    withdrawn: Vec<u64>,
    /// Whether only the newest will do: no process has ended since.
    is_certain: bool,
}

struct Model {
    world: World,
    pages: Vec<Page>,
    next: u64,
    dice: u64,
}

impl Model {
    fn new(pages: usize, folder: &Arc<tempfile::TempDir>) -> Model {
        Model {
            world: World::on(folder, &ShimDisk::default(), Clock::by_hand(NOW)),
            pages: vec![Page::default(); pages],
            next: 0,
            dice: 7,
        }
    }

    fn path(page: u8) -> String {
        format!("/page-{page}")
    }

    fn content(page: u8, version: u64) -> Vec<u8> {
        format!("{page} {version} ")
            .repeat(40 + version as usize % 50)
            .into_bytes()
    }

    fn new_version(&mut self, page: u8) -> StoredResponse {
        self.next += 1;
        response(&Model::content(page, self.next))
    }

    fn purged(&mut self, pages: std::ops::Range<usize>, mode: PurgeMode) {
        for page in &mut self.pages[pages] {
            match mode {
                PurgeMode::Hard => {
                    page.good.clear();
                    page.withdrawn.clear();
                }
                PurgeMode::Soft => page.stale.clone_from(&page.good),
            }
        }
    }

    fn all(&self) -> std::ops::Range<usize> {
        0..self.pages.len()
    }

    fn run(mut self, events: &[Event]) {
        for (number, event) in events.iter().enumerate() {
            self = self.step(*event);
            for page in self.all() {
                self.check(page as u8, &events[..=number]);
            }
        }
    }

    fn step(mut self, event: Event) -> Model {
        match event {
            Event::Store(page) => {
                let response = self.new_version(page);
                self.world.put(&Model::path(page), response);
                let version = self.next;
                let page = &mut self.pages[usize::from(page)];
                page.good.push(version);
                page.is_certain = true;
            }
            Event::StoreOverPurge(page) => {
                let (key, response) = (key(&Model::path(page), None), self.new_version(page));
                let watch = self.world.watch(&key);
                self.world.purge(&Model::path(page), PurgeMode::Hard);
                assert!(!self.world.store.insert(&key, response, &watch));
                self.purged(usize::from(page)..usize::from(page) + 1, PurgeMode::Hard);
            }
            Event::Purge(page, mode) => {
                self.world.purge(&Model::path(page), mode);
                self.purged(usize::from(page)..usize::from(page) + 1, mode);
            }
            Event::PurgeTag(mode) => {
                let scope = PurgeScope::Tag {
                    site: Some(0),
                    tag: "tag".into(),
                };
                self.world.store.purge(&scope, mode, self.world.clock.now());
                self.world.tier.sync_purges();
                self.purged(self.all(), mode);
            }
            Event::PurgePrefix => {
                let scope = PurgeScope::Prefix("http://a.example/page".into());
                let now = self.world.clock.now();
                self.world.store.purge(&scope, PurgeMode::Hard, now);
                self.world.tier.sync_purges();
                self.purged(self.all(), PurgeMode::Hard);
            }
            Event::Use(page) => {
                if let Some(found) = self.world.look_up(&Model::path(page)) {
                    found.counted_hits.fetch_add(1, Ordering::Relaxed);
                }
            }
            Event::Evict(page) => {
                self.world.evict(&Model::path(page));
                self.world.tier.settle();
            }
            Event::LookUp(page) => {
                self.world.look_up(&Model::path(page));
            }
            Event::RestoreOverPurge(page) => {
                let key = key(&Model::path(page), None);
                let watch = self.world.watch(&key);
                let (loaded, passing) = (self.world.load(&key), self.world.load(&key));
                self.world.purge(&Model::path(page), PurgeMode::Hard);
                for loaded in loaded {
                    let restored = self.world.store.restore(&key, loaded.response, &watch);
                    assert!(restored.is_none());
                }
                for loaded in passing {
                    let passing = self.world.store.passing(loaded.response, &watch);
                    assert!(passing.is_none());
                }
                self.purged(usize::from(page)..usize::from(page) + 1, PurgeMode::Hard);
            }
            Event::Withdraw(page) => {
                if let Some(found) = self.world.look_up(&Model::path(page)) {
                    let key = key(&Model::path(page), None);
                    self.world.store.drop_response(&key, found.id);
                    self.world.tier.settle();
                    let page = &mut self.pages[usize::from(page)];
                    page.withdrawn.append(&mut page.good);
                }
            }
            Event::Kill => {
                self.world = self.world.killed();
                self.pages
                    .iter_mut()
                    .for_each(|page| page.is_certain = false);
            }
            Event::Close => {
                self.world = self.world.closed();
                self.pages
                    .iter_mut()
                    .for_each(|page| page.is_certain = false);
            }
            Event::Fail => {
                let mut dice = self.dice;
                self.world = self.world.restarted(|disk| {
                    disk.after_power_failure(&mut |bound| {
                        dice = dice
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1_442_695_040_888_963_407);
                        ((dice >> 33) as usize) % bound
                    })
                });
                self.dice = dice;
                for page in &mut self.pages {
                    page.is_certain = false;
                    page.good.append(&mut page.withdrawn);
                }
            }
        }
        self
    }

    /// Looks without changing what is in memory, as far as that is possible: what is only on the disk
    /// is read and not restored.
    fn check(&self, page: u8, events: &[Event]) {
        let key = key(&Model::path(page), None);
        let found: Vec<Arc<StoredResponse>> = match self.world.store.peek(key.as_bytes()) {
            Some(variants) => variants.all().to_vec(),
            None => {
                let loaded = self.world.load(&key).into_iter();
                loaded.map(|loaded| Arc::new(loaded.response)).collect()
            }
        };
        let Page {
            good,
            stale,
            is_certain,
            ..
        } = &self.pages[usize::from(page)];
        for found in found {
            let content = found.body.pieces().concat();
            let version = good
                .iter()
                .find(|version| Model::content(page, **version) == content);
            let Some(version) = version else {
                panic!(
                    "{:?} of page {page} must not be there after {events:?}",
                    String::from_utf8_lossy(&content[..12.min(content.len())])
                );
            };
            if *is_certain {
                assert_eq!(Some(version), good.last(), "{events:?}");
            }
            if stale.contains(version) {
                let now = self.world.clock.now();
                assert!(!found.head.freshness.is_fresh(now), "{events:?}");
            }
        }
    }
}

#[test]
fn all_short_stories_of_a_page_end_well() {
    let events = [
        Event::Store(0),
        Event::Use(0),
        Event::Evict(0),
        Event::Purge(0, PurgeMode::Hard),
        Event::Purge(0, PurgeMode::Soft),
        Event::RestoreOverPurge(0),
        Event::Withdraw(0),
        Event::Kill,
        Event::Close,
    ];
    let folder = Arc::new(tempfile::tempdir().unwrap());
    // A story without a stored response has no point.
    for first in events {
        for second in events {
            for third in events {
                let story = [Event::Store(0), Event::Use(0), first, second, third];
                Model::new(1, &folder).run(&story);
            }
        }
    }
}

#[test]
fn a_withdrawn_response_takes_older_ones_on_the_disk_along() {
    let ends = [
        Event::Evict(0),
        Event::Use(0),
        Event::Store(0),
        Event::Withdraw(0),
        Event::Kill,
        Event::Close,
    ];
    let folder = Arc::new(tempfile::tempdir().unwrap());
    for first in ends {
        for second in ends {
            for third in ends {
                // The first one is on the disk when the second one comes.
                let begin = [
                    Event::Store(0),
                    Event::Use(0),
                    Event::Evict(0),
                    Event::Store(0),
                ];
                let story = [&begin[..], &[first, second, third]].concat();
                Model::new(1, &folder).run(&story);
            }
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    let page = 0_u8..3;
    let mode = || prop_oneof![Just(PurgeMode::Hard), Just(PurgeMode::Soft)];
    prop_oneof![
        6 => page.clone().prop_map(Event::Store),
        2 => page.clone().prop_map(Event::StoreOverPurge),
        3 => (page.clone(), mode()).prop_map(|(page, mode)| Event::Purge(page, mode)),
        1 => mode().prop_map(Event::PurgeTag),
        1 => Just(Event::PurgePrefix),
        4 => page.clone().prop_map(Event::Use),
        6 => page.clone().prop_map(Event::Evict),
        3 => page.clone().prop_map(Event::LookUp),
        2 => page.clone().prop_map(Event::RestoreOverPurge),
        1 => page.prop_map(Event::Withdraw),
        2 => Just(Event::Kill),
        1 => Just(Event::Close),
        2 => Just(Event::Fail),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn long_stories_of_pages_end_well(events in prop::collection::vec(event(), 1..60)) {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Model::new(3, &folder).run(&events);
    }
}

#[test]
fn threads_find_nothing_that_was_purged() {
    const ROUNDS: usize = 400;
    let world = World::new();
    let (next, purged_up_to) = (AtomicU64::new(1), AtomicU64::new(0));
    let is_over = AtomicBool::new(false);
    let (path, version_of) = ("/page-0", |body: &[u8]| {
        let text = String::from_utf8(body.to_vec()).unwrap();
        text.split(' ').nth(1).unwrap().parse::<u64>().unwrap()
    });
    std::thread::scope(|scope| {
        let purger = scope.spawn(|| {
            for _ in 0..ROUNDS {
                let up_to = next.load(Ordering::SeqCst) - 1;
                world.purge(path, PurgeMode::Hard);
                purged_up_to.fetch_max(up_to, Ordering::SeqCst);
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let key = key(path, None);
                    let watch = world.watch(&key);
                    let version = next.fetch_add(1, Ordering::SeqCst);
                    let stored = Arc::new(response(&Model::content(0, version)));
                    if world.store.insert(&key, Arc::clone(&stored), &watch) {
                        world.tier.offer(&key, &stored);
                    }
                    world.evict(path);
                }
            });
        }
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let purged = purged_up_to.load(Ordering::SeqCst);
                if let Some(body) = world.body(path) {
                    let version = version_of(&body);
                    assert_eq!(body, Model::content(0, version), "whole");
                    assert!(version > purged, "{version} was purged with {purged}");
                }
            }
        });
        purger.join().unwrap();
        is_over.store(true, Ordering::Relaxed);
    });
    let purged = purged_up_to.load(Ordering::SeqCst);
    let world = world.killed();
    if let Some(body) = world.body(path) {
        assert!(version_of(&body) > purged);
    }
}
