//! Content that is too large for memory: it streams to the disk, and from it.

use super::*;
use crate::store::disk::read_ahead::READ_AHEAD_BYTES;
use crate::store::fill::{BudgetShare, FillBudget};
use crate::store::stored::{ContentError, OutsideContent};

fn bytes(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Streams content to the disk, in pieces as a next hop sends them.
fn spool(world: &World, path: &str, content: &[u8]) -> bool {
    let key = key(path, None);
    let watch = world.watch(&key);
    let length = content.len() as u64;
    let Some(mut spool) = world.tier.spool(key.as_bytes(), Some(length)) else {
        return false;
    };
    for piece in content.chunks(9_000) {
        spool.push(piece);
        world.tier.settle();
    }
    let is_taken = spool.finish(&key, head_with(&["tag"]), watch.mark());
    world.tier.settle();
    is_taken
}

fn outside(world: &World, path: &str) -> Option<Arc<dyn OutsideContent>> {
    let found = world.look_up(path)?;
    Some(Arc::clone(found.body.as_outside()?))
}

/// Reads a range, piece by piece.
fn read(content: &dyn OutsideContent, from: u64) -> Result<Vec<u8>, ContentError> {
    let mut read = Vec::new();
    while from + (read.len() as u64) < content.length() {
        let piece = content.read_at_once(from + read.len() as u64)?;
        read.extend_from_slice(&piece.expect("it is in memory"));
    }
    Ok(read)
}

#[test]
fn large_content_streams_to_the_disk_and_is_read_from_anywhere() {
    let mut world = World::new();
    let content = bytes(3_000_001);
    assert!(spool(&world, "/large", &content));
    for _ in 0..2 {
        let outside = outside(&world, "/large").expect("it is not read into memory");
        assert_eq!(outside.length(), content.len() as u64);
        for from in [0, 1, 65_535, 65_536, 262_143, 262_144, 2_999_999, 3_000_000] {
            assert_eq!(
                read(&*outside, from as u64).unwrap(),
                content[from..],
                "{from}"
            );
        }
        let ahead = Arc::clone(&outside).read_ahead(65_530, 3);
        let ahead = ahead.blocking_recv().unwrap().unwrap();
        assert_eq!(
            ahead.iter().map(Bytes::len).collect::<Vec<_>>(),
            [6, 65_536, 65_536]
        );
        assert_eq!(ahead.concat(), content[65_530..65_536 + 2 * 65_536]);
        assert!(outside.is_found());
        drop(outside);
        world = world.killed();
    }
    world.purge("/large", PurgeMode::Hard);
    assert!(outside(&world, "/large").is_none());
}

#[test]
fn what_is_read_ahead_for_all_clients_is_bounded() {
    const PIECE: usize = 65_536;
    let world = World::new();
    let content = bytes(100 * PIECE);
    assert!(spool(&world, "/large", &content));
    let outside = outside(&world, "/large").unwrap();
    let ahead = |from: usize, pieces| {
        let read = Arc::clone(&outside).read_ahead((from * PIECE) as u64, pieces);
        read.blocking_recv().unwrap().unwrap()
    };
    let used = || world.tier.shared.read_ahead.used();
    let all = (READ_AHEAD_BYTES / PIECE as u64) as usize;
    // Clients that take nothing.
    let mut slow: Vec<_> = (0..all / 64).map(|_| ahead(0, 64)).collect();
    assert!(slow.iter().all(|pieces| pieces.len() == 64));
    assert_eq!(used(), READ_AHEAD_BYTES);
    assert!(!outside.has_room_ahead());
    let last = ahead(99, 4);
    assert_eq!(last.concat(), content[99 * PIECE..]);
    assert_eq!(ahead(7, 64).len(), 1);
    // Also what is on its way to the client counts.
    let on_its_way = slow.pop().unwrap().pop();
    assert!(outside.has_room_ahead());
    assert_eq!(ahead(7, 64).len(), 62);
    drop((slow, last, on_its_way));
    assert_eq!(ahead(99, 64).len(), 1, "it ends there");
    assert_eq!(used(), 0);
}

#[test]
fn content_that_has_to_be_waited_for_is_not_read_before() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, files) = (Clock::by_hand(NOW), ShimDisk::default());
    let cache = config::Cache {
        max_object: 1 << 20,
        ..settings(&folder, 1)
    };
    let tier = DiskTier::to_be_opened(&cache, &clock, Arc::new(files.clone())).unwrap();
    tier.name_sites(vec!["site".into()]);
    tier.open_now().unwrap();
    for (length, is_at_once) in [
        (250 << 10, true),
        (256 << 10, true),
        (257 << 10, false),
        (310 << 10, false),
        (600 << 10, false),
    ] {
        let (key, content) = (key(&format!("/{length}"), None), bytes(length));
        tier.offer(&key, &Arc::new(response(&content)));
        tier.settle();
        files.set(|faults| faults.read_at_once = 0);
        let loaded = tier.load_at_once(key.as_bytes());
        let mut read = 0;
        files.set(|faults| read = faults.read_at_once);
        match loaded {
            Some(loaded) => assert_eq!(loaded[0].response.body.pieces().concat(), content),
            None => assert!(read < 80 << 10, "{read} of {length}"),
        }
        assert_eq!(read >= length as u64, is_at_once, "{length}");
    }
}

