//! Measures TLS, HTTP/2 and compressed hits: tero without policies beside nginx and HAProxy, and
//! beside its own plain hits.
//!
//! A round starts each server once and runs all cases on it. So a ratio of two cases of tero is one
//! of the same process, and a ratio to a peer one of the same minute.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use crate::cases::{Case, Kind};
use crate::handshakes::{self, Begin, Handshakes};
use crate::load::{self, Load, Over};
use crate::origin::{Origin, Size};
use crate::report::{median, percentile, sorted};
use crate::servers::{self, Running, Server, Start};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which servers.
    #[arg(long, value_delimiter = ',', default_value = "tero,nginx,haproxy")]
    only: Vec<Server>,
    /// Which cases [default: all].
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// How long each measurement takes, in seconds.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// How often each server is measured; medians are reported.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// The core that the server is pinned to.
    #[arg(long, default_value_t = 0)]
    server_core: u32,
    /// The core that the load is pinned to.
    #[arg(long, default_value_t = 1)]
    load_core: u32,
    /// The number of idle connections.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    idle: u32,
    /// The tero binary [default: built with `cargo build --profile dist`].
    #[arg(long)]
    tero: Option<PathBuf>,
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
enum Measured {
    /// CPU of a hit of this size, with this many connections.
    Hit(Over, Size, u32),
    /// CPU of a hit of a text that is sent compressed.
    Coded,
    /// CPU of a hit of an object as long as that compressed text.
    AsLong,
    /// CPU of a miss, from the origin in the clear or over TLS.
    Miss { is_secure: bool },
    /// CPU of a connection with a request.
    Handshake(Begin),
    /// Bytes of memory of an idle connection.
    Idle { http2: bool },
}

