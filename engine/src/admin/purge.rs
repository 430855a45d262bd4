//! `POST /purge`: drops or marks stale what is stored under a URL, a tag, a prefix or a site.

use http::Uri;
use serde::Deserialize;
use serde_json::json;

use super::State;
use super::reply::{Refusal, Reply};
use crate::request;
use crate::request::site::Sites;
use crate::store::{Purge, Target};

const TARGETS: &str = "name one of url, tag, prefix and site: {\"tag\": \"prices\"}";
/// The longest URL, tag or prefix, in bytes.
const MAX_TEXT: usize = 8_192;

/// The content of the request.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    url: Option<String>,
    tag: Option<String>,
    prefix: Option<String>,
    site: Option<String>,
    #[serde(default)]
    soft: bool,
}

/// Purges what the content names and answers how many stored responses that were.
pub(super) fn purge(state: &State, content: &[u8]) -> Result<Reply, Refusal> {
    let ask = read(content)?;
    let targets = targets(state, &ask)?;
    let how = if ask.soft { Purge::Soft } else { Purge::Hard };
    let now = state.edge.clock.now();
    let purged: u64 = targets.iter().map(|target| state.edge.store.purge(target, how, now)).sum();
    let Ask { url, tag, prefix, site, soft } = &ask;
    tracing::info!(url, tag, prefix, site, soft, purged, "purged");
    Ok(Reply::json(&json!({ "purged": purged })))
}

/// The one target that the content names.
fn read(content: &[u8]) -> Result<Ask, Refusal> {
    let ask: Ask =
        serde_json::from_slice(content).map_err(|error| Refusal::bad(format!("the content is no purge: {error}"), TARGETS))?;
    let named: Vec<&String> = [&ask.url, &ask.tag, &ask.prefix, &ask.site].into_iter().flatten().collect();
    match named.as_slice() {
        [] => Err(Refusal::bad("a purge without a target", TARGETS)),
        [text] if text.is_empty() || text.len() > MAX_TEXT => Err(Refusal::bad("an empty or endless target", TARGETS)),
        [_] => Ok(ask),
        _ => Err(Refusal::bad("a purge with several targets", TARGETS)),
    }
}

fn targets(state: &State, ask: &Ask) -> Result<Vec<Target>, Refusal> {
    let sites = state.edge.sites.load();
    if let Some(url) = &ask.url {
        let (authority, path) = absolute(url)?;
        let host = host_of(authority);
        let site = sites.of_host(&host).ok_or_else(|| no_site(&host, &sites))?;
        // Whoever ends TLS in front may or may not say so, so both schemes are meant.
        let keys = ["http", "https"].map(|scheme| request::keys_of_url(site, &format!("{scheme}://{host}{path}"), None)).concat();
        return Ok(vec![Target::Keys(keys)]);
    }
    if let Some(prefix) = &ask.prefix {
        let (authority, path) = absolute(prefix)?;
        let host = host_of(authority);
        if path.is_empty() {
            return Err(Refusal::bad(
                "a prefix that ends within the host",
                format!("write at least \"http://{host}/\", or name the site"),
            ));
        }
        sites.of_host(&host).ok_or_else(|| no_site(&host, &sites))?;
        return Ok(["http", "https"].map(|scheme| Target::Prefix(format!("{scheme}://{host}{path}"))).into());
    }
    if let Some(tag) = &ask.tag {
        if tag.len() > 128 || !tag.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refusal::bad("this is no tag", "a tag is 1 to 128 visible ASCII characters"));
        }
        return Ok(vec![Target::Tag { site: None, tag: tag.clone() }]);
    }
    let name = ask.site.as_deref().unwrap_or_default();
    let site = sites.named(name).ok_or_else(|| {
        Refusal::unknown(format!("there is no site `{}`", name.escape_debug()), format!("the sites are {}", names(&sites)))
    })?;
    Ok(vec![Target::Site(site.index)])
}

/// Authority and rest of an absolute URL; the rest is empty or begins with a slash.
fn absolute(url: &str) -> Result<(&str, &str), Refusal> {
    let cure = "write an absolute URL, \"http://www.example.org/path\"";
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))
        .ok_or_else(|| Refusal::bad("this is no absolute URL", cure))?;
    let rest = rest.split('#').next().unwrap_or(rest);
    if rest.contains('@') && rest.find('@') < rest.find('/').or(Some(rest.len())) || url.parse::<Uri>().is_err() {
        return Err(Refusal::bad("this is no URL that a visitor can ask for", cure));
    }
    Ok(match rest.find(['/', '?']) {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    })
}

/// Lower case, without port, as sites know it.
fn host_of(authority: &str) -> String {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.to_ascii_lowercase()
}

fn no_site(host: &str, sites: &Sites) -> Refusal {
    Refusal::unknown(format!("no site answers for `{}`", host.escape_debug()), format!("the sites are {}", names(sites)))
}

fn names(sites: &Sites) -> String {
    sites.iter().map(|site| site.settings.name.as_ref()).collect::<Vec<_>>().join(", ")
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
            (r#"{"tag": 1}"#, false),
            ("", false),
            ("null", false),
            ("[]", false),
            ("tag=t", false),
        ] {
            let read = read(content.as_bytes());
            assert_eq!(read.is_ok(), good, "{content}");
            assert!(read.map_or_else(|refusal| refusal.status() == 400, |_| true));
        }
        let endless = format!("{{\"tag\": \"{}\"}}", "x".repeat(MAX_TEXT + 1));
        assert!(read(endless.as_bytes()).is_err());
    }

    #[test]
    fn urls_are_absolute_and_normal() {
        for (url, parts) in [
            ("http://WWW.Example.org:8080/a?b=c#d", Some(("www.example.org", "/a?b=c"))),
            ("https://a/", Some(("a", "/"))),
            ("http://a", Some(("a", ""))),
            ("http://[::1]:80/x", Some(("[::1]", "/x"))),
            ("/path", None),
            ("ftp://a/", None),
            ("http://", None),
            ("http://a b/", None),
            ("http://user@a/", None),
            ("http://a/b@c", Some(("a", "/b@c"))),
        ] {
            let found = absolute(url).ok().map(|(authority, path)| (host_of(authority), path));
            assert_eq!(found.as_ref().map(|(host, path)| (host.as_str(), *path)), parts, "{url}");
        }
    }
}
