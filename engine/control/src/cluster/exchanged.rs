//! Purges in the form in which nodes tell them each other.

use super::purge_log::{OrderTarget, PurgeId, PurgeOrder};
use tero_admin_api::{ExchangedPurge, PurgeKind};

/// A purge as it is told.
pub(super) fn to_exchanged(order: PurgeOrder) -> ExchangedPurge {
    let (kind, name, site) = match order.target {
        OrderTarget::Url(url) => (PurgeKind::Url, url, None),
        OrderTarget::Tag(tag) => (PurgeKind::Tag, tag, None),
        OrderTarget::Prefix(prefix) => (PurgeKind::Prefix, prefix, None),
        OrderTarget::Site(site) => (PurgeKind::Site, site, None),
        OrderTarget::SiteTag { site, tag } => (PurgeKind::Tag, tag, Some(site)),
    };
    ExchangedPurge {
        id: order.id.into(),
        at_ms: order.at_ms,
        kind,
        name,
        site,
        soft: order.soft,
    }
}

/// A purge that was told; `None` if its id is malformed, or its target empty or too long.
pub(super) fn to_order(purge: ExchangedPurge) -> Option<PurgeOrder> {
    let target = match (purge.kind, purge.site) {
        (PurgeKind::Tag, Some(site)) => OrderTarget::SiteTag {
            site,
            tag: purge.name,
        },
        (PurgeKind::Url, _) => OrderTarget::Url(purge.name),
        (PurgeKind::Tag, None) => OrderTarget::Tag(purge.name),
        (PurgeKind::Prefix, _) => OrderTarget::Prefix(purge.name),
        (PurgeKind::Site, _) => OrderTarget::Site(purge.name),
    };
    let order = PurgeOrder {
        id: PurgeId::parse(&purge.id)?,
        at_ms: purge.at_ms,
        target,
        soft: purge.soft,
    };
    order.target.has_good_length().then_some(order)
}

#[cfg(test)]
mod tests {
    use super::super::purge_log::MAX_TARGET;
    use super::*;

    #[test]
    fn purges_have_bounds_and_come_back_as_they_were() {
        let of_site = |site: usize, tag: usize| OrderTarget::SiteTag {
            site: "s".repeat(site),
            tag: "t".repeat(tag),
        };
        let url = |length: usize| OrderTarget::Url("u".repeat(length));
        for (target, good) in [
            (url(1), true),
            (url(MAX_TARGET), true),
            (url(MAX_TARGET + 1), false),
            (url(0), false),
            (of_site(1, MAX_TARGET - 1), true),
            (of_site(1, MAX_TARGET), false),
        ] {
            let order = PurgeOrder {
                id: PurgeId::parse("a").unwrap(),
                at_ms: 1,
                target,
                soft: true,
            };
            let told = to_exchanged(order.clone());
            assert_eq!(to_order(told), good.then_some(order));
        }
        let mut told = to_exchanged(PurgeOrder {
            id: PurgeId::parse("a").unwrap(),
            at_ms: 1,
            target: url(1),
            soft: true,
        });
        told.id = "a b".to_owned();
        assert_eq!(to_order(told), None);
    }
}
