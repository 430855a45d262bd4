//! `tero policy test`: runs the cases of policies, without a server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use comfy_table::CellAlignment;
use serde::Serialize;

use super::fuzz::{read_log, source_of};
use super::{desk, watch};
use crate::cli::shown::table;
use crate::cli::{colours, fail, print, print_json, report, used_wrongly};
use tero_config::{ConfigError, ConfigErrors, ModuleSource};
use tero_policy_host::Host;
use tero_policy_host::cases::{CaseOutcome, Cases, CasesReport, keys};
use tero_tools::fuzz::coverage::{CoverageReport, coverage};

const EXAMPLE: &str = "\
Examples:
  tero policy test                               all cases of this folder
  tero policy test cases.toml --max-fuel 200000  no answer may cost more
  tero policy test cases.toml --module new.wasm  another module
  tero policy test --watch                       again when a file changes
  tero policy test --coverage                    rules that no case reaches
  tero policy test --json cases.toml | jq '.files[].outcomes[]'
  tero policy test --keys                        the reference of all keys

A unit of fuel is about one instruction of WebAssembly. Fuel is the same on
every machine; time is not. Exit code: 0 if every case has passed, 1 if not, 2
if the command is used wrongly.";

/// Runs the cases of policies without a server, and shows unexpected answers
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct TestCommand {
    /// Files of cases, or folders with such files
    #[arg(default_value = ".", value_name = "FILE.toml|DIR")]
    paths: Vec<PathBuf>,
    /// The most fuel that an answer may take
    #[arg(long, value_name = "FUEL")]
    max_fuel: Option<u64>,
    /// A module in place of the one that the files name
    #[arg(long, value_name = "FILE.wasm")]
    module: Option<PathBuf>,
    /// Shows which rules of the policy no case reaches, by the reasons that it gives to made-up
    /// questions
    #[arg(long, conflicts_with = "keys")]
    coverage: bool,
    /// An access log, whose requests --coverage asks about too
    #[arg(long, value_name = "FILE", requires = "coverage")]
    log: Option<PathBuf>,
    /// Runs the cases again whenever a file changes: the cases, the module, its settings, its
    /// calendar, its tables
    #[arg(long, conflicts_with_all = ["json", "keys"])]
    watch: bool,
    /// Prints the result as JSON
    #[arg(long)]
    json: bool,
    /// Prints the reference of all keys as Markdown
    #[arg(long, conflicts_with = "json")]
    keys: bool,
}

impl TestCommand {
    pub(super) fn run(self) -> ExitCode {
        if self.keys {
            return print(&keys::reference());
        }
        let files = match self.files() {
            Ok(files) => files,
            Err(message) => return used_wrongly(&message),
        };
        let host = match desk() {
            Ok(host) => host,
            Err(error) => return fail(&error.to_string()),
        };
        if self.watch {
            let run = || self.show(&self.results(&host, &files));
            return watch::watch(|| self.watched(&files), run);
        }
        let results = self.results(&host, &files);
        let shown = if self.json {
            print_json(&TestReport::of(&results))
        } else {
            self.show(&results)
        };
        if results.iter().all(has_passed) {
            shown
        } else {
            ExitCode::FAILURE
        }
    }

    fn results(&self, host: &Host, files: &[PathBuf]) -> Vec<Result<TestedFile, ConfigErrors>> {
        files.iter().map(|file| self.tested(host, file)).collect()
    }

    fn tested(&self, host: &Host, file: &Path) -> Result<TestedFile, ConfigErrors> {
        let cases = Cases::load(file, self.module.clone().map(ModuleSource::File))?;
        let report = cases.run(host, self.max_fuel)?;
        let coverage = self.coverage.then(|| {
            let mut source = source_of(&cases);
            if let Some(log) = &self.log
                && let Err(message) = read_log(&mut source, log)
            {
                eprintln!("tero: {message}");
            }
            let policy = cases.load_policy(host)?;
            let (questions, seed) = (COVERAGE_QUESTIONS, COVERAGE_SEED);
            let trial = cases.trial(&policy);
            Ok(coverage(&policy, trial, &report, source, questions, seed))
        });
        Ok(TestedFile {
            report,
            coverage: coverage.transpose()?,
        })
    }

    /// The files whose changes make the cases run again.
    fn watched(&self, files: &[PathBuf]) -> Vec<PathBuf> {
        let mut watched = files.to_vec();
        watched.extend(self.module.clone());
        for file in files {
            if let Ok(cases) = Cases::load(file, None) {
                watched.extend(cases.files());
            }
        }
        watched
    }

    /// The files that the arguments name; those of a folder are sorted by name.
    fn files(&self) -> Result<Vec<PathBuf>, String> {
        let mut files = Vec::new();
        for path in &self.paths {
            if !path.is_dir() {
                files.push(path.clone());
                continue;
            }
            let mut found = cases_in(path)?;
            if found.is_empty() {
                return Err(format!(
                    "{}: no cases.toml and no *.cases.toml in this folder",
                    path.display()
                ));
            }
            files.append(&mut found);
        }
        Ok(files)
    }

