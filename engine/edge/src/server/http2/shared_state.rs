//! What the requests of a connection tell it while they are answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

use http::{HeaderMap, StatusCode};

use super::connection_waker::ConnectionWaker;
use crate::request::client::{ClientConnection, ClientTransport, ClientTunnel};

/// Interim responses that may wait for the next poll of the connection. Further ones are dropped,
/// as interim responses may be.
const MAX_INTERIM: usize = 128;

/// What the requests of a connection tell it. A request has the number of its stream.
#[derive(Debug)]
pub(super) struct SharedState {
    waker: Arc<ConnectionWaker>,
    /// What is below HTTP.
    transport: ClientTransport,
    /// The client does not accept bytes.
    is_blocked: AtomicBool,
    has_interim: AtomicBool,
    interim: Mutex<Vec<InterimResponse>>,
    tunnels: Mutex<Vec<(u64, TunnelTraffic)>>,
}

/// An interim response to the request of a stream.
#[derive(Debug)]
pub(super) struct InterimResponse {
    pub(super) stream: u64,
    pub(super) status: StatusCode,
    pub(super) fields: HeaderMap,
}

struct TunnelTraffic(ClientTunnel);

impl std::fmt::Debug for TunnelTraffic {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("TunnelTraffic")
    }
}

impl SharedState {
    pub(super) fn new(waker: Arc<ConnectionWaker>, transport: ClientTransport) -> Arc<SharedState> {
        Arc::new(SharedState {
            waker,
            transport,
            is_blocked: AtomicBool::new(false),
            has_interim: AtomicBool::new(false),
            interim: Mutex::default(),
            tunnels: Mutex::default(),
        })
    }

    /// Records whether the client accepts bytes.
    pub(super) fn set_blocked(&self, is_blocked: bool) {
        self.is_blocked.store(is_blocked, Ordering::Relaxed);
    }

    /// Whether interim responses wait.
    pub(super) fn has_interim(&self) -> bool {
        self.has_interim.load(Ordering::Relaxed)
    }

    /// Takes the interim responses that wait.
    pub(super) fn take_interim(&self) -> Vec<InterimResponse> {
        if !self.has_interim() {
            return Vec::new();
        }
        self.has_interim.store(false, Ordering::Relaxed);
        std::mem::take(&mut *lock(&self.interim))
    }

    /// Takes the tunnel that the request of a stream has opened.
    pub(super) fn take_tunnel(&self, stream: u64) -> Option<ClientTunnel> {
        let mut tunnels = lock(&self.tunnels);
        let at = tunnels.iter().position(|(of, _)| *of == stream)?;
        Some(tunnels.swap_remove(at).1.0)
    }
}

impl ClientConnection for SharedState {
    fn transport(&self) -> &ClientTransport {
        &self.transport
    }

    fn current(&self) -> u64 {
        0
    }

    fn send_interim(&self, request: u64, status: StatusCode, fields: &HeaderMap) {
        let mut interim = lock(&self.interim);
        if self.is_blocked.load(Ordering::Relaxed) || interim.len() >= MAX_INTERIM {
            return;
        }
        interim.push(InterimResponse {
            stream: request,
            status,
            fields: fields.clone(),
        });
        self.has_interim.store(true, Ordering::Relaxed);
        self.waker.wake_by_ref();
    }

    fn become_tunnel(&self, request: u64, tunnel: ClientTunnel) {
        lock(&self.tunnels).push((request, TunnelTraffic(tunnel)));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interim_responses_wait_in_order_and_in_bounds() {
        let state = SharedState::new(ConnectionWaker::new(), ClientTransport::default());
        let send = |stream| {
            state.send_interim(stream, StatusCode::EARLY_HINTS, &HeaderMap::new());
        };
        send(1);
        send(3);
        let streams = |state: &SharedState| -> Vec<u64> {
            let taken = state.take_interim();
            taken.iter().map(|interim| interim.stream).collect()
        };
        assert_eq!(streams(&state), [1, 3]);
        assert!(state.take_interim().is_empty());
        state.set_blocked(true);
        send(5);
        assert!(state.take_interim().is_empty(), "they have no reader");
        state.set_blocked(false);
        (0..1_000).for_each(send);
        assert_eq!(state.take_interim().len(), MAX_INTERIM);
    }
}
