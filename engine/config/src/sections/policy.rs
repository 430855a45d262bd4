//! `[[policy]]`.

use std::path::PathBuf;
use std::sync::Arc;

use super::policy_limits::PolicyLimits;
use crate::calendars::{self, CalendarError, CalendarSource};
use crate::files::BaseDir;
use crate::forms;
use crate::mistakes::{Mistake, place};
use crate::raw::{self, RawKind, RawValue};

section! {
    /// A policy: a module and its settings.
    #[derive(Clone, Debug)]
    [[policy]]
    pub struct Policy in base_dir {
        place: FilePosition;
        /// The name that sites use; unique.
        name: Arc<str> = required, Text("1 to 64 of `a-z`, `0-9`, `-`, `_`") => forms::name;
        /// A built-in policy or a `.wasm` file.
        module: ModuleSource = required, Text("`builtin:NAME` or a path, relative to this file")
            => |text| module(text, base_dir);
        /// The settings, given to the policy as JSON text.
        settings: String = {}, Table => settings,
            /// A file of JSON text. Use it instead of `settings`.
            or settings_file, Text("a path, relative to this file")
                => |path| settings_file(path, base_dir);
        /// The holidays that the policy is told.
        calendar: Option<CalendarSource> = rule("none: no day is a holiday"),
            Text("`builtin:argentina`, `builtin:chile`, `builtin:mexico`, `builtin:spain`, a region of these (`builtin:argentina/salta`), or a path, relative to this file")
            => |text| calendar(text, base_dir);
        /// See `[policy.limits]`.
        limits: PolicyLimits = {}, Nested(PolicyLimits);
    }
}

/// Where a policy's module comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModuleSource {
    /// `builtin:NAME`
    Builtin(String),
    /// A file.
    File(PathBuf),
}

impl Default for ModuleSource {
    /// A built-in policy without a name, which does not exist. It stands in for a module that was
    /// refused, until its configuration is refused too.
    fn default() -> ModuleSource {
        ModuleSource::Builtin(String::new())
    }
}

fn module(text: &str, base_dir: BaseDir<'_>) -> Result<ModuleSource, Mistake> {
    if let Some(name) = text.strip_prefix("builtin:") {
        return forms::name(name).map(ModuleSource::Builtin);
    }
    let wanted =
        "a .wasm file (`tero policy build` makes one), or a shipped policy as \"builtin:NAME\"";
    base_dir.file(text, wanted).map(ModuleSource::File)
}

fn settings(value: &RawValue) -> Result<String, Mistake> {
    if matches!(value.kind, RawKind::Table(_)) {
        return Ok(value.to_json());
    }
    let problem = format!("a table was expected, this is {}", value.describe());
    let cure = "write [policy.settings] below the entry";
    Err(Mistake::new(problem, cure))
}

fn settings_file(path: &str, base_dir: BaseDir<'_>) -> Result<String, Mistake> {
    let text = base_dir.read_text(path)?;
    match raw::from_json(&text) {
        Ok(_) => Ok(text),
        Err(error) => {
            let at = place(&text, error.at.start);
            let (line, column) = (at.line, at.column);
            let problem = format!("`{path}`, line {line} column {column}: {}", error.problem);
            Err(Mistake::new(problem, "write the file as JSON"))
        }
    }
}

fn calendar(text: &str, base_dir: BaseDir<'_>) -> Result<CalendarSource, Mistake> {
    let source = match calendars::source(text) {
        builtin @ CalendarSource::Builtin(_) => builtin,
        CalendarSource::File(_) => {
            let builtins = calendars::builtin_names();
            base_dir
                .file(text, &format!("a calendar file, or one of {builtins}"))
                .map(CalendarSource::File)?
        }
    };
    let Err(error) = calendars::load(&source) else {
        return Ok(source);
    };
    // The cure of an unknown name follows the problem.
    let told = error.to_string();
    let (problem, cure) = match (&error, told.split_once("; ")) {
        (CalendarError::UnknownBuiltin(_), Some((problem, cure))) => (problem, cure),
        (CalendarError::Wrong { .. }, _) => (&*told, "correct the calendar file"),
        _ => (&*told, "write the path of a readable calendar file"),
    };
    Err(Mistake::new(problem, cure))
}
