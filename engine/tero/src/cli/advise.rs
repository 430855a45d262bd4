//! `tero advise`: what of a configuration could be better for the traffic of an access log.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono_tz::Tz;
use clap::Args;
use serde::Serialize;

use super::compile::compiler;
use super::config_args::ConfigArgs;
use super::log_args::LogArgs;
use super::report::report as mistakes;
use super::serve::with_causes;
use super::{colours, fail, print, print_json, used_wrongly};
use tero_config::{Config, ConfigError, Site};
use tero_control::rehearsal::EdgeRehearsal;
use tero_policy_host::check::check_policies_with;
use tero_policy_host::device::classify;
use tero_time::clock::Clock;
use tero_time::zones;
use tero_tools::replay::advice::{ConfigText, EditRefusal, LogStudy, Proposal, difference};
use tero_tools::replay::log::{LogOptions, LogReport};
use tero_tools::replay::simulate::tally::TrafficCell;
use tero_tools::replay::simulate::{Simulation, SimulationError, SimulationSettings, simulate};

const EXAMPLE: &str = "\
Examples:
  tero advise --log access.log              for ./tero.toml
  tero advise shop.toml --log logs/*.gz --out better.toml
  tero traffic > made.log && tero advise shop.toml --log made.log

It proposes lifetimes and stale windows by path, query parameters that don't
count, devices that need no variants, revalidation ahead and a warming plan.
Each proposal is simulated over the log; those that help are printed as a
difference of the configuration. Nothing is applied.

Exit code: 0 for success, 1 if nothing can be advised, 2 if the command is
used wrongly.";

/// By how much the share of requests without a wait must rise for a proposal to help.
const LEAST_RISE: f64 = 0.0005;

/// By which share the requests to the origin must fall for it.
const LEAST_FALL: f64 = 0.005;

/// By which share the requests to the origin may rise for a proposal that spares visitors the wait.
const MOST_RISE_OF_ORIGIN: f64 = 0.10;

/// Proposes what of a configuration could be better for the traffic of an access log
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct AdviseCommand {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    log: LogArgs,
    /// The site that is advised [default: the first]
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// Writes the configuration with all that helps to another file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// What a simulation says of a configuration.
#[derive(Clone, Copy, Debug, Serialize)]
struct AdviceFigures {
    /// The share of requests whose visitor did not wait for the origin.
    unwaited: f64,
    /// Requests to the origin.
    origin_requests: u64,
    /// What bounds `unwaited`.
    waits: WaitShares,
}

/// The shares of requests whose visitors wait for the origin, by why.
#[derive(Clone, Copy, Debug, Serialize)]
struct WaitShares {
    /// The answer is not stored.
    not_stored: f64,
    /// Nothing is stored for the page and the variant: not yet, or not any more.
    first: f64,
    /// The stored response has expired, and so has its stale window.
    expired: f64,
    /// The answer is an error.
    failed: f64,
}

/// A proposal with its gain.
#[derive(Debug, Serialize)]
struct AdviceItem {
    title: String,
    reason: String,
    /// With it alone; `None` where it isn't written into the configuration, or not simulated.
    figures: Option<AdviceFigures>,
    /// Why it isn't written, or can't be simulated, alone or beside the others: `tero check` may refuse
    /// it, and so may a policy its settings.
    refused: Option<String>,
    /// It helps, and is part of the difference.
    helps: bool,
}

/// What is advised.
#[derive(Debug, Serialize)]
struct AdviceReport {
    site: String,
    /// Requests of the site.
    requests: u64,
    before: AdviceFigures,
    after: AdviceFigures,
    proposals: Vec<AdviceItem>,
    /// The share of requests whose answers are not stored: their visitors wait in any case.
    never_stored: f64,
    /// The share of requests that were not studied: their paths can't be written as patterns.
    not_plain: f64,
    /// Patterns that bound the gain, with their share of the requests.
    restless: Vec<(String, f64)>,
    warnings: Vec<String>,
    difference: String,
}

impl AdviseCommand {
    pub(super) fn run(self) -> ExitCode {
        let path = self.config.path().to_owned();
        if self.out.as_deref() == Some(&path) {
            return used_wrongly("--out names the configuration itself: nothing is applied to it");
        }
        if self.log.has_standard_input() {
            return used_wrongly("the log is read several times: it can't be standard input");
        }
        let config = match Config::load(&path) {
            Ok(config) => config,
            Err(errors) => {
                eprint!("{}", mistakes(&errors, colours()));
                return ExitCode::FAILURE;
            }
        };
        match zones::choose(&config.time.zoneinfo, &Clock::real()) {
            Ok(zone_data) => zone_data.install(),
            Err(error) => return fail(&error.to_string()),
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => return fail(&format!("can't read {}: {error}", path.display())),
        };
        let (options, settings) = match self.settings(&config) {
            Ok(settings) => settings,
            Err(message) => return used_wrongly(&message),
        };
        let advised = Advisor {
            command: &self,
            options,
            settings,
            known: mistakes_of(&config, &text),
        }
        .advise(&config, &text);
        let (report, better) = match advised {
            Ok(advised) => advised,
            Err(message) => return fail(&message),
        };
        if let Some(out) = &self.out
            && let Err(error) = std::fs::write(out, better.as_str())
        {
            return fail(&format!("can't write {}: {error}", out.display()));
        }
        match self.json {
            true => print_json(&report),
            false => print(&report.text()),
        }
    }

    fn settings(&self, config: &Config) -> Result<(LogOptions, SimulationSettings), String> {
        let settings = SimulationSettings {
            assumptions: self.log.assumptions(config)?,
            ..SimulationSettings::default()
        };
        Ok((self.log.options()?, settings))
    }
}

/// The configuration with what helps so far.
struct BetterConfig {
    text: ConfigText,
    figures: AdviceFigures,
}

/// Studies a log and simulates what it proposes.
struct Advisor<'c> {
    command: &'c AdviseCommand,
    options: LogOptions,
    settings: SimulationSettings,
    /// Mistakes that the configuration has as it is.
    known: Vec<ConfigError>,
}

impl Advisor<'_> {
    fn advise(&self, config: &Config, text: &str) -> Result<(AdviceReport, ConfigText), String> {
        let site = match &self.command.site {
            None => config.sites.first(),
            Some(name) => config.sites.iter().find(|site| *site.name == **name),
        };
        let site = site.ok_or("the configuration has no such site")?;
        let base = ConfigText::new(text, &site.name);
        self.tell("the configuration as it is");
        let simulation = self.simulation(config)?;
        let before = AdviceFigures::of(&simulation, &site.name);
        let zone = simulation.tally.zones.get(&site.name).copied();
        let mut study = LogStudy::new(zone.unwrap_or(Tz::UTC));
        let log = self.study(&mut study, config, site)?;
        let mut better = BetterConfig {
            text: base.clone(),
            figures: before,
        };
        let mut items = Vec::new();
        let proposals = study.proposals(&base);
        let count = proposals.len();
        for (number, proposal) in proposals.into_iter().enumerate() {
            self.tell(&format!("{} of {count}: {}", number + 1, proposal.title));
            items.push(self.weigh(proposal, &base, before, &mut better));
        }
        let name = self.command.config.path().display().to_string();
        let report = AdviceReport {
            site: site.name.to_string(),
            requests: study.requests(),
            before,
            after: better.figures,
            proposals: items,
            never_stored: study.never_stored(),
            not_plain: study.not_plain(),
            restless: study.bounds(),
            warnings: log.warnings(),
            difference: difference(&name, text, better.text.as_str()),
        };
        Ok((report, better.text))
    }

    /// Studies the requests of a site.
    fn study(
        &self,
        study: &mut LogStudy,
        config: &Config,
        site: &Site,
    ) -> Result<LogReport, String> {
        let mut reader = self.command.log.open(self.options.clone())?;
        let assumed = &self.settings.assumptions.host;
        for record in (&mut reader).flatten() {
            let of = config.site_of(record.host_or(assumed));
            if of.is_some_and(|of| of.name == site.name) {
                study.add(&record, classify(&record.request).as_str());
            }
        }
        match study.requests() {
            0 => Err(format!(
                "the log has no request for the site {} that can be used",
                site.name
            )),
            _ => Ok(reader.report().clone()),
        }
    }

    /// Simulates a proposal alone, and adds it to what is better if it helps there too.
    fn weigh(
        &self,
        proposal: Proposal,
        base: &ConfigText,
        before: AdviceFigures,
        better: &mut BetterConfig,
    ) -> AdviceItem {
        let (figures, mut refused) = match edited(base, &proposal) {
            Err(EditRefusal::Elsewhere) => (None, None),
            Err(refusal) => (None, Some(refusal.to_string())),
            Ok(text) => match self.simulate(&text) {
                Ok(figures) => (Some(figures), None),
                Err(error) => (None, Some(error)),
            },
        };
        let mut helps = false;
        if figures.is_some_and(|alone| alone.is_better_than(before))
            && let Ok(text) = edited(&better.text, &proposal)
        {
            match self.simulate(&text) {
                Ok(figures) if figures.is_better_than(better.figures) => {
                    *better = BetterConfig { text, figures };
                    helps = true;
                }
                Ok(_) => {}
                Err(error) => refused = Some(format!("beside the others: {error}")),
            }
        }
        AdviceItem {
            title: proposal.title,
            reason: proposal.reason,
            figures,
            refused,
            helps,
        }
    }

    /// Simulates an edited configuration, if `tero check` accepts it.
    fn simulate(&self, text: &ConfigText) -> Result<AdviceFigures, String> {
        let config = self.parsed(text)?;
        let is_known = |mistake: &ConfigError| {
            let mut known = self.known.iter();
            known.any(|known| known.key == mistake.key && known.problem == mistake.problem)
        };
        let mistakes = mistakes_of(&config, text.as_str());
        if let Some(mistake) = mistakes.iter().find(|mistake| !is_known(mistake)) {
            return Err(refused_by_check(mistake));
        }
        let simulation = self
            .simulation(&config)
            .map_err(|error| format!("can't be simulated: {error}"))?;
        Ok(AdviceFigures::of(&simulation, text.site()))
    }

    fn parsed(&self, text: &ConfigText) -> Result<Config, String> {
        let path = self.command.config.path();
        let folder = path.parent().unwrap_or(Path::new(""));
        let name = path.display().to_string();
        Config::parse(text.as_str(), &name, folder).map_err(|errors| refused_by_check(&errors))
    }

    fn simulation(&self, config: &Config) -> Result<Simulation, String> {
        let compiler = compiler();
        let mut records = self.command.log.open(self.options.clone())?;
        let stage = |begin, world| EdgeRehearsal::boxed(config, &compiler, begin, world, true);
        // What plans and origins do on a real edge is worth a line in its log. Here it isn't real.
        let quiet = tracing::subscriber::NoSubscriber::default();
        let simulation = tracing::subscriber::with_default(quiet, || {
            simulate(&mut records, &self.settings, stage, &mut |_| {})
        });
        simulation.map_err(|error| match error {
            SimulationError::Empty(_) => records.report().emptiness(),
            error => with_causes(&error),
        })
    }

    /// Says on a terminal what is being simulated.
    fn tell(&self, what: &str) {
        if std::io::stderr().is_terminal() {
            let _ = writeln!(std::io::stderr(), "simulating {what}");
        }
    }
}

/// The mistakes that `tero check` tells of a valid configuration once its policies are loaded.
fn mistakes_of(config: &Config, text: &str) -> Vec<ConfigError> {
    let checked = check_policies_with(config, text, &compiler());
    checked.err().map_or_else(Vec::new, |errors| errors.errors)
}

fn refused_by_check(mistakes: &impl std::fmt::Display) -> String {
    format!("`tero check` would refuse it: {mistakes}")
}

/// A configuration with all edits of a proposal, or why none of them changes it.
fn edited(config: &ConfigText, proposal: &Proposal) -> Result<ConfigText, EditRefusal> {
    let mut edited = Err(EditRefusal::Elsewhere);
    for edit in &proposal.edits {
        let base = edited.as_ref().unwrap_or(config);
        edited = base.with(edit).or_else(|refusal| match edited {
            Ok(text) => Ok(text),
            Err(_) => Err(refusal),
        });
    }
    edited
}

impl AdviceFigures {
    fn of(simulation: &Simulation, site: &str) -> AdviceFigures {
        let of_site = simulation.tally.sites.get(site).copied();
        let TrafficCell {
            traffic,
            origin,
            waits,
        } = of_site.unwrap_or_default();
        let share = |count: u64| count as f64 / traffic.requests.total().max(1) as f64;
        AdviceFigures {
            unwaited: of_site.unwrap_or_default().unwaited().unwrap_or(0.0),
            origin_requests: origin.requests(),
            waits: WaitShares {
                not_stored: share(waits.not_stored),
                first: share(waits.first),
                expired: share(waits.expired),
                failed: share(waits.failed),
            },
        }
    }

    fn is_better_than(self, before: AdviceFigures) -> bool {
        let rise = self.unwaited - before.unwaited;
        let origin = self.origin_change(before);
        (rise >= LEAST_RISE && origin <= MOST_RISE_OF_ORIGIN)
            || (origin <= -LEAST_FALL && rise > -LEAST_RISE)
    }

    /// By which share the requests to the origin rise.
    fn origin_change(self, before: AdviceFigures) -> f64 {
        self.origin_requests as f64 / before.origin_requests.max(1) as f64 - 1.0
    }
}

impl AdviceReport {
    fn text(&self) -> String {
        let mut text = String::new();
        // A string takes all that is written to it.
        let _ = writeln!(
            text,
            "{} requests of {}. No wait: {:.1} % as it is, {:.1} % with what helps. Origin: {} and {} requests.",
            self.requests,
            self.site,
            100.0 * self.before.unwaited,
            100.0 * self.after.unwaited,
            self.before.origin_requests,
            self.after.origin_requests
        );
        for warning in &self.warnings {
            let _ = writeln!(text, "warning: {warning}");
        }
        for item in &self.proposals {
            let gain = match (item.figures, &item.refused) {
                (None, None) => {
                    format!("not written here: {}", EditRefusal::Elsewhere)
                }
                (_, Some(error)) => format!("left out, {error}"),
                (Some(figures), None) => format!(
                    "{}: no wait {:+.2} points, origin {:+.1} %",
                    if item.helps { "helps" } else { "left out" },
                    100.0 * (figures.unwaited - self.before.unwaited),
                    100.0 * figures.origin_change(self.before)
                ),
            };
            let _ = write!(text, "\n{}\n  {}\n  {gain}\n", item.title, item.reason);
        }
        self.write_bounds(&mut text);
        for (pattern, share) in &self.restless {
            let _ = writeln!(
                text,
                "  {pattern}, {:.1} % of all, changes so often that 15 s are too long",
                100.0 * share
            );
        }
        if self.not_plain > 0.0 {
            let _ = writeln!(
                text,
                "{:.1} % of the requests were not studied: their paths are long, or have signs that mean something in a configuration.",
                100.0 * self.not_plain
            );
        }
        if !self.difference.is_empty() {
            let _ = write!(text, "\n{}", self.difference);
        }
        text
    }

    /// Says why visitors still wait, and what no lifetime changes.
    fn write_bounds(&self, text: &mut String) {
        let waits = self.after.waits;
        let most = 1.0 - waits.not_stored - waits.first - waits.failed;
        let _ = write!(
            text,
            "\nWhat bounds it: with what helps, {:.1} % of the requests still wait.\n\
            \x20 {:.1} %: the answer is not stored (private, other methods, passed, an error of the site)\n\
            \x20 {:.1} %: nothing is stored for the page and the variant, not yet or not any more\n\
            \x20 {:.1} %: what is stored has expired, and its stale window too\n\
            \x20 {:.1} %: the answer is an error of the edge\n\
            Lifetimes and stale windows change the third only: they bring {:.1} % without a wait at most. More needs warming, memory, fewer variants, or answers that may be stored.\n",
            100.0 * (1.0 - self.after.unwaited),
            100.0 * waits.not_stored,
            100.0 * waits.first,
            100.0 * waits.expired,
            100.0 * waits.failed,
            100.0 * most,
        );
    }
}
