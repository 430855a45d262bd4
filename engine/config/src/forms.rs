//! The forms of names, hosts, origins, zones, tokens and paths. Each function turns a text into its
//! value, or fails with the mistake and its cure.

mod caching;
mod cluster;
mod form_result;
mod hosts;
mod origins;
mod rules;
mod trusted_keys;
mod zone_names;

use chrono_tz::Tz;

use crate::mistakes::Mistake;
use crate::units::Share;
use tero_semantics::request_fields::{FieldPattern, RequestFieldKind, kind_of};
use tero_time::cron::Schedule;

pub(crate) use self::caching::query_rule;
pub use self::caching::{
    cache_control, content_coding, cookie, default_ttl, media_type, path_pattern, tag,
};
pub(crate) use self::cluster::host_name;
pub use self::cluster::{
    name_and_port, nats_prefix, nats_secret, nats_server, node_name, node_url,
};
pub use self::form_result::token;
use self::form_result::{FormResult, cure};
pub use self::hosts::{
    PeerNetwork, address, certifiable_name, collector, contact, directory, host, host_header,
    network, peer_network,
};
pub use self::origins::{OriginAddress, OriginEndpoint, origin, server_name};
pub(crate) use self::rules::not_a_redirect;
pub use self::rules::{
    content_type, method, own_status, password_hash, realm, redirect_status, redirect_template,
};
pub use self::trusted_keys::TrustedKey;
pub(crate) use self::trusted_keys::trusted_key;
pub use self::zone_names::place_instead_of;

/// A name: 1 to 64 of `a-z`, `0-9`, `-`, `_`.
pub fn name(text: &str) -> FormResult<String> {
    let good = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    };
    if (1..=64).contains(&text.len()) && text.bytes().all(good) {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(
        format!("`{text}` is not a name"),
        "write 1 to 64 of a-z, 0-9, - and _",
    ))
}

/// A share, `10%`: above 0, at most 100%.
pub fn share(text: &str) -> FormResult<Share> {
    Share::parse(text).ok_or_else(|| {
        Mistake::new(
            format!("`{text}` is not a share"),
            "write a percentage above 0, \"10%\" or \"0.5%\"",
        )
    })
}

/// A protocol that `Upgrade` may name (RFC 9110 §7.8), in lower case.
pub fn protocol(text: &str) -> FormResult<String> {
    let name = text.to_ascii_lowercase();
    if name == "h2c" {
        let problem = "`h2c` would hide its requests in a tunnel";
        return Err(Mistake::new(
            problem,
            "name another protocol, such as \"websocket\"",
        ));
    }
    let (protocol, version) = name.split_once('/').unwrap_or((&name, "1"));
    token(protocol).and(token(version)).map_err(|_| {
        Mistake::new(
            format!("`{text}` is not a protocol name"),
            "write one such as \"websocket\"",
        )
    })?;
    Ok(name)
}

/// A bearer token: 16 to 4096 visible ASCII characters. Mistakes never repeat it.
pub fn secret(text: &str) -> FormResult<String> {
    if !(16..=4096).contains(&text.len()) {
        let cure = "write 16 to 4096 characters, for example from `openssl rand -hex 32`";
        return Err(Mistake::new(
            format!("the token has {} bytes", text.len()),
            cure,
        ));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Mistake::new(
            "the token has spaces or characters that a header field can't carry",
            "write visible ASCII only",
        ));
    }
    Ok(text.to_owned())
}

/// A name of a field that may be forwarded, or how such names begin: `x-app-*`.
pub fn forwarded_field(text: &str) -> FormResult<FieldPattern> {
    let pattern = FieldPattern::parse(text).ok_or_else(|| {
        Mistake::new(
            format!("`{text}` is not a field name"),
            "write a field name, \"cookie\", or how names begin, \"x-app-*\"",
        )
    })?;
    let name = text.trim_end_matches('*').to_ascii_lowercase();
    if kind_of(&name) == RequestFieldKind::OfProxies {
        return Err(Mistake::new(
            format!("`{text}` is never forwarded"),
            "leave it out: only a proxy may set it, and no key tells its values apart",
        ));
    }
    Ok(pattern)
}

