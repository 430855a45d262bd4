//! The shipped policies, compiled when tero is built.

/// The module of a shipped policy.
pub fn builtin(_name: &str) -> Option<&'static [u8]> {
    None
}

/// The names of the shipped policies.
pub fn builtin_names() -> Vec<&'static str> {
    Vec::new()
}
