//! What connects a fleet, over NATS: a key-value bucket for what it agrees on, an object store for
//! contents, plain messages for what is told and asked.
//!
//! Nothing here watches a bucket: the watchers of the client lose entries without saying so. A node
//! reads what the fleet agrees on when it hears of a change, and every few seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::kv::{CreateErrorKind, Operation, Store, UpdateErrorKind};
use bytes::Bytes;
use tero_config as config;
use tero_time::clock::Clock;
use tokio::io::AsyncReadExt as _;
use tokio::runtime::Handle;

use super::asked::Asked;
use super::plan_consumer::PlanConsumer;
use super::streams::{ACTIVE, LEASES, MODULES};
use super::{LiveConnection, NatsConnection, NatsError, answer, next, with_causes};
use crate::cluster::bus::{
    BusError, BusReport, FleetBus, FleetListener, FleetQuestion, SharedEntry,
};

/// The key of what the fleet agrees on.
const SHARED: &str = "versions";
/// How long a content may take to come or go.
const CONTENT_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest content that is read, in bytes.
const MAX_CONTENT: u64 = 256 << 20;
/// How long a node waits after it could not hear the others.
const HEAR_AGAIN: Duration = Duration::from_secs(1);

/// A fleet over NATS.
#[derive(Debug)]
pub struct NatsBus {
    connection: Arc<NatsConnection>,
    settings: config::Cluster,
    /// Of the runtime that the calls run on. The caller is on none.
    runtime: Handle,
    /// The consumers of shared runs, by plan: that of its latest run.
    consumers: Mutex<HashMap<String, PlanConsumer>>,
}

impl From<NatsError> for BusError {
    fn from(error: NatsError) -> BusError {
        BusError::Unreachable(error.to_string())
    }
}

impl NatsBus {
    /// A fleet over this connection. Calls run on `runtime`.
    pub fn new(
        connection: &Arc<NatsConnection>,
        settings: &config::Cluster,
        runtime: Handle,
    ) -> NatsBus {
        NatsBus {
            connection: Arc::clone(connection),
            settings: settings.clone(),
            runtime,
            consumers: Mutex::default(),
        }
    }

    pub(super) fn consumers(&self) -> MutexGuard<'_, HashMap<String, PlanConsumer>> {
        self.consumers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, if there is one at the moment.
    pub(super) fn live(&self) -> Result<LiveConnection, BusError> {
        Ok(self.connection.live()?)
    }

    /// The name of a stream or bucket.
    pub(super) fn named(&self, name: &str) -> String {
        self.settings.named(name)
    }

    /// The subject of the pages of a shared run.
    pub(super) fn subject_of(&self, run: &str) -> String {
        self.settings.subject(&format!("warm.{run}"))
    }

    /// Has `listener` hear what is told and asked, as long as it is polled.
    pub async fn listen(
        connection: Arc<NatsConnection>,
        settings: config::Cluster,
        listener: Arc<dyn FleetListener>,
    ) {
        let mut told = None;
        loop {
            let live = connection.connected().await;
            match hear(&live, &settings, &listener, &connection).await {
                Ok(()) => told = None,
                Err(error) => {
                    if told.as_ref() != Some(&error) {
                        tracing::warn!(%error, "other nodes can't be heard");
                    }
                    told = Some(error);
                    Clock::real().sleep(HEAR_AGAIN).await;
                }
            }
        }
    }

    pub(super) async fn bucket(&self, name: &str) -> Result<Store, BusError> {
        let jetstream = self.connection.jetstream()?;
        let bucket = self.settings.named(name);
        let looking = Asked {
            what: "looking at the bucket",
            of: &bucket,
            right: "$JS.API.STREAM.INFO.>",
        };
        looking.answer(jetstream.get_key_value(&bucket)).await
    }

    /// An entry of a bucket; `None` if it is not there.
    pub(super) async fn read_entry(
        &self,
        bucket: &str,
        key: &str,
    ) -> Result<Option<SharedEntry>, BusError> {
        let store = self.bucket(bucket).await?;
        let reading = Asked {
            what: "reading the bucket",
            of: &self.settings.named(bucket),
            right: "$JS.API.DIRECT.GET.>",
        };
        let entry = reading.answer(store.entry(key)).await?;
        let entry = entry.filter(|entry| entry.operation == Operation::Put);
        Ok(entry.map(|entry| SharedEntry {
            revision: entry.revision,
            content: entry.value.to_vec(),
        }))
    }

    /// Replaces an entry of a bucket, if it still has this revision; `None` if it was not there. Returns the
    /// new revision.
    pub(super) async fn write_entry(
        &self,
        bucket: &str,
        key: &str,
        content: Vec<u8>,
        revision: Option<u64>,
    ) -> Result<u64, BusError> {
        let store = self.bucket(bucket).await?;
        let name = self.settings.named(bucket);
        let right = format!("$KV.{name}.>");
        let writing = Asked {
            what: "writing into the bucket",
            of: &name,
            right: &right,
        };
        let content = Bytes::from(content);
        let Some(revision) = revision else {
            let created = writing.in_time(store.create(key, content)).await?;
            return created.map_err(|error| match error.kind() {
                CreateErrorKind::AlreadyExists => BusError::Conflict,
                _ => writing.failed(&error),
            });
        };
        let updated = writing
            .in_time(store.update(key, content, revision))
            .await?;
        updated.map_err(|error| match error.kind() {
            UpdateErrorKind::WrongLastRevision => BusError::Conflict,
            _ => writing.failed(&error),
        })
    }

