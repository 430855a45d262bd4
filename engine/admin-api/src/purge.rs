//! `POST /purge`.

use serde::{Deserialize, Serialize};

use crate::{JSON, Problem, Question};

const TARGETS: &str = "name one of url, tag, prefix and site: {\"tag\": \"prices\"}";

/// Which stored responses to drop, or to mark stale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PurgeFields", into = "PurgeFields")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PurgeRequest {
    /// The target.
    pub target: PurgeTarget,
    /// Whether they are marked stale instead of dropped.
    pub soft: bool,
    /// What the answer waits for, on a node of a fleet.
    pub wait: PurgeWait,
    /// The id of the purge, 1 to 64 letters, digits, `-` and `_`: a purge that is sent again under its id
    /// is logged once. Without one the node draws one.
    pub id: Option<String>,
}

/// What the answer to a purge waits for, on a node of a fleet. A node that is alone waits for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum PurgeWait {
    /// For the log, and for each peer: 5 seconds at most.
    All,
    /// For the log, which a majority of its servers has: 5 seconds at most.
    #[default]
    Quorum,
    /// For nothing: the purge is carried out here, and goes on its way.
    None,
}

/// The target of a purge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurgeTarget {
    /// An absolute URL, with all its variants.
    Url(String),
    /// A surrogate key.
    Tag(String),
    /// The beginning of absolute URLs.
    Prefix(String),
    /// A site, by its name.
    Site(String),
}

/// A purge as JSON writes it: exactly one of `url`, `tag`, `prefix` and `site`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "PurgeRequest", extend("oneOf" = [
        { "required": ["url"] },
        { "required": ["tag"] },
        { "required": ["prefix"] },
        { "required": ["site"] },
    ]))
)]
pub struct PurgeFields {
    /// An absolute URL, with all its variants.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(
            with = "String",
            length(min = 1, max = 8192),
            example = &"http://www.example.org/prices"
        )
    )]
    pub url: Option<String>,
    /// A surrogate key: visible ASCII characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", length(min = 1, max = 128), example = &"prices")
    )]
    pub tag: Option<String>,
    /// The beginning of absolute URLs, at least to the slash behind the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(
            with = "String",
            length(min = 1, max = 8192),
            example = &"http://www.example.org/img/"
        )
    )]
    pub prefix: Option<String>,
    /// The name of a site.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", length(min = 1, max = 8192), example = &"shop")
    )]
    pub site: Option<String>,
    /// Marks responses stale instead of dropping them.
    pub soft: bool,
    /// What the answer waits for, on a node of a fleet.
    #[serde(skip_serializing_if = "is_default")]
    pub wait: PurgeWait,
    /// The id of the purge, for one that is sent again: 1 to 64 letters, digits, `-` and `_`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", length(min = 1, max = 64), example = &"deploy-2026-11-30-1")
    )]
    pub id: Option<String>,
}

fn is_default(wait: &PurgeWait) -> bool {
    *wait == PurgeWait::default()
}

impl PurgeRequest {
    /// A purge of this target; soft, or hard.
    pub fn new(target: PurgeTarget, soft: bool) -> PurgeRequest {
        PurgeRequest {
            target,
            soft,
            wait: PurgeWait::default(),
            id: None,
        }
    }
}

impl TryFrom<PurgeFields> for PurgeRequest {
    type Error = &'static str;

    fn try_from(fields: PurgeFields) -> Result<PurgeRequest, &'static str> {
        let targets = [
            fields.url.map(PurgeTarget::Url),
            fields.tag.map(PurgeTarget::Tag),
            fields.prefix.map(PurgeTarget::Prefix),
            fields.site.map(PurgeTarget::Site),
        ];
        let mut named = targets.into_iter().flatten();
        match (named.next(), named.next()) {
            (Some(target), None) => Ok(PurgeRequest {
                target,
                soft: fields.soft,
                wait: fields.wait,
                id: fields.id,
            }),
            (None, _) => Err("the purge has no target"),
            (Some(_), Some(_)) => Err("the purge has several targets"),
        }
    }
}

