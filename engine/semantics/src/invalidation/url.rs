//! Absolute URLs, and references resolved against them (RFC 3986 §5.2), as far as keys tell them
//! apart.

use http::{HeaderValue, Uri};

use crate::key::without_default_port;

/// An absolute URL in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UrlParts {
    scheme: String,
    /// Lower case, without the default port of the scheme and without user information.
    authority: String,
    /// From the first slash to before the question mark.
    path: String,
    query: Option<String>,
}

impl UrlParts {
    /// The parts of a URL; `None` if it isn't absolute.
    pub(super) fn of(uri: &Uri) -> Option<UrlParts> {
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

    /// The URL as a text.
    pub(super) fn url(&self) -> String {
        let query = self
            .query
            .as_deref()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        format!("{}://{}{}{query}", self.scheme, self.authority, self.path)
    }

    /// Whether both have the same origin: scheme, host and port.
    pub(super) fn has_origin_of(&self, other: &UrlParts) -> bool {
        self.scheme == other.scheme && self.authority == other.authority
    }

    /// The URL that a reference means here (RFC 3986 §5.2.2); `None` if it is malformed or of
    /// another scheme than `http` and `https`.
    pub(super) fn resolve(&self, reference: &HeaderValue) -> Option<UrlParts> {
        let reference = reference.to_str().ok()?.trim();
        let reference = reference
            .split_once('#')
            .map_or(reference, |(before, _)| before);
        if let Some((scheme, rest)) = split_scheme(reference) {
            let scheme = scheme.to_ascii_lowercase();
            let rest = rest.strip_prefix("//")?;
            return matches!(scheme.as_str(), "http" | "https").then(|| at(&scheme, rest))?;
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return at(&self.scheme, rest);
        }
        Some(self.with_path(reference))
    }

    /// The URL that a reference means that begins with a path, a query, or is empty.
    fn with_path(&self, reference: &str) -> UrlParts {
        let (path, query) = split_query(reference);
        let (path, query) = match path {
            "" => (self.path.clone(), query.or(self.query.as_deref())),
            path if path.starts_with('/') => (without_dot_segments(path), query),
            path => {
                let slash = self.path.rfind('/');
                let folder = slash.map_or("/", |slash| &self.path[..=slash]);
                (without_dot_segments(&format!("{folder}{path}")), query)
            }
        };
        UrlParts {
            path,
            query: query.map(str::to_owned),
            ..self.clone()
        }
    }
}

/// The URL with `rest` after its scheme and `//`; `None` if it has no authority.
fn at(scheme: &str, rest: &str) -> Option<UrlParts> {
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
    Some(UrlParts {
        scheme: scheme.to_owned(),
        authority: authority_of(scheme, authority),
        path,
        query: query.map(str::to_owned),
    })
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

/// A scheme (RFC 3986 §3.1) and what follows its colon; `None` if the reference is relative.
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
        // A dot segment at the end names a folder, so the slash before it stays.
        if is_last && matches!(segment, "." | "..") {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}
