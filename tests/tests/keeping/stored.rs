//! Traces against the store itself.

use std::collections::HashMap;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use hyper::body::Bytes;
use tero_config as config;
use tero_edge::store::fields::StoredFields;
use tero_edge::store::stored::{BrowserLifetime, StoredHead, StoredResponse};
use tero_edge::store::{Key, Store};
use tero_semantics::cache_control::ResponseDirectives;
use tero_semantics::decision::ResponseDecision;
use tero_semantics::freshness::{Freshness, FreshnessInput, SiteDefaults};
use tero_semantics::key::{KeyParts, write_key};
use tero_semantics::timestamp::Timestamp;
use tero_semantics::validation::HeadLimits;
use tero_semantics::vary::SecondaryKey;

use super::traces::{Trace, TraceRequest};
use super::{HitShare, memory_for};

const NOW: Timestamp = Timestamp::from_unix_secs(1_795_608_000);

/// The content of all pages: they share its beginning, so that a trace needs little memory.
static CONTENT: [u8; 512 << 10] = [0; 512 << 10];

fn store(memory: u64) -> Store {
    let config = config::Cache {
        memory,
        fill_memory: 0,
        warm_memory: 0,
        max_object: memory,
        max_variants: 1,
        max_policy_variants: 64,
        compress_threads: 1,
        compress_share: config::units::Share::parse("100%").unwrap(),
        compress_queue: 16,
        collapse_timeout: Duration::from_secs(10),
        hit_for_miss: Duration::from_secs(120),
        disks: Vec::new(),
    };
    let max_head = HeadLimits {
        max_bytes: 8 << 10,
        max_fields: 100,
    };
    Store::for_replay(&config, max_head)
}

fn key(request: &TraceRequest) -> Key {
    let mut written = Vec::new();
    let parts = KeyParts {
        scheme: "https",
        authority: "shop.example",
        path: &format!("/{:016x}", request.page),
        query: None,
        variant: None,
    };
    write_key(&mut written, &parts);
    Key::new(&written)
}

fn response(store: &Store, request: &TraceRequest) -> StoredResponse {
    let headers = HeaderMap::new();
    let freshness = Freshness::of(&FreshnessInput {
        status: StatusCode::OK,
        response_headers: &headers,
        directives: &ResponseDirectives::of(&headers),
        decision: &ResponseDecision {
            ttl: Some(Duration::from_secs(3_600)),
            ..ResponseDecision::default()
        },
        defaults: SiteDefaults::default(),
        request_time: NOW,
        response_time: NOW,
    });
    let head = StoredHead {
        status: StatusCode::OK,
        fields: StoredFields::new(&headers, None, std::iter::empty()),
        freshness,
        secondary_key: SecondaryKey::of(&headers, &headers),
        browser_lifetime: BrowserLifetime::AsSent,
        site: 0,
        warm_run: None,
        may_be_coded: false,
    };
    let content = Bytes::from_static(&CONTENT[..request.bytes as usize]);
    StoredResponse::new(head, store.body(vec![content]))
}

/// The memory that a page needs in the store, in bytes.
pub(crate) fn weight(request: &TraceRequest) -> u64 {
    thread_local! {
        static KNOWN: std::cell::RefCell<HashMap<u64, u64>> = std::cell::RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        *known.entry(request.page).or_insert_with(|| {
            let store = store(1 << 30);
            put(&store, request);
            store.usage().bytes
        })
    })
}

fn put(store: &Store, request: &TraceRequest) {
    let key = key(request);
    let purges = store.watch_purges(key.as_bytes(), 0);
    assert!(store.insert(&key, response(store, request), &purges));
}

/// The hits of people in percent. What crawlers fetch is stored only if `keeps_crawlers` says so.
pub(crate) fn hits(trace: &Trace, keeps_crawlers: bool) -> f64 {
    let memory = memory_for(trace, weight);
    let (store, mut share) = (store(memory), HitShare::default());
    for (number, request) in trace.requests.iter().enumerate() {
        let is_hit = store.lookup(key(request).as_bytes()).is_some();
        share.count(number, request, is_hit);
        if !is_hit && (keeps_crawlers || !request.is_crawler) {
            put(&store, request);
            store.settle();
        }
    }
    let usage = store.usage();
    assert!(usage.bytes <= memory, "{usage:?} of {memory}");
    assert!(usage.bytes > memory - memory / 20, "{usage:?} of {memory}");
    share.percent()
}
