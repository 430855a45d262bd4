//! The second path: nodes tell each other purges over the admin interface, with mutual TLS. It is there
//! when the log is not, and it alone covers purges that the log took and lost.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{mpsc, oneshot};

use super::exchanged::to_exchanged;
use super::peer_connection::{PeerConnection, PeerError, PeerIdentity};
use super::purge_log::{PurgeId, PurgeOrder};
use tero_admin_api::{ExchangeRequest, ExchangeResponse};
use tero_config as config;

/// Purges that are told at once, at most: with the longest targets they are 3 MiB of JSON, as a rule far
/// less than the 4 MiB that an admin interface takes.
const MOST_AT_ONCE: usize = 64;
/// Purges that wait for one peer, at most. Further ones come to it by the log, or by a comparison.
const MOST_WAITING: usize = 4_096;

/// The answer of a peer: the number that it is at; `None` if it is this node itself.
type PeerAnswer = Result<Option<Option<u64>>, String>;

/// The peers of a node.
#[derive(Debug, Default)]
pub struct PeerClients {
    /// What this node drew at its start.
    pub(super) instance: Arc<str>,
    /// The URLs of peers that the configuration names.
    pub(super) named: Vec<String>,
    /// The name whose addresses are peers.
    pub(super) from: Option<String>,
    failures: Arc<AtomicU64>,
    identity: PeerIdentity,
    peers: Mutex<BTreeMap<Arc<str>, Arc<Peer>>>,
}

/// A peer, and the way to its task.
#[derive(Debug)]
pub(super) struct Peer {
    orders: mpsc::Sender<PeerJob>,
    connection: PeerConnection,
    /// What this node drew at its start.
    own_instance: Arc<str>,
    /// Messages to all peers that failed.
    failures: Arc<AtomicU64>,
    /// It is this node itself.
    is_self: AtomicBool,
    state: Mutex<PeerState>,
}

/// What is known of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerState {
    /// The name that it tells.
    pub node: Option<String>,
    /// The last number of the log that it has applied.
    pub number: Option<u64>,
    /// Why it could not be reached; `None` if it could.
    pub failure: Option<String>,
}

#[derive(Debug)]
struct PeerJob {
    order: PurgeOrder,
    answer: oneshot::Sender<PeerAnswer>,
}

impl PeerClients {
    /// The peers that a configuration names.
    ///
    /// # Errors
    /// If the system has no chance to give.
    pub fn new(settings: &config::Cluster, token: Option<String>) -> std::io::Result<PeerClients> {
        Ok(PeerClients {
            instance: String::from(PurgeId::random()?).into(),
            named: settings.peers.clone(),
            from: settings.peers_from.clone(),
            identity: PeerIdentity {
                certificate: settings.peer_certificate.clone().unwrap_or_default(),
                key: settings.peer_key.clone().unwrap_or_default(),
                ca: settings.peer_ca.clone().unwrap_or_default(),
                token,
            },
            failures: Arc::default(),
            peers: Mutex::default(),
        })
    }

    /// Messages that failed since the start.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// The names of all, but for this node itself.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.others().map(|(name, _)| name).collect()
    }

    /// What is known of each.
    pub fn states(&self) -> Vec<(Arc<str>, PeerState)> {
        let others = self.others();
        others
            .map(|(name, peer)| (name, lock(&peer.state).clone()))
            .collect()
    }

    /// All peers, but for this node itself.
    pub(super) fn others(&self) -> impl Iterator<Item = (Arc<str>, Arc<Peer>)> + use<> {
        let peers = lock(&self.peers).clone();
        peers
            .into_iter()
            .filter(|(_, peer)| !peer.is_self.load(Relaxed))
    }

    /// Tells all peers a purge, and gives the answers to wait for.
    pub(super) fn tell(
        &self,
        order: &PurgeOrder,
    ) -> Vec<(Arc<str>, oneshot::Receiver<PeerAnswer>)> {
        let told = self.others().map(|(name, peer)| {
            let (answer, receiver) = oneshot::channel();
            let order = order.clone();
            if let Err(error) = peer.orders.try_send(PeerJob { order, answer }) {
                let job = match error {
                    mpsc::error::TrySendError::Full(job) => job,
                    mpsc::error::TrySendError::Closed(job) => job,
                };
                let _ = job
                    .answer
                    .send(Err("too many purges wait for it".to_owned()));
            }
            (name, receiver)
        });
        told.collect()
    }

    /// Adds peers that are new, and forgets those that are gone.
    pub(super) fn set(&self, addresses: BTreeMap<Arc<str>, Option<SocketAddr>>) {
        let mut peers = lock(&self.peers);
        peers.retain(|name, _| addresses.contains_key(name));
        for (name, address) in addresses {
            if peers.contains_key(&name) {
                continue;
            }
            let host = self.from.as_deref();
            let connection = PeerConnection::new(&name, host, address, &self.identity);
            let (orders, receiver) = mpsc::channel(MOST_WAITING);
            let peer = Arc::new(Peer {
                orders,
                connection,
                own_instance: Arc::clone(&self.instance),
                failures: Arc::clone(&self.failures),
                is_self: AtomicBool::new(false),
                state: Mutex::default(),
            });
            tokio::spawn(deliver(Arc::downgrade(&peer), receiver));
            peers.insert(name, peer);
        }
    }
}

impl Peer {
    /// Sends a message, and notes what comes of it.
    pub(super) async fn exchange(
        &self,
        request: &ExchangeRequest,
    ) -> Result<ExchangeResponse, PeerError> {
        let answer = self.connection.exchange(request).await;
        let mut state = lock(&self.state);
        match &answer {
            Ok(answer) => {
                self.is_self
                    .store(*answer.instance == *self.own_instance, Relaxed);
                *state = PeerState {
                    node: Some(answer.node.clone()),
                    number: answer.number,
                    failure: None,
                };
            }
            Err(error) => {
                self.failures.fetch_add(1, Relaxed);
                let error = error.to_string();
                if state.failure.as_ref() != Some(&error) {
                    tracing::warn!(peer = %self.connection.name(), %error, "a peer can't be told purges");
                    state.failure = Some(error);
                }
            }
        }
        answer
    }
}

/// Tells a peer purges, as many at once as wait. Ends when the peer is forgotten.
async fn deliver(peer: Weak<Peer>, mut jobs: mpsc::Receiver<PeerJob>) {
    let mut batch = Vec::new();
    while jobs.recv_many(&mut batch, MOST_AT_ONCE).await > 0 {
        let Some(peer) = peer.upgrade() else { return };
        let (orders, answers): (Vec<_>, Vec<_>) = batch
            .drain(..)
            .map(|job| (to_exchanged(job.order), job.answer))
            .unzip();
        let request = ExchangeRequest {
            purges: orders,
            ..ExchangeRequest::default()
        };
        let answer = peer.exchange(&request).await;
        let outcome = match answer {
            Ok(_) if peer.is_self.load(Relaxed) => Ok(None),
            Ok(answer) => Ok(Some(answer.number)),
            Err(error) => Err(error.to_string()),
        };
        for answer in answers {
            let _ = answer.send(outcome.clone());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
