//! Patterns over paths, and the ways in which servers may read a path.
//!
//! The engine compiles this file as well: a rule of a policy and one of the operator must not differ
//! in which paths they mean. It needs the standard library alone.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

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
/// `"/barberias/*".parse()` makes one; it then matches `/barberias/palermo`, but not `/barberias`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    text: String,
    sent: Pieces,
    /// For the readings of a path; `None` if it is `sent`.
    read: Option<Box<Pieces>>,
}

/// The texts around the stars of a pattern.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Pieces {
    /// The text before the first star; the whole pattern if there is none.
    prefix: String,
    /// The texts between stars that are not empty.
    middle: Vec<String>,
    /// The text after the last star; `None` if there is no star.
    suffix: Option<String>,
}

impl PathPattern {
    /// Whether the pattern matches the whole path, as it was sent. For rules that must not be
    /// evaded, see [`PathPattern::protects`].
    ///
    /// `*.css` matches `/assets/site.css`, but not `/assets/site.css.map`.
    pub fn matches(&self, path: &str) -> bool {
        self.sent.fit(&normal(path))
    }

    /// Whether the pattern matches the path as it was sent, or as a server may read it: see
    /// [`PathReadings`]. A rule that forbids something asks this.
    ///
    /// `/pagos/*` protects `//pagos/1`, `/x/../pagos/1`, `/pagos%2F1` and `/pagos;v=1/1`.
    pub fn protects(&self, path: &str) -> bool {
        PathReadings::of(path).are_met_by(std::slice::from_ref(self))
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this pattern matches every path that `other` matches.
    ///
    /// `/a/*` covers `/a/*.css`, but not `*.css`.
    pub fn covers(&self, other: &PathPattern) -> bool {
        // The other's stars match any text, so they must fall to stars here: no other part of this
        // pattern holds the star's character.
        self.sent.fit(&normal(&other.text))
    }

    /// Appends the class of a path to `class`: which of the patterns match it. Two paths of the same
    /// class are the same to every rule over these patterns, for the path as it was sent and for
    /// its readings.
    ///
    /// Nothing is appended, and `false` returned, for a path that says more than one thing: one that
    /// isn't in normal form, or that servers may read in several ways.
    ///
    /// With `/` and `/shops/*`, `/shops/1` and `/shops/2` are of one class; `//shops/1` has none.
    pub fn write_class(patterns: &[PathPattern], path: &str, class: &mut Vec<u8>) -> bool {
        if *normal(path) != *path || !is_resolved(path) {
            return false;
        }
        push_bits(class, patterns, |pattern| pattern.sent.fit(path));
        if patterns.iter().any(|pattern| pattern.read.is_some()) {
            push_bits(class, patterns, |pattern| pattern.meets_reading(path));
        }
        if let Some(shorter) = path.strip_suffix('/').filter(|rest| !rest.is_empty()) {
            push_bits(class, patterns, |pattern| pattern.meets_reading(shorter));
        }
        true
    }

    fn meets_reading(&self, reading: &str) -> bool {
        self.read.as_deref().unwrap_or(&self.sent).fit(reading)
    }
}

impl Pieces {
    fn of(pattern: &str, form: impl Fn(&str) -> Cow<'_, str>) -> Pieces {
        let mut pieces = pattern.split('*').map(|piece| form(piece).into_owned());
        let prefix = pieces.next().unwrap_or_default();
        let mut middle: Vec<String> = pieces.collect();
        let suffix = middle.pop();
        middle.retain(|piece| !piece.is_empty());
        Pieces {
            prefix,
            middle,
            suffix,
        }
    }

    fn fit(&self, path: &str) -> bool {
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

/// A path as it was sent, and as servers may read it: a rule that forbids something holds for all
/// readings, since the origin decides which of them it serves.
///
/// In a reading, all percent-encodings are decoded, also those of slashes and dots, and repeatedly
/// (`%252e`); a backslash is a slash, and repeated slashes are one. Dot segments are left, removed
/// before slashes are merged (RFC 3986 §5.2.4), or after (as nginx does); parameters of a segment,
/// `;name=value`, are left, or removed (as servlet containers do). A slash at the end counts or
/// doesn't. Upper and lower case differ. There are at most 6 readings, and as many without their
/// last slash. They are made in linear time.
#[derive(Clone, Debug)]
pub struct PathReadings<'p> {
    sent: Cow<'p, str>,
    /// Empty if there is nothing to resolve: then the path is its own only reading.
    resolved: Vec<String>,
}

impl<'p> PathReadings<'p> {
    /// The readings of a path. Most have nothing to resolve; then nothing is allocated.
    pub fn of(path: &'p str) -> PathReadings<'p> {
        let sent = normal(path);
        let resolved = match is_resolved(&sent) {
            true => Vec::new(),
            false => resolved(&sent),
        };
        PathReadings { sent, resolved }
    }

    /// Whether one of the patterns matches the path as it was sent, or in one of its readings.
    pub fn are_met_by(&self, patterns: &[PathPattern]) -> bool {
        self.first_met(patterns).is_some()
    }

    /// The first of the patterns that matches the path as it was sent, or in one of its readings.
    pub fn first_met<'a>(&self, patterns: &'a [PathPattern]) -> Option<&'a PathPattern> {
        patterns.iter().find(|pattern| {
            pattern.sent.fit(&self.sent)
                || self.each().any(|reading| pattern.meets_reading(reading))
        })
    }

