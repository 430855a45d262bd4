//! Files of pushed versions in the state directory: contents with their signatures in one folder,
//! records that say which of them there are in another.
//!
//! A change is refused once the directory is another process's. What a record says, and how the file of
//! a content is named, is its user's business.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use tero_config::forms;
use tero_policy_host::digest;
use tero_policy_host::trust::{MAX_SIGNATURE_BYTES, TrustError, TrustedKeys, signature_path};
use tero_state::dir::{DirError, StateDir};
use tero_state::trusted;

/// The largest record, in bytes.
pub(crate) const MAX_RECORD_BYTES: u64 = 1 << 20;

/// Why a content or a record can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum VersionFileError {
    /// The folders can't be used.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// A file can't be read or written, or other users could have written it.
    #[error("the state directory: {path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A content does not have the digest in its name.
    #[error("the state directory: {path} is not what was pushed; push it again", path = .0.display())]
    Damaged(PathBuf),
    /// A content is not signed by a trusted key.
    #[error("the state directory: {path} is refused: {source}", path = path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: TrustError,
    },
}

/// The two folders. The state directory stays locked meanwhile.
#[derive(Debug)]
pub(crate) struct VersionFiles {
    contents: PathBuf,
    records: PathBuf,
    dir: Arc<StateDir>,
}

/// A content that lies there, unread.
#[derive(Debug)]
pub(crate) struct ContentFile {
    /// Its name.
    pub(crate) name: String,
    /// When it was written, in seconds since 1970.
    pub(crate) written_unix_secs: i64,
    /// Its size.
    pub(crate) bytes: u64,
}

impl VersionFiles {
    /// Opens two folders in `dir`, and makes those that are missing.
    ///
    /// # Errors
    /// [`VersionFileError::Dir`] if other users may write in the folders or above them.
    pub(crate) fn open(
        dir: &Arc<StateDir>,
        contents: &str,
        records: &str,
    ) -> Result<VersionFiles, VersionFileError> {
        Ok(VersionFiles {
            contents: dir.folder(contents)?,
            records: dir.folder(records)?,
            dir: Arc::clone(dir),
        })
    }

