//! One request on its way: what all share, and what is known of this one.

use std::sync::Arc;

use super::edge::Edge;
use super::exchange::Exchange;
use super::site::Site;
use tero_config as config;
use tero_semantics::timestamp::Timestamp;

/// One request on its way. Borrowed: a hit must not touch a reference count that workers share.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'v> {
    /// What all requests share.
    pub edge: &'v Arc<Edge>,
    /// The request.
    pub exchange: &'v Arc<Exchange>,
}

const _: () = {
    const fn assert_copy<T: Copy>() {}
    assert_copy::<Visit<'static>>();
};

/// A visit that a task holds.
#[derive(Clone, Debug)]
pub struct OwnedVisit {
    edge: Arc<Edge>,
    exchange: Arc<Exchange>,
}

impl<'v> Visit<'v> {
    /// The time.
    #[inline]
    pub fn now(self) -> Timestamp {
        self.edge.clock.now()
    }

    /// The site that the request is for.
    #[inline]
    pub fn site(self) -> &'v Arc<Site> {
        &self.exchange.site
    }

    /// The site's configuration.
    #[inline]
    pub fn settings(self) -> &'v config::Site {
        &self.exchange.site.settings
    }

    /// The same, for a task.
    pub fn to_owned(self) -> OwnedVisit {
        OwnedVisit {
            edge: Arc::clone(self.edge),
            exchange: Arc::clone(self.exchange),
        }
    }
}

impl OwnedVisit {
    /// The visit, borrowed.
    pub fn visit(&self) -> Visit<'_> {
        Visit {
            edge: &self.edge,
            exchange: &self.exchange,
        }
    }
}