    /// The rule that decides, of rules of which the first that matches does: by the path as it was
    /// sent, unless another one, which protects something, decides by a reading.
    pub fn deciding_rule<'r, R>(
        &self,
        rules: &'r [R],
        patterns: impl Fn(&R) -> &[PathPattern],
        is_protective: impl Fn(&R) -> bool,
    ) -> Option<&'r R> {
        let mut matches = self.first_matches(rules, patterns);
        let by_sent = matches.next().flatten();
        if by_sent.is_some_and(&is_protective) || !rules.iter().any(&is_protective) {
            return by_sent;
        }
        let mut others = matches.flatten();
        others.find(|rule| is_protective(rule)).or(by_sent)
    }

    /// The first rule that has a matching pattern: for the path as it was sent, then for each
    /// reading; `None` where no rule has.
    pub fn first_matches<'r, R>(
        &self,
        rules: &'r [R],
        patterns: impl Fn(&R) -> &[PathPattern],
    ) -> impl Iterator<Item = Option<&'r R>> {
        let sent = std::iter::once((&*self.sent, false));
        let readings = self.each().map(|reading| (reading, true));
        sent.chain(readings).map(move |(path, is_reading)| {
            rules.iter().find(|rule| {
                has_match(patterns(rule), |one| match is_reading {
                    true => one.meets_reading(path),
                    false => one.sent.fit(path),
                })
            })
        })
    }

    /// Each reading, and each without its last slash.
    fn each(&self) -> impl Iterator<Item = &str> {
        let own = self.resolved.is_empty().then_some(&*self.sent);
        let resolved = self.resolved.iter().map(String::as_str);
        own.into_iter().chain(resolved).flat_map(|reading| {
            let shorter = reading.strip_suffix('/').filter(|rest| !rest.is_empty());
            [Some(reading), shorter].into_iter().flatten()
        })
    }
}

/// Appends a bit for each pattern.
fn push_bits(out: &mut Vec<u8>, patterns: &[PathPattern], is_match: impl Fn(&PathPattern) -> bool) {
    for eight in patterns.chunks(8) {
        let bits = eight.iter().rev();
        out.push(bits.fold(0, |bits, pattern| bits << 1 | u8::from(is_match(pattern))));
    }
}

fn has_match(patterns: &[PathPattern], is_match: impl Fn(&PathPattern) -> bool) -> bool {
    patterns.iter().any(is_match)
}

/// Whether one of the patterns matches the path, as it was sent.
pub fn any_matches(patterns: &[PathPattern], path: &str) -> bool {
    let path = normal(path);
    has_match(patterns, |pattern| pattern.sent.fit(&path))
}

/// The first rule that has a matching pattern, for the path as it was sent. The path is decoded
/// once, however many rules there are.
///
/// Where a rule forbids something, ask [`PathReadings::deciding_rule`].
pub fn first_match<'r, R>(
    rules: &'r [R],
    patterns: impl Fn(&R) -> &[PathPattern],
    path: &str,
) -> Option<&'r R> {
    let path = normal(path);
    rules
        .iter()
        .find(|rule| has_match(patterns(rule), |pattern| pattern.sent.fit(&path)))
}