    async fn read_content(&self, digest: String) -> Result<Vec<u8>, BusError> {
        let live = self.connection.live()?;
        let store = answer(
            "looking at the store of contents",
            live.jetstream
                .get_object_store(self.settings.named(MODULES)),
        )
        .await?;
        let object = match in_time(store.get(&digest)).await? {
            Ok(object) => object,
            Err(error)
                if error.kind() == async_nats::jetstream::object_store::GetErrorKind::NotFound =>
            {
                return Err(BusError::Missing(digest));
            }
            Err(error) => return Err(BusError::Unreachable(error.to_string())),
        };
        if object.info.size as u64 > MAX_CONTENT {
            return Err(BusError::Content(format!(
                "what the fleet keeps as {digest} is larger than {MAX_CONTENT} bytes"
            )));
        }
        let mut content = Vec::new();
        let mut object = object.take(MAX_CONTENT);
        let read = object.read_to_end(&mut content);
        let clock = Clock::real();
        let read = clock.timeout(CONTENT_TIMEOUT, read);
        tokio::select! {
            read = read => match read {
                Ok(Ok(_)) => Ok(content),
                // The connection stands. It is this content that can't be read.
                Ok(Err(error)) => Err(BusError::Content(format!(
                    "what the fleet keeps as {digest} can't be read: {error}"
                ))),
                Err(_) => Err(BusError::Content(format!(
                    "what the fleet keeps as {digest} did not come within {CONTENT_TIMEOUT:?}"
                ))),
            },
            () = self.connection.lost(live.generation) => Err(BusError::Unreachable(
                "the connection was lost".to_owned(),
            )),
        }
    }

    async fn write_content(&self, digest: String, content: Vec<u8>) -> Result<(), BusError> {
        let live = self.connection.live()?;
        let store = answer(
            "looking at the store of contents",
            live.jetstream
                .get_object_store(self.settings.named(MODULES)),
        )
        .await?;
        let known = in_time(store.info(&digest)).await?;
        // One that was removed leaves a note of it.
        if known.is_ok_and(|known| !known.deleted) {
            return Ok(());
        }
        let written = async { store.put(digest.as_str(), &mut &content[..]).await };
        let clock = Clock::real();
        let written = clock.timeout(CONTENT_TIMEOUT, written);
        tokio::select! {
            written = written => match written {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(BusError::Content(format!(
                    "the fleet can't keep {digest}: {}",
                    with_causes(&error)
                ))),
                Err(_) => Err(BusError::Content(format!(
                    "the fleet did not keep {digest} within {CONTENT_TIMEOUT:?}"
                ))),
            },
            () = self.connection.lost(live.generation) => Err(BusError::Unreachable(
                "the connection was lost".to_owned(),
            )),
        }
    }

    /// Runs a call in a task of its own: the client panics where a quorum is lost while it reads, and
    /// the runtime may have ended with the edge.
    pub(super) fn apart<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, BusError>> + Send + 'static,
    ) -> Result<T, BusError> {
        let called = self.runtime.block_on(self.runtime.spawn(call));
        called.unwrap_or_else(|_| {
            Err(BusError::Unreachable(
                "the servers lost their quorum".to_owned(),
            ))
        })
    }

    pub(super) fn again(&self) -> NatsBus {
        NatsBus::new(&self.connection, &self.settings, self.runtime.clone())
    }
}

impl FleetBus for NatsBus {
    fn shared(&self) -> Result<Option<SharedEntry>, BusError> {
        let bus = self.again();
        self.apart(async move { bus.read_entry(ACTIVE, SHARED).await })
    }

    fn replace_shared(&self, content: Vec<u8>, revision: Option<u64>) -> Result<u64, BusError> {
        let bus = self.again();
        self.apart(async move { bus.write_entry(ACTIVE, SHARED, content, revision).await })
    }

    fn content(&self, digest: &str) -> Result<Vec<u8>, BusError> {
        let (bus, digest) = (self.again(), digest.to_owned());
        self.apart(async move { bus.read_content(digest).await })
    }

    fn keep_content(&self, digest: &str, content: &[u8]) -> Result<(), BusError> {
        let (bus, digest, content) = (self.again(), digest.to_owned(), content.to_vec());
        self.apart(async move { bus.write_content(digest, content).await })
    }

    fn tell(&self, report: Vec<u8>) -> Result<(), BusError> {
        let client = self.connection.live()?.client;
        let subject = self.settings.subject("nodes");
        self.apart(async move {
            answer("telling", client.publish(subject, report.into())).await?;
            Ok(answer("telling", client.flush()).await?)
        })
    }

