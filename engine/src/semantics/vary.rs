//! Which stored response of a key a request selects: `Vary` (RFC 9111 §4.1) on normalised values.
