//! Patterns over paths.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// A pattern over the path of a request. `*` matches any text, including slashes and the empty
/// text.
///
/// `/barberias/*` matches everything below `/barberias/` (but not `/barberias` itself), `*.css`
/// every stylesheet, `/` only the home page, and `*` every path. Upper and lower case differ.
/// Percent-encoding is ignored where it is not needed (RFC 3986 §6.2.2): `/p%61gos` is `/pagos`,
/// and a pattern may be written `/peluquería/*`.
///
/// In settings it is text of 1 to 1,024 bytes that begins with `/` or `*`. A match takes linear
/// time.
///
/// ```
/// use tero_policy::PathPattern;
///
/// let shops: PathPattern = "/barberias/*".parse().unwrap();
/// assert!(shops.matches("/barberias/palermo"));
/// assert!(!shops.matches("/barberias"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    text: String,
    /// The text before the first star; the whole pattern if there is none.
    prefix: String,
    /// The texts between stars that are not empty.
    middle: Vec<String>,
    /// The text after the last star; `None` if there is no star.
    suffix: Option<String>,
}

impl PathPattern {
    /// Whether the pattern matches the whole path.
    ///
    /// ```
    /// # use tero_policy::PathPattern;
    /// let styles: PathPattern = "*.css".parse().unwrap();
    /// assert!(styles.matches("/assets/site.css"));
    /// ```
    pub fn matches(&self, path: &str) -> bool {
        self.fits(&normal(path))
    }

    /// The pattern as it was written.
    ///
    /// ```
    /// # use tero_policy::PathPattern;
    /// assert_eq!("/a/*".parse::<PathPattern>().unwrap().as_str(), "/a/*");
    /// ```
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this pattern matches every path that `other` matches.
    ///
    /// ```
    /// # use tero_policy::PathPattern;
    /// let pattern = |text: &str| text.parse::<PathPattern>().unwrap();
    /// assert!(pattern("/a/*").covers(&pattern("/a/*.css")));
    /// assert!(!pattern("/a/*").covers(&pattern("*.css")));
    /// ```
    pub fn covers(&self, other: &PathPattern) -> bool {
        // The other's stars match any text, so they must fall to stars here: no other part of this
        // pattern holds the star's character.
        self.fits(&normal(&other.text))
    }

    fn fits(&self, path: &str) -> bool {
        let Some(suffix) = &self.suffix else {
            return path == self.prefix;
        };
        let Some(mut rest) = path
            .strip_prefix(self.prefix.as_str())
            .and_then(|rest| rest.strip_suffix(suffix.as_str()))
        else {
            return false;
        };
        // The leftmost match of each piece leaves the most text for the next, so there is no need
        // to backtrack.
        for piece in &self.middle {
            let Some(at) = rest.find(piece.as_str()) else {
                return false;
            };
            rest = &rest[at + piece.len()..];
        }
        true
    }
}

/// Whether one of the patterns matches.
///
/// ```
/// use tero_policy::{PathPattern, any_matches};
///
/// let patterns: Vec<PathPattern> = ["/", "*.css"].map(|text| text.parse().unwrap()).into();
/// assert!(any_matches(&patterns, "/site.css"));
/// ```
pub fn any_matches(patterns: &[PathPattern], path: &str) -> bool {
    let path = normal(path);
    patterns.iter().any(|pattern| pattern.fits(&path))
}

/// The first rule that has a matching pattern. The path is decoded once, however many rules there
/// are.
///
/// ```
/// use tero_policy::{PathPattern, first_match};
/// let pattern = |text: &str| text.parse::<PathPattern>().unwrap();
/// let rules = [(vec![pattern("/shops/*")], "shop"), (vec![pattern("*")], "rest")];
/// assert_eq!(first_match(&rules, |rule| &rule.0, "/shops/1").map(|rule| rule.1), Some("shop"));
/// ```
pub fn first_match<'r, R>(
    rules: &'r [R],
    patterns: impl Fn(&R) -> &[PathPattern],
    path: &str,
) -> Option<&'r R> {
    let path = normal(path);
    rules
        .iter()
        .find(|rule| patterns(rule).iter().any(|pattern| pattern.fits(&path)))
}

