//! Compiled modules on disk, so that a start does not compile. A file is named by the digest of the
//! module and of the engine's settings.
//!
//! Compiled code is machine code. A file is used only if no user but our own and root can have
//! written it ([`trusted`]) and its checksum holds. Otherwise the module is compiled again. An
//! unusable folder costs time, but the policy still loads.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::compiler::{Compiler, CompilerLimits};
use super::digest::{Digest, hex, sha256};
use crate::error::PolicyError;
use crate::runtime::Runtime;
use tero_config as config;
use tero_state::trusted;

/// Must change if the way from a module to its compiled form changes.
const FORMAT: &[u8] = b"tero compiled policy 1";
const CHECKSUM_BYTES: usize = 32;
/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 512 << 20;
/// How many files are kept. The oldest are removed first.
const MAX_FILES: usize = 64;

/// The folder of compiled modules. Without one, every load compiles.
#[derive(Debug)]
pub(crate) struct CompiledFolder {
    folder: Option<PathBuf>,
    /// The most bytes of its files.
    max_bytes: u64,
    compiler: Compiler,
    limits: CompilerLimits,
}

impl CompiledFolder {
    pub(crate) fn new(config: &config::PolicyHost, compiler: Compiler) -> CompiledFolder {
        CompiledFolder {
            folder: config.compiled_cache.clone(),
            max_bytes: config.compiled_cache_size,
            compiler,
            limits: CompilerLimits::of(config),
        }
    }

    /// The component of a module: read from disk, or compiled and kept.
    ///
    /// # Errors
    /// The module can't be compiled.
    pub(crate) fn component(
        &self,
        runtime: &Runtime,
        policy: &Arc<str>,
        module: &[u8],
    ) -> Result<Component, PolicyError> {
        /// Compiling takes all cores and much memory, so one module is compiled at a time. Whoever
        /// compiles keeps the place until the compiler has ended, even if its caller has stopped
        /// waiting. A thread that waited for the same module finds it on disk.
        static COMPILING: Mutex<()> = Mutex::new(());

        let engine = &runtime.engine;
        let path = self
            .folder
            .as_ref()
            .map(|folder| folder.join(file_name(engine, &sha256(module))));
        let kept = || path.as_deref().and_then(|path| take(engine, path));
        if let Some(component) = kept() {
            return Ok(component);
        }
        let _one_at_a_time = COMPILING
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(component) = kept() {
            return Ok(component);
        }
        let code = self
            .compiler
            .compile(self.limits, runtime, policy, module)?;
        let component = deserialize(engine, &code).map_err(|error| PolicyError::Engine {
            reason: format!("the compiler is not that of this program: {error:#}"),
        })?;
        if let Some(path) = &path {
            keep(path, &code, self.max_bytes);
        }
        Ok(component)
    }
}

/// The digest of the module, and a digest of all that determines the compiled code: wasmtime's
/// version, its settings, and the processor.
fn file_name(engine: &Engine, digest: &Digest) -> String {
    struct DigestWriter(Sha256);
    impl Hasher for DigestWriter {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut sink = DigestWriter(Sha256::new());
    sink.write(FORMAT);
    engine.precompile_compatibility_hash().hash(&mut sink);
    let engine_digest: [u8; 32] = sink.0.finalize().into();
    format!("{}-{}.compiled", hex(digest), hex(&engine_digest[..16]))
}

/// The component in this file, if the file exists and is trusted.
fn take(engine: &Engine, path: &Path) -> Option<Component> {
    let content = match trusted::read(path, MAX_FILE_BYTES) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a compiled module is not used and is compiled again");
            return None;
        }
    };
    let (checksum, code) = content.split_at_checked(CHECKSUM_BYTES)?;
    if Sha256::digest(code).as_slice() != checksum {
        tracing::warn!(path = %path.display(), "a compiled module is damaged and is compiled again");
        return None;
    }
    deserialize(engine, code)
        .inspect_err(|error| tracing::warn!(path = %path.display(), "a compiled module is not used: {error:#}"))
        .ok()
}

