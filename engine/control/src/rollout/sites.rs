//! The sites of a configuration with the versions of their policies. What does not change is shared
//! with the sites before: chains with their remembered decisions, connections to origins, counters.

use std::sync::Arc;

use chrono_tz::Tz;
use tokio::sync::Semaphore;

use super::version_set::{PolicyVersions, VersionSet};
use tero_config as config;
use tero_edge::origin::{self, Origin};
use tero_edge::request::canary::Canary;
use tero_edge::request::shadow::Shadow;
use tero_edge::request::site::{Site, Sites};
use tero_edge::telemetry::counters::SiteCounters;
use tero_policy_host::{Chain, Host, Policy, PolicyError};
use tero_time::clock::Clock;

/// What sites are made with.
#[derive(Clone, Copy)]
pub(super) struct SiteBuilder<'a> {
    pub(super) host: &'a Host,
    pub(super) clock: &'a Clock,
    pub(super) workers: usize,
}

/// What changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SiteChange {
    /// Anything.
    Configuration,
    /// Versions of policies: origins, counters and the zones of their hours stay.
    Versions,
}

impl SiteBuilder<'_> {
    /// The sites of `state`, in the place of `old`. One that was there before keeps its index.
    pub(super) fn sites(
        &self,
        state: &VersionSet,
        old: &Sites,
        change: SiteChange,
    ) -> Result<Sites, PolicyError> {
        let mut list: Vec<Arc<Site>> = old.ever().to_vec();
        for settings in &state.settings.sites {
            let before = old
                .ever()
                .iter()
                .find(|site| site.settings.name == settings.name);
            let index = before.map_or(list.len(), |site| site.index);
            let site =
                Arc::new(self.site(state, settings, index, before.map(|site| &**site), change)?);
            match list.get_mut(index) {
                Some(place) => *place = site,
                None => list.push(site),
            }
        }
        let serves = |site: &Site| {
            state
                .settings
                .sites
                .iter()
                .any(|settings| settings.name == site.settings.name)
        };
        Ok(Sites::new(list, serves))
    }

    fn site(
        &self,
        state: &VersionSet,
        settings: &config::Site,
        index: usize,
        before: Option<&Site>,
        change: SiteChange,
    ) -> Result<Site, PolicyError> {
        let all_versions: Vec<&PolicyVersions> = settings
            .policies
            .iter()
            .filter_map(|name| state.policies.get(name))
            .collect();
        let bound = state.settings.max_policy_variants;
        let active = |versions: &PolicyVersions| Arc::clone(&versions.active);
        let policies = self.chain(
            all_versions
                .iter()
                .map(|versions| active(versions))
                .collect(),
            before.map(|site| &site.policies),
            bound,
        )?;
        // The chain with a candidate in the place of its active version.
        let with = |candidate: &PolicyVersions, policy: &Arc<Policy>| -> Vec<Arc<Policy>> {
            let is_it = |versions: &PolicyVersions| versions.config.name == candidate.config.name;
            all_versions
                .iter()
                .map(|versions| {
                    if is_it(versions) {
                        Arc::clone(policy)
                    } else {
                        active(versions)
                    }
                })
                .collect()
        };
        let canary = all_versions.iter().find_map(|versions| {
            Some((
                versions,
                versions.canary.as_ref()?,
                versions.record.canary.as_ref()?,
            ))
        });
        let canary = canary.map(|(versions, run, record)| {
            let old = before
                .and_then(|site| site.canary.as_ref())
                .map(|canary| &canary.chain);
            Ok(Canary {
                policy: Arc::clone(&versions.config.name),
                chain: self.chain(with(versions, &run.policy), old, bound)?,
                share: record.share,
                seed: seed(run.policy.digest()),
                counters: Arc::clone(&run.counters),
            })
        });
        let canary = canary.transpose()?;
        let shadows = all_versions.iter().filter_map(|versions| {
            Some((
                versions,
                versions.shadow.as_ref()?,
                versions.record.shadow.as_ref()?,
            ))
        });
        let shadows = shadows.map(|(versions, run, record)| {
            let old = before
                .into_iter()
                .flat_map(|site| &site.shadows)
                .find(|shadow| shadow.policy == versions.config.name);
            Ok(Arc::new(Shadow {
                policy: Arc::clone(&versions.config.name),
                chain: self
                    .chain(
                        with(versions, &run.policy),
                        old.map(|shadow| &shadow.chain),
                        bound,
                    )?
                    .for_shadow(self.host),
                share: record.sample,
                tally: Arc::clone(&run.tally),
            }))
        });
        let shadows = shadows.collect::<Result<_, PolicyError>>()?;
        let (origin, tunnels) = match before {
            Some(before) if change == SiteChange::Versions => {
                (Arc::clone(&before.origin), Arc::clone(&before.tunnels))
            }
            _ => {
                let origin = Origin::new(
                    origin_settings(settings, &state.settings.server),
                    self.clock.clone(),
                );
                // Tunnels that are open under the old configuration count there.
                (
                    Arc::new(origin),
                    Arc::new(Semaphore::new(settings.max_tunnels)),
                )
            }
        };
        let zone = settings.zone.or(policies.zone()).unwrap_or(Tz::UTC);
        let counters = before
            .map(|site| &site.counters)
            .filter(|old| change == SiteChange::Versions || old.zone() == zone);
        let of_canary = canary
            .as_ref()
            .map(|canary| canary.chain.variants())
            .unwrap_or_default();
        let variants = [policies.variants(), of_canary].concat();
        let counters = match counters {
            Some(old) => old.with_variants(&variants),
            None => Arc::new(SiteCounters::new(zone, policies.variants(), self.workers))
                .with_variants(&variants),
        };
        Ok(Site {
            index,
            settings: settings.clone(),
            needs_device: policies.needs_device()
                || canary
                    .as_ref()
                    .is_some_and(|canary| canary.chain.needs_device()),
            policies,
            canary,
            shadows,
            origin,
            tunnels,
            counters,
            clock: self.clock.clone(),
        })
    }

    /// A chain of these policies: the one before, with all that it remembers, where it is one of
    /// the very same.
    fn chain(
        &self,
        policies: Vec<Arc<Policy>>,
        before: Option<&Chain>,
        bound: usize,
    ) -> Result<Chain, PolicyError> {
        let same = |chain: &&Chain| {
            chain.policies().len() == policies.len()
                && chain
                    .policies()
                    .iter()
                    .zip(&policies)
                    .all(|(old, new)| Arc::ptr_eq(old, new))
        };
        match before.filter(same) {
            Some(chain) => Ok(chain.clone()),
            None => Chain::new(self.host, policies, bound),
        }
    }
}

/// From the beginning of a digest.
fn seed(digest: &str) -> u64 {
    digest
        .get(..16)
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .unwrap_or_default()
}

/// Every chain of some sites.
pub(super) fn chains(sites: &Sites) -> Vec<&Chain> {
    let mut chains = Vec::new();
    for site in sites.ever() {
        chains.push(&site.policies);
        chains.extend(site.canary.as_ref().map(|canary| &canary.chain));
        chains.extend(site.shadows.iter().map(|shadow| &shadow.chain));
    }
    chains
}

fn origin_settings(site: &config::Site, server: &config::Server) -> origin::OriginSettings {
    origin::OriginSettings {
        hops: site
            .origins
            .iter()
            .map(|origin| (origin.host.clone(), origin.port))
            .collect(),
        max_fetches: site.max_fetches,
        connect_timeout: site.connect_timeout,
        response_timeout: site.response_timeout,
        max_header_bytes: server.max_header_bytes,
        max_headers: server.max_headers,
    }
}
