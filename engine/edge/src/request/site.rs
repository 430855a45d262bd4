//! A site at run time: its policies, the candidates on trial, its next hops, its counters.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use tokio::sync::Semaphore;

use super::canary::Canary;
use super::country::CountryLookup;
use super::edge_variants::EdgeVariants;
use super::key_values::KeyValues;
use super::maintenance::MaintenanceSwitch;
use super::purge_access::PurgeAccess;
use super::rate_limits::{RateLimits, SiteLimits};
use super::route_table::RouteTable;
use super::shadow::Shadow;
use super::site_rules::SiteRules;
use crate::origin::{HopCondition, HopFigures, Origin, Shields, SiteHops};
use crate::telemetry::counters::SiteCounters;
use tero_config as config;
use tero_config::{IpNet, PeerNetwork};
use tero_policy_host::Chain;
use tero_policy_host::device::DeviceModels;
use tero_semantics::authority::{Authority, Scheme};
use tero_semantics::cookies::CookiePattern;
use tero_semantics::forwarded::{ForwardedFacts, forwarded_facts};
use tero_semantics::host_pattern::{covers, names_above};
use tero_semantics::operator_floor::OperatorFloor;
use tero_time::clock::Clock;

/// Some hosts and the application behind them.
#[derive(Debug)]
pub struct Site {
    /// Its place among the sites; stays the same while the edge runs.
    pub index: usize,
    /// What the configuration says of it.
    pub settings: config::Site,
    /// What holds above its policies; `None` if nothing does.
    pub floor: Option<Box<OperatorFloor>>,
    /// Who may purge it by request; `None` turns it off.
    pub purge: Option<Box<PurgeAccess>>,
    /// What the configuration says of some of its paths.
    pub routes: Option<Box<RouteTable>>,
    /// What it decides about requests without policies, and changes in messages.
    pub rules: Option<Box<SiteRules>>,
    /// Whether it is being worked on.
    pub maintenance: Arc<MaintenanceSwitch>,
    /// The values that parts of its keys have.
    pub key_values: Arc<KeyValues>,
    /// The policies that it asks.
    pub policies: Chain,
    /// Whether a policy, or the canary, asks for the class of the device.
    pub needs_device: bool,
    /// The variants that edges in front have told.
    pub edge_variants: EdgeVariants,
    /// Whether one asks how the class was found.
    pub needs_device_source: bool,
    /// Where it learns the country of clients from.
    pub country: Option<Box<CountryLookup>>,
    /// The cookies that the policies, or the canary, are told.
    pub policy_cookies: Vec<CookiePattern>,
    /// What the models of devices tell.
    pub device_models: Arc<DeviceModels>,
    /// The version on trial for a share of the keys.
    pub canary: Option<Canary>,
    /// The versions that are asked about a share of the requests afterwards.
    pub shadows: Vec<Arc<Shadow>>,
    /// The limits of its clients' requests; `None` if there are none.
    pub limits: Option<Box<SiteLimits>>,
    /// All its next hops.
    pub hops: Arc<SiteHops>,
    /// Those that requests go to whose route has none of its own.
    pub origin: Arc<Origin>,
    /// Those that requests go to only if a route or a policy names them; `None` if there are none. For the
    /// choice of policies: a route has its own.
    pub origin_by_name: Option<Arc<Origin>>,
    /// The shields in front of its origins; `None` if there are none.
    pub shields: Option<Arc<Shields>>,
    /// Tunnels that may still be opened.
    pub tunnels: Arc<Semaphore>,
    /// What happened to its requests.
    pub counters: Arc<SiteCounters>,
    /// The time, for questions to the policies from outside a request.
    pub clock: Clock,
}

impl Site {
    /// Whether something may decide about a request before policies are asked.
    #[inline]
    pub(super) fn may_rule(&self) -> bool {
        self.rules.is_some() || self.maintenance.may_be_on()
    }

    /// Its next hops as requests share them.
    pub fn origins(&self) -> impl Iterator<Item = (OriginUse<'_>, &Arc<Origin>)> {
        let of_routes = self.routes.iter().flat_map(|routes| routes.origins());
        let of_routes = of_routes.map(|(name, origin)| (OriginUse::Route(name), origin));
        let by_name = self.origin_by_name.iter();
        let by_name = by_name.map(|origin| (OriginUse::ByName, origin));
        std::iter::once((OriginUse::Site, &self.origin))
            .chain(of_routes)
            .chain(by_name)
    }

