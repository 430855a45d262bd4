//! `tero purge`: drops what a running edge has stored, or marks it stale.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::admin_client::{AdminArgs, AdminClient};
use super::{fail, print, used_wrongly};

const EXAMPLE: &str = "\
Examples:
  tero purge --url http://www.example.org/prices
  tero purge --tag prices --soft
  tero purge --prefix http://www.example.org/img/
  tero purge --site shop --admin http://10.0.0.5:9090 --token-file /run/secrets/tero

Exit code: 0 if it was purged (also if nothing was stored), 1 if not,
2 if the command is used wrongly.";

/// Purges stored responses of a running edge
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct PurgeCommand {
    #[command(flatten)]
    target: PurgeOptions,
    /// Marks them stale instead: they are revalidated before reuse, and served while the origin
    /// fails
    #[arg(long)]
    soft: bool,
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct PurgeOptions {
    /// An absolute URL, with all its variants
    #[arg(long)]
    url: Option<String>,
    /// A tag (surrogate key)
    #[arg(long)]
    tag: Option<String>,
    /// The beginning of an absolute URL
    #[arg(long)]
    prefix: Option<String>,
    /// All of a site, by its name
    #[arg(long)]
    site: Option<String>,
}

impl PurgeCommand {
    pub(super) fn run(self) -> ExitCode {
        let client = match AdminClient::new(&self.admin) {
            Ok(client) => client,
            Err(message) => return used_wrongly(&message),
        };
        match client.post("/purge", Some(&self.content())) {
            Ok(answer) if answer.status.is_success() => self.done(&answer.content),
            Ok(answer) => fail(&answer.error()),
            Err(message) => fail(&message),
        }
    }

    fn content(&self) -> Value {
        let PurgeOptions {
            url,
            tag,
            prefix,
            site,
        } = &self.target;
        let named = [
            ("url", url),
            ("tag", tag),
            ("prefix", prefix),
            ("site", site),
        ];
        let mut content = json!({ "soft": self.soft });
        for (name, value) in named {
            if let Some(value) = value {
                content[name] = value.as_str().into();
            }
        }
        content
    }

    fn done(&self, answer: &Value) -> ExitCode {
        if self.json {
            return print(&format!("{answer}\n"));
        }
        let how = if self.soft { "marked stale" } else { "dropped" };
        let purged = answer["purged"].as_u64().unwrap_or_default();
        print(&format!(
            "{purged} stored {} {how}\n",
            if purged == 1 { "response" } else { "responses" }
        ))
    }
}
