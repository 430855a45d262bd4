//! How a node follows the purge log without losing an entry in silence: a state machine without I/O.
//!
//! It wants each entry to have the next number, reads the last applied one again whenever the feed
//! begins, and compares what the log says of itself. A log may have been made anew, set back, or have
//! taken another way after a crash of its servers. Whatever the node can't have seen is [`LogDoubt`]:
//! everything that is stored then becomes stale, softly, and the node goes on from there.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::purge_log::{
    EntryDigest, FollowFrom, LogEntry, LogIdentity, LogState, PlacedEntry, PurgeOrder,
};

/// Entries whose digests are known, to tell one that comes again from another one.
const REMEMBERED: usize = 4_096;

/// How far a node is: the last entry that it has applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPosition {
    /// The log.
    pub identity: LogIdentity,
    /// The number of the entry; 0 before the first.
    pub number: u64,
    /// Its digest; `None` if the log had no entry when the node began.
    pub digest: Option<EntryDigest>,
}

/// Why a node may have missed purges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogDoubt {
    /// Something is stored, and where the node was is not known.
    UnknownPosition,
    /// The log was made anew, or is another one.
    OtherLog,
    /// It ends before the entry that was applied last.
    Rewind,
    /// The entry that was applied last is another one now.
    Fork,
    /// Entries are missing in the log.
    Gap,
    /// An entry can't be read: another version of tero wrote it, or a stranger.
    Unreadable,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowerAction {
    /// Make everything stale that is stored, and what is under way.
    StaleAll(LogDoubt),
    /// Apply a purge.
    Apply(PurgeOrder),
    /// Note the position. The entry counts once that is durable.
    Record(LogPosition),
    /// Begin the feed anew, from [`Follower::from`].
    Reopen,
}

/// How a node follows the log.
#[derive(Debug)]
pub struct Follower {
    position: Option<LogPosition>,
    /// The first entry of the feed has to be the one that was applied last.
    rereads: bool,
    /// The end of the log when the feed began.
    caught_up_at: Option<u64>,
    /// Numbers and digests of the last entries.
    recent: VecDeque<(u64, EntryDigest)>,
    /// Where an entry was missing last. The feed was begun anew there; if it is missing again, the log
    /// doesn't have it.
    gap_behind: Option<u64>,
    /// Where the last look found the node behind; if it is there still, the feed stands still.
    was_behind_at: Option<u64>,
}

impl LogDoubt {
    /// All of them.
    pub const ALL: [LogDoubt; 6] = [
        LogDoubt::UnknownPosition,
        LogDoubt::OtherLog,
        LogDoubt::Rewind,
        LogDoubt::Fork,
        LogDoubt::Gap,
        LogDoubt::Unreadable,
    ];

    /// Its name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            LogDoubt::UnknownPosition => "unknown-position",
            LogDoubt::OtherLog => "other-log",
            LogDoubt::Rewind => "rewind",
            LogDoubt::Fork => "fork",
            LogDoubt::Gap => "gap",
            LogDoubt::Unreadable => "unreadable",
        }
    }
}

impl Follower {
    /// A follower that was here before; `None` if that is not known.
    pub fn new(position: Option<LogPosition>) -> Follower {
        Follower {
            position,
            rereads: false,
            caught_up_at: None,
            recent: VecDeque::new(),
            gap_behind: None,
            was_behind_at: None,
        }
    }

    /// Where it is; `None` before the log was reached for the first time.
    pub fn position(&self) -> Option<&LogPosition> {
        self.position.as_ref()
    }

    /// Whether it has applied what stood in the log when the feed began.
    pub fn is_caught_up(&self) -> bool {
        let number = self.position.as_ref().map(|position| position.number);
        self.caught_up_at
            .is_some_and(|end| number.is_some_and(|number| number >= end))
    }

    /// Where to begin to follow: with the entry that was applied last, to see that it is the same.
    pub fn from(&self) -> FollowFrom {
        match &self.position {
            None => FollowFrom::Last,
            Some(LogPosition { number, .. }) => FollowFrom::Number((*number).max(1)),
        }
    }

    /// The feed has begun, at [`Follower::from`], and the log says this of itself. `has_stored` says
    /// whether something may be stored by now: without, there is nothing to doubt.
    pub fn opened(&mut self, state: &LogState, has_stored: bool) -> Vec<FollowerAction> {
        self.was_behind_at = None;
        let Some(position) = &self.position else {
            return self.begin(state, has_stored);
        };
        if let Some(doubt) = doubt_about(position, state) {
            return self.restart(doubt, state);
        }
        self.rereads = position.digest.is_some();
        self.caught_up_at = Some(state.last);
        Vec::new()
    }

    /// An entry has come.
    pub fn entry(&mut self, placed: PlacedEntry) -> Vec<FollowerAction> {
        let Some(position) = &self.position else {
            // The feed has not begun.
            return vec![FollowerAction::Reopen];
        };
        let (number, digest) = (placed.number, placed.digest);
        let last = position.number;
        if self.rereads {
            if number < last {
                // The feed began with the last entry, and the log went on before it was looked at.
                return Vec::new();
            }
            self.rereads = false;
            return match number == last {
                true if position.digest == Some(digest) => {
                    self.remember(number, digest);
                    Vec::new()
                }
                true => self.doubted(LogDoubt::Fork, placed),
                // What was applied last can't be compared any more.
                false => self.missing(last, placed),
            };
        }
        if number > last + 1 {
            return self.missing(last, placed);
        }
        if number == last + 1 {
            return self.applied(placed);
        }
        match self.known(number) {
            Some(known) if known == digest => Vec::new(),
            Some(_) => self.doubted(LogDoubt::Fork, placed),
            None => self.doubted(LogDoubt::Rewind, placed),
        }
    }

