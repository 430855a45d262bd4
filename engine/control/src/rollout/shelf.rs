//! The versions of policies in a state directory, for commands at a desk: the versions that decide, and
//! the module of any other.
//!
//! The directory is only read, without its lock: a running edge may hold that.

use std::fs;
use std::path::{Path, PathBuf};

use super::added::AddedPolicy;
use super::error::RolloutError;
use super::record::{PolicyRecord, Version, file_of};
use super::version_name::version_named;
use super::version_store::VersionStoreError;
use crate::version_files::{MAX_RECORD_BYTES, VersionFileError};
use tero_config::{Config, ModuleSource, forms};
use tero_policy_host::digest;
use tero_state::trusted;

/// A state directory, and the configuration that names it.
#[derive(Clone, Copy, Debug)]
pub struct VersionShelf<'c> {
    config: &'c Config,
    dir: &'c Path,
}

impl VersionShelf<'_> {
    /// The shelf of a configuration; `None` without a state directory.
    pub fn of(config: &Config) -> Option<VersionShelf<'_>> {
        let dir = config.policy_host.state_dir.as_deref()?;
        Some(VersionShelf { config, dir })
    }

    /// The configuration with the versions that decide on an edge, and with the policies that were
    /// added by a push. Trials and pushed tables are left out.
    ///
    /// # Errors
    /// [`RolloutError`]: a record or a version can't be read.
    pub fn deciding(&self) -> Result<Config, RolloutError> {
        let mut config = self.config.clone();
        let mut records = Vec::new();
        for name in self.names() {
            let record = self.record(&name)?;
            records.push((name, record));
        }
        records.sort_by_key(|(_, record)| record.added.as_ref().map(|added| added.order));
        for (name, record) in &records {
            if let Some(added) = &record.added {
                let added = AddedPolicy {
                    name: name.as_str().into(),
                    module: self.version_file(name, &added.digest)?,
                    record: added.clone(),
                };
                added.place(&mut config.policies, &mut config.sites);
            }
        }
        for (name, record) in &records {
            let mut policies = config.policies.iter_mut();
            if let Version::Pushed(version) = &record.active
                && let Some(policy) = policies.find(|policy| *policy.name == **name)
            {
                policy.module = ModuleSource::File(self.version_file(name, version)?);
            }
        }
        Ok(config)
    }

    /// The module of a version of a policy: `configuration`, its number, or the beginning of its
    /// digest.
    ///
    /// # Errors
    /// [`RolloutError`]: the policy has no such version, or it can't be read.
    pub fn module(&self, policy: &str, version: &str) -> Result<ModuleSource, RolloutError> {
        let record = self.record(policy)?;
        let mut policies = self.config.policies.iter();
        let configured = policies.find(|it| *it.name == *policy);
        let named = version_named(&record, policy, version)?;
        let digest = match (&named, configured, &record.added) {
            (Version::Pushed(digest), ..) => digest,
            (Version::Configured, Some(configured), _) => return Ok(configured.module.clone()),
            (Version::Configured, None, Some(added)) => &added.digest,
            (Version::Configured, None, None) => {
                let known: Vec<&str> = self.config.policies.iter().map(|it| &*it.name).collect();
                return Err(RolloutError::UnknownPolicy {
                    name: policy.to_owned(),
                    known: known.join(", "),
                });
            }
        };
        Ok(ModuleSource::File(self.version_file(policy, digest)?))
    }

    /// The names of the policies that have a record.
    fn names(&self) -> Vec<String> {
        let files = fs::read_dir(self.dir.join("policies"));
        let files = files.into_iter().flatten().flatten();
        let names = files.filter_map(|file| {
            let file = file.file_name();
            forms::name(file.to_str()?.strip_suffix(".json")?).ok()
        });
        names.collect()
    }

    /// The record of a policy; an empty one if it has none.
    fn record(&self, policy: &str) -> Result<PolicyRecord, RolloutError> {
        let path = self.dir.join("policies").join(format!("{policy}.json"));
        let text = match trusted::read(&path, MAX_RECORD_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(PolicyRecord::default());
            }
            Err(source) => return Err(unreadable(path, source)),
        };
        PolicyRecord::parse(&text)
            .map_err(|source| VersionStoreError::Record { path, source }.into())
    }

    /// The file of a version, which is what was pushed.
    fn version_file(&self, policy: &str, version: &str) -> Result<PathBuf, RolloutError> {
        let path = self.dir.join("versions").join(file_of(policy, version));
        match trusted::read(&path, self.config.policy_host.max_module) {
            Ok(content) if digest(&content) == version => Ok(path),
            Ok(_) => Err(VersionStoreError::Files(VersionFileError::Damaged(path)).into()),
            Err(source) => Err(unreadable(path, source)),
        }
    }
}

fn unreadable(path: PathBuf, source: std::io::Error) -> RolloutError {
    VersionStoreError::Files(VersionFileError::File { path, source }).into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::record::{AddedRecord, PlacementRecord, PushedRecord};
    use super::super::version_store::VersionStore;
    use super::*;
    use tero_state::dir::StateDir;

    /// A state directory with a policy that was added with one version, and decides in another.
    fn state(folder: &Path) -> [String; 2] {
        let dir = Arc::new(StateDir::open(folder).unwrap());
        let store = VersionStore::open(&dir).unwrap();
        let mut record = PolicyRecord::default();
        let digests = [&b"one"[..], b"two"].map(|content| {
            let digest = digest(content);
            store.keep_version("extra", &digest, content, None).unwrap();
            record.push(PushedRecord {
                number: 0,
                digest: digest.clone(),
                pushed_unix_secs: 1,
                bytes: 3,
                settings: false,
                cases: None,
                forecast: None,
            });
            digest
        });
        record.active = Version::Pushed(digests[1].clone());
        record.added = Some(AddedRecord {
            digest: digests[0].clone(),
            placements: vec![PlacementRecord {
                site: "a".to_owned(),
                after: None,
            }],
            added_unix_secs: 1,
            order: 1,
        });
        store.keep_record("extra", &record).unwrap();
        digests
    }

    #[test]
    fn policies_that_were_added_decide_in_the_version_that_is_active() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = state(folder.path());
        let text = format!(
            "[policies]\nstate_dir = {:?}\n[[site]]\nname = \"a\"\nhosts = [\"a.example\"]\norigins = [\"http://127.0.0.1:1\"]",
            folder.path()
        );
        let config = Config::parse(&text, "tero.toml", Path::new("")).unwrap();
        let shelf = VersionShelf::of(&config).unwrap();
        let lies_in = |source: &ModuleSource, digest: &str| matches!(source, ModuleSource::File(path) if path.ends_with(file_of("extra", digest)));
        let deciding = shelf.deciding().unwrap();
        assert_eq!(&*deciding.sites[0].policies[0], "extra");
        assert!(lies_in(&deciding.policies[0].module, &two));
        assert!(lies_in(
            &shelf.module("extra", "configuration").unwrap(),
            &one
        ));
        assert!(lies_in(&shelf.module("extra", "2").unwrap(), &two));
        assert!(lies_in(&shelf.module("extra", &one[..9]).unwrap(), &one));
        for (policy, version) in [("extra", "9"), ("other", "1"), ("other", "configuration")] {
            assert!(shelf.module(policy, version).is_err(), "{policy} {version}");
        }
        let file = folder.path().join("versions").join(file_of("extra", &two));
        fs::write(file, "three").unwrap();
        assert!(shelf.module("extra", "2").is_err() && shelf.deciding().is_err());
    }
}
