//! Makes the sites of a configuration with the versions of their policies. Parts that do not change
//! are shared with the sites before: chains with their remembered decisions, connections to
//! origins, counters.

use std::sync::Arc;

use chrono_tz::Tz;
use tokio::sync::Semaphore;

use super::error::RolloutError;
use super::version_set::{PolicyVersions, VersionSet};
use tero_config as config;
use tero_config::RetryOn;
use tero_edge::origin::{
    ConnectionSettings, FetchTimes, Origin, OriginSettings, ShieldSettings, Shields,
    SiteHopSettings, SiteHops,
};
use tero_edge::request::Edge;
use tero_edge::request::canary::Canary;
use tero_edge::request::country::CountryLookup;
use tero_edge::request::edge_variants::EdgeVariants;
use tero_edge::request::purge_access::PurgeAccess;
use tero_edge::request::rate_limits::RateLimits;
use tero_edge::request::route_table::RouteTable;
use tero_edge::request::shadow::Shadow;
use tero_edge::request::site::{Site, Sites};
use tero_edge::request::site_rules::SiteRules;
use tero_edge::telemetry::counters::SiteCounters;
use tero_policy_host::{Chain, Host, Manifest, Policy, PolicyError, check_names};
use tero_semantics::cookies::CookiePattern;
use tero_time::clock::Clock;

/// Makes sites.
#[derive(Clone, Copy)]
pub(super) struct SiteBuilder<'a> {
    pub(super) host: &'a Host,
    pub(super) clock: &'a Clock,
    pub(super) workers: usize,
}

/// How much of the sites changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SiteChange {
    /// Everything may change.
    Configuration,
    /// Versions of policies change; origins and counters stay.
    Versions,
}

impl SiteBuilder<'_> {
    /// Makes the sites of `state`, which replace `old`. A site keeps its index.
    ///
    /// # Errors
    /// [`PolicyError::TooManyVariants`], or [`RolloutError::OriginTls`].
    pub(super) fn sites(
        &self,
        state: &VersionSet,
        old: &Sites,
        change: SiteChange,
    ) -> Result<Sites, RolloutError> {
        let mut list: Vec<Arc<Site>> = old.ever().to_vec();
        let limits = RateLimits::new(
            &state.settings.limits,
            &state.settings.limit_memory,
            old.rate_limits(),
        );
        for settings in &state.settings.sites {
            let before = old
                .ever()
                .iter()
                .find(|site| site.settings.name == settings.name);
            let index = before.map_or(list.len(), |site| site.index);
            let draft = SiteDraft {
                builder: *self,
                state,
                settings,
                before: before.map(|site| &**site),
                change,
                limits: &limits,
            };
            let site = Arc::new(draft.finish(index)?);
            match list.get_mut(index) {
                Some(place) => *place = site,
                None => list.push(site),
            }
        }
        Ok(Sites::new(list, |site| is_served(state, site))
            .behind(&state.settings.server)
            .limited_by(limits))
    }
}

fn is_served(state: &VersionSet, site: &Site) -> bool {
    let mut sites = state.settings.sites.iter();
    sites.any(|settings| settings.name == site.settings.name)
}

/// A site in the making.
struct SiteDraft<'a> {
    builder: SiteBuilder<'a>,
    state: &'a VersionSet,
    settings: &'a config::Site,
    /// The site of that name in the set before.
    before: Option<&'a Site>,
    change: SiteChange,
    limits: &'a RateLimits,
}

/// The next hops of a site.
struct SiteOrigins {
    hops: Arc<SiteHops>,
    /// Those of requests without a route that has its own.
    site: Arc<Origin>,
    /// Those that requests go to only if they are named.
    by_name: Option<Arc<Origin>>,
    /// The shields in front of them.
    shields: Option<Arc<Shields>>,
    /// Those of each route.
    routes: Vec<Option<Arc<Origin>>>,
    /// Tunnels that opened under an old configuration hold permits of that one.
    tunnels: Arc<Semaphore>,
}

