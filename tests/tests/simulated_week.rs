//! A shorter version of `docs/simulated-week.md`: the gains that warming must bring.

use chrono::NaiveDate;
use tero_tests::simulation::{Figures, Traffic, Way, simulate};

/// The day after a holiday. On the holiday, the edge learns what visitors want.
fn short() -> Traffic {
    let first = NaiveDate::from_ymd_opt(2026, 8, 18).expect("August has it");
    Traffic {
        first,
        days: 1,
        ..Traffic::week()
    }
}

fn served(way: Way) -> Figures {
    simulate(way, &short())
}

#[test]
fn warming_lifts_the_first_hour_and_lowers_the_origins_peak() {
    let (without, with) = (served(Way::Policies), served(Way::PoliciesAndWarming));
    let (first, busy) = (with.first_hour(), with.busy_hours());
    assert!(
        first >= 0.95 * busy,
        "first hour {first:.3}, other open hours {busy:.3}"
    );
    let (least, most) = (with.busiest_minute.0, without.busiest_minute.0);
    assert!(
        least as f64 <= 0.7 * most as f64,
        "busiest minute {:?} with, {:?} without",
        with.busiest_minute,
        without.busiest_minute
    );
    // The plan also runs on the holiday: its schedule knows weekdays only.
    let days: Vec<&str> = with
        .runs
        .iter()
        .map(|(started, _)| &started[..16])
        .collect();
    assert_eq!(days, ["2026-08-17T08:30", "2026-08-18T08:30"]);
    assert!(
        with.runs.iter().all(|(_, fetched)| *fetched > 20),
        "{:?}",
        with.runs
    );
}
