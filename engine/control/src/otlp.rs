//! Sends spans to a collector by OTLP over HTTP (protobuf,
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>).
//!
//! A thread of its own takes the spans in batches. If the collector can't be reached or refuses them,
//! they are lost, and none are made during a rest that grows: a collector that is down costs nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as SentSpan, Status};
use prost::Message as _;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::build_info::BuildInfo;
use crate::outgoing::tls_connector;
use tero_config::Otlp;
use tero_edge::telemetry::spans::{Span, SpanCounters, SpanValue};
use tero_time::clock::Clock;

/// Spans that are sent at once, at most.
const MAX_BATCH: usize = 512;
/// How long the first span of a batch waits for others, all pauses together: a second.
const PAUSES: usize = 10;
const PAUSE: Duration = Duration::from_millis(100);
/// The rest after a failure, which doubles with the next one.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(60);
/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Sends spans.
struct Exporter {
    settings: Otlp,
    resource: Resource,
    scope: InstrumentationScope,
    counters: Arc<SpanCounters>,
    clock: Clock,
    tls: Option<TlsConnector>,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("it can't be reached: {0}")]
    Unreachable(#[from] io::Error),
    #[error("it does not speak HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("it answered {0}")]
    Refused(StatusCode),
    #[error("it did not answer in time")]
    Late,
    #[error("its address can't be used")]
    Address,
}

/// Starts the thread, which ends when the tracer is dropped.
///
/// # Errors
/// If the thread, its runtime or TLS can't be set up.
pub(crate) fn start(
    settings: &Otlp,
    name: &str,
    build: BuildInfo,
    spans: Receiver<Span>,
    counters: &Arc<SpanCounters>,
    clock: &Clock,
) -> io::Result<()> {
    let tls = settings.endpoint.starts_with("https:");
    let tls = tls.then(|| tls_connector(settings.ca.as_deref()));
    let exporter = Exporter {
        settings: settings.clone(),
        resource: Resource {
            attributes: vec![
                text("service.name", name),
                text("service.version", build.version),
                text("tero.commit", build.commit),
            ],
            ..Resource::default()
        },
        scope: InstrumentationScope {
            name: "tero".to_owned(),
            version: build.version.to_owned(),
            ..InstrumentationScope::default()
        },
        counters: Arc::clone(counters),
        clock: clock.clone(),
        tls: tls.transpose()?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()?;
    std::thread::Builder::new()
        .name("otlp".to_owned())
        .spawn(move || exporter.run(&spans, &runtime))?;
    Ok(())
}

impl Exporter {
    fn run(&self, spans: &Receiver<Span>, runtime: &tokio::runtime::Runtime) {
        let mut rest = FIRST_REST;
        while let Some(batch) = gather(spans, || std::thread::park_timeout(PAUSE)) {
            let count = batch.len() as u64;
            let sent = runtime.block_on(self.send(batch));
            match sent {
                Ok(()) => {
                    self.counters.sent.fetch_add(count, Relaxed);
                    rest = FIRST_REST;
                }
                Err(error) => {
                    self.counters.failed.fetch_add(count, Relaxed);
                    let endpoint = &self.settings.endpoint;
                    tracing::warn!(%endpoint, %error, "spans can't be sent; none are made for {rest:?}");
                    self.counters.rests.store(true, Relaxed);
                    self.rest(spans, rest);
                    self.counters.rests.store(false, Relaxed);
                    rest = (rest * 2).min(LONGEST_REST);
                }
            }
        }
    }

    /// Drops what still comes, for a while.
    fn rest(&self, spans: &Receiver<Span>, rest: Duration) {
        let until = self.clock.now().saturating_add(rest);
        loop {
            let left = until.since(self.clock.now());
            match spans.recv_timeout(left) {
                Ok(_) => self.counters.failed.fetch_add(1, Relaxed),
                Err(_) => return,
            };
        }
    }

    async fn send(&self, batch: Vec<Span>) -> Result<(), ExportError> {
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(self.resource.clone()),
                scope_spans: vec![ScopeSpans {
                    scope: Some(self.scope.clone()),
                    spans: batch.into_iter().map(encode).collect(),
                    schema_url: String::new(),
                }],
                schema_url: String::new(),
            }],
        };
        let content = Bytes::from(request.encode_to_vec());
        let limit = self.settings.timeout;
        let posted = self.clock.timeout(limit, self.post(content)).await;
        posted.unwrap_or(Err(ExportError::Late))
    }

    async fn post(&self, content: Bytes) -> Result<(), ExportError> {
        let uri: Uri = self
            .settings
            .endpoint
            .parse()
            .map_err(|_| ExportError::Address)?;
        let host = uri.host().ok_or(ExportError::Address)?;
        let port = uri.port_u16().unwrap_or(match self.tls {
            Some(_) => 443,
            None => 80,
        });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((bare, port)).await?;
        match &self.tls {
            None => self.post_over(stream, &uri, content).await,
            Some(tls) => {
                let name = ServerName::try_from(bare.to_owned());
                let name = name.map_err(|_| ExportError::Address)?;
                let stream = tls.connect(name, stream).await?;
                self.post_over(stream, &uri, content).await
            }
        }
    }

    async fn post_over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        uri: &Uri,
        content: Bytes,
    ) -> Result<(), ExportError> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let path = format!("{}/v1/traces", uri.path().trim_end_matches('/'));
        let request = Request::post(path).body(Full::new(content));
        let mut request = request.map_err(|_| ExportError::Address)?;
        let headers = request.headers_mut();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let host = HeaderValue::from_str(authority).map_err(|_| ExportError::Address)?;
        headers.insert(HOST, host);
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-protobuf"),
        );
        if let Some(token) = &self.settings.token {
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            let mut value = value.map_err(|_| ExportError::Address)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let response = sender.send_request(request).await?;
        let status = response.status();
        // So that the collector can end the connection in order.
        let _ = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await;
        match status.is_success() {
            true => Ok(()),
            false => Err(ExportError::Refused(status)),
        }
    }
}

