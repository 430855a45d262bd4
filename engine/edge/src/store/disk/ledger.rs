//! The purges that a disk must remember: the latest number for each URL, surrogate key, site, prefix
//! and pattern of paths.
//!
//! A record on disk has the number of the last purge that had been carried out when it left memory. It
//! is gone, or stale, if something that means it was purged under a later number. So no purge walks
//! over the disk. The file is appended to, and written anew when it is opened and when it has grown.
//! It is small: URLs, surrogate keys and sites are kept as hashes.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use foldhash::quality::RandomState;

use crate::store::purge::scope::PurgeMode;
use tero_semantics::path::{PathPattern, PathReadings};

/// The beginning of the file: its kind and version.
const MAGIC: [u8; 16] = *b"TEROPURGES\n\0\0\0\0\x01";
/// Hashes that are remembered at most. The oldest half is then forgotten: all records from before
/// count as purged with them.
const MAX_HASHES: usize = 1 << 20;
/// Prefixes and patterns that are remembered at most; the same holds for them.
const MAX_TEXTS: usize = 1024;
/// The file is written anew when so many bytes have been appended.
const MAX_APPENDED: u64 = 64 << 20;
/// A number of no purge.
const NONE: u64 = 0;

/// What a purge means, as far as a disk remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum PurgedThing {
    /// A URL, a surrogate key with or without its site, or a site: as a hash.
    Hash(u64),
    /// All URLs that begin so.
    Prefix(Box<str>),
    /// The paths of a site that a pattern protects.
    Paths {
        /// The hash of the site.
        site: u64,
        /// The pattern.
        pattern: Box<str>,
    },
    /// Everything.
    Everything,
}

/// What a record is of.
#[derive(Clone, Debug)]
pub(super) struct PurgeSubject<'a> {
    /// The hashes of its URL, its site and its surrogate keys.
    pub(super) hashes: Vec<u64>,
    /// Its absolute URL.
    pub(super) url: &'a str,
    /// Its path.
    pub(super) path: &'a str,
    /// The hash of its site.
    pub(super) site: u64,
}

/// The number of a purge, and of which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PurgeMark {
    /// The identity of the log that counts.
    pub(super) log: u64,
    /// The number.
    pub(super) number: u64,
}

impl PurgeMark {
    pub(super) fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.log.to_le_bytes());
        bytes[8..].copy_from_slice(&self.number.to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; 16]) -> PurgeMark {
        let (halves, _) = bytes.as_chunks::<8>();
        PurgeMark {
            log: u64::from_le_bytes(halves[0]),
            number: u64::from_le_bytes(halves[1]),
        }
    }
}

/// What the purges mean for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PurgeVerdict {
    /// Nothing.
    Current,
    /// It was purged softly, or under another log: it is stale.
    Stale,
    /// It was purged.
    Gone,
}

/// The latest numbers of hard and of soft purges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LatestPurges {
    hard: u64,
    soft: u64,
}

impl LatestPurges {
    fn add(&mut self, mode: PurgeMode, number: u64) {
        let latest = match mode {
            PurgeMode::Hard => &mut self.hard,
            PurgeMode::Soft => &mut self.soft,
        };
        *latest = number.max(*latest);
    }

    fn join(&mut self, other: LatestPurges) {
        self.add(PurgeMode::Hard, other.hard);
        self.add(PurgeMode::Soft, other.soft);
    }

    fn last(self) -> u64 {
        self.hard.max(self.soft)
    }
}

/// The purges of one disk.
#[derive(Debug)]
pub(super) struct PurgeLedger {
    path: PathBuf,
    table: RwLock<PurgeTable>,
    file: Mutex<LedgerFile>,
    /// The identity of the log: random, drawn when the file is made.
    log: u64,
}

#[derive(Debug)]
struct LedgerFile {
    file: File,
    appended: u64,
    /// Whether anything was appended since the last sync.
    is_dirty: bool,
}

/// The latest purges by what they mean.
#[derive(Clone, Debug, Default)]
struct PurgeTable {
    everything: LatestPurges,
    hashes: HashMap<u64, LatestPurges, RandomState>,
    texts: Vec<(PurgedThing, LatestPurges)>,
    last: u64,
}

