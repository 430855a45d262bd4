use std::net::IpAddr;
use std::path::{Path, PathBuf};

use http::{HeaderMap, Method, StatusCode, Version};

use super::*;
use crate::telemetry::Outcome;
use tero_semantics::timestamp::Timestamp;

const AT: Timestamp = Timestamp::from_unix_secs(1_795_608_000);

fn log(path: &Path) -> AccessLog {
    let settings = config::AccessLog {
        path: path.to_owned(),
        format: AccessLogFormat::Combined,
        fields: Vec::new(),
        client_address: ClientAddressForm::Full,
    };
    AccessLog::start(&settings, Clock::by_hand(AT)).unwrap()
}

fn write(log: &AccessLog, target: &str) {
    let none = HeaderMap::new();
    let line = log.begin(&AccessLogLine {
        at: AT,
        request_id: None,
        peer: None,
        proxies: &[],
        client: Some(IpAddr::from([10, 0, 0, 1])),
        method: Some(&Method::GET),
        target,
        version: Version::HTTP_11,
        host: "a.example",
        request: &none,
        status: StatusCode::OK,
        response: &none,
        outcome: LineOutcome::Answered(Outcome::Hit),
        took_micros: 1,
        tls: None,
        facts: AnswerFacts::default(),
    });
    let sent = SentResponse {
        bytes: 0,
        took_micros: 1,
    };
    log.write(line, sent);
}

/// Waits for the writer's thread.
fn until(mut met: impl FnMut() -> bool) {
    while !met() {
        std::thread::yield_now();
    }
}

fn targets(path: &PathBuf) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let target = |line: &str| line.split(' ').nth(6).unwrap().to_owned();
    text.lines().map(target).collect()
}

#[test]
fn lines_are_written_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = log(&path);
    write(&log, "/a");
    write(&log, "/b");
    until(|| log.lines().written == 2);
    assert_eq!(targets(&path), ["/a", "/b"]);
}

#[test]
fn every_line_after_a_rotation_is_in_the_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (folder.path().join("log"), folder.path().join("log.1"));
    let log = log(&path);
    for _ in 0..100 {
        let before = log.lines().written;
        write(&log, "/before");
        until(|| log.lines().written == before + 1);
        std::fs::rename(&path, &rotated).unwrap();
        log.reopen();
        for _ in 0..50 {
            write(&log, "/after");
        }
        until(|| log.lines().written == before + 51);
        assert_eq!(targets(&path), ["/after"; 50]);
        std::fs::remove_file(&path).unwrap();
        log.reopen();
        until(|| path.exists());
    }
}

#[test]
fn lines_that_can_not_be_written_are_counted() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        return;
    }
    let log = log(full);
    for _ in 0..100 {
        write(&log, "/lost");
    }
    until(|| log.lines().failed == 100);
    assert_eq!(log.lines().written, 0);
}
