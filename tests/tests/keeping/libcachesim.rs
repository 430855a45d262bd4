//! The policies of `libcachesim`, where its Python package is installed.

use std::io::Write;
use std::process::{Command, Stdio};

use super::stored::weight;
use super::traces::{LENGTH, Trace};
use super::{FILLING_PART, memory_for};

/// Reads the memory, the number of requests that fill it, and the requests: page, weight, and whether a
/// crawler sent it. Prints the share of hits for each policy.
const PROGRAM: &str = r#"
import array, sys
import libcachesim as lib
data = array.array("Q")
data.frombytes(sys.stdin.buffer.read())
memory, filling, requests = data[0], data[1], data[2:]
for make in (lib.S3FIFO, lib.Sieve, lib.ARC, lib.WTinyLFU):
    cache, request, hits, all = make(memory), lib.Request(op=lib.ReqOp.OP_GET), 0, 0
    for number in range(len(requests) // 3):
        page, weight, is_crawler = requests[3 * number : 3 * number + 3]
        request.obj_id, request.obj_size, request.clock_time = page, weight, number
        is_hit = cache.get(request)
        if number >= filling and not is_crawler:
            all += 1
            hits += is_hit
    print(100 * hits / all)
"#;

/// The hits of people in percent, of S3-FIFO, SIEVE, ARC and W-TinyLFU; `None` where `libcachesim` is
/// not installed.
pub(crate) fn hits(trace: &Trace) -> Option<Vec<f64>> {
    let is_there = Command::new("python3")
        .args(["-c", "import libcachesim"])
        .stderr(Stdio::null())
        .status();
    if !is_there.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: libcachesim is not installed (pip install libcachesim==0.3.5)");
        return None;
    }
    let mut data = Vec::new();
    let memory = memory_for(trace, weight);
    let mut put = |number: u64| data.extend(number.to_ne_bytes());
    put(memory);
    put((LENGTH / FILLING_PART) as u64);
    for request in &trace.requests {
        put(request.page);
        put(weight(request));
        put(u64::from(request.is_crawler));
    }
    let mut python = Command::new("python3")
        .args(["-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 was there");
    let mut input = python.stdin.take().expect("it is piped");
    input.write_all(&data).expect("the program reads all");
    drop(input);
    let output = python.wait_with_output().expect("it ends");
    let printed = String::from_utf8(output.stdout).expect("it prints numbers");
    let shares: Vec<f64> = printed
        .lines()
        .map(|line| line.parse().expect("it prints numbers"))
        .collect();
    assert_eq!(shares.len(), 4, "{printed}");
    Some(shares)
}
