//! Reads a folder of zone files, as `/usr/share/zoneinfo` is one.
//!
//! Only files of known zones are read, and of each no more than [`MAX_ZONE_FILE_BYTES`].

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use chrono_tz::TZ_VARIANTS;
use jiff::tz::TimeZone;

use super::ZoneData;
use super::release::ZoneDataRelease;

/// Where systems keep their zone files.
pub const SYSTEM_FOLDER: &str = "/usr/share/zoneinfo";

/// The largest zone file, in bytes. Real ones have less than 4 KiB.
const MAX_ZONE_FILE_BYTES: u64 = 64 * 1024;

/// As much as is read of a file that tells the release, in bytes.
const RELEASE_BYTES: u64 = 64;

/// Why a folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ZoneDataError {
    /// It is not there, or not a folder.
    #[error("there is no folder {}", .0.display())]
    Missing(PathBuf),
    /// No file in it is of a known zone.
    #[error("the folder {} has no zone files", .0.display())]
    Empty(PathBuf),
}

/// What became of one file.
enum ZoneFile {
    Good(TimeZone),
    Missing,
    Damaged,
}

pub(super) fn read(folder: PathBuf) -> Result<ZoneData, ZoneDataError> {
    if !folder.is_dir() {
        return Err(ZoneDataError::Missing(folder));
    }
    let mut damaged = Vec::new();
    // Most names are links to some hundreds of files.
    let mut parsed = HashMap::new();
    let mut zones: Vec<OnceLock<TimeZone>> = Vec::with_capacity(TZ_VARIANTS.len());
    for zone in TZ_VARIANTS {
        let slot = OnceLock::new();
        match read_zone(&folder, zone.name(), &mut parsed) {
            ZoneFile::Good(zone) => {
                let _ = slot.set(zone);
            }
            ZoneFile::Missing => {}
            ZoneFile::Damaged => damaged.push(zone.name()),
        }
        zones.push(slot);
    }
    if zones.iter().all(|zone| zone.get().is_none()) {
        return Err(ZoneDataError::Empty(folder));
    }
    Ok(ZoneData {
        release: release(&folder),
        folder: Some(folder),
        zones,
        damaged,
    })
}

fn read_zone(folder: &Path, name: &str, parsed: &mut HashMap<Vec<u8>, TimeZone>) -> ZoneFile {
    let path = folder.join(name);
    // A pipe would be waited for.
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return ZoneFile::Missing,
        Ok(file) if file.is_file() => {}
        _ => return ZoneFile::Damaged,
    }
    let Some(bytes) = read_start(&path, MAX_ZONE_FILE_BYTES + 1) else {
        return ZoneFile::Damaged;
    };
    if bytes.len() as u64 > MAX_ZONE_FILE_BYTES {
        return ZoneFile::Damaged;
    }
    if let Some(known) = parsed.get(&bytes) {
        return ZoneFile::Good(known.clone());
    }
    match TimeZone::tzif(name, &bytes) {
        Ok(zone) => {
            parsed.insert(bytes, zone.clone());
            ZoneFile::Good(zone)
        }
        Err(_) => ZoneFile::Damaged,
    }
}

/// The release that a folder tells: in the first line of `tzdata.zi`, or in `+VERSION`.
pub(super) fn release(folder: &Path) -> Option<ZoneDataRelease> {
    let first_line = |name: &str| {
        let path = folder.join(name);
        let is_file = std::fs::metadata(&path).is_ok_and(|file| file.is_file());
        let bytes = is_file.then(|| read_start(&path, RELEASE_BYTES))??;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.lines().next().map(str::to_owned)
    };
    let source = first_line("tzdata.zi")
        .and_then(|line| ZoneDataRelease::parse(line.strip_prefix("# version ")?));
    source.or_else(|| ZoneDataRelease::parse(&first_line("+VERSION")?))
}

/// The first `limit` bytes of a file; `None` if it can't be read.
fn read_start(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(limit).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
