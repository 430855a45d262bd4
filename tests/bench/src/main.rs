//! Measures what tero costs, side by side with its peers and with the floors below them: each is a
//! memory cache in front of the same origin, on the same core, in turns. It also counts the
//! instructions of a hit, which other load on the machine does not change.

mod admin;
mod cases;
mod certificates;
mod client;
mod disk;
mod edge;
mod floors;
mod handshakes;
mod instructions;
mod load;
mod memory;
mod origin;
mod pace;
mod policies;
mod process;
mod report;
mod scale;
mod servers;
mod startup;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use cases::{Case, Kind};
use floors::Answer;
use handshakes::Handshakes;
use load::{Load, Over};
use origin::Origin;
use pace::Pace;
use report::{Report, Sample};
use servers::{Running, Server, Start};

/// Runs tero and its peers side by side, and compares what they cost.
#[derive(Debug, Parser)]
#[command(name = "tero-bench", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Measure>,
    #[command(flatten)]
    arguments: Arguments,
}

const EXAMPLES: &str = "\
Examples:
  cargo run --release -p tero-bench                                   the usual cases, on all installed servers
  cargo run --release -p tero-bench -- --cases all --rounds 5 --json docs/benchmark.json
  cargo run --release -p tero-bench -- --only tero,nginx --cases hit-1k --compare docs/benchmark.json
  cargo run --release -p tero-bench -- table docs/benchmark.json
  cargo run --release -p tero-bench -- instructions --top 30          where the instructions of a hit go
  cargo run --release -p tero-bench -- memory --budget-mib 1024
  cargo run --release -p tero-bench -- policies --javascript JS.wasm --python PY.wasm
  cargo run --release -p tero-bench -- edge --rounds 9                TLS, HTTP/2, compression
  cargo run --release -p tero-bench -- scale --entries 10000000       ten million entries, 10 GB
  cargo run --release -p tero-bench -- disk --sizes 1,100             hits that a disk answers";

#[derive(Debug, Subcommand)]
enum Measure {
    /// Counts the instructions of a hit with callgrind, and fails if there are over 5 % more than
    /// saved.
    Instructions(instructions::Arguments),
    /// Measures memory beyond the stored bodies, beside the peers, and whether the limit holds
    /// while entries come and go.
    Memory(memory::Arguments),
    /// Measures what policies cost a hit, by language and number, beside a site without policies on
    /// the same server.
    Policies(policies::Arguments),
    /// Measures hits with more entries and sites, and what a purge of many entries costs other
    /// requests.
    Scale(scale::Arguments),
    /// Measures TLS, HTTP/2 and compressed hits beside nginx and HAProxy.
    Edge(edge::Arguments),
    /// Measures hits that a disk answers, beside nginx, Traffic Server and hits in memory.
    Disk(disk::Arguments),
    /// Prints the table of a report that `--json` wrote.
    Table { report: PathBuf },
    /// Serves a constant answer.
    #[command(hide = true)]
    Floor {
        server: Server,
        port: u16,
        #[command(flatten)]
        answer: floors::Answer,
    },
    /// Opens TLS connections for a request each, and prints their number as JSON.
    #[command(hide = true)]
    Handshakes(Handshakes),
    /// Sends requests at a steady rate, and prints the latencies as JSON.
    #[command(hide = true)]
    AtRate(Pace),
}

#[derive(Debug, clap::Args)]
struct Arguments {
    /// Which servers [default: all that are installed].
    #[arg(long, value_delimiter = ',')]
    only: Vec<Server>,
    /// Which cases, or `all` [default: hit-1k, hit-100k, not-modified, miss, half-load].
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// How long each measurement takes, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// How often each server is measured; medians are reported.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// The core that the server is pinned to.
    #[arg(long, default_value_t = 0)]
    server_core: u32,
    /// The core that the load is pinned to.
    #[arg(long, default_value_t = 1)]
    load_core: u32,
    /// The tero binary [default: built with `cargo build --profile dist`].
    #[arg(long)]
    tero: Option<PathBuf>,
    /// The component of a project made by `tero policy new NAME --language javascript`, for
    /// tero-javascript.
    #[arg(long)]
    javascript: Option<PathBuf>,
    /// The component of a project with `--language python`, for tero-python.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Another build of tero to compare with, measured as tero-other.
    #[arg(long)]
    other: Option<PathBuf>,
    /// Also writes the report as JSON. Cases in the file that are not measured now stay in it.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Compares with the report of an earlier run.
    #[arg(long)]
    compare: Option<PathBuf>,
}

