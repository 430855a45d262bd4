//! Visits to a booking site. Few come at night, most in opening hours, and many when the doors open:
//! that is when the week's appointments are given out.

use super::{PageView, TrafficMinute, campaign_query};
use crate::dice::Dice;

/// The shops of the first day. Shop 0 is the most popular.
pub(crate) const SHOPS: u64 = 60;

/// Visits each minute of a working day, by hour, without the rush.
const CURVE: [f64; 24] = [
    0.5, 0.3, 0.2, 0.1, 0.1, 0.2, 0.4, 0.8, 1.5, 6.0, 6.5, 6.0, 5.0, 4.0, 4.5, 5.5, 6.5, 7.0, 4.0,
    2.5, 2.0, 1.5, 1.2, 0.8,
];

/// Factors of the first minutes after opening.
const RUSH: [f64; 10] = [8.0, 6.0, 5.0, 4.0, 3.0, 2.5, 2.0, 1.7, 1.4, 1.2];

/// The local hour at which the shops open.
pub(super) const OPENING_HOUR: u32 = 9;

/// The share of visitors on a closed day, when nothing rushes.
const QUIET: f64 = 0.25;

pub(super) fn rate(minute: TrafficMinute) -> f64 {
    let usual = CURVE[minute.hour as usize % 24];
    if minute.is_quiet {
        return usual * QUIET;
    }
    match RUSH.get(minute.minute as usize) {
        Some(rush) if minute.hour == OPENING_HOUR => usual * rush,
        _ => usual,
    }
}

/// The shop that a visitor is interested in. A new one opens every other day; it is advertised, so
/// one visitor in twenty comes for it.
pub(super) fn shop(dice: &mut Dice, age_days: i64) -> u64 {
    let new = u64::try_from(age_days).unwrap_or(0) / 2;
    if new > 0 && dice.percent(5) {
        return SHOPS + new - 1;
    }
    dice.zipf(SHOPS + new)
}

/// What a person looks at, who is interested in the shop `slug`.
pub(crate) fn browse(dice: &mut Dice, slug: &str) -> Vec<PageView> {
    let mut views = Vec::new();
    // A third of visitors follow an advertisement to a shop's page.
    if dice.percent(33) {
        let query = campaign_query(dice);
        views.push(PageView::get(format!("/barberias/{slug}?{query}"), 0));
    } else {
        views.push(PageView::get("/", 0));
        views.push(PageView::get("/assets/sitio.css", 0));
        views.push(PageView::get("/img/portada.svg", 8));
        views.push(PageView::get(format!("/barberias/{slug}"), 0));
    }
    views.push(PageView::get(format!("/img/{slug}.svg"), 10));
    book(dice, slug, &mut views);
    views
}

/// A visitor whom an advertisement sends to one shop.
pub(super) fn campaign_visit(dice: &mut Dice, shop: u64) -> Vec<PageView> {
    let query = campaign_query(dice);
    let mut views = vec![
        PageView::get(format!("/barberias/{shop}?{query}"), 0),
        PageView::get("/assets/sitio.css", 0),
        PageView::get(format!("/img/{shop}.svg"), 10),
    ];
    book(dice, &shop.to_string(), &mut views);
    views
}

/// Six in ten look at free appointments, and a quarter of them take one.
fn book(dice: &mut Dice, slug: &str, views: &mut Vec<PageView>) {
    if !dice.percent(60) {
        return;
    }
    views.push(PageView::get(format!("/turnos/{slug}"), 0));
    views.push(PageView::get("/assets/turnos.js", 0));
    views.push(PageView::get(format!("/api/v1/disponibilidad/{slug}"), 20));
    if dice.percent(25) {
        views.push(PageView::get(format!("/checkout/{slug}"), 30));
        views.push(PageView::post("/api/v1/pagos/crear", 1));
        views.push(PageView::get("/mi-cuenta/turnos", 10));
    }
}

/// How many shops a crawler fetches at most.
const CRAWLED_SHOPS: u64 = 20;

/// What a crawler fetches of a site with so many shops: twenty of them in a row, or all, after what
/// crawlers read first. `slug` names a shop.
pub(crate) fn crawl(dice: &mut Dice, count: u64, slug: impl Fn(u64) -> String) -> Vec<PageView> {
    let first = dice.below(count);
    let shops = first..first + count.min(CRAWLED_SHOPS);
    let shops = shops.map(|shop| format!("/barberias/{}", slug(shop % count)));
    ["/robots.txt", "/sitemap.xml"]
        .map(str::to_owned)
        .into_iter()
        .chain(shops)
        .map(|target| PageView::get(target, 2))
        .collect()
}
