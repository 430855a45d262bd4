//! The connection to NATS that a node has: one for all its parts.
//!
//! tero makes the first connection by itself, and every further one after the client has given up, so
//! that the cause of a failure is known: the client alone retries for ever and says "TLS error".
//! Servers that the cluster tells of are not used: a client would move to one that is cut off from the
//! rest. All waits are on the real clock, since sockets are.

mod asked;
pub mod bus;
pub mod log;
mod plan_consumer;
pub mod streams;
mod work;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::pause::{FIRST_REST, LONGEST_REST, shortened};
use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{
    Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerAddr, ServerError,
};
use futures_core::Stream;
use tero_config as config;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;
use tokio::sync::watch;

/// The time for a handshake with one server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The time for an answer of JetStream.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that is silent for longer than twice this is gone.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// Attempts of the client before it gives up, and tero looks for the cause.
const RECONNECTS: usize = 3;
/// Messages that wait for their reader in one subscription, at most. Further ones are dropped: a node
/// then misses entries of the log, and reads it again from there.
const SUBSCRIPTION_CAPACITY: usize = 64 * 1024;
/// Complaints of a server that are told for one connection, at most.
const MOST_COMPLAINTS: usize = 16;
/// The oldest server whose answers can be read.
pub const OLDEST_SERVER: (i64, i64, i64) = (2, 10, 0);

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NatsError {
    /// No server can be reached, or none takes this node.
    #[error("no server of NATS takes this node: {cause}; {cure}")]
    Connect {
        /// What the last server said, with the causes of it.
        cause: String,
        /// What to do about it.
        cure: &'static str,
    },
    /// The server is too old.
    #[error("the server of NATS is version {0}; tero needs 2.10 or later")]
    TooOld(String),
    /// The server, or the account of this node, is without JetStream.
    #[error(
        "the server of NATS is without JetStream; start it with `-js`, or enable it in its file"
    )]
    NoJetStream,
    /// An answer didn't come, or says no.
    #[error("{asked} failed: {cause}")]
    Request {
        /// What was asked.
        asked: &'static str,
        /// Why it failed.
        cause: String,
    },
    /// There is no connection at the moment.
    #[error("there is no connection to NATS")]
    Unconnected,
}

/// What is known of the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionReport {
    /// The name and the version of the server; `None` without a connection.
    pub server: Option<String>,
    /// When the connection was made or lost.
    pub since: Timestamp,
    /// The first cause of the present failure; `None` if there is a connection.
    pub failure: Option<NatsError>,
    /// Connections that were made since the start.
    pub connects: u64,
    /// Attempts that failed since the start.
    pub failures: u64,
}

/// A connection that stands.
#[derive(Clone, Debug)]
pub struct LiveConnection {
    /// The client.
    pub client: Client,
    /// JetStream over it, with bounded waits.
    pub jetstream: Context,
    /// How many connections there were before it. The client is the same after it has come back by
    /// itself, this number is not.
    pub generation: u64,
}

/// The connection of a node. It is made again whenever it breaks.
#[derive(Debug)]
pub struct NatsConnection {
    clients: watch::Receiver<Option<LiveConnection>>,
    report: Arc<Mutex<ConnectionReport>>,
}

impl NatsConnection {
    /// Begins to connect. The returned future keeps the connection as long as it is polled.
    pub fn keep(
        settings: &config::Cluster,
        clock: &Clock,
    ) -> (Arc<NatsConnection>, impl Future<Output = ()> + use<>) {
        let (sender, clients) = watch::channel(None);
        let report = Arc::new(Mutex::new(ConnectionReport {
            since: clock.wall(),
            ..ConnectionReport::default()
        }));
        let keeper = ConnectionKeeper {
            settings: settings.clone(),
            clock: clock.clone(),
            clients: sender,
            report: Arc::clone(&report),
        };
        (Arc::new(NatsConnection { clients, report }), keeper.run())
    }

    /// The connection, if there is one at the moment.
    ///
    /// # Errors
    /// Why there is none, as far as it is known.
    pub fn live(&self) -> Result<LiveConnection, NatsError> {
        let live = self.clients.borrow().clone();
        live.ok_or_else(|| self.report().failure.unwrap_or(NatsError::Unconnected))
    }

