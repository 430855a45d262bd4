//! Disks that one process leaves to the next, and what comes before they are open there.

use super::*;

#[test]
fn a_process_leaves_its_disk_to_the_next_one() {
    let world = World::new();
    world.put_and_write("/a", response(b"a"));
    world.put_and_write("/b", response(b"b"));
    let (clock, folder) = (world.clock.clone(), Arc::clone(&world.folder));
    let next = not_open(&folder, &world.disk, &clock);
    let store = store_over(&folder, &next);
    assert!(next.open_now().unwrap_err().is_taken());
    assert!(!next.may_have(key("/a", None).as_bytes()));
    // A purge comes before the disk is there, and what is stored meanwhile.
    let scope = PurgeScope::Keys(vec![key("/a", None).as_bytes().to_vec()]);
    store.purge(&scope, PurgeMode::Hard, NOW);
    let early = Arc::new(response(b"early"));
    let watch = store.watch_purges(key("/c", None).as_bytes(), 0);
    store.insert(&key("/c", None), Arc::clone(&early), &watch);
    let late = world.put("/late", response(b"late"));
    world.tier.offer(&key("/late", None), &late);
    world.tier.hand_over();
    next.open_now().unwrap();
    next.offer(&key("/c", None), &early);
    next.settle();
    let next = World {
        folder,
        disk: world.disk.clone(),
        clock,
        tier: next,
        store,
    };
    // What was offered before is there; later nothing is written, and nothing found.
    world.put_and_write("/d", response(b"d"));
    world.evict("/b");
    assert_eq!(world.body("/b"), None);
    drop(world);
    let next = next.killed();
    assert_eq!(next.body("/a"), None, "purged");
    assert_eq!(next.body("/b"), Some(b"b".to_vec()));
    assert_eq!(next.body("/late"), Some(b"late".to_vec()));
    assert_eq!(next.body("/c"), Some(b"early".to_vec()));
    assert_eq!(next.body("/d"), None);
}

#[test]
fn what_was_replaced_or_withdrawn_before_the_disk_was_open_stays_away() {
    for is_withdrawn in [true, false] {
        let world = World::new();
        world.put_and_write("/a", response(b"old"));
        world.put_and_write("/b", response(b"b"));
        let (clock, folder) = (world.clock.clone(), Arc::clone(&world.folder));
        let next = not_open(&folder, &world.disk, &clock);
        let store = store_over(&folder, &next);
        let (key, other) = (key("/a", None), key("/b", None));
        let watch = store.watch_purges(key.as_bytes(), 0);
        let new = Arc::new(response(b"new"));
        store.insert(&key, Arc::clone(&new), &watch);
        if is_withdrawn {
            store.drop_response(&key, new.id);
        }
        // Memory makes room before it can be written.
        store.main.invalidate(&key);
        world.tier.hand_over();
        next.open_now().unwrap();
        assert!(!next.may_have(key.as_bytes()) && next.may_have(other.as_bytes()));
        let disk = world.disk.copy();
        drop((world, store, next));
        let world = World::on(&folder, &disk, clock);
        assert_eq!(world.body("/a"), None);
        assert_eq!(world.body("/b"), Some(b"b".to_vec()));
    }
}

#[test]
fn purges_that_a_disk_never_takes_count_for_everything_on_it() {
    let world = World::new();
    purge_on_closed_disk(&world, || {}, || {});
    assert_eq!(world.killed().body("/a"), None);
}

#[test]
fn purges_that_a_closed_disk_lacks_are_told_it_once_it_works() {
    let world = World::new();
    let fails = || {
        world
            .disk
            .set(|faults| faults.removals = Some(std::io::ErrorKind::Other));
    };
    let works = || world.disk.set(|faults| *faults = Default::default());
    purge_on_closed_disk(&world, fails, works);
    assert_eq!(world.killed().body("/a"), None);
}

/// Stores a response, and purges it where the disk is never opened. What happens to the disk `before` the
/// purge, and `after` it.
fn purge_on_closed_disk(world: &World, before: impl FnOnce(), after: impl FnOnce()) {
    world.put_and_write("/a", response(b"a"));
    let (clock, folder) = (world.clock.clone(), Arc::clone(&world.folder));
    let next = not_open(&folder, &world.disk, &clock);
    let store = store_over(&folder, &next);
    next.give_up();
    before();
    let scope = PurgeScope::Keys(vec![key("/a", None).as_bytes().to_vec()]);
    store.purge(&scope, PurgeMode::Hard, NOW);
    next.sync_purges();
    after();
}

