//! Files in memory that fail as disks do: writes that were not synced are lost or torn when the power
//! fails, reads and writes fail or hang, the disk is full.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::files::{FileSystem, OpenFile};

/// What a disk writes as a whole or not at all, in bytes.
const SECTOR: usize = 512;

/// A disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShimDisk {
    shared: Arc<ShimShared>,
}

#[derive(Debug, Default)]
struct ShimShared {
    state: Mutex<ShimState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct ShimState {
    files: BTreeMap<PathBuf, u64>,
    contents: BTreeMap<u64, ShimContent>,
    /// Files that were removed, which the power failure may bring back.
    removed: Vec<(PathBuf, u64)>,
    next: u64,
    faults: ShimFaults,
}

#[derive(Clone, Debug, Default)]
struct ShimContent {
    now: Vec<u8>,
    /// What a power failure leaves for certain.
    synced: Vec<u8>,
    unsynced: Vec<ShimChange>,
    was_synced: bool,
}

#[derive(Clone, Debug)]
enum ShimChange {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// What goes wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShimFaults {
    /// All reads fail so.
    pub(crate) reads: Option<io::ErrorKind>,
    /// All changes fail so.
    pub(crate) writes: Option<io::ErrorKind>,
    /// Writes to open files fail so.
    pub(crate) file_writes: Option<io::ErrorKind>,
    /// Files can't be made.
    pub(crate) creations: Option<io::ErrorKind>,
    /// Nor removed.
    pub(crate) removals: Option<io::ErrorKind>,
    /// No file can be synced. What should have been is lost with the power, and the next sync doesn't
    /// tell: the system reports such an error once.
    pub(crate) syncs: Option<io::ErrorKind>,
    /// No folder can be, once its names have changed.
    pub(crate) folder_syncs: Option<io::ErrorKind>,
    /// Reads at once bring nothing.
    pub(crate) is_cold: bool,
    /// Reads that wait hang.
    pub(crate) hangs: bool,
    /// Syncs do.
    pub(crate) syncs_hang: bool,
    /// Removals do.
    pub(crate) removals_hang: bool,
    /// How many of them do.
    hanging: usize,
    /// Bytes that were read at once: what goes right.
    pub(crate) read_at_once: u64,
    /// How many bytes all files may have together.
    pub(crate) room: Option<u64>,
}

#[derive(Debug)]
struct ShimFile {
    disk: ShimDisk,
    number: u64,
}

impl ShimDisk {
    /// Changes what goes wrong.
    pub(crate) fn set(&self, change: impl FnOnce(&mut ShimFaults)) {
        change(&mut self.lock().faults);
        self.shared.changed.notify_all();
    }

    /// The bytes of a file.
    pub(crate) fn bytes(&self, path: &Path) -> Vec<u8> {
        let state = self.lock();
        state.contents[&state.files[path]].now.clone()
    }

    /// Gives a file other bytes.
    pub(crate) fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.lock();
        state.next += 1;
        let number = state.next;
        state.files.insert(path.to_owned(), number);
        let content = ShimContent {
            synced: bytes.clone(),
            now: bytes,
            unsynced: Vec::new(),
            was_synced: true,
        };
        state.contents.insert(number, content);
    }

    /// The paths of all files.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.lock().files.keys().cloned().collect()
    }

    /// The bytes of all files.
    pub(crate) fn size(&self) -> u64 {
        self.lock().size()
    }

    /// Waits until something hangs.
    pub(crate) fn wait_until_hanging(&self) {
        let (changed, long) = (&self.shared.changed, Duration::from_secs(60));
        let waited =
            changed.wait_timeout_while(self.lock(), long, |state| state.faults.hanging == 0);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(state.faults.hanging > 0, "nothing hangs");
    }

    /// Another disk with the same files.
    pub(crate) fn copy(&self) -> ShimDisk {
        let copy = ShimDisk::default();
        let state = self.lock();
        let mut own = copy.lock();
        own.files = state.files.clone();
        own.contents = state.contents.clone();
        own.next = state.next;
        drop(own);
        copy
    }

    /// The disk after the power failed at this moment. `random` gives numbers below its argument.
    pub(crate) fn after_power_failure(&self, random: &mut dyn FnMut(usize) -> usize) -> ShimDisk {
        let state = self.lock();
        let after = ShimDisk::default();
        // Names change in their order, as a journal has it: the last changes are lost.
        let mut back = state.removed[random(state.removed.len() + 1)..].to_vec();
        back.retain(|(path, _)| !state.files.contains_key(path));
        for (path, number) in state.files.clone().into_iter().chain(back) {
            let content = &state.contents[&number];
            // The name of a file that was never synced may be lost.
            if !content.was_synced && random(4) == 0 {
                continue;
            }
            after.put(&path, content.after_power_failure(random));
        }
        after
    }

    fn lock(&self) -> MutexGuard<'_, ShimState> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as something hangs.
    fn while_hanging(&self, hangs: impl Fn(&ShimFaults) -> bool) -> MutexGuard<'_, ShimState> {
        let (mut state, changed) = (self.lock(), &self.shared.changed);
        if hangs(&state.faults) {
            state.faults.hanging += 1;
            changed.notify_all();
            let waited = changed.wait_while(state, |state| hangs(&state.faults));
            state = waited.unwrap_or_else(PoisonError::into_inner);
            state.faults.hanging = state.faults.hanging.saturating_sub(1);
        }
        state
    }

    fn file(&self, number: u64) -> Box<dyn OpenFile> {
        Box::new(ShimFile {
            disk: self.clone(),
            number,
        })
    }
}

