//! Media types (RFC 9110 §8.3.1), and patterns of them.

use http::header::{CONTENT_TYPE, HeaderMap};

/// A media type, or a kind of media types: `application/json`, `text/*`, `application/*+xml`. Upper
/// and lower case are alike, and parameters don't count.
///
/// ```
/// use tero_semantics::media_type::MediaTypePattern;
///
/// let pattern = |text| MediaTypePattern::parse(text).unwrap();
/// assert!(pattern("text/*").matches("text/html"));
/// assert!(pattern("application/*+xml").matches("application/atom+xml"));
/// assert!(!pattern("application/json").matches("application/json-seq"));
/// assert!(MediaTypePattern::parse("html").is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaTypePattern {
    /// In lower case, as it was written.
    text: Box<str>,
    /// Where a `*` stands in it.
    star: Option<usize>,
}

impl MediaTypePattern {
    /// The pattern that `text` writes. `None` unless it is a type and a subtype; in the place of
    /// the subtype, or of what stands before its suffix, `*` stands for any.
    pub fn parse(text: &str) -> Option<MediaTypePattern> {
        let (main, sub) = text.split_once('/')?;
        let rest = match sub.strip_prefix('*') {
            None => sub,
            Some("") => "x",
            Some(suffix) => suffix.strip_prefix('+')?,
        };
        (is_token(main) && is_token(rest)).then(|| MediaTypePattern {
            text: text.to_ascii_lowercase().into(),
            star: sub.starts_with('*').then_some(main.len() + 1),
        })
    }

    /// Whether it matches a media type without parameters.
    pub fn matches(&self, media_type: &str) -> bool {
        let (own, given) = (self.text.as_bytes(), media_type.as_bytes());
        let Some(star) = self.star else {
            return own.eq_ignore_ascii_case(given);
        };
        let (before, after) = (&own[..star], &own[star + 1..]);
        given.len() > before.len() + after.len()
            && given[..star].eq_ignore_ascii_case(before)
            && given[given.len() - after.len()..].eq_ignore_ascii_case(after)
    }

    /// As it was written, in lower case.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The media type of a response without its parameters; `None` if it says none, or several.
pub fn media_type(response: &HeaderMap) -> Option<&str> {
    let mut lines = response.get_all(CONTENT_TYPE).iter();
    let only = lines.next().filter(|_| lines.next().is_none())?;
    let media_type = only.to_str().ok()?.split(';').next()?.trim_ascii();
    (!media_type.is_empty()).then_some(media_type)
}

/// A token (RFC 9110 §5.6.2), but for `*`, which no media type in use has.
fn is_token(text: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_tchar)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    #[test]
    fn a_pattern_is_a_type_a_kind_or_a_suffix() {
        for text in ["text/html", "text/*", "application/*+json", "X/y.z-1"] {
            assert!(MediaTypePattern::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "/",
            "text",
            "text/",
            "/html",
            "*/*",
            "*",
            "text/*html",
            "text/*+",
            "text/h*",
            "te xt/html",
            "text/html; charset=utf-8",
            "text/*+*",
            "a/b/c",
        ] {
            assert_eq!(MediaTypePattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn types_are_matched_whatever_their_case() {
        let matches = |pattern, given| MediaTypePattern::parse(pattern).unwrap().matches(given);
        assert!(matches("TEXT/html", "text/HTML"));
        assert!(matches("text/*", "Text/x"));
        assert!(!matches("text/*", "text/"));
        assert!(!matches("text/*", "textual/x"));
        assert!(!matches("text/*", "application/text"));
        assert!(matches("image/*+xml", "image/svg+XML"));
        assert!(!matches("image/*+xml", "image/+xml"));
        assert!(!matches("image/*+xml", "image/xml"));
        assert_eq!(
            MediaTypePattern::parse("Text/*").unwrap().as_str(),
            "text/*"
        );
    }

    #[test]
    fn parameters_do_not_count_and_several_types_are_none() {
        let of = |lines| media_type(&headers(lines)).map(str::to_owned);
        let html = Some("text/html".to_owned());
        assert_eq!(of(&[("content-type", "text/html")]), html);
        assert_eq!(of(&[("content-type", " text/html ; charset=x")]), html);
        assert_eq!(of(&[("content-type", "")]), None);
        assert_eq!(of(&[("content-type", "text/html\u{e9}")]), None);
        assert_eq!(
            of(&[("content-type", "a/b"), ("content-type", "a/b")]),
            None
        );
        assert_eq!(of(&[]), None);
    }
}
