//! URLs and hosts, as in request lines, fields, plans and sitemaps.
//!
//! ```text
//! http://www.example:80/a/b?c=1&d=2
//! sort ignore utm_* fbclid
//! ../other?x#y
//! ```
//!
//! The first line is a URL, the second a rule for its query, and the third a reference relative to
//! the URL.

use http::header::{HeaderMap, LOCATION};
use http::{HeaderValue, Method, StatusCode, Uri};
use tero_control::warm::sitemap::split_url;
use tero_semantics::authority::{Authority, NamedAuthority, Scheme};
use tero_semantics::decision::{QueryParameters, QueryRule};
use tero_semantics::invalidation;
use tero_semantics::key::{self, KeyParts};
use tero_semantics::path::{PathPattern, PathReadings};

/// Reads a URL, its query by the rule, and a reference relative to it.
pub fn urls(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut lines = text.lines();
    let mut line = || lines.next().unwrap_or_default();
    let (url, rule, reference) = (line(), query_rule(line()), line());
    if let Some((host, target)) = split_url(url) {
        assert!(!host.is_empty() && target.starts_with('/') && !target.contains('#'));
    }
    if let Some(host) = key::host_of(url) {
        assert!(!host.is_empty() && !host.contains(['@', '/', '?', '#', '\n', ' ']));
    }
    if let Some(named) = NamedAuthority::parse(url) {
        authority(named);
    }
    let Ok(uri) = url.parse::<Uri>() else { return };
    protected(uri.path(), reference);
    canonical(&uri, &rule);
    keys(&uri);
    resolved(&uri, reference);
}

/// An authority has one form: what it writes is read as the same.
fn authority(named: NamedAuthority<'_>) {
    for scheme in Scheme::ALL {
        let authority = Authority::new(named, scheme);
        let text = authority.as_str();
        let again = NamedAuthority::parse(text).map(|named| Authority::new(named, scheme));
        assert_eq!(again.as_ref(), Some(&authority));
        assert!(
            !text.bytes().any(|byte| byte.is_ascii_uppercase()) && !authority.host().ends_with('.')
        );
        assert_eq!(Authority::is_with_port(text), authority.port().is_some());
        assert_eq!(
            authority.port_text(scheme).parse().ok(),
            authority.port().or(Some(scheme.default_port()))
        );
    }
}

/// What a pattern matches it protects, and a pattern protects what it is made from.
fn protected(path: &str, pattern: &str) {
    if let Ok(pattern) = pattern.parse::<PathPattern>() {
        assert!(!pattern.matches(path) || pattern.protects(path));
        assert!(
            PathReadings::of(path).are_met_by(std::slice::from_ref(&pattern))
                == pattern.protects(path)
        );
    }
    let everything: PathPattern = "/*".parse().expect("it is a pattern");
    assert!(!path.starts_with('/') || everything.protects(path));
}

fn query_rule(line: &str) -> QueryRule {
    let patterns = || {
        line.split_ascii_whitespace()
            .filter(|word| !matches!(*word, "sort" | "ignore" | "only"))
    };
    let has = |word: &str| line.split_ascii_whitespace().any(|said| said == word);
    let parameters = match () {
        () if has("ignore") => QueryParameters::Ignore(patterns().map(str::to_owned).collect()),
        () if has("only") => QueryParameters::Only(patterns().map(str::to_owned).collect()),
        () => QueryParameters::All,
    };
    QueryRule {
        parameters,
        sort: has("sort"),
    }
}

fn canonical(uri: &Uri, rule: &QueryRule) {
    let Some(canonical) = key::canonical_query(uri.query(), rule) else {
        return;
    };
    assert_eq!(
        key::canonical_query(Some(&canonical), rule).as_deref(),
        Some(&*canonical)
    );
    let original = uri.query().unwrap_or_default();
    assert!(
        canonical
            .split('&')
            .all(|parameter| original.split('&').any(|own| own == parameter))
    );
}

fn keys(uri: &Uri) {
    let (scheme, host) = (
        uri.scheme_str().unwrap_or("http"),
        uri.authority().map_or("h", |authority| authority.as_str()),
    );
    let write = |variant: Option<&str>| {
        let mut written = Vec::new();
        let parts = KeyParts {
            scheme,
            authority: host,
            path: uri.path(),
            query: uri.query(),
            variant,
        };
        key::write_key(&mut written, &parts);
        written
    };
    let (plain, mobile) = (write(None), write(Some("mobile")));
    assert_ne!(plain, mobile);
    assert_eq!(
        (key::variant_of(&plain), key::variant_of(&mobile)),
        (None, Some("mobile"))
    );
    assert_eq!(key::url_of(&plain), key::url_of(&mobile));
    assert!(!key::url_of(&plain).is_empty());
}

/// Checks that a reference invalidates nothing of another origin.
fn resolved(uri: &Uri, reference: &str) {
    let Ok(value) = HeaderValue::from_str(reference) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert(LOCATION, value);
    let urls = invalidation::invalidated(&Method::POST, StatusCode::CREATED, uri, &headers);
    let origin = |url: &str| {
        let (scheme, rest) = url.split_once("://").expect("it is absolute");
        (
            scheme.to_owned(),
            rest.split(['/', '?']).next().unwrap_or_default().to_owned(),
        )
    };
    if let Some(own) = urls.first() {
        assert!(
            urls.iter()
                .all(|url| origin(url) == origin(own) && !url.contains('#')),
            "{urls:?}"
        );
        assert!(urls.len() <= 2);
    }
}
