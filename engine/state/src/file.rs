//! Files that are replaced as a whole: after a crash, a file has its old content or the new one.
//!
//! A [`StateFile`] is JSON with a format version, so that a newer format is told from a broken
//! file. It is not a [trusted](crate::trusted) file: its user checks the content.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::dir::{StateDir, StateOwnerError};
use crate::replace::replace;

/// The format version that is read and written.
const VERSION: u32 = 1;

/// The mode of a new state file, before the process's umask is applied.
const STATE_FILE_MODE: u32 = 0o666;

/// Why a state file can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system can't open, read or write it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is larger than its bound.
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
    /// It is not JSON, or its content has another type than its user expects.
    #[error(transparent)]
    Content(#[from] serde_json::Error),
    /// It has this format version, which another version of tero wrote.
    #[error("it has format version {0}, not {VERSION}")]
    Version(u32),
    /// It is another process's to write.
    #[error(transparent)]
    HandedOver(#[from] StateOwnerError),
}

/// A file in the state directory. It keeps the directory locked.
#[derive(Clone, Debug)]
pub struct StateFile {
    path: PathBuf,
    max_bytes: u64,
    dir: Arc<StateDir>,
}

/// The JSON of a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<T> {
    version: u32,
    content: T,
}

/// The part of [`Envelope`] that every format version has.
#[derive(Deserialize)]
struct EnvelopeVersion {
    version: u32,
}

