//! The configuration as commands take it: a file, or `--config`.

use std::path::{Path, PathBuf};

use clap::Args;

/// The configuration, unless the arguments name one.
const DEFAULT_CONFIG: &str = "tero.toml";

/// The configuration that a command works with.
#[derive(Clone, Debug, Args)]
pub(super) struct ConfigArgs {
    /// The configuration [default: tero.toml]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The same as FILE
    #[arg(long, short, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
}

impl ConfigArgs {
    /// The file.
    pub(super) fn path(&self) -> &Path {
        let named = self.file.as_deref().or(self.config.as_deref());
        named.unwrap_or(Path::new(DEFAULT_CONFIG))
    }
}
