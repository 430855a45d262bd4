//! Builds policies in Python with componentize-py.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::tool::{Tool, there};
use crate::project::contract;
use crate::project::error::ProjectError;
use crate::project::files::write;

const COMPONENTIZE_PY: Tool = Tool {
    name: "componentize-py",
    language: "Python",
    cure: "run `python3 -m venv .venv && .venv/bin/pip install -r requirements.txt` in the folder of the policy, or install it with pip",
};

const PYRIGHT: Tool = Tool {
    name: "pyright",
    language: "Python",
    cure: "install it with pip in the folder of the policy",
};
const MYPY: Tool = Tool {
    name: "mypy",
    language: "Python",
    cure: "install it with pip in the folder of the policy",
};

/// The entry, which imports `app`.
const ENTRY: (&str, &str) = (
    "tero_entry",
    include_str!("../../../../../sdk/python/tero_entry.py"),
);
/// Where the entry lies, and where the package `tero_policy` lies, which editors read too.
const ENTRY_FOLDER: &str = "bindings/entry";
const SDK_FOLDER: &str = "bindings/sdk";

pub(super) fn build(folder: &Path, module: &Path) -> Result<(), ProjectError> {
    let tool = program(folder);
    COMPONENTIZE_PY.run(Command::new(&tool).arg("--version"))?;
    contract::write_python(&folder.join(SDK_FOLDER))?;
    let entry = folder.join(ENTRY_FOLDER).join(ENTRY.0);
    write(&entry.with_extension("py"), ENTRY.1)?;
    check_types(folder)?;
    COMPONENTIZE_PY.run(
        Command::new(&tool)
            .current_dir(folder)
            .args(["--wit-path", "wit", "--world", "policy"])
            .args(["componentize", "--stub-wasi", ENTRY.0, "--output"])
            .arg(module)
            .args([".", ENTRY_FOLDER, SDK_FOLDER].map(|path| format!("--python-path={path}"))),
    )?;
    there(module, "componentize-py")
}

/// Checks the types of the policy, if the project has a type checker of its own.
fn check_types(folder: &Path) -> Result<(), ProjectError> {
    let own = |name: &str| Some(folder.join(".venv/bin").join(name)).filter(|it| it.is_file());
    if let Some(pyright) = own(PYRIGHT.name) {
        PYRIGHT.run(Command::new(pyright).current_dir(folder).arg("app.py"))?;
    } else if let Some(mypy) = own(MYPY.name) {
        let mut command = Command::new(mypy);
        command.current_dir(folder).env("MYPYPATH", SDK_FOLDER);
        MYPY.run(command.args(["--check-untyped-defs", "app.py"]))?;
    }
    Ok(())
}

/// The project's own componentize-py if it has one, else that of the machine.
fn program(folder: &Path) -> PathBuf {
    let own = folder.join(".venv/bin/componentize-py");
    if own.is_file() {
        own
    } else {
        PathBuf::from("componentize-py")
    }
}
