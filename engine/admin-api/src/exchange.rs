//! `POST /cluster/purges`: the second path, by which nodes of a fleet tell each other purges.

use serde::{Deserialize, Serialize};

use crate::JsonQuestion;

/// What a node tells another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExchangeRequest {
    /// Purges to carry out, at most 4,096.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub purges: Vec<ExchangedPurge>,
    /// What the asking node knows, for a comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<KnownPurges>,
    /// Ids of purges that the asking node lacks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wanted: Vec<String>,
}

impl JsonQuestion for ExchangeRequest {
    const FORM: &'static str = "{\"purges\": [{\"id\": \"a1\", \"at_ms\": 0, \"kind\": \"tag\", \"name\": \"prices\", \"soft\": false}]}";
}

/// A purge as a node tells it another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExchangedPurge {
    /// Its id.
    pub id: String,
    /// When it was taken, in milliseconds since 1970.
    pub at_ms: u64,
    /// What `name` is: `url`, `tag`, `prefix` or `site`.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub kind: PurgeKind,
    /// What is purged. With `site`, it has 1 to 16,384 bytes; other purges are left out.
    pub name: String,
    /// The site, for a tag that means one site alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Whether responses are marked stale instead of dropped.
    pub soft: bool,
}

/// A purge as a node answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AnsweredPurge(pub ExchangedPurge);

/// What a purge names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PurgeKind {
    /// An absolute URL, with all its variants.
    Url,
    /// A surrogate key.
    Tag,
    /// The beginning of absolute URLs.
    Prefix,
    /// A site.
    Site,
}

/// What a node says of the purges that it knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KnownPurges {
    /// How many there are.
    pub count: u64,
    /// The digest of their ids.
    pub digest: String,
    /// From when on it knows them all, in milliseconds since 1970.
    pub floor_ms: u64,
}

/// What the other node answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExchangeResponse {
    /// Its name.
    pub node: String,
    /// What it drew at its start: a node that finds its own asks itself.
    pub instance: String,
    /// The identity of its log; null if it has not reached one.
    pub log: Option<String>,
    /// The last number of the log that it has applied.
    pub number: Option<u64>,
    /// What it knows, if that differs from what the asking node knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differing: Option<DifferingPurges>,
    /// The purges that were wanted, as far as it has them, in the form in which they are told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "Vec<std::collections::BTreeMap<String, String>>")
    )]
    pub purges: Vec<AnsweredPurge>,
}

/// The purges that a node knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DifferingPurges {
    /// From when on it knows them all, in milliseconds since 1970.
    pub floor_ms: u64,
    /// Their ids, with the times when they were taken.
    pub ids: Vec<(String, u64)>,
}
