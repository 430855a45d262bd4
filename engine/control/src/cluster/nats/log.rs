//! The purge log as a stream of JetStream.
//!
//! It is followed by one ephemeral consumer that pushes, in a loop of tero's own: in trials, ready-made
//! consumers lost entries in silence where a stream was recreated or set back.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_nats::header::{NATS_EXPECTED_STREAM, NATS_MESSAGE_ID};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, push};
use async_nats::jetstream::context::{GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::stream::{Info, RawMessageErrorKind};
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{Client, HeaderMap, Message, StatusCode, Subscriber};
use bytes::Bytes;
use tero_config as config;
use tero_time::clock::Clock;

use super::{NatsConnection, REQUEST_TIMEOUT, answer, next, streams, told_by_server, with_causes};
use crate::cluster::purge_log::{
    AppendedEntry, EntryDigest, FollowFrom, FollowedLog, LogEntry, LogError, LogFeed, LogFuture,
    LogIdentity, LogState, PlacedEntry, PurgeLog,
};

/// How often the server tells that a consumer without entries is there.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// A consumer that has no reader for so long goes.
const INACTIVE: Duration = Duration::from_secs(30);
/// The field by which a server says that the consumer waits for a word of flow control.
const STALLED: &str = "Nats-Consumer-Stalled";

/// The purge log of a fleet.
#[derive(Debug)]
pub struct NatsPurgeLog {
    connection: Arc<NatsConnection>,
    stream: String,
    subject: String,
}

impl NatsPurgeLog {
    /// The log of a fleet, over the connection of the node.
    pub fn new(settings: &config::Cluster, connection: &Arc<NatsConnection>) -> NatsPurgeLog {
        NatsPurgeLog {
            connection: Arc::clone(connection),
            stream: settings.named(streams::PURGES),
            subject: settings.subject("purges"),
        }
    }

    async fn append_entry(&self, id: &str, entry: &LogEntry) -> Result<AppendedEntry, LogError> {
        let jetstream = self.connection.jetstream().map_err(unreachable)?;
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, id);
        headers.insert(NATS_EXPECTED_STREAM, self.stream.as_str());
        let publish = async {
            let subject = self.subject.clone();
            let content = Bytes::from(entry.to_bytes());
            let acknowledgement = jetstream
                .publish_with_headers(subject, headers, content)
                .await?;
            acknowledgement.await
        };
        let published = Clock::real().timeout(REQUEST_TIMEOUT, publish).await;
        let published = published.map_err(|_| unreachable("no answer in time"))?;
        let published = published.map_err(|error| match error.kind() {
            PublishErrorKind::StreamNotFound => LogError::Missing(self.stream.clone()),
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => {
                unreachable(with_causes(&error))
            }
            PublishErrorKind::MaxPayloadExceeded => LogError::TooLarge(with_causes(&error)),
            _ if told_by_server(&error) == Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM) => {
                LogError::TooLarge(with_causes(&error))
            }
            _ => LogError::Refused(with_causes(&error)),
        })?;
        Ok(AppendedEntry {
            number: published.sequence,
            is_repeated: published.duplicate,
        })
    }

    async fn begin_feed(&self, from: FollowFrom) -> Result<FollowedLog, LogError> {
        let live = self.connection.live().map_err(unreachable)?;
        let jetstream = live.jetstream;
        let inbox = live.client.new_inbox();
        let subscription = live.client.subscribe(inbox.clone()).await;
        let subscription = subscription.map_err(|error| unreachable(with_causes(&error)))?;
        let consumer = push::Config {
            deliver_subject: inbox,
            description: Some("a node of tero".to_owned()),
            deliver_policy: match from {
                FollowFrom::Last => DeliverPolicy::Last,
                FollowFrom::Number(start_sequence) => {
                    DeliverPolicy::ByStartSequence { start_sequence }
                }
            },
            ack_policy: AckPolicy::None,
            idle_heartbeat: HEARTBEAT,
            flow_control: true,
            inactive_threshold: INACTIVE,
            memory_storage: true,
            num_replicas: 1,
            ..push::Config::default()
        };
        let made = jetstream.create_consumer_on_stream(consumer, self.stream.as_str());
        let made = answer("making a consumer", made).await;
        // Whether the stream is there is told better by its own answer.
        let state = self.state(&jetstream).await?;
        made.map_err(unreachable)?;
        Ok(FollowedLog {
            state,
            feed: Box::new(NatsFeed {
                connection: Arc::clone(&self.connection),
                client: live.client,
                generation: live.generation,
                jetstream,
                stream: self.stream.clone(),
                subscription,
            }),
        })
    }

    async fn state(&self, jetstream: &Context) -> Result<LogState, LogError> {
        state_of(jetstream, &self.stream).await
    }
}

