use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use super::fields::StoredFields;
use super::purge::PURGED_AT_ONCE;
use super::stored::{StoredBody, StoredHead};
use super::*;
use tero_semantics::cache_control::ResponseDirectives;
use tero_semantics::decision::ResponseDecision;
use tero_semantics::freshness::{Freshness, FreshnessInput, StaleDefaults};
use tero_semantics::partial::ByteRuns;
use tero_semantics::timestamp::Timestamp;
use tero_semantics::vary::SecondaryKey;

const NOW: Timestamp = Timestamp::from_unix_secs(1_795_608_000);

fn store(memory: u64) -> Store {
    Store::new(StoreLimits {
        memory,
        fill_memory: 0,
        warm_memory: memory / 8,
        max_object: memory / 8,
        max_variants: 3,
    })
}

fn freshness(ttl_secs: u64) -> Freshness {
    Freshness::of(&FreshnessInput {
        status: StatusCode::OK,
        response_headers: &HeaderMap::new(),
        directives: &ResponseDirectives::of(&HeaderMap::new()),
        decision: &ResponseDecision {
            ttl: Some(Duration::from_secs(ttl_secs)),
            ..ResponseDecision::default()
        },
        defaults: StaleDefaults::default(),
        request_time: NOW,
        response_time: NOW,
    })
}

struct TestResponse {
    body: Vec<u8>,
    tags: Vec<&'static str>,
    vary: Option<&'static str>,
    asked: HeaderMap,
    warm_run: u64,
}

impl Default for TestResponse {
    fn default() -> TestResponse {
        TestResponse {
            body: b"body".to_vec(),
            tags: vec![],
            vary: None,
            asked: HeaderMap::new(),
            warm_run: 0,
        }
    }
}

impl TestResponse {
    fn stored(self) -> StoredResponse {
        let mut headers = HeaderMap::new();
        if let Some(vary) = self.vary {
            headers.insert("vary", HeaderValue::from_static(vary));
        }
        let head = StoredHead {
            status: StatusCode::OK,
            fields: StoredFields::new(&headers, None, self.tags.into_iter()),
            freshness: freshness(60),
            secondary_key: SecondaryKey::of(&headers, &self.asked),
            browser_ttl_secs: None,
            site: 0,
            warm_run: self.warm_run,
        };
        StoredResponse::new(head, StoredBody::new(vec![Bytes::from(self.body)]))
    }
}

pub(super) fn key(path: &str, variant: Option<&str>) -> Key {
    let mut written = Vec::new();
    tero_semantics::key::write_key(&mut written, "http", "a.example", path, None, variant);
    Key::new(&written)
}

/// Variants of which each carries one of these surrogate keys.
pub(super) fn carrying(tags: &[&'static str]) -> Variants {
    let stored = |tag: &&'static str| {
        Arc::new(
            TestResponse {
                tags: vec![tag],
                ..TestResponse::default()
            }
            .stored(),
        )
    };
    Variants::new(tags.iter().map(stored).collect())
}

fn put(store: &Store, key: &Key, made: TestResponse) {
    assert!(store.insert(key, made.stored(), store.purge_point()));
}

fn tag(tag: &str) -> PurgeScope {
    PurgeScope::Tag {
        site: None,
        tag: tag.into(),
    }
}

#[test]
fn a_purged_tag_takes_all_that_carry_it_and_nothing_else() {
    let store = store(1 << 20);
    put(
        &store,
        &key("/a", None),
        TestResponse {
            tags: vec!["x", "y"],
            ..TestResponse::default()
        },
    );
    put(
        &store,
        &key("/b", Some("mobile")),
        TestResponse {
            tags: vec!["y"],
            ..TestResponse::default()
        },
    );
    put(&store, &key("/c", None), TestResponse::default());
    assert_eq!(store.purge(&tag("x"), PurgeMode::Hard, NOW), 1);
    assert_eq!(store.purge(&tag("y"), PurgeMode::Hard, NOW), 1);
    assert_eq!(store.purge(&tag("y"), PurgeMode::Hard, NOW), 0);
    assert!(store.lookup(key("/c", None).as_bytes()).is_some());
    assert!(store.lookup(key("/b", Some("mobile")).as_bytes()).is_none());
}

