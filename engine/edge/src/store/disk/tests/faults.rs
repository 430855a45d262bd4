//! Disks that fail, fill up, are slow or read-only, and the erasing of what was purged.

use std::io;

use super::*;

/// Waits until the threads of the disk have done what was asked of them.
fn settle(world: &World) {
    world.tier.settle();
    wait_until(|| !world.tier.is_erasing());
}

#[test]
fn a_disk_that_fails_is_left_out_and_used_again_when_it_works() {
    let world = World::new();
    world.put_and_write("/a", response(b"a"));
    world.put_and_write("/b", response(b"b"));
    world.evict("/a");
    world.disk.set(|faults| {
        faults.reads = Some(io::ErrorKind::Other);
        faults.writes = Some(io::ErrorKind::Other);
    });
    assert_eq!(world.body("/a"), None);
    let figures = world.figures();
    assert!(figures.has_failed && figures.failures == 1);
    // The edge goes on from memory, and purges hold.
    assert_eq!(world.body("/b"), Some(b"b".to_vec()));
    world.purge("/b", PurgeMode::Hard);
    world.put_and_write("/c", response(b"c"));
    for _ in 0..2 {
        world.clock.advance(Duration::from_secs(20));
        world.tier.keep();
        world.tier.settle();
        assert!(world.figures().has_failed);
    }
    world.disk.set(|faults| *faults = Default::default());
    world.tier.keep();
    assert!(world.figures().has_failed, "the rest has not passed");
    world.clock.advance(Duration::from_secs(40));
    world.tier.keep();
    world.tier.settle();
    assert!(!world.figures().has_failed);
    assert_eq!(world.body("/a"), Some(b"a".to_vec()));
    assert_eq!(world.body("/b"), None);
    let world = world.killed();
    assert_eq!(world.body("/b"), None, "the purge was written later");
    assert_eq!(world.body("/a"), Some(b"a".to_vec()));
}

#[test]
fn a_purge_that_cannot_be_written_counts_for_everything_after_a_start() {
    for fault in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
        let world = World::new();
        world.put_and_write("/a", response(b"a"));
        world.put_and_write("/b", response(b"b"));
        // Removing a file works still.
        world.disk.set(|faults| faults.file_writes = Some(fault));
        world.purge("/a", PurgeMode::Hard);
        world.disk.set(|faults| *faults = Default::default());
        let world = world.killed();
        assert_eq!((world.body("/a"), world.body("/b")), (None, None));
        world.put_and_write("/a", response(b"new"));
        assert_eq!(world.killed().body("/a"), Some(b"new".to_vec()));
    }
}

#[test]
fn a_disk_that_works_again_too_late_for_a_trial_does_not_forget_a_purge() {
    let world = World::new();
    world.put_and_write("/a", response(b"a"));
    // Not even the file of purges can be removed.
    world
        .disk
        .set(|faults| faults.writes = Some(io::ErrorKind::Other));
    world.purge("/a", PurgeMode::Hard);
    world.disk.set(|faults| *faults = Default::default());
    assert!(world.figures().has_failed);
    assert_eq!(world.closed().body("/a"), None);
}

fn purge_others(world: &World, times: usize) {
    let now = world.clock.now();
    for number in 0..times {
        let other = key(&format!("/other-{}", number % 10), None);
        let scope = PurgeScope::Keys(vec![other.as_bytes().to_vec()]);
        world.store.purge(&scope, PurgeMode::Hard, now);
    }
    world.tier.settle();
}

#[test]
fn the_file_of_purges_stays_short_and_a_disk_stays_in_use_where_it_cannot() {
    let world = World::new();
    world.put_and_write("/a", response(b"a"));
    world.put_and_write("/b", response(b"b"));
    let file = world.folder.path().join("0/purges");
    let purge_many = || {
        purge_others(&world, 12_000);
        world.disk.bytes(&file).len()
    };
    let short = purge_many();
    assert!(short < 300 << 10, "{short}");
    world
        .disk
        .set(|faults| faults.creations = Some(io::ErrorKind::Other));
    let long = purge_many() + purge_many();
    assert!(long > 512 << 10, "{long}");
    assert!(!world.figures().has_failed);
    world.purge("/a", PurgeMode::Hard);
    world.disk.set(|faults| *faults = Default::default());
    let world = world.killed();
    assert_eq!(world.body("/a"), None);
    assert_eq!(world.body("/b"), Some(b"b".to_vec()));
}

