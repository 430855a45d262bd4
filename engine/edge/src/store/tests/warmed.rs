//! Responses that a warming plan fetched.

use super::*;

#[test]
fn a_warmed_response_survives_in_a_full_cache_until_it_is_used() {
    let store = store(1 << 20);
    for key in keys(200) {
        put(&store, &key, TestResponse::of_length(10_000));
        for _ in 0..5 {
            store.lookup(key.as_bytes());
        }
    }
    let warmed = TestResponse::default().warmed_by(1);
    put(&store, &key("/warm", None), warmed);
    for number in 0..200 {
        let key = key(&format!("/more/{number}"), None);
        put(&store, &key, TestResponse::of_length(10_000));
    }
    assert!(store.lookup(key("/warm", None).as_bytes()).is_some());
}

#[test]
fn a_warmed_response_displaces_no_other_and_is_released_with_its_run() {
    let store = store(1 << 20);
    let pages = |run: u64| (0..20).map(move |number| key(&format!("/{run}/{number}"), None));
    // An eighth of the memory has no room for both.
    for run in [1, 2] {
        for key in pages(run) {
            put(&store, &key, TestResponse::of_length(5_000).warmed_by(run));
        }
    }
    assert!(pages(1).all(|key| store.is_kept(&key)));
    let kept = pages(2).filter(|key| store.is_kept(key)).count();
    assert!(kept < 20, "{kept}");
    // Those without room are stored all the same.
    assert!(pages(2).all(|key| store.peek(key.as_bytes()).is_some()));
    store.release(|run| run.number() == 1);
    assert!(!pages(1).any(|key| store.is_kept(&key)));
    assert_eq!(pages(2).filter(|key| store.is_kept(key)).count(), kept);
    let later = TestResponse::of_length(5_000).warmed_by(3);
    put(&store, &key("/3", None), later);
    assert!(store.is_kept(&key("/3", None)));
}

#[test]
fn a_warmed_response_takes_the_other_variants_of_its_key_along() {
    let store = store(1 << 20);
    let page = key("/", None);
    put(&store, &page, TestResponse::in_language("es"));
    put(&store, &page, TestResponse::in_language("en"));
    let again = TestResponse {
        body: b"new".to_vec(),
        ..TestResponse::in_language("es").warmed_by(1)
    };
    put(&store, &page, again);
    assert!(store.is_kept(&page));
    let found = store.lookup(page.as_bytes()).unwrap();
    assert_eq!(found.all().len(), 2);
    assert_eq!(content(&found, "es"), b"new");
    assert_eq!(content(&found, "en"), b"en");
    assert!(!store.is_kept(&page));
    assert_eq!(store.usage().entries, 1);
}

#[test]
fn a_warmed_response_stays_when_another_variant_of_it_finds_no_room() {
    let store = store(1 << 20);
    let page = key("/", None);
    let warmed = TestResponse::in_language("es").warmed_by(1);
    put(&store, &page, warmed);
    assert!(store.is_kept(&page));
    // More than the eighth of the memory that warmed responses have.
    let large = TestResponse {
        body: vec![0; 140_000],
        ..TestResponse::in_language("en").warmed_by(1)
    };
    put(&store, &page, large);
    assert!(!store.is_kept(&page));
    let found = store.lookup(page.as_bytes()).unwrap();
    assert!(found.select(&asking_for("es")).is_some() && found.select(&asking_for("en")).is_some());
    assert_eq!(store.usage().entries, 1);
}

#[test]
fn a_plan_and_a_visitor_that_store_at_the_same_time_leave_one_entry() {
    let store = store(16 << 20);
    for (number, page) in keys(1_000).iter().enumerate() {
        std::thread::scope(|scope| {
            for warm_run in [0, 1] {
                let store = &store;
                scope.spawn(move || {
                    put(store, page, TestResponse::default().warmed_by(warm_run));
                });
            }
        });
        assert!(store.peek(page.as_bytes()).is_some(), "{number}");
        assert_eq!(store.usage().entries, number as u64 + 1);
    }
}

#[test]
fn a_warmed_response_is_found_while_it_moves_on() {
    let store = store(64 << 20);
    let pages = keys(3000);
    for key in &pages {
        put(&store, key, TestResponse::default().warmed_by(1));
    }
    assert!(pages.iter().all(|key| store.is_kept(key)));
    std::thread::scope(|scope| {
        scope.spawn(|| store.release(|_| true));
        for key in &pages {
            // Until it has moved, and once more.
            loop {
                let is_kept = store.is_kept(key);
                assert!(store.holds(key.as_bytes()));
                assert!(store.peek(key.as_bytes()).is_some());
                if !is_kept {
                    break;
                }
            }
        }
    });
    for key in &pages {
        put(&store, key, TestResponse::default().warmed_by(2));
    }
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                // Each look-up lets it move on.
                for key in &pages {
                    assert!(store.lookup(key.as_bytes()).is_some());
                }
            });
        }
    });
}