#[test]
fn a_tag_of_many_responses_is_purged_to_the_last_of_them() {
    let store = store(16 << 20);
    let count = 3 * PURGED_AT_ONCE as u64 + 1;
    for number in 0..count {
        put(
            &store,
            &key(&format!("/{number}"), None),
            TestResponse {
                tags: vec!["x"],
                ..TestResponse::default()
            },
        );
    }
    assert_eq!(store.purge(&tag("x"), PurgeMode::Soft, NOW), count);
    assert_eq!(store.purge(&tag("x"), PurgeMode::Hard, NOW), count);
    assert_eq!(store.usage().entries, 0);
    assert_eq!(store.purge(&tag("x"), PurgeMode::Hard, NOW), 0);
}

#[test]
fn a_tag_is_still_known_after_its_response_was_replaced() {
    let store = store(1 << 20);
    for _ in 0..3 {
        put(
            &store,
            &key("/a", None),
            TestResponse {
                tags: vec!["x"],
                ..TestResponse::default()
            },
        );
        store.usage();
    }
    assert_eq!(store.purge(&tag("x"), PurgeMode::Hard, NOW), 1);
}

#[test]
fn a_soft_purged_response_is_kept_as_stale() {
    let store = store(1 << 20);
    put(
        &store,
        &key("/a", None),
        TestResponse {
            tags: vec!["x"],
            ..TestResponse::default()
        },
    );
    assert_eq!(store.purge(&tag("x"), PurgeMode::Soft, NOW), 1);
    let variants = store.lookup(key("/a", None).as_bytes()).unwrap();
    assert!(!variants.all()[0].head.freshness.is_fresh(NOW));
    assert_eq!(
        store.purge(&tag("x"), PurgeMode::Hard, NOW),
        1,
        "it still carries its tag"
    );
}

#[test]
fn prefix_and_site_find_their_responses() {
    let store = store(1 << 20);
    put(&store, &key("/img/1", None), TestResponse::default());
    put(
        &store,
        &key("/img/2", Some("tablet")),
        TestResponse::default(),
    );
    put(&store, &key("/", None), TestResponse::default());
    assert_eq!(
        store.purge(
            &PurgeScope::Prefix("http://a.example/img/".into()),
            PurgeMode::Hard,
            NOW
        ),
        2
    );
    assert_eq!(store.purge(&PurgeScope::Site(1), PurgeMode::Hard, NOW), 0);
    assert_eq!(store.purge(&PurgeScope::Site(0), PurgeMode::Hard, NOW), 1);
}

#[test]
fn what_was_fetched_before_a_purge_is_not_stored_after_it() {
    let store = store(1 << 20);
    let since = store.purge_point();
    store.purge(&tag("x"), PurgeMode::Soft, NOW);
    assert!(
        !store.insert(
            &key("/a", None),
            TestResponse {
                tags: vec!["x"],
                ..TestResponse::default()
            }
            .stored(),
            since
        )
    );
    assert!(store.lookup(key("/a", None).as_bytes()).is_none());
    assert!(
        store.insert(&key("/b", None), TestResponse::default().stored(), since),
        "the purge did not mean this one"
    );
}

/// The fields of a request for a language.
fn asking_for(language: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(
        http::header::ACCEPT_LANGUAGE,
        HeaderValue::from_static(language),
    )])
}

