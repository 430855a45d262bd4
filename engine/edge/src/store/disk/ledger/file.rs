//! The bytes of a ledger. All numbers are little-endian, all checksums CRC-32C. The page
//! `docs/disk-format.md` describes them for readers without this code.
//!
//! ```text
//! ledger = first sector, then sectors of lines; a sector has 512 bytes
//! first  = magic (16) | log (8) | base (8) | due (8) | checksum of these (4) | zeros
//! line   = length of what follows the checksum (4) | checksum of length and rest (4) | number (8) |
//!          mode (1) | kind (1) | thing
//! ```
//!
//! A disk writes a sector as a whole, so a line never crosses the end of one; a longer line begins
//! with a sector and takes several. A length of 0, or too little room, ends the lines of a sector;
//! the rest of it is zeros. The file is a multiple of 64 KiB long, and its last sector is zeros. So
//! whatever is cut off or changed is noticed, and a power failure leaves a file of whole lines.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::table::{PurgeTable, PurgedThing, TableShare};
use crate::store::purge::scope::PurgeMode;
use tero_state::segments::files::{FileSystem, OpenFile};

/// The beginning of the file: its kind and version.
const MAGIC: [u8; 16] = *b"TEROPURGES\n\0\0\0\0\x02";
const SECTOR: usize = 512;
/// The file grows by so many bytes, so that there is room for a purge on a full disk.
const GROWTH: usize = 64 << 10;
/// With less room than this, it is time to have it grow.
const LITTLE_ROOM: u64 = GROWTH as u64 / 2;
/// The file is written anew when as many bytes of lines were added as it had before, and so many at least.
const MIN_ADDED: u64 = 256 << 10;
/// Lines that wait for a disk at most.
pub(super) const MAX_WAITING: usize = 100_000;
/// Length and checksum of a line.
const FRAME: usize = 8;
/// The longest line: a prefix is a URL, which a request's head bounds.
const MAX_LINE: usize = 1 << 20;

/// What the first sector says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LedgerHead {
    /// The identity of the log.
    pub(super) log: u64,
    /// The number that this run's purges begin after.
    pub(super) base: u64,
    /// When the first hard purge was carried out whose records may still be on the disk: by the
    /// system's clock, in milliseconds since the Unix epoch; 0 if there is none.
    pub(super) due: u64,
}

/// An open file. Changes don't wait for the disk; what has to be waited for is handed out.
#[derive(Debug)]
pub(super) struct LedgerFile {
    file: Arc<dyn OpenFile>,
    /// The sector that is being filled, and where it lies.
    sector: Vec<u8>,
    at: u64,
    /// The length of the file.
    length: u64,
    /// Lines for which it has no room yet.
    waiting: Vec<Vec<u8>>,
    /// The length of the file when it was written, and the bytes of lines that came since.
    written: u64,
    added: u64,
    /// Whether anything was changed since the last sync.
    is_dirty: bool,
}

/// Room that a file is to get.
#[derive(Debug)]
pub(super) struct LedgerGrowth {
    file: Arc<dyn OpenFile>,
    from: u64,
    to: u64,
}

impl LedgerGrowth {
    /// Writes the room. If that fails, the file is as it was.
    pub(super) fn write(&self) -> io::Result<()> {
        let zeros = vec![0; (self.to - self.from) as usize];
        let written = self.file.write_all_at(&zeros, self.from);
        if written.is_err() {
            // A part may have been written: with it, the file would count as damaged.
            let _ = self.file.set_length(self.from);
        }
        written
    }

    /// Has the room on the disk when it returns: a power failure must not leave lines behind the end. After an
    /// error, nothing says that the lines of the file are on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

impl LedgerFile {
    /// Writes a file with these purges, and has it on the disk, but not in the place of the old one:
    /// [`take_place`] does that.
    pub(super) fn prepare(
        files: &dyn FileSystem,
        path: &Path,
        head: LedgerHead,
        shares: impl Iterator<Item = TableShare>,
    ) -> io::Result<LedgerFile> {
        let mut bytes = first_sector(head);
        for (thing, mode, number) in shares.flat_map(TableShare::lines) {
            put(&mut bytes, &line(&thing, mode, number));
        }
        let at = bytes.len() - bytes.len() % SECTOR;
        let sector = bytes.split_off(at);
        let mut whole = bytes;
        whole.extend_from_slice(&sector);
        // A sector to fill, and one of zeros.
        whole.resize((at + 2 * SECTOR).next_multiple_of(GROWTH), 0);
        let new = prepared(path);
        match files.remove(&new) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let file = files.create(&new)?;
        file.write_all_at(&whole, 0)?;
        file.sync()?;
        Ok(LedgerFile {
            file: file.into(),
            sector,
            at: at as u64,
            length: whole.len() as u64,
            waiting: Vec::new(),
            written: whole.len() as u64,
            added: 0,
            is_dirty: false,
        })
    }

