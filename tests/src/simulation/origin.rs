//! The application behind the edge: it answers as the model of the site says, for phones and desktops,
//! and counts requests by minute.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tero_time::clock::Clock;
use tero_tools::traffic::SiteKind;
use tero_tools::traffic::site::SiteModel;

use crate::wire;

/// A running application. Dropping the value stops it.
pub(super) struct SampleSite {
    address: SocketAddr,
    shared: Arc<SiteState>,
}

struct SiteState {
    clock: Clock,
    model: SiteModel,
    /// Whether it renders by `Tero-Variant` instead of `User-Agent`.
    by_variant: bool,
    answered: AtomicU64,
    stopping: AtomicBool,
    /// Requests by minute since the Unix epoch.
    by_minute: Mutex<BTreeMap<i64, u64>>,
}

impl SampleSite {
    pub(super) fn start(clock: Clock, kind: SiteKind, by_variant: bool) -> SampleSite {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(SiteState {
            clock,
            model: SiteModel::new(kind),
            by_variant,
            answered: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            by_minute: Mutex::default(),
        });
        let site = SampleSite {
            address,
            shared: Arc::clone(&shared),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.stopping.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&shared);
                // The edge may give up a connection at any time.
                std::thread::spawn(move || drop(serve(&shared, stream)));
            }
        });
        site
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests were answered so far.
    pub(super) fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::SeqCst)
    }

    /// Requests by minute since the Unix epoch.
    pub(super) fn by_minute(&self) -> BTreeMap<i64, u64> {
        self.shared
            .by_minute
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for SampleSite {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

fn serve(shared: &SiteState, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some(head) = wire::read_head(&mut stream, &mut buffer)? {
        let Some((start, headers)) = wire::parse_head(&head) else {
            return Ok(());
        };
        let target = start.split(' ').nth(1).unwrap_or("/").to_owned();
        let field = |name: &str| wire::field(&headers, name);
        let phone = match shared.by_variant {
            true => field("tero-variant").is_some_and(|variant| variant == "mobile"),
            false => field("user-agent").is_some_and(|name| name.contains("Mobile")),
        };
        let answer = answer(shared, &target, phone, field("if-none-match").as_deref());
        let minute = shared.clock.now().unix_secs().div_euclid(60);
        *shared
            .by_minute
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(minute)
            .or_default() += 1;
        stream.write_all(&answer)?;
        shared.answered.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

/// Answers a request. Pages that depend on `User-Agent` say so in `Vary`.
fn answer(shared: &SiteState, target: &str, phone: bool, validator: Option<&str>) -> Vec<u8> {
    let now = shared.clock.now();
    let answer = shared.model.answer(target, phone, now);
    let mut fields = format!("Cache-Control: {}\r\n", answer.cache_control);
    if let Some(vary) = answer.vary.filter(|_| !shared.by_variant) {
        fields += &format!("Vary: {vary}\r\n");
    }
    if let Some(etag) = &answer.etag {
        fields += &format!("ETag: {etag}\r\n");
        if validator == Some(etag) {
            return format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n").into_bytes();
        }
    }
    let body = match target {
        "/sitemap.xml" => sitemap(shared),
        // The length doesn't matter here: short bodies make a short week.
        _ => format!("<!doctype html><title>{target}</title>"),
    };
    format!(
        "HTTP/1.1 {} Answer\r\n{fields}Content-Type: {}\r\nContent-Length: {}\r\n\r\n{body}",
        answer.status.as_u16(),
        answer.content_type,
        body.len()
    )
    .into_bytes()
}

fn sitemap(shared: &SiteState) -> String {
    let entries: String = shared
        .model
        .sitemap(shared.clock.now())
        .iter()
        .map(|page| format!("<url><loc>http://www.example{page}</loc></url>"))
        .collect();
    format!("<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">{entries}</urlset>")
}
