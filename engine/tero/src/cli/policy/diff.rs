//! `tero policy diff`: compares two versions over an access log, without a server.

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::push::{module, settings};
use super::report::{self, Difference};
use crate::cli::compile::compiler;
use crate::cli::policy::desk_settings;
use crate::cli::{fail, print, print_json, used_wrongly};
use tero_admin_api::VersionComparison;
use tero_config as config;
use tero_config::units::Share;
use tero_config::{Config, FilePosition, ModuleSource, PolicyLimits, calendars};
use tero_control::admin::version_comparison;
use tero_policy_host::compare::DifferenceSample;
use tero_policy_host::{Chain, Hook, Host, Package, Policy};
use tero_tools::replay::diff::{Diff as Compared, LoggedSites, diff};

const EXAMPLE: &str = "\
Examples:
  tero policy diff old.wasm new.wasm --log access.log
  tero policy diff builtin:json-rules builtin:json-rules --log access.log \\
      --settings-a old.json --settings-b new.json
  tero policy diff old.wasm new.wasm --log access.log --json | jq .fields

The log is tero's own, or that of nginx, Apache, Varnish, CloudFront, Fastly,
Cloudflare or IIS; plain, or packed with gzip or Zstandard.

Exit code: 0 if they decide the same (reasons aside), 1 if not, 2 if the
command is used wrongly.";

/// Compares the decisions of two versions of a policy over an access log
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct DiffCommand {
    /// The first module, or a shipped policy as builtin:NAME
    a: PathBuf,
    /// The second one
    b: PathBuf,
    /// The access log
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
    /// Settings of both: JSON, or a JSON file
    #[arg(long, value_name = "JSON|FILE", conflicts_with_all = ["settings_a", "settings_b"])]
    settings: Option<String>,
    /// Settings of the first
    #[arg(long, value_name = "JSON|FILE")]
    settings_a: Option<String>,
    /// Settings of the second
    #[arg(long, value_name = "JSON|FILE")]
    settings_b: Option<String>,
    /// The holidays for both: builtin:argentina, or a calendar file
    #[arg(long, value_name = "CALENDAR")]
    calendar: Option<String>,
    /// A configuration, whose sites say which of a query counts
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The host of requests, if the log does not have it
    #[arg(long, default_value = "localhost")]
    host: String,
    /// Prints the result as JSON
    #[arg(long)]
    json: bool,
}

impl DiffCommand {
    pub(super) fn run(self) -> ExitCode {
        let log = match File::open(&self.log) {
            Ok(log) => log,
            Err(error) => {
                return used_wrongly(&format!("can't read {}: {error}", self.log.display()));
            }
        };
        let host = match Host::with_compiler(&desk_settings(), &compiler()) {
            Ok(host) => host,
            Err(error) => return fail(&error.to_string()),
        };
        let version = |path: &Path, own: &Option<String>| {
            let given = own.as_ref().or(self.settings.as_ref());
            self.load(&host, path, given.map(String::as_str))
        };
        let (a, b) = match (
            version(&self.a, &self.settings_a),
            version(&self.b, &self.settings_b),
        ) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(message), _) | (_, Err(message)) => return used_wrongly(&message),
        };
        let chain = |policy: &Arc<Policy>| Chain::new(&host, vec![Arc::clone(policy)], usize::MAX);
        let (left, right) = match (chain(&a), chain(&b)) {
            (Ok(left), Ok(right)) => (left, right),
            (Err(error), _) | (_, Err(error)) => return fail(&error.to_string()),
        };
        let config = self.config.as_deref().map(Config::load).transpose();
        let config = match config {
            Ok(config) => config,
            Err(errors) => return used_wrongly(&errors.to_string()),
        };
        let sites = LoggedSites {
            host: &self.host,
            config: config.as_ref(),
        };
        match diff(&left, &right, log, sites) {
            Ok(compared) => self.show(&compared, [&a, &b]),
            Err(error) => fail(&format!("can't read {}: {error}", self.log.display())),
        }
    }

    fn load(&self, host: &Host, path: &Path, given: Option<&str>) -> Result<Arc<Policy>, String> {
        let module = module(path)?;
        let package =
            Package::of(&module).map_err(|error| format!("{}: {error}", path.display()))?;
        let settings = given
            .map(settings)
            .transpose()?
            .map(Cow::Owned)
            .or(package.settings.clone());
        let content = Package {
            settings,
            ..package
        }
        .to_bytes();
        let calendar = self.calendar.as_deref().map(calendars::source);
        let config = config::Policy {
            place: FilePosition::default(),
            // The same name for both, since reasons begin with it.
            name: "policy".into(),
            module: ModuleSource::Builtin(String::new()),
            settings: "{}".to_owned(),
            calendar,
            // A version is not switched off, so that failures are counted over the whole log.
            limits: PolicyLimits {
                max_failure_share: Share::parse("100%").expect("it is a share"),
                failure_memory: Duration::ZERO,
                ..PolicyLimits::default()
            },
        };
        host.load_module(&config, &content)
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    fn show(&self, compared: &Compared, versions: [&Arc<Policy>; 2]) -> ExitCode {
        let comparison = &compared.comparison;
        let [a, b] = versions.map(|policy| failures(policy));
        let report = DiffReport {
            comparison: version_comparison(comparison, sample),
            unreadable_lines: compared.unreadable,
            failures: DiffFailures { a, b },
        };
        let printed = if self.json {
            print_json(&report)
        } else {
            print(&words(&report))
        };
        if comparison.requests == 0 {
            return fail("the log has no request that could be compared");
        }
        if comparison.differences() == 0 && (a, b) == (0, 0) {
            printed
        } else {
            ExitCode::FAILURE
        }
    }
}

/// The result, for JSON.
#[derive(Serialize)]
struct DiffReport {
    #[serde(flatten)]
    comparison: VersionComparison<DiffSample>,
    unreadable_lines: u64,
    failures: DiffFailures,
}

/// A question on which the two differ.
#[derive(Serialize)]
struct DiffSample {
    at_unix_secs: i64,
    url: String,
    device: String,
    a: String,
    b: String,
}

/// How often each failed.
#[derive(Serialize)]
struct DiffFailures {
    a: u64,
    b: u64,
}

fn sample(sample: &DifferenceSample) -> DiffSample {
    DiffSample {
        at_unix_secs: sample.at.unix_secs(),
        url: sample.url.clone(),
        device: sample.device.clone(),
        a: sample.left.clone(),
        b: sample.right.clone(),
    }
}

fn difference(sample: &DiffSample) -> Difference<'_> {
    Difference {
        at_unix_secs: sample.at_unix_secs,
        url: &sample.url,
        device: &sample.device,
        says: [&sample.a, &sample.b],
    }
}

/// The result for people.
fn words(report: &DiffReport) -> String {
    let mut text = report::comparison(&report.comparison, ["a", "b"], difference);
    if report.unreadable_lines > 0 {
        text.push_str(&format!(
            "{} lines are in no known format\n",
            report.unreadable_lines
        ));
    }
    for (name, failures) in [("a", report.failures.a), ("b", report.failures.b)] {
        if failures > 0 {
            text.push_str(&format!(
                "{name} failed {failures} times, and decided nothing then\n"
            ));
        }
    }
    text
}

fn failures(policy: &Policy) -> u64 {
    let counters = policy.counters();
    let hooks = [Hook::OnRequest, Hook::OnResponse].map(|hook| *counters.of(hook));
    hooks
        .iter()
        .map(|hook| hook.trap + hook.deadline + hook.memory + hook.bad_answer)
        .sum()
}
