//! Files that operators write, send or fetch, and files that the edge wrote before a restart. The
//! first line says which kind; the file follows.
//!
//! - `config`, `calendar`, `cases`, `json` (a static JSON policy file), `package` (a module with
//!   its settings), `sitemap`
//! - `lines`: lines of an access log, of a list of pages, and of times
//! - `schedule`, `units`: values of a configuration
//! - `request`: a request to the admin interface without its content; `content`: the content, read
//!   as that of each call
//! - `state`: a file of the state directory, read as each kind, and its name

use std::net::Ipv6Addr;
use std::path::Path;
use std::time::Duration;

use http::Version;
use http::header::{HeaderMap, REFERER, USER_AGENT};
use tero_config::calendars as calendar;
use tero_config::{AccessLogFormat, Config, ConfigErrors, units};
use tero_control::warm::sitemap::{self, MAX_SITEMAP_URLS, Sitemap};
use tero_control::warm::sources::pages;
use tero_edge::telemetry::Outcome;
use tero_edge::telemetry::access_log::{
    AccessLogLine, AnswerFacts, LineFormat, LineOutcome, SentResponse,
};
use tero_policy_host::Package;
use tero_policy_host::cases::Cases;
use tero_semantics::timestamp::Timestamp;
use tero_time::cron::Schedule;
use tero_time::local_time::LocalDateTime;
use tero_tools::import::{ImportTarget, OddPatterns, import};
use tero_tools::replay::formats::LogSyntax;
use tero_tools::replay::log::{self, LogOptions, LogReader};
use tero_tools::replay::record::{LogRecord, LoggedCache};

use super::{contents, state};

/// The time of reading: `Tue, 24 Nov 2026 13:00:00 GMT`.
const NOW: Timestamp = Timestamp::from_unix_secs(1_795_525_200);

/// The largest unpacked sitemap, in bytes.
const MAX_SITEMAP_BYTES: usize = 1 << 20;

/// Reads a file of the kind in its first line.
pub fn files(bytes: &[u8]) {
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(bytes.len());
    let (kind, rest) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    match kind {
        b"sitemap" => return sitemap(rest),
        b"package" => return package(rest),
        b"request" => return contents::request(rest),
        b"content" => return contents::content(rest),
        b"state" => return state::state(rest),
        b"lines" => return lines(rest),
        b"log" => return logs(rest),
        _ => {}
    }
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    match kind {
        b"config" => configuration(text),
        b"calendar" => calendar(text),
        b"json" => legacy(text),
        b"schedule" => schedule(text),
        b"units" => sizes(text),
        b"cases" => cases(text),
        _ => {}
    }
}

fn configuration(text: &str) {
    if reads_devices(text) {
        return;
    }
    match Config::parse(text, "tero.toml", Path::new("no-such-folder")) {
        Ok(config) => {
            assert!(!config.sites.is_empty() && !config.server.all_listeners().is_empty());
            assert!(
                config.cache.max_object <= config.cache.memory
                    && config.cache.fill_memory <= config.cache.memory
            );
            let named = |name: &str| config.policies.iter().any(|policy| *policy.name == *name);
            assert!(
                config
                    .sites
                    .iter()
                    .flat_map(|site| site.policies.iter())
                    .all(|name| named(name))
            );
        }
        Err(errors) => told(&errors),
    }
}

/// Whether the text names a device: a configuration may name files, but reading devices would hang.
fn reads_devices(text: &str) -> bool {
    ["/dev", "/proc", "\\u", "\\U"]
        .iter()
        .any(|part| text.contains(part))
}

/// Checks that every mistake has a cure.
fn told(errors: &ConfigErrors) {
    assert!(!errors.errors.is_empty());
    assert!(
        errors
            .errors
            .iter()
            .all(|error| !error.problem.is_empty() && !error.cure.is_empty())
    );
    assert!(!errors.to_string().is_empty());
}

fn calendar(text: &str) {
    match calendar::parse(text) {
        Ok(read) => drop(calendar::missing_years(&read, NOW)),
        Err(mistakes) => {
            let lines = text.lines().count() + 1;
            assert!(
                !mistakes.is_empty()
                    && mistakes
                        .iter()
                        .all(|mistake| (1..=lines).contains(&mistake.line))
            );
        }
    }
}

