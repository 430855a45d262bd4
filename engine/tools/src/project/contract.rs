//! The contract as WIT and in C, and how a module says that it implements the contract.

use std::path::Path;

use wit_component::StringEncoding;
use wit_parser::{Resolve, WorldId};

use super::error::{ProjectError, file_error};
use super::files::write;

/// The contract that this program offers, as WIT.
pub(super) const CONTRACT: &str = include_str!("../../../../sdk/wit/0.1/policy.wit");

/// The bindings that wit-bindgen made from the contract, without the object that names the
/// contract: [`mark`] does that.
const C: [(&str, &str); 2] = [
    ("policy.h", include_str!("../../../../sdk/c/policy.h")),
    ("policy.c", include_str!("../../../../sdk/c/policy.c")),
];

/// The parsed contract.
pub(super) fn contract() -> (Resolve, WorldId) {
    let mut resolve = Resolve::default();
    let package = resolve
        .push_str("policy.wit", CONTRACT)
        .expect("the contract is WIT");
    let world = resolve
        .select_world(&[package], Some("policy"))
        .expect("the contract has a world");
    (resolve, world)
}

/// Writes `policy.h` and `policy.c` into `folder`.
pub(super) fn write_c(folder: &Path) -> Result<(), ProjectError> {
    C.iter()
        .try_for_each(|(name, text)| write(&folder.join(name), text))
}

/// Makes a core module name the contract that it implements, as modules of SDKs do.
pub(super) fn mark(path: &Path) -> Result<(), ProjectError> {
    let mut module = std::fs::read(path).map_err(file_error(path))?;
    let (resolve, world) = contract();
    let marked = wit_component::embed_component_metadata(
        &mut module,
        &resolve,
        world,
        StringEncoding::UTF8,
        false,
    );
    let cure = "make sure that policy.wasm is a WebAssembly module";
    marked.map_err(|_| ProjectError::NoModule {
        tool: "clang",
        cure,
    })?;
    write(path, module)
}
