//! The difference of two texts, as `diff -u` writes it.

use std::fmt::Write as _;

/// Lines around a change.
const CONTEXT: usize = 3;

/// Lines of each text beyond which the rest counts as one change.
const MAX_LINES: usize = 5_000;

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineChange {
    Same,
    Removed,
    Added,
}

/// The unified difference of two texts; empty if they are alike. `patch -p0` applies it to the file
/// `name`.
pub fn difference(name: &str, old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let changes = changes(&old, &new);
    let mut text = String::new();
    let mut at = 0;
    while let Some(first) = (at..changes.len()).find(|index| changes[*index].0 != LineChange::Same)
    {
        let start = first.saturating_sub(CONTEXT).max(at);
        let mut end = first;
        let mut same = 0;
        while end < changes.len() && same <= 2 * CONTEXT {
            same = if changes[end].0 == LineChange::Same {
                same + 1
            } else {
                0
            };
            end += 1;
        }
        let end = end.saturating_sub(same.saturating_sub(CONTEXT));
        if text.is_empty() {
            let _ = write!(text, "--- {name}\n+++ {name}\n");
        }
        hunk(&mut text, &changes[start..end], counts(&changes[..start]));
        at = end;
    }
    text
}

fn hunk(text: &mut String, changes: &[(LineChange, &str)], before: (usize, usize)) {
    let (old, new) = counts(changes);
    let start = |before: usize, count: usize| if count == 0 { before } else { before + 1 };
    let _ = writeln!(
        text,
        "@@ -{},{old} +{},{new} @@",
        start(before.0, old),
        start(before.1, new)
    );
    for (change, line) in changes {
        let sign = match change {
            LineChange::Same => ' ',
            LineChange::Removed => '-',
            LineChange::Added => '+',
        };
        let _ = writeln!(text, "{sign}{line}");
    }
}

/// How many lines of the old and of the new text these are.
fn counts(changes: &[(LineChange, &str)]) -> (usize, usize) {
    let count = |without: LineChange| {
        changes
            .iter()
            .filter(|(change, _)| *change != without)
            .count()
    };
    (count(LineChange::Added), count(LineChange::Removed))
}

/// The lines of both texts in order, by their longest common subsequence.
fn changes<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<(LineChange, &'t str)> {
    let head = old
        .iter()
        .zip(new)
        .take_while(|(old, new)| old == new)
        .count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest
        .iter()
        .rev()
        .zip(new_rest.iter().rev())
        .take_while(|(old, new)| old == new)
        .count();
    let (from, to) = (
        &old_rest[..old_rest.len() - tail],
        &new_rest[..new_rest.len() - tail],
    );
    let mut changes: Vec<_> = old[..head]
        .iter()
        .map(|line| (LineChange::Same, *line))
        .collect();
    if from.len() > MAX_LINES || to.len() > MAX_LINES {
        changes.extend(from.iter().map(|line| (LineChange::Removed, *line)));
        changes.extend(to.iter().map(|line| (LineChange::Added, *line)));
    } else {
        middle(from, to, &mut changes);
    }
    let end = &old[old.len() - tail..];
    changes.extend(end.iter().map(|line| (LineChange::Same, *line)));
    changes
}

fn middle<'t>(from: &[&'t str], to: &[&'t str], changes: &mut Vec<(LineChange, &'t str)>) {
    let width = to.len() + 1;
    let mut longest = vec![0_u32; (from.len() + 1) * width];
    for one in (0..from.len()).rev() {
        for other in (0..to.len()).rev() {
            longest[one * width + other] = if from[one] == to[other] {
                longest[(one + 1) * width + other + 1] + 1
            } else {
                longest[(one + 1) * width + other].max(longest[one * width + other + 1])
            };
        }
    }
    let (mut one, mut other) = (0, 0);
    while one < from.len() || other < to.len() {
        if one < from.len() && other < to.len() && from[one] == to[other] {
            changes.push((LineChange::Same, from[one]));
            (one, other) = (one + 1, other + 1);
        } else if other == to.len()
            || (one < from.len()
                && longest[(one + 1) * width + other] >= longest[one * width + other + 1])
        {
            changes.push((LineChange::Removed, from[one]));
            one += 1;
        } else {
            changes.push((LineChange::Added, to[other]));
            other += 1;
        }
    }
}
