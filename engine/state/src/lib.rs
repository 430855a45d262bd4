//! The state directory: its lock, and how its files are read and written.
//!
//! [`dir`] locks the directory for one process, [`mod@file`] replaces a file as a whole, and
//! [`trusted`] reads files that no other user can have written. [`segments`] keeps records in a folder
//! of its own. The meaning of the files stays with their users.

pub mod dir;
pub mod file;
mod lock_file;
mod replace;
pub mod segments;
pub mod trusted;
