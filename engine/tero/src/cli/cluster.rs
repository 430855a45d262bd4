//! `tero cluster`: many nodes as one.

mod status;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::config_args::ConfigArgs;
use super::{fail, print, shown};
use status::StatusCommand;
use tero_config::Config;
use tero_control::cluster::init::prepare_streams;
use tero_control::cluster::prepared_stream::{PreparedStream, StreamChange};

const EXAMPLE: &str = "\
Examples:
  tero cluster init tero.toml
  tero cluster status";

const INIT_EXAMPLE: &str = "\
Examples:
  tero cluster init
  tero cluster init /etc/tero/tero.toml

It needs a user that may create streams. Nodes need no such right.

Exit code: 0 if all is there now, 1 if not, 2 if the command is used wrongly.";

/// Prepares the servers of a fleet, and shows its nodes
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct ClusterCommand {
    #[command(subcommand)]
    command: ClusterSubcommand,
}

#[derive(Debug, Subcommand)]
enum ClusterSubcommand {
    Init(InitCommand),
    Status(StatusCommand),
}

/// Makes the streams and buckets that `[cluster]` needs, with their limits
#[derive(Debug, Args)]
#[command(after_help = INIT_EXAMPLE)]
struct InitCommand {
    #[command(flatten)]
    config: ConfigArgs,
}

impl ClusterCommand {
    pub(super) fn run(self) -> ExitCode {
        match self.command {
            ClusterSubcommand::Init(init) => init.run(),
            ClusterSubcommand::Status(status) => status.run(),
        }
    }
}

impl InitCommand {
    fn run(self) -> ExitCode {
        let config = match Config::load(self.config.path()) {
            Ok(config) => config,
            Err(errors) => return fail(&errors.to_string()),
        };
        let Some(cluster) = config.cluster else {
            let file = self.config.path().display();
            return fail(&format!(
                "{file} has no [cluster]; write [cluster] with nats = [\"tls://…\"]"
            ));
        };
        match prepare_streams(&cluster) {
            Ok(streams) => print(&words(&streams)),
            Err(error) => fail(&error.to_string()),
        }
    }
}

fn words(streams: &[PreparedStream]) -> String {
    let mut table = shown::table();
    table.set_header(["stream", "", "copies"]);
    for stream in streams {
        let change = match stream.change {
            StreamChange::Created => "created",
            StreamChange::Unchanged => "was there",
            StreamChange::Updated => "got other limits",
        };
        table.add_row([&*stream.name, change, &stream.replicas.to_string()]);
    }
    format!("{table}\n")
}
