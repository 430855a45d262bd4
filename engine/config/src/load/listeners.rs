//! `[server]` with its listeners: the rules across them.

use std::net::{Ipv4Addr, SocketAddr};

use crate::files::BaseDir;
use crate::mistakes::Mistake;
use crate::raw::{RawKind, find};
use crate::reader::TableReader;
use crate::sections::{Listener, Server};

/// Reads `[server]`. Each address belongs to one listener.
pub(super) fn read_server(reader: &TableReader<'_>, base_dir: BaseDir<'_>) -> Server {
    let mut server = Server::read(reader, base_dir);
    if reader.written("listen").is_none() && !server.listeners.is_empty() {
        server.listen.clear();
    }
    let mut taken = server.listen.clone();
    for (index, listener) in server.listeners.iter().enumerate() {
        if listener.dual_stack && !listener.takes_any_ip() {
            let problem = format!("{} has addresses of one kind", listener.address);
            let cure = "leave dual_stack out, or listen on [::]";
            refuse(reader, index, "dual_stack", Mistake::new(problem, cure));
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

/// Records a mistake in the `index`th `[[server.listener]]`.
fn refuse(reader: &TableReader<'_>, index: usize, key: &str, mistake: Mistake) {
    let Some(RawKind::List(items)) = reader.written("listener").map(|value| &value.kind) else {
        return;
    };
    let Some(item) = items.get(index) else { return };
    let at = match &item.kind {
        RawKind::Table(entries) => find(entries, key).map_or(&item.at, |value| &value.at),
        _ => &item.at,
    };
    reader.refuse_at(at, &format!("listener.{key}"), mistake);
}
