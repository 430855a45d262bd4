//! What the content of a purge asks for, as far as it can be told without knowing the sites.

use http::Uri;
use serde::Deserialize;

use super::Problem;
use tero_semantics::key;

const TARGETS: &str = "name one of url, tag, prefix and site: {\"tag\": \"prices\"}";
const URL: &str = "write an absolute URL, \"http://www.example.org/path\"";
/// The longest URL, tag or prefix, in bytes.
const MAX_TEXT: usize = 8_192;
/// The longest tag, in bytes.
const MAX_TAG: usize = 128;

/// A purge that was read.
#[derive(Debug, PartialEq, Eq)]
pub struct PurgeRequest {
    /// What is meant.
    pub target: PurgeTarget,
    /// Marked stale instead of dropped.
    pub soft: bool,
}

/// What a purge names.
#[derive(Debug, PartialEq, Eq)]
pub enum PurgeTarget {
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PurgeContent {
    url: Option<String>,
    tag: Option<String>,
    prefix: Option<String>,
    site: Option<String>,
    #[serde(default)]
    soft: bool,
}

/// Reads the content of a purge, which is JSON.
///
/// # Errors
/// [`Problem`]: it is no such JSON, names no target or several, or one that there can't be.
pub fn read(content: &[u8]) -> Result<PurgeRequest, Problem> {
    let content: PurgeContent = serde_json::from_slice(content)
        .map_err(|error| Problem::new(format!("the content is no purge: {error}"), TARGETS))?;
    let named: Vec<&String> = [&content.url, &content.tag, &content.prefix, &content.site]
        .into_iter()
        .flatten()
        .collect();
    match named.as_slice() {
        [] => return Err(Problem::new("a purge without a target", TARGETS)),
        [text] if text.is_empty() || text.len() > MAX_TEXT => {
            return Err(Problem::new("an empty or endless target", TARGETS));
        }
        [_] => {}
        _ => return Err(Problem::new("a purge with several targets", TARGETS)),
    }
    let target = match content {
        PurgeContent { url: Some(url), .. } => PurgeTarget::Url(place(&url)?),
        PurgeContent {
            prefix: Some(prefix),
            ..
        } => PurgeTarget::Prefix(prefix_place(&prefix)?),
        PurgeContent { tag: Some(tag), .. } => PurgeTarget::Tag(checked_tag(tag)?),
        PurgeContent { site, .. } => PurgeTarget::Site(site.unwrap_or_default()),
    };
    Ok(PurgeRequest {
        target,
        soft: content.soft,
    })
}

fn prefix_place(prefix: &str) -> Result<HostPath, Problem> {
    let place = place(prefix)?;
    if place.path.is_empty() {
        let cure = "write at least the slash behind the host, \"http://www.example.org/\", or name the site";
        return Err(Problem::new("a prefix that ends within the host", cure));
    }
    Ok(place)
}

fn checked_tag(tag: String) -> Result<String, Problem> {
    if tag.len() > MAX_TAG || !tag.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Problem::new(
            "this is no tag",
            "a tag is 1 to 128 visible ASCII characters",
        ));
    }
    Ok(tag)
}

/// Where an absolute URL points; its fragment is none of a server's business.
fn place(url: &str) -> Result<HostPath, Problem> {
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"));
    let rest = rest.ok_or_else(|| Problem::new("this is no absolute URL", URL))?;
    let rest = rest.split('#').next().unwrap_or(rest);
    let (authority, path) = rest
        .find(['/', '?'])
        .map_or((rest, ""), |slash| rest.split_at(slash));
    match key::host_of(authority) {
        Some(host) if url.parse::<Uri>().is_ok() => Ok(HostPath {
            host: host.to_ascii_lowercase(),
            path: path.to_owned(),
        }),
        _ => Err(Problem::new(
            "this is no URL that a visitor can ask for",
            URL,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purge_names_exactly_one_target() {
        for (content, good) in [
            (r#"{"url": "http://a/"}"#, true),
            (r#"{"tag": "t", "soft": true}"#, true),
            (r#"{"prefix": "http://a/"}"#, true),
            (r#"{"site": "a", "url": null}"#, true),
            (r#"{"site": ""}"#, false),
            (r#"{}"#, false),
            (r#"{"soft": true}"#, false),
            (r#"{"url": "http://a/", "tag": "t"}"#, false),
            (r#"{"tags": ["t"]}"#, false),
            (r#"{"tag": "t", "hard": true}"#, false),
            (r#"{"tag": "t", "soft": "yes"}"#, false),
            (r#"{"tag": "a b"}"#, false),
            (r#"{"tag": 1}"#, false),
            (r#"{"prefix": "http://a"}"#, false),
            ("", false),
            ("null", false),
            ("[]", false),
            ("tag=t", false),
        ] {
            assert_eq!(read(content.as_bytes()).is_ok(), good, "{content}");
        }
        let tag = |length| read(format!("{{\"tag\": \"{}\"}}", "x".repeat(length)).as_bytes());
        assert!(tag(MAX_TAG).is_ok() && tag(MAX_TAG + 1).is_err());
        let url = |length: usize| {
            read(format!("{{\"url\": \"http://a/{}\"}}", "x".repeat(length - 9)).as_bytes())
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
            ("http://a", Some(("a", ""))),
            ("http://a?b", Some(("a", "?b"))),
            ("http://[::1]:80/x", Some(("[::1]", "/x"))),
            ("/path", None),
            ("ftp://a/", None),
            ("http://", None),
            ("http://:80/", None),
            ("http://a b/", None),
            ("http://user@a/", None),
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
