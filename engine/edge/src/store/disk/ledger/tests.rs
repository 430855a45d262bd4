use proptest::prelude::*;

use super::hashes::{MAX_HASHES, PARTS};
use super::table::MAX_TEXTS;
use super::*;
use crate::store::disk::tests::shim::ShimDisk;
use tero_state::segments::files::SystemFiles;

const NOW: Timestamp = Timestamp::from_unix_secs(1_795_608_000);
const LOG_FREE: u64 = 17;

fn open(folder: &tempfile::TempDir) -> PurgeLedger {
    opened(folder, true)
}

fn fresh(folder: &tempfile::TempDir) -> PurgeLedger {
    opened(folder, false)
}

fn opened(folder: &tempfile::TempDir, has_records: bool) -> PurgeLedger {
    let files: Arc<dyn FileSystem> = Arc::new(SystemFiles);
    PurgeLedger::open(&folder.path().join("purges"), &files, has_records).unwrap()
}

fn purge(ledger: &PurgeLedger, number: u64, mode: PurgeMode, thing: PurgedThing) {
    if write(ledger, number, mode, thing).unwrap() {
        ledger.shorten().unwrap();
        ledger.keep_room().unwrap();
    }
}

fn write(
    ledger: &PurgeLedger,
    number: u64,
    mode: PurgeMode,
    thing: PurgedThing,
) -> io::Result<bool> {
    let things = [thing];
    ledger.note(number, mode, &things);
    ledger.write(number, mode, &things, NOW)
}

/// A ledger on a disk that fails as it is told.
fn on_shim(disk: &ShimDisk) -> PurgeLedger {
    let files: Arc<dyn FileSystem> = Arc::new(disk.clone());
    PurgeLedger::open(Path::new("/purges"), &files, false).unwrap()
}

/// The verdict on a record of a hash from before the first purge, after the next start.
fn verdict_after_start(disk: &ShimDisk, log: u64, hash: u64) -> PurgeVerdict {
    let files: Arc<dyn FileSystem> = Arc::new(disk.copy());
    let ledger = PurgeLedger::open(Path::new("/purges"), &files, true).unwrap();
    ledger.verdict(&subject(&[hash]), PurgeMark { log, number: GAP })
}

fn subject(hashes: &[u64]) -> PurgeSubject<'static> {
    PurgeSubject {
        hashes: hashes.to_vec(),
        url: "https://shop.example/account/orders",
        path: "/account/orders",
        site: 5,
    }
}

fn mark(ledger: &PurgeLedger, number: u64) -> PurgeMark {
    PurgeMark {
        log: ledger.log(),
        number,
    }
}

fn paths(pattern: &str) -> PurgedThing {
    PurgedThing::Paths {
        site: 5,
        pattern: pattern.into(),
    }
}

#[test]
fn purges_of_the_same_things_leave_the_file_short() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = fresh(&folder);
    let base = ledger.last();
    let mut longest = 0;
    for number in 1..=25_000 {
        let thing = PurgedThing::Hash(number % 10);
        purge(&ledger, base + number, PurgeMode::Hard, thing);
        if number % 100 == 0 {
            let length = folder.path().join("purges").metadata().unwrap().len();
            longest = longest.max(length);
        }
    }
    assert!((256 << 10..=384 << 10).contains(&longest), "{longest}");
    let (latest, ledger) = (base + 25_000, open(&folder));
    for (number, verdict) in [
        (latest - 1, PurgeVerdict::Gone),
        (latest, PurgeVerdict::Current),
    ] {
        assert_eq!(
            ledger.verdict(&subject(&[0]), mark(&ledger, number)),
            verdict
        );
    }
}

#[test]
fn lines_that_wait_for_room_leave_the_file_short() {
    let disk = ShimDisk::default();
    let ledger = on_shim(&disk);
    let base = ledger.last();
    for number in 1..=12_000 {
        let thing = PurgedThing::Hash(number % 10);
        write(&ledger, base + number, PurgeMode::Hard, thing).unwrap();
    }
    ledger.shorten().unwrap();
    ledger.keep_room().unwrap();
    ledger.sync().unwrap();
    assert!(disk.bytes(Path::new("/purges")).len() <= 128 << 10);
    let gone = verdict_after_start(&disk, ledger.log(), 9);
    assert_eq!(gone, PurgeVerdict::Gone);
}

