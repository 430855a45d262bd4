//! The popularity sketch on the log of a real web site: `tests/data/access.log.gz` has 10,000
//! requests from four days in May 2015. It is from the sample data of `elastic/examples`
//! (Apache-2.0), with the clients' addresses replaced.

use std::collections::HashMap;
use std::io::Read as _;

use chrono::{DateTime, Datelike as _};
use flate2::read::GzDecoder;
use tero_edge::telemetry::popularity::{Hours, MAX_BYTES, PageRequests, Popularity};
use tero_semantics::timestamp::Timestamp;

/// A line of the log.
struct Line {
    at: DateTime<chrono::FixedOffset>,
    url: String,
}

fn lines() -> Vec<Line> {
    let mut text = Vec::new();
    GzDecoder::new(&include_bytes!("../data/access.log.gz")[..])
        .read_to_end(&mut text)
        .expect("the log is whole");
    let text = String::from_utf8_lossy(&text);
    let mut lines: Vec<Line> = text.lines().filter_map(line).collect();
    assert!(lines.len() > 9_900, "{} lines were understood", lines.len());
    lines.sort_by_key(|line| line.at);
    lines
}

fn line(text: &str) -> Option<Line> {
    let (_, rest) = text.split_once('[')?;
    let (at, rest) = rest.split_once("] \"")?;
    let (request, _) = rest.split_once('"')?;
    let at = DateTime::parse_from_str(at, "%d/%b/%Y:%H:%M:%S %z").ok()?;
    Some(Line {
        at,
        url: request.split(' ').nth(1)?.to_owned(),
    })
}

fn one_request(url: &str) -> PageRequests<'_> {
    PageRequests {
        url,
        variant: None,
        requests: 1,
    }
}

/// For each day, how many of the sketch's top 50 are in the exact top 50. Pages with as many
/// requests as the fiftieth are in it.
fn agreement(max_bytes: usize) -> Vec<usize> {
    let lines = lines();
    let popularity = Popularity::within(max_bytes);
    popularity.set_sites(&[chrono_tz::UTC]);
    let mut exact: HashMap<u32, HashMap<&str, u32>> = HashMap::new();
    let mut now = Timestamp::default();
    for line in &lines {
        now = Timestamp::from_unix_secs(line.at.timestamp());
        popularity.record(0, one_request(&line.url), now);
        *exact
            .entry(line.at.num_days_from_ce().unsigned_abs())
            .or_default()
            .entry(&line.url)
            .or_default() += 1;
    }
    assert!(popularity.bytes() <= max_bytes);
    assert_eq!(exact.len(), 4, "four days");
    let mut days: Vec<_> = exact.into_iter().collect();
    days.sort_by_key(|(day, _)| *day);
    let of_day = |(day, counts): (u32, HashMap<&str, u32>)| {
        let mut most: Vec<u32> = counts.values().copied().collect();
        most.sort_unstable_by(|one, other| other.cmp(one));
        // The first of January of the year 1 was a Monday.
        let monday_first = u8::try_from((day - 1) % 7).expect("a week has seven days");
        let hours = (0..24).fold(Hours::NONE, |hours, hour| {
            hours.with(monday_first * 24 + hour)
        });
        let told = popularity.top(0, hours, 50, now);
        told.iter()
            .filter(|page| {
                counts
                    .get(page.url.as_str())
                    .is_some_and(|count| *count >= most[49])
            })
            .count()
    };
    days.into_iter().map(of_day).collect()
}

#[test]
fn the_sketch_finds_the_top_fifty_of_each_day_of_a_real_log() {
    let agreed = agreement(MAX_BYTES);
    assert!(
        agreed.iter().all(|agreed| *agreed >= 48),
        "{agreed:?} of 50"
    );
}

#[test]
fn the_sketch_finds_the_top_fifty_in_half_the_memory_of_all_pages() {
    let popularity = Popularity::within(MAX_BYTES);
    popularity.set_sites(&[chrono_tz::UTC]);
    for line in lines() {
        let at = Timestamp::from_unix_secs(line.at.timestamp());
        popularity.record(0, one_request(&line.url), at);
    }
    let half = popularity.bytes() / 2;
    let agreed = agreement(half);
    assert!(
        agreed.iter().all(|agreed| *agreed >= 48),
        "{agreed:?} of 50 in {half} bytes"
    );
}