#[test]
fn none_of_two_variants_that_come_at_once_is_lost() {
    const KEYS: usize = 2_000;
    let (store, at_once) = (store(64 << 20), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        for language in ["es", "en"] {
            let (store, at_once) = (&store, &at_once);
            scope.spawn(move || {
                for number in 0..KEYS {
                    let made = TestResponse {
                        vary: Some("accept-language"),
                        asked: asking_for(language),
                        ..TestResponse::default()
                    };
                    at_once.wait();
                    put(store, &key(&format!("/{number}"), None), made);
                }
            });
        }
    });
    let stored = |number: &usize| {
        store
            .lookup(key(&format!("/{number}"), None).as_bytes())
            .map_or(0, |found| found.all().len())
    };
    assert_eq!((0..KEYS).filter(|number| stored(number) != 2).count(), 0);
}

#[test]
fn it_is_told_what_is_stored_wherever_that_lies() {
    let store = store(1 << 20);
    for (path, warm_run) in [("/a", 0), ("/warm", 1)] {
        put(
            &store,
            &key(path, None),
            TestResponse {
                warm_run,
                ..TestResponse::default()
            },
        );
        assert!(store.holds(key(path, None).as_bytes()));
        assert!(!store.holds(key(path, Some("mobile")).as_bytes()));
    }
    store.purge(&PurgeScope::Site(0), PurgeMode::Hard, NOW);
    assert!(
        !store.holds(key("/a", None).as_bytes()) && !store.holds(key("/warm", None).as_bytes())
    );
}

#[test]
fn responses_that_differ_by_vary_lie_side_by_side_up_to_the_bound() {
    let store = store(1 << 20);
    for language in ["es", "en", "pt", "es", "fr"] {
        let made = TestResponse {
            vary: Some("accept-language"),
            asked: asking_for(language),
            body: language.into(),
            ..TestResponse::default()
        };
        put(&store, &key("/a", None), made);
    }
    let variants = store.lookup(key("/a", None).as_bytes()).unwrap();
    assert_eq!(variants.all().len(), 3);
    assert_eq!(
        variants
            .select(&asking_for("es"))
            .unwrap()
            .body
            .slice(0..2)
            .concat(),
        b"es"
    );
    assert!(
        variants.select(&asking_for("en")).is_none(),
        "the oldest made room"
    );
    assert!(variants.select(&asking_for("de")).is_none());
}

#[test]
fn a_purge_goes_on_in_shares_and_ends() {
    let more = PURGED_AT_ONCE + 10;
    let targets: [fn(&[Key]) -> PurgeScope; 3] = [
        |_| tag("x"),
        |_| PurgeScope::Site(0),
        |keys| PurgeScope::Keys(keys.iter().map(|key| key.as_bytes().to_vec()).collect()),
    ];
    for target in targets {
        let store = store(16 << 20);
        let keys: Vec<Key> = (0..more)
            .map(|number| key(&format!("/{number}"), None))
            .collect();
        keys.iter().for_each(|key| {
            put(
                &store,
                key,
                TestResponse {
                    tags: vec!["x"],
                    ..TestResponse::default()
                },
            )
        });
        let mut purging = store.begin_purge(target(&keys), PurgeMode::Hard, NOW);
        let mut left = store.usage().entries;
        while let Some(purged) = store.purge_share(&mut purging) {
            assert!(purged <= PURGED_AT_ONCE as u64, "{purging:?}");
            left -= purged;
            assert_eq!(store.usage().entries, left);
        }
        assert_eq!(left, 0);
    }
}

#[test]
fn bytes_stay_within_the_bound_and_eviction_is_counted() {
    let store = store(1 << 20);
    for number in 0..500 {
        put(
            &store,
            &key(&format!("/{number}"), None),
            TestResponse {
                body: vec![0; 10_000],
                tags: vec!["x"],
                ..TestResponse::default()
            },
        );
    }
    let usage = store.usage();
    assert!(usage.bytes <= 1 << 20, "{usage:?}");
    assert!(usage.evictions > 300, "{usage:?}");
    assert_eq!(
        store.purge(&tag("x"), PurgeMode::Hard, NOW),
        usage.entries,
        "the index holds what is stored, no more"
    );
}

