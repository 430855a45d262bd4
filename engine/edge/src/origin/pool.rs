//! The open connections of a thread, by next hop: idle ones, and those of HTTP/2 that several
//! requests share.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::connection::{NextHopConnection, StreamPlace};
use super::next_hop::NextHop;
use tero_semantics::timestamp::Timestamp;

/// Idle connections per next hop and thread, at most.
const MAX_IDLE: usize = 64;
/// How long an idle connection is kept: less than the 60 to 75 seconds after which most servers
/// close one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(55);
/// How long a connection may have been idle before a request that can't be sent twice: less than
/// the two to five seconds after which some servers close one. The request would be lost with it.
const USED_LATELY: Duration = Duration::from_secs(1);

thread_local! {
    static OPEN: RefCell<ThreadConnections> = RefCell::default();
}

type ByHop<T> = HashMap<usize, T, foldhash::fast::RandomState>;

/// The open connections of a thread, but for those that are in use by one request alone.
#[derive(Default)]
struct ThreadConnections {
    idle: ByHop<Vec<(NextHopConnection, Timestamp)>>,
    /// With the time of the latest request.
    shared: ByHop<Vec<(NextHopConnection, Timestamp)>>,
    /// Who opens a shared connection holds this lock.
    opening: ByHop<Arc<Mutex<()>>>,
    /// When closed and old connections of all hops were last dropped.
    swept: Timestamp,
}

/// Takes the idle connection to a hop that was used last; unless the request `can_repeat`, only one
/// that was used lately. Connections to addresses that the hop no longer has, and those older than
/// `max_age`, are closed.
pub(super) fn take_idle(
    hop: &NextHop,
    now: Timestamp,
    max_age: Duration,
    can_repeat: bool,
) -> Option<NextHopConnection> {
    let longest = if can_repeat {
        IDLE_TIMEOUT
    } else {
        USED_LATELY
    };
    OPEN.with_borrow_mut(|open| {
        let idle = open.idle.get_mut(&hop.id)?;
        idle.retain(|idle| is_usable(idle, now) && is_current(&idle.0, hop, now, max_age));
        // A connection whose response is still being read is not ready.
        let ready = idle.iter().rposition(|(connection, since)| {
            connection.is_ready() && now.since(*since) < longest
        })?;
        Some(idle.swap_remove(ready).0)
    })
}

/// A shared connection to a hop with room for one more request.
pub(super) fn join_shared(
    hop: &NextHop,
    now: Timestamp,
    max_age: Duration,
) -> Option<(NextHopConnection, StreamPlace)> {
    OPEN.with_borrow_mut(|open| {
        let shared = open.shared.get_mut(&hop.id)?;
        shared.retain(|shared| is_usable(shared, now) && is_current(&shared.0, hop, now, max_age));
        shared.iter_mut().find_map(|(connection, used)| {
            let joined = connection.join(hop.max_streams)?;
            *used = now;
            Some(joined)
        })
    })
}

/// Keeps a shared connection for further requests.
pub(super) fn share(hop: &NextHop, connection: NextHopConnection, now: Timestamp) {
    OPEN.with_borrow_mut(|open| {
        open.sweep(now);
        open.shared
            .entry(hop.id)
            .or_default()
            .push((connection, now));
    });
}

/// The lock of whoever opens a shared connection to a hop, so that a crowd opens one and not many.
pub(super) fn opening(hop: &NextHop) -> Arc<Mutex<()>> {
    OPEN.with_borrow_mut(|open| Arc::clone(open.opening.entry(hop.id).or_default()))
}

/// Closes all idle connections of this thread. Returns whether there were any.
pub(super) fn close_idle() -> bool {
    let idle = OPEN.with_borrow_mut(|open| std::mem::take(&mut open.idle));
    idle.values().any(|idle| !idle.is_empty())
}

fn is_usable((connection, used): &(NextHopConnection, Timestamp), now: Timestamp) -> bool {
    !connection.is_closed() && now.since(*used) < IDLE_TIMEOUT
}

fn is_current(
    connection: &NextHopConnection,
    hop: &NextHop,
    now: Timestamp,
    max_age: Duration,
) -> bool {
    now.since(connection.opened) < max_age && hop.has_address(connection.peer)
}

/// Keeps a connection whose response is being read. It can send the next request when the response
/// has ended.
pub(super) fn keep(hop: &NextHop, connection: NextHopConnection, now: Timestamp) {
    OPEN.with_borrow_mut(|open| {
        open.sweep(now);
        let idle = open.idle.entry(hop.id).or_default();
        if idle.len() >= MAX_IDLE {
            // Without its sender, a connection closes when its response has been read.
            idle.remove(0);
        }
        idle.push((connection, now));
    });
}

impl ThreadConnections {
    /// Drops closed and old connections of all hops, once in a while: a reload makes new hops, and
    /// the connections to the old ones are never asked for again.
    fn sweep(&mut self, now: Timestamp) {
        if now.since(self.swept) < IDLE_TIMEOUT && now >= self.swept {
            return;
        }
        for connections in [&mut self.idle, &mut self.shared] {
            connections.retain(|_, list| {
                list.retain(|connection| is_usable(connection, now));
                !list.is_empty()
            });
        }
        // A lock that isn't held can be made again.
        self.opening.retain(|_, lock| Arc::strong_count(lock) > 1);
        self.swept = now;
    }
}

#[cfg(test)]
mod tests {
    use super::super::connection::{ConnectionSettings, SpokenProtocol, speak};
    use super::super::socket::{HopSocket, PlainSocket};
    use super::*;
    use tero_config as config;

    fn hop(port: u16) -> NextHop {
        let url = format!("http://127.0.0.1:{port}");
        let origin = config::Origin::at(config::OriginAddress::parse(&url).unwrap());
        NextHop::new(
            &origin,
            &config::Health::default(),
            Duration::from_secs(30),
            None,
        )
        .unwrap()
    }

    async fn connect(hop: &NextHop, now: Timestamp) -> NextHopConnection {
        let settings = ConnectionSettings {
            max_age: Duration::from_secs(600),
            max_header_bytes: 8_192,
            max_headers: 100,
        };
        let clock = tero_time::clock::Clock::by_hand(now);
        let socket: PlainSocket = hop.connect(&clock).await.unwrap();
        speak(
            HopSocket::Plain(socket),
            SpokenProtocol::Http1,
            &settings,
            now,
        )
        .await
        .unwrap()
    }

    #[test]
    fn connections_to_hops_of_an_earlier_configuration_are_closed() {
        let kept = || OPEN.with_borrow(|open| open.idle.values().map(Vec::len).sum::<usize>());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let (first, second) = (hop(port), hop(port));
            let now = Timestamp::from_unix_secs(1_000);
            for (hop, now, expected) in [
                (&first, now, 1),
                (&first, now, 2),
                (&second, now, 3),
                (&second, now.saturating_add(IDLE_TIMEOUT), 1),
            ] {
                keep(hop, connect(hop, now).await, now);
                assert_eq!(kept(), expected);
            }
        });
    }
}
