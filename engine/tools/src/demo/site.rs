//! Answers requests by path, with the fields that real applications send.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::screen::Screen;
use super::shops::{self, SHOPS, Shop};
use super::{images, pages};
use crate::dice::Dice;
use tero_semantics::timestamp::Timestamp;

/// How long the availability API takes, as with a slow database.
const AVAILABILITY_DELAY: Duration = Duration::from_millis(400);
/// How long a page takes to render.
const PAGE_DELAY: Duration = Duration::from_millis(60);
/// When the pages were last edited.
const EDITED: &str = "Mon, 02 Mar 2026 12:00:00 GMT";

/// A request for a page.
pub(super) struct SiteRequest<'a> {
    pub(super) head: &'a http::request::Parts,
    pub(super) body: &'a [u8],
    pub(super) now: Timestamp,
    /// The number of requests for this path so far, this one included.
    pub(super) requests: u64,
}

/// A response, before validators are compared.
#[derive(Debug)]
pub(super) struct SiteAnswer {
    pub(super) status: StatusCode,
    pub(super) fields: HeaderMap,
    pub(super) body: Bytes,
    pub(super) delay: Duration,
}

/// Answers a request.
pub(super) fn answer(ask: &SiteRequest<'_>) -> SiteAnswer {
    let path = ask.head.uri.path();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let screen = Screen::of(&ask.head.headers);
    match parts[..] {
        ["api", "v1", "pagos", ..] | ["webhooks", "mercadopago"] => payment(ask),
        ["checkout", slug] => shops::find(slug).map_or_else(missing, |shop| checkout(ask, shop)),
        ["mi-cuenta", ..] => account(ask),
        ["api", "v1", "sesion", ..] => session(ask),
        _ if ask.head.method != Method::GET && ask.head.method != Method::HEAD => not_allowed(),
        [""] => page(pages::home(screen)),
        ["barberias"] => page(pages::list(screen)),
        ["barberias", slug] => {
            shops::find(slug).map_or_else(missing, |shop| page(pages::shop(shop, screen)))
        }
        ["turnos", slug] => {
            shops::find(slug).map_or_else(missing, |shop| page(pages::booking(shop, screen)))
        }
        ["nosotros"] => page(pages::about(screen)),
        ["img", file] => image(file, screen),
        ["assets", "sitio.css"] => asset("text/css; charset=utf-8", pages::STYLE),
        ["assets", "turnos.js"] => asset("text/javascript; charset=utf-8", pages::SCRIPT),
        ["api", "v1", "disponibilidad", slug] => {
            shops::find(slug).map_or_else(missing, |shop| availability(ask, shop))
        }
        ["sitemap.xml"] => sitemap(ask),
        ["robots.txt"] => SiteAnswer::ok(
            "text/plain; charset=utf-8",
            "User-agent: *\nDisallow: /checkout/\n",
        )
        .cached("public, max-age=600"),
        _ => missing(),
    }
}

/// Whether a conditional request gets a 304 instead of this response. `If-None-Match` comes before
/// `If-Modified-Since` (RFC 9110 §13.1.2, §13.1.3).
pub(super) fn not_modified(request: &HeaderMap, response: &HeaderMap) -> bool {
    let Some(tag) = response
        .get(header::ETAG)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    if request.contains_key(header::IF_NONE_MATCH) {
        return request
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|candidate| {
                matches!(candidate.trim(), "*") || candidate.trim().trim_start_matches("W/") == tag
            });
    }
    let date = |fields: &HeaderMap, name| {
        fields
            .get(name)
            .and_then(|value| httpdate::parse_http_date(value.to_str().ok()?).ok())
    };
    match (
        date(request, header::IF_MODIFIED_SINCE),
        date(response, header::LAST_MODIFIED),
    ) {
        (Some(since), Some(edited)) => edited <= since,
        _ => false,
    }
}

impl SiteAnswer {
    fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> SiteAnswer {
        let mut fields = HeaderMap::new();
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        SiteAnswer {
            status,
            fields,
            body: body.into(),
            delay: Duration::ZERO,
        }
    }

    fn ok(content_type: &'static str, body: impl Into<Bytes>) -> SiteAnswer {
        SiteAnswer::new(StatusCode::OK, content_type, body)
    }

    fn with(mut self, name: HeaderName, value: &'static str) -> SiteAnswer {
        self.fields.insert(name, HeaderValue::from_static(value));
        self
    }

    fn after(mut self, delay: Duration) -> SiteAnswer {
        self.delay = delay;
        self
    }

    /// Adds `Cache-Control: directives` and validators.
    fn cached(self, directives: &'static str) -> SiteAnswer {
        let mut hasher = DefaultHasher::new();
        self.body.hash(&mut hasher);
        let tag = format!("\"{:016x}\"", hasher.finish());
        let mut answer = self
            .with(header::CACHE_CONTROL, directives)
            .with(header::LAST_MODIFIED, EDITED);
        answer.fields.insert(
            header::ETAG,
            HeaderValue::try_from(tag).expect("hexadecimal digits in quotes"),
        );
        answer
    }
}

