//! Purges by request: what applications and their plugins ask a cache to purge, in the forms that are
//! usual with Varnish. No RFC knows them. A request that means something else is refused, not guessed.

use http::Method;
use http::header::{HeaderMap, HeaderName};

use super::surrogate_keys::{KEY_FIELDS, MAX_SURROGATE_KEYS, is_surrogate_key, keys_of_line};

/// `X-Purge-Method`: how the path is to be read.
const X_PURGE_METHOD: HeaderName = HeaderName::from_static("x-purge-method");
/// `Fastly-Soft-Purge: 1` marks stale instead of dropping.
const FASTLY_SOFT_PURGE: HeaderName = HeaderName::from_static("fastly-soft-purge");
/// Surrogate keys whose responses are marked stale.
const XKEY_SOFTPURGE: HeaderName = HeaderName::from_static("xkey-softpurge");
/// Surrogate keys, as an expression that matches any of them among those of a response.
static PATTERN_FIELDS: [HeaderName; 2] = [
    HeaderName::from_static("x-magento-tags-pattern"),
    HeaderName::from_static("x-cache-tags"),
];
/// Lists of surrogate keys, beside [`KEY_FIELDS`].
static LIST_FIELDS: [HeaderName; 3] = [
    HeaderName::from_static("xkey-purge"),
    HeaderName::from_static("cache-tags"),
    HeaderName::from_static("purge-cache-tags"),
];
/// What a path ends with that stands for all paths that begin so.
const ANY_END: &str = ".*";

/// What is to be purged on the site of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurgedPages {
    /// The URL of the request, with all its variants.
    Url,
    /// All URLs of its host whose path begins so.
    Prefix(String),
    /// The responses with one of these surrogate keys.
    Keys(Vec<String>),
    /// All that is stored of the site.
    Site,
}

/// What a request asks to be purged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeWish {
    /// What.
    pub pages: PurgedPages,
    /// Whether it is marked stale instead of dropped.
    pub soft: bool,
}

/// Why a request names nothing that could be purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeWishError {
    /// `X-Purge-Method` has another value than `regex`, `exact` and `default`.
    Method,
    /// The path or the keys are an expression that means more than a beginning, or a list of keys.
    Expression,
    /// A method that goes by surrogate keys, without any.
    NoKeys,
    /// More than [`MAX_SURROGATE_KEYS`] keys.
    TooManyKeys,
    /// Keys to drop and keys to mark stale in one request.
    Both,
}

impl PurgeWishError {
    /// The reason, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            PurgeWishError::Method => "X-Purge-Method is neither regex, exact nor default",
            PurgeWishError::Expression => {
                "the expression is more than a path that ends with .* or a list of keys"
            }
            PurgeWishError::NoKeys => "the request names no surrogate key",
            PurgeWishError::TooManyKeys => "the request names too many surrogate keys",
            PurgeWishError::Both => "the request asks for a hard and a soft purge",
        }
    }
}

/// Whether a method asks for a purge: `PURGE`, and `PURGEKEYS` and `BAN`, which go by surrogate keys.
pub fn is_purge(method: &Method) -> bool {
    matches!(method.as_str(), "PURGE" | "PURGEKEYS" | "BAN")
}

