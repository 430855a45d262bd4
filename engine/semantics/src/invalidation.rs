//! Which stored responses an unsafe request makes invalid (RFC 9111 §4.4), and cache groups (RFC
//! 9875).

use http::header::{CONTENT_LOCATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::{Method, StatusCode, Uri};

use super::key::without_default_port;

/// `Cache-Groups` (RFC 9875 §2)
pub const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
/// `Cache-Group-Invalidation` (RFC 9875 §3)
pub const CACHE_GROUP_INVALIDATION: HeaderName =
    HeaderName::from_static("cache-group-invalidation");
/// How many groups of one field count. RFC 9875 §2 asks for at least 32.
pub const MAX_GROUPS: usize = 64;
/// How long the name of a group may be, in bytes. RFC 9875 §2 asks for at least 32.
pub const MAX_GROUP_BYTES: usize = 128;

/// Whether a method is known to be safe (RFC 9110 §9.2.1 and the registry of methods). All others
/// may change what is stored.
pub fn is_safe(method: &Method) -> bool {
    matches!(
        method.as_str(),
        "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PROPFIND" | "REPORT" | "SEARCH" | "QUERY"
    )
}

/// The absolute URLs, each without a fragment and with its host in lower case, whose stored
/// responses are invalid after this answer: the target's, and those of `Location` and
/// `Content-Location` where they have the target's origin; nothing where the method is safe or the
/// answer an error (§4.4).
pub fn invalidated(
    method: &Method,
    status: StatusCode,
    target: &Uri,
    response: &HeaderMap,
) -> Vec<String> {
    if !changes_something(method, status) {
        return Vec::new();
    }
    let Some(target) = UrlParts::of(target) else {
        return Vec::new();
    };
    let mut urls = vec![target.url()];
    for name in [LOCATION, CONTENT_LOCATION] {
        let named = response
            .get(name)
            .and_then(|reference| target.resolve(reference));
        // Another origin's responses are not this one's to invalidate (§4.4).
        let same_origin = named
            .filter(|named| named.scheme == target.scheme && named.authority == target.authority);
        if let Some(url) = same_origin
            .map(|named| named.url())
            .filter(|url| !urls.contains(url))
        {
            urls.push(url);
        }
    }
    urls
}

/// §4.4: a non-error answer, 2xx or 3xx, to a method that is not known to be safe.
fn changes_something(method: &Method, status: StatusCode) -> bool {
    !is_safe(method) && (status.is_success() || status.is_redirection())
}

/// The groups of a response (RFC 9875 §2): a list of strings. Members of another type, too long or
/// beyond the bound are left out; a field that is not a list says nothing.
pub fn cache_groups(response: &HeaderMap) -> Vec<String> {
    groups(response, &CACHE_GROUPS)
}

/// The groups whose stored responses of the same origin are invalid after this answer (RFC 9875
/// §3).
pub fn invalidated_groups(
    method: &Method,
    status: StatusCode,
    response: &HeaderMap,
) -> Vec<String> {
    if changes_something(method, status) {
        groups(response, &CACHE_GROUP_INVALIDATION)
    } else {
        Vec::new()
    }
}

fn groups(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lines: Vec<&[u8]> = headers
        .get_all(name)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let list: Result<sfv::List, _> = sfv::Parser::new(&lines.join(&b", "[..])).parse();
    let named = |member: sfv::ListEntry| match member {
        sfv::ListEntry::Item(item) => item
            .bare_item
            .as_string()
            .map(|name| name.as_str().to_owned()),
        sfv::ListEntry::InnerList(_) => None,
    };
    let fits = |name: &String| (1..=MAX_GROUP_BYTES).contains(&name.len());
    list.unwrap_or_default()
        .into_iter()
        .filter_map(named)
        .filter(fits)
        .take(MAX_GROUPS)
        .collect()
}

/// Whether `Content-Location` names the target itself (RFC 9110 §8.7).
pub(crate) fn same_resource(target: &Uri, content_location: Option<&HeaderValue>) -> bool {
    let Some((target, reference)) = UrlParts::of(target).zip(content_location) else {
        return false;
    };
    target
        .resolve(reference)
        .is_some_and(|named| named == target)
}

/// An absolute URL in its parts, as far as keys tell them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct UrlParts {
    scheme: String,
    /// Lower case, without the scheme's own port and without user information.
    authority: String,
    /// From the first slash to before the question mark.
    path: String,
    query: Option<String>,
}

