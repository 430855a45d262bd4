//! What bounds a change of versions.

/// How often a change is begun anew because another one came first.
pub(super) const MAX_TRIES: usize = 16;

/// Cases that are run when a version is pushed: each takes up to a few deadlines.
pub(super) const MAX_CASES: usize = 1_000;

/// The largest share of keys that a canary may answer for: what is left is what it is compared
/// with.
pub(super) const MAX_CANARY_SHARE: &str = "50%";
