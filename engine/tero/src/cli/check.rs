//! `tero check`: every mistake of a configuration at once.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::compile::compiler;
use super::config_args::ConfigArgs;
use super::report::print_mistakes;
use super::{colours, fail, print, print_json, report};
use tero_config::{Config, ConfigError, ConfigErrors, read_text, sections};
use tero_control::acme::order_warnings;
use tero_control::certificates::{certificate_mistakes, certificate_warnings};
use tero_control::openable::{AddressInUse, check_openable};
use tero_control::state_report::state_lines;
use tero_policy_host::check::{check_file, notices, warnings};
use tero_time::clock::Clock;
use tero_time::zones::{self, ZoneDataChoice};

const EXAMPLE: &str = "\
Examples:
  tero check                          check ./tero.toml
  tero check --json edge.toml | jq .  the same for a machine
  tero check --state                  also what was pushed, and decides instead
  tero check --keys                   the reference of all keys, as Markdown

Exit code: 0 if the file is valid, with or without warnings, 1 if it has
mistakes, 2 if the command is used wrongly.";

/// Checks a configuration and prints every mistake with its line and its cure
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct CheckCommand {
    #[command(flatten)]
    config: ConfigArgs,
    /// Prints the result as JSON
    #[arg(long)]
    json: bool,
    /// Tells also what an edge would take from the state directory, or leave out
    #[arg(long)]
    state: bool,
    /// Prints the reference of all keys as Markdown
    #[arg(long, conflicts_with = "json")]
    keys: bool,
}

/// The JSON for a valid configuration.
#[derive(Serialize)]
struct CheckReport<'a> {
    file: &'a str,
    errors: [ConfigError; 0],
    warnings: &'a [ConfigError],
    notices: &'a [ConfigError],
    sites: usize,
    policies: usize,
    plans: usize,
    zone_data: ZoneDataReport<'a>,
    /// What the state directory changes; absent unless it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Vec<String>>,
}

/// The time zone data that the configuration chooses.
#[derive(Serialize)]
struct ZoneDataReport<'a> {
    release: &'a str,
    /// The folder; `None` for the compiled-in data.
    folder: Option<&'a Path>,
    /// Zones whose files are damaged.
    damaged: &'a [&'static str],
}

impl CheckCommand {
    pub(super) fn run(self) -> ExitCode {
        if self.keys {
            return print(&sections::reference());
        }
        let config = match check_file(self.config.path(), &compiler()) {
            Ok(config) => config,
            Err(errors) => return self.bad(&errors),
        };
        match zones::choose(&config.time.zoneinfo, &Clock::real()) {
            Ok(zone_data) => self.opened(&config, &zone_data),
            Err(error) => fail(&error.to_string()),
        }
    }

    /// Tells what `tero serve` could not open.
    fn opened(&self, config: &Config, zone_data: &ZoneDataChoice) -> ExitCode {
        let text = read_text(self.config.path()).unwrap_or_default();
        let openable =
            certificate_mistakes(config, &text).and_then(|()| check_openable(config, &text));
        match openable {
            Ok(in_use) => {
                for AddressInUse { key, address } in in_use {
                    eprintln!("note: {key}: {address} is in use, by a running edge perhaps");
                }
                self.good(config, zone_data)
            }
            Err(errors) => self.bad(&errors),
        }
    }

    fn good(&self, config: &Config, zone_data: &ZoneDataChoice) -> ExitCode {
        zone_data.install();
        let (sites, policies, plans) = (
            config.sites.len(),
            config.policies.len(),
            config.plans.len(),
        );
        let now = Clock::real().now();
        let (mut warnings, notices) = (warnings(config, now), notices(config, now));
        warnings.extend(certificate_warnings(config, now));
        warnings.extend(order_warnings(config));
        let state = self.state.then(|| state_lines(config));
        if self.json {
            return print_json(&CheckReport {
                file: &config.file,
                errors: [],
                warnings: &warnings,
                notices: &notices,
                sites,
                policies,
                plans,
                zone_data: ZoneDataReport {
                    release: zone_data.chosen.release(),
                    folder: zone_data.chosen.folder(),
                    damaged: zone_data.chosen.damaged(),
                },
                state,
            });
        }
        for warning in &warnings {
            eprintln!("warning: {warning}");
        }
        for notice in &notices {
            eprintln!("notice: {notice}");
        }
        for zone in zone_data.chosen.damaged() {
            eprintln!(
                "warning: the file of the zone {zone} is damaged: the compiled-in data hold for it"
            );
        }
        let count = |number: usize, one: &str, many: &str| {
            format!("{number} {}", if number == 1 { one } else { many })
        };
        let sites = count(sites, "site", "sites");
        let (policies, plans) = (
            count(policies, "policy", "policies"),
            count(plans, "warming plan", "warming plans"),
        );
        let mut state: String = state
            .into_iter()
            .flatten()
            .map(|line| line + "\n")
            .collect();
        if self.state && state.is_empty() {
            state = "the state directory changes nothing\n".to_owned();
        }
        print(&format!(
            "{}: good: {sites}, {policies}, {plans}\ntime zone data: {zone_data}\n{state}",
            config.file
        ))
    }

    fn bad(&self, errors: &ConfigErrors) -> ExitCode {
        if self.json {
            print_mistakes(self.config.path(), errors);
        } else {
            eprint!("{}", report::report(errors, colours()));
        }
        ExitCode::FAILURE
    }
}
