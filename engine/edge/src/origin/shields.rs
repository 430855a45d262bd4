//! The shields in front of a site's origins: each URL has one, by rendezvous hashing of the key
//! without its variant. A shield with more than its share of the load spills to the URL's next one.
//!
//! This node may be one of them. It doesn't forward what it has to itself, but asks the origins; so
//! it does where no shield can be reached.

use std::sync::Arc;

use http::Request;

use super::balance::{Balancer, HopOrder};
use super::error::SendError;
use super::next_hop::{HopPlace, NextHop};
use super::{
    ContentSource, HopRequest, Origin, OriginError, OriginResponse, OriginSettings, RequestBody,
    RequestCopy, SiteHops, retry,
};
use tero_semantics::timestamp::Timestamp;

/// How requests reach the shields of a site.
#[derive(Clone, Debug)]
pub struct ShieldSettings {
    /// As for origins.
    pub origin: OriginSettings,
    /// Whether the origins are asked where no shield can be reached.
    pub falls_back: bool,
    /// Requests under way at a shield up to which none spill to the next one.
    pub spill_above: usize,
}

/// The shields of a site.
#[derive(Debug)]
pub struct Shields {
    /// All of them, this node included.
    tier: Arc<Origin>,
    /// This node.
    own: Option<Arc<NextHop>>,
    falls_back: bool,
}

/// Who is asked for a URL, in this order.
struct ShieldOrder<'h> {
    shields: HopOrder<'h>,
    /// After them the origins, by this node as a shield.
    own: Option<&'h Arc<NextHop>>,
    /// After them the origins.
    then_origins: bool,
}

impl Shields {
    /// The shields of a site; `None` if it has none.
    pub fn new(settings: ShieldSettings, site: &SiteHops) -> Option<Shields> {
        let hops = site.shields.clone();
        let own = site.settings.own_shield.as_deref();
        let own = hops.iter().find(|hop| Some(&*hop.name) == own).cloned();
        let balancer = Balancer::by_key_above(settings.spill_above, &hops);
        (!hops.is_empty()).then(|| Shields {
            tier: Arc::new(Origin {
                are_shields: true,
                ..Origin::over(hops, balancer, settings.origin, site)
            }),
            own,
            falls_back: settings.falls_back,
        })
    }

    /// Whether there is room for a fetch that no visitor waits for.
    pub fn has_room(&self) -> bool {
        self.tier.has_room()
    }

    /// The name of the shield at that place.
    pub fn name_at(&self, place: usize) -> Option<&str> {
        self.tier.name_at(place)
    }

    /// The names of the URL's shields, the first one first, and whether this node is that one.
    pub fn of_url(&self, url: &str) -> (Vec<&str>, bool) {
        let tier = &self.tier;
        let ranked = tier
            .balancer
            .ranked(&tier.hops, url.as_bytes(), tier.clock.now());
        let is_own = match (ranked.hops.first(), &self.own) {
            (Some(first), Some(own)) => Arc::ptr_eq(first, own),
            _ => false,
        };
        (ranked.hops.iter().map(|hop| &*hop.name).collect(), is_own)
    }

    /// Asks the shields of `url`, or `origin` where this node is the one, or where none can be
    /// reached; see [`Origin::fetch`]. The place of a shield in the response follows those of the
    /// origins.
    ///
    /// # Errors
    /// [`OriginError`]
    pub async fn fetch(
        &self,
        origin: &Arc<Origin>,
        (request, source): (Request<RequestBody>, ContentSource),
        url: &str,
        mut again: Option<&mut RequestCopy<'_>>,
    ) -> Result<OriginResponse, OriginError> {
        let order = self.order(url, self.tier.clock.now());
        let method = request.method().clone();
        let mut asked = HopRequest::new(request, source, url);
        if !order.shields.hops.is_empty() {
            let answer = self
                .tier
                .ask(&mut asked, Some(order.shields), again.as_deref_mut())
                .await;
            let failure = match answer {
                Ok(mut response) => {
                    response.hop += origin.hops.len();
                    return Ok(response);
                }
                Err(failure) => failure,
            };
            if !order.then_origins {
                return Err(failure.error);
            }
            let SendError { error, unsent, .. } = failure;
            let mut copy = || {
                let may = retry::allows_after(&self.tier.settings.retry, &method, &error);
                let copy = again.as_mut().filter(|_| may)?()?;
                self.tier.retries.take_one().then_some(copy)
            };
            let Some(request) = unsent.or_else(&mut copy) else {
                return Err(error);
            };
            asked.request = request;
        } else if let Some(hop) = order.shields.on_trial {
            let times = self.tier.times_of(&asked.request);
            self.tier.try_in_background(hop, &asked.request, times);
        }
        let place = order.own.map(HopPlace::enter);
        let answer = origin.ask(&mut asked, None, again).await;
        let mut response = answer.map_err(|failure| failure.error)?;
        if let Some(place) = place {
            response.permit.hold_own_shield(place);
        }
        Ok(response)
    }

    fn order(&self, url: &str, now: Timestamp) -> ShieldOrder<'_> {
        let tier = &self.tier;
        let ranked = tier.balancer.ranked(&tier.hops, url.as_bytes(), now);
        let is_own = |hop: &&Arc<NextHop>| match &self.own {
            Some(own) => Arc::ptr_eq(hop, own),
            None => false,
        };
        let own_at = ranked.hops.iter().position(is_own);
        let then_origins = own_at.is_some() || self.falls_back;
        // One that rests is asked only if nothing else is left.
        let usable = match then_origins {
            true => ranked.healthy,
            false => ranked.hops.len(),
        };
        let before_own = own_at.unwrap_or(usize::MAX).min(usable);
        ShieldOrder {
            own: own_at.map(|place| ranked.hops[place]),
            shields: HopOrder {
                hops: ranked.hops[..before_own].to_vec(),
                on_trial: ranked
                    .on_trial
                    .filter(|_| then_origins || ranked.healthy > 0),
            },
            then_origins,
        }
    }
}
