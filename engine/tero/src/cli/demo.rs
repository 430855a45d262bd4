//! `tero demo`: the sample site as origin, tero in front of it, and instructions what to try.

mod guide;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::compile::compiler;
use super::serve::with_causes;
use super::{fail, print};
use tero_config::Config;
use tero_time::clock::Clock;
use tero_tools::demo::DemoOrigin;
use tero_tools::demo::visitors::{DemoTraffic, MAX_VISITORS, Visitors};
use tero_tools::import::{ImportTarget, OddPatterns, import};

const EXAMPLE: &str = "\
Examples:
  tero demo                         look at it with curl and a browser
  tero demo --traffic            with 20 visitors, for `tero stats` to show
  tero demo --listen 0.0.0.0:8000   reachable from other machines

Exit code: 0 after Ctrl-C, 1 if it could not start, 2 if the command is used
wrongly.";

/// The static policy file that the demo runs on.
const RULES: &str = include_str!("../../../../examples/barberpro/cdn-argentina-policies.json");
const RULES_NAME: &str = "cdn-argentina-policies.json";
/// A policy that is asked after the imported rules: it adds popular pages to every warming plan.
const POPULAR: &str = "\n[[policy]]\nname = \"popular\"\nmodule = \"builtin:popular-pages\"\n";
/// How long requests under way may take after Ctrl-C.
const DRAIN: Duration = Duration::from_secs(2);
/// The pause between two pages of a synthetic visitor.
const PAUSE: Duration = Duration::from_millis(700);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Starts a sample booking site with tero in front of it, and prints what to try
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct DemoCommand {
    /// Where tero listens [default: 127.0.0.1:8080, or any free port if that is taken]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where the admin interface listens, on loopback [default: 127.0.0.1:9090, or any free port if
    /// that is taken]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Where the sample site listens, on loopback [default: 3000, or any free port if that is
    /// taken]
    #[arg(long, value_name = "PORT")]
    origin_port: Option<u16>,
    /// Sends synthetic visitors, on phones and desktops
    #[arg(long)]
    traffic: bool,
    /// The number of visitors at a time
    #[arg(long, value_name = "N", default_value_t = 20, requires = "traffic", value_parser = clap::value_parser!(u16).range(1..=MAX_VISITORS as i64))]
    visitors: u16,
    /// The seed of the visitors: the same seed sends the same ones
    #[arg(long, value_name = "SEED", default_value_t = 1, requires = "traffic")]
    seed: u64,
}

/// The addresses of everything that listens.
#[derive(Clone, Copy, Debug)]
struct DemoAddresses {
    edge: SocketAddr,
    admin: SocketAddr,
    origin: SocketAddr,
}

impl DemoCommand {
    pub(super) fn run(self) -> ExitCode {
        match self.demo() {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => fail(&message),
        }
    }

    fn demo(&self) -> Result<(), String> {
        let clock = Clock::real();
        if self.admin.is_some_and(|admin| !admin.ip().is_loopback()) {
            return Err(
                "the demo's admin interface has no token, so it must be on loopback; give --admin 127.0.0.1:PORT".to_owned()
            );
        }
        let origin = place(
            "--origin-port",
            self.origin_port.map(|port| SocketAddr::new(LOOPBACK, port)),
            3000,
        )?;
        let origin = DemoOrigin::start(origin, clock.clone())
            .map_err(|error| format!("the sample site did not start: {error}"))?;
        let places = DemoAddresses {
            edge: place("--listen", self.listen, 8080)?,
            admin: place("--admin", self.admin, 9090)?,
            origin: origin.address(),
        };
        let server = crate::serve(configuration(&places)?, clock.clone(), &compiler())
            .map_err(|error| with_causes(&error))?;
        let places = DemoAddresses {
            edge: server.addresses()[0],
            admin: server.admin_address(),
            ..places
        };
        origin
            .link_dashboard(&format!("http://{}/", places.admin))
            .map_err(|error| format!("the dashboard can't be linked: {error}"))?;
        print(&guide::text(&places, clock.now(), self.traffic));
        let host = format!("{}:{}", host(places.edge), places.edge.port());
        let traffic = DemoTraffic {
            visitors: self.visitors.into(),
            seed: self.seed,
            pause: PAUSE,
            host,
        };
        let visitors = self
            .traffic
            .then(|| Visitors::start(reachable(places.edge), traffic, clock));
        let visitors = visitors
            .transpose()
            .map_err(|error| format!("the visitors did not start: {error}"))?;
        wait_for_signal().map_err(|error| format!("can't wait for signals: {error}"))?;
        if let Some(visitors) = &visitors {
            print(&format!(
                "\n{} requests of the visitors were answered, {} failed\n",
                visitors.answered(),
                visitors.failed()
            ));
        }
        drop(visitors);
        server.shutdown();
        server.wait();
        Ok(())
    }
}

/// The imported rules with the demo's addresses, and the popular pages.
fn configuration(places: &DemoAddresses) -> Result<Config, String> {
    // Plans warm pages of the first host, which the guide names.
    let hosts = [host(places.edge), "localhost".to_owned(), "*".to_owned()];
    let target = ImportTarget::new(&format!("http://{}", places.origin), &hosts)?;
    let text = import(RULES, RULES_NAME, &target, OddPatterns::Translate)
        .map_err(|errors| with_causes(&errors))?
        .toml;
    let mut config = Config::parse(&(text + POPULAR), "the demo's configuration", Path::new(""))
        .map_err(|errors| with_causes(&errors))?;
    config.server.listen = vec![places.edge];
    config.server.drain = DRAIN;
    config.admin.listen = places.admin.into();
    for site in &mut config.sites {
        site.policies.push(Arc::from("popular"));
    }
    Ok(config)
}

/// The given address, which must be free; without one, the usual port, or any free one.
///
/// The edge's own listener shares its port with other processes on purpose (`SO_REUSEPORT`), so a
/// second demo would not notice the first one. A listener without that option does.
fn place(argument: &str, wanted: Option<SocketAddr>, usual: u16) -> Result<SocketAddr, String> {
    let free = |address| TcpListener::bind(address).and_then(|listener| listener.local_addr());
    if let Some(address) = wanted {
        let cure =
            format!("stop the program that listens there, or give another address with {argument}");
        return free(address)
            .map_err(|error| format!("can't listen on {address}: {error}; {cure}"));
    }
    let usual = SocketAddr::new(LOOPBACK, usual);
    free(usual).or_else(|_| {
        let other =
            free(SocketAddr::new(LOOPBACK, 0)).map_err(|error| format!("no free port: {error}"))?;
        print(&format!(
            "{usual} is taken, so {other} it is ({argument} chooses)\n"
        ));
        Ok(other)
    })
}

/// The address at which a client on this machine reaches `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(LOOPBACK, address.port())
    } else {
        address
    }
}

/// The host names of a site that is reached by the address of this machine.
fn host(address: SocketAddr) -> String {
    match reachable(address).ip() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// Returns at Ctrl-C and SIGTERM.
fn wait_for_signal() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests;
