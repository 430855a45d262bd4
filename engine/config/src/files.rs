//! The files that a configuration names, and the folder that their paths start from.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::mistakes::Mistake;
use crate::units;

/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The largest page that is sent to clients, in bytes.
const MAX_PAGE_BYTES: u64 = 1 << 20;

/// The folder of the configuration file: relative paths in the file start from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BaseDir<'a>(pub(crate) &'a Path);

impl BaseDir<'_> {
    /// The path that `text` writes.
    pub(crate) fn path(self, text: &str) -> Result<PathBuf, Mistake> {
        if text.is_empty() || text.contains('\0') {
            return Err(Mistake::new(
                "the path is empty",
                "write the path of a file",
            ));
        }
        Ok(self.0.join(text))
    }

    /// As [`BaseDir::path`]; an empty text means no path.
    pub(crate) fn path_or_none(self, text: &str) -> Result<Option<PathBuf>, Mistake> {
        if text.is_empty() {
            Ok(None)
        } else {
            self.path(text).map(Some)
        }
    }

    /// The path that `text` writes, of a file that exists. `what` says for the cure which file is
    /// wanted.
    pub(crate) fn file(self, text: &str, what: &str) -> Result<PathBuf, Mistake> {
        let path = self.path(text)?;
        if path.is_file() {
            return Ok(path);
        }
        Err(Mistake::new(
            format!("there is no file {}", path.display()),
            format!("write the path of {what}"),
        ))
    }

    /// The content of a page that is sent to clients, from the file whose path `text` writes. It may
    /// have any bytes, and at most 1 MiB of them.
    pub(crate) fn read_page(self, text: &str) -> Result<Bytes, Mistake> {
        let path = self.file(text, "a page to send")?;
        let mut page = Vec::new();
        let cure = || {
            format!(
                "see that {} is a readable file of at most 1 MiB",
                path.display()
            )
        };
        let read = std::fs::File::open(&path)
            .and_then(|file| file.take(MAX_PAGE_BYTES + 1).read_to_end(&mut page));
        match read {
            Ok(_) if page.len() as u64 > MAX_PAGE_BYTES => {
                Err(Mistake::new("the file is larger than 1 MiB", cure()))
            }
            Ok(_) => Ok(Bytes::from(page)),
            Err(error) => Err(Mistake::new(
                format!("the file can't be read: {error}"),
                cure(),
            )),
        }
    }

    /// The content of the file whose path `text` writes.
    pub(crate) fn read_text(self, text: &str) -> Result<String, Mistake> {
        read_text(&self.0.join(text))
    }
}

/// Reads a text file of at most 16 MiB. It is read no further than that, since a device or a pipe
/// does not tell its length.
///
/// # Errors
/// The file can't be read, is larger, or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, Mistake> {
    let problem = |problem: String| {
        Mistake::new(
            problem,
            format!("see that {} is a readable text file", path.display()),
        )
    };
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text));
    match read {
        Ok(_) if text.len() as u64 > MAX_FILE_BYTES => Err(problem(format!(
            "the file is larger than {}",
            units::show_size(MAX_FILE_BYTES)
        ))),
        Ok(_) => Ok(text),
        Err(error) => Err(problem(format!("the file can't be read: {error}"))),
    }
}

/// The user's folder for caches: `$XDG_CACHE_HOME`, else `$HOME/.cache`. `None` if neither is an
/// absolute path.
pub(crate) fn user_cache_dir() -> Option<PathBuf> {
    let folder = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")))
}
