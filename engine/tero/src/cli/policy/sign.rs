//! `tero policy sign`: signs a module, alone or with its settings and cases.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::push::package;
use crate::cli::signing::sign;
use crate::cli::{fail, used_wrongly};

const EXAMPLE: &str = "\
Examples:
  minisign -G -p team.pub -s team.key        makes a pair of keys
  tero policy sign team.key hours.wasm
  tero policy sign team.key hours.wasm --settings a.json --out summer.wasm

It writes FILE.minisig, in the format of minisign. The password of the key is
asked for, or read from TERO_KEY_PASSWORD. With settings or cases it makes the
package that is pushed, and signs that.

Exit code: 0 if it is signed, 1 if not, 2 if the command is used wrongly.";

/// Signs a module, alone or with its settings and cases
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct SignPolicyCommand {
    /// The file of the secret key (minisign)
    key: PathBuf,
    /// The module
    file: PathBuf,
    /// Settings of this version: JSON, or a JSON file
    #[arg(long, value_name = "JSON|FILE", requires = "out")]
    settings: Option<String>,
    /// Test cases (TOML) that the version must pass
    #[arg(long, value_name = "FILE", requires = "out")]
    cases: Option<PathBuf>,
    /// The file of the package, which is signed in place of the module
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl SignPolicyCommand {
    pub(super) fn run(self) -> ExitCode {
        let content = package(&self.file, self.settings.as_deref(), self.cases.as_deref());
        let content = match (content, &self.out) {
            (Ok(content), Some(_)) => content,
            // What lies in the file is signed, byte by byte.
            (Ok(_), None) => match std::fs::read(&self.file) {
                Ok(content) => content,
                Err(error) => {
                    return used_wrongly(&format!("can't read {}: {error}", self.file.display()));
                }
            },
            (Err(message), _) => return used_wrongly(&message),
        };
        if let Some(out) = &self.out
            && let Err(error) = std::fs::write(out, &content)
        {
            return fail(&format!("can't write {}: {error}", out.display()));
        }
        sign(&self.key, self.out.as_ref().unwrap_or(&self.file), &content)
    }
}