    /// The names that have a record.
    pub(crate) fn record_names(&self) -> Vec<String> {
        let files = files(&self.records);
        let names = files.iter().filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
            forms::name(name).ok()
        });
        names.collect()
    }

    /// Reads a record; `None` if there is none.
    ///
    /// # Errors
    /// [`VersionFileError::File`]
    pub(crate) fn record(&self, name: &str) -> Result<Option<Vec<u8>>, VersionFileError> {
        let path = self.record_path(name);
        found(trusted::read(&path, MAX_RECORD_BYTES), &path)
    }

    /// Writes a record, whole or not at all. If the one in its place is not `readable`, that one is
    /// kept beside it, as `NAME.json.unreadable`.
    ///
    /// # Errors
    /// [`VersionFileError::File`]
    pub(crate) fn write_record(
        &self,
        name: &str,
        record: &[u8],
        readable: bool,
    ) -> Result<(), VersionFileError> {
        let path = self.record_path(name);
        self.check_ours(&path)?;
        if !readable {
            self.put_aside(name)?;
        }
        trusted::write(&path, &[record]).map_err(at(&path))
    }

    /// Removes a record for good, or keeps one that is not `readable` beside its place.
    ///
    /// # Errors
    /// [`VersionFileError::File`]
    pub(crate) fn remove_record(&self, name: &str, readable: bool) -> Result<(), VersionFileError> {
        let path = self.record_path(name);
        self.check_ours(&path)?;
        if !readable {
            return self.put_aside(name);
        }
        match fs::remove_file(&path).and_then(|()| File::open(&self.records)?.sync_all()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&path)(error)),
            _ => Ok(()),
        }
    }

    /// The contents that are there, signatures left out.
    pub(crate) fn contents(&self) -> Vec<ContentFile> {
        let files = files(&self.contents);
        let contents = files.iter().filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            if name.ends_with(".minisig") {
                return None;
            }
            let metadata = fs::metadata(path).ok()?;
            let written = metadata.modified().ok()?.duration_since(UNIX_EPOCH);
            Some(ContentFile {
                name: name.to_owned(),
                written_unix_secs: written.unwrap_or_default().as_secs().cast_signed(),
                bytes: metadata.len(),
            })
        });
        contents.collect()
    }

    /// Reads the content in the file `name`, which has to have this digest.
    ///
    /// # Errors
    /// [`VersionFileError::File`] or [`VersionFileError::Damaged`]
    pub(crate) fn content(
        &self,
        name: &str,
        of_digest: &str,
        max_bytes: u64,
    ) -> Result<Vec<u8>, VersionFileError> {
        let path = self.content_path(name);
        let content = trusted::read(&path, max_bytes).map_err(at(&path))?;
        match digest(&content) == of_digest {
            true => Ok(content),
            false => Err(VersionFileError::Damaged(path)),
        }
    }

    /// As [`VersionFiles::content`], if a trusted key signed it.
    ///
    /// # Errors
    /// [`VersionFileError`]
    pub(crate) fn trusted_content(
        &self,
        name: &str,
        of_digest: &str,
        max_bytes: u64,
        trust: &TrustedKeys,
    ) -> Result<Vec<u8>, VersionFileError> {
        let content = self.content(name, of_digest, max_bytes)?;
        let path = self.content_path(name);
        match trust.check_file(&path, &content) {
            Ok(()) => Ok(content),
            Err(source) => Err(VersionFileError::Untrusted { path, source }),
        }
    }

    /// The signature that was pushed with a content; `None` if there was none.
    ///
    /// # Errors
    /// [`VersionFileError::File`]
    pub(crate) fn signature(&self, name: &str) -> Result<Option<String>, VersionFileError> {
        let path = signature_path(&self.content_path(name));
        let text = found(trusted::read(&path, MAX_SIGNATURE_BYTES as u64), &path)?;
        Ok(text.and_then(|text| String::from_utf8(text).ok()))
    }

    /// Writes a content, after its signature if it has one.
    ///
    /// # Errors
    /// [`VersionFileError::File`]
    pub(crate) fn write_content(
        &self,
        name: &str,
        content: &[u8],
        signature: Option<&str>,
    ) -> Result<(), VersionFileError> {
        let path = self.content_path(name);
        self.check_ours(&path)?;
        if let Some(signature) = signature {
            let path = signature_path(&path);
            trusted::write(&path, &[signature.as_bytes()]).map_err(at(&path))?;
        }
        trusted::write(&path, &[content]).map_err(at(&path))
    }

    /// Removes contents for whose names `is_surplus` holds, with their signatures.
    pub(crate) fn remove_contents(&self, is_surplus: impl Fn(&str) -> bool) {
        if self.dir.check_ours().is_err() {
            return;
        }
        for path in files(&self.contents) {
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.map(|name| name.strip_suffix(".minisig").unwrap_or(name));
            if name.is_some_and(&is_surplus)
                && let Err(error) = fs::remove_file(&path)
            {
                tracing::warn!(path = %path.display(), %error, "an old version could not be removed");
            }
        }
    }

    /// Where the record of a name lies.
    pub(crate) fn record_path(&self, name: &str) -> PathBuf {
        self.records.join(format!("{name}.json"))
    }

    /// Where the content in the file `name` lies.
    pub(crate) fn content_path(&self, name: &str) -> PathBuf {
        self.contents.join(name)
    }

    fn put_aside(&self, name: &str) -> Result<(), VersionFileError> {
        let path = self.record_path(name);
        let aside = self.records.join(format!("{name}.json.unreadable"));
        fs::rename(&path, &aside).map_err(at(&path))?;
        tracing::warn!(path = %aside.display(), "an unreadable record was put aside");
        Ok(())
    }

    fn check_ours(&self, path: &Path) -> Result<(), VersionFileError> {
        let is_ours = self.dir.check_ours().map_err(io::Error::other);
        is_ours.map_err(at(path))
    }
}

/// What was read of a file, `None` if there is no such file.
fn found(read: io::Result<Vec<u8>>, path: &Path) -> Result<Option<Vec<u8>>, VersionFileError> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn at(path: &Path) -> impl Fn(io::Error) -> VersionFileError {
    let path = path.to_owned();
    move |source| VersionFileError::File {
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_changed_once_another_process_has_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Arc::new(StateDir::open(folder.path()).unwrap());
        let files = VersionFiles::open(&dir, "contents", "records").unwrap();
        files.write_content("a-1", b"one", Some("signed")).unwrap();
        files.write_record("a", b"{}", true).unwrap();
        dir.hand_over(true);
        assert!(files.write_content("a-2", b"two", None).is_err());
        assert!(files.write_record("a", b"[]", true).is_err());
        assert!(files.remove_record("a", true).is_err());
        files.remove_contents(|_| true);
        assert_eq!(files.record("a").unwrap().unwrap(), b"{}");
        assert_eq!(files.content("a-1", &digest(b"one"), 3).unwrap(), b"one");
        assert_eq!(files.signature("a-1").unwrap().unwrap(), "signed");

        dir.hand_over(false);
        files.remove_contents(|name| name == "a-1");
        assert!(files.contents().is_empty());
        assert_eq!(files.signature("a-1").unwrap(), None);
        files.remove_record("a", true).unwrap();
        assert_eq!(files.record("a").unwrap(), None);
    }
}
