//! Holidays that governments decided for one year: the shipped table, read once.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use chrono::NaiveDate;

const TABLE: &str = include_str!("../../data/decrees.tsv");

/// What a decree says about a date.
#[derive(Debug)]
pub(super) struct Decree {
    /// The calendar of a country, or of a region: `spain/madrid`.
    pub(super) calendar: &'static str,
    pub(super) date: NaiveDate,
    /// The name of the holiday; `None` if the decree makes it a working day.
    pub(super) holiday: Option<&'static str>,
    /// The decree.
    pub(super) source: &'static str,
}

/// The years for which the decrees of a country are complete.
pub(super) fn known_years(country: &str) -> BTreeSet<i32> {
    let years = rows().find(|row| row[..2] == [country, "years"]);
    let years = years
        .and_then(|row| row.get(2).copied())
        .unwrap_or_default();
    years
        .split(' ')
        .filter_map(|year| year.parse().ok())
        .collect()
}

/// The decrees of a calendar, in the order of their dates.
pub(super) fn of(calendar: &str) -> impl Iterator<Item = &'static Decree> {
    static DECREES: LazyLock<Vec<Decree>> = LazyLock::new(|| {
        let decrees = rows().filter(|row| row[1] != "years");
        decrees.map(|row| read(&row)).collect()
    });
    DECREES
        .iter()
        .filter(move |decree| decree.calendar == calendar)
}

fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| line.split('\t').collect())
}

fn read(row: &[&'static str]) -> Decree {
    let [calendar, date, kind, name, source] = row[..] else {
        panic!("the tests read the shipped table: {row:?}");
    };
    Decree {
        calendar,
        date: date.parse().expect("the tests read the shipped table"),
        holiday: (kind == "closed").then_some(name),
        source,
    }
}
