//! Content of stored responses in other codings.

use super::*;

/// A response whose content may be coded.
fn codable(bytes: usize) -> TestResponse {
    TestResponse {
        may_be_coded: true,
        ..TestResponse::of_length(bytes)
    }
}

fn coded(bytes: usize) -> StoredBody {
    StoredBody::new(vec![Bytes::from(vec![1; bytes])])
}

fn only(store: &Store, key: &Key) -> Arc<StoredResponse> {
    let found = store.peek(key.as_bytes()).unwrap();
    assert_eq!(found.all().len(), 1);
    Arc::clone(&found.all()[0])
}

/// The length of the content in `br`.
fn br(stored: &StoredResponse) -> Option<u64> {
    Some(stored.coded()?.body(ContentCoding::Br)?.len())
}

#[test]
fn coded_content_joins_its_response_and_goes_with_it() {
    let store = store(1 << 20);
    let page = key("/", None);
    put(&store, &page, codable(10_000));
    let before = only(&store, &page);
    before.uncounted_hits.fetch_add(7, Ordering::Relaxed);
    let usage = store.usage().bytes;
    let added = store
        .add_coded(&page, &before, ContentCoding::Br, &coded(3_000))
        .unwrap();
    let after = only(&store, &page);
    assert!(Arc::ptr_eq(&added, &after));
    assert_eq!((after.id, br(&after)), (before.id, Some(3_000)));
    assert_eq!(after.uncounted_hits.load(Ordering::Relaxed), 7);
    assert_eq!(before.uncounted_hits.load(Ordering::Relaxed), 0);
    let grown = store.usage().bytes - usage;
    assert!((3_000..4_000).contains(&grown), "{grown}");
    // Another coding joins the first.
    store
        .add_coded(&page, &before, ContentCoding::Gzip, &coded(4_000))
        .unwrap();
    let both = only(&store, &page);
    assert_eq!(both.coded().unwrap().all().count(), 2);
    store.drop_response(&page, before.id);
    assert!(store.peek(page.as_bytes()).is_none());
    assert_eq!(store.usage().bytes, 0);
    assert!(
        store
            .add_coded(&page, &before, ContentCoding::Zstd, &coded(10))
            .is_none()
    );
}

#[test]
fn coded_content_follows_its_content_under_another_head_and_no_other_content() {
    let store = store(1 << 20);
    let page = key("/", None);
    put(&store, &page, codable(10_000));
    let old = only(&store, &page);
    // A 304 came while it was being coded.
    let fresh = Arc::new(old.with_freshness(freshness(120)));
    store.replace(
        &page,
        old.id,
        fresh,
        &store.watch_purges(page.as_bytes(), 0),
    );
    let added = store
        .add_coded(&page, &old, ContentCoding::Br, &coded(3_000))
        .unwrap();
    assert_ne!(added.id, old.id);
    assert_eq!(br(&only(&store, &page)), Some(3_000));
    // The next head keeps it, unless it may not be coded any more.
    let next = added.with_freshness(freshness(60));
    assert_eq!(br(&next), Some(3_000));
    let forbidden = StoredHead {
        may_be_coded: false,
        ..added.head.clone()
    };
    assert!(added.with_head(forbidden).coded().is_none());
    // New content, even if it is the same.
    put(&store, &page, codable(10_000));
    assert!(
        store
            .add_coded(&page, &old, ContentCoding::Gzip, &coded(10))
            .is_none()
    );
    assert_eq!(only(&store, &page).coded().unwrap().all().count(), 0);
    // Content that may not be coded gets none.
    put(&store, &page, TestResponse::of_length(10_000));
    let uncodable = only(&store, &page);
    assert!(
        store
            .add_coded(&page, &uncodable, ContentCoding::Br, &coded(10))
            .is_none()
    );
}

#[test]
fn coded_content_displaces_no_warmed_response() {
    let store = store(1 << 20);
    // An eighth of the memory is for warmed responses.
    let keys: Vec<Key> = (0..10)
        .map(|number| key(&format!("/{number}"), None))
        .collect();
    for key in &keys {
        put(&store, key, codable(10_000).warmed_by(1));
    }
    let mut added = 0;
    for key in &keys {
        let warmed = only(&store, key);
        let body = coded(8_000);
        added += u32::from(
            store
                .add_coded(key, &warmed, ContentCoding::Br, &body)
                .is_some(),
        );
        store.usage();
    }
    assert!((1..10).contains(&added), "{added}");
    assert!(keys.iter().all(|key| store.is_kept(key)));
}

#[test]
fn a_part_is_never_coded() {
    let part = codable(100).stored();
    let parts = tero_semantics::partial::ByteRuns::one(0..100, 1_000).unwrap();
    let part = StoredResponse::of_parts(part.head, part.body, parts);
    assert!(part.coded().is_none() && !part.head.may_be_coded);
}
