use std::io::{Cursor, Write};

use proptest::prelude::*;

use super::*;
use crate::replay::record::LinePlace;

/// Wednesday 25 November 2026, 11:59:00 UTC.
const TIME: i64 = 1_795_607_940;

fn line(secs: i64, path: &str) -> String {
    let at = chrono::DateTime::from_timestamp(TIME + secs, 0).unwrap();
    format!(
        "10.0.0.1 - - [{}] \"GET {path} HTTP/1.1\" 200 1 \"-\" \"curl\"\n",
        at.format("%d/%b/%Y:%H:%M:%S +0000")
    )
}

fn read(
    inputs: Vec<(&str, Vec<u8>)>,
    options: LogOptions,
) -> (Vec<String>, Vec<BadLine>, LogReport) {
    let inputs = inputs
        .into_iter()
        .map(|(name, bytes)| (name, Box::new(Cursor::new(bytes)) as Box<dyn Read>));
    let mut reader = LogReader::over(inputs.collect(), options);
    let (mut paths, mut bad) = (Vec::new(), Vec::new());
    for item in &mut reader {
        match item {
            Ok(record) => paths.push(record.target.into_string()),
            Err(line) => bad.push(line),
        }
    }
    let report = reader.report().clone();
    (paths, bad, report)
}

#[test]
fn files_are_merged_by_time() {
    let one = [line(0, "/1"), line(20, "/3"), line(40, "/5")].concat();
    let other = [line(10, "/2"), line(20, "/4"), line(50, "/6")].concat();
    let (paths, bad, report) = read(
        vec![("one", one.into_bytes()), ("other", other.into_bytes())],
        LogOptions::default(),
    );
    assert_eq!(paths, ["/1", "/2", "/3", "/4", "/5", "/6"]);
    assert!(bad.is_empty());
    assert_eq!((report.requests, report.lines, report.files), (6, 6, 2));
    assert_eq!(report.last, Some(Timestamp::from_unix_secs(TIME + 50)));
}

#[test]
fn compressed_files_are_read() {
    let text: String = (0..500)
        .map(|secs| line(secs, &format!("/{secs}")))
        .collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    // Two members are one file, as `cat` makes it.
    let twice = [gzip.clone(), gzip.clone()].concat();
    let zstd = zstd::stream::encode_all(text.as_bytes(), 1).unwrap();
    for (packed, count) in [(gzip.clone(), 500), (twice, 1_000), (zstd.clone(), 500)] {
        let (paths, bad, _) = read(vec![("a", packed)], LogOptions::default());
        assert_eq!((paths.len(), bad.len()), (count, 0));
    }
    // A cut file gives what it has, and says that there was more.
    for cut in [
        gzip[..gzip.len() - 20].to_vec(),
        zstd[..zstd.len() / 2].to_vec(),
    ] {
        let (_, bad, report) = read(vec![("a", cut)], LogOptions::default());
        assert_eq!(bad.len(), 1);
        assert!(matches!(bad[0].fault, LineFault::Broken(_)), "{}", bad[0]);
        assert_eq!(report.broken_files, 1);
        let warnings = report.warnings();
        assert!(
            report.requests == 0 || warnings.iter().any(|text| text.contains("to the end")),
            "{warnings:?}"
        );
    }
}

#[test]
fn lines_out_of_order_are_sorted_within_the_window() {
    let text = [
        line(30, "/3"),
        line(10, "/1"),
        line(20, "/2"),
        line(10, "/1b"),
    ]
    .concat();
    let (paths, bad, report) = read(vec![("a", text.into_bytes())], LogOptions::default());
    assert_eq!(paths, ["/1", "/1b", "/2", "/3"]);
    assert!(bad.is_empty() && report.doubts().is_empty(), "{report:?}");
}

#[test]
fn a_line_later_than_the_window_is_left_out_and_named() {
    let inside = SORT_WINDOW_RECORDS - 1;
    for (before, is_late) in [(inside, false), (SORT_WINDOW_RECORDS, true)] {
        let mut text: String = (0..before).map(|_| line(100, "/x")).collect();
        text += &line(1, "/late");
        let (paths, bad, report) = read(vec![("a.log", text.into_bytes())], LogOptions::default());
        assert_eq!(paths[0] == "/late", !is_late);
        assert_eq!(bad.len(), usize::from(is_late));
        if let Some(bad) = bad.first() {
            assert_eq!(
                bad.to_string(),
                format!("a.log:{}: out of order", before + 1)
            );
            assert!(
                report
                    .warnings()
                    .iter()
                    .any(|text| text.contains("one by one"))
            );
        }
    }
}

#[test]
fn a_file_that_begins_in_the_future_is_read_in_its_turn() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let day = 86_400;
    let paths = [
        write("a", line(5 * day, "/ahead") + &line(1, "/first")),
        write("b", line(day, "/second")),
    ];
    let options = LogOptions {
        now: Some(Timestamp::from_unix_secs(TIME + 2 * day)),
        ..LogOptions::default()
    };
    let mut reader = LogReader::open(&paths, options).unwrap();
    let read: Vec<String> = (&mut reader)
        .flatten()
        .map(|record| record.path().to_owned())
        .collect();
    assert_eq!(read, ["/first", "/second"]);
    assert_eq!(reader.report().faults["in the future"], 1);
}

