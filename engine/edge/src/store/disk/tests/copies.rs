//! What copies of a response in memory know of its disk.

use std::sync::atomic::Ordering;

use super::*;
use crate::store::stored::WANTS_DISK;
use tero_semantics::content_coding::ContentCoding;

/// Ways in which another object comes to stand for a response in memory.
type Copying = fn(&World, &Key, &Arc<StoredResponse>);

#[test]
fn what_is_withdrawn_or_replaced_is_not_written_when_a_copy_of_it_waits() {
    let coded: Copying = |world, key, stored| {
        let body = StoredBody::new(vec![Bytes::from_static(b"coded")]);
        let added = world.store.add_coded(key, stored, ContentCoding::Br, &body);
        assert!(added.is_some());
    };
    let stale: Copying = |world, _, _| world.purge("/a", PurgeMode::Soft);
    let evicted: Copying = |world, _, _| world.evict("/a");
    for (copying, is_withdrawn) in [coded, stale, evicted]
        .into_iter()
        .flat_map(|copying| [(copying, true), (copying, false)])
    {
        let (world, key) = (World::new(), key("/a", None));
        world.hold_writer();
        let head = StoredHead {
            may_be_coded: true,
            ..head_with(&["tag"])
        };
        let stored = world.put("/a", of_head(head, b"old"));
        world.tier.offer(&key, &stored);
        copying(&world, &key, &stored);
        let held = world.store.peek(key.as_bytes());
        let id = held.map_or(stored.id, |held| held.all()[0].id);
        if is_withdrawn {
            world.store.drop_response(&key, id);
        } else {
            world.put("/a", response(b"new"));
        }
        world.disk.set(|faults| faults.hangs = false);
        world.tier.settle();
        // One that comes again after it has left memory is written.
        let found = world.killed().body("/a");
        let is_sound = found.is_none() || !is_withdrawn && found == Some(b"new".to_vec());
        assert!(is_sound, "{found:?}");
    }
}

#[test]
fn a_response_that_was_coded_while_it_waited_is_written_all_the_same() {
    let (world, key) = (World::new(), key("/a", None));
    world.hold_writer();
    let head = StoredHead {
        may_be_coded: true,
        ..head_with(&["tag"])
    };
    let stored = world.put("/a", of_head(head, b"body"));
    world.tier.offer(&key, &stored);
    let body = StoredBody::new(vec![Bytes::from_static(b"coded")]);
    let added = world
        .store
        .add_coded(&key, &stored, ContentCoding::Br, &body);
    world.disk.set(|faults| faults.hangs = false);
    world.tier.settle();
    // The next 304 finds its content there.
    world.freshen("/a", &added.unwrap());
    world.tier.settle();
    assert_eq!(world.figures().written_heads, 2);
    assert_eq!(world.killed().body("/a"), Some(b"body".to_vec()));
}

/// A stored response gets its content in another coding.
fn code(world: &World, path: &str, stored: &StoredResponse) {
    let body = StoredBody::new(vec![Bytes::from_static(b"coded")]);
    let key = key(path, None);
    let added = world
        .store
        .add_coded(&key, stored, ContentCoding::Br, &body);
    assert!(added.is_some());
}

#[test]
fn a_variant_that_is_coded_while_it_is_written_leaves_the_others() {
    let world = World::new();
    world.put_and_write("/a", in_language("fr"));
    let stored = world.put_and_write("/a", in_language("en"));
    world.disk.set(|faults| faults.hangs = true);
    // The writer looks at the content that is there.
    let new = world.freshen("/a", &stored);
    world.disk.wait_until_hanging();
    code(&world, "/a", &new);
    world.disk.set(|faults| faults.hangs = false);
    world.tier.settle();
    let found = |world: &World| {
        let loaded = world.load(&key("/a", None)).into_iter();
        let mut found: Vec<_> = loaded
            .map(|loaded| loaded.response.body.pieces().concat())
            .collect();
        found.sort_unstable();
        found
    };
    assert_eq!(found(&world), [b"en", b"fr"]);
    assert_eq!(found(&world.killed()), [b"en", b"fr"]);
}

#[test]
fn a_new_head_that_waits_is_written_if_its_response_is_coded_meanwhile() {
    let (world, key) = (World::new(), key("/a", None));
    let head = |tag| StoredHead {
        may_be_coded: true,
        ..head_with(&[tag])
    };
    let stored = world.put_and_write("/a", of_head(head("old"), b"body"));
    world.hold_writer();
    let (new, watch) = (Arc::new(stored.with_head(head("new"))), world.watch(&key));
    world
        .store
        .replace(&key, stored.id, Arc::clone(&new), &watch);
    code(&world, "/a", &new);
    world.disk.set(|faults| faults.hangs = false);
    world.tier.settle();
    let held = world.store.peek(key.as_bytes()).unwrap();
    assert!(held.all()[0].disk.is_claimed());
    assert_eq!(world.figures().written_heads, 2, "of both pages");
    let found = world.killed().look_up("/a").unwrap();
    assert!(found.head.fields.tags().eq(["new"]));
    assert_eq!(found.body.pieces().concat(), b"body");
}

#[test]
fn a_copy_of_what_is_written_is_not_written_again() {
    let world = World::new();
    let head = StoredHead {
        may_be_coded: true,
        ..head_with(&["tag"])
    };
    let stored = world.put_and_write("/a", of_head(head, b"body"));
    code(&world, "/a", &stored);
    world.tier.settle();
    assert_eq!(world.figures().written, 1);
    assert_eq!(world.killed().body("/a"), Some(b"body".to_vec()));
}

#[test]
fn a_response_that_gets_a_new_head_while_it_waits_is_written_with_it() {
    let (world, key) = (World::new(), key("/a", None));
    world.hold_writer();
    let stored = world.put("/a", response(b"body"));
    world.tier.offer(&key, &stored);
    world.freshen("/a", &stored);
    world.disk.set(|faults| faults.hangs = false);
    world.tier.settle();
    assert_eq!(world.killed().body("/a"), Some(b"body".to_vec()));
}

#[test]
fn a_response_whose_second_use_comes_after_a_304_is_written() {
    let world = World::new();
    let stored = world.put("/a", response(b"a"));
    let wants_disk = |stored: &StoredResponse| {
        stored.uncounted_hits.swap(0, Ordering::Relaxed) & WANTS_DISK != 0
    };
    // The request that revalidates it has counted its hits.
    assert!(wants_disk(&stored));
    let new = world.freshen("/a", &stored);
    assert!(wants_disk(&new));
    world.write("/a", &new);
    let newer = world.freshen("/a", &new);
    assert!(!wants_disk(&newer), "it is written at once");
    assert_eq!(world.killed().body("/a"), Some(b"a".to_vec()));
}

#[test]
fn a_304_of_a_warmed_response_writes_a_head() {
    let world = World::new();
    let head = StoredHead {
        warm_run: crate::run_id::RunId::new(1),
        ..head_with(&["tag"])
    };
    let warmed = world.put("/a", of_head(head, &[7; 100_000]));
    world.tier.settle();
    let before = world.figures();
    assert_eq!((before.written, before.written_heads), (1, 0));
    world.freshen("/a", &warmed);
    world.tier.settle();
    let after = world.figures();
    assert_eq!((after.written, after.written_heads), (2, 1));
    assert!(after.bytes - before.bytes < 400);
    assert_eq!(world.killed().body("/a"), Some(vec![7; 100_000]));
}