/// The first pattern of several rules that never takes effect, because an earlier rule covers it:
/// the index of its rule, the pattern, and the index of the earlier rule. Among more than 256
/// patterns in all, only repeated ones are found.
///
/// With rules for `/` and `/shops/*`, and a second rule for `/shops/1`, it is `/shops/1`.
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
        match encoded(&bytes[at..]) {
            Some(byte) => {
                push(&mut out, byte, is_unreserved(byte));
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

/// The byte that these bytes begin with in percent-encoding.
fn encoded(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [b'%', high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
        _ => None,
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Whether every server reads a normal path as it stands.
fn is_resolved(path: &str) -> bool {
    let bytes = path.as_bytes();
    let is_odd = |at: usize| match bytes[at] {
        b';' | b'\\' => true,
        b'/' => matches!(bytes.get(at + 1), Some(b'/' | b'.')),
        // An encoding that stands for a visible character, or a percent sign that stands alone.
        b'%' => encoded(&bytes[at..]).is_none_or(|byte| byte.is_ascii_graphic()),
        byte => !byte.is_ascii_graphic(),
    };
    !path.starts_with('/') || !(0..bytes.len()).any(is_odd)
}

/// The readings of a path that begins with a slash, in the form of [`readable`].
fn resolved(path: &str) -> Vec<String> {
    let plain = decoded(path);
    let without_parameters = plain.contains(&b';').then(|| {
        let segments = plain.split(|byte| *byte == b'/');
        let cut = segments.map(|segment| segment.split(|byte| *byte == b';').next());
        cut.map(Option::unwrap_or_default)
            .collect::<Vec<_>>()
            .join(&b'/')
    });
    let mut readings = Vec::new();
    for path in std::iter::once(&plain).chain(&without_parameters) {
        let mut segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').skip(1).collect();
        // Merged afterwards.
        readings.push(joined(&without_dots(&segments)));
        let last = segments.pop().unwrap_or_default();
        segments.retain(|segment| !segment.is_empty());
        segments.push(last);
        readings.push(joined(&without_dots(&segments)));
        let is_here = |segment: &&[u8]| *segment == b".";
        let last = if is_here(&last) { b"" } else { last };
        segments.pop();
        segments.retain(|segment| !is_here(segment));
        segments.push(last);
        readings.push(joined(&segments));
    }
    readings.sort_unstable();
    readings.dedup();
    readings
}

/// Decodes until nothing is left to decode. In one pass: each byte is written at most once for
/// each that is read.
fn decoded(path: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for byte in path.bytes() {
        out.push(byte);
        while let Some(start) = out.len().checked_sub(3)
            && let Some(byte) = encoded(&out[start..])
        {
            out.truncate(start);
            out.push(byte);
        }
    }
    for byte in &mut out {
        if *byte == b'\\' {
            *byte = b'/';
        }
    }
    out
}

/// Removes the dot segments (RFC 3986 §5.2.4).
fn without_dots<'s>(segments: &[&'s [u8]]) -> Vec<&'s [u8]> {
    let mut left: Vec<&[u8]> = Vec::with_capacity(segments.len());
    for segment in segments {
        match *segment {
            b"." => {}
            b".." => {
                left.pop();
            }
            other => left.push(other),
        }
    }
    // A dot segment at the end leaves a slash there.
    if matches!(segments.last(), Some(&(b"." | b".."))) {
        left.push(b"");
    }
    left
}

/// The path of these segments, with slashes merged.
fn joined(segments: &[&[u8]]) -> String {
    let mut path = String::from("/");
    for (index, segment) in segments.iter().enumerate() {
        write_readable(&mut path, segment);
        if !segment.is_empty() && index + 1 < segments.len() {
            path.push('/');
        }
    }
    path
}

/// Visible ASCII as it is, all else and the percent sign encoded: one form for all that is decoded.
fn readable(text: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(text.len());
    write_readable(&mut out, &decoded(text));
    Cow::Owned(out)
}

fn write_readable(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        push(out, *byte, byte.is_ascii_graphic() && *byte != b'%');
    }
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
        let sent = Pieces::of(text, normal);
        let read = Pieces::of(text, readable);
        Ok(PathPattern {
            text: text.to_owned(),
            read: (read != sent).then(|| Box::new(read)),
            sent,
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
    fn paths_of_one_class_are_the_same_to_all_patterns() {
        let patterns: Vec<PathPattern> = [
            "/", "/a/*", "*.css", "/a", "/%7Ba/*", "/b/*/c", "/b/*/c/d", "/x*y",
        ]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
        let paths = [
            "/", "/a", "/a/", "/a/1", "/a/2", "/a/1.css", "/1.css", "/b/1/c", "/b/1/c/",
            "/b/1/c/d", "/x1y", "/xy/", "/%C3%AD", "/c", "/c/",
        ];
        let class = |path: &str| {
            let mut class = Vec::new();
            PathPattern::write_class(&patterns, path, &mut class).then_some(class)
        };
        for one in paths {
            for other in paths {
                let rules = |path: &str| {
                    let of = PathReadings::of(path);
                    let matches =
                        |pattern: &PathPattern| of.are_met_by(std::slice::from_ref(pattern));
                    patterns
                        .iter()
                        .map(|pattern| (pattern.matches(path), matches(pattern)))
                        .collect::<Vec<_>>()
                };
                let is_same = rules(one) == rules(other);
                assert!(is_same || class(one) != class(other), "{one} {other}");
            }
            assert!(class(one).is_some(), "{one}");
        }
        assert_eq!(class("/a/1"), class("/a/2"));
        assert_ne!(
            class("/a/1"),
            class("/a/"),
            "a slash at the end may not count"
        );
        for odd in [
            "//a", "/./a", "/a;v=1", "/%61", "/%c3%ad", "/a%2Fb", "/a b", "/a\\b", "/%",
        ] {
            assert_eq!(class(odd), None, "{odd}");
        }
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
    }

    #[track_caller]
    fn check_protected(pattern: &str, path: &str, expected: bool) {
        let parsed: PathPattern = pattern.parse().unwrap();
        assert_eq!(parsed.protects(path), expected, "{pattern} on {path}");
    }

    #[test]
    fn a_protective_pattern_holds_however_the_path_is_written() {
        for path in [
            "/pagos/1",
            "//pagos/1",
            "/pagos//1",
            "///pagos///1//",
            "/./pagos/1",
            "/pagos/./1",
            "/x/../pagos/1",
            "/x/y/../../pagos/1",
            "/../pagos/1",
            "/x/%2e%2e/pagos/1",
            "/x/%2E./pagos/1",
            "/x/%252e%252e/pagos/1",
            "/x/%25252e./pagos/1",
            "/%70agos/1",
            "/%2570agos/1",
            "/pagos%2f1",
            "/pagos%2F%2F1",
            "/pagos%252f1",
            "/x%2f..%2fpagos%2f1",
            "/\\pagos/1",
            "/x/..\\pagos/1",
            "/x/..%5cpagos/1",
            "/pagos;v=1/1",
            "/pagos;/1",
            "/x/..;/pagos/1",
            "/x/..;a=b/pagos/1",
            "/;x/pagos/1",
            "/pagos%3bx/1",
            // Not every server merges slashes, and not every one removes dot segments.
            "//pagos/1/../../x",
            "/x//../pagos/1",
            "/pagos//../1",
            "//pagos/%2e%2e/x",
            "/.//pagos/../x",
        ] {
            check_protected("/pagos/*", path, true);
        }
        for path in [
            "/",
            "/pago/1",
            "/x/pagos/1",
            "/pagos",
            "/Pagos/1",
            "/x/..pagos/1",
        ] {
            check_protected("/pagos/*", path, false);
        }
        for path in [
            "/pagos",
            "/pagos/",
            "//pagos",
            "/pagos/.",
            "/pagos/x/..",
            "/pagos;v=1",
        ] {
            check_protected("/pagos", path, true);
        }
        check_protected("/pagos", "/pagos/1", false);
        check_protected("*.php", "/x.php;a=b", true);
        check_protected("*.php", "/x.ph%70", true);
    }

    #[test]
    fn patterns_are_decoded_as_paths_are() {
        for (pattern, path) in [
            ("/@scope/*", "/%40scope/x"),
            ("/%40scope/*", "/@scope/x"),
            ("/%40scope/*", "//@scope/x"),
            ("/a b/*", "//a%20b/x"),
            ("/a%20b/*", "//a%20b/x"),
            ("/a%2fb/*", "/a/b/x"),
            ("/peluquería/*", "//peluquer%c3%ada/x"),
            ("/100%/*", "//100%/x"),
            ("/100%25/*", "/100%25/x"),
            ("/a;b/*", "//a;b/x"),
            ("/a*b", "/x/../a%2ab"),
        ] {
            check_protected(pattern, path, true);
        }
    }

    #[test]
    fn an_exception_that_stands_first_stays_one() {
        let rules = [("/pagos/ayuda/*", false), ("/pagos/*", true), ("*", false)]
            .map(|(text, is_never)| ([text.parse::<PathPattern>().unwrap()], is_never));
        for (path, expected) in [
            ("/pagos/ayuda/1", 0),
            ("//pagos/ayuda/1", 2),
            ("/pagos/1", 1),
            ("//pagos/1", 1),
            ("/pagos/ayuda/../1", 1),
            ("/pagos%2f1", 1),
            ("/x", 2),
        ] {
            let decided =
                PathReadings::of(path).deciding_rule(&rules, |rule| &rule.0, |rule| rule.1);
            assert!(std::ptr::eq(decided.unwrap(), &rules[expected]), "{path}");
        }
    }

    #[test]
    fn absurd_paths_are_resolved_in_linear_time() {
        let pattern: PathPattern = "/pagos/*".parse().unwrap();
        for part in [
            "%25", "%2525", "/..", "/.", "//", ";", "/;", "%", "%2f", "a/../",
        ] {
            assert!(!pattern.protects(&format!("/{}", part.repeat(100_000 / part.len()))));
        }
        let nested = format!("/%{}70agos/1", "25".repeat(50_000));
        assert!(pattern.protects(&nested));
    }

    #[test]
    fn an_ordinary_path_costs_no_allocation() {
        for path in [
            "/",
            "/pagos/1",
            "/a.css",
            "/wp-content/x/",
            "/caf%C3%A9",
            "/a%20b",
            "*",
        ] {
            let readings = PathReadings::of(path);
            assert!(readings.resolved.is_empty(), "{path}: {readings:?}");
        }
    }
}