/// Checks that an imported JSON file gives a valid configuration.
fn legacy(text: &str) {
    let target = ImportTarget::new("http://127.0.0.1:3000", &[]).expect("both are good");
    match import(text, "policies.json", &target, OddPatterns::Translate) {
        Ok(imported) => {
            let toml = imported.toml;
            assert!(toml.parse::<toml::Table>().is_ok(), "{toml}");
            let _ = Config::parse(&toml, "tero.toml", Path::new("no-such-folder"));
        }
        Err(errors) => assert!(!errors.errors.is_empty()),
    }
}

fn sitemap(bytes: &[u8]) {
    if let Ok(found) = sitemap::parse_robots(bytes, MAX_SITEMAP_BYTES) {
        let is_bounded = matches!(&found, Sitemap::Index(found) if found.len() <= MAX_SITEMAP_URLS);
        assert!(is_bounded);
    }
    let found = match sitemap::parse(bytes, MAX_SITEMAP_BYTES) {
        Ok(Sitemap::Pages(found) | Sitemap::Index(found)) => found,
        Err(reason) => return assert!(!reason.is_empty()),
    };
    assert!(found.len() <= MAX_SITEMAP_URLS && found.iter().all(|entry| !entry.url.is_empty()));
    for entry in &found {
        if let Some((host, target)) = sitemap::split_url(&entry.url) {
            assert!(!host.is_empty() && target.starts_with('/'));
        }
    }
}

/// Checks that a schedule comes due after now, and again after that.
fn schedule(text: &str) {
    let mut lines = text.lines();
    let (expression, zone) = (
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or("UTC"),
    );
    let Ok(zone) = zone.parse() else { return };
    let Ok(schedule) = Schedule::parse(expression, zone) else {
        return;
    };
    let mut now = NOW;
    for _ in 0..3 {
        let Some(next) = schedule.next_after(now) else {
            return;
        };
        assert!(next > now);
        now = next;
    }
}

fn sizes(text: &str) {
    if let Some(duration) = units::duration(text.trim()) {
        assert_eq!(
            units::duration(&units::show_duration(duration)),
            Some(duration)
        );
    }
    if let Some(size) = units::size(text.trim()) {
        assert_eq!(units::size(&units::show_size(size)), Some(size));
    }
}

/// Checks that a package can be written and read again.
fn package(bytes: &[u8]) {
    let Ok(package) = Package::of(bytes) else {
        return;
    };
    let whole = package.to_bytes();
    if package.settings.is_some() || package.cases.is_some() {
        assert_eq!(Package::of(&whole).as_ref(), Ok(&package));
    } else {
        assert_eq!(whole, bytes);
    }
}

/// Checks that a file of cases has cases, or mistakes with cures.
fn cases(text: &str) {
    if reads_devices(text) {
        return;
    }
    match Cases::parse(text, "cases.toml", Path::new("no-such-folder"), None) {
        Ok(cases) => {
            assert!(!cases.is_empty() && cases.len() <= text.matches("case").count());
            let again = Cases::for_policy(text, "cases.toml", cases.policy.clone(), usize::MAX)
                .expect("it was good before");
            assert_eq!(again.len(), cases.len());
        }
        Err(errors) => told(&errors),
    }
}

/// Reads each line as one of a log, as one of a list of pages, and as a time.
fn lines(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    listed(&text);
    for line in text.lines() {
        log(line);
        time(line);
    }
}

