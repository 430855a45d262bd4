//! Builds policies in JavaScript and TypeScript with componentize-js.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tool::{Tool, there};
use crate::project::contract;
use crate::project::error::{ProjectError, file_error};
use crate::project::files::write;

pub(super) const NODE: Tool = Tool {
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

/// The entry, which imports `policy.js` beside it. It is there during the build only, as the files
/// of the SDK are.
const ENTRY: &str = include_str!("../../../../../sdk/javascript/entry.js");
const ENTRY_NAME: &str = ".policy.entry.js";
/// The folder of the SDK beside the entry.
const SDK_FOLDER: &str = ".tero";
const SDK: [(&str, &str); 4] = [
    (
        "adapter.js",
        include_str!("../../../../../sdk/javascript/adapter.js"),
    ),
    (
        "answers.js",
        include_str!("../../../../../sdk/javascript/answers.js"),
    ),
    (
        "index.js",
        include_str!("../../../../../sdk/javascript/index.js"),
    ),
    (
        "questions.js",
        include_str!("../../../../../sdk/javascript/questions.js"),
    ),
];
/// The file that `import … from "tero-policy"` finds beside the policy.
const PACKAGE: (&str, &str) = ("tero-policy", "export * from './.tero/index.js';\n");

/// Builds a policy in JavaScript. Its types are checked if the project has TypeScript.
pub(super) fn build(folder: &Path, module: &Path) -> Result<(), ProjectError> {
    write(&folder.join(contract::TYPES.0), contract::TYPES.1)?;
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
    componentize(folder, Path::new(""))?;
    there(module, "componentize-js")
}

/// Builds a policy in TypeScript: its compiler checks it and writes JavaScript to `build/`.
pub(super) fn build_typescript(folder: &Path, module: &Path) -> Result<(), ProjectError> {
    write(&folder.join(contract::TYPES.0), contract::TYPES.1)?;
    check_tools(folder)?;
    let tsc = tsc(folder).ok_or_else(|| TYPESCRIPT.missing())?;
    let mut command = Command::new("node");
    command.current_dir(folder).arg(tsc);
    TYPESCRIPT.run(command.args(["--project", "tsconfig.json"]))?;
    componentize(folder, Path::new("build"))?;
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
pub(super) fn installed(folder: &Path, path: &str) -> Option<PathBuf> {
    let mut places = folder
        .ancestors()
        .map(|folder| folder.join("node_modules").join(path));
    places.find(|place| place.exists())
}

/// Makes the module of the policy in `place`, a folder of the project.
fn componentize(folder: &Path, place: &Path) -> Result<(), ProjectError> {
    let beside = folder.join(place);
    write(&beside.join(ENTRY_NAME), ENTRY)?;
    write(&beside.join(PACKAGE.0), PACKAGE.1)?;
    for (name, content) in SDK {
        write(&beside.join(SDK_FOLDER).join(name), content)?;
    }
    let built = COMPONENTIZE_JS.run(
        Command::new("node")
            .current_dir(folder)
            .env("TERO_ENTRY", place.join(ENTRY_NAME))
            .args(["--input-type=module", "--eval", COMPONENTIZE]),
    );
    for name in [ENTRY_NAME, PACKAGE.0] {
        let path = beside.join(name);
        fs::remove_file(&path).map_err(file_error(&path))?;
    }
    let sdk = beside.join(SDK_FOLDER);
    fs::remove_dir_all(&sdk).map_err(file_error(&sdk))?;
    built.map(drop)
}
