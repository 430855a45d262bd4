//! The client's own conditions, answered from a stored response (RFC 9110 §13).
