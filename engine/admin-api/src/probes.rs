//! `GET /health` and `GET /ready`.

use serde::{Deserialize, Serialize};

use crate::{Problem, Question};

/// How the edge does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProbeResponse {
    /// What it does.
    pub status: ProbeStatus,
}

/// The state that a probe reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ProbeStatus {
    /// The process works.
    Ok,
    /// The edge serves.
    Ready,
}

/// What the edge must be ready for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReadyRequest {
    /// A warming plan that must have run once.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub plan: Option<String>,
}

impl Question for ReadyRequest {
    const MEDIA_TYPE: Option<&'static str> = None;

    fn query(&self) -> String {
        self.plan
            .as_ref()
            .map_or_else(String::new, |plan| format!("?plan={plan}"))
    }

    fn read(query: Option<&str>, _: &[u8]) -> Result<ReadyRequest, Problem> {
        match query.map(|query| query.split_once('=')) {
            None => Ok(ReadyRequest::default()),
            Some(Some(("plan", plan))) => Ok(ReadyRequest {
                plan: Some(plan.to_owned()),
            }),
            Some(_) => Err(Problem::new(
                "the query is unknown",
                "ask for /ready or /ready?plan=NAME",
            )),
        }
    }
}