impl From<PurgeRequest> for PurgeFields {
    fn from(request: PurgeRequest) -> PurgeFields {
        let PurgeRequest {
            target,
            soft,
            wait,
            id,
        } = request;
        let fields = PurgeFields {
            soft,
            wait,
            id,
            ..PurgeFields::default()
        };
        match target {
            PurgeTarget::Url(url) => PurgeFields {
                url: Some(url),
                ..fields
            },
            PurgeTarget::Tag(tag) => PurgeFields {
                tag: Some(tag),
                ..fields
            },
            PurgeTarget::Prefix(prefix) => PurgeFields {
                prefix: Some(prefix),
                ..fields
            },
            PurgeTarget::Site(site) => PurgeFields {
                site: Some(site),
                ..fields
            },
        }
    }
}

impl Question for PurgeRequest {
    const MEDIA_TYPE: Option<&'static str> = Some(JSON);

    fn content(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a purge can be written as JSON")
    }

    fn read(_: Option<&str>, content: &[u8]) -> Result<PurgeRequest, Problem> {
        // In two steps, so that what is wrong comes without a line and a column.
        let fields: PurgeFields = serde_json::from_slice(content).map_err(|error| {
            Problem::new(format!("the content is not a purge: {error}"), TARGETS)
        })?;
        PurgeRequest::try_from(fields).map_err(|error| Problem::new(error, TARGETS))
    }
}

/// What was purged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PurgeResponse {
    /// Stored responses that were dropped here, or marked stale.
    pub purged: u64,
    /// What is known of the fleet; absent on a node that is alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetPurge>,
}

/// What is known of a purge of a fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FleetPurge {
    /// Its id.
    pub id: String,
    /// Its number in the log; null if it is not logged yet: the node goes on trying, and the status is
    /// 202.
    pub number: Option<u64>,
    /// The identity of the log.
    pub log: Option<String>,
    /// Why it is not logged yet.
    pub log_error: Option<String>,
    /// The peers, as far as they are known.
    pub peers: Vec<PeerPurge>,
}

/// What a peer says of a purge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PeerPurge {
    /// The peer, as the configuration names it, or its address.
    pub peer: String,
    /// Whether it has carried the purge out; null if it has not answered yet.
    pub applied: Option<bool>,
    /// The last number of the log that it has applied.
    pub number: Option<u64>,
    /// Why it has not: it can't be reached, or refuses.
    pub error: Option<String>,
}

impl PurgeResponse {
    /// Whether the purge is not logged yet: the status is 202.
    pub fn is_pending(&self) -> bool {
        self.fleet
            .as_ref()
            .is_some_and(|fleet| fleet.number.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purge_names_exactly_one_target() {
        for (content, good) in [
            (r#"{"url": "http://a/"}"#, true),
            (r#"{"tag": "t", "soft": true}"#, true),
            (r#"{"prefix": "http://a/"}"#, true),
            (r#"{"site": "a", "url": null}"#, true),
            (r#"{"tag": "t", "wait": "all", "id": "x"}"#, true),
            (r#"{"tag": "t", "wait": "some"}"#, false),
            (r#"{}"#, false),
            (r#"{"soft": true}"#, false),
            (r#"{"url": "http://a/", "tag": "t"}"#, false),
            (r#"{"tags": ["t"]}"#, false),
            (r#"{"tag": "t", "hard": true}"#, false),
            (r#"{"tag": "t", "soft": "yes"}"#, false),
            (r#"{"tag": 1}"#, false),
            ("", false),
            ("null", false),
            ("[]", false),
            ("tag=t", false),
        ] {
            let read = PurgeRequest::read(None, content.as_bytes());
            assert_eq!(read.is_ok(), good, "{content}");
        }
    }

    #[test]
    fn a_written_purge_is_read_again() {
        for target in [
            PurgeTarget::Url("http://a/".to_owned()),
            PurgeTarget::Tag("t".to_owned()),
            PurgeTarget::Prefix("http://a/".to_owned()),
            PurgeTarget::Site("s".to_owned()),
        ] {
            for (wait, id) in [(PurgeWait::Quorum, None), (PurgeWait::All, Some("a-1"))] {
                let request = PurgeRequest {
                    target: target.clone(),
                    soft: true,
                    wait,
                    id: id.map(str::to_owned),
                };
                assert_eq!(
                    PurgeRequest::read(None, &request.content()).as_ref(),
                    Ok(&request)
                );
            }
        }
    }
}
