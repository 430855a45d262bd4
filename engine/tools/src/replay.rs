//! Recorded traffic, sent through policies again: the lines of an access log, and what two versions
//! of a policy would have decided about them.

pub mod diff;
pub mod log;
