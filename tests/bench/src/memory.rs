//! What a stored response takes beyond its body, beside the peers; and whether tero keeps to its
//! bound while entries come and go.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::origin::{self, Origin, Size};
use crate::servers::{self, HAPROXY_MOST_MIB, Running, Server, Start};
use crate::{admin, client, load};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which servers. Default: all that are installed.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Server>,
    /// Sum of the bodies that are stored, in MiB.
    #[arg(long, default_value_t = 256)]
    budget_mib: u32,
    /// Sizes of the bodies, in KiB.
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    sizes: Vec<u32>,
    /// How long entries come and go in a tero that is full, in seconds; 0 leaves it out.
    #[arg(long, default_value_t = 60)]
    churn_seconds: u64,
    /// The tero binary; built with `cargo build --profile dist` where it is not given.
    #[arg(long)]
    tero: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    let origin = Origin::start().map_err(|error| format!("the origin did not start: {error}"))?;
    let wanted = arguments.only.is_empty() || arguments.only.iter().any(|server| server.is_tero());
    let tero = servers::tero_binary(arguments.tero.as_deref(), wanted, servers::PRODUCTION)?;
    // Room for all that the peers add, so that nothing has to go: files take whole pages, and so do
    // the bodies in Squid's memory.
    let memory_mib = arguments.budget_mib * 6;
    let start = Start {
        memory_mib,
        ..Start::new(&tero, origin.port())
    };
    let servers = servers::installed(&arguments.only, &start)?;
    println!(
        "| body KiB | server | objects | MiB of bodies | MiB held | bytes an object beyond its body | still stored % |"
    );
    println!("|--:|---|--:|--:|--:|--:|--:|");
    for &kib in &arguments.sizes {
        for (server, _) in servers.iter().filter(|(server, _)| !server.is_floor()) {
            match fill(*server, &start, &origin, kib, arguments.budget_mib) {
                Ok(line) => println!("{line}"),
                Err(error) => println!("| {kib} | {} | failed: {error} |", server.as_str()),
            }
        }
    }
    if arguments.churn_seconds > 0 && servers.iter().any(|(server, _)| server.is_tero()) {
        churn(
            &Start {
                memory_mib: arguments.budget_mib.max(256),
                ..start
            },
            Duration::from_secs(arguments.churn_seconds),
        )?;
    }
    Ok(())
}

fn fill(
    server: Server,
    start: &Start<'_>,
    origin: &Origin,
    kib: u32,
    budget_mib: u32,
) -> Result<String, String> {
    const SAMPLED: u32 = 500;
    const SETTLING: u32 = 100_000;
    let (size, objects) = (Size::of_kib(kib), budget_mib * 1024 / kib);
    eprintln!("{} with {objects} objects of {kib} KiB", server.as_str());
    // HAProxy takes all that it may have when it starts: how much it needs is told by how many
    // objects find room in the budget.
    let takes_all = server == Server::Haproxy;
    let memory_mib = if takes_all {
        budget_mib.min(HAPROXY_MOST_MIB)
    } else {
        start.memory_mib
    };
    let running = servers::start(
        server,
        &Start {
            memory_mib,
            ..*start
        },
    )?;
    load::check_body(running.port, "/img/1k.bin", &Size::of_kib(1).body())?;
    // What requests take, and not what is stored, is there before: Varnish writes a log into shared
    // memory, all keep buffers.
    client::ask_for_all(running.port, SETTLING, |_| "/img/1k.bin".to_owned())?;
    let empty = settled(&running);
    client::fill(running.port, objects, size)?;
    let held = if takes_all {
        u64::from(memory_mib) << 20
    } else {
        settled(&running).saturating_sub(empty)
    };
    let asked = origin.requests();
    // The latest first: what is no longer there is stored again, and pushes out the oldest.
    for number in (1..=objects)
        .step_by((objects / SAMPLED).max(1) as usize)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
    {
        load::check_body(running.port, &size.path(number.into()), &size.body())?;
    }
    let sampled = objects.div_ceil((objects / SAMPLED).max(1));
    let stored = 1.0 - (origin.requests() - asked) as f64 / f64::from(sampled);
    running.stop();
    let beyond = held as f64 / (f64::from(objects) * stored) - size.bytes() as f64;
    let (server, held, stored) = (server.as_str(), mib(held), stored * 100.0);
    Ok(format!(
        "| {kib} | {server} | {objects} | {budget_mib} | {held:.0} | {beyond:.0} | {stored:.0} |"
    ))
}

