//! Which next hops a request goes to: origins of its route or site, the one that a policy has chosen, or
//! a shield in front of them.

use std::sync::Arc;

use http::Request;

use super::exchange::Exchange;
use crate::origin::{
    ContentSource, Origin, OriginError, OriginResponse, RequestBody, RequestCopy, Shields,
};
use tero_semantics::key;

impl Exchange {
    /// The next hops that it goes to: those of its route, or of its site.
    pub fn origin(&self) -> &Arc<Origin> {
        let of_route = self.route().and_then(|route| route.origin.as_ref());
        let own = of_route.unwrap_or(&self.site.origin);
        match self.extended().and_then(|it| it.origin.origin.as_ref()) {
            None => own,
            Some(name) => self.origin_named(name, own),
        }
    }

    /// The next hops with the one that a policy has chosen, which may be any of the site.
    #[cold]
    fn origin_named<'e>(&'e self, name: &str, own: &'e Arc<Origin>) -> &'e Arc<Origin> {
        let others = std::iter::once(&self.site.origin).chain(&self.site.origin_by_name);
        let mut all = std::iter::once(own).chain(others);
        all.find(|origin| origin.has(name)).unwrap_or(own)
    }

    /// Sends a request to its next hop: a shield of the site, or one of [`Exchange::origin`].
    pub(super) async fn fetch(
        &self,
        request: Request<RequestBody>,
        source: ContentSource,
        again: Option<&mut RequestCopy<'_>>,
    ) -> Result<OriginResponse, OriginError> {
        let (origin, url) = (self.origin(), key::url_of(&self.key));
        match self.shields() {
            // Larger than a fetch without shields.
            Some(shields) => Box::pin(shields.fetch(origin, (request, source), url, again)).await,
            None => origin.fetch(request, source, url, again).await,
        }
    }

    /// The shields that stand between this node and the origins for it: none if this node is asked as a
    /// shield, or if a policy has chosen an origin, since a shield doesn't know of that choice.
    pub(super) fn shields(&self) -> Option<&Shields> {
        let shields = self.site.shields.as_deref()?;
        let is_chosen = || self.extended().is_some_and(|it| it.origin.origin.is_some());
        (!self.is_as_shield() && !is_chosen()).then_some(shields)
    }

    /// Whether another node asks this one as the shield of the URL. That node has the same configuration:
    /// it has carried out the rules of the site, and changes the fields of what its visitor gets.
    #[inline]
    pub(super) fn is_as_shield(&self) -> bool {
        self.edge.as_ref().is_some_and(|edge| edge.to_shield) && self.site.settings.shield.is_some()
    }

    /// The name of a hop that has answered it.
    pub(super) fn hop_name(&self, place: usize) -> Option<&str> {
        let origin = self.origin();
        let of_shield = || {
            let place = place.checked_sub(origin.names().count())?;
            self.site.shields.as_ref()?.name_at(place)
        };
        origin.name_at(place).or_else(of_shield)
    }
}
