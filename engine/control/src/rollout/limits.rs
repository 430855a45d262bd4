//! Bounds of changes to versions.

/// Attempts at a change, each begun anew because another change came first.
pub(super) const MAX_TRIES: usize = 16;

/// Test cases that are run when a version is pushed; each takes up to a few deadlines.
pub(super) const MAX_CASES: usize = 1_000;

/// Policies that may be added to those of the configuration.
pub(super) const MAX_ADDED: usize = 64;

/// The largest share of keys that a canary may answer for; it is compared with the rest.
pub(super) const MAX_CANARY_SHARE: &str = "50%";
