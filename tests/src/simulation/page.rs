//! Writes the week as a page of the documentation, with tables by local hour and a chart.

use std::fmt::Write as _;

use super::Traffic;
use super::week::{Figures, Hour, Way};

/// The file of the chart, beside the page.
const CHART: &str = "simulated-week.svg";

/// Writes the page in Markdown.
pub fn page(traffic: &Traffic, ways: &[Figures]) -> String {
    let mut page = INTRODUCTION.replace("CHART", CHART);
    let days: Vec<String> = traffic
        .dates()
        .map(|day| {
            format!(
                "{}{}",
                day.format("%a"),
                if traffic.opens(day) { "" } else { " (closed)" }
            )
        })
        .collect();
    let (open, quiet) = (
        traffic.dates().filter(|day| traffic.opens(*day)).count(),
        traffic.dates().filter(|day| !traffic.opens(*day)).count(),
    );
    let _ = writeln!(
        page,
        "{} requests of visitors from {} on: {}. Seed {}.\n",
        ways.first().map_or(0, |figures| figures.requests),
        traffic.first.format("%A %-d %B %Y"),
        days.join(", "),
        traffic.seed
    );
    page.push_str("## In short\n\n| | hit rate | first hour after opening | other opening hours | requests to the origin | its busiest minute |\n|---|---|---|---|---|---|\n");
    for figures in ways {
        let (count, when) = &figures.busiest_minute;
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {count} ({when}) |",
            figures.way.as_str(),
            percent(figures.hit_rate()),
            percent(figures.first_hour()),
            percent(figures.busy_hours()),
            figures.to_origin
        );
    }
    page.push('\n');
    page.push_str(&conclusion(ways));
    let _ = writeln!(page, "\n## By local hour, on the {open} open days\n");
    page.push_str(&table(ways, |figures| &figures.open_days, open));
    let _ = writeln!(page, "\n## By local hour, on the {quiet} closed days\n");
    page.push_str(&table(ways, |figures| &figures.quiet_days, quiet));
    page.push_str("\n## The runs of the plan\n\n| started | fetched |\n|---|---|\n");
    for (started, fetched) in ways.iter().flat_map(|figures| &figures.runs) {
        let _ = writeln!(page, "| {started} | {fetched} |");
    }
    page
}

/// Writes the conclusion: what warming changes.
fn conclusion(ways: &[Figures]) -> String {
    let of = |way: Way| ways.iter().find(|figures| figures.way == way);
    let (Some(without), Some(with)) = (of(Way::Policies), of(Way::PoliciesAndWarming)) else {
        return String::new();
    };
    let less =
        100.0 * (1.0 - with.busiest_minute.0 as f64 / without.busiest_minute.0.max(1) as f64);
    let more = 100.0 * (with.to_origin as f64 / without.to_origin.max(1) as f64 - 1.0);
    format!(
        "With warming, the first hour has {:.1} % of the hit rate of the other opening hours, and the origin's busiest minute has {less:.0} % fewer \
         requests than with the same policies without warming. Over the whole week, the origin gets {more:+.1} % requests: warming moves load to \
         quiet times, and does not remove it.\n",
        100.0 * with.first_hour() / with.busy_hours()
    )
}

fn table(ways: &[Figures], of: impl Fn(&Figures) -> &[Hour; 24], days: usize) -> String {
    let mut table = "| hour | requests |".to_owned();
    for figures in ways {
        let _ = write!(table, " {}: hits | to the origin |", figures.way.as_str());
    }
    table.push_str("\n|---|---|");
    table.push_str(&"---|---|".repeat(ways.len()));
    table.push('\n');
    let each = |count: u64| (count as f64 / days.max(1) as f64).round();
    for hour in 0..24 {
        let _ = write!(
            table,
            "| {hour:02} | {} |",
            ways.first()
                .map_or(0.0, |figures| each(of(figures)[hour].looked_up))
        );
        for figures in ways {
            let figures = of(figures)[hour];
            let _ = write!(
                table,
                " {} | {} |",
                percent(figures.hit_rate()),
                each(figures.to_origin)
            );
        }
        table.push('\n');
    }
    table
}

