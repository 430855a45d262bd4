//! `tero data`: data tables of a running edge.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::DateTime;
use clap::{Args, Subcommand};

use super::admin_client::{AdminArgs, show};
use super::shown::fleet_note;
use super::signing::{SignCommand, VerifyCommand, signature_to_send};
use super::{fail, shown, used_wrongly};
use tero_admin_api::endpoints::{LookUp, PushTable, RemoveTable, RollBackTable, Table, Tables};
use tero_admin_api::{
    Endpoint, LookUpRequest, PushTableRequest, PushTableResponse, RollBackTableRequest,
    TableReport, TableVersionReport,
};
use tero_config::{TableFormat, TableKind};

const EXAMPLE: &str = "\
Examples:
  tero data push prices.csv
  tero data push countries.csv --name geo --kind networks
  tero data list
  tero data show prices
  tero data get prices /tienda/1
  tero data get geo --prefix 203.0.113.7
  tero data rollback prices
  tero data remove prices

A pushed table decides at once, in the place of the configuration's table of
that name. Decisions that depend on it are made anew.

Exit code: 0 for success, 1 for failure, 2 if the command is used wrongly.";

/// Pushes, shows, rolls back and removes the data tables of a running edge
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct DataCommand {
    #[command(subcommand)]
    action: DataAction,
}

#[derive(Debug, Subcommand)]
enum DataAction {
    /// Finds the row of a key, or of the longest key that a text begins with
    #[command(after_help = EXAMPLE)]
    Get {
        /// The table
        name: String,
        /// The key; of a table of networks, a network or an address
        #[arg(required_unless_present = "prefix")]
        key: Option<String>,
        /// A text; of a table of networks, the address of a client
        #[arg(long, value_name = "TEXT", conflicts_with = "key")]
        prefix: Option<String>,
        #[command(flatten)]
        common: DataOptions,
    },
    /// Lists the tables
    #[command(after_help = EXAMPLE)]
    List {
        #[command(flatten)]
        common: DataOptions,
    },
    /// Pushes a table, which decides at once
    #[command(after_help = EXAMPLE)]
    Push {
        /// A CSV or JSON file
        file: PathBuf,
        /// The table [default: the name of the file without its ending]
        #[arg(long)]
        name: Option<String>,
        /// How rows are found: keys or networks [default: as the version before, else keys]
        #[arg(long, value_parser = kind)]
        kind: Option<TableKind>,
        /// How the file is written: csv or json [default: by its ending]
        #[arg(long, value_parser = format)]
        format: Option<TableFormat>,
        #[command(flatten)]
        common: DataOptions,
    },
    /// Forgets the pushed versions; the configuration's table decides again
    #[command(after_help = EXAMPLE)]
    Remove {
        /// The table
        name: String,
        #[command(flatten)]
        common: DataOptions,
    },
    /// Returns to the version before, or to the one that is named
    #[command(after_help = EXAMPLE, visible_alias = "roll-back")]
    Rollback {
        /// The table
        name: String,
        /// Its number, enough of its digest, or `configuration`
        #[arg(long)]
        version: Option<String>,
        #[command(flatten)]
        common: DataOptions,
    },
    Sign(SignCommand),
    /// Shows a table with its versions
    #[command(after_help = EXAMPLE)]
    Show {
        /// The table
        name: String,
        #[command(flatten)]
        common: DataOptions,
    },
    Verify(VerifyCommand),
}

