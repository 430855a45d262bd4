//! `tero policy list`: lists the policies of a running edge, which version decides, and since when.

use std::process::ExitCode;

use clap::Args;
use comfy_table::Table;

use super::{short, time_of};
use crate::cli::admin_client::{AdminArgs, show};
use crate::cli::shown;
use tero_admin_api::endpoints::Policies;
use tero_admin_api::{CONFIGURATION, ModuleStatus, PoliciesResponse, RollbackReport};

const EXAMPLE: &str = "\
Examples:
  tero policy list
  tero policy list --versions
  tero policy list --json | jq '.policies[].version'

Exit code: 0 if there was an answer, 1 if not, 2 if the command is used
wrongly.";

/// Lists the policies of a running edge: which version decides, and since when
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct ListCommand {
    /// Lists all kept versions
    #[arg(long)]
    versions: bool,
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl ListCommand {
    pub(super) fn run(self) -> ExitCode {
        match self.admin.ask::<Policies>(&[], &()) {
            Ok(answer) => show(&answer, self.json, |answer| {
                if self.versions {
                    format!("{}\n", versions(answer))
                } else {
                    format!("{}\n{}", policies(answer), notes(answer))
                }
            }),
            Err(code) => code,
        }
    }
}

fn policies(answer: &PoliciesResponse) -> Table {
    let mut table = shown::table();
    table.set_header([
        "policy", "version", "since", "before", "on trial", "status", "sites",
    ]);
    for policy in &answer.policies {
        let shadow = policy.shadow.as_ref();
        let shadow =
            shadow.map(|shadow| format!("shadow {} {}", short(&shadow.version), shadow.sample));
        let canary = policy.canary.as_ref();
        let canary =
            canary.map(|canary| format!("canary {} {}", short(&canary.version), canary.share));
        let trials: Vec<String> = shadow.into_iter().chain(canary).collect();
        table.add_row([
            policy.module.name.as_str(),
            short(&policy.version),
            &time_of(policy.active_since_unix_secs),
            short(policy.previous.as_deref().unwrap_or_default()),
            &trials.join(", "),
            policy.module.status.as_str(),
            &policy.sites.join(", "),
        ]);
    }
    shown::tighten(&mut table, shown::width());
    table
}

/// Notes for the operator below the table.
fn notes(answer: &PoliciesResponse) -> String {
    let mut notes = String::new();
    for left_out in &answer.left_out {
        let (name, why) = (&left_out.policy, &left_out.why);
        notes.push_str(&format!(
            "{name}: it was added by a push, and could not be loaded at start: {why}\n"
        ));
    }
    for policy in &answer.policies {
        let name = &policy.module.name;
        if let Some(added) = &policy.added {
            let (sites, at) = (added.sites.join(", "), time_of(added.added_unix_secs));
            notes.push_str(&format!(
                "{name}: it is not in the configuration; a push put it on {sites} at {at}\n"
            ));
        }
        if let Some(trouble) = &policy.trouble {
            notes.push_str(&format!(
                "{name}: the version that should be active is not: {trouble}\n"
            ));
        }
        if let Some(why) = &policy.unsaved {
            notes.push_str(&format!(
                "{name}: a restart would forget the last change: {why}\n"
            ));
        }
        if let ModuleStatus::SwitchedOff {
            until_unix_secs,
            reason,
            ..
        } = &policy.module.status
        {
            let until = time_of(*until_unix_secs);
            notes.push_str(&format!("{name}: switched off until {until}: {reason}\n"));
        }
        if let Some(RollbackReport {
            version,
            at_unix_secs,
            reason,
        }) = &policy.rolled_back
        {
            let (version, at) = (short(version), time_of(*at_unix_secs));
            notes.push_str(&format!(
                "{name}: the canary {version} was rolled back at {at}: {reason}\n"
            ));
        }
    }
    notes
}

fn versions(answer: &PoliciesResponse) -> Table {
    versions_within(answer, shown::width())
}

fn versions_within(answer: &PoliciesResponse, width: Option<u16>) -> Table {
    let of_configuration = match shown::is_narrow(width) {
        true => "configured",
        false => "of the configuration",
    };
    let mut table = shown::table_within(width);
    table.set_header([
        "policy", "version", "pushed", "size", "settings", "cases", "",
    ]);
    for policy in &answer.policies {
        let name = policy.module.name.as_str();
        let active = |version: &str| {
            if version == policy.version {
                "active"
            } else {
                ""
            }
        };
        for version in &policy.versions {
            let settings = if version.settings {
                "its own"
            } else {
                of_configuration
            };
            let cases = version.cases.map(|cases| cases.to_string());
            table.add_row([
                name,
                &format!("{} ({})", version.number, short(&version.digest)),
                &time_of(version.pushed_unix_secs),
                &shown::size(version.bytes),
                settings,
                &cases.unwrap_or_default(),
                active(&version.digest),
            ]);
        }
        table.add_row([
            name,
            CONFIGURATION,
            "",
            "",
            of_configuration,
            "",
            active(CONFIGURATION),
        ]);
    }
    shown::tighten(&mut table, width);
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_admin_api::{Answer as _, PolicyReport, VersionReport};

    const DIGEST: &str = "0123456789abcdef";

    fn answer() -> PoliciesResponse {
        let golden = include_str!("../../../../admin-api/golden/policy-with_canary.json");
        let mut policy = PolicyReport::read(golden.as_bytes()).unwrap();
        policy.module.name = "hours".to_owned();
        policy.version = DIGEST.to_owned();
        policy.previous = Some(CONFIGURATION.to_owned());
        policy.active_since_unix_secs = 60;
        policy.sites = vec!["shop".to_owned(), "blog".to_owned()];
        policy.versions = vec![VersionReport {
            number: 3,
            digest: DIGEST.to_owned(),
            pushed_unix_secs: 0,
            bytes: 5,
            settings: true,
            cases: Some(3),
            forecast: None,
        }];
        policy.canary.as_mut().unwrap().version = "fedcba9876543210".to_owned();
        policy.rolled_back = Some(RollbackReport {
            version: DIGEST.to_owned(),
            at_unix_secs: 0,
            reason: "too slow".to_owned(),
        });
        PoliciesResponse {
            policies: vec![policy],
            left_out: Vec::new(),
        }
    }

    #[test]
    fn a_table_tells_who_is_active_since_when_and_what_is_on_trial() {
        let shown = policies(&answer()).to_string();
        let parts = [
            "hours",
            "0123456789ab ",
            "1970-01-01 00:01:00 UTC",
            "configuration",
            "canary fedcba987654 50%",
            "shop, blog",
        ];
        assert!(parts.iter().all(|part| shown.contains(part)), "{shown}");
        assert!(notes(&answer()).contains("was rolled back at 1970-01-01 00:00:00 UTC: too slow"));
    }

    #[test]
    fn a_narrow_table_of_versions_has_a_line_for_each() {
        let text = versions_within(&answer(), Some(80)).to_string();
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        let line = text.lines().find(|line| line.contains("0123456789ab"));
        assert!(line.unwrap().contains("1970-01-01 00:00:00"), "{text}");
    }

    #[test]
    fn every_version_has_a_line() {
        let shown = versions(&answer()).to_string();
        assert!(
            ["its own", "active", "configuration"]
                .iter()
                .all(|part| shown.contains(part)),
            "{shown}"
        );
    }
}