    /// Adds lines. Those for which there is no room wait until there is.
    pub(super) fn add(&mut self, lines: Vec<Vec<u8>>) -> io::Result<()> {
        self.added += lines.iter().map(|line| line.len() as u64).sum::<u64>();
        self.place(lines)
    }

    fn place(&mut self, lines: Vec<Vec<u8>>) -> io::Result<()> {
        let mut bytes = self.sector.clone();
        let mut lines = lines.into_iter();
        for line in lines.by_ref() {
            let before = bytes.len();
            put(&mut bytes, &line);
            let end = bytes.len() - bytes.len() % SECTOR;
            if self.at + end_of_use(end) > self.length {
                bytes.truncate(before);
                self.waiting.push(line);
                break;
            }
        }
        self.waiting.extend(lines);
        if self.waiting.len() > MAX_WAITING {
            return Err(io::Error::other("too many purges wait for the disk"));
        }
        if bytes.len() == self.sector.len() {
            return Ok(());
        }
        let end = bytes.len() - bytes.len() % SECTOR;
        let sector = bytes[end..].to_vec();
        bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
        self.is_dirty = true;
        self.file.write_all_at(&bytes, self.at)?;
        self.at += end as u64;
        self.sector = sector;
        Ok(())
    }

    /// Whether lines wait for room.
    pub(super) fn lacks_room(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether there is little room left.
    pub(super) fn has_little_room(&self) -> bool {
        self.lacks_room() || self.length - self.at < LITTLE_ROOM
    }

    /// Room for the lines that wait, and some.
    pub(super) fn growth(&self) -> LedgerGrowth {
        let mut bytes = self.sector.clone();
        self.waiting.iter().for_each(|line| put(&mut bytes, line));
        let end = bytes.len() - bytes.len() % SECTOR;
        let needed = self.at + end_of_use(end) + LITTLE_ROOM;
        LedgerGrowth {
            file: Arc::clone(&self.file),
            from: self.length,
            to: needed.max(self.length + 1).next_multiple_of(GROWTH as u64),
        }
    }

    /// Has lines that wait use the room that is there now.
    pub(super) fn grow(&mut self, by: &LedgerGrowth) -> io::Result<()> {
        self.length = by.to;
        let waiting = std::mem::take(&mut self.waiting);
        self.place(waiting)
    }

    /// Whether so many lines have come that it is worth writing anew: most may be of no use any more.
    pub(super) fn has_grown(&self) -> bool {
        self.added > self.written.max(MIN_ADDED)
    }

    /// It could not be written anew: that is worth another attempt once it has grown by as much again.
    pub(super) fn stays(&mut self) {
        self.added = 0;
    }

    /// Writes the first sector anew.
    pub(super) fn set_head(&mut self, head: LedgerHead) -> io::Result<()> {
        self.is_dirty = true;
        self.file.write_all_at(&first_sector(head), 0)
    }

    /// The file, if it has to be synced for all that it has to be on the disk.
    pub(super) fn take_unsynced(&mut self) -> Option<Arc<dyn OpenFile>> {
        std::mem::take(&mut self.is_dirty).then(|| Arc::clone(&self.file))
    }
}

/// Puts a prepared file in the place of the old one. The name is on the disk when this returns.
pub(super) fn take_place(files: &dyn FileSystem, path: &Path) -> io::Result<()> {
    files.rename(&prepared(path), path)
}

/// Removes a prepared file that could not take its place. Returns whether the old one has it for certain.
pub(super) fn give_up_place(files: &dyn FileSystem, path: &Path) -> bool {
    let removed = files.remove(&prepared(path));
    !removed.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn prepared(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// The room that whole sectors of lines need: the sector that is being filled then, and one of zeros, lie
/// behind them.
fn end_of_use(sectors: usize) -> u64 {
    (sectors + 2 * SECTOR) as u64
}

/// Reads a file; `None` if there is none, or if it is damaged.
pub(super) fn read(
    files: &dyn FileSystem,
    path: &Path,
) -> io::Result<Option<(LedgerHead, PurgeTable)>> {
    let file = match files.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = vec![0; usize::try_from(file.length()?).map_err(io::Error::other)?];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => Ok(parse(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(bytes: &[u8]) -> Option<(LedgerHead, PurgeTable)> {
    let (sectors, rest) = bytes.as_chunks::<SECTOR>();
    let (first, lines) = sectors.split_first()?;
    let is_whole = bytes.len().is_multiple_of(GROWTH)
        && rest.is_empty()
        && lines.last().is_some_and(|last| is_zeros(last));
    let head = parse_first(first).filter(|_| is_whole)?;
    let mut table = PurgeTable::default();
    let mut at = SECTOR;
    while at < bytes.len() {
        at += parse_sector(&bytes[at..], &mut table)?;
    }
    Some((head, table))
}

/// Reads the lines of the first of these sectors. Returns the bytes that they take; `None` if they
/// are damaged.
fn parse_sector(bytes: &[u8], table: &mut PurgeTable) -> Option<usize> {
    let mut at = 0;
    while at + FRAME <= SECTOR {
        let (length, _) = bytes[at..].split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        if length == 0 {
            break;
        }
        let end = at + FRAME + length;
        // Only a line that begins with a sector may be longer than it.
        if length > MAX_LINE || end > bytes.len() || (at > 0 && end > SECTOR) {
            return None;
        }
        let (frame, text) = bytes[at..end].split_at(FRAME);
        if frame[4..] != checksum(&frame[..4], text).to_le_bytes() {
            return None;
        }
        let (number, mode, thing) = parse_line(text)?;
        table.add(&thing, mode, number);
        at = end;
        if at > SECTOR {
            break;
        }
    }
    let end = at.next_multiple_of(SECTOR).max(SECTOR);
    is_zeros(bytes.get(at..end)?).then_some(end)
}

fn is_zeros(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn first_sector(head: LedgerHead) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for number in [head.log, head.base, head.due] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes.resize(SECTOR, 0);
    bytes
}

fn parse_first(bytes: &[u8; SECTOR]) -> Option<LedgerHead> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (numbers, _) = rest.as_chunks::<8>();
    let head = LedgerHead {
        log: u64::from_le_bytes(numbers[0]),
        base: u64::from_le_bytes(numbers[1]),
        due: u64::from_le_bytes(numbers[2]),
    };
    (first_sector(head) == bytes).then_some(head)
}

/// Adds a line to the sectors.
fn put(sectors: &mut Vec<u8>, line: &[u8]) {
    let used = sectors.len() % SECTOR;
    if used + line.len() > SECTOR {
        sectors.resize(sectors.len().next_multiple_of(SECTOR), 0);
    }
    sectors.extend_from_slice(line);
    if line.len() > SECTOR || SECTOR - sectors.len() % SECTOR < FRAME {
        sectors.resize(sectors.len().next_multiple_of(SECTOR), 0);
    }
}

/// The line of a purge.
pub(super) fn line(thing: &PurgedThing, mode: PurgeMode, number: u64) -> Vec<u8> {
    let mut line = vec![0; FRAME];
    line.extend_from_slice(&number.to_le_bytes());
    line.push(match mode {
        PurgeMode::Hard => 0,
        PurgeMode::Soft => 1,
    });
    match thing {
        PurgedThing::Everything => line.push(0),
        PurgedThing::Hash(hash) => {
            line.push(1);
            line.extend_from_slice(&hash.to_le_bytes());
        }
        PurgedThing::Prefix(prefix) => {
            line.push(2);
            line.extend_from_slice(prefix.as_bytes());
        }
        PurgedThing::Paths { site, pattern } => {
            line.push(3);
            line.extend_from_slice(&site.to_le_bytes());
            line.extend_from_slice(pattern.as_bytes());
        }
    }
    let length = ((line.len() - FRAME) as u32).to_le_bytes();
    let checksum = checksum(&length, &line[FRAME..]);
    line[..4].copy_from_slice(&length);
    line[4..FRAME].copy_from_slice(&checksum.to_le_bytes());
    line
}

fn checksum(length: &[u8], text: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(length), text)
}

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
