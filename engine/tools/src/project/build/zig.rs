//! Builds policies in Zig with its own compiler.

use std::path::Path;
use std::process::Command;

use super::tool::{Tool, there};
use super::wrap;
use crate::project::contract;
use crate::project::error::ProjectError;
use crate::project::files::write;

const ZIG: Tool = Tool {
    name: "zig",
    language: "Zig",
    cure: "install Zig 0.17 (https://ziglang.org; PyPI has it as `ziglang`)",
};

const FLAGS: [&str; 6] = [
    "-target",
    "wasm32-freestanding",
    "-fno-entry",
    "-rdynamic",
    "-OReleaseSmall",
    "-fstrip",
];

pub(super) fn build(folder: &Path, module: &Path) -> Result<(), ProjectError> {
    write(&folder.join(contract::ZIG.0), contract::ZIG.1)?;
    let mut output = std::ffi::OsString::from("-femit-bin=");
    output.push(module);
    let mut zig = Command::new("zig");
    zig.current_dir(folder)
        .args(["build-exe", "policy.zig"])
        .args(FLAGS)
        .arg(output);
    ZIG.run(&mut zig)?;
    there(module, "zig")?;
    wrap(module)
}
