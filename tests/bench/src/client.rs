//! Requests that wrk can't make: filling a cache, and requesting on many connections at once.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::load::USER_AGENT;
use crate::origin::Size;

/// The longest time for a connection, and for a response.
const PATIENCE: Duration = Duration::from_secs(30);

/// A persistent connection.
pub(crate) struct Connection {
    port: u16,
    sender: SendRequest<Empty<Bytes>>,
}

impl Connection {
    pub(crate) async fn open(port: u16) -> Result<Connection, String> {
        let failed =
            |error: &dyn std::fmt::Display| format!("no connection to port {port}: {error}");
        let stream = TcpStream::connect(("127.0.0.1", port))
            .await
            .map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        tokio::spawn(connection);
        Ok(Connection { port, sender })
    }

    /// Sends a GET and reads the response. Returns its status and the length of its body.
    pub(crate) async fn get(&mut self, path: &str) -> Result<(u16, u64), String> {
        let answer = tokio::time::timeout(PATIENCE, self.answer(path)).await;
        answer.unwrap_or_else(|_| Err(format!("{path}: no answer in {} s", PATIENCE.as_secs())))
    }

    async fn answer(&mut self, path: &str) -> Result<(u16, u64), String> {
        let request = hyper::Request::get(path)
            .header("host", format!("127.0.0.1:{}", self.port))
            .header("user-agent", USER_AGENT)
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let failed = |error: hyper::Error| format!("{path}: {error}");
        self.sender.ready().await.map_err(failed)?;
        let response = self.sender.send_request(request).await.map_err(failed)?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame
                .map_err(failed)?
                .data_ref()
                .map_or(0, |data| data.len() as u64);
        }
        Ok((status, length))
    }
}

/// Runs a future on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(tokio::task::LocalSet::new().run_until(work))
}

/// Requests each of the objects `1..=objects` of this size once.
pub(crate) fn fill(port: u16, objects: u32, size: Size) -> Result<(), String> {
    ask_for_all(port, objects, |number| size.path(number.into()))
}

/// Requests the paths of the numbers `1..=count`, and reports its progress. A few connections carry
/// several requests at a time, which costs the load the least.
pub(crate) fn ask_for_all(
    port: u16,
    count: u32,
    path: impl Fn(u32) -> String + Sync,
) -> Result<(), String> {
    const CONNECTIONS: u32 = 32;
    const AT_ONCE: usize = 8;
    const TOLD_EVERY: Duration = Duration::from_secs(10);
    let (done, failed) = (AtomicU32::new(0), AtomicBool::new(false));
    let of_one = |first: u32| {
        let mut pipeline = Pipeline::open(port)?;
        let numbers: Vec<u32> = (first + 1..=count).step_by(CONNECTIONS as usize).collect();
        for batch in numbers.chunks(AT_ONCE) {
            if failed.load(Ordering::Relaxed) {
                break;
            }
            pipeline.ask(&batch.iter().map(|number| path(*number)).collect::<Vec<_>>())?;
            done.fetch_add(batch.len() as u32, Ordering::Relaxed);
        }
        Ok(())
    };
    let of_one =
        |first| of_one(first).inspect_err(|_: &String| failed.store(true, Ordering::Relaxed));
    let (began, mut told) = (Instant::now(), Instant::now());
    std::thread::scope(|scope| {
        let of_one = &of_one;
        let workers: Vec<_> = (0..CONNECTIONS.min(count))
            .map(|first| scope.spawn(move || of_one(first)))
            .collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(20));
            if told.elapsed() >= TOLD_EVERY {
                told = Instant::now();
                eprintln!(
                    "  {} of {count} asked for after {} s",
                    done.load(Ordering::Relaxed),
                    began.elapsed().as_secs()
                );
            }
        }
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| "a thread panicked".to_owned())?)
    })
}

/// A connection with several requests at a time.
struct Pipeline {
    port: u16,
    reader: BufReader<std::net::TcpStream>,
}

impl Pipeline {
    fn open(port: u16) -> Result<Pipeline, String> {
        let open = || {
            let stream =
                std::net::TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), PATIENCE)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        let stream = open()
            .map_err(|error: std::io::Error| format!("no connection to port {port}: {error}"))?;
        Ok(Pipeline {
            port,
            reader: BufReader::with_capacity(64 * 1024, stream),
        })
    }

    /// Requests all `paths` at once, and reads the responses, each of which must be a 200.
    fn ask(&mut self, paths: &[String]) -> Result<(), String> {
        let request = |path| {
            format!(
                "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUser-Agent: {USER_AGENT}\r\n\r\n",
                self.port
            )
        };
        let requests: String = paths.iter().map(request).collect();
        let sent = self.reader.get_mut().write_all(requests.as_bytes());
        sent.map_err(|error| format!("{}: {error}", paths[0]))?;
        paths
            .iter()
            .try_for_each(|path| self.read().map_err(|error| format!("{path}: {error}")))
    }

    fn read(&mut self) -> std::io::Result<()> {
        let (mut line, mut length, mut is_first) = (String::new(), None, true);
        loop {
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            match line.split_once(':') {
                _ if is_first && !line.starts_with("HTTP/1.1 200 ") => {
                    return Err(std::io::Error::other(line));
                }
                _ if line.is_empty() => break,
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().ok()
                }
                _ => {}
            }
            is_first = false;
        }
        let length: u64 =
            length.ok_or_else(|| std::io::Error::other("an answer without Content-Length"))?;
        let read = std::io::copy(&mut (&mut self.reader).take(length), &mut std::io::sink())?;
        if read == length {
            Ok(())
        } else {
            Err(ErrorKind::UnexpectedEof.into())
        }
    }
}

/// The result of many requests at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stampede {
    /// The time from the first request to the end of the last response.
    pub(crate) took: Duration,
    /// The number of responses that were not a complete 200.
    pub(crate) failed: u64,
}

/// Opens the connections, and then requests `path` on all of them at once.
pub(crate) fn stampede(
    port: u16,
    path: &str,
    connections: u32,
    length: u64,
) -> Result<Stampede, String> {
    block_on(async {
        let mut open = Vec::new();
        for _ in 0..connections {
            open.push(Connection::open(port).await?);
        }
        let began = Instant::now();
        let tasks = open
            .into_iter()
            .map(|mut connection| {
                let path = path.to_owned();
                tokio::task::spawn_local(async move {
                    Ok(connection
                        .get(&path)
                        .await
                        .is_ok_and(|answer| answer == (200, length)))
                })
            })
            .collect();
        let failed = all(tasks).await?.into_iter().filter(|good| !good).count() as u64;
        Ok(Stampede {
            took: began.elapsed(),
            failed,
        })
    })
}

async fn all<T>(tasks: Vec<tokio::task::JoinHandle<Result<T, String>>>) -> Result<Vec<T>, String> {
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.map_err(|error| error.to_string())??);
    }
    Ok(results)
}
