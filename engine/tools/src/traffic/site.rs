//! How the made-up sites answer: which status, how many bytes, for how long, and when a page changes.

use http::StatusCode;

use super::{SiteKind, booking, news};
use crate::dice::Dice;
use tero_semantics::timestamp::Timestamp;

/// The site behind made-up traffic.
#[derive(Clone, Copy, Debug)]
pub struct SiteModel {
    kind: SiteKind,
}

/// An answer of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelAnswer {
    /// The status.
    pub status: StatusCode,
    /// The media type.
    pub content_type: &'static str,
    /// The field `Cache-Control`.
    pub cache_control: &'static str,
    /// The field `Vary` of a site that looks at the user agent itself.
    pub vary: Option<&'static str>,
    /// The entity tag, in quotes; `None` where the answer is for one visitor alone.
    pub etag: Option<String>,
    /// The length of the content.
    pub bytes: u64,
    /// It is part of a page: an image, a style or a script.
    pub is_part: bool,
}

/// What is so of all pages of a kind.
struct PageClass {
    content_type: &'static str,
    cache_control: &'static str,
    /// Phones get another page.
    by_device: bool,
    /// The usual length.
    bytes: u64,
    /// Seconds between two changes on average; 0: it never changes.
    changes_secs: i64,
}

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const PRIVATE: &str = "private, no-store";

impl SiteModel {
    /// A site of this kind.
    pub fn new(kind: SiteKind) -> SiteModel {
        SiteModel { kind }
    }

    /// The answer to a target at a time. The query counts where the site searches, and nowhere else.
    pub fn answer(&self, target: &str, is_phone: bool, at: Timestamp) -> ModelAnswer {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let class = match self.kind {
            SiteKind::Booking => booking_class(path),
            SiteKind::News => news_class(path, at),
        };
        let Some(class) = class else {
            return ModelAnswer {
                status: StatusCode::NOT_FOUND,
                content_type: HTML,
                cache_control: "public, max-age=30",
                vary: None,
                etag: None,
                bytes: 512,
                is_part: false,
            };
        };
        let page = if path == "/buscar" { target } else { path };
        debug_assert!(query.len() <= target.len());
        let look = if class.by_device && is_phone {
            "mobile"
        } else {
            "desktop"
        };
        let version = version(page, class.changes_secs, at);
        let mut of_page = Dice::of(page);
        let mut of_version = Dice::of(&format!("{page} {look} {version}"));
        // Pages of a kind differ by half of their length, and a page's versions by a fiftieth.
        let bytes = class.bytes / 2 + of_page.below(class.bytes + 1);
        let is_private = class.cache_control == PRIVATE;
        ModelAnswer {
            status: StatusCode::OK,
            content_type: class.content_type,
            cache_control: class.cache_control,
            vary: class.by_device.then_some("User-Agent"),
            etag: (!is_private).then(|| format!("\"{:016x}\"", of_version.next())),
            bytes: bytes + of_version.below(bytes / 50 + 1),
            is_part: path.starts_with("/img/") || path.starts_with("/assets/"),
        }
    }

    /// Pages for a sitemap.
    pub fn sitemap(&self, at: Timestamp) -> Vec<String> {
        let mut pages = vec!["/".to_owned()];
        match self.kind {
            SiteKind::Booking => pages.extend(
                (0..booking::SHOPS)
                    .flat_map(|shop| [format!("/barberias/{shop}"), format!("/turnos/{shop}")]),
            ),
            SiteKind::News => {
                let newest = news::newest(at);
                pages.extend((0..100).map(|back| format!("/nota/{}", newest.saturating_sub(back))));
            }
        }
        pages
    }
}

fn booking_class(path: &str) -> Option<PageClass> {
    let page = |bytes, changes_secs| PageClass {
        content_type: HTML,
        cache_control: "public, max-age=60",
        by_device: true,
        bytes,
        changes_secs,
    };
    Some(match path {
        "/" => page(18_000, 2 * 3_600),
        _ if path.starts_with("/barberias/") => page(24_000, 3 * 86_400),
        _ if path.starts_with("/turnos/") => page(15_000, 4 * 3_600),
        _ if path.starts_with("/api/v1/disponibilidad/") => PageClass {
            content_type: JSON,
            cache_control: "public, max-age=10",
            by_device: false,
            ..page(1_500, 120)
        },
        _ if path.starts_with("/checkout/")
            || path.starts_with("/mi-cuenta/")
            || path.starts_with("/api/v1/pagos/") =>
        {
            PageClass {
                cache_control: PRIVATE,
                by_device: false,
                ..page(6_000, 0)
            }
        }
        _ => return shared_class(path, "public, max-age=3600"),
    })
}

fn news_class(path: &str, at: Timestamp) -> Option<PageClass> {
    let page = |bytes, changes_secs| PageClass {
        content_type: HTML,
        cache_control: "public, max-age=60",
        by_device: false,
        bytes,
        changes_secs,
    };
    let article = path.strip_prefix("/nota/");
    if let Some(article) = article {
        let article: u64 = article.parse().ok()?;
        // Editors work on an article while it is new.
        let is_new = at.since(news::published(article)).as_secs() < 2 * 3_600;
        return Some(page(40_000, if is_new { 20 * 60 } else { 0 }));
    }
    Some(match path {
        "/" => PageClass {
            cache_control: "public, max-age=30",
            ..page(60_000, 300)
        },
        "/buscar" => page(12_000, 600),
        _ if path.starts_with("/seccion/") => page(30_000, 900),
        "/api/ultimas" => PageClass {
            content_type: JSON,
            cache_control: "public, max-age=15",
            ..page(3_000, 60)
        },
        _ if path.starts_with("/mi-cuenta") => PageClass {
            cache_control: PRIVATE,
            ..page(8_000, 0)
        },
        _ => return shared_class(path, "public, max-age=86400"),
    })
}

/// What both sites have: images, styles, and what crawlers read.
fn shared_class(path: &str, images: &'static str) -> Option<PageClass> {
    let part = |content_type, cache_control, bytes| PageClass {
        content_type,
        cache_control,
        by_device: false,
        bytes,
        changes_secs: 0,
    };
    Some(match path {
        _ if path.starts_with("/img/") => part("image/svg+xml", images, 30_000),
        _ if path.starts_with("/assets/") => {
            part("text/css", "public, max-age=31536000, immutable", 20_000)
        }
        "/robots.txt" => part("text/plain", "public, max-age=3600", 200),
        "/sitemap.xml" => part("application/xml", "public, max-age=3600", 9_000),
        _ => return None,
    })
}

/// The number of a page's version: pages change at times of their own, at nearly equal distances.
fn version(page: &str, changes_secs: i64, at: Timestamp) -> i64 {
    if changes_secs == 0 {
        return 0;
    }
    let mut dice = Dice::of(page);
    let part =
        |dice: &mut Dice, end: i64| i64::try_from(dice.below(end.unsigned_abs())).unwrap_or(0);
    let period = changes_secs / 2 + part(&mut dice, changes_secs) + 1;
    (at.unix_secs() + part(&mut dice, period)).div_euclid(period)
}
