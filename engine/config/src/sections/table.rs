//! `[[table]]`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::forms;

section! {
    /// A data table: keys with values that policies look things up in. A pushed table of that name
    /// takes its place (`tero data push`). See policies/tables.md.
    #[derive(Clone, Debug)]
    [[table]]
    pub struct TableFile in base_dir {
        place: FilePosition;
        /// The name that policies use; unique.
        name: Arc<str> = required, Text("1 to 64 of `a-z`, `0-9`, `-`, `_`") => forms::name;
        /// The file with the rows; at most `policies.max_table`.
        file: PathBuf = required, Text("a path, relative to this file")
            => |path| base_dir.file(path, "a CSV or JSON file");
        /// How the file is written.
        format: TableFormat
            = rule("`json` if the name of `file` ends in `.json`, else `csv`", TableFormat::of_file(&file)),
            OneOf("csv" => TableFormat::Csv, "json" => TableFormat::Json);
        /// How rows are found: by their keys, or by the networks that contain an address.
        kind: TableKind = "keys",
            OneOf("keys" => TableKind::Keys, "networks" => TableKind::Networks);
    }
}

/// How the rows of a data table are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableKind {
    /// By their key, or by the longest key that a text begins with.
    #[default]
    Keys,
    /// By the smallest network that contains an address.
    Networks,
}

impl TableKind {
    /// Every kind.
    pub const ALL: [TableKind; 2] = [TableKind::Keys, TableKind::Networks];

    /// The word in configurations and commands.
    pub fn as_str(self) -> &'static str {
        match self {
            TableKind::Keys => "keys",
            TableKind::Networks => "networks",
        }
    }

    /// The kind that a word names.
    pub fn parse(word: &str) -> Option<TableKind> {
        TableKind::ALL.into_iter().find(|it| it.as_str() == word)
    }
}

/// How the file of a data table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableFormat {
    /// Lines of values between commas (RFC 4180).
    Csv,
    /// An object (RFC 8259).
    Json,
}

impl TableFormat {
    /// Every format.
    pub const ALL: [TableFormat; 2] = [TableFormat::Csv, TableFormat::Json];

    /// The word in configurations and commands, and the ending of file names.
    pub fn as_str(self) -> &'static str {
        match self {
            TableFormat::Csv => "csv",
            TableFormat::Json => "json",
        }
    }

    /// The format that a word names.
    pub fn parse(word: &str) -> Option<TableFormat> {
        TableFormat::ALL.into_iter().find(|it| it.as_str() == word)
    }

    /// The format of a file, by the ending of its name: JSON, or else CSV.
    pub fn of_file(path: &Path) -> TableFormat {
        match path.extension() {
            Some(ending) if ending.eq_ignore_ascii_case("json") => TableFormat::Json,
            _ => TableFormat::Csv,
        }
    }
}
