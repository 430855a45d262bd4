//! The handshake of WebSocket with the next hop on behalf of a client of HTTP/2, which has no key of
//! its own (RFC 8441 §5, RFC 6455 §4.1).

use std::hash::{BuildHasher, RandomState};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::HeaderValue;
use http::header::SEC_WEBSOCKET_ACCEPT;
use sha1::{Digest, Sha1};

/// What is added to a key before it is hashed (RFC 6455 §1.3).
const SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A key of the edge's own.
#[derive(Debug)]
pub(super) struct WebSocketKey(String);

impl WebSocketKey {
    /// Draws one. The standard library takes the keys of its hashers from the system's source of
    /// random numbers.
    pub(super) fn draw() -> WebSocketKey {
        let random = || RandomState::new().hash_one(0_u8).to_be_bytes();
        WebSocketKey(STANDARD.encode([random(), random()].concat()))
    }

    /// The value of `Sec-WebSocket-Key`.
    pub(super) fn value(&self) -> HeaderValue {
        HeaderValue::try_from(self.0.as_str()).expect("base64 is the value of a field")
    }

    /// Whether a next hop that switches protocols has understood the key (RFC 6455 §4.1): then it
    /// speaks WebSocket, and doesn't just repeat a field.
    pub(super) fn is_answered_by(&self, headers: &HeaderMap) -> bool {
        let digest = Sha1::new()
            .chain_update(self.0.as_bytes())
            .chain_update(SUFFIX)
            .finalize();
        let mut answers = headers.get_all(SEC_WEBSOCKET_ACCEPT).iter();
        let is_right = answers
            .next()
            .is_some_and(|accept| accept.as_bytes() == STANDARD.encode(digest).as_bytes());
        is_right && answers.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_answer_of_the_rfc_is_right_and_any_other_is_not() {
        let key = WebSocketKey("dGhlIHNhbXBsZSBub25jZQ==".to_owned());
        let right = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        assert!(key.is_answered_by(&headers(&[right])));
        for wrong in [
            &[][..],
            &[right, right],
            &["dGhlIHNhbXBsZSBub25jZQ=="],
            &["s3pPLMBiTxaQ9kYGzzhZRbK+xOo"],
        ] {
            assert!(!key.is_answered_by(&headers(wrong)), "{wrong:?}");
        }
    }

    #[test]
    fn no_two_keys_are_the_same_and_each_has_16_bytes() {
        let (one, other) = (WebSocketKey::draw(), WebSocketKey::draw());
        assert_ne!(one.0, other.0);
        assert_eq!(STANDARD.decode(&one.0).unwrap().len(), 16);
    }
}
