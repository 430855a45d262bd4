//! Which bytes of a representation are there, where it is not the whole (RFC 9111 §3.3, §3.4):
//! places, no bytes.
//!
//! A part lies where its `Content-Range` says that it begins, and is as long as its content. One
//! that says more than it brings has been cut short or counts wrongly, and what it does not bring,
//! up to the end of the whole, is never made up from what it says.
//!
//! Runs of bytes are kept in order, in one piece of memory after the other. What may be put
//! together is judged by [`are_combinable`].

use std::ops::Range;

use http::header::{ETAG, HeaderMap, HeaderValue, LAST_MODIFIED};

use super::http_date::http_date;
use super::validation::{is_strong_date, single, strong_match};

/// How many runs of one representation are kept; of more, the shortest goes. Players that jump
/// about leave many.
pub const MAX_RUNS: usize = 16;

/// Runs of a representation's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByteRuns {
    /// In order, none empty, none touching the next, none beyond `length`.
    runs: Vec<Range<u64>>,
    length: u64,
}

/// Where the bytes of a union come from: a place in what was kept before, or in the new part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunPiece {
    /// These of the bytes that were kept, one run after the other.
    Kept(Range<u64>),
    /// The new part, all of it.
    New,
}

impl ByteRuns {
    /// One run of a representation of `length` bytes; none where the run is empty, goes beyond it,
    /// or is the whole.
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

    /// The length of the whole, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// How many bytes there are from the first one on.
    pub fn prefix(&self) -> u64 {
        self.runs
            .first()
            .filter(|run| run.start == 0)
            .map_or(0, |run| run.end)
    }

    /// Where these bytes lie among those that are kept; none where they are not all there.
    pub fn place_of(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let mut before = 0;
        for run in &self.runs {
            if run.start <= range.start && range.end <= run.end {
                let start = before + (range.start - run.start);
                return Some(start..start + (range.end - range.start));
            }
            before += run.end - run.start;
        }
        None
    }

    /// These and a new run of the same representation, within its length; where both have a byte,
    /// the new one counts. The pieces make up the bytes in order. No parts where nothing is missing
    /// any more.
    ///
    /// Runs that are more than [`MAX_RUNS`], or that make more than `most` bytes, are left out: the
    /// shortest first, the new one never.
    pub fn with(&self, new: &Range<u64>, most: u64) -> (Option<ByteRuns>, Vec<RunPiece>) {
        let mut runs = self.joined_with(new);
        let bytes = |runs: &[JoinedRuns]| {
            runs.iter()
                .map(|run| run.place.end - run.place.start)
                .sum::<u64>()
        };
        while runs.len() > MAX_RUNS || bytes(&runs) > most {
            let others = runs
                .iter()
                .enumerate()
                .filter(|(_, run)| !run.pieces.contains(&RunPiece::New));
            let Some((shortest, _)) = others.min_by_key(|(_, run)| run.place.end - run.place.start)
            else {
                break;
            };
            runs.remove(shortest);
        }
        let is_whole = matches!(&runs[..], [run] if run.place == (0..self.length));
        let parts = (!is_whole).then(|| ByteRuns {
            runs: runs.iter().map(|run| run.place.clone()).collect(),
            length: self.length,
        });
        (parts, runs.into_iter().flat_map(|run| run.pieces).collect())
    }

