//! Measures the memory of a stored response beyond its body, beside the peers, and whether tero
//! keeps to its limit while entries come and go.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tero_admin_api::PurgeTarget;

use crate::origin::{self, Origin, Size};
use crate::servers::{self, HAPROXY_MOST_MIB, Running, Server, Start};
use crate::{admin, client, load};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which servers [default: all that are installed].
    #[arg(long, value_delimiter = ',')]
    only: Vec<Server>,
    /// The sum of the stored bodies, in MiB.
    #[arg(long, default_value_t = 256)]
    budget_mib: u32,
    /// The sizes of the bodies, in KiB.
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    sizes: Vec<u32>,
    /// How long entries come and go in a full tero, in seconds; 0 skips this.
    #[arg(long, default_value_t = 60)]
    churn_seconds: u64,
    /// The tero binary [default: built with `cargo build --profile dist`].
    #[arg(long)]
    tero: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    let origin = Origin::start().map_err(|error| format!("the origin did not start: {error}"))?;
    let wanted = arguments.only.is_empty() || arguments.only.iter().any(|server| server.is_tero());
    let tero = servers::tero_binary(arguments.tero.as_deref(), wanted, servers::PRODUCTION)?;
    // Enough room that no peer evicts anything: files take whole pages, and so do bodies in Squid's
    // memory.
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
    // HAProxy allocates its whole cache when it starts. Its need is measured by how many objects
    // fit into the budget.
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
    // These requests make each server allocate what is not storage, such as buffers and Varnish's
    // log in shared memory.
    client::ask_for_all(running.port, SETTLING, |_| "/img/1k.bin".to_owned())?;
    let empty = settled(&running);
    client::fill(running.port, objects, size)?;
    let held = if takes_all {
        u64::from(memory_mib) << 20
    } else {
        settled(&running).saturating_sub(empty)
    };
    let asked = origin.requests();
    // From the latest: a missing object is stored again, and evicts the oldest.
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

/// The longest time for freed memory to return to the system.
const PATIENCE: Duration = Duration::from_secs(30);

/// The memory of a server once it no longer falls: allocators and caches return memory a little
/// later.
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

/// Stores new objects of three sizes in a full cache, purges now and then, and observes the memory.
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
            let group = PurgeTarget::Tag(format!("g{}", purges % origin::GROUPS));
            if purges % 3 == 0 {
                admin::purge_softly(admin_port, group)?;
            } else {
                admin::purge(admin_port, group)?;
            }
            purges += 1;
            let held = running.memory();
            let mut most = most
                .lock()
                .expect("no thread panics while it holds the lock");
            *most = held.max(*most);
        }
        over.store(true, Ordering::Relaxed);
        let rounds: Result<Vec<u64>, String> = fills
            .into_iter()
            .map(|fill| fill.join().map_err(|_| "a thread panicked".to_owned())?)
            .collect();
        rounds.map(|rounds| rounds.iter().sum::<u64>())
    })?;
    let most = most
        .into_inner()
        .expect("no thread panics while it holds the lock");
    let purged = admin::purge(running.admin, PurgeTarget::Site("bench".to_owned()))?;
    let purged_at = Instant::now();
    // An allocator returns memory over some seconds.
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

/// Requests one object after another until `over`; returns their number.
fn endless(port: u16, size: Size, over: &AtomicBool) -> Result<u64, String> {
    client::block_on(async {
        let mut connection = client::Connection::open(port).await?;
        let mut number: u64 = 0;
        while !over.load(Ordering::Relaxed) {
            number += 1;
            // Every third request is for an earlier object, as with visitors.
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
    fn bytes_are_shown_in_mebibytes() {
        assert_eq!(mib(3 << 20), 3.0);
    }
}
