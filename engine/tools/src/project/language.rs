//! The languages that a policy can be written in.

use std::path::Path;
use std::str::FromStr;

/// A language that a policy can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Rust with the SDK `tero-policy`, built by cargo.
    Rust,
    /// JavaScript, built by componentize-js.
    Javascript,
    /// TypeScript, checked by its compiler and built by componentize-js.
    Typescript,
    /// Python, built by componentize-py.
    Python,
    /// C with bindings of wit-bindgen, built by clang.
    C,
    /// Go, built by its own compiler for WASI preview 1, and wrapped.
    Go,
    /// Zig, built by its own compiler, and wrapped.
    Zig,
    /// AssemblyScript, built by its own compiler, and wrapped.
    Assemblyscript,
}

impl Language {
    /// Every language.
    pub const ALL: [Language; 8] = [
        Language::Rust,
        Language::Javascript,
        Language::Typescript,
        Language::Python,
        Language::C,
        Language::Go,
        Language::Zig,
        Language::Assemblyscript,
    ];

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::Javascript => "javascript",
            Language::Typescript => "typescript",
            Language::Python => "python",
            Language::C => "c",
            Language::Go => "go",
            Language::Zig => "zig",
            Language::Assemblyscript => "assemblyscript",
        }
    }

    /// The file that marks a project of this language.
    pub(super) fn marker(self) -> &'static str {
        match self {
            Language::Rust => "Cargo.toml",
            Language::Javascript => "policy.js",
            Language::Typescript => "policy.ts",
            Language::Python => "app.py",
            Language::C => "policy.c",
            Language::Go => "policy.go",
            Language::Zig => "policy.zig",
            Language::Assemblyscript => "assembly/policy.ts",
        }
    }

    /// The language of the project in a folder; `None` if it holds no project.
    pub(super) fn of(folder: &Path) -> Option<Language> {
        Language::ALL
            .into_iter()
            .find(|language| folder.join(language.marker()).is_file())
    }
}

impl FromStr for Language {
    type Err = UnknownLanguage;

    /// Reads the names of [`Language::as_str`], and the short names `js`, `ts`, `py` and `as`.
    fn from_str(name: &str) -> Result<Language, UnknownLanguage> {
        match name {
            "js" => Ok(Language::Javascript),
            "ts" => Ok(Language::Typescript),
            "py" => Ok(Language::Python),
            "as" => Ok(Language::Assemblyscript),
            name => Language::ALL
                .into_iter()
                .find(|language| language.as_str() == name)
                .ok_or(UnknownLanguage),
        }
    }
}

/// A name is not that of a [`Language`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write rust, javascript, typescript, python, c, go, zig or assemblyscript")]
pub struct UnknownLanguage;
