mod coded;
mod large;
mod newcomers;
mod parts;
mod priming;
mod purges;
mod warmed;

use crate::run_id::RunId;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use super::fields::StoredFields;
use super::stored::{BrowserLifetime, StoredBody, StoredHead};
use super::*;
use tero_semantics::cache_control::ResponseDirectives;
use tero_semantics::decision::ResponseDecision;
use tero_semantics::freshness::{Freshness, FreshnessInput, SiteDefaults};
use tero_semantics::key::KeyParts;
use tero_semantics::timestamp::Timestamp;
use tero_semantics::vary::SecondaryKey;

const NOW: Timestamp = Timestamp::from_unix_secs(1_795_608_000);

fn store(memory: u64) -> Store {
    let config = config::Cache {
        memory,
        fill_memory: 0,
        warm_memory: memory / 8,
        max_object: memory / 8,
        max_variants: 3,
        compress_threads: 1,
        compress_share: config::units::Share::parse("100%").unwrap(),
        compress_queue: 16,
        max_policy_variants: 64,
        collapse_timeout: Duration::from_secs(10),
        hit_for_miss: Duration::from_secs(120),
        disks: Vec::new(),
    };
    let max_head = HeadLimits {
        max_bytes: 8 << 10,
        max_fields: 100,
    };
    Store::new(&config, max_head, None)
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
        defaults: SiteDefaults::default(),
        request_time: NOW,
        response_time: NOW,
    })
}

/// A response to store: fetched for a visitor, without fields and surrogate keys if not said
/// otherwise.
struct TestResponse {
    body: Vec<u8>,
    tags: Vec<&'static str>,
    vary: Option<&'static str>,
    asked: HeaderMap,
    warm_run: Option<RunId>,
    may_be_coded: bool,
}

impl Default for TestResponse {
    fn default() -> TestResponse {
        TestResponse {
            body: b"body".to_vec(),
            tags: vec![],
            vary: None,
            asked: HeaderMap::new(),
            warm_run: None,
            may_be_coded: false,
        }
    }
}

impl TestResponse {
    /// With surrogate keys.
    fn tagged(tags: &[&'static str]) -> TestResponse {
        TestResponse {
            tags: tags.to_vec(),
            ..TestResponse::default()
        }
    }

    /// With this many bytes of content.
    fn of_length(bytes: usize) -> TestResponse {
        TestResponse {
            body: vec![0; bytes],
            ..TestResponse::default()
        }
    }

    /// With `Vary: Accept-Language`, and fetched for a request for `language`.
    fn in_language(language: &'static str) -> TestResponse {
        TestResponse {
            vary: Some("accept-language"),
            asked: asking_for(language),
            body: language.into(),
            ..TestResponse::default()
        }
    }

    /// Fetched by the run of a warming plan with this number; for a visitor if it is 0.
    fn warmed_by(self, run: u64) -> TestResponse {
        TestResponse {
            warm_run: RunId::new(run),
            ..self
        }
    }

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
            browser_lifetime: BrowserLifetime::AsSent,
            site: 0,
            warm_run: self.warm_run,
            may_be_coded: self.may_be_coded,
        };
        StoredResponse::new(head, StoredBody::new(vec![Bytes::from(self.body)]))
    }
}

/// The fields of a request for a language.
fn asking_for(language: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(
        http::header::ACCEPT_LANGUAGE,
        HeaderValue::from_static(language),
    )])
}

pub(super) fn key(path: &str, variant: Option<&str>) -> Key {
    let mut written = Vec::new();
    let parts = KeyParts {
        scheme: "http",
        authority: "a.example",
        path,
        query: None,
        variant,
    };
    tero_semantics::key::write_key(&mut written, &parts);
    Key::new(&written)
}

/// Keys of this many pages.
fn keys(count: usize) -> Vec<Key> {
    (0..count)
        .map(|number| key(&format!("/{number}"), None))
        .collect()
}