fn percent(rate: f64) -> String {
    format!("{:.1} %", 100.0 * rate)
}

const COLOURS: [&str; 4] = ["#8a8a8a", "#c77700", "#2f6fb2", "#1a8a4b"];
const WIDTH: f64 = 760.0;
const LEFT: f64 = 60.0;
const HEIGHT: f64 = 190.0;

/// Draws the chart: hit rate and requests to the origin by local hour, on open days.
pub fn chart(traffic: &Traffic, ways: &[Figures]) -> String {
    let open = traffic
        .dates()
        .filter(|day| traffic.opens(*day))
        .count()
        .max(1) as f64;
    let most = ways
        .iter()
        .flat_map(|figures| &figures.open_days)
        .map(|hour| hour.to_origin as f64 / open)
        .fold(1.0, f64::max);
    let top = (most / 100.0).ceil() * 100.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} 560\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#333\">\n\
         <title>A simulated week: hit rate and requests to the origin by local hour, on days when the doors open</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        LEFT + WIDTH + 30.0
    );
    for (index, figures) in ways.iter().enumerate() {
        let x = LEFT + index as f64 * 190.0;
        let colour = COLOURS[index % COLOURS.len()];
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"14\" width=\"14\" height=\"4\" fill=\"{colour}\"/><text x=\"{}\" y=\"20\">{}</text>",
            x + 20.0,
            figures.way.as_str()
        );
    }
    panel(&mut svg, 50.0, "hit rate, %", 100.0, ways, &|hour| {
        100.0 * hour.hit_rate()
    });
    panel(
        &mut svg,
        310.0,
        "requests to the origin in an hour",
        top,
        ways,
        &|hour| hour.to_origin as f64 / open,
    );
    svg.push_str("</svg>\n");
    svg
}

fn panel(
    svg: &mut String,
    y: f64,
    name: &str,
    top: f64,
    ways: &[Figures],
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
    for (index, figures) in ways.iter().enumerate() {
        let points: Vec<String> = figures
            .open_days
            .iter()
            .enumerate()
            .map(|(hour, figures)| {
                let (x, y) = at(hour, value(figures));
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

const INTRODUCTION: &str = "\
# A simulated week

This page shows the effect of warming in numbers: a booking site for barbers is served in four ways over the same week. Real requests go
through a real edge to a real origin over sockets; only the clock is turned by hand. This command writes the page and its chart:

```sh
cargo run --release -p tero-tests --bin simulated-week
```

A shorter week runs among the tests (`tests/tests/simulated_week.rs`), which checks the two results at the end of the first section.

![Hit rate and requests to the origin by local hour](CHART)

The numbers depend on these assumptions:

- There are 60 shops, whose popularity follows Zipf's law. A visitor opens the front page or follows an advertisement, and looks at a shop and
  its picture; six in ten also look at its free appointments. Seven in ten have a phone.
- Few visitors come at night, and most in opening hours (Monday to Saturday, 09:00 to 18:00, Buenos Aires). The week's appointments are given
  out at opening time: in the first minute, eight times as many visitors come as usual. On Sunday and on the holiday, a quarter come.
- The origin gives pages a lifetime of a minute, appointments ten seconds and pictures an hour. Without policies it renders by `User-Agent`
  and says so in `Vary`; with policies, it renders by `Tero-Variant`.
- The JSON policy is the one that tero replaces: pages have a TTL of two minutes in opening hours, and of half an hour otherwise. The Wasm
  policies give pages ten minutes in opening hours, and otherwise up to an hour, spread over 24 minutes. Their pages may stay fresh beyond
  opening time (`clip = false`), since the page of a shop does not change then. Both give appointments 15 seconds in opening hours.
- The plan runs at 08:30 from Monday to Saturday. It reads the sitemap, adds pages that are popular in the coming hours, and fetches twelve
  pages a minute. Its fetches count as requests to the origin.
- The edge starts a day before the week begins.

A hit is a response for which no visitor waited for the origin.

";