impl StateFile {
    /// The file `name` in `dir`, which need not exist yet. A file larger than `max_bytes` is neither
    /// read nor written.
    pub fn new(dir: &Arc<StateDir>, name: &str, max_bytes: u64) -> StateFile {
        StateFile {
            path: dir.path().join(name),
            max_bytes,
            dir: Arc::clone(dir),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads its content; `None` if the file does not exist.
    ///
    /// # Errors
    /// [`FileError`] if the file can't be read, is too large or broken, or has another format
    /// version.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, FileError> {
        match read_at_most(&self.path, self.max_bytes) {
            Ok(bytes) => parse(&bytes).map(Some),
            Err(FileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces its content.
    ///
    /// # Errors
    /// [`FileError::Io`] if it can't be written, [`FileError::Content`] if JSON can't express
    /// `content`, [`FileError::TooLarge`] if it could not be read back, [`FileError::HandedOver`] if
    /// another process has it. The file keeps its old content then.
    pub fn replace<T: Serialize>(&self, content: &T) -> Result<(), FileError> {
        self.dir.check_ours()?;
        self.replace_although_handed_over(content)
    }

    /// The same, also if the directory is another process's to write: for a file that one process leaves
    /// to the other at a moment of their own.
    ///
    /// # Errors
    /// As [`StateFile::replace`], but for [`FileError::HandedOver`].
    pub fn replace_although_handed_over<T: Serialize>(&self, content: &T) -> Result<(), FileError> {
        let bytes = to_bytes(content)?;
        if bytes.len() as u64 > self.max_bytes {
            return Err(FileError::TooLarge(self.max_bytes));
        }
        Ok(replace(&self.path, &[&bytes], STATE_FILE_MODE)?)
    }
}

/// Reads the bytes of a [`StateFile`].
///
/// # Errors
/// [`FileError::Content`] or [`FileError::Version`].
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FileError> {
    let version = match serde_json::from_slice(bytes) {
        Ok(Envelope {
            version: VERSION,
            content,
        }) => return Ok(content),
        Ok(Envelope { version, .. }) => version,
        // Another format version may have any content.
        Err(error) => match serde_json::from_slice(bytes) {
            Ok(EnvelopeVersion { version }) if version != VERSION => version,
            _ => return Err(error.into()),
        },
    };
    Err(FileError::Version(version))
}

/// The bytes of a [`StateFile`], as [`parse`] reads them.
///
/// # Errors
/// If JSON can't express `content`.
pub fn to_bytes<T: Serialize>(content: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Envelope {
        version: VERSION,
        content,
    })
}

fn read_at_most(path: &Path, max_bytes: u64) -> Result<Vec<u8>, FileError> {
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(FileError::TooLarge(max_bytes));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const MAX_BYTES: u64 = 100;

    fn file(top: &tempfile::TempDir) -> StateFile {
        let dir = Arc::new(StateDir::open(top.path()).unwrap());
        StateFile::new(&dir, "numbers.json", MAX_BYTES)
    }

    #[test]
    fn the_last_content_is_read_back() {
        let top = tempfile::tempdir().unwrap();
        let file = file(&top);
        assert_eq!(file.read::<Vec<u8>>().unwrap(), None);
        for content in [vec![1, 2, 3], vec![4]] {
            file.replace(&content).unwrap();
            assert_eq!(file.read::<Vec<u8>>().unwrap(), Some(content));
        }
        assert_eq!(
            fs::read_to_string(file.path()).unwrap(),
            r#"{"version":1,"content":[4]}"#
        );
        let names = fs::read_dir(top.path()).unwrap().count();
        assert_eq!(names, 2, "the lock and the file");
    }

    #[test]
    fn content_that_could_not_be_read_back_is_not_written() {
        let top = tempfile::tempdir().unwrap();
        let file = file(&top);
        let fits = usize::try_from(MAX_BYTES).unwrap() - to_bytes(&"").unwrap().len();
        let text = |length| "x".repeat(length);
        file.replace(&text(fits)).unwrap();
        let error = file.replace(&text(fits + 1)).unwrap_err();
        assert!(matches!(error, FileError::TooLarge(MAX_BYTES)), "{error}");
        assert_eq!(file.read::<String>().unwrap(), Some(text(fits)));
    }

    #[test]
    fn broken_and_foreign_files_are_refused_and_can_be_replaced() {
        let whole = to_bytes(&[1_u8, 2]).unwrap();
        let torn = (0..whole.len()).map(|end| whole[..end].to_vec());
        let foreign = [
            "null",
            "[1, 2]",
            "# a note",
            r#"{"content": [1, 2]}"#,
            r#"{"version": 1}"#,
            r#"{"version": 1, "content": {"a": 1}}"#,
            r#"{"version": 1, "content": [1, 2], "more": 3}"#,
            r#"{"version": "1", "content": [1, 2]}"#,
            r#"{"version": -1, "content": [1, 2]}"#,
            r#"{"version": 1, "content": [1, 2]} {}"#,
            "\u{0}\u{0}\u{0}\u{0}",
        ];
        let top = tempfile::tempdir().unwrap();
        let file = file(&top);
        for bytes in torn.chain(foreign.map(|text| text.as_bytes().to_vec())) {
            fs::write(file.path(), &bytes).unwrap();
            let error = file.read::<Vec<u8>>().unwrap_err();
            assert!(matches!(error, FileError::Content(_)), "{bytes:?}: {error}");
            file.replace(&[7_u8]).unwrap();
            assert_eq!(file.read::<Vec<u8>>().unwrap(), Some(vec![7]));
        }
    }

    #[test]
    fn another_format_version_is_told_from_a_broken_file() {
        for (text, expected) in [
            (r#"{"version": 2, "content": [1, 2]}"#, 2),
            (r#"{"version": 2, "content": {"form": "other"}}"#, 2),
            (r#"{"version": 3, "checksum": 5}"#, 3),
            (r#"{"version": 0, "content": [1, 2]}"#, 0),
        ] {
            let error = parse::<Vec<u8>>(text.as_bytes()).unwrap_err();
            assert!(
                matches!(error, FileError::Version(version) if version == expected),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn a_file_larger_than_its_bound_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let file = file(&top);
        let check = |length: u64| {
            let mut text = r#"{"version": 1, "content": [1]}"#.to_owned();
            text.extend(std::iter::repeat_n(' ', length as usize - text.len()));
            fs::write(file.path(), text).unwrap();
            file.read::<Vec<u8>>()
        };
        assert_eq!(check(MAX_BYTES).unwrap(), Some(vec![1]));
        let error = check(MAX_BYTES + 1).unwrap_err();
        assert!(matches!(error, FileError::TooLarge(MAX_BYTES)), "{error}");
    }

    #[test]
    fn a_folder_in_place_of_a_file_is_an_error_and_leaves_no_temporary_file() {
        let top = tempfile::tempdir().unwrap();
        let file = file(&top);
        fs::create_dir(file.path()).unwrap();
        assert!(matches!(file.read::<Vec<u8>>(), Err(FileError::Io(_))));
        assert!(matches!(file.replace(&[1_u8]), Err(FileError::Io(_))));
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), 2);
    }
}
