//! Releases of the time zone database: a year and letters, `2026f`.

/// A release. A later one is greater.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ZoneDataRelease {
    year: u16,
    /// After `z` comes `za`, so the longer one is later.
    length: usize,
    text: String,
}

impl ZoneDataRelease {
    /// Reads a release; `None` if `text` isn't one. What builders add after a hyphen doesn't count.
    pub fn parse(text: &str) -> Option<ZoneDataRelease> {
        let text = text.trim();
        let text = text.split_once('-').map_or(text, |(release, _)| release);
        let (year, letters) = text.split_at_checked(4)?;
        let good = year.bytes().all(|byte| byte.is_ascii_digit())
            && (1..=4).contains(&letters.len())
            && letters.bytes().all(|byte| byte.is_ascii_lowercase());
        good.then_some(ZoneDataRelease {
            year: year.parse().ok()?,
            length: letters.len(),
            text: text.to_owned(),
        })
    }

    /// As it is written: `2026f`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_follow_each_other() {
        let releases = [
            "2024b", "2025a", "2025b", "2026a", "2026f", "2026z", "2026za",
        ];
        let parsed: Vec<_> = releases.map(ZoneDataRelease::parse).into();
        assert!(parsed.iter().all(Option::is_some));
        assert!(parsed.is_sorted() && parsed.first() < parsed.last());
        let built = ZoneDataRelease::parse("2026f-dirty\n");
        assert_eq!(built, ZoneDataRelease::parse("2026f"));
    }

    #[test]
    fn other_texts_are_not_releases() {
        for text in [
            "",
            "2026",
            "26f",
            "2026F",
            "unknown",
            "2026f2",
            "2026fffff",
            "é026f",
        ] {
            assert_eq!(ZoneDataRelease::parse(text), None, "{text}");
        }
    }
}
