//! `[server]` with its listeners: the rules across them.

use std::net::{Ipv4Addr, SocketAddr};

use crate::files::BaseDir;
use crate::forms::PeerNetwork;
use crate::mistakes::Mistake;
use crate::raw::{RawKind, RawValue, find};
use crate::reader::TableReader;
use crate::sections::{Listener, Server};

/// Reads `[server]`. Each address belongs to one listener.
pub(super) fn read_server(reader: &TableReader<'_>, base_dir: BaseDir<'_>) -> Server {
    let mut server = Server::read(reader, base_dir);
    if reader.written("listen").is_none() && !server.listeners.is_empty() {
        server.listen.clear();
    }
    let mut taken = server.listen.clone();
    let mut paths = Vec::new();
    for (index, listener) in server.listeners.iter().enumerate() {
        if listener.dual_stack && !listener.takes_any_ip() {
            let problem = format!("{} has addresses of one kind", listener.address);
            let cure = "leave dual_stack out, or listen on [::]";
            refuse(reader, index, "dual_stack", Mistake::new(problem, cure));
        }
        refuse_unfit(reader, index, listener);
        if let Some(tls) = &listener.tls
            && tls.certificates.is_empty()
            && !tls.acme
        {
            let cure = "write certificates = [{ cert = \"…\", key = \"…\" }]";
            let mistake = Mistake::new("there is no certificate", cure);
            refuse(reader, index, "tls", mistake);
        }
        if let Some(path) = listener.address.unix() {
            if paths.contains(&path) {
                let problem = format!("another listener has {} already", listener.address);
                let cure = "give each path to one listener";
                refuse(reader, index, "address", Mistake::new(problem, cure));
            }
            paths.push(path);
        }
        for address in addresses(listener) {
            if taken.contains(&address) {
                let problem = format!("another listener has {address} already");
                let cure = "give each address to one listener; dual_stack takes IPv4 too";
                refuse(reader, index, "address", Mistake::new(problem, cure));
            }
            taken.push(address);
        }
    }
    server
}

/// Refuses keys that don't fit the kind of the address.
fn refuse_unfit(reader: &TableReader<'_>, index: usize, listener: &Listener) {
    let is_unix = listener.address.unix().is_some();
    let has_mode = written(reader, index, "unix_mode").is_some();
    if !is_unix && has_mode {
        let problem = format!("{} is not a Unix socket", listener.address);
        let cure = "leave unix_mode out, or listen on unix:/PATH";
        refuse(reader, index, "unix_mode", Mistake::new(problem, cure));
    }
    if is_unix && listener.tls.is_some() {
        let problem = format!("{} takes no TLS", listener.address);
        let cure = "leave tls out: who may connect is said by unix_mode";
        refuse(reader, index, "tls", Mistake::new(problem, cure));
    }
    let names_unix = listener.proxy_protocol.contains(&PeerNetwork::Unix);
    let names_networks = listener.proxy_protocol.len() > usize::from(names_unix);
    if is_unix && names_networks || !is_unix && names_unix {
        let problem = format!("{} has no such peers", listener.address);
        let cure = if is_unix {
            "write [\"unix\"]: processes that connect to a Unix socket have no address"
        } else {
            "name networks: only a Unix socket has peers of the kind `unix`"
        };
        refuse(reader, index, "proxy_protocol", Mistake::new(problem, cure));
    }
}

/// The addresses that a listener takes. A free port is another one each time.
fn addresses(listener: &Listener) -> Vec<SocketAddr> {
    let own = listener.address.tcp();
    let Some(own) = own.filter(|address| address.port() != 0) else {
        return Vec::new();
    };
    let ipv4 = (Ipv4Addr::UNSPECIFIED, own.port()).into();
    let ipv4 = listener.takes_any_ip().then_some(ipv4);
    [own].into_iter().chain(ipv4).collect()
}

/// The `index`th `[[server.listener]]`, as it is written.
fn item<'a>(reader: &TableReader<'a>, index: usize) -> Option<&'a RawValue> {
    match reader.written("listener").map(|value| &value.kind) {
        Some(RawKind::List(items)) => items.get(index),
        _ => None,
    }
}

/// The value of a key in it.
fn written<'a>(reader: &TableReader<'a>, index: usize, key: &str) -> Option<&'a RawValue> {
    match &item(reader, index)?.kind {
        RawKind::Table(entries) => find(entries, key),
        _ => None,
    }
}

/// Records a mistake in it.
fn refuse(reader: &TableReader<'_>, index: usize, key: &str, mistake: Mistake) {
    let Some(item) = item(reader, index) else {
        return;
    };
    let at = written(reader, index, key).map_or(&item.at, |value| &value.at);
    reader.refuse_at(at, &format!("listener.{key}"), mistake);
}
