//! Which bytes of a stored response a client asked for (RFC 9110 §14).
