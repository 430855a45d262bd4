//! Calls of tero's admin interface.

use tero_admin_api::client::Client;
use tero_admin_api::endpoints::Purge;
use tero_admin_api::{PurgeRequest, PurgeTarget};

/// A client of the admin interface on this port.
pub(crate) fn client(port: u16) -> Result<Client, String> {
    Client::new(&format!("http://127.0.0.1:{port}"), None).map_err(|error| error.to_string())
}

/// Drops the stored responses of `target`, and returns how many there were.
pub(crate) fn purge(port: u16, target: PurgeTarget) -> Result<u64, String> {
    let soft = false;
    call(port, &PurgeRequest::new(target, soft))
}

/// Marks the stored responses of `target` stale, and returns how many there were.
pub(crate) fn purge_softly(port: u16, target: PurgeTarget) -> Result<u64, String> {
    let soft = true;
    call(port, &PurgeRequest::new(target, soft))
}

fn call(port: u16, request: &PurgeRequest) -> Result<u64, String> {
    let answer = client(port)?.call::<Purge>(&[], request);
    answer
        .map(|answer| answer.purged)
        .map_err(|error| format!("the purge failed: {error}"))
}
