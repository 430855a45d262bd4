//! Measures how long tero takes to become ready, with the four shipped policies.

use std::path::Path;
use std::time::{Duration, Instant};

use tero_admin_api::ReadyRequest;
use tero_admin_api::client::Client;
use tero_admin_api::endpoints::Ready;

use crate::admin;
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
    let (port, admin_port) = (free_port().map_err(failed)?, free_port().map_err(failed)?);
    let text = CONFIG
        .replace("0.0.0.0:8080", &format!("127.0.0.1:{port}"))
        .replace("127.0.0.1:9090", &format!("127.0.0.1:{admin_port}"));
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
    let client = admin::client(admin_port)?;
    let began = Instant::now();
    let mut process = Process::start(core, tero, &arguments, &log)?;
    while !is_ready(&client) {
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

fn is_ready(client: &Client) -> bool {
    client.call::<Ready>(&[], &ReadyRequest::default()).is_ok()
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
