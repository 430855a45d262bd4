//! The keys that a URL may be stored under: for purges and for what unsafe requests make invalid.

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{Method, Uri};

use super::edge::Edge;
use super::site::Site;
use tero_policy_host::device::{Device, DeviceSource};
use tero_policy_host::{Chain, ClientFacts, PolicyRequest};
use tero_semantics::authority::Scheme;
use tero_semantics::decision::{QueryRule, RequestDecision};
use tero_semantics::key::{self, KeyParts};

/// Every key that an absolute URL of a site may be stored under: by either scheme and at every port
/// that counts, whichever the URL has, since the application behind them is the same; by each rule
/// for the query that the site's policies give to some device, and by `rule`; under no variant and
/// under each that they, or versions before them, have declared, or that edges in front have told.
pub fn keys_of_url(edge: &Edge, site: &Site, url: &str, rule: Option<&QueryRule>) -> Vec<Vec<u8>> {
    let Ok(uri) = Uri::try_from(url) else {
        return Vec::new();
    };
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    let target = uri
        .path_and_query()
        .cloned()
        .unwrap_or(PathAndQuery::from_static("/"));
    let told = site.edge_variants.names();
    let own = site.counters.variants()[1..].iter();
    let variants: Vec<_> = own.chain(told.iter()).cloned().collect();
    let mut keys = Vec::new();
    for scheme in Scheme::ALL {
        let authorities = site.authorities_of(&host, scheme, &edge.ports());
        let page = SitePage {
            site,
            scheme,
            host: &host,
            target: &target,
        };
        for rule in page.rules(rule) {
            keys.extend(page.keys_by_rule(&authorities, &rule, &variants));
        }
    }
    keys.sort();
    keys.dedup();
    keys
}

/// A page of a site, by one scheme and at any port.
struct SitePage<'a> {
    site: &'a Site,
    scheme: Scheme,
    /// Lower case, without port.
    host: &'a str,
    target: &'a PathAndQuery,
}

impl SitePage<'_> {
    /// The rules by which its query may count.
    fn rules(&self, given: Option<&QueryRule>) -> Vec<QueryRule> {
        let mut rules: Vec<QueryRule> = vec![QueryRule::default()];
        rules.extend(self.site.settings.query.clone());
        for route in &self.site.settings.routes {
            if let Some(rule) = &route.query
                && !rules.contains(rule)
            {
                rules.push(rule.clone());
            }
        }
        rules.extend(given.cloned());
        if self.site.policies.is_empty() {
            return rules;
        }
        let canary = self.site.canary.as_ref().map(|canary| &canary.chain);
        for chain in std::iter::once(&self.site.policies).chain(canary) {
            for device in Device::ALL {
                let rule = &self.decision(chain, device).query;
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
        rules
    }

    /// What policies decide about a GET from a device, without any other field.
    fn decision(&self, chain: &Chain, device: Device) -> Arc<RequestDecision> {
        let ask = PolicyRequest {
            method: &Method::GET,
            scheme: self.scheme.as_str(),
            host: self.host,
            path: self.target.path(),
            query: self.target.query(),
            headers: &http::HeaderMap::new(),
            device,
            device_source: DeviceSource::default(),
            client: ClientFacts::default(),
            route: None,
            variant: None,
        };
        chain.on_request(&ask, self.site.clock.wall())
    }

    fn keys_by_rule(
        &self,
        authorities: &[String],
        rule: &QueryRule,
        variants: &[Arc<str>],
    ) -> Vec<Vec<u8>> {
        let query = key::canonical_query(self.target.query(), rule);
        let write = |authority: &str, variant: Option<&str>| {
            let mut written = Vec::new();
            let parts = KeyParts {
                scheme: self.scheme.as_str(),
                authority,
                path: self.target.path(),
                query: query.as_deref(),
                variant,
            };
            key::write_key(&mut written, &parts);
            written
        };
        authorities
            .iter()
            .flat_map(|authority| {
                std::iter::once(None)
                    .chain(variants.iter().map(|variant| Some(&**variant)))
                    .map(|variant| write(authority, variant))
            })
            .collect()
    }
}