/// What a request asks to be purged.
///
/// ```
/// use http::{HeaderMap, Method};
/// use tero_semantics::purge_request::{PurgedPages, purge_wish};
///
/// let purge = Method::from_bytes(b"PURGE").unwrap();
/// let pages = |path| purge_wish(&purge, path, &HeaderMap::new()).map(|wish| wish.pages);
/// assert_eq!(pages("/shop"), Ok(PurgedPages::Url));
/// assert_eq!(pages("/shop/.*"), Ok(PurgedPages::Prefix("/shop/".to_owned())));
/// ```
///
/// # Errors
/// [`PurgeWishError`]
pub fn purge_wish(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Result<PurgeWish, PurgeWishError> {
    let soft = headers
        .get(FASTLY_SOFT_PURGE)
        .is_some_and(|value| value == "1");
    let softened = headers.contains_key(XKEY_SOFTPURGE);
    if let Some(pages) = by_keys(headers)? {
        return Ok(PurgeWish {
            pages,
            soft: soft || softened,
        });
    }
    if method.as_str() != "PURGE" {
        return Err(PurgeWishError::NoKeys);
    }
    let pages = by_path(path, headers)?;
    Ok(PurgeWish { pages, soft })
}

fn by_path(path: &str, headers: &HeaderMap) -> Result<PurgedPages, PurgeWishError> {
    match headers.get(X_PURGE_METHOD).map(|value| value.as_bytes()) {
        None | Some(b"regex" | b"default" | b"exact") => {}
        Some(_) => return Err(PurgeWishError::Method),
    }
    let Some(beginning) = path.strip_suffix(ANY_END) else {
        return Ok(PurgedPages::Url);
    };
    if !is_literal(beginning) {
        return Err(PurgeWishError::Expression);
    }
    Ok(PurgedPages::Prefix(beginning.to_owned()))
}

/// The keys that a request names; `None` if it has no field for them.
fn by_keys(headers: &HeaderMap) -> Result<Option<PurgedPages>, PurgeWishError> {
    let mut keys: Vec<String> = Vec::new();
    let (mut named, mut is_all) = (false, false);
    let lists = KEY_FIELDS.iter().chain(&LIST_FIELDS);
    for name in lists.filter(|name| !PATTERN_FIELDS.contains(name)) {
        for line in headers.get_all(name) {
            named = true;
            keys.extend(keys_of_line(line, true).map(str::to_owned));
        }
    }
    for name in &PATTERN_FIELDS {
        for line in headers.get_all(name) {
            named = true;
            let text = line.to_str().map_err(|_| PurgeWishError::Expression)?;
            match keys_of_pattern(text)? {
                Some(more) => keys.extend(more),
                None => is_all = true,
            }
        }
    }
    if headers.contains_key(XKEY_SOFTPURGE) {
        if named {
            return Err(PurgeWishError::Both);
        }
        named = true;
        let lines = headers.get_all(XKEY_SOFTPURGE).iter();
        keys.extend(lines.flat_map(|line| keys_of_line(line, true).map(str::to_owned)));
    }
    if is_all {
        return Ok(Some(PurgedPages::Site));
    }
    keys.sort_unstable();
    keys.dedup();
    match (named, keys.len()) {
        (false, _) => Ok(None),
        (true, 0) => Err(PurgeWishError::NoKeys),
        (true, count) if count > MAX_SURROGATE_KEYS => Err(PurgeWishError::TooManyKeys),
        (true, _) => Ok(Some(PurgedPages::Keys(keys))),
    }
}

/// The keys that an expression matches: `((^|,)a(,|$))|((^|,)b(,|$))`, as Magento writes them,
/// `(^|,)(a|b)(,|$)`, as FOSHttpCache does, or keys with commas or spaces between them. `None` for `.*`,
/// which matches all.
fn keys_of_pattern(text: &str) -> Result<Option<Vec<String>>, PurgeWishError> {
    if text == ANY_END {
        return Ok(None);
    }
    if !text.contains(['(', '|']) {
        let list = text.split([',', ' ']).filter(|key| !key.is_empty());
        return list.map(key_of_literal).collect::<Result<_, _>>().map(Some);
    }
    let mut keys = Vec::new();
    for alternative in alternatives(text)? {
        let inner = unwrapped(alternative);
        let key = inner
            .strip_prefix("(^|,)")
            .and_then(|rest| rest.strip_suffix("(,|$)"))
            .ok_or(PurgeWishError::Expression)?;
        for key in alternatives(unwrapped(key))? {
            keys.push(key_of_literal(key)?);
        }
    }
    Ok(Some(keys))
}

/// The parts between the bars that stand in no parentheses.
fn alternatives(text: &str) -> Result<Vec<&str>, PurgeWishError> {
    let (mut parts, mut start, mut depth, mut is_escaped) = (Vec::new(), 0, 0_usize, false);
    for (at, char) in text.char_indices() {
        match char {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1).ok_or(PurgeWishError::Expression)?,
            '|' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    if depth > 0 {
        return Err(PurgeWishError::Expression);
    }
    Ok(parts)
}

/// The text without one pair of parentheses around all of it.
fn unwrapped(text: &str) -> &str {
    let Some(inner) = text
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
    else {
        return text;
    };
    match alternatives(inner) {
        Ok(_) => inner,
        Err(_) => text,
    }
}

/// The key that an expression without operators stands for. A dot stands for itself.
fn key_of_literal(text: &str) -> Result<String, PurgeWishError> {
    let mut key = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => key.extend(chars.next()),
            _ if is_operator(char) => return Err(PurgeWishError::Expression),
            _ => key.push(char),
        }
    }
    if is_surrogate_key(&key) {
        Ok(key)
    } else {
        Err(PurgeWishError::Expression)
    }
}

fn is_literal(text: &str) -> bool {
    !text.contains(|char| char == '\\' || is_operator(char))
}

