//! Surrogate keys that applications give their responses: `Surrogate-Key`, `Cache-Tag`, `xkey` and
//! their kin. No RFC knows them; the fields are read as the caches read them that they were made for.

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// `Surrogate-Key`: keys with spaces between them.
pub const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");

/// The fields that carry surrogate keys. In all but the first, commas separate too.
pub static KEY_FIELDS: [HeaderName; 5] = [
    SURROGATE_KEY,
    HeaderName::from_static("cache-tag"),
    HeaderName::from_static("xkey"),
    HeaderName::from_static("x-cache-tags"),
    HeaderName::from_static("x-magento-tags"),
];

/// Surrogate keys that one response may have. One with more is not stored: not all of them could be
/// kept, and a purge of another one would miss it.
pub const MAX_SURROGATE_KEYS: usize = 1_024;
/// Bytes of all surrogate keys of one response together, at most.
pub const MAX_SURROGATE_KEYS_BYTES: usize = 16 * 1024;
/// The longest surrogate key, in bytes. Longer ones, and those with other than visible ASCII, are not
/// read: no purge could name them.
pub const MAX_SURROGATE_KEY_BYTES: usize = 128;

/// A response has more surrogate keys than are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyKeys;

/// The surrogate keys of a response: sorted, without doubles.
///
/// ```
/// use http::header::{HeaderMap, HeaderName, HeaderValue};
/// use tero_semantics::surrogate_keys::surrogate_keys;
///
/// let field = |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
/// let response = HeaderMap::from_iter([
///     field("surrogate-key", "prices product-7"),
///     field("cache-tag", "home, prices"),
/// ]);
/// let keys = surrogate_keys(&response).unwrap();
/// assert_eq!(keys.iter().map(|key| &**key).collect::<Vec<_>>(), ["home", "prices", "product-7"]);
/// ```
///
/// # Errors
/// [`TooManyKeys`]: more than [`MAX_SURROGATE_KEYS`] or [`MAX_SURROGATE_KEYS_BYTES`].
pub fn surrogate_keys(response: &HeaderMap) -> Result<Vec<Box<str>>, TooManyKeys> {
    let mut keys = Vec::new();
    for name in &KEY_FIELDS {
        let lines = response.get_all(name).iter();
        for key in lines.flat_map(|line| keys_of_line(line, *name != SURROGATE_KEY)) {
            // Doubles can't make it more work than the field is long.
            keys.push(key);
        }
    }
    keys.sort_unstable();
    keys.dedup();
    let bytes: usize = keys.iter().map(|key| key.len()).sum();
    if keys.len() > MAX_SURROGATE_KEYS || bytes > MAX_SURROGATE_KEYS_BYTES {
        return Err(TooManyKeys);
    }
    Ok(keys.into_iter().map(Box::from).collect())
}

/// Whether a response has a field with surrogate keys.
pub fn has_surrogate_keys(response: &HeaderMap) -> bool {
    KEY_FIELDS.iter().any(|name| response.contains_key(name))
}

/// Removes the fields with surrogate keys: they are for caches.
pub fn remove_surrogate_keys(response: &mut HeaderMap) {
    for name in &KEY_FIELDS {
        response.remove(name);
    }
}

/// The value of [`SURROGATE_KEY`] that tells these keys; `None` if there are none.
pub fn surrogate_key_value<'k>(keys: impl Iterator<Item = &'k str>) -> Option<HeaderValue> {
    let keys: Vec<&str> = keys.collect();
    if keys.is_empty() {
        return None;
    }
    HeaderValue::try_from(keys.join(" ")).ok()
}

/// The keys in one line of a field: in what is not visible ASCII alone, none.
pub fn keys_of_line(line: &HeaderValue, with_commas: bool) -> impl Iterator<Item = &str> {
    let text = line.to_str().unwrap_or_default();
    let is_between = move |char: char| char.is_ascii_whitespace() || (with_commas && char == ',');
    text.split(is_between).filter(|key| is_surrogate_key(key))
}

/// Whether a text is a surrogate key: 1 to [`MAX_SURROGATE_KEY_BYTES`] of visible ASCII.
pub fn is_surrogate_key(text: &str) -> bool {
    (1..=MAX_SURROGATE_KEY_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FieldLines, headers};

    #[track_caller]
    fn check(lines: FieldLines<'_>, expected: &[&str]) {
        let keys = surrogate_keys(&headers(lines)).unwrap();
        let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
        assert_eq!(keys, expected, "{lines:?}");
    }

    #[test]
    fn each_field_is_read_as_the_cache_does_that_it_was_made_for() {
        check(&[], &[]);
        check(&[("surrogate-key", " b  a\tb ")], &["a", "b"]);
        check(&[("surrogate-key", "a,b")], &["a,b"]);
        check(&[("cache-tag", "a, b,,c ,")], &["a", "b", "c"]);
        check(&[("xkey", "1 2"), ("xkey", "3,1")], &["1", "2", "3"]);
        check(&[("x-magento-tags", "cat_p_1,FPC")], &["FPC", "cat_p_1"]);
        check(&[("x-cache-tags", "node:1 node:2")], &["node:1", "node:2"]);
        let (longest, longer) = ("x".repeat(128), "x".repeat(129));
        check(&[("xkey", &longest)], &[&longest]);
        check(&[("xkey", &longer)], &[]);
        check(&[("xkey", "é"), ("cache-tag", "a")], &["a"]);
    }

    #[test]
    fn a_response_with_too_many_keys_is_told_from_others() {
        let of = |count: usize, length: usize| {
            let keys: Vec<String> = (0..count).map(|n| format!("{n:0length$}")).collect();
            surrogate_keys(&headers(&[("surrogate-key", &keys.join(" "))])).is_ok()
        };
        assert!(of(1_024, 16) && !of(1_025, 4));
        assert!(of(128, 128) && !of(129, 128));
        let doubles = "a ".repeat(10_000);
        check(&[("surrogate-key", &doubles)], &["a"]);
    }
}
