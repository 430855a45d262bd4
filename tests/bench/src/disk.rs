//! Measures hits that a disk answers, beside nginx and Traffic Server with their caches on the same
//! disk, and beside tero's own hits in memory.

use std::path::PathBuf;

use crate::cases::{Case, Kind};
use crate::client;
use crate::load::{Load, Over};
use crate::origin::{Origin, Size};
use crate::servers::{self, Server, Start};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which servers [default: all that are installed and have a disk].
    #[arg(long, value_delimiter = ',')]
    only: Vec<Server>,
    /// The sizes of the bodies, in KiB.
    #[arg(long, value_delimiter = ',', default_value = "1,100")]
    sizes: Vec<u32>,
    /// The sum of the stored bodies, in MiB: more than memory has room for.
    #[arg(long, default_value_t = 160)]
    bodies_mib: u32,
    /// How often each is measured.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// The seconds of one measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Where the disks are: a folder on the file system to be measured [default: the system's folder for
    /// temporary files].
    #[arg(long)]
    folder: Option<PathBuf>,
    /// The tero binary [default: built with `cargo build --profile dist`].
    #[arg(long)]
    tero: Option<PathBuf>,
}

/// The memory of tero above its disk, in MiB: nearly all responses are found on the disk alone.
const SMALL_MIB: u32 = 8;
/// The servers that can have their responses on a disk.
const WITH_DISK: [Server; 2] = [Server::Nginx, Server::Trafficserver];

/// A server, and how it is set up.
struct Subject<'a> {
    name: &'a str,
    server: Server,
    start: Start<'a>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    let origin = Origin::start().map_err(|error| format!("the origin did not start: {error}"))?;
    let tero = servers::tero_binary(arguments.tero.as_deref(), true, servers::PRODUCTION)?;
    let (load_core, core) = (1, 0);
    let folder = arguments.folder.clone().unwrap_or_else(std::env::temp_dir);
    let start = Start {
        core,
        parent: Some(&folder),
        memory_mib: arguments.bodies_mib * 6,
        ..Start::new(&tero, origin.port())
    };
    let disk = "\n[[cache.disk]]\npath = \"@DIR@/disk\"\nsize = \"4GiB\"\n";
    let mut subjects = vec![
        Subject {
            name: "tero, memory",
            server: Server::TeroBare,
            start,
        },
        Subject {
            name: "tero, disk",
            server: Server::Tero,
            start: Start {
                memory_mib: SMALL_MIB,
                config: Some(disk),
                ..start
            },
        },
    ];
    for server in WITH_DISK {
        match servers::installed(&[server], &start) {
            Ok(_) => subjects.push(Subject {
                name: server.as_str(),
                server,
                start,
            }),
            Err(why) => eprintln!("{why}: left out"),
        }
    }
    subjects.retain(|subject| {
        let only = &arguments.only;
        only.is_empty() || only.contains(&subject.server)
    });
    println!(
        "| body KiB | server | objects | CPU µs a hit | p99 ms | asked the origin |\n|--:|---|--:|--:|--:|--:|"
    );
    for &kib in &arguments.sizes {
        for subject in &subjects {
            match measure(subject, kib, arguments, &origin, load_core) {
                Ok(line) => println!("{line}"),
                Err(error) => println!("| {kib} | {} | failed: {error} |", subject.name),
            }
        }
    }
    Ok(())
}

fn measure(
    subject: &Subject<'_>,
    kib: u32,
    arguments: &Arguments,
    origin: &Origin,
    core: u32,
) -> Result<String, String> {
    let (size, objects) = (Size::of_kib(kib), arguments.bodies_mib * 1024 / kib);
    let running = servers::start(subject.server, &subject.start)?;
    // A second use has tero write them.
    for _ in 0..2 {
        client::fill(running.port, objects, size)?;
    }
    let case = Case {
        kind: Kind::Cycle(objects),
        size,
        connections: 16,
        ..crate::cases::CASES[0]
    };
    let load = Load {
        port: running.port,
        case: &case,
        core,
        seed: "0",
        host: None,
        over: Over::Plain,
    };
    // Once through, so that the system has the files in memory.
    load.run(arguments.seconds)?;
    let asked = origin.requests();
    let (mut cpu, mut p99) = (f64::MAX, f64::MAX);
    for _ in 0..arguments.rounds {
        let mut late = 0.0;
        let micros = running.cpu_of_request(|| {
            let result = load.run(arguments.seconds)?;
            late = result.p99_micros;
            Ok(result)
        })?;
        cpu = cpu.min(micros);
        p99 = p99.min(late / 1e3);
    }
    let asked = origin.requests() - asked;
    running.stop();
    Ok(format!(
        "| {kib} | {} | {objects} | {cpu:.2} | {p99:.2} | {asked} |",
        subject.name
    ))
}
