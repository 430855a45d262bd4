mod any_bytes;
mod asking;
mod by_hand;
mod classes;
mod compiling;
mod crafted;
mod failures;
mod loading;
mod nonsense;
mod shipped;
mod tables;
mod versions;
mod wasi;

use http::{HeaderMap, Method, StatusCode};

use self::by_hand::{ByHand, CONTRACT, MOBILE, NOTHING, REFUSAL, config, host_config};
use std::sync::Arc;

use tero_config as config;

use super::*;
use crate::device::{Device, DeviceSource};
use tero_semantics::decision::{
    LookupDecision, RequestDecision, ResponseDecision, StoringDecision,
};
use tero_semantics::timestamp::Timestamp;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

fn host() -> Arc<Host> {
    Host::new(&host_config(None)).unwrap()
}

fn load(guest: &ByHand<'_>) -> Result<Arc<Policy>, PolicyError> {
    let folder = tempfile::tempdir().unwrap();
    host().load(&guest.config(folder.path()))
}

#[track_caller]
fn refused(guest: &ByHand<'_>) -> String {
    load(guest).expect_err("it should be refused").to_string()
}

/// A chain of one policy, and the policy.
fn chain(guest: &ByHand<'_>, change: impl FnOnce(&mut config::Policy)) -> (Arc<Policy>, Chain) {
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    let mut config = guest.config(folder.path());
    change(&mut config);
    let policy = host.load(&config).unwrap();
    (
        Arc::clone(&policy),
        Chain::new(&host, vec![policy], 64).unwrap(),
    )
}

fn on_request(chain: &Chain, path: &str) -> Arc<RequestDecision> {
    chain.on_request(&ask(path, &HeaderMap::new()), NOW)
}

fn ask<'a>(path: &'a str, headers: &'a HeaderMap) -> PolicyRequest<'a> {
    let query = None;
    PolicyRequest {
        method: &Method::GET,
        scheme: "http",
        host: "h",
        path,
        query,
        headers,
        device: Device::Unknown,
        device_source: DeviceSource::default(),
        client: ClientFacts::default(),
        route: None,
        variant: None,
    }
}

fn on_response(chain: &Chain) -> ResponseDecision {
    let headers = HeaderMap::new();
    chain.on_response(&ask("/", &headers), &answered(&headers), NOW)
}

/// A 200 with these fields and nothing else.
pub(super) fn answered(headers: &HeaderMap) -> PolicyResponse<'_> {
    PolicyResponse {
        status: StatusCode::OK,
        headers,
        length: None,
        header_ttl: None,
        header_browser_ttl: None,
        key: b"",
    }
}
