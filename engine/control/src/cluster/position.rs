//! Where a node is in the purge log, on its disk. An entry counts once it lies there: so a node that
//! starts again takes up where its disks have it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tero_state::dir::StateDir;
use tero_state::file::{FileError, StateFile};

use super::follower::LogPosition;

/// The file in the state directory.
const NAME: &str = "purge-log.json";
/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 4_096;

/// The position on the disk.
#[derive(Clone, Debug)]
pub struct PositionFile(Option<StateFile>);

/// What the file has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPosition {
    /// The position.
    pub position: LogPosition,
    /// When it was written, in milliseconds since 1970.
    pub at_ms: u64,
}

impl PositionFile {
    /// The file in this directory; without one, the position is lost at a restart.
    pub fn new(dir: Option<&Arc<StateDir>>) -> PositionFile {
        PositionFile(dir.map(|dir| StateFile::new(dir, NAME, MAX_BYTES)))
    }

    /// What it has; `None` if it isn't there, or can't be read: then the position is not known.
    pub fn read(&self) -> Option<SavedPosition> {
        let file = self.0.as_ref()?;
        file.read().unwrap_or_else(|error| {
            let path = file.path().display();
            tracing::warn!(%path, %error, "the position in the purge log can't be read");
            None
        })
    }

    /// Writes a position. It is durable afterwards.
    ///
    /// # Errors
    /// [`FileError`]; the file keeps an older position then, which is safe.
    pub fn save(&self, position: &LogPosition, at_ms: u64) -> Result<(), FileError> {
        let Some(file) = &self.0 else { return Ok(()) };
        let position = position.clone();
        match file.replace(&SavedPosition { position, at_ms }) {
            // The process before has the file still, or the one after has it by now. The position there
            // is no further than this one.
            Err(FileError::HandedOver(_)) => Ok(()),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::purge_log::{EntryDigest, LogIdentity};
    use super::*;

    #[test]
    fn a_position_is_read_back_and_a_broken_file_is_none() {
        let top = tempfile::tempdir().unwrap();
        let dir = Arc::new(StateDir::open(top.path()).unwrap());
        let file = PositionFile::new(Some(&dir));
        assert_eq!(file.read(), None);
        for digest in [None, Some(EntryDigest::of(b"x"))] {
            let position = LogPosition {
                identity: LogIdentity::of("TERO_PURGES", 1),
                number: 7,
                digest,
            };
            file.save(&position, 5).unwrap();
            assert_eq!(file.read(), Some(SavedPosition { position, at_ms: 5 }));
        }
        std::fs::write(top.path().join(NAME), "{").unwrap();
        assert_eq!(file.read(), None);
        assert_eq!(PositionFile::new(None).read(), None);
    }
}