#[test]
fn a_file_of_purges_that_may_have_lost_its_name_is_not_used() {
    let world = World::new();
    world.put_and_write("/a", response(b"a"));
    world.put_and_write("/b", response(b"b"));
    world
        .disk
        .set(|faults| faults.folder_syncs = Some(io::ErrorKind::Other));
    // The file of purges is written anew, and no purge comes after that.
    let file = world.folder.path().join("0/purges");
    let length = || world.disk.bytes(&file).len();
    purge_others(&world, 10_000);
    let long = length();
    let is_written_anew = |_| {
        purge_others(&world, 1);
        length() < long
    };
    assert!((0..1_000).any(is_written_anew));
    assert!(world.figures().has_failed);
    world.disk.set(|faults| *faults = Default::default());
    world.purge("/a", PurgeMode::Hard);
    world.clock.advance(Duration::from_secs(20));
    world.tier.keep();
    world.tier.settle();
    assert!(!world.figures().has_failed);
    let world = world.closed();
    assert_eq!(world.body("/a"), None);
    assert_eq!(world.body("/b"), Some(b"b".to_vec()));
}

/// A response that is on the disk for certain.
fn with_durable() -> World {
    let world = World::new();
    world.put_and_write("/a", response(b"a"));
    let world = world.closed().without_power();
    assert_eq!(world.body("/a"), Some(b"a".to_vec()));
    world
}

#[test]
fn a_power_failure_brings_no_file_back_that_lacks_purges() {
    let other = Some(io::ErrorKind::Other);
    // The purge can't be written.
    let world = with_durable();
    world.disk.set(|faults| faults.file_writes = other);
    world.purge("/a", PurgeMode::Hard);
    assert_eq!(world.without_power().body("/a"), None);
    // Its file can be removed later alone, when the disk is left.
    let world = with_durable();
    world.disk.set(|faults| {
        faults.file_writes = other;
        faults.folder_syncs = other;
    });
    world.purge("/a", PurgeMode::Hard);
    world.disk.set(|faults| faults.folder_syncs = None);
    world.tier.close();
    assert_eq!(world.without_power().body("/a"), None);
    // A withdrawal can't be written.
    let world = with_durable();
    let stored = world.look_up("/a").unwrap();
    world.disk.set(|faults| faults.file_writes = other);
    world.store.drop_response(&key("/a", None), stored.id);
    world.tier.close();
    assert_eq!(world.without_power().body("/a"), None);
}

#[test]
fn a_power_failure_brings_no_file_back_of_a_disk_that_stays_closed() {
    for fault in [None, Some(io::ErrorKind::Other)] {
        let world = with_durable();
        let (clock, folder) = (world.clock.clone(), Arc::clone(&world.folder));
        let next = not_open(&folder, &world.disk, &clock);
        let store = store_over(&folder, &next);
        next.give_up();
        world.disk.set(|faults| faults.folder_syncs = fault);
        let scope = PurgeScope::Keys(vec![key("/a", None).as_bytes().to_vec()]);
        store.purge(&scope, PurgeMode::Hard, NOW);
        next.sync_purges();
        world.disk.set(|faults| *faults = Default::default());
        if fault.is_some() {
            // It is tried again.
            next.close();
        }
        let world = world.without_power();
        assert_eq!(world.body("/a"), None);
    }
}

#[test]
fn what_is_withdrawn_while_a_disk_is_left_out_stays_away_after_a_start() {
    for recovers in [true, false] {
        let world = World::new();
        let stored = world.put_and_write("/a", response(b"a"));
        world.put_and_write("/b", response(b"b"));
        world
            .disk
            .set(|faults| faults.file_writes = Some(io::ErrorKind::Other));
        world.put_and_write("/c", response(b"c"));
        assert!(world.figures().has_failed);
        world.store.drop_response(&key("/a", None), stored.id);
        world.tier.settle();
        if recovers {
            world.disk.set(|faults| *faults = Default::default());
            world.clock.advance(Duration::from_secs(20));
            world.tier.keep();
            world.tier.settle();
            assert!(!world.figures().has_failed);
        }
        let world = world.restarted(|disk| {
            disk.set(|faults| *faults = Default::default());
            disk.clone()
        });
        assert_eq!(world.body("/a"), None);
        assert_eq!(world.body("/b").is_some(), recovers);
    }
}

