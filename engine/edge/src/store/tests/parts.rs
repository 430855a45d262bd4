//! Parts of responses.

use std::ops::Range;

use super::*;
use tero_semantics::partial::ByteRuns;

/// A part of the response `01234567` with this entity tag.
fn part(entity_tag: &'static str, run: Range<u64>) -> StoredResponse {
    let StoredResponse { mut head, .. } = TestResponse::tagged(&["x"]).stored();
    let mut fields = HeaderMap::new();
    fields.insert("etag", HeaderValue::from_static(entity_tag));
    head.fields = head.fields.with_headers(&fields);
    let content = &b"01234567"[run.start as usize..run.end as usize];
    StoredResponse::of_parts(
        head,
        StoredBody::new(vec![Bytes::copy_from_slice(content)]),
        ByteRuns::one(run, 8).expect("something is missing"),
    )
}

fn held(store: &Store, range: Range<u64>) -> Option<Vec<u8>> {
    let part = store.part(key("/a", None).as_bytes(), &HeaderMap::new())?;
    part.slice(&range).map(|pieces| pieces.concat())
}

/// Checks that the bytes from 4 to 7 are stored, and those before 4 are not.
fn assert_only_the_rest_is_held(store: &Store) {
    assert_eq!(
        (held(store, 0..4), held(store, 4..7).is_some()),
        (None, true)
    );
}

#[test]
fn parts_become_a_whole_response_when_nothing_is_missing() {
    let store = store(1 << 20);
    let key = key("/a", None);
    let since = store.watch_purges(key.as_bytes(), 0);
    for (run, expected) in [(0..2, None), (3..5, None), (2..4, Some(b"1234"))] {
        assert!(store.insert_part(key.as_bytes(), part("\"1\"", run), &since));
        assert_eq!(
            held(&store, 1..5).as_deref(),
            expected.map(|bytes| &bytes[..])
        );
        assert!(
            store.lookup(key.as_bytes()).is_none(),
            "a look-up for a whole response doesn't find a part"
        );
    }
    assert!(store.insert_part(key.as_bytes(), part("\"1\"", 4..8), &since));
    let whole = store.lookup(key.as_bytes()).expect("nothing is missing");
    let whole = &whole.all()[0];
    assert_eq!(
        (whole.body.slice(0..8).concat(), whole.parts().is_none()),
        (b"01234567".to_vec(), true)
    );
    assert_eq!(held(&store, 0..1), None, "the whole replaces its parts");
}

#[test]
fn what_is_combined_counts_as_long_as_a_client_reads_it() {
    const EACH: u64 = 200_000;
    for parts in [4, 10] {
        let store = store(64 << 20);
        let key = key("/a", None);
        let since = store.watch_purges(key.as_bytes(), 0);
        let mut reads = None;
        for number in 0..parts {
            let body = store.body(vec![Bytes::from(vec![7; EACH as usize])]);
            let StoredResponse { head, .. } = part("\"1\"", 0..1);
            let run = number * EACH..(number + 1) * EACH;
            let runs = ByteRuns::one(run, parts * EACH + 1).expect("a byte is missing");
            let new = StoredResponse::of_parts(head, body, runs);
            assert!(store.insert_part(key.as_bytes(), new, &since));
            reads = store.part(key.as_bytes(), &HeaderMap::new());
        }
        assert_falls_below(&store, parts * EACH + 50_000);
        // It leaves the store.
        let stored = reads.unwrap();
        store.drop_part(key.as_bytes(), stored.id);
        let read = store.usage().bytes;
        assert!(read >= parts * EACH, "{read}");
        drop(stored);
        assert_falls_below(&store, 50_000);
    }
}

/// Checks what a store uses. The maps drop what has left them after a while.
#[track_caller]
fn assert_falls_below(store: &Store, bytes: u64) {
    let has_fallen = |_| {
        std::thread::yield_now();
        store.usage().bytes < bytes
    };
    let fell = (0..100_000).any(has_fallen);
    assert!(fell, "{} bytes are in use", store.usage().bytes);
}

#[test]
fn a_part_of_another_response_replaces_the_stored_part() {
    for (first, second) in [("\"1\"", "\"2\""), ("W/\"1\"", "W/\"1\"")] {
        let store = store(1 << 20);
        let key = key("/a", None);
        let since = store.watch_purges(key.as_bytes(), 0);
        store.insert_part(key.as_bytes(), part(first, 0..4), &since);
        store.insert_part(key.as_bytes(), part(second, 4..7), &since);
        assert_only_the_rest_is_held(&store);
    }
}

#[test]
fn a_purged_part_does_not_return_with_another_part() {
    for scope in [
        tag("x"),
        PurgeScope::Keys(vec![key("/a", None).as_bytes().to_vec()]),
        PurgeScope::Site(0),
    ] {
        let store = store(1 << 20);
        let key = key("/a", None);
        let since = store.watch_purges(key.as_bytes(), 0);
        store.insert_part(key.as_bytes(), part("\"1\"", 0..4), &since);
        assert_eq!(store.purge(&scope, PurgeMode::Hard, NOW), 1, "{scope:?}");
        assert!(
            !store.insert_part(key.as_bytes(), part("\"1\"", 4..7), &since),
            "it was fetched before the purge"
        );
        assert_eq!(held(&store, 4..7), None);
        assert!(store.insert_part(
            key.as_bytes(),
            part("\"1\"", 4..7),
            &store.watch_purges(key.as_bytes(), 0)
        ));
        assert_only_the_rest_is_held(&store);
        assert!(
            !store.insert_part(key.as_bytes(), part("\"2\"", 0..4), &since),
            "nor does it replace what was stored after the purge"
        );
        assert_only_the_rest_is_held(&store);
    }
}