impl PurgeLedger {
    /// Opens the ledger of a disk, and writes it anew. Where its file is missing or damaged, all
    /// records that the disk has count as purged, since it isn't known which were.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn open(path: &Path, has_records: bool) -> io::Result<PurgeLedger> {
        let read = match std::fs::read(path) {
            Ok(bytes) => read_ledger(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let (log, table) = match read {
            Some(read) => read,
            None => {
                let mut table = PurgeTable::default();
                if has_records {
                    table.add(&PurgedThing::Everything, PurgeMode::Hard, 1);
                }
                // The log is a new one: records of another one are stale at best.
                (new_log()?, table)
            }
        };
        let file = write_ledger(path, log, &table)?;
        Ok(PurgeLedger {
            path: path.to_owned(),
            table: RwLock::new(table),
            file: Mutex::new(file),
            log,
        })
    }

    /// The identity of its log.
    pub(super) fn log(&self) -> u64 {
        self.log
    }

    /// The number of the last purge; 0 before the first.
    pub(super) fn last(&self) -> u64 {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.last
    }

    /// Adds a purge of these things: it counts from now on, and is durable after the next
    /// [`PurgeLedger::sync`].
    ///
    /// # Errors
    /// The system's error. The purge counts all the same until the process ends.
    pub(super) fn add(
        &self,
        number: u64,
        mode: PurgeMode,
        things: &[PurgedThing],
    ) -> io::Result<()> {
        let mut lines = Vec::new();
        let mut file = self.lock_file();
        {
            let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
            for thing in things {
                put(&mut lines, thing, mode, number);
                table.add(thing, mode, number);
            }
        }
        file.is_dirty = true;
        if file.appended > MAX_APPENDED {
            let table = self
                .table
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            *file = write_ledger(&self.path, self.log, &table)?;
            return Ok(());
        }
        file.file.write_all(&lines)?;
        file.appended += lines.len() as u64;
        Ok(())
    }

    /// Has all purges on disk when it returns. A sync serves all that were added before it.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn sync(&self) -> io::Result<()> {
        let mut file = self.lock_file();
        if file.is_dirty {
            file.file.sync_data()?;
            file.is_dirty = false;
        }
        Ok(())
    }

    /// What the purges mean for a record with this mark.
    pub(super) fn verdict(&self, subject: &PurgeSubject<'_>, mark: PurgeMark) -> PurgeVerdict {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        if mark.log != self.log {
            return match table.everything.hard {
                NONE => PurgeVerdict::Stale,
                _ => PurgeVerdict::Gone,
            };
        }
        let latest = table.latest(subject);
        if latest.hard > mark.number {
            PurgeVerdict::Gone
        } else if latest.soft > mark.number {
            PurgeVerdict::Stale
        } else {
            PurgeVerdict::Current
        }
    }

    fn lock_file(&self) -> MutexGuard<'_, LedgerFile> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PurgeTable {
    fn add(&mut self, thing: &PurgedThing, mode: PurgeMode, number: u64) {
        self.last = self.last.max(number);
        match thing {
            PurgedThing::Everything => self.everything.add(mode, number),
            PurgedThing::Hash(hash) => {
                self.hashes.entry(*hash).or_default().add(mode, number);
                if self.hashes.len() > MAX_HASHES {
                    self.forget_hashes();
                }
            }
            text => {
                match self.texts.iter_mut().find(|(own, _)| own == text) {
                    Some((_, latest)) => latest.add(mode, number),
                    None => {
                        let mut latest = LatestPurges::default();
                        latest.add(mode, number);
                        self.texts.push((text.clone(), latest));
                    }
                }
                if self.texts.len() > MAX_TEXTS {
                    self.forget_texts();
                }
            }
        }
    }

    /// Forgets the older half of the hashes.
    fn forget_hashes(&mut self) {
        let mut numbers: Vec<u64> = self.hashes.values().map(|latest| latest.last()).collect();
        let middle = numbers.len() / 2;
        let (_, bound, _) = numbers.select_nth_unstable(middle);
        let (bound, everything) = (*bound, &mut self.everything);
        self.hashes.retain(|_, latest| {
            let stays = latest.last() > bound;
            if !stays {
                everything.join(*latest);
            }
            stays
        });
    }

    /// Forgets the older half of the texts.
    fn forget_texts(&mut self) {
        self.texts.sort_by_key(|(_, latest)| latest.last());
        for (_, latest) in self.texts.drain(..MAX_TEXTS / 2) {
            self.everything.join(latest);
        }
    }

    /// The latest purges that mean a record.
    fn latest(&self, subject: &PurgeSubject<'_>) -> LatestPurges {
        let mut latest = self.everything;
        for purged in subject
            .hashes
            .iter()
            .filter_map(|hash| self.hashes.get(hash))
        {
            latest.join(*purged);
        }
        for (text, purged) in &self.texts {
            if text.means(subject) {
                latest.join(*purged);
            }
        }
        latest
    }
}

impl PurgedThing {
    /// Whether a text means a record.
    fn means(&self, subject: &PurgeSubject<'_>) -> bool {
        match self {
            PurgedThing::Prefix(prefix) => subject.url.starts_with(&**prefix),
            PurgedThing::Paths { site, pattern } => {
                *site == subject.site
                    && pattern.parse::<PathPattern>().is_ok_and(|pattern| {
                        PathReadings::of(subject.path).are_met_by(std::slice::from_ref(&pattern))
                    })
            }
            PurgedThing::Hash(_) | PurgedThing::Everything => false,
        }
    }
}

