//! Requests at a steady rate: each is sent when it is due, not when the one before was answered.
//! This measures how long clients of an unsaturated server wait.
//!
//! One thread sends and never sleeps: a timer that is a millisecond late would send the requests of
//! that millisecond at once, and their queue would hide the behaviour of the server.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::process::Command;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::load::USER_AGENT;
use crate::origin::Size;
use crate::report::{percentile, sorted};

/// The longest time for the last responses after the last request, and for opening a connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest head, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// At a pace with misses, every tenth request is one.
const MISS_EVERY: usize = 10;

/// The rate and the targets of requests.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Pace {
    pub(crate) port: u16,
    pub(crate) path: String,
    pub(crate) connections: u32,
    /// Requests each second, over all connections.
    pub(crate) rate: f64,
    pub(crate) seconds: u64,
    /// Makes every tenth request a miss: new objects, from this number on.
    #[arg(long)]
    pub(crate) misses: Option<u64>,
}

impl Pace {
    /// Whether the request with this number is a miss.
    pub(crate) fn is_miss(&self, number: usize) -> bool {
        self.misses.is_some() && number % MISS_EVERY == MISS_EVERY - 1
    }

    fn request(&self, number: usize) -> String {
        let Pace {
            port, path, misses, ..
        } = self;
        let path = match misses {
            Some(first) if self.is_miss(number) => Size::of_kib(1).path(first + number as u64),
            _ => path.clone(),
        };
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: {USER_AGENT}\r\n\r\n")
    }

