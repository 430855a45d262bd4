//! Visits to a news site. Articles are published all day, and the newest are read most. Twice a day
//! one of them is talked about.

use super::{PageView, TrafficMinute, campaign_query};
use crate::dice::Dice;
use tero_semantics::timestamp::Timestamp;

/// Visits each minute, by hour.
const CURVE: [f64; 24] = [
    2.5, 1.5, 1.0, 0.7, 0.7, 1.2, 3.0, 6.0, 8.0, 7.0, 6.0, 6.0, 7.0, 8.0, 6.5, 5.5, 5.5, 6.0, 7.0,
    8.0, 9.0, 9.0, 7.0, 4.5,
];

/// The share of visitors on Sundays and holidays.
const QUIET: f64 = 0.7;

/// Seconds between two articles.
const ARTICLE_SECS: i64 = 20 * 60;

/// How far back readers go.
const READ_ARTICLES: u64 = 400;

/// Seconds of a news event, and from one to the next.
const EVENT_SECS: i64 = 40 * 60;
const EVENT_PERIOD_SECS: i64 = 11 * 3_600 + 7 * 60;

/// The sections.
const SECTIONS: [&str; 8] = [
    "politica", "economia", "deportes", "mundo", "cultura", "ciencia", "ciudad", "opinion",
];

/// Words that readers search for.
const SEARCHES: [&str; 6] = ["dolar", "clima", "river", "boca", "feriados", "loto"];

pub(super) fn rate(minute: TrafficMinute) -> f64 {
    let usual = CURVE[minute.hour as usize % 24];
    let quiet = if minute.is_quiet { QUIET } else { 1.0 };
    usual * quiet * if event(minute.at).is_some() { 2.5 } else { 1.0 }
}

/// The number of the newest article.
pub(super) fn newest(at: Timestamp) -> u64 {
    u64::try_from(at.unix_secs().div_euclid(ARTICLE_SECS)).unwrap_or(0)
}

/// When an article was published.
pub(super) fn published(article: u64) -> Timestamp {
    let secs = i64::try_from(article).unwrap_or(i64::MAX);
    Timestamp::from_unix_secs(secs.saturating_mul(ARTICLE_SECS))
}

/// The article that is talked about now.
fn event(at: Timestamp) -> Option<u64> {
    let into = at.unix_secs().rem_euclid(EVENT_PERIOD_SECS);
    let began = Timestamp::from_unix_secs(at.unix_secs() - into);
    (into < EVENT_SECS).then(|| newest(began))
}

/// The article that a reader chooses: the newest are read most.
fn article(dice: &mut Dice, at: Timestamp) -> u64 {
    if let Some(event) = event(at)
        && dice.percent(60)
    {
        return event;
    }
    newest(at).saturating_sub(dice.zipf(READ_ARTICLES))
}

/// What a person reads.
pub(super) fn browse(dice: &mut Dice, minute: TrafficMinute) -> Vec<PageView> {
    let mut views = Vec::new();
    match dice.below(10) {
        0..=5 => {
            views.push(PageView::get("/", 0));
            views.push(PageView::get("/assets/app.css", 0));
            views.push(PageView::get("/api/ultimas", 12));
        }
        6 => {
            let section = SECTIONS[index(dice, SECTIONS.len())];
            views.push(PageView::get(format!("/seccion/{section}"), 0));
            views.push(PageView::get("/assets/app.css", 10));
        }
        7 => {
            let word = SEARCHES[index(dice, SEARCHES.len())];
            views.push(PageView::get(format!("/buscar?q={word}"), 8));
        }
        // The rest come from elsewhere, straight to an article.
        _ => {}
    }
    let comes_from_elsewhere = views.is_empty();
    for number in 0..1 + dice.below(3) {
        let article = article(dice, minute.at);
        let target = if comes_from_elsewhere && number == 0 {
            format!("/nota/{article}?{}", campaign_query(dice))
        } else {
            // The site's own links say where they stood; the page is the same.
            let place = ["portada", "relacionadas", "lista"][index(dice, 3)];
            format!("/nota/{article}?ref={place}")
        };
        views.push(PageView::get(target, 0));
        views.push(PageView::get(format!("/img/nota/{article}.webp"), 40));
    }
    if dice.percent(3) {
        views.push(PageView::get("/mi-cuenta", 5));
    }
    views
}

/// A reader whom an advertisement sends to one article.
pub(super) fn campaign_visit(dice: &mut Dice, minute: TrafficMinute, number: u64) -> Vec<PageView> {
    let age = number % 40;
    let article = newest(minute.at).saturating_sub(age);
    vec![
        PageView::get(format!("/nota/{article}?{}", campaign_query(dice)), 0),
        PageView::get("/assets/app.css", 0),
        PageView::get(format!("/img/nota/{article}.webp"), 30),
    ]
}

/// What a crawler fetches: the newest articles, and old ones that are hardly read.
pub(super) fn crawl(dice: &mut Dice, minute: TrafficMinute) -> Vec<PageView> {
    let newest = newest(minute.at);
    let old = dice.below(2_000);
    let articles = (0..10)
        .map(|back| newest.saturating_sub(back))
        .chain((0..15).map(|back| newest.saturating_sub(old + back)));
    ["/robots.txt", "/sitemap.xml"]
        .map(str::to_owned)
        .into_iter()
        .chain(articles.map(|article| format!("/nota/{article}")))
        .map(|target| PageView::get(target, 2))
        .collect()
}

fn index(dice: &mut Dice, length: usize) -> usize {
    usize::try_from(dice.below(length as u64)).unwrap_or(0)
}