impl SiteDraft<'_> {
    fn finish(&self, index: usize) -> Result<Site, RolloutError> {
        let before = self.before;
        let active = self.versions().map(|versions| Arc::clone(&versions.active));
        let policies = self.chain(active.collect(), before.map(|site| &site.policies))?;
        let canary = self.canary()?;
        let SiteOrigins {
            hops,
            site: origin,
            by_name: origin_by_name,
            shields,
            routes,
            tunnels,
        } = self.origins()?;
        let shadows = self.shadows()?;
        let trial = canary.as_ref().map(|canary| &canary.chain);
        Ok(Site {
            index,
            settings: self.settings.clone(),
            floor: self.settings.floor(),
            purge: self.purge_access(),
            rules: SiteRules::new(self.settings),
            maintenance: before.map_or_else(Arc::default, |site| Arc::clone(&site.maintenance)),
            key_values: before.map_or_else(Arc::default, |site| Arc::clone(&site.key_values)),
            routes: RouteTable::new(
                &self.settings.routes,
                before.and_then(|site| site.routes.as_deref()),
                self.builder.workers,
                |place, _| routes.get(place).cloned().flatten(),
            ),
            needs_device: policies.needs_device() || trial.is_some_and(Chain::needs_device),
            needs_device_source: any_of([Some(&policies), trial], |manifest| {
                manifest.device_source
            }),
            country: self.settings.country.as_ref().map(|source| {
                let asks = |manifest: &Manifest| manifest.country || manifest.region;
                let of_shadows = shadows.iter().map(|shadow| Some(&shadow.chain));
                let chains = [Some(&policies), trial].into_iter().chain(of_shadows);
                let is_needed = any_of(chains, asks);
                let tables = self.builder.host.tables();
                Box::new(CountryLookup::new(source, tables, is_needed))
            }),
            edge_variants: EdgeVariants::new(
                self.state.settings.max_policy_variants,
                before.map(|site| &site.edge_variants),
            ),
            policy_cookies: cookies_of([Some(&policies), trial]),
            device_models: Arc::clone(&self.state.settings.device_models),
            shadows,
            limits: self.limits.of_site(&self.settings.name),
            hops,
            origin,
            origin_by_name,
            shields,
            tunnels,
            counters: self.counters(&policies, trial),
            policies,
            canary,
            clock: self.builder.clock.clone(),
        })
    }

    /// Who may purge the site by request.
    fn purge_access(&self) -> Option<Box<PurgeAccess>> {
        let settings = self.settings.purge.as_ref()?;
        Some(Box::new(PurgeAccess::new(settings)))
    }

    /// The site's policies, in their order.
    fn versions(&self) -> impl Iterator<Item = &PolicyVersions> {
        let names = self.settings.policies.iter();
        names.filter_map(|name| self.state.policies.get(name))
    }

    /// The canary of one of the site's policies.
    fn canary(&self) -> Result<Option<Canary>, PolicyError> {
        let Some((versions, run, record)) = self.versions().find_map(|versions| {
            let (run, record) = (versions.canary.as_ref()?, versions.record.canary.as_ref()?);
            Some((versions, run, record))
        }) else {
            return Ok(None);
        };
        let old = self.before.and_then(|site| site.canary.as_ref());
        let policies = self.policies_with(versions, &run.policy);
        Ok(Some(Canary {
            policy: Arc::clone(&versions.config.name),
            chain: self.chain(policies, old.map(|canary| &canary.chain))?,
            share: record.share,
            seed: seed(run.policy.digest()),
            counters: Arc::clone(&run.counters),
        }))
    }

    /// The shadows of the site's policies.
    fn shadows(&self) -> Result<Vec<Arc<Shadow>>, PolicyError> {
        let mut shadows = Vec::new();
        for versions in self.versions() {
            let (Some(run), Some(record)) = (&versions.shadow, &versions.record.shadow) else {
                continue;
            };
            let name = &versions.config.name;
            let mut old = self.before.into_iter().flat_map(|site| &site.shadows);
            let old = old.find(|shadow| shadow.policy == *name);
            let policies = self.policies_with(versions, &run.policy);
            let chain = self.chain(policies, old.map(|shadow| &shadow.chain))?;
            shadows.push(Arc::new(Shadow {
                policy: Arc::clone(name),
                chain: chain.for_shadow(self.builder.host),
                share: record.sample,
                tally: Arc::clone(&run.tally),
            }));
        }
        Ok(shadows)
    }

    /// The site's active versions, with `policy` in place of the one of `candidate`.
    fn policies_with(&self, candidate: &PolicyVersions, policy: &Arc<Policy>) -> Vec<Arc<Policy>> {
        self.versions()
            .map(|versions| {
                if versions.config.name == candidate.config.name {
                    Arc::clone(policy)
                } else {
                    Arc::clone(&versions.active)
                }
            })
            .collect()
    }

    /// A chain of these policies. If the chain before has the same modules, it is used again with
    /// its remembered decisions.
    fn chain(
        &self,
        policies: Vec<Arc<Policy>>,
        before: Option<&Chain>,
    ) -> Result<Chain, PolicyError> {
        for policy in &policies {
            check_names(policy, self.settings, &self.state.settings.limits)?;
        }
        match before.filter(|chain| is_of(chain, &policies)) {
            Some(chain) => Ok(chain.clone()),
            None => Chain::new(
                self.builder.host,
                policies,
                self.state.settings.max_policy_variants,
            ),
        }
    }

    /// The next hops. They stay where only versions of policies change.
    fn origins(&self) -> Result<SiteOrigins, RolloutError> {
        if let Some(before) = self.before
            && self.change == SiteChange::Versions
        {
            let table = before.routes.as_ref();
            let of_route = |place| table.and_then(|table| table.origin_at(place)).cloned();
            return Ok(SiteOrigins {
                hops: Arc::clone(&before.hops),
                site: Arc::clone(&before.origin),
                by_name: before.origin_by_name.clone(),
                shields: before.shields.clone(),
                routes: (0..self.settings.routes.len()).map(of_route).collect(),
                tunnels: Arc::clone(&before.tunnels),
            });
        }
        let site = self.settings;
        let hops = SiteHops::new(
            hop_settings(site, &self.state.settings.server),
            self.builder.clock.clone(),
            self.before.map(|before| &*before.hops),
        );
        let hops = hops.map_err(|source| RolloutError::OriginTls {
            site: site.name.to_string(),
            source,
        })?;
        let general = |hop: &config::Origin| !hop.only_by_name;
        let of_route = |route: &config::Route| {
            route.has_own_origins().then(|| {
                let settings = origin_settings(site, Some(route));
                let is_asked = |hop: &config::Origin| match route.origins.is_empty() {
                    true => general(hop),
                    false => route.names(hop),
                };
                Arc::new(Origin::new(settings, &hops, is_asked))
            })
        };
        let by_name = Origin::new(origin_settings(site, None), &hops, |hop| !general(hop));
        Ok(SiteOrigins {
            site: Arc::new(Origin::new(origin_settings(site, None), &hops, general)),
            by_name: (by_name.names().count() > 0).then(|| Arc::new(by_name)),
            shields: shields(site, &hops),
            routes: site.routes.iter().map(of_route).collect(),
            tunnels: Arc::new(Semaphore::new(site.max_tunnels)),
            hops: Arc::new(hops),
        })
    }

    /// The counters, with the variants of the policies and of the canary. If a configuration changes
    /// the zone, they begin at zero; if a version does, they go on in the new zone.
    fn counters(&self, policies: &Chain, canary: Option<&Chain>) -> Arc<SiteCounters> {
        let zone = self.settings.zone.or(policies.zone()).unwrap_or(Tz::UTC);
        let of_canary = canary.map(Chain::variants).unwrap_or_default();
        let variants = [policies.variants(), of_canary].concat();
        let before = self.before.map(|site| &site.counters);
        match before.filter(|old| self.change == SiteChange::Versions || old.zone() == zone) {
            Some(old) => old.continued(zone, &variants),
            None => {
                let new = SiteCounters::new(zone, policies.variants(), self.builder.workers);
                Arc::new(new).continued(zone, &variants)
            }
        }
    }
}

