use proptest::prelude::*;

use super::*;

const LOG_FREE: u64 = 17;

fn open(folder: &tempfile::TempDir) -> PurgeLedger {
    PurgeLedger::open(&folder.path().join("purges"), true).unwrap()
}

fn fresh(folder: &tempfile::TempDir) -> PurgeLedger {
    PurgeLedger::open(&folder.path().join("purges"), false).unwrap()
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
            ledger.add(3, mode, std::slice::from_ref(&thing)).unwrap();
            let verdict = |number| ledger.verdict(&subject(&[1, LOG_FREE]), mark(&ledger, number));
            let expected = if is_meant { purged } else { Current };
            assert_eq!(verdict(2), expected, "{thing:?}");
            assert_eq!((verdict(3), verdict(4)), (Current, Current), "{thing:?}");
            // The same after the next start.
            let log = ledger.log();
            drop(ledger);
            let ledger = open(&folder);
            assert_eq!((ledger.log(), ledger.last()), (log, 3));
            let again = ledger.verdict(&subject(&[1, LOG_FREE]), mark(&ledger, 2));
            assert_eq!(again, expected, "{thing:?}");
        }
    }
}

#[test]
fn a_hard_purge_holds_whatever_soft_one_follows() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = fresh(&folder);
    let thing = [PurgedThing::Hash(LOG_FREE)];
    ledger.add(3, PurgeMode::Hard, &thing).unwrap();
    ledger.add(5, PurgeMode::Soft, &thing).unwrap();
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
            let thing = [PurgedThing::Hash(number)];
            ledger.add(number, PurgeMode::Hard, &thing).unwrap();
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

#[test]
fn a_last_line_that_was_cut_off_belongs_to_a_purge_without_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("purges");
    let ledger = fresh(&folder);
    ledger
        .add(1, PurgeMode::Hard, &[PurgedThing::Hash(1)])
        .unwrap();
    let whole = std::fs::read(&path).unwrap().len();
    ledger
        .add(2, PurgeMode::Hard, &[PurgedThing::Hash(2)])
        .unwrap();
    let (log, bytes) = (ledger.log(), std::fs::read(&path).unwrap());
    drop(ledger);
    for end in whole..bytes.len() {
        std::fs::write(&path, &bytes[..end]).unwrap();
        let ledger = open(&folder);
        assert_eq!((ledger.log(), ledger.last()), (log, 1), "{end}");
        let old = mark(&ledger, 0);
        assert_eq!(ledger.verdict(&subject(&[1]), old), PurgeVerdict::Gone);
        assert_eq!(ledger.verdict(&subject(&[2]), old), PurgeVerdict::Current);
    }
}

#[test]
fn too_many_purges_become_one_of_all_that_is_older() {
    let mut table = PurgeTable::default();
    for number in 1..=MAX_HASHES as u64 + 1 {
        table.add(&PurgedThing::Hash(number), PurgeMode::Hard, number);
    }
    let half = MAX_HASHES as u64 / 2;
    assert!(table.hashes.len() as u64 <= half + 1);
    assert_eq!(table.everything.hard, half + 1);
    for number in 1..=MAX_TEXTS as u64 + 1 {
        let thing = PurgedThing::Prefix(format!("https://shop.example/{number}").into());
        table.add(&thing, PurgeMode::Soft, number);
    }
    assert_eq!(table.texts.len(), MAX_TEXTS / 2 + 1);
    assert_eq!(table.everything.soft, MAX_TEXTS as u64 / 2);
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
            ledger.add(number, mode, &[PurgedThing::Hash(hash)]).unwrap();
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
