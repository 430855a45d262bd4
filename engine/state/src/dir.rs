//! The state directory: one process has it at a time.
//!
//! The directory itself has a `lock` and the files of [`crate::file`]. [`crate::trusted`] files are
//! in its folders, where no other user may write.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::replace::is_unfinished;
use crate::trusted;

/// Why the state directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// A file or folder can't be made or opened, or other users may write in it.
    #[error("the state directory: {path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another process has it.
    #[error("the state directory {path} is in use by another running edge; give each edge its own policies.state_dir", path = .0.display())]
    Taken(PathBuf),
}

/// The state directory, locked until this value is dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Locks the directory. If it is missing, makes it so that only its owner may enter. Removes
    /// unfinished files of earlier processes.
    ///
    /// The directory may exist already, and may be a sticky one such as `/tmp`;
    /// [`StateDir::folder`] checks who else may write in it.
    ///
    /// # Errors
    /// [`DirError`] if the directory can't be made, or another process has it.
    pub fn open(path: &Path) -> Result<StateDir, DirError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(at(path))?;
        let lock = lock(path)?;
        remove_unfinished(path);
        Ok(StateDir {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a folder in it for [`trusted`] files. Makes the folder if it is missing, and
    /// removes unfinished files of earlier processes.
    ///
    /// # Errors
    /// [`DirError::Io`] if the folder can't be made, or if other users may write in it or above it.
    pub fn folder(&self, name: &str) -> Result<PathBuf, DirError> {
        let path = self.path.join(name);
        trusted::make_folder(&path).map_err(at(&path))?;
        remove_unfinished(&path);
        Ok(path)
    }
}

/// Locks the directory until the returned file is closed, at the latest when the process ends.
fn lock(dir: &Path) -> Result<File, DirError> {
    let path = dir.join("lock");
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(at(&path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(DirError::Taken(dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(DirError::Io { path, source }),
    }
}

fn remove_unfinished(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if is_unfinished(&path) {
            // An unfinished file that stays does no harm.
            let _ = fs::remove_file(path);
        }
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DirError {
    let path = path.to_owned();
    move |source| DirError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::sync::Arc;

    use super::*;
    use crate::file::StateFile;

    #[test]
    fn the_directory_is_locked_until_it_and_its_files_are_dropped() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("deep/state");
        let dir = Arc::new(StateDir::open(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let file = StateFile::new(&dir, "file.json", 100);
        drop(dir);
        let error = StateDir::open(&path).unwrap_err();
        assert!(matches!(&error, DirError::Taken(taken) if *taken == path));
        drop(file);
        StateDir::open(&path).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("file"), "").unwrap();
        let error = StateDir::open(&top.path().join("file/state")).unwrap_err();
        assert!(matches!(error, DirError::Io { .. }), "{error}");
    }

    #[test]
    fn a_lock_that_is_not_a_file_is_an_error() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("lock")).unwrap();
        let error = StateDir::open(top.path()).unwrap_err();
        assert!(
            matches!(&error, DirError::Io { path, .. } if path.ends_with("lock")),
            "{error}"
        );
    }

    #[test]
    fn an_old_lock_file_locks_nothing_and_keeps_its_content() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("lock"), "4711\n").unwrap();
        let _dir = StateDir::open(top.path()).unwrap();
        assert_eq!(
            fs::read_to_string(top.path().join("lock")).unwrap(),
            "4711\n"
        );
    }

    #[test]
    fn unfinished_files_are_removed_and_other_files_stay() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("versions");
        fs::create_dir(&folder).unwrap();
        for place in [top.path(), &folder] {
            fs::write(place.join("file.12-3.new"), "{\"vers").unwrap();
            fs::write(place.join("notes.new"), "mine").unwrap();
            fs::create_dir(place.join("folder.4-5.new")).unwrap();
        }
        let dir = StateDir::open(top.path()).unwrap();
        assert_eq!(dir.folder("versions").unwrap(), folder);
        for place in [top.path(), &folder] {
            assert!(!place.join("file.12-3.new").exists());
            assert!(place.join("notes.new").exists() && place.join("folder.4-5.new").exists());
        }
    }

    #[test]
    fn a_folder_is_refused_if_other_users_may_write_in_it_or_above_it() {
        let top = tempfile::tempdir().unwrap();
        let chmod = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let dir = StateDir::open(top.path()).unwrap();
        let folder = dir.folder("versions").unwrap();
        for path in [top.path(), &folder] {
            chmod(path, 0o777);
            let error = dir.folder("versions").unwrap_err();
            assert!(error.to_string().contains("can be written by others"));
            chmod(path, 0o700);
        }
        chmod(top.path(), 0o1777);
        dir.folder("versions").unwrap();
    }
}
