//! Builds policies in JavaScript with componentize-js.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::tool::{Tool, there};
use crate::project::error::{ProjectError, file_error};
use crate::project::files::write;
use crate::project::typescript;

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

/// Runs componentize-js. Policies have no clock, random numbers or network; without these features
/// the module imports nothing from WASI.
const COMPONENTIZE: &str = "
import { componentize } from '@bytecodealliance/componentize-js';
import { writeFileSync } from 'node:fs';
const { component } = await componentize({
  sourcePath: '.policy.entry.js', witPath: 'wit', worldName: 'policy',
  disableFeatures: ['random', 'stdio', 'clocks', 'http', 'fetch-event'],
});
writeFileSync('policy.wasm', component);
";

/// The entry, which imports `policy.js`. It is in the folder during the build only.
const ENTRY_JS: (&str, &str) = (
    ".policy.entry.js",
    include_str!("../../../../../sdk/javascript/entry.js"),
);

pub(super) fn build(folder: &Path, module: &Path) -> Result<(), ProjectError> {
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
    // componentize-js does not say where a syntax error is; node does.
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
