//! The answer to a hit that a disk has: with a head that is made for it alone. It would take the place of
//! one that stands ready for a response in memory.

use std::sync::Arc;

use super::body::EdgeBody;
use super::deliver::{self, BodySource, deliver};
use super::provenance::{Answer, Provenance, ServedLifetime, StoreTier};
use super::visit::Visit;
use crate::store::stored::StoredResponse;
use crate::telemetry::Outcome;
use http::Response;

/// Makes the answer: as lines, if the client alone reads them and wants all of the content.
pub(super) fn answer(visit: Visit<'_>, stored: &Arc<StoredResponse>) -> Answer {
    let (exchange, head, now) = (visit.exchange, &stored.head, visit.exchange.at);
    let mut provenance = Provenance::stored(Outcome::Hit).of_tier(StoreTier::Disk);
    let is_plain = deliver::is_plain(visit, stored)
        && !exchange.fields.conditional
        && !stored.body.is_outside()
        && !deliver::reads_fields(visit);
    let lines = || deliver::lines_as_stored(visit, head, provenance, now);
    let Some(lines) = is_plain.then(lines).flatten() else {
        return deliver(visit, BodySource::Stored(stored), provenance, now);
    };
    provenance.lifetime = Some(ServedLifetime {
        age_secs: head.freshness.age(now).as_secs(),
        ttl_secs: head.freshness.remaining_secs(now),
    });
    if visit.edge.is_looked_on() {
        deliver::note_reason(visit, head);
    }
    let mut response = Response::new(EdgeBody::with_lines(lines.into(), Some(&stored.body)));
    *response.status_mut() = head.status;
    Answer {
        response,
        provenance,
    }
}
