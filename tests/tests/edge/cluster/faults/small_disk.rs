//! A disk that can be filled: a file system in memory, where the test may mount one.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder that is a small disk, or a plain folder.
pub(super) struct SmallDisk {
    path: PathBuf,
    is_mounted: bool,
}

impl SmallDisk {
    /// Mounts a disk of this size at a folder that is made.
    pub(super) fn new(path: &Path, mib: u64) -> SmallDisk {
        std::fs::create_dir_all(path).unwrap();
        let options = format!("size={mib}m,mode=0755");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tero-test"])
            .arg(path)
            .output();
        let is_mounted = mounted.is_ok_and(|output| output.status.success());
        if !is_mounted {
            eprintln!("SKIPPED: no disk can be mounted, so none is filled");
        }
        SmallDisk {
            path: path.to_owned(),
            is_mounted,
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fills it, if it is a disk.
    pub(super) fn fill(&self) {
        if self.is_mounted {
            let ballast = std::fs::File::create(self.path.join("ballast"));
            let written = ballast
                .and_then(|mut ballast| std::io::copy(&mut std::io::repeat(0), &mut ballast));
            assert!(written.is_err(), "it is full at some time");
        }
    }

    /// Makes room again. Returns whether it was full.
    pub(super) fn make_room(&self) -> bool {
        std::fs::remove_file(self.path.join("ballast")).is_ok()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if self.is_mounted {
            drop(Command::new("umount").arg("-l").arg(&self.path).output());
        }
    }
}
