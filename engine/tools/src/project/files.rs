//! Writing the files of a project.

use std::path::Path;

use super::error::{ProjectError, file_error};

/// Writes a file, and makes its folder if needed.
pub(super) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), ProjectError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(file_error(folder))?;
    }
    std::fs::write(path, content).map_err(file_error(path))
}
