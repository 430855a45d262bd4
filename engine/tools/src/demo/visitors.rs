//! Synthetic visitors of the sample site: phones, desktops, tablets and crawlers that read pages
//! over real sockets.
//!
//! Their visits are those of [`traffic`](crate::traffic), and the same seed gives the same ones.
//! Visitors don't know about the edge: they send what browsers send.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::shops::SHOPS;
use crate::dice::Dice;
use crate::traffic::PageView;
use crate::traffic::agents::{AGENTS, SiteAgent};
use crate::traffic::booking;
use tero_time::clock::Clock;

/// The most visitors at a time.
pub const MAX_VISITORS: usize = 1_000;
/// The longest body in bytes; a longer one counts as a failure.
const MAX_BODY: usize = 16 * 1024 * 1024;
/// The longest time for a connection, and for a request.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many visitors come, and how they behave.
#[derive(Clone, Debug)]
pub struct DemoTraffic {
    /// How many visitors at a time, each with its own connection; 1 to [`MAX_VISITORS`].
    pub visitors: usize,
    /// The same seed gives the same visits.
    pub seed: u64,
    /// How long a visitor looks at a page on average.
    pub pause: Duration,
    /// The value of `Host`.
    pub host: String,
}

/// Running visitors, on a thread of their own. Dropping the value stops them.
#[derive(Debug)]
pub struct Visitors {
    counts: Arc<Counts>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Counts {
    answered: AtomicU64,
    failed: AtomicU64,
}

impl Visitors {
    /// Sends visitors to `edge`.
    ///
    /// # Errors
    /// If the thread can't be started.
    pub fn start(
        edge: SocketAddr,
        traffic: DemoTraffic,
        clock: Clock,
    ) -> std::io::Result<Visitors> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let counts = Arc::new(Counts::default());
        let visitor = |number: usize| Visitor {
            edge,
            traffic: traffic.clone(),
            clock: clock.clone(),
            counts: Arc::clone(&counts),
            dice: Dice::seeded(traffic.seed.wrapping_add(number as u64)),
        };
        let count = traffic.visitors.clamp(1, MAX_VISITORS);
        let visitors: Vec<Visitor> = (0..count).map(visitor).collect();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("demo-visitors".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    for visitor in visitors {
                        tokio::spawn(visitor.visit());
                    }
                    let _ = stopped.await;
                });
            })?;
        Ok(Visitors {
            counts,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// How many requests were answered with a status below 400 so far.
    pub fn answered(&self) -> u64 {
        self.counts.answered.load(Ordering::Relaxed)
    }

    /// How many requests failed, or were answered with 400 or above, so far.
    pub fn failed(&self) -> u64 {
        self.counts.failed.load(Ordering::Relaxed)
    }
}

impl Drop for Visitors {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread has already reported its panic.
            let _ = thread.join();
        }
    }
}

/// One connection, used by one visitor after another.
struct Visitor {
    edge: SocketAddr,
    traffic: DemoTraffic,
    clock: Clock,
    counts: Arc<Counts>,
    dice: Dice,
}

impl Visitor {
    /// Visits until the runtime ends.
    async fn visit(mut self) {
        loop {
            let agent = &AGENTS[self.dice.weighted(AGENTS.iter().map(|agent| agent.weight))];
            let Some(mut connection) = self.connect().await else {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
                self.clock.sleep(Duration::from_secs(1)).await;
                continue;
            };
            for view in journey(&mut self.dice, agent) {
                let answered = matches!(self.look(&mut connection, agent, &view).await, Some(response) if response.status().as_u16() < 400);
                let count = if answered {
                    &self.counts.answered
                } else {
                    &self.counts.failed
                };
                count.fetch_add(1, Ordering::Relaxed);
                if connection.is_closed() {
                    break;
                }
                // A browser fetches images, scripts and styles at once; then a person reads.
                if !view.target.starts_with("/img/") && !view.target.starts_with("/assets/") {
                    let percent = 50 + self.dice.below(100);
                    self.clock
                        .sleep(self.traffic.pause * u32::try_from(percent).unwrap_or(100) / 100)
                        .await;
                }
            }
        }
    }

    async fn connect(&self) -> Option<SendRequest<Full<Bytes>>> {
        let stream = self
            .clock
            .timeout(PATIENCE, TcpStream::connect(self.edge))
            .await
            .ok()?
            .ok()?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        Some(sender)
    }

    async fn look(
        &self,
        connection: &mut SendRequest<Full<Bytes>>,
        agent: &SiteAgent,
        view: &PageView,
    ) -> Option<Response<()>> {
        let mut request = Request::builder()
            .method(view.method())
            .uri(&view.target)
            .header(header::HOST, &self.traffic.host)
            .header(header::USER_AGENT, agent.name)
            .header(header::ACCEPT, "text/html,*/*;q=0.8")
            .header(header::ACCEPT_LANGUAGE, "es-AR,es;q=0.9");
        if let Some((mobile, platform)) = agent.hints {
            request = request
                .header("sec-ch-ua-mobile", mobile)
                .header("sec-ch-ua-platform", platform);
        }
        let body = if view.is_post {
            Bytes::from_static(b"monto=2900&medio=tarjeta")
        } else {
            Bytes::new()
        };
        let request = request.body(Full::new(body)).ok()?;
        let exchange = async {
            connection.ready().await.ok()?;
            let response: Response<Incoming> = connection.send_request(request).await.ok()?;
            let (head, body) = response.into_parts();
            Limited::new(body, MAX_BODY).collect().await.ok()?;
            Some(Response::from_parts(head, ()))
        };
        self.clock.timeout(PATIENCE, exchange).await.ok()?
    }
}

/// The requests of one visit, in order.
fn journey(dice: &mut Dice, agent: &SiteAgent) -> Vec<PageView> {
    let count = SHOPS.len() as u64;
    let slug = |shop| SHOPS[usize::try_from(shop).unwrap_or(0) % SHOPS.len()].slug;
    if agent.is_crawler {
        booking::crawl(dice, count, |shop| slug(shop).to_owned())
    } else {
        let shop = dice.zipf(count);
        booking::browse(dice, slug(shop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journeys(seed: u64) -> Vec<String> {
        let mut dice = Dice::seeded(seed);
        (0..500)
            .flat_map(|_| {
                let agent = &AGENTS[dice.weighted(AGENTS.iter().map(|agent| agent.weight))];
                journey(&mut dice, agent)
                    .into_iter()
                    .map(|view| view.target)
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_visits() {
        assert_eq!(journeys(7), journeys(7));
        assert_ne!(journeys(7), journeys(8));
    }

    #[test]
    fn popular_shops_are_visited_more() {
        let visits = journeys(1);
        let of = |slug: &str| {
            visits
                .iter()
                .filter(|path| path.starts_with(&format!("/barberias/{slug}")))
                .count()
        };
        assert!(
            of("palermo") > of("recoleta"),
            "{} and {}",
            of("palermo"),
            of("recoleta")
        );
        assert!(
            of("recoleta") > of("rosario"),
            "{} and {}",
            of("recoleta"),
            of("rosario")
        );
    }
}
