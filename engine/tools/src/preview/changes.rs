//! The seconds at which the decisions of a policy change.

use std::ops::Range;

use super::decision::{DecisionChange, PreviewDecision};
use super::event::PreviewSpan;
use tero_semantics::timestamp::Timestamp;

/// The changes after the beginning of the span and up to its end.
///
/// `ask` is called for every minute; where the answer does anything but run down within a minute,
/// it is called for every second of that minute.
pub(super) fn changes(
    span: PreviewSpan,
    ask: impl Fn(Timestamp) -> PreviewDecision,
) -> Vec<DecisionChange> {
    let mut found = Vec::new();
    let (mut start, end) = (span.from.unix_secs(), span.until.unix_secs());
    let mut before = ask(span.from);
    while start < end {
        let next = (start - start.rem_euclid(60) + 60).min(end);
        let after = ask(at(next));
        if after != before {
            found.extend(changes_within(start..next, before, &after, &ask));
        }
        (start, before) = (next, after);
    }
    found
}

/// The changes after the start of `secs` and up to its end, where the decision is `after`.
fn changes_within(
    secs: Range<i64>,
    before: PreviewDecision,
    after: &PreviewDecision,
    ask: impl Fn(Timestamp) -> PreviewDecision,
) -> Vec<DecisionChange> {
    let mut found = Vec::new();
    let middle = secs.start + (secs.end - secs.start) / 2;
    let half = u64::try_from(secs.end - middle).unwrap_or_default();
    if before.runs_down(&ask(at(middle)), after, half) {
        return found;
    }
    let mut last = before;
    for second in secs.start + 1..=secs.end {
        let now = if second == secs.end {
            after.clone()
        } else {
            ask(at(second))
        };
        if last.changes_to(&now) {
            found.push(DecisionChange {
                at: at(second),
                before: last,
                after: now.clone(),
            });
        }
        last = now;
    }
    found
}

fn at(unix_secs: i64) -> Timestamp {
    Timestamp::from_unix_secs(unix_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: i64, until: i64) -> PreviewSpan {
        PreviewSpan {
            from: at(from),
            until: at(until),
        }
    }

    /// The seconds of the first hour at which the lifetime `ttl` changes.
    fn found(ttl: impl Fn(u64) -> u64) -> Vec<i64> {
        let ask = |now: Timestamp| PreviewDecision {
            ttl_secs: Some(ttl(now.unix_secs().unsigned_abs())),
            ..PreviewDecision::default()
        };
        let changes = changes(span(0, 3_600), ask);
        changes
            .into_iter()
            .map(|change| change.at.unix_secs())
            .collect()
    }

    #[test]
    fn a_change_is_found_at_its_second_and_running_down_is_not_a_change() {
        assert_eq!(found(|_| 120), [0; 0]);
        assert_eq!(found(|now| 7_200 - now), [0; 0]);
        assert_eq!(found(|now| (7_200 - now).min(120)), [0; 0]);
        // Shortened by a third to spread expiry.
        assert_eq!(found(|now| (7_200 - now) * 2 / 3), [0; 0]);
        // 90 seconds, clipped at the half hour, then five minutes.
        assert_eq!(
            found(|now| if now < 1_800 {
                (1_800 - now).min(90)
            } else {
                300
            }),
            [1_800]
        );
        assert_eq!(found(|now| if now < 1_234 { 60 } else { 120 }), [1_234]);
        // As much as a lifetime runs down in a minute, and less.
        assert_eq!(found(|now| if now < 1_800 { 120 } else { 60 }), [1_800]);
        assert_eq!(found(|now| if now < 1_800 { 120 } else { 100 }), [1_800]);
        assert_eq!(
            found(|now| if now < 1_234 {
                3_600 - now
            } else {
                9_000 - now
            }),
            [1_234]
        );
        assert_eq!(
            found(|now| if now % 1_200 < 600 { 10 } else { 20 }),
            [600, 1_200, 1_800, 2_400, 3_000, 3_600]
        );
    }

    #[test]
    fn a_change_of_storing_is_found_and_a_change_of_reason_is_not() {
        let ask = |now: Timestamp| {
            let open = now.unix_secs() >= 90;
            PreviewDecision {
                storing: if open { "always" } else { "never" },
                reason: Some(now.unix_secs().to_string()),
                ..PreviewDecision::default()
            }
        };
        let told: Vec<_> = changes(span(7, 600), ask)
            .iter()
            .map(|change| {
                let (before, after) = (change.before.storing, change.after.storing);
                (change.at.unix_secs(), before, after)
            })
            .collect();
        assert_eq!(told, [(90, "never", "always")]);
    }
}
