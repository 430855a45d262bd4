//! A site at run time: its policies, the candidates on trial, its next hops, its counters.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::canary::Canary;
use super::shadow::Shadow;
use crate::origin::Origin;
use crate::telemetry::counters::SiteCounters;
use tero_config as config;
use tero_policy_host::Chain;
use tero_policy_host::device::DeviceModels;
use tero_time::clock::Clock;

/// Some hosts and the application behind them.
#[derive(Debug)]
pub struct Site {
    /// Its place among the sites; stays the same while the edge runs.
    pub index: usize,
    /// What the configuration says of it.
    pub settings: config::Site,
    /// The policies that it asks.
    pub policies: Chain,
    /// Whether a policy, or the canary, asks for the class of the device.
    pub needs_device: bool,
    /// What the models of devices tell.
    pub device_models: Arc<DeviceModels>,
    /// The version on trial for a share of the keys.
    pub canary: Option<Canary>,
    /// The versions that are asked about a share of the requests afterwards.
    pub shadows: Vec<Arc<Shadow>>,
    /// Its next hops.
    pub origin: Arc<Origin>,
    /// Tunnels that may still be opened.
    pub tunnels: Arc<Semaphore>,
    /// What happened to its requests.
    pub counters: Arc<SiteCounters>,
    /// The time, for questions to the policies from outside a request.
    pub clock: Clock,
}

impl Site {
    /// Whether a request has more to do than to be answered.
    pub(super) fn is_on_trial(&self) -> bool {
        self.canary.is_some() || !self.shadows.is_empty()
    }
}

/// All sites, by host.
#[derive(Debug, Default)]
pub struct Sites {
    list: Vec<Arc<Site>>,
    serving: Vec<usize>,
    by_host: HashMap<Box<str>, usize, foldhash::fast::RandomState>,
    any_host: Option<usize>,
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
                if host == "*" {
                    sites.any_host = Some(index);
                } else {
                    sites.by_host.insert(host.as_str().into(), index);
                }
            }
        }
        sites
    }

    /// The site that answers for `host`: lower case, without port.
    pub fn of_host(&self, host: &str) -> Option<&Arc<Site>> {
        let index = self.by_host.get(host).copied().or(self.any_host)?;
        self.list.get(index)
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
