//! Access logs, read again: the requests in a log, and what two versions of a policy decide about
//! them.

pub mod advice;
pub mod diff;
pub mod formats;
pub mod log;
pub mod record;
pub mod simulate;
