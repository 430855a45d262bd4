//! New keys of a full memory: the admission segment, and what moves on from it.

use std::collections::HashMap;

use proptest::prelude::*;

use super::super::memory::MemoryPlace;
use super::*;

const KIB: usize = 1 << 10;

/// A store of a mebibyte that is full of responses, each of which was used several times.
fn full() -> Store {
    let store = store(1 << 20);
    for key in keys(200) {
        put(&store, &key, TestResponse::of_length(10 * KIB));
        (0..4).for_each(|_| drop(store.lookup(key.as_bytes())));
    }
    // Small ones take the rest of the room.
    for number in 0..40 {
        put(
            &store,
            &key(&format!("/small/{number}"), None),
            TestResponse::default(),
        );
    }
    store.usage();
    store
}

fn newcomer(number: usize) -> Key {
    key(&format!("/new/{number}"), None)
}

/// The bytes that all entries weigh.
fn weight_of_all(store: &Store) -> u64 {
    store.run_pending_tasks();
    let entries = store.entries();
    let weights = entries
        .filter(|(_, variants)| !variants.all().is_empty())
        .map(|(key, variants)| key.weight() + variants.weight());
    weights.sum()
}

/// In how many places a key stands.
fn places(store: &Store, key: &Key) -> usize {
    let all = MemoryPlace::ALL.into_iter();
    all.filter(|place| store.found_at(*place, key).is_some())
        .count()
}

#[test]
fn a_newcomer_stays_for_a_while_though_memory_is_full() {
    let store = full();
    for number in 0..100 {
        put(&store, &newcomer(number), TestResponse::of_length(4 * KIB));
        // The latest ten are there; a frequency filter alone would have refused them.
        let latest = number.saturating_sub(9)..=number;
        assert!(
            latest
                .clone()
                .all(|number| store.holds(newcomer(number).as_bytes())),
            "{latest:?}"
        );
        let usage = store.usage();
        assert!(
            usage.bytes <= 1 << 20 && usage.newcomer_bytes <= (896 << 10) / 5,
            "{usage:?}"
        );
    }
}

#[test]
fn a_newcomer_that_is_used_is_admitted_and_others_are_refused() {
    let store = full();
    let before = store.usage();
    for number in 0..200 {
        put(&store, &newcomer(number), TestResponse::of_length(4 * KIB));
        if number % 50 == 0 {
            (0..15).for_each(|_| drop(store.lookup(newcomer(number).as_bytes())));
        }
    }
    let usage = store.usage();
    let used = (0..150).step_by(50);
    let stayed = used.filter(|number| store.holds(newcomer(*number).as_bytes()));
    assert_eq!(stayed.count(), 3);
    let unused = (0..150).filter(|number| number % 50 != 0);
    let stayed = unused.filter(|number| store.holds(newcomer(*number).as_bytes()));
    assert!(stayed.count() < 15);
    assert!(usage.admitted - before.admitted >= 3, "{usage:?}");
    assert!(usage.refused - before.refused > 100, "{usage:?}");
    assert_eq!(usage.bytes - usage.fill_bytes, weight_of_all(&store));
}

#[test]
fn purges_of_every_kind_find_newcomers() {
    let page = newcomer(0);
    for scope in [
        tag("x"),
        PurgeScope::Keys(vec![page.as_bytes().to_vec()]),
        PurgeScope::Prefix("http://a.example/new/".into()),
        PurgeScope::Site(0),
    ] {
        for mode in [PurgeMode::Soft, PurgeMode::Hard] {
            let store = full();
            put(&store, &page, TestResponse::tagged(&["x"]));
            assert!(store.found_at(MemoryPlace::Newcomers, &page).is_some());
            assert!(store.purge(&scope, mode, NOW) >= 1, "{scope:?}");
            let found = store.peek(page.as_bytes());
            match mode {
                PurgeMode::Hard => assert!(found.is_none(), "{scope:?}"),
                PurgeMode::Soft => {
                    assert!(!found.unwrap().all()[0].head.freshness.is_fresh(NOW));
                }
            }
        }
    }
}

