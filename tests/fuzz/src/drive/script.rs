//! Messages as text: blocks with a first line and fields, separated by empty lines.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

/// The most fields that a connection accepts.
const MAX_FIELDS: usize = 100;

/// A message.
#[derive(Clone, Debug, Default)]
pub struct Block<'a> {
    first: &'a [u8],
    /// The fields; malformed lines are left out.
    pub headers: HeaderMap,
}

impl<'a> Block<'a> {
    fn of(lines: &[&'a [u8]]) -> Block<'a> {
        let mut headers = HeaderMap::new();
        for line in lines.iter().skip(1).take(MAX_FIELDS) {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let name = HeaderName::from_bytes(&line[..colon]);
            // hyper trims values like this.
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
        Block {
            first: lines.first().copied().unwrap_or_default(),
            headers,
        }
    }

    /// The words of the first line.
    pub fn words(&self) -> impl Iterator<Item = &'a str> {
        std::str::from_utf8(self.first)
            .unwrap_or_default()
            .split_ascii_whitespace()
    }

    /// The first word as a method, or GET.
    pub fn method(&self) -> Method {
        self.words()
            .next()
            .and_then(|word| Method::from_bytes(word.as_bytes()).ok())
            .unwrap_or(Method::GET)
    }

    /// The second word as an absolute URL, or a default one.
    pub fn target(&self) -> Uri {
        let given = self
            .words()
            .nth(1)
            .and_then(|word| word.parse::<Uri>().ok());
        given
            .filter(|uri| uri.scheme().is_some() && uri.host().is_some())
            .unwrap_or(Uri::from_static("http://h/a/b?c"))
    }

    /// The first word as a status, or 200.
    pub fn status(&self) -> StatusCode {
        self.words()
            .next()
            .and_then(|word| word.parse().ok())
            .unwrap_or(StatusCode::OK)
    }

    /// The number after `name=` in the first line.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.words()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    }

    /// Whether the first line contains this word.
    pub fn has(&self, word: &str) -> bool {
        self.words().any(|said| said == word)
    }
}

/// The first `N` blocks of a text; missing ones are empty.
pub fn blocks<const N: usize>(bytes: &[u8]) -> [Block<'_>; N] {
    let lines: Vec<&[u8]> = bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .collect();
    let mut blocks = lines.split(|line| line.is_empty());
    std::array::from_fn(|_| blocks.next().map(Block::of).unwrap_or_default())
}
