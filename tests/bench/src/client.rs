//! Requests of our own, where wrk has none like them: to fill a cache, and to ask on many connections at once.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::load::USER_AGENT;

/// A connection that is kept open.
pub(crate) struct Connection {
    port: u16,
    sender: SendRequest<Empty<Bytes>>,
}

impl Connection {
    pub(crate) async fn open(port: u16) -> Result<Connection, String> {
        let failed = |error: &dyn std::fmt::Display| format!("no connection to port {port}: {error}");
        let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        tokio::spawn(connection);
        Ok(Connection { port, sender })
    }

    /// Sends a GET and reads the whole answer: its status and the length of its body.
    pub(crate) async fn get(&mut self, path: &str) -> Result<(u16, u64), String> {
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
            length += frame.map_err(failed)?.data_ref().map_or(0, |data| data.len() as u64);
        }
        Ok((status, length))
    }
}

/// Runs `work` on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(tokio::task::LocalSet::new().run_until(work))
}

/// Asks once for each of the objects `1..=objects` of so many KiB.
pub(crate) fn fill(port: u16, objects: u32, kib: u32) -> Result<(), String> {
    const AT_ONCE: u32 = 32;
    block_on(async {
        let tasks: Vec<_> = (0..AT_ONCE.min(objects))
            .map(|first| {
                tokio::task::spawn_local(async move {
                    let mut connection = Connection::open(port).await?;
                    for number in (first + 1..=objects).step_by(AT_ONCE as usize) {
                        let path = format!("/img/o{number}/{kib}k.bin");
                        match connection.get(&path).await? {
                            (200, _) => {}
                            (status, _) => return Err(format!("{path} was answered with {status}")),
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        all(tasks).await.map(drop)
    })
}

/// What came of many requests at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stampede {
    /// From the first request to the end of the last answer.
    pub(crate) took: Duration,
    /// Answers that were not 200 with the whole body.
    pub(crate) failed: u64,
}

/// Opens the connections, then asks for `path` on all of them at once.
pub(crate) fn stampede(port: u16, path: &str, connections: u32, length: u64) -> Result<Stampede, String> {
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
                tokio::task::spawn_local(
                    async move { Ok(connection.get(&path).await.is_ok_and(|answer| answer == (200, length))) },
                )
            })
            .collect();
        let failed = all(tasks).await?.into_iter().filter(|good| !good).count() as u64;
        Ok(Stampede { took: began.elapsed(), failed })
    })
}

async fn all<T>(tasks: Vec<tokio::task::JoinHandle<Result<T, String>>>) -> Result<Vec<T>, String> {
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.map_err(|error| error.to_string())??);
    }
    Ok(results)
}
