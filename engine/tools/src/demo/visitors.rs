//! Synthetic visitors of the sample site: phones, desktops, tablets and crawlers that read pages
//! over real sockets.
//!
//! Which shops they like follows Zipf's law, and the same seed gives the same visits. They know
//! nothing of the edge: what they send is what browsers send.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::dice::Dice;
use super::shops::SHOPS;
use tero_time::clock::Clock;

/// The most visitors at once.
pub const MAX_VISITORS: usize = 1_000;
/// An answer is read up to this many bytes.
const MAX_BODY: usize = 16 * 1024 * 1024;
/// A request takes at most this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who visits, and how lively.
#[derive(Clone, Debug)]
pub struct DemoTraffic {
    /// Visitors at once, each with a connection of his own; 1 to [`MAX_VISITORS`].
    pub visitors: usize,
    /// The same seed gives the same visits.
    pub seed: u64,
    /// How long a visitor looks at a page, on the average.
    pub pause: Duration,
    /// The `Host` that they ask for.
    pub host: String,
}

/// Visitors at work, on a thread of their own. Dropping them sends them home.
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
    /// When the thread can't be started.
    pub fn start(
        edge: SocketAddr,
        traffic: DemoTraffic,
        clock: Clock,
    ) -> std::io::Result<Visitors> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let counts = Arc::new(Counts::default());
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("demo-visitors".to_owned())
            .spawn({
                let counts = Arc::clone(&counts);
                move || {
                    runtime.block_on(async move {
                        for number in 0..traffic.visitors.clamp(1, MAX_VISITORS) {
                            let dice = Dice::seeded(traffic.seed.wrapping_add(number as u64));
                            let visitor = Visitor {
                                edge,
                                traffic: traffic.clone(),
                                clock: clock.clone(),
                                counts: Arc::clone(&counts),
                                dice,
                            };
                            tokio::spawn(visitor.visit());
                        }
                        let _ = stopped.await;
                    });
                }
            })?;
        Ok(Visitors {
            counts,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Requests answered with a status below 400 so far.
    pub fn answered(&self) -> u64 {
        self.counts.answered.load(Ordering::Relaxed)
    }

    /// Requests that failed or were answered with 400 or more.
    pub fn failed(&self) -> u64 {
        self.counts.failed.load(Ordering::Relaxed)
    }
}

impl Drop for Visitors {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic was reported on that thread already.
            let _ = thread.join();
        }
    }
}

/// One after the other who sits at one connection.
struct Visitor {
    edge: SocketAddr,
    traffic: DemoTraffic,
    clock: Clock,
    counts: Arc<Counts>,
    dice: Dice,
}

/// What a visitor looks at: the page, and what a browser fetches along with it.
struct View {
    method: Method,
    path: String,
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
                // Images, scripts and styles follow their page at once; a person then reads.
                if !view.path.starts_with("/img/") && !view.path.starts_with("/assets/") {
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
        agent: &Agent,
        view: &View,
    ) -> Option<Response<()>> {
        let mut request = Request::builder()
            .method(view.method.clone())
            .uri(&view.path)
            .header(header::HOST, &self.traffic.host)
            .header(header::USER_AGENT, agent.name)
            .header(header::ACCEPT, "text/html,*/*;q=0.8")
            .header(header::ACCEPT_LANGUAGE, "es-AR,es;q=0.9");
        if let Some((mobile, platform)) = agent.hints {
            request = request
                .header("sec-ch-ua-mobile", mobile)
                .header("sec-ch-ua-platform", platform);
        }
        let body = if view.method == Method::POST {
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

/// What one visitor looks at, in order.
fn journey(dice: &mut Dice, agent: &Agent) -> Vec<View> {
    let shop = || SHOPS.iter().enumerate();
    // Zipf's law: the second shop is half as popular as the first, the third a third.
    let slug = SHOPS[dice.weighted(shop().map(|(rank, _)| 12_000 / (rank as u32 + 1)))].slug;
    let mut views = Vec::new();
    let mut get = |path: String| {
        views.push(View {
            method: Method::GET,
            path,
        })
    };
    if agent.crawler {
        get("/robots.txt".to_owned());
        get("/sitemap.xml".to_owned());
        for shop in SHOPS
            .iter()
            .skip(usize::try_from(dice.below(8)).unwrap_or_default())
            .take(4)
        {
            get(format!("/barberias/{}", shop.slug));
        }
        return views;
    }
    // A third come from an advertisement, straight to a shop's page.
    if dice.percent(33) {
        let campaign = [
            "utm_source=instagram&utm_campaign=corte",
            "utm_source=google&gclid=Cj0KCQ",
            "fbclid=IwAR2x",
        ];
        get(format!(
            "/barberias/{slug}?{}{}",
            campaign[usize::try_from(dice.below(3)).unwrap_or_default()],
            dice.below(1_000)
        ));
    } else {
        get("/".to_owned());
        get("/assets/sitio.css".to_owned());
        get("/img/portada.svg".to_owned());
        get(format!("/barberias/{slug}"));
    }
    get(format!("/img/{slug}.svg"));
    if dice.percent(60) {
        get(format!("/turnos/{slug}"));
        get("/assets/turnos.js".to_owned());
        get(format!("/api/v1/disponibilidad/{slug}"));
        if dice.percent(25) {
            get(format!("/checkout/{slug}"));
            views.push(View {
                method: Method::POST,
                path: "/api/v1/pagos/crear".to_owned(),
            });
            views.push(View {
                method: Method::GET,
                path: "/mi-cuenta/turnos".to_owned(),
            });
        }
    }
    views
}

/// What a visitor comes with.
struct Agent {
    name: &'static str,
    /// `Sec-CH-UA-Mobile` and `Sec-CH-UA-Platform`, from browsers that send them.
    hints: Option<(&'static str, &'static str)>,
    weight: u32,
    crawler: bool,
}

const AGENTS: [Agent; 11] = [
    phone(
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
        Some(("?1", "\"Android\"")),
        34,
    ),
    phone(
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36",
        None,
        8,
    ),
    phone(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1",
        None,
        18,
    ),
    phone(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 350.0.0.31.94",
        None,
        10,
    ),
    desktop(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        Some(("?0", "\"Windows\"")),
        12,
    ),
    desktop(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
        Some(("?0", "\"Windows\"")),
        4,
    ),
    desktop(
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
        None,
        3,
    ),
    desktop(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Safari/605.1.15",
        None,
        3,
    ),
    desktop(
        "Mozilla/5.0 (iPad; CPU OS 16_7_10 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1",
        None,
        3,
    ),
    desktop(
        "Mozilla/5.0 (Linux; Android 13; SM-X200) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        None,
        2,
    ),
    Agent {
        name: "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        hints: None,
        weight: 3,
        crawler: true,
    },
];

const fn phone(
    name: &'static str,
    hints: Option<(&'static str, &'static str)>,
    weight: u32,
) -> Agent {
    Agent {
        name,
        hints,
        weight,
        crawler: false,
    }
}

/// A tablet, too: what they have in common is that they look around like people.
const fn desktop(
    name: &'static str,
    hints: Option<(&'static str, &'static str)>,
    weight: u32,
) -> Agent {
    phone(name, hints, weight)
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
                    .map(|view| view.path)
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
