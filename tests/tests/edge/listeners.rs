//! Several listeners, each with settings of its own.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tero_tests::{Client, Edge, Origin, Reply, get};

/// An origin whose pages name the client.
fn naming_clients() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let client = asked.header("x-forwarded-for").unwrap_or_default();
        Reply::fresh(60, client).header("Vary", "X-Forwarded-For")
    });
    origin
}

#[test]
fn a_listener_for_both_kinds_of_addresses_keeps_the_form_of_each() {
    let origin = naming_clients();
    let edge = Edge::before(&origin)
        .server("[[server.listener]]\naddress = \"[::]:0\"\ndual_stack = true")
        .start();
    let port = edge.addresses()[1].port();
    let by = |address: SocketAddr| Client::connect(address).send(&get("/")).text();
    assert_eq!(by((Ipv4Addr::LOCALHOST, port).into()), "127.0.0.1");
    assert_eq!(by((Ipv6Addr::LOCALHOST, port).into()), "::1");
    assert_eq!(edge.get("/").text(), "127.0.0.1", "the short form is left");
}

#[test]
fn a_listener_for_ipv6_alone_leaves_ipv4_to_others() {
    let origin = naming_clients();
    let edge = Edge::before(&origin)
        .server("[[server.listener]]\naddress = \"[::]:0\"")
        .start();
    let port = edge.addresses()[1].port();
    assert!(Client::try_connect((Ipv4Addr::LOCALHOST, port).into()).is_err());
    assert!(Client::try_connect((Ipv6Addr::LOCALHOST, port).into()).is_ok());
}
