//! `tero policy push`: sends a version to a running edge.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{forecast, short};
use crate::cli::admin_client::{AdminArgs, AdminClient, show};
use crate::cli::shown::fleet_note;
use crate::cli::signing::signature_to_send;
use crate::cli::{fail, used_wrongly};
use tero_admin_api::endpoints::{Activate, Policy, PushVersion};
use tero_admin_api::{ActivateRequest, PolicyModule, PushResponse};
use tero_config::read_text;
use tero_policy_host::{Package, builtin, with_forecast};

const EXAMPLE: &str = "\
Examples:
  tero policy push hours.wasm --name hours
  tero policy push seo.wasm --name seo --site shop --after hours
  tero policy push hours.wasm --name hours --cases hours.cases.toml
  tero policy push builtin:business-hours --name hours --settings a.json
  tero simulate --log a.log --policy hours=hours.wasm --json > forecast.json &&
    tero policy push hours.wasm --name hours --forecast forecast.json

The edge compiles and configures it, runs its cases, and keeps it. It decides
nothing until it is activated. With --site, a policy that the configuration
doesn't have is put on a site and decides at once. Without --settings, the
settings of the configuration apply. A signature beside the file, FILE.minisig,
is sent along: see tero policy sign.

Exit code: 0 if the edge keeps it, 1 if not, 2 if the command is used wrongly.";

/// Pushes a version of a policy to a running edge
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct PushCommand {
    /// The module, or a shipped policy as builtin:NAME
    file: PathBuf,
    /// The policy, as in the configuration
    #[arg(long)]
    name: String,
    /// Settings of this version: JSON, or a JSON file
    #[arg(long, value_name = "JSON|FILE")]
    settings: Option<String>,
    /// Test cases (TOML) that the version must pass
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// A forecast, as `tero simulate --json` printed it, for the dashboard to show beside what comes true;
    /// its log must be of sites that ask the policy
    #[arg(long, value_name = "FILE")]
    forecast: Option<PathBuf>,
    /// Activates the version at once
    #[arg(long)]
    activate: bool,
    /// Puts a policy that the configuration doesn't have on this site; may be repeated
    #[arg(long, conflicts_with = "activate")]
    site: Vec<String>,
    /// The policy of the site that it comes after [default: the last one]
    #[arg(long, value_name = "POLICY", requires = "site")]
    after: Option<String>,
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl PushCommand {
    pub(super) fn run(self) -> ExitCode {
        let client = match AdminClient::new(&self.admin) {
            Ok(client) => client,
            Err(message) => return used_wrongly(&message),
        };
        let sites = match self.sites_of_forecast(&client) {
            Ok(sites) => sites,
            Err(message) => return fail(&message),
        };
        let module = match self.content(&sites) {
            Ok(module) => module,
            Err(message) => return used_wrongly(&message),
        };
        let mut pushed = match client.call::<PushVersion>(&[&self.name], &module) {
            Ok(pushed) => pushed,
            Err(message) => return fail(&message),
        };
        if self.activate {
            let digest = pushed.version.clone();
            match client.call::<Activate>(&[&self.name], &ActivateRequest { digest }) {
                Ok(active) => pushed.fleet = active.fleet,
                Err(message) => {
                    let version = short(&pushed.version);
                    return fail(&format!("{version} is kept but not active: {message}"));
                }
            }
        }
        show(&pushed, self.json, |pushed| self.words(pushed))
    }

    fn words(&self, pushed: &PushResponse) -> String {
        let (name, version) = (&self.name, short(&pushed.version));
        let again = if pushed.was_known {
            ", which it had already"
        } else {
            ""
        };
        let cases = pushed
            .cases
            .map_or_else(String::new, |cases| format!(", {cases} cases passed"));
        let next = if !pushed.sites.is_empty() {
            let sites = pushed.sites.join(", ");
            format!("it decides on {sites}; to take it off again: tero policy remove {name}")
        } else if self.activate {
            format!("active: {version} of {name}")
        } else {
            format!("to have it decide: tero policy activate {name} {version}")
        };
        let number = pushed.number;
        let fleet = fleet_note(pushed.fleet.as_ref());
        format!("{name}: version {number} ({version}){again}{cases}\n{next}\n{fleet}")
    }

    /// The sites of the policy, as far as a forecast needs them.
    fn sites_of_forecast(&self, client: &AdminClient) -> Result<Vec<String>, String> {
        if self.forecast.is_none() || !self.site.is_empty() {
            return Ok(self.site.clone());
        }
        let policy = client.call::<Policy>(&[&self.name], &())?;
        Ok(policy.sites)
    }

    /// The module with its settings, cases and forecast, and its signature.
    fn content(&self, sites: &[String]) -> Result<PolicyModule, String> {
        for name in self.site.iter().chain(&self.after) {
            tero_config::forms::name(name).map_err(|mistake| mistake.problem)?;
        }
        let mut content = package(&self.file, self.settings.as_deref(), self.cases.as_deref())?;
        if let Some(path) = &self.forecast {
            content = with_forecast(&content, &forecast::read(path, &self.name, sites)?);
        }
        let parts = [
            self.settings.is_some(),
            self.cases.is_some(),
            self.forecast.is_some(),
        ];
        let is_changed = parts.contains(&true);
        Ok(PolicyModule {
            signature: signature_to_send(&self.file, is_changed)?,
            sites: self.site.clone(),
            after: self.after.clone(),
            content,
        })
    }
}

/// The module of a file with settings and cases. Without either it is as the file has it.
pub(super) fn package(
    file: &Path,
    settings: Option<&str>,
    cases: Option<&Path>,
) -> Result<Vec<u8>, String> {
    let module = module(file)?;
    let given = Package::of(&module).map_err(|error| format!("{}: {error}", file.display()))?;
    if settings.is_none() && cases.is_none() {
        return Ok(module);
    }
    let settings = settings.map(self::settings).transpose()?;
    let cases = cases.map(text).transpose()?;
    let package = Package {
        module: given.module,
        settings: settings.map(Cow::Owned).or(given.settings),
        cases: cases.map(Cow::Owned).or(given.cases),
    };
    Ok(package.to_bytes())
}

/// The bytes of a module file, or of a shipped policy.
pub(super) fn module(path: &Path) -> Result<Vec<u8>, String> {
    match path.to_str().and_then(|path| path.strip_prefix("builtin:")) {
        Some(name) => match builtin(name) {
            Some(module) => Ok(module.to_vec()),
            None => {
                let known: Vec<&str> = tero_policy_host::builtin_names().collect();
                Err(format!(
                    "no shipped policy is called `{name}`; the shipped policies are {}",
                    known.join(", ")
                ))
            }
        },
        None => {
            std::fs::read(path).map_err(|error| format!("can't read {}: {error}", path.display()))
        }
    }
}

/// The JSON text itself, or that of the named file.
pub(super) fn settings(given: &str) -> Result<String, String> {
    let is_json = given.trim_start().starts_with(['{', '[']);
    let json = if is_json {
        given.to_owned()
    } else {
        text(Path::new(given))?
    };
    match serde_json::from_str::<serde::de::IgnoredAny>(&json) {
        Ok(_) => Ok(json),
        Err(error) => Err(format!(
            "the settings are not JSON: {error}; write '{{\"key\": \"value\"}}', or the name of a JSON file"
        )),
    }
}

fn text(path: &Path) -> Result<String, String> {
    read_text(path).map_err(|mistake| format!("{}: {}", path.display(), mistake.problem))
}