#[test]
fn purges_are_added_without_waiting_for_the_disk() {
    let disk = ShimDisk::default();
    let ledger = on_shim(&disk);
    let (base, many) = (ledger.last(), 15_000);
    // What waits for the disk would fail.
    disk.set(|faults| {
        faults.syncs = Some(io::ErrorKind::Other);
        faults.creations = Some(io::ErrorKind::Other);
    });
    let mut is_due = false;
    for number in 1..=many {
        let thing = PurgedThing::Hash(number);
        is_due |= write(&ledger, base + number, PurgeMode::Hard, thing).unwrap();
    }
    assert!(is_due);
    disk.set(|faults| *faults = Default::default());
    ledger.sync().unwrap();
    for (hash, verdict) in [
        (1, PurgeVerdict::Gone),
        (many, PurgeVerdict::Gone),
        (many + 1, PurgeVerdict::Current),
    ] {
        assert_eq!(verdict_after_start(&disk, ledger.log(), hash), verdict);
    }
}

#[test]
fn a_purge_is_added_while_another_waits_for_the_disk() {
    let disk = ShimDisk::default();
    let ledger = Arc::new(on_shim(&disk));
    let base = ledger.last();
    let thing = PurgedThing::Hash;
    write(&ledger, base + 1, PurgeMode::Hard, thing(1)).unwrap();
    disk.set(|faults| faults.syncs_hang = true);
    let waits = std::thread::spawn({
        let ledger = Arc::clone(&ledger);
        move || ledger.sync().unwrap()
    });
    disk.wait_until_hanging();
    let (done, is_done) = std::sync::mpsc::channel();
    let adds = std::thread::spawn({
        let ledger = Arc::clone(&ledger);
        move || {
            write(&ledger, base + 2, PurgeMode::Hard, thing(2)).unwrap();
            let due = ledger.erase_due();
            done.send(due).unwrap();
        }
    });
    let added = is_done.recv_timeout(std::time::Duration::from_secs(20));
    disk.set(|faults| faults.syncs_hang = false);
    waits.join().unwrap();
    adds.join().unwrap();
    assert_eq!(added, Ok(Some(NOW)));
    ledger.sync().unwrap();
    let gone = verdict_after_start(&disk, ledger.log(), 2);
    assert_eq!(gone, PurgeVerdict::Gone);
}

#[test]
fn a_file_that_cannot_be_written_anew_is_added_to() {
    for fault in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
        let disk = ShimDisk::default();
        let ledger = on_shim(&disk);
        let (base, log) = (ledger.last(), ledger.log());
        disk.set(|faults| faults.creations = Some(fault));
        let mut failed = 0;
        for number in 1..=25_000 {
            let thing = PurgedThing::Hash(number % 10);
            if write(&ledger, base + number, PurgeMode::Hard, thing).unwrap() {
                failed += u64::from(ledger.shorten().is_err());
                ledger.keep_room().unwrap();
            }
        }
        assert_eq!(failed, 2, "once for each 256 KiB");
        write(
            &ledger,
            base + 30_000,
            PurgeMode::Hard,
            PurgedThing::Hash(10),
        )
        .unwrap();
        ledger.sync().unwrap();
        for (hash, verdict) in [
            (9, PurgeVerdict::Gone),
            (10, PurgeVerdict::Gone),
            (11, PurgeVerdict::Current),
        ] {
            assert_eq!(verdict_after_start(&disk, log, hash), verdict);
        }
        // It is short again once it can be.
        disk.set(|faults| *faults = Default::default());
        for number in 1..=11_000 {
            let thing = PurgedThing::Hash(number % 10);
            purge(&ledger, base + 30_000 + number, PurgeMode::Hard, thing);
        }
        assert!(disk.bytes(Path::new("/purges")).len() <= 384 << 10);
        ledger.sync().unwrap();
        let gone = verdict_after_start(&disk, log, 10);
        assert_eq!(gone, PurgeVerdict::Gone);
    }
}

/// Writes purges of the hashes from 1 on until the file is to be looked after. Returns their number.
fn write_until_due(ledger: &PurgeLedger) -> u64 {
    let base = ledger.last();
    let due = (1..10_000).find(|number| {
        let thing = PurgedThing::Hash(*number);
        write(ledger, base + number, PurgeMode::Hard, thing).unwrap()
    });
    due.expect("it grows")
}

