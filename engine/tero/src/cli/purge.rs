//! `tero purge`: drops stored responses of a running edge, or marks them stale.

use std::process::ExitCode;

use clap::Args;

use super::admin_client::{AdminArgs, AdminClient, show};
use super::{fail, used_wrongly};
use tero_admin_api::endpoints::Purge;
use tero_admin_api::{PurgeRequest, PurgeResponse, PurgeTarget};

const EXAMPLE: &str = "\
Examples:
  tero purge --url http://www.example.org/prices
  tero purge --url http://www.example.org/a --url http://www.example.org/b
  tero purge --tag prices --soft
  tero purge --prefix http://www.example.org/img/
  tero purge --site shop --admin http://10.0.0.5:9090 --token-file token

Exit code: 0 if the edge purged (even if nothing was stored), 1 if not, 2 if
the command is used wrongly.";

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
    /// An absolute URL, with all its variants; may be repeated
    #[arg(long)]
    url: Vec<String>,
    /// A tag (surrogate key); may be repeated
    #[arg(long)]
    tag: Vec<String>,
    /// The beginning of an absolute URL; may be repeated
    #[arg(long)]
    prefix: Vec<String>,
    /// A whole site, by its name; may be repeated
    #[arg(long)]
    site: Vec<String>,
}

impl PurgeCommand {
    pub(super) fn run(self) -> ExitCode {
        let client = match AdminClient::new(&self.admin) {
            Ok(client) => client,
            Err(message) => return used_wrongly(&message),
        };
        let mut all = PurgeResponse { purged: 0 };
        for target in self.target.targets() {
            let named = name_of(&target);
            let soft = self.soft;
            match client.call::<Purge>(&[], &PurgeRequest { target, soft }) {
                Ok(answer) => all.purged += answer.purged,
                Err(message) if self.target.len() > 1 => {
                    // What was purged before stays so.
                    let so_far = self.words(&all);
                    return fail(&format!(
                        "{named}: {message}; before that: {}",
                        so_far.trim()
                    ));
                }
                Err(message) => return fail(&message),
            }
        }
        show(&all, self.json, |all| self.words(all))
    }

    fn words(&self, answer: &PurgeResponse) -> String {
        let how = if self.soft { "marked stale" } else { "dropped" };
        let purged = answer.purged;
        let responses = if purged == 1 { "response" } else { "responses" };
        format!("{purged} stored {responses} {how}\n")
    }
}

impl PurgeOptions {
    /// In the order of the arguments. They are all of one kind.
    fn targets(&self) -> impl Iterator<Item = PurgeTarget> {
        let urls = self.url.iter().cloned().map(PurgeTarget::Url);
        let tags = self.tag.iter().cloned().map(PurgeTarget::Tag);
        let prefixes = self.prefix.iter().cloned().map(PurgeTarget::Prefix);
        let sites = self.site.iter().cloned().map(PurgeTarget::Site);
        urls.chain(tags).chain(prefixes).chain(sites)
    }

    fn len(&self) -> usize {
        self.url.len() + self.tag.len() + self.prefix.len() + self.site.len()
    }
}

fn name_of(target: &PurgeTarget) -> String {
    let (PurgeTarget::Url(name)
    | PurgeTarget::Tag(name)
    | PurgeTarget::Prefix(name)
    | PurgeTarget::Site(name)) = target;
    name.clone()
}
