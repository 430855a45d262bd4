//! Incomplete responses (RFC 9111 §3.3) and how they are combined (§3.4): which bytes of a
//! representation are stored, as places without the bytes themselves.
//!
//! A part lies where its `Content-Range` says that it begins, and is as long as its content. If it
//! announces more than it brings, it was cut short or its sender counts wrongly; the missing bytes
//! are never assumed.
//!
//! A representation's stored bytes are kept as runs, in order, one after the other in memory.

use std::ops::Range;

use http::header::{ETAG, HeaderMap, HeaderValue, LAST_MODIFIED};

use super::http_date::http_date;
use super::timestamp::Timestamp;
use super::validation::{is_strong_date, single, strong_match};

/// How many runs of one representation are kept; of more, the shortest goes. Players that jump
/// about in a film leave many.
pub const MAX_RUNS: usize = 16;

/// The runs of bytes that are stored of a representation.
///
/// ```
/// use tero_semantics::partial::{ByteRuns, RunPiece};
///
/// // The first 400 of 1000 bytes are stored, and bytes 300 to 599 come.
/// let stored = ByteRuns::one(0..400, 1_000).unwrap();
/// assert_eq!(stored.prefix(), 400);
/// assert_eq!(stored.place_of(&(100..200)), Some(100..200));
/// assert_eq!(stored.place_of(&(300..600)), None);
///
/// let (runs, pieces) = stored.with(&(300..600), u64::MAX);
/// let runs = runs.unwrap(); // `None` would say that nothing is missing any more.
/// assert_eq!((runs.runs(), runs.length()), (&[0..600][..], 1_000));
/// // Of the stored bytes, 300 are kept in front of the new ones.
/// assert_eq!(pieces, [RunPiece::Kept(0..300), RunPiece::New]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByteRuns {
    /// In order, none empty, none touching the next, none beyond `length`.
    runs: Vec<Range<u64>>,
    length: u64,
}

/// Where a piece of the joined bytes comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunPiece {
    /// From this place among the bytes that were stored before, run after run.
    Kept(Range<u64>),
    /// From the new part: all of it.
    New,
}

impl ByteRuns {
    /// One run of a representation of `length` bytes; `None` if the run is empty, goes beyond the
    /// representation, or is all of it.
    pub fn one(run: Range<u64>, length: u64) -> Option<ByteRuns> {
        let is_part = run.start < run.end && run.end <= length && run != (0..length);
        is_part.then(|| ByteRuns {
            runs: vec![run],
            length,
        })
    }

    /// The runs, in order.
    pub fn runs(&self) -> &[Range<u64>] {
        &self.runs
    }

    /// The length of the representation, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// How many bytes are stored from the first one on.
    pub fn prefix(&self) -> u64 {
        self.runs
            .first()
            .filter(|run| run.start == 0)
            .map_or(0, |run| run.end)
    }

    /// Where the bytes of `range` lie among the stored ones; `None` if one of them is missing.
    pub fn place_of(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let mut before = 0;
        for run in &self.runs {
            if run.start <= range.start && range.end <= run.end {
                let start = before + (range.start - run.start);
                return Some(start..start + length_of(range));
            }
            before += length_of(run);
        }
        None
    }

    /// These runs joined with a new one of the same representation, within its length, and the
    /// pieces that make up the bytes, in order. Where both have a byte, the new one counts. The
    /// runs are `None` if nothing is missing any more.
    ///
    /// If there are more than [`MAX_RUNS`] runs, or more than `max_bytes` bytes, the shortest runs
    /// are dropped first, the new one never.
    pub fn with(&self, new: &Range<u64>, max_bytes: u64) -> (Option<ByteRuns>, Vec<RunPiece>) {
        let mut runs = self.joined_with(new);
        while runs.len() > MAX_RUNS || bytes_of(&runs) > max_bytes {
            let Some(shortest) = shortest_kept(&runs) else {
                break;
            };
            runs.remove(shortest);
        }
        let is_whole = matches!(&runs[..], [run] if run.place == (0..self.length));
        let left = (!is_whole).then(|| ByteRuns {
            runs: runs.iter().map(|run| run.place.clone()).collect(),
            length: self.length,
        });
        (left, runs.into_iter().flat_map(|run| run.pieces).collect())
    }