/// The first pattern of several rules that never takes effect, because an earlier rule covers it:
/// the index of its rule, the pattern, and the index of the earlier rule. Among more than 256
/// patterns in all, only repeated ones are found.
///
/// ```
/// use tero_policy::{PathPattern, first_idle};
/// let pattern = |text: &str| text.parse::<PathPattern>().unwrap();
/// let rules = [vec![pattern("/"), pattern("/shops/*")], vec![pattern("/shops/1")]];
/// assert_eq!(first_idle(rules.iter().map(Vec::as_slice)), Some((1, &pattern("/shops/1"), 0)));
/// ```
pub fn first_idle<'a>(
    rules: impl Iterator<Item = &'a [PathPattern]> + Clone,
) -> Option<(usize, &'a PathPattern, usize)> {
    let all = || {
        rules
            .clone()
            .enumerate()
            .flat_map(|(rule, patterns)| patterns.iter().map(move |pattern| (rule, pattern)))
    };
    if all().count() > 256 {
        let mut first = HashMap::new();
        return all().find_map(|(rule, pattern)| {
            let by = *first.entry(&pattern.text).or_insert(rule);
            (by != rule).then_some((rule, pattern, by))
        });
    }
    all().find_map(|(rule, pattern)| {
        let decides = |(by, earlier): &(usize, &PathPattern)| *by < rule && earlier.covers(pattern);
        all()
            .take_while(|(by, _)| *by < rule)
            .find(decides)
            .map(|(by, _)| (rule, pattern, by))
    })
}

/// The path with unreserved characters unencoded, other encodings in upper case, and everything
/// beyond ASCII encoded. Nearly every path has this form already.
fn normal(path: &str) -> Cow<'_, str> {
    if path.bytes().all(|byte| byte != b'%' && byte.is_ascii()) {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(normalised(path))
    }
}

