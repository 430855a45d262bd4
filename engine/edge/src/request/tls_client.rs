//! What a client has shown in its TLS handshake, on a listener that asks for certificates.

use http::HeaderValue;

use tero_semantics::authority::NamedAuthority;
use tero_semantics::client_cert::client_cert_value;

/// What a client has shown in its TLS handshake, on a listener that asks for certificates.
#[derive(Debug)]
pub struct TlsClient {
    /// The name that it asked for (RFC 6066 §3), in lower case. An address is never asked for.
    server_name: Option<Box<str>>,
    /// Its certificate, which was verified, as the origin is told (RFC 9440).
    certificate: Option<HeaderValue>,
}

impl TlsClient {
    /// A client that asked for `server_name` and showed `certificate`, which is DER and was verified.
    pub fn new(server_name: Option<&str>, certificate: Option<&[u8]>) -> TlsClient {
        TlsClient {
            server_name: server_name.map(|name| name.to_ascii_lowercase().into()),
            certificate: certificate.and_then(client_cert_value),
        }
    }

    /// The client's certificate, as the value of `Client-Cert`.
    pub(super) fn certificate(&self) -> Option<&HeaderValue> {
        self.certificate.as_ref()
    }

    /// Whether a request for `authority`, as it is written, is for the name of the handshake. What a
    /// client shows for one name must not open another.
    pub(super) fn asked_for(&self, authority: &str) -> bool {
        let Some(named) = NamedAuthority::parse(authority) else {
            return false;
        };
        match &self.server_name {
            Some(name) => named.host().eq_ignore_ascii_case(name),
            None => is_address(named.host()),
        }
    }
}

fn is_address(host: &str) -> bool {
    let host = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    host.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_for_the_name_of_the_handshake() {
        let shop = TlsClient::new(Some("Shop.example"), None);
        for (authority, expected) in [
            ("shop.example", true),
            ("SHOP.example:8443", true),
            ("shop.example.", true),
            ("www.shop.example", false),
            ("127.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(shop.asked_for(authority), expected, "{authority}");
        }
        let unnamed = TlsClient::new(None, None);
        for (authority, expected) in [
            ("127.0.0.1:8443", true),
            ("[::1]", true),
            ("shop.example", false),
        ] {
            assert_eq!(unnamed.asked_for(authority), expected, "{authority}");
        }
    }
}
