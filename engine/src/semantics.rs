//! Pure decisions over `http` types: no I/O, no async, no clock, no locks. `now` is always an argument.
//!
//! One file per question, in the words and the order of RFC 9111; the request path branches on the answers and computes
//! nothing itself.

pub mod decision;
pub mod timestamp;
