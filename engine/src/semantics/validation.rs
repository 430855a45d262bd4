//! Asking the next hop whether a stored response still holds, and merging its answer (RFC 9111 §4.3).