    /// Runs [`at_rate`] in a process of its own on `core`.
    pub(crate) fn run_on(&self, core: u32) -> Result<Vec<f64>, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let misses = self
            .misses
            .iter()
            .flat_map(|first| ["--misses".to_owned(), first.to_string()]);
        let output = Command::new("taskset")
            .args(["-c", &core.to_string()])
            .arg(program)
            .args([
                "at-rate",
                &self.port.to_string(),
                &self.path,
                &self.connections.to_string(),
            ])
            .args([&self.rate.to_string(), &self.seconds.to_string()])
            .args(misses)
            .output()
            .map_err(|error| error.to_string())?;
        serde_json::from_slice(&output.stdout).map_err(|_| {
            format!(
                "asking at a steady rate failed: {}",
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }
}

/// Sends requests at a pace, and returns the latency of each in microseconds, in the order in which
/// they were due. Latency counts from the due time, even if no connection was free, so that a stall
/// does not hide itself.
pub(crate) fn at_rate(pace: &Pace) -> Result<Vec<f64>, String> {
    let Pace {
        port,
        path,
        connections,
        rate,
        seconds,
        ..
    } = pace;
    let (port, connections, rate, time) =
        (*port, *connections, *rate, Duration::from_secs(*seconds));
    let failed = |error: std::io::Error| format!("{path} on port {port}: {error}");
    let mut poll = Poll::new().map_err(failed)?;
    let mut open = (0..connections as usize)
        .map(|number| PacedConnection::open(port, &poll, Token(number)))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(failed)?;
    let mut free: VecDeque<usize> = (0..open.len()).collect();
    let mut events = Events::with_capacity(1024);
    let count = (rate * time.as_secs_f64()) as u64;
    let (mut sent, mut answered, mut took) = (0, 0, vec![0.0; count as usize]);
    let began = Instant::now();
    let due = |number: u64| began + Duration::from_secs_f64(number as f64 / rate);
    while answered < count {
        let now = Instant::now();
        while sent < count && due(sent) <= now {
            let Some(caller) = free.pop_front() else {
                break;
            };
            open[caller]
                .ask(pace.request(sent as usize).as_bytes(), sent as usize)
                .map_err(failed)?;
            sent += 1;
        }
        if now > due(count) + PATIENCE {
            return Err(format!(
                "{path} on port {port}: {} answers did not come",
                count - answered
            ));
        }
        poll.poll(&mut events, Some(Duration::ZERO))
            .map_err(failed)?;
        for event in &events {
            let Token(number) = event.token();
            if let Some(asked) = open[number].read().map_err(failed)? {
                took[asked] = due(asked as u64).elapsed().as_secs_f64() * 1e6;
                answered += 1;
                free.push_back(number);
            }
        }
    }
    Ok(took)
}

/// The median of the 99th percentiles of all tenths of a second. A pause of the machine affects few
/// of them; a habit of the server affects most.
pub(crate) fn p99_of_tenths(took: &[f64], rate: f64) -> f64 {
    let tenth = ((rate / 10.0) as usize).max(1);
    let mut each: Vec<f64> = took
        .chunks(tenth)
        .map(|tenth| percentile(&sorted(tenth), 0.99))
        .collect();
    each.sort_by(f64::total_cmp);
    percentile(&each, 0.5)
}

/// A connection, and the response that it waits for.
struct PacedConnection {
    stream: TcpStream,
    /// The number of the request in flight.
    asked: Option<usize>,
    head: Vec<u8>,
    /// The missing bytes of the body; `None` until the head is complete.
    left: Option<u64>,
}

impl PacedConnection {
    fn open(port: u16, poll: &Poll, token: Token) -> std::io::Result<PacedConnection> {
        let stream =
            std::net::TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry()
            .register(&mut stream, token, Interest::READABLE)?;
        Ok(PacedConnection {
            stream,
            asked: None,
            head: Vec::new(),
            left: None,
        })
    }

    fn ask(&mut self, request: &[u8], number: usize) -> std::io::Result<()> {
        self.stream.write_all(request)?;
        (self.asked, self.left) = (Some(number), None);
        self.head.clear();
        Ok(())
    }

    /// Reads the available bytes. If the response ends, returns the number of its request.
    fn read(&mut self) -> std::io::Result<Option<usize>> {
        let mut buffer = [0; 64 * 1024];
        loop {
            let length = match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            };
            let of_body = match self.left {
                Some(_) => length,
                None => match self.read_head(&buffer[..length])? {
                    Some(of_body) => of_body,
                    None => continue,
                },
            };
            let left = self.left.unwrap_or_default().checked_sub(of_body as u64);
            self.left = Some(left.ok_or_else(|| invalid("more than the answer has come"))?);
            if left == Some(0) {
                return Ok(self.asked.take());
            }
        }
    }

    /// Adds `bytes` to the head. If the head ends, returns how many bytes belong to the body.
    fn read_head(&mut self, bytes: &[u8]) -> std::io::Result<Option<usize>> {
        self.head.extend_from_slice(bytes);
        let Some(end) = self
            .head
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
        else {
            return if self.head.len() > MAX_HEAD {
                Err(invalid("a head without an end"))
            } else {
                Ok(None)
            };
        };
        let head = String::from_utf8_lossy(&self.head[..end]);
        if !head.starts_with("HTTP/1.1 200 ") {
            return Err(invalid(head.lines().next().unwrap_or_default()));
        }
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length = length.and_then(|(_, value)| value.trim().parse().ok());
        self.left = Some(length.ok_or_else(|| invalid("an answer without Content-Length"))?);
        Ok(Some(self.head.len() - end - 4))
    }
}

fn invalid(what: &str) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, format!("answered with: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each request of a connection with a 200 and ten bytes, in two writes, and the first
    /// one after `pause`.
    fn slow_at_first(pause: Duration) -> u16 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            let mut pause = Some(pause);
            while stream.read(&mut buffer).is_ok_and(|length| length > 0) {
                std::thread::sleep(pause.take().unwrap_or_default());
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
                    .unwrap();
                stream.write_all(b"0123456789").unwrap();
            }
        });
        port
    }

    #[test]
    fn a_stall_counts_for_all_delayed_requests() {
        let stall = Duration::from_millis(200);
        let port = slow_at_first(stall);
        let took = at_rate(&Pace {
            port,
            path: "/".into(),
            connections: 1,
            rate: 40.0,
            seconds: 1,
            misses: None,
        })
        .unwrap();
        assert_eq!(took.len(), 40);
        assert!(took[0] >= 200_000.0, "{took:?}");
        assert!(
            took[4] >= 80_000.0,
            "half of the stall is felt by the fifth: {took:?}"
        );
    }

    #[test]
    fn every_tenth_request_is_a_new_miss() {
        let pace = Pace {
            port: 80,
            path: "/a".into(),
            connections: 1,
            rate: 1.0,
            seconds: 1,
            misses: Some(7),
        };
        let paths: Vec<_> = (0..20)
            .map(|number| pace.request(number).split(' ').nth(1).unwrap().to_owned())
            .collect();
        assert_eq!(paths.iter().filter(|path| *path == "/a").count(), 18);
        assert_eq!(
            (&*paths[9], &*paths[19]),
            ("/img/o16/1k.bin", "/img/o26/1k.bin")
        );
    }

    #[test]
    fn a_pause_in_one_tenth_of_a_second_does_not_change_the_median() {
        let mut took = vec![10.0; 1_000];
        took[..100].fill(5_000.0);
        assert_eq!(p99_of_tenths(&took, 1_000.0), 10.0);
        let each_hundred: Vec<f64> = (0..1_000)
            .map(|number| if number % 50 == 0 { 5_000.0 } else { 10.0 })
            .collect();
        assert_eq!(p99_of_tenths(&each_hundred, 1_000.0), 5_000.0);
    }
}