    /// The log was looked at while the feed went on. `asked_for` is the position before the look, and
    /// `found` the entry with that number.
    pub fn looked(
        &mut self,
        asked_for: &LogPosition,
        state: &LogState,
        found: Option<EntryDigest>,
    ) -> Vec<FollowerAction> {
        if let Some(doubt) = doubt_about(asked_for, state) {
            // An entry may have gone by its age after it was applied.
            if doubt != LogDoubt::Gap {
                return self.restart(doubt, state);
            }
        }
        let known = asked_for.digest.zip(found);
        if known.is_some_and(|(known, found)| known != found) {
            return self.restart(LogDoubt::Fork, state);
        }
        // What the log has lost meanwhile is not to be waited for.
        self.caught_up_at = self.caught_up_at.map(|end| end.min(state.last));
        let number = self.position.as_ref().map(|position| position.number);
        let behind_at = number.filter(|number| *number < state.last);
        if behind_at.is_some() && behind_at == self.was_behind_at {
            // The feed has stood still from one look to the next.
            self.was_behind_at = None;
            return vec![FollowerAction::Reopen];
        }
        self.was_behind_at = behind_at;
        Vec::new()
    }

    /// Entries behind this number did not come: they were dropped on their way, or the log doesn't have
    /// them. It is read again once.
    fn missing(&mut self, behind: u64, placed: PlacedEntry) -> Vec<FollowerAction> {
        if self.gap_behind.replace(behind) != Some(behind) {
            return vec![FollowerAction::Reopen];
        }
        self.doubted(LogDoubt::Gap, placed)
    }

    /// The first look at a log: what stands in it was before.
    fn begin(&mut self, state: &LogState, has_stored: bool) -> Vec<FollowerAction> {
        let mut actions = Vec::new();
        if has_stored {
            actions.push(FollowerAction::StaleAll(LogDoubt::UnknownPosition));
        }
        actions.push(self.place_at_end(state));
        actions
    }

    /// Takes everything for stale that is stored, and goes on from the present end of the log.
    fn restart(&mut self, doubt: LogDoubt, state: &LogState) -> Vec<FollowerAction> {
        let record = self.place_at_end(state);
        vec![
            FollowerAction::StaleAll(doubt),
            record,
            FollowerAction::Reopen,
        ]
    }

    fn place_at_end(&mut self, state: &LogState) -> FollowerAction {
        self.recent.clear();
        self.rereads = state.last_digest.is_some();
        self.was_behind_at = None;
        self.caught_up_at = Some(state.last);
        let position = LogPosition {
            identity: state.identity.clone(),
            number: state.last,
            digest: state.last_digest,
        };
        self.position = Some(position.clone());
        FollowerAction::Record(position)
    }

    /// Takes everything for stale that is stored, and goes on with this entry.
    fn doubted(&mut self, doubt: LogDoubt, placed: PlacedEntry) -> Vec<FollowerAction> {
        self.recent.clear();
        let mut actions = vec![FollowerAction::StaleAll(doubt)];
        actions.extend(self.applied(placed));
        actions
    }

    fn applied(&mut self, placed: PlacedEntry) -> Vec<FollowerAction> {
        let mut actions = Vec::with_capacity(2);
        match placed.entry {
            Some(LogEntry::Purge(order)) => actions.push(FollowerAction::Apply(order)),
            Some(LogEntry::Beat { .. }) => {}
            None => actions.push(FollowerAction::StaleAll(LogDoubt::Unreadable)),
        }
        actions.push(self.moved_to(placed.number, placed.digest));
        actions
    }

    fn moved_to(&mut self, number: u64, digest: EntryDigest) -> FollowerAction {
        self.remember(number, digest);
        let position = self.position.as_mut();
        let position = position.expect("entries come once the feed has begun");
        position.number = number;
        position.digest = Some(digest);
        FollowerAction::Record(position.clone())
    }

    /// Remembers a digest. The remembered numbers have no gaps.
    fn remember(&mut self, number: u64, digest: EntryDigest) {
        if self.known(number).is_some() {
            return;
        }
        if self
            .recent
            .back()
            .is_some_and(|(last, _)| last + 1 != number)
        {
            self.recent.clear();
        }
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((number, digest));
    }

    fn known(&self, number: u64) -> Option<EntryDigest> {
        let (first, _) = self.recent.front()?;
        let place = usize::try_from(number.checked_sub(*first)?).ok()?;
        let (found, digest) = self.recent.get(place)?;
        (*found == number).then_some(*digest)
    }
}

/// What speaks against going on from `position` in a log that says this of itself.
fn doubt_about(position: &LogPosition, state: &LogState) -> Option<LogDoubt> {
    if position.identity != state.identity {
        return Some(LogDoubt::OtherLog);
    }
    if state.last < position.number {
        return Some(LogDoubt::Rewind);
    }
    match position.digest {
        // The one that was applied last is gone, and would have to be compared.
        Some(_) => (state.first > position.number).then_some(LogDoubt::Gap),
        // The log was empty: what it has up to there is not what it had.
        None if state.first <= position.number => Some(LogDoubt::Rewind),
        None => (state.first > position.number + 1).then_some(LogDoubt::Gap),
    }
}

#[cfg(test)]
mod tests;
