//! The queue of shared runs as a stream with the retention of a work queue, and their documents as a
//! bucket.
//!
//! Each run has a subject of its own, and a consumer that all nodes pull from. A consumer that has no
//! reader for an hour goes by itself; the work that it had stays in the stream for a day.

use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::{AckKind, Context};
use bytes::Bytes;

use super::asked::Asked;
use super::bus::NatsBus;
use super::plan_consumer::PlanConsumer;
use super::streams::{RUNS, WARM};
use crate::cluster::bus::{BusError, SharedEntry};
use crate::cluster::work::{TakenWork, WorkAnswer, WorkQueue, WorkTicket};

/// Work that a node gives back comes again after this time.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Entries that are put before the first of them is acknowledged.
const PUT_AT_ONCE: usize = 64;

impl WorkQueue for NatsBus {
    fn put_work(&self, run: &str, work: Vec<Vec<u8>>) -> Result<(), BusError> {
        let live = self.live()?;
        // A node that has planned gives the consumer the limits of its run.
        self.consumers().remove(plan_of(run));
        let (subject, stream) = (self.subject_of(run), self.named(WARM));
        self.apart(async move {
            let asked = Asked {
                what: "putting pages into",
                of: &stream,
                right: &subject,
            };
            for some in work.chunks(PUT_AT_ONCE) {
                put(&live.jetstream, asked, some).await?;
            }
            Ok(())
        })
    }

    fn take_work(
        &self,
        run: &str,
        at_once: usize,
        patience: Duration,
    ) -> Result<Option<TakenWork>, BusError> {
        let live = self.live()?;
        // Names of consumers have no dots.
        let name = run.replace('.', "_");
        let known = self.consumers().remove(plan_of(run));
        let known = known.filter(|known| known.is_of(&live, &name, at_once));
        let (stream, subject) = (self.named(WARM), self.subject_of(run));
        let (taken, consumer) = self.apart(async move {
            let consumer = match known {
                Some(known) => known,
                None => PlanConsumer::make(&live, &stream, &name, subject, at_once).await?,
            };
            Ok((consumer.pull(patience).await?, consumer))
        })?;
        // One that gives nothing may be gone: it is made again before the next pull.
        if taken.is_some() {
            self.consumers().insert(plan_of(run).to_owned(), consumer);
        }
        Ok(taken)
    }

    fn answer_work(&self, ticket: &WorkTicket, said: WorkAnswer) -> Result<(), BusError> {
        let client = self.live()?.client;
        let kind = match said {
            WorkAnswer::UnderWay => AckKind::Progress,
            WorkAnswer::Done => AckKind::Ack,
            WorkAnswer::GivenBack => AckKind::Nak(Some(AGAIN_AFTER)),
        };
        let (subject, payload): (_, Bytes) = (ticket.0.clone(), kind.into());
        let stream = self.named(WARM);
        self.apart(async move {
            let right = format!("$JS.ACK.{stream}.>");
            let asked = Asked {
                what: "answering for pages of",
                of: &stream,
                right: &right,
            };
            // As a request: the server says that it has heard it. It drops what the user has no right to,
            // and the client would not notice.
            let heard = asked.answer(client.request(subject, payload)).await;
            heard.map(|_| ())
        })
    }

    fn run_document(&self, run: &str) -> Result<Option<SharedEntry>, BusError> {
        let (bus, run) = (self.again(), run.to_owned());
        self.apart(async move { bus.read_entry(RUNS, &run).await })
    }

    fn replace_run_document(
        &self,
        run: &str,
        content: Vec<u8>,
        revision: Option<u64>,
    ) -> Result<u64, BusError> {
        let (bus, run) = (self.again(), run.to_owned());
        self.apart(async move { bus.write_entry(RUNS, &run, content, revision).await })
    }
}

/// The plan of a run: of each plan one consumer is kept between pulls, that of the latest run.
fn plan_of(run: &str) -> &str {
    run.rsplit_once('.').map_or(run, |(plan, _)| plan)
}

/// Puts pages into the queue: the subject that this needs a right for is the one that they go to.
async fn put(jetstream: &Context, asked: Asked<'_>, work: &[Vec<u8>]) -> Result<(), BusError> {
    let mut acknowledgements = Vec::new();
    for content in work {
        let content = Bytes::from(content.clone());
        let published = jetstream.publish(asked.right.to_owned(), content);
        acknowledgements.push(asked.answer(published).await?);
    }
    for acknowledgement in acknowledgements {
        let acknowledged = asked.in_time(async { acknowledgement.await }).await?;
        acknowledged.map_err(|error| match error.kind() {
            PublishErrorKind::StreamNotFound => asked.missing(),
            _ => asked.failed(&error),
        })?;
    }
    Ok(())
}
