//! The versions of the contract: which of them a module was built for, and how the engine talks to
//! it.
//!
//! The engine speaks the types of the newest version. Each version has a file here with its
//! bindings and with what turns questions into its types and answers out of them; a version that
//! has come out stays for good, so modules built for it load for good. [`ContractVersion::of`]
//! picks by the number in the names of what a module imports and says of itself.

pub(crate) mod exports;
#[allow(
    unreachable_pub,
    reason = "the generated bindings of another version re-export what they share"
)]
pub mod types;
mod v0_1;

use wasmtime::component::InstancePre;

use crate::guest::state::GuestState;
use exports::LinkedComponent;

/// The versions that are offered, oldest first.
static VERSIONS: &[ContractVersion] = &[
    ContractVersion {
        number: "0.1",
        link: v0_1::link,
    },
    #[cfg(test)]
    ContractVersion {
        number: "0.2",
        link: super::tests::next::link,
    },
];

/// A version of the contract. Versions that differ in the last number only are one.
#[derive(Debug)]
pub(crate) struct ContractVersion {
    /// The first two numbers.
    number: &'static str,
    /// Checks that a component exports what this version wants.
    pub(crate) link: fn(InstancePre<GuestState>) -> wasmtime::Result<Box<dyn LinkedComponent>>,
}

impl ContractVersion {
    /// The newest of the versions that a module names, as its names write them; or the first that
    /// is not offered.
    pub(crate) fn of<'a>(
        found: impl IntoIterator<Item = &'a str>,
    ) -> Result<Option<(&'static ContractVersion, &'a str)>, &'a str> {
        let mut newest: Option<(usize, &str)> = None;
        for found in found {
            let is_it = |version: &ContractVersion| {
                found
                    .strip_prefix(version.number)
                    .is_some_and(|rest| rest.starts_with('.'))
            };
            let place = VERSIONS.iter().position(is_it).ok_or(found)?;
            // A version may use types of one before it, whose name then stands there too.
            newest = newest.max(Some((place, found)));
        }
        Ok(newest.map(|(place, found)| (&VERSIONS[place], found)))
    }
}

/// The versions that are offered, for people.
pub(crate) fn offered() -> String {
    VERSIONS
        .iter()
        .map(|version| format!("tero:policy@{}", version.number))
        .collect::<Vec<_>>()
        .join(", ")
}
