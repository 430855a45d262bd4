//! `tero policy build`: drives the language's own tools, and says plainly which of them is missing.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{CONTRACT, Language, MODULE, ProjectError, bindings, file_error, typescript, write};

const TARGET: &str = "wasm32-unknown-unknown";

/// Builds the project in `folder` and returns where its module is. What tools say goes to standard
/// error.
///
/// # Errors
/// When there is no project, a tool is missing, or it fails.
pub fn build(folder: &Path) -> Result<PathBuf, ProjectError> {
    let language =
        Language::of(folder).ok_or_else(|| ProjectError::NoProject(folder.to_owned()))?;
    // Tools run in the folder, so paths that they are given must not depend on where this program
    // was started.
    let folder = &folder.canonicalize().map_err(file_error(folder))?;
    write(&folder.join("wit/policy.wit"), CONTRACT)?;
    let module = folder.join(MODULE);
    match language {
        Language::Rust => rust(folder, &module)?,
        Language::Javascript => javascript(folder, &module)?,
        Language::Python => python(folder, &module)?,
        Language::C => c(folder, &module)?,
    }
    Ok(module)
}

/// A tool, its language and how to get it.
struct Tool {
    name: &'static str,
    language: &'static str,
    cure: &'static str,
}

impl Tool {
    fn missing(&self) -> ProjectError {
        ProjectError::Missing {
            tool: self.name,
            language: self.language,
            cure: self.cure,
        }
    }

