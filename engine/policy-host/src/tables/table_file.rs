//! Reads the files of data tables that the configuration names.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use tero_config::{TableFile, TableFormat, TableKind};

use super::{Table, TableError};
use crate::module::digest::digest;
use crate::trust::{TrustError, TrustedKeys};

/// A table with the marks of the file that it was read from.
#[derive(Clone, Debug)]
pub struct TableData {
    /// The table.
    pub table: Arc<Table>,
    /// The SHA-256 of the file, in hexadecimal.
    pub digest: String,
    /// The size of the file.
    pub file_bytes: u64,
    /// How the file is written.
    pub format: TableFormat,
}

/// Why the file of a table can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TableFileError {
    /// It can't be read.
    #[error("{path} can't be read: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is larger than `policies.max_table`.
    #[error("{path} is larger than {max_bytes} bytes", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How large it may be.
        max_bytes: u64,
    },
    /// It is not signed by a trusted key.
    #[error("{path} is refused: {source}", path = path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: TrustError,
    },
    /// Its content is not a table.
    #[error("{path}, {source}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: TableError,
    },
}

impl TableFileError {
    /// What to do about it.
    pub fn cure(&self) -> &str {
        match self {
            TableFileError::Read { .. } => "see that it is a readable file",
            TableFileError::TooLarge { .. } => "make it smaller, or raise policies.max_table",
            TableFileError::Untrusted { source, .. } => source.cure(),
            TableFileError::Content { source, .. } => &source.cure,
        }
    }
}

impl TableData {
    /// The table that a content holds.
    ///
    /// # Errors
    /// [`TableError`]
    pub fn of(
        content: &[u8],
        format: TableFormat,
        kind: TableKind,
    ) -> Result<TableData, TableError> {
        Ok(TableData {
            table: Arc::new(Table::parse(content, format, kind)?),
            digest: digest(content),
            file_bytes: content.len() as u64,
            format,
        })
    }

    /// Reads a table of the configuration, whose file has at most `max_bytes`. The table `before` is
    /// used again, with its version, if nothing has changed.
    ///
    /// # Errors
    /// [`TableFileError`]
    pub fn read(
        entry: &TableFile,
        max_bytes: u64,
        trust: &TrustedKeys,
        before: Option<&TableData>,
    ) -> Result<TableData, TableFileError> {
        let path = &entry.file;
        let read = |source| TableFileError::Read {
            path: path.clone(),
            source,
        };
        let file = File::open(path).map_err(read)?;
        let mut content = Vec::new();
        file.take(max_bytes + 1)
            .read_to_end(&mut content)
            .map_err(read)?;
        if content.len() as u64 > max_bytes {
            return Err(TableFileError::TooLarge {
                path: path.clone(),
                max_bytes,
            });
        }
        if let Err(source) = trust.check_file(path, &content) {
            return Err(TableFileError::Untrusted {
                path: path.clone(),
                source,
            });
        }
        let is_same = |before: &&TableData| {
            before.format == entry.format
                && before.table.kind() == entry.kind
                && before.digest == digest(&content)
        };
        if let Some(before) = before.filter(is_same) {
            return Ok(before.clone());
        }
        TableData::of(&content, entry.format, entry.kind).map_err(|source| {
            TableFileError::Content {
                path: path.clone(),
                source,
            }
        })
    }
}