    /// How the next hops do that each of [`Site::origins`] has, in the same order, and shields in front of them.
    pub fn hop_conditions(&self) -> Vec<Vec<HopCondition>> {
        let hops = self.hops.figures();
        let of_use = |origin: &Arc<Origin>| {
            let is_asked =
                |hop: &&HopFigures| hop.is_shield || origin.names().any(|name| name == hop.name);
            let asked = hops.iter().filter(is_asked);
            asked.map(|hop| hop.state.condition).collect()
        };
        self.origins().map(|(_, origin)| of_use(origin)).collect()
    }

    /// The next hops that a GET for a path goes to.
    pub fn origin_of_get(&self, path: &str) -> &Arc<Origin> {
        let routes = self.routes.as_ref();
        let own = routes.and_then(|routes| routes.origin_of_get(path));
        own.unwrap_or(&self.origin)
    }

    /// Whether there is room for a fetch for a path that no visitor waits for.
    pub fn has_room_for(&self, path: &str) -> bool {
        let shields = self.shields.as_ref();
        self.origin_of_get(path).has_room() && shields.is_none_or(|shields| shields.has_room())
    }

    /// Whether a request has more to do than to be answered.
    pub(super) fn is_on_trial(&self) -> bool {
        self.canary.is_some() || !self.shadows.is_empty()
    }

    /// Every authority under which the site answers for a host, which is in lower case and without
    /// port: alone, at each port of `listeners`, and at each that the site names with it.
    pub fn authorities_of(&self, host: &str, scheme: Scheme, listeners: &[u16]) -> Vec<String> {
        let hosts = &self.settings.hosts;
        let mut all = Vec::new();
        if hosts.iter().any(|own| covers(own, host)) {
            all.push(host.to_owned());
            let ports = listeners.iter();
            let ports = ports.filter(|port| **port != scheme.default_port());
            all.extend(ports.map(|port| format!("{host}:{port}")));
        }
        all.extend(hosts.iter().filter(|own| is_with_port(own, host)).cloned());
        all
    }
}

/// The requests that share some next hops of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginUse<'s> {
    /// Those without a route that has its own.
    Site,
    /// Those of the route of this name.
    Route(&'s str),
    /// Those for which a policy has chosen one that other requests don't go to.
    ByName,
}

/// Whether `named` is this host with a port.
fn is_with_port(named: &str, host: &str) -> bool {
    named
        .strip_prefix(host)
        .is_some_and(|rest| rest.starts_with(':'))
}

/// All sites, by host.
#[derive(Debug, Default)]
pub struct Sites {
    list: Vec<Arc<Site>>,
    serving: Vec<usize>,
    by_host: HashMap<Box<str>, usize, foldhash::fast::RandomState>,
    /// What follows the star of `*.NAME`, with the site.
    by_name_above: HashMap<Box<str>, usize, foldhash::fast::RandomState>,
    any_host: Option<usize>,
    /// Whether one of the hosts has a port.
    names_ports: bool,
    /// Those of edges included.
    trusted_proxies: Vec<IpNet>,
    trusts_unix_peers: bool,
    trusted_edges: Box<[PeerNetwork]>,
    rate_limits: RateLimits,
}

impl Sites {
    /// The sites in the order of their indices. Those that do not serve keep their place, since
    /// stored responses and popularity go by the index.
    pub fn new(list: Vec<Arc<Site>>, serves: impl Fn(&Site) -> bool) -> Sites {
        let serving = list
            .iter()
            .filter(|site| serves(site))
            .map(|site| site.index)
            .collect();
        let mut sites = Sites {
            list,
            serving,
            ..Sites::default()
        };
        for &index in &sites.serving {
            for host in &sites.list[index].settings.hosts {
                match host.strip_prefix('*') {
                    Some("") => sites.any_host = Some(index),
                    Some(above) => {
                        sites.by_name_above.insert(above.into(), index);
                    }
                    None => {
                        sites.names_ports |= Authority::is_with_port(host);
                        sites.by_host.insert(host.as_str().into(), index);
                    }
                }
            }
        }
        sites
    }

