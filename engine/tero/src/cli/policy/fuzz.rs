//! `tero policy fuzz`: asks a policy many made-up questions, without a server.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use comfy_table::CellAlignment;

use super::desk;
use super::inspect::policy_of;
use crate::cli::shown::table;
use crate::cli::{colours, fail, print, print_json, report, used_wrongly};
use tero_config::{ModuleSource, calendars};
use tero_policy_host::cases::Cases;
use tero_policy_host::{Host, Policy, Trial};
use tero_tools::fuzz::{Defect, FuzzReport, FuzzSettings, QuestionSource, add_log, fuzz};

const EXAMPLE: &str = "\
Examples:
  tero policy fuzz                              the policy of cases.toml
  tero policy fuzz cases.toml --log access.log  and the requests of a log
  tero policy fuzz hours.wasm --settings hours.json --questions 1000000
  tero policy fuzz --max-fuel 200000 --json | jq .defects

The questions are made from the manifest, the settings, the cases and the log:
ordinary ones, odd ones, and ones at the edges of what HTTP allows. Each goes
to a fresh instance and to a used one, and some are asked again later. A defect
is shown with its first question as a case, to be kept in cases.toml. The same
seed makes the same questions.

Exit code: 0 if there is no defect, 1 if there is one, 2 if the command is used
wrongly.";

/// Asks a policy many made-up questions: traps, bad, impure and slow answers
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct FuzzCommand {
    /// A file of cases, which names the policy; or a module, or builtin:NAME
    #[arg(default_value = "cases.toml", value_name = "FILE.toml|FILE.wasm")]
    policy: String,
    /// A module in place of the one that the file of cases names
    #[arg(long, value_name = "FILE.wasm")]
    module: Option<PathBuf>,
    /// Settings of a module: JSON, or a JSON file [default: {}]
    #[arg(long, value_name = "JSON|FILE")]
    settings: Option<String>,
    /// The holidays for a module: builtin:argentina, or a calendar file
    #[arg(long, value_name = "CALENDAR")]
    calendar: Option<String>,
    /// An access log, whose requests are asked about too
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// How many questions are asked
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    questions: u64,
    /// The seed of the questions
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The most fuel that an answer may take
    #[arg(long, value_name = "FUEL")]
    max_fuel: Option<u64>,
    /// Prints the result as JSON
    #[arg(long)]
    json: bool,
}

impl FuzzCommand {
    pub(super) fn run(self) -> ExitCode {
        let host = match desk() {
            Ok(host) => host,
            Err(error) => return fail(&error.to_string()),
        };
        let (policy, trial, mut source) = match self.policy(&host) {
            Ok(loaded) => loaded,
            Err(code) => return code,
        };
        if let Some(path) = &self.log
            && let Err(message) = read_log(&mut source, path)
        {
            return used_wrongly(&message);
        }
        let settings = FuzzSettings {
            questions: self.questions,
            seed: self.seed,
            max_fuel: self.max_fuel,
        };
        let mut progress = Progress::of(self.questions);
        let found = fuzz(&policy, trial, source, settings, |asked| {
            progress.tell(asked)
        });
        progress.end();
        let shown = if self.json {
            print_json(&found)
        } else {
            print(&words(&found))
        };
        if found.questions == 0 {
            return fail("the policy answers no hook, so there is nothing to ask");
        }
        if found.defects.is_empty() {
            shown
        } else {
            ExitCode::FAILURE
        }
    }

    fn policy(&self, host: &Host) -> Result<(Arc<Policy>, Trial, QuestionSource), ExitCode> {
        if Path::new(&self.policy)
            .extension()
            .is_some_and(|it| it == "toml")
        {
            if self.settings.is_some() || self.calendar.is_some() {
                return Err(used_wrongly(
                    "--settings and --calendar are for a module: a file of cases has its own",
                ));
            }
            let module = self.module.clone().map(ModuleSource::File);
            let read = Cases::load(Path::new(&self.policy), module).and_then(|cases| {
                let policy = cases.load_policy(host)?;
                let trial = cases.trial(&policy);
                Ok((policy, trial, source_of(&cases)))
            });
            return read.map_err(|errors| {
                eprint!("{}", report::report(&errors, colours()));
                ExitCode::from(2)
            });
        }
        if self.module.is_some() {
            return Err(used_wrongly("--module is for a file of cases"));
        }
        let mut config = policy_of(&self.policy, self.settings.as_deref())
            .map_err(|message| used_wrongly(&message))?;
        config.calendar = self.calendar.as_deref().map(calendars::source);
        let source = QuestionSource::of_settings(&config.settings);
        let policy = host
            .load(&config)
            .map_err(|error| used_wrongly(&error.to_string()))?;
        let trial = Trial::new(Arc::clone(&policy));
        Ok((policy, trial, source))
    }
}

/// What questions about the policy of these cases are made of.
pub(super) fn source_of(cases: &Cases) -> QuestionSource {
    let mut source = QuestionSource::of_settings(&cases.policy.settings);
    source.add_cases(cases.seeds());
    source
}

/// Adds the requests of an access log.
pub(super) fn read_log(source: &mut QuestionSource, path: &Path) -> Result<(), String> {
    let unreadable = |error: io::Error| format!("can't read {}: {error}", path.display());
    let log = File::open(path).map_err(unreadable)?;
    let lines = add_log(source, BufReader::new(log)).map_err(unreadable)?;
    if lines > 0 {
        eprintln!(
            "tero: {lines} lines of {} are in no known format",
            path.display()
        );
    }
    Ok(())
}

/// How far the questions are, on a terminal.
struct Progress {
    all: u64,
    next: u64,
    shows: bool,
}

impl Progress {
    const EVERY: u64 = 1_000;

    fn of(all: u64) -> Progress {
        Progress {
            all,
            next: Progress::EVERY,
            shows: io::stderr().is_terminal(),
        }
    }

    fn tell(&mut self, asked: u64) {
        if self.shows && asked >= self.next {
            self.next = asked + Progress::EVERY;
            let _ = write!(io::stderr(), "\r{asked} of {} questions", self.all);
        }
    }

    fn end(&self) {
        if self.shows {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn words(found: &FuzzReport) -> String {
    let mut table = table();
    table.set_header(["hook", "questions", "fuel: median", "of 99 %", "most"]);
    for (hook, fuel) in &found.fuel {
        let figures = [fuel.questions, fuel.median, fuel.p99, fuel.max].map(|it| it.to_string());
        let [questions, median, p99, max] = &figures;
        table.add_row([*hook, questions, median, p99, max]);
    }
    for column in 1..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = format!("{table}\n");
    for defect in &found.defects {
        text.push_str(&of_defect(defect));
    }
    text.push_str(&format!(
        "{} questions (seed {}), {}\n",
        found.questions,
        found.seed,
        match found.defects.len() {
            0 => "no defect".to_owned(),
            1 => "1 defect".to_owned(),
            count => format!("{count} defects"),
        }
    ));
    text
}

fn of_defect(defect: &Defect) -> String {
    format!(
        "\n{} in {}, {} times: {}\n\n{}\n",
        defect.kind.as_str(),
        defect.hook,
        defect.count,
        defect.reason,
        defect.case
    )
}
