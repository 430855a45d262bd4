//! `tero policy list`: the policies of a running edge.

use std::process::ExitCode;

use clap::Args;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde_json::Value;

use crate::cli::admin_client::{AdminArgs, AdminClient};
use crate::cli::{fail, print, used_wrongly};

const EXAMPLE: &str = "\
Examples:
  tero policy list
  tero policy list --json | jq '.policies[].digest'

Exit code: 0 if there was an answer, 1 if not, 2 if the command is used wrongly.";

/// Digits of a digest that people are shown.
const SHOWN_DIGITS: usize = 12;

/// Lists the policies of a running edge
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct List {
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl List {
    pub(super) fn run(self) -> ExitCode {
        let client = match AdminClient::new(&self.admin) {
            Ok(client) => client,
            Err(message) => return used_wrongly(&message),
        };
        match client.get("/policies") {
            Ok(answer) if answer.status.is_success() && self.json => print(&format!("{}\n", answer.content)),
            Ok(answer) if answer.status.is_success() => print(&format!("{}\n", table(&answer.content))),
            Ok(answer) => fail(&answer.error()),
            Err(message) => fail(&message),
        }
    }
}

fn table(content: &Value) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(["policy", "version", "status", "sites"]);
    for policy in content["policies"].as_array().into_iter().flatten() {
        let text = |key: &str| policy[key].as_str().unwrap_or_default();
        let sites: Vec<&str> = policy["sites"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let digest = text("digest");
        table.add_row([text("name"), digest.get(..SHOWN_DIGITS).unwrap_or(digest), text("status"), &sites.join(", ")]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_policy() {
        let policy = json!({ "name": "hours", "digest": "0123456789abcdef", "status": "active", "sites": ["shop", "blog"] });
        let shown = table(&json!({ "policies": [policy] })).to_string();
        assert!(["hours", "0123456789ab ", "active", "shop, blog"].iter().all(|part| shown.contains(part)), "{shown}");
    }
}