impl ShimState {
    fn size(&self) -> u64 {
        let sizes = self.files.values();
        sizes
            .map(|number| self.contents[number].now.len() as u64)
            .sum()
    }

    fn may_change(&self) -> io::Result<()> {
        self.faults.writes.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn sync_names(&mut self, folder: Option<&Path>) -> io::Result<()> {
        self.may_change()?;
        if let Some(kind) = self.faults.folder_syncs {
            return Err(kind.into());
        }
        self.removed.retain(|(path, _)| path.parent() != folder);
        Ok(())
    }

    fn may_read(&self) -> io::Result<()> {
        self.faults.reads.map_or(Ok(()), |kind| Err(kind.into()))
    }
}

impl ShimChange {
    fn carry_out(&self, bytes: &mut Vec<u8>) {
        match self {
            ShimChange::Write(offset, written) => write(bytes, *offset, written),
            ShimChange::Length(length) => bytes.resize(*length, 0),
        }
    }
}

impl ShimContent {
    fn change(&mut self, change: ShimChange) {
        change.carry_out(&mut self.now);
        self.unsynced.push(change);
    }

    fn after_power_failure(&self, random: &mut dyn FnMut(usize) -> usize) -> Vec<u8> {
        let mut after = self.synced.clone();
        for change in &self.unsynced {
            let (offset, bytes) = match change {
                ShimChange::Write(offset, bytes) => (*offset, bytes),
                ShimChange::Length(length) => {
                    if random(2) == 0 {
                        after.resize(*length, 0);
                    }
                    continue;
                }
            };
            match random(4) {
                0 => {}
                1 => write(&mut after, offset, bytes),
                // Torn: some sectors are there, in no order; others are not, or are zeros.
                _ => {
                    let mut at = 0;
                    while at < bytes.len() {
                        let to_sector = SECTOR - (offset + at) % SECTOR;
                        let end = (at + to_sector).min(bytes.len());
                        if random(2) == 0 {
                            write(&mut after, offset + at, &bytes[at..end]);
                        }
                        at = end;
                    }
                }
            }
        }
        after
    }
}

fn write(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(written);
}

impl FileSystem for ShimDisk {
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.lock();
        state.may_read()?;
        let files = state.files.keys();
        let own = files.filter(|path| path.parent() == Some(folder));
        Ok(own.cloned().collect())
    }

    fn is_file(&self, path: &Path) -> io::Result<bool> {
        let is_there = self.lock().files.contains_key(path);
        is_there
            .then_some(true)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let number = {
            let state = self.lock();
            state.may_read()?;
            let number = state.files.get(path).copied();
            number.ok_or(io::ErrorKind::NotFound)?
        };
        Ok(self.file(number))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let mut state = self.lock();
        state.may_change()?;
        if let Some(kind) = state.faults.creations {
            return Err(kind.into());
        }
        if state.files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.next += 1;
        let number = state.next;
        state.files.insert(path.to_owned(), number);
        state.contents.insert(number, ShimContent::default());
        drop(state);
        Ok(self.file(number))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.while_hanging(|faults| faults.removals_hang);
        state.may_change()?;
        if let Some(kind) = state.faults.removals {
            return Err(kind.into());
        }
        let number = state.files.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.removed.push((path.to_owned(), number));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.may_change()?;
        let number = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.to_owned(), number);
        state.sync_names(to.parent())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.lock().sync_names(Some(folder))
    }
}

impl OpenFile for ShimFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.lock().contents[&self.number].now.len() as u64)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.while_hanging(|faults| faults.hangs);
        state.may_read()?;
        let content = &state.contents[&self.number].now;
        let start = offset as usize;
        let there = content.get(start..start + bytes.len());
        bytes.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn read_at_once(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.lock();
        if state.faults.is_cold {
            return Ok(0);
        }
        state.may_read()?;
        let content = &state.contents[&self.number].now;
        let there = content.get(offset as usize..).unwrap_or_default();
        let length = there.len().min(bytes.len());
        bytes[..length].copy_from_slice(&there[..length]);
        state.faults.read_at_once += length as u64;
        Ok(length)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.may_change()?;
        if let Some(kind) = state.faults.file_writes {
            return Err(kind.into());
        }
        let length = state.contents[&self.number].now.len() as u64;
        let room = state.faults.room.unwrap_or(u64::MAX);
        let most = length.saturating_add(room.saturating_sub(state.size()));
        // A full disk takes the beginning.
        let taken = (bytes.len() as u64).min(most.saturating_sub(offset)) as usize;
        let content = state.contents.get_mut(&self.number).expect("it is open");
        if taken > 0 {
            content.change(ShimChange::Write(offset as usize, bytes[..taken].to_vec()));
        }
        match taken == bytes.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.may_change()?;
        let content = state.contents.get_mut(&self.number).expect("it is open");
        content.change(ShimChange::Length(length as usize));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.while_hanging(|faults| faults.syncs_hang);
        let fault = state.faults.writes.or(state.faults.syncs);
        let content = state.contents.get_mut(&self.number).expect("it is open");
        let unsynced = std::mem::take(&mut content.unsynced);
        if let Some(kind) = fault {
            return Err(kind.into());
        }
        let synced = &mut content.synced;
        unsynced.iter().for_each(|change| change.carry_out(synced));
        content.was_synced = true;
        Ok(())
    }
}
