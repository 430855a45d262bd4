//! How long a stored response is fresh and how old it is (RFC 9111 §4.2).