#[test]
fn variants_of_a_newcomer_join_and_a_large_one_takes_them_along() {
    let store = full();
    let page = newcomer(0);
    put(&store, &page, TestResponse::in_language("es"));
    put(&store, &page, TestResponse::in_language("en"));
    assert_eq!(
        store
            .found_at(MemoryPlace::Newcomers, &page)
            .unwrap()
            .all()
            .len(),
        2
    );
    // It would take more than a quarter of the segment.
    let large = TestResponse {
        body: vec![0; 60 * KIB],
        ..TestResponse::in_language("pt")
    };
    put(&store, &page, large);
    assert!(store.found_at(MemoryPlace::Newcomers, &page).is_none());
    assert!(places(&store, &page) <= 1);
}

#[test]
fn an_entry_that_was_replaced_and_purged_leaves_no_weight_behind() {
    let store = store(1 << 20);
    for round in 0..200 {
        for length in [KIB, 60 * KIB] {
            put(&store, &key("/a", None), TestResponse::of_length(length));
        }
        store.purge(&PurgeScope::Site(0), PurgeMode::Hard, NOW);
        assert_eq!(store.usage().bytes, 0, "{round}");
        put(&store, &key("/b", None), TestResponse::of_length(60 * KIB));
        put(&store, &key("/b", None), TestResponse::of_length(KIB));
        store.purge(&PurgeScope::Site(0), PurgeMode::Hard, NOW);
        assert_eq!(store.usage().bytes, 0, "{round}");
    }
}

#[test]
fn what_a_plan_has_warmed_is_a_newcomer_once_a_visitor_asks() {
    let store = full();
    let page = newcomer(0);
    put(&store, &page, TestResponse::default().warmed_by(1));
    assert!(store.is_kept(&page));
    assert!(store.lookup(page.as_bytes()).is_some());
    assert!(!store.is_kept(&page) && store.found_at(MemoryPlace::Newcomers, &page).is_some());
    assert_eq!(places(&store, &page), 1);
}

#[test]
fn a_replay_leaves_the_same_each_time() {
    let replay = || {
        let like = store(1 << 20);
        let store = Store::for_replay(&like.config, like.max_head());
        let (pages, mut state) = (keys(400), 1_u64);
        for _ in 0..4_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let number = (state >> 33) as usize % 400;
            let page = &pages[number * number / 400];
            if store.lookup(page.as_bytes()).is_none() {
                put(
                    &store,
                    page,
                    TestResponse::of_length(1 + number * 37 % 9_000),
                );
            }
            store.settle();
        }
        let kept = pages.iter().filter(|page| store.holds(page.as_bytes()));
        kept.cloned().collect::<Vec<_>>()
    };
    let kept = replay();
    assert!(kept.len() > 50 && kept.len() < 400, "{}", kept.len());
    assert_eq!(kept, replay());
}

/// Something that happens to a page.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Stored {
        page: usize,
        kib: usize,
        warmed: bool,
    },
    Used {
        page: usize,
    },
    Purged {
        page: usize,
    },
    TagPurged,
    SitePurged,
    Released,
}

