//! What a store does to files. The system does it well; a shim for tests does it badly.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{FileExt, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// The files of a folder.
pub trait FileSystem: Debug + Send + Sync {
    /// The paths of the files in a folder.
    ///
    /// # Errors
    /// The system's error.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// Whether there is a file at a path: no folder, link or anything else.
    ///
    /// # Errors
    /// The system's error.
    fn is_file(&self, path: &Path) -> io::Result<bool>;

    /// Opens a file for reading and, where that is allowed, for writing.
    ///
    /// # Errors
    /// The system's error.
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;

    /// Makes a file for its owner alone. It must not exist.
    ///
    /// # Errors
    /// The system's error.
    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;

    /// Removes a file.
    ///
    /// # Errors
    /// The system's error.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Has the names of a folder on the disk when it returns.
    ///
    /// # Errors
    /// The system's error.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Removes a file if there is one. A power failure doesn't bring it back once this has returned.
    ///
    /// # Errors
    /// The system's error: it may be there then.
    fn remove_for_good(&self, path: &Path) -> io::Result<()> {
        let unless_missing = |done: io::Result<()>| match done {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        };
        unless_missing(self.remove(path))?;
        // It may have been removed before, in vain so far.
        let folder = path.parent();
        folder.map_or(Ok(()), |folder| unless_missing(self.sync_folder(folder)))
    }

    /// Gives a file another name in its folder, in place of the file that has it. The name is on the
    /// disk when this returns.
    ///
    /// # Errors
    /// The system's error.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
}

/// An open file.
pub trait OpenFile: Debug + Send + Sync {
    /// Its length, in bytes.
    ///
    /// # Errors
    /// The system's error.
    fn length(&self) -> io::Result<u64>;

    /// Fills `bytes` from `offset` on. Waits for the disk.
    ///
    /// # Errors
    /// The system's error; `UnexpectedEof` where the file ends before.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Reads what the system has in memory, and returns how much that was. Nothing means "not now",
    /// never the end.
    ///
    /// # Errors
    /// The system's error; `Unsupported` where the file system doesn't offer it.
    fn read_at_once(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all bytes at `offset`.
    ///
    /// # Errors
    /// The system's error.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Gives it another length.
    ///
    /// # Errors
    /// The system's error.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Has all that was written on the disk when it returns.
    ///
    /// # Errors
    /// The system's error.
    fn sync(&self) -> io::Result<()>;
}

/// The system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemFiles;

impl FileSystem for SystemFiles {
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect()
    }

    fn is_file(&self, path: &Path) -> io::Result<bool> {
        Ok(fs::symlink_metadata(path)?.is_file())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let writable = OpenOptions::new().read(true).write(true).open(path);
        let file = writable.or_else(|_| File::open(path))?;
        Ok(Box::new(file))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        Ok(Box::new(file))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        to.parent()
            .map_or(Ok(()), |folder| self.sync_folder(folder))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

impl OpenFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, bytes, offset)
    }

    fn read_at_once(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            let slices = &mut [IoSliceMut::new(bytes)];
            match preadv2(self, slices, offset, ReadWriteFlags::NOWAIT) {
                Ok(read) => return Ok(read),
                Err(Errno::AGAIN) => return Ok(0),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                    return Err(io::ErrorKind::Unsupported.into());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