/// An IANA zone.
pub fn zone(text: &str) -> FormResult<Tz> {
    text.parse().map_err(|_| {
        let problem = format!("`{text}` is not a zone");
        Mistake::new(problem, zone_names::cure_for(text))
    })
}

/// A cron expression: five fields, or a nickname.
pub fn schedule(text: &str) -> FormResult<String> {
    // Whether it ever comes due does not depend on the zone.
    match Schedule::parse(text, Tz::UTC) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(Mistake::new(
            format!("`{text}` is not a schedule: {error}"),
            error.cure(),
        )),
    }
}

/// A path with its query, on the site of a plan.
pub fn page(text: &str) -> FormResult<String> {
    if !text.starts_with('/') {
        let url = text.split_once("://");
        let path = url.and_then(|(_, rest)| rest.split_once('/'));
        let proposal = path.map_or_else(String::new, |(_, path)| format!("/{path}"));
        let words = |good: &str| format!("write {good}: the site names the host");
        let cure = cure(&proposal, page, words, "write a path that begins with /");
        return Err(Mistake::new(format!("`{text}` is not a path"), cure));
    }
    if text.len() > 8_192
        || !text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#')
    {
        let cure =
            "write at most 8192 visible ASCII characters, the rest percent-encoded, and no #";
        return Err(Mistake::new(
            "the path has characters that a request can't carry",
            cure,
        ));
    }
    Ok(text.to_owned())
}

/// The name of a variant: 1 to 32 of `a-z`, `0-9`, `-`, `_`, several joined with `+`.
pub fn variant(text: &str) -> FormResult<String> {
    let good = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    };
    if text
        .split('+')
        .all(|part| (1..=32).contains(&part.len()) && part.bytes().all(good))
    {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(
        format!("`{text}` is not a variant"),
        "write 1 to 32 of a-z, 0-9, - and _",
    ))
}

/// The name of a header field.
pub fn field(text: &str) -> FormResult<http::HeaderName> {
    text.parse().map_err(|_| {
        Mistake::new(
            format!("`{text}` is not a field name"),
            "write a field name, \"cdn-cache-control\"",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values in quotes that a cure proposes.
    fn proposals(cure: &str) -> Vec<&str> {
        cure.split('"').skip(1).step_by(2).collect()
    }

    #[track_caller]
    fn check<T: std::fmt::Debug>(form: fn(&str) -> FormResult<T>, texts: &[&str]) {
        for text in texts {
            let mistake = form(text).expect_err(text);
            for proposal in proposals(&mistake.cure) {
                // These stand for what the operator knows.
                let proposal = proposal
                    .replace("HOST", "a.example")
                    .replace("PORT", "8080");
                assert!(form(&proposal).is_ok(), "{text}: {}", mistake.cure);
            }
        }
    }

    #[test]
    fn no_cure_proposes_what_is_refused_next() {
        check(
            origin,
            &[
                "",
                "unix:app.sock",
                "unix:",
                "https://",
                "https://a b",
                "https://a/b",
                "https://a:0",
                "http://",
                "http:///",
                "http:///x",
                "http://a/b",
                "http://a b/c",
                "http://u:p@a",
                "ftp://a",
                "ftp://a/b",
                "//a",
                "//",
                "a:99999",
                "a:0",
                "a b",
                "localhost",
                "localhost:3000",
                "[::1]:80",
                "::1",
                "/run/app.sock",
                "é",
                "http://a:99999",
                "a/b",
                "?",
                "#",
                "@",
            ],
        );
        check(
            address,
            &[
                "",
                ":",
                ":8080",
                "*:8080",
                "localhost:8080",
                "localhost:",
                "localhost:x",
                "*:99999",
                ":0x",
                "::1",
                "127.0.0.1",
                "unix:/run/tero.sock",
                "a:80",
                "80",
            ],
        );
        check(
            host,
            &[
                "",
                "*.a.example:8080",
                "*.",
                "*a.example",
                "http://a",
                "a:80",
                "a b:80",
                ":80",
                "-a:80",
                "[::1]:80",
                "[x]:80",
                "a..b:1",
                "a b",
            ],
        );
        check(
            page,
            &[
                "",
                "a",
                "http://a/b",
                "http://a/b c",
                "http://a/é#",
                "http://a",
                "://",
            ],
        );
    }
}