/// Appends a line of the file: its length (4 bytes), its checksum (4 bytes), then number (8 bytes),
/// mode, kind and the thing. All numbers are little-endian.
fn put(lines: &mut Vec<u8>, thing: &PurgedThing, mode: PurgeMode, number: u64) {
    let start = lines.len();
    lines.extend_from_slice(&[0; 8]);
    lines.extend_from_slice(&number.to_le_bytes());
    lines.push(match mode {
        PurgeMode::Hard => 0,
        PurgeMode::Soft => 1,
    });
    match thing {
        PurgedThing::Everything => lines.push(0),
        PurgedThing::Hash(hash) => {
            lines.push(1);
            lines.extend_from_slice(&hash.to_le_bytes());
        }
        PurgedThing::Prefix(prefix) => {
            lines.push(2);
            lines.extend_from_slice(prefix.as_bytes());
        }
        PurgedThing::Paths { site, pattern } => {
            lines.push(3);
            lines.extend_from_slice(&site.to_le_bytes());
            lines.extend_from_slice(pattern.as_bytes());
        }
    }
    let length = (lines.len() - start - 8) as u32;
    let checksum = crc32c::crc32c(&lines[start + 8..]);
    lines[start..start + 4].copy_from_slice(&length.to_le_bytes());
    lines[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
}

/// Reads the file: its log, and the purges. `None` if it is damaged. A last line that was cut off
/// belongs to a purge that was never answered, and doesn't count.
fn read_ledger(bytes: &[u8]) -> Option<(u64, PurgeTable)> {
    let bytes = bytes.strip_prefix(&MAGIC)?;
    let (log, bytes) = bytes.split_first_chunk()?;
    let (checksum, mut bytes) = bytes.split_first_chunk()?;
    if crc32c::crc32c(log) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let mut table = PurgeTable::default();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let Some((checksum, rest)) = rest.split_first_chunk() else {
            break;
        };
        let length = u32::from_le_bytes(*length) as usize;
        let Some((line, rest)) = rest.split_at_checked(length) else {
            // It was cut off, or its length is damaged: then a purge may be hidden behind it.
            return (length <= MAX_LINE && bytes.len() <= MAX_LINE)
                .then_some(())
                .map(|()| (u64::from_le_bytes(*log), table));
        };
        if crc32c::crc32c(line) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let (number, mode, thing) = parse_line(line)?;
        table.add(&thing, mode, number);
        bytes = rest;
    }
    Some((u64::from_le_bytes(*log), table))
}

/// The longest line: a prefix is a URL, which a request's head bounds.
const MAX_LINE: usize = 1 << 20;

fn parse_line(line: &[u8]) -> Option<(u64, PurgeMode, PurgedThing)> {
    let (number, line) = line.split_first_chunk()?;
    let ([mode, kind], rest) = line.split_first_chunk()?;
    let mode = match mode {
        0 => PurgeMode::Hard,
        1 => PurgeMode::Soft,
        _ => return None,
    };
    let text = |bytes| std::str::from_utf8(bytes).ok().map(Box::from);
    let thing = match kind {
        0 => PurgedThing::Everything,
        1 => PurgedThing::Hash(u64::from_le_bytes(rest.try_into().ok()?)),
        2 => PurgedThing::Prefix(text(rest)?),
        3 => {
            let (site, pattern) = rest.split_first_chunk()?;
            PurgedThing::Paths {
                site: u64::from_le_bytes(*site),
                pattern: text(pattern)?,
            }
        }
        _ => return None,
    };
    Some((u64::from_le_bytes(*number), mode, thing))
}

/// Writes a file with these purges in place of the old one, and opens it for more.
fn write_ledger(path: &Path, log: u64, table: &PurgeTable) -> io::Result<LedgerFile> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&log.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&log.to_le_bytes()).to_le_bytes());
    let hashes = table.hashes.iter();
    let hashes = hashes.map(|(hash, latest)| (PurgedThing::Hash(*hash), *latest));
    let all = [(PurgedThing::Everything, table.everything)].into_iter();
    for (thing, latest) in all.chain(hashes).chain(table.texts.iter().cloned()) {
        for (mode, number) in [
            (PurgeMode::Hard, latest.hard),
            (PurgeMode::Soft, latest.soft),
        ] {
            if number != NONE {
                put(&mut bytes, &thing, mode, number);
            }
        }
    }
    let new = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())?;
    Ok(LedgerFile {
        file,
        appended: 0,
        is_dirty: false,
    })
}

/// A number that no other log has.
fn new_log() -> io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests;
