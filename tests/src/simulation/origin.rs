//! The application behind the edge: a booking site that renders for phones and desktops, and counts
//! requests by minute.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tero_time::clock::Clock;

use super::visitors::SHOPS;
use crate::wire;

/// A running application. Dropping the value stops it.
pub(super) struct BookingSite {
    address: SocketAddr,
    shared: Arc<SiteState>,
}

struct SiteState {
    clock: Clock,
    /// Whether it renders by `Tero-Variant` instead of `User-Agent`.
    by_variant: bool,
    answered: AtomicU64,
    stopping: AtomicBool,
    /// Requests by minute since the Unix epoch.
    by_minute: Mutex<BTreeMap<i64, u64>>,
}

impl BookingSite {
    pub(super) fn start(clock: Clock, by_variant: bool) -> BookingSite {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(SiteState {
            clock,
            by_variant,
            answered: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            by_minute: Mutex::default(),
        });
        let site = BookingSite {
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

impl Drop for BookingSite {
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
        let answer = answer(
            &target,
            phone,
            shared.by_variant,
            field("if-none-match").as_deref(),
        );
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
fn answer(target: &str, phone: bool, by_variant: bool, validator: Option<&str>) -> Vec<u8> {
    let path = target.split('?').next().unwrap_or(target);
    let by_device = path == "/" || path.starts_with("/barberias/") || path.starts_with("/turnos/");
    let (max_age, extra) = match path {
        _ if path.starts_with("/checkout/") => ("private, no-store", ""),
        _ if path.starts_with("/assets/") => ("public, max-age=31536000, immutable", ""),
        _ if path.starts_with("/img/") => ("public, max-age=3600", ""),
        _ if path.starts_with("/api/") => ("public, max-age=10", ""),
        _ if by_device && !by_variant => ("public, max-age=60", "Vary: User-Agent\r\n"),
        _ => ("public, max-age=60", ""),
    };
    let look = if by_device && phone {
        "mobile"
    } else {
        "desktop"
    };
    let tag = format!("\"{look}-{}\"", path.len());
    let body = match path {
        "/sitemap.xml" => sitemap(),
        _ => format!(
            "<!doctype html><title>{path} for {look}</title>{}",
            "<p>Turnos</p>".repeat(60)
        ),
    };
    if validator == Some(tag.as_str()) {
        return format!(
            "HTTP/1.1 304 Not Modified\r\nCache-Control: {max_age}\r\n{extra}ETag: {tag}\r\n\r\n"
        )
        .into_bytes();
    }
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nCache-Control: {max_age}\r\n{extra}ETag: {tag}\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn sitemap() -> String {
    let pages =
        (0..SHOPS).flat_map(|shop| [format!("/barberias/{shop}"), format!("/turnos/{shop}")]);
    let entries: String = pages
        .map(|page| format!("<url><loc>http://www.example{page}</loc></url>"))
        .collect();
    format!(
        "<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\"><url><loc>http://www.example/</loc></url>{entries}</urlset>"
    )
}
