//! An answer, and what it says about itself.

use crate::wire;

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields as they came.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it has been read.
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub whole: bool,
}

/// The last member of `Cache-Status` (RFC 9211): what the edge itself says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// Which cache says it.
    pub cache: String,
    /// Answered without going forward.
    pub hit: bool,
    /// Why it went forward.
    pub fwd: Option<String>,
    /// What the next hop answered.
    pub fwd_status: Option<u16>,
    /// What is left of the freshness lifetime, in seconds.
    pub ttl: Option<i64>,
    /// It has been stored.
    pub stored: bool,
    /// It is another request's.
    pub collapsed: bool,
    /// The key.
    pub key: Option<String>,
    /// The reasons.
    pub detail: Option<String>,
}

impl Answer {
    /// The value of a field; several lines are joined with a comma.
    pub fn header(&self, name: &str) -> Option<String> {
        wire::field(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `Age` in seconds.
    ///
    /// # Panics
    /// When it is no number.
    pub fn age(&self) -> Option<u64> {
        self.header("age")
            .map(|age| age.parse().unwrap_or_else(|_| panic!("Age: {age}")))
    }

    /// What the edge says in `Cache-Status`.
    ///
    /// # Panics
    /// When it says nothing, or something that is no member of the field.
    pub fn cache_status(&self) -> CacheStatus {
        let lines: Vec<_> = self
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("cache-status"))
            .collect();
        let (_, line) = lines
            .last()
            .unwrap_or_else(|| panic!("no Cache-Status: {self:?}"));
        CacheStatus::parse(line).unwrap_or_else(|| panic!("Cache-Status: {line}"))
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Checks that it is a hit with this body.
    #[track_caller]
    pub fn assert_hit(&self, body: &str) {
        assert!(self.cache_status().hit, "not a hit: {self:?}");
        assert_eq!(
            (self.status, self.text().as_str(), self.whole),
            (200, body, true),
            "{self:?}"
        );
    }

    /// Checks that it went forward for this reason and has this body.
    #[track_caller]
    pub fn assert_forwarded(&self, fwd: &str, body: &str) {
        let status = self.cache_status();
        assert_eq!(
            (status.hit, status.fwd.as_deref()),
            (false, Some(fwd)),
            "{self:?}"
        );
        assert_eq!(
            (self.status, self.text().as_str(), self.whole),
            (200, body, true),
            "{self:?}"
        );
    }

    /// Checks that it is an error of the edge's own, and that `Cache-Status` tells the reason in
    /// these words.
    #[track_caller]
    pub fn assert_failed(&self, status: u16, detail: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let told = self.cache_status().detail.unwrap_or_default();
        assert!(told.contains(detail), "{detail:?} is not in {told:?}");
    }

    /// Checks that the reasons in `Cache-Status` hold these words.
    #[track_caller]
    pub fn assert_detail(&self, words: &str) {
        let told = self.cache_status().detail.unwrap_or_default();
        assert!(told.contains(words), "{words:?} is not in {told:?}");
    }
}

impl CacheStatus {
    fn parse(line: &str) -> Option<CacheStatus> {
        let mut members = parts(line, ',');
        let mut items = parts(&members.pop()?, ';').into_iter();
        let mut status = CacheStatus {
            cache: items.next()?,
            ..CacheStatus::default()
        };
        for item in items {
            let (name, value) = match item.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(unquoted(value))),
                None => (item, None),
            };
            match (name.as_str(), value) {
                ("hit", None) => status.hit = true,
                ("stored", None) => status.stored = true,
                ("collapsed", None) => status.collapsed = true,
                ("fwd", Some(value)) => status.fwd = Some(value),
                ("fwd-status", Some(value)) => status.fwd_status = Some(value.parse().ok()?),
                ("ttl", Some(value)) => status.ttl = Some(value.parse().ok()?),
                ("key", Some(value)) => status.key = Some(value),
                ("detail", Some(value)) => status.detail = Some(value),
                _ => return None,
            }
        }
        Some(status)
    }
}

/// Splits at `separator`, but not within quotes.
fn parts(text: &str, separator: char) -> Vec<String> {
    let (mut parts, mut quoted, mut escaped) = (vec![String::new()], false, false);
    for char in text.chars() {
        if char == separator && !quoted {
            parts.push(String::new());
            continue;
        }
        quoted ^= char == '"' && !escaped;
        escaped = quoted && char == '\\' && !escaped;
        parts.last_mut().expect("there is always one").push(char);
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
    else {
        return value.to_owned();
    };
    let mut chars = inner.chars();
    let mut plain = String::new();
    while let Some(char) = chars.next() {
        plain.extend(if char == '\\' {
            chars.next()
        } else {
            Some(char)
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_member_is_read_with_its_quotes() {
        let line = r#"shield; hit, tero; fwd=stale; fwd-status=304; ttl=-3; collapsed; stored; detail="a: \"b\", c; d""#;
        let status = CacheStatus::parse(line).unwrap();
        assert_eq!(
            status,
            CacheStatus {
                cache: "tero".to_owned(),
                hit: false,
                fwd: Some("stale".to_owned()),
                fwd_status: Some(304),
                ttl: Some(-3),
                stored: true,
                collapsed: true,
                key: None,
                detail: Some("a: \"b\", c; d".to_owned()),
            }
        );
        assert_eq!(CacheStatus::parse("tero; nonsense"), None);
    }
}
