//! Builds policies in AssemblyScript with its own compiler.

use std::path::Path;
use std::process::Command;

use super::javascript::{NODE, installed};
use super::tool::{Tool, there};
use super::wrap;
use crate::project::contract;
use crate::project::error::ProjectError;
use crate::project::files::write;

const ASSEMBLYSCRIPT: Tool = Tool {
    name: "asc",
    language: "AssemblyScript",
    cure: "run `npm install` in the folder of the policy",
};

/// The last tells where `abort` is: what is thrown is logged, and no host function is needed.
const FLAGS: [&str; 5] = [
    "assembly/index.ts",
    "--optimize",
    "--runtime",
    "incremental",
    "--use=abort=assembly/tero/abort",
];

pub(super) fn build(folder: &Path, module: &Path) -> Result<(), ProjectError> {
    for (path, content) in contract::ASSEMBLYSCRIPT {
        write(&folder.join(path), content)?;
    }
    NODE.run(Command::new("node").arg("--version"))?;
    let asc =
        installed(folder, "assemblyscript/bin/asc.js").ok_or_else(|| ASSEMBLYSCRIPT.missing())?;
    let mut command = Command::new("node");
    command.current_dir(folder).arg(asc).args(FLAGS);
    ASSEMBLYSCRIPT.run(command.arg("--outFile").arg(module))?;
    there(module, "asc")?;
    wrap(module)
}
