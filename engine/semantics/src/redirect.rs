//! Where a redirect of the operator leads (RFC 9110 §10.2.2, §15.4): a template with parts of the
//! request's path. What a client sends never becomes the scheme or the authority of the new URL, and
//! nothing in it ends the line of the field.

use std::fmt::Write as _;

use super::authority::{NamedAuthority, Scheme};

/// The longest template, in bytes.
const MAX_TEMPLATE: usize = 2_048;

/// A URL or a path with placeholders for parts of the request's path: `{path}` is the path without
/// its first slashes, `{rest}` what the star at the end of the route's pattern stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedirectTemplate {
    pieces: Vec<RedirectPiece>,
    has_query: bool,
    needs_rest: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum RedirectPiece {
    Text(Box<str>),
    Path,
    Rest,
}

/// Why a text is not a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// It is neither an absolute URL nor a path.
    NoTarget,
    /// A client would choose the host.
    OpenAuthority,
    /// A byte can't stand in a URL.
    BadCharacter,
    /// A placeholder is unknown, or not closed.
    BadPlaceholder,
    /// It is empty or too long.
    Length,
}

impl TemplateError {
    /// The reason, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            TemplateError::NoTarget => "it is neither a URL nor a path",
            TemplateError::OpenAuthority => "the host must be written out and end with a slash",
            TemplateError::BadCharacter => "a URL can't have these characters",
            TemplateError::BadPlaceholder => "there are the placeholders {path} and {rest}",
            TemplateError::Length => "it is empty, or longer than 2048 bytes",
        }
    }
}

impl RedirectTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`]
    ///
    /// ```
    /// use tero_semantics::redirect::{RedirectTemplate, TemplateError};
    ///
    /// let template = RedirectTemplate::parse("https://new.example/{path}").unwrap();
    /// assert_eq!(template.location("/a", "", Some("b=c")), "https://new.example/a?b=c");
    /// let open = RedirectTemplate::parse("https://new.example{path}");
    /// assert_eq!(open, Err(TemplateError::OpenAuthority));
    /// ```
    pub fn parse(text: &str) -> Result<RedirectTemplate, TemplateError> {
        if text.is_empty() || text.len() > MAX_TEMPLATE {
            return Err(TemplateError::Length);
        }
        if !text
            .bytes()
            .all(|byte| is_of_url(byte) || matches!(byte, b'{' | b'}'))
        {
            return Err(TemplateError::BadCharacter);
        }
        check_target(text)?;
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(TemplateError::BadPlaceholder)?;
            if !before.is_empty() {
                pieces.push(RedirectPiece::Text(before.into()));
            }
            pieces.push(match name {
                "path" => RedirectPiece::Path,
                "rest" => RedirectPiece::Rest,
                _ => return Err(TemplateError::BadPlaceholder),
            });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(RedirectPiece::Text(rest.into()));
        }
        let closes_nothing = |piece: &RedirectPiece| match piece {
            RedirectPiece::Text(text) => text.contains('}'),
            RedirectPiece::Path | RedirectPiece::Rest => false,
        };
        if pieces.iter().any(closes_nothing) {
            return Err(TemplateError::BadPlaceholder);
        }
        Ok(RedirectTemplate {
            has_query: text.contains('?'),
            needs_rest: pieces.contains(&RedirectPiece::Rest),
            pieces,
        })
    }

    /// Whether it has `{rest}`.
    pub fn needs_rest(&self) -> bool {
        self.needs_rest
    }

    /// The value of `Location` for a request with this path, what the star of its route's pattern
    /// stands for, and the query to keep.
    pub fn location(&self, path: &str, rest: &str, query: Option<&str>) -> String {
        let mut location = String::new();
        for piece in &self.pieces {
            match piece {
                RedirectPiece::Text(text) => location.push_str(text),
                RedirectPiece::Path => push_part(&mut location, path),
                RedirectPiece::Rest => push_part(&mut location, rest),
            }
        }
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            location.push(if self.has_query { '&' } else { '?' });
            push_encoded(&mut location, query);
        }
        location
    }
}

