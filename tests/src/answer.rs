//! A response as a client gets it, and checks of it.

use tero_admin_api::Problem;

use crate::wire;

/// A response, as received.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The fields, as received.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it has been read.
    pub body: Vec<u8>,
    /// Whether the body is complete.
    pub whole: bool,
}

/// The last member of `Cache-Status` (RFC 9211), which the edge wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// The name of the cache.
    pub cache: String,
    /// Whether the response came from the store.
    pub hit: bool,
    /// Why the request was forwarded.
    pub fwd: Option<String>,
    /// The status of the next hop.
    pub fwd_status: Option<u16>,
    /// The remaining freshness lifetime in seconds; negative if stale.
    pub ttl: Option<i64>,
    /// Whether the response was stored.
    pub stored: bool,
    /// Whether the request was collapsed with another.
    pub collapsed: bool,
    /// The cache key.
    pub key: Option<String>,
    /// The reasons, for people.
    pub detail: Option<String>,
}

impl Answer {
    /// The value of a field; several lines are joined with commas.
    pub fn header(&self, name: &str) -> Option<String> {
        wire::field(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of `Age`, in seconds.
    ///
    /// # Panics
    /// If it is not a number.
    pub fn age(&self) -> Option<u64> {
        self.header("age")
            .map(|age| age.parse().unwrap_or_else(|_| panic!("Age: {age}")))
    }

    /// The member of the edge in `Cache-Status`.
    ///
    /// # Panics
    /// If the field is missing or malformed.
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

    /// The body as an answer of the admin interface.
    ///
    /// # Panics
    /// If it is something else.
    #[track_caller]
    pub fn read<A: tero_admin_api::Answer>(&self) -> A {
        A::read(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Checks that this is a hit: a complete 200 with this body.
    #[track_caller]
    pub fn assert_hit(&self, body: &str) {
        assert!(self.cache_status().hit, "not a hit: {self:?}");
        assert_eq!(
            (self.status, self.text().as_str(), self.whole),
            (200, body, true),
            "{self:?}"
        );
    }

    /// Checks that the request was forwarded for this reason, and got a complete 200 with this
    /// body.
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

    /// Checks the status of an error of the edge, and that the reason in `Cache-Status` contains
    /// `detail`.
    #[track_caller]
    pub fn assert_failed(&self, status: u16, detail: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let told = self.cache_status().detail.unwrap_or_default();
        assert!(told.contains(detail), "{detail:?} is not in {told:?}");
    }

    /// Checks that the reasons in `Cache-Status` contain these words.
    #[track_caller]
    pub fn assert_detail(&self, words: &str) {
        let told = self.cache_status().detail.unwrap_or_default();
        assert!(told.contains(words), "{words:?} is not in {told:?}");
    }

    /// Checks that the admin interface refused this with this status, and that its error and cure have
    /// each of these words between them.
    #[track_caller]
    pub fn assert_refused(&self, status: u16, words: &[&str]) {
        assert_eq!(self.status, status, "{self:?}");
        let Problem { error, cure, .. } = self.read();
        assert!(!cure.is_empty(), "the error has no cure: {self:?}");
        for word in words {
            assert!(
                error.contains(word) || cure.contains(word),
                "{word:?} is not in {error}; {cure}"
            );
        }
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

/// Splits at `separator`, except within quotes.
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
    fn the_last_member_of_cache_status_is_parsed() {
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
