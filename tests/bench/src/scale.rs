//! How the cost of a hit grows with what is stored and configured, and what a large purge costs others.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cases::{Case, Kind};
use crate::load::{self, Load};
use crate::origin::{GROUPS, Origin, Size};
use crate::pace::Pace;
use crate::servers::{self, Running, Server, Start};
use crate::{admin, client, process};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Numbers of stored objects of 128 bytes, without policies. `--entries 10000000` takes 10 GB of memory, and ten minutes to fill.
    #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000")]
    entries: Vec<u32>,
    /// Numbers of policies in the chain.
    #[arg(long, value_delimiter = ',', default_value = "0,1,2,5,10")]
    policies: Vec<u32>,
    /// Numbers of sites.
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    sites: Vec<u32>,
    /// Stored objects with the tag that is purged.
    #[arg(long, default_value_t = 100_000)]
    tagged: u32,
    /// How long each measurement takes, in seconds.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// The core that the server is pinned to.
    #[arg(long, default_value_t = 0)]
    server_core: u32,
    /// The core that the load is pinned to.
    #[arg(long, default_value_t = 1)]
    load_core: u32,
    /// The tero binary; built with `cargo build --profile dist` where it is not given.
    #[arg(long)]
    tero: Option<PathBuf>,
}

/// Small, so that there can be many.
const ENTRY: Size = Size::of_bytes(128);
/// What an entry may take, in bytes: twice what it does, since a part of the memory is set aside for fills and for what is warmed.
const ENTRY_ROOM: u64 = 2_048;

pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    load::installed()?;
    let origin = Origin::start().map_err(|error| format!("the origin did not start: {error}"))?;
    let tero = servers::tero_binary(arguments.tero.as_deref(), true, servers::PRODUCTION)?;
    let core = arguments.server_core;
    let start = Start { memory_mib: 512, core, ..Start::new(&tero, origin.port()) };
    println!("| what | how many | CPU µs a hit |\n|---|--:|--:|");
    for &entries in &arguments.entries {
        let room = u32::try_from((u64::from(entries) * ENTRY_ROOM) >> 20).unwrap_or(u32::MAX);
        let start = Start { memory_mib: 512 + room, ..start };
        // Without policies, which have a curve of their own: they would take a third of the time that it takes to fill.
        let running = servers::start(Server::TeroBare, &start)?;
        let began = Instant::now();
        client::fill(running.port, entries, ENTRY)?;
        eprintln!("{entries} entries of {ENTRY} in {} s, {} MiB", began.elapsed().as_secs(), running.memory() >> 20);
        let case = Case { kind: Kind::Zipf(entries), size: ENTRY, ..crate::cases::CASES[0] };
        let asked = origin.requests();
        let cpu = cpu_of_hit(&running, &case, arguments)?;
        if origin.requests() > asked {
            return Err(format!("the origin was asked {} times: these are no hits", origin.requests() - asked));
        }
        println!("| entries of {ENTRY}, without policies | {entries} | {cpu:.2} |");
        running.stop();
    }
    for &count in &arguments.policies {
        println!("| policies | {count} | {:.2} |", cpu_with(&policies(count), &start, arguments)?);
    }
    for &count in &arguments.sites {
        println!("| sites | {count} | {:.2} |", cpu_with(&sites(count), &start, arguments)?);
    }
    purge(&start, arguments)
}

fn cpu_with(config: &str, start: &Start<'_>, arguments: &Arguments) -> Result<f64, String> {
    let running = servers::start(Server::Tero, &Start { config: Some(config), ..*start })?;
    let cpu = cpu_of_hit(&running, &crate::cases::CASES[0], arguments)?;
    running.stop();
    Ok(cpu)
}

/// The median of three measurements.
fn cpu_of_hit(running: &Running, case: &Case, arguments: &Arguments) -> Result<f64, String> {
    let load = Load { port: running.port, case, core: arguments.load_core, seed: "" };
    load.run(1)?;
    let mut cpu = Vec::new();
    for _ in 0..3 {
        let before = process::cpu_ticks(running.pid());
        let result = load.run(arguments.seconds)?;
        let ticks = process::cpu_ticks(running.pid()).saturating_sub(before);
        cpu.push(ticks as f64 / process::TICKS_PER_SECOND * 1e6 / result.requests as f64);
    }
    cpu.sort_by(f64::total_cmp);
    Ok(crate::report::median(&cpu))
}

