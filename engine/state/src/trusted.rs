//! Trusted files: only tero's own user or root can have written them. Whatever decides over
//! traffic, or is machine code, is read from such files alone.
//!
//! The file, its folder and every folder above belong to tero's user or to root, and other users
//! can't write there. A sticky folder above, such as `/tmp`, is accepted: other users can't rename
//! or remove what is ours in it.

use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::replace::replace;

/// The mode of a file that only its owner may read and write.
const OURS_ALONE: u32 = 0o600;
/// Group and others may write.
const OTHERS_WRITE: u32 = 0o022;
/// Only the owner of a file in the folder may rename or remove it.
const STICKY: u32 = 0o1000;

/// Reads a trusted file of at most `max_bytes`.
///
/// # Errors
/// `NotFound` if the file is missing. Other errors say who else could have written it, or why it
/// can't be read.
pub fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let path = resolved(path)?;
    // A symbolic link could point at any other file of ours.
    let seen = fs::symlink_metadata(&path)?;
    if !seen.is_file() || seen.len() > max_bytes {
        return Err(io::Error::other("it is not a file, or is too large"));
    }
    let file = File::open(&path)?;
    // The open file is checked, since the name may lead to another one by now.
    let metadata = file.metadata()?;
    if (metadata.dev(), metadata.ino()) != (seen.dev(), seen.ino()) {
        return Err(io::Error::other("it was replaced while it was opened"));
    }
    if let Some(doubt) = doubt(&metadata) {
        return Err(io::Error::other(format!("it {doubt}")));
    }
    let mut content = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(max_bytes + 1).read_to_end(&mut content)?;
    if content.len() as u64 > max_bytes {
        return Err(io::Error::other("it grew while it was read"));
    }
    Ok(content)
}

/// Makes a folder that only its owner may enter, and the missing folders above it.
///
/// # Errors
/// If it can't be made, or if other users may write in it or above it.
pub fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    check_folder(&fs::canonicalize(path)?)
}

/// Writes a file that only its owner may read, as a whole or not at all. When this returns, the
/// file and its name are on disk.
///
/// # Errors
/// The system's error; an older file of that name stays as it was.
pub fn write(path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
    replace(path, pieces, OURS_ALONE)
}

/// The path with the links of its folder resolved; every folder on the way is checked.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::NotFound)?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let folder = fs::canonicalize(folder)?;
    check_folder(&folder)?;
    Ok(folder.join(name))
}

fn check_folder(folder: &Path) -> io::Result<()> {
    for (above, folder) in folder.ancestors().enumerate() {
        let metadata = fs::metadata(folder)?;
        let sticky = above > 0 && metadata.mode() & STICKY != 0;
        match doubt(&metadata) {
            Some(doubt) if !(sticky && is_ours(&metadata)) => {
                return Err(io::Error::other(format!(
                    "the folder {} {doubt}",
                    folder.display()
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

fn doubt(metadata: &Metadata) -> Option<&'static str> {
    if !is_ours(metadata) {
        return Some("belongs to another user");
    }
    (metadata.mode() & OTHERS_WRITE != 0).then_some("can be written by others")
}

fn is_ours(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw() || metadata.uid() == 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn files_that_others_could_have_written_are_not_read() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("above/folder");
        make_folder(&folder).unwrap();
        let file = folder.join("file");
        write(&file, &[b"con", b"tent"]).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        let refused = |words: &str| {
            let error = read(&file, 100).unwrap_err().to_string();
            assert!(error.contains(words), "{words}: {error}");
        };
        assert_eq!(read(&file, 7).unwrap(), b"content");
        for mode in [0o620, 0o602, 0o666] {
            chmod(&file, mode);
            refused("it can be written by others");
        }
        chmod(&file, 0o644);
        for (place, mode) in [
            (&folder, 0o770),
            (&folder, 0o707),
            (&folder, 0o1777),
            (&top.path().join("above"), 0o777),
        ] {
            chmod(place, mode);
            refused("can be written by others");
            assert!(make_folder(&folder).is_err(), "{place:?} {mode:o}");
            chmod(place, 0o755);
        }
        // In a sticky folder, other users can't replace ours.
        chmod(&top.path().join("above"), 0o1777);
        assert_eq!(read(&file, 7).unwrap(), b"content");
    }

    #[test]
    fn links_folders_and_oversized_files_are_not_read() {
        let top = tempfile::tempdir().unwrap();
        let (file, link) = (top.path().join("file"), top.path().join("link"));
        write(&file, &[b"content"]).unwrap();
        symlink(&file, &link).unwrap();
        assert!(read(&link, 100).is_err());
        assert!(read(&file, 6).is_err());
        assert!(read(top.path(), 100).is_err());
        assert_eq!(
            read(&top.path().join("none"), 100).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        // A link to a folder is followed, and the folder is checked.
        symlink(top.path(), top.path().join("way")).unwrap();
        assert!(read(&top.path().join("way/file"), 100).is_ok());
    }

    #[test]
    fn a_failed_write_leaves_no_temporary_file() {
        let top = tempfile::tempdir().unwrap();
        let taken = top.path().join("taken");
        fs::create_dir(&taken).unwrap();
        assert!(write(&taken, &[b"x"]).is_err());
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), 1);
    }
}
