//! HTTP/2 to clients (RFC 9113): the same answers as over HTTP/1.1, bounds for what a client can
//! cost, and real clients.

pub(crate) mod client;
mod equality;
mod floods;
mod heads;
mod programs;
mod raw;
mod slow;
mod streams;
mod tunnels;

use tero_tests::{Edge, EdgeBuilder, Origin, Reply};

/// A listener for HTTP/2 in the clear, beside the plain one.
const LISTENER: &str = "[[server.listener]]\naddress = \"127.0.0.1:0\"\nhttp2 = true";

/// An edge whose second listener takes HTTP/2.
fn before(origin: &Origin) -> EdgeBuilder {
    before_with(origin, "")
}

/// The same, with these keys of `[server]`.
fn before_with(origin: &Origin, server: &str) -> EdgeBuilder {
    Edge::before(origin).server(&format!("{server}\n{LISTENER}"))
}

/// The address of the listener for HTTP/2.
fn address(edge: &Edge) -> std::net::SocketAddr {
    edge.addresses()[1]
}

/// An origin whose pages may be stored, and an edge in front of it.
fn pages() -> (Origin, Edge) {
    pages_with("")
}

/// The same, with these keys of `[server]`.
fn pages_with(server: &str) -> (Origin, Edge) {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(600, "a page"));
    let edge = before_with(&origin, server).start();
    (origin, edge)
}

/// How many connections were ended for this fault of their client.
fn ended(edge: &Edge, reason: &str) -> f64 {
    let label = format!("reason=\"{reason}\"");
    edge.metric("tero_http2_connections_ended_total", &[&label])
}