    fn joined_with(&self, new: &Range<u64>) -> Vec<JoinedRuns> {
        let mut pieces: Vec<(Range<u64>, RunPiece)> = vec![(new.clone(), RunPiece::New)];
        let mut before = 0;
        for run in &self.runs {
            for left in [
                run.start..run.end.min(new.start),
                run.start.max(new.end)..run.end,
            ] {
                if left.start < left.end {
                    let start = before + (left.start - run.start);
                    pieces.push((
                        left.clone(),
                        RunPiece::Kept(start..start + (left.end - left.start)),
                    ));
                }
            }
            before += run.end - run.start;
        }
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
}

struct JoinedRuns {
    place: Range<u64>,
    pieces: Vec<RunPiece>,
}

/// The strong validator that a request for more of a stored part names in `If-Range` (RFC 9110
/// §13.1.5); none where the part has none, so that nothing could ever be put together with it.
pub fn strong_validator(stored: &HeaderMap) -> Option<&HeaderValue> {
    if !are_combinable(stored, stored) {
        return None;
    }
    stored.get(ETAG).or_else(|| stored.get(LAST_MODIFIED))
}

/// Whether a strong tag is one that other caches understand too (RFC 9110 §8.8.3). An empty field,
/// or one without quotes, may be what an origin writes for every response.
fn is_entity_tag(etag: &HeaderValue) -> bool {
    let inner = etag
        .as_bytes()
        .strip_prefix(b"\"")
        .and_then(|tag| tag.strip_suffix(b"\""));
    inner.is_some_and(|inner| !inner.contains(&b'"'))
}

/// Whether parts of two responses may be put together: both have the same strong validator (RFC
/// 9111 §3.4, RFC 9110 §15.3.7.3).
pub fn are_combinable(stored: &HeaderMap, new: &HeaderMap) -> bool {
    match (single(stored, &ETAG), single(new, &ETAG)) {
        (Some(stored), Some(new)) => strong_match(stored, new) && is_entity_tag(stored),
        (None, None) => {
            let date = |headers: &HeaderMap| single(headers, &LAST_MODIFIED).and_then(http_date);
            date(stored).is_some()
                && date(stored) == date(new)
                && is_strong_date(stored)
                && is_strong_date(new)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{FieldLines, date, headers};

    const ANY: u64 = u64::MAX;

    fn parts(runs: &[Range<u64>], length: u64) -> ByteRuns {
        ByteRuns {
            runs: runs.to_vec(),
            length,
        }
    }

    #[test]
    fn one_run_is_a_part_only_where_something_is_missing() {
        for (run, length, is_part) in [
            (0..5, 10, true),
            (5..10, 10, true),
            (0..10, 10, false),
            (3..3, 10, false),
            (5..11, 10, false),
            (0..0, 0, false),
        ] {
            assert_eq!(
                ByteRuns::one(run.clone(), length).is_some(),
                is_part,
                "{run:?} of {length}"
            );
        }
    }

    #[test]
    fn a_range_is_there_only_within_one_run() {
        let held = parts(&[0..4, 6..10], 20);
        for (range, place) in [
            (0..4, Some(0..4)),
            (1..2, Some(1..2)),
            (6..10, Some(4..8)),
            (9..10, Some(7..8)),
            (3..7, None),
            (4..6, None),
            (9..11, None),
            (10..11, None),
            (0..20, None),
        ] {
            assert_eq!(held.place_of(&range), place, "{range:?}");
        }
        assert_eq!((held.prefix(), parts(&[1..4, 6..7], 20).prefix()), (4, 0));
    }

    #[expect(clippy::single_range_in_vec_init, reason = "runs are ranges")]
    #[test]
    fn a_new_run_joins_those_that_it_touches_and_goes_before_what_was_there() {
        use RunPiece::{Kept, New};
        let held = parts(&[2..4, 6..8], 10);
        let rows: [(Range<u64>, Option<Vec<Range<u64>>>, Vec<RunPiece>); 8] = [
            (4..6, Some(vec![2..8]), vec![Kept(0..2), New, Kept(2..4)]),
            (3..7, Some(vec![2..8]), vec![Kept(0..1), New, Kept(3..4)]),
            (
                0..1,
                Some(vec![0..1, 2..4, 6..8]),
                vec![New, Kept(0..2), Kept(2..4)],
            ),
            (
                0..2,
                Some(vec![0..4, 6..8]),
                vec![New, Kept(0..2), Kept(2..4)],
            ),
            (
                2..3,
                Some(vec![2..4, 6..8]),
                vec![New, Kept(1..2), Kept(2..4)],
            ),
            (
                5..6,
                Some(vec![2..4, 5..8]),
                vec![Kept(0..2), New, Kept(2..4)],
            ),
            (0..9, Some(vec![0..9]), vec![New]),
            (0..10, None, vec![New]),
        ];
        for (new, runs, pieces) in rows {
            let (parts, from) = held.with(&new, ANY);
            assert_eq!(
                (parts.map(|parts| parts.runs), from),
                (runs, pieces),
                "{new:?}"
            );
        }
    }

    #[expect(clippy::single_range_in_vec_init, reason = "runs are ranges")]
    #[test]
    fn of_too_many_runs_or_bytes_the_shortest_go_and_the_new_one_never() {
        let many: Vec<Range<u64>> = (0..MAX_RUNS as u64)
            .map(|at| at * 10..at * 10 + 2 + at % 3)
            .collect();
        let (kept, _) = parts(&many, 1_000).with(&(500..501), ANY);
        let kept = kept.unwrap().runs;
        assert_eq!(
            (
                kept.len(),
                kept.contains(&(500..501)),
                kept.contains(&many[0])
            ),
            (MAX_RUNS, true, false)
        );
        let held = parts(&[0..4, 6..8], 100);
        let (kept, pieces) = held.with(&(50..60), 14);
        assert_eq!(
            (kept.unwrap().runs, pieces),
            (
                vec![0..4, 50..60],
                vec![RunPiece::Kept(0..4), RunPiece::New]
            )
        );
        let (kept, _) = held.with(&(50..60), 5);
        assert_eq!(kept.unwrap().runs, [50..60]);
    }

    #[test]
    fn parts_are_put_together_only_under_one_strong_validator() {
        let (now, then, recent) = (date(0), date(-3_000), date(-1));
        let (strong, weak) = (("etag", "\"a\""), ("etag", "W/\"a\""));
        let old: FieldLines<'_> = &[("last-modified", &then), ("date", &now)];
        let young: FieldLines<'_> = &[("last-modified", &recent), ("date", &now)];
        let rows: &[(FieldLines<'_>, FieldLines<'_>, bool)] = &[
            (&[strong], &[strong], true),
            (&[strong], &[("etag", "\"b\"")], false),
            (&[weak], &[weak], false),
            (&[strong], &[], false),
            (&[], &[], false),
            (old, old, true),
            (young, young, false),
            (&[strong, strong], &[strong], false),
            (&[("etag", "")], &[("etag", "")], false),
            (&[("etag", "a")], &[("etag", "a")], false),
            (&[("etag", "\"")], &[("etag", "\"")], false),
            (&[("etag", "\"\"")], &[("etag", "\"\"")], true),
        ];
        for (stored, new, expected) in rows {
            let (stored_fields, new_fields) = (headers(stored), headers(new));
            assert_eq!(
                are_combinable(&stored_fields, &new_fields),
                *expected,
                "{stored:?} {new:?}"
            );
            let validator = strong_validator(&stored_fields);
            assert!(
                !expected || validator == stored_fields.get(stored[0].0),
                "{stored:?}"
            );
        }
        for lines in [&[weak][..], &[], young, &[strong, strong]] {
            assert_eq!(strong_validator(&headers(lines)), None, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn bytes_stay_in_their_places(runs in prop::collection::vec((0_u64..64, 1_u64..16), 1..30)) {
            const LENGTH: u64 = 80;
            let whole: Vec<u8> = (0..LENGTH as u8).collect();
            let cut = |range: &Range<u64>| whole[range.start as usize..range.end as usize].to_vec();
            let mut held: Option<(ByteRuns, Vec<u8>)> = None;
            for (start, length) in runs {
                let new = start..start + length;
                let (parts, bytes) = match &held {
                    None => (ByteRuns::one(new.clone(), LENGTH), cut(&new)),
                    Some((parts, kept)) => {
                        let (parts, pieces) = parts.with(&new, ANY);
                        let piece = |piece: &RunPiece| match piece {
                            RunPiece::Kept(place) => kept[place.start as usize..place.end as usize].to_vec(),
                            RunPiece::New => cut(&new),
                        };
                        (parts, pieces.iter().flat_map(piece).collect())
                    }
                };
                let Some(parts) = parts else {
                    prop_assert_eq!(&bytes, &whole);
                    break;
                };
                for run in &parts.runs {
                    let place = parts.place_of(run).unwrap();
                    prop_assert_eq!(&bytes[place.start as usize..place.end as usize], &cut(run)[..]);
                }
                prop_assert!(parts.place_of(&new).is_some());
                prop_assert!(parts.runs.is_sorted_by(|left, right| left.end < right.start));
                held = Some((parts, bytes));
            }
        }
    }
}
