//! Builds policies in C with clang, and with bindings from this program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::tool::{Tool, there};
use crate::project::contract;
use crate::project::error::{ProjectError, file_error};

const CLANG: Tool = Tool {
    name: "clang with wasm-ld",
    language: "C",
    cure: "install clang 14 or later and lld (Debian: `apt-get install clang lld`; macOS: `brew install llvm lld`)",
};

const TARGET: &str = "--target=wasm32-unknown-unknown";
const FLAGS: [&str; 12] = [
    TARGET,
    "-std=c11",
    "-O2",
    "-ffreestanding",
    "-fno-builtin",
    "-nostdlib",
    "-Wall",
    "-Wextra",
    "-Ilibc",
    "-Wl,--no-entry",
    "-Wl,--strip-debug",
    "-Wl,-z,stack-size=65536",
];

pub(super) fn build(folder: &Path, module: &Path) -> Result<(), ProjectError> {
    let bindings = folder.join("bindings");
    contract::write_c(&bindings)?;
    require_linker()?;
    let mut clang = Command::new("clang");
    clang
        .current_dir(folder)
        .args(FLAGS)
        .arg("-o")
        .arg(module)
        .args(sources(folder)?)
        .arg("bindings/policy.c");
    CLANG.run(&mut clang)?;
    there(module, "clang")?;
    contract::mark(module)
}

/// Fails unless clang and its linker for WebAssembly are installed.
fn require_linker() -> Result<(), ProjectError> {
    CLANG.run(Command::new("clang").arg("--version"))?;
    let linker = CLANG.run(Command::new("clang").args([TARGET, "--print-prog-name=wasm-ld"]))?;
    // clang prints the bare name of a linker that it does not find.
    let linker = PathBuf::from(String::from_utf8_lossy(&linker).trim());
    let version = Command::new(&linker)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.map(drop).map_err(|_| CLANG.missing())
}

/// The sources of the project, with those of its libc.
fn sources(folder: &Path) -> Result<Vec<PathBuf>, ProjectError> {
    let mut sources = Vec::new();
    for folder in [folder.to_owned(), folder.join("libc")]
        .iter()
        .filter(|folder| folder.is_dir())
    {
        let entries = fs::read_dir(folder).map_err(file_error(folder))?;
        sources.extend(
            entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|it| it == "c")),
        );
    }
    sources.sort_unstable();
    Ok(sources)
}
