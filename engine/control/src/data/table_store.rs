//! Pushed data tables and their records, in the state directory.
//!
//! ```text
//! tables/NAME-KIND-DIGEST.csv  a version, as it was pushed; or `.json`
//! tables/….csv.minisig         its signature, if it came with one
//! data/NAME.json               the record of a table
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::table_record::{TableRecord, TableRecordError, TableVersion};
use tero_config::{TableFormat, TableKind, forms};
use tero_policy_host::digest;
use tero_policy_host::tables::{Table, TableData, TableError};
use tero_policy_host::trust::{MAX_SIGNATURE_BYTES, TrustError, TrustedKeys, signature_path};
use tero_state::dir::{DirError, StateDir};
use tero_state::trusted;

/// The largest record, in bytes.
const MAX_RECORD_BYTES: u64 = 1 << 20;

/// Why a version of a table or its record can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableStoreError {
    /// Their folders can't be used.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// A file can't be read or written, or other users could have written it.
    #[error("the state directory: {path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file of a record does not hold one.
    #[error("the state directory: {path}: {source}; restore the file, or push the table again", path = path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: TableRecordError,
    },
    /// The content of a version does not have the digest in its name.
    #[error("the state directory: {path} is not what was pushed; push it again", path = .0.display())]
    Damaged(PathBuf),
    /// The version is not signed by a trusted key.
    #[error("the state directory: {path} is refused: {source}", path = path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: TrustError,
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
pub(super) struct TableStore {
    tables: PathBuf,
    records: PathBuf,
    _dir: Arc<StateDir>,
}

