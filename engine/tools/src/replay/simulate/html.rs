//! A forecast as a page with charts: one file, without scripts and without anything from elsewhere.

use std::fmt::Write as _;

use super::report::{ForecastReport, RequestFigures};
use super::text::{show_rounded, tables};

/// The size of a chart, in pixels.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
/// The room for its labels.
const MARGIN: f64 = 46.0;

/// Colours that differ also for those who can't tell red from green.
const COLOURS: [&str; 6] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
];

/// How lines are broken when the colours come round again, in pixels.
const DASHES: [&str; 4] = ["", "8 4", "2 4", "8 4 2 4"];

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;\
color:#1a1a1a;background:#fff}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}\
pre{overflow-x:auto;background:#f6f6f6;padding:1rem;font-size:.8rem}svg{max-width:100%;height:auto}\
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;list-style:none;padding:0;margin:.3rem 0}\
.legend svg{width:2rem;height:.6rem;margin-right:.4rem}\
.warning{border-left:4px solid #d55e00;padding-left:.8rem}\
@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}pre{background:#222}\
text{fill:#ccc}}";

/// A series of a chart: its name, and its values from left to right.
struct ChartSeries<'s> {
    name: &'s str,
    values: Vec<Option<f64>>,
}

/// The page.
pub fn page(report: &ForecastReport) -> String {
    let mut page = String::from("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
    let _ = write!(
        page,
        "<title>Forecast</title><style>{STYLE}</style><h1>Forecast</h1>"
    );
    for warning in &report.warnings {
        let _ = write!(page, "<p class=\"warning\">{}</p>", escaped(warning));
    }
    type Value = fn(&RequestFigures) -> Option<f64>;
    let charts: [(&str, Value, fn(f64) -> String); 4] = [
        ("Hit rate by local hour", |row| row.hit_rate, percent),
        (
            "Requests that don't wait, by local hour",
            |row| row.unwaited,
            percent,
        ),
        (
            "Requests to the origin by local hour",
            |row| Some(row.origin_requests as f64),
            whole,
        ),
        (
            "Bytes from the origin by local hour",
            |row| Some(row.origin_bytes as f64),
            size,
        ),
    ];
    for (title, value, label) in charts {
        let series = report.scenarios.iter().map(|scenario| ChartSeries {
            name: &scenario.name,
            values: scenario.hours.iter().map(value).collect(),
        });
        let hours: Vec<String> = (0..24).map(|hour| format!("{hour:02}")).collect();
        chart(&mut page, title, &series.collect::<Vec<_>>(), &hours, label);
    }
    if !report.curve.is_empty() {
        let points = report.curve.iter().filter(|point| point.bytes >= 1 << 16);
        let points: Vec<_> = points.collect();
        let labels: Vec<String> = points
            .iter()
            .map(|point| show_rounded(point.bytes))
            .collect();
        let series = ChartSeries {
            name: "least recently used",
            values: points.iter().map(|point| Some(point.hit_rate)).collect(),
        };
        chart(
            &mut page,
            "Hit rate over memory",
            &[series],
            &labels,
            percent,
        );
    }
    let _ = write!(
        page,
        "<h2>Figures</h2><pre>{}</pre></html>",
        escaped(&tables(report))
    );
    page
}

fn percent(value: f64) -> String {
    format!("{:.0} %", value * 100.0)
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

fn size(value: f64) -> String {
    show_rounded(value.max(0.0) as u64)
}

/// Draws lines over common places on the axis.
fn chart(
    page: &mut String,
    title: &str,
    series: &[ChartSeries<'_>],
    places: &[String],
    label: fn(f64) -> String,
) {
    let values = series.iter().flat_map(|one| one.values.iter().flatten());
    let most = values.copied().fold(0.0_f64, f64::max);
    let top = if most > 0.0 { most } else { 1.0 };
    let last = places.len().saturating_sub(1).max(1) as f64;
    let x = |place: usize| MARGIN + (WIDTH - MARGIN - 10.0) * place as f64 / last;
    let y = |value: f64| HEIGHT - 24.0 - (HEIGHT - 44.0) * value / top;
    let _ = write!(
        page,
        "<h2>{title}</h2>{}<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\" font-size=\"11\">",
        legend(series)
    );
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let _ = write!(
            page,
            "<line x1=\"{MARGIN}\" x2=\"{}\" y1=\"{h:.1}\" y2=\"{h:.1}\" stroke=\"#8884\"/><text x=\"{}\" y=\"{h:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - 10.0,
            MARGIN - 4.0,
            label(value),
            h = y(value),
        );
    }
    let every = places.len().div_ceil(12).max(1);
    for (place, name) in places.iter().enumerate().step_by(every) {
        let _ = write!(
            page,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x(place),
            HEIGHT - 8.0,
            escaped(name)
        );
    }
    for (number, one) in series.iter().enumerate() {
        let stroke = stroke(number);
        let points = one.values.iter().enumerate();
        let points = points.filter_map(|(place, value)| Some((place, (*value)?)));
        let points: Vec<String> = points
            .map(|(place, value)| format!("{:.1},{:.1}", x(place), y(value)))
            .collect();
        let _ = write!(
            page,
            "<polyline fill=\"none\" {stroke} points=\"{}\"><title>{name}</title></polyline>",
            points.join(" "),
            name = escaped(one.name),
        );
    }
    page.push_str("</svg>");
}

/// How the line of a series is drawn.
fn stroke(number: usize) -> String {
    let colour = COLOURS[number % COLOURS.len()];
    let dashes = DASHES[number / COLOURS.len() % DASHES.len()];
    format!("stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"")
}

/// The names of the series, each with a piece of its line.
fn legend(series: &[ChartSeries<'_>]) -> String {
    let mut legend = String::from("<ul class=\"legend\">");
    for (number, one) in series.iter().enumerate() {
        let _ = write!(
            legend,
            "<li><svg viewBox=\"0 0 32 10\" aria-hidden=\"true\"><line x1=\"0\" x2=\"32\" y1=\"5\" y2=\"5\" {}/></svg>{}</li>",
            stroke(number),
            escaped(one.name)
        );
    }
    legend.push_str("</ul>");
    legend
}

/// Text within HTML: logs bring what clients send.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other if other.is_control() && other != '\n' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
