//! What the contents of requests ask for, as far as it can be told without knowing the edge.

pub mod explain;
pub mod purge;

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::rollout::record::Guard;
use tero_edge::request::trial::Share;

/// What is wrong with a content, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong.
    pub error: String,
    /// What to write instead.
    pub cure: Cow<'static, str>,
}

impl Wrong {
    fn new(error: impl Into<String>, cure: impl Into<Cow<'static, str>>) -> Wrong {
        Wrong {
            error: error.into(),
            cure: cure.into(),
        }
    }
}

/// Which version is to decide.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activate {
    /// As much of its digest as tells it from the others, or `configuration`.
    pub digest: String,
}

/// Which version is to be asked in shadow.
#[derive(Debug)]
pub struct StartShadow {
    /// As in [`Activate`].
    pub digest: String,
    /// About which share of the requests.
    pub sample: Share,
}

/// Which version is to answer for a share of the keys.
#[derive(Debug)]
pub struct StartCanary {
    /// As in [`Activate`].
    pub digest: String,
    /// Which share.
    pub share: Share,
    /// When it is rolled back; its numbers as they were written.
    pub guard: Guard,
}

/// Reads the content of a request to activate.
///
/// # Errors
/// [`Wrong`]: it is no such JSON.
pub fn activate(content: &[u8]) -> Result<Activate, Wrong> {
    json(
        content,
        "{\"digest\": \"…\"}, or {\"digest\": \"configuration\"}",
    )
}

/// Reads the content of a request to start a shadow.
///
/// # Errors
/// [`Wrong`]: it is no such JSON, or the sample no share.
pub fn start_shadow(content: &[u8]) -> Result<StartShadow, Wrong> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Content {
        digest: String,
        sample: String,
    }
    let Content { digest, sample } = json(content, "{\"digest\": \"…\", \"sample\": \"10%\"}")?;
    Ok(StartShadow {
        digest,
        sample: share(&sample)?,
    })
}

/// Reads the content of a request to start a canary.
///
/// # Errors
/// [`Wrong`]: it is no such JSON, or the share none.
pub fn start_canary(content: &[u8]) -> Result<StartCanary, Wrong> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Content {
        digest: String,
        share: String,
        #[serde(default)]
        guard: Guard,
    }
    let Content {
        digest,
        share: written,
        guard,
    } = json(content, "{\"digest\": \"…\", \"share\": \"5%\"}")?;
    Ok(StartCanary {
        digest,
        share: share(&written)?,
        guard,
    })
}

fn share(text: &str) -> Result<Share, Wrong> {
    let wrong = || {
        Wrong::new(
            format!("`{}` is no share", text.escape_debug()),
            "write a percentage, \"10%\" or \"0.5%\"",
        )
    };
    Share::parse(text).ok_or_else(wrong)
}

fn json<T: DeserializeOwned>(content: &[u8], form: &'static str) -> Result<T, Wrong> {
    serde_json::from_slice(content).map_err(|error| {
        Wrong::new(
            format!("the content is not what is wanted here: {error}"),
            format!("write {form}"),
        )
    })
}