/// How long freed memory may take to go back to the system.
const PATIENCE: Duration = Duration::from_secs(30);

/// What it holds once that does not fall any more: allocators give memory back, and caches tidy up,
/// a little later.
fn settled(running: &Running) -> u64 {
    let began = Instant::now();
    let mut held = u64::MAX;
    loop {
        std::thread::sleep(Duration::from_secs(3));
        let now = running.memory();
        if now >= held - held / 200 || began.elapsed() > PATIENCE {
            return now;
        }
        held = now;
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// Fills a full cache with ever new objects of three sizes, purges now and then, and looks at the
/// memory.
fn churn(start: &Start<'_>, time: Duration) -> Result<(), String> {
    let running = servers::start(Server::TeroBare, start)?;
    let empty = running.memory();
    let (over, most) = (AtomicBool::new(false), std::sync::Mutex::new(0));
    let (port, admin_port) = (running.port, running.admin);
    let rounds = std::thread::scope(|scope| {
        let fills: Vec<_> = [1, 10, 100]
            .map(|kib| {
                scope.spawn({
                    let over = &over;
                    move || endless(port, Size::of_kib(kib), over)
                })
            })
            .into();
        let began = Instant::now();
        let mut purges = 0;
        while began.elapsed() < time {
            std::thread::sleep(Duration::from_millis(500));
            let group = format!("g{}", purges % origin::GROUPS);
            admin::purge(
                admin_port,
                &json!({ "tag": group, "soft": purges % 3 == 0 }),
            )?;
            purges += 1;
            let held = running.memory();
            let mut most = most.lock().expect("nobody panics with it");
            *most = held.max(*most);
        }
        over.store(true, Ordering::Relaxed);
        let rounds: Result<Vec<u64>, String> = fills
            .into_iter()
            .map(|fill| fill.join().map_err(|_| "a thread panicked".to_owned())?)
            .collect();
        rounds.map(|rounds| rounds.iter().sum::<u64>())
    })?;
    let most = most.into_inner().expect("nobody panics with it");
    let purged = admin::purge(running.admin, &json!({ "site": "bench" }))?;
    let purged_at = Instant::now();
    // An allocator gives memory back over some seconds.
    while running.memory() > empty + most / 10 && purged_at.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(500));
    }
    println!(
        "\n{} fills in {} s, bound {} MiB: at most {:.0} MiB resident ({:.0} before the first fill), {:.2} of the bound; \
         {:.0} MiB {:.0} s after a purge of all {purged}",
        rounds,
        time.as_secs(),
        start.memory_mib,
        mib(most),
        mib(empty),
        mib(most) / f64::from(start.memory_mib),
        mib(running.memory()),
        purged_at.elapsed().as_secs_f64(),
    );
    running.stop();
    Ok(())
}

/// Asks for one object after another until it is over; returns how many those were.
fn endless(port: u16, size: Size, over: &AtomicBool) -> Result<u64, String> {
    client::block_on(async {
        let mut connection = client::Connection::open(port).await?;
        let mut number: u64 = 0;
        while !over.load(Ordering::Relaxed) {
            number += 1;
            // Every third one again, as visitors do.
            let object = if number.is_multiple_of(3) {
                number / 2
            } else {
                number
            };
            match connection.get(&size.path(object)).await? {
                (200, _) => {}
                (status, _) => return Err(format!("an answer with {status}")),
            }
        }
        Ok(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_mebibytes() {
        assert_eq!(mib(3 << 20), 3.0);
    }
}