    fn show(&self, results: &[Result<TestedFile, ConfigErrors>]) -> ExitCode {
        let mut out = String::new();
        for result in results {
            match result {
                Ok(TestedFile { report, coverage }) => {
                    out.push_str(&tables(report));
                    if let Some(coverage) = coverage {
                        out.push_str(&uncovered(coverage));
                    }
                }
                Err(errors) => eprint!("{}", report::report(errors, colours())),
            }
        }
        print(&out)
    }
}

fn cases_in(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries =
        std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let is_cases = |path: &Path| {
        path.file_name().is_some_and(|name| {
            name == "cases.toml" || name.to_string_lossy().ends_with(".cases.toml")
        })
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| is_cases(path))
        .collect();
    files.sort_unstable();
    // A user would not write `./cases.toml`.
    Ok(files
        .into_iter()
        .map(|file| file.strip_prefix(".").map(Path::to_owned).unwrap_or(file))
        .collect())
}

/// The result, for JSON.
#[derive(Serialize)]
struct TestReport<'a> {
    passed: bool,
    files: Vec<FileReport<'a>>,
}

/// The result of a file.
#[derive(Serialize)]
#[serde(untagged)]
enum FileReport<'a> {
    Cases(&'a TestedFile),
    Mistakes { errors: &'a [ConfigError] },
}

impl TestReport<'_> {
    fn of(results: &[Result<TestedFile, ConfigErrors>]) -> TestReport<'_> {
        let files = results.iter().map(|result| match result {
            Ok(report) => FileReport::Cases(report),
            Err(errors) => FileReport::Mistakes {
                errors: &errors.errors,
            },
        });
        TestReport {
            passed: results.iter().all(has_passed),
            files: files.collect(),
        }
    }
}

fn has_passed(result: &Result<TestedFile, ConfigErrors>) -> bool {
    result
        .as_ref()
        .is_ok_and(|tested| tested.report.has_passed())
}

/// How many questions `--coverage` makes up.
const COVERAGE_QUESTIONS: u64 = 5_000;
const COVERAGE_SEED: u64 = 1;

/// The outcomes of a file, and what they cover.
#[derive(Serialize)]
struct TestedFile {
    #[serde(flatten)]
    report: CasesReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<CoverageReport>,
}

/// The rules with how many cases reach them, and a case for each that none reaches.
fn uncovered(coverage: &CoverageReport) -> String {
    let mut table = table();
    table.set_header(["hook", "rule, by its reason", "cases", "questions"]);
    for rule in &coverage.rules {
        let (cases, questions) = (rule.cases.to_string(), rule.questions.to_string());
        table.add_row([rule.hook, &rule.reason, &cases, &questions]);
    }
    let missing: Vec<&str> = (coverage.rules.iter())
        .filter_map(|rule| rule.case.as_deref())
        .collect();
    let mut out = format!("{table}\n");
    if coverage.without_reason > 0 {
        out.push_str(&format!(
            "{} of {} answers gave no reason: rules without one can't be told apart\n",
            coverage.without_reason, coverage.questions
        ));
    }
    out.push_str(&match missing.as_slice() {
        [] => "the cases reach every rule that was found\n\n".to_owned(),
        missing => format!(
            "{} of {} rules are reached by no case. Cases that reach them:\n\n{}\n",
            missing.len(),
            coverage.rules.len(),
            missing.join("\n")
        ),
    });
    out
}

/// A line for each question, then the unexpected answers, then how many passed.
fn tables(report: &CasesReport) -> String {
    let mut table = table();
    table.set_header(["", "case", "hook", "fuel", "time"]);
    for outcome in &report.outcomes {
        let mark = if outcome.problems.is_empty() {
            "ok"
        } else {
            "FAILED"
        };
        let (fuel, time) = (
            outcome.fuel.to_string(),
            format!("{:.1} µs", outcome.micros),
        );
        table.add_row([mark, &outcome.case, outcome.hook.as_str(), &fuel, &time]);
    }
    for column in [3, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let failed: Vec<&CaseOutcome> = report
        .outcomes
        .iter()
        .filter(|outcome| !outcome.problems.is_empty())
        .collect();
    let mut out = format!("{}\n{table}\n", report.file);
    for outcome in &failed {
        out.push_str(&problems(&report.file, outcome));
    }
    let (all, passed) = (report.outcomes.len(), report.outcomes.len() - failed.len());
    out.push_str(&format!("{passed} passed, {} failed\n\n", all - passed));
    out
}

fn problems(file: &str, outcome: &CaseOutcome) -> String {
    let mut table = table();
    table.set_header(["field", "expected", "got"]);
    for problem in &outcome.problems {
        table.add_row([&problem.field, &problem.expected, &problem.got]);
    }
    format!(
        "{file}:{}: {} ({})\n{table}\n",
        outcome.line,
        outcome.case,
        outcome.hook.as_str()
    )
}
