//! The consumer of a shared run, from which all nodes pull its pages.
//!
//! In a cluster of servers, a consumer is agreed on by all of them, also where it is there already. So a node
//! doesn't make it for each pull.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use tero_time::clock::Clock;

use super::asked::Asked;
use super::{LiveConnection, next};
use crate::cluster::bus::BusError;
use crate::cluster::work::{TakenWork, WorkTicket};

/// Work that was taken and not heard of for so long goes to another node.
const ACK_WAIT: Duration = Duration::from_secs(15);
/// A consumer that has no reader for so long goes.
const INACTIVE: Duration = Duration::from_secs(60 * 60);
/// How much longer than its patience a pull may take to end: without the right to pull, nothing ends it.
const PULL_GRACE: Duration = Duration::from_secs(2);

/// A consumer that was there a moment ago.
#[derive(Debug)]
pub(super) struct PlanConsumer {
    /// Of the connection.
    generation: u64,
    name: String,
    at_once: usize,
    stream: String,
    consumer: PullConsumer,
}

impl PlanConsumer {
    /// Makes it, or gives the one that is there these limits.
    pub(super) async fn make(
        live: &LiveConnection,
        stream: &str,
        name: &str,
        subject: String,
        at_once: usize,
    ) -> Result<PlanConsumer, BusError> {
        let config = pull::Config {
            durable_name: Some(name.to_owned()),
            description: Some("the pages of a plan, shared by the nodes of tero".to_owned()),
            filter_subject: subject,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: i64::try_from(at_once).unwrap_or(1),
            inactive_threshold: INACTIVE,
            ..pull::Config::default()
        };
        let making = Asked {
            what: "making a consumer of",
            of: stream,
            right: "$JS.API.CONSUMER.CREATE.>",
        };
        let made = live.jetstream.create_consumer_on_stream(config, stream);
        Ok(PlanConsumer {
            generation: live.generation,
            name: name.to_owned(),
            at_once,
            stream: stream.to_owned(),
            consumer: making.answer(made).await?,
        })
    }

    /// Whether it is of this connection, has this name, and gives so much at once.
    pub(super) fn is_of(&self, live: &LiveConnection, name: &str, at_once: usize) -> bool {
        self.generation == live.generation && self.name == name && self.at_once == at_once
    }

    /// Pulls one message; `None` if none comes within `patience`.
    pub(super) async fn pull(&self, patience: Duration) -> Result<Option<TakenWork>, BusError> {
        let right = format!("$JS.API.CONSUMER.MSG.NEXT.{}.>", self.stream);
        let taking = Asked {
            what: "taking pages from",
            of: &self.stream,
            right: &right,
        };
        let pulled = self.consumer.batch().max_messages(1).expires(patience);
        let mut messages = taking.answer(pulled.messages()).await?;
        let clock = Clock::real();
        let first = clock.timeout(patience + PULL_GRACE, next(&mut messages));
        match first.await {
            Err(_) => Err(taking.unanswered("no answer in time")),
            Ok(None) => Ok(None),
            Ok(Some(Err(error))) => Err(BusError::Unreachable(error.to_string())),
            Ok(Some(Ok(message))) => {
                let ticket = message.reply.as_ref().map(|reply| reply.to_string());
                let times = message.info().map_or(1, |info| info.delivered);
                Ok(ticket.map(|ticket| TakenWork {
                    ticket: WorkTicket(ticket),
                    content: message.payload.to_vec(),
                    times: u64::try_from(times).unwrap_or(1),
                }))
            }
        }
    }
}
