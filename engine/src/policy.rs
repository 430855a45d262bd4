//! The host of policies: loads, limits and calls modules, remembers decisions, turns answers into `semantics` types.
