//! The keys that a URL may be stored under: for purges and for what unsafe requests make invalid.

use std::sync::Arc;

use http::{Method, Uri};

use super::site::Site;
use tero_policy_host::device::Device;
use tero_policy_host::{Chain, PolicyRequest};
use tero_semantics::decision::{QueryRule, RequestDecision};
use tero_semantics::key::{self, KeyParts};

/// Every key that an absolute URL of a site may be stored under: by each rule for the query that
/// its policies give to some device, and by `rule`; under no variant and under each that they, or
/// versions before them, have declared.
pub fn keys_of_url(site: &Site, url: &str, rule: Option<&QueryRule>) -> Vec<Vec<u8>> {
    let Ok(uri) = Uri::try_from(url) else {
        return Vec::new();
    };
    let mut rules: Vec<QueryRule> = vec![QueryRule::default()];
    rules.extend(rule.cloned());
    if !site.policies.is_empty() {
        let chains =
            std::iter::once(&site.policies).chain(site.canary.as_ref().map(|canary| &canary.chain));
        for chain in chains {
            rules.extend(
                Device::ALL.map(|device| decision_for(site, chain, &uri, device).query.clone()),
            );
        }
    }
    let variants = &site.counters.variants()[1..];
    let mut keys: Vec<_> = rules
        .iter()
        .flat_map(|rule| keys_by_rule(&uri, rule, variants))
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

/// What policies of a site decide about a GET of an absolute URL from a device, without any other
/// field.
fn decision_for(site: &Site, chain: &Chain, uri: &Uri, device: Device) -> Arc<RequestDecision> {
    let ask = PolicyRequest {
        method: &Method::GET,
        scheme: uri.scheme_str().unwrap_or("http"),
        host: uri.host().unwrap_or_default(),
        path: uri.path(),
        query: uri.query(),
        headers: &http::HeaderMap::new(),
        device,
        variant: None,
    };
    chain.on_request(&ask, site.clock.now())
}

/// The keys of a URL by one rule for its query.
fn keys_by_rule(uri: &Uri, rule: &QueryRule, variants: &[Arc<str>]) -> Vec<Vec<u8>> {
    let scheme = uri.scheme_str().unwrap_or("http");
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    let query = key::canonical_query(uri.query(), rule);
    let write = |variant: Option<&str>| {
        let mut written = Vec::new();
        let parts = KeyParts {
            scheme,
            host: &host,
            path: uri.path(),
            query: query.as_deref(),
            variant,
        };
        key::write_key(&mut written, &parts);
        written
    };
    std::iter::once(None)
        .chain(variants.iter().map(|variant| Some(&**variant)))
        .map(write)
        .collect()
}
