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

/// A purge that was told; `None` if its id is malformed.
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
    Some(PurgeOrder {
        id: PurgeId::parse(&purge.id)?,
        at_ms: purge.at_ms,
        target,
        soft: purge.soft,
    })
}
