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
    /// Whether the node must hear of the purge log of its fleet, and have applied it.
    pub cluster: bool,
}

impl Question for ReadyRequest {
    const MEDIA_TYPE: Option<&'static str> = None;

    fn query(&self) -> String {
        let plan = self.plan.as_ref().map(|plan| format!("plan={plan}"));
        let cluster = self.cluster.then(|| "cluster".to_owned());
        let parts: Vec<String> = plan.into_iter().chain(cluster).collect();
        match parts.is_empty() {
            true => String::new(),
            false => format!("?{}", parts.join("&")),
        }
    }

    fn read(query: Option<&str>, _: &[u8]) -> Result<ReadyRequest, Problem> {
        let mut request = ReadyRequest::default();
        let parts = query.into_iter().flat_map(|query| query.split('&'));
        for part in parts {
            match part.split_once('=').unwrap_or((part, "")) {
                ("plan", plan) if !plan.is_empty() && request.plan.is_none() => {
                    request.plan = Some(plan.to_owned());
                }
                ("cluster", "" | "true") => request.cluster = true,
                ("cluster", "false") => request.cluster = false,
                _ => {
                    return Err(Problem::new(
                        "the query is unknown",
                        "ask for /ready, /ready?plan=NAME or /ready?cluster",
                    ));
                }
            }
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_it_was_written() {
        for plan in [None, Some("opening".to_owned())] {
            for cluster in [false, true] {
                let request = ReadyRequest {
                    plan: plan.clone(),
                    cluster,
                };
                let query = request.query();
                let read = ReadyRequest::read(query.strip_prefix('?'), &[]);
                assert_eq!(read, Ok(request));
            }
        }
        for bad in ["", "plan", "plan=", "cluster=no", "x=1", "plan=a&plan=b"] {
            assert!(ReadyRequest::read(Some(bad), &[]).is_err(), "{bad}");
        }
    }
}
