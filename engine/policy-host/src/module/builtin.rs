//! The built-in policies, compiled by the build script and embedded as `builtin:NAME`.

/// The names, in alphabetical order, with core modules of WebAssembly.
static BUILTIN: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// The core module of a built-in policy; `None` if no built-in policy has this name. Loading turns
/// it into a component.
pub fn builtin(name: &str) -> Option<&'static [u8]> {
    BUILTIN
        .iter()
        .find(|(other, _)| *other == name)
        .map(|(_, module)| *module)
}

/// The names of the built-in policies, in alphabetical order.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_policy_is_a_core_module() {
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
