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
fn one_run_is_a_part_only_if_bytes_are_missing() {
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
fn a_range_is_found_only_within_one_run() {
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
fn a_new_run_joins_its_neighbours_and_replaces_the_bytes_below_it() {
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
fn the_shortest_runs_are_dropped_first_and_the_new_one_never() {
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
fn parts_are_combined_only_under_one_strong_validator() {
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

const LENGTH: u64 = 80;

/// Byte `n` of the representation is `n`.
fn bytes(range: &Range<u64>) -> Vec<u8> {
    range.clone().map(|byte| byte as u8).collect()
}

/// The bytes that `pieces` make of the stored ones and the new part.
fn assembled(pieces: &[RunPiece], stored: &[u8], new: &Range<u64>) -> Vec<u8> {
    let piece = |piece: &RunPiece| match piece {
        RunPiece::Kept(place) => stored[place.start as usize..place.end as usize].to_vec(),
        RunPiece::New => bytes(new),
    };
    pieces.iter().flat_map(piece).collect()
}

proptest! {
    #[test]
    fn joined_bytes_stay_in_their_places(
        runs in prop::collection::vec((0_u64..64, 1_u64..16), 1..30)
    ) {
        let mut held: Option<(ByteRuns, Vec<u8>)> = None;
        for (start, length) in runs {
            let new = start..start + length;
            let (runs, stored) = match &held {
                None => (ByteRuns::one(new.clone(), LENGTH), bytes(&new)),
                Some((runs, stored)) => {
                    let (runs, pieces) = runs.with(&new, ANY);
                    (runs, assembled(&pieces, stored, &new))
                }
            };
            let Some(runs) = runs else {
                prop_assert_eq!(stored, bytes(&(0..LENGTH)));
                break;
            };
            for run in &runs.runs {
                let place = runs.place_of(run).unwrap();
                prop_assert_eq!(&stored[place.start as usize..place.end as usize], bytes(run));
            }
            prop_assert!(runs.place_of(&new).is_some());
            prop_assert!(runs.runs.is_sorted_by(|left, right| left.end < right.start));
            held = Some((runs, stored));
        }
    }
}
