//! What the threads of a disk that may wait are to read.

use tokio::sync::oneshot;

use super::super::LoadedResponse;

/// What is to be read.
pub(in crate::store::disk) enum ReadJob {
    /// The responses of a key.
    LookUp {
        key: Box<[u8]>,
        reply: oneshot::Sender<Vec<LoadedResponse>>,
    },
    /// Pieces of content: it reads them, and tells the one who waits.
    Content(Box<dyn FnOnce() + Send>),
}