/// The target is a path of this site, or has a host that is written out.
fn check_target(text: &str) -> Result<(), TemplateError> {
    if let Some(rest) = text.strip_prefix('/') {
        // `//host` and what browsers read as such.
        return match rest.starts_with(['/', '\\']) {
            true => Err(TemplateError::OpenAuthority),
            false => Ok(()),
        };
    }
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .ok_or(TemplateError::NoTarget)?;
    let authority = match rest.split_once('/') {
        Some((authority, _)) => authority,
        None if rest.contains('{') => return Err(TemplateError::OpenAuthority),
        None => rest,
    };
    let is_good = !authority.contains(['{', '}', '?', '@', '*'])
        && NamedAuthority::parse(authority).is_some();
    is_good.then_some(()).ok_or(TemplateError::OpenAuthority)
}

/// Adds a part of a path. At the beginning of a path, a slash would make an authority of what
/// follows.
fn push_part(location: &mut String, part: &str) {
    push_encoded(location, part.trim_start_matches(['/', '\\']));
}

/// Adds text of a client: what can't stand in a URL is encoded.
fn push_encoded(location: &mut String, text: &str) {
    for byte in text.bytes() {
        match is_of_url(byte) && byte != b'\\' {
            true => location.push(char::from(byte)),
            // A string takes all that is written to it.
            false => drop(write!(location, "%{byte:02X}")),
        }
    }
}

/// Whether a byte may stand in the path or query of a URL as it is (RFC 3986 §3.3, §3.4).
fn is_of_url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%[]".contains(&byte)
}

/// The URL of the same page by https; the port is left out if it is the scheme's own.
///
/// ```
/// use tero_semantics::redirect::https_url;
///
/// assert_eq!(https_url("a.example", 443, "/x", Some("y=z")), "https://a.example/x?y=z");
/// assert_eq!(https_url("a.example", 8443, "/", None), "https://a.example:8443/");
/// ```
pub fn https_url(host: &str, port: u16, path: &str, query: Option<&str>) -> String {
    let mut url = format!("https://{host}");
    if port != Scheme::Https.default_port() {
        let _ = write!(url, ":{port}");
    }
    push_encoded(&mut url, path);
    if let Some(query) = query {
        url.push('?');
        push_encoded(&mut url, query);
    }
    url
}

/// What the star at the end of a pattern stands for in a path that the pattern matches; `None` if
/// the pattern has no star, one within, or several. Percent-encoding that is not needed makes no
/// difference before the star.
///
/// ```
/// use tero_semantics::redirect::rest_of;
///
/// assert_eq!(rest_of("/old/*", "/old/a/b"), Some("a/b"));
/// assert_eq!(rest_of("/old/*", "/%6fld/a"), Some("a"));
/// assert_eq!(rest_of("*.css", "/a.css"), None);
/// ```
pub fn rest_of<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    let prefix = pattern
        .strip_suffix('*')
        .filter(|prefix| !prefix.contains('*'))?;
    let (mut prefix, mut at) = (prefix.as_bytes(), 0);
    while !prefix.is_empty() {
        let (wanted, of_prefix) = first_byte(prefix)?;
        let (found, of_path) = first_byte(path.as_bytes().get(at..)?)?;
        if wanted != found {
            return None;
        }
        prefix = &prefix[of_prefix..];
        at += of_path;
    }
    path.get(at..)
}

