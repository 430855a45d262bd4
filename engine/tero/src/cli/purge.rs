//! `tero purge`: drops stored responses of a running edge, or marks them stale.

use std::process::ExitCode;

use clap::Args;

use super::admin_client::{AdminArgs, show};
use tero_admin_api::endpoints::Purge;
use tero_admin_api::{PurgeRequest, PurgeResponse, PurgeTarget};

const EXAMPLE: &str = "\
Examples:
  tero purge --url http://www.example.org/prices
  tero purge --tag prices --soft
  tero purge --prefix http://www.example.org/img/
  tero purge --site shop --admin http://10.0.0.5:9090 --token-file /run/secrets/tero

Exit code: 0 if the edge purged (even if nothing was stored), 1 if not,
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

#[derive(Clone, Debug, Args)]
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
    /// A whole site, by its name
    #[arg(long)]
    site: Option<String>,
}

impl PurgeCommand {
    pub(super) fn run(self) -> ExitCode {
        let request = PurgeRequest {
            target: self.target.clone().target(),
            soft: self.soft,
        };
        match self.admin.ask::<Purge>(&[], &request) {
            Ok(answer) => show(&answer, self.json, |answer| self.words(answer)),
            Err(code) => code,
        }
    }

    fn words(&self, answer: &PurgeResponse) -> String {
        let how = if self.soft { "marked stale" } else { "dropped" };
        let purged = answer.purged;
        let responses = if purged == 1 { "response" } else { "responses" };
        format!("{purged} stored {responses} {how}\n")
    }
}

impl PurgeOptions {
    fn target(self) -> PurgeTarget {
        let PurgeOptions {
            url,
            tag,
            prefix,
            site,
        } = self;
        let targets = [
            url.map(PurgeTarget::Url),
            tag.map(PurgeTarget::Tag),
            prefix.map(PurgeTarget::Prefix),
            site.map(PurgeTarget::Site),
        ];
        let mut named = targets.into_iter().flatten();
        named.next().expect("the arguments name exactly one target")
    }
}
