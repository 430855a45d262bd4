//! Counters, the access log and `Cache-Status` (RFC 9211): records outcomes, decides nothing.

pub mod popularity;
