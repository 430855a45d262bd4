//! Pushed versions and the records of policies, in the state directory.
//!
//! ```text
//! versions/NAME-DIGEST.wasm  a version, as it was pushed; beside it NAME-DIGEST.wasm.minisig, if it
//!                            came with a signature
//! policies/NAME.json         the record of a policy
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::added::AddedPolicy;
use super::record::{PolicyRecord, PushedRecord, RecordError, file_of, version_of};
use tero_config::forms;
use tero_policy_host as policy;
use tero_policy_host::Package;
use tero_policy_host::trust::{MAX_SIGNATURE_BYTES, TrustError, TrustedKeys, signature_path};
use tero_state::dir::{DirError, StateDir};
use tero_state::trusted;

/// The largest record, in bytes.
const MAX_RECORD_BYTES: u64 = 1 << 20;

/// Why a version or a record can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum VersionStoreError {
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
    #[error("the state directory: {path}: {source}; restore the file, or remove it to begin with the configuration's version", path = path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: RecordError,
    },
    /// The version is not signed by a trusted key.
    #[error("the state directory: {path} is refused: {source}", path = path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: TrustError,
    },
    /// The content of a version does not have the digest in its name.
    #[error("the state directory: {path} is not what was pushed; push it again", path = .0.display())]
    Damaged(PathBuf),
}

/// The versions and records in the state directory, which stays locked meanwhile.
#[derive(Debug)]
pub(super) struct VersionStore {
    versions: PathBuf,
    records: PathBuf,
    dir: Arc<StateDir>,
}

impl VersionStore {
    /// Opens the folders in `dir`, and makes those that are missing.
    ///
    /// # Errors
    /// [`VersionStoreError::Dir`] if other users may write in the folders or above them.
    pub(super) fn open(dir: &Arc<StateDir>) -> Result<VersionStore, VersionStoreError> {
        Ok(VersionStore {
            versions: dir.folder("versions")?,
            records: dir.folder("policies")?,
            dir: Arc::clone(dir),
        })
    }

    /// Reads the record of a policy; it is empty if the policy has none yet.
    ///
    /// # Errors
    /// [`VersionStoreError`]
    pub(super) fn record(&self, policy: &str) -> Result<PolicyRecord, VersionStoreError> {
        let path = self.record_path(policy);
        match trusted::read(&path, MAX_RECORD_BYTES) {
            Ok(text) => PolicyRecord::parse(&text)
                .map_err(|source| VersionStoreError::Record { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(PolicyRecord::default()),
            Err(source) => Err(VersionStoreError::File { path, source }),
        }
    }

    /// The record of a policy whose own record can't be read: the versions whose files are there,
    /// none of them active.
    pub(super) fn recovered(&self, policy: &str, max_bytes: u64) -> PolicyRecord {
        let mut found: Vec<PushedRecord> = files(&self.versions)
            .iter()
            .filter_map(|path| {
                let digest = version_of(policy, path.file_name()?.to_str()?)?;
                let content = self.version(policy, digest, max_bytes).ok()?;
                let pushed = fs::metadata(path).and_then(|metadata| metadata.modified());
                let pushed = pushed.ok()?.duration_since(UNIX_EPOCH).ok()?;
                Some(PushedRecord {
                    number: 0,
                    digest: digest.to_owned(),
                    pushed_unix_secs: i64::try_from(pushed.as_secs()).ok()?,
                    bytes: content.len() as u64,
                    settings: Package::of(&content).is_ok_and(|it| it.settings.is_some()),
                    cases: None,
                })
            })
            .collect();
        found.sort_unstable_by(|a, b| {
            (a.pushed_unix_secs, &a.digest).cmp(&(b.pushed_unix_secs, &b.digest))
        });
        let mut record = PolicyRecord::default();
        for version in found {
            record.push(version);
        }
        record
    }

    /// The policies that were added, in the order in which they were.
    pub(super) fn added(&self) -> Vec<AddedPolicy> {
        let files = files(&self.records);
        let names = files.iter().filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
            forms::name(name).ok()
        });
        let mut added: Vec<AddedPolicy> = names
            .filter_map(|name| {
                let record = self.record(&name);
                let record = record.inspect_err(|error| {
                    tracing::error!(policy = name, "it is left out if it was added: {error}");
                });
                let record = record.ok()?.added?;
                Some(AddedPolicy {
                    module: self.version_path(&name, &record.digest),
                    name: name.into(),
                    record,
                })
            })
            .collect();
        added.sort_by_key(|added| added.record.order);
        added
    }

