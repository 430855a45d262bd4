//! What memory keeps: traces of requests against the store, beside the policies of `libcachesim`, and
//! through sockets.
//!
//! ```sh
//! pip install libcachesim==0.3.5
//! cargo test -p tero-tests --test keeping -- --nocapture
//! ```
//!
//! prints the table of docs/performance.md. Without `libcachesim`, the store is compared with figures
//! that it gave for the same traces.

mod libcachesim;
mod served_through_sockets;
mod stored;
mod traces;

use traces::{Trace, TraceRequest};

/// The memory is this part of what all pages of a trace need.
const MEMORY_PART: u64 = 10;
/// The first part of a trace fills the memory, and isn't counted.
const FILLING_PART: usize = 5;

/// Hits of people in percent of their requests.
#[derive(Debug, Default)]
struct HitShare {
    hits: u32,
    requests: u32,
}

impl HitShare {
    /// Counts the request with this number, unless it fills the memory or a crawler sent it.
    fn count(&mut self, number: usize, request: &TraceRequest, is_hit: bool) {
        if number >= traces::LENGTH / FILLING_PART && !request.is_crawler {
            self.requests += 1;
            self.hits += u32::from(is_hit);
        }
    }

    fn percent(&self) -> f64 {
        f64::from(self.hits) * 100.0 / f64::from(self.requests.max(1))
    }
}

/// The memory for a trace: a tenth of what its pages weigh.
fn memory_for(trace: &Trace, weight: impl Fn(&TraceRequest) -> u64) -> u64 {
    let mut pages: Vec<&TraceRequest> = trace.requests.iter().collect();
    pages.sort_unstable_by_key(|request| request.page);
    pages.dedup_by_key(|request| request.page);
    pages.into_iter().map(weight).sum::<u64>() / MEMORY_PART
}

/// What the best policy of `libcachesim` 0.3.5 reaches on each trace, which is not told who is a
/// crawler.
const BEST: [(&str, f64); 5] = [
    ("steady Zipf", 59.2),
    ("30 % crawlers", 57.6),
    ("a third on new pages", 65.3),
    ("new pages and crawlers", 60.8),
    ("booking traffic", 59.7),
];
/// How far the store may stay behind, in points.
const MAX_BEHIND: f64 = 2.0;

#[test]
fn the_store_keeps_what_the_best_policies_keep() {
    eprintln!("| trace | tero | crawlers known | S3-FIFO | SIEVE | ARC | W-TinyLFU |");
    eprintln!("|---|--:|--:|--:|--:|--:|--:|");
    for (trace, (name, recorded)) in traces::all().iter().zip(BEST) {
        assert_eq!(trace.name, name);
        let has_crawlers = trace.requests.iter().any(|request| request.is_crawler);
        let unknown = stored::hits(trace, true);
        let known = has_crawlers.then(|| stored::hits(trace, false));
        let others = libcachesim::hits(trace);
        let words: Vec<String> = match &others {
            Some(others) => others.iter().map(|share| format!("{share:.1}")).collect(),
            None => vec!["–".to_owned(); 4],
        };
        let told = known.map_or("–".to_owned(), |share| format!("{share:.1}"));
        eprintln!("| {name} | {unknown:.1} | {told} | {} |", words.join(" | "));
        if let Some(others) = others {
            let best = others.iter().copied().fold(0.0, f64::max);
            assert!((best - recorded).abs() < 0.1, "record {best:.1} for {name}");
        }
        assert!(
            unknown > recorded - MAX_BEHIND,
            "{name}: {unknown:.1} of {recorded}"
        );
        assert!(
            known.is_none_or(|known| known > recorded),
            "{name}: {known:?} of {recorded}"
        );
    }
}