#[derive(Debug, Args)]
struct DataOptions {
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl DataCommand {
    pub(super) fn run(self) -> ExitCode {
        match self.action {
            DataAction::Get {
                name,
                key,
                prefix,
                common,
            } => get(&common, &name, key, prefix),
            DataAction::List { common } => {
                common.ask::<Tables>(&[], &(), |answer| list(&answer.tables))
            }
            DataAction::Push {
                file,
                name,
                kind,
                format,
                common,
            } => push(&common, &file, name, kind, format),
            DataAction::Remove { name, common } => {
                common.ask::<RemoveTable>(&[&name], &(), |answer| {
                    let done = match &answer.version {
                        Some(version) => format!("{name}: version {version} decides\n"),
                        None => format!("{name} is removed\n"),
                    };
                    done + &fleet_note(answer.fleet.as_ref())
                })
            }
            DataAction::Rollback {
                name,
                version,
                common,
            } => {
                let request = RollBackTableRequest { version };
                common.ask::<RollBackTable>(&[&name], &request, |answer| {
                    let mut text = format!("{name}: version {} decides\n", answer.version);
                    if let Some(why) = &answer.unsaved {
                        // A string takes all that is written to it.
                        let _ = writeln!(
                            text,
                            "it is in effect, but a restart would forget it: {why}"
                        );
                    }
                    text + &fleet_note(answer.fleet.as_ref())
                })
            }
            DataAction::Sign(sign) => sign.run(),
            DataAction::Verify(verify) => verify.run(),
            DataAction::Show { name, common } => common.ask::<Table>(&[&name], &(), describe),
        }
    }
}

impl DataOptions {
    fn ask<E: Endpoint>(
        &self,
        parameters: &[&str],
        request: &E::Request,
        words: impl Fn(&E::Response) -> String,
    ) -> ExitCode {
        match self.admin.ask::<E>(parameters, request) {
            Ok(answer) => show(&answer, self.json, words),
            Err(code) => code,
        }
    }
}

fn get(common: &DataOptions, name: &str, key: Option<String>, prefix: Option<String>) -> ExitCode {
    let request = match (key, prefix) {
        (_, Some(text)) => LookUpRequest::Prefix(text),
        (key, None) => LookUpRequest::Key(key.unwrap_or_default()),
    };
    let answer = match common.admin.ask::<LookUp>(&[name], &request) {
        Ok(answer) => answer,
        Err(code) => return code,
    };
    match (&answer.row, &request) {
        (None, _) if !common.json => fail(&format!(
            "version {} of {name} has no such row",
            answer.version
        )),
        _ => show(&answer, common.json, |answer| {
            let row = answer.row.as_ref();
            row.map_or_else(String::new, |row| match &request {
                LookUpRequest::Key(_) => format!("{}\n", row.value),
                LookUpRequest::Prefix(_) => format!("{}\t{}\n", row.key, row.value),
            })
        }),
    }
}

fn push(
    common: &DataOptions,
    file: &Path,
    name: Option<String>,
    kind: Option<TableKind>,
    format: Option<TableFormat>,
) -> ExitCode {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    let Some(name) = name.or_else(|| stem.map(str::to_owned)) else {
        return used_wrongly("the file has no name; write --name NAME");
    };
    if tero_config::forms::name(&name).is_err() {
        return used_wrongly(&format!(
            "`{name}` is not the name of a table; write --name with 1 to 64 of a-z, 0-9, - and _"
        ));
    }
    let content = match std::fs::read(file) {
        Ok(content) => content,
        Err(error) => return used_wrongly(&format!("can't read {}: {error}", file.display())),
    };
    let format = format.unwrap_or_else(|| TableFormat::of_file(file));
    let signature = match signature_to_send(file, false) {
        Ok(signature) => signature,
        Err(message) => return used_wrongly(&message),
    };
    let request = PushTableRequest {
        format: Some(format.as_str().to_owned()),
        kind: kind.map(|kind| kind.as_str().to_owned()),
        signature,
        content,
    };
    common.ask::<PushTable>(&[&name], &request, pushed)
}

fn pushed(answer: &PushTableResponse) -> String {
    let TableVersionReport { version, rows, .. } = answer.pushed;
    let again = match answer.was_known {
        true => ", which it had already",
        false => "",
    };
    let fleet = fleet_note(answer.fleet.as_ref());
    format!(
        "{}: version {version}{again} decides: {}\n{fleet}",
        answer.table,
        count(rows)
    )
}

fn list(tables: &[TableReport]) -> String {
    if tables.is_empty() {
        return "there are no tables\n".to_owned();
    }
    let mut shown = shown::table();
    shown.set_header(["table", "version", "kind", "rows", "memory", "used by"]);
    for table in tables {
        shown.add_row([
            &*table.name,
            table.version.as_deref().unwrap_or("none"),
            table.kind.as_deref().unwrap_or_default(),
            &table.rows.to_string(),
            &shown::size(table.memory_bytes),
            &table.users.join(", "),
        ]);
    }
    let mut text = format!("{shown}\n");
    for table in tables {
        text.push_str(&troubles(table));
    }
    text
}

fn describe(table: &TableReport) -> String {
    let mut text = match &table.version {
        Some(version) => format!(
            "{}: version {version} decides: {}, by {}\n",
            table.name,
            count(table.rows),
            table.kind.as_deref().unwrap_or_default()
        ),
        None => format!("{}: no version decides\n", table.name),
    };
    text.push_str(&troubles(table));
    if !table.users.is_empty() {
        // A string takes all that is written to it.
        let _ = writeln!(text, "used by {}", table.users.join(", "));
    }
    let mut versions = shown::table();
    versions.set_header(["version", "digest", "pushed", "rows", "size"]);
    for version in &table.versions {
        versions.add_row([
            &*version.version.to_string(),
            version.digest.get(..12).unwrap_or(&version.digest),
            &time_of(version.pushed_unix_secs),
            &version.rows.to_string(),
            &shown::size(version.file_bytes),
        ]);
    }
    if let Some(configured) = &table.configuration {
        versions.add_row([
            "configuration",
            configured.digest.get(..12).unwrap_or(&configured.digest),
            "",
            &configured.rows.to_string(),
            &shown::size(configured.file_bytes),
        ]);
    }
    format!("{text}{versions}\n")
}

fn troubles(table: &TableReport) -> String {
    let mut text = String::new();
    for (what, why) in [
        ("the version that should decide does not", &table.trouble),
        ("the last change is not on disk", &table.unsaved),
    ] {
        if let Some(why) = why {
            // A string takes all that is written to it.
            let _ = writeln!(text, "{}: {what}: {why}", table.name);
        }
    }
    text
}

fn count(rows: u64) -> String {
    match rows {
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    }
}

fn time_of(unix_secs: i64) -> String {
    DateTime::from_timestamp(unix_secs, 0).map_or_else(
        || "?".to_owned(),
        |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

fn kind(word: &str) -> Result<TableKind, String> {
    TableKind::parse(word).ok_or_else(|| "write keys or networks".to_owned())
}

fn format(word: &str) -> Result<TableFormat, String> {
    TableFormat::parse(word).ok_or_else(|| "write csv or json".to_owned())
}
