//! Quantities as people write them: durations and sizes, a whole number and its unit (`"30s"`,
//! `"64MiB"`), and shares (`"10%"`).

mod share;

use std::time::Duration;

pub use self::share::Share;

/// The form of a duration, for cures.
pub const DURATION_FORM: &str =
    "a whole number and a unit: \"250ms\", \"30s\", \"5min\", \"2h\", \"1d\" or \"1y\"";
/// The form of a size, for cures.
pub const SIZE_FORM: &str = "a whole number and a unit: \"512B\", \"64KiB\", \"64MiB\" or \"2GiB\" (or \"64MB\", by thousands)";

/// A year has 365 days here, as in the policies' bound of 31,536,000 seconds.
const DURATION_UNITS: [(&str, u64); 6] = [
    ("y", 31_536_000_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("min", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

const SIZE_UNITS: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("kB", 1_000),
    ("B", 1),
];

/// The duration that `text` writes; `None` if it has another form, or its milliseconds do not fit
/// into 64 bits.
pub fn duration(text: &str) -> Option<Duration> {
    quantity(text, &DURATION_UNITS).map(Duration::from_millis)
}

/// The number of bytes that `text` writes; `None` if it has another form, or does not fit into 64
/// bits.
pub fn size(text: &str) -> Option<u64> {
    quantity(text, &SIZE_UNITS)
}

/// `duration` in the largest unit that divides it, whole milliseconds.
pub fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        "0s".to_owned()
    } else {
        show(millis, &DURATION_UNITS)
    }
}

/// `bytes` in the largest binary unit that divides them.
pub fn show_size(bytes: u64) -> String {
    let binary: Vec<_> = SIZE_UNITS
        .into_iter()
        .filter(|(unit, _)| unit.ends_with("iB") || *unit == "B")
        .collect();
    if bytes == 0 {
        "0B".to_owned()
    } else {
        show(bytes, &binary)
    }
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let (_, factor) = units
        .iter()
        .find(|(name, _)| *name == unit.trim_start_matches(' '))?;
    number.checked_mul(*factor)
}

fn show(amount: u64, units: &[(&str, u64)]) -> String {
    let (unit, factor) = units
        .iter()
        .find(|(_, factor)| amount.is_multiple_of(*factor))
        .unwrap_or(&("", 1));
    format!("{}{unit}", amount / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        let cases = [
            ("250ms", Some(250)),
            ("30s", Some(30_000)),
            ("30 s", Some(30_000)),
            ("5min", Some(300_000)),
            ("2h", Some(7_200_000)),
            ("1d", Some(86_400_000)),
            ("1y", Some(31_536_000_000)),
            ("0s", Some(0)),
            ("", None),
            ("30", None),
            ("s", None),
            ("5m", None),
            ("-1s", None),
            ("+1s", None),
            ("1.5s", None),
            ("1s ", None),
            ("18446744073709551615y", None),
            ("99999999999999999999999s", None),
        ];
        for (text, millis) in cases {
            assert_eq!(duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn a_size_is_a_number_and_a_unit() {
        let cases = [
            ("512B", Some(512)),
            ("1KiB", Some(1_024)),
            ("64MiB", Some(67_108_864)),
            ("2GiB", Some(2_147_483_648)),
            ("16TiB", Some(17_592_186_044_416)),
            ("64MB", Some(64_000_000)),
            ("1kB", Some(1_000)),
            ("64", None),
            ("64mib", None),
            ("64M", None),
            ("-1B", None),
            ("18446744073709551615TiB", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(size(text), bytes, "{text}");
        }
    }

    #[test]
    fn shown_quantities_parse_back() {
        for text in ["250ms", "30s", "5min", "2h", "1d", "1y", "0s", "90s"] {
            assert_eq!(show_duration(duration(text).unwrap()), text);
        }
        for text in ["512B", "64KiB", "64MiB", "3GiB", "16TiB", "0B"] {
            assert_eq!(show_size(size(text).unwrap()), text);
        }
    }
}