fn happening() -> impl Strategy<Value = Happening> {
    let page = 0..60_usize;
    prop_oneof![
        12 => (page.clone(), 1..24_usize, prop::bool::weighted(0.1))
            .prop_map(|(page, kib, warmed)| Happening::Stored { page, kib, warmed }),
        8 => page.clone().prop_map(|page| Happening::Used { page }),
        2 => page.prop_map(|page| Happening::Purged { page }),
        1 => Just(Happening::TagPurged),
        1 => Just(Happening::SitePurged),
        1 => Just(Happening::Released),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_holds_the_latest_of_each_key_in_one_place_within_its_bounds(
        happenings in prop::collection::vec(happening(), 1..250)
    ) {
        let (store, pages) = (store(1 << 20), keys(60));
        // The length of the latest response of each page, unless it was purged since.
        let mut latest: HashMap<usize, usize> = HashMap::new();
        for happening in happenings {
            match happening {
                Happening::Stored { page, kib, warmed } => {
                    let tags = if page % 2 == 0 { vec!["even"] } else { vec![] };
                    let response = TestResponse { tags, ..TestResponse::of_length(kib * KIB) };
                    put(&store, &pages[page], response.warmed_by(u64::from(warmed)));
                    latest.insert(page, kib * KIB);
                }
                Happening::Used { page } => drop(store.lookup(pages[page].as_bytes())),
                Happening::Purged { page } => {
                    let scope = PurgeScope::Keys(vec![pages[page].as_bytes().to_vec()]);
                    store.purge(&scope, PurgeMode::Hard, NOW);
                    latest.remove(&page);
                }
                Happening::TagPurged => {
                    store.purge(&tag("even"), PurgeMode::Hard, NOW);
                    latest.retain(|page, _| page % 2 == 1);
                }
                Happening::SitePurged => {
                    store.purge(&PurgeScope::Site(0), PurgeMode::Hard, NOW);
                    latest.clear();
                }
                Happening::Released => store.release(|_| true),
            }
            for (number, page) in pages.iter().enumerate() {
                prop_assert!(places(&store, page) <= 1);
                if let Some(found) = store.peek(page.as_bytes()) {
                    let length = found.all()[0].body.len() as usize;
                    prop_assert_eq!(Some(&length), latest.get(&number));
                }
            }
            let usage = store.usage();
            prop_assert!(usage.bytes <= 1 << 20);
            prop_assert_eq!(usage.bytes, weight_of_all(&store));
        }
        store.purge(&PurgeScope::Site(0), PurgeMode::Hard, NOW);
        let usage = store.usage();
        prop_assert_eq!((usage.entries, usage.bytes), (0, 0));
        prop_assert_eq!(store.index.tagged("even", None, 1), []);
    }
}

#[test]
fn what_was_purged_stays_away_while_newcomers_move_on() {
    let store = full();
    for round in 0..40 {
        let page = |number: usize| key(&format!("/round/{round}/{number}"), None);
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let store = &store;
                scope.spawn(move || {
                    for number in 0..150 {
                        let response = TestResponse::tagged(&["x"]);
                        let key = page(number * 2 + thread);
                        let purges = store.watch_purges(key.as_bytes(), 0);
                        store.insert(&key, response.stored(), &purges);
                        (0..number % 8).for_each(|_| drop(store.lookup(key.as_bytes())));
                    }
                });
            }
            for _ in 0..3 {
                let scope = match round % 2 {
                    0 => tag("x"),
                    _ => PurgeScope::Prefix(format!("http://a.example/round/{round}/")),
                };
                store.purge(&scope, PurgeMode::Hard, NOW);
            }
        });
        // All were stored before this one, wherever they are on their way.
        let scope = match round % 2 {
            0 => PurgeScope::Prefix(format!("http://a.example/round/{round}/")),
            _ => tag("x"),
        };
        store.purge(&scope, PurgeMode::Hard, NOW);
        for number in 0..300 {
            assert!(!store.holds(page(number).as_bytes()), "{round}: {number}");
        }
        // Others push the rest of the segment on: nothing comes back with it.
        for number in 0..60 {
            put(&store, &newcomer(number), TestResponse::of_length(4 * KIB));
        }
        assert!((0..300).all(|number| !store.holds(page(number).as_bytes())));
    }
    assert_eq!(store.usage().bytes, weight_of_all(&store));
}

#[test]
fn a_purge_finds_newcomers_that_move_on_meanwhile() {
    let store = full();
    for round in 0..60 {
        let pages: Vec<Key> = (0..30)
            .map(|number| key(&format!("/moving/{round}/{number}"), None))
            .collect();
        for page in &pages {
            put(&store, page, TestResponse::of_length(4 * KIB));
            (0..15).for_each(|_| drop(store.lookup(page.as_bytes())));
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..60 {
                    put(&store, &newcomer(number), TestResponse::of_length(4 * KIB));
                }
            });
            let prefix = format!("http://a.example/moving/{round}/");
            store.purge(&PurgeScope::Prefix(prefix), PurgeMode::Hard, NOW);
        });
        assert!(
            pages.iter().all(|page| !store.holds(page.as_bytes())),
            "{round}"
        );
    }
}

#[test]
fn a_newcomer_is_found_while_a_newer_response_takes_its_place() {
    let (store, key) = (store(1 << 20), newcomer(0));
    put(&store, &key, TestResponse::default());
    let variants = store.peek(key.as_bytes()).unwrap();
    store.newcomers.insert(&key, variants.clone(), 500);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for weight in 0..4_000 {
                store
                    .newcomers
                    .insert(&key, variants.clone(), 500 + weight % 2);
            }
            is_done.store(true, Ordering::Relaxed);
        });
        while !is_done.load(Ordering::Relaxed) {
            assert!(store.newcomers.get(key.as_bytes()).is_some());
        }
    });
    assert_eq!(store.newcomers.bytes(), 501);
}
