//! Data tables and their versions: `/data` and what is below it.

use serde::{Deserialize, Serialize};

use crate::{FleetNote, JsonQuestion, Problem, Question, signature};

/// The media type of a content of any kind.
pub const CONTENT: &str = "application/octet-stream";

/// The data tables, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TablesResponse {
    /// By name.
    pub tables: Vec<TableReport>,
}

/// A data table, with its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TableReport {
    /// The name of the table.
    pub name: String,
    /// The version that decides: its number, or `configuration`; null if none can.
    pub version: Option<String>,
    /// How rows are found: `keys` or `networks`; null if no version decides.
    pub kind: Option<String>,
    /// How many rows the deciding version has.
    pub rows: u64,
    /// The memory that it takes.
    pub memory_bytes: u64,
    /// When it was chosen; null if it is that of the configuration, and no other ever was.
    pub active_since_unix_secs: Option<i64>,
    /// The version that a roll-back leads to.
    pub previous: Option<String>,
    /// The table of the configuration; null if it has none of this name.
    pub configuration: Option<ConfiguredTableReport>,
    /// The pushed versions, the latest first.
    pub versions: Vec<TableVersionReport>,
    /// The policies that read it, with a site each: `prices of shop`.
    pub users: Vec<String>,
    /// Why the version that should be active is not.
    pub trouble: Option<String>,
    /// Why the last change is not on disk; null if it is. A restart would forget the change.
    pub unsaved: Option<String>,
}

/// The table of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConfiguredTableReport {
    /// The SHA-256 of its file, in hexadecimal.
    pub digest: String,
    /// How many rows it has.
    pub rows: u64,
    /// The size of its file.
    pub file_bytes: u64,
}

/// A version of a table that was pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TableVersionReport {
    /// Its number.
    pub version: u64,
    /// The SHA-256 of what was pushed, in hexadecimal.
    pub digest: String,
    /// How it is written: `csv` or `json`.
    pub format: String,
    /// How rows are found: `keys` or `networks`.
    pub kind: String,
    /// How many rows it has.
    pub rows: u64,
    /// The size of what was pushed.
    pub file_bytes: u64,
    /// When it was pushed.
    pub pushed_unix_secs: i64,
}

/// A version of a table, with how it is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PushTableRequest {
    /// How it is written: `csv` or `json`. Left out, a content that begins with a brace is JSON.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub format: Option<String>,
    /// How rows are found: `keys` or `networks`. Left out, it is as the version before.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub kind: Option<String>,
    /// The file of its signature (minisign) as base64 for URLs.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub signature: Option<String>,
    /// The content.
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub content: Vec<u8>,
}

impl Question for PushTableRequest {
    const MEDIA_TYPE: Option<&'static str> = Some(CONTENT);

    fn query(&self) -> String {
        let named = [("format", &self.format), ("kind", &self.kind)];
        let written = named
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
        let signature = self.signature.as_deref().map(signature::to_query);
        let written: Vec<String> = written.chain(signature).collect();
        match written.is_empty() {
            true => String::new(),
            false => format!("?{}", written.join("&")),
        }
    }

    fn content(&self) -> Vec<u8> {
        self.content.clone()
    }

    fn read(query: Option<&str>, content: &[u8]) -> Result<PushTableRequest, Problem> {
        let mut request = PushTableRequest {
            content: content.to_vec(),
            ..PushTableRequest::default()
        };
        for part in query.into_iter().flat_map(|query| query.split('&')) {
            match part.split_once('=') {
                Some(("format", format @ ("csv" | "json"))) => {
                    request.format = Some(format.to_owned());
                }
                Some(("kind", kind @ ("keys" | "networks"))) => {
                    request.kind = Some(kind.to_owned())
                }
                Some(("signature", value)) => {
                    request.signature = Some(signature::of_query(value)?);
                }
                _ => {
                    return Err(Problem::new(
                        "the query is unknown",
                        "write ?format=csv or json, and &kind=keys or networks, or leave them out",
                    ));
                }
            }
        }
        Ok(request)
    }
}

/// The version decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PushTableResponse {
    /// The name of the table.
    pub table: String,
    /// The version.
    #[serde(flatten)]
    pub pushed: TableVersionReport,
    /// Whether it was kept already.
    pub was_known: bool,
    /// Whether the other nodes of the fleet were told; null without a fleet.
    pub fleet: Option<FleetNote>,
}

/// What to look up: a key, or a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum LookUpRequest {
    /// A key.
    Key(String),
    /// A text whose longest beginning that is a key is wanted. In a table of networks, an address or
    /// a network.
    Prefix(String),
}

impl JsonQuestion for LookUpRequest {
    const FORM: &'static str = "{\"key\": \"…\"}, or {\"prefix\": \"…\"}";
}

/// A row, or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LookUpResponse {
    /// The name of the table.
    pub table: String,
    /// The version that decides: its number, or `configuration`.
    pub version: String,
    /// The row that was found.
    pub row: Option<TableRowReport>,
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TableRowReport {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Which version is to decide again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RollBackTableRequest {
    /// Its number, enough of its digest to tell it from the others, or `configuration`. Left out, it
    /// is the version before.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub version: Option<String>,
}

impl Question for RollBackTableRequest {
    const MEDIA_TYPE: Option<&'static str> = None;

    fn query(&self) -> String {
        let version = self.version.as_ref();
        version.map_or_else(String::new, |version| format!("?version={version}"))
    }

    fn read(query: Option<&str>, _: &[u8]) -> Result<RollBackTableRequest, Problem> {
        match query.map(|query| query.split_once('=')) {
            None => Ok(RollBackTableRequest::default()),
            Some(Some(("version", version))) => Ok(RollBackTableRequest {
                version: Some(version.to_owned()),
            }),
            Some(_) => Err(Problem::new(
                "the query is unknown",
                "leave it out, or write ?version=VERSION",
            )),
        }
    }
}

/// The version decides again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RollBackTableResponse {
    /// The name of the table.
    pub table: String,
    /// The version that decides: its number, or `configuration`.
    pub version: String,
    /// Why it is not on disk; null if it is. A restart would forget it.
    pub unsaved: Option<String>,
    /// Whether the other nodes of the fleet were told; null without a fleet.
    pub fleet: Option<FleetNote>,
}

/// The pushed versions are gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RemoveTableResponse {
    /// The name of the table.
    pub table: String,
    /// `configuration` if its table decides now; null if there is no table any more.
    pub version: Option<String>,
    /// Whether the other nodes of the fleet were told; null without a fleet.
    pub fleet: Option<FleetNote>,
}