#[test]
fn purges_are_not_durable_after_a_sync_that_failed_for_room() {
    let disk = ShimDisk::default();
    let ledger = on_shim(&disk);
    let last = write_until_due(&ledger);
    disk.set(|faults| faults.syncs = Some(io::ErrorKind::Other));
    assert!(ledger.keep_room().is_err());
    disk.set(|faults| *faults = Default::default());
    assert!(ledger.sync().is_err(), "it would be wrong");
    ledger.write_anew().unwrap();
    ledger.sync().unwrap();
    let disk = disk.after_power_failure(&mut |_| 0);
    let gone = verdict_after_start(&disk, ledger.log(), last);
    assert_eq!(gone, PurgeVerdict::Gone);
}

#[test]
fn room_that_a_disk_gives_in_part_leaves_the_file_whole() {
    let disk = ShimDisk::default();
    let ledger = on_shim(&disk);
    let room = disk.size() + 10_000;
    disk.set(|faults| faults.room = Some(room));
    let last = write_until_due(&ledger);
    ledger.keep_room().unwrap();
    ledger.sync().unwrap();
    let verdicts = [last, last + 1].map(|hash| verdict_after_start(&disk, ledger.log(), hash));
    assert_eq!(verdicts, [PurgeVerdict::Gone, PurgeVerdict::Current]);
}

#[test]
fn purges_that_wait_for_room_at_the_end_count_for_everything() {
    let disk = ShimDisk::default();
    let ledger = on_shim(&disk);
    let base = ledger.last();
    for number in 1..=5_000 {
        let thing = PurgedThing::Hash(number);
        write(&ledger, base + number, PurgeMode::Hard, thing).unwrap();
    }
    ledger.remove_incomplete().unwrap();
    let gone = verdict_after_start(&disk, ledger.log(), 5_000);
    assert_eq!(gone, PurgeVerdict::Gone);
}

#[test]
fn what_is_purged_while_the_file_is_written_anew_is_in_both_files() {
    for creates in [true, false] {
        let disk = ShimDisk::default();
        let ledger = Arc::new(on_shim(&disk));
        let (base, log) = (ledger.last(), ledger.log());
        write(&ledger, base + 1, PurgeMode::Hard, PurgedThing::Hash(1)).unwrap();
        ledger.sync().unwrap();
        // The new file is written, and hangs before it is in place.
        disk.set(|faults| faults.syncs_hang = true);
        let writes = std::thread::spawn({
            let ledger = Arc::clone(&ledger);
            move || ledger.write_anew()
        });
        disk.wait_until_hanging();
        write(&ledger, base + 2, PurgeMode::Soft, PurgedThing::Hash(2)).unwrap();
        let stale = verdict_after_start(&disk, log, 2);
        assert_eq!(stale, PurgeVerdict::Stale, "the old file has it");
        disk.set(|faults| {
            faults.syncs_hang = false;
            faults.syncs = (!creates).then_some(io::ErrorKind::Other);
        });
        assert_eq!(writes.join().unwrap().is_ok(), creates);
        disk.set(|faults| faults.syncs = None);
        let verdicts = [1, 2].map(|hash| verdict_after_start(&disk, log, hash));
        assert_eq!(verdicts, [PurgeVerdict::Gone, PurgeVerdict::Stale]);
        write(&ledger, base + 3, PurgeMode::Hard, PurgedThing::Hash(3)).unwrap();
        ledger.sync().unwrap();
        let gone = verdict_after_start(&disk, log, 3);
        assert_eq!(gone, PurgeVerdict::Gone);
    }
}

#[test]
fn a_record_is_newer_than_all_purges_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = fresh(&folder);
    let base = ledger.last();
    assert!(ledger.is_newest(mark(&ledger, base)));
    let other = PurgeMark {
        log: ledger.log().wrapping_add(1),
        number: u64::MAX,
    };
    assert!(!ledger.is_newest(other), "of another log");
    let thing = PurgedThing::Hash(LOG_FREE);
    purge(&ledger, base + 3, PurgeMode::Soft, thing);
    let told =
        |ledger: &PurgeLedger| [0, 2, 3, 4].map(|more| ledger.is_newest(mark(ledger, base + more)));
    assert_eq!(told(&ledger), [false, false, true, true]);
    // After a start, too, whose numbers begin far behind those of the records.
    ledger.sync().unwrap();
    drop(ledger);
    let next = open(&folder);
    assert!(next.last() > base + 4);
    assert_eq!(told(&next), [false, false, true, true]);
}

