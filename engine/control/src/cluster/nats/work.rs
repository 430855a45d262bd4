//! The queue of shared runs as a stream with the retention of a work queue, and their documents as a
//! bucket.
//!
//! Each plan has a subject of its own, and a consumer that all nodes pull from. A consumer that has no
//! reader for an hour goes by itself; the work that it had stays in the stream.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::{AckKind, Context};
use bytes::Bytes;
use tero_time::clock::Clock;

use super::asked::Asked;
use super::bus::NatsBus;
use super::next;
use super::streams::{RUNS, WARM};
use crate::cluster::bus::{BusError, SharedEntry};
use crate::cluster::work::{TakenWork, WorkAnswer, WorkQueue, WorkTicket};

/// Work that was taken and not heard of for so long goes to another node.
const ACK_WAIT: Duration = Duration::from_secs(15);
/// A consumer that has no reader for so long goes.
const INACTIVE: Duration = Duration::from_secs(60 * 60);
/// Work that a node gives back comes again after this time.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How much longer than its patience a pull may take to end: without the right to pull, nothing ends it.
const PULL_GRACE: Duration = Duration::from_secs(2);
/// Entries that are put before the first of them is acknowledged.
const PUT_AT_ONCE: usize = 64;

impl WorkQueue for NatsBus {
    fn put_work(&self, plan: &str, work: Vec<Vec<u8>>) -> Result<(), BusError> {
        let live = self.live()?;
        let (subject, stream) = (self.subject_of(plan), self.named(WARM));
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
        plan: &str,
        at_once: usize,
        patience: Duration,
    ) -> Result<Option<TakenWork>, BusError> {
        let live = self.live()?;
        let consumer = pull::Config {
            durable_name: Some(plan.to_owned()),
            description: Some("the pages of a plan, shared by the nodes of tero".to_owned()),
            filter_subject: self.subject_of(plan),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: i64::try_from(at_once).unwrap_or(1),
            inactive_threshold: INACTIVE,
            ..pull::Config::default()
        };
        let stream = self.named(WARM);
        self.apart(async move {
            let making = Asked {
                what: "making a consumer of",
                of: &stream,
                right: "$JS.API.CONSUMER.CREATE.>",
            };
            let made = live.jetstream.create_consumer_on_stream(consumer, &stream);
            let consumer = making.answer(made).await?;
            let right = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.>");
            let taking = Asked {
                what: "taking pages from",
                of: &stream,
                right: &right,
            };
            let pulled = consumer.batch().max_messages(1).expires(patience);
            let mut messages = taking.answer(pulled.messages()).await?;
            let clock = Clock::real();
            let first = clock.timeout(patience + PULL_GRACE, next(&mut messages));
            match first.await {
                Err(_) => Err(taking.unanswered("no answer in time")),
                Ok(None) => Ok(None),
                Ok(Some(Err(error))) => Err(BusError::Unreachable(error.to_string())),
                Ok(Some(Ok(message))) => {
                    let ticket = message.reply.as_ref().map(|reply| reply.to_string());
                    Ok(ticket.map(|ticket| TakenWork {
                        ticket: WorkTicket(ticket),
                        content: message.payload.to_vec(),
                    }))
                }
            }
        })
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
            // and says so to nobody who waits.
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
