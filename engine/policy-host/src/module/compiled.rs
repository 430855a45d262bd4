//! Compiled modules on disk, by the digest of the module and what the engine makes of it, so that a
//! start does not compile.
//!
//! Compiled code is machine code: a file is only used if nobody but us (or root) can have written
//! it ([`trusted`]) and its checksum holds; otherwise the module is compiled anew. A folder that
//! can't be used costs time, never the policy.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::digest::{Digest, hex};
use tero_state::trusted;

/// Changes when the way from a module to what is compiled changes.
const FORMAT: &[u8] = b"tero compiled policy 1";
const CHECKSUM_BYTES: usize = 32;
/// No file larger than that is read.
const MAX_FILE_BYTES: u64 = 512 << 20;
/// Beyond that many files the oldest go.
const MAX_FILES: usize = 64;

/// The folder of compiled modules, or none: then every load compiles.
#[derive(Debug)]
pub(crate) struct CompiledFolder(Option<PathBuf>);

impl CompiledFolder {
    pub(crate) fn new(folder: Option<PathBuf>) -> CompiledFolder {
        CompiledFolder(folder)
    }

    /// The component of that digest: from disk, or compiled from what `encode` returns, and kept.
    pub(crate) fn component<E>(
        &self,
        engine: &Engine,
        digest: &Digest,
        encode: impl FnOnce() -> Result<Vec<u8>, E>,
        refused: impl FnOnce(wasmtime::Error) -> E,
    ) -> Result<Component, E> {
        /// Compiling takes all cores and much memory: one at a time, and whoever waited finds it
        /// done.
        static COMPILING: Mutex<()> = Mutex::new(());

        let path = self
            .0
            .as_ref()
            .map(|folder| folder.join(file_name(engine, digest)));
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
        let component = Component::from_binary(engine, &encode()?).map_err(refused)?;
        if let Some(path) = &path {
            keep(path, &component);
        }
        Ok(component)
    }
}

/// Digest of the module, and a digest of all that decides what the engine compiles it to:
/// wasmtime's version, settings, the processor.
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

/// The component in that file, if the file is there and to be trusted.
fn take(engine: &Engine, path: &Path) -> Option<Component> {
    let content = match trusted::read(path, MAX_FILE_BYTES) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a compiled module is not used: it is compiled anew");
            return None;
        }
    };
    let (checksum, code) = content.split_at_checked(CHECKSUM_BYTES)?;
    if Sha256::digest(code).as_slice() != checksum {
        tracing::warn!(path = %path.display(), "a compiled module is damaged: it is compiled anew");
        return None;
    }
    deserialize(engine, code)
        .inspect_err(|error| tracing::warn!(path = %path.display(), "a compiled module is not used: {error:#}"))
        .ok()
}

/// Machine code that `keep` wrote becomes a component again.
#[allow(
    unsafe_code,
    reason = "wasmtime can't check machine code; see below for why it need not"
)]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes must be what `Component::serialize` returned, unchanged. `take` is the only
    // caller. Its bytes are in our memory (not mapped, so nobody changes them now); they come from
    // a file that, like the folders above, belongs to us or root and that nobody else may write;
    // only `keep` writes files of that name, and only with what `serialize` returned; their
    // checksum holds, so none is torn or rotten. Whoever can still forge one acts as our own user,
    // and could replace our binary as well. Whether wasmtime's version, its settings and the
    // processor are the same is checked by wasmtime itself.
    unsafe { Component::deserialize(engine, code) }
}

/// Writes a compiled component; if that fails, the next start compiles again.
fn keep(path: &Path, component: &Component) {
    let kept = component
        .serialize()
        .map_err(io::Error::other)
        .and_then(|code| {
            path.parent().map_or(Ok(()), trusted::make_folder)?;
            trusted::write(path, &[&Sha256::digest(&code), &code])
        });
    match (kept, path.parent()) {
        (Ok(()), Some(folder)) => thin_out(folder),
        (Err(error), _) => {
            tracing::warn!(path = %path.display(), %error, "a compiled module could not be kept")
        }
        (Ok(()), None) => {}
    }
}

/// Removes the oldest files of the folder beyond the bound, none but our own.
fn thin_out(folder: &Path) {
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
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort_unstable();
    let surplus = files.len().saturating_sub(MAX_FILES);
    for (_, path) in files.into_iter().take(surplus) {
        // Another process may have been faster.
        let _ = fs::remove_file(path);
    }
}