/// The next spans; `None` at the end. The wait is that of the first one: if each span began it anew, a
/// steady trickle would wait until the batch is full. Nor is each span waited for by itself: to wake
/// this thread costs the worker that has one more than the span does.
fn gather(spans: &Receiver<Span>, mut pause: impl FnMut()) -> Option<Vec<Span>> {
    let mut batch = vec![spans.recv().ok()?];
    for _ in 0..PAUSES {
        if take(&mut batch, spans) || batch.len() >= MAX_BATCH {
            return Some(batch);
        }
        pause();
    }
    take(&mut batch, spans);
    Some(batch)
}

/// Takes what is there. Returns whether nothing more will come.
fn take(batch: &mut Vec<Span>, spans: &Receiver<Span>) -> bool {
    while batch.len() < MAX_BATCH {
        match spans.try_recv() {
            Ok(span) => batch.push(span),
            Err(error) => return error == TryRecvError::Disconnected,
        }
    }
    false
}

fn encode(span: Span) -> SentSpan {
    let nanos = |time: tero_semantics::timestamp::Timestamp| {
        u64::try_from(time.unix_millis())
            .unwrap_or(0)
            .saturating_mul(1_000_000)
    };
    SentSpan {
        trace_id: span.context.trace.to_vec(),
        span_id: span.context.span.to_vec(),
        parent_span_id: span.parent.map(Vec::from).unwrap_or_default(),
        flags: 1,
        name: span.name,
        kind: SpanKind::Server.into(),
        start_time_unix_nano: nanos(span.begin),
        end_time_unix_nano: nanos(span.end),
        attributes: span
            .attributes
            .into_iter()
            .map(|(key, value)| KeyValue {
                key: key.to_owned(),
                value: Some(AnyValue {
                    value: Some(match value {
                        SpanValue::Text(text) => Value::StringValue(text),
                        SpanValue::Number(number) => Value::IntValue(number),
                        SpanValue::Flag(flag) => Value::BoolValue(flag),
                    }),
                }),
                ..KeyValue::default()
            })
            .collect(),
        status: span.is_error.then(|| Status {
            message: String::new(),
            code: SpanStatus::Error.into(),
        }),
        ..SentSpan::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;
    use tero_semantics::timestamp::Timestamp;
    use tero_semantics::trace_context::TraceParent;

    fn span() -> Span {
        let at = Timestamp::from_unix_secs(1_795_608_000);
        Span {
            context: TraceParent {
                trace: [1; 16],
                span: [1; 8],
                is_sampled: true,
            },
            parent: None,
            name: "GET".to_owned(),
            begin: at,
            end: at,
            attributes: Vec::new(),
            is_error: false,
        }
    }

    #[test]
    fn a_batch_waits_from_its_first_span_however_steadily_others_come() {
        let (sender, spans) = sync_channel(10);
        sender.send(span()).unwrap();
        let batch = gather(&spans, || sender.send(span()).unwrap());
        assert_eq!(batch.map(|batch| batch.len()), Some(1 + PAUSES));
    }

    #[test]
    fn what_is_there_goes_at_the_end_and_a_full_batch_at_once() {
        let (sender, spans) = sync_channel(MAX_BATCH + 1);
        for _ in 0..=MAX_BATCH {
            sender.send(span()).unwrap();
        }
        let full = gather(&spans, || panic!("it is full")).unwrap();
        assert_eq!(full.len(), MAX_BATCH);
        drop(sender);
        let last = gather(&spans, || panic!("nothing more comes")).unwrap();
        assert_eq!(last.len(), 1);
        assert!(gather(&spans, || ()).is_none());
    }
}
