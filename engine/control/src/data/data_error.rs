//! Why a change to the data tables was refused.

use super::table_record::{TableNumber, UnknownTableVersion};
use super::table_store::TableStoreError;
use crate::version_files::VersionFileError;
use tero_policy_host::tables::{TableError, TableFileError};
use tero_policy_host::trust::TrustError;

/// Why a change to the data tables was refused.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A table of the configuration can't be used.
    #[error("the table `{table}`: {source}")]
    File {
        /// The table.
        table: String,
        /// Why not.
        #[source]
        source: TableFileError,
    },
    /// The content that was pushed is not a table.
    #[error("{}{}", .0.line.map_or_else(String::new, |line| format!("line {line}: ")), .0.problem)]
    Content(TableError),
    /// The content that was pushed is not signed by a trusted key.
    #[error("the table is refused: {0}")]
    Untrusted(#[from] TrustError),
    /// The name is not a name.
    #[error("`{0}` is not a name")]
    Name(String),
    /// There is no such table.
    #[error("there is no table `{name}`; {}", known_tables(.known))]
    Unknown {
        /// The unknown name.
        name: String,
        /// The names of the tables.
        known: String,
    },
    /// The table has no such version.
    #[error(transparent)]
    UnknownVersion(#[from] UnknownTableVersion),
    /// No version was active before.
    #[error("the table `{0}` has no version to roll back to")]
    NothingBefore(String),
    /// The version is active already.
    #[error("version {1} of the table `{0}` is active already")]
    IsActive(String, TableNumber),
    /// The configuration has no such table.
    #[error("the configuration has no table `{0}`")]
    NotConfigured(String),
    /// Nothing of the table was pushed.
    #[error("the table `{0}` is that of the configuration, and no version of it was pushed")]
    OfConfiguration(String),
    /// Policies need the table.
    #[error("the table `{table}` is needed by {users}")]
    InUse {
        /// The table.
        table: String,
        /// The policies, with their sites.
        users: String,
    },
    /// There are as many tables as may be.
    #[error("there may be {0} tables")]
    TooMany(usize),
    /// There is no state directory to keep versions in.
    #[error("tables can't be pushed without a state directory")]
    NoStateDir,
    /// A version or a record can't be read or written.
    #[error(transparent)]
    Store(#[from] TableStoreError),
}

impl From<TableError> for DataError {
    fn from(error: TableError) -> DataError {
        DataError::Content(error)
    }
}

impl DataError {
    /// What to do about it.
    pub fn cure(&self) -> &str {
        match self {
            DataError::File { source, .. } => source.cure(),
            DataError::Content(error) => &error.cure,
            DataError::Untrusted(error) => error.cure(),
            DataError::Name(_) => "write 1 to 64 of a-z, 0-9, - and _",
            DataError::Unknown { .. } => "write one of those, or push the table",
            DataError::UnknownVersion(_) => "write one of those",
            DataError::NothingBefore(_) => "`tero data list` (GET /data) shows the versions",
            DataError::IsActive(..) => "name another version",
            DataError::NotConfigured(_) => "name a pushed version, or remove the table",
            DataError::OfConfiguration(_) => "remove its [[table]] from the configuration",
            DataError::InUse { .. } => {
                "take the policy off its sites first, or push another version of the table"
            }
            DataError::TooMany(_) => "remove one, or raise policies.max_tables",
            DataError::NoStateDir => {
                "write `state_dir` in [policies] of the configuration, and restart tero"
            }
            DataError::Store(TableStoreError::Files(VersionFileError::Untrusted { .. })) => {
                "push the version again with its signature"
            }
            DataError::Store(TableStoreError::Files(VersionFileError::Damaged(_))) => {
                "push the table again"
            }
            DataError::Store(_) => {
                "make sure that the folder exists, has room, and belongs to tero alone"
            }
        }
    }
}

fn known_tables(names: &str) -> String {
    match names {
        "" => "there are none".to_owned(),
        names => format!("the tables are {names}"),
    }
}
