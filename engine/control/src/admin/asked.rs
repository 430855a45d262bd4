//! What the contents of requests ask for, as far as it can be told without knowing the edge.

pub mod explain;
pub mod purge;

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::rollout::record::GuardSettings;
use tero_config::units::Share;

/// What is wrong with a content, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub error: String,
    /// What to write instead.
    pub cure: Cow<'static, str>,
}

impl Problem {
    fn new(error: impl Into<String>, cure: impl Into<Cow<'static, str>>) -> Problem {
        Problem {
            error: error.into(),
            cure: cure.into(),
        }
    }
}

/// Which version is to decide.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivateRequest {
    /// As much of its digest as tells it from the others, or `configuration`.
    pub digest: String,
}

/// Which version is to be asked in shadow.
#[derive(Debug)]
pub struct StartShadowRequest {
    /// As in [`ActivateRequest`].
    pub digest: String,
    /// About which share of the requests.
    pub sample: Share,
}

/// Which version is to answer for a share of the keys.
#[derive(Debug)]
pub struct StartCanaryRequest {
    /// As in [`ActivateRequest`].
    pub digest: String,
    /// Which share.
    pub share: Share,
    /// When it is rolled back; its numbers as they were written.
    pub guard: GuardSettings,
}

/// Reads the content of a request to activate.
///
/// # Errors
/// [`Problem`]: it is no such JSON.
pub fn activate(content: &[u8]) -> Result<ActivateRequest, Problem> {
    json(
        content,
        "{\"digest\": \"…\"}, or {\"digest\": \"configuration\"}",
    )
}

/// Reads the content of a request to start a shadow.
///
/// # Errors
/// [`Problem`]: it is no such JSON, or the sample no share.
pub fn start_shadow(content: &[u8]) -> Result<StartShadowRequest, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct StartShadowContent {
        digest: String,
        sample: String,
    }
    let StartShadowContent { digest, sample } =
        json(content, "{\"digest\": \"…\", \"sample\": \"10%\"}")?;
    Ok(StartShadowRequest {
        digest,
        sample: share(&sample)?,
    })
}

/// Reads the content of a request to start a canary.
///
/// # Errors
/// [`Problem`]: it is no such JSON, or the share none.
pub fn start_canary(content: &[u8]) -> Result<StartCanaryRequest, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct StartCanaryContent {
        digest: String,
        share: String,
        #[serde(default)]
        guard: GuardSettings,
    }
    let StartCanaryContent {
        digest,
        share: written,
        guard,
    } = json(content, "{\"digest\": \"…\", \"share\": \"5%\"}")?;
    Ok(StartCanaryRequest {
        digest,
        share: share(&written)?,
        guard,
    })
}

fn share(text: &str) -> Result<Share, Problem> {
    let wrong = || {
        Problem::new(
            format!("`{}` is no share", text.escape_debug()),
            "write a percentage, \"10%\" or \"0.5%\"",
        )
    };
    Share::parse(text).ok_or_else(wrong)
}

fn json<T: DeserializeOwned>(content: &[u8], form: &'static str) -> Result<T, Problem> {
    serde_json::from_slice(content).map_err(|error| {
        Problem::new(
            format!("the content is not what is wanted here: {error}"),
            format!("write {form}"),
        )
    })
}