/// What the stream says of itself.
async fn state_of(jetstream: &Context, stream: &str) -> Result<LogState, LogError> {
    let clock = Clock::real();
    let asking = clock.timeout(REQUEST_TIMEOUT, jetstream.get_stream(stream));
    let found = asking.await.map_err(|_| unreachable("no answer in time"))?;
    let found = found.map_err(|error| match error.kind() {
        GetStreamErrorKind::JetStream(told) if told.error_code() == ErrorCode::STREAM_NOT_FOUND => {
            LogError::Missing(stream.to_owned())
        }
        _ => unreachable(with_causes(&error)),
    })?;
    let mut state = read_state(found.cached_info());
    if state.first <= state.last {
        state.last_digest = digest_of(jetstream, stream, state.last).await?;
    }
    Ok(state)
}

/// The digest of the entry with this number; `None` if the stream doesn't have it.
async fn digest_of(
    jetstream: &Context,
    stream: &str,
    number: u64,
) -> Result<Option<EntryDigest>, LogError> {
    let stream = jetstream.get_stream_no_info(stream).await;
    let stream = stream.map_err(|error| unreachable(with_causes(&error)))?;
    let clock = Clock::real();
    let asking = clock.timeout(REQUEST_TIMEOUT, stream.get_raw_message(number));
    match asking.await.map_err(|_| unreachable("no answer in time"))? {
        Ok(message) => Ok(Some(EntryDigest::of(&message.payload))),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(unreachable(with_causes(&error))),
    }
}

fn read_state(info: &Info) -> LogState {
    LogState {
        identity: LogIdentity::of(&info.config.name, info.created.unix_timestamp_nanos()),
        // A stream without entries says 0, or one more than its last.
        first: match info.state.messages {
            0 => info.state.last_sequence + 1,
            _ => info.state.first_sequence,
        },
        last: info.state.last_sequence,
        last_digest: None,
    }
}

fn unreachable(cause: impl ToString) -> LogError {
    LogError::Unreachable(cause.to_string())
}

impl PurgeLog for NatsPurgeLog {
    fn append<'f>(&'f self, id: &'f str, entry: &'f LogEntry) -> LogFuture<'f, AppendedEntry> {
        Box::pin(self.append_entry(id, entry))
    }

    fn follow(&self, from: FollowFrom) -> LogFuture<'_, FollowedLog> {
        Box::pin(self.begin_feed(from))
    }
}

/// The entries that a consumer pushes.
struct NatsFeed {
    connection: Arc<NatsConnection>,
    client: Client,
    generation: u64,
    jetstream: Context,
    stream: String,
    subscription: Subscriber,
}

impl NatsFeed {
    /// Waits for a message, and returns it with what has come as well. Nothing is lost if the future is
    /// dropped: only the first message is waited for.
    async fn gather(&mut self, most: usize) -> Result<Vec<PlacedEntry>, LogError> {
        let first = tokio::select! {
            message = next(&mut self.subscription) => message,
            () = self.connection.lost(self.generation) => None,
        };
        let first = first.ok_or_else(|| unreachable("the connection is lost"))?;
        let mut entries = Vec::new();
        self.read(first, &mut entries).await?;
        while entries.len() < most
            && let Some(message) = ready(&mut self.subscription).await
        {
            self.read(message, &mut entries).await?;
        }
        Ok(entries)
    }

    async fn read(&self, message: Message, entries: &mut Vec<PlacedEntry>) -> Result<(), LogError> {
        match message.status {
            None | Some(StatusCode::OK) => {
                let message = jetstream::Message {
                    message,
                    context: self.jetstream.clone(),
                };
                let number = message.info().map(|info| info.stream_sequence);
                let number = number.map_err(unreachable)?;
                entries.push(PlacedEntry::read(number, &message.payload));
                Ok(())
            }
            Some(StatusCode::IDLE_HEARTBEAT) => {
                let headers = message.headers.as_ref();
                let stalled = headers.and_then(|headers| headers.get(STALLED));
                let stalled = stalled.map(|subject| subject.as_str().to_owned());
                let reply = message.reply.map(|subject| subject.to_string());
                // The server goes on once it is answered.
                if let Some(subject) = reply.or(stalled) {
                    let answered = self.client.publish(subject, Bytes::new()).await;
                    answered.map_err(|error| unreachable(with_causes(&error)))?;
                }
                Ok(())
            }
            Some(status) => Err(unreachable(format!(
                "the consumer has ended: {status} {}",
                message.description.unwrap_or_default()
            ))),
        }
    }

    async fn look_at(&self, number: u64) -> Result<(LogState, Option<EntryDigest>), LogError> {
        let found = digest_of(&self.jetstream, &self.stream, number).await?;
        // Read after the entry: a log that was made anew in between shows its other identity.
        let state = state_of(&self.jetstream, &self.stream).await?;
        Ok((state, found))
    }
}

impl LogFeed for NatsFeed {
    fn next(&mut self, most: usize) -> LogFuture<'_, Vec<PlacedEntry>> {
        Box::pin(self.gather(most))
    }

    fn look(&mut self, number: u64) -> LogFuture<'_, (LogState, Option<EntryDigest>)> {
        Box::pin(self.look_at(number))
    }
}

/// A message that has come already.
async fn ready(subscription: &mut Subscriber) -> Option<Message> {
    let mut next = std::pin::pin!(next(subscription));
    std::future::poll_fn(|context| match next.as_mut().poll(context) {
        Poll::Ready(message) => Poll::Ready(message),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
