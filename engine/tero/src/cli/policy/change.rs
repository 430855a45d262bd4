//! `tero policy activate`, `rollback`, `shadow` and `canary`: choose which version of a policy
//! decides on a running edge, and which one is on trial.

use std::process::ExitCode;

use clap::Args;

use super::{report, short};
use crate::cli::admin_client::{AdminArgs, show};
use crate::cli::shown::fleet_note;
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
  tero policy activate hours 3
  tero policy activate hours configuration

Exit code: 0 if the version decides now, 1 if not,
2 if the command is used wrongly.";

const ROLLBACK: &str = "\
Example:
  tero policy rollback hours

If a canary is running, it is ended, and nothing else changes. Otherwise the
version before decides
again; after the last rollback that is the one of the configuration.

Exit code: 0 if it was rolled back, 1 if not, 2 if the command is used wrongly.";

const SHADOW: &str = "\
Examples:
  tero policy shadow hours --version 3f9a1c --sample 10%
  tero policy shadow hours                  where it differs so far
  tero policy shadow hours --stop

The version is asked about a sample of answered requests. Its decisions are
not used.

Exit code: 0 for success, 1 for failure, 2 if the command is used wrongly.";

const CANARY: &str = "\
Examples:
  tero policy canary hours --version 3f9a1c --share 5%
  tero policy canary hours --version 3f9a1c --share 20% --hit-rate-points 2
  tero policy canary hours --version 3f9a1c --share 20% --nodes 10%
  tero policy canary hours            how it compares with the active version
  tero policy canary hours --stop

The version decides for a share of the keys, always the same ones. If its
results are worse than those of the active version by more than the guard
allows, it is rolled back automatically.

Exit code: 0 for success, 1 for failure, 2 if the command is used wrongly.";

/// The options that these commands share.
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

/// Makes a version of a policy decide from now on
#[derive(Debug, Args)]
#[command(after_help = ACTIVATE)]
pub(super) struct ActivateCommand {
    #[command(flatten)]
    common: CommonOptions,
    /// Its number, enough of its digest, or `configuration`
    version: String,
}

/// Ends a canary, or returns to the version before
#[derive(Debug, Args)]
#[command(after_help = ROLLBACK)]
pub(super) struct RollbackCommand {
    #[command(flatten)]
    common: CommonOptions,
}

/// Starts or ends shadowing by a version of a policy, or shows where it differs
#[derive(Debug, Args)]
#[command(after_help = SHADOW)]
pub(super) struct ShadowCommand {
    #[command(flatten)]
    common: CommonOptions,
    /// Its number, enough of its digest, or `configuration`
    #[arg(long, requires = "sample")]
    version: Option<String>,
    /// The share of requests that the version is asked about
    #[arg(long, value_name = "PERCENT", requires = "version")]
    sample: Option<String>,
    /// Ends the shadow
    #[arg(long, conflicts_with = "version")]
    stop: bool,
}

/// Starts or ends a canary of a policy, or compares it with the active version
#[derive(Debug, Args)]
#[command(after_help = CANARY)]
pub(super) struct CanaryCommand {
    #[command(flatten)]
    common: CommonOptions,
    /// Its number, enough of its digest, or `configuration`
    #[arg(long, requires = "share")]
    version: Option<String>,
    /// The share of keys that the version decides for; at most 50%
    #[arg(long, value_name = "PERCENT", requires = "version")]
    share: Option<String>,
    /// The share of the nodes of the fleet that have it, the one that is asked among them
    /// [default: all]
    #[arg(long, value_name = "PERCENT", requires = "version")]
    nodes: Option<String>,
    /// Requests on each side before the two are compared, again and again [default: 500]
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
    /// Ends the canary
    #[arg(long, conflicts_with = "version")]
    stop: bool,
}

/// A line for a change that is in effect but not on disk.
fn not_saved(why: Option<&str>) -> String {
    why.map(|why| format!("it is in effect, but a restart would forget it: {why}\n"))
        .unwrap_or_default()
}

impl CommonOptions {
    /// Calls an endpoint of the policy, and prints the answer.
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
        let ended = format!(
            "{}: {} is no longer {what}\n",
            self.name,
            short(&answer.ended)
        );
        ended + &not_saved(answer.unsaved.as_deref()) + &fleet_note(answer.fleet.as_ref())
    }
}

impl ActivateCommand {
    pub(super) fn run(self) -> ExitCode {
        let request = ActivateRequest {
            digest: self.version,
        };
        self.common.ask::<Activate>(&request, |answer| {
            self.common.active(&answer.version) + &fleet_note(answer.fleet.as_ref())
        })
    }
}

impl RollbackCommand {
    pub(super) fn run(self) -> ExitCode {
        self.common.ask::<Rollback>(&(), |answer| {
            let active = self.common.active(&answer.version);
            let done = match &answer.ended_canary {
                Some(ended) => format!("the canary {} is over; {active}", short(ended)),
                None => active,
            };
            done + &not_saved(answer.unsaved.as_deref()) + &fleet_note(answer.fleet.as_ref())
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
                    nodes: self.nodes.clone(),
                };
                self.common.ask::<StartCanary>(&request, |answer| {
                    let version = short(&answer.version);
                    let on = answer.nodes.as_ref();
                    let on = on.map(|nodes| format!(" on {}", nodes.join(", ")));
                    let on = on.unwrap_or_default();
                    let started =
                        format!("{name}: {version} answers for {share} of the keys{on}\n");
                    started + &fleet_note(answer.fleet.as_ref())
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

    /// The numbers that were given; the edge has defaults for the others.
    fn guard(&self) -> GuardRequest {
        GuardRequest {
            min_requests: self.min_requests,
            hit_rate_points: self.hit_rate_points,
            origin_points: self.origin_points,
            failure_points: self.failure_points,
        }
    }
}
