//! Draws the chart: hit rate and requests to the origin by local hour.

use std::fmt::Write as _;

use super::figures::{Figures, Hour};
use super::settings::Way;
use tero_tools::traffic::SiteKind;

const COLOURS: [&str; 4] = ["#8a8a8a", "#c77700", "#2f6fb2", "#1a8a4b"];
const WIDTH: f64 = 760.0;
const LEFT: f64 = 60.0;
const HEIGHT: f64 = 190.0;

/// Draws the chart of a site: hit rate and requests to the origin by local hour on its working days,
/// over all seeds.
pub fn chart(kind: SiteKind, figures: &[Figures], days: usize) -> String {
    let ways: Vec<(Way, [Hour; 24])> = Way::ALL
        .into_iter()
        .map(|way| (way, summed(kind, way, figures)))
        .collect();
    let seeds = figures
        .iter()
        .filter(|figures| figures.kind == kind && figures.way == Way::JsonPolicy)
        .count();
    let each = (days * seeds).max(1) as f64;
    let most = ways
        .iter()
        .flat_map(|(_, hours)| hours)
        .map(|hour| hour.to_origin as f64 / each)
        .fold(1.0, f64::max);
    let top = (most / 100.0).ceil() * 100.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} 560\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#333\">\n\
         <title>A simulated week: hit rate and requests to the origin by local hour, on working days</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        LEFT + WIDTH + 30.0
    );
    for (index, (way, _)) in ways.iter().enumerate() {
        let x = LEFT + index as f64 * 190.0;
        let colour = COLOURS[index % COLOURS.len()];
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"14\" width=\"14\" height=\"4\" fill=\"{colour}\"/><text x=\"{}\" y=\"20\">{}</text>",
            x + 20.0,
            way.as_str()
        );
    }
    panel(&mut svg, 50.0, "hit rate, %", 100.0, &ways, &|hour| {
        100.0 * hour.hit_rate()
    });
    panel(
        &mut svg,
        310.0,
        "requests to the origin in an hour",
        top,
        &ways,
        &|hour| hour.to_origin as f64 / each,
    );
    svg.push_str("</svg>\n");
    svg
}

/// The hours of working days, summed over seeds.
pub(super) fn summed(kind: SiteKind, way: Way, figures: &[Figures]) -> [Hour; 24] {
    let mut hours = [Hour::default(); 24];
    for figures in figures {
        if figures.kind == kind && figures.way == way {
            for (sum, hour) in hours.iter_mut().zip(&figures.open_days) {
                sum.add(hour);
            }
        }
    }
    hours
}

fn panel(
    svg: &mut String,
    y: f64,
    name: &str,
    top: f64,
    ways: &[(Way, [Hour; 24])],
    value: &dyn Fn(&Hour) -> f64,
) {
    let bottom = y + HEIGHT;
    let at = |hour: usize, value: f64| {
        (
            LEFT + hour as f64 * WIDTH / 23.0,
            bottom - (value / top).clamp(0.0, 1.0) * HEIGHT,
        )
    };
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{name}</text>",
        y - 8.0
    );
    for step in 0..=4 {
        let (value, height) = (
            top * f64::from(step) / 4.0,
            bottom - HEIGHT * f64::from(step) / 4.0,
        );
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{height:.1}\" y2=\"{height:.1}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value:.0}</text>",
            LEFT + WIDTH,
            LEFT - 8.0,
            height + 4.0
        );
    }
    for hour in (0..24).step_by(3) {
        let (x, _) = at(hour, 0.0);
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{hour:02}:00</text>",
            bottom + 18.0
        );
    }
    for (index, (_, hours)) in ways.iter().enumerate() {
        let points: Vec<String> = hours
            .iter()
            .enumerate()
            .map(|(hour, counts)| {
                let (x, y) = at(hour, value(counts));
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let colour = COLOURS[index % COLOURS.len()];
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
            points.join(" ")
        );
    }
}
