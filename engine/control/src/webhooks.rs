//! Tells operators of events: over HTTP, as chat services and others take it.
//!
//! `queue` decides what is told when, without a clock or a socket of its own; this file carries the
//! messages. A place that can't be reached gets the same message again, later and later; what comes
//! meanwhile waits, bounded, and comes together.

mod message;
mod queue;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::event_turn::EventTurn;
use crate::events::{EventChange, EventLog, EventRecord};
use crate::outgoing::tls_connector;
use queue::WebhookQueue;
use tero_config::Webhook;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// How often it is looked what is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// From the connection to the head of the answer.
const POST_TIMEOUT: Duration = Duration::from_secs(10);

/// Messages by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WebhookCounts {
    /// Messages that were taken.
    pub(crate) sent: u64,
    /// Attempts that failed; the message is sent again.
    pub(crate) failed: u64,
    /// Events that were never told, since too many waited.
    pub(crate) left_out: u64,
}

/// The webhooks of an edge.
#[derive(Debug)]
pub(crate) struct Webhooks {
    /// How the edge calls itself.
    edge: String,
    clock: Clock,
    log: Arc<EventLog>,
    queues: Mutex<Vec<WebhookQueue>>,
}

/// What a webhook has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ToldEvents {
    /// The numbers of the events of which it has told the beginning, but not the end.
    pub(crate) numbers: Vec<u64>,
    /// The digest of the URL that it has told them to: the URL itself may hold a secret. `None` if it
    /// isn't known.
    pub(crate) place: Option<String>,
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
enum PostError {
    #[error("it can't be reached: {0}")]
    Io(#[from] io::Error),
    #[error("it breaks the connection: {0}")]
    Http(#[from] hyper::Error),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it did not answer within {POST_TIMEOUT:?}")]
    Timeout,
}

impl Webhooks {
    /// The webhooks of a configuration.
    pub(crate) fn new(
        edge: String,
        clock: Clock,
        log: Arc<EventLog>,
        settings: Vec<Webhook>,
    ) -> Webhooks {
        let queues = settings.into_iter().map(WebhookQueue::new).collect();
        Webhooks {
            edge,
            clock,
            log,
            queues: Mutex::new(queues),
        }
    }

    /// Goes on with these. One of the same name and URL keeps what waits.
    pub(crate) fn reload(&self, settings: Vec<Webhook>) {
        let open = self.open_events();
        let mut queues = self.queues();
        let mut before: BTreeMap<Arc<str>, WebhookQueue> = queues
            .drain(..)
            .map(|queue| (Arc::clone(&queue.settings.name), queue))
            .collect();
        *queues = settings
            .into_iter()
            .map(|settings| match before.remove(&settings.name) {
                Some(queue) => queue.with(settings, &open),
                None => WebhookQueue::new(settings),
            })
            .collect();
    }

    /// Something has changed.
    pub(crate) fn take(&self, change: &EventChange) {
        for queue in self.queues().iter_mut() {
            queue.take(change);
        }
    }

    /// Goes on with events of a process before, the oldest first, of which each webhook has told
    /// these. One with another URL was told nothing.
    pub(crate) fn restore(
        &self,
        events: &[EventRecord],
        told: &BTreeMap<String, ToldEvents>,
        now: Timestamp,
    ) {
        for queue in self.queues().iter_mut() {
            let told = told.get(&*queue.settings.name).filter(|told| {
                let place = told.place.as_ref();
                place.is_none_or(|place| *place == digest(&queue.settings))
            });
            queue.restore(events, told.map_or(&[], |told| &told.numbers), now);
        }
    }

    /// What each webhook has told, by its name.
    pub(crate) fn told(&self) -> BTreeMap<String, ToldEvents> {
        let queues = self.queues();
        let told = queues.iter().map(|queue| {
            let told = ToldEvents {
                numbers: queue.told(),
                place: Some(digest(&queue.settings)),
            };
            (queue.settings.name.to_string(), told)
        });
        told.collect()
    }

    /// What became of the messages, by webhook.
    pub(crate) fn counts(&self) -> Vec<(Arc<str>, WebhookCounts)> {
        let queues = self.queues();
        let counts = queues.iter();
        counts
            .map(|queue| (Arc::clone(&queue.settings.name), queue.counts))
            .collect()
    }

    /// Sends what is due, again and again, as long as this process has the turn.
    pub(crate) async fn run(&self, turn: &EventTurn) {
        loop {
            self.clock.sleep(LOOK_EVERY).await;
            for (settings, content) in self.due() {
                let Some(_telling) = turn.telling().await else {
                    break;
                };
                let sent = self.clock.timeout(POST_TIMEOUT, post(&settings, content));
                let sent = sent.await.unwrap_or(Err(PostError::Timeout));
                if let Err(error) = &sent {
                    let webhook = &settings.name;
                    tracing::warn!(%webhook, %error, "a webhook did not take a message");
                }
                self.sent(&settings, sent.is_ok());
            }
        }
    }

    /// The messages that are due.
    fn due(&self) -> Vec<(Webhook, String)> {
        if self.queues().is_empty() {
            return Vec::new();
        }
        let (now, wall) = (self.clock.now(), self.clock.wall());
        let open = self.open_events();
        let mut due = Vec::new();
        for queue in self.queues().iter_mut() {
            if let Some(notes) = queue.due(&open, now, wall) {
                let content = message::content(queue.settings.format, &self.edge, &notes);
                due.push((queue.settings.clone(), content));
            }
        }
        due
    }

    fn open_events(&self) -> Vec<EventRecord> {
        let events = self.log.events().into_iter();
        events.filter(|event| event.resolved.is_none()).collect()
    }

    fn sent(&self, settings: &Webhook, is_sent: bool) {
        let now = self.clock.now();
        let mut queues = self.queues();
        if let Some(queue) = queues
            .iter_mut()
            .find(|queue| queue.settings.name == settings.name)
        {
            queue.sent(settings, is_sent, now);
        }
    }

    fn queues(&self) -> MutexGuard<'_, Vec<WebhookQueue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A digest of a webhook's URL.
fn digest(settings: &Webhook) -> String {
    let url = settings.url.as_ref().map(Uri::to_string);
    let digest = Sha256::digest(url.unwrap_or_default());
    let digest = digest[..16].iter();
    digest.map(|byte| format!("{byte:02x}")).collect()
}

async fn post(settings: &Webhook, content: String) -> Result<(), PostError> {
    // One of the keys says it: a configuration without is refused.
    let Some(uri) = &settings.url else {
        return Ok(());
    };
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
    let stream = TcpStream::connect((bare, port)).await?;
    let request = request(settings, uri, content);
    if !is_secure {
        return exchange(stream, request).await;
    }
    let connector = tls_connector(settings.ca.as_deref())?;
    let name = ServerName::try_from(bare.to_owned()).map_err(io::Error::other)?;
    exchange(connector.connect(name, stream).await?, request).await
}

fn request(settings: &Webhook, uri: &Uri, content: String) -> Request<Full<Bytes>> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::new(Full::new(Bytes::from(content)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.parse().unwrap_or(Uri::from_static("/"));
    let fields = request.headers_mut();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let token = settings
        .token
        .as_ref()
        .map(|token| format!("Bearer {token}"));
    let given = [
        (HOST, Some(authority.to_owned())),
        (CONTENT_TYPE, Some("application/json".to_owned())),
        (AUTHORIZATION, token),
    ];
    for (name, value) in given {
        if let Some(value) = value.and_then(|value| value.try_into().ok()) {
            fields.insert(name, value);
        }
    }
    request
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(), PostError> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender; its errors come out of the request too.
    tokio::spawn(connection);
    let status = sender.send_request(request).await?.status();
    match status.is_success() {
        true => Ok(()),
        false => Err(PostError::Status(status)),
    }
}
