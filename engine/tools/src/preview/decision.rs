//! What a policy decides about a URL at a moment, and when two such decisions differ.
//!
//! A lifetime that ends at a fixed time gets shorter by the second; this is not a change. So
//! lifetimes are compared by whether they run down.

use serde::Serialize;

use tero_policy_host::compare::DecisionWords;
use tero_semantics::timestamp::Timestamp;

/// What a policy decides about a URL at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PreviewDecision {
    /// Whether the request is passed: neither looked up nor stored.
    pub pass: bool,
    /// The name of the variant.
    pub variant: Option<String>,
    /// Whether the response is stored: `by-headers`, `never` or `always`.
    pub storing: &'static str,
    /// The TTL of a response with status 200; the longest if several URLs share an event.
    pub ttl_secs: Option<u64>,
    /// The TTL for browsers.
    pub browser_ttl_secs: Option<u64>,
    /// How long the response may be served stale while it is revalidated.
    pub stale_while_revalidate_secs: Option<u64>,
    /// How long the response may be served stale when the origin fails.
    pub stale_if_error_secs: Option<u64>,
    /// What else it decides, by name, in words.
    #[serde(skip_serializing_if = "DecisionWords::is_empty")]
    pub more: DecisionWords,
    /// The policy's reason for its decision about the response, else about the request.
    pub reason: Option<String>,
}

/// The parts of a decision that do not run down.
type PreviewRest<'d> = (
    bool,
    Option<&'d str>,
    &'d str,
    Option<u64>,
    Option<u64>,
    &'d DecisionWords,
);

/// A decision that changes.
pub(super) struct DecisionChange {
    /// The first second of the new decision.
    pub(super) at: Timestamp,
    pub(super) before: PreviewDecision,
    pub(super) after: PreviewDecision,
}

impl PreviewDecision {
    /// Whether both are the same, lifetimes aside.
    pub(super) fn is_like(&self, other: &PreviewDecision) -> bool {
        self.rest() == other.rest()
            && self.reason == other.reason
            && self.ttl_secs.is_some() == other.ttl_secs.is_some()
    }

    /// Takes the longer lifetimes of the two.
    pub(super) fn widen(&mut self, other: &PreviewDecision) {
        self.ttl_secs = self.ttl_secs.max(other.ttl_secs);
        self.browser_ttl_secs = self.browser_ttl_secs.max(other.browser_ttl_secs);
    }

    /// The parts that do not run down. The reason is for people: it may change while the decision
    /// stays the same.
    fn rest(&self) -> PreviewRest<'_> {
        let variant = self.variant.as_deref();
        (
            self.pass,
            variant,
            self.storing,
            self.stale_while_revalidate_secs,
            self.stale_if_error_secs,
            &self.more,
        )
    }

    /// Whether lifetimes only run down from `self` over `middle` to `end`, evenly and by at most a
    /// second each second. `half` is the number of seconds between two of the three.
    pub(super) fn runs_down(
        &self,
        middle: &PreviewDecision,
        end: &PreviewDecision,
        half: u64,
    ) -> bool {
        let even = |lifetime: fn(&PreviewDecision) -> Option<u64>| match (
            lifetime(self),
            lifetime(middle),
            lifetime(end),
        ) {
            (None, None, None) => true,
            (Some(start), Some(middle), Some(end)) => {
                let (first, second) = (start.checked_sub(middle), middle.checked_sub(end));
                first.zip(second).is_some_and(|(first, second)| {
                    first.max(second) <= half && first.abs_diff(second) <= 2
                })
            }
            _ => false,
        };
        self.rest() == middle.rest()
            && middle.rest() == end.rest()
            && even(|decision| decision.ttl_secs)
            && even(|decision| decision.browser_ttl_secs)
    }

    /// Whether `next`, a second later, differs by more than running down.
    pub(super) fn changes_to(&self, next: &PreviewDecision) -> bool {
        // A spread lifetime that runs down may lose two seconds at once, or none.
        let jumps = |before: Option<u64>, after: Option<u64>| match (before, after) {
            (Some(before), Some(after)) => after > before + 1 || before > after + 2,
            (before, after) => before != after,
        };
        self.rest() != next.rest()
            || jumps(self.ttl_secs, next.ttl_secs)
            || jumps(self.browser_ttl_secs, next.browser_ttl_secs)
    }
}