/// Turns machine code that [`Compiler::compile`] made into a component.
#[allow(
    unsafe_code,
    reason = "wasmtime can't check machine code; see below for why it need not"
)]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes must be those that wasmtime's own compiler made, unchanged. There are two
    // callers. `component` has them from `Compiler::compile`: from this process, or through a pipe
    // from a process that this one started. That process runs the program that the embedder named,
    // `/proc/self/exe` in the edge, so this very program, and no other process has the other end of the
    // pipe. It exited with success after its last byte, so nothing is missing.
    //
    // `take` read the bytes into our memory (they are not mapped), so they do not change any more.
    // They come from a file that, like the folders above it, belongs to our own user or root, and
    // that no other user may write. Only `keep` writes files with this name, and only with bytes
    // that `component` has used. The checksum holds, so the file is neither torn nor damaged.
    //
    // An attacker who can still forge one of them acts as our own user, and could replace our
    // binary as well. wasmtime itself checks that its version, its settings and the processor are
    // the same.
    unsafe { Component::deserialize(engine, code) }
}

/// Writes compiled code. If this fails, the next start compiles again.
fn keep(path: &Path, code: &[u8], max_bytes: u64) {
    let kept = path
        .parent()
        .map_or(Ok(()), trusted::make_folder)
        .and_then(|()| trusted::write(path, &[&Sha256::digest(code), code]));
    match (kept, path.parent()) {
        (Ok(()), Some(folder)) => thin_out(folder, max_bytes),
        (Err(error), _) => {
            tracing::warn!(path = %path.display(), %error, "a compiled module could not be written")
        }
        (Ok(()), None) => {}
    }
}

/// Removes the oldest of our files in the folder, beyond the limits. The latest stays, however large
/// it is: a start uses it.
fn thin_out(folder: &Path, max_bytes: u64) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut files: Vec<_> = entries
        .flatten()
        .filter(|entry| {
            matches!(
                entry
                    .path()
                    .extension()
                    .and_then(|extension| extension.to_str()),
                Some("compiled" | "new")
            )
        })
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            Some((metadata.modified().ok()?, entry.path(), metadata.len()))
        })
        .collect();
    files.sort_unstable();
    let mut total = 0_u64;
    for (kept, (_, path, bytes)) in files.into_iter().rev().enumerate() {
        total = total.saturating_add(bytes);
        if kept > 0 && (kept >= MAX_FILES || total > max_bytes) {
            // Another process may have removed it already.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// The numbers of the files that are left of files with these sizes, oldest first.
    fn left_of(sizes: &[usize], max_bytes: u64) -> Vec<usize> {
        let folder = tempfile::tempdir().unwrap();
        for (number, size) in sizes.iter().enumerate() {
            let path = folder.path().join(format!("{number}.compiled"));
            fs::write(&path, vec![0; *size]).unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            let time = UNIX_EPOCH + Duration::from_secs(1_000 + number as u64);
            file.set_modified(time).unwrap();
        }
        fs::write(folder.path().join("notes.txt"), "mine").unwrap();
        thin_out(folder.path(), max_bytes);
        assert!(folder.path().join("notes.txt").exists());
        (0..sizes.len())
            .filter(|number| folder.path().join(format!("{number}.compiled")).exists())
            .collect()
    }

    #[test]
    fn the_oldest_files_beyond_the_bytes_are_removed() {
        assert_eq!(left_of(&[10, 10, 10], 30), [0, 1, 2]);
        assert_eq!(left_of(&[10, 10, 11], 30), [1, 2]);
        assert_eq!(left_of(&[1, 10, 50], 30), [2], "the latest stays");
    }

    #[test]
    fn the_oldest_files_beyond_the_count_are_removed() {
        let left = left_of(&[1; MAX_FILES + 2], 1_000);
        assert_eq!((left.len(), left[0]), (MAX_FILES, 2));
    }
}
