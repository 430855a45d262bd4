//! `tero simulate`: the forecast of a configuration over an access log, without a server.

mod changes;

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::Args;

use super::compile::compiler;
use super::config_args::ConfigArgs;
use super::log_args::LogArgs;
use super::serve::with_causes;
use super::{colours, fail, print, print_json, report as mistakes, used_wrongly};
use changes::{checked, with_memory, with_module};
use tero_config::Config;
use tero_control::rehearsal::EdgeRehearsal;
use tero_control::rollout::shelf::VersionShelf;
use tero_policy_host::check::check_file;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;
use tero_time::zones;
use tero_tools::replay::log::{LogOptions, LogReader};
use tero_tools::replay::record::{BadLine, LogRecord};
use tero_tools::replay::simulate::report::report;
use tero_tools::replay::simulate::text::tables;
use tero_tools::replay::simulate::{
    Simulation, SimulationError, SimulationProgress, SimulationSettings, page, simulate,
};

const EXAMPLE: &str = "\
Examples:
  tero simulate --log access.log            what ./tero.toml would do
  tero simulate shop.toml --log logs/*.gz --html forecast.html
  tero simulate --log access.log --against new.toml
  tero simulate --log access.log --policy hours=new.wasm --without-warming
  tero simulate --log access.log --base hours=3 --policy hours=4
  tero simulate --log access.log --memory 256MiB,1GiB,4GiB --curve
  tero simulate --log access.log --assume 'cache-control=/img/*: max-age=600'

The edge's own decisions, keys, freshness, collapsing, stale windows,
revalidation, warming plans and eviction are rehearsed over the log, with the
time of the log as the clock. Nothing is sent anywhere. What a log doesn't tell
is assumed; the report names each assumption, and how to state it otherwise.
A difference that is more than noise is marked with *.

Exit code: 0 for success, 1 if nothing can be simulated, 2 if the command is
used wrongly.";

/// The memory that holds everything: for the curve, nothing may be evicted.
const NO_BOUND: u64 = 1 << 42;

/// Forecasts hit rate and load of the origin: rehearses an access log
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct SimulateCommand {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    log: LogArgs,
    /// Another configuration to compare with
    #[arg(long, value_name = "FILE")]
    against: Vec<PathBuf>,
    /// Compares with another module of a policy: a file, builtin:NAME, or a version in the state
    /// directory by its number or digest; may be repeated
    #[arg(long, value_name = "NAME=MODULE")]
    policy: Vec<String>,
    /// The module of a policy in the simulation that others are compared with; may be repeated
    #[arg(long, value_name = "NAME=MODULE")]
    base: Vec<String>,
    /// Takes the versions that decide from the state directory, as the edge does
    #[arg(long)]
    state: bool,
    /// Compares with the same without warming plans
    #[arg(long)]
    without_warming: bool,
    /// Compares with the same in other sizes of `cache.memory`
    #[arg(long, value_name = "SIZE", value_delimiter = ',')]
    memory: Vec<String>,
    /// Tells the hit rate for every size of the memory
    #[arg(long)]
    curve: bool,
    /// The local hour in which the site opens: 0 to 23 [default: when requests rise most]
    #[arg(long, value_name = "HOUR")]
    opening: Option<u8>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
    /// Writes a page with charts
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// One way in which the log is rehearsed.
struct Scenario {
    name: String,
    config: Config,
    with_plans: bool,
}

impl SimulateCommand {
    pub(super) fn run(self) -> ExitCode {
        if self.opening.is_some_and(|hour| hour > 23) {
            return used_wrongly("--opening is an hour from 0 to 23");
        }
        let scenarios = match self.scenarios() {
            Ok(scenarios) => scenarios,
            Err(exit) => return exit,
        };
        let base = &scenarios[0].config;
        match zones::choose(&base.time.zoneinfo, &Clock::real()) {
            Ok(zone_data) => zone_data.install(),
            Err(error) => return fail(&error.to_string()),
        };
        let (settings, options) = match self.settings(base) {
            Ok(settings) => settings,
            Err(message) => return used_wrongly(&message),
        };
        if scenarios.len() + usize::from(self.curve) > 1 && self.log.has_standard_input() {
            return used_wrongly(
                "standard input is read once: only one simulation can be made of it",
            );
        }
        let mut results = Vec::new();
        let count = scenarios.len() + usize::from(self.curve);
        for (number, scenario) in scenarios.iter().enumerate() {
            let title = format!("{} of {count}: {}", number + 1, scenario.name);
            match self.simulate(scenario, &settings, options.clone(), &title) {
                Ok(simulation) => results.push((scenario.name.clone(), simulation)),
                Err(message) => return fail(&message),
            }
        }
        let curve = match self
            .curve
            .then(|| self.curve(&scenarios[0], &settings, options))
        {
            None => None,
            Some(Ok(curve)) => Some(curve),
            Some(Err(message)) => return fail(&message),
        };
        if let (Some((_, first)), Some(with_curve)) = (results.first_mut(), curve) {
            first.curve = with_curve.curve;
        }
        let report = report(&results, &settings.assumptions, self.opening);
        let printed = match self.json {
            true => print_json(&report),
            false => print(&tables(&report)),
        };
        // The figures are not lost if the page can't be written.
        if let Some(path) = &self.html
            && let Err(error) = std::fs::write(path, page(&report))
        {
            return fail(&format!("can't write {}: {error}", path.display()));
        }
        printed
    }

    /// The configuration, and what it is compared with.
    fn scenarios(&self) -> Result<Vec<Scenario>, ExitCode> {
        let load = |path: &std::path::Path| match check_file(path, &compiler()) {
            Ok(config) => Ok(config),
            Err(errors) => {
                let _ = write!(io::stderr(), "{}", mistakes::report(&errors, colours()));
                Err(ExitCode::FAILURE)
            }
        };
        let file = load(self.config.path())?;
        let (name, base) = self.base(&file)?;
        let scenario = |name: String, config: Config| Scenario {
            name,
            config,
            with_plans: true,
        };
        let mut all = vec![scenario(name, base.clone())];
        for path in &self.against {
            all.push(scenario(path.display().to_string(), load(path)?));
        }
        for change in &self.policy {
            let config = with_module(base.clone(), &file, change)
                .and_then(checked)
                .map_err(|problem| used_wrongly(&format!("--policy {change}: {problem}")))?;
            all.push(scenario(change.clone(), config));
        }
        for size in &self.memory {
            let config = with_memory(base.clone(), size)
                .map_err(|problem| used_wrongly(&format!("--memory {size}: {problem}")))?;
            all.push(scenario(format!("memory {size}"), config));
        }
        if self.without_warming {
            all.push(Scenario {
                with_plans: false,
                ..scenario("without warming".to_owned(), base)
            });
        }
        Ok(all)
    }

    /// The configuration that the others are compared with, and its name.
    fn base(&self, file: &Config) -> Result<(String, Config), ExitCode> {
        let mut name = file.file.to_string();
        let mut base = file.clone();
        if self.state {
            let shelf = VersionShelf::of(file)
                .ok_or_else(|| used_wrongly("--state: the configuration has no state directory"))?;
            base = shelf
                .deciding()
                .map_err(|error| fail(&with_causes(&error)))?;
            name.push_str(" with its state directory");
        }
        for change in &self.base {
            base = with_module(base, file, change)
                .map_err(|problem| used_wrongly(&format!("--base {change}: {problem}")))?;
            name = format!("{name}, {change}");
        }
        // Together: one change may need the other.
        if !self.base.is_empty() {
            base = checked(base).map_err(|problem| {
                used_wrongly(&format!("--base {}: {problem}", self.base.join(", ")))
            })?;
        }
        Ok((name, base))
    }

    /// How the log is read and rehearsed.
    fn settings(&self, config: &Config) -> Result<(SimulationSettings, LogOptions), String> {
        let is_compared = !(self.against.is_empty() && self.policy.is_empty())
            || self.without_warming
            || !self.memory.is_empty();
        let settings = SimulationSettings {
            assumptions: self.log.assumptions(config)?,
            curve: false,
            by_url: is_compared,
        };
        Ok((settings, self.log.options()?))
    }

    /// The simulation in which nothing is evicted, for the curve.
    fn curve(
        &self,
        base: &Scenario,
        settings: &SimulationSettings,
        options: LogOptions,
    ) -> Result<Simulation, String> {
        let mut config = base.config.clone();
        config.cache.memory = NO_BOUND;
        let scenario = Scenario {
            name: "curve".to_owned(),
            config,
            with_plans: base.with_plans,
        };
        let settings = SimulationSettings {
            curve: true,
            by_url: false,
            ..settings.clone()
        };
        self.simulate(&scenario, &settings, options, "the curve")
    }

    fn simulate(
        &self,
        scenario: &Scenario,
        settings: &SimulationSettings,
        options: LogOptions,
        title: &str,
    ) -> Result<Simulation, String> {
        let read = Rc::new(Cell::new(None));
        let mut records = WatchedLog {
            reader: self.log.open(options)?,
            read: Rc::clone(&read),
        };
        let mut progress = ProgressBar::new(title, read);
        let stage = |begin, world| {
            let (config, with_plans) = (&scenario.config, scenario.with_plans);
            EdgeRehearsal::boxed(config, &compiler(), begin, world, with_plans)
        };
        // What plans and origins do on a real edge is worth a line in its log. Here it isn't real.
        let quiet = tracing::subscriber::NoSubscriber::default();
        let simulation = tracing::subscriber::with_default(quiet, || {
            simulate(&mut records, settings, stage, &mut |so_far| {
                progress.tell(so_far)
            })
        });
        progress.clear();
        let report = records.reader.report();
        let mut simulation = simulation.map_err(|error| match error {
            SimulationError::Empty(_) => report.emptiness(),
            error => with_causes(&error),
        })?;
        simulation.log.take_report(report);
        Ok(simulation)
    }
}

/// A log that tells how much of it was read.
struct WatchedLog {
    reader: LogReader<'static>,
    read: Rc<Cell<Option<(u64, u64)>>>,
}

impl Iterator for WatchedLog {
    type Item = Result<LogRecord, BadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.reader.next();
        self.read.set(self.reader.progress());
        next
    }
}

/// Says on a terminal how far a simulation is, and how long it will take.
struct ProgressBar<'t> {
    title: &'t str,
    read: Rc<Cell<Option<(u64, u64)>>>,
    began: Timestamp,
    told: Timestamp,
    is_shown: bool,
}

impl ProgressBar<'_> {
    fn new(title: &str, read: Rc<Cell<Option<(u64, u64)>>>) -> ProgressBar<'_> {
        let began = Clock::real().now();
        ProgressBar {
            title,
            read,
            began,
            told: began,
            is_shown: io::stderr().is_terminal(),
        }
    }

    fn tell(&mut self, so_far: SimulationProgress) {
        let now = Clock::real().now();
        if !self.is_shown || now.since(self.told).as_millis() < 200 {
            return;
        }
        self.told = now;
        let took = now.since(self.began);
        let line = progress_line(self.title, so_far.requests, self.read.get(), took);
        let _ = write!(io::stderr(), "\r\x1b[K{line}");
    }

    fn clear(&self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// A bar of 20 places, the share of the log that was read, and the seconds that are left.
fn progress_line(title: &str, requests: u64, read: Option<(u64, u64)>, took: Duration) -> String {
    let mut line = format!("{title}  {requests} requests");
    if let Some((read, total)) = read.filter(|(_, total)| *total > 0) {
        let done = usize::try_from(read * 20 / total).unwrap_or(20).min(20);
        let _ = write!(
            line,
            "  [{}{}] {} %",
            "#".repeat(done),
            ".".repeat(20 - done),
            read * 100 / total
        );
        if read > 0 {
            let left = took.as_secs_f64() * total.saturating_sub(read) as f64 / read as f64;
            let _ = write!(line, ", {:.0} s left", left.ceil());
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_how_long_it_will_take() {
        assert_eq!(
            progress_line("1 of 2: a", 500, Some((25, 100)), Duration::from_secs(3)),
            "1 of 2: a  500 requests  [#####...............] 25 %, 9 s left"
        );
        assert_eq!(progress_line("a", 5, None, Duration::ZERO), "a  5 requests");
        assert_eq!(
            progress_line("a", 5, Some((0, 0)), Duration::ZERO),
            "a  5 requests"
        );
        assert_eq!(
            progress_line("a", 5, Some((10, 100)), Duration::from_millis(100)),
            "a  5 requests  [##..................] 10 %, 1 s left"
        );
    }
}
