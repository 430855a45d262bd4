//! What an unsafe request makes invalid (RFC 9111 §4.4).