#[test]
fn content_is_taken_up_to_the_bound_of_the_disk() {
    let world = World::new();
    let path = key("/a", None);
    // An eighth of 64 MiB.
    assert_eq!(world.tier.max_object(path.as_bytes()), 8 << 20);
    assert!(world.tier.spool(path.as_bytes(), Some(8 << 20)).is_some());
    assert!(
        world
            .tier
            .spool(path.as_bytes(), Some((8 << 20) + 1))
            .is_none()
    );
}

#[test]
fn content_that_ends_early_is_not_stored() {
    let world = World::new();
    let (path, content) = (key("/a", None), bytes(1_000_000));
    let mut spool = world.tier.spool(path.as_bytes(), Some(1_000_001)).unwrap();
    spool.push(&content);
    assert!(!spool.finish(&path, head_with(&[]), 0));
    world.tier.settle();
    let spool = world.tier.spool(path.as_bytes(), Some(1_000_001)).unwrap();
    drop(spool);
    world.tier.settle();
    assert!(world.look_up("/a").is_none());
}

#[test]
fn buffers_of_many_streams_stay_within_the_queue() {
    let world = World::new();
    let spool = |number: usize| {
        let path = key(&format!("/{number}"), None);
        world.tier.spool(path.as_bytes(), Some(4 << 20))
    };
    let spools: Vec<_> = (0..100).filter_map(spool).collect();
    // 8 MiB for buffers of 256 KiB.
    assert_eq!(spools.len(), 32);
    drop(spools);
    assert!(spool(0).is_some());
}

#[test]
fn only_one_response_of_a_key_streams_to_the_disk_at_a_time() {
    let world = World::new();
    let (a, b) = (key("/a", None), key("/b", None));
    let of = |key: &Key| world.tier.spool(key.as_bytes(), Some(1_000_000));
    let mut first = of(&a).unwrap();
    assert!(of(&a).is_none() && of(&b).is_some());
    let content = bytes(1_000_000);
    first.push(&content);
    assert!(first.finish(&a, head_with(&["tag"]), 0));
    world.tier.settle();
    assert!(of(&a).is_some());
}

#[test]
fn content_of_unknown_length_streams_to_the_disk_after_what_memory_kept() {
    let world = World::new();
    let (path, content) = (key("/a", None), bytes(1_000_000));
    let budget = FillBudget::new(1 << 20);
    for most in [false, true] {
        let mut spool = world.tier.spool(path.as_bytes(), None).unwrap();
        let (first, rest) = content.split_at(200_001);
        let pieces = vec![
            Bytes::copy_from_slice(&first[..7]),
            Bytes::copy_from_slice(&first[7..]),
        ];
        let memory = BudgetShare::keep(&budget, 200_001);
        spool.begin_with(pieces, memory);
        rest.chunks(100_000).for_each(|piece| spool.push(piece));
        if most {
            // More than the disk takes of one response.
            spool.push(&vec![0; 8 << 20]);
        }
        assert_eq!(spool.finish(&path, head_with(&["tag"]), 0), !most);
        world.tier.settle();
        assert_eq!(budget.used(), 0, "the memory is given back");
        let outside = outside(&world, "/a").expect("it is stored");
        assert!(read(&*outside, 0).unwrap() == content);
    }
    let world = world.killed();
    let outside = outside(&world, "/a").expect("it outlives a start");
    assert!(read(&*outside, 65_530).unwrap() == content[65_530..]);
}

/// A disk with a queue for four pieces: parts have one piece each.
fn with_short_parts(folder: &tempfile::TempDir) -> DiskTier {
    let mut settings = settings(folder, 1);
    settings.disks[0] = config::CacheDisk {
        size: 64 << 30,
        max_object: 4 << 30,
        write_queue: 256 << 10,
        ..settings.disks[0].clone()
    };
    let files = Arc::new(ShimDisk::default());
    let tier = DiskTier::to_be_opened(&settings, &Clock::by_hand(NOW), files).unwrap();
    tier.name_sites(vec!["site".into()]);
    tier.open_now().unwrap();
    tier
}

#[test]
fn content_has_no_more_parts_than_a_record_can_name() {
    const PIECE: u64 = 64 << 10;
    let folder = tempfile::tempdir().unwrap();
    let (tier, key) = (with_short_parts(&folder), key("/a", None));
    // One part is for the beginning.
    let most = 4_095 * PIECE;
    assert_eq!(tier.max_object(key.as_bytes()), most);
    assert!(tier.spool(key.as_bytes(), Some(most)).is_some());
    assert!(tier.spool(key.as_bytes(), Some(most + 1)).is_none());
    // Its length isn't known, and its beginning is too long.
    let before = tier.figures().remove(0).bytes;
    let piece = Bytes::from(vec![7; PIECE as usize]);
    let mut spool = tier.spool(key.as_bytes(), None).unwrap();
    let budget = FillBudget::new(1 << 30);
    let pieces = vec![piece; 4_096];
    spool.begin_with(pieces, BudgetShare::keep(&budget, 4_096 * PIECE));
    assert_eq!(budget.used(), 0, "the memory is given back");
    assert!(!spool.finish(&key, head_with(&["tag"]), 0));
    tier.settle();
    assert_eq!(tier.figures().remove(0).bytes, before);
}

