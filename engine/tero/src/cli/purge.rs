//! `tero purge`: drops stored responses of a running edge, or marks them stale.

use std::process::ExitCode;

use clap::Args;

use super::admin_client::{AdminArgs, AdminClient, show};
use super::{fail, used_wrongly};
use tero_admin_api::endpoints::Purge;
use tero_admin_api::{FleetPurge, PurgeRequest, PurgeResponse, PurgeTarget, PurgeWait};

const EXAMPLE: &str = "\
Examples:
  tero purge --url http://www.example.org/prices
  tero purge --url http://www.example.org/a --url http://www.example.org/b
  tero purge --tag prices --soft
  tero purge --prefix http://www.example.org/img/
  tero purge --site shop --admin http://10.0.0.5:9090 --token-file token
  tero purge --tag prices --wait all --id deploy-2026-11-30

Exit code: 0 if the edge purged (even if nothing was stored), 1 if not, 2 if
the command is used wrongly. On a node of a fleet it is 1, too, if the purge is
not in the log of the fleet, or with `--wait all` if a peer has not answered.";

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
    /// What to wait for, on a node of a fleet: the log and each peer, the log, or nothing
    #[arg(long, value_enum, default_value = "quorum")]
    wait: WaitOption,
    /// The id of the purge, for one that is sent again: 1 to 64 letters, digits, - and _
    #[arg(long)]
    id: Option<String>,
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum WaitOption {
    All,
    Quorum,
    None,
}

impl WaitOption {
    fn wait(self) -> PurgeWait {
        match self {
            WaitOption::All => PurgeWait::All,
            WaitOption::Quorum => PurgeWait::Quorum,
            WaitOption::None => PurgeWait::None,
        }
    }
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
        if self.id.is_some() && self.target.len() > 1 {
            return used_wrongly("an id is for one purge; name one target");
        }
        let mut all = PurgeResponse {
            purged: 0,
            fleet: None,
        };
        let mut is_done = true;
        for target in self.target.targets() {
            let named = name_of(&target);
            let soft = self.soft;
            let request = PurgeRequest {
                wait: self.wait.wait(),
                id: self.id.clone(),
                ..PurgeRequest::new(target, soft)
            };
            match client.call::<Purge>(&[], &request) {
                Ok(answer) => {
                    all.purged += answer.purged;
                    is_done &= answer
                        .fleet
                        .as_ref()
                        .is_none_or(|fleet| self.is_done(fleet));
                    all.fleet = answer.fleet;
                }
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
        let shown = show(&all, self.json, |all| self.words(all));
        match is_done {
            true => shown,
            false => ExitCode::FAILURE,
        }
    }

    /// Whether what was waited for has happened.
    fn is_done(&self, fleet: &FleetPurge) -> bool {
        match self.wait {
            WaitOption::None => true,
            WaitOption::Quorum => fleet.number.is_some(),
            WaitOption::All => {
                let mut peers = fleet.peers.iter();
                fleet.number.is_some() && peers.all(|peer| peer.applied == Some(true))
            }
        }
    }

    fn words(&self, answer: &PurgeResponse) -> String {
        let how = if self.soft { "marked stale" } else { "dropped" };
        let purged = answer.purged;
        let responses = if purged == 1 { "response" } else { "responses" };
        let here = format!("{purged} stored {responses} {how}\n");
        match &answer.fleet {
            None => here,
            Some(fleet) => format!("{here}{}", fleet_words(fleet)),
        }
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

/// What is known of the fleet, a line for the log and one for each peer.
fn fleet_words(fleet: &FleetPurge) -> String {
    let id = &fleet.id;
    let mut words = match (fleet.number, &fleet.log_error) {
        (Some(number), _) => format!("logged as {number} (id {id})\n"),
        (None, Some(error)) => format!("not logged yet (id {id}): {error}\n"),
        (None, None) => format!("not logged yet (id {id})\n"),
    };
    for peer in &fleet.peers {
        let name = &peer.peer;
        let line = match (peer.applied, &peer.error) {
            (Some(true), _) => format!("{name}: purged\n"),
            (_, Some(error)) => format!("{name}: {error}\n"),
            _ => format!("{name}: no answer yet\n"),
        };
        words.push_str(&line);
    }
    words
}

fn name_of(target: &PurgeTarget) -> String {
    let (PurgeTarget::Url(name)
    | PurgeTarget::Tag(name)
    | PurgeTarget::Prefix(name)
    | PurgeTarget::Site(name)) = target;
    name.clone()
}
