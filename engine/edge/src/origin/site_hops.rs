//! The next hops of a site, each once, whichever of its requests they are asked for. What is known
//! of one is known to all who ask it.

use std::sync::Arc;
use std::time::Duration;

use super::connection::ConnectionSettings;
use super::hop_counters::HopFigures;
use super::next_hop::NextHop;
use super::tls::OriginTlsError;
use tero_config as config;
use tero_time::clock::Clock;

/// How the next hops of a site are reached and checked.
#[derive(Clone, Debug)]
pub struct SiteHopSettings {
    /// The next hops.
    pub hops: Vec<config::Origin>,
    /// When they rest.
    pub health: config::Health,
    /// The `Host` of checks.
    pub check_host: String,
    /// How often their names are looked up.
    pub look_up_every: Duration,
    /// Connections to them.
    pub connection: ConnectionSettings,
}

/// The next hops of a site.
#[derive(Debug)]
pub struct SiteHops {
    pub(super) hops: Vec<Arc<NextHop>>,
    pub(super) settings: SiteHopSettings,
    pub(super) clock: Clock,
}

impl SiteHops {
    /// The next hops of `settings`. Those that were there `before`, with the same settings, keep what
    /// is known of them.
    ///
    /// # Errors
    /// [`OriginTlsError`]: TLS to one of them can't be set up.
    pub fn new(
        settings: SiteHopSettings,
        clock: Clock,
        before: Option<&SiteHops>,
    ) -> Result<SiteHops, OriginTlsError> {
        let hops = settings.hops.iter().map(|hop| {
            let before = before.and_then(|before| before.named(&hop.shown_name()));
            NextHop::new(hop, &settings.health, settings.look_up_every, before).map(Arc::new)
        });
        Ok(SiteHops {
            hops: hops.collect::<Result<_, _>>()?,
            settings,
            clock,
        })
    }

    fn named(&self, name: &str) -> Option<&NextHop> {
        let mut hops = self.hops.iter().map(|hop| &**hop);
        hops.find(|hop| hop.name == name)
    }

    /// Takes a next hop out, or puts it back: no further requests go to it, and those under way end
    /// in order. Returns whether there is one of that name.
    pub fn set_drained(&self, name: &str, is_drained: bool) -> bool {
        let hop = self.named(name);
        hop.inspect(|hop| hop.health.set_drained(is_drained))
            .is_some()
    }

    /// The figures of each next hop, in the order of the configuration.
    pub fn figures(&self) -> Vec<HopFigures> {
        let now = self.clock.now();
        self.hops.iter().map(|hop| hop.figures(now)).collect()
    }
}