/// The largest ratio of tero's value that is good.
#[derive(Clone, Copy, Debug)]
enum Goal {
    /// To a peer's value.
    Peer(Server, f64),
    /// To tero's own value in another case.
    Case(&'static str, f64),
    /// The ratio of a peer's own value to that in another case, for comparison.
    Own(Server, &'static str),
}

struct Row {
    name: &'static str,
    about: &'static str,
    measured: Measured,
    goals: &'static [Goal],
}

const KIB: Size = Size::of_kib(1);
const KIB_100: Size = Size::of_kib(100);
/// A page of the length that is usual on the web.
const TEXT: Size = Size::of_kib(98);

const fn http2(streams: u32) -> Over {
    Over::Http2 { streams }
}

/// The host whose origin speaks TLS.
const SECURE: &str = "secure.example";

const ROWS: [Row; 17] = {
    use Goal::{Case, Own, Peer};
    use Measured::{AsLong, Coded, Handshake, Hit, Idle, Miss};
    use Server::{Haproxy, Nginx};
    const fn row(
        name: &'static str,
        about: &'static str,
        measured: Measured,
        goals: &'static [Goal],
    ) -> Row {
        Row {
            name,
            about,
            measured,
            goals,
        }
    }
    [
        row(
            "idle-1",
            "bytes of an idle TLS connection, HTTP/1.1",
            Idle { http2: false },
            &[Peer(Nginx, 1.5)],
        ),
        row(
            "idle-2",
            "bytes of an idle TLS connection, HTTP/2",
            Idle { http2: true },
            &[Peer(Nginx, 2.0)],
        ),
        row(
            "plain-1k",
            "plain hits of 1 KiB",
            Hit(Over::Plain, KIB, 64),
            &[],
        ),
        row(
            "tls-1k",
            "HTTPS/1.1, 1 KiB",
            Hit(Over::Tls, KIB, 64),
            &[
                Peer(Nginx, 0.95),
                Peer(Haproxy, 1.05),
                Case("plain-1k", 1.3),
            ],
        ),
        row(
            "plain-100k",
            "plain hits of 100 KiB",
            Hit(Over::Plain, KIB_100, 64),
            &[],
        ),
        row(
            "tls-100k",
            "HTTPS/1.1, 100 KiB",
            Hit(Over::Tls, KIB_100, 64),
            &[
                Peer(Nginx, 0.5),
                Peer(Haproxy, 0.5),
                Case("plain-100k", 1.5),
            ],
        ),
        row(
            "h2-8x16",
            "HTTP/2, 1 KiB, 8 connections × 16 streams",
            Hit(http2(16), KIB, 8),
            &[Peer(Nginx, 0.65), Peer(Haproxy, 1.5)],
        ),
        row(
            "h2-64x1",
            "HTTP/2, 1 KiB, 64 × 1",
            Hit(http2(1), KIB, 64),
            &[Peer(Nginx, 1.0), Peer(Haproxy, 1.0)],
        ),
        row(
            "h2-100k",
            "HTTP/2, 100 KiB, 8 × 16",
            Hit(http2(16), KIB_100, 8),
            &[Peer(Nginx, 0.65), Peer(Haproxy, 0.65)],
        ),
        row(
            "miss-http",
            "misses of 1 KiB, origin of http",
            Miss { is_secure: false },
            &[],
        ),
        row(
            "miss-https",
            "misses of 1 KiB, origin of https, connections kept",
            Miss { is_secure: true },
            &[
                Case("miss-http", 1.25),
                Own(Nginx, "miss-http"),
                Own(Haproxy, "miss-http"),
            ],
        ),
        row(
            "full-p256",
            "full handshake, P-256",
            Handshake(Begin::Ecdsa),
            &[Peer(Nginx, 0.55)],
        ),
        row(
            "full-rsa",
            "full handshake, RSA-2048",
            Handshake(Begin::Rsa),
            &[Peer(Nginx, 0.8)],
        ),
        row(
            "resumed",
            "resumed handshake",
            Handshake(Begin::Resumed),
            &[Peer(Nginx, 0.65)],
        ),
        row(
            "new-plain",
            "a plain connection with a request, for comparison",
            Hit(Over::Plain, KIB, 0),
            &[],
        ),
        row("as-long", "plain hits as long as the next", AsLong, &[]),
        row(
            "coded",
            "hits of 98 KiB of text, compressed",
            Coded,
            &[Case("as-long", 1.1)],
        ),
    ]
};

/// The values of a case by server, one for each round; `None` where it failed.
type Values = BTreeMap<(&'static str, Server), Vec<Option<f64>>>;

pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    load::installed()?;
    let known = |name: &&String| ROWS.iter().all(|row| row.name != name.as_str());
    if let Some(name) = arguments.cases.iter().find(known) {
        let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        return Err(format!(
            "there is no case {name}; write some of {}",
            names.join(", ")
        ));
    }
    let rows: Vec<&Row> = ROWS
        .iter()
        .filter(|row| {
            arguments.cases.is_empty() || arguments.cases.iter().any(|name| name == row.name)
        })
        .collect();
    let origin =
        Origin::start_with_tls().map_err(|error| format!("the origin did not start: {error}"))?;
    let wanted = arguments.only.iter().any(|server| server.is_tero());
    let tero = servers::tero_binary(arguments.tero.as_deref(), wanted, servers::PRODUCTION)?;
    let start = Start {
        core: arguments.server_core,
        config: Some(include_str!("../peers/tero-tls.toml")),
        tls: true,
        origin_tls: origin.tls(),
        ..Start::new(&tero, origin.port())
    };
    let servers = servers::installed(&arguments.only, &start)?;
    if let Some((server, _)) = servers.iter().find(|(server, _)| !takes_part(*server)) {
        return Err(format!("{} takes no part in this", server.as_str()));
    }
    let mut values = Values::new();
    for round in 0..arguments.rounds {
        for turn in 0..servers.len() {
            let (server, _) = servers[(turn + round as usize) % servers.len()];
            let running = servers::start(server, &start)?;
            for row in rows.iter().filter(|row| row.measured.is_of(server)) {
                let value = match row.measured {
                    // Memory that other cases have used and freed would hide what connections take.
                    Measured::Idle { http2 } => servers::start(server, &start)
                        .and_then(|fresh| idle(&fresh, arguments.idle, http2)),
                    _ => measure(row, &running, &origin, arguments),
                };
                match &value {
                    Ok(value) => eprintln!(
                        "round {} of {}: {:10} {:8} {value:>9.2}",
                        round + 1,
                        arguments.rounds,
                        row.name,
                        server.as_str()
                    ),
                    Err(why) => eprintln!(
                        "round {} of {}: {} failed at {}: {why}",
                        round + 1,
                        arguments.rounds,
                        server.as_str(),
                        row.name
                    ),
                }
                values
                    .entry((row.name, server))
                    .or_default()
                    .push(value.ok());
            }
            running.stop();
        }
    }
    print(&rows, &servers, &values);
    // A peer may fail a case; tero must not.
    match values
        .iter()
        .find(|((_, server), values)| server.is_tero() && values.contains(&None))
    {
        Some(((name, server), _)) => Err(format!("{} failed at {name}", server.as_str())),
        None => Ok(()),
    }
}

/// Whether it speaks TLS and has a configuration for it here.
fn takes_part(server: Server) -> bool {
    matches!(
        server,
        Server::Tero | Server::TeroOther | Server::Nginx | Server::Haproxy
    )
}

impl Measured {
    /// Whether it is measured on this server. Compression is not configured for HAProxy.
    fn is_of(self, server: Server) -> bool {
        server != Server::Haproxy || !matches!(self, Measured::Coded | Measured::AsLong)
    }
}

fn measure(
    row: &Row,
    running: &Running,
    origin: &Origin,
    arguments: &Arguments,
) -> Result<f64, String> {
    let hit = |over, kind, size, connections| {
        let case = Case {
            size,
            ..Case::new(row.name, row.about, kind).connections(connections)
        };
        let load = Load {
            port: if over == Over::Plain {
                running.port
            } else {
                running.tls
            },
            case: &case,
            core: arguments.load_core,
            seed: "",
            host: None,
            over,
        };
        load.run(1)?;
        let asked = origin.requests();
        let cpu = running.cpu_of_request(|| load.run(arguments.seconds))?;
        if origin.requests() > asked {
            return Err("the origin was asked: these are not hits".to_owned());
        }
        Ok(cpu)
    };
    match row.measured {
        Measured::Hit(over, size, 0) => hit(over, Kind::NewConnections, size, 8),
        Measured::Hit(over, size, connections) => {
            load::check_body(running.port, &format!("/img/{size}.bin"), &size.body())?;
            hit(over, Kind::Hit, size, connections)
        }
        Measured::Coded => {
            let coded = coded_length(running.port)?;
            if u64::from(coded) >= TEXT.bytes() / 2 {
                return Err(format!("{coded} bytes: this is not compressed"));
            }
            hit(Over::Plain, Kind::Coded, TEXT, 64)
        }
        Measured::AsLong => {
            let size = Size::of_bytes(coded_length(running.port)?);
            hit(Over::Plain, Kind::Hit, size, 64)
        }
        Measured::Miss { is_secure } => miss(row, running, origin, arguments, is_secure),
        Measured::Handshake(begin) => {
            let handshakes = Handshakes {
                port: running.tls,
                path: format!("/img/{KIB}.bin"),
                begin,
                connections: 4,
                seconds: arguments.seconds,
            };
            running.cpu_of_request(|| {
                let requests = handshakes.run_on(arguments.load_core)?;
                Ok(load::LoadResult {
                    requests,
                    ..load::LoadResult::of_latencies(&[], arguments.seconds as f64)
                })
            })
        }
        Measured::Idle { http2 } => idle(running, arguments.idle, http2),
    }
}

/// CPU of a request for an object that is asked for once.
fn miss(
    row: &Row,
    running: &Running,
    origin: &Origin,
    arguments: &Arguments,
    is_secure: bool,
) -> Result<f64, String> {
    let case = Case::new(row.name, row.about, Kind::Misses);
    let load = |seconds: u64| {
        // Each run has objects of its own.
        let seed = origin.requests().to_string();
        let load = Load {
            port: running.port,
            case: &case,
            core: arguments.load_core,
            seed: &seed,
            host: is_secure.then_some(SECURE),
            over: Over::Plain,
        };
        let asked = origin.requests();
        let result = load.run(seconds)?;
        match origin.requests() - asked >= result.requests {
            true => Ok(result),
            false => Err("the origin was not asked each time: some are hits".to_owned()),
        }
    };
    load(1)?;
    running.cpu_of_request(|| load(arguments.seconds))
}

/// The bytes that each of `count` idle connections takes.
fn idle(running: &Running, count: u32, http2: bool) -> Result<f64, String> {
    let path = format!("/img/{KIB}.bin");
    // What the first connections make the server allocate isn't counted for a connection.
    drop(handshakes::idle(running.tls, &path, 64, http2)?);
    std::thread::sleep(SETTLING);
    let before = running.memory();
    let open = handshakes::idle(running.tls, &path, count, http2)?;
    std::thread::sleep(SETTLING);
    let after = running.memory();
    drop(open);
    Ok(after.saturating_sub(before) as f64 / f64::from(count))
}

/// The time in which a server frees what it no longer needs.
const SETTLING: Duration = Duration::from_millis(500);

/// The length of the compressed text, with the framing of chunks if there are any.
fn coded_length(port: u16) -> Result<u32, String> {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(
            stream,
            "GET /text/{TEXT}.html HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: {}\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n",
            load::USER_AGENT
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let mut length = 0;
    // A variant may be made after the first answer.
    for _ in 0..3 {
        let answer = ask().map_err(|error| format!("the text: {error}"))?;
        let head = answer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .ok_or("the text: no complete answer")?;
        length = (answer.len() - head - 4) as u32;
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(length)
}

fn print(rows: &[&Row], servers: &[(Server, String)], values: &Values) {
    let versions: Vec<String> = servers
        .iter()
        .map(|(server, version)| format!("{} {version}", server.as_str()))
        .collect();
    println!("{}\n", versions.join(", "));
    let names: Vec<&str> = servers.iter().map(|(server, _)| server.as_str()).collect();
    println!(
        "| case | {} | goal | ratio | half of the rounds between |",
        names.join(" | ")
    );
    println!("|---|{}---|--:|---|", "--:|".repeat(names.len()));
    for row in rows {
        let cells: Vec<String> = servers
            .iter()
            .map(|(server, _)| {
                let of_case = values.get(&(row.name, *server));
                let good: Vec<f64> = of_case.into_iter().flatten().flatten().copied().collect();
                match good.is_empty() {
                    true => "-".to_owned(),
                    false => format!("{:.1}", median(&sorted(&good))),
                }
            })
            .collect();
        let mut first = format!("| {} | {}", row.about, cells.join(" | "));
        let mut told = false;
        for goal in row.goals {
            let tero = (row.name, Server::Tero);
            let (own, other, words) = match goal {
                Goal::Peer(peer, most) => {
                    let words = format!("{most} times {}", peer.as_str());
                    (tero, (row.name, *peer), words)
                }
                Goal::Case(name, most) => {
                    (tero, (*name, Server::Tero), format!("{most} times {name}"))
                }
                Goal::Own(peer, name) => {
                    let words = format!("{}: times {name}", peer.as_str());
                    ((row.name, *peer), (*name, *peer), words)
                }
            };
            let Some([low, middle, high]) = ratio(values, own, other) else {
                continue;
            };
            println!("{first} | {words} | {middle:.2} | {low:.2} and {high:.2} |");
            first = format!("|  {}", " | ".repeat(names.len()));
            told = true;
        }
        if !told {
            println!("{first} |  |  |  |");
        }
    }
}

/// The quartiles of the rounds' ratios; `None` if no round has both values.
fn ratio(
    values: &Values,
    own: (&'static str, Server),
    other: (&'static str, Server),
) -> Option<[f64; 3]> {
    let ratios: Vec<f64> = values
        .get(&own)?
        .iter()
        .zip(values.get(&other)?)
        .filter_map(|(own, other)| Some((*own)? / (*other)?))
        .collect();
    let ratios = sorted(&ratios);
    (!ratios.is_empty()).then(|| {
        [
            percentile(&ratios, 0.25),
            median(&ratios),
            percentile(&ratios, 0.75),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_name_cases_that_come_before() {
        for (place, row) in ROWS.iter().enumerate() {
            for goal in row.goals {
                if let Goal::Case(name, _) | Goal::Own(_, name) = goal {
                    assert!(ROWS[..place].iter().any(|row| row.name == *name), "{name}");
                }
            }
        }
    }

    #[test]
    fn a_ratio_is_the_median_of_those_of_rounds() {
        let values = Values::from([
            (
                ("a", Server::Tero),
                vec![Some(1.0), Some(9.0), Some(6.0), Some(3.0)],
            ),
            (
                ("a", Server::Nginx),
                vec![Some(2.0), None, Some(2.0), Some(2.0)],
            ),
        ]);
        let (own, peer) = (("a", Server::Tero), ("a", Server::Nginx));
        assert_eq!(ratio(&values, own, peer), Some([0.5, 1.5, 1.5]));
        assert_eq!(ratio(&values, own, ("b", Server::Nginx)), None);
    }
}
