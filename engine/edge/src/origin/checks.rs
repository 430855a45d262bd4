//! Active checks: a request to each hop at an interval, from one thread for all workers.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::attempt::Attempt;
use super::next_hop::NextHop;
use super::{FetchTimes, SiteHops, empty};
use tero_config as config;
use tero_semantics::timestamp::Timestamp;

/// How much of a body a text is looked for in.
const MAX_BODY: usize = 64 * 1024;

impl SiteHops {
    /// Whether its hops are checked.
    pub fn is_checked(&self) -> bool {
        self.settings.health.path.is_some()
    }

    /// Begins to check each hop that is due at `now`, on this thread. Returns when the next one is
    /// due.
    pub fn check_due(self: &Arc<Self>, now: Timestamp) -> Timestamp {
        let health = &self.settings.health;
        let mut next = now.saturating_add(health.interval);
        let Some(path) = &health.path else {
            return next;
        };
        for hop in &self.hops {
            let due = hop.check_due();
            if due > now {
                next = next.min(due);
                continue;
            }
            // A check that takes long is not begun again meanwhile.
            let (interval, longest) = (jittered(health.interval), health.timeout);
            hop.set_check_due(now.saturating_add(interval.max(longest)));
            next = next.min(hop.check_due());
            let (site, hop, path) = (Arc::clone(self), Arc::clone(hop), Arc::clone(path));
            tokio::spawn(async move {
                let result = site.check(&hop, &path).await;
                site.tell_check(&hop, result);
            });
        }
        next
    }

    /// Takes account of a check, and logs when it changes how the hop does.
    fn tell_check(&self, hop: &NextHop, result: Result<(), &'static str>) {
        let now = self.clock.now();
        let before = hop.health.shown(now).condition;
        hop.health.record_check(result.is_ok());
        let after = hop.health.shown(now).condition;
        match (result, before == after) {
            (_, true) => {}
            (Ok(()), false) => tracing::info!(origin = hop.name, "an origin is back"),
            (Err(reason), false) => {
                tracing::warn!(origin = hop.name, reason, "an origin failed its checks");
            }
        }
    }

    /// Asks a hop, on a connection of its own.
    async fn check(&self, hop: &NextHop, path: &str) -> Result<(), &'static str> {
        let health = &self.settings.health;
        let mut request = Request::new(empty());
        *request.uri_mut() = path
            .parse()
            .map_err(|_| "the path of the check is malformed")?;
        let headers = request.headers_mut();
        let host = HeaderValue::try_from(self.settings.check_host.as_str());
        headers.insert(
            HOST,
            host.map_err(|_| "the host of the check is malformed")?,
        );
        headers.insert(USER_AGENT, HeaderValue::from_static("tero-health-check"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let attempt = Attempt {
            hop,
            times: FetchTimes {
                connect: health.timeout,
                response: health.timeout,
                deadline: health.timeout,
            },
            connection: self.settings.connection,
            clock: &self.clock,
            sending: None,
            deadline: self.clock.now().saturating_add(health.timeout),
        };
        let checked = async {
            let answer = attempt.run_alone(request).await;
            let answer = answer.map_err(|failure| failure.error.as_str())?;
            judge(health, answer.response).await
        };
        match self.clock.timeout(health.timeout, checked).await {
            Ok(result) => result,
            Err(_) => Err("no answer in time"),
        }
    }
}

/// Whether an answer is that of a healthy origin.
async fn judge(health: &config::Health, response: Response<Incoming>) -> Result<(), &'static str> {
    let status = response.status().as_u16();
    let mut good = health.status.iter();
    if !good.any(|range| (range.first..=range.last).contains(&status)) {
        return Err("another status");
    }
    let Some(text) = &health.body else {
        return Ok(());
    };
    let mut seen = Vec::new();
    let mut body = response.into_body();
    while seen.len() < MAX_BODY
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|_| "the body broke off")?;
        seen.extend_from_slice(&frame.into_data().unwrap_or(Bytes::new()));
    }
    seen.truncate(MAX_BODY);
    let is_there = seen
        .windows(text.len().max(1))
        .any(|part| part == text.as_bytes());
    if is_there || text.is_empty() {
        Ok(())
    } else {
        Err("the text is not in the body")
    }
}

/// A tenth more or less, so that the checks of many edges don't come together.
fn jittered(interval: Duration) -> Duration {
    let drawn = RandomState::new().hash_one(0_u8) % 201;
    // From 90 to 110 percent.
    let permille = 900 + u32::try_from(drawn).unwrap_or(100);
    interval.saturating_mul(permille) / 1_000
}
