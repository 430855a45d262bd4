//! The state directory: files that only tero itself can have written.
//!
//! What the files mean is the business of those who write them.

pub mod trusted;