#[test]
fn a_warmed_response_survives_in_a_full_cache_until_it_is_used() {
    let store = store(1 << 20);
    for number in 0..200 {
        let key = key(&format!("/{number}"), None);
        put(
            &store,
            &key,
            TestResponse {
                body: vec![0; 10_000],
                ..TestResponse::default()
            },
        );
        for _ in 0..5 {
            store.lookup(key.as_bytes());
        }
    }
    put(
        &store,
        &key("/warm", None),
        TestResponse {
            warm_run: 1,
            ..TestResponse::default()
        },
    );
    for number in 0..200 {
        put(
            &store,
            &key(&format!("/more/{number}"), None),
            TestResponse {
                body: vec![0; 10_000],
                ..TestResponse::default()
            },
        );
    }
    assert!(store.lookup(key("/warm", None).as_bytes()).is_some());
}

#[test]
fn what_is_kept_for_a_plan_does_not_make_room_for_another_and_is_let_go_when_its_run_is_over() {
    let store = store(1 << 20);
    let pages = |plan: u64| (0..20).map(move |number| key(&format!("/{plan}/{number}"), None));
    // An eighth of the memory: not room enough for both.
    for plan in [1, 2] {
        for key in pages(plan) {
            put(
                &store,
                &key,
                TestResponse {
                    body: vec![0; 5_000],
                    warm_run: plan,
                    ..TestResponse::default()
                },
            );
        }
    }
    assert!(pages(1).all(|key| store.is_kept(&key)));
    let kept = pages(2).filter(|key| store.is_kept(key)).count();
    assert!(kept < 20, "{kept}");
    // What found no room is stored all the same.
    assert!(pages(2).all(|key| store.peek(key.as_bytes()).is_some()));
    store.release(|run| run == 1);
    assert!(!pages(1).any(|key| store.is_kept(&key)));
    assert_eq!(pages(2).filter(|key| store.is_kept(key)).count(), kept);
    put(
        &store,
        &key("/3", None),
        TestResponse {
            body: vec![0; 5_000],
            warm_run: 3,
            ..TestResponse::default()
        },
    );
    assert!(store.is_kept(&key("/3", None)));
}

#[test]
fn what_a_plan_fetches_anew_brings_along_what_lies_beside_it() {
    let store = store(1 << 20);
    let page = key("/", None);
    let in_language = |language| {
        HeaderMap::from_iter([(
            http::header::ACCEPT_LANGUAGE,
            HeaderValue::from_static(language),
        )])
    };
    put(
        &store,
        &page,
        TestResponse {
            vary: Some("accept-language"),
            asked: in_language("es"),
            ..TestResponse::default()
        },
    );
    put(
        &store,
        &page,
        TestResponse {
            vary: Some("accept-language"),
            asked: in_language("en"),
            ..TestResponse::default()
        },
    );
    let again = TestResponse {
        vary: Some("accept-language"),
        asked: in_language("es"),
        body: b"new".to_vec(),
        warm_run: 1,
        ..TestResponse::default()
    };
    put(&store, &page, again);
    assert!(store.is_kept(&page));
    let found = store.lookup(page.as_bytes()).unwrap();
    assert_eq!(found.all().len(), 2);
    assert_eq!(
        found
            .select(&in_language("es"))
            .unwrap()
            .body
            .pieces()
            .concat(),
        b"new"
    );
    assert_eq!(
        found
            .select(&in_language("en"))
            .unwrap()
            .body
            .pieces()
            .concat(),
        b"body"
    );
    assert!(!store.is_kept(&page));
    assert_eq!(store.usage().entries, 1);
}