    fn ask(
        &self,
        question: &FleetQuestion,
        most: usize,
        patience: Duration,
    ) -> Result<Vec<Vec<u8>>, BusError> {
        let client = self.connection.live()?.client;
        let subject = self.settings.subject("ask");
        let question = serde_json::to_vec(question).unwrap_or_default();
        self.apart(async move {
            let inbox = client.new_inbox();
            let mut answers = answer("asking", client.subscribe(inbox.clone())).await?;
            let asked = client.publish_with_reply(subject, inbox, question.into());
            answer("asking", asked).await?;
            let mut all = Vec::new();
            let gather = async {
                while all.len() < most {
                    match next(&mut answers).await {
                        Some(message) => all.push(message.payload.to_vec()),
                        None => break,
                    }
                }
            };
            // Those that say nothing are left out.
            let _ = Clock::real().timeout(patience, gather).await;
            Ok(all)
        })
    }

    fn hold_lease(&self, name: &str, holder: &str) -> Result<bool, BusError> {
        let (bus, name, holder) = (self.again(), name.to_owned(), holder.to_owned());
        self.apart(async move {
            let bucket = bus.bucket(LEASES).await?;
            let value = Bytes::from(holder.clone());
            match in_time(bucket.create(&name, value.clone())).await? {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
                Err(error) => return Err(BusError::Unreachable(error.to_string())),
            }
            let entry = answer("reading a lease", bucket.entry(&name)).await?;
            let Some(entry) = entry.filter(|entry| entry.value == value) else {
                return Ok(false);
            };
            let renewed = in_time(bucket.update(&name, value, entry.revision)).await?;
            Ok(renewed.is_ok())
        })
    }

    fn lease_holder(&self, name: &str) -> Result<Option<String>, BusError> {
        let (bus, name) = (self.again(), name.to_owned());
        self.apart(async move {
            let bucket = bus.bucket(LEASES).await?;
            let entry = answer("reading a lease", bucket.entry(&name)).await?;
            let entry = entry.filter(|entry| entry.operation == Operation::Put);
            Ok(entry.map(|entry| String::from_utf8_lossy(&entry.value).into_owned()))
        })
    }

    fn pass_lease(&self, name: &str, holder: &str, next: &str) -> Result<(), BusError> {
        let (bus, name) = (self.again(), name.to_owned());
        let (holder, next) = (holder.to_owned(), Bytes::from(next.to_owned()));
        self.apart(async move {
            let bucket = bus.bucket(LEASES).await?;
            let entry = answer("reading a lease", bucket.entry(&name)).await?;
            let entry = entry.ok_or_else(|| BusError::Missing(name.clone()))?;
            if *entry.value != *holder.as_bytes() {
                return Err(BusError::Conflict);
            }
            let passed = in_time(bucket.update(&name, next, entry.revision)).await?;
            passed.map(|_| ()).map_err(|_| BusError::Conflict)
        })
    }

    fn report(&self) -> BusReport {
        let report = self.connection.report();
        BusReport {
            server: report.server,
            since_unix_secs: report.since.unix_secs(),
            failure: report.failure.map(|failure| failure.to_string()),
        }
    }
}

/// Hears until the connection is lost.
async fn hear(
    live: &LiveConnection,
    settings: &config::Cluster,
    listener: &Arc<dyn FleetListener>,
    connection: &NatsConnection,
) -> Result<(), NatsError> {
    let client = &live.client;
    let mut told = answer("hearing", client.subscribe(settings.subject("nodes"))).await?;
    let mut asked = answer("hearing", client.subscribe(settings.subject("ask"))).await?;
    loop {
        tokio::select! {
            message = next(&mut told) => match message {
                Some(message) => listener.heard(&message.payload),
                None => return Ok(()),
            },
            message = next(&mut asked) => match message {
                Some(message) => reply(client, listener, message),
                None => return Ok(()),
            },
            () = connection.lost(live.generation) => return Ok(()),
        }
    }
}

/// Answers a question, without holding up what is heard next.
fn reply(client: &Client, listener: &Arc<dyn FleetListener>, message: async_nats::Message) {
    let Ok(question) = serde_json::from_slice::<FleetQuestion>(&message.payload) else {
        return;
    };
    let Some(inbox) = message.reply else { return };
    let (client, listener) = (client.clone(), Arc::clone(listener));
    tokio::spawn(async move {
        let answered = tokio::task::spawn_blocking(move || listener.answer(&question)).await;
        if let Ok(Some(answer)) = answered {
            // The asker may have gone.
            let _ = client.publish(inbox, answer.into()).await;
        }
    });
}

/// The result of a call of the client, some of which have no limit of their own.
async fn in_time<T>(call: impl Future<Output = T>) -> Result<T, BusError> {
    match Clock::real().timeout(super::REQUEST_TIMEOUT, call).await {
        Ok(result) => Ok(result),
        Err(_) => Err(BusError::Unreachable("no answer in time".to_owned())),
    }
}
