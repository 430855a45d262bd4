//! A site that operators are working on: visitors get 503 until they are done, or what is stored.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;

use tero_config::IpNet;
use tero_semantics::timestamp::Timestamp;

/// How a site is while it is being worked on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaintenanceOrder {
    /// A line for visitors; empty for none.
    pub message: String,
    /// When it ends by itself, by the system's clock; `None` for not at all.
    pub until: Option<Timestamp>,
    /// Whether visitors get what is stored, fresh or as stale as it may be while the origin fails.
    pub serves_stored: bool,
    /// Networks whose clients use the site as ever.
    pub exempt: Vec<IpNet>,
}

/// Whether a site is being worked on. It stays with the site when a configuration is loaded.
#[derive(Debug, Default)]
pub struct MaintenanceSwitch {
    is_on: AtomicBool,
    order: ArcSwapOption<MaintenanceOrder>,
}

impl MaintenanceSwitch {
    /// Begins, or goes on in another way.
    pub fn begin(&self, order: MaintenanceOrder) {
        self.order.store(Some(Arc::new(order)));
        self.is_on.store(true, Ordering::Release);
    }

    /// Ends; whether it was on at `now`.
    pub fn end(&self, now: Timestamp) -> bool {
        let was_on = self.current(now).is_some();
        self.is_on.store(false, Ordering::Release);
        self.order.store(None);
        was_on
    }

    /// Whether there may be an order: a hit pays for one look at a flag.
    #[inline]
    pub(super) fn may_be_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// The order at `now`, by the system's clock; `None` if it is off or over.
    pub fn current(&self, now: Timestamp) -> Option<Arc<MaintenanceOrder>> {
        let order = self.order.load_full()?;
        order.until.is_none_or(|until| now < until).then_some(order)
    }
}

impl MaintenanceOrder {
    /// Whether a client uses the site as ever.
    pub(super) fn exempts(&self, client: Option<IpAddr>) -> bool {
        client.is_some_and(|client| {
            let client = client.to_canonical();
            self.exempt.iter().any(|network| network.contains(&client))
        })
    }

    /// The seconds after which clients may ask again: those that are left, else two minutes.
    pub(super) fn retry_after_secs(&self, now: Timestamp) -> u64 {
        const UNKNOWN: u64 = 120;
        let left = self
            .until
            .map(|until| until.since(now).as_millis().div_ceil(1_000));
        left.and_then(|left| u64::try_from(left).ok())
            .unwrap_or(UNKNOWN)
            .max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_ends_by_itself_at_its_time() {
        let at = |secs: i64| Timestamp::from_unix_secs(1_795_608_000 + secs);
        let switch = MaintenanceSwitch::default();
        assert!(!switch.may_be_on() && switch.current(at(0)).is_none());
        switch.begin(MaintenanceOrder {
            until: Some(at(60)),
            ..MaintenanceOrder::default()
        });
        let order = switch.current(at(59)).expect("it is on");
        assert_eq!(
            (
                order.retry_after_secs(at(0)),
                order.retry_after_secs(at(59))
            ),
            (60, 1)
        );
        assert!(switch.current(at(60)).is_none());
        assert!(!switch.end(at(60)) && !switch.may_be_on());
        switch.begin(MaintenanceOrder::default());
        assert_eq!(
            switch.current(at(99)).unwrap().retry_after_secs(at(99)),
            120
        );
        assert!(switch.end(at(99)));
    }
}
