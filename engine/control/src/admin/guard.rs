//! Access: clients with the token; if there is no token, programs on this machine, but not pages in
//! a browser.
//!
//! A web page can make a browser send requests to this machine: across origins, or by a name of its
//! own that resolves to 127.0.0.1 (DNS rebinding). Both show in the `Origin` and `Host` fields,
//! which a page can't change.

use std::net::IpAddr;

use http::{HeaderMap, header};
use subtle::ConstantTimeEq as _;

use super::reply::AdminRefusal;
use crate::admin_token::{AdminToken, digest};

/// What a request must show.
#[derive(Debug)]
pub(super) struct AccessGuard {
    token: AdminToken,
    address: IpAddr,
}

impl AccessGuard {
    /// A guard of the interface at `address`.
    pub(super) fn new(token: AdminToken, address: IpAddr) -> AccessGuard {
        AccessGuard { token, address }
    }

    /// Lets a request in.
    ///
    /// # Errors
    /// 401 without the token; if there is no token, 403 for a page in a browser.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), AdminRefusal> {
        match self.token.digest() {
            Some(token) => has_token(headers, &token),
            None => self.is_local(headers),
        }
    }

    fn is_local(&self, headers: &HeaderMap) -> Result<(), AdminRefusal> {
        let cure = "ask from this machine by 127.0.0.1 or localhost, or configure admin.token";
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (
            hosts.next().and_then(|host| host.to_str().ok()),
            hosts.next(),
        ) else {
            return Err(AdminRefusal::bad(
                "a request without one `Host` field",
                "send one",
            ));
        };
        if !self.is_own_name(host) {
            return Err(AdminRefusal::forbidden(
                format!("`{}` is not a name of this interface", host.escape_debug()),
                cure,
            ));
        }
        let same_origin =
            |origin: &http::HeaderValue| origin.as_bytes() == format!("http://{host}").as_bytes();
        if !headers.get_all(header::ORIGIN).iter().all(same_origin) {
            return Err(AdminRefusal::forbidden(
                "the request comes from a page of another origin",
                cure,
            ));
        }
        let site = headers
            .get("sec-fetch-site")
            .map(http::HeaderValue::as_bytes);
        if matches!(site, Some(b"cross-site" | b"same-site")) {
            return Err(AdminRefusal::forbidden(
                "the request comes from a page of another site",
                cure,
            ));
        }
        Ok(())
    }

    fn is_own_name(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let address = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        name.eq_ignore_ascii_case("localhost")
            || address.is_ok_and(|address| address.is_loopback() || address == self.address)
    }
}

fn has_token(headers: &HeaderMap, token: &[u8; 32]) -> Result<(), AdminRefusal> {
    let cure = "give the token of the configuration: `--token-file FILE`, or `Authorization: Bearer TOKEN`";
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return Err(AdminRefusal::unauthorized("a token is needed", cure));
    };
    let given = field
        .to_str()
        .ok()
        .and_then(|field| field.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let same = given.is_some_and(|(_, given)| bool::from(digest(given.trim()).ct_eq(token)));
    if same {
        Ok(())
    } else {
        Err(AdminRefusal::unauthorized("the token is wrong", cure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn status(guard: &AccessGuard, fields: &[(&str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                http::HeaderName::try_from(*name).unwrap(),
                value.parse().unwrap(),
            );
        }
        guard
            .admit(&headers)
            .map_or_else(|refusal| refusal.status().as_u16(), |()| 200)
    }

    #[test]
    fn only_the_token_gives_access() {
        let guard = AccessGuard::new(AdminToken::new(Some(TOKEN)), "0.0.0.0".parse().unwrap());
        let cases: &[(&[(&str, &str)], u16)] = &[
            (&[("authorization", "Bearer 0123456789abcdef")], 200),
            (&[("authorization", "bearer 0123456789abcdef")], 200),
            (
                &[
                    ("authorization", "Bearer 0123456789abcdef"),
                    ("host", "evil.example"),
                    ("origin", "http://x"),
                ],
                200,
            ),
            (&[], 401),
            (&[("host", "127.0.0.1")], 401),
            (&[("authorization", "Bearer 0123456789abcdeF")], 401),
            (&[("authorization", "Bearer 0123456789abcde")], 401),
            (&[("authorization", "Bearer 0123456789abcdef0")], 401),
            (&[("authorization", "Bearer ")], 401),
            (&[("authorization", "0123456789abcdef")], 401),
            (&[("authorization", "Basic 0123456789abcdef")], 401),
            (
                &[
                    ("authorization", "Bearer 0123456789abcdef"),
                    ("authorization", "Bearer 0123456789abcdef"),
                ],
                401,
            ),
        ];
        for (fields, expected) in cases {
            assert_eq!(status(&guard, fields), *expected, "{fields:?}");
        }
        assert!(!format!("{guard:?}").contains(TOKEN));
    }

    #[test]
    fn without_a_token_local_programs_have_access_and_pages_do_not() {
        let guard = AccessGuard::new(AdminToken::new(None), "127.0.0.1".parse().unwrap());
        let cases: &[(&[(&str, &str)], u16)] = &[
            (&[("host", "127.0.0.1:9090")], 200),
            (&[("host", "localhost:9090")], 200),
            (&[("host", "LOCALHOST")], 200),
            (&[("host", "[::1]:9090")], 200),
            (
                &[
                    ("host", "127.0.0.1:9090"),
                    ("origin", "http://127.0.0.1:9090"),
                    ("sec-fetch-site", "same-origin"),
                ],
                200,
            ),
            (&[], 400),
            (&[("host", "127.0.0.1"), ("host", "127.0.0.1")], 400),
            (&[("host", "rebound.evil.example:9090")], 403),
            (&[("host", "localhost.evil.example")], 403),
            (&[("host", "192.0.2.1")], 403),
            (
                &[
                    ("host", "127.0.0.1:9090"),
                    ("origin", "https://evil.example"),
                ],
                403,
            ),
            (&[("host", "127.0.0.1:9090"), ("origin", "null")], 403),
            (
                &[
                    ("host", "127.0.0.1:9090"),
                    ("origin", "http://127.0.0.1:3000"),
                ],
                403,
            ),
            (
                &[("host", "127.0.0.1:9090"), ("sec-fetch-site", "cross-site")],
                403,
            ),
        ];
        for (fields, expected) in cases {
            assert_eq!(status(&guard, fields), *expected, "{fields:?}");
        }
    }
}