#[test]
fn a_purge_means_what_was_written_before_it() {
    use PurgeVerdict::{Current, Gone, Stale};
    let folder = tempfile::tempdir().unwrap();
    for (thing, is_meant) in [
        (PurgedThing::Hash(LOG_FREE), true),
        (PurgedThing::Hash(18), false),
        (PurgedThing::Prefix("https://shop.example/acc".into()), true),
        (PurgedThing::Prefix("https://shop.example/b".into()), false),
        (paths("/account/*"), true),
        (paths("/pagos/*"), false),
        (
            PurgedThing::Paths {
                site: 6,
                pattern: "*".into(),
            },
            false,
        ),
        (PurgedThing::Everything, true),
    ] {
        for (mode, purged) in [(PurgeMode::Hard, Gone), (PurgeMode::Soft, Stale)] {
            let _ = std::fs::remove_file(folder.path().join("purges"));
            let ledger = fresh(&folder);
            purge(&ledger, 3, mode, thing.clone());
            let verdict = |number| ledger.verdict(&subject(&[1, LOG_FREE]), mark(&ledger, number));
            let expected = if is_meant { purged } else { Current };
            assert_eq!(verdict(2), expected, "{thing:?}");
            assert_eq!((verdict(3), verdict(4)), (Current, Current), "{thing:?}");
            // The same after the next start.
            let log = ledger.log();
            drop(ledger);
            let ledger = open(&folder);
            assert_eq!((ledger.log(), ledger.last()), (log, 2 * GAP));
            let again = ledger.verdict(&subject(&[1, LOG_FREE]), mark(&ledger, 2));
            assert_eq!(again, expected, "{thing:?}");
        }
    }
}

#[test]
fn a_hard_purge_holds_whatever_soft_one_follows() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = fresh(&folder);
    let thing = PurgedThing::Hash(LOG_FREE);
    purge(&ledger, 3, PurgeMode::Hard, thing.clone());
    purge(&ledger, 5, PurgeMode::Soft, thing);
    let verdict = |number| ledger.verdict(&subject(&[LOG_FREE]), mark(&ledger, number));
    assert_eq!(verdict(2), PurgeVerdict::Gone);
    assert_eq!(verdict(4), PurgeVerdict::Stale);
    assert_eq!(verdict(5), PurgeVerdict::Current);
}

#[test]
fn a_lost_or_damaged_ledger_counts_as_a_purge_of_everything() {
    let damages: [&dyn Fn(&Path); 3] = [
        &|path| std::fs::remove_file(path).unwrap(),
        &|path| std::fs::write(path, b"?").unwrap(),
        &|path| {
            let mut bytes = std::fs::read(path).unwrap();
            let middle = bytes.len() - 30;
            bytes[middle] ^= 1;
            std::fs::write(path, bytes).unwrap();
        },
    ];
    for damage in damages {
        let folder = tempfile::tempdir().unwrap();
        let ledger = fresh(&folder);
        let old = mark(&ledger, 9);
        for number in 1..4 {
            let thing = PurgedThing::Hash(number);
            purge(&ledger, number, PurgeMode::Hard, thing);
        }
        drop(ledger);
        damage(&folder.path().join("purges"));
        let ledger = open(&folder);
        assert_eq!(ledger.verdict(&subject(&[]), old), PurgeVerdict::Gone);
        let new = mark(&ledger, ledger.last());
        assert_eq!(ledger.verdict(&subject(&[]), new), PurgeVerdict::Current);
        // So it stays.
        drop(ledger);
        let ledger = open(&folder);
        assert_eq!(ledger.verdict(&subject(&[]), old), PurgeVerdict::Gone);
        assert_eq!(ledger.verdict(&subject(&[]), new), PurgeVerdict::Current);
    }
}

/// What the ledger says of records with the hashes up to a number.
fn verdicts(ledger: &PurgeLedger, log: u64, hashes: u64) -> Vec<PurgeVerdict> {
    let mark = PurgeMark { log, number: 0 };
    let verdict = |hash| ledger.verdict(&subject(&[hash]), mark);
    (0..hashes).map(verdict).collect()
}

