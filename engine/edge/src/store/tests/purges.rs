//! Purges, hard and soft.

use super::super::purge::PURGED_AT_ONCE;
use super::*;

#[test]
fn purging_a_surrogate_key_drops_its_responses_and_no_others() {
    let store = store(1 << 20);
    put(&store, &key("/a", None), TestResponse::tagged(&["x", "y"]));
    put(
        &store,
        &key("/b", Some("mobile")),
        TestResponse::tagged(&["y"]),
    );
    put(&store, &key("/c", None), TestResponse::default());
    assert_eq!(store.purge(&tag("x"), PurgeMode::Hard, NOW), 1);
    assert_eq!(store.purge(&tag("y"), PurgeMode::Hard, NOW), 1);
    assert_eq!(store.purge(&tag("y"), PurgeMode::Hard, NOW), 0);
    assert!(store.lookup(key("/c", None).as_bytes()).is_some());
    assert!(store.lookup(key("/b", Some("mobile")).as_bytes()).is_none());
}

#[test]
fn all_responses_of_a_large_surrogate_key_are_purged() {
    let store = store(16 << 20);
    let count = 3 * PURGED_AT_ONCE + 1;
    for key in keys(count) {
        put(&store, &key, TestResponse::tagged(&["x"]));
    }
    let count = count as u64;
    assert_eq!(store.purge(&tag("x"), PurgeMode::Soft, NOW), count);
    assert_eq!(store.purge(&tag("x"), PurgeMode::Hard, NOW), count);
    assert_eq!(store.usage().entries, 0);
    assert_eq!(store.purge(&tag("x"), PurgeMode::Hard, NOW), 0);
}

#[test]
fn a_surrogate_key_is_known_after_its_response_was_replaced() {
    let store = store(1 << 20);
    for _ in 0..3 {
        put(&store, &key("/a", None), TestResponse::tagged(&["x"]));
        store.usage();
    }
    assert_eq!(store.purge(&tag("x"), PurgeMode::Hard, NOW), 1);
}

#[test]
fn a_soft_purged_response_is_kept_as_stale() {
    let store = store(1 << 20);
    put(&store, &key("/a", None), TestResponse::tagged(&["x"]));
    assert_eq!(store.purge(&tag("x"), PurgeMode::Soft, NOW), 1);
    let variants = store.lookup(key("/a", None).as_bytes()).unwrap();
    assert!(!variants.all()[0].head.freshness.is_fresh(NOW));
    assert_eq!(
        store.purge(&tag("x"), PurgeMode::Hard, NOW),
        1,
        "it still carries its surrogate key"
    );
}

#[test]
fn prefixes_and_sites_find_their_responses() {
    let store = store(1 << 20);
    put(&store, &key("/img/1", None), TestResponse::default());
    put(
        &store,
        &key("/img/2", Some("tablet")),
        TestResponse::default(),
    );
    put(&store, &key("/", None), TestResponse::default());
    let images = PurgeScope::Prefix("http://a.example/img/".into());
    assert_eq!(store.purge(&images, PurgeMode::Hard, NOW), 2);
    assert_eq!(store.purge(&PurgeScope::Site(1), PurgeMode::Hard, NOW), 0);
    assert_eq!(store.purge(&PurgeScope::Site(0), PurgeMode::Hard, NOW), 1);
}

#[test]
fn a_response_fetched_before_its_purge_is_not_stored() {
    let store = store(1 << 20);
    let watch = |key: &Key| store.watch_purges(key.as_bytes(), 0);
    let (own, other) = (key("/a", None), key("/b", None));
    let (of_own, of_other) = (watch(&own), watch(&other));
    store.purge(&tag("x"), PurgeMode::Soft, NOW);
    let purged = TestResponse::tagged(&["x"]).stored();
    assert!(!store.insert(&own, purged, &of_own));
    assert!(store.lookup(own.as_bytes()).is_none());
    assert!(
        store.insert(&other, TestResponse::default().stored(), &of_other),
        "the purge did not mean this one"
    );
}

#[test]
fn a_purge_runs_in_shares_and_ends() {
    let scopes: [fn(&[Key]) -> PurgeScope; 3] = [
        |_| tag("x"),
        |_| PurgeScope::Site(0),
        |keys| PurgeScope::Keys(keys.iter().map(|key| key.as_bytes().to_vec()).collect()),
    ];
    for scope in scopes {
        let store = store(16 << 20);
        let keys = keys(PURGED_AT_ONCE + 10);
        for key in &keys {
            put(&store, key, TestResponse::tagged(&["x"]));
        }
        let mut progress = store.begin_purge(scope(&keys), PurgeMode::Hard, NOW);
        let mut left = store.usage().entries;
        while let Some(purged) = store.purge_share(&mut progress) {
            assert!(purged <= PURGED_AT_ONCE as u64, "{progress:?}");
            left -= purged;
            assert_eq!(store.usage().entries, left);
        }
        assert_eq!(left, 0);
    }
}

#[test]
fn a_soft_purged_response_stays_when_a_fetch_under_way_would_replace_it() {
    let store = store(1 << 20);
    let page = key("/", None);
    put(&store, &page, TestResponse::tagged(&["x"]));
    let since = store.watch_purges(page.as_bytes(), 0);
    assert_eq!(store.purge(&tag("x"), PurgeMode::Soft, NOW), 1);
    assert!(!store.insert(&page, TestResponse::tagged(&["x"]).stored(), &since));
    let found = store
        .lookup(page.as_bytes())
        .expect("it may be needed when the origin fails");
    assert!(!found.all()[0].head.freshness.is_fresh(NOW));
}

#[test]
fn a_purge_finds_responses_that_move_between_the_maps() {
    let store = store(64 << 20);
    let pages = keys(2_000);
    for _ in 0..20 {
        for page in &pages {
            put(&store, page, TestResponse::default().warmed_by(1));
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for page in &pages {
                    drop(store.lookup(page.as_bytes()));
                }
            });
            store.purge(&PurgeScope::Site(0), PurgeMode::Hard, NOW);
        });
        assert!(!pages.iter().any(|page| store.holds(page.as_bytes())));
    }
}
