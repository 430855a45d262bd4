//! `tero policy wrap`: makes a policy of a core module of any language.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::inspect::size;
use crate::cli::{fail, print, print_json, used_wrongly};
use tero_policy_host::{WrapError, WrappedModule, wrap};

const EXAMPLE: &str = "\
Examples:
  tero policy wrap zig-out/bin/hours.wasm
  tero policy wrap hours.wasm --output policy.wasm
  tero policy wrap hours.wasm --contract 0.1 --json

The module exports `configure`, `on-request`, `on-response`, `plan-warm` and
`cabi_realloc` with the canonical ABI; `on_request` and `onRequest` will do.
What it imports from WASI preview 1 gets fixed answers: a clock at the epoch,
constant bytes, no files, no arguments. Its output goes to the log.

`tero policy build` wraps by itself, and so does an edge that loads a core
module. Exit code: 0 if the module was wrapped, 1 if something is missing, 2 if
the command is used wrongly.";

/// Makes a policy of a core module of any language, or says what it lacks
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct WrapCommand {
    /// The core module
    #[arg(value_name = "FILE.wasm")]
    module: PathBuf,
    /// The file that is written [default: the name of the module with .policy.wasm]
    #[arg(long, short, value_name = "FILE.wasm")]
    output: Option<PathBuf>,
    /// The version of the contract [default: the one that its imports name, else the newest]
    #[arg(long, value_name = "0.1|0.2")]
    contract: Option<String>,
    /// Prints the result as JSON
    #[arg(long)]
    json: bool,
}

impl WrapCommand {
    pub(super) fn run(self) -> ExitCode {
        let core = match std::fs::read(&self.module) {
            Ok(core) => core,
            Err(error) => {
                return used_wrongly(&format!("can't read {}: {error}", self.module.display()));
            }
        };
        let wrapped = match wrap(&core, self.contract.as_deref()) {
            Ok(wrapped) => wrapped,
            Err(error @ WrapError::Contract(_)) => return used_wrongly(&error.to_string()),
            Err(error) => {
                return fail(&format!("{}: {error}", self.module.display()));
            }
        };
        let output = self
            .output
            .unwrap_or_else(|| self.module.with_extension("policy.wasm"));
        if let Err(error) = std::fs::write(&output, &wrapped.component) {
            return fail(&format!("can't write {}: {error}", output.display()));
        }
        let report = WrapReport::of(&output.display().to_string(), &wrapped);
        if self.json {
            print_json(&report)
        } else {
            print(&report.words())
        }
    }
}

/// The result, for JSON.
#[derive(Serialize)]
struct WrapReport {
    output: String,
    size_bytes: usize,
    contract: String,
    fixed: Vec<FixedImport>,
    renamed: Vec<RenamedExport>,
}

/// An import with a fixed answer.
#[derive(Serialize)]
struct FixedImport {
    import: String,
    answer: &'static str,
}

/// An export that got the name of the contract.
#[derive(Serialize)]
struct RenamedExport {
    from: String,
    to: String,
}

impl WrapReport {
    fn of(output: &str, wrapped: &WrappedModule) -> WrapReport {
        let fixed = wrapped.fixed.iter().map(|(import, answer)| FixedImport {
            import: import.clone(),
            answer: answer.as_str(),
        });
        let renamed = wrapped.renamed.iter().map(|(from, to)| RenamedExport {
            from: from.clone(),
            to: to.clone(),
        });
        WrapReport {
            output: output.to_owned(),
            size_bytes: wrapped.component.len(),
            contract: format!("tero:policy@{}", wrapped.contract),
            fixed: fixed.collect(),
            renamed: renamed.collect(),
        }
    }

    fn words(&self) -> String {
        let mut text = format!(
            "{}: {}, {}\n",
            self.output,
            self.contract,
            size(self.size_bytes)
        );
        for RenamedExport { from, to } in &self.renamed {
            text.push_str(&format!("  {from} is exported as {to}\n"));
        }
        for FixedImport { import, answer } in &self.fixed {
            text.push_str(&format!("  {import}: {answer}\n"));
        }
        text
    }
}