#[test]
fn what_is_kept_stays_when_another_variant_of_it_finds_no_room() {
    let store = store(1 << 20);
    let page = key("/", None);
    let warmed = |language, body| TestResponse {
        vary: Some("accept-language"),
        asked: asking_for(language),
        body,
        warm_run: 1,
        ..TestResponse::default()
    };
    put(&store, &page, warmed("es", b"es".to_vec()));
    assert!(store.is_kept(&page));
    // An eighth of the memory is there for what is kept.
    put(&store, &page, warmed("en", vec![0; 140_000]));
    assert!(!store.is_kept(&page));
    let found = store.lookup(page.as_bytes()).unwrap();
    assert!(found.select(&asking_for("es")).is_some() && found.select(&asking_for("en")).is_some());
    assert_eq!(store.usage().entries, 1);
}

#[test]
fn what_a_plan_and_a_visitor_store_at_the_same_time_is_stored_once() {
    let store = store(16 << 20);
    for number in 0..1_000 {
        let page = key(&format!("/{number}"), None);
        std::thread::scope(|scope| {
            for warm_run in [0, 1] {
                let (store, page) = (&store, &page);
                scope.spawn(move || {
                    put(
                        store,
                        page,
                        TestResponse {
                            warm_run,
                            ..TestResponse::default()
                        },
                    )
                });
            }
        });
        assert!(store.peek(page.as_bytes()).is_some(), "{number}");
        assert_eq!(store.usage().entries, number + 1);
    }
}

#[test]
fn a_soft_purge_leaves_what_a_fetch_under_way_would_have_replaced() {
    let store = store(1 << 20);
    let page = key("/", None);
    put(
        &store,
        &page,
        TestResponse {
            tags: vec!["x"],
            ..TestResponse::default()
        },
    );
    let since = store.purge_point();
    assert_eq!(store.purge(&tag("x"), PurgeMode::Soft, NOW), 1);
    assert!(
        !store.insert(
            &page,
            TestResponse {
                tags: vec!["x"],
                ..TestResponse::default()
            }
            .stored(),
            since
        )
    );
    let found = store
        .lookup(page.as_bytes())
        .expect("it may be needed when the origin fails");
    assert!(!found.all()[0].head.freshness.is_fresh(NOW));
}

#[test]
fn a_response_that_moves_while_a_site_is_purged_is_found() {
    let store = store(64 << 20);
    let pages: Vec<Key> = (0..2_000)
        .map(|number| key(&format!("/{number}"), None))
        .collect();
    for _ in 0..20 {
        pages.iter().for_each(|page| {
            put(
                &store,
                page,
                TestResponse {
                    warm_run: 1,
                    ..TestResponse::default()
                },
            )
        });
        std::thread::scope(|scope| {
            scope.spawn(|| {
                pages
                    .iter()
                    .for_each(|page| drop(store.lookup(page.as_bytes())))
            });
            store.purge(&PurgeScope::Site(0), PurgeMode::Hard, NOW);
        });
        assert!(!pages.iter().any(|page| store.holds(page.as_bytes())));
    }
}

/// A part of a response of eight bytes that is told from others by `tag`.
fn part(tag: &'static str, run: std::ops::Range<u64>) -> StoredResponse {
    let StoredResponse { mut head, .. } = TestResponse {
        tags: vec!["x"],
        ..TestResponse::default()
    }
    .stored();
    let mut fields = HeaderMap::new();
    fields.insert("etag", HeaderValue::from_static(tag));
    head.fields = head.fields.with_headers(&fields);
    let body = StoredBody::new(vec![Bytes::copy_from_slice(
        &b"01234567"[run.start as usize..run.end as usize],
    )]);
    StoredResponse::of_parts(
        head,
        body,
        ByteRuns::one(run, 8).expect("something is missing"),
    )
}

fn held(store: &Store, range: std::ops::Range<u64>) -> Option<Vec<u8>> {
    let part = store.part(key("/a", None).as_bytes(), &HeaderMap::new())?;
    part.slice(&range).map(|pieces| pieces.concat())
}

