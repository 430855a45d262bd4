//! Why a project could not be made or built.

use std::path::{Path, PathBuf};

/// Why a project could not be made or built.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// There is something where the project should go.
    #[error("{} is there already: choose another name", .0.display())]
    Exists(PathBuf),
    /// The SDK for Rust is not where it should be.
    #[error("{} is not the SDK for Rust, which is not published: name the folder sdk/rust of tero's source with --sdk", .0.display())]
    NoSdk(PathBuf),
    /// Nothing in the folder says which language it is.
    #[error("{} holds no policy: there is no Cargo.toml, policy.js, app.py or policy.c (tero policy new makes one)", .0.display())]
    NoProject(PathBuf),
    /// A tool is missing.
    #[error("{tool} is missing, which builds policies in {language}: {cure}")]
    Missing {
        /// The tool.
        tool: &'static str,
        /// The language.
        language: &'static str,
        /// How to get it.
        cure: &'static str,
    },
    /// A tool failed; what it said went to standard error.
    #[error("{tool} failed: see above")]
    Failed {
        /// The tool.
        tool: &'static str,
    },
    /// A build made no module.
    #[error("{tool} made no module of WebAssembly: {cure}")]
    NoModule {
        /// The tool.
        tool: &'static str,
        /// What is probably wrong.
        cure: &'static str,
    },
}

/// Says which file an I/O error is about.
pub(super) fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> ProjectError + '_ {
    move |source| ProjectError::File {
        path: path.to_owned(),
        source,
    }
}
