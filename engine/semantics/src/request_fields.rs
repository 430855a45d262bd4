//! Request fields that speak for somebody else than the client: by which applications learn the
//! URL, the method, the client's address, user, certificate or tenant from a proxy in front of them.
//!
//! A client that sends one talks the application into another answer than the one that the key
//! stands for, and all visitors get it. No registry has these fields. The list here is that of the
//! frameworks, gateways and content delivery networks that read or set them; whole families are
//! matched by how they begin.

use http::HeaderName;

/// What may become of a field of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFieldKind {
    /// It goes on.
    Ordinary,
    /// A client's is dropped: only a proxy may set it, or the spelling is never allowed.
    OfProxies,
    /// It stands for another method. It is dropped where a response is stored by the method that the
    /// request line names.
    MethodOverride,
    /// It says something of content, or that the content may be a replay (RFC 8470 §5.1). On a GET
    /// or HEAD without content it would only be another question under the same key.
    OfContent,
}

/// Bytes of a name that are looked at. The longest name of the list is shorter.
const LONGEST: usize = 48;

/// What may become of the field with this name, which is in lower case. An application that reads
/// fields as CGI does (RFC 3875 §4.1.18) can't tell `x_real_ip` and `x.real.ip` from `x-real-ip`, so
/// these are the same here. Nor can it tell `accept_language` from `accept-language`, by which
/// stored responses are selected: what HTTP itself names has one spelling.
///
/// ```
/// use tero_semantics::request_fields::{RequestFieldKind, kind_of};
///
/// assert_eq!(kind_of("accept"), RequestFieldKind::Ordinary);
/// assert_eq!(kind_of("x-real-ip"), RequestFieldKind::OfProxies);
/// assert_eq!(kind_of("x_real.ip"), RequestFieldKind::OfProxies);
/// assert_eq!(kind_of("x-http-method-override"), RequestFieldKind::MethodOverride);
/// ```
pub fn kind_of(name: &str) -> RequestFieldKind {
    if name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    {
        return kind_of_plain(name);
    }
    let mut plain = [0; LONGEST];
    let length = name.len().min(LONGEST);
    for (place, byte) in plain.iter_mut().zip(name.bytes()) {
        *place = match byte.to_ascii_lowercase() {
            byte if byte.is_ascii_alphanumeric() => byte,
            _ => b'-',
        };
    }
    let plain = std::str::from_utf8(&plain[..length]).unwrap_or_default();
    if is_of_http(plain) {
        return RequestFieldKind::OfProxies;
    }
    kind_of_plain(plain)
}

/// Whether a name is one of HTTP's own with a hyphen, or of a family that browsers use.
fn is_of_http(name: &str) -> bool {
    let begins = ["accept-", "access-control-", "content-", "if-", "sec-"];
    begins.iter().any(|begin| name.starts_with(begin))
        || matches!(
            name,
            "cache-control"
                | "cdn-loop"
                | "keep-alive"
                | "last-modified"
                | "max-forwards"
                | "proxy-authorization"
                | "transfer-encoding"
                | "upgrade-insecure-requests"
                | "user-agent"
        )
}

fn kind_of_plain(name: &str) -> RequestFieldKind {
    if is_method_override(name) {
        RequestFieldKind::MethodOverride
    } else if is_of_content(name) {
        RequestFieldKind::OfContent
    } else if NAMES.binary_search(&name).is_ok() || is_of_family(name) {
        RequestFieldKind::OfProxies
    } else {
        RequestFieldKind::Ordinary
    }
}

fn is_of_family(name: &str) -> bool {
    let after = FAMILIES.partition_point(|family| *family <= name);
    after > 0 && name.starts_with(FAMILIES[after - 1])
}

fn is_of_content(name: &str) -> bool {
    (name.starts_with("content-") && name != "content-length")
        || matches!(name, "early-data" | "digest")
}

fn is_method_override(name: &str) -> bool {
    matches!(
        name,
        "x-http-method-override"
            | "x-http-method"
            | "x-method-override"
            | "x-method"
            | "http-method-override"
            | "method-override"
            | "x-http-verb"
    )
}

/// How names begin that belong together, sorted. None begins with another one, so that the last that
/// isn't behind a name is the only one that it can begin with.
const FAMILIES: [&str; 53] = [
    "-ws",
    "cf-",
    "client-cert",
    "cloudfront-",
    "fastly-client",
    "fastly-ssl",
    "fly-",
    "geoip-",
    "iv-",
    "oam-",
    "oidc-",
    "proxy-",
    "remote-",
    "shib-",
    "ssl-",
    "tailscale-",
    "tero-",
    "wl-proxy-",
    "x-amzn-mtls-",
    "x-amzn-oidc-",
    "x-appengine-",
    "x-arr-",
    "x-auth-request-",
    "x-authenticated-",
    "x-authentik-",
    "x-azure-",
    "x-client-cert",
    "x-consumer-",
    "x-credential-",
    "x-envoy-",
    "x-forwarded",
    "x-geo-",
    "x-geoip-",
    "x-goog-authenticated-",
    "x-goog-iap-",
    "x-invoke-",
    "x-middleware-",
    "x-ms-client-principal",
    "x-ms-original-",
    "x-ms-token-",
    "x-nf-",
    "x-nginx-",
    "x-original-forwarded-",
    "x-original-remote-",
    "x-pomerium-",
    "x-react-router-",
    "x-real-",
    "x-remote-",
    "x-ssl-",
    "x-tls-",
    "x-vercel-",
    "x-vouch-",
    "x-webauth-",
];