fn normalised(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = String::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let encoded = match bytes[at..] {
            [b'%', high, low, ..] => hex(high).zip(hex(low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        match encoded {
            Some(byte) => {
                push(
                    &mut out,
                    byte,
                    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte),
                );
                at += 3;
            }
            None => {
                push(&mut out, bytes[at], bytes[at].is_ascii());
                at += 1;
            }
        }
    }
    out
}

fn push(out: &mut String, byte: u8, plain: bool) {
    if plain {
        out.push(char::from(byte));
    } else {
        out.push('%');
        out.push(upper_hex(byte >> 4));
        out.push(upper_hex(byte & 15));
    }
}

fn upper_hex(nibble: u8) -> char {
    char::from(b"0123456789ABCDEF"[usize::from(nibble)])
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

impl FromStr for PathPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<PathPattern, String> {
        if !text.starts_with(['/', '*']) {
            return Err(format!(
                "{text:?} begins with neither `/` nor `*`: write \"/{text}\" for a path, \"*{text}\" for an ending"
            ));
        }
        if text.len() > 1_024 {
            return Err("a path pattern has at most 1024 bytes".to_owned());
        }
        if text.contains(['?', '#']) || text.chars().any(char::is_control) {
            return Err(format!(
                "{text:?} is more than a path: leave out the query and the fragment"
            ));
        }
        let normal = normal(text);
        let mut pieces = normal.split('*').map(str::to_owned);
        let prefix = pieces.next().unwrap_or_default();
        let mut middle: Vec<String> = pieces.collect();
        let suffix = middle.pop();
        middle.retain(|piece| !piece.is_empty());
        Ok(PathPattern {
            text: text.to_owned(),
            prefix,
            middle,
            suffix,
        })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl<'de> Deserialize<'de> for PathPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PathPattern, D::Error> {
        crate::names::from_text(
            deserializer,
            "a path pattern, such as \"/barberias/*\" or \"*.css\"",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, path: &str, expected: bool) {
        let parsed: PathPattern = pattern.parse().unwrap();
        assert_eq!(parsed.matches(path), expected, "{pattern} on {path}");
    }

    #[test]
    fn a_star_matches_any_text_and_other_characters_match_themselves() {
        check("/", "/", true);
        check("/", "/x", false);
        check("/barberias/*", "/barberias/", true);
        check("/barberias/*", "/barberias/palermo/cortes", true);
        check("/barberias/*", "/barberias", false);
        check("/barberias/*", "/barberias-x/", false);
        check("*.css", "/assets/site.css", true);
        check("*.css", "/site.css.map", false);
        check("*.css", "/SITE.CSS", false);
        check("*", "/", true);
        check("/a*b", "/ab", true);
        check("/a*b", "/a", false);
        check("/aba*aba", "/aba", false);
        check("/*/fotos/*.jpg", "/x/fotos/1.jpg", true);
        check("/*/fotos/*.jpg", "/x/fotos/1.png", false);
        check("/*ab*ab*", "/ab", false);
        check("/*ab*ab*", "/abab", true);
        check("/*a*b*c", "/xxaxxbxxc", true);
        check("/**", "/x", true);
    }

    #[test]
    fn percent_encoding_does_not_hide_a_path() {
        check("/pagos/*", "/p%61gos/1", true);
        check("/pagos/*", "/p%61gos%2F1", false);
        check("/a%2fb", "/a%2Fb", true);
        check("/peluquería/*", "/peluquer%c3%ada/x", true);
        check("/a", "/%", false);
        check("/%zz", "/%zz", true);
        check("/100%", "/100%", true);
    }

    #[test]
    fn a_pattern_covers_what_fits_in_it() {
        let covers = |outer: &str, inner: &str| {
            outer
                .parse::<PathPattern>()
                .unwrap()
                .covers(&inner.parse::<PathPattern>().unwrap())
        };
        for (outer, inner) in [
            ("*", "/"),
            ("*", "*.css"),
            ("/a/*", "/a/*"),
            ("/a/*", "/a/b"),
            ("/a/*", "/a/b/*.css"),
            ("/a*", "/a/*"),
            ("*.css", "/a/*.css"),
            ("/*/x/*", "/a*/x/b"),
            ("/p%61gos", "/pagos"),
        ] {
            assert!(covers(outer, inner), "{outer} {inner}");
        }
        for (outer, inner) in [
            ("/", "*"),
            ("/a/*", "/a*"),
            ("/a/*", "/a"),
            ("*.css", "/a*"),
            ("/a/b", "/a/*"),
            ("/*ab", "/a*b"),
        ] {
            assert!(!covers(outer, inner), "{outer} {inner}");
        }
    }

    #[test]
    fn repeated_patterns_are_found_among_many() {
        let pattern = |text: String| text.parse::<PathPattern>().unwrap();
        let mut rules: Vec<Vec<PathPattern>> = (0..300)
            .map(|rule| vec![pattern(format!("/{rule}/*"))])
            .collect();
        assert_eq!(first_idle(rules.iter().map(Vec::as_slice)), None);
        rules.push(vec![pattern("/7/*".to_owned()), pattern("/7/*".to_owned())]);
        assert_eq!(
            first_idle(rules.iter().map(Vec::as_slice)).map(|(rule, _, by)| (rule, by)),
            Some((300, 7))
        );
    }

    #[test]
    fn an_absurd_path_takes_linear_time() {
        let pattern: PathPattern = format!("/{}b", "*a".repeat(500)).parse().unwrap();
        assert!(!pattern.matches(&format!("/{}", "a".repeat(1_000_000))));
    }

    #[test]
    fn patterns_that_could_never_match_are_refused_with_a_cure() {
        assert!(
            "css"
                .parse::<PathPattern>()
                .unwrap_err()
                .contains("write \"/css\" for a path")
        );
        assert!("".parse::<PathPattern>().is_err());
        assert!(
            "/a?b=1"
                .parse::<PathPattern>()
                .unwrap_err()
                .contains("leave out the query")
        );
        assert!(
            format!("/{}", "a".repeat(1_024))
                .parse::<PathPattern>()
                .is_err()
        );
        assert!(
            serde_json::from_str::<PathPattern>("1")
                .unwrap_err()
                .to_string()
                .contains("a path pattern")
        );
    }
}
