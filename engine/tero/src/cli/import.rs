//! `tero import`: makes a configuration from a static JSON policy file.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::report::print_mistakes;
use super::{colours, print, report, used_wrongly};
use tero_tools::import::{ImportTarget, import_file};

const EXAMPLE: &str = "\
Examples:
  tero import cdn-policies.json > tero.toml
  tero import cdn-policies.json --origin http://127.0.0.1:3000 --host www.example.org > tero.toml

Exit code: 0 if the file was read, 1 if it has mistakes, 2 if the command is used wrongly.";

/// Makes a configuration from a static JSON policy file, and prints it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct ImportCommand {
    /// The JSON file
    file: PathBuf,
    /// The application behind the edge
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    origin: String,
    /// A host that the site answers for; may be repeated [default: every host]
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// Prints the mistakes as JSON
    #[arg(long)]
    json: bool,
}

impl ImportCommand {
    pub(super) fn run(self) -> ExitCode {
        let target = match ImportTarget::new(&self.origin, &self.host) {
            Ok(target) => target,
            Err(message) => return used_wrongly(&message),
        };
        match import_file(&self.file, &target) {
            Ok(toml) => print(&toml),
            Err(errors) if self.json => {
                print_mistakes(&self.file, &errors);
                ExitCode::FAILURE
            }
            Err(errors) => {
                eprint!("{}", report::report(&errors, colours()));
                ExitCode::FAILURE
            }
        }
    }
}
