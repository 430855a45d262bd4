//! The certificate of a client, as the next hop is told of it (RFC 9440).

use http::{HeaderName, HeaderValue};
use sfv::{ItemSerializer, RefBareItem};

/// `Client-Cert` (RFC 9440 §2.2).
pub static CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");

/// The value of [`CLIENT_CERT`] for a certificate, which is DER. `None` if it fits into no field.
///
/// ```
/// use tero_semantics::client_cert::client_cert_value;
///
/// assert_eq!(client_cert_value(&[0x30, 0x82, 0x01]).unwrap(), ":MIIB:");
/// ```
pub fn client_cert_value(certificate: &[u8]) -> Option<HeaderValue> {
    let value = ItemSerializer::new()
        .bare_item(RefBareItem::ByteSequence(certificate))
        .finish();
    HeaderValue::try_from(value).ok()
}
