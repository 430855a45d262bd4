//! Whether a response may be stored, and which of its fields (RFC 9111 §3).

/// Parts of the safety floor that a site lets its policies lift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FloorExceptions {
    /// `"set-cookie"`: a response with `Set-Cookie` may be stored, without that field.
    pub set_cookie: bool,
    /// `"authorization"`: the answer to a request with `Authorization` may be stored.
    pub authorization: bool,
    /// `"private"`: a response marked `private` may be stored.
    pub private: bool,
    /// `"no-store"`: a response marked `no-store` may be stored.
    pub no_store: bool,
}
