//! Sockets in the file system that visitors, or proxies on the same machine, connect to.
//!
//! The file is made under another name and takes its place whole: with its permissions set and
//! accepting connections. So a file that a process left behind is replaced without a gap, and
//! a client can't connect before the permissions hold.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Domain, SockAddr, Socket, Type};

/// The file of a socket that we listen on. Dropping it removes the file, unless it belongs to another
/// process, or another has put its own in its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and number of the file.
    identity: (u64, u64),
    is_ours: AtomicBool,
}

impl SocketFile {
    /// The file at `path`, which is that of a process that we may succeed.
    ///
    /// # Errors
    /// If it is not there.
    pub fn of_another(path: &Path) -> io::Result<SocketFile> {
        Ok(SocketFile {
            path: path.to_owned(),
            identity: identity(path)?,
            is_ours: AtomicBool::new(false),
        })
    }

    /// Says whether the file is ours.
    pub fn own(&self, is_ours: bool) {
        self.is_ours.store(is_ours, Ordering::Release);
    }
}

/// Listens at `path`. A socket left by a process that has ended is replaced.
///
/// # Errors
/// If another process listens there, if the file is not a socket, or if the folder can't be written
/// to.
pub fn listen(path: &Path, mode: u32, backlog: i32) -> io::Result<(UnixListener, SocketFile)> {
    refuse_taken(path)?;
    let own = path.with_extension(format!("{}.new", std::process::id()));
    // Only a process with our number can have left one behind.
    let _ = fs::remove_file(&own);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(&own)?)?;
    let moved = fs::set_permissions(&own, Permissions::from_mode(mode))
        .and_then(|()| socket.listen(backlog))
        .and_then(|()| fs::rename(&own, path));
    if let Err(error) = moved {
        let _ = fs::remove_file(&own);
        return Err(error);
    }
    let file = SocketFile {
        path: path.to_owned(),
        identity: identity(path)?,
        is_ours: AtomicBool::new(true),
    };
    Ok((socket.into(), file))
}

/// Refuses a path where another process listens, or that belongs to something else.
///
/// # Errors
/// [`io::ErrorKind::AddrInUse`] or [`io::ErrorKind::AlreadyExists`], and errors of the file system.
pub fn refuse_taken(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => {
            let problem = "there is a file that is not a socket";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, problem));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A full queue must not hold us up.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        Ok(()) | Err(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = self.is_ours.load(Ordering::Acquire);
        if is_ours && identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_socket_has_its_mode_and_goes_with_its_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        for wanted in [0o600, 0o666] {
            let (_listener, file) = listen(&path, wanted, 8).unwrap();
            assert_eq!(mode(&path), wanted);
            UnixStream::connect(&path).unwrap();
            drop(file);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        drop(UnixListener::bind(&path).unwrap());
        let (listener, file) = listen(&path, 0o660, 8).unwrap();
        let refused = listen(&path, 0o660, 8).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        let (_listener, newer) = listen(&path, 0o660, 8).unwrap();
        drop(file);
        UnixStream::connect(&path).expect("the file of the newer one stays");
        drop(newer);
        assert!(!path.exists());
    }

    #[test]
    fn the_file_of_a_process_that_is_succeeded_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        let (_listener, old) = listen(&path, 0o660, 8).unwrap();
        let new = SocketFile::of_another(&path).unwrap();
        drop(SocketFile::of_another(&path).unwrap());
        UnixStream::connect(&path).expect("a successor that fails leaves the file alone");
        new.own(true);
        old.own(false);
        drop(old);
        UnixStream::connect(&path).expect("it is the successor's");
        drop(new);
        assert!(!path.exists());
        assert!(SocketFile::of_another(&path).is_err());
    }

    #[test]
    fn other_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        fs::write(&path, "text").unwrap();
        let refused = listen(&path, 0o660, 8).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"text");
        let nowhere = folder.path().join("nowhere/http.sock");
        let refused = listen(&nowhere, 0o660, 8).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NotFound);
    }
}