#[test]
fn withdrawals_during_a_hand_over_are_written() {
    let world = World::new();
    let stored = world.put_and_write("/a", response(b"a"));
    world.put_and_write("/b", response(b"b"));
    // As a hand-over begins: the writer takes no more.
    world.tier.all()[0].end_writing();
    world.store.drop_response(&key("/a", None), stored.id);
    world.tier.hand_over();
    let world = world.restarted(ShimDisk::clone);
    assert_eq!(world.body("/a"), None);
    assert_eq!(world.body("/b"), Some(b"b".to_vec()), "it was not meant");
}

#[test]
fn changes_count_if_a_process_ends_before_it_has_its_disks() {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Change {
        Purge,
        Withdrawal,
        Replacement,
    }
    for (change, has_served) in [
        (Change::Purge, true),
        (Change::Withdrawal, true),
        (Change::Replacement, true),
        (Change::Withdrawal, false),
    ] {
        let world = World::new();
        world.put_and_write("/a", response(b"a"));
        let (clock, folder) = (world.clock.clone(), Arc::clone(&world.folder));
        let next = not_open(&folder, &world.disk, &clock);
        let (store, key) = (store_over(&folder, &next), key("/a", None));
        let scope = PurgeScope::Keys(vec![key.as_bytes().to_vec()]);
        if change == Change::Purge {
            store.purge(&scope, PurgeMode::Hard, NOW);
        } else {
            let (watch, new) = (store.watch_purges(key.as_bytes(), 0), response(b"new"));
            let new = Arc::new(new);
            store.insert(&key, Arc::clone(&new), &watch);
            if change == Change::Withdrawal {
                store.drop_response(&key, new.id);
            }
        }
        if has_served {
            next.close();
        }
        world.tier.close();
        if has_served {
            assert!(next.open_now().unwrap().is_empty(), "it has ended");
        }
        drop((store, next));
        let found = world.restarted(ShimDisk::clone).body("/a");
        let may_stay = change == Change::Replacement || !has_served;
        assert_eq!(found.is_some(), may_stay);
    }
}

#[test]
fn withdrawals_outlive_the_purges_that_another_process_has_carried_out() {
    let world = World::new();
    world.put_and_write("/a", response(b"a"));
    world.put_and_write("/b", response(b"b"));
    let (clock, folder) = (world.clock.clone(), Arc::clone(&world.folder));
    let next = not_open(&folder, &world.disk, &clock);
    let (store, key, other) = (store_over(&folder, &next), key("/a", None), key("/b", None));
    let (watch, new) = (store.watch_purges(key.as_bytes(), 0), response(b"new"));
    let new = Arc::new(new);
    store.insert(&key, Arc::clone(&new), &watch);
    store.drop_response(&key, new.id);
    store.purge(&PurgeScope::Site(0), PurgeMode::Hard, NOW);
    next.drop_early_purges();
    world.tier.hand_over();
    next.open_now().unwrap();
    assert!(!next.may_have(key.as_bytes()));
    assert_eq!(next.load_at_once(other.as_bytes()).unwrap().len(), 1);
}

#[test]
fn a_disk_that_fails_when_it_is_opened_is_tried_once() {
    let world = World::new();
    let paths = ["/a", "/b", "/c"];
    for path in paths {
        world.put_and_write(path, response(b"old"));
    }
    let (clock, folder) = (world.clock.clone(), Arc::clone(&world.folder));
    let next = not_open(&folder, &world.disk, &clock);
    world.tier.hand_over();
    next.open_now().unwrap();
    let disk = world.disk.clone();
    disk.set(|faults| faults.file_writes = Some(std::io::ErrorKind::Other));
    let outdated = paths.iter().map(|path| key(path, None)).collect();
    next.open.get().unwrap().end_outdated(&outdated);
    let figures = next.figures().remove(0);
    assert!(figures.has_failed && figures.failures == 1, "{figures:?}");
    disk.set(|faults| *faults = Default::default());
    clock.advance(Duration::from_secs(20));
    next.keep();
    next.settle();
    assert!(!next.figures()[0].has_failed);
    let disk = disk.copy();
    drop((world, next));
    let world = World::on(&folder, &disk, clock);
    for path in paths {
        assert_eq!(world.body(path), None, "the withdrawal was written later");
    }
}
