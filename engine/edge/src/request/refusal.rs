//! Why a request is not let in.

/// Why a request was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionRefusal {
    /// `Host` is missing, repeated or malformed.
    #[error("the Host field is missing, doubled or malformed")]
    BadHost,
    /// Target and fields are longer than `max_header_bytes` together.
    #[error("the header is too long")]
    TooLong,
    /// The target is not a path.
    #[error("the request target is malformed")]
    BadTarget,
    /// The target has another scheme than the connection (RFC 9110 §7.4).
    #[error("the scheme of the request target is not that of the connection")]
    OtherScheme,
    /// An expectation other than `100-continue` (RFC 9110 §10.1.1).
    #[error("the expectation can not be met")]
    Expectation,
    /// TRACE or CONNECT.
    #[error("this method is not offered")]
    Method,
    /// The request has been here before (RFC 8586).
    #[error("the request has passed through this edge already")]
    Loop,
    /// A client whose certificate was asked for has named another host in its TLS handshake (RFC 9110
    /// §7.4).
    #[error("the TLS handshake was for another host")]
    OtherName,
    /// A trusted edge has sent `Tero-Variant` or `Tero-Tier` in another form than theirs.
    #[error("Tero-Variant or Tero-Tier is malformed")]
    BadTierFields,
    /// No site has this host.
    #[error("no site is configured for this host")]
    UnknownHost,
}
