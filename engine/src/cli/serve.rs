//! `tero serve`: runs the edge until a signal ends it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{DEFAULT_CONFIG, colours, fail, report};
use crate::clock::Clock;
use crate::config::Config;
use crate::{Server, serve};

const EXAMPLE: &str = "\
Examples:
  tero serve                         with ./tero.toml
  tero serve --config /etc/tero.toml
  TERO_LOG=debug tero serve          with more in the log

SIGTERM and SIGINT end it once the requests under way are answered; a second one ends it at once.
SIGHUP reads the configuration again (sites, policies, plans) and reopens the access log.

Exit code: 0 after a signal, 1 if it could not start, 2 if the command is used wrongly.";

/// Runs the edge
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Serve {
    /// The configuration
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

impl Serve {
    pub(super) fn run(self) -> ExitCode {
        let config = match Config::load(&self.config) {
            Ok(config) => config,
            Err(errors) => {
                eprint!("{}", report::report(&errors, colours()));
                return ExitCode::FAILURE;
            }
        };
        // Signals are caught before the edge serves, so that none is lost.
        let signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => return fail(&format!("can't catch signals: {error}")),
        };
        let server = match serve(config, Clock::real()) {
            Ok(server) => Arc::new(server),
            Err(error) => return fail(&with_causes(&error)),
        };
        for address in server.addresses() {
            tracing::info!("serving on http://{address}");
        }
        tracing::info!("admin interface on http://{}", server.admin_address());
        let watched = Arc::clone(&server);
        // The thread ends with the process.
        std::thread::spawn(move || signals.obey(&watched, &self.config));
        server.wait();
        ExitCode::SUCCESS
    }
}

/// The signals that the edge obeys.
struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (terminate, interrupt, hang_up) = {
            let _entered = runtime.enter();
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?)
        };
        Ok(Signals { runtime, terminate, interrupt, hang_up })
    }

    fn obey(self, server: &Server, file: &Path) {
        let Signals { runtime, mut terminate, mut interrupt, mut hang_up } = self;
        let mut draining = false;
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = hang_up.recv() => reload(server, file),
                    _ = terminate.recv() => end(server, &mut draining),
                    _ = interrupt.recv() => end(server, &mut draining),
                }
            }
        });
    }
}

fn end(server: &Server, draining: &mut bool) {
    if *draining {
        tracing::info!("stopping at once");
        server.stop();
    } else {
        tracing::info!("draining");
        server.shutdown();
        *draining = true;
    }
}

fn reload(server: &Server, file: &Path) {
    server.reopen_log();
    match Config::load(file).map_err(|errors| errors.to_string()) {
        Ok(config) => match server.reload(config) {
            Ok(()) => tracing::info!("reloaded {}", file.display()),
            Err(error) => tracing::error!("not reloaded, the old configuration stays: {}", with_causes(&error)),
        },
        Err(mistakes) => tracing::error!("not reloaded, the old configuration stays:\n{mistakes}"),
    }
}

/// The error and what caused it.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
