//! The resident memory of the real program.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::program::{Serving, configuration};
use tero_tests::{Client, Origin, Reply, SetWhenDropped, get};

const MIB: u64 = 1 << 20;
/// The bound on the store.
const MEMORY: u64 = 16 * MIB;
/// What the program may use beyond its memory when idle and the bound.
const MARGIN: u64 = 32 * MIB;
const CACHE: &str = "\n[cache]\nmemory = \"16MiB\"\nmax_object = \"4MiB\"\n";

/// An origin whose pages are of this many bytes each.
fn origin(length: usize) -> Origin {
    let origin = Origin::start();
    let body = "x".repeat(length);
    origin.otherwise(move |_| Reply::fresh(3_600, &body));
    origin.on("/small", Reply::fresh(3_600, "small"));
    origin
}

/// Starts the program, and returns its resident memory when idle.
fn start(origin: &Origin) -> (Serving, u64) {
    let configuration = configuration(origin, CACHE).replace("workers = 2", "workers = 8");
    let serving = Serving::start(&configuration);
    assert_eq!(serving.client().send(&get("/small")).text(), "small");
    let idle = serving.resident_bytes();
    (serving, idle)
}

#[test]
fn resident_memory_is_bounded_while_large_bodies_come_and_go() {
    let origin = origin(3 << 20);
    let (serving, idle) = start(&origin);
    let (ended, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let ending = SetWhenDropped(&ended);
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let address = serving.address();
                scope.spawn(move || {
                    let mut connection = Client::connect(address);
                    for number in 0..30 {
                        let answer = connection.send(&get(format!("/{client}/{number}")));
                        assert!(answer.whole && answer.body.len() == 3 << 20);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                peak.fetch_max(serving.resident_bytes(), Ordering::Relaxed);
                std::thread::yield_now();
            }
        });
        for client in clients {
            client.join().unwrap();
        }
        drop(ending);
    });
    let peak = peak.into_inner();
    assert!(
        peak <= idle + MEMORY + MARGIN,
        "{} MiB, {} MiB when idle",
        peak / MIB,
        idle / MIB
    );
}

#[test]
fn bodies_that_slow_clients_keep_count_against_the_memory() {
    // More than the buffers of the sockets hold.
    let origin = origin((4 << 20) - 1_000);
    let (serving, idle) = start(&origin);
    let mut stuck = Vec::new();
    for number in 0..50 {
        let target = format!("/{number}");
        // Once to store it, and once to keep it.
        serving.client().send(&get(&target));
        let mut client = serving.client();
        client.start(&get(&target));
        assert_eq!(client.head().status, 200);
        stuck.push(client);
    }
    let resident = serving.resident_bytes();
    assert!(
        resident <= idle + MEMORY + MARGIN,
        "{} MiB, {} MiB when idle",
        resident / MIB,
        idle / MIB
    );
}
