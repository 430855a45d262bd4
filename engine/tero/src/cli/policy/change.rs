//! `tero policy activate`, `rollback`, `shadow` and `canary`: which version of a policy decides on
//! a running edge, and what is on trial.

use std::process::ExitCode;

use clap::Args;

use super::{report, short};
use crate::cli::admin_client::{AdminArgs, show};
use tero_admin_api::endpoints::{
    Activate, Canary, Rollback, Shadow, StartCanary, StartShadow, StopCanary, StopShadow,
};
use tero_admin_api::{
    ActivateRequest, Endpoint, GuardRequest, StartCanaryRequest, StartShadowRequest,
    TrialEndResponse,
};

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
    /// Asks the edge about the policy, and shows its answer.
    fn ask<E: Endpoint>(
        &self,
        request: &E::Request,
        words: impl Fn(&E::Response) -> String,
    ) -> ExitCode {
        match self.admin.ask::<E>(&[&self.name], request) {
            Ok(answer) => show(&answer, self.json, words),
            Err(code) => code,
        }
    }

    fn active(&self, version: &str) -> String {
        format!("{}: {} decides\n", self.name, short(version))
    }

    fn ended(&self, answer: &TrialEndResponse, what: &str) -> String {
        format!(
            "{}: {} is no longer {what}\n",
            self.name,
            short(&answer.ended)
        )
    }
}

impl ActivateCommand {
    pub(super) fn run(self) -> ExitCode {
        let request = ActivateRequest {
            digest: self.version,
        };
        self.common
            .ask::<Activate>(&request, |answer| self.common.active(&answer.version))
    }
}

impl RollbackCommand {
    pub(super) fn run(self) -> ExitCode {
        self.common.ask::<Rollback>(&(), |answer| {
            let active = self.common.active(&answer.version);
            match &answer.ended_canary {
                Some(ended) => format!("the canary {} is over; {active}", short(ended)),
                None => active,
            }
        })
    }
}

impl ShadowCommand {
    pub(super) fn run(self) -> ExitCode {
        let name = &self.common.name;
        match (self.version, self.sample) {
            (Some(digest), Some(sample)) => {
                let request = StartShadowRequest { digest, sample };
                self.common.ask::<StartShadow>(&request, |answer| {
                    let (version, sample) = (short(&answer.version), &request.sample);
                    format!("{name}: {version} is asked about {sample} of the requests\n")
                })
            }
            _ if self.stop => self
                .common
                .ask::<StopShadow>(&(), |answer| self.common.ended(answer, "in shadow")),
            _ => self
                .common
                .ask::<Shadow>(&(), |answer| report::shadow(name, answer)),
        }
    }
}

impl CanaryCommand {
    pub(super) fn run(self) -> ExitCode {
        let name = &self.common.name;
        match (&self.version, &self.share) {
            (Some(digest), Some(share)) => {
                let request = StartCanaryRequest {
                    digest: digest.clone(),
                    share: share.clone(),
                    guard: self.guard(),
                };
                self.common.ask::<StartCanary>(&request, |answer| {
                    let version = short(&answer.version);
                    format!("{name}: {version} answers for {share} of the keys\n")
                })
            }
            _ if self.stop => self
                .common
                .ask::<StopCanary>(&(), |answer| self.common.ended(answer, "a canary")),
            _ => self
                .common
                .ask::<Canary>(&(), |answer| report::canary(name, answer)),
        }
    }

    /// What is written of the guard; the edge knows the rest.
    fn guard(&self) -> GuardRequest {
        GuardRequest {
            min_requests: self.min_requests,
            hit_rate_points: self.hit_rate_points,
            origin_points: self.origin_points,
            failure_points: self.failure_points,
        }
    }
}
