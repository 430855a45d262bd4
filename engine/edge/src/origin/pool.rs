//! The idle connections of a thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use super::connection::NextHopConnection;
use tero_semantics::timestamp::Timestamp;

/// Idle connections kept per next hop and thread.
const MAX_IDLE: usize = 64;
/// How long a connection is kept idle: less than the 60 to 75 seconds after which most servers
/// close one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(55);
/// How long a connection may have been idle for a request that can't be sent twice: less than the
/// two to five seconds after which some servers close one. A connection that is closed just then
/// would take the request with it.
const USED_LATELY: Duration = Duration::from_secs(1);

thread_local! {
    static IDLE: RefCell<IdleConnections> = RefCell::default();
}

/// The idle connections of a thread.
#[derive(Default)]
struct IdleConnections {
    by_hop: HashMap<usize, Vec<(NextHopConnection, Timestamp)>, foldhash::fast::RandomState>,
    /// When those of all hops were last looked through.
    swept: Timestamp,
}

/// An idle connection to the hop that is still open, the latest first; for what can't be sent
/// twice, one that was used lately.
pub(super) fn take_idle(hop: usize, now: Timestamp, can_repeat: bool) -> Option<NextHopConnection> {
    let longest = if can_repeat {
        IDLE_TIMEOUT
    } else {
        USED_LATELY
    };
    IDLE.with_borrow_mut(|idle| {
        let idle = idle.by_hop.get_mut(&hop)?;
        idle.retain(|idle| is_of_use(idle, now));
        // Those whose response is still being read are not ready.
        let ready = idle.iter().rposition(|(connection, since)| {
            connection.is_ready() && now.since(*since) < longest
        })?;
        Some(idle.swap_remove(ready).0)
    })
}

fn is_of_use((connection, since): &(NextHopConnection, Timestamp), now: Timestamp) -> bool {
    !connection.is_closed() && now.since(*since) < IDLE_TIMEOUT
}

/// Keeps a connection whose response is being read; it serves the next request as soon as that has
/// ended.
pub(super) fn keep(hop: usize, connection: NextHopConnection, now: Timestamp) {
    IDLE.with_borrow_mut(|idle| {
        if now.since(idle.swept) >= IDLE_TIMEOUT || now < idle.swept {
            // A reload makes new hops, and nobody asks any more for the connections of those
            // before.
            idle.by_hop.retain(|_, idle| {
                idle.retain(|idle| is_of_use(idle, now));
                !idle.is_empty()
            });
            idle.swept = now;
        }
        let idle = idle.by_hop.entry(hop).or_default();
        if idle.len() >= MAX_IDLE {
            // Without its sender a connection closes when its response has been read.
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
    fn connections_to_hops_that_nobody_asks_any_more_are_let_go() {
        let settings = OriginSettings {
            hops: vec![],
            max_fetches: 1,
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