/// Whether a chain has these modules in this order.
fn is_of(chain: &Chain, policies: &[Arc<Policy>]) -> bool {
    let same = |(old, new): (&Arc<Policy>, &Arc<Policy>)| Arc::ptr_eq(old, new);
    chain.policies().len() == policies.len() && chain.policies().iter().zip(policies).all(same)
}

/// The seed of a canary, from the beginning of its digest.
fn seed(digest: &str) -> u64 {
    digest
        .get(..16)
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .unwrap_or_default()
}

/// Drops the remembered decisions of chains that `sites` no longer use.
pub(super) fn forget_replaced(before: &Sites, sites: &Sites) {
    let now = chains(sites);
    for chain in chains(before) {
        if !now.iter().any(|other| other.is(chain)) {
            chain.forget();
        }
    }
}

/// Tells popularity the zones of the sites, whose hours it counts by, and the disks their names.
pub(crate) fn tell_sites(edge: &Edge) {
    let sites = edge.sites.load();
    if let Some(disk) = edge.store.disk() {
        let names = sites.ever().iter();
        disk.name_sites(names.map(|site| Arc::clone(&site.settings.name)).collect());
    }
    let zones: Vec<Tz> = sites
        .ever()
        .iter()
        .map(|site| site.counters.zone())
        .collect();
    edge.popularity.set_sites(&zones);
}

