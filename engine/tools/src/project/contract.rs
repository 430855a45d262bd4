//! The contract as WIT and in C, and how a module says that it implements the contract.

use std::path::Path;

use wit_component::StringEncoding;
use wit_parser::{Resolve, WorldId};

use super::error::{ProjectError, file_error};
use super::files::write;

/// The contract that this program offers, as WIT.
pub(super) const CONTRACT: &str = include_str!("../../../../sdk/wit/0.2/policy.wit");

/// The bindings that wit-bindgen made from the contract, without the object that names the
/// contract: [`mark`] does that.
const C: [(&str, &str); 3] = [
    ("tero.h", include_str!("../../../../sdk/c/tero.h")),
    ("policy.h", include_str!("../../../../sdk/c/policy.h")),
    ("policy.c", include_str!("../../../../sdk/c/policy.c")),
];

/// The types of JavaScript and TypeScript: the path in a project, and the content.
pub(super) const TYPES: (&str, &str) = (
    "tero-policy.d.ts",
    include_str!("../../../../sdk/javascript/index.d.ts"),
);

/// The package `tero_policy` for Python.
const PYTHON: [(&str, &str); 6] = [
    (
        "__init__.py",
        include_str!("../../../../sdk/python/src/tero_policy/__init__.py"),
    ),
    (
        "_answers.py",
        include_str!("../../../../sdk/python/src/tero_policy/_answers.py"),
    ),
    (
        "_host.py",
        include_str!("../../../../sdk/python/src/tero_policy/_host.py"),
    ),
    (
        "_questions.py",
        include_str!("../../../../sdk/python/src/tero_policy/_questions.py"),
    ),
    (
        "testing.py",
        include_str!("../../../../sdk/python/src/tero_policy/testing.py"),
    ),
    (
        "py.typed",
        include_str!("../../../../sdk/python/src/tero_policy/py.typed"),
    ),
];

/// The contract for languages that make core modules: paths in a project, and contents.
pub(super) const GO: (&str, &str) = ("tero.go", include_str!("../../../../sdk/go/tero.go"));
pub(super) const ZIG: (&str, &str) = ("tero.zig", include_str!("../../../../sdk/zig/tero.zig"));
pub(super) const ASSEMBLYSCRIPT: [(&str, &str); 2] = [
    (
        "assembly/tero.ts",
        include_str!("../../../../sdk/assemblyscript/tero.ts"),
    ),
    (
        "assembly/index.ts",
        include_str!("../../../../sdk/assemblyscript/index.ts"),
    ),
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

/// Writes `tero.h`, `policy.h` and `policy.c` into `folder`.
pub(super) fn write_c(folder: &Path) -> Result<(), ProjectError> {
    C.iter()
        .try_for_each(|(name, text)| write(&folder.join(name), text))
}

/// Writes the package `tero_policy` into a folder of `folder`.
pub(super) fn write_python(folder: &Path) -> Result<(), ProjectError> {
    let folder = folder.join("tero_policy");
    PYTHON
        .iter()
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
