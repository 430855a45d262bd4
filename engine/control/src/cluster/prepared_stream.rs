//! What `tero cluster init` tells of a stream.

/// What became of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamChange {
    /// It was made.
    Created,
    /// It was there, with these limits.
    Unchanged,
    /// It was there, and got these limits.
    Updated,
}

/// A stream or bucket that was made or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedStream {
    /// The name of its stream.
    pub name: String,
    /// What became of it.
    pub change: StreamChange,
    /// How many servers have it.
    pub replicas: usize,
}
