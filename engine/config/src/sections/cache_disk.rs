//! `[[cache.disk]]`.

use std::path::PathBuf;
use std::time::Duration;

use crate::mistakes::Mistake;

section! {
    /// A disk below the memory, for what memory has no room for and what must outlive a restart. See
    /// operating.md.
    #[derive(Clone, Debug, PartialEq)]
    [[cache.disk]]
    pub struct CacheDisk in base_dir {
        /// Its folder. It belongs to one edge, which alone may write there.
        path: PathBuf = required, Text("a path, relative to this file") => |path| {
            base_dir.path_or_none(path)?.ok_or_else(|| {
                Mistake::new("the path is empty", "write the path of a folder")
            })
        };
        /// Maximum size of its files. Several disks share the keys by their sizes.
        size: u64 = required, Size("64MiB", "64TiB");
        /// Maximum memory for responses that wait for being written, beside `memory` of `[cache]`.
        /// Further ones are left out and counted.
        write_queue: u64 = "32MiB", Size("1MiB", "16GiB");
        /// The largest response that is kept on it, but at most an eighth of `size`. Responses above
        /// `max_object` of `[cache]` go to the disk as they come and are read from it as their clients
        /// take them.
        max_object: u64 = "1GiB", Size("1KiB", "16GiB");
        /// How long a request waits for the disk before it goes to the origin. In the middle of a
        /// response it waits up to 20 times as long.
        read_timeout: Duration = "500ms", Duration("1ms", "1min");
        /// When a hard purge is so old, what it meant has been erased from the disk.
        erase_within: Duration = "7d", Duration("1h", "1y");
    }
}
