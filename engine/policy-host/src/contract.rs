//! The versions of the contract: which version a module was built for, and how the engine talks to
//! it.
//!
//! The engine speaks the types of the newest version. Each version has a file here with its
//! bindings and with the conversions from and to the newest types. A released version is never
//! removed, so a module built for it loads for ever. [`ContractVersion::of`] chooses the version by
//! the numbers that a module's imports and metadata name.

pub(crate) mod exports;
#[allow(
    unreachable_pub,
    reason = "the generated bindings of another version re-export what they share"
)]
pub mod types;
mod v0_1;
mod v0_2;

use wasmtime::component::InstancePre;

use crate::guest::state::GuestState;
use exports::LinkedComponent;

/// The offered versions, oldest first.
static VERSIONS: &[ContractVersion] = &[
    ContractVersion {
        number: "0.1",
        link: v0_1::link,
    },
    ContractVersion {
        number: "0.2",
        link: v0_2::link,
    },
];

/// A version of the contract. Versions that differ only in the last number are the same.
#[derive(Debug)]
pub(crate) struct ContractVersion {
    /// The first two numbers.
    number: &'static str,
    /// Checks that a component exports the functions of this version.
    pub(crate) link: fn(InstancePre<GuestState>) -> wasmtime::Result<Box<dyn LinkedComponent>>,
}

impl ContractVersion {
    /// The newest version that a module names, with the name's own number; `None` if it names none.
    ///
    /// # Errors
    /// The first version that is not offered.
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
            // A version may use types of an earlier one, which the module then names too.
            newest = newest.max(Some((place, found)));
        }
        Ok(newest.map(|(place, found)| (&VERSIONS[place], found)))
    }
}

/// The offered versions, for people.
pub(crate) fn offered() -> String {
    VERSIONS
        .iter()
        .map(|version| format!("tero:policy@{}", version.number))
        .collect::<Vec<_>>()
        .join(", ")
}
