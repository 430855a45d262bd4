//! Errors of creating and building projects.

use std::path::{Path, PathBuf};

/// Why a project could not be created or built.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The folder of the new project exists already.
    #[error("{} exists already: choose another name", .0.display())]
    Exists(PathBuf),
    /// The folder is not the SDK for Rust.
    #[error("{} is not the SDK for Rust, which is not published: give the folder sdk/rust of tero's source with --sdk", .0.display())]
    NoSdk(PathBuf),
    /// This program is a release, and knows of no SDK for Rust.
    #[error(
        "the SDK for Rust is not published: give the folder sdk/rust of tero's source with --sdk"
    )]
    SdkUnknown,
    /// The folder has no file that tells the language.
    #[error("{} holds no policy: it has no Cargo.toml, policy.js, policy.ts, app.py, policy.c, policy.go, policy.zig or assembly/policy.ts (create one with tero policy new)", .0.display())]
    NoProject(PathBuf),
    /// A tool is not installed.
    #[error("policies in {language} are built with {tool}, which is missing: {cure}")]
    Missing {
        /// The tool.
        tool: &'static str,
        /// The language.
        language: &'static str,
        /// How to install it.
        cure: &'static str,
    },
    /// The module that a tool made can't be wrapped.
    #[error("{}: {source}", path.display())]
    Wrap {
        /// The module.
        path: PathBuf,
        /// What is missing.
        #[source]
        source: tero_policy_host::WrapError,
    },
    /// A tool failed; its messages went to standard error.
    #[error("{tool} failed: see above")]
    Failed {
        /// The tool.
        tool: &'static str,
    },
    /// A tool succeeded without making a module.
    #[error("{tool} made no WebAssembly module: {cure}")]
    NoModule {
        /// The tool.
        tool: &'static str,
        /// What to change.
        cure: &'static str,
    },
}

/// Adds the path to an I/O error.
pub(super) fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> ProjectError + '_ {
    move |source| ProjectError::File {
        path: path.to_owned(),
        source,
    }
}
