//! Where a client is, as far as a country and one of its regions: ISO 3166-1 and 3166-2.

use std::fmt;

/// A country, and perhaps a region of it.
///
/// ```
/// use tero_semantics::country::Country;
///
/// let place = Country::parse("ar-c").unwrap();
/// assert_eq!((place.code(), place.region()), ("AR", Some("C")));
/// assert_eq!(place.to_string(), "AR-C");
/// assert_eq!(Country::parse("AR").unwrap().region(), None);
/// // What proxies say if they don't know, and what isn't a country.
/// assert_eq!(Country::parse("XX"), None);
/// assert_eq!(Country::parse("T1"), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Country {
    code: [u8; 2],
    /// Capital letters and digits, then zeros.
    region: [u8; 3],
}

impl Country {
    /// The country that a text names: two letters, and perhaps a hyphen and up to three letters and
    /// digits. `None` if it is anything else, or stands for an unknown country (`XX`, `ZZ`).
    pub fn parse(text: &str) -> Option<Country> {
        let (code, region) = match text.trim().split_once('-') {
            Some((code, region)) => (code, Some(region)),
            None => (text.trim(), None),
        };
        let code: [u8; 2] = code.as_bytes().try_into().ok()?;
        let mut place = Country {
            code: code.map(|byte| byte.to_ascii_uppercase()),
            region: [0; 3],
        };
        if !place.code.iter().all(u8::is_ascii_uppercase) || matches!(&place.code, b"XX" | b"ZZ") {
            return None;
        }
        let Some(region) = region else {
            return Some(place);
        };
        let is_region = (1..=3).contains(&region.len())
            && region.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_region {
            return None;
        }
        for (place, byte) in place.region.iter_mut().zip(region.bytes()) {
            *place = byte.to_ascii_uppercase();
        }
        Some(place)
    }

    /// The country: two capital letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).unwrap_or_default()
    }

    /// The region: what follows the hyphen.
    pub fn region(&self) -> Option<&str> {
        let length = self.region.iter().position(|byte| *byte == 0);
        let region = &self.region[..length.unwrap_or(self.region.len())];
        let region = std::str::from_utf8(region).ok()?;
        (!region.is_empty()).then_some(region)
    }
}

impl fmt::Display for Country {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())?;
        match self.region() {
            Some(region) => write!(formatter, "-{region}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_of_the_standard_are_read() {
        for (text, expected) in [
            ("AR", Some("AR")),
            (" ar ", Some("AR")),
            ("US-CA", Some("US-CA")),
            ("FR-20R", Some("FR-20R")),
            ("gb-eng", Some("GB-ENG")),
            ("", None),
            ("A", None),
            ("ARG", None),
            ("AR-", None),
            ("AR-ABCD", None),
            ("AR-A B", None),
            ("AR-A-B", None),
            ("ÁR", None),
            ("é", None),
            ("A1", None),
            ("ZZ", None),
        ] {
            let read = Country::parse(text).map(|place| place.to_string());
            assert_eq!(read.as_deref(), expected, "{text:?}");
        }
    }
}
