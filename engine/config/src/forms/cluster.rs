//! The forms of what `[cluster]` names: servers, nodes, prefixes.

use http::Uri;

use super::form_result::FormResult;
use crate::mistakes::Mistake;

/// The port of NATS, unless a URL says another.
const NATS_PORT: u16 = 4222;

/// Where Linux tells the name of the host.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// A server of NATS: `tls://HOST:PORT` or `nats://HOST:PORT`. The value has the port.
pub fn nats_server(text: &str) -> FormResult<String> {
    let (scheme, place) = text
        .split_once("://")
        .filter(|(scheme, _)| matches!(*scheme, "tls" | "nats"))
        .ok_or_else(|| not_a_server(text))?;
    if place.contains('@') {
        return Err(Mistake::new(
            "the URL has a name or a password in it",
            "write user and password_file, or token_file",
        ));
    }
    let authority = place.trim_end_matches('/').parse().ok();
    let authority: http::uri::Authority = authority.ok_or_else(|| not_a_server(text))?;
    if authority.host().is_empty() || has_odd_port(&authority) {
        return Err(not_a_server(text));
    }
    let port = authority.port_u16().unwrap_or(NATS_PORT);
    Ok(format!("{scheme}://{}:{port}", authority.host()))
}

fn not_a_server(text: &str) -> Mistake {
    Mistake::new(
        format!("`{text}` is not the URL of a server of NATS"),
        "write it as \"tls://nats.internal:4222\"",
    )
}

/// A port that is written and can't be read.
fn has_odd_port(authority: &http::uri::Authority) -> bool {
    let after_host = &authority.as_str()[authority.host().len()..];
    !after_host.is_empty() && authority.port_u16().is_none_or(|port| port == 0)
}

/// The admin interface of a node: `https://HOST:PORT`. The value is as written, without a slash.
pub fn node_url(text: &str) -> FormResult<String> {
    let is_good = |uri: &Uri| {
        let authority = uri.authority();
        uri.scheme_str() == Some("https")
            && uri.path_and_query().is_none_or(|path| path == "/")
            && authority.is_some_and(|at| {
                !at.host().is_empty() && !at.as_str().contains('@') && at.port_u16().is_some()
            })
    };
    match text.parse::<Uri>() {
        Ok(uri) if is_good(&uri) => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err(Mistake::new(
            format!("`{text}` is not the admin interface of a node"),
            "write it as \"https://edge-2.internal:9443\"",
        )),
    }
}

/// A name and a port, `nodes.internal:9443`.
pub fn name_and_port(text: &str) -> FormResult<String> {
    let authority: Option<http::uri::Authority> = text.parse().ok();
    match authority {
        Some(at) if !at.host().is_empty() && at.port_u16().is_some() && !text.contains('@') => {
            Ok(text.to_owned())
        }
        _ => Err(Mistake::new(
            format!("`{text}` is not a name with a port"),
            "write it as \"nodes.internal:9443\"",
        )),
    }
}

/// The name of a node: 1 to 64 letters, digits, `-`, `_`.
pub fn node_name(text: &str) -> FormResult<String> {
    if (1..=64).contains(&text.len()) && text.bytes().all(is_of_name) {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(
        format!("`{text}` is not the name of a node"),
        "write 1 to 64 of a-z, A-Z, 0-9, - and _",
    ))
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// How the names of streams begin: 1 to 32 of `A-Z`, `0-9`, `-`, `_`.
pub fn nats_prefix(text: &str) -> FormResult<String> {
    let good = |byte: u8| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    };
    if (1..=32).contains(&text.len()) && text.bytes().all(good) {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(
        format!("`{text}` can't begin the names of streams"),
        "write 1 to 32 of A-Z, 0-9, - and _, such as \"TERO\"",
    ))
}

/// A user, password or token of NATS: 1 to 256 visible ASCII characters. Mistakes never repeat it.
pub fn nats_secret(text: &str) -> FormResult<String> {
    if (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(
        "it is empty, too long, or has characters that can't be sent",
        "write 1 to 256 visible ASCII characters",
    ))
}

/// The name of the host as the name of a node: its first label, with `-` for what a name can't have.
pub(crate) fn host_name() -> String {
    let name = std::fs::read_to_string(HOST_NAME).unwrap_or_default();
    name_of_host(name.trim())
}

fn name_of_host(host: &str) -> String {
    let label = host.split('.').next().unwrap_or_default();
    let name: String = label
        .chars()
        .take(64)
        .map(|letter| match letter {
            letter if letter.is_ascii_alphanumeric() || letter == '_' => letter,
            _ => '-',
        })
        .collect();
    if name.is_empty() {
        "node".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_urls_of_nats_with_a_port() {
        for (text, server) in [
            ("tls://a", Some("tls://a:4222")),
            ("tls://a:4223/", Some("tls://a:4223")),
            ("nats://[::1]:4222", Some("nats://[::1]:4222")),
            ("nats://10.0.0.1", Some("nats://10.0.0.1:4222")),
            ("a:4222", None),
            ("https://a:4222", None),
            ("tls://", None),
            ("tls://user:secret@a:4222", None),
            ("tls://a:0", None),
            ("tls://a:x", None),
            ("tls://a:70000", None),
            ("tls://a b", None),
        ] {
            assert_eq!(nats_server(text).ok().as_deref(), server, "{text}");
        }
    }

    #[test]
    fn a_peer_is_an_https_url_with_a_port() {
        for (text, good) in [
            ("https://a:9443", true),
            ("https://10.0.0.1:9443/", true),
            ("https://a", false),
            ("http://a:9443", false),
            ("https://a:9443/x", false),
            ("https://u@a:9443", false),
            ("a:9443", false),
        ] {
            assert_eq!(node_url(text).is_ok(), good, "{text}");
        }
        for (text, good) in [
            ("a:9443", true),
            ("10.0.0.1:9443", true),
            ("a", false),
            (":1", false),
            ("https://a:9443", false),
        ] {
            assert_eq!(name_and_port(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn names_and_prefixes_have_bounds() {
        for (text, good) in [
            ("a", true),
            ("Edge-1_b", true),
            ("", false),
            ("a.b", false),
            ("a b", false),
            ("é", false),
        ] {
            assert_eq!(node_name(text).is_ok(), good, "{text}");
        }
        assert!(node_name(&"x".repeat(64)).is_ok() && node_name(&"x".repeat(65)).is_err());
        for (text, good) in [
            ("TERO", true),
            ("TERO-2", true),
            ("tero", false),
            ("", false),
        ] {
            assert_eq!(nats_prefix(text).is_ok(), good, "{text}");
        }
        assert!(nats_prefix(&"X".repeat(32)).is_ok() && nats_prefix(&"X".repeat(33)).is_err());
        assert!(nats_secret(&"x".repeat(256)).is_ok() && nats_secret(&"x".repeat(257)).is_err());
        assert!(nats_secret("").is_err() && nats_secret("a b").is_err());
    }

    #[test]
    fn any_host_gives_the_name_of_a_node() {
        for (host, name) in [
            ("edge-1.example.org", "edge-1"),
            ("edge1", "edge1"),
            ("", "node"),
            ("kö.x", "k-"),
        ] {
            assert_eq!(name_of_host(host), name);
            assert!(node_name(&name_of_host(host)).is_ok(), "{host}");
        }
        assert!(node_name(&host_name()).is_ok());
    }
}
