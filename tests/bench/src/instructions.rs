//! The number of instructions of a hit, counted by callgrind. It is the same on busy and idle
//! machines, so changes to the hit path can be judged by it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::load::USER_AGENT;
use crate::origin::Origin;
use crate::servers::{self, Server, Start};

/// The largest growth that passes, in percent.
const TOLERANCE_PERCENT: f64 = 5.0;
/// The number of requests before counting, and of counted requests.
const WARM_UP: u32 = 500;
const COUNTED: u32 = 4_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The tero binary [default: built with `cargo build --release`].
    #[arg(long)]
    tero: Option<PathBuf>,
    /// Prints this many of the functions with the most instructions, including their callees.
    #[arg(long, default_value_t = 0)]
    top: usize,
    /// Saves the counts as the new limit.
    #[arg(long)]
    write: bool,
}

/// The counted cases.
const CASES: [(&str, Server); 3] = [
    ("bare", Server::TeroBare),
    ("policies", Server::Tero),
    ("four", Server::TeroFour),
];

fn bound_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json")
}

/// Counts, prints, and compares with the saved counts.
pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Err("valgrind is not installed (Debian: apt-get install valgrind)".to_owned());
    }
    let tero = servers::tero_binary(arguments.tero.as_deref(), true, "release")?;
    let origin = Origin::start().map_err(|error| format!("the origin did not start: {error}"))?;
    let text = std::fs::read_to_string(bound_file()).unwrap_or_else(|_| "{}".to_owned());
    let bounds: Value =
        serde_json::from_str(&text).map_err(|error| format!("instructions.json: {error}"))?;
    let mut counts = serde_json::Map::new();
    let mut grown = Vec::new();
    for (name, server) in CASES {
        let start = Start::new(&tero, origin.port());
        let counted = count(
            server,
            &start,
            if server == Server::Tero {
                arguments.top
            } else {
                0
            },
        )?;
        let change = bounds[name]
            .as_f64()
            .map(|bound| (counted / bound - 1.0) * 100.0);
        println!(
            "{name:9} {counted:>7.0} instructions a hit{}",
            change
                .map(|change| format!(" ({change:+.1} %)"))
                .unwrap_or_default()
        );
        if change.is_some_and(|change| change > TOLERANCE_PERCENT) {
            grown.push(name);
        }
        counts.insert(name.to_owned(), json!(counted.round()));
    }
    if arguments.write {
        let text = format!("{:#}\n", Value::Object(counts));
        return std::fs::write(bound_file(), text)
            .map_err(|error| format!("instructions.json: {error}"));
    }
    match grown[..] {
        [] => Ok(()),
        _ => Err(format!(
            "a hit takes over {TOLERANCE_PERCENT} % more instructions than tests/bench/instructions.json has ({}): look with --top 30, \
             and write the new count down with --write where it is worth it",
            grown.join(", ")
        )),
    }
}

/// Counts the instructions of one hit.
fn count(server: Server, start: &Start<'_>, top: usize) -> Result<f64, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let output = folder.path().join("callgrind.out");
    let valgrind = folder.path().join("tero");
    // The server is started by a script in its place.
    let script = format!(
        "#!/bin/sh\nexec valgrind --tool=callgrind --instr-atstart=no --callgrind-out-file={} {} \"$@\"\n",
        output.display(),
        start.tero.display()
    );
    std::fs::write(&valgrind, script).map_err(|error| error.to_string())?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&valgrind, mode).map_err(|error| error.to_string())?;
    let running = servers::start(
        server,
        &Start {
            tero: &valgrind,
            ..*start
        },
    )?;
    let mut client =
        TcpStream::connect(("127.0.0.1", running.port)).map_err(|error| error.to_string())?;
    ask(&mut client, running.port, WARM_UP)?;
    instrument(running.pid(), "on")?;
    ask(&mut client, running.port, COUNTED)?;
    instrument(running.pid(), "off")?;
    // Callgrind writes its file when the program ends.
    running.stop();
    let text = std::fs::read_to_string(&output)
        .map_err(|error| format!("callgrind wrote nothing: {error}"))?;
    let total: f64 = text
        .lines()
        .filter_map(|line| {
            line.strip_prefix("totals: ")
                .or_else(|| line.strip_prefix("summary: "))
        })
        .filter_map(|number| number.trim().parse::<f64>().ok())
        .fold(0.0, f64::max);
    if total == 0.0 {
        return Err("callgrind counted nothing".to_owned());
    }
    if top > 0 {
        print_top(&output, top)?;
    }
    Ok(total / f64::from(COUNTED))
}

/// Sends requests one after another, each after the response to the one before.
fn ask(client: &mut TcpStream, port: u16, times: u32) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("a request failed: {error}");
    let request = format!(
        "GET /img/1k.bin HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: {USER_AGENT}\r\nAccept: */*\r\nAccept-Encoding: gzip, br\r\n\
         Accept-Language: es-AR,es;q=0.9\r\n\r\n"
    );
    let mut buffer = vec![0; 16 * 1024];
    for _ in 0..times {
        client.write_all(request.as_bytes()).map_err(failed)?;
        let mut length = 0;
        while !buffer[..length]
            .windows(4)
            .any(|window| window == b"\r\n\r\n")
            || length < 1024
        {
            match client.read(&mut buffer[length..]).map_err(failed)? {
                0 => return Err("the server closed the connection".to_owned()),
                read => length += read,
            }
        }
        if !buffer.starts_with(b"HTTP/1.1 200 ") {
            return Err(format!(
                "a request was answered with {}",
                String::from_utf8_lossy(&buffer[..length.min(200)])
            ));
        }
    }
    Ok(())
}

fn instrument(pid: u32, switch: &str) -> Result<(), String> {
    let done = Command::new("callgrind_control")
        .args(["-i", switch, &pid.to_string()])
        .output();
    match done {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!(
            "callgrind_control: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
        Err(error) => Err(format!("callgrind_control did not start: {error}")),
    }
}

/// Prints the functions with the most instructions of one hit, including their callees.
fn print_top(output: &Path, top: usize) -> Result<(), String> {
    let annotated = Command::new("callgrind_annotate")
        .args(["--inclusive=yes", "--threshold=100"])
        .arg(output)
        .output()
        .map_err(|error| format!("callgrind_annotate did not start: {error}"))?;
    let text = String::from_utf8_lossy(&annotated.stdout);
    let counted = |line: &'_ str| {
        let (count, rest) = line.trim_start().split_once(" (")?;
        Some((count.replace(',', "").parse::<f64>().ok()?, rest.to_owned()))
    };
    for (count, rest) in text.lines().filter_map(counted).take(top) {
        let function = rest.split_once(')').map_or(&*rest, |(_, name)| name.trim());
        // The path of the file is long and not needed.
        let function = function
            .split(" [")
            .next()
            .unwrap_or(function)
            .rsplit_once('/')
            .map_or(function, |(_, name)| name);
        println!("{:>8.0}  {function}", count / f64::from(COUNTED));
    }
    Ok(())
}
