//! Measures how long tero takes to become ready, with the four shipped policies.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::process::Process;
use crate::servers::free_port;

/// The configuration of the examples, which has all four policies.
const CONFIG: &str = include_str!("../../../examples/barberpro/tero.toml");

/// Starts tero `times` times, and returns the milliseconds until each was ready. The compiled
/// modules are on disk from an earlier start.
pub(crate) fn measure(tero: &Path, times: u32, core: u32) -> Result<Vec<f64>, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    start(tero, folder.path(), core)?;
    (0..times)
        .map(|_| start(tero, folder.path(), core))
        .collect()
}

fn start(tero: &Path, folder: &Path, core: u32) -> Result<f64, String> {
    let failed = |error: std::io::Error| error.to_string();
    let (port, admin) = (free_port().map_err(failed)?, free_port().map_err(failed)?);
    let text = CONFIG
        .replace("0.0.0.0:8080", &format!("127.0.0.1:{port}"))
        .replace("127.0.0.1:9090", &format!("127.0.0.1:{admin}"));
    let compiled = format!(
        "[policies]\ncompiled_cache = \"{}\"\n",
        folder.join("compiled").display()
    );
    let config = folder.join("tero.toml");
    std::fs::write(&config, text + &compiled).map_err(failed)?;
    let arguments = [
        "serve".to_owned(),
        "--config".to_owned(),
        config.display().to_string(),
    ];
    let log = folder.join("output.log");
    let began = Instant::now();
    let mut process = Process::start(core, tero, &arguments, &log)?;
    while !is_ready(admin) {
        if process.ended() || began.elapsed() > Duration::from_secs(60) {
            return Err(format!(
                "tero did not become ready:\n{}",
                std::fs::read_to_string(&log).unwrap_or_default()
            ));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(began.elapsed().as_secs_f64() * 1_000.0)
}

fn is_ready(admin: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", admin))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(
            stream,
            "GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_has_four_policies_and_the_replaced_addresses() {
        for module in [
            "business-hours",
            "device-variants",
            "json-rules",
            "popular-pages",
        ] {
            assert!(
                CONFIG.contains(&format!("module = \"builtin:{module}\"")),
                "{module}"
            );
        }
        assert_eq!(
            (
                CONFIG.matches("0.0.0.0:8080").count(),
                CONFIG.matches("127.0.0.1:9090").count()
            ),
            (1, 1)
        );
    }
}
