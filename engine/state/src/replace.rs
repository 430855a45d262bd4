//! Writes a file as a whole: under a temporary name first, which is then renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a file as a whole or not at all. When this returns, the file and its name are on disk.
/// `mode` is that of a new file, before the process's umask is applied.
///
/// # Errors
/// The system's error; an older file of that name stays as it was.
pub(crate) fn replace(path: &Path, pieces: &[&[u8]], mode: u32) -> io::Result<()> {
    let temporary = unfinished(path);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .and_then(|mut file| {
            pieces.iter().try_for_each(|piece| file.write_all(piece))?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            // The name is in the folder, which has to be on disk as well.
            path.parent()
                .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        });
    if written.is_err() {
        // It may not exist: there is nothing to remove then.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// The temporary path of a file while it is written.
fn unfinished(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    path.with_extension(format!(
        "{}-{}.new",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    ))
}

/// Whether [`unfinished`] made this path, in this process or another one.
pub(crate) fn is_unfinished(path: &Path) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    path.file_name()
        .and_then(|name| name.to_str()?.strip_suffix(".new")?.rsplit_once('.'))
        .and_then(|(_, numbers)| numbers.split_once('-'))
        .is_some_and(|(process, number)| is_number(process) && is_number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_file_is_recognised_by_its_name() {
        let path = Path::new("folder/plans.json");
        assert!(is_unfinished(&unfinished(path)));
        assert_ne!(unfinished(path), unfinished(path));
        for other in [
            "plans.json",
            "plans.new",
            "plans.1-.new",
            "plans.a-2.new",
            "1-2.new",
            "plans.1-2.new.json",
        ] {
            assert!(!is_unfinished(Path::new(other)), "{other}");
        }
    }
}
