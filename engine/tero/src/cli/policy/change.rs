//! `tero policy activate`, `rollback`, `shadow` and `canary`: which version of a policy decides on
//! a running edge, and what is on trial.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{report, short};
use crate::cli::admin_client::{AdminArgs, AdminClient};
use crate::cli::{fail, print, used_wrongly};

const ACTIVATE: &str = "\
Examples:
  tero policy activate hours 3f9a1c
  tero policy activate hours configuration

Exit code: 0 if it decides now, 1 if not, 2 if the command is used wrongly.";

const ROLLBACK: &str = "\
Example:
  tero policy rollback hours

A running canary is ended, and that is all. Without one, the version before decides again; in the
end that is the configuration's.

Exit code: 0 if it was rolled back, 1 if not, 2 if the command is used wrongly.";

const SHADOW: &str = "\
Examples:
  tero policy shadow hours --version 3f9a1c --sample 10%
  tero policy shadow hours                  what came of it so far
  tero policy shadow hours --stop

The version is asked about a sample of the requests after they were answered, and decides nothing.

Exit code: 0 if it was done, 1 if not, 2 if the command is used wrongly.";

const CANARY: &str = "\
Examples:
  tero policy canary hours --version 3f9a1c --share 5%
  tero policy canary hours --version 3f9a1c --share 20% --min-requests 2000 --hit-rate-points 2
  tero policy canary hours                  how it does beside the active version
  tero policy canary hours --stop

The version answers for a share of the keys, the same ones all the time. If it does worse than the
active version by more than the guard allows, it is rolled back by itself.

Exit code: 0 if it was done, 1 if not, 2 if the command is used wrongly.";

/// What the commands have in common.
#[derive(Debug, Args)]
struct CommonOptions {
    /// The policy, as in the configuration
    name: String,
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Has a version of a policy decide from now on
#[derive(Debug, Args)]
#[command(after_help = ACTIVATE)]
pub(super) struct ActivateCommand {
    #[command(flatten)]
    common: CommonOptions,
    /// Enough of its digest to tell it from the others, or `configuration`
    version: String,
}

/// Ends a canary, or goes back to the version before
#[derive(Debug, Args)]
#[command(after_help = ROLLBACK)]
pub(super) struct RollbackCommand {
    #[command(flatten)]
    common: CommonOptions,
}

/// Asks a version of a policy in shadow, and shows where it differs
#[derive(Debug, Args)]
#[command(after_help = SHADOW)]
pub(super) struct ShadowCommand {
    #[command(flatten)]
    common: CommonOptions,
    /// Enough of its digest to tell it from the others, or `configuration`
    #[arg(long, requires = "sample")]
    version: Option<String>,
    /// The share of requests that it is asked about
    #[arg(long, value_name = "PERCENT", requires = "version")]
    sample: Option<String>,
    /// Ends it
    #[arg(long, conflicts_with = "version")]
    stop: bool,
}

/// Has a version of a policy answer for a share of the keys, under guard
#[derive(Debug, Args)]
#[command(after_help = CANARY)]
pub(super) struct CanaryCommand {
    #[command(flatten)]
    common: CommonOptions,
    /// Enough of its digest to tell it from the others, or `configuration`
    #[arg(long, requires = "share")]
    version: Option<String>,
    /// The share of keys that it answers for; at most 50%
    #[arg(long, value_name = "PERCENT", requires = "version")]
    share: Option<String>,
    /// Requests on both sides before they are compared, again and again [default: 500]
    #[arg(long, value_name = "COUNT", requires = "version")]
    min_requests: Option<u64>,
    /// How much lower the hit rate may be, in points of a percentage [default: 5]
    #[arg(long, value_name = "POINTS", requires = "version")]
    hit_rate_points: Option<f64>,
    /// How many more of a hundred requests may go to the origin [default: 5]
    #[arg(long, value_name = "POINTS", requires = "version")]
    origin_points: Option<f64>,
    /// How many more of a hundred requests may fail [default: 1]
    #[arg(long, value_name = "POINTS", requires = "version")]
    failure_points: Option<f64>,
    /// Ends it
    #[arg(long, conflicts_with = "version")]
    stop: bool,
}

impl CommonOptions {
    /// Asks the edge, and shows its answer.
    fn ask(
        &self,
        what: &str,
        content: Option<PostedContent<'_>>,
        show: impl Fn(&Value) -> String,
    ) -> ExitCode {
        let client = match AdminClient::new(&self.admin) {
            Ok(client) => client,
            Err(message) => return used_wrongly(&message),
        };
        let path = format!("/policies/{}/{what}", self.name);
        let answer = match content {
            None => client.get(&path),
            Some(PostedContent::Empty) => client.post(&path, None),
            Some(PostedContent::Json(content)) => client.post(&path, Some(content)),
        };
        match answer {
            Ok(answer) if answer.status.is_success() && self.json => {
                print(&format!("{}\n", answer.content))
            }
            Ok(answer) if answer.status.is_success() => print(&show(&answer.content)),
            Ok(answer) => fail(&answer.error()),
            Err(message) => fail(&message),
        }
    }

