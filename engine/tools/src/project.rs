//! Projects of policies: made from what this program carries, and built with their language's own
//! tools.
//!
//! All that is derived from the contract (types for editors, C bindings) is made from the
//! contract's text, here, so it is never behind.

mod bindings;
mod build;
mod create;
mod typescript;

use std::path::{Path, PathBuf};

pub use build::build;
pub use create::{NewProject, create};

/// The text of the contract that this program offers.
const CONTRACT: &str = include_str!("../../../sdk/wit/policy.wit");
/// What a build makes, beside the source.
pub const MODULE: &str = "policy.wasm";

/// A language that a policy can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// With the SDK `tero-policy`, built by cargo.
    Rust,
    /// With componentize-js.
    #[value(alias = "js")]
    Javascript,
    /// With componentize-py.
    #[value(alias = "py")]
    Python,
    /// With clang and bindings of wit-bindgen.
    C,
}

impl Language {
    /// Every language.
    pub const ALL: [Language; 4] = [
        Language::Rust,
        Language::Javascript,
        Language::Python,
        Language::C,
    ];

    /// The file that a project of this language has.
    fn marker(self) -> &'static str {
        match self {
            Language::Rust => "Cargo.toml",
            Language::Javascript => "policy.js",
            Language::Python => "app.py",
            Language::C => "policy.c",
        }
    }

    /// The language of the project in this folder.
    fn of(folder: &Path) -> Option<Language> {
        Language::ALL
            .into_iter()
            .find(|language| folder.join(language.marker()).is_file())
    }
}

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

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> ProjectError + '_ {
    move |source| ProjectError::File {
        path: path.to_owned(),
        source,
    }
}

/// Writes a file and the folders that it lies in.
fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), ProjectError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(file_error(folder))?;
    }
    std::fs::write(path, content).map_err(file_error(path))
}

#[cfg(test)]
mod tests;
