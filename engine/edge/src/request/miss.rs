//! A request that nothing stored answers as it is, and how it is fetched.

use std::sync::Arc;

use http::Method;

use super::deliver;
use super::fetch::partial;
use super::visit::Visit;
use crate::store::stored::StoredResponse;
use tero_semantics::cache_status::Forward;
use tero_semantics::disposition::{FetchFacts, FetchPlan, PartFacts, fetch_plan};

/// A request that nothing stored answers as it is.
#[derive(Clone, Debug)]
pub(super) struct Miss {
    /// The stored response that may be validated.
    pub stale: Option<Arc<StoredResponse>>,
    /// The part of the response that is stored, if nothing else is.
    pub part: Option<Arc<StoredResponse>>,
    /// Why the request goes forward.
    pub forward: Forward,
}

impl Miss {
    /// A miss, with the part that is stored of the response. A HEAD goes forward whatever parts
    /// there are.
    pub(super) fn new(
        visit: Visit<'_>,
        stale: Option<Arc<StoredResponse>>,
        forward: Forward,
    ) -> Miss {
        let exchange = visit.exchange;
        let part = if stale.is_none() && exchange.parts.method != Method::HEAD {
            visit
                .edge
                .store
                .part(&exchange.key, &exchange.parts.headers)
        } else {
            None
        };
        let forward = if part.is_some() {
            Forward::Partial
        } else {
            forward
        };
        Miss {
            stale,
            part,
            forward,
        }
    }

    /// A miss that goes forward without regard to stored responses.
    pub(super) fn without_stored(forward: Forward) -> Miss {
        Miss {
            stale: None,
            part: None,
            forward,
        }
    }

    /// How it is fetched.
    pub(super) fn plan(&self, visit: Visit<'_>) -> FetchPlan {
        let Visit { edge, exchange } = visit;
        let part = self.part.as_ref().map(|part| PartFacts {
            answers: partial::is_fresh(visit, part)
                && deliver::is_all_within(visit, part)
                && !visit.may_miss_purges(),
            is_of_too_large: partial::is_of_too_large(edge, part),
        });
        fetch_plan(&FetchFacts {
            is_head: exchange.parts.method == Method::HEAD,
            asks_for_range: exchange.fields.range,
            // A fetch of others may have begun before the purge that this tier has not heard of.
            no_store: exchange.directives.no_store || visit.is_behind_edge(),
            part,
            is_hit_for_miss: visit.expects_not_storable(),
        })
    }
}