#[test]
fn ten_thousand_flipped_bits_and_truncations_forget_no_purge() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("purges");
    let ledger = fresh(&folder);
    for number in 1..60 {
        let mode = [PurgeMode::Hard, PurgeMode::Soft][number as usize % 2];
        let thing = match number % 20 {
            // Longer than a sector.
            0 => PurgedThing::Prefix(format!("https://other.example/{}", "x".repeat(700)).into()),
            _ => PurgedThing::Hash(number),
        };
        purge(&ledger, number, mode, thing);
    }
    let (log, expected) = (ledger.log(), verdicts(&ledger, ledger.log(), 70));
    assert!(expected.contains(&PurgeVerdict::Current));
    drop(ledger);
    let written = std::fs::read(&path).unwrap();
    let used = written.iter().rposition(|byte| *byte != 0).unwrap() + 600;
    let files: Arc<dyn FileSystem> = Arc::new(SystemFiles);
    let mut dice = 1_u64;
    for case in 0..10_000 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let random = (dice >> 33) as usize;
        let mut damaged = written.clone();
        if case % 2 == 0 {
            damaged[random % used] ^= 1 << (case / 2 % 8);
        } else {
            damaged.truncate(random % written.len());
        }
        std::fs::write(&path, &damaged).unwrap();
        let read = PurgeLedger::look_at(&path, &files).unwrap();
        // A damaged one counts as a purge of everything.
        if let Some(read) = read {
            assert_eq!(verdicts(&read, log, 70), expected, "case {case}");
        }
    }
    std::fs::write(&path, &written).unwrap();
    let ledger = PurgeLedger::look_at(&path, &files).unwrap().unwrap();
    assert_eq!(verdicts(&ledger, log, 70), expected);
}

#[test]
fn lines_of_all_lengths_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = fresh(&folder);
    let prefix = |length: usize| PurgedThing::Prefix(format!("/{}", "p".repeat(length)).into());
    for length in 460..530 {
        for thing in [prefix(length), PurgedThing::Hash(length as u64), prefix(3)] {
            purge(&ledger, 9, PurgeMode::Hard, thing);
        }
    }
    // More than the file had room for at first.
    for number in 0..4_000 {
        let thing = PurgedThing::Hash(number);
        purge(&ledger, 10, PurgeMode::Soft, thing);
    }
    ledger.sync().unwrap();
    let log = ledger.log();
    for ledger in [ledger, {
        let files: Arc<dyn FileSystem> = Arc::new(SystemFiles);
        let looked = PurgeLedger::look_at(&folder.path().join("purges"), &files);
        looked.unwrap().expect("it is whole")
    }] {
        let verdicts = verdicts(&ledger, log, 4_001);
        for (hash, verdict) in verdicts.into_iter().enumerate() {
            let expected = match hash {
                460..530 => PurgeVerdict::Gone,
                0..4_000 => PurgeVerdict::Stale,
                _ => PurgeVerdict::Current,
            };
            assert_eq!(verdict, expected, "{hash}");
        }
        let path = format!("/{}", "p".repeat(500));
        let own = PurgeSubject {
            hashes: vec![],
            url: &path,
            path: &path,
            site: 0,
        };
        let mark = PurgeMark { log, number: 1 };
        assert_eq!(ledger.verdict(&own, mark), PurgeVerdict::Gone);
    }
}

#[test]
fn numbers_that_may_have_been_used_are_not_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = fresh(&folder).last();
    let second = fresh(&folder).last();
    assert!(first > 0 && second >= first + GAP);
}

/// A purge of a hash for each number from 1 on.
fn purge_hashes(table: &mut PurgeTable, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        table.add(&PurgedThing::Hash(number), PurgeMode::Hard, number);
    }
}

#[test]
fn too_many_purges_become_one_of_all_that_is_older() {
    let mut table = PurgeTable::default();
    let last = (MAX_HASHES + PARTS) as u64;
    purge_hashes(&mut table, 1..=last);
    let forgotten = table.everything.hard;
    let half = MAX_HASHES as u64 / 2;
    assert!(forgotten.abs_diff(half) < half / 4, "{forgotten}");
    assert_eq!(table.hashes.len() as u64, last - forgotten);
    for number in 1..=last {
        let latest = table.latest(&subject(&[number])).hard;
        assert_eq!(latest, number.max(forgotten));
    }
    for number in 1..=MAX_TEXTS as u64 + 1 {
        let thing = PurgedThing::Prefix(format!("https://shop.example/{number}").into());
        table.add(&thing, PurgeMode::Soft, number);
    }
    assert_eq!(table.texts.len(), MAX_TEXTS / 2 + 1);
    assert_eq!(table.everything.soft, MAX_TEXTS as u64 / 2);
}