#[test]
fn a_time_in_the_future_is_bad() {
    let options = LogOptions {
        now: Some(Timestamp::from_unix_secs(TIME)),
        ..LogOptions::default()
    };
    let ahead = i64::try_from(MAX_AHEAD.as_secs()).unwrap();
    let text = [
        line(0, "/now"),
        line(ahead, "/edge"),
        line(ahead + 1, "/ahead"),
    ]
    .concat();
    let (paths, bad, _) = read(vec![("a", text.into_bytes())], options);
    assert_eq!(paths, ["/now", "/edge"]);
    assert_eq!(bad[0].fault, LineFault::Future);
    assert_eq!(bad[0].place, LinePlace { file: 0, line: 3 });
}

#[test]
fn long_lines_are_skipped_in_bounded_memory() {
    let path = |length: usize| format!("/{}", "x".repeat(length));
    let overhead = line(0, "").len() - 1;
    let longest = line(0, &path(MAX_LINE_BYTES - overhead - 1));
    assert_eq!(longest.len() - 1, MAX_LINE_BYTES);
    let text = [
        longest,
        line(0, &path(MAX_LINE_BYTES - overhead)),
        "y".repeat(1 << 20),
        "\n".to_owned(),
        line(1, "/end"),
    ]
    .concat();
    let (paths, bad, report) = read(vec![("a", text.into_bytes())], LogOptions::default());
    assert_eq!(report.lines, 4);
    assert_eq!(paths.last().map(String::as_str), Some("/end"));
    // The longest line is read; its target is longer than a server takes, so it is not a request.
    let faults: Vec<_> = bad
        .iter()
        .map(|bad| (bad.place.line, bad.fault.clone()))
        .collect();
    let too_long = |line| (line, LineFault::TooLong);
    assert!(faults.ends_with(&[too_long(2), too_long(3)]), "{faults:?}");
}

#[test]
fn mixed_formats_and_faults_are_counted() {
    let json = "{\"at\":1795607941,\"method\":\"GET\",\"target\":\"/json\",\"status\":200}\n";
    let text = [
        &line(0, "/combined"),
        json,
        "nonsense\n",
        "{\n",
        "\n",
        "#Version: 1.0\n",
    ]
    .concat();
    let (paths, bad, report) = read(vec![("a", text.into_bytes())], LogOptions::default());
    assert_eq!(paths, ["/combined", "/json"]);
    assert_eq!(bad.len(), 2);
    assert_eq!(report.mixed_files, 1);
    assert_eq!(report.faults.get("unknown format"), Some(&2));
    assert_eq!(
        (report.lines, report.bad_lines(), report.without_host),
        (6, 2, 2)
    );
    let warnings = report.warnings().join("\n");
    for part in [
        "2 of 6 lines could not be used",
        "several formats",
        "less than two days",
    ] {
        assert!(warnings.contains(part), "{warnings}");
    }
    let (paths, _, report) = read(vec![("a", Vec::new())], LogOptions::default());
    assert!(paths.is_empty());
    assert_eq!(report.warnings(), ["the log has no request"]);
}

#[test]
fn files_of_other_days_are_opened_when_their_time_comes() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for day in (0..30).rev() {
        let path = folder.path().join(format!("{day}.log"));
        let text: String = (0..5)
            .map(|hour| line(day * 86_400 + hour * 3_600, &format!("/{day}/{hour}")))
            .collect();
        std::fs::write(&path, text).unwrap();
        paths.push(path);
    }
    let mut reader = LogReader::open(&paths, LogOptions::default()).unwrap();
    let (mut count, mut most) = (0, 0);
    let mut last = None;
    while let Some(Ok(record)) = reader.next() {
        assert!(last <= Some(record.at));
        last = Some(record.at);
        count += 1;
        most = most.max(reader.open.len());
    }
    assert_eq!(count, 150);
    assert!(most <= 2, "{most} files open");
    let (read, total) = reader.progress().unwrap();
    assert_eq!(read, total);
    let missing = LogReader::open(&[folder.path().join("none")], LogOptions::default());
    assert!(missing.unwrap_err().to_string().contains("none"));
    assert!(LogReader::open(&[folder.path().to_owned()], LogOptions::default()).is_err());
}

proptest! {
    #[test]
    fn requests_come_in_order_and_none_is_lost(
        files in proptest::collection::vec(proptest::collection::vec(0_i64..1_000, 0..60), 0..5),
    ) {
        let texts: Vec<Vec<u8>> = files
            .iter()
            .map(|times| times.iter().map(|secs| line(*secs, "/")).collect::<String>().into_bytes())
            .collect();
        let inputs = texts.into_iter().map(|text| ("f", Box::new(Cursor::new(text)) as Box<dyn Read>));
        let times: Vec<i64> = LogReader::over(inputs.collect(), LogOptions::default())
            .map(|record| record.unwrap().at.unix_secs() - TIME)
            .collect();
        let mut expected: Vec<i64> = files.into_iter().flatten().collect();
        expected.sort_unstable();
        prop_assert_eq!(times, expected);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2_000), magic in 0_usize..3) {
        let magic: &[u8] = [&[][..], &[0x1f, 0x8b, 8, 0], &[0x28, 0xb5, 0x2f, 0xfd]][magic];
        let (paths, _, report) = read(vec![("a", [magic, &bytes].concat())], LogOptions::default());
        prop_assert!(paths.len() as u64 == report.requests);
    }
}
