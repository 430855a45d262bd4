//! What operators write, send or fetch: a configuration, a calendar, a static JSON policy file, a sitemap, a schedule, a module with
//! what belongs to it, the content of a purge. The first line says which; what follows is the file.

use std::path::Path;

use tero::admin::purge::asked::{self, Named};
use tero::config::calendar;
use tero::config::{Config, units};
use tero::import::{Target, import};
use tero::policy::Package;
use tero::semantics::schedule::Schedule;
use tero::semantics::timestamp::Timestamp;
use tero::warm::sitemap::{self, MAX_SITEMAP_URLS, Sitemap};

/// `Tue, 24 Nov 2026 13:00:00 GMT`
const NOW: Timestamp = Timestamp::from_unix_secs(1_795_525_200);

/// What a sitemap may unpack to.
const MAX_SITEMAP_BYTES: usize = 1 << 20;

/// Reads a file of one of these kinds.
pub fn files(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (kind, rest) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    match kind {
        b"sitemap" => return sitemap(rest),
        b"package" => return package(rest),
        b"purge" => return purge(rest),
        _ => {}
    }
    let Ok(text) = std::str::from_utf8(rest) else { return };
    match kind {
        b"config" => configuration(text),
        b"calendar" => calendar(text),
        b"json" => legacy(text),
        b"schedule" => schedule(text),
        b"units" => sizes(text),
        _ => {}
    }
}

fn configuration(text: &str) {
    // It may name files, and reading devices is not what is to be tried here.
    if text.contains("/dev") || text.contains("/proc") || text.contains("\\u") || text.contains("\\U") {
        return;
    }
    match Config::parse(text, "tero.toml", Path::new("no-such-folder")) {
        Ok(config) => {
            assert!(!config.sites.is_empty() && !config.server.listen.is_empty());
            assert!(config.cache.max_object <= config.cache.memory && config.cache.fill_memory <= config.cache.memory);
            let named = |name: &str| config.policies.iter().any(|policy| *policy.name == *name);
            assert!(config.sites.iter().flat_map(|site| site.policies.iter()).all(|name| named(name)));
        }
        Err(errors) => {
            assert!(!errors.errors.is_empty());
            assert!(errors.errors.iter().all(|error| !error.problem.is_empty() && !error.cure.is_empty()));
            assert!(!errors.to_string().is_empty());
        }
    }
}

fn calendar(text: &str) {
    match calendar::parse(text) {
        Ok(read) => drop(calendar::missing_years(&read, NOW)),
        Err(mistakes) => {
            let lines = text.lines().count() + 1;
            assert!(!mistakes.is_empty() && mistakes.iter().all(|mistake| (1..=lines).contains(&mistake.line)));
        }
    }
}

/// What is taken from a JSON file is a configuration whose TOML can be read.
fn legacy(text: &str) {
    let target = Target::new("http://127.0.0.1:3000", &[]).expect("both are good");
    match import(text, "policies.json", &target) {
        Ok(toml) => {
            assert!(toml.parse::<toml::Table>().is_ok(), "{toml}");
            let _ = Config::parse(&toml, "tero.toml", Path::new("no-such-folder"));
        }
        Err(errors) => assert!(!errors.errors.is_empty()),
    }
}

fn sitemap(bytes: &[u8]) {
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

/// A schedule comes due after now, and the next time after that.
fn schedule(text: &str) {
    let mut lines = text.lines();
    let (expression, zone) = (lines.next().unwrap_or_default(), lines.next().unwrap_or("UTC"));
    let Ok(zone) = zone.parse() else { return };
    let Ok(schedule) = Schedule::parse(expression, zone) else { return };
    let mut now = NOW;
    for _ in 0..3 {
        let Some(next) = schedule.next_after(now) else { return };
        assert!(next > now);
        now = next;
    }
}

fn sizes(text: &str) {
    if let Some(duration) = units::duration(text.trim()) {
        assert_eq!(units::duration(&units::show_duration(duration)), Some(duration));
    }
    if let Some(size) = units::size(text.trim()) {
        assert_eq!(units::size(&units::show_size(size)), Some(size));
    }
}

/// What was taken apart can be put together, and taken apart as before.
fn package(bytes: &[u8]) {
    let Ok(package) = Package::of(bytes) else { return };
    let whole = package.to_bytes();
    if package.settings.is_some() || package.cases.is_some() {
        assert_eq!(Package::of(&whole).as_ref(), Ok(&package));
    } else {
        assert_eq!(whole, bytes);
    }
}

fn purge(bytes: &[u8]) {
    match asked::read(bytes) {
        Ok(asked) => match asked.target {
            Named::Url(place) | Named::Prefix(place) => {
                assert!(!place.host.is_empty() && !place.host.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'@'));
                assert!(place.path.is_empty() || place.path.starts_with(['/', '?']));
            }
            Named::Tag(text) | Named::Site(text) => assert!(!text.is_empty()),
        },
        Err(wrong) => assert!(!wrong.error.is_empty() && !wrong.cure.is_empty()),
    }
}
