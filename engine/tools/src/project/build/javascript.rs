//! Builds policies in JavaScript and TypeScript with componentize-js.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tool::{Tool, there};
use crate::project::error::{ProjectError, file_error};
use crate::project::files::write;
use crate::project::{shapes, typescript};

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

const TYPESCRIPT: Tool = Tool {
    name: "tsc",
    language: "TypeScript",
    cure: "run `npm install` in the folder of the policy",
};

/// Runs componentize-js. Policies have no clock, random numbers or network; without these features
/// the module imports nothing from WASI.
const COMPONENTIZE: &str = "
import { componentize } from '@bytecodealliance/componentize-js';
import { writeFileSync } from 'node:fs';
const { component } = await componentize({
  sourcePath: process.env.TERO_ENTRY, witPath: 'wit', worldName: 'policy',
  disableFeatures: ['random', 'stdio', 'clocks', 'http', 'fetch-event'],
});
writeFileSync('policy.wasm', component);
";

/// The entry, which imports `policy.js` beside it. It is there during the build only.
const ENTRY: &str = include_str!("../../../../../sdk/javascript/entry.js");
const ENTRY_NAME: &str = ".policy.entry.js";
/// The line of the entry in whose place the types of the contract are written.
const SHAPES: &str = "// SHAPES: the types of the contract, written here by the build.\n";

/// Builds a policy in JavaScript. Its types are checked if the project has TypeScript.
pub(super) fn build(folder: &Path, module: &Path) -> Result<(), ProjectError> {
    write(&folder.join("policy.d.ts"), typescript::declarations())?;
    write(&folder.join("log.d.ts"), typescript::LOG)?;
    check_tools(folder)?;
    // componentize-js does not say where a syntax error is; node does.
    NODE.run(
        Command::new("node")
            .current_dir(folder)
            .args(["--check", "policy.js"]),
    )?;
    let has_types = folder.join("jsconfig.json").is_file();
    if let Some(tsc) = tsc(folder).filter(|_| has_types) {
        let mut command = Command::new("node");
        command.current_dir(folder).arg(tsc);
        TYPESCRIPT.run(command.args(["--noEmit", "--project", "jsconfig.json"]))?;
    }
    componentize(folder, Path::new(ENTRY_NAME))?;
    there(module, "componentize-js")
}

/// Builds a policy in TypeScript: its compiler checks it and writes JavaScript to `build/`.
pub(super) fn build_typescript(folder: &Path, module: &Path) -> Result<(), ProjectError> {
    write(&folder.join("contract.d.ts"), typescript::declarations())?;
    write(&folder.join("log.d.ts"), typescript::LOG)?;
    check_tools(folder)?;
    let tsc = tsc(folder).ok_or_else(|| TYPESCRIPT.missing())?;
    let mut command = Command::new("node");
    command.current_dir(folder).arg(tsc);
    TYPESCRIPT.run(command.args(["--project", "tsconfig.json"]))?;
    componentize(folder, &Path::new("build").join(ENTRY_NAME))?;
    there(module, "componentize-js")
}

fn check_tools(folder: &Path) -> Result<(), ProjectError> {
    NODE.run(Command::new("node").arg("--version"))?;
    match installed(folder, "@bytecodealliance/componentize-js") {
        Some(_) => Ok(()),
        None => Err(COMPONENTIZE_JS.missing()),
    }
}

/// TypeScript's compiler, if it is installed.
fn tsc(folder: &Path) -> Option<PathBuf> {
    installed(folder, "typescript/bin/tsc")
}

/// Where node finds this path of a package.
fn installed(folder: &Path, path: &str) -> Option<PathBuf> {
    let mut places = folder
        .ancestors()
        .map(|folder| folder.join("node_modules").join(path));
    places.find(|place| place.exists())
}

fn componentize(folder: &Path, entry: &Path) -> Result<(), ProjectError> {
    let path = folder.join(entry);
    write(&path, ENTRY.replace(SHAPES, &shapes::constants()))?;
    let built = COMPONENTIZE_JS.run(
        Command::new("node")
            .current_dir(folder)
            .env("TERO_ENTRY", entry)
            .args(["--input-type=module", "--eval", COMPONENTIZE]),
    );
    fs::remove_file(&path).map_err(file_error(&path))?;
    built.map(|_| ())
}
