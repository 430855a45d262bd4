//! Files that nobody but us (or root) can have written, and writing them so that no reader ever
//! sees half of one. A leaf.
//!
//! What decides over all traffic, or is machine code, is only read from such files: the file, its
//! folder and every folder above belong to us or to root, and nobody else may write there (a sticky
//! folder such as `/tmp` lets others write, but not touch what is ours).

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

/// The content of a file that nobody else can have written: at most `max_bytes`.
///
/// # Errors
/// `NotFound` where there is none; anything else says who else could have written it, or why it
/// can't be read.
pub fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let path = resolved(path)?;
    // A link in the place of the file could point at anything of ours.
    let seen = fs::symlink_metadata(&path)?;
    if !seen.is_file() || seen.len() > max_bytes {
        return Err(io::Error::other("it is no file of a likely size"));
    }
    let file = File::open(&path)?;
    // Of the open file: what is checked is what is read.
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

/// Makes a folder that only we may enter, with those above that are missing.
///
/// # Errors
/// When it can't be made, or is there and others may write in it or above it.
pub fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    check_folder(&fs::canonicalize(path)?)
}

/// Writes a file that only we may read, whole or not at all, with its name on disk when this
/// returns.
///
/// # Errors
/// What the system says; an older file of that name is untouched then.
pub fn write(path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
    replace(path, pieces, OURS_ALONE)
}

/// The path with its folder free of links, every folder on the way checked.
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
        return Some("belongs to somebody else");
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
    fn what_others_could_have_written_is_not_read() {
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
        // Nobody can put another folder in the place of ours in a sticky one.
        chmod(&top.path().join("above"), 0o1777);
        assert_eq!(read(&file, 7).unwrap(), b"content");
    }

    #[test]
    fn neither_links_nor_folders_nor_endless_files_are_read() {
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
        // A link on the way is followed, and what it leads to is checked.
        symlink(top.path(), top.path().join("way")).unwrap();
        assert!(read(&top.path().join("way/file"), 100).is_ok());
    }

    #[test]
    fn a_file_that_could_not_be_written_leaves_the_old_one_and_no_rest() {
        let top = tempfile::tempdir().unwrap();
        let taken = top.path().join("taken");
        fs::create_dir(&taken).unwrap();
        assert!(write(&taken, &[b"x"]).is_err());
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), 1);
    }
}
