//! `tero serve`: the edge itself.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use clap::Args;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::compile::compiler;
use super::config_args::ConfigArgs;
use super::{colours, fail, report};
use crate::{ReloadError, ServeError, Server};
use tero_config::Config;
use tero_policy_host::check::check_file;
use tero_time::clock::Clock;

const EXAMPLE: &str = "\
Examples:
  tero serve                              serve as ./tero.toml says
  tero serve /etc/tero/tero.toml
  tero serve --config /etc/tero/tero.toml

Signals: SIGTERM and SIGINT end each connection after its request, for at most
`[server] drain`; a second one stops at once. SIGHUP reads the configuration
again and opens the access log anew.

Exit code: 0 after a signal, 1 if it can't serve, 2 if the command is used
wrongly.";

/// Runs the edge until it is stopped
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct ServeCommand {
    #[command(flatten)]
    config: ConfigArgs,
}

impl ServeCommand {
    pub(super) fn run(self) -> ExitCode {
        let config = match Config::load(self.config.path()) {
            Ok(config) => config,
            Err(errors) => {
                eprint!("{}", report::report(&errors, colours()));
                return ExitCode::FAILURE;
            }
        };
        // Before the log says that the edge serves: without a listener, a signal ends the process at
        // once.
        let signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(error) => return fail(&format!("can't listen for signals: {error}")),
        };
        let server = match crate::serve(config, Clock::real(), &compiler()) {
            Ok(server) => server,
            Err(error @ (ServeError::Policy(_) | ServeError::Rollout(_))) => {
                return refused_by_policy(self.config.path(), &error);
            }
            Err(error) => return fail(&with_causes(&error)),
        };
        for url in server.urls() {
            tracing::info!("serving on {url}");
        }
        for path in server.paths() {
            tracing::info!("serving on unix:{}", path.display());
        }
        tracing::info!("admin interface on {}", server.admin_url());
        let server = Arc::new(server);
        let reloads = match start_reloads(Arc::clone(&server)) {
            Ok(reloads) => reloads,
            Err(error) => return fail(&format!("can't start a thread: {error}")),
        };
        signals.heed_until_stopped(&server, &reloads);
        ExitCode::SUCCESS
    }
}

/// A mistake that a policy finds has a place in the file.
fn refused_by_policy(path: &Path, error: &ServeError) -> ExitCode {
    match check_file(path, &compiler()) {
        Err(errors) => {
            eprint!("{}", report::report(&errors, colours()));
            ExitCode::FAILURE
        }
        Ok(_) => fail(&with_causes(error)),
    }
}

/// The signals that the process listens to.
#[derive(Debug)]
pub(super) struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> io::Result<Signals> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let inside = runtime.enter();
        let (terminate, interrupt) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let hangup = signal(SignalKind::hangup())?;
        drop(inside);
        Ok(Signals {
            runtime,
            terminate,
            interrupt,
            hangup,
        })
    }

    /// Lets the server run until a signal stops it, and waits until everything has ended.
    pub(super) fn heed_until_stopped(self, server: &Server, reloads: &SyncSender<()>) {
        let (ended, end) = oneshot::channel();
        std::thread::scope(|scope| {
            let signals = scope.spawn(move || self.heed(server, reloads, end));
            server.wait();
            // The sender is gone only if its thread has panicked.
            let _ = ended.send(());
            signals
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
    }

    fn heed(self, server: &Server, reloads: &SyncSender<()>, end: oneshot::Receiver<()>) {
        let Signals {
            runtime,
            terminate,
            interrupt,
            hangup,
        } = self;
        runtime.block_on(heed_signals(
            [terminate, interrupt],
            hangup,
            server,
            reloads,
            end,
        ));
    }
}

async fn heed_signals(
    [mut terminate, mut interrupt]: [Signal; 2],
    mut hangup: Signal,
    server: &Server,
    reloads: &SyncSender<()>,
    mut end: oneshot::Receiver<()>,
) {
    let mut draining = false;
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {
                // One that waits already will read what is there by then.
                let _ = reloads.try_send(());
                continue;
            }
            _ = &mut end => return,
        }
        if draining {
            server.stop();
        } else {
            tracing::info!("draining; a second signal stops at once");
            server.shutdown();
        }
        draining = true;
    }
}

/// Reads the configuration again for each message, on a thread of its own: compiling may take long,
/// and a signal that ends the edge must not wait for it. Nor does the end of the process.
fn start_reloads(server: Arc<Server>) -> io::Result<SyncSender<()>> {
    let (reloads, due) = sync_channel(1);
    std::thread::Builder::new()
        .name("reload".to_owned())
        .spawn(move || due.iter().for_each(|()| reload(&server)))?;
    Ok(reloads)
}

fn reload(server: &Server) {
    match server.reload_file() {
        Ok(_) => tracing::info!("the configuration has been read again"),
        Err(ReloadError::Config(errors)) => tracing::error!(
            "the old configuration stays: {}",
            report::report(&errors, false)
        ),
        Err(error) => {
            tracing::error!("the old configuration stays: {}", with_causes(&error))
        }
    }
}

/// An error and its causes, in one line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    std::iter::once(error.to_string())
        .chain(causes.map(ToString::to_string))
        .collect::<Vec<_>>()
        .join(": ")
}