/// Checks that a line of a log can be written and read again.
fn log(line: &str) {
    let Some(logged) = log::parse(line.trim()) else {
        return;
    };
    assert!(logged.target.starts_with('/') && logged.target.parse::<http::Uri>().is_ok());
    // RFC 3339 has years of four digits only.
    if !(0..=253_402_300_799).contains(&logged.at.unix_secs()) {
        return;
    }
    let known = |name| {
        let value = logged.request.get(&name)?.clone();
        Some((name, value))
    };
    let request: HeaderMap = [USER_AGENT, REFERER]
        .into_iter()
        .filter_map(known)
        .collect();
    let sent = SentResponse {
        bytes: logged.content_bytes().unwrap_or_default(),
        took_micros: 1,
    };
    let line = AccessLogLine {
        at: logged.at,
        request_id: None,
        client: Some(Ipv6Addr::LOCALHOST.into()),
        peer: None,
        proxies: &[],
        method: Some(&logged.method),
        target: &logged.target,
        version: Version::HTTP_11,
        host: logged.host.as_deref().unwrap_or_default(),
        request: &request,
        status: logged.status,
        response: &HeaderMap::new(),
        outcome: LineOutcome::Answered(Outcome::Miss),
        took_micros: 1,
        tls: None,
        facts: AnswerFacts::default(),
    };
    let json = line
        .begin(&LineFormat::whole(AccessLogFormat::Json))
        .close(sent);
    let combined = line
        .begin(&LineFormat::whole(AccessLogFormat::Combined))
        .close(sent);
    assert!(!json.contains(['\n', '\r']) && !combined.contains(['\n', '\r']));
    let told = |logged: &LogRecord| {
        (
            logged.method.clone(),
            logged.target.clone(),
            logged.status,
            logged.bytes,
            logged.user_agent().cloned(),
            logged.referer().cloned(),
        )
    };
    let expected = LogRecord {
        bytes: Some(sent.bytes),
        request,
        ..logged.clone()
    };
    let again = log::parse(&json).expect("it is a line of a log");
    assert_eq!(told(&again), told(&expected), "{json}");
    assert_eq!((again.at, &again.host), (logged.at, &logged.host), "{json}");
    assert_eq!(again.cache, Some(LoggedCache::Miss));
    let again = log::parse(&combined).expect("it is a line of a log");
    assert_eq!(told(&again), told(&expected), "{combined}");
    assert_eq!(again.at.unix_secs(), logged.at.unix_secs());
}

/// Reads files of a log, which lines of `-- next file --` split, as one: packed or not, in any format.
fn logs(bytes: &[u8]) {
    const SPLIT: &[u8] = b"\n-- next file --\n";
    let mut files = vec![bytes];
    while let Some(last) = files.last().copied()
        && let Some(at) = last.windows(SPLIT.len()).position(|part| part == SPLIT)
    {
        files.pop();
        files.extend([&last[..at], &last[at + SPLIT.len()..]]);
    }
    let inputs = files
        .into_iter()
        .map(|file| ("log", Box::new(file) as Box<dyn std::io::Read>));
    let options = LogOptions {
        now: Some(NOW),
        syntax: LogSyntax::default(),
    };
    let mut reader = LogReader::over(inputs.collect(), options);
    let (mut last, mut requests) = (None, 0);
    for record in (&mut reader).flatten() {
        assert!(
            last <= Some(record.at),
            "requests come in the order of time"
        );
        assert!(record.target.starts_with('/') && record.place.line > 0);
        last = Some(record.at);
        requests += 1;
    }
    let report = reader.report();
    assert_eq!(report.requests, requests);
    assert!(report.requests + report.bad_lines() <= report.lines + report.broken_files);
}

fn listed(text: &str) {
    for target in pages::listed(text).filter_map(pages::target) {
        assert!(
            target.starts_with('/')
                && !target.contains(['#', ' '])
                && !target.contains(|char: char| char.is_ascii_control())
        );
        let uri: http::Uri = target.parse().expect("it can be asked for");
        assert!(uri.authority().is_none());
    }
}

/// Checks that a local time in any zone is within some hours of UTC.
fn time(text: &str) {
    let Some(time) = LocalDateTime::parse(text) else {
        return;
    };
    let utc = time.in_zone(chrono_tz::UTC);
    for zone in [
        chrono_tz::America::Argentina::Buenos_Aires,
        chrono_tz::Pacific::Apia,
        chrono_tz::Africa::Casablanca,
    ] {
        let there = time.in_zone(zone);
        assert!(
            there.since(utc).max(utc.since(there)) <= Duration::from_secs(50 * 3_600),
            "{utc:?} {there:?}"
        );
        assert!(matches!(time, LocalDateTime::Local(_)) || there == utc);
    }
}