impl UrlParts {
    fn of(uri: &Uri) -> Option<UrlParts> {
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let authority = authority_of(&scheme, uri.authority()?.as_str());
        let path = if uri.path().is_empty() {
            "/"
        } else {
            uri.path()
        };
        Some(UrlParts {
            scheme,
            authority,
            path: path.to_owned(),
            query: uri.query().map(str::to_owned),
        })
    }

    fn url(&self) -> String {
        let query = self
            .query
            .as_deref()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        format!("{}://{}{}{query}", self.scheme, self.authority, self.path)
    }

    /// The place that a reference means when it is read here (RFC 3986 §5.2.2); none where it is
    /// none of HTTP's.
    fn resolve(&self, reference: &HeaderValue) -> Option<UrlParts> {
        let reference = reference.to_str().ok()?.trim();
        let reference = reference
            .split_once('#')
            .map_or(reference, |(before, _)| before);
        if let Some((scheme, rest)) = split_scheme(reference) {
            let scheme = scheme.to_ascii_lowercase();
            let rest = rest.strip_prefix("//")?;
            return matches!(scheme.as_str(), "http" | "https").then(|| self.at(&scheme, rest))?;
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return self.at(&self.scheme, rest);
        }
        let (path, query) = split_query(reference);
        let (path, query) = match path {
            "" => (self.path.clone(), query.or(self.query.as_deref())),
            path if path.starts_with('/') => (without_dot_segments(path), query),
            path => {
                let folder = self
                    .path
                    .rfind('/')
                    .map_or("/", |slash| &self.path[..=slash]);
                (without_dot_segments(&format!("{folder}{path}")), query)
            }
        };
        Some(UrlParts {
            path,
            query: query.map(str::to_owned),
            ..self.clone()
        })
    }

    /// The place of `authority[/path][?query]`.
    fn at(&self, scheme: &str, rest: &str) -> Option<UrlParts> {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if authority.is_empty() {
            return None;
        }
        let (path, query) = split_query(rest);
        let path = if path.is_empty() {
            "/".to_owned()
        } else {
            without_dot_segments(path)
        };
        let authority = authority_of(scheme, authority);
        Some(UrlParts {
            scheme: scheme.to_owned(),
            authority,
            path,
            query: query.map(str::to_owned),
        })
    }
}

fn authority_of(scheme: &str, authority: &str) -> String {
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    without_default_port(scheme, host).to_ascii_lowercase()
}

fn split_query(reference: &str) -> (&str, Option<&str>) {
    reference
        .split_once('?')
        .map_or((reference, None), |(path, query)| (path, Some(query)))
}

/// A scheme (RFC 3986 §3.1) and what follows its colon; none where the reference is relative.
fn split_scheme(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then_some((scheme, rest))
}

