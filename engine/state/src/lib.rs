//! The state directory: who may hold it, and how its files are read and written.
//!
//! [`trusted`] reads files that only tero itself can have written, [`dir`] holds the directory for
//! one process, and [`mod@file`] replaces a file as a whole. What the files mean stays with their users.

pub mod dir;
pub mod file;
mod replace;
pub mod trusted;
