//! Measurements, for release builds: `cargo test --release --manifest-path engine/state/Cargo.toml --
//! --ignored measure --nocapture`. They print a table, and check what doesn't depend on the machine.

#![allow(
    clippy::disallowed_methods,
    reason = "they measure the machine's own time"
)]

use std::time::Instant;

use super::*;

const RECORDS: usize = 1_000_000;
const CONTENT: usize = 1_024;
const MIB: f64 = 1_048_576.0;

fn large(folder: &tempfile::TempDir) -> SegmentSettings {
    SegmentSettings {
        size: 4 << 30,
        segment_bytes: 64 << 20,
        ..settings(folder)
    }
}

fn key(number: usize) -> Vec<u8> {
    format!("https://www.shop.example/products/{number:09}.html\n").into_bytes()
}

#[test]
#[ignore = "takes a minute in a release build"]
fn measure_writing_opening_reading_and_dropping() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = SegmentStore::open(large(&folder)).unwrap();
    let (head, whole) = (bytes(1, 300), bytes(2, CONTENT));
    let began = Instant::now();
    for number in 0..RECORDS {
        let (key, content) = (key(number), [&whole[..]]);
        store.append(&entry(&key, &head, &content)).unwrap();
    }
    let writing = began.elapsed();
    let usage = store.usage();
    let given = (RECORDS * (key(0).len() + head.len() + CONTENT)) as f64;
    let amplification = usage.bytes as f64 / given;
    eprintln!("| what | measured |\n|---|--:|");
    eprintln!(
        "| write a record of 1 KiB, µs | {:.2} |",
        writing.as_secs_f64() * 1e6 / RECORDS as f64
    );
    eprintln!("| write amplification | {amplification:.3} |");
    eprintln!(
        "| memory for each, bytes | {:.1} |",
        usage.index_bytes as f64 / RECORDS as f64
    );
    // As after SIGKILL: the newest segment is not sealed.
    drop(store);
    let began = Instant::now();
    let (store, report) = SegmentStore::open(large(&folder)).unwrap();
    eprintln!(
        "| open a million after SIGKILL, ms | {:.0} |",
        began.elapsed().as_secs_f64() * 1e3
    );
    assert_eq!((report.records, report.searched), (RECORDS, 1));
    drop(store);
    let began = Instant::now();
    let (store, _) = SegmentStore::open(large(&folder)).unwrap();
    eprintln!(
        "| open a million, ms | {:.0} |",
        began.elapsed().as_secs_f64() * 1e3
    );
    let began = Instant::now();
    let reads = 200_000;
    for number in 0..reads {
        let key = key(number * 7_919 % RECORDS);
        let place = store.find(store.hash(&key))[0];
        let record = store.read(&key, place, ReadMode::Wait).unwrap();
        assert_eq!(record.piece(0, ReadMode::Wait).unwrap().len(), CONTENT);
    }
    eprintln!(
        "| read a record, warm, µs | {:.2} |",
        began.elapsed().as_secs_f64() * 1e6 / f64::from(reads as u32)
    );
    // The oldest tenth, in segments and as files.
    let tenth = store.usage().segments.div_ceil(10);
    let began = Instant::now();
    for _ in 0..tenth {
        let appender = lock_appender(&store.appender);
        assert!(store.remove_oldest(&appender));
    }
    let segments = began.elapsed();
    let files = tempfile::tempdir().unwrap();
    let path = |number: usize| {
        let folder = files.path().join(format!("{:02x}", number % 256));
        folder.join(format!("{number:09}"))
    };
    for number in 0..256 {
        fs::create_dir(files.path().join(format!("{number:02x}"))).unwrap();
    }
    (0..RECORDS / 10).for_each(|number| fs::write(path(number), &whole).unwrap());
    let began = Instant::now();
    (0..RECORDS / 10).for_each(|number| fs::remove_file(path(number)).unwrap());
    let removing = began.elapsed();
    eprintln!(
        "| drop the oldest tenth, ms | {:.1} |",
        segments.as_secs_f64() * 1e3
    );
    eprintln!(
        "| remove as many files, ms | {:.1} |",
        removing.as_secs_f64() * 1e3
    );
    eprintln!("| on disk, MiB | {:.0} |", usage.bytes as f64 / MIB);
    assert!(amplification <= 1.1, "{amplification}");
}
