//! Writes the week as a page of the documentation.

use std::fmt::Write as _;

use super::chart::summed;
use super::figures::{Figures, Spread};
use super::settings::Way;
use tero_tools::traffic::{SiteKind, TrafficPlan};

/// Writes the page in Markdown: `figures` of each site, way and seed.
pub fn page(plan: &TrafficPlan, figures: &[Figures]) -> String {
    let mut page = INTRODUCTION.to_owned();
    let days: Vec<String> = plan
        .dates()
        .map(|day| {
            let is_open = plan.is_working_day(day);
            format!(
                "{}{}",
                day.format("%a"),
                if is_open { "" } else { " (quiet)" }
            )
        })
        .collect();
    let open = plan.dates().filter(|day| plan.is_working_day(*day)).count();
    let _ = writeln!(
        page,
        "The days from {} on: {}.",
        plan.first.format("%A %-d %B %Y"),
        days.join(", ")
    );
    for kind in SiteKind::ALL {
        section(&mut page, kind, figures, open);
    }
    page
}

fn section(page: &mut String, kind: SiteKind, figures: &[Figures], open: usize) {
    let of = |way: Way| {
        figures
            .iter()
            .filter(move |figures| figures.kind == kind && figures.way == way)
    };
    let seeds = of(Way::JsonPolicy).count();
    let requests = of(Way::JsonPolicy)
        .map(|figures| figures.requests)
        .sum::<u64>();
    let title = match kind {
        SiteKind::Booking => "The booking site",
        SiteKind::News => "The news site",
    };
    let _ = writeln!(
        page,
        "\n## {title}\n\n![Hit rate and requests to the origin by local hour](simulated-week-{}.svg)\n\n\
         {seeds} seeds, {} requests of visitors each on average.\n\n\
         | | hit rate | first hour | other busy hours | requests to the origin | its busiest minute | in the first hour |\n|---|---|---|---|---|---|---|",
        kind.as_str(),
        requests / seeds.max(1) as u64
    );
    for way in Way::ALL {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} |",
            way.as_str(),
            share(of(way).map(Figures::hit_rate)),
            share(of(way).map(Figures::first_hour)),
            share(of(way).map(Figures::busy_hours)),
            count(of(way).map(|figures| figures.to_origin as f64)),
            count(of(way).map(|figures| figures.busiest_minute.0 as f64)),
            count(of(way).map(|figures| figures.rush_minute as f64)),
        );
    }
    let paired = |figure: fn(&Figures) -> f64, one: Way, other: Way| {
        let pairs: Vec<f64> = of(one)
            .zip(of(other))
            .map(|(one, other)| 100.0 * (figure(other) / figure(one) - 1.0))
            .collect();
        difference(&pairs)
    };
    let (plain, warm) = (Way::Policies, Way::PoliciesAndWarming);
    let _ = writeln!(
        page,
        "\nWarming changes, seed by seed: the hit rate of the first hour by {}, the origin's busiest minute of that hour by {}, and its requests \
         in the whole week by {}.\n\n| hour | {} |\n|---|{}",
        paired(Figures::first_hour, plain, warm),
        paired(|figures| figures.rush_minute as f64, plain, warm),
        paired(|figures| figures.to_origin as f64, plain, warm),
        Way::ALL
            .map(|way| format!("{}: hits | to the origin", way.as_str()))
            .join(" | "),
        "---|---|".repeat(Way::ALL.len())
    );
    let hours = Way::ALL.map(|way| summed(kind, way, figures));
    let each = (open * seeds).max(1) as f64;
    for hour in 0..24 {
        let cells: Vec<String> = hours
            .iter()
            .map(|hours| {
                let hour = hours[hour];
                format!(
                    "{:.1} % | {:.0}",
                    100.0 * hour.hit_rate(),
                    hour.to_origin as f64 / each
                )
            })
            .collect();
        let _ = writeln!(page, "| {hour:02} | {} |", cells.join(" | "));
    }
}

fn share(values: impl Iterator<Item = f64> + Clone) -> String {
    let spread = Spread::of(values.map(|value| 100.0 * value));
    match spread.half_width {
        Some(half) => format!("{:.1} ± {half:.1} %", spread.mean),
        None => format!("{:.1} %", spread.mean),
    }
}

fn count(values: impl Iterator<Item = f64> + Clone) -> String {
    let spread = Spread::of(values);
    match spread.half_width {
        Some(half) => format!("{:.0} ± {half:.0}", spread.mean),
        None => format!("{:.0}", spread.mean),
    }
}

fn difference(values: &[f64]) -> String {
    let spread = Spread::of(values.iter().copied());
    match spread.half_width {
        Some(half) => format!("{:+.1} ± {half:.1} %", spread.mean),
        None => format!("{:+.1} %", spread.mean),
    }
}

const INTRODUCTION: &str = "\
# A simulated week

This page shows the effect of policies and warming in numbers: a booking site and a news site are each served in four ways over the same
week, with several seeds. Real requests go through a real edge to a real origin over sockets; only the clock is turned by hand. This
command writes the page and its charts:

```sh
cargo run --release -p tero-tests --bin simulated-week
```

A shorter week runs among the tests (`tests/tests/simulated_week.rs`).

What is behind the numbers:

- The visitors are those of `tero traffic`; [made-up traffic](access-logs.md#made-up-traffic) says how they behave, and how pages change.
- All four ways have the same lifetimes and stale windows. Booking site: pages 10 minutes in opening hours (Monday to Saturday, 09:00 to 18:00)
  and an hour otherwise, stale for 10 minutes; free appointments 15 seconds and 2 minutes, stale for 15 seconds; images a day, stale for
  an hour. News site: the front page, sections and searches a minute (07:00 to 23:00) and 5 minutes, stale for a minute; articles 5 and 15
  minutes, stale for 5; the ticker 15 seconds. All leave the parameters of advertisements out of the key, and never store account pages and payments.
- Without policies, a route gives each path the lifetime of opening hours, and the booking site renders by `User-Agent` and says so in `Vary`.
  With policies, it renders by `Tero-Variant`.
- The Wasm policies spread lifetimes by 20 %, and let pages stay fresh beyond opening time (`clip = false`).
- The plan runs half an hour before the first busy hour, for the booking site not on Sundays. It reads the sitemap, adds pages that are popular
  in the coming hours, and fetches twelve pages a minute. Its fetches count as requests to the origin.
- The edge starts a day before the week begins.

A hit is a response for which no visitor waited for the origin. A number after ± is half the width of the interval in which the mean of very
many seeds lies, with 95 % confidence (Student's t).

";
