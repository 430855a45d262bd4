//! `[server]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::listener::Listener;
use crate::forms::{self, PeerNetwork};

/// The largest number of workers.
const MAX_WORKERS: usize = 1_024;

section! {
    /// The public listeners.
    #[derive(Clone, Debug)]
    [server]
    pub struct Server in base_dir {
        /// The addresses that visitors connect to, in the clear. Port 0 takes a free port. The default
        /// holds only if there is no `[[server.listener]]`.
        listen: Vec<SocketAddr> = ["0.0.0.0:8080"], Texts("`ADDRESS:PORT`, at least one")
            => forms::address,
            distinct_if(|address| address.port() != 0),
            at_least_one("write at least one address, [\"0.0.0.0:8080\"]");
        /// See `[[server.listener]]`.
        listeners as "listener": Vec<Listener> = rule("none", Vec::new()), NestedList(Listener);
        /// Number of worker threads, each with its own accept queue.
        workers: usize = rule("one per core", cores()), Count(1, 1_024);
        /// The name of this server in `Via`, `Cache-Status` and `CDN-Loop`. Several may share it.
        name: String = "tero", Text("a token of 1 to 64 bytes") => forms::token;
        /// A file that says the class of devices by their model, in place of the list that comes
        /// with tero; at most 256 KiB. `""` takes that list. See policies/variants.md.
        device_models: Option<PathBuf> = "", Text("a path, relative to this file, or `\"\"`")
            => |path| base_dir.path_or_none(path);
        /// The proxies in front of this server. What they say with `X-Forwarded-For`, `-Proto`,
        /// `-Host`, `-Port`, `Forwarded` and `X-Request-Id` is believed. From all others these
        /// fields are replaced. `unix` means all peers of Unix sockets.
        trusted_proxies: Vec<PeerNetwork> = [],
            Texts("a network such as `10.0.0.0/8`, an address, or `unix`")
            => forms::peer_network, distinct();
        /// The edges in front of this server, which then is a shield: their `Tero-Variant` and
        /// `Tero-Tier` are believed, and what `trusted_proxies` may say as well. From all others
        /// these fields are removed. `unix` means all peers of Unix sockets. See tiers.md.
        trusted_edges: Vec<PeerNetwork> = [],
            Texts("a network such as `10.0.0.0/8`, an address, or `unix`")
            => forms::peer_network, distinct();
        /// Maximum number of open client connections. Further ones wait in the accept queue.
        max_connections: usize = 10000, Count(1, 1_000_000);
        /// Maximum number of open connections of one client: an IPv4 address, or an IPv6 network of
        /// 64 bits. Further ones are closed at once. Leave it out where few clients share the edge,
        /// such as proxies or other edges.
        max_connections_per_client: Option<usize> = rule("none"), Count(1, 1_000_000);
        /// Maximum number of TLS handshakes under way, and at most half of `max_connections`. Beyond
        /// it the oldest one is given up, so that clients that never finish theirs keep no others
        /// out.
        max_handshakes: usize = 2000, Count(1, 1_000_000);
        /// Maximum size of a request line and its header fields together. Beyond it: 431.
        max_header_bytes: usize = "32KiB", Size("8KiB", "1MiB");
        /// Maximum number of header fields. Beyond it: 431.
        max_headers: usize = 100, Count(16, 1_000);
        /// Maximum time from the first byte of a request to the end of its header, and for a TLS
        /// handshake.
        header_timeout: Duration = "10s", Duration("1s", "5min");
        /// Maximum silence of a client connection between requests.
        idle_timeout: Duration = "75s", Duration("1s", "1h");
        /// Maximum time for which a client may accept no byte of a response.
        write_timeout: Duration = "30s", Duration("1s", "1h");
        /// Minimum number of bytes per second that a client sends of a request's body, or accepts of
        /// a response, while the edge waits for it. Measured over 10 s of waiting; a slower client
        /// is disconnected. Event streams and tunnels are exempt. `0B` disconnects no client.
        min_rate: u64 = "256B", Size("0B", "1MiB");
        /// Maximum time that requests in progress may take after a stop signal.
        drain: Duration = "30s", Duration("0s", "10min");
        /// Maximum time until a process that is to succeed this one is ready. It includes `[admin]
        /// ready_within`.
        upgrade_timeout: Duration = "10min", Duration("1s", "2h");
        /// Maximum number of requests that a connection of HTTP/2 has under way.
        http2_max_streams: usize = 100, Count(1, 1_000);
        /// Maximum number of requests in a minute that a connection of HTTP/2 takes back. Beyond it,
        /// the connection is ended.
        http2_max_resets: usize = 200, Count(10, 100_000);
        /// Maximum number of frames in 10 s that a connection of HTTP/2 sends and that ask for
        /// nothing: `SETTINGS`, `PING`, `PRIORITY`, `DATA` without content, `WINDOW_UPDATE` by less
        /// than 1 KiB, unknown ones. Each request adds 4 to it, and each 4 KiB of content 1.
        http2_max_control_frames: usize = 1000, Count(100, 100_000);
        /// Bytes of request bodies that a connection of HTTP/2, and each of its requests, may send
        /// before the edge has taken them on.
        http2_window: u64 = "512KiB", Size("64KiB", "16MiB");
    }
}

impl Server {
    /// All listeners: those of `listen`, then those of `[[server.listener]]`.
    pub fn all_listeners(&self) -> Vec<Listener> {
        let plain = self.listen.iter().copied().map(Listener::plain);
        plain.chain(self.listeners.iter().cloned()).collect()
    }
}

/// The number of cores, as far as it is a number of workers.
fn cores() -> usize {
    std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MAX_WORKERS)
}