    fn ended(&self, answer: &Value, what: &str) -> String {
        format!(
            "{}: {} is no longer {what}\n",
            self.name,
            short(answer["ended"].as_str().unwrap_or("?"))
        )
    }
}

/// What is posted.
enum PostedContent<'a> {
    Empty,
    Json(&'a Value),
}

impl ActivateCommand {
    pub(super) fn run(self) -> ExitCode {
        let content = json!({ "digest": self.version });
        let name = &self.common.name;
        self.common
            .ask("activate", Some(PostedContent::Json(&content)), |answer| {
                active(name, answer)
            })
    }
}

impl RollbackCommand {
    pub(super) fn run(self) -> ExitCode {
        let name = &self.common.name;
        self.common
            .ask(
                "rollback",
                Some(PostedContent::Empty),
                |answer| match answer["ended_canary"].as_str() {
                    Some(ended) => format!(
                        "the canary {} is over; {}",
                        short(ended),
                        active(name, answer)
                    ),
                    None => active(name, answer),
                },
            )
    }
}

fn active(name: &str, answer: &Value) -> String {
    format!(
        "{name}: {} decides\n",
        short(answer["version"].as_str().unwrap_or("?"))
    )
}

impl ShadowCommand {
    pub(super) fn run(self) -> ExitCode {
        let name = &self.common.name;
        match (&self.version, &self.sample) {
            (Some(version), Some(sample)) => {
                let content = json!({ "digest": version, "sample": sample });
                self.common
                    .ask("shadow", Some(PostedContent::Json(&content)), |answer| {
                        let version = short(answer["version"].as_str().unwrap_or("?"));
                        format!("{name}: {version} is asked about {sample} of the requests\n")
                    })
            }
            _ if self.stop => {
                self.common
                    .ask("shadow/stop", Some(PostedContent::Empty), |answer| {
                        self.common.ended(answer, "in shadow")
                    })
            }
            _ => self
                .common
                .ask("shadow", None, |answer| report::shadow(name, answer)),
        }
    }
}

impl CanaryCommand {
    pub(super) fn run(self) -> ExitCode {
        let name = &self.common.name;
        match (&self.version, &self.share) {
            (Some(version), Some(share)) => {
                let content = json!({ "digest": version, "share": share, "guard": self.guard() });
                self.common
                    .ask("canary", Some(PostedContent::Json(&content)), |answer| {
                        let version = short(answer["version"].as_str().unwrap_or("?"));
                        format!("{name}: {version} answers for {share} of the keys\n")
                    })
            }
            _ if self.stop => {
                self.common
                    .ask("canary/stop", Some(PostedContent::Empty), |answer| {
                        self.common.ended(answer, "a canary")
                    })
            }
            _ => self
                .common
                .ask("canary", None, |answer| report::canary(name, answer)),
        }
    }

    /// What is written of the guard; the edge knows the rest.
    fn guard(&self) -> Value {
        let mut guard = json!({});
        if let Some(requests) = self.min_requests {
            guard["min_requests"] = requests.into();
        }
        for (key, points) in [
            ("hit_rate_points", self.hit_rate_points),
            ("origin_points", self.origin_points),
            ("failure_points", self.failure_points),
        ] {
            if let Some(points) = points {
                guard[key] = points.into();
            }
        }
        guard
    }
}
