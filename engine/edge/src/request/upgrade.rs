//! Another protocol on the client's connection, such as WebSocket: a tunnel to the next hop (RFC
//! 9110 §7.8).
//!
//! Only protocols that the site names in `upgrades` are passed on, and only a 101 that takes over
//! the very one that was asked for opens a tunnel: a faked upgrade would otherwise get an unchecked
//! connection to the application.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, TE, UPGRADE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::body::EdgeBody;
use super::client::{ClientTunnel, TunnelOffer, TunnelStream};
use super::failure::Failure;
use super::visit::Visit;
use super::websocket::WebSocketKey;
use super::{next_hop_request, pass};
use crate::origin::{self, ContentSource};
use crate::telemetry::Outcome;
use crate::telemetry::counters::{CountedPlace, SiteCounters};
use tero_semantics::cache_status::Forward;
use tero_semantics::timestamp::Timestamp;
use tero_semantics::upgrade::only_protocol;
use tero_time::clock::Clock;

/// Bytes that are read at once, in each direction.
const PIECE: usize = 16 * 1024;

/// Asks the next hop for the protocol. Where it agrees, the client's connection becomes a tunnel;
/// else its answer is passed on.
pub(super) async fn upgrade(visit: Visit<'_>) -> Result<Response<EdgeBody>, Failure> {
    let Visit { edge, exchange } = visit;
    let (Some(protocol), Some(handle)) = (exchange.wanted_protocol(), &exchange.connection) else {
        return Err(Failure::shutting_down());
    };
    let Some(offer) = TunnelOffer::of(&exchange.parts.extensions) else {
        return Err(Failure::shutting_down());
    };
    let site = &exchange.site;
    let Ok(permit) = Arc::clone(&site.tunnels).try_acquire_owned() else {
        return Err(Failure::too_many_tunnels());
    };
    let mut request = next_hop_request::as_sent(visit, origin::empty(), Forward::Bypass);
    say_upgrade(request.headers_mut(), protocol);
    // A WebSocket over HTTP/2 has no key (RFC 8441 §5), and one over HTTP/1.1 needs one (RFC 6455
    // §4.1).
    let is_websocket = protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
    let key = (offer.is_connect() && is_websocket).then(WebSocketKey::draw);
    if let Some(key) = &key {
        request.headers_mut().insert(SEC_WEBSOCKET_KEY, key.value());
    }
    let mut answer = pass::send(visit, request, ContentSource::AtHand, None).await?;
    if answer.response.status() != StatusCode::SWITCHING_PROTOCOLS {
        // Any success would open the tunnel (RFC 8441 §5).
        if offer.is_connect() && answer.response.status().is_success() {
            return Err(Failure::of_upgrade());
        }
        return Ok(pass::streamed(visit, answer));
    }
    let agreed = only_protocol(answer.response.headers())
        .filter(|agreed| is_same(agreed, protocol))
        .cloned();
    let Some(agreed) = agreed else {
        return Err(Failure::of_upgrade());
    };
    if key.is_some_and(|key| !key.is_answered_by(answer.response.headers())) {
        return Err(Failure::of_websocket());
    }
    let next_hop = hyper::upgrade::on(&mut answer.response);
    let tunnel = Tunnel {
        clock: edge.clock.clone(),
        idle: site.settings.tunnel_idle_timeout,
        latest: AtomicI64::new(edge.clock.now().unix_millis()),
        counters: Arc::clone(&site.counters),
        place: site.counters.place(
            Outcome::Pass,
            exchange.decision.variant.as_deref(),
            exchange.wall(),
        ),
        sent: Arc::default(),
    };
    let sent = Arc::clone(&tunnel.sent);
    let is_connect = offer.is_connect();
    let traffic = Box::pin(async move {
        let both = async { Some((offer.accepted().await?, next_hop.await.ok()?)) };
        if let Ok(Some((client, next_hop))) = tunnel.clock.timeout(tunnel.idle, both).await {
            tunnel.run(client, next_hop).await;
        }
        drop(permit);
    });
    handle.become_tunnel(ClientTunnel { traffic, sent });
    let mut response = pass::streamed(visit, answer);
    *response.body_mut() = EdgeBody::Empty;
    if is_connect {
        // It answers a key that the client doesn't know.
        response.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
    }
    say_upgrade(response.headers_mut(), &agreed);
    Ok(response)
}

fn is_same(one: &HeaderValue, other: &HeaderValue) -> bool {
    one.as_bytes().eq_ignore_ascii_case(other.as_bytes())
}

fn say_upgrade(headers: &mut HeaderMap, protocol: &HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol.clone());
    // `Connection` does not name it.
    headers.remove(TE);
}

/// Bytes in both directions, until both have ended or nothing was said for too long.
struct Tunnel {
    clock: Clock,
    idle: Duration,
    /// When the latest byte came, from either side, in milliseconds since the epoch.
    latest: AtomicI64,
    counters: Arc<SiteCounters>,
    /// Where its bytes are counted: with the request that opened it.
    place: CountedPlace,
    /// Bytes that were sent to the client.
    sent: Arc<AtomicU64>,
}

impl Tunnel {
    async fn run(&self, client: TunnelStream, next_hop: Upgraded) {
        let (from_client, to_client) = tokio::io::split(client);
        let (from_next_hop, to_next_hop) = tokio::io::split(TokioIo::new(next_hop));
        let up = self.carry(from_client, to_next_hop, |_| {});
        let down = self.carry(from_next_hop, to_client, |bytes| {
            self.counters.record_bytes(self.place, bytes);
            self.sent.fetch_add(bytes, Ordering::Relaxed);
        });
        tokio::select! {
            // An error ends both directions; an end in order leaves the other one open.
            _ = async { tokio::try_join!(up, down) } => {}
            () = self.silence() => {}
        }
    }

    async fn carry(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        count: impl Fn(u64),
    ) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            let length = from.read(&mut piece).await?;
            if length == 0 {
                return to.shutdown().await;
            }
            self.latest
                .store(self.clock.now().unix_millis(), Ordering::Relaxed);
            to.write_all(&piece[..length]).await?;
            to.flush().await?;
            count(length as u64);
        }
    }

    /// Returns when nothing has been said for too long.
    async fn silence(&self) {
        loop {
            let end = Timestamp::from_unix_millis(self.latest.load(Ordering::Relaxed))
                .saturating_add(self.idle);
            if end <= self.clock.now() {
                return;
            }
            self.clock.sleep_until(end).await;
        }
    }
}
