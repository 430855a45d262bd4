//! A purge log in memory, with the faults that real ones had: it was made anew, was set back, forgot
//! entries that it had acknowledged, left entries out, brought some twice, stood still. For tests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::purge_log::{
    AppendedEntry, EntryDigest, FollowFrom, FollowedLog, LogEntry, LogError, LogFeed, LogFuture,
    LogIdentity, LogState, PlacedEntry, PurgeLog,
};

/// A log in memory. Its clones are the same log.
#[derive(Clone, Debug, Default)]
pub struct TwinLog {
    shared: Arc<Mutex<TwinState>>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct TwinState {
    /// How often the log was made.
    made: u64,
    /// The number of the first entry that is left.
    first: u64,
    entries: Vec<Vec<u8>>,
    by_id: HashMap<String, u64>,
    /// Feeds of before the log was made or set back bring nothing more, and say nothing.
    era: u64,
    is_cut_off: bool,
    loses_next_answer: bool,
}

/// Where a feed of the twin is.
#[derive(Clone, Copy, Debug)]
pub struct TwinCursor {
    from: u64,
    next: u64,
    era: u64,
}

impl TwinLog {
    /// Appends bytes under an id; returns the number.
    pub fn append_bytes(&self, id: &str, bytes: &[u8]) -> AppendedEntry {
        let mut state = self.lock();
        if let Some(number) = state.by_id.get(id) {
            return AppendedEntry {
                number: *number,
                is_repeated: true,
            };
        }
        state.entries.push(bytes.to_vec());
        let number = state.last();
        state.by_id.insert(id.to_owned(), number);
        drop(state);
        self.changed.notify_waiters();
        AppendedEntry {
            number,
            is_repeated: false,
        }
    }

    /// What it says of itself.
    pub fn state(&self) -> LogState {
        self.lock().told()
    }

    /// Begins a feed.
    pub fn open(&self, from: FollowFrom) -> TwinCursor {
        let state = self.lock();
        let next = match from {
            FollowFrom::Number(number) => number.max(state.first + 1),
            FollowFrom::Last => state.last().max(state.first + 1),
        };
        TwinCursor {
            from: next,
            next,
            era: state.era,
        }
    }

    /// The next entry of a feed, if there is one.
    pub fn deliver(&self, cursor: &mut TwinCursor) -> Option<PlacedEntry> {
        let state = self.lock();
        if cursor.era != state.era || state.is_cut_off {
            return None;
        }
        cursor.next = cursor.next.max(state.first + 1);
        let entry = state.entry(cursor.next)?;
        cursor.next += 1;
        Some(entry)
    }

    /// The digest of the entry with this number.
    pub fn digest(&self, number: u64) -> Option<EntryDigest> {
        self.lock().entry(number).map(|entry| entry.digest)
    }

    /// Deletes the log and makes it anew under its name. Its feeds fall silent.
    pub fn recreate(&self) {
        let mut state = self.lock();
        let (made, era) = (state.made + 1, state.era + 1);
        *state = TwinState {
            made,
            era,
            is_cut_off: state.is_cut_off,
            ..TwinState::default()
        };
    }

    /// Takes back the last entries, as a store that is restored. Its feeds fall silent.
    pub fn roll_back(&self, entries: usize) {
        let mut state = self.lock();
        state.forget(entries);
        state.era += 1;
    }

    /// Loses the last entry after it was acknowledged, as servers do that elect one without it. Its
    /// feeds go on, and its number is given again.
    pub fn lose_last(&self) {
        self.lock().forget(1);
    }

    /// Drops the first entries, as their age does. The last one stays: a log has a beat every two seconds.
    pub fn trim(&self, entries: usize) {
        let mut state = self.lock();
        let entries = entries.min(state.entries.len().saturating_sub(1));
        state.entries.drain(..entries);
        state.first += entries as u64;
    }

    /// Whether the log can be reached.
    pub fn cut_off(&self, is_cut_off: bool) {
        self.lock().is_cut_off = is_cut_off;
        self.changed.notify_waiters();
    }

    /// Takes the next entry, and says that it has failed.
    pub fn lose_next_answer(&self) {
        self.lock().loses_next_answer = true;
    }

    fn lock(&self) -> MutexGuard<'_, TwinState> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TwinCursor {
    /// Leaves entries out.
    pub fn skip(&mut self, entries: u64) {
        self.next += entries;
    }

    /// Brings entries again, from the first on that it has brought.
    pub fn repeat(&mut self, entries: u64) {
        self.next = self.next.saturating_sub(entries).max(self.from);
    }
}

impl TwinState {
    fn last(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn told(&self) -> LogState {
        LogState {
            identity: LogIdentity::of("twin", i128::from(self.made)),
            first: self.first + 1,
            last: self.last(),
            last_digest: self.entry(self.last()).map(|entry| entry.digest),
        }
    }

    fn entry(&self, number: u64) -> Option<PlacedEntry> {
        let place = number.checked_sub(self.first + 1)?;
        let bytes = self.entries.get(usize::try_from(place).ok()?)?;
        Some(PlacedEntry::read(number, bytes))
    }

    fn forget(&mut self, entries: usize) {
        let left = self.entries.len().saturating_sub(entries);
        self.entries.truncate(left);
        let last = self.last();
        self.by_id.retain(|_, number| *number <= last);
    }
}

fn cut() -> LogError {
    LogError::Unreachable("it is cut off".to_owned())
}

impl PurgeLog for TwinLog {
    fn append<'f>(&'f self, id: &'f str, entry: &'f LogEntry) -> LogFuture<'f, AppendedEntry> {
        Box::pin(async move {
            if self.lock().is_cut_off {
                return Err(cut());
            }
            let appended = self.append_bytes(id, &entry.to_bytes());
            match std::mem::take(&mut self.lock().loses_next_answer) {
                true => Err(LogError::Unreachable("no answer in time".to_owned())),
                false => Ok(appended),
            }
        })
    }

    fn follow(&self, from: FollowFrom) -> LogFuture<'_, FollowedLog> {
        Box::pin(async move {
            if self.lock().is_cut_off {
                return Err(cut());
            }
            let cursor = self.open(from);
            let log = self.clone();
            Ok(FollowedLog {
                state: self.state(),
                feed: Box::new(TwinFeed { log, cursor }),
            })
        })
    }
}

struct TwinFeed {
    log: TwinLog,
    cursor: TwinCursor,
}

impl LogFeed for TwinFeed {
    fn next(&mut self, most: usize) -> LogFuture<'_, Vec<PlacedEntry>> {
        Box::pin(async move {
            loop {
                let changed = self.log.changed.notified();
                let mut entries = Vec::new();
                while entries.len() < most
                    && let Some(entry) = self.log.deliver(&mut self.cursor)
                {
                    entries.push(entry);
                }
                if !entries.is_empty() {
                    return Ok(entries);
                }
                changed.await;
            }
        })
    }

    fn look(&mut self, number: u64) -> LogFuture<'_, (LogState, Option<EntryDigest>)> {
        Box::pin(async move {
            match self.log.lock().is_cut_off {
                true => Err(cut()),
                false => Ok((self.log.state(), self.log.digest(number))),
            }
        })
    }
}