/// Variants that carry one of these surrogate keys each.
pub(super) fn carrying(tags: &[&'static str]) -> Variants {
    let stored = |tag: &&'static str| Arc::new(TestResponse::tagged(&[tag]).stored());
    Variants::new(tags.iter().map(stored).collect())
}

/// The head of a response with these surrogate keys.
pub(super) fn head_with(tags: &[&'static str]) -> StoredHead {
    TestResponse::tagged(tags).stored().head.clone()
}

fn put(store: &Store, key: &Key, response: TestResponse) {
    let purges = store.watch_purges(key.as_bytes(), 0);
    assert!(store.insert(key, response.stored(), &purges));
}

/// The content of the variant that a request for `language` selects.
fn content(variants: &Variants, language: &'static str) -> Vec<u8> {
    let selected = variants.select(&asking_for(language)).expect("it is there");
    selected.body.pieces().concat()
}

fn tag(tag: &str) -> PurgeScope {
    PurgeScope::Tag {
        site: None,
        tag: tag.into(),
    }
}

#[test]
fn variants_inserted_at_the_same_time_are_both_kept() {
    let (store, at_once) = (store(64 << 20), std::sync::Barrier::new(2));
    let keys = keys(2_000);
    std::thread::scope(|scope| {
        for language in ["es", "en"] {
            let (store, keys, at_once) = (&store, &keys, &at_once);
            scope.spawn(move || {
                for key in keys {
                    at_once.wait();
                    put(store, key, TestResponse::in_language(language));
                }
            });
        }
    });
    let count = |key: &Key| {
        let found = store.lookup(key.as_bytes());
        found.map_or(0, |found| found.all().len())
    };
    assert_eq!(keys.iter().filter(|key| count(key) != 2).count(), 0);
}

#[test]
fn holds_finds_warmed_and_other_responses() {
    let store = store(1 << 20);
    for (path, warm_run) in [("/a", 0), ("/warm", 1)] {
        let response = TestResponse::default().warmed_by(warm_run);
        put(&store, &key(path, None), response);
        assert!(store.holds(key(path, None).as_bytes()));
        assert!(!store.holds(key(path, Some("mobile")).as_bytes()));
    }
    store.purge(&PurgeScope::Site(0), PurgeMode::Hard, NOW);
    assert!(
        !store.holds(key("/a", None).as_bytes()) && !store.holds(key("/warm", None).as_bytes())
    );
}

#[test]
fn responses_that_differ_by_vary_are_kept_up_to_max_variants() {
    let store = store(1 << 20);
    for language in ["es", "en", "pt", "es", "fr"] {
        put(
            &store,
            &key("/a", None),
            TestResponse::in_language(language),
        );
    }
    let variants = store.lookup(key("/a", None).as_bytes()).unwrap();
    assert_eq!(variants.all().len(), 3);
    assert_eq!(content(&variants, "es"), b"es");
    assert!(
        variants.select(&asking_for("en")).is_none(),
        "the oldest made room"
    );
    assert!(variants.select(&asking_for("de")).is_none());
}

#[test]
fn memory_stays_within_its_limit_and_evictions_are_counted() {
    let store = store(1 << 20);
    for key in keys(500) {
        let response = TestResponse {
            tags: vec!["x"],
            ..TestResponse::of_length(10_000)
        };
        put(&store, &key, response);
    }
    let usage = store.usage();
    assert!(usage.bytes <= 1 << 20, "{usage:?}");
    assert!(usage.evictions > 300, "{usage:?}");
    assert_eq!(
        store.purge(&tag("x"), PurgeMode::Hard, NOW),
        usage.entries,
        "the index holds the keys of stored responses and no others"
    );
}

#[test]
fn a_stored_response_fits_into_an_allocation_of_160_bytes() {
    assert!(
        size_of::<StoredResponse>() + super::weight::ARC_BYTES <= 160,
        "{}",
        size_of::<StoredResponse>()
    );
}

#[test]
fn a_response_that_vary_selects_goes_before_one_without() {
    let store = store(1 << 20);
    let key = key("/a", None);
    let purges = &store.watch_purges(key.as_bytes(), 0);
    let asked = HeaderMap::from_iter([("x-a", "1"), ("x-b", "1")].map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    }));
    let response = |content: &str, vary| TestResponse {
        body: content.as_bytes().to_vec(),
        vary,
        asked: asked.clone(),
        ..TestResponse::default()
    };
    let selected = || {
        let variants = store.lookup(key.as_bytes()).unwrap();
        let selected = variants
            .select(&asked)
            .map(|stored| stored.body.slice(0..1).concat());
        let taken = variants
            .into_selected(&asked)
            .map(|stored| stored.body.slice(0..1).concat());
        assert_eq!(selected, taken);
        selected
    };
    let without = |content: &str| {
        let mut stored = response(content, None).stored();
        let names = store.vary_fields(key.as_bytes());
        stored.head.secondary_key = stored.head.secondary_key.beside(names, &asked);
        stored
    };
    assert!(store.vary_fields(key.as_bytes()).is_empty());
    store.insert(&key, without("1"), purges);
    assert_eq!(selected(), Some(b"1".to_vec()));
    // Which requests the first one is for is not known any more.
    store.insert(&key, response("2", Some("x-a")).stored(), purges);
    assert_eq!(store.peek(key.as_bytes()).unwrap().all().len(), 1);
    store.insert(&key, response("3", Some("x-b")).stored(), purges);
    assert_eq!(selected(), Some(b"3".to_vec()), "the latest");
    store.insert(&key, without("4"), purges);
    assert_eq!(store.peek(key.as_bytes()).unwrap().all().len(), 3);
    assert_eq!(
        selected(),
        Some(b"3".to_vec()),
        "the latest that has a `Vary`"
    );
    let id = |content: &[u8]| {
        let variants = store.peek(key.as_bytes()).unwrap();
        let all = variants.all().iter();
        let mut found = all.filter(|stored| stored.body.slice(0..1).concat() == content);
        found.next().unwrap().id
    };
    store.drop_response(&key, id(b"2"));
    store.drop_response(&key, id(b"3"));
    assert_eq!(selected(), Some(b"4".to_vec()), "there is no other");
    // A response that was validated goes, whatever selects its successor.
    let old = id(b"4");
    let new = response("5", Some("x-a")).stored();
    assert!(store.insert_in_place_of(&key, Some(old), new, purges));
    assert_eq!(store.peek(key.as_bytes()).unwrap().all().len(), 1);
}
