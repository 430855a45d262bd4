//! The files of a store's folder: its segments, its lock, its secret.

use std::fs::{self, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rustix::rand::{GetRandomFlags, getrandom};

use super::files::{FileSystem, OpenFile};
use super::layout::{FooterEntry, HEADER_BYTES, HeaderProblem, SegmentHeader, StoreSecret};
use super::open_report::{OpenError, OpenReport};
use super::segment::Segment;
use crate::lock_file::LockFile;
use crate::replace::replace;

/// The end of the names of segments.
const SUFFIX: &str = ".segment";

/// Whether a folder is only looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// It belongs to this process.
    Own,
    /// Nothing in it is changed.
    Look,
}

/// A file that may be a segment of this store.
pub(super) struct OpenedFile {
    pub(super) path: PathBuf,
    pub(super) segment: Segment,
    /// The secret in its header; `None` if that is damaged.
    pub(super) secret: Option<StoreSecret>,
}

/// The beginning of what has the name of a segment.
enum Beginning {
    /// The file, its length, and its first bytes.
    Read(Box<dyn OpenFile>, u64, [u8; HEADER_BYTES]),
    /// A file that was cut off before the first record.
    CutOff,
    /// A folder, a link or the like. What a link leads to must not be written to.
    NoFile,
}

fn read_beginning(path: &Path, files: &dyn FileSystem) -> io::Result<Beginning> {
    if !files.is_file(path)? {
        return Ok(Beginning::NoFile);
    }
    let file = files.open(path)?;
    let end = file.length()?;
    let mut header = [0; HEADER_BYTES];
    match file.read_exact_at(&mut header, 0) {
        Ok(()) => Ok(Beginning::Read(file, end, header)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Beginning::CutOff),
        Err(error) => Err(error),
    }
}

/// Opens the segments in a folder, and gives the number that no segment has had.
pub(super) fn open_files(
    folder: &Path,
    files: &dyn FileSystem,
    access: Access,
    report: &mut OpenReport,
) -> Result<(Vec<OpenedFile>, u32), OpenError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { path, source }
    };
    let mut found = Vec::new();
    for path in files.list(folder).map_err(at(folder))? {
        found.extend(number_of(&path).map(|number| (number, path)));
    }
    found.sort_unstable();
    let next = found.last().map_or(1, |(last, _)| last.saturating_add(1));
    let mut opened = Vec::with_capacity(found.len());
    for (number, path) in found {
        let (file, end, header) = match read_beginning(&path, files) {
            Ok(Beginning::Read(file, end, header)) => (file, end, header),
            Ok(Beginning::CutOff) => {
                if access == Access::Own {
                    // Nothing of it can be used; it isn't worth an error if it stays.
                    let _ = files.remove(&path);
                }
                continue;
            }
            Ok(Beginning::NoFile) => {
                report.foreign.push(path);
                continue;
            }
            // It was removed meanwhile: by the edge that it belongs to.
            Err(error) if access == Access::Look && error.kind() == io::ErrorKind::NotFound => {
                continue;
            }
            Err(source) => return Err(OpenError::Io { path, source }),
        };
        let secret = match SegmentHeader::decode(&header) {
            Ok(header) if header.number == u64::from(number) => Some(header.secret),
            Ok(_) | Err(HeaderProblem::Version(_)) => {
                report.foreign.push(path);
                continue;
            }
            Err(HeaderProblem::Damaged) => None,
        };
        opened.push(OpenedFile {
            path,
            segment: Segment::new(number, file, end),
            secret,
        });
    }
    Ok((opened, next))
}

/// The entries of a segment, by its footer or else by a search, and whether it was searched.
pub(super) fn entries_of(
    segment: &Segment,
    secret: &StoreSecret,
    access: Access,
) -> io::Result<(Vec<FooterEntry>, bool)> {
    if let Some(entries) = segment.footer()? {
        return Ok((entries, false));
    }
    let mut entries = Vec::new();
    let end = segment.scan(secret, |record| {
        if record.is_listed() {
            entries.push(record.entry);
        }
    })?;
    segment.set_end(end);
    if access == Access::Own {
        // The next start needn't search it. If that can't be written, or is lost with the power, it
        // searches again. So nothing waits for the disk, which may have a whole segment to write.
        let _ = segment.write_footer(&entries);
    }
    Ok((entries, true))
}

/// Locks the folder until the returned value is dropped.
pub(super) fn lock(folder: &Path) -> Result<LockFile, OpenError> {
    let path = folder.join("lock");
    match LockFile::take(&path) {
        Ok(lock) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::Taken(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(OpenError::Io { path, source }),
    }
}

pub(super) fn path_of(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:010}{SUFFIX}"))
}

/// The number in the name of a segment.
pub(super) fn number_of(path: &Path) -> Option<u32> {
    let number = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?;
    let is_plain = number.len() == 10 && number.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| number.parse().ok()).flatten()
}

/// The secret of the store in this folder, from its file, else from a segment, else a new one. The
/// file is written where it is missing or damaged.
pub(super) fn secret_of(
    folder: &Path,
    in_segments: Option<StoreSecret>,
    access: Access,
) -> io::Result<StoreSecret> {
    let path = folder.join("secret");
    let known = fs::read(&path).ok();
    let known =
        known.and_then(|bytes| SegmentHeader::decode(bytes.as_slice().try_into().ok()?).ok());
    if let Some(known) = known {
        return Ok(known.secret);
    }
    if access == Access::Look {
        return in_segments.ok_or_else(|| io::ErrorKind::NotFound.into());
    }
    let secret = in_segments.map_or_else(new_secret, Ok)?;
    // In the form of a segment's header, whose number is 0.
    let header = SegmentHeader { secret, number: 0 };
    replace(&path, &[&header.encode()], 0o600)?;
    Ok(secret)
}

fn new_secret() -> io::Result<StoreSecret> {
    let mut secret = [0; 16];
    getrandom(&mut secret[..], GetRandomFlags::empty())?;
    Ok(StoreSecret(secret))
}