fn page(html: String) -> SiteAnswer {
    SiteAnswer::ok("text/html; charset=utf-8", html)
        .cached("public, max-age=30")
        .after(PAGE_DELAY)
}

fn asset(content_type: &'static str, text: &'static str) -> SiteAnswer {
    SiteAnswer::ok(content_type, text).cached("public, max-age=3600")
}

fn image(file: &str, screen: Screen) -> SiteAnswer {
    let name = match file.strip_suffix(".svg") {
        Some("portada") => "BarberPro",
        Some(slug) => match shops::find(slug) {
            Some(shop) => shop.name,
            None => return missing(),
        },
        None => return missing(),
    };
    SiteAnswer::ok("image/svg+xml", images::shop_front(name, screen))
        .cached("public, max-age=600")
        .after(PAGE_DELAY)
}

/// The free times of the coming day. They change every five minutes, and like many APIs, the
/// response has no caching fields.
fn availability(ask: &SiteRequest<'_>, shop: &Shop) -> SiteAnswer {
    let mut dice = Dice::of(&format!("{}{}", shop.slug, ask.now.unix_secs() / 300));
    let times: Vec<serde_json::Value> = (9..18)
        .flat_map(|hour| [(hour, 0), (hour, 30)])
        .filter(|_| dice.percent(45))
        .collect::<Vec<(u32, u32)>>()
        .into_iter()
        .map(|(hour, minute)| {
            let barber = shop.barbers[usize::try_from(dice.below(3)).unwrap_or_default()];
            serde_json::json!({ "hora": format!("{hour:02}:{minute:02}"), "barbero": barber })
        })
        .collect();
    let body =
        serde_json::json!({ "barberia": shop.slug, "consulta": ask.requests, "turnos": times });
    SiteAnswer::ok("application/json", format!("{body}\n")).after(AVAILABILITY_DELAY)
}

/// A payment, or its state. Its caching fields, as from a framework's defaults, are wrong: a cache
/// that follows them shows one visitor's payment to others.
fn payment(ask: &SiteRequest<'_>) -> SiteAnswer {
    let operation = format!("MP-{:06}", 100_000 + ask.requests);
    let body = serde_json::json!({ "operacion": operation, "estado": "aprobado", "recibido": ask.body.len() });
    SiteAnswer::ok("application/json", format!("{body}\n"))
        .cached("public, max-age=3600")
        .after(Duration::from_millis(120))
}

fn checkout(ask: &SiteRequest<'_>, shop: &Shop) -> SiteAnswer {
    SiteAnswer::ok(
        "text/html; charset=utf-8",
        pages::checkout(shop, ask.requests),
    )
    .cached("public, max-age=3600")
    .after(PAGE_DELAY)
}

/// The page of the visitor that the cookie `usuario` names. Its fields wrongly call it public.
fn account(ask: &SiteRequest<'_>) -> SiteAnswer {
    SiteAnswer::ok("text/html; charset=utf-8", pages::account(&user(ask)))
        .cached("public, max-age=300")
        .after(PAGE_DELAY)
}

fn session(ask: &SiteRequest<'_>) -> SiteAnswer {
    let body = serde_json::json!({ "usuario": user(ask), "sesion": ask.requests });
    SiteAnswer::ok("application/json", format!("{body}\n"))
        .with(header::SET_COOKIE, "sesion=demo; Path=/; HttpOnly")
        .cached("max-age=60")
}

fn user(ask: &SiteRequest<'_>) -> String {
    ask.head
        .headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix("usuario="))
        .map(|name| {
            name.chars()
                .filter(char::is_ascii_alphanumeric)
                .take(32)
                .collect()
        })
        .filter(|name: &String| !name.is_empty())
        .unwrap_or_else(|| "visita".to_owned())
}

/// A sitemap of all pages. As sitemaps must, it names the host of the request.
fn sitemap(ask: &SiteRequest<'_>) -> SiteAnswer {
    let host = ask
        .head
        .headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("localhost");
    let host: String = host
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(*c))
        .collect();
    let paths = [
        "/".to_owned(),
        "/barberias".to_owned(),
        "/nosotros".to_owned(),
    ]
    .into_iter()
    .chain(SHOPS.iter().flat_map(|shop| {
        [
            format!("/barberias/{}", shop.slug),
            format!("/turnos/{}", shop.slug),
        ]
    }));
    let entries: String = paths
        .map(|path| {
            format!("  <url><loc>http://{host}{path}</loc><lastmod>2026-03-02</lastmod></url>\n")
        })
        .collect();
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n{entries}</urlset>\n"
    );
    SiteAnswer::ok("application/xml", xml).cached("public, max-age=600")
}

fn missing() -> SiteAnswer {
    SiteAnswer::new(
        StatusCode::NOT_FOUND,
        "text/html; charset=utf-8",
        pages::missing(),
    )
    .with(header::CACHE_CONTROL, "public, max-age=10")
}

fn not_allowed() -> SiteAnswer {
    SiteAnswer::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "text/plain; charset=utf-8",
        "método no permitido\n",
    )
    .with(header::ALLOW, "GET, HEAD")
}
