//! Writes `docs/simulated-week.md` and its charts: a week of two sites, served in four ways, with several
//! seeds. It takes a while. Its argument is the number of seeds.

use std::path::Path;
use std::process::ExitCode;

use tero_tests::simulation::{Figures, Way, chart, page, simulate};
use tero_tools::traffic::{SiteKind, TrafficPlan};

/// The number of seeds.
const SEEDS: u64 = 3;

/// The visitors of a site, as a multiple of the usual number: so many that a week takes minutes.
fn scale(kind: SiteKind) -> f64 {
    match kind {
        SiteKind::Booking => 0.5,
        SiteKind::News => 0.15,
    }
}

/// Serves a site in all ways with all seeds.
#[allow(clippy::print_stdout)] // It reports its progress.
fn served(kind: SiteKind, seeds: u64) -> Vec<Figures> {
    let runs = Way::ALL
        .into_iter()
        .flat_map(|way| (1..=seeds).map(move |seed| (way, seed)));
    let serve = |(way, seed): (Way, u64)| {
        let plan = TrafficPlan {
            seed,
            scale: scale(kind),
            ..TrafficPlan::week(kind)
        };
        let figures = simulate(way, &plan);
        println!(
            "{} {seed}, {}: {:.1} % hits, {} requests to the origin",
            kind.as_str(),
            way.as_str(),
            100.0 * figures.hit_rate(),
            figures.to_origin
        );
        figures
    };
    runs.map(serve).collect()
}

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    let seeds = argument.and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let figures: Vec<Figures> = std::thread::scope(|scope| {
        let sites = SiteKind::ALL.map(|kind| scope.spawn(move || served(kind, seeds)));
        let figures = sites.map(|site| site.join().expect("a site is served"));
        figures.into_iter().flatten().collect()
    });
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let plan = TrafficPlan::week(SiteKind::Booking);
    let open = plan.dates().filter(|day| plan.is_working_day(*day)).count();
    let mut written = std::fs::write(docs.join("simulated-week.md"), page(&plan, &figures));
    for kind in SiteKind::ALL {
        let name = format!("simulated-week-{}.svg", kind.as_str());
        written =
            written.and_then(|()| std::fs::write(docs.join(name), chart(kind, &figures, open)));
    }
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", docs.display());
            ExitCode::FAILURE
        }
    }
}