    fn joined_with(&self, new: &Range<u64>) -> Vec<JoinedRuns> {
        let mut pieces = vec![(new.clone(), RunPiece::New)];
        pieces.extend(self.pieces_beside(new));
        pieces.sort_by_key(|(place, _)| place.start);
        let mut joined: Vec<JoinedRuns> = Vec::new();
        for (place, piece) in pieces {
            match joined.last_mut() {
                Some(last) if last.place.end == place.start => {
                    last.place.end = place.end;
                    last.pieces.push(piece);
                }
                _ => joined.push(JoinedRuns {
                    place,
                    pieces: vec![piece],
                }),
            }
        }
        joined
    }

    /// What is left of the stored runs before and after `new`, with its place in the
    /// representation.
    fn pieces_beside(&self, new: &Range<u64>) -> Vec<(Range<u64>, RunPiece)> {
        let mut pieces = Vec::new();
        let mut before = 0;
        for run in &self.runs {
            let beside = [
                run.start..run.end.min(new.start),
                run.start.max(new.end)..run.end,
            ];
            for left in beside.into_iter().filter(|left| !left.is_empty()) {
                let start = before + (left.start - run.start);
                let kept = RunPiece::Kept(start..start + length_of(&left));
                pieces.push((left, kept));
            }
            before += length_of(run);
        }
        pieces
    }
}

struct JoinedRuns {
    place: Range<u64>,
    pieces: Vec<RunPiece>,
}

fn length_of(range: &Range<u64>) -> u64 {
    range.end - range.start
}

fn bytes_of(runs: &[JoinedRuns]) -> u64 {
    runs.iter().map(|run| length_of(&run.place)).sum()
}

/// The shortest run without new bytes.
fn shortest_kept(runs: &[JoinedRuns]) -> Option<usize> {
    let kept = runs
        .iter()
        .enumerate()
        .filter(|(_, run)| !run.pieces.contains(&RunPiece::New));
    kept.min_by_key(|(_, run)| length_of(&run.place))
        .map(|(at, _)| at)
}

/// The strong validator that a request for the rest of a stored part sends in `If-Range` (RFC 9110
/// §13.1.5); `None` if the part has none, so that nothing can ever be combined with it.
///
/// ```
/// use http::header::{ETAG, HeaderMap, HeaderValue};
/// use tero_semantics::partial::strong_validator;
///
/// let stored = |etag| HeaderMap::from_iter([(ETAG, HeaderValue::from_static(etag))]);
/// assert_eq!(strong_validator(&stored("\"v1\"")).unwrap(), "\"v1\"");
/// assert_eq!(strong_validator(&stored("W/\"v1\"")), None);
/// ```
pub fn strong_validator(stored: &HeaderMap) -> Option<&HeaderValue> {
    if !are_combinable(stored, stored) {
        return None;
    }
    stored.get(ETAG).or_else(|| stored.get(LAST_MODIFIED))
}

/// Whether parts of two responses may be combined: both have the same strong validator (§3.4, RFC
/// 9110 §15.3.7.3).
///
/// ```
/// use http::header::{ETAG, HeaderMap, HeaderValue};
/// use tero_semantics::partial::are_combinable;
///
/// let part = |etag| HeaderMap::from_iter([(ETAG, HeaderValue::from_static(etag))]);
/// assert!(are_combinable(&part("\"v1\""), &part("\"v1\"")));
/// assert!(!are_combinable(&part("\"v1\""), &part("\"v2\"")));
/// ```
pub fn are_combinable(stored: &HeaderMap, new: &HeaderMap) -> bool {
    match (single(stored, &ETAG), single(new, &ETAG)) {
        (Some(stored), Some(new)) => strong_match(stored, new) && is_entity_tag(stored),
        (None, None) => {
            let modified = only_last_modified(stored);
            modified.is_some()
                && modified == only_last_modified(new)
                && is_strong_date(stored)
                && is_strong_date(new)
        }
        _ => false,
    }
}

fn only_last_modified(headers: &HeaderMap) -> Option<Timestamp> {
    single(headers, &LAST_MODIFIED).and_then(http_date)
}

/// Whether a strong tag is written as RFC 9110 §8.8.3 says, so that other caches understand it too.
/// An empty field, or one without quotes, may be what an origin puts on every response.
fn is_entity_tag(etag: &HeaderValue) -> bool {
    let inner = etag
        .as_bytes()
        .strip_prefix(b"\"")
        .and_then(|tag| tag.strip_suffix(b"\""));
    inner.is_some_and(|inner| !inner.contains(&b'"'))
}

#[cfg(test)]
mod tests;
