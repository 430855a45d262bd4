//! The shipped policies, compiled by the build script and embedded as `builtin:NAME`.

/// Names, in alphabetical order, and core modules of WebAssembly.
static BUILTIN: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// The module of a shipped policy: a core module of WebAssembly, which is made a component when it
/// is loaded.
pub fn builtin(name: &str) -> Option<&'static [u8]> {
    BUILTIN
        .iter()
        .find(|(other, _)| *other == name)
        .map(|(_, module)| *module)
}

/// The names of the shipped policies, in alphabetical order.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_policy_is_a_module() {
        let names: Vec<_> = builtin_names().collect();
        assert_eq!(
            names,
            [
                "business-hours",
                "device-variants",
                "json-rules",
                "popular-pages"
            ]
        );
        for name in names {
            assert!(
                builtin(name).unwrap().starts_with(b"\0asm\x01\0\0\0"),
                "{name}"
            );
        }
        assert_eq!(builtin("business_hours"), None);
    }
}