/// What the name of the file of a version, or of its signature, says.
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
    /// [`TableStoreError::Dir`] if other users may write in the folders or above them.
    pub(super) fn open(dir: &Arc<StateDir>) -> Result<TableStore, TableStoreError> {
        Ok(TableStore {
            tables: dir.folder("tables")?,
            records: dir.folder("data")?,
            _dir: Arc::clone(dir),
        })
    }

    /// The names of the tables that have a record.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        let files = files(&self.records);
        let names = files.iter().filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
            forms::name(name).ok().map(Arc::from)
        });
        names.collect()
    }

    /// Reads the record of a table.
    ///
    /// # Errors
    /// [`TableStoreError`]
    pub(super) fn record(&self, table: &str) -> Result<TableRecord, TableStoreError> {
        let path = self.record_path(table);
        match trusted::read(&path, MAX_RECORD_BYTES) {
            Ok(text) => {
                TableRecord::parse(&text).map_err(|source| TableStoreError::Record { path, source })
            }
            Err(source) => Err(TableStoreError::File { path, source }),
        }
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
        for path in files(&self.tables) {
            let is_signature = path.extension().is_some_and(|ending| ending == "minisig");
            let name = version_name(&path).filter(|name| name.table == table);
            let Some(name) = name.filter(|_| !is_signature) else {
                continue;
            };
            let pushed = fs::metadata(&path).and_then(|metadata| metadata.modified());
            let pushed = pushed.map(|time| time.duration_since(UNIX_EPOCH).unwrap_or_default());
            let mut version = TableVersion {
                number: 0,
                digest: name.digest.to_owned(),
                format: name.format,
                kind: name.kind,
                pushed_unix_secs: pushed.map_or(0, |time| time.as_secs().cast_signed()),
                bytes: fs::metadata(&path).map_or(0, |metadata| metadata.len()),
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
    /// [`TableStoreError::File`]
    pub(super) fn keep_record(
        &self,
        table: &str,
        record: &TableRecord,
    ) -> Result<(), TableStoreError> {
        let path = self.record_path(table);
        let text = record
            .to_bytes()
            .map_err(|source| TableStoreError::Record {
                path: path.clone(),
                source: source.into(),
            })?;
        if path.exists() && self.record(table).is_err() {
            self.put_aside(table)?;
        }
        trusted::write(&path, &[&text]).map_err(at(&path))
    }

    /// Reads a version of a table.
    ///
    /// # Errors
    /// [`TableStoreError`], [`Damaged`](TableStoreError::Damaged) if its content has another digest.
    pub(super) fn table(
        &self,
        name: &str,
        version: &TableVersion,
        max_bytes: u64,
        trust: &TrustedKeys,
    ) -> Result<Arc<Table>, TableStoreError> {
        let path = self.version_path(name, version);
        let content = read_version(&path, version, max_bytes)?;
        if let Err(source) = trust.check_file(&path, &content) {
            return Err(TableStoreError::Untrusted { path, source });
        }
        match TableData::of(&content, version.format, version.kind) {
            Ok(data) => Ok(data.table),
            Err(source) => Err(TableStoreError::Content { path, source }),
        }
    }

    /// The content of a version, with its signature if it has one.
    ///
    /// # Errors
    /// [`TableStoreError`]
    pub(super) fn content(
        &self,
        name: &str,
        version: &TableVersion,
        max_bytes: u64,
    ) -> Result<(Vec<u8>, Option<String>), TableStoreError> {
        let path = self.version_path(name, version);
        let content = read_version(&path, version, max_bytes)?;
        let path = signature_path(&path);
        match trusted::read(&path, MAX_SIGNATURE_BYTES as u64) {
            Ok(text) => Ok((content, String::from_utf8(text).ok())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((content, None)),
            Err(error) => Err(at(&path)(error)),
        }
    }

    /// Writes a version.
    ///
    /// # Errors
    /// [`TableStoreError::File`]
    pub(super) fn keep_version(
        &self,
        table: &str,
        version: &TableVersion,
        content: &[u8],
        signature: Option<&str>,
    ) -> Result<(), TableStoreError> {
        let path = self.version_path(table, version);
        if let Some(signature) = signature {
            let path = signature_path(&path);
            trusted::write(&path, &[signature.as_bytes()]).map_err(at(&path))?;
        }
        trusted::write(&path, &[content]).map_err(at(&path))
    }

    /// Removes the versions of a table that its record does not name.
    pub(super) fn thin_out(&self, table: &str, record: &TableRecord) {
        for path in files(&self.tables) {
            let is_surplus =
                version_name(&path).is_some_and(|name| name.table == table && !has(record, &name));
            if is_surplus {
                remove_if_possible(&path);
            }
        }
    }

    /// Removes the versions of tables that have no record: a removal may have been cut short.
    pub(super) fn remove_unnamed(&self) {
        let names = self.names();
        for path in files(&self.tables) {
            let is_named = |table: &str| names.iter().any(|name| **name == *table);
            if version_name(&path).is_some_and(|name| !is_named(name.table)) {
                remove_if_possible(&path);
            }
        }
    }

    /// Removes a table: its record first, so that a crash leaves no record without its versions.
    ///
    /// # Errors
    /// [`TableStoreError::File`] if the record can't be removed.
    pub(super) fn remove(&self, table: &str) -> Result<(), TableStoreError> {
        let path = self.record_path(table);
        if path.exists() && self.record(table).is_err() {
            self.put_aside(table)?;
        } else {
            fs::remove_file(&path)
                .and_then(|()| File::open(&self.records)?.sync_all())
                .map_err(at(&path))?;
        }
        self.thin_out(table, &TableRecord::default());
        Ok(())
    }

    fn put_aside(&self, table: &str) -> Result<(), TableStoreError> {
        let path = self.record_path(table);
        let aside = self.records.join(format!("{table}.json.unreadable"));
        fs::rename(&path, &aside).map_err(at(&path))?;
        tracing::warn!(path = %aside.display(), "an unreadable record was put aside");
        Ok(())
    }

    fn record_path(&self, table: &str) -> PathBuf {
        self.records.join(format!("{table}.json"))
    }

    fn version_path(&self, table: &str, version: &TableVersion) -> PathBuf {
        self.tables.join(version.file_of(table))
    }
}

fn has(record: &TableRecord, name: &VersionName<'_>) -> bool {
    record.versions.iter().any(|version| {
        (&*version.digest, version.kind, version.format) == (name.digest, name.kind, name.format)
    })
}

fn version_name(path: &Path) -> Option<VersionName<'_>> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".minisig").unwrap_or(name);
    let (rest, format) = name.rsplit_once('.')?;
    let (rest, digest) = rest.rsplit_once('-')?;
    let (table, kind) = rest.rsplit_once('-')?;
    Some(VersionName {
        table,
        kind: TableKind::parse(kind)?,
        digest,
        format: TableFormat::parse(format)?,
    })
}

fn remove_if_possible(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "an old version could not be removed");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

/// The content of a version, as its digest says.
fn read_version(
    path: &Path,
    version: &TableVersion,
    max_bytes: u64,
) -> Result<Vec<u8>, TableStoreError> {
    let content = trusted::read(path, max_bytes).map_err(at(path))?;
    match digest(&content) == version.digest {
        true => Ok(content),
        false => Err(TableStoreError::Damaged(path.to_owned())),
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> TableStoreError {
    let path = path.to_owned();
    move |source| TableStoreError::File {
        path: path.clone(),
        source,
    }
}
