//! `tero policy list`: the policies of a running edge, which version decides, and since when.

use std::process::ExitCode;

use clap::Args;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde_json::Value;

use super::{short, time_of};
use crate::cli::admin_client::{AdminArgs, AdminClient};
use crate::cli::{fail, print, used_wrongly};

const EXAMPLE: &str = "\
Examples:
  tero policy list
  tero policy list --versions
  tero policy list --json | jq '.policies[].version'

Exit code: 0 if there was an answer, 1 if not, 2 if the command is used wrongly.";

/// Lists the policies of a running edge: which version decides, and since when
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct ListCommand {
    /// Lists all versions that are kept
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
        let client = match AdminClient::new(&self.admin) {
            Ok(client) => client,
            Err(message) => return used_wrongly(&message),
        };
        let content = match client.get("/policies") {
            Ok(answer) if answer.status.is_success() => answer.content,
            Ok(answer) => return fail(&answer.error()),
            Err(message) => return fail(&message),
        };
        match (self.json, self.versions) {
            (true, _) => print(&format!("{content}\n")),
            (false, true) => print(&format!("{}\n", versions(&content))),
            (false, false) => print(&format!("{}\n{}", policies(&content), notes(&content))),
        }
    }
}

fn entries(content: &Value) -> impl Iterator<Item = &Value> {
    content["policies"].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn policies(content: &Value) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header([
        "policy", "version", "since", "before", "on trial", "status", "sites",
    ]);
    for policy in entries(content) {
        let sites: Vec<&str> = policy["sites"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let trial = |what: &str, share: &str| {
            let trial = policy[what].as_object()?;
            Some(format!(
                "{what} {} {}",
                short(trial["version"].as_str()?),
                trial[share].as_str()?
            ))
        };
        let trials: Vec<String> = [trial("shadow", "sample"), trial("canary", "share")]
            .into_iter()
            .flatten()
            .collect();
        table.add_row([
            text(policy, "name"),
            short(text(policy, "version")),
            &time_of(&policy["active_since_unix_secs"]),
            short(text(policy, "previous")),
            &trials.join(", "),
            text(policy, "status"),
            &sites.join(", "),
        ]);
    }
    table
}

/// What an operator should know beside the table.
fn notes(content: &Value) -> String {
    let mut notes = String::new();
    for policy in entries(content) {
        let name = text(policy, "name");
        if let Some(trouble) = policy["trouble"].as_str() {
            notes.push_str(&format!(
                "{name}: the version that should be active is not: {trouble}\n"
            ));
        }
        if let Some(reason) = policy["reason"].as_str() {
            notes.push_str(&format!("{name}: switched off: {reason}\n"));
        }
        if let Some(rolled_back) = policy["rolled_back"].as_object() {
            let (version, at) = (
                rolled_back["version"].as_str().unwrap_or("?"),
                time_of(&rolled_back["at_unix_secs"]),
            );
            let reason = rolled_back["reason"].as_str().unwrap_or("?");
            notes.push_str(&format!(
                "{name}: the canary {} was rolled back at {at}: {reason}\n",
                short(version)
            ));
        }
    }
    notes
}

fn versions(content: &Value) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header([
        "policy", "version", "pushed", "bytes", "settings", "cases", "",
    ]);
    for policy in entries(content) {
        let name = text(policy, "name");
        let active = |version: &str| {
            if version == text(policy, "version") {
                "active"
            } else {
                ""
            }
        };
        for version in policy["versions"].as_array().into_iter().flatten() {
            let settings = if version["settings"] == true {
                "its own"
            } else {
                "of the configuration"
            };
            let digest = text(version, "digest");
            table.add_row([
                name,
                short(digest),
                &time_of(&version["pushed_unix_secs"]),
                &version["bytes"].to_string(),
                settings,
                &version["cases"]
                    .as_u64()
                    .map_or_else(String::new, |cases| cases.to_string()),
                active(digest),
            ]);
        }
        let configuration = tero_control::rollout::record::CONFIGURATION;
        table.add_row([
            name,
            configuration,
            "",
            "",
            "of the configuration",
            "",
            active(configuration),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DIGEST: &str = "0123456789abcdef";

    fn content() -> Value {
        let policy = json!({
            "name": "hours", "version": DIGEST, "previous": "configuration", "status": "active", "sites": ["shop", "blog"],
            "active_since_unix_secs": 60,
            "versions": [{ "digest": DIGEST, "pushed_unix_secs": 0, "bytes": 5, "settings": true, "cases": 3 }],
            "canary": { "version": "fedcba9876543210", "share": "5%" },
            "rolled_back": { "version": DIGEST, "at_unix_secs": 0, "reason": "too slow" },
        });
        json!({ "policies": [policy] })
    }

    #[test]
    fn a_table_tells_who_is_active_since_when_and_what_is_on_trial() {
        let shown = policies(&content()).to_string();
        let parts = [
            "hours",
            "0123456789ab ",
            "1970-01-01 00:01:00 UTC",
            "configuration",
            "canary fedcba987654 5%",
            "shop, blog",
        ];
        assert!(parts.iter().all(|part| shown.contains(part)), "{shown}");
        assert!(notes(&content()).contains("was rolled back at 1970-01-01 00:00:00 UTC: too slow"));
    }

    #[test]
    fn every_version_has_a_line() {
        let shown = versions(&content()).to_string();
        assert!(
            ["its own", "active", "configuration"]
                .iter()
                .all(|part| shown.contains(part)),
            "{shown}"
        );
    }
}
