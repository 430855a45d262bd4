//! Pushed data tables and their records, in the state directory.
//!
//! ```text
//! tables/NAME-KIND-DIGEST.csv  a version, as it was pushed; or `.json`
//! tables/….csv.minisig         its signature, if it came with one
//! data/NAME.json               the record of a table
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use super::table_record::{TableRecord, TableRecordError, TableVersion};
use crate::version_files::{VersionFileError, VersionFiles};
use tero_config::{TableFormat, TableKind};
use tero_policy_host::tables::{Table, TableData, TableError};
use tero_policy_host::trust::TrustedKeys;
use tero_state::dir::StateDir;

/// Why a version of a table or its record can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableStoreError {
    /// A file can't be read or written, or is not what was pushed.
    #[error(transparent)]
    Files(#[from] VersionFileError),
    /// The file of a record does not hold one, or is missing.
    #[error("the state directory: {path}: {source}; restore the file, or push the table again", path = path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: TableRecordError,
    },
    /// The content is not a table any more, since its limits are others now.
    #[error("the state directory: {path}: {source}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: TableError,
    },
}

/// The tables and records in the state directory, which stays locked meanwhile.
#[derive(Debug)]
pub(super) struct TableStore(VersionFiles);

/// What the name of the file of a version says.
struct VersionName<'n> {
    table: &'n str,
    kind: TableKind,
    digest: &'n str,
    format: TableFormat,
}

impl TableStore {
    /// Opens the folders in `dir`, and makes those that are missing.
    ///
    /// # Errors
    /// [`TableStoreError::Files`] if other users may write in the folders or above them.
    pub(super) fn open(dir: &Arc<StateDir>) -> Result<TableStore, TableStoreError> {
        Ok(TableStore(VersionFiles::open(dir, "tables", "data")?))
    }

    /// The names of the tables that have a record.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.0.record_names().into_iter().map(Arc::from).collect()
    }

    /// Reads the record of a table.
    ///
    /// # Errors
    /// [`TableStoreError`]
    pub(super) fn record(&self, table: &str) -> Result<TableRecord, TableStoreError> {
        let text = self.0.record(table)?.unwrap_or_default();
        TableRecord::parse(&text).map_err(|source| self.in_record(table, source))
    }

    /// The record of a table whose own record can't be read: the versions whose files are there and
    /// whole, none of them active.
    pub(super) fn recovered(
        &self,
        table: &str,
        max_bytes: u64,
        trust: &TrustedKeys,
    ) -> TableRecord {
        let mut found: Vec<TableVersion> = Vec::new();
        for file in self.0.contents() {
            let name = version_name(&file.name).filter(|name| name.table == table);
            let Some(name) = name else {
                continue;
            };
            let mut version = TableVersion {
                number: 0,
                digest: name.digest.to_owned(),
                format: name.format,
                kind: name.kind,
                pushed_unix_secs: file.written_unix_secs,
                bytes: file.bytes,
                rows: 0,
            };
            if let Ok(whole) = self.table(table, &version, max_bytes, trust) {
                version.rows = whole.rows() as u64;
                found.push(version);
            }
        }
        found.sort_unstable_by(|a, b| {
            (a.pushed_unix_secs, &a.digest).cmp(&(b.pushed_unix_secs, &b.digest))
        });
        for (number, version) in (1..).zip(&mut found) {
            version.number = number;
        }
        TableRecord::of(found)
    }

    /// Writes the record of a table, whole or not at all. A file in its place that holds no record
    /// that this version of tero reads is kept beside it, as `NAME.json.unreadable`.
    ///
    /// # Errors
    /// [`TableStoreError`]
    pub(super) fn keep_record(
        &self,
        table: &str,
        record: &TableRecord,
    ) -> Result<(), TableStoreError> {
        let text = record.to_bytes();
        let text = text.map_err(|source| self.in_record(table, source.into()))?;
        let readable = self.is_readable(table);
        Ok(self.0.write_record(table, &text, readable)?)
    }

    /// Reads a version of a table.
    ///
    /// # Errors
    /// [`TableStoreError`]
    pub(super) fn table(
        &self,
        name: &str,
        version: &TableVersion,
        max_bytes: u64,
        trust: &TrustedKeys,
    ) -> Result<Arc<Table>, TableStoreError> {
        let (file, digest) = (version.file_of(name), &version.digest);
        let content = self.0.trusted_content(&file, digest, max_bytes, trust)?;
        match TableData::of(&content, version.format, version.kind) {
            Ok(data) => Ok(data.table),
            Err(source) => Err(TableStoreError::Content {
                path: self.0.content_path(&file),
                source,
            }),
        }
    }

    /// The content of a version, with its signature if it has one.
    ///
    /// # Errors
    /// [`TableStoreError::Files`]
    pub(super) fn content(
        &self,
        name: &str,
        version: &TableVersion,
        max_bytes: u64,
    ) -> Result<(Vec<u8>, Option<String>), TableStoreError> {
        let file = version.file_of(name);
        let content = self.0.content(&file, &version.digest, max_bytes)?;
        Ok((content, self.0.signature(&file)?))
    }

    /// Writes a version.
    ///
    /// # Errors
    /// [`TableStoreError::Files`]
    pub(super) fn keep_version(
        &self,
        table: &str,
        version: &TableVersion,
        content: &[u8],
        signature: Option<&str>,
    ) -> Result<(), TableStoreError> {
        let file = version.file_of(table);
        Ok(self.0.write_content(&file, content, signature)?)
    }

    /// Removes the versions of a table that its record does not name.
    pub(super) fn thin_out(&self, table: &str, record: &TableRecord) {
        self.0.remove_contents(|file| {
            version_name(file).is_some_and(|name| name.table == table && !has(record, &name))
        });
    }

    /// Removes the versions of tables that have no record: a removal may have been cut short.
    pub(super) fn remove_unnamed(&self) {
        let names = self.0.record_names();
        let is_named = |table: &str| names.iter().any(|name| name == table);
        self.0
            .remove_contents(|file| version_name(file).is_some_and(|name| !is_named(name.table)));
    }

    /// Removes a table: its record first, so that a crash leaves no record without its versions.
    ///
    /// # Errors
    /// [`TableStoreError::Files`] if the record can't be removed.
    pub(super) fn remove(&self, table: &str) -> Result<(), TableStoreError> {
        self.0.remove_record(table, self.is_readable(table))?;
        self.thin_out(table, &TableRecord::default());
        Ok(())
    }

    /// Whether the record of a table, if it is there, is one that this version of tero reads.
    fn is_readable(&self, table: &str) -> bool {
        !self.0.record_path(table).exists() || self.record(table).is_ok()
    }

    fn in_record(&self, table: &str, source: TableRecordError) -> TableStoreError {
        TableStoreError::Record {
            path: self.0.record_path(table),
            source,
        }
    }
}

fn has(record: &TableRecord, name: &VersionName<'_>) -> bool {
    record.versions.iter().any(|version| {
        (&*version.digest, version.kind, version.format) == (name.digest, name.kind, name.format)
    })
}

fn version_name(file: &str) -> Option<VersionName<'_>> {
    let (rest, format) = file.rsplit_once('.')?;
    let (rest, digest) = rest.rsplit_once('-')?;
    let (table, kind) = rest.rsplit_once('-')?;
    Some(VersionName {
        table,
        kind: TableKind::parse(kind)?,
        digest,
        format: TableFormat::parse(format)?,
    })
}
