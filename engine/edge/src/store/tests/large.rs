//! Large bodies: how much of them is in memory.

use std::task::{Context, Poll, Waker};

use super::super::fill::{Fill, Retention};
use super::*;

const MIB: usize = 1 << 20;

fn insert(store: &Store, key: &Key, length: usize) -> Arc<StoredResponse> {
    let head = TestResponse::default().stored().head.clone();
    let body = store.body(vec![Bytes::from(vec![0; length])]);
    let stored = Arc::new(StoredResponse::new(head, body));
    let purges = store.watch_purges(key.as_bytes(), 0);
    assert!(store.insert(key, Arc::clone(&stored), &purges));
    stored
}

/// What a new fill does with a piece of this length.
fn retention(store: &Store, length: usize) -> Retention {
    let fill = Fill::new(None, store.fill_limits(), 0);
    let _reader = fill.reader();
    let mut pushed = std::pin::pin!(fill.push(Bytes::from(vec![0; length])));
    let mut context = Context::from_waker(Waker::noop());
    match pushed.as_mut().poll(&mut context) {
        Poll::Ready(Ok(retention)) => retention,
        other => panic!("{other:?}"),
    }
}

#[test]
fn large_bodies_leave_memory_before_many_more_have_come() {
    let store = store(16 << 20);
    for (number, key) in keys(100).iter().enumerate() {
        insert(&store, key, MIB);
        // What has left is freed once no thread reads the maps, of other stores too.
        let in_store = store.entries();
        let in_store = in_store.filter(|(_, variants)| !variants.all().is_empty());
        assert!(in_store.count() <= 16, "after {number}");
    }
}

#[test]
fn content_that_clients_still_read_counts_after_its_response_has_left() {
    let like = store(16 << 20);
    let config = config::Cache {
        fill_memory: 4 << 20,
        ..like.config.clone()
    };
    let store = Store::new(&config, like.max_head(), None);
    let read: Vec<_> = keys(9)
        .iter()
        .map(|key| insert(&store, key, MIB).body.clone())
        .collect();
    let before = store.usage().bytes;
    assert_eq!(retention(&store, 2 * MIB), Retention::Whole);
    store.purge(&PurgeScope::Site(0), PurgeMode::Hard, NOW);
    let usage = store.usage();
    assert_eq!(usage.entries, 0);
    assert!(usage.bytes >= 9 << 20 && usage.bytes <= before, "{usage:?}");
    for key in keys(20).iter().skip(10).take(6) {
        insert(&store, key, MIB);
    }
    store.usage();
    // Nine mebibytes are still read, and six are stored.
    assert_eq!(retention(&store, 2 * MIB), Retention::Window);
    assert_eq!(
        retention(&store, 64 * 1024),
        Retention::Whole,
        "small ones go on"
    );
    drop(read);
    assert_eq!(retention(&store, 2 * MIB), Retention::Whole);
}
