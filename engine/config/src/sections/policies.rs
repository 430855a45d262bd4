//! `[policies]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::files::{BaseDir, user_cache_dir};
use crate::forms::{self, TrustedKey};
use crate::mistakes::Mistakes;
use crate::reader::TableReader;

section! {
    /// Settings for all policies together.
    #[derive(Clone, Debug)]
    [policies]
    pub struct PolicyHost in base_dir {
        /// The folder for compiled modules; `""` compiles them at every start.
        compiled_cache: Option<PathBuf>
            = rule(
                "`tero` in the user's cache folder",
                user_cache_dir().map(|folder| folder.join("tero"))
            ),
            Text("a path, relative to this file, or `\"\"`") => |path| base_dir.path_or_none(path);
        /// The most that compiled modules may take on disk. The oldest are removed first; the
        /// latest always stays.
        compiled_cache_size: u64 = "1GiB", Size("16MiB", "1TiB");
        /// Maximum time to compile one module. After it the compiler is killed and the module
        /// refused.
        compile_timeout: Duration = "30s", Duration("1s", "10min");
        /// Maximum memory of the process that compiles a module: its address space.
        compile_memory: u64 = "1GiB", Size("128MiB", "64GiB");
        /// Memory for remembered decisions, for all sites together.
        decision_cache: u64 = "32MiB", Size("64KiB", "16GiB");
        /// Stack that a policy's nested calls may use.
        stack: u64 = "512KiB", Size("64KiB", "1MiB");
        /// The folder for what a restart must not lose: pushed versions and which one is active,
        /// popular pages, the figures of the week, and when plans last ran. It belongs to one edge. With `""` no version can
        /// be pushed, and the rest is lost at a restart.
        state_dir: Option<PathBuf> = "", Text("a path, relative to this file, or `\"\"`")
            => |path| base_dir.path_or_none(path);
        /// Public keys of minisign. With any, modules and data tables have to be signed by one of
        /// them, in the configuration and when they are pushed; built-in policies need no signature.
        /// See policies/trust.md.
        trusted_keys: Vec<TrustedKey> = [],
            Texts("a public key of minisign, or the path of its file, relative to this file")
            => |text| forms::trusted_key(text, base_dir), distinct();
        /// The largest module, including the settings and cases that are pushed with it.
        max_module: u64 = "64MiB", Size("64KiB", "1GiB");
        /// The largest file of a data table.
        max_table: u64 = "64MiB", Size("1KiB", "1GiB");
        /// Maximum number of data tables, of the configuration and pushed. All are in memory.
        max_tables: usize = 64, Count(1, 1_000);
        /// Maximum number of pushed versions kept of each policy and of each data table. Beyond it,
        /// the oldest unused ones are removed.
        max_versions: usize = 10, Count(2, 1_000);
        /// Maximum number of answered requests that wait for a version in shadow. Further ones are
        /// left out and counted.
        shadow_queue: usize = 1024, Count(16, 1_000_000);
    }
}

impl Default for PolicyHost {
    /// What holds where the table is absent.
    fn default() -> PolicyHost {
        let mistakes = Mistakes::of("", "");
        let absent = TableReader::absent(&PolicyHost::SECTION, &mistakes);
        PolicyHost::read(&absent, BaseDir(Path::new("")))
    }
}
