//! `tero certificates`: the certificates of a running edge, and what became of orders by ACME.

use std::process::ExitCode;

use clap::Args;

use super::admin_client::{AdminArgs, show};
use super::shown;
use tero_admin_api::CertificatesResponse;
use tero_admin_api::endpoints::Certificates;

const EXAMPLE: &str = "\
Examples:
  tero certificates
  tero certificates --json | jq '.acme[] | select(.failures > 0)'

Exit code: 0 if there was an answer, 1 if not,
2 if the command is used wrongly.";

/// Shows the certificates of a running edge, and what became of orders by ACME
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct CertificatesCommand {
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl CertificatesCommand {
    pub(super) fn run(self) -> ExitCode {
        match self.admin.ask::<Certificates>(&[], &()) {
            Ok(answer) => show(&answer, self.json, words),
            Err(code) => code,
        }
    }
}

/// A table for each kind, and the reasons of failures below.
fn words(answer: &CertificatesResponse) -> String {
    if answer.acme.is_empty() && answer.files.is_empty() {
        return "no listener speaks TLS\n".to_owned();
    }
    let mut out = String::new();
    if !answer.acme.is_empty() {
        let mut table = shown::table();
        table.set_header(["by ACME", "holds until", "next order", "failures"]);
        for name in &answer.acme {
            let until = name.not_after.as_deref().unwrap_or("no certificate yet");
            let failures = name.failures.to_string();
            table.add_row([&*name.name, until, &name.next_order, &failures]);
        }
        out.push_str(&format!("{table}\n"));
        for name in &answer.acme {
            if let Some(reason) = &name.reason {
                out.push_str(&format!("{}: {reason}\n", name.name));
            }
        }
    }
    if !answer.files.is_empty() {
        let mut table = shown::table();
        table.set_header(["listener", "file", "holds until"]);
        for file in &answer.files {
            table.add_row([&file.listener, &file.file, &file.not_after]);
        }
        out.push_str(&format!("{table}\n"));
    }
    out
}