/// The first byte, decoded, and how many bytes it takes.
fn first_byte(text: &[u8]) -> Option<(u8, usize)> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    match text {
        [b'%', high, low, ..] => match digit(*high).zip(digit(*low)) {
            Some((high, low)) => Some((high << 4 | low, 3)),
            None => Some((b'%', 1)),
        },
        [byte, ..] => Some((*byte, 1)),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_never_chooses_the_host() {
        let location = |template: &str, path: &str| {
            let template = RedirectTemplate::parse(template).unwrap();
            template.location(path, path, Some("q=1"))
        };
        for (template, path, expected) in [
            ("/{path}", "/a/b", "/a/b?q=1"),
            ("/{path}", "//evil.example/x", "/evil.example/x?q=1"),
            ("/{path}", "/\\evil.example", "/evil.example?q=1"),
            ("/{path}", "/\\/\\evil.example", "/evil.example?q=1"),
            ("/{rest}", "//evil.example", "/evil.example?q=1"),
            ("/new/{path}", "/a\\b", "/new/a%5Cb?q=1"),
            (
                "https://a.example/{path}",
                "//b.example",
                "https://a.example/b.example?q=1",
            ),
            (
                "https://a.example/{path}",
                "/@b.example",
                "https://a.example/@b.example?q=1",
            ),
            (
                "https://a.example:8443/",
                "/x",
                "https://a.example:8443/?q=1",
            ),
            ("https://a.example", "/x", "https://a.example?q=1"),
            ("/s?p={path}", "/x", "/s?p=x&q=1"),
            (
                "/{path}",
                "/a\r\nSet-Cookie: b",
                "/a%0D%0ASet-Cookie:%20b?q=1",
            ),
            (
                "/{path}",
                "/é{\"<>|^`#",
                "/%C3%A9%7B%22%3C%3E%7C%5E%60%23?q=1",
            ),
            ("/{path}", "/%0d%0a", "/%0d%0a?q=1"),
        ] {
            assert_eq!(location(template, path), expected, "{template} {path}");
        }
    }

    #[test]
    fn templates_that_leave_the_host_open_are_refused() {
        for (text, expected) in [
            ("", TemplateError::Length),
            ("{path}", TemplateError::NoTarget),
            ("ftp://a.example/", TemplateError::NoTarget),
            ("javascript:alert(1)", TemplateError::NoTarget),
            ("a.example/{path}", TemplateError::NoTarget),
            ("//a.example/", TemplateError::OpenAuthority),
            ("https://{path}", TemplateError::OpenAuthority),
            ("https://{path}/", TemplateError::OpenAuthority),
            ("https://a.example{path}", TemplateError::OpenAuthority),
            ("https://a.example@{path}/", TemplateError::OpenAuthority),
            ("https://user@a.example/", TemplateError::OpenAuthority),
            ("https:///x", TemplateError::OpenAuthority),
            ("/\\a.example", TemplateError::BadCharacter),
            ("/a b", TemplateError::BadCharacter),
            ("/a\r\nb", TemplateError::BadCharacter),
            ("/a#b", TemplateError::BadCharacter),
            ("/{host}", TemplateError::BadPlaceholder),
            ("/{path", TemplateError::BadPlaceholder),
            ("/path}", TemplateError::BadPlaceholder),
        ] {
            assert_eq!(RedirectTemplate::parse(text), Err(expected), "{text}");
        }
        assert!(RedirectTemplate::parse("/").is_ok());
        let of = |length: usize| format!("/{}", "a".repeat(length - 1));
        assert!(RedirectTemplate::parse(&of(2_048)).is_ok());
        assert_eq!(
            RedirectTemplate::parse(&of(2_049)),
            Err(TemplateError::Length)
        );
    }

    #[test]
    fn the_rest_is_what_the_last_star_stands_for() {
        for (pattern, path, expected) in [
            ("/old/*", "/old/", Some("")),
            ("/old/*", "/old/a?", Some("a?")),
            ("/Old/*", "/old/a", None),
            ("/peluquería/*", "/peluquer%C3%ADa/x", Some("x")),
            ("/a/*/b/*", "/a/x/b/y", None),
            ("/a", "/a", None),
            ("*", "/a", Some("/a")),
            ("/a%*", "/a%", Some("")),
        ] {
            assert_eq!(rest_of(pattern, path), expected, "{pattern} {path}");
        }
    }
}