#[test]
fn what_a_failing_disk_has_left_out_is_written_when_it_works_again() {
    let world = World::new();
    world
        .disk
        .set(|faults| faults.file_writes = Some(io::ErrorKind::Other));
    let all = ["/a", "/b"].map(|path| {
        let stored = world.put(path, response(path.as_bytes()));
        world.tier.offer(&key(path, None), &stored);
        stored
    });
    world.tier.settle();
    assert!(world.figures().has_failed);
    assert!(!all.iter().any(|stored| stored.disk.is_claimed()));
    world.disk.set(|faults| *faults = Default::default());
    world.clock.advance(Duration::from_secs(20));
    world.tier.keep();
    world.tier.settle();
    for (path, stored) in ["/a", "/b"].into_iter().zip(&all) {
        world.write(path, stored);
    }
    let world = world.killed();
    assert!(world.body("/a").is_some() && world.body("/b").is_some());
}

#[test]
fn a_disk_that_is_left_out_takes_no_large_content() {
    let world = World::new();
    let path = key("/a", None);
    assert!(world.tier.max_object(path.as_bytes()) > MAX_OBJECT);
    world
        .disk
        .set(|faults| faults.writes = Some(io::ErrorKind::Other));
    world.put_and_write("/b", response(b"b"));
    assert!(world.figures().has_failed);
    assert_eq!(world.tier.max_object(path.as_bytes()), 0);
}

#[test]
fn a_read_only_disk_is_left_out() {
    let world = World::new();
    world.put_and_write("/a", response(b"a"));
    let read_only = Some(io::ErrorKind::ReadOnlyFilesystem);
    world.disk.set(|faults| faults.writes = read_only);
    world.put_and_write("/b", response(b"b"));
    assert!(world.figures().has_failed);
    world.evict("/a");
    assert_eq!(world.body("/a"), None);
    // It can't be opened either.
    let (folder, disk) = (Arc::clone(&world.folder), world.disk.clone());
    let clock = world.clock.clone();
    drop(world);
    let tier = not_open(&folder, &disk, &clock);
    assert!(
        tier.open_now()
            .unwrap_err()
            .to_string()
            .contains("read-only")
    );
    disk.set(|faults| faults.writes = None);
    tier.open_now().unwrap();
}

#[test]
fn a_full_disk_gives_its_oldest_responses_away_and_still_takes_purges() {
    let world = World::new();
    // Two segments of 16 MiB, and some.
    world.disk.set(|faults| faults.room = Some(34 << 20));
    let body = vec![1; 120_000];
    for number in 0..500 {
        let path = format!("/{number}");
        world.put_and_write(&path, response(&body));
        world.purge(&format!("/other-{number}"), PurgeMode::Hard);
    }
    let figures = world.figures();
    assert!(!figures.has_failed, "{figures:?}");
    assert!(figures.removed_for_full_disk > 0 && figures.records > 100);
    assert!(world.disk.size() <= 34 << 20);
    world.purge("/499", PurgeMode::Hard);
    let world = world.killed();
    assert_eq!(world.body("/499"), None);
    assert_eq!(world.body("/498"), Some(body));
    assert_eq!(world.body("/1"), None);
}

#[test]
fn a_slow_disk_is_skipped() {
    let world = World::new();
    world.put_and_write("/a", response(b"a"));
    world.evict("/a");
    world.disk.set(|faults| {
        faults.is_cold = true;
        faults.hangs = true;
    });
    let path = key("/a", None);
    assert!(world.tier.load_at_once(path.as_bytes()).is_none());
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let (reply, answer) = oneshot::channel();
        world.tier.load(path.as_bytes(), reply);
        waiting.push(answer);
        world.tier.count_skipped(path.as_bytes(), true);
    }
    assert!(world.figures().is_slow);
    // Nothing waits for it now.
    let (reply, answer) = oneshot::channel();
    world.tier.load(path.as_bytes(), reply);
    assert!(answer.blocking_recv().is_err());
    world.disk.set(|faults| *faults = Default::default());
    for answer in waiting {
        assert_eq!(answer.blocking_recv().unwrap().len(), 1);
    }
    assert_eq!(world.body("/a"), Some(b"a".to_vec()));
    world.clock.advance(Duration::from_secs(1));
    assert!(!world.figures().is_slow);
}

#[test]
fn a_disk_that_answers_too_late_each_time_is_slow() {
    let world = World::new();
    world.put_and_write("/a", response(b"a"));
    world.evict("/a");
    let path = key("/a", None);
    for look_up in 1..=8 {
        world.disk.set(|faults| {
            faults.is_cold = true;
            faults.hangs = true;
        });
        let (reply, answer) = oneshot::channel();
        world.tier.load(path.as_bytes(), reply);
        world.disk.wait_until_hanging();
        // The request gives up, and the answer comes after that.
        drop(answer);
        world.tier.count_skipped(path.as_bytes(), true);
        world.disk.set(|faults| faults.hangs = false);
        wait_until(|| world.figures().hits >= look_up);
        assert_eq!(world.figures().is_slow, look_up == 8, "{look_up}");
    }
}

