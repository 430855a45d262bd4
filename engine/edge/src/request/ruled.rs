//! What the rules of a site decide about a request, carried out: an answer of their own, what is stored
//! alone, or a check that has to be waited for. [`super::verdict`] decides.

use std::sync::Arc;

use super::content::RequestContent;
use super::edge::Edge;
use super::exchange::Exchange;
use super::open_record::RecordedResponse;
use super::provenance::{Answer, Provenance, StoreTier};
use super::verdict::{CheckStage, RuleAnswer, Verdict};
use super::visit::Visit;
use super::{Reply, admit, admitted, decided, disk_lookup, hit, recorded, respond, stale};
use crate::store::stored::StoredResponse;
use crate::telemetry::Outcome;
use tero_semantics::disposition::Disposition;

/// Carries out what the rules of its site decide about a request.
#[cold]
pub(super) fn ruled(
    edge: &Arc<Edge>,
    mut exchange: Arc<Exchange>,
    verdict: Verdict,
    content: RequestContent,
) -> Reply<'_> {
    match verdict {
        Verdict::Answer(answer) => Reply::Ready(by_rule(edge, &exchange, *answer)),
        Verdict::Admit => admitted(edge, exchange, content),
        Verdict::StoredOnly(otherwise) => {
            let own = Arc::get_mut(&mut exchange).expect("the request has not been shared yet");
            let decided = admit::ask_policies_after_rules(own);
            let visit = Visit {
                edge,
                exchange: &exchange,
            };
            if decided.is_some() {
                // What still has to be checked is not for now.
                return Reply::Ready(by_rule(edge, &exchange, *otherwise));
            }
            let disposition = visit.disposition(visit.look());
            if !disk_lookup::is_for_disk(visit, &disposition) {
                let answer = stored_only(visit, disposition, StoreTier::Memory);
                return Reply::Ready(stored_or_rule(visit, answer, *otherwise));
            }
            Reply::Pending(Box::pin(async move {
                let visit = Visit {
                    edge,
                    exchange: &exchange,
                };
                let answer = stored_on_disk(visit).await;
                stored_or_rule(visit, answer, *otherwise)
            }))
        }
        Verdict::Check(pending) => Reply::Pending(Box::pin(async move {
            let own = Arc::get_mut(&mut exchange).expect("the request has not been shared yet");
            let stage = pending.stage;
            let checked = pending.verdict(&edge.checkers, own).await;
            let verdict = after_check(own, checked, stage);
            ruled(edge, exchange, verdict, content).response().await
        })),
    }
}

/// What becomes of a request after the check of its credentials.
pub(super) fn after_check(exchange: &mut Exchange, checked: Verdict, stage: CheckStage) -> Verdict {
    match (checked, stage) {
        (Verdict::Admit, CheckStage::Own) => {
            admit::ask_policies_after_rules(exchange).map_or(Verdict::Admit, |decided| *decided)
        }
        (Verdict::Admit, CheckStage::Decided) => {
            decided::go_on(exchange);
            Verdict::Admit
        }
        (checked, _) => checked,
    }
}

/// The answer with what is stored, or else by a rule.
fn stored_or_rule(
    visit: Visit<'_>,
    answer: Option<Answer>,
    otherwise: RuleAnswer,
) -> RecordedResponse {
    match answer {
        Some(answer) => recorded(visit, answer),
        None => by_rule(visit.edge, visit.exchange, otherwise),
    }
}

/// The answer with what a disk has, if it may be used while the origin fails.
async fn stored_on_disk(visit: Visit<'_>) -> Option<Answer> {
    let found = disk_lookup::find(visit).await;
    match disk_lookup::decide(visit, found) {
        Ok(answer) => Some(answer),
        Err(disposition) => stored_only(visit, disposition, StoreTier::Disk),
    }
}

/// The answer with what a tier has, if it may be used while the origin fails.
fn stored_only(
    visit: Visit<'_>,
    disposition: Disposition<Arc<StoredResponse>>,
    tier: StoreTier,
) -> Option<Answer> {
    match disposition {
        Disposition::Serve(stored) => Some(hit(visit, &stored, tier)),
        Disposition::ServeWhileRevalidating(stored)
        | Disposition::ServeWhileOriginIsTried(stored)
        | Disposition::ServeWhileOriginRests(stored)
        | Disposition::Revalidate { stored, .. }
            if visit.may_stand_in(&stored) =>
        {
            let provenance = Provenance::stored(Outcome::Stale).of_tier(tier);
            Some(stale(visit, &stored, provenance))
        }
        _ => None,
    }
}

/// Answers a request by a rule of its site.
fn by_rule(edge: &Arc<Edge>, exchange: &Arc<Exchange>, answer: RuleAnswer) -> RecordedResponse {
    let visit = Visit { edge, exchange };
    recorded(visit, respond::by_rule(visit, answer))
}