/// Names that belong to no family, sorted: the scheme, the authority, path and query, the client's
/// address and place, its user and certificate, what a proxy can do with the answer, the id of the
/// request, and the proxy of the application itself.
const NAMES: [&str; 107] = [
    "ali-cdn-real-ip",
    "auth-user",
    "base-url",
    "cdn-real-ip",
    "cdn-src-ip",
    "client-ip",
    "cluster-client-ip",
    "disguised-host",
    "forwarded",
    "forwarded-for",
    "forwarded-for-ip",
    "forwarded-host",
    "forwarded-proto",
    "forwarded-server",
    "front-end-https",
    "https",
    "incap-client-ip",
    "proxy",
    "request-uri",
    "sm-user",
    "sm-userdn",
    "smuser",
    "ssl",
    "surrogate-capability",
    "true-client-ip",
    "x-accel-mapping",
    "x-akamai-edgescape",
    "x-anonymous-consumer",
    "x-apigateway-api-userinfo",
    "x-auth-user",
    "x-auth-username",
    "x-backend-host",
    "x-base-url",
    "x-client-dn",
    "x-client-ip",
    "x-client-s-dn",
    "x-client-verified",
    "x-client-verify",
    "x-clientip",
    "x-cluster-client-ip",
    "x-country-code",
    "x-custom-ip-authorization",
    "x-email",
    "x-endpoint-api-userinfo",
    "x-forward-host",
    "x-forward-proto",
    "x-front-end-https",
    "x-host",
    "x-host-override",
    "x-http-host-override",
    "x-https",
    "x-id-token",
    "x-ingress-path",
    "x-ip",
    "x-matched-path",
    "x-next-resume",
    "x-nextjs-data",
    "x-now-route-matches",
    "x-original-args",
    "x-original-client-ip",
    "x-original-for",
    "x-original-host",
    "x-original-ip",
    "x-original-method",
    "x-original-path",
    "x-original-port",
    "x-original-prefix",
    "x-original-proto",
    "x-original-protocol",
    "x-original-query",
    "x-original-request-uri",
    "x-original-scheme",
    "x-original-server",
    "x-original-uri",
    "x-original-url",
    "x-originating-ip",
    "x-override-uri",
    "x-override-url",
    "x-path-info",
    "x-proto",
    "x-protocol",
    "x-proxy-host",
    "x-proxy-url",
    "x-proxyuser-ip",
    "x-replaced-path",
    "x-request-id",
    "x-request-uri",
    "x-rewrite-path",
    "x-rewrite-uri",
    "x-rewrite-url",
    "x-scheme",
    "x-script-name",
    "x-sendfile-type",
    "x-server-name",
    "x-server-port",
    "x-ssl",
    "x-sucuri-clientip",
    "x-sucuri-country",
    "x-true-client-ip",
    "x-true-ip",
    "x-url",
    "x-url-scheme",
    "x-user",
    "x-user-ip",
    "x-userinfo",
    "x-username",
    "x-waws-unencoded-url",
];

/// Whether a name has an underscore.
#[inline]
pub fn has_underscore(name: &str) -> bool {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    // Eight bytes at once: of these, the ones that are underscores become zero.
    let (eights, rest) = name.as_bytes().as_chunks::<8>();
    let in_eights = eights.iter().any(|eight| {
        let zeroed = u64::from_ne_bytes(*eight) ^ u64::from_ne_bytes([b'_'; 8]);
        zeroed.wrapping_sub(LOW) & !zeroed & HIGH != 0
    });
    in_eights || rest.contains(&b'_')
}

/// A name of a list of fields that are forwarded, or how names begin: `x-app-*`.
///
/// ```
/// use tero_semantics::request_fields::FieldPattern;
///
/// let pattern = FieldPattern::parse("X-App-*").unwrap();
/// assert!(pattern.matches("x-app-version"));
/// assert!(!pattern.matches("x-other"));
/// assert!(FieldPattern::parse("*").is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPattern {
    /// In lower case, without the `*`.
    name: Box<str>,
    is_prefix: bool,
}

impl FieldPattern {
    /// Reads a pattern; `None` if it isn't a field name, or one that ends with `*`.
    pub fn parse(text: &str) -> Option<FieldPattern> {
        let (name, is_prefix) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (text, false),
        };
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        (!name.as_str().contains('*')).then(|| FieldPattern {
            name: name.as_str().into(),
            is_prefix,
        })
    }

    /// Whether it means the field with this name, which is in lower case.
    pub fn matches(&self, name: &str) -> bool {
        if self.is_prefix {
            name.starts_with(&*self.name)
        } else {
            *name == *self.name
        }
    }
}