/// Whether these bytes are in any file of the disk.
fn is_on_disk(world: &World, bytes: &[u8]) -> bool {
    let has = |path: &PathBuf| {
        let written = world.disk.bytes(path);
        written.windows(bytes.len()).any(|window| window == bytes)
    };
    world.disk.paths().iter().any(has)
}

#[test]
fn what_was_purged_is_erased_within_its_time() {
    let (secret, kept) = (
        b"a page that must be forgotten",
        b"a page that may stay.........",
    );
    let mut world = World::new();
    world.put_and_write("/gone", response(secret));
    world.put_and_write("/kept", response(kept));
    let days = |days: u64| Duration::from_secs(days * 86_400);
    world.tier.keep();
    assert!(!world.tier.is_erasing(), "nothing was purged");
    world.purge("/gone", PurgeMode::Hard);
    world.purge("/kept", PurgeMode::Soft);
    world.clock.advance(days(3));
    world.tier.keep();
    settle(&world);
    assert!(is_on_disk(&world, secret), "it is early");
    // A start in between changes nothing.
    world = world.killed();
    world.clock.advance(days(1));
    world.tier.keep();
    settle(&world);
    assert!(!is_on_disk(&world, secret) && is_on_disk(&world, kept));
    assert_eq!(world.figures().erased, 1);
    assert_eq!(world.body("/kept"), Some(kept.to_vec()));
    world.clock.advance(days(30));
    world.tier.keep();
    settle(&world);
    assert_eq!(world.figures().erased, 1, "it is done once");
    // The next purge is another matter.
    world.purge("/kept", PurgeMode::Hard);
    world.clock.advance(days(4));
    world.tier.keep();
    settle(&world);
    assert!(!is_on_disk(&world, kept));
}

#[test]
fn a_sync_that_failed_leaves_nothing_of_what_was_purged_after_the_next_start() {
    let secret = b"a page that must be forgotten";
    let mut world = World::new();
    world.put_and_write("/gone", response(secret));
    world = world.closed();
    world.purge("/gone", PurgeMode::Hard);
    world.clock.advance(Duration::from_secs(4 * 86_400));
    world
        .disk
        .set(|faults| faults.syncs = Some(io::ErrorKind::Other));
    world.tier.keep();
    settle(&world);
    assert!(world.figures().has_failed);
    assert!(!is_on_disk(&world, secret), "the system's memory has it so");
    world = world.killed();
    world.tier.keep();
    settle(&world);
    assert!(!is_on_disk(&world.without_power(), secret));
}

/// Writes so much that a segment is full.
fn fill_segment(world: &World) {
    for number in 0..140 {
        let path = format!("/filler-{number}");
        world.put_and_write(&path, response(&[7; 120 << 10]));
    }
}

/// A world with a page that was withdrawn, which only the newest segment tells, and that can't be synced.
fn withdrawn_without_sync() -> World {
    let world = World::new();
    let gone = world.put_and_write("/gone", response(b"gone"));
    fill_segment(&world);
    world.store.drop_response(&key("/gone", None), gone.id);
    world.tier.settle();
    world
        .disk
        .set(|faults| faults.syncs = Some(io::ErrorKind::Other));
    world
}

#[test]
fn a_withdrawal_of_a_segment_that_was_not_synced_is_written_again() {
    let world = withdrawn_without_sync();
    fill_segment(&world);
    assert!(world.figures().has_failed);
    world.disk.set(|faults| *faults = Default::default());
    world.clock.advance(Duration::from_secs(20));
    world.tier.keep();
    world.tier.settle();
    assert!(!world.figures().has_failed);
    fill_segment(&world);
    let world = world.without_power();
    assert!(world.body("/filler-1").is_some());
    assert_eq!(world.body("/gone"), None);
}

#[test]
fn a_withdrawal_that_cannot_be_synced_at_the_end_counts_for_everything() {
    let world = withdrawn_without_sync();
    world.tier.close();
    world.disk.set(|faults| *faults = Default::default());
    let world = world.without_power();
    assert_eq!(world.body("/gone"), None);
}

#[test]
fn a_clock_that_was_set_back_has_purged_records_erased_at_once() {
    let world = World::new();
    let secret = b"a page that must be forgotten";
    world.put_and_write("/gone", response(secret));
    world.purge("/gone", PurgeMode::Hard);
    let earlier = Timestamp::from_unix_millis(NOW.unix_millis() - 1_000_000);
    world.clock.set_wall(earlier);
    world.tier.keep();
    settle(&world);
    assert!(!is_on_disk(&world, secret));
}
