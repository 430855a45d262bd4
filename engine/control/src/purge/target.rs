//! The target of a purge, as far as it can be read without the sites.

use http::Uri;

use tero_admin_api::PurgeTarget;
use tero_semantics::authority::NamedAuthority;

/// The longest URL, prefix or name, in bytes.
const MAX_TEXT: usize = 8_192;
/// The longest tag, in bytes.
const MAX_TAG: usize = 128;

const URL: &str = "write an absolute URL, \"http://www.example.org/path\"";

/// The parts of a [`PurgeTarget`].
#[derive(Debug, PartialEq, Eq)]
pub enum TargetParts {
    /// A URL, with all its variants.
    Url(HostPath),
    /// All URLs that begin so.
    Prefix(HostPath),
    /// A surrogate key: 1 to 128 visible ASCII characters.
    Tag(String),
    /// A site, by its name.
    Site(String),
}

/// A place on a host.
#[derive(Debug, PartialEq, Eq)]
pub struct HostPath {
    /// Lower case, without port, as sites know it.
    pub host: String,
    /// Path and query; empty, or with a slash or a question mark in front.
    pub path: String,
}

/// Why a target is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It is empty, or longer than 8192 bytes.
    #[error("the target is empty or too long")]
    Length,
    /// It is not a tag.
    #[error("this is not a tag")]
    Tag,
    /// The prefix does not reach beyond the host.
    #[error("the prefix ends within the host")]
    HostPrefix,
    /// The URL is not absolute.
    #[error("this is not an absolute URL")]
    NotAbsolute,
    /// A visitor can't request such a URL.
    #[error("a visitor can't request such a URL")]
    BadUrl,
}

impl TargetError {
    /// What to write instead.
    pub fn cure(self) -> &'static str {
        match self {
            TargetError::Length => {
                "a URL, a tag, a prefix or the name of a site has 1 to 8192 bytes"
            }
            TargetError::Tag => "a tag is 1 to 128 visible ASCII characters",
            TargetError::HostPrefix => {
                "write at least the slash behind the host, \"http://www.example.org/\", or name the site"
            }
            TargetError::NotAbsolute | TargetError::BadUrl => URL,
        }
    }
}

/// Takes a target apart.
///
/// # Errors
/// [`TargetError`]
pub fn parse(target: &PurgeTarget) -> Result<TargetParts, TargetError> {
    let (PurgeTarget::Url(text)
    | PurgeTarget::Tag(text)
    | PurgeTarget::Prefix(text)
    | PurgeTarget::Site(text)) = target;
    if text.is_empty() || text.len() > MAX_TEXT {
        return Err(TargetError::Length);
    }
    Ok(match target {
        PurgeTarget::Url(url) => TargetParts::Url(place(url)?),
        PurgeTarget::Prefix(prefix) => TargetParts::Prefix(prefix_place(prefix)?),
        PurgeTarget::Tag(tag) => TargetParts::Tag(checked_tag(tag)?.to_owned()),
        PurgeTarget::Site(name) => TargetParts::Site(name.clone()),
    })
}

fn prefix_place(prefix: &str) -> Result<HostPath, TargetError> {
    let place = place(prefix)?;
    if place.path.is_empty() {
        return Err(TargetError::HostPrefix);
    }
    Ok(place)
}

fn checked_tag(tag: &str) -> Result<&str, TargetError> {
    if tag.len() > MAX_TAG || !tag.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TargetError::Tag);
    }
    Ok(tag)
}

/// Host and path of an absolute URL. The fragment is ignored.
fn place(url: &str) -> Result<HostPath, TargetError> {
    let (scheme, rest) = url.split_once("://").ok_or(TargetError::NotAbsolute)?;
    // A scheme is the same in any case (RFC 3986 §3.1).
    if !["http", "https"]
        .iter()
        .any(|name| scheme.eq_ignore_ascii_case(name))
    {
        return Err(TargetError::NotAbsolute);
    }
    let rest = rest.split('#').next().unwrap_or(rest);
    let (authority, path) = rest
        .find(['/', '?'])
        .map_or((rest, ""), |slash| rest.split_at(slash));
    match NamedAuthority::parse(authority) {
        Some(named) if url.parse::<Uri>().is_ok() => Ok(HostPath {
            host: named.host().to_ascii_lowercase(),
            path: path.to_owned(),
        }),
        _ => Err(TargetError::BadUrl),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_bounds() {
        for (target, good) in [
            (PurgeTarget::Url("http://a/".to_owned()), true),
            (PurgeTarget::Url(String::new()), false),
            (PurgeTarget::Tag("t".to_owned()), true),
            (PurgeTarget::Tag(String::new()), false),
            (PurgeTarget::Tag("a b".to_owned()), false),
            (PurgeTarget::Tag("x".repeat(MAX_TAG)), true),
            (PurgeTarget::Tag("x".repeat(MAX_TAG + 1)), false),
            (PurgeTarget::Prefix("http://a/".to_owned()), true),
            (PurgeTarget::Prefix("http://a".to_owned()), false),
            (PurgeTarget::Site("a".to_owned()), true),
            (PurgeTarget::Site(String::new()), false),
        ] {
            assert_eq!(parse(&target).is_ok(), good, "{target:?}");
        }
        let url = |length: usize| {
            parse(&PurgeTarget::Url(format!(
                "http://a/{}",
                "x".repeat(length - 9)
            )))
        };
        assert!(url(MAX_TEXT).is_ok() && url(MAX_TEXT + 1).is_err());
    }

    #[test]
    fn urls_are_absolute_and_normal() {
        for (url, parts) in [
            (
                "http://WWW.Example.org:8080/a?b=c#d",
                Some(("www.example.org", "/a?b=c")),
            ),
            ("https://a/", Some(("a", "/"))),
            ("https://A.:8443/", Some(("a", "/"))),
            ("http://a", Some(("a", ""))),
            ("http://a?b", Some(("a", "?b"))),
            ("http://[::1]:80/x", Some(("[::1]", "/x"))),
            ("/path", None),
            ("ftp://a/", None),
            ("http://", None),
            ("http://:80/", None),
            ("http://a b/", None),
            ("http://user@a/", None),
            ("http://*.a.example/", None),
            ("http://a/b@c", Some(("a", "/b@c"))),
        ] {
            let found = place(url).ok();
            assert_eq!(
                found.as_ref().map(|place| (&*place.host, &*place.path)),
                parts,
                "{url}"
            );
        }
    }
}