#[test]
fn content_of_which_a_part_could_not_be_written_is_not_stored() {
    let world = World::new();
    let (path, part) = (key("/a", None), 256 << 10);
    let mut spool = world.tier.spool(path.as_bytes(), Some(part)).unwrap();
    world
        .disk
        .set(|faults| faults.file_writes = Some(std::io::ErrorKind::Other));
    spool.push(&bytes(part as usize));
    world.tier.settle();
    assert!(!spool.finish(&path, head_with(&["tag"]), 0));
}

#[test]
fn content_of_which_a_part_was_left_out_is_not_taken_for_stored() {
    let world = World::new();
    let (path, length) = (key("/a", None), 512 << 10);
    let mut spool = world.tier.spool(path.as_bytes(), Some(length)).unwrap();
    let content = bytes(length as usize);
    let (first, second) = content.split_at(256 << 10);
    world
        .disk
        .set(|faults| faults.file_writes = Some(std::io::ErrorKind::Other));
    world.put_and_write("/b", response(b"b"));
    assert!(world.figures().has_failed);
    spool.push(first);
    world.tier.settle();
    // The disk works again before all of it has come.
    world.disk.set(|faults| *faults = Default::default());
    world.clock.advance(Duration::from_secs(20));
    world.tier.keep();
    world.tier.settle();
    assert!(!world.figures().has_failed);
    spool.push(second);
    assert!(!spool.finish(&path, head_with(&["tag"]), 0));
}

#[test]
fn a_damaged_first_piece_is_a_miss_and_a_later_one_an_error() {
    let content = bytes(1_000_000);
    for (at, is_first) in [(10, true), (500_000, false)] {
        let world = World::new();
        assert!(spool(&world, "/large", &content));
        let own = |path: &PathBuf| path.extension().is_some_and(|end| end == "segment");
        let path = world.disk.paths().into_iter().find(own).unwrap();
        let mut written = world.disk.bytes(&path);
        let marker = &content[at..at + 32];
        let place = written.windows(32).position(|window| window == marker);
        written[place.unwrap()] ^= 1;
        world.tier.close();
        world.disk.put(&path, written);
        let world = world.restarted(ShimDisk::clone);
        if is_first {
            assert!(world.look_up("/large").is_none());
            continue;
        }
        let outside = outside(&world, "/large").unwrap();
        assert_eq!(read(&*outside, 0), Err(ContentError::Lost));
        assert!(!outside.is_found());
        assert!(world.look_up("/large").is_none(), "the next one is a miss");
    }
}

#[test]
fn a_disk_that_fails_cuts_what_is_being_read() {
    let world = World::new();
    assert!(spool(&world, "/large", &bytes(1_000_000)));
    let outside = outside(&world, "/large").unwrap();
    world
        .disk
        .set(|faults| faults.reads = Some(std::io::ErrorKind::Other));
    assert_eq!(outside.read_at_once(70_000), Err(ContentError::Failed));
    assert!(world.figures().has_failed);
}

#[test]
fn a_new_head_of_large_content_is_written_alone() {
    let world = World::new();
    let content = bytes(1_000_000);
    assert!(spool(&world, "/large", &content));
    let (key, found) = (key("/large", None), world.look_up("/large").unwrap());
    let new = Arc::new(found.with_head(head_with(&["newer"])));
    let watch = world.watch(&key);
    let before = world.figures().bytes;
    world
        .store
        .replace(&key, found.id, Arc::clone(&new), &watch);
    world.tier.settle();
    assert!(world.figures().bytes - before < 500);
    // The answer to an older validation comes late.
    world.store.replace(&key, found.id, new, &watch);
    world.tier.settle();
    assert_eq!(world.figures().written_heads, 1);
    let world = world.killed();
    let found = world.look_up("/large").unwrap();
    assert!(found.head.fields.tags().eq(["newer"]));
    let outside = found.body.as_outside().unwrap();
    assert_eq!(read(&**outside, 0).unwrap(), content);
}

#[test]
fn large_content_that_was_purged_is_not_brought_back_by_a_late_304() {
    for mode in [PurgeMode::Hard, PurgeMode::Soft] {
        let world = World::new();
        assert!(spool(&world, "/large", &bytes(1_000_000)));
        let (key, found) = (key("/large", None), world.look_up("/large").unwrap());
        world.purge("/large", mode);
        // The request that has it begins to watch purges only now, and hears that it holds.
        let watch = world.watch(&key);
        let new = Arc::new(found.with_head(head_with(&["newer"])));
        world.store.replace(&key, found.id, new, &watch);
        world.tier.settle();
        let is_purged = mode == PurgeMode::Hard;
        assert_eq!(world.look_up("/large").is_none(), is_purged);
        assert_eq!(world.killed().look_up("/large").is_none(), is_purged);
    }
}
