//! A shorter version of `docs/simulated-week.md`: the gains that warming must bring.

use chrono::NaiveDate;
use tero_tests::simulation::{Figures, Way, simulate};
use tero_tools::traffic::{SiteKind, TrafficPlan};

/// The day after a holiday. On the holiday, the edge learns what visitors want.
fn short() -> TrafficPlan {
    let first = NaiveDate::from_ymd_opt(2026, 8, 18).expect("August has it");
    TrafficPlan {
        first,
        days: 1,
        ..TrafficPlan::week(SiteKind::Booking)
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
    let (least, most) = (with.rush_minute, without.rush_minute);
    assert!(
        least as f64 <= 0.7 * most as f64,
        "busiest minute of the first hour {least} with, {most} without"
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
