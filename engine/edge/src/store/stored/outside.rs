//! Content of a stored response that is not in memory.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

/// Why a piece of content can't be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// It is damaged, or was removed to make room.
    #[error("the stored content is damaged or gone")]
    Lost,
    /// The disk fails.
    #[error("the disk with the content fails")]
    Failed,
    /// The disk is too slow, or too many wait for it.
    #[error("the disk with the content is too slow")]
    Late,
}

/// Where pieces that were asked for arrive.
pub type ContentReply = oneshot::Receiver<Result<Vec<Bytes>, ContentError>>;

/// Content of a stored response that is not in memory. It is read in pieces.
pub trait OutsideContent: Debug + Send + Sync {
    /// Its length, in bytes.
    fn length(&self) -> u64;

    /// The bytes from an offset to the end of their piece, without waiting; `None` if they have to be
    /// waited for.
    ///
    /// # Errors
    /// [`ContentError`]. A part of the content was perhaps sent already.
    fn read_at_once(&self, offset: u64) -> Result<Option<Bytes>, ContentError>;

    /// Has another thread read from an offset to the end of its piece, and some pieces more: fewer where
    /// other clients have too much read ahead. If the answer is dropped, too many wait.
    fn read_ahead(self: Arc<Self>, offset: u64, pieces: usize) -> ContentReply;

    /// Whether pieces may be read before the client has taken those that there are: clients have not too much
    /// read ahead together.
    fn has_room_ahead(&self) -> bool;

    /// How long a reader waits for them.
    fn patience(&self) -> Duration;

    /// Whether requests still find it: not once it was purged, replaced, or removed to make room.
    fn is_found(&self) -> bool;
}
