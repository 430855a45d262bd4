//! `tero import`: makes a configuration from a static JSON policy file.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use comfy_table::Table;

use super::report::print_mistakes;
use super::{colours, fail, print, report, used_wrongly};
use tero_tools::import::{Import, ImportTarget, ImportedRule, OddPatterns, import_file};
use tero_tools::proof::{Proof, prove};

const EXAMPLE: &str = "\
Examples:
  tero import cdn-policies.json > tero.toml
  tero import cdn-policies.json --host www.example.org > tero.toml
  tero import cdn-policies.json --strict --prove access.log > tero.toml

A pattern with a regular expression, braces or a parameter is translated if the
translation matches exactly the same paths, and refused with its line
otherwise. The table of what each rule became goes to standard error.

Exit code: 0 if the file was read, 1 if it has mistakes or if --prove finds a
difference, 2 if the command is used wrongly.";

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
    /// Refuses patterns that are odd, though their meaning is clear enough
    #[arg(long)]
    strict: bool,
    /// Compares the file and the new policy over this access log, and prints the differences
    #[arg(long, value_name = "LOG")]
    prove: Option<PathBuf>,
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
        let odd = if self.strict {
            OddPatterns::Refuse
        } else {
            OddPatterns::Translate
        };
        match import_file(&self.file, &target, odd) {
            Ok(import) => self.show(&import),
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

    fn show(&self, import: &Import) -> ExitCode {
        let proof = match &self.prove {
            None => None,
            Some(log) => match self.proof(import, log) {
                Ok(proof) => Some(proof),
                Err(message) => return fail(&message),
            },
        };
        let printed = print(&import.toml);
        eprintln!("{}", table(&import.rules));
        match proof {
            None => printed,
            Some(proof) => {
                eprint!("{}", describe(&proof));
                if proof.requests == 0 {
                    return fail("the log has no request that could be read: nothing is proved");
                }
                match proof.different {
                    0 => printed,
                    _ => ExitCode::FAILURE,
                }
            }
        }
    }

    fn proof(&self, import: &Import, log: &Path) -> Result<Proof, String> {
        let open = File::open(log)
            .map_err(|error| format!("the log {} can't be read: {error}", log.display()))?;
        let host = self.host.first().map_or("localhost", String::as_str);
        prove(&import.json, &import.toml, BufReader::new(open), host)
            .map_err(|error| error.to_string())
    }
}

/// What each rule of the file became.
fn table(rules: &[ImportedRule]) -> Table {
    let mut table = super::shown::table();
    table.set_header(["rule", "in the file", "in the policy", "decides", "note"]);
    for rule in rules {
        let patterns = if rule.written == rule.patterns {
            "the same".to_owned()
        } else {
            rule.patterns.join("\n")
        };
        table.add_row([
            shown(&rule.name),
            shown(&rule.written.join("\n")),
            shown(&patterns),
            shown(&rule.decision),
            shown(&rule.notes.join("\n")),
        ]);
    }
    table
}

/// The text without what could steer a terminal.
fn shown(text: &str) -> String {
    let plain = |character: char| character == '\n' || !character.is_control();
    text.chars().filter(|character| plain(*character)).collect()
}

fn describe(proof: &Proof) -> String {
    let mut text = format!(
        "{} requests: {} decided alike, {} differently",
        proof.requests,
        proof.requests - proof.different,
        proof.different
    );
    if proof.unreadable > 0 {
        text.push_str(&format!("; {} lines could not be read", proof.unreadable));
    }
    text.push('\n');
    for sample in &proof.samples {
        let (file, policy) = (&sample.file, &sample.policy);
        text.push_str(&format!(
            "  {}: file {file}, policy {policy}\n",
            sample.request
        ));
    }
    text
}
