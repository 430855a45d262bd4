//! Pushed versions and the records of policies, in the state directory.
//!
//! ```text
//! versions/NAME-DIGEST.wasm  a version, as it was pushed; beside it NAME-DIGEST.wasm.minisig, if it
//!                            came with a signature
//! policies/NAME.json         the record of a policy
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use super::added::AddedPolicy;
use super::forecast;
use super::record::{PolicyRecord, PushedRecord, RecordError, file_of, version_of};
use crate::version_files::{VersionFileError, VersionFiles};
use tero_policy_host::Package;
use tero_policy_host::trust::TrustedKeys;
use tero_state::dir::StateDir;

/// Why a version or a record can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum VersionStoreError {
    /// A file can't be read or written, or is not what was pushed.
    #[error(transparent)]
    Files(#[from] VersionFileError),
    /// The file of a record does not hold one.
    #[error("the state directory: {path}: {source}; restore the file, or remove it to begin with the configuration's version", path = path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: RecordError,
    },
}

/// The versions and records in the state directory, which stays locked meanwhile.
#[derive(Debug)]
pub(super) struct VersionStore(VersionFiles);

impl VersionStore {
    /// Opens the folders in `dir`, and makes those that are missing.
    ///
    /// # Errors
    /// [`VersionStoreError::Files`] if other users may write in the folders or above them.
    pub(super) fn open(dir: &Arc<StateDir>) -> Result<VersionStore, VersionStoreError> {
        Ok(VersionStore(VersionFiles::open(
            dir, "versions", "policies",
        )?))
    }

    /// Reads the record of a policy; it is empty if the policy has none yet.
    ///
    /// # Errors
    /// [`VersionStoreError`]
    pub(super) fn record(&self, policy: &str) -> Result<PolicyRecord, VersionStoreError> {
        match self.0.record(policy)? {
            Some(text) => {
                PolicyRecord::parse(&text).map_err(|source| self.in_record(policy, source))
            }
            None => Ok(PolicyRecord::default()),
        }
    }

    /// The record of a policy whose own record can't be read: the versions whose files are there,
    /// none of them active.
    pub(super) fn recovered(&self, policy: &str, max_bytes: u64) -> PolicyRecord {
        let files = self.0.contents();
        let found = files.iter().filter_map(|file| {
            let digest = version_of(policy, &file.name)?;
            let content = self.version(policy, digest, max_bytes).ok()?;
            Some(PushedRecord {
                number: 0,
                digest: digest.to_owned(),
                pushed_unix_secs: file.written_unix_secs,
                bytes: file.bytes,
                settings: Package::of(&content).is_ok_and(|it| it.settings.is_some()),
                cases: None,
                forecast: forecast::of_version(&content).ok().flatten(),
            })
        });
        let mut found: Vec<PushedRecord> = found.collect();
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
        let names = self.0.record_names().into_iter();
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
    /// [`VersionStoreError::Files`] if the record can't be removed.
    pub(super) fn remove(&self, policy: &str) -> Result<(), VersionStoreError> {
        self.0.remove_record(policy, true)?;
        self.thin_out(policy, &PolicyRecord::default());
        Ok(())
    }

    /// Writes the record of a policy, whole or not at all. A file in its place that holds no record
    /// that this version of tero reads is kept beside it, as `NAME.json.unreadable`.
    ///
    /// # Errors
    /// [`VersionStoreError`]
    pub(super) fn keep_record(
        &self,
        policy: &str,
        record: &PolicyRecord,
    ) -> Result<(), VersionStoreError> {
        let text = record.to_bytes();
        let text = text.map_err(|source| self.in_record(policy, source.into()))?;
        let readable = self.record(policy).is_ok();
        Ok(self.0.write_record(policy, &text, readable)?)
    }

    /// Reads the version of a policy with that digest.
    ///
    /// # Errors
    /// [`VersionStoreError::Files`]
    pub(super) fn version(
        &self,
        name: &str,
        digest: &str,
        max_bytes: u64,
    ) -> Result<Vec<u8>, VersionStoreError> {
        Ok(self.0.content(&file_of(name, digest), digest, max_bytes)?)
    }

    /// The signature that was pushed with a version; `None` if there was none.
    ///
    /// # Errors
    /// [`VersionStoreError::Files`]
    pub(super) fn signature(
        &self,
        name: &str,
        digest: &str,
    ) -> Result<Option<String>, VersionStoreError> {
        Ok(self.0.signature(&file_of(name, digest))?)
    }

    /// As [`VersionStore::version`], if a trusted key signed it.
    ///
    /// # Errors
    /// [`VersionStoreError::Files`]
    pub(super) fn trusted_version(
        &self,
        name: &str,
        digest: &str,
        max_bytes: u64,
        trust: &TrustedKeys,
    ) -> Result<Vec<u8>, VersionStoreError> {
        let file = file_of(name, digest);
        Ok(self.0.trusted_content(&file, digest, max_bytes, trust)?)
    }

    /// Writes a version, and its signature if it has one.
    ///
    /// # Errors
    /// [`VersionStoreError::Files`]
    pub(super) fn keep_version(
        &self,
        policy: &str,
        digest: &str,
        content: &[u8],
        signature: Option<&str>,
    ) -> Result<(), VersionStoreError> {
        let file = file_of(policy, digest);
        Ok(self.0.write_content(&file, content, signature)?)
    }

    /// Removes the versions of a policy that its record does not name.
    pub(super) fn thin_out(&self, policy: &str, record: &PolicyRecord) {
        self.0.remove_contents(|file| {
            version_of(policy, file).is_some_and(|digest| record.pushed(digest).is_none())
        });
    }

    /// Where a version lies.
    pub(super) fn version_path(&self, policy: &str, digest: &str) -> PathBuf {
        self.0.content_path(&file_of(policy, digest))
    }

    fn in_record(&self, policy: &str, source: RecordError) -> VersionStoreError {
        VersionStoreError::Record {
            path: self.0.record_path(policy),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::record::Version;
    use super::*;
    use tero_policy_host as policy;

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
            Err(VersionStoreError::Files(VersionFileError::File { .. }))
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
            Err(VersionStoreError::Files(VersionFileError::Damaged(_)))
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
