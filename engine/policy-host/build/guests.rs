//! Compiles guest crates of this workspace to WebAssembly. The build scripts of the host and of the
//! tests share this file.
//!
//! One nested cargo builds all guests, in one folder beside the profiles of the outer target
//! folder. Debug and release builds, the host and the tests, `clippy` and `doc` all share its
//! results.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

const TARGET: &str = "wasm32-unknown-unknown";

/// A guest crate as a module in `OUT_DIR`.
pub(crate) struct Module {
    /// The name of the crate.
    pub(crate) name: &'static str,
    /// The path of the module.
    pub(crate) path: PathBuf,
}

/// Builds the crates and passes their modules to `then`. An error becomes one line of cargo's
/// output.
pub(crate) fn build(
    root: &Path,
    crates: &[&'static str],
    sources: &[&str],
    then: impl FnOnce(Vec<Module>) -> std::io::Result<()>,
) -> ExitCode {
    for source in ["Cargo.toml", "Cargo.lock", "sdk"].iter().chain(sources) {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    let built = installed()
        .and_then(|()| modules(root, crates))
        .and_then(|modules| then(modules).map_err(|error| error.to_string()));
    match built {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("cargo::error={message}");
            ExitCode::FAILURE
        }
    }
}

/// Makes sure that the standard library for WebAssembly is installed.
fn installed() -> Result<(), String> {
    if has_target() {
        return Ok(());
    }
    // Without rustup or without a network this fails, and the error below tells what to do by hand.
    let _ = Command::new("rustup")
        .args(["target", "add", TARGET])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if has_target() {
        Ok(())
    } else {
        Err(format!(
            "policies are compiled to WebAssembly, which needs its target: run `rustup target add {TARGET}`"
        ))
    }
}

fn has_target() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let Ok(answer) = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
    else {
        return false;
    };
    let folder = PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim());
    answer.status.success()
        && fs::read_dir(folder).is_ok_and(|mut files| {
            files.any(|file| {
                file.is_ok_and(|file| file.path().extension().is_some_and(|it| it == "rlib"))
            })
        })
}

fn modules(root: &Path, crates: &[&'static str]) -> Result<Vec<Module>, String> {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run cargo")?);
    let folder = target_folder(&out);
    compile(root, crates, &folder)?;
    let copy = |name: &&'static str| {
        let file = format!("{}.wasm", name.replace('-', "_"));
        let (from, path) = (
            folder.join(TARGET).join("guest").join(&file),
            out.join(&file),
        );
        fs::copy(&from, &path).map_err(|error| format!("{}: {error}", from.display()))?;
        Ok(Module { name, path })
    };
    crates.iter().map(copy).collect()
}

/// `target/guests` for `target/debug/build/tero-0123456789abcdef/out`; `OUT_DIR` itself if cargo
/// uses another layout.
fn target_folder(out: &Path) -> PathBuf {
    let build = out
        .ancestors()
        .find(|folder| folder.file_name().is_some_and(|name| name == "build"));
    build
        .and_then(Path::parent)
        .and_then(Path::parent)
        .unwrap_or(out)
        .join("guests")
}

fn compile(root: &Path, crates: &[&str], folder: &Path) -> Result<(), String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(root)
        .args([
            "build",
            "--profile",
            "guest",
            "--target",
            TARGET,
            "--target-dir",
        ])
        .arg(folder);
    if root.join("Cargo.lock").exists() {
        cargo.arg("--locked");
    }
    for name in crates {
        cargo.args(["--package", name]);
    }
    // The outer build's flags, wrappers (clippy is one) and targets are not for guests.
    for (name, _) in std::env::vars_os().filter(|(name, _)| !is_for_guests(name)) {
        cargo.env_remove(name);
    }
    // It also suppresses the flags of configuration files.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", without_paths(root, folder)?);
    let answer = cargo
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cargo could not be started to compile the policies: {error}"))?;
    if answer.status.success() {
        return Ok(());
    }
    eprintln!("{}", String::from_utf8_lossy(&answer.stderr));
    Err(format!(
        "the policies could not be compiled to WebAssembly: see the output of `cargo build --profile guest --target {TARGET} --package {}`",
        crates.join(" --package ")
    ))
}

/// Flags by which a module says nothing of the machine that made it, and is the same from any folder:
/// panics name source files. Where several prefixes fit, the last one holds.
fn without_paths(root: &Path, folder: &Path) -> Result<OsString, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let answer = Command::new(rustc)
        .args(["--print", "sysroot"])
        .output()
        .map_err(|error| format!("rustc could not be started: {error}"))?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim());
    let home = std::env::home_dir().unwrap_or_default();
    let cargo_home = std::env::var_os("CARGO_HOME").map_or(home.join(".cargo"), PathBuf::from);
    let mut flags = OsString::new();
    for (path, stand_in) in [
        (root, "/tero"),
        (&cargo_home, "/cargo"),
        (&sysroot, "/rust"),
        (folder, "/target"),
    ] {
        if !flags.is_empty() {
            flags.push("\u{1f}");
        }
        flags.push("--remap-path-prefix=");
        flags.push(path);
        flags.push("=");
        flags.push(stand_in);
    }
    Ok(flags)
}

fn is_for_guests(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    let network = [
        "CARGO_NET_",
        "CARGO_HTTP_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
    ]
    .iter()
    .any(|start| name.starts_with(start));
    let kept = network
        || matches!(
            &*name,
            "CARGO_HOME"
                | "CARGO_MAKEFLAGS"
                | "RUSTC"
                | "RUSTUP_HOME"
                | "RUSTUP_TOOLCHAIN"
                | "RUSTUP_AUTO_INSTALL"
        );
    kept || !(name.starts_with("CARGO")
        || name.starts_with("RUSTC")
        || name.starts_with("RUSTFLAGS")
        || name.starts_with("RUSTDOC")
        || name.starts_with("__CARGO"))
}