    /// Runs it to its end and returns what it writes to standard output.
    fn run(&self, command: &mut Command) -> Result<Vec<u8>, ProjectError> {
        match command
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
        {
            Ok(output) if output.status.success() => Ok(output.stdout),
            Ok(output) => {
                eprint!("{}", String::from_utf8_lossy(&output.stdout));
                Err(ProjectError::Failed { tool: self.name })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Err(self.missing()),
            Err(source) => Err(ProjectError::File {
                path: self.name.into(),
                source,
            }),
        }
    }
}

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

fn rust(folder: &Path, module: &Path) -> Result<(), ProjectError> {
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
    // The project itself is built last.
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

const NODE: Tool = Tool {
    name: "node",
    language: "JavaScript",
    cure: "install Node.js 20 or later (https://nodejs.org)",
};
const COMPONENTIZE_JS: Tool = Tool {
    name: "componentize-js",
    language: "JavaScript",
    cure: "run `npm install` in the folder of the policy",
};

/// A policy needs no clock, no chance and no network, and gets none; without them the module
/// imports nothing of WASI.
const COMPONENTIZE: &str = "
import { componentize } from '@bytecodealliance/componentize-js';
import { writeFileSync } from 'node:fs';
const { component } = await componentize({
  sourcePath: '.policy.entry.js', witPath: 'wit', worldName: 'policy',
  disableFeatures: ['random', 'stdio', 'clocks', 'http', 'fetch-event'],
});
writeFileSync('policy.wasm', component);
";

/// It imports `policy.js`, and lies beside it while it is needed.
const ENTRY_JS: (&str, &str) = (
    ".policy.entry.js",
    include_str!("../../../../sdk/javascript/entry.js"),
);

fn javascript(folder: &Path, module: &Path) -> Result<(), ProjectError> {
    write(&folder.join("policy.d.ts"), typescript::declarations())?;
    NODE.run(Command::new("node").arg("--version"))?;
    let installed = |folder: &Path| {
        folder
            .join("node_modules/@bytecodealliance/componentize-js")
            .is_dir()
    };
    if !folder.ancestors().any(installed) {
        return Err(COMPONENTIZE_JS.missing());
    }
    // componentize-js does not say where a mistake is.
    NODE.run(
        Command::new("node")
            .current_dir(folder)
            .args(["--check", "policy.js"]),
    )?;
    let entry = folder.join(ENTRY_JS.0);
    write(&entry, ENTRY_JS.1)?;
    let built = COMPONENTIZE_JS.run(Command::new("node").current_dir(folder).args([
        "--input-type=module",
        "--eval",
        COMPONENTIZE,
    ]));
    fs::remove_file(&entry).map_err(file_error(&entry))?;
    built?;
    there(module, "componentize-js")
}

const COMPONENTIZE_PY: Tool = Tool {
    name: "componentize-py",
    language: "Python",
    cure: "run `python3 -m venv .venv && .venv/bin/pip install -r requirements.txt` in the folder of the policy, or install it with pip",
};

/// It imports `app`. In a folder of its own, so that the bindings for editors are not taken for
/// those of the module.
const ENTRY_PY: (&str, &str) = (
    "tero_entry",
    include_str!("../../../../sdk/python/tero_entry.py"),
);

fn python(folder: &Path, module: &Path) -> Result<(), ProjectError> {
    let own = folder.join(".venv/bin/componentize-py");
    let tool = || {
        let mut command = if own.is_file() {
            Command::new(&own)
        } else {
            Command::new("componentize-py")
        };
        command
            .current_dir(folder)
            .args(["--wit-path", "wit", "--world", "policy"]);
        command
    };
    COMPONENTIZE_PY.run(
        Command::new(if own.is_file() {
            own.as_path()
        } else {
            Path::new("componentize-py")
        })
        .arg("--version"),
    )?;
    let bindings = folder.join("bindings");
    if bindings.is_dir() {
        // It refuses to write into a folder that is there.
        fs::remove_dir_all(&bindings).map_err(file_error(&bindings))?;
    }
    COMPONENTIZE_PY.run(tool().args(["bindings", "bindings"]))?;
    write(
        &bindings.join("entry").join(ENTRY_PY.0).with_extension("py"),
        ENTRY_PY.1,
    )?;
    let paths = ["--python-path", ".", "--python-path", "bindings/entry"];
    COMPONENTIZE_PY.run(
        tool()
            .args([
                "componentize",
                "--stub-wasi",
                ENTRY_PY.0,
                "--output",
                MODULE,
            ])
            .args(paths),
    )?;
    there(module, "componentize-py")
}

const CLANG: Tool = Tool {
    name: "clang with wasm-ld",
    language: "C",
    cure: "install clang 14 or later and lld (Debian: `apt-get install clang lld`; macOS: `brew install llvm lld`)",
};

fn c(folder: &Path, module: &Path) -> Result<(), ProjectError> {
    let bindings = folder.join("bindings");
    bindings::write_c(&bindings)?;
    CLANG.run(Command::new("clang").arg("--version"))?;
    let linker = CLANG.run(Command::new("clang").args([
        "--target=wasm32-unknown-unknown",
        "--print-prog-name=wasm-ld",
    ]))?;
    // Without one it prints the bare name.
    let linker = PathBuf::from(String::from_utf8_lossy(&linker).trim());
    if Command::new(&linker)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_err()
    {
        return Err(CLANG.missing());
    }
    let mut clang = Command::new("clang");
    clang.current_dir(folder).args([
        "--target=wasm32-unknown-unknown",
        "-std=c11",
        "-O2",
        "-ffreestanding",
        "-fno-builtin",
    ]);
    clang.args([
        "-nostdlib",
        "-Wall",
        "-Wextra",
        "-Ilibc",
        "-Wl,--no-entry",
        "-Wl,--strip-debug",
        "-Wl,-z,stack-size=65536",
    ]);
    clang
        .args(["-o", MODULE])
        .args(sources(folder)?)
        .args(["bindings/policy.c"]);
    CLANG.run(&mut clang)?;
    there(module, "clang")?;
    bindings::mark(module)
}

/// The project's own sources, those of its libc included.
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

fn there(module: &Path, tool: &'static str) -> Result<(), ProjectError> {
    match module.is_file() {
        true => Ok(()),
        false => Err(ProjectError::NoModule {
            tool,
            cure: "see what it said above",
        }),
    }
}
