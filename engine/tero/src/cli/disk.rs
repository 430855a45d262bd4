//! `tero disk`: the disks of the cache, and what is on them.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::admin_client::{AdminArgs, show};
use super::{fail, print, print_json, shown};
use tero_admin_api::endpoints::Disks;
use tero_admin_api::{DiskState, DisksResponse};
use tero_tools::disk_folder::{FolderCheck, FolderExport, export, verify};

const EXAMPLE: &str = "\
Examples:
  tero disk stats
  tero disk verify /var/cache/tero
  tero disk export /var/cache/tero --to rescued";

const STATS_EXAMPLE: &str = "\
Examples:
  tero disk stats
  tero disk stats --json | jq '.disks[] | select(.state != \"in_use\")'

Exit code: 0 if there was an answer, 1 if not,
2 if the command is used wrongly.";

const VERIFY_EXAMPLE: &str = "\
Examples:
  tero disk verify /var/cache/tero
  tero disk verify /var/cache/tero --json | jq .damaged

An edge may use the folder meanwhile: what it removes or replaces then may
count as damaged.

Exit code: 0 if all is sound, 1 if not or if it can't be read,
2 if the command is used wrongly.";

const EXPORT_EXAMPLE: &str = "\
Examples:
  tero disk export /var/cache/tero --to rescued
  tero disk export /var/cache/tero --to rescued --prefix https://shop.example/

Writes the contents as files, and responses.jsonl with a line of JSON for each:
file, URL, status, fields. Purged responses are left out, and damaged ones,
whose number is told.

Exit code: 0 if all was written, 1 if not,
2 if the command is used wrongly.";

/// Shows the disks of the cache, checks one, or takes responses out of it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct DiskCommand {
    #[command(subcommand)]
    command: DiskSubcommand,
}

#[derive(Debug, Subcommand)]
enum DiskSubcommand {
    /// Shows the disks of a running edge
    #[command(after_help = STATS_EXAMPLE)]
    Stats(DiskStatsCommand),
    /// Reads all that is on a disk, and says what is damaged
    #[command(after_help = VERIFY_EXAMPLE)]
    Verify(DiskVerifyCommand),
    /// Takes responses out of a disk's folder
    #[command(after_help = EXPORT_EXAMPLE)]
    Export(DiskExportCommand),
}

#[derive(Debug, Args)]
struct DiskStatsCommand {
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, Args)]
struct DiskVerifyCommand {
    /// The disk's folder
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Prints the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct DiskExportCommand {
    /// The disk's folder
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The folder to write to; it must not have an export already
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// Takes only responses whose URLs begin so
    #[arg(long, value_name = "URL", default_value = "")]
    prefix: String,
}

impl DiskCommand {
    pub(super) fn run(self) -> ExitCode {
        match self.command {
            DiskSubcommand::Stats(stats) => stats.run(),
            DiskSubcommand::Verify(verify) => verify.run(),
            DiskSubcommand::Export(export) => export.run(),
        }
    }
}

impl DiskStatsCommand {
    fn run(self) -> ExitCode {
        match self.admin.ask::<Disks>(&[], &()) {
            Ok(answer) => show(&answer, self.json, words_of_stats),
            Err(code) => code,
        }
    }
}

fn words_of_stats(answer: &DisksResponse) -> String {
    if answer.disks.is_empty() {
        return "no disk is configured\n".to_owned();
    }
    let mut table = shown::table();
    table.set_header([
        "disk",
        "state",
        "used",
        "of",
        "responses",
        "hits",
        "written",
        "dropped",
        "failures",
    ]);
    for disk in &answer.disks {
        let state = match disk.state {
            DiskState::InUse => "in use",
            DiskState::Failed => "failed",
            DiskState::Slow => "slow",
        };
        table.add_row([
            &*disk.path,
            state,
            &shown::size(disk.bytes),
            &shown::size(disk.size),
            &disk.responses.to_string(),
            &disk.hits.to_string(),
            &disk.written.to_string(),
            &disk.dropped.to_string(),
            &disk.failures.to_string(),
        ]);
    }
    format!("{table}\n")
}

impl DiskVerifyCommand {
    fn run(self) -> ExitCode {
        let is_watched = io::stderr().is_terminal();
        let checked = verify(&self.folder, |done, of| {
            if is_watched {
                let _ = write!(io::stderr(), "\rsegment {} of {of}", done + 1);
            }
        });
        if is_watched {
            let _ = writeln!(io::stderr());
        }
        let check = match checked {
            Ok(check) => check,
            Err(error) => return fail(&error.to_string()),
        };
        let printed = match self.json {
            true => print_json(&check),
            false => print(&words_of_check(&check)),
        };
        match check.is_sound() {
            true => printed,
            false => ExitCode::FAILURE,
        }
    }
}

fn words_of_check(check: &FolderCheck) -> String {
    let mut words = format!(
        "{} segments of {}: {} sound records with {} of content, {} damaged, {} purged\n",
        check.segments,
        shown::size(check.bytes),
        check.sound,
        shown::size(check.content_bytes),
        check.damaged,
        check.purged,
    );
    if check.without_footer > 0 {
        words.push_str(&format!(
            "{} segments have no footer; an edge searches them when it starts\n",
            check.without_footer
        ));
    }
    for foreign in &check.foreign {
        words.push_str(&format!(
            "{} is not a segment of this version and store, and was left out\n",
            foreign.display()
        ));
    }
    if check.lacks_purges {
        words.push_str(
            "the file of purges is missing or damaged: an edge takes all records for purged\n",
        );
    }
    words
}

impl DiskExportCommand {
    fn run(self) -> ExitCode {
        match export(&self.folder, &self.prefix, &self.to) {
            Ok(FolderExport { written, damaged }) => {
                let to = self.to.display();
                let printed = print(&format!("wrote {written} responses to {to}\n"));
                match damaged {
                    0 => printed,
                    _ => fail(&format!(
                        "{damaged} records are damaged or gone, and were left out"
                    )),
                }
            }
            Err(error) => fail(&error.to_string()),
        }
    }
}
