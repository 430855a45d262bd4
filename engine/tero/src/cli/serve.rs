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
use tero_control::handover::{Launch, Predecessor};
use tero_control::serve::{StartTerms, serve_on_terms};
use tero_control::supervisor;
use tero_policy_host::check::check_file;
use tero_time::clock::Clock;

const EXAMPLE: &str = "\
Examples:
  tero serve                              serve as ./tero.toml says
  tero serve /etc/tero/tero.toml
  tero serve --config /etc/tero/tero.toml

Signals: SIGTERM and SIGINT end each connection after its request, for at most
`[server] drain`; a second one stops at once. SIGHUP reads the configuration
again and opens the access log anew. SIGUSR2 starts the program again and
leaves serving to that, without losing a request (tero upgrade).

Exit code: 0 after a signal, 1 if it can't serve, 2 if the command is used
wrongly.";

/// Runs the edge until it is stopped
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct ServeCommand {
    #[command(flatten)]
    config: ConfigArgs,
    /// Succeeds the process at standard input
    #[arg(long, hide = true)]
    successor: bool,
}

/// The argument by which a process knows that it is to succeed the one that has started it.
const SUCCESSOR: &str = "--successor";

/// What a signal asks for that may take long.
#[derive(Clone, Copy, Debug)]
pub(super) enum LongOrder {
    /// To read the configuration again.
    Reload,
    /// To leave serving to a successor.
    Upgrade,
}

impl ServeCommand {
    pub(super) fn run(self) -> ExitCode {
        // Before there are threads.
        let mut terms = match self.terms() {
            Ok(terms) => terms,
            Err(message) => return fail(&message),
        };
        let config = match Config::load(self.config.path()) {
            Ok(config) => config,
            Err(errors) => {
                tell_failure(&terms, report::report(&errors, false).trim());
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
        let before = terms.predecessor.as_ref().map(Predecessor::process);
        let served = serve_on_terms(config, Clock::real(), &compiler(), crate::BUILD, &mut terms);
        let server = match served {
            Ok(server) => server,
            Err(error) => {
                let message = with_causes(&error);
                tell_failure(&terms, &message);
                return match error {
                    ServeError::Policy(_) | ServeError::Rollout(_) => {
                        refused_by_policy(self.config.path(), &error)
                    }
                    _ => fail(&message),
                };
            }
        };
        for url in server.urls() {
            tracing::info!("serving on {url}");
        }
        for path in server.paths() {
            tracing::info!("serving on unix:{}", path.display());
        }
        tracing::info!("admin interface on {}", server.admin_url());
        if let Some(before) = before {
            tracing::info!(process = std::process::id(), before, "taken over");
        }
        supervisor::tell_ready();
        let server = Arc::new(server);
        let orders = match start_orders(Arc::clone(&server)) {
            Ok(orders) => orders,
            Err(error) => return fail(&format!("can't start a thread: {error}")),
        };
        signals.heed_until_stopped(&server, &orders);
        ExitCode::SUCCESS
    }

    /// The sockets that are open already, and how this process is started again.
    fn terms(&self) -> Result<StartTerms, String> {
        let sockets = supervisor::take_sockets()
            .map_err(|error| format!("a socket that systemd has opened can't be used: {error}"))?;
        let predecessor = self.successor.then(Predecessor::at_standard_input);
        let predecessor = predecessor.transpose();
        Ok(StartTerms {
            sockets,
            predecessor: predecessor.map_err(|error| with_causes(&error))?,
            launch: launch(),
        })
    }
}

/// How this process was started, and how a successor is: the same way.
fn launch() -> Option<Launch> {
    let mut arguments = std::env::args_os();
    let program = arguments.next()?;
    let mut arguments: Vec<_> = arguments.filter(|word| word != SUCCESSOR).collect();
    arguments.push(SUCCESSOR.into());
    Some(Launch { program, arguments })
}

/// Tells the process that this one was to succeed why it can't.
fn tell_failure(terms: &StartTerms, reason: &str) {
    if let Some(predecessor) = &terms.predecessor {
        predecessor.tell_failure(reason);
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
    upgrade: Signal,
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
        let upgrade = signal(SignalKind::user_defined2())?;
        drop(inside);
        Ok(Signals {
            runtime,
            terminate,
            interrupt,
            hangup,
            upgrade,
        })
    }

    /// Lets the server run until a signal stops it, and waits until everything has ended.
    pub(super) fn heed_until_stopped(self, server: &Server, orders: &SyncSender<LongOrder>) {
        let (ended, end) = oneshot::channel();
        std::thread::scope(|scope| {
            let signals = scope.spawn(move || self.heed(server, orders, end));
            server.wait();
            // The sender is gone only if its thread has panicked.
            let _ = ended.send(());
            signals
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
    }

    fn heed(self, server: &Server, orders: &SyncSender<LongOrder>, end: oneshot::Receiver<()>) {
        let Signals {
            runtime,
            terminate,
            interrupt,
            hangup,
            upgrade,
        } = self;
        runtime.block_on(async {
            tokio::select! {
                () = heed_signals([terminate, interrupt], [hangup, upgrade], server, orders, end) => {}
                () = tell_alive(&server.edge().clock) => {}
            }
        });
    }
}

/// Tells systemd again and again that the process works, if it wants to know. Never returns.
async fn tell_alive(clock: &Clock) {
    let Some(every) = supervisor::alive_every() else {
        return std::future::pending().await;
    };
    loop {
        supervisor::tell_alive();
        clock.sleep(every).await;
    }
}

async fn heed_signals(
    [mut terminate, mut interrupt]: [Signal; 2],
    [mut hangup, mut upgrade]: [Signal; 2],
    server: &Server,
    orders: &SyncSender<LongOrder>,
    mut end: oneshot::Receiver<()>,
) {
    let mut draining = false;
    loop {
        let order = tokio::select! {
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
            _ = hangup.recv() => Some(LongOrder::Reload),
            _ = upgrade.recv() => Some(LongOrder::Upgrade),
            _ = &mut end => return,
        };
        if let Some(order) = order {
            // If one waits already, that will find what is there by then.
            let _ = orders.try_send(order);
            continue;
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

/// Carries out one order after the other, on a thread of its own: compiling may take long, and a
/// signal that ends the edge must not wait for it. Nor does the end of the process.
fn start_orders(server: Arc<Server>) -> io::Result<SyncSender<LongOrder>> {
    let (orders, due) = sync_channel(1);
    let carry_out = move |order| match order {
        LongOrder::Reload => reload(&server),
        // It has told the log how that went.
        LongOrder::Upgrade => drop(server.upgrade()),
    };
    std::thread::Builder::new()
        .name("orders".to_owned())
        .spawn(move || due.iter().for_each(carry_out))?;
    Ok(orders)
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

/// An error and its causes, in one line. A cause that it names itself is not repeated.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| cause.source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Failure(&'static str, io::Error);

    impl fmt::Display for Failure {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str(self.0)
        }
    }

    impl Error for Failure {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.1)
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let told = |said| with_causes(&Failure(said, io::Error::other("the disk is full")));
        assert_eq!(
            told("/a can't be written"),
            "/a can't be written: the disk is full"
        );
        assert_eq!(told("/a: the disk is full"), "/a: the disk is full");
    }
}