    /// JetStream, if there is a connection at the moment.
    ///
    /// # Errors
    /// As [`NatsConnection::live`].
    pub fn jetstream(&self) -> Result<Context, NatsError> {
        self.live().map(|live| live.jetstream)
    }

    /// Waits for a connection.
    pub async fn connected(&self) -> LiveConnection {
        let mut clients = self.clients.clone();
        let live = clients.wait_for(Option::is_some).await;
        if let Some(live) = live.ok().and_then(|live| live.clone()) {
            return live;
        }
        // The keeper has ended, and this task ends with it.
        std::future::pending().await
    }

    /// Waits until the connection of this generation is lost.
    pub async fn lost(&self, generation: u64) {
        let mut clients = self.clients.clone();
        let is_other = |now: &Option<LiveConnection>| {
            now.as_ref().is_none_or(|now| now.generation != generation)
        };
        let _ = clients.wait_for(is_other).await;
    }

    /// What is known of it.
    pub fn report(&self) -> ConnectionReport {
        lock(&self.report).clone()
    }
}

/// JetStream over a client, with bounded waits.
pub fn jetstream_of(client: Client) -> Context {
    let mut jetstream = jetstream::new(client);
    jetstream.set_timeout(REQUEST_TIMEOUT);
    jetstream
}

/// Connects once.
///
/// # Errors
/// [`NatsError`]
pub async fn connect(settings: &config::Cluster) -> Result<Client, NatsError> {
    let (events, _) = watch::channel(ClientState::Works);
    connect_with(settings, events).await
}

/// The next item of a stream; `None` at its end.
pub async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    std::future::poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

/// An answer, or why there is none. Some requests of the client have no limit of their own.
///
/// # Errors
/// [`NatsError::Request`]
pub async fn answer<T, E: std::error::Error>(
    asked: &'static str,
    request: impl Future<Output = Result<T, E>>,
) -> Result<T, NatsError> {
    let cause = match Clock::real().timeout(REQUEST_TIMEOUT, request).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => with_causes(&error),
        Err(_) => "no answer in time".to_owned(),
    };
    Err(NatsError::Request { asked, cause })
}

/// An error with its causes, each told once.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

/// The code with which the server has refused something; `None` if it has not.
pub fn told_by_server(error: &(dyn std::error::Error + 'static)) -> Option<ErrorCode> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(told) = told_in(error) {
            return Some(told.error_code());
        }
        cause = error.source();
    }
    None
}

/// What the server has told in this error itself: some have it as their kind, and not as their cause.
fn told_in(error: &(dyn std::error::Error + 'static)) -> Option<jetstream::Error> {
    if let Some(error) = error.downcast_ref::<GetStreamError>() {
        return match error.kind() {
            GetStreamErrorKind::JetStream(told) => Some(told),
            _ => None,
        };
    }
    if let Some(error) = error.downcast_ref::<ConsumerError>() {
        return match error.kind() {
            ConsumerErrorKind::JetStream(told) => Some(told),
            _ => None,
        };
    }
    error.downcast_ref::<jetstream::Error>().cloned()
}

/// What the client tells of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientState {
    Works,
    Broken,
    Closed,
}

/// Makes the connection, and makes it again.
struct ConnectionKeeper {
    settings: config::Cluster,
    clock: Clock,
    clients: watch::Sender<Option<LiveConnection>>,
    report: Arc<Mutex<ConnectionReport>>,
}

impl ConnectionKeeper {
    async fn run(self) {
        let mut rest = FIRST_REST;
        loop {
            let (events, mut states) = watch::channel(ClientState::Works);
            match connect_with(&self.settings, events).await {
                Ok(client) => {
                    rest = FIRST_REST;
                    self.follow(&client, &mut states).await;
                    // What is left of it ends with its last user.
                    let _ = client.drain().await;
                }
                Err(error) => self.failed(error),
            }
            Clock::real().sleep(shortened(rest)).await;
            rest = (rest * 2).min(LONGEST_REST);
        }
    }

