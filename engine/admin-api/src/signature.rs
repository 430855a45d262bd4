//! Signatures in the query of a push: the file of minisign as base64 for URLs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Problem;

/// The part of a query that carries a signature.
pub(crate) fn to_query(signature: &str) -> String {
    format!("signature={}", URL_SAFE_NO_PAD.encode(signature))
}

/// Reads the value of `signature` in a query.
pub(crate) fn of_query(value: &str) -> Result<String, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(value.trim_end_matches('='));
    let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| {
        Problem::new(
            "the signature is not base64",
            "write the .minisig file as base64 with - and _ in place of + and /",
        )
    })
}
