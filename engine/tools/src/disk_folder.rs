//! A disk's folder at the desk: checked, and taken apart into files.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use tero_edge::store::disk::{CopyError, DiskError, DiskFolder, FolderRecord};
use tero_time::clock::Clock;

/// The list of what was exported, in its folder.
const LIST: &str = "responses.jsonl";

/// Why a folder can't be looked at.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It can't be opened.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// It can't be read, or the files can't be written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What came of checking a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FolderCheck {
    /// Segments that were read.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Records that are sound, those that newer ones have replaced among them.
    pub sound: u64,
    /// Sound records that were purged, and wait for being erased.
    pub purged: u64,
    /// Records that are damaged, or whose content is gone.
    pub damaged: u64,
    /// Bytes of sound content.
    pub content_bytes: u64,
    /// Segments without a sound footer: an edge searches them when it starts.
    pub without_footer: usize,
    /// What has the name of a segment, and is of another version or store, or no file.
    pub foreign: Vec<PathBuf>,
    /// Whether the file of purges is missing or damaged: then all records count as purged.
    pub lacks_purges: bool,
}

impl FolderCheck {
    /// Whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.damaged == 0 && !self.lacks_purges
    }
}

/// Reads all that is in a folder. `progress` hears how many segments of how many are done.
///
/// # Errors
/// [`FolderError`] if it can't be read.
pub fn verify(
    path: &Path,
    mut progress: impl FnMut(usize, usize),
) -> Result<FolderCheck, FolderError> {
    let folder = DiskFolder::open(path, Clock::real().wall())?;
    let checked = folder
        .verify(|walk| progress(walk.done, walk.of))
        .map_err(|source| FolderError::Io {
            path: path.to_owned(),
            source,
        })?;
    let report = folder.report();
    Ok(FolderCheck {
        segments: report.segments,
        bytes: folder.bytes(),
        sound: checked.sound,
        purged: checked.purged,
        damaged: checked.damaged,
        content_bytes: checked.content_bytes,
        without_footer: report.searched,
        foreign: report.foreign.clone(),
        lacks_purges: checked.lacks_purges,
    })
}

/// A response that was exported: a line of the list.
#[derive(Debug, Serialize)]
struct ExportedResponse<'r> {
    /// The file with its content, beside the list.
    file: &'r str,
    url: &'r str,
    site: &'r str,
    status: u16,
    /// Its fields in their order, as pairs of name and value.
    fields: Vec<(String, String)>,
    tags: &'r [String],
    /// When it was written, in milliseconds since the Unix epoch.
    saved_at_ms: i64,
    length: u64,
}

/// What came of taking responses out of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FolderExport {
    /// Responses that were written.
    pub written: u64,
    /// Records that are damaged or gone, and were left out. Newer ones may have replaced some of them.
    pub damaged: u64,
}

/// Writes the responses that an edge would find in a folder, and whose URLs begin so, into another
/// one: their contents as files, and a list of them. Goes on where something is damaged.
///
/// # Errors
/// [`FolderError`]; what was written stays.
pub fn export(path: &Path, prefix: &str, to: &Path) -> Result<FolderExport, FolderError> {
    let folder = DiskFolder::open(path, Clock::real().wall())?;
    let failed = |source| FolderError::Io {
        path: to.to_owned(),
        source,
    };
    fs::create_dir_all(to).map_err(failed)?;
    let mut list = BufWriter::new(File::create_new(to.join(LIST)).map_err(failed)?);
    let mut written = 0;
    let exported = folder.export(
        |url| url.starts_with(prefix),
        |record| {
            export_one(record, to, written + 1, &mut list)?;
            written += 1;
            Ok(())
        },
    );
    list.flush().map_err(failed)?;
    let damaged = exported.map_err(|source| FolderError::Io {
        path: path.to_owned(),
        source,
    })?;
    Ok(FolderExport { written, damaged })
}

fn export_one(
    record: &FolderRecord<'_>,
    to: &Path,
    number: u64,
    list: &mut impl Write,
) -> Result<(), CopyError> {
    let file = format!("{number:08}.content");
    let content_path = to.join(&file);
    let mut content = BufWriter::new(File::create_new(&content_path)?);
    let copied = record.write_content(&mut content);
    content.flush()?;
    if let Err(error) = copied {
        fs::remove_file(&content_path)?;
        return Err(error);
    }
    let fields = record.fields.iter();
    let line = ExportedResponse {
        file: &file,
        url: &record.url,
        site: &record.site,
        status: record.status.as_u16(),
        fields: fields
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes());
                (name.as_str().to_owned(), value.into_owned())
            })
            .collect(),
        tags: &record.tags,
        saved_at_ms: record.saved_at.unix_millis(),
        length: record.length,
    };
    serde_json::to_writer(&mut *list, &line).map_err(io::Error::from)?;
    list.write_all(b"\n")?;
    Ok(())
}
