//! Runs something again whenever a file changes, until the program is stopped.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// How often files are looked at. A change counts once the files have stayed the same that long, so
/// that a file is not read while it is written.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Runs `run`, and runs it again after each change of the files that `files` names.
pub(super) fn watch(files: impl Fn() -> Vec<PathBuf>, run: impl Fn() -> ExitCode) -> ExitCode {
    loop {
        let files = files();
        // Before the run: what changes while it reads counts too.
        let seen = states(&files);
        run();
        eprintln!("tero: watching {} files; Ctrl-C ends", files.len());
        let mut last = states(&files);
        loop {
            pause();
            let now = states(&files);
            let is_quiet = now == last;
            last = now;
            if is_quiet && last != seen {
                break;
            }
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "an author waits for real time to pass"
)]
fn pause() {
    std::thread::sleep(LOOK_EVERY);
}

/// Size and time of the last change; `None` for a file that isn't there.
fn states(files: &[PathBuf]) -> Vec<Option<(u64, Option<SystemTime>)>> {
    let state = |file: &Path| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.len(), metadata.modified().ok()))
    };
    files.iter().map(|file| state(file)).collect()
}