/// All chains of these sites.
fn chains(sites: &Sites) -> Vec<&Chain> {
    let mut chains = Vec::new();
    for site in sites.ever() {
        chains.push(&site.policies);
        chains.extend(site.canary.as_ref().map(|canary| &canary.chain));
        chains.extend(site.shadows.iter().map(|shadow| &shadow.chain));
    }
    chains
}

/// How the next hops of a site are reached.
fn hop_settings(site: &config::Site, server: &config::Server) -> SiteHopSettings {
    SiteHopSettings {
        hops: site.next_hops.clone(),
        shields: site
            .shield
            .as_ref()
            .map(config::Shield::hops)
            .unwrap_or_default(),
        own_shield: site
            .shield
            .as_ref()
            .and_then(|shield| Some(shield.this_node.as_ref()?.to_string())),
        health: site.health.clone(),
        check_host: check_host(site),
        look_up_every: site.look_up_every,
        connection: ConnectionSettings {
            max_age: site.max_connection_age,
            max_header_bytes: server.max_header_bytes,
            max_headers: server.max_headers,
        },
    }
}

/// How requests of a site, or of one of its routes, reach their next hops.
fn origin_settings(site: &config::Site, route: Option<&config::Route>) -> OriginSettings {
    let own_fetches = route.and_then(|route| route.max_fetches);
    OriginSettings {
        balance: route
            .and_then(|route| route.balance.clone())
            .unwrap_or_else(|| site.balance.clone()),
        health: site.health.clone(),
        retry: route
            .and_then(|route| route.retry.clone())
            .unwrap_or_else(|| site.retry.clone()),
        times: FetchTimes {
            connect: site.connect_timeout,
            response: site.response_timeout,
            deadline: site.deadline,
        },
        max_fetches: own_fetches.unwrap_or(site.max_fetches),
        // Never fewer than the fetches need.
        max_connections: site
            .max_origin_connections
            .max(own_fetches.unwrap_or_default()),
        max_waiting: site.max_waiting,
        release_after: site.release_fetch_after,
    }
}

/// The shields of a site.
fn shields(site: &config::Site, hops: &SiteHops) -> Option<Arc<Shields>> {
    let shield = site.shield.as_ref()?;
    let mut origin = origin_settings(site, None);
    // A status of a shield is that of the origins, which it has tried itself.
    let tells_of_hop = |cause: &RetryOn| !matches!(cause, RetryOn::Status(_));
    origin.retry.on.retain(tells_of_hop);
    let settings = ShieldSettings {
        origin,
        falls_back: shield.fall_back,
        spill_above: shield.spill_above,
    };
    Shields::new(settings, hops).map(Arc::new)
}

/// The `Host` that checks name: the one that requests have.
fn check_host(site: &config::Site) -> String {
    let named = site.health.host.as_ref().or(site.host_header.as_ref());
    let first = site.hosts.iter().find(|host| !host.contains('*'));
    let address = site.next_hops.first().map(|hop| hop.url.to_string());
    named.or(first).cloned().or(address).unwrap_or_default()
}

/// Whether one of the policies of these chains has such a manifest.
fn any_of<'c>(
    chains: impl IntoIterator<Item = Option<&'c Chain>>,
    is_meant: impl Fn(&Manifest) -> bool,
) -> bool {
    let mut policies = chains.into_iter().flatten().flat_map(Chain::policies);
    policies.any(|policy| is_meant(policy.manifest()))
}

/// The cookies that these chains are told, each name once.
fn cookies_of(chains: [Option<&Chain>; 2]) -> Vec<CookiePattern> {
    let policies = chains.into_iter().flatten().flat_map(Chain::policies);
    let mut names: Vec<&str> = policies
        .flat_map(|policy| &policy.manifest().cookies)
        .map(|name| &**name)
        .collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(CookiePattern::new).collect()
}
