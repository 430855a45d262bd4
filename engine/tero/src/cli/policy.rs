//! `tero policy`: a file for each subcommand. Some work on files at the author's desk, others ask
//! the admin interface of a running edge.

mod build;
mod change;
mod diff;
mod forecast;
mod fuzz;
mod inspect;
mod list;
mod new;
mod push;
mod remove;
mod report;
mod sign;
mod test;
mod watch;
mod wrap;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use clap::{Args, Subcommand};

use super::compile::compiler;
use super::signing::VerifyCommand;
use tero_config::PolicyHost;
use tero_policy_host::{Host, PolicyError};

const EXAMPLE: &str = "\
Examples:
  tero policy new hours --language python   make a project
  tero policy build                         build its module
  tero policy test                          run the cases of this folder
  tero policy fuzz                          ask it 100,000 made-up questions
  tero policy wrap hours.core.wasm          make a policy of a core module
  tero policy inspect hours.wasm            what a module declares
  tero policy diff old.wasm new.wasm --log access.log
  tero policy list                          which version decides
  tero policy push hours.wasm --name hours  send a new version to the edge
  tero policy shadow hours --version 3f9a1c --sample 10%
  tero policy canary hours --version 3f9a1c --share 5%
  tero policy activate hours 3f9a1c
  tero policy rollback hours

Every subcommand has its own --help with examples.";

/// Tests policies at the desk, and chooses which version decides on a running edge
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct PolicyCommand {
    #[command(subcommand)]
    command: PolicySubcommand,
}

#[derive(Debug, Subcommand)]
enum PolicySubcommand {
    Activate(change::ActivateCommand),
    Build(build::BuildCommand),
    Canary(change::CanaryCommand),
    Diff(diff::DiffCommand),
    Fuzz(fuzz::FuzzCommand),
    Inspect(inspect::InspectCommand),
    List(list::ListCommand),
    New(new::NewPolicyCommand),
    Push(push::PushCommand),
    Remove(remove::RemoveCommand),
    Rollback(change::RollbackCommand),
    Shadow(change::ShadowCommand),
    Sign(sign::SignPolicyCommand),
    Test(test::TestCommand),
    Verify(VerifyCommand),
    Wrap(wrap::WrapCommand),
}

impl PolicyCommand {
    pub(super) fn run(self) -> ExitCode {
        match self.command {
            PolicySubcommand::Activate(activate) => activate.run(),
            PolicySubcommand::Build(build) => build.run(),
            PolicySubcommand::Canary(canary) => canary.run(),
            PolicySubcommand::Diff(diff) => diff.run(),
            PolicySubcommand::Fuzz(fuzz) => fuzz.run(),
            PolicySubcommand::Inspect(inspect) => inspect.run(),
            PolicySubcommand::List(list) => list.run(),
            PolicySubcommand::New(new) => new.run(),
            PolicySubcommand::Push(push) => push.run(),
            PolicySubcommand::Remove(remove) => remove.run(),
            PolicySubcommand::Rollback(rollback) => rollback.run(),
            PolicySubcommand::Shadow(shadow) => shadow.run(),
            PolicySubcommand::Sign(sign) => sign.run(),
            PolicySubcommand::Test(test) => test.run(),
            PolicySubcommand::Verify(verify) => verify.run(),
            PolicySubcommand::Wrap(wrap) => wrap.run(),
        }
    }
}

/// At most so many digits of a digest are shown.
const SHOWN_DIGITS: usize = 12;

/// A version for people: the beginning of its digest, or its name.
fn short(version: &str) -> &str {
    let is_digest = version.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest {
        version.get(..SHOWN_DIGITS).unwrap_or(version)
    } else {
        version
    }
}

/// A Unix time for people.
fn time_of(unix_secs: i64) -> String {
    DateTime::from_timestamp(unix_secs, 0).map_or_else(
        || "?".to_owned(),
        |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

/// The time that compiling a module may take at the desk. Whoever waits there can stop it, and
/// machines of authors may be slower than those of edges.
const COMPILE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// A host at the desk, which counts fuel. It keeps compiled modules where an edge keeps them by
/// default.
fn desk() -> Result<Arc<Host>, PolicyError> {
    Host::counting(&desk_settings(), &compiler())
}

/// The settings of a host at the desk.
fn desk_settings() -> PolicyHost {
    PolicyHost {
        compile_timeout: COMPILE_TIMEOUT,
        ..PolicyHost::default()
    }
}
