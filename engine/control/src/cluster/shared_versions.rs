//! What all nodes agree on: which version of each policy and data table is active. One document, so
//! that a node reads it with one request, and changes it by compare-and-set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::rollout::record::{GuardSettings, PlacementRecord, Version};
use tero_config::units::Share;
use tero_config::{TableFormat, TableKind};

/// The format that is read and written.
const FORMAT: u32 = 1;
/// Versions of a policy that the document names; older ones are left out unless they are in use.
const MAX_VERSIONS: usize = 16;

/// What all nodes agree on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedVersions {
    format: u32,
    /// The policies by their names.
    #[serde(default)]
    pub policies: BTreeMap<String, SharedPolicy>,
    /// The data tables by their names.
    #[serde(default)]
    pub tables: BTreeMap<String, SharedTable>,
}

/// Why a content is not what all nodes agree on.
#[derive(Debug, thiserror::Error)]
pub enum SharedVersionsError {
    /// It is not its JSON.
    #[error("what the fleet agrees on can't be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A newer version of tero wrote it.
    #[error("what the fleet agrees on has format {0}, which a newer version of tero wrote")]
    Newer(u32),
}

/// Who changed something, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeMark {
    /// Grows with each change of the policy or table.
    pub change: u64,
    /// The node at which it was changed.
    pub node: String,
    /// When.
    pub at_unix_secs: i64,
}

/// A version that nodes may fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedVersion {
    /// Its digest, under which its content is kept.
    pub digest: String,
    /// Its signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// A policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedPolicy {
    /// The latest change.
    pub mark: ChangeMark,
    /// The version that decides.
    pub active: Version,
    /// The pushed versions, the latest last.
    #[serde(default)]
    pub versions: Vec<SharedVersion>,
    /// The canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<SharedCanary>,
    /// How it was added, if the configuration doesn't have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<SharedAddition>,
    /// Whether it was added and removed again.
    #[serde(default)]
    pub removed: bool,
}

/// A canary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedCanary {
    /// Its version.
    pub version: Version,
    /// The share of keys that it decides for.
    pub share: Share,
    /// When it is rolled back.
    pub guard: GuardSettings,
    /// The nodes that have it; `None` means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<String>>,
}

impl SharedCanary {
    /// Whether a node has it.
    pub fn is_on(&self, node: &str) -> bool {
        let nodes = self.nodes.as_ref();
        nodes.is_none_or(|nodes| nodes.iter().any(|named| named == node))
    }
}

/// How a policy was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedAddition {
    /// The digest of the version that it was added with.
    pub digest: String,
    /// Its sites.
    pub placements: Vec<PlacementRecord>,
}

/// A data table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedTable {
    /// The latest change.
    pub mark: ChangeMark,
    /// The version that decides; `None` is that of the configuration.
    pub active: Option<SharedTableVersion>,
    /// Whether its pushed versions were removed.
    #[serde(default)]
    pub removed: bool,
}

/// A version of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedTableVersion {
    /// Its digest, under which its content is kept.
    pub digest: String,
    /// How it is written.
    pub format: TableFormat,
    /// How its rows are found.
    pub kind: TableKind,
    /// Its signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

impl Default for SharedVersions {
    fn default() -> SharedVersions {
        SharedVersions {
            format: FORMAT,
            policies: BTreeMap::new(),
            tables: BTreeMap::new(),
        }
    }
}

impl SharedVersions {
    /// Reads the document.
    ///
    /// # Errors
    /// [`SharedVersionsError`]
    pub fn parse(content: &[u8]) -> Result<SharedVersions, SharedVersionsError> {
        #[derive(Deserialize)]
        struct AnyFormat {
            format: u32,
        }
        let AnyFormat { format } = serde_json::from_slice(content)?;
        if format > FORMAT {
            return Err(SharedVersionsError::Newer(format));
        }
        Ok(serde_json::from_slice(content)?)
    }

    /// Writes the document.
    ///
    /// # Errors
    /// If `serde_json` fails.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

impl SharedPolicy {
    /// The pushed version with this digest.
    pub fn version(&self, digest: &str) -> Option<&SharedVersion> {
        let mut versions = self.versions.iter();
        versions.find(|version| version.digest == digest)
    }

    /// Adds a version as the latest, and leaves out the oldest that are not in use.
    pub fn push(&mut self, version: SharedVersion) {
        self.versions.retain(|known| known.digest != version.digest);
        self.versions.push(version);
        let surplus = self.versions.len().saturating_sub(MAX_VERSIONS);
        let canary = self.canary.as_ref().map(|canary| canary.version.as_str());
        let added = self.added.as_ref().map(|added| added.digest.as_str());
        let used = [Some(self.active.as_str()), canary, added];
        let is_used = |version: &SharedVersion| used.contains(&Some(&*version.digest));
        let mut left_out = 0;
        self.versions.retain(|version| {
            let stays = left_out == surplus || is_used(version);
            left_out += usize::from(!stays);
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: usize) -> SharedVersion {
        SharedVersion {
            digest: format!("{number:064}"),
            signature: None,
        }
    }

    #[test]
    fn a_document_is_read_back_and_a_newer_one_is_refused() {
        let mut versions = SharedVersions::default();
        let mut policy = SharedPolicy::default();
        policy.push(version(1));
        policy.active = Version::Pushed(version(1).digest);
        versions.policies.insert("hours".to_owned(), policy);
        let bytes = versions.to_bytes().unwrap();
        assert_eq!(SharedVersions::parse(&bytes).unwrap(), versions);
        let newer = br#"{"format": 2, "policies": {}, "what": 1}"#;
        assert!(matches!(
            SharedVersions::parse(newer),
            Err(SharedVersionsError::Newer(2))
        ));
        assert!(SharedVersions::parse(b"{}").is_err());
    }

    #[test]
    fn old_versions_are_left_out_unless_they_are_in_use() {
        let mut policy = SharedPolicy {
            active: Version::Pushed(version(1).digest),
            ..SharedPolicy::default()
        };
        for number in 1..=MAX_VERSIONS + 4 {
            policy.push(version(number));
        }
        assert_eq!(policy.versions.len(), MAX_VERSIONS);
        assert!(policy.version(&version(1).digest).is_some(), "it is active");
        assert!(policy.version(&version(2).digest).is_none());
        policy.push(version(1));
        assert_eq!(policy.versions.last(), Some(&version(1)));
        assert_eq!(policy.versions.len(), MAX_VERSIONS);
    }

    #[test]
    fn a_canary_is_on_all_nodes_or_on_those_that_are_named() {
        let mut canary = SharedCanary {
            version: Version::Configured,
            share: Share::parse("5%").unwrap(),
            guard: GuardSettings::default(),
            nodes: None,
        };
        assert!(canary.is_on("a"));
        canary.nodes = Some(vec!["b".to_owned()]);
        assert!(!canary.is_on("a") && canary.is_on("b"));
    }
}
