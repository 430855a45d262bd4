//! The command line: a thin file for each subcommand, which reads arguments, calls the library and
//! prints.
//!
//! Exit codes: 0 for success, 1 for failure, 2 for wrong usage. Results go to standard output,
//! everything else to standard error.

// Questions to the admin interface and its answers are the types of the contract.
#![deny(clippy::disallowed_macros, clippy::disallowed_types)]

mod admin_client;
mod advise;
mod calendar;
mod certificates;
mod check;
mod cluster;
mod compile;
mod config_args;
mod data;
mod demo;
mod disk;
mod explain;
mod import;
mod log_args;
mod maintenance;
mod man;
mod new;
mod origins;
mod policy;
mod purge;
mod reload;
mod report;
mod schedule;
mod serve;
mod shown;
mod signing;
mod simulate;
mod stats;
mod summary;
mod tail;
mod top;
mod traffic;
mod upgrade;
mod warm;

use std::io::{self, IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{Parser, Subcommand};
use serde::Serialize;
use tracing_subscriber::EnvFilter;

use tero_control::build_info::BuildInfo;
use tero_time::zones;

/// The contracts with policies that modules may be built for.
const CONTRACTS: &str = "tero:policy@0.1 and @0.2";

/// What can be left out of a build.
const FEATURES: [(&str, bool); 2] = [
    ("cluster", cfg!(feature = "cluster")),
    ("otlp", cfg!(feature = "otlp")),
];

/// What `--version` prints after the name.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let zone_data = zones::choose_system();
    let BuildInfo { version, commit } = crate::BUILD;
    let policies: Vec<&str> = tero_policy_host::builtin_names().collect();
    let features = FEATURES.into_iter().filter(|(_, is_built)| *is_built);
    let features = features.map(|(name, _)| format!(", {name}"));
    format!(
        "{version}\ntime zone data: {zone_data}\ncommit: {commit}\nfeatures: http/1.1, http/2, tls, acme{}\npolicies: {CONTRACTS}; built in: {}",
        features.collect::<String>(),
        policies.join(", "),
    )
});

#[derive(Debug, Parser)]
#[command(
    name = "tero",
    version,
    long_version = LONG_VERSION.as_str(),
    about = "A caching edge server whose policies are WebAssembly modules",
    max_term_width = 100
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeCommand),
    Advise(advise::AdviseCommand),
    Calendar(calendar::CalendarCommand),
    Certificates(certificates::CertificatesCommand),
    Disk(disk::DiskCommand),
    Check(check::CheckCommand),
    Cluster(cluster::ClusterCommand),
    #[command(name = compile::NAME, hide = true)]
    Compile(compile::CompileCommand),
    Completions(man::CompletionsCommand),
    Data(data::DataCommand),
    Demo(demo::DemoCommand),
    Explain(explain::ExplainCommand),
    Import(import::ImportCommand),
    Maintenance(maintenance::MaintenanceCommand),
    Man(man::ManCommand),
    New(new::NewCommand),
    Origins(origins::OriginsCommand),
    Policy(policy::PolicyCommand),
    Purge(purge::PurgeCommand),
    Reload(reload::ReloadCommand),
    Report(summary::ReportCommand),
    Schedule(schedule::ScheduleCommand),
    Simulate(simulate::SimulateCommand),
    Stats(stats::StatsCommand),
    Tail(tail::TailCommand),
    Top(top::TopCommand),
    Traffic(traffic::TrafficCommand),
    Upgrade(upgrade::UpgradeCommand),
    Warm(warm::WarmCommand),
}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    start_log();
    match arguments.command {
        Command::Serve(serve) => serve.run(),
        Command::Advise(advise) => advise.run(),
        Command::Calendar(calendar) => calendar.run(),
        Command::Certificates(certificates) => certificates.run(),
        Command::Disk(disk) => disk.run(),
        Command::Check(check) => check.run(),
        Command::Cluster(cluster) => cluster.run(),
        Command::Compile(compile) => compile.run(),
        Command::Completions(completions) => completions.run(),
        Command::Data(data) => data.run(),
        Command::Demo(demo) => demo.run(),
        Command::Explain(explain) => explain.run(),
        Command::Import(import) => import.run(),
        Command::Maintenance(maintenance) => maintenance.run(),
        Command::Man(man) => man.run(),
        Command::New(new) => new.run(),
        Command::Origins(origins) => origins.run(),
        Command::Policy(policy) => policy.run(),
        Command::Purge(purge) => purge.run(),
        Command::Reload(reload) => reload.run(),
        Command::Report(report) => report.run(),
        Command::Schedule(schedule) => schedule.run(),
        Command::Simulate(simulate) => simulate.run(),
        Command::Stats(stats) => stats.run(),
        Command::Tail(tail) => tail.run(),
        Command::Top(top) => top.run(),
        Command::Traffic(traffic) => traffic.run(),
        Command::Upgrade(upgrade) => upgrade.run(),
        Command::Warm(warm) => warm.run(),
    }
}

/// The log goes to standard error. `TERO_LOG` sets its level (`debug`,
/// `tero_control::warm=trace`); the default is `info`. `TERO_LOG_FORMAT=json` makes each line an object.
fn start_log() {
    let filter = EnvFilter::try_from_env("TERO_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // A line that can't be written is lost. To say so on standard error would panic, and take the
        // thread with it that heeds signals.
        .log_internal_errors(false);
    let is_json = std::env::var_os("TERO_LOG_FORMAT").is_some_and(|format| format == "json");
    // A second start in one process (a test) keeps the first log.
    let _ = match is_json {
        true => log.json().flatten_event(true).try_init(),
        false => log.with_ansi(colours()).try_init(),
    };
}

/// Whether standard error shows colours: on a terminal, unless `NO_COLOR` is set
/// (<https://no-color.org>).
fn colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes `text` to standard output. A reader that closes it early (`tero … | head`) is not a
/// failure.
fn print(text: &str) -> ExitCode {
    match print_next(text) {
        ControlFlow::Continue(()) => ExitCode::SUCCESS,
        ControlFlow::Break(code) => code,
    }
}

/// Writes `text` to standard output, for a command that goes on to print. It ends where its
/// reader has gone, or where writing fails.
fn print_next(text: &str) -> ControlFlow<ExitCode> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            ControlFlow::Break(ExitCode::SUCCESS)
        }
        Err(error) => ControlFlow::Break(fail(&format!("can't write to standard output: {error}"))),
    }
}

/// Writes `value` to standard output as JSON in one line.
fn print_json(value: &impl Serialize) -> ExitCode {
    match serde_json::to_string(value) {
        Ok(json) => print(&format!("{json}\n")),
        Err(error) => fail(&error.to_string()),
    }
}

/// Reports on standard error why the command failed.
fn fail(message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "tero: {message}");
    ExitCode::FAILURE
}

/// Reports on standard error what is wrong with the arguments.
fn used_wrongly(message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "tero: {message}");
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_help_with_an_example() {
        fn check(command: &clap::Command) {
            assert!(
                command.get_about().is_some(),
                "{} says nothing",
                command.get_name()
            );
            let example = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                example.contains("tero "),
                "{} has no example",
                command.get_name()
            );
            // A terminal of 80 columns wraps longer lines, beside those that were broken by hand.
            for line in example.lines() {
                assert!(line.chars().count() < 80, "{}: {line}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        Arguments::command().get_subcommands().for_each(check);
    }
}
