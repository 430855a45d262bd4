//! Measures how the cost of a hit grows with the numbers of entries and sites, and what a large
//! purge costs other requests.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tero_admin_api::PurgeTarget;

use crate::cases::{Case, Kind};
use crate::load::{self, Load, Over};
use crate::origin::{GROUPS, Origin, Size};
use crate::pace::Pace;
use crate::servers::{self, Running, Server, Start};
use crate::{admin, client, process};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The numbers of stored objects of 128 bytes, without policies. `--entries 10000000` takes 10
    /// GB of memory, and ten minutes to fill.
    #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000")]
    entries: Vec<u32>,
    /// The numbers of sites.
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    sites: Vec<u32>,
    /// The numbers of stored objects with the purged tag.
    #[arg(long, value_delimiter = ',', default_value = "10000,100000")]
    tagged: Vec<u32>,
    /// How often each number is purged; medians are reported.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    purges: u32,
    /// How long each measurement takes, in seconds.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// The core that the server is pinned to.
    #[arg(long, default_value_t = 0)]
    server_core: u32,
    /// The core that the load is pinned to.
    #[arg(long, default_value_t = 1)]
    load_core: u32,
    /// The tero binary [default: built with `cargo build --profile dist`].
    #[arg(long)]
    tero: Option<PathBuf>,
}

/// The size of entries: small, so that there can be many.
const ENTRY: Size = Size::of_bytes(128);
/// The memory for an entry, in bytes: twice its need, since a part of the memory is reserved for
/// responses in flight and for warmed ones.
const ENTRY_ROOM: u64 = 2_048;

/// Requests each second during a purge.
const RATE: f64 = 2_000.0;

pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    load::installed()?;
    let origin = Origin::start().map_err(|error| format!("the origin did not start: {error}"))?;
    let tero = servers::tero_binary(arguments.tero.as_deref(), true, servers::PRODUCTION)?;
    let core = arguments.server_core;
    let start = Start {
        memory_mib: 512,
        core,
        ..Start::new(&tero, origin.port())
    };
    println!("| what | how many | CPU µs a hit |\n|---|--:|--:|");
    for &entries in &arguments.entries {
        let room = u32::try_from((u64::from(entries) * ENTRY_ROOM) >> 20).unwrap_or(u32::MAX);
        let start = Start {
            memory_mib: 512 + room,
            ..start
        };
        // Without policies: their cost is measured elsewhere, and they would slow the filling.
        let running = servers::start(Server::TeroBare, &start)?;
        let began = Instant::now();
        client::fill(running.port, entries, ENTRY)?;
        eprintln!(
            "{entries} entries of {ENTRY} in {} s, {} MiB",
            began.elapsed().as_secs(),
            running.memory() >> 20
        );
        let case = Case {
            kind: Kind::Zipf(entries),
            size: ENTRY,
            ..crate::cases::CASES[0]
        };
        let asked = origin.requests();
        let cpu = cpu_of_hit(&running, &case, arguments)?;
        if origin.requests() > asked {
            return Err(format!(
                "the origin was asked {} times: these are not hits",
                origin.requests() - asked
            ));
        }
        println!("| entries of {ENTRY}, without policies | {entries} | {cpu:.2} |");
        running.stop();
    }
    for &count in &arguments.sites {
        println!(
            "| sites | {count} | {:.2} |",
            cpu_with(&sites(count), &start, arguments)?
        );
    }
    println!(
        "\n| responses purged by one tag | CPU µs each | ms in all | longest hit meanwhile, ms | without a purge | longest miss, ms | \
         without a purge |\n|--:|--:|--:|--:|--:|--:|--:|"
    );
    arguments
        .tagged
        .iter()
        .try_for_each(|&tagged| purge(tagged, &start, arguments))
}

fn cpu_with(config: &str, start: &Start<'_>, arguments: &Arguments) -> Result<f64, String> {
    let running = servers::start(
        Server::Tero,
        &Start {
            config: Some(config),
            ..*start
        },
    )?;
    let cpu = cpu_of_hit(&running, &crate::cases::CASES[0], arguments)?;
    running.stop();
    Ok(cpu)
}

/// The median of three measurements of the CPU time of a hit.
fn cpu_of_hit(running: &Running, case: &Case, arguments: &Arguments) -> Result<f64, String> {
    let load = Load {
        port: running.port,
        case,
        core: arguments.load_core,
        seed: "",
        host: None,
        over: Over::Plain,
    };
    load.run(1)?;
    let cpu = (0..3)
        .map(|_| running.cpu_of_request(|| load.run(arguments.seconds)))
        .collect::<Result<Vec<f64>, _>>()?;
    Ok(crate::report::median(&crate::report::sorted(&cpu)))
}