/// A chain of so many policies, each of which decides by the time of day.
fn policies(count: u32) -> String {
    let names: Vec<String> = (0..count).map(|number| format!("\"p{number}\"")).collect();
    let one = |number| {
        format!(
            "\n[[policy]]\nname = \"p{number}\"\nmodule = \"builtin:business-hours\"\n\
             settings = {{ zone = \"America/Argentina/Buenos_Aires\", open = \"09:00\", close = \"18:00\" }}\n"
        )
    };
    format!("policies = [{}]\n{}", names.join(", "), (0..count).map(one).collect::<String>())
}

/// So many sites beside the one that is asked.
fn sites(count: u32) -> String {
    let one = |number| {
        format!("\n[[site]]\nname = \"s{number}\"\nhosts = [\"s{number}.example\"]\norigins = [\"http://127.0.0.1:@ORIGIN@\"]\n")
    };
    (1..count).map(one).collect()
}

/// Purges all that carry a tag while other requests go on, and tells the longest of these.
fn purge(start: &Start<'_>, arguments: &Arguments) -> Result<(), String> {
    let running = servers::start(Server::Tero, &Start { memory_mib: 512 + arguments.tagged / 512, ..*start })?;
    client::fill(running.port, arguments.tagged, Size::of_kib(1))?;
    load::check_body(running.port, "/img/1k.bin", &Size::of_kib(1).body())?;
    let pace = |misses: &str| Pace {
        port: running.port,
        path: "/img/1k.bin".to_owned(),
        connections: 16,
        rate: 2_000.0,
        seconds: arguments.seconds,
        misses: Some(misses.to_owned()),
    };
    let quiet = pace("quiet").run_on(arguments.load_core)?;
    let (admin_port, wait) = (running.admin, Duration::from_secs(arguments.seconds) / 2);
    let purging = std::thread::spawn(move || {
        std::thread::sleep(wait);
        let began = Instant::now();
        admin::purge(admin_port, &json!({ "tag": "all" })).map(|purged| (purged, began.elapsed()))
    });
    let pace = pace("purged");
    let during = pace.run_on(arguments.load_core)?;
    let (purged, took) = purging.join().map_err(|_| "the purge panicked".to_owned())??;
    running.stop();
    let longest = |latencies: &[f64], misses: bool| {
        let of_those = latencies.iter().enumerate().filter(|(number, _)| pace.is_miss(*number) == misses);
        of_those.map(|(_, took)| *took).fold(0.0, f64::max) / 1_000.0
    };
    println!(
        "\n{purged} stored responses purged by tag in {:.0} ms; the longest of {} other requests meanwhile took {:.1} ms for a hit and \
         {:.1} ms for a miss, {:.1} and {:.1} ms without",
        took.as_secs_f64() * 1_000.0,
        during.len(),
        longest(&during, false),
        longest(&during, true),
        longest(&quiet, false),
        longest(&quiet, true),
    );
    Ok(())
}

/// Runs `work` while a tag is purged ten times a second.
pub(crate) fn while_purging<T>(running: &Running, work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let purging = scope.spawn(|| {
            let mut group = 0;
            while !over.load(Ordering::Relaxed) {
                admin::purge(running.admin, &json!({ "tag": format!("g{}", group % GROUPS) }))?;
                group += 1;
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok::<_, String>(())
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        purging.join().map_err(|_| "the purge panicked".to_owned())??;
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_names_each_of_its_policies() {
        let config = policies(3);
        assert!(config.starts_with("policies = [\"p0\", \"p1\", \"p2\"]"));
        assert_eq!(config.matches("[[policy]]").count(), 3);
        assert_eq!(sites(3).matches("[[site]]").count(), 2);
    }
}