fn main() -> ExitCode {
    let CommandLine { command, arguments } = CommandLine::parse();
    process::stop_all_on_signal();
    let done = match command {
        None => run(&arguments),
        Some(Measure::Instructions(arguments)) => instructions::run(&arguments),
        Some(Measure::Memory(arguments)) => memory::run(&arguments),
        Some(Measure::Policies(arguments)) => policies::run(&arguments),
        Some(Measure::Scale(arguments)) => scale::run(&arguments),
        Some(Measure::Edge(arguments)) => edge::run(&arguments),
        Some(Measure::Disk(arguments)) => disk::run(&arguments),
        Some(Measure::Handshakes(handshakes)) => {
            handshakes.run().map(|result| println!("{result}"))
        }
        Some(Measure::Table { report }) => {
            read_report(&report).map(|report| println!("{}", report::table(&report)))
        }
        Some(Measure::Floor {
            server: Server::Epoll,
            port,
            answer,
        }) => floors::epoll(port, answer).map_err(|error| error.to_string()),
        Some(Measure::Floor { port, answer, .. }) => {
            floors::hyper(port, answer).map_err(|error| error.to_string())
        }
        Some(Measure::AtRate(pace)) => {
            pace::at_rate(&pace).map(|took| println!("{}", serde_json::json!(took)))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            process::stop_all();
            eprintln!("tero-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if arguments.server_core == arguments.load_core || cores < 2 {
        return Err(
            "the server and the load need a core each: see --server-core and --load-core"
                .to_owned(),
        );
    }
    load::installed()?;
    let cases = cases::chosen(&arguments.cases)?;
    let before = arguments.compare.as_ref().map(read_report).transpose()?;
    let earlier = arguments
        .json
        .as_ref()
        .filter(|path| path.exists())
        .map(read_report)
        .transpose()?;
    let origin = Origin::start().map_err(|error| format!("the origin did not start: {error}"))?;
    let wanted = arguments.only.is_empty() || arguments.only.iter().any(|server| server.is_tero());
    let tero = servers::tero_binary(arguments.tero.as_deref(), wanted, servers::PRODUCTION)?;
    let start = Start {
        javascript: arguments.javascript.as_deref(),
        python: arguments.python.as_deref(),
        other: arguments.other.as_deref(),
        core: arguments.server_core,
        ..Start::new(&tero, origin.port())
    };
    let servers = servers::installed(&arguments.only, &start)?;
    let mut report = Report::new(
        arguments,
        servers
            .iter()
            .map(|(server, version)| (*server, version.clone()))
            .collect(),
    );
    if servers.iter().any(|(server, _)| *server == Server::Tero) {
        report.started(startup::measure(&tero, 5, arguments.server_core)?);
    }
    for case in &cases {
        let floor = Answer {
            size: case.size,
            not_modified: case.kind == Kind::NotModified,
        };
        let start = Start {
            memory_mib: case.memory_mib,
            floor,
            ..start
        };
        for round in 0..arguments.rounds {
            // Each round begins with another server, so that drift affects all of them.
            for turn in 0..servers.len() {
                let (server, _) = servers[(turn + round as usize) % servers.len()];
                if server.is_floor() && !case.has_floors() {
                    continue;
                }
                let measured = servers::start(server, &start).and_then(|running| {
                    let sample = measure(server, &running, &origin, case, arguments, round);
                    if sample.is_err() {
                        eprint!("{}", running.last_words());
                    }
                    running.stop();
                    sample
                });
                match measured {
                    Ok(sample) => {
                        eprintln!(
                            "round {} of {}: {}",
                            round + 1,
                            arguments.rounds,
                            sample.line(server, case)
                        );
                        report.add(server, case, sample);
                    }
                    // The other servers are still measured.
                    Err(why) => {
                        eprintln!(
                            "round {} of {}: {} failed at {}: {why}",
                            round + 1,
                            arguments.rounds,
                            server.as_str(),
                            case.name
                        );
                        report.failed(server, case, why);
                    }
                }
            }
        }
    }
    println!("{}", report::table(&report.json(None)));
    if let Some(before) = &before {
        println!("{}", report.compared_with(before));
    }
    if let Some(path) = &arguments.json {
        let report = report.json(earlier.as_ref());
        std::fs::write(path, format!("{report:#}\n"))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    // A peer may fail a case; tero must not.
    report.failure_of_tero().map_or(Ok(()), Err)
}

fn read_report(path: &PathBuf) -> Result<serde_json::Value, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text)
        .map_err(|error| format!("{} is not a report: {error}", path.display()))
}

/// Makes one measurement: stores and checks the objects, then runs the load. If the case is about
/// hits, no request may reach the origin meanwhile.
fn measure(
    server: Server,
    running: &Running,
    origin: &Origin,
    case: &Case,
    arguments: &Arguments,
    round: u32,
) -> Result<Sample, String> {
    let check = || load::check_body(running.port, &case.path(), &case.size.body());
    let seed = format!("{}x{round}", server.as_str());
    let load = Load {
        port: running.port,
        case,
        core: arguments.load_core,
        seed: &seed,
        host: None,
        over: Over::Plain,
    };
    if case.objects() > 0 {
        client::fill(running.port, case.objects(), case.size)?;
    }
    if case.kind != Kind::Stampede && !server.is_floor() {
        for _ in 0..3 {
            check()?;
        }
    }
    let warm_up = if matches!(case.kind, Kind::Stampede) {
        None
    } else {
        let warming = Load {
            seed: &format!("w{seed}"),
            ..load
        };
        Some(warming.run(if case.kind == Kind::HalfLoad { 3 } else { 1 })?)
    };
    let asked_before = origin.requests();
    let cpu_before = process::cpu_ticks(running.pid());
    let result = match case.kind {
        Kind::Stampede => stampede(running, case)?,
        Kind::HalfLoad => {
            let saturated = warm_up.ok_or("no rate is known")?;
            at_half(
                running,
                case,
                arguments,
                saturated.requests as f64 / saturated.seconds,
            )?
        }
        Kind::Mixed if server.is_tero() => {
            scale::while_purging(running, || load.run(arguments.seconds))?
        }
        _ => load.run(arguments.seconds)?,
    };
    let cpu_ticks = process::cpu_ticks(running.pid()).saturating_sub(cpu_before);
    let asked = origin.requests() - asked_before;
    if !case.asks_origin() && asked > 0 {
        return Err(format!(
            "the origin was asked {asked} times: these are not hits"
        ));
    }
    if case.kind == Kind::Misses && asked < result.requests / 10 * 9 {
        return Err(format!(
            "the origin was asked {asked} times for {} requests: these are not misses",
            result.requests
        ));
    }
    if result.failed > 0 {
        return Err(format!("{} requests failed", result.failed));
    }
    check_sizes(case, &result)?;
    if !server.is_floor() {
        check()?;
    }
    Ok(Sample::new(&result, cpu_ticks, running.memory(), asked))
}

/// Checks that the responses had the length of the case.
fn check_sizes(case: &Case, result: &load::LoadResult) -> Result<(), String> {
    let each = result.bytes / result.requests;
    let body = case.size.bytes();
    let right = match case.kind {
        Kind::Stampede | Kind::HalfLoad => true,
        Kind::NotModified => each < body,
        Kind::Range => (1_000..10_000).contains(&each),
        _ => each >= body,
    };
    if right {
        Ok(())
    } else {
        Err(format!("answers of {each} bytes for bodies of {body}"))
    }
}

fn stampede(running: &Running, case: &Case) -> Result<load::LoadResult, String> {
    let came = client::stampede(
        running.port,
        &case.path(),
        case.connections,
        case.size.bytes(),
    )?;
    let micros = came.took.as_secs_f64() * 1e6;
    Ok(load::LoadResult {
        failed: came.failed,
        requests: u64::from(case.connections),
        ..load::LoadResult::of_latencies(&[micros], came.took.as_secs_f64())
    })
}

/// Sends half of `saturating` requests a second, from a process of its own on the core of the load.
fn at_half(
    running: &Running,
    case: &Case,
    arguments: &Arguments,
    saturating: f64,
) -> Result<load::LoadResult, String> {
    let Running { port, .. } = *running;
    let (path, rate, misses) = (case.path(), (saturating / 2.0).round(), None);
    let pace = Pace {
        port,
        path,
        connections: case.connections,
        rate,
        seconds: arguments.seconds,
        misses,
    };
    let latencies = pace.run_on(arguments.load_core)?;
    let result = load::LoadResult::of_latencies(&latencies, arguments.seconds as f64);
    Ok(load::LoadResult {
        p99_micros: pace::p99_of_tenths(&latencies, rate),
        ..result
    })
}