/// Whether a character means something in a regular expression, but for the dot.
fn is_operator(char: char) -> bool {
    matches!(
        char,
        '^' | '$' | '|' | '(' | ')' | '[' | ']' | '{' | '}' | '*' | '+' | '?'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FieldLines, headers};

    #[track_caller]
    fn wish(method: &str, path: &str, lines: FieldLines<'_>) -> Result<PurgeWish, PurgeWishError> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        assert!(is_purge(&method));
        purge_wish(&method, path, &headers(lines))
    }

    fn hard(pages: PurgedPages) -> Result<PurgeWish, PurgeWishError> {
        Ok(PurgeWish { pages, soft: false })
    }

    fn keys(keys: &[&str]) -> PurgedPages {
        PurgedPages::Keys(keys.iter().map(|key| (*key).to_owned()).collect())
    }

    #[test]
    fn a_url_or_all_that_begin_so() {
        let prefix = |text: &str| hard(PurgedPages::Prefix(text.to_owned()));
        assert_eq!(wish("PURGE", "/a", &[]), hard(PurgedPages::Url));
        assert_eq!(wish("PURGE", "/.*", &[]), prefix("/"));
        let regex = &[("x-purge-method", "regex")];
        assert_eq!(wish("PURGE", "/.*", regex), prefix("/"));
        assert_eq!(
            wish("PURGE", "/wp-json/wp.v2/.*", regex),
            prefix("/wp-json/wp.v2/")
        );
        assert_eq!(wish("PURGE", "/a", regex), hard(PurgedPages::Url));
        for known in ["default", "exact"] {
            let known = &[("x-purge-method", known)];
            assert_eq!(wish("PURGE", "/a", known), hard(PurgedPages::Url));
        }
        let other = &[("x-purge-method", "ban")];
        assert_eq!(wish("PURGE", "/a", other), Err(PurgeWishError::Method));
        for expression in [
            "/(a|b).*", "/a+.*", "/[ab].*", "/a.*b.*", "/^.*", "/a\\.b.*", "/a?.*",
        ] {
            let refused = Err(PurgeWishError::Expression);
            assert_eq!(wish("PURGE", expression, regex), refused, "{expression}");
        }
    }

    #[test]
    fn keys_in_every_usual_field() {
        for (method, name) in [
            ("PURGE", "xkey"),
            ("PURGE", "cache-tags"),
            ("PURGE", "surrogate-key"),
            ("PURGEKEYS", "xkey-purge"),
            ("BAN", "cache-tags"),
            ("BAN", "x-cache-tags"),
        ] {
            let found = wish(method, "/", &[(name, "a b,c a")]);
            assert_eq!(found, hard(keys(&["a", "b", "c"])), "{name}");
        }
        let soft = |pages| Ok(PurgeWish { pages, soft: true });
        assert_eq!(
            wish("PURGEKEYS", "/", &[("xkey-softpurge", "a")]),
            soft(keys(&["a"]))
        );
        assert_eq!(
            wish("PURGE", "/", &[("fastly-soft-purge", "1")]),
            soft(PurgedPages::Url)
        );
        let both = &[("xkey-softpurge", "a"), ("xkey-purge", "b")];
        assert_eq!(wish("PURGEKEYS", "/", both), Err(PurgeWishError::Both));
        for method in ["PURGEKEYS", "BAN"] {
            assert_eq!(wish(method, "/", &[]), Err(PurgeWishError::NoKeys));
        }
        assert_eq!(
            wish("PURGE", "/", &[("xkey", " ")]),
            Err(PurgeWishError::NoKeys)
        );
    }

    #[test]
    fn expressions_that_are_lists_of_keys() {
        let of = |text: &str| wish("PURGE", "/", &[("x-magento-tags-pattern", text)]);
        assert_eq!(of(".*"), hard(PurgedPages::Site));
        assert_eq!(of("((^|,)cat_p_1(,|$))"), hard(keys(&["cat_p_1"])));
        let many = of("((^|,)cat_p_1(,|$))|((^|,)cat_c(,|$))|((^|,)cms_b_a-1.x(,|$))");
        assert_eq!(many, hard(keys(&["cat_c", "cat_p_1", "cms_b_a-1.x"])));
        let of = |text: &str| wish("BAN", "/", &[("x-cache-tags", text)]);
        assert_eq!(of("(^|,)(a|b\\-1)(,|$)"), hard(keys(&["a", "b-1"])));
        assert_eq!(of("(^|,)a(,|$)"), hard(keys(&["a"])));
        for bad in [
            "(a|b)",
            "((^|,)a(,|$)",
            "(^|,)a.*(,|$)",
            "(^|,)[ab](,|$)",
            "a)|(b",
            "a*",
            "(^|,)(,|$)",
            "|",
            "((((((",
        ] {
            assert_eq!(of(bad), Err(PurgeWishError::Expression), "{bad}");
        }
    }

    #[test]
    fn keys_have_a_bound() {
        let of = |count: usize| {
            let keys: Vec<_> = (0..count).map(|n| n.to_string()).collect();
            wish("PURGE", "/", &[("xkey", &keys.join(" "))]).is_ok()
        };
        assert!(of(MAX_SURROGATE_KEYS) && !of(MAX_SURROGATE_KEYS + 1));
    }
}