#[test]
fn neither_a_copy_nor_forgetting_takes_many_purges_at_once() {
    let mut table = PurgeTable::default();
    let most = 5_000;
    purge_hashes(&mut table, 1..=MAX_HASHES as u64);
    for share in 0..PurgeTable::SHARES {
        assert!(table.share(share).lines().count() <= most);
    }
    for number in MAX_HASHES..MAX_HASHES + PARTS {
        let before = table.hashes.len();
        let number = number as u64 + 1;
        purge_hashes(&mut table, number..=number);
        assert!(before - (table.hashes.len() - 1) <= most);
    }
}

#[test]
fn purges_forgotten_while_the_file_is_written_anew_are_in_it() {
    let disk = ShimDisk::default();
    let ledger = on_shim(&disk);
    let note = |number| {
        let mut table = ledger.table.try_write().expect("no lock between shares");
        purge_hashes(&mut table, number..=number);
    };
    (1..=MAX_HASHES as u64).for_each(note);
    let mut shares = ledger.shares();
    let mut copied = vec![shares.next().unwrap()];
    // All parts forget their older half, the one that was copied among them.
    (1..=PARTS as u64).for_each(|more| note(MAX_HASHES as u64 + more));
    copied.extend(shares);
    let mut read = PurgeTable::default();
    for (thing, mode, number) in copied.into_iter().flat_map(TableShare::lines) {
        read.add(&thing, mode, number);
    }
    for number in 1..=MAX_HASHES as u64 {
        assert!(read.latest(&subject(&[number])).hard >= number, "{number}");
    }
}

#[test]
fn many_purges_that_come_while_the_file_is_written_anew_are_in_it() {
    let disk = ShimDisk::default();
    let ledger = Arc::new(on_shim(&disk));
    let base = ledger.last();
    disk.set(|faults| faults.syncs_hang = true);
    let writes = std::thread::spawn({
        let ledger = Arc::clone(&ledger);
        move || ledger.write_anew()
    });
    disk.wait_until_hanging();
    // More than there is room for.
    let many = 5_000;
    for number in 1..=many {
        let thing = PurgedThing::Hash(number);
        write(&ledger, base + number, PurgeMode::Hard, thing).unwrap();
    }
    disk.set(|faults| faults.syncs_hang = false);
    writes.join().unwrap().unwrap();
    ledger.sync().unwrap();
    let disk = disk.after_power_failure(&mut |_| 0);
    for (hash, verdict) in [
        (1, PurgeVerdict::Gone),
        (many / 2, PurgeVerdict::Gone),
        (many, PurgeVerdict::Gone),
        (many + 1, PurgeVerdict::Current),
    ] {
        assert_eq!(verdict_after_start(&disk, ledger.log(), hash), verdict);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever was purged, in whatever order, with starts in between: a record is never better off
    /// than the purges say.
    #[test]
    fn purges_are_remembered_over_starts(
        purges in prop::collection::vec((0_u64..4, any::<bool>(), any::<bool>()), 1..30),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = fresh(&folder);
        let mut expected: Vec<(u64, u64, bool)> = Vec::new();
        for (number, (hash, is_hard, is_opened_again)) in (1..).zip(purges) {
            let mode = if is_hard { PurgeMode::Hard } else { PurgeMode::Soft };
            purge(&ledger, number, mode, PurgedThing::Hash(hash));
            expected.push((number, hash, is_hard));
            if is_opened_again {
                drop(ledger);
                ledger = open(&folder);
            }
            for hash in 0..4 {
                for old in 0..=number {
                    let mut later = expected.iter().filter(|(number, purged, _)| *number > old && *purged == hash);
                    let verdict = match (later.clone().any(|(.., is_hard)| *is_hard), later.next()) {
                        (true, _) => PurgeVerdict::Gone,
                        (false, Some(_)) => PurgeVerdict::Stale,
                        (false, None) => PurgeVerdict::Current,
                    };
                    prop_assert_eq!(ledger.verdict(&subject(&[hash]), mark(&ledger, old)), verdict);
                }
            }
        }
    }
}
