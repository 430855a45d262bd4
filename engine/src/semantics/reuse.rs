//! Whether a stored response may answer a request, and how (RFC 9111 §4).

/// Whether a client's own `Cache-Control` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientDirectives {
    /// Requests can't make the edge ask the origin (`only-if-cached` and `no-store` are obeyed: they cost the origin nothing).
    #[default]
    Ignore,
    /// As RFC 9111 §5.2.1 says.
    Obey,
}
