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
    /// The shields in front of them.
    pub shields: Vec<config::Origin>,
    /// The name of the shield that this node is.
    pub own_shield: Option<String>,
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
    pub(super) shields: Vec<Arc<NextHop>>,
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
        let make = |hop: &config::Origin, before: Option<&NextHop>| {
            NextHop::new(hop, &settings.health, settings.look_up_every, before).map(Arc::new)
        };
        let hops = settings.hops.iter().map(|hop| {
            let before = before.and_then(|before| named(&before.hops, &hop.shown_name()));
            make(hop, before)
        });
        let shields = settings.shields.iter().map(|hop| {
            let before = before.and_then(|before| named(&before.shields, &hop.shown_name()));
            make(hop, before)
        });
        Ok(SiteHops {
            hops: hops.collect::<Result<_, _>>()?,
            shields: shields.collect::<Result<_, _>>()?,
            settings,
            clock,
        })
    }

    /// Takes a next hop out, or puts it back: no further requests go to it, and those under way end
    /// in order. Returns whether there is one of that name.
    pub fn set_drained(&self, name: &str, is_drained: bool) -> bool {
        let hop = named(&self.hops, name).or_else(|| named(&self.shields, name));
        hop.inspect(|hop| hop.health.set_drained(is_drained))
            .is_some()
    }

    /// The figures of each next hop, in the order of the configuration, then of each shield but the
    /// one that this node is.
    pub fn figures(&self) -> Vec<HopFigures> {
        let now = self.clock.now();
        let own = self.settings.own_shield.as_deref();
        let others = |hop: &&Arc<NextHop>| Some(&*hop.name) != own;
        let hops = self.hops.iter().map(|hop| hop.figures(now));
        let shields = self.shields.iter().filter(others);
        let shields = shields.map(|hop| HopFigures {
            is_shield: true,
            ..hop.figures(now)
        });
        hops.chain(shields).collect()
    }
}

fn named<'h>(hops: &'h [Arc<NextHop>], name: &str) -> Option<&'h NextHop> {
    hops.iter().map(|hop| &**hop).find(|hop| hop.name == name)
}
