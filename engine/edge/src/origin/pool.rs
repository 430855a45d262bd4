//! The idle connections of a thread, by next hop.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use super::connection::NextHopConnection;
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
    static IDLE: RefCell<IdleConnections> = RefCell::default();
}

/// The idle connections of a thread.
#[derive(Default)]
struct IdleConnections {
    by_hop: HashMap<usize, Vec<(NextHopConnection, Timestamp)>, foldhash::fast::RandomState>,
    /// When closed and old connections of all hops were last dropped.
    swept: Timestamp,
}

/// Takes the idle connection to a hop that was used last; unless the request `can_repeat`, only one
/// that was used lately.
pub(super) fn take_idle(hop: usize, now: Timestamp, can_repeat: bool) -> Option<NextHopConnection> {
    let longest = if can_repeat {
        IDLE_TIMEOUT
    } else {
        USED_LATELY
    };
    IDLE.with_borrow_mut(|idle| {
        let idle = idle.by_hop.get_mut(&hop)?;
        idle.retain(|idle| is_usable(idle, now));
        // A connection whose response is still being read is not ready.
        let ready = idle.iter().rposition(|(connection, since)| {
            connection.is_ready() && now.since(*since) < longest
        })?;
        Some(idle.swap_remove(ready).0)
    })
}

/// Closes all idle connections of this thread. Returns whether there were any.
pub(super) fn close_idle() -> bool {
    let idle = IDLE.take();
    idle.by_hop.values().any(|idle| !idle.is_empty())
}

fn is_usable((connection, since): &(NextHopConnection, Timestamp), now: Timestamp) -> bool {
    !connection.is_closed() && now.since(*since) < IDLE_TIMEOUT
}

/// Keeps a connection whose response is being read. It can send the next request when the response
/// has ended.
pub(super) fn keep(hop: usize, connection: NextHopConnection, now: Timestamp) {
    IDLE.with_borrow_mut(|idle| {
        if now.since(idle.swept) >= IDLE_TIMEOUT || now < idle.swept {
            // A reload makes new hops. The connections to the old ones are not asked for any more.
            idle.by_hop.retain(|_, idle| {
                idle.retain(|idle| is_usable(idle, now));
                !idle.is_empty()
            });
            idle.swept = now;
        }
        let idle = idle.by_hop.entry(hop).or_default();
        if idle.len() >= MAX_IDLE {
            // Without its sender, a connection closes when its response has been read.
            idle.remove(0);
        }
        idle.push((connection, now));
    });
}

#[cfg(test)]
mod tests {
    use super::super::OriginSettings;
    use super::super::connection::open;
    use super::*;

    #[test]
    fn connections_to_hops_of_an_earlier_configuration_are_closed() {
        let settings = OriginSettings {
            hops: vec![],
            max_fetches: 1,
            max_connections: 1,
            release_after: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(1),
            max_header_bytes: 8_192,
            max_headers: 100,
        };
        let kept = || IDLE.with_borrow(|idle| idle.by_hop.values().map(Vec::len).sum::<usize>());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let now = Timestamp::from_unix_secs(1_000);
            for (hop, now, expected) in [
                (1, now, 1),
                (1, now, 2),
                (2, now, 3),
                (2, now.saturating_add(IDLE_TIMEOUT), 1),
            ] {
                keep(hop, open("127.0.0.1", port, &settings).await.unwrap(), now);
                assert_eq!(kept(), expected, "{hop}");
            }
        });
    }
}
