//! Variants of a key on a disk: one that was replaced doesn't come back when its successor goes.

use super::*;

/// A variant of a language with other content and surrogate keys.
fn variant(language: &'static str, body: &[u8], tags: &[&'static str]) -> StoredResponse {
    let head = StoredHead {
        secondary_key: in_language(language).head.secondary_key,
        ..head_with(tags)
    };
    of_head(head, body)
}

/// What is found on the disk alone, the latest first.
fn found(world: &World) -> Vec<Vec<u8>> {
    let loaded = world.load(&key("/page", None)).into_iter();
    let bodies = loaded.map(|loaded| loaded.response.body.pieces().concat());
    bodies.collect()
}

fn purge_tag(world: &World, tag: &str) {
    let scope = PurgeScope::Tag {
        site: None,
        tag: tag.to_owned(),
    };
    world
        .store
        .purge(&scope, PurgeMode::Hard, world.clock.now());
    world.tier.sync_purges();
}

/// Two versions of a variant, of which the newer one alone has the surrogate key "sale", and another
/// variant.
fn with_two_versions() -> World {
    let world = World::new();
    world.put_and_write("/page", variant("fr", b"fr", &["page"]));
    world.put_and_write("/page", variant("en", b"old", &["page"]));
    world.put_and_write("/page", variant("en", b"new", &["page", "sale"]));
    world
}

#[test]
fn a_purge_of_a_variant_does_not_bring_its_predecessor_back() {
    let world = with_two_versions();
    purge_tag(&world, "sale");
    assert_eq!(found(&world), [b"fr"]);
    assert_eq!(found(&world), [b"fr"], "at the next look-up");
    let world = world.closed();
    assert_eq!(found(&world), [b"fr"], "after a start");
}

#[test]
fn a_purge_does_not_bring_a_predecessor_back_that_has_to_be_waited_for() {
    let world = with_two_versions();
    purge_tag(&world, "sale");
    let key = key("/page", None);
    world.disk.set(|faults| faults.is_cold = true);
    assert!(world.tier.load_at_once(key.as_bytes()).is_none());
    world.disk.set(|faults| faults.is_cold = false);
    assert_eq!(found(&world), [b"fr"]);
}

#[test]
fn a_response_for_all_requests_does_not_come_back_when_its_variants_are_purged() {
    let world = World::new();
    world.put_and_write("/page", of_head(head_with(&["page"]), b"for all"));
    world.put_and_write("/page", variant("en", b"en", &["page", "sale"]));
    purge_tag(&world, "sale");
    assert!(found(&world).is_empty());
    assert!(found(&world).is_empty(), "at the next look-up");
}

#[test]
fn erasing_a_variant_does_not_bring_its_predecessor_back() {
    let world = with_two_versions();
    purge_tag(&world, "sale");
    world.clock.advance(Duration::from_secs(4 * 86_400));
    world.tier.keep();
    wait_until(|| !world.tier.is_erasing());
    assert_eq!(world.figures().erased, 1);
    let all = found(&world);
    assert!(!all.contains(&b"old".to_vec()), "{all:?}");
}

#[test]
fn many_older_variants_go_with_one_that_was_purged() {
    let world = World::new();
    for _ in 0..40 {
        world.put_and_write("/page", variant("en", b"old", &["page"]));
    }
    world.put_and_write("/page", variant("en", b"new", &["sale"]));
    purge_tag(&world, "sale");
    assert!(found(&world).is_empty());
    assert!(found(&world).is_empty(), "at the next look-up");
}

#[test]
fn a_new_head_names_no_content_of_an_older_version() {
    let world = World::new();
    // Both are alike up to the end of the first piece.
    let content = |last: u8| [vec![7; 66_000], vec![last]].concat();
    world.put_and_write("/page", variant("en", &content(1), &["page"]));
    let new = world.put_and_write("/page", variant("en", &content(2), &["page"]));
    damage_key(&world.disk, 2);
    world.freshen("/page", &new);
    world.tier.settle();
    world.evict("/page");
    assert_eq!(found(&world), [content(2)]);
}

#[test]
fn an_older_variant_is_not_found_after_memory_has_had_a_newer_one() {
    let world = World::new();
    world.put_and_write("/page", variant("fr", b"fr", &["page"]));
    world.put_and_write("/page", variant("en", b"old", &["page"]));
    // It leaves memory without a use, and isn't written.
    world.put("/page", variant("en", b"new", &["page"]));
    world.evict("/page");
    assert_eq!(found(&world), [b"fr"]);
    assert_eq!(found(&world), [b"fr"], "at the next look-up");
    // What comes later is found as ever.
    world.put_and_write("/page", variant("en", b"newest", &["page"]));
    world.evict("/page");
    assert_eq!(found(&world), [&b"newest"[..], b"fr"]);
}

#[test]
fn a_response_for_all_requests_is_not_found_after_memory_has_had_a_variant() {
    let world = World::new();
    world.put_and_write("/page", of_head(head_with(&["page"]), b"for all"));
    world.put("/page", variant("en", b"en", &["page"]));
    world.evict("/page");
    assert!(found(&world).is_empty());
}

#[test]
fn an_older_variant_that_waits_is_not_written_after_memory_has_had_a_newer_one() {
    let world = World::new();
    let page = key("/page", None);
    world.hold_writer();
    let old = world.put("/page", variant("en", b"old", &["page"]));
    world.tier.offer(&page, &old);
    world.store.main.invalidate(&page);
    world.put("/page", variant("en", b"new", &["page"]));
    world.evict("/page");
    world.disk.set(|faults| faults.hangs = false);
    world.tier.settle();
    assert!(found(&world).is_empty());
}

#[test]
fn a_variant_of_which_a_newer_one_was_withdrawn_stays_away_after_a_start() {
    let world = World::new();
    world.put_and_write("/page", variant("en", b"old", &["page"]));
    let new = world.put("/page", variant("en", b"new", &["page"]));
    assert!(found(&world).is_empty());
    world.store.drop_response(&key("/page", None), new.id);
    let world = world.closed();
    assert!(found(&world).is_empty());
}

/// Damages the key of the record of this number, from 1.
fn damage_key(disk: &ShimDisk, number: usize) {
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|end| end == "segment");
    let path = disk.paths().into_iter().find(is_segment).unwrap();
    let bytes = disk.bytes(&path);
    let records = bytes.windows(8).enumerate();
    let mut records = records.filter(|(_, bytes)| *bytes == b"\xf1TEROREC");
    let (at, _) = records.nth(number - 1).unwrap();
    let file = files::FileSystem::open(disk, &path).unwrap();
    file.write_all_at(&[bytes[at + 64] ^ 1], at as u64 + 64)
        .unwrap();
}
