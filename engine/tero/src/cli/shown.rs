//! Tables that fit the terminal, and figures with their units.

use comfy_table::presets::{UTF8_FULL_CONDENSED, UTF8_HORIZONTAL_ONLY};
use comfy_table::{ContentArrangement, Table};
use terminal_size::{Width, terminal_size};

use tero_admin_api::FleetNote;

/// Narrower tables can't be read any more.
const LEAST_WIDTH: u16 = 40;

/// Narrower terminals get tables with less in them.
const AMPLE_WIDTH: u16 = 120;

/// An empty table. On a terminal it is no wider than that: long texts go on in the next line of
/// their cell. `COLUMNS` stands for the width where there is no terminal.
pub(super) fn table() -> Table {
    table_within(width())
}

/// The same for this width.
pub(super) fn table_within(width: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_preset(match is_narrow(width) {
        true => UTF8_HORIZONTAL_ONLY,
        false => UTF8_FULL_CONDENSED,
    });
    if let Some(width) = width {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width.max(LEAST_WIDTH));
    }
    table
}

/// Leaves less room between the columns of a table for this width, if it is narrow.
pub(super) fn tighten(table: &mut Table, width: Option<u16>) {
    if is_narrow(width) {
        for column in table.column_iter_mut() {
            column.set_padding((0, 1));
        }
    }
}

/// Whether a table has to leave things out to be read.
pub(super) fn is_narrow(width: Option<u16>) -> bool {
    width.is_some_and(|width| width < AMPLE_WIDTH)
}

/// The width of the terminal; `None` if there is none.
pub(super) fn width() -> Option<u16> {
    let named = std::env::var("COLUMNS").ok();
    let named = named.and_then(|columns| columns.parse().ok());
    named
        .or_else(|| terminal_size().map(|(Width(width), _)| width))
        .filter(|width| *width > 0)
}

/// A line about the other nodes of the fleet; nothing without a fleet.
pub(super) fn fleet_note(note: Option<&FleetNote>) -> String {
    match note {
        None => String::new(),
        Some(FleetNote { told: true, .. }) => {
            "the other nodes follow; to see how far they are: tero cluster status\n".to_owned()
        }
        Some(note) => {
            let why = note.why.as_deref().unwrap_or("no reason is known");
            format!("this node has it, and the others will be told as soon as possible: {why}\n")
        }
    }
}

/// A size with its unit and one decimal.
#[allow(clippy::cast_precision_loss)] // One decimal is shown.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut shown = bytes as f64 / 1024.0;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        // What would be shown as 1024.0 is shown in the next unit.
        if shown < 1023.95 {
            break;
        }
        (shown, unit) = (shown / 1024.0, larger);
    }
    format!("{shown:.1} {unit}")
}

/// A time with its units: seconds, from a minute on with minutes, from an hour on with hours.
pub(super) fn time(secs: u64) -> String {
    let (hours, minutes, seconds) = (secs / 3_600, secs / 60 % 60, secs % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {seconds} s"),
        _ => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (1_048_575, "1.0 MiB"),
            (5 << 20, "5.0 MiB"),
            (3 << 30, "3.0 GiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn times_have_units() {
        for (secs, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min 0 s"),
            (3_599, "59 min 59 s"),
            (3_600, "1 h 0 min"),
            (90_061, "25 h 1 min"),
        ] {
            assert_eq!(time(secs), expected, "{secs}");
        }
    }
}
