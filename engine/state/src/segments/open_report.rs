//! What comes of opening a store.

use std::io;
use std::path::PathBuf;

/// What was found when a store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Segments that are used.
    pub segments: usize,
    /// Those of them that were searched, since their footer was missing or damaged.
    pub searched: usize,
    /// Records that can be found.
    pub records: usize,
    /// What is left alone: segments of another version of tero or of another store, and what isn't a file.
    pub foreign: Vec<PathBuf>,
}

/// Why a store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or a file in it can't be used.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another process uses it.
    #[error("{path} is in use by another running edge; give each edge a folder of its own", path = .0.display())]
    Taken(PathBuf),
}