#[test]
fn parts_are_put_together_and_are_no_whole_response_until_nothing_is_missing() {
    let store = store(1 << 20);
    let (key, since) = (key("/a", None), store.purge_point());
    for (run, expected) in [(0..2, None), (3..5, None), (2..4, Some(b"1234"))] {
        assert!(store.insert_part(key.as_bytes(), part("\"1\"", run), since));
        assert_eq!(
            held(&store, 1..5).as_deref(),
            expected.map(|bytes| &bytes[..])
        );
        assert!(
            store.lookup(key.as_bytes()).is_none(),
            "a part is not found where whole responses are"
        );
    }
    assert!(store.insert_part(key.as_bytes(), part("\"1\"", 4..8), since));
    let whole = store.lookup(key.as_bytes()).expect("nothing is missing");
    let whole = &whole.all()[0];
    assert_eq!(
        (whole.body.slice(0..8).concat(), whole.parts.is_none()),
        (b"01234567".to_vec(), true)
    );
    assert_eq!(
        held(&store, 0..1),
        None,
        "the whole has taken the place of its parts"
    );
}

#[test]
fn a_part_of_another_response_takes_the_place_of_what_was_there() {
    for (first, second) in [("\"1\"", "\"2\""), ("W/\"1\"", "W/\"1\"")] {
        let store = store(1 << 20);
        let (key, since) = (key("/a", None), store.purge_point());
        store.insert_part(key.as_bytes(), part(first, 0..4), since);
        store.insert_part(key.as_bytes(), part(second, 4..7), since);
        assert_eq!(
            (held(&store, 0..4), held(&store, 4..7).is_some()),
            (None, true)
        );
    }
}

#[test]
fn what_was_purged_does_not_come_back_with_another_part() {
    for target in [
        tag("x"),
        PurgeScope::Keys(vec![key("/a", None).as_bytes().to_vec()]),
        PurgeScope::Site(0),
    ] {
        let store = store(1 << 20);
        let (key, since) = (key("/a", None), store.purge_point());
        store.insert_part(key.as_bytes(), part("\"1\"", 0..4), since);
        assert_eq!(store.purge(&target, PurgeMode::Hard, NOW), 1, "{target:?}");
        assert!(
            !store.insert_part(key.as_bytes(), part("\"1\"", 4..7), since),
            "it was fetched before"
        );
        assert_eq!(held(&store, 4..7), None);
        assert!(store.insert_part(key.as_bytes(), part("\"1\"", 4..7), store.purge_point()));
        assert_eq!(
            (held(&store, 0..4), held(&store, 4..7).is_some()),
            (None, true)
        );
        assert!(
            !store.insert_part(key.as_bytes(), part("\"2\"", 0..4), since),
            "nor does it take the place of what came later"
        );
        assert_eq!(
            (held(&store, 0..4), held(&store, 4..7).is_some()),
            (None, true)
        );
    }
}

#[test]
fn a_fetch_learns_of_purges_that_may_have_meant_it() {
    let store = store(1 << 20);
    let (own, other) = (key("/a", None), key("/b", None));
    let keys = |key: &Key| PurgeScope::Keys(vec![key.as_bytes().to_vec()]);
    let prefix = |prefix: &str| PurgeScope::Prefix(format!("http://a.example{prefix}"));
    for (target, may) in [
        (keys(&own), true),
        (keys(&other), false),
        (prefix("/a"), true),
        (prefix("/b"), false),
        (tag("unknown"), true),
        (PurgeScope::Site(7), true),
    ] {
        let since = store.purge_point();
        assert!(!store.may_be_purged(own.as_bytes(), since));
        store.purge(&target, PurgeMode::Hard, NOW);
        assert_eq!(
            store.may_be_purged(own.as_bytes(), since),
            may,
            "{target:?}"
        );
    }
}

#[test]
fn a_stored_response_fits_into_an_allocation_of_160_bytes() {
    assert!(
        size_of::<StoredResponse>() + super::weight::ARC_BYTES <= 160,
        "{}",
        size_of::<StoredResponse>()
    );
}
