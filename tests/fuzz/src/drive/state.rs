//! Files of the state directory. The edge wrote them itself, but they may have been changed since.
//!
//! The result of reading keeps within its memory limit, and is the same after writing and reading
//! it again.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tero_control::rollout::record::{PolicyRecord, PushedRecord, Version, file_of, version_of};
use tero_edge::telemetry::popularity::saved::{SavedPage, SavedSite};
use tero_edge::telemetry::popularity::{Hours, MAX_WEB_ORIGINS, PageRequests, Popularity};
use tero_semantics::timestamp::Timestamp;
use tero_state::file;

/// The time of reading: `Tue, 24 Nov 2026 13:00:00 GMT`.
const NOW: Timestamp = Timestamp::from_unix_secs(1_795_525_200);

/// Memory for everything that an input can name, and for almost nothing.
const MUCH: usize = 1 << 20;
const LITTLE: usize = 4 << 10;

/// The most earlier activations in a record.
const MAX_PREVIOUS: usize = 32;

/// Reads a file as each kind of state file, and as the names of a policy and a file.
pub fn state(bytes: &[u8]) {
    plans(bytes);
    popularity(bytes);
    record(bytes);
    version_file(&String::from_utf8_lossy(bytes));
}

/// Reads when plans last came due.
fn plans(bytes: &[u8]) {
    match file::parse::<BTreeMap<String, i64>>(bytes) {
        Ok(plans) => assert_eq!(written(&plans), plans),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Reads the popularity of sites.
fn popularity(bytes: &[u8]) {
    let sites = match file::parse::<BTreeMap<String, SavedSite>>(bytes) {
        Ok(sites) => sites,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    sites.into_values().for_each(restored);
}

/// What is read of a file into which `content` was written.
fn written<T: Serialize + DeserializeOwned>(content: &T) -> T {
    file::parse(&file::to_bytes(content).expect("it is JSON")).expect("it was written")
}

fn within(max_bytes: usize) -> Popularity {
    let popularity = Popularity::within(max_bytes);
    popularity.set_sites(&["America/Argentina/Buenos_Aires"
        .parse()
        .expect("it is a zone")]);
    popularity
}

fn restored(site: SavedSite) {
    let little = within(LITTLE);
    little.restore(0, site.clone(), NOW);
    assert!(little.bytes() <= LITTLE);
    let (pages, hosts) = (site.pages.len(), site.hosts.len());
    // No page has more requests than the file says.
    let requests = |page: &SavedPage| {
        page.hours
            .iter()
            .map(|(_, requests)| f64::from(*requests))
            .sum::<f64>()
    };
    let most: f64 = site
        .pages
        .iter()
        .map(requests)
        .filter(|sum| sum.is_finite())
        .fold(0.0, f64::max);
    let popularity = within(MUCH);
    let left_out = popularity.restore(0, site, NOW);
    assert!(left_out <= pages + hosts && popularity.bytes() <= MUCH);
    assert!(popularity.web_origins(0).len() <= MAX_WEB_ORIGINS);
    let top = popularity.top(0, Hours::ALL, usize::MAX, NOW);
    assert!(top.len() <= pages && top.is_sorted_by_key(|page| std::cmp::Reverse(page.requests)));
    assert!(
        top.iter()
            .all(|page| page.requests as f64 <= most.mul_add(1.000_001, 1.0)),
        "{most}: {top:?}"
    );
    // Written and read again, the counts are the same.
    let saved = popularity.save(0, NOW).expect("there is a site");
    let saved: SavedSite = written(&saved);
    let again = within(MUCH);
    assert_eq!(again.restore(0, saved.clone(), NOW), 0, "{saved:?}");
    alike(&saved, &again.save(0, NOW).expect("there is a site"));
    // And it is counted on.
    let many = PageRequests {
        url: "/one-more",
        variant: None,
        requests: u32::MAX,
    };
    again.record(0, many, NOW);
    assert!(
        again
            .top(0, Hours::ALL, usize::MAX, NOW)
            .iter()
            .any(|page| page.url == "/one-more")
    );
}

/// Checks that both are the same, apart from rounding and the order of pages.
fn alike(one: &SavedSite, other: &SavedSite) {
    let near = |one: f64, other: f64| one == other || (one - other).abs() <= one.abs() * 1e-6;
    let sorted = |site: &SavedSite| {
        let mut pages = site.pages.clone();
        pages.sort_by(|one, other| (&one.url, &one.variant).cmp(&(&other.url, &other.variant)));
        pages
    };
    assert_eq!(
        (one.unix_millis, &one.hosts, one.pages.len()),
        (other.unix_millis, &other.hosts, other.pages.len())
    );
    assert!(near(one.error_bound, other.error_bound));
    for (one, other) in sorted(one).iter().zip(&sorted(other)) {
        assert_eq!(
            (&one.url, &one.variant, one.hours.len()),
            (&other.url, &other.variant, other.hours.len())
        );
        let hours = one.hours.iter().zip(&other.hours);
        assert!(
            hours
                .clone()
                .all(|(one, other)| one.0 == other.0 && near(one.1.into(), other.1.into())),
            "{one:?} {other:?}"
        );
    }
}

/// Reads the versions of a policy.
fn record(bytes: &[u8]) {
    let mut record = match PolicyRecord::parse(bytes) {
        Ok(record) => record,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let written = |record: &PolicyRecord| {
        PolicyRecord::parse(&record.to_bytes().expect("it is JSON")).expect("it was written")
    };
    assert_eq!(written(&record), record);
    // No digest names a file outside the folder of versions.
    let pushed: Vec<Version> = record
        .versions
        .iter()
        .map(|pushed| Version::Pushed(pushed.digest.clone()))
        .collect();
    for version in pushed
        .iter()
        .chain([&record.active])
        .chain(&record.previous)
    {
        if let Version::Pushed(digest) = version {
            assert_eq!(
                version_of("hours", &file_of("hours", digest)),
                Some(digest.as_str())
            );
        }
    }
    if let Some(canary) = &record.canary {
        assert!(
            (1..=10_000).contains(&u32::from(canary.share))
                && canary.guard.out_of_range().is_none()
        );
    }
    // Every record that can be read can be continued.
    let digest = "0123456789abcdef".repeat(4);
    record.push(PushedRecord {
        number: 0,
        digest: digest.clone(),
        pushed_unix_secs: 1,
        bytes: 2,
        settings: false,
        cases: None,
        forecast: None,
    });
    record.activate(Version::Pushed(digest.clone()), NOW);
    assert!(record.previous.len() <= MAX_PREVIOUS && record.canary.is_none());
    record.thin_out(1);
    assert!(record.pushed(&digest).is_some());
    assert_eq!(written(&record), record);
    let mut active = record.active.clone();
    while let Some(version) = record.step_back(&active) {
        assert_ne!(version, active);
        record.roll_back_to(version.clone(), NOW);
        active = version;
    }
    assert!(record.previous.is_empty());
}

/// Reads the name of a policy, and the name of a file in the folder of versions.
fn version_file(text: &str) {
    let (policy, file) = text.split_once('\n').unwrap_or((text, ""));
    if let Some(digest) = version_of(policy, file) {
        assert_eq!(file_of(policy, digest), file);
        // The file belongs to no other policy: all digests have the same length.
        assert!(!digest.contains('-'));
    }
}
