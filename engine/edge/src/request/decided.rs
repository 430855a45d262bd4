//! What follows from what policies decided about a request beyond look-up, variant and query, before
//! it is looked up: the operator's floor and the rules of the site for the path that the origin is
//! asked for, and limits for the rate class.

use std::sync::Arc;

use super::exchange::Exchange;
use super::site_rules::is_restricting;
use super::verdict::{self, CheckStage, Verdict};
use tero_semantics::decision::{ExtendedDecision, PolicyAnswer};
use tero_semantics::purge_request::is_purge;

impl Exchange {
    /// What policies decided beyond look-up, variant and query.
    #[inline]
    pub fn extended(&self) -> Option<&ExtendedDecision> {
        self.decision.extended.as_deref()
    }

    /// The path that the origin is asked for, if policies chose another than the client's.
    pub(super) fn rewritten_path(&self) -> Option<&str> {
        self.extended()?.origin.path.as_deref()
    }

    /// The client's path, and the one that policies chose instead.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.parts.uri.path()).chain(self.rewritten_path())
    }

    /// The answer that a policy gives by itself. Not where the operator's floor forbids it, nor to a
    /// purge, which is not for the policies.
    #[inline]
    pub fn own_answer(&self) -> Option<&Arc<PolicyAnswer>> {
        self.permitted_answer(self.extended()?)
    }

    #[cold]
    fn permitted_answer<'d>(&self, decided: &'d ExtendedDecision) -> Option<&'d Arc<PolicyAnswer>> {
        let is_purge = self.site.purge.is_some() && is_purge(&self.parts.method);
        let answer = decided.answer.as_ref()?;
        (!self.floor.forbids_answers && !is_purge).then_some(answer)
    }
}

/// Has the operator's floor hold for the path that policies chose, too.
#[cold]
pub(super) fn apply_floor(exchange: &mut Exchange) {
    let floor = exchange.site.floor.as_deref();
    if let (Some(floor), Some(path)) = (floor, exchange.rewritten_path()) {
        exchange.floor = exchange.floor.and(floor.ruling(path));
    }
}

/// What the rules of the site decide about the request of a visitor by what policies decided about
/// it; `None` if it goes on. A limit that refuses it is noted in the exchange.
#[cold]
pub(super) fn verdict(exchange: &mut Exchange) -> Option<Verdict> {
    if let Some(refused) = by_path(exchange) {
        return Some(refused);
    }
    go_on(exchange);
    None
}

/// Takes what a request of its rate class costs. An answer of a policy costs nothing.
pub(super) fn go_on(exchange: &mut Exchange) {
    let class = exchange.extended().and_then(|it| it.rate_class.clone());
    if let Some(class) = class
        && exchange.site.limits.is_some()
        && exchange.own_answer().is_none()
    {
        exchange.take_allowance_of(&class);
    }
}

/// Networks and passwords of the routes on which the path that policies chose may be, by each
/// reading of it.
fn by_path(exchange: &mut Exchange) -> Option<Verdict> {
    let site = Arc::clone(&exchange.site);
    let rules = site.rules.as_ref().filter(|rules| rules.is_decisive)?;
    if site.purge.is_some() && is_purge(&exchange.parts.method) {
        return None;
    }
    let target = (&exchange.parts.method, exchange.rewritten_path()?);
    let protecting = rules.protecting(&site.routes, target);
    if let Some(refused) = verdict::by_network(&site.settings, &protecting, exchange.client) {
        return Some(Verdict::Answer(refused));
    }
    let mut restricting = protecting.iter();
    exchange.is_restricted |= restricting.any(|route| is_restricting(&route.settings));
    let mut realms = rules.realms_of(&site.routes, &protecting);
    if let Some(proven) = &exchange.proven {
        realms.retain(|realm| !proven.realms.iter().any(|own| Arc::ptr_eq(own, realm)));
    }
    if realms.is_empty() {
        return None;
    }
    match verdict::by_credentials(exchange, realms, CheckStage::Decided) {
        Verdict::Admit => None,
        other => Some(other),
    }
}