    /// Hands the client out while it works. Returns when it has given up.
    async fn follow(&self, client: &Client, states: &mut watch::Receiver<ClientState>) {
        let jetstream = jetstream_of(client.clone());
        self.connected(&jetstream);
        let mut is_broken = false;
        loop {
            if states.changed().await.is_err() {
                return;
            }
            let state = *states.borrow_and_update();
            match state {
                // The client tells of its first connection, too.
                ClientState::Works if !is_broken => {}
                ClientState::Works => {
                    is_broken = false;
                    self.connected(&jetstream);
                }
                ClientState::Broken => {
                    is_broken = true;
                    self.lost("the connection has broken");
                }
                ClientState::Closed => {
                    self.lost("the connection has broken, and could not be made again");
                    return;
                }
            }
        }
    }

    fn connected(&self, jetstream: &Context) {
        let client = jetstream.client();
        let info = client.server_info();
        let server = format!("{} {}", info.server_name, info.version);
        tracing::info!(%server, "connected to NATS");
        let mut report = lock(&self.report);
        *report = ConnectionReport {
            server: Some(server),
            since: self.clock.wall(),
            failure: None,
            connects: report.connects + 1,
            failures: report.failures,
        };
        let generation = report.connects;
        drop(report);
        self.clients.send_replace(Some(LiveConnection {
            client,
            jetstream: jetstream.clone(),
            generation,
        }));
    }

    fn lost(&self, cause: &str) {
        self.clients.send_replace(None);
        let mut report = lock(&self.report);
        if report.server.take().is_some() {
            tracing::warn!(cause, "the connection to NATS is lost");
            report.since = self.clock.wall();
        }
    }

    /// Notes a failure. Only the first cause of an outage is told, and each other one.
    fn failed(&self, error: NatsError) {
        let mut report = lock(&self.report);
        report.failures += 1;
        if report.failure.as_ref() != Some(&error) {
            tracing::error!(%error, "can't connect to NATS; the node serves, and tries again");
            report.failure = Some(error);
        }
    }
}

async fn connect_with(
    settings: &config::Cluster,
    events: watch::Sender<ClientState>,
) -> Result<Client, NatsError> {
    let servers = settings.nats.iter();
    let servers = servers.map(|server| server.parse::<ServerAddr>());
    let servers: Vec<ServerAddr> =
        servers
            .collect::<Result<_, _>>()
            .map_err(|error| NatsError::Connect {
                cause: error.to_string(),
                cure: "write tls://HOST:PORT",
            })?;
    let connecting = options(settings, events).connect(servers);
    let client = connecting.await.map_err(|error| refusal(&error))?;
    let info = client.server_info();
    let (major, minor, patch) = OLDEST_SERVER;
    if !client.is_server_compatible(major, minor, patch) {
        return Err(NatsError::TooOld(info.version));
    }
    if !info.jetstream {
        return Err(NatsError::NoJetStream);
    }
    Ok(client)
}

