//! Calls of tero's admin interface.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Purges `target`, the content of a `POST /purge`, and returns the number of purged responses.
pub(crate) fn purge(admin: u16, target: &serde_json::Value) -> Result<u64, String> {
    let failed = |error: std::io::Error| format!("the purge failed: {error}");
    let body = target.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", admin)).map_err(failed)?;
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .map_err(failed)?;
    write!(
        stream,
        "POST /purge HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    let counted = answer
        .split_once("\r\n\r\n")
        .and_then(|(_, body)| serde_json::from_str::<serde_json::Value>(body).ok());
    counted
        .and_then(|body| body["purged"].as_u64())
        .ok_or_else(|| format!("the purge was answered with {answer}"))
}
