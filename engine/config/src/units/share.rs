//! A part of all requests or keys, `10%`.

/// A share of requests or keys, in hundredths of a percent: above 0, at most 100%.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(into = "u32", try_from = "u32")]
pub struct Share(u32);

impl Share {
    const WHOLE: u32 = 10_000;

    /// The share that `text` writes: `10%`, `0.5%`. It is rounded to hundredths of a percent; `None`
    /// if it is then 0, or above 100%, or has another form.
    pub fn parse(text: &str) -> Option<Share> {
        let percent: f64 = text.trim().strip_suffix('%')?.trim().parse().ok()?;
        let hundredths = (percent * 100.0).round();
        // The cast cuts nothing off: the number is whole and in range.
        ((1.0..=f64::from(Share::WHOLE)).contains(&hundredths)).then_some(Share(hundredths as u32))
    }

    /// The share in percent, as [`Share::parse`] reads it.
    pub fn show(self) -> String {
        format!("{}%", f64::from(self.0) / 100.0)
    }

    /// The share as a number above 0, at most 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(Share::WHOLE)
    }

    /// Whether the share is all.
    pub fn is_whole(self) -> bool {
        self.0 == Share::WHOLE
    }

    /// Whether the share holds this number, of numbers spread evenly over 64 bits. A larger share
    /// holds all that a smaller one does.
    #[inline]
    pub fn holds(self, random: u64) -> bool {
        // 32 of its bits, spread over the whole without a division.
        ((random >> 32) * u64::from(Share::WHOLE)) >> 32 < u64::from(self.0)
    }
}

impl From<Share> for u32 {
    fn from(share: Share) -> u32 {
        share.0
    }
}

impl TryFrom<u32> for Share {
    type Error = String;

    fn try_from(hundredths: u32) -> Result<Share, String> {
        let is_share = (1..=Share::WHOLE).contains(&hundredths);
        is_share
            .then_some(Share(hundredths))
            .ok_or_else(|| format!("{hundredths} hundredths of a percent are not a share"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_percentage_above_zero() {
        for (text, shown) in [
            ("10%", Some("10%")),
            ("0.5 %", Some("0.5%")),
            ("100%", Some("100%")),
            ("0.01%", Some("0.01%")),
        ] {
            assert_eq!(
                Share::parse(text).map(Share::show).as_deref(),
                shown,
                "{text}"
            );
        }
        for text in ["", "%", "0%", "10", "101%", "-1%", "NaN%", "inf%", "0.001%"] {
            assert_eq!(Share::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_stored_share_is_checked_when_it_is_read() {
        for (number, good) in [
            (0, false),
            (1, true),
            (10_000, true),
            (10_001, false),
            (u64::from(u32::MAX) + 1, false),
        ] {
            let read = serde_json::from_str::<Share>(&number.to_string());
            assert_eq!(
                read.ok()
                    .map(|share| serde_json::to_string(&share).unwrap()),
                good.then(|| number.to_string())
            );
        }
    }

    #[test]
    fn a_share_holds_its_part_of_all_numbers() {
        for percent in [1_u32, 10, 50, 100] {
            let share = Share::parse(&format!("{percent}%")).unwrap();
            let held = (0..100_000)
                .filter(|place| share.holds(place * (u64::MAX / 100_000)))
                .count();
            assert!(
                held.abs_diff(1_000 * percent as usize) < 10,
                "{percent}%: {held}"
            );
        }
        assert!(
            Share(Share::WHOLE).holds(u64::MAX)
                && Share(1).holds(0)
                && !Share(9_999).holds(u64::MAX)
        );
    }
}