    /// Forgets a policy that was added: its record first, so that a crash leaves no record without
    /// its versions.
    ///
    /// # Errors
    /// [`VersionStoreError::File`] if the record can't be removed.
    pub(super) fn remove(&self, policy: &str) -> Result<(), VersionStoreError> {
        let path = self.record_path(policy);
        match fs::remove_file(&path).and_then(|()| fs::File::open(&self.records)?.sync_all()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&path)(error)),
            _ => {
                self.thin_out(policy, &PolicyRecord::default());
                Ok(())
            }
        }
    }

    /// Writes the record of a policy, whole or not at all. A file in its place that holds no record
    /// that this version of tero reads is kept beside it, as `NAME.json.unreadable`.
    ///
    /// # Errors
    /// [`VersionStoreError::File`]
    pub(super) fn keep_record(
        &self,
        policy: &str,
        record: &PolicyRecord,
    ) -> Result<(), VersionStoreError> {
        let path = self.record_path(policy);
        self.check_ours(&path)?;
        let text = record
            .to_bytes()
            .map_err(|source| VersionStoreError::Record {
                path: path.clone(),
                source: source.into(),
            })?;
        if path.exists() && self.record(policy).is_err() {
            let aside = self.records.join(format!("{policy}.json.unreadable"));
            fs::rename(&path, &aside).map_err(at(&path))?;
            tracing::warn!(path = %aside.display(), "an unreadable record was put aside");
        }
        trusted::write(&path, &[&text]).map_err(at(&path))
    }

    /// Reads the version of a policy with that digest.
    ///
    /// # Errors
    /// [`VersionStoreError`], [`Damaged`](VersionStoreError::Damaged) if its content has another
    /// digest.
    pub(super) fn version(
        &self,
        name: &str,
        digest: &str,
        max_bytes: u64,
    ) -> Result<Vec<u8>, VersionStoreError> {
        let path = self.version_path(name, digest);
        let content = trusted::read(&path, max_bytes).map_err(at(&path))?;
        if policy::digest(&content) != digest {
            return Err(VersionStoreError::Damaged(path));
        }
        Ok(content)
    }

    /// The signature that was pushed with a version; `None` if there was none.
    ///
    /// # Errors
    /// [`VersionStoreError::File`]
    pub(super) fn signature(
        &self,
        name: &str,
        digest: &str,
    ) -> Result<Option<String>, VersionStoreError> {
        let path = signature_path(&self.version_path(name, digest));
        match trusted::read(&path, MAX_SIGNATURE_BYTES as u64) {
            Ok(text) => Ok(String::from_utf8(text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&path)(error)),
        }
    }

    /// As [`VersionStore::version`], if a trusted key signed it.
    ///
    /// # Errors
    /// [`VersionStoreError`]
    pub(super) fn trusted_version(
        &self,
        name: &str,
        digest: &str,
        max_bytes: u64,
        trust: &TrustedKeys,
    ) -> Result<Vec<u8>, VersionStoreError> {
        let content = self.version(name, digest, max_bytes)?;
        let path = self.version_path(name, digest);
        match trust.check_file(&path, &content) {
            Ok(()) => Ok(content),
            Err(source) => Err(VersionStoreError::Untrusted { path, source }),
        }
    }

    /// Writes a version, and its signature if it has one.
    ///
    /// # Errors
    /// [`VersionStoreError::File`]
    pub(super) fn keep_version(
        &self,
        policy: &str,
        digest: &str,
        content: &[u8],
        signature: Option<&str>,
    ) -> Result<(), VersionStoreError> {
        let path = self.version_path(policy, digest);
        if let Some(signature) = signature {
            let path = signature_path(&path);
            trusted::write(&path, &[signature.as_bytes()]).map_err(at(&path))?;
        }
        self.check_ours(&path)?;
        trusted::write(&path, &[content]).map_err(at(&path))
    }

    /// Removes the versions of a policy that its record does not name.
    pub(super) fn thin_out(&self, policy: &str, record: &PolicyRecord) {
        if self.dir.check_ours().is_err() {
            return;
        }
        for path in files(&self.versions) {
            let digest = path
                .file_name()
                .and_then(|name| name.to_str())
                .map(|name| name.strip_suffix(".minisig").unwrap_or(name))
                .and_then(|name| version_of(policy, name));
            let is_surplus = digest.is_some_and(|digest| record.pushed(digest).is_none());
            if is_surplus && let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "an old version could not be removed");
            }
        }
    }

    fn check_ours(&self, path: &Path) -> Result<(), VersionStoreError> {
        let is_ours = self.dir.check_ours().map_err(io::Error::other);
        is_ours.map_err(at(path))
    }

    fn record_path(&self, policy: &str) -> PathBuf {
        self.records.join(format!("{policy}.json"))
    }

    pub(super) fn version_path(&self, policy: &str, digest: &str) -> PathBuf {
        self.versions.join(file_of(policy, digest))
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

fn at(path: &Path) -> impl Fn(io::Error) -> VersionStoreError {
    let path = path.to_owned();
    move |source| VersionStoreError::File {
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Version;
    use super::*;

    fn open(folder: &tempfile::TempDir) -> VersionStore {
        let dir = StateDir::open(folder.path()).unwrap();
        VersionStore::open(&Arc::new(dir)).unwrap()
    }

    #[test]
    fn versions_and_records_are_kept_until_thinned_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        let digest = policy::digest(b"module");
        store
            .keep_version("hours", &digest, b"module", None)
            .unwrap();
        let record = PolicyRecord {
            since_unix_secs: Some(7),
            ..PolicyRecord::default()
        };
        store.keep_record("hours", &record).unwrap();
        drop(store);
        fs::write(folder.path().join("versions/half.1-2.new"), "").unwrap();
        let store = open(&folder);
        assert!(!folder.path().join("versions/half.1-2.new").exists());
        assert_eq!(store.record("hours").unwrap(), record);
        assert_eq!(store.record("others").unwrap(), PolicyRecord::default());
        assert_eq!(store.version("hours", &digest, 6).unwrap(), b"module");
        assert!(matches!(
            store.version("hours", &digest, 5),
            Err(VersionStoreError::File { .. })
        ));
        store
            .keep_version("hours-of-others", &digest, b"module", None)
            .unwrap();
        store.thin_out("hours", &record);
        assert!(
            store.version("hours", &digest, 6).is_err()
                && store.version("hours-of-others", &digest, 6).is_ok()
        );
    }

    #[test]
    fn damaged_versions_and_records_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        let digest = policy::digest(b"module");
        store
            .keep_version("hours", &digest, b"module", None)
            .unwrap();
        fs::write(
            folder.path().join(format!("versions/hours-{digest}.wasm")),
            "other",
        )
        .unwrap();
        assert!(matches!(
            store.version("hours", &digest, 100),
            Err(VersionStoreError::Damaged(_))
        ));
        let other = policy::digest(b"other module");
        store
            .keep_version("hours", &other, b"other module", None)
            .unwrap();
        fs::write(folder.path().join("policies/hours.json"), "{").unwrap();
        assert!(matches!(
            store.record("hours"),
            Err(VersionStoreError::Record { .. })
        ));
        // The versions that are whole are found again, and the file is kept.
        let recovered = store.recovered("hours", 100);
        let digests: Vec<_> = recovered.versions.iter().map(|it| &it.digest).collect();
        assert_eq!(digests, [&other]);
        assert_eq!(recovered.active, Version::Configured);
        store.keep_record("hours", &recovered).unwrap();
        assert_eq!(store.record("hours").unwrap(), recovered);
        let aside = folder.path().join("policies/hours.json.unreadable");
        assert_eq!(fs::read_to_string(aside).unwrap(), "{");
    }
}