/// Whether a field goes on although a list of forwarded fields doesn't have it: without it, the
/// message couldn't be read, or would mean something else (RFC 9110 §6.4, §7, §8, §13, §14).
pub fn is_essential(name: &str) -> bool {
    name.starts_with("content-")
        || matches!(
            name,
            "accept-encoding"
                | "cache-control"
                | "cdn-loop"
                | "connection"
                | "date"
                | "expect"
                | "host"
                | "if-match"
                | "if-modified-since"
                | "if-none-match"
                | "if-range"
                | "if-unmodified-since"
                | "max-forwards"
                | "pragma"
                | "range"
                | "transfer-encoding"
                | "upgrade"
                | "via"
        )
        || name.starts_with("sec-websocket-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_can_be_searched() {
        assert!(NAMES.is_sorted() && FAMILIES.is_sorted());
        for (place, family) in FAMILIES.iter().enumerate() {
            assert!(kind_of(family) == RequestFieldKind::OfProxies, "{family}");
            let mut others = FAMILIES[place + 1..].iter().chain(&NAMES);
            assert!(!others.any(|other| other.starts_with(family)), "{family}");
        }
        for name in NAMES {
            assert!(name.len() < LONGEST, "{name}");
            assert_eq!(kind_of(name), RequestFieldKind::OfProxies, "{name}");
        }
    }

    #[test]
    fn a_field_is_known_in_every_spelling() {
        for name in [
            "x-forwarded-ssl",
            "x-forwarded-anything",
            "x_forwarded_host",
            "x-forwarded_host",
            "x.real.ip",
            "x~real!ip",
            "remote_user",
            "client-cert-chain",
            "ssl_client_s_dn",
            "proxy",
            "tero-variant",
            "tero_variant",
            "accept_language",
            "Accept_language",
            "content.length",
            "transfer_encoding",
            "if_none-match",
            "sec_ch_ua_mobile",
            "user~agent",
            "x_forwarded_host_and_more_than_the_48_bytes_that_are_looked_at",
        ] {
            assert_eq!(kind_of(name), RequestFieldKind::OfProxies, "{name}");
        }
        for name in [
            "x-http-method-override",
            "x_http_method",
            "x-method_override",
        ] {
            assert_eq!(kind_of(name), RequestFieldKind::MethodOverride, "{name}");
        }
    }

    #[test]
    fn fields_of_content_are_told_apart() {
        for name in [
            "content-type",
            "content-digest",
            "content-encoding",
            "content-range",
            "digest",
            "early-data",
        ] {
            assert_eq!(kind_of(name), RequestFieldKind::OfContent, "{name}");
        }
    }

    #[test]
    fn other_fields_go_on() {
        for name in [
            "",
            "-",
            "_",
            "accept",
            "authorization",
            "cookie",
            "host",
            "origin",
            "referer",
            "user-agent",
            "x-requested-with",
            "x-csrf-token",
            "x-tenant",
            "x-client-version",
            "x-original-filename",
            "x-user-id",
            "sec-ch-ua-mobile",
            "sec-fetch-site",
            "cdn-loop",
            "via",
            "x-wp-nonce",
            "rsc",
            "next-router-state-tree",
            "traceparent",
            "accept-language",
            "content-length",
            "sec-ch-ua",
            "x_tenant",
            "acceptance_test",
            "\u{e9}",
        ] {
            assert_eq!(kind_of(name), RequestFieldKind::Ordinary, "{name}");
        }
        assert_eq!(kind_of(&"x".repeat(10_000)), RequestFieldKind::Ordinary);
        assert_eq!(kind_of(&"_".repeat(10_000)), RequestFieldKind::Ordinary);
    }

    #[test]
    fn underscores_are_found_at_every_place() {
        for length in 0..40 {
            let name = "a".repeat(length);
            assert!(!has_underscore(&name), "{name}");
            for place in 0..length {
                let mut name = name.clone();
                name.replace_range(place..=place, "_");
                assert!(has_underscore(&name), "{name}");
            }
        }
        assert!(!has_underscore("`^\u{df}~-"));
    }

    #[test]
    fn a_pattern_is_a_name_or_a_beginning() {
        for (pattern, name, expected) in [
            ("x-a", "x-a", true),
            ("X-A", "x-a", true),
            ("x-a", "x-ab", false),
            ("x-a*", "x-a", true),
            ("x-a*", "x-ab", true),
            ("x-a*", "x-", false),
        ] {
            let pattern = FieldPattern::parse(pattern).unwrap();
            assert_eq!(pattern.matches(name), expected, "{pattern:?} {name}");
        }
        for bad in ["", "*", "a b", "a*b", "**", "a**", "a:"] {
            assert!(FieldPattern::parse(bad).is_none(), "{bad}");
        }
    }
}
