//! Writes `docs/simulated-week.md` and its chart: a week of a booking site, served in four ways.
//! It takes some minutes.

use std::path::Path;
use std::process::ExitCode;

use tero_tests::simulation::{Traffic, Way, chart, page, simulate};

#[allow(clippy::print_stdout)] // It reports its progress.
fn main() -> ExitCode {
    let traffic = Traffic::week();
    let mut ways = Vec::new();
    for way in Way::ALL {
        let figures = simulate(way, &traffic);
        println!(
            "{}: {:.1} % hits, {} requests to the origin",
            way.as_str(),
            100.0 * figures.hit_rate(),
            figures.to_origin
        );
        ways.push(figures);
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let written = std::fs::write(docs.join("simulated-week.md"), page(&traffic, &ways))
        .and_then(|()| std::fs::write(docs.join("simulated-week.svg"), chart(&traffic, &ways)));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", docs.display());
            ExitCode::FAILURE
        }
    }
}