fn options(settings: &config::Cluster, events: watch::Sender<ClientState>) -> ConnectOptions {
    let events = Arc::new(events);
    let complaints = Complaints::default();
    let mut options = ConnectOptions::new()
        .name(format!("tero {}", settings.node))
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(PING_INTERVAL)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .ignore_discovered_servers()
        .max_reconnects(RECONNECTS)
        .reconnect_delay_callback(|attempts| {
            let doublings = u32::try_from(attempts.min(8)).unwrap_or(8);
            shortened((FIRST_REST * 2_u32.pow(doublings)).min(LONGEST_REST))
        })
        .event_callback(move |event| {
            let state = match event {
                Event::Connected => Some(ClientState::Works),
                Event::Disconnected => Some(ClientState::Broken),
                Event::Closed => Some(ClientState::Closed),
                // A message was dropped. The follower sees that it is missing, and reads the log again.
                Event::SlowConsumer(_) => None,
                Event::ServerError(error) => {
                    complaints.tell(&error);
                    None
                }
                Event::LameDuckMode | Event::Draining | Event::ClientError(_) => None,
            };
            if let Some(state) = state {
                events.send_replace(state);
            }
            std::future::ready(())
        });
    if let Some(ca) = &settings.ca {
        options = options.add_root_certificates(ca.clone());
    }
    if let Some((certificate, key)) = settings.certificate.as_ref().zip(settings.key.as_ref()) {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    if let Some((user, password)) = settings.user.as_ref().zip(settings.password.as_ref()) {
        options = options.user_and_password(user.clone(), password.clone());
    }
    if let Some(token) = &settings.token {
        options = options.token(token.clone());
    }
    options
}

/// What a server has complained of on a connection that stands. A right that the user lacks shows in
/// nothing else: what was published is gone, and what was subscribed to brings nothing.
#[derive(Debug, Default)]
struct Complaints(Mutex<BTreeSet<String>>);

impl Complaints {
    /// Tells a complaint in the log, unless it was told before. A node tries again every few seconds.
    fn tell(&self, error: &ServerError) {
        if !self.is_new(&error.to_string()) {
            return;
        }
        if is_of_rights(error) {
            tracing::error!(%error, "the server of NATS complains; give the user of this node the rights that docs/cluster.md names");
        } else {
            tracing::error!(%error, "the server of NATS complains");
        }
    }

    fn is_new(&self, error: &str) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MOST_COMPLAINTS && told.insert(error.to_owned())
    }
}

/// Whether the user of this node lacks a right.
fn is_of_rights(error: &ServerError) -> bool {
    match error {
        ServerError::AuthorizationViolation => true,
        ServerError::Other(error) => error.to_ascii_lowercase().contains("permissions violation"),
        ServerError::SlowConsumer(_) => false,
    }
}

const CURE_OF_TLS: &str =
    "compare ca, certificate and key with the server's, and its names with `cluster.nats`";

fn refusal(error: &ConnectError) -> NatsError {
    let cure = match error.kind() {
        // A server refuses a certificate after the handshake.
        _ if is_of_tls(error) => CURE_OF_TLS,
        ConnectErrorKind::ServerParse => "write tls://HOST:PORT",
        ConnectErrorKind::Dns => "see that the names in `cluster.nats` resolve here",
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            "compare user and password_file, or token_file, with the server's file"
        }
        ConnectErrorKind::Tls => CURE_OF_TLS,
        ConnectErrorKind::TimedOut | ConnectErrorKind::Io | ConnectErrorKind::MaxReconnects => {
            "see that a server listens there, and that the network lets this node through"
        }
    };
    NatsError::Connect {
        cause: with_causes(error),
        cure,
    }
}

/// Whether one of the causes of an error is one of TLS.
fn is_of_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let within = error.downcast_ref::<std::io::Error>();
        let within = within.and_then(std::io::Error::get_ref);
        if error.is::<rustls::Error>() || within.is_some_and(|within| is_of_tls(within)) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn lock(report: &Mutex<ConnectionReport>) -> MutexGuard<'_, ConnectionReport> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_told_once_and_are_bounded() {
        let complaints = Complaints::default();
        let complaint = |number: usize| format!("Permissions Violation {number}");
        for number in 0..MOST_COMPLAINTS {
            assert!(complaints.is_new(&complaint(number)));
            assert!(!complaints.is_new(&complaint(number)));
        }
        assert!(!complaints.is_new(&complaint(MOST_COMPLAINTS)));
    }

    #[test]
    fn the_cure_of_rights_is_named_for_rights_alone() {
        let other = |error: &str| is_of_rights(&ServerError::Other(error.to_owned()));
        assert!(other("Permissions Violation for Publish to \"tero.nodes\""));
        assert!(is_of_rights(&ServerError::AuthorizationViolation));
        assert!(!other("Maximum Payload Violation"));
        assert!(!other("User Authentication Expired"));
        assert!(!is_of_rights(&ServerError::SlowConsumer(1)));
    }

    #[test]
    fn causes_are_told_once() {
        let inner = std::io::Error::other("no route");
        let outer = NatsError::Request {
            asked: "a stream",
            cause: with_causes(&inner),
        };
        assert_eq!(with_causes(&outer), "a stream failed: no route");
    }
}
