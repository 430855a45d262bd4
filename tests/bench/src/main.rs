//! One command that runs `wrk` against tero and those of its peers that are installed, each as a memory cache in front of the
//! same origin, on the same core, in turns; and prints what a hit costs.

mod load;
mod origin;
mod process;
mod report;
mod servers;
mod startup;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use load::Load;
use origin::Origin;
use report::{Report, Sample};
use servers::Server;

/// Runs wrk against tero, nginx, Varnish and Traffic Server side by side, and compares what a cache hit costs.
///
/// Example: cargo run --release -p tero-bench -- --only tero,nginx --rounds 5 --json result.json
#[derive(Debug, Parser)]
#[command(name = "tero-bench", version)]
struct Arguments {
    /// Which servers: tero (policies on), tero-bare (policies off), nginx, varnish, trafficserver. Default: all that are installed.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Server>,
    /// How long each measurement takes, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// How often each server is measured; medians are reported.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Body sizes in KiB.
    #[arg(long, value_delimiter = ',', default_value = "1,100", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    sizes: Vec<u32>,
    /// The core that the server is pinned to.
    #[arg(long, default_value_t = 0)]
    server_core: u32,
    /// The core that wrk is pinned to.
    #[arg(long, default_value_t = 1)]
    load_core: u32,
    /// The tero binary; built with `cargo build --release` where it is not given.
    #[arg(long)]
    tero: Option<PathBuf>,
    /// Writes the report as JSON, too.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    process::stop_all_on_signal();
    match run(&arguments) {
        Ok(report) => {
            println!("{}", report.table());
            ExitCode::SUCCESS
        }
        Err(error) => {
            process::stop_all();
            eprintln!("tero-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<Report, String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if arguments.server_core == arguments.load_core || cores < 2 {
        return Err("the server and the load need a core each: see --server-core and --load-core".to_owned());
    }
    load::installed()?;
    let origin = Origin::start().map_err(|error| format!("the origin did not start: {error}"))?;
    let tero = servers::tero_binary(arguments)?;
    let servers = servers::installed(&arguments.only, &tero)?;
    let mut report = Report::new(arguments, servers.iter().map(|(server, version)| (*server, version.clone())).collect());
    if servers.iter().any(|(server, _)| *server == Server::Tero) {
        report.started(startup::measure(&tero, 5, arguments.server_core)?);
    }
    for round in 0..arguments.rounds {
        // Each round begins with another server, so that what drifts hits all of them.
        for turn in 0..servers.len() {
            let (server, _) = &servers[(turn + round as usize) % servers.len()];
            let running = servers::start(*server, &tero, origin.port(), arguments.server_core)?;
            for &kib in &arguments.sizes {
                let sample = measure(*server, &running, &origin, kib, arguments)?;
                eprintln!("round {} of {}: {}", round + 1, arguments.rounds, sample.line(*server, kib));
                report.add(*server, kib, sample);
            }
            running.stop();
        }
    }
    if let Some(path) = &arguments.json {
        std::fs::write(path, report.json()).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(report)
}

/// One measurement: the body is checked and stored, then wrk runs, and the origin must not be asked meanwhile.
fn measure(
    server: Server,
    running: &servers::Running,
    origin: &Origin,
    kib: u32,
    arguments: &Arguments,
) -> Result<Sample, String> {
    let path = origin::path(kib);
    let name = server.as_str();
    for _ in 0..3 {
        load::check_body(running.port, &path, &origin::body(kib)).map_err(|error| format!("{name}: {error}"))?;
    }
    let load = Load { port: running.port, path: &path, connections: arguments.connections, core: arguments.load_core };
    load.run(1).map_err(|error| format!("{name}: {error}"))?;
    let asked_before = origin.requests();
    let cpu_before = process::cpu_ticks(running.pid());
    let result = load.run(arguments.seconds).map_err(|error| format!("{name}: {error}"))?;
    let cpu_ticks = process::cpu_ticks(running.pid()).saturating_sub(cpu_before);
    let asked = origin.requests() - asked_before;
    if asked > 0 {
        return Err(format!("{name} asked the origin {asked} times during the run at {kib} KiB: these are no hits"));
    }
    let least = result.requests * u64::from(kib) * 1024;
    if result.bytes < least {
        return Err(format!("{name} sent {} bytes for {} requests of {kib} KiB", result.bytes, result.requests));
    }
    if result.failed > 0 {
        return Err(format!("{name}: {} requests failed at {kib} KiB", result.failed));
    }
    load::check_body(running.port, &path, &origin::body(kib)).map_err(|error| format!("{name}: {error}"))?;
    Ok(Sample::new(&result, cpu_ticks))
}
