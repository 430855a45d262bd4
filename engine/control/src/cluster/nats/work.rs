//! The queue of shared runs as a stream with the retention of a work queue, and their documents as a
//! bucket.
//!
//! Each plan has a subject of its own, and a consumer that all nodes pull from. A consumer that has no
//! reader for an hour goes by itself; the work that it had stays in the stream.

use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::{AckKind, Context};
use bytes::Bytes;

use super::bus::{NatsBus, in_time};
use super::streams::{RUNS, WARM};
use super::{answer, next, with_causes};
use crate::cluster::bus::{BusError, SharedEntry};
use crate::cluster::work::{TakenWork, WorkAnswer, WorkQueue, WorkTicket};

/// Work that was taken and not heard of for so long goes to another node.
const ACK_WAIT: Duration = Duration::from_secs(15);
/// A consumer that has no reader for so long goes.
const INACTIVE: Duration = Duration::from_secs(60 * 60);
/// Work that a node gives back comes again after this time.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Entries that are put before the first of them is acknowledged.
const PUT_AT_ONCE: usize = 64;

impl WorkQueue for NatsBus {
    fn put_work(&self, plan: &str, work: Vec<Vec<u8>>) -> Result<(), BusError> {
        let live = self.live()?;
        let subject = self.subject_of(plan);
        self.apart(async move {
            for some in work.chunks(PUT_AT_ONCE) {
                put(&live.jetstream, &subject, some).await?;
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
            let making = live.jetstream.create_consumer_on_stream(consumer, stream);
            let consumer = answer("making a consumer", making).await?;
            let pulled = consumer.batch().max_messages(1).expires(patience);
            let mut messages = answer("taking work", pulled.messages()).await?;
            match next(&mut messages).await {
                None => Ok(None),
                Some(Err(error)) => Err(BusError::Unreachable(error.to_string())),
                Some(Ok(message)) => {
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
        self.apart(async move { tell(&client, subject, payload).await })
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

async fn put(jetstream: &Context, subject: &str, work: &[Vec<u8>]) -> Result<(), BusError> {
    let mut acknowledgements = Vec::new();
    for content in work {
        let content = Bytes::from(content.clone());
        let published = jetstream.publish(subject.to_owned(), content);
        acknowledgements.push(answer("putting work into the queue", published).await?);
    }
    for acknowledgement in acknowledgements {
        let acknowledged = in_time(async { acknowledgement.await }).await?;
        acknowledged.map_err(|error| match error.kind() {
            PublishErrorKind::StreamNotFound => {
                BusError::Missing("the queue of shared plans".to_owned())
            }
            _ => BusError::Unreachable(with_causes(&error)),
        })?;
    }
    Ok(())
}

async fn tell(client: &Client, subject: String, payload: Bytes) -> Result<(), BusError> {
    answer("answering for work", client.publish(subject, payload)).await?;
    Ok(answer("answering for work", client.flush()).await?)
}