    /// The same sites, behind the proxies and edges that are trusted.
    pub fn behind(self, server: &config::Server) -> Sites {
        let (proxies, edges) = (&server.trusted_proxies, &server.trusted_edges);
        // An edge is a proxy: it says who its clients are.
        let peers = || proxies.iter().chain(edges);
        let networks = peers().filter_map(|peers| match peers {
            PeerNetwork::Ip(network) => Some(*network),
            PeerNetwork::Unix => None,
        });
        Sites {
            trusted_proxies: networks.collect(),
            trusts_unix_peers: peers().any(|peers| *peers == PeerNetwork::Unix),
            trusted_edges: edges.as_slice().into(),
            ..self
        }
    }

    /// The same sites, with these limits.
    pub fn limited_by(self, rate_limits: RateLimits) -> Sites {
        Sites {
            rate_limits,
            ..self
        }
    }

    /// The limits of all sites.
    pub fn rate_limits(&self) -> &RateLimits {
        &self.rate_limits
    }

    /// Whether what peers of Unix sockets say about requests is believed.
    pub(super) fn trust_unix_peers(&self) -> bool {
        self.trusts_unix_peers
    }

    /// What the fields of a request say that a trusted peer brought. `None` is one without an
    /// address.
    #[cold]
    pub(super) fn facts_of<'p>(
        &self,
        parts: &'p Parts,
        peer: Option<IpAddr>,
    ) -> ForwardedFacts<'p> {
        let peer = peer.map(|peer| peer.to_canonical());
        forwarded_facts(&parts.headers, peer, |address| self.trust(address))
    }

    /// Whether what this address says about requests is believed.
    #[inline]
    pub(super) fn trust(&self, address: IpAddr) -> bool {
        !self.trusted_proxies.is_empty() && self.is_of_proxy(address)
    }

    #[cold]
    fn is_of_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let mut networks = self.trusted_proxies.iter();
        networks.any(|network| network.contains(&address))
    }

    /// Whether a trusted peer is an edge, whose decisions count. `None` is one without an address.
    pub(super) fn is_edge(&self, peer: Option<IpAddr>) -> bool {
        let peer = peer.map(|peer| peer.to_canonical());
        self.trusted_edges.iter().any(|edges| match (edges, peer) {
            (PeerNetwork::Ip(network), Some(peer)) => network.contains(&peer),
            (PeerNetwork::Unix, None) => true,
            _ => false,
        })
    }

    /// The site that answers for an authority, and whether a site names it with its port.
    #[inline]
    pub(super) fn of_authority(&self, authority: &Authority) -> Option<(&Arc<Site>, bool)> {
        if self.names_ports
            && authority.port().is_some()
            && let Some(index) = self.by_host.get(authority.as_str())
        {
            return Some((self.list.get(*index)?, true));
        }
        let index = match self.by_host.get(authority.host()) {
            Some(index) => *index,
            None => self.of_unnamed(authority.host())?,
        };
        Some((self.list.get(index)?, false))
    }

    /// The site that answers for a host that none names as it is.
    #[inline]
    fn of_unnamed(&self, host: &str) -> Option<usize> {
        if self.by_name_above.is_empty() {
            return self.any_host;
        }
        self.of_name_above(host).or(self.any_host)
    }

    #[cold]
    fn of_name_above(&self, host: &str) -> Option<usize> {
        let mut names = names_above(host);
        names.find_map(|name| self.by_name_above.get(name).copied())
    }

    /// The sites that answer for a host, which is in lower case and without port, at any port.
    pub fn of_host(&self, host: &str) -> Vec<&Arc<Site>> {
        let by_name = self.by_host.get(host).copied();
        let by_name = by_name.or_else(|| self.of_unnamed(host));
        let with_port = self.by_host.iter();
        let with_port = with_port
            .filter(|(named, _)| is_with_port(named, host))
            .map(|(_, index)| *index);
        let mut indices: Vec<usize> = by_name.into_iter().chain(with_port).collect();
        indices.sort_unstable();
        indices.dedup();
        indices
            .into_iter()
            .filter_map(|index| self.list.get(index))
            .collect()
    }

    /// The serving site of that name.
    pub fn named(&self, name: &str) -> Option<&Arc<Site>> {
        self.iter().find(|site| &*site.settings.name == name)
    }

    /// The site at `index`, also one that does not serve any more.
    pub fn at(&self, index: usize) -> Option<&Arc<Site>> {
        self.list.get(index)
    }

    /// Those that serve.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Site>> {
        self.serving.iter().map(|&index| &self.list[index])
    }

    /// All that ever were, in the order of their indices.
    pub fn ever(&self) -> &[Arc<Site>] {
        &self.list
    }
}