/// RFC 3986 §5.2.4, for a path that begins with a slash.
fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
        // A dot segment at the end names a folder, so that the slash before it stays.
        if is_last && matches!(segment, "." | "..") {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{FieldLines, headers};
    use super::*;

    const TARGET: &str = "http://Example.com/a/b?c=d";

    fn urls(method: &str, status: u16, response: FieldLines<'_>) -> Vec<String> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        invalidated(
            &method,
            StatusCode::from_u16(status).unwrap(),
            &Uri::from_static(TARGET),
            &headers(response),
        )
    }

    #[test]
    fn unsafe_and_unknown_methods_invalidate_their_target() {
        for method in [
            "POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "FOO", "get", "PURGE", "MKCOL",
        ] {
            for status in [200, 201, 204, 299, 301, 303, 399] {
                assert_eq!(
                    urls(method, status, &[]),
                    ["http://example.com/a/b?c=d"],
                    "{method} {status}"
                );
            }
            for status in [100, 199, 400, 404, 499, 500, 503, 599, 600] {
                assert_eq!(urls(method, status, &[]), [""; 0], "{method} {status}");
            }
        }
        for method in [
            "GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY",
        ] {
            assert_eq!(
                urls(method, 200, &[("location", "/x")]),
                [""; 0],
                "{method}"
            );
        }
    }

    #[test]
    fn location_and_content_location_are_invalidated_within_the_origin() {
        let rows = [
            ("/x", Some("http://example.com/x")),
            ("/x?y=1#z", Some("http://example.com/x?y=1")),
            ("x", Some("http://example.com/a/x")),
            ("./x", Some("http://example.com/a/x")),
            ("../x", Some("http://example.com/x")),
            ("../../../x", Some("http://example.com/x")),
            ("x/", Some("http://example.com/a/x/")),
            (".", Some("http://example.com/a/")),
            ("..", Some("http://example.com/")),
            ("/a/./x/../y/..", Some("http://example.com/a/")),
            ("/a//b", Some("http://example.com/a//b")),
            ("?e=f", Some("http://example.com/a/b?e=f")),
            ("", None),
            ("#z", None),
            ("//example.com/x", Some("http://example.com/x")),
            ("//EXAMPLE.com:80", Some("http://example.com/")),
            ("http://example.com/x", Some("http://example.com/x")),
            (
                "HTTP://u:p@Example.COM:80/x?y",
                Some("http://example.com/x?y"),
            ),
            ("http://example.com?y", Some("http://example.com/?y")),
            ("http://example.com/a/b?c=d", None),
            ("http://example.com:8080/x", None),
            ("https://example.com/x", None),
            ("http://other.example/x", None),
            ("//other.example/x", None),
            ("http:x", None),
            ("http://", None),
            ("ftp://example.com/x", None),
            ("mailto:x@example.com", None),
            ("/caf\u{e9}", None),
        ];
        for (reference, expected) in rows {
            for name in ["location", "content-location"] {
                let seen = urls("POST", 201, &[(name, reference)]);
                assert_eq!(
                    seen.get(1).map(String::as_str),
                    expected,
                    "{name}: {reference}"
                );
            }
        }
        assert_eq!(
            urls(
                "PUT",
                200,
                &[("location", "/x"), ("content-location", "/y")]
            )
            .len(),
            3
        );
        assert_eq!(
            urls(
                "PUT",
                200,
                &[("location", "/x"), ("content-location", "/x")]
            )
            .len(),
            2
        );
    }

    #[test]
    fn a_target_without_an_origin_invalidates_nothing() {
        assert_eq!(
            invalidated(
                &Method::POST,
                StatusCode::OK,
                &Uri::from_static("/a"),
                &HeaderMap::new()
            ),
            [""; 0]
        );
        assert_eq!(
            invalidated(
                &Method::POST,
                StatusCode::OK,
                &Uri::from_static("*"),
                &HeaderMap::new()
            ),
            [""; 0]
        );
    }

    #[test]
    fn groups_are_strings_within_bounds() {
        let groups = |lines: &[&str]| {
            let lines: Vec<_> = lines.iter().map(|line| ("cache-groups", *line)).collect();
            cache_groups(&headers(&lines))
        };
        assert_eq!(groups(&[]), [""; 0]);
        assert_eq!(groups(&["\"a\", \"B c\";x=1", "\"d\""]), ["a", "B c", "d"]);
        assert_eq!(groups(&["\"a\", token, 1, (\"b\"), \"\""]), ["a"]);
        assert_eq!(groups(&["\"a\", "]), [""; 0]);
        assert_eq!(
            groups(&[&format!(
                "\"{}\", \"{}\"",
                "x".repeat(MAX_GROUP_BYTES + 1),
                "y".repeat(MAX_GROUP_BYTES)
            )]),
            ["y".repeat(MAX_GROUP_BYTES)]
        );
        let many: Vec<String> = (0..=MAX_GROUPS).map(|at| format!("\"{at}\"")).collect();
        assert_eq!(groups(&[&many.join(", ")]).len(), MAX_GROUPS);
    }

    #[test]
    fn groups_are_invalidated_by_what_changes_something() {
        let response = headers(&[("cache-group-invalidation", "\"a\", \"b\"")]);
        assert_eq!(
            invalidated_groups(&Method::POST, StatusCode::NO_CONTENT, &response),
            ["a", "b"]
        );
        assert_eq!(
            invalidated_groups(&Method::GET, StatusCode::OK, &response),
            [""; 0]
        );
        assert_eq!(
            invalidated_groups(&Method::POST, StatusCode::BAD_REQUEST, &response),
            [""; 0]
        );
    }
}