/// The configuration of this many sites, beside the measured one.
fn sites(count: u32) -> String {
    let one = |number| {
        format!(
            "\n[[site]]\nname = \"s{number}\"\nhosts = [\"s{number}.example\"]\norigins = [\"http://127.0.0.1:@ORIGIN@\"]\n"
        )
    };
    (1..count).map(one).collect()
}

/// Purges all responses with a tag, first without load and then with other requests, and reports
/// the longest of these. Each number is the median of several purges, since a shared machine pauses
/// too.
fn purge(tagged: u32, start: &Start<'_>, arguments: &Arguments) -> Result<(), String> {
    let running = servers::start(
        Server::Tero,
        &Start {
            memory_mib: 512 + tagged / 512,
            ..*start
        },
    )?;
    let size = Size::of_kib(1);
    let fill = || {
        client::fill(running.port, tagged, size)?;
        load::check_body(running.port, "/img/1k.bin", &size.body())
    };
    let purge_all = || {
        let began = Instant::now();
        match admin::purge(running.admin, PurgeTarget::Tag("all".to_owned()))? {
            purged if purged < u64::from(tagged) => Err(format!(
                "{purged} responses were purged instead of {tagged}"
            )),
            purged => Ok((purged, began.elapsed())),
        }
    };
    let count = (RATE * arguments.seconds as f64) as u64;
    let mut figures: [Vec<f64>; 6] = Default::default();
    for round in 0..arguments.purges {
        fill()?;
        let before = process::cpu_ticks(running.pid());
        let (purged, took) = purge_all()?;
        let ticks = process::cpu_ticks(running.pid()).saturating_sub(before);
        fill()?;
        // Misses have the tag too; each turn requests new objects.
        let pace = |turn: u64| {
            let (port, path) = (running.port, "/img/1k.bin".to_owned());
            let misses = Some(u64::from(tagged) + 1 + turn * count);
            Pace {
                port,
                path,
                connections: 16,
                rate: RATE,
                seconds: arguments.seconds,
                misses,
            }
        };
        let turn = 2 * u64::from(round);
        let longest = |pace: &Pace| {
            let latencies = pace.run_on(arguments.load_core)?;
            let of_those = |misses| {
                latencies
                    .iter()
                    .enumerate()
                    .filter(move |(number, _)| pace.is_miss(*number) == misses)
            };
            let longest =
                |misses| of_those(misses).map(|(_, took)| *took).fold(0.0, f64::max) / 1_000.0;
            Ok::<_, String>([longest(false), longest(true)])
        };
        let [quiet_hit, quiet_miss] = longest(&pace(turn))?;
        let [hit, miss] = std::thread::scope(|scope| {
            let purging = scope.spawn(|| {
                std::thread::sleep(Duration::from_secs(arguments.seconds) / 2);
                purge_all()
            });
            let longest = longest(&pace(turn + 1));
            purging
                .join()
                .map_err(|_| "the purge panicked".to_owned())??;
            longest
        })?;
        let cpu = ticks as f64 / process::TICKS_PER_SECOND * 1e6 / purged as f64;
        let these = [
            cpu,
            took.as_secs_f64() * 1_000.0,
            hit,
            quiet_hit,
            miss,
            quiet_miss,
        ];
        eprintln!(
            "purge {} of {} of {tagged}: {these:.1?}",
            round + 1,
            arguments.purges
        );
        figures
            .iter_mut()
            .zip(these)
            .for_each(|(all, this)| all.push(this));
    }
    running.stop();
    let [cpu, took, hit, quiet_hit, miss, quiet_miss] =
        figures.map(|all| crate::report::median(&crate::report::sorted(&all)));
    println!(
        "| {tagged} | {cpu:.1} | {took:.0} | {hit:.1} | {quiet_hit:.1} | {miss:.1} | {quiet_miss:.1} |"
    );
    Ok(())
}

/// Runs `work` while a tag is purged ten times a second.
pub(crate) fn while_purging<T>(
    running: &Running,
    work: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let purging = scope.spawn(|| {
            let mut group = 0;
            while !over.load(Ordering::Relaxed) {
                admin::purge(
                    running.admin,
                    PurgeTarget::Tag(format!("g{}", group % GROUPS)),
                )?;
                group += 1;
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok::<_, String>(())
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        purging
            .join()
            .map_err(|_| "the purge panicked".to_owned())??;
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_has_the_wanted_number_of_sites() {
        assert_eq!(sites(3).matches("[[site]]").count(), 2);
    }
}
