//! Access: clients with the token, and with a certificate where one is demanded; if neither is,
//! programs on this machine, but not pages in a browser.
//!
//! A web page can make a browser send requests to this machine: across origins, or by a name of its
//! own that resolves to 127.0.0.1 (DNS rebinding). Both show in the `Origin` and `Host` fields,
//! which a page can't change.

use std::net::IpAddr;

use http::{HeaderMap, header};
use subtle::ConstantTimeEq as _;

use super::reply::AdminRefusal;
use crate::admin_token::{AdminToken, digest};

/// What a connection tells of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientProof {
    /// It does not speak TLS.
    Plain,
    /// It speaks TLS, and clients are not asked for certificates.
    Secure,
    /// Its client was asked for a certificate, and has shown none.
    NoCertificate,
    /// Its client has shown a certificate that `client_ca` vouches for.
    Certificate,
}

impl ClientProof {
    /// The scheme that the client speaks.
    pub(super) fn scheme(self) -> &'static str {
        match self {
            ClientProof::Plain => "http",
            _ => "https",
        }
    }
}

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
    /// 403 without the certificate, 401 without the token; if there is no token, 403 for a page in a
    /// browser.
    pub(super) fn admit(
        &self,
        headers: &HeaderMap,
        proof: ClientProof,
    ) -> Result<(), AdminRefusal> {
        if proof == ClientProof::NoCertificate {
            return Err(AdminRefusal::forbidden(
                "a client certificate is needed",
                "connect with a certificate that client_ca of admin.tls has issued",
            ));
        }
        match self.token.digest() {
            Some(token) => has_token(headers, &token),
            None => self.is_no_page_of_others(headers, proof),
        }
    }

    fn is_no_page_of_others(
        &self,
        headers: &HeaderMap,
        proof: ClientProof,
    ) -> Result<(), AdminRefusal> {
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
        // Whoever has a certificate may ask from elsewhere. A name that was rebound is not among those
        // of the interface's own certificate.
        if proof != ClientProof::Certificate && !self.is_own_name(host) {
            return Err(AdminRefusal::forbidden(
                format!("`{}` is not a name of this interface", host.escape_debug()),
                cure,
            ));
        }
        let own_origin = format!("{}://{host}", proof.scheme());
        let same_origin = |origin: &http::HeaderValue| origin.as_bytes() == own_origin.as_bytes();
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
        status_with(guard, fields, ClientProof::Plain)
    }

    fn status_with(guard: &AccessGuard, fields: &[(&str, &str)], proof: ClientProof) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                http::HeaderName::try_from(*name).unwrap(),
                value.parse().unwrap(),
            );
        }
        guard
            .admit(&headers, proof)
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
    fn a_demanded_certificate_comes_before_the_token_and_in_place_of_none() {
        let address = "0.0.0.0".parse().unwrap();
        let with_token = AccessGuard::new(AdminToken::new(Some(TOKEN)), address);
        let without = AccessGuard::new(AdminToken::new(None), address);
        let token = ("authorization", "Bearer 0123456789abcdef");
        let (host, own) = (
            ("host", "edge.internal"),
            ("origin", "https://edge.internal"),
        );
        for (guard, fields, proof, expected) in [
            (&with_token, &[token][..], ClientProof::Certificate, 200),
            (&with_token, &[token], ClientProof::Secure, 200),
            (&with_token, &[token], ClientProof::NoCertificate, 403),
            (&with_token, &[host], ClientProof::Certificate, 401),
            (&without, &[host], ClientProof::Certificate, 200),
            (&without, &[host, own], ClientProof::Certificate, 200),
            (
                &without,
                &[host, ("origin", "http://edge.internal")],
                ClientProof::Certificate,
                403,
            ),
            (
                &without,
                &[host, ("sec-fetch-site", "cross-site")],
                ClientProof::Certificate,
                403,
            ),
            (&without, &[host], ClientProof::NoCertificate, 403),
            (&without, &[host], ClientProof::Secure, 403),
            (&without, &[("host", "localhost")], ClientProof::Secure, 200),
        ] {
            let status = status_with(guard, fields, proof);
            assert_eq!(status, expected, "{fields:?} {proof:?}");
        }
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
