//! What the directives of requests and responses say: `Cache-Control` (RFC 9111 §5.2), `Pragma` (§5.4) and the targeted fields of
//! RFC 9213.
