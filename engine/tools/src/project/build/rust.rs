//! Builds policies in Rust with cargo.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tool::Tool;
use crate::project::error::{ProjectError, file_error};

const TARGET: &str = "wasm32-unknown-unknown";

const CARGO: Tool = Tool {
    name: "cargo",
    language: "Rust",
    cure: "install Rust with rustup (https://rustup.rs)",
};
const RUST_TARGET: Tool = Tool {
    name: "the target wasm32-unknown-unknown",
    language: "Rust",
    cure: "run `rustup target add wasm32-unknown-unknown`",
};

pub(super) fn build(folder: &Path, module: &Path) -> Result<(), ProjectError> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries = CARGO.run(Command::new(rustc).current_dir(folder).args([
        "--print",
        "target-libdir",
        "--target",
        TARGET,
    ]))?;
    if !Path::new(String::from_utf8_lossy(&libraries).trim()).is_dir() {
        return Err(RUST_TARGET.missing());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = [
        "build",
        "--release",
        "--target",
        TARGET,
        "--message-format",
        "json-render-diagnostics",
    ];
    let messages = CARGO.run(Command::new(cargo).current_dir(folder).args(arguments))?;
    // cargo builds the project itself last.
    let built = String::from_utf8_lossy(&messages)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|file| {
            file.as_str()
                .filter(|file| file.ends_with(".wasm"))
                .map(PathBuf::from)
        })
        .next_back();
    let cure = "write crate-type = [\"cdylib\", \"rlib\"] under [lib] of Cargo.toml";
    let built = built.ok_or(ProjectError::NoModule {
        tool: "cargo",
        cure,
    })?;
    fs::copy(&built, module).map_err(file_error(&built))?;
    Ok(())
}
