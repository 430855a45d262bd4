//! The latest purges by what they mean.

use std::sync::Arc;

use super::hashes::{LatestPurges, PARTS, PurgedHashes};
use crate::store::purge::scope::PurgeMode;
use tero_semantics::path::{PathPattern, PathReadings};

/// Prefixes and patterns that are remembered at most. The older half is then forgotten: all records from
/// before count as purged with them.
pub(super) const MAX_TEXTS: usize = 1024;
/// A number of no purge.
pub(super) const NONE: u64 = 0;

/// What a purge means, as far as a disk remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::store::disk) enum PurgedThing {
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
pub(in crate::store::disk) struct PurgeSubject<'a> {
    /// The hashes of its URL, its site and its surrogate keys.
    pub(in crate::store::disk) hashes: Vec<u64>,
    /// Its absolute URL.
    pub(in crate::store::disk) url: &'a str,
    /// Its path.
    pub(in crate::store::disk) path: &'a str,
    /// The hash of its site.
    pub(in crate::store::disk) site: u64,
}

/// The number of a purge, and of which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::disk) struct PurgeMark {
    /// The identity of the log that counts.
    pub(in crate::store::disk) log: u64,
    /// The number.
    pub(in crate::store::disk) number: u64,
}

impl PurgeMark {
    pub(in crate::store::disk) fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.log.to_le_bytes());
        bytes[8..].copy_from_slice(&self.number.to_le_bytes());
        bytes
    }

    pub(in crate::store::disk) fn from_bytes(bytes: [u8; 16]) -> PurgeMark {
        let (halves, _) = bytes.as_chunks::<8>();
        PurgeMark {
            log: u64::from_le_bytes(halves[0]),
            number: u64::from_le_bytes(halves[1]),
        }
    }
}

/// What the purges mean for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::disk) enum PurgeVerdict {
    /// Nothing.
    Current,
    /// It was purged softly, or under another log: it is stale.
    Stale,
    /// It was purged.
    Gone,
}

/// The latest purges by what they mean.
#[derive(Debug, Default)]
pub(super) struct PurgeTable {
    pub(super) everything: LatestPurges,
    pub(super) hashes: PurgedHashes,
    pub(super) texts: Vec<(Arc<PurgedThing>, LatestPurges)>,
    /// The number of the newest purge; [`NONE`] if there was none.
    pub(super) newest: u64,
}

impl PurgeTable {
    pub(super) fn add(&mut self, thing: &PurgedThing, mode: PurgeMode, number: u64) {
        self.newest = self.newest.max(number);
        match thing {
            PurgedThing::Everything => self.everything.add(mode, number),
            PurgedThing::Hash(hash) => {
                let forgotten = self.hashes.add(*hash, mode, number);
                self.everything.join(forgotten);
            }
            text => {
                match self.texts.iter_mut().find(|(own, _)| **own == *text) {
                    Some((_, latest)) => latest.add(mode, number),
                    None => {
                        let mut latest = LatestPurges::default();
                        latest.add(mode, number);
                        self.texts.push((Arc::new(text.clone()), latest));
                    }
                }
                if self.texts.len() > MAX_TEXTS {
                    self.forget_texts();
                }
            }
        }
    }

    /// Forgets the older half of the texts.
    fn forget_texts(&mut self) {
        self.texts.sort_by_key(|(_, latest)| latest.last());
        for (_, latest) in self.texts.drain(..MAX_TEXTS / 2) {
            self.everything.join(latest);
        }
    }

    /// The latest purges that mean a record.
    pub(super) fn latest(&self, subject: &PurgeSubject<'_>) -> LatestPurges {
        let mut latest = self.everything;
        let hashes = subject.hashes.iter();
        for purged in hashes.filter_map(|hash| self.hashes.latest(*hash)) {
            latest.join(purged);
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

/// Some of the purges, to be written.
#[derive(Debug, Default)]
pub(super) struct TableShare {
    everything: LatestPurges,
    hashes: Vec<(u64, LatestPurges)>,
    texts: Vec<(Arc<PurgedThing>, LatestPurges)>,
}

impl PurgeTable {
    /// The shares that a table has.
    pub(super) const SHARES: usize = PARTS + 1;

    /// A share of the purges. The last one has the purges of everything: what is forgotten joins those, so
    /// who takes the shares in their order, with changes in between, misses no purge from before.
    pub(super) fn share(&self, share: usize) -> TableShare {
        match share < PARTS {
            true => TableShare {
                hashes: self.hashes.part(share),
                ..TableShare::default()
            },
            false => TableShare {
                everything: self.everything,
                hashes: Vec::new(),
                texts: self.texts.clone(),
            },
        }
    }
}

impl TableShare {
    /// Its purges, as they are written.
    pub(super) fn lines(self) -> impl Iterator<Item = (PurgedThing, PurgeMode, u64)> {
        let hashes = self.hashes.into_iter();
        let hashes = hashes.map(|(hash, latest)| (PurgedThing::Hash(hash), latest));
        let texts = self.texts.into_iter();
        let texts = texts.map(|(text, latest)| (PurgedThing::clone(&text), latest));
        let all = [(PurgedThing::Everything, self.everything)].into_iter();
        all.chain(hashes).chain(texts).flat_map(|(thing, latest)| {
            let modes = [
                (PurgeMode::Hard, latest.hard),
                (PurgeMode::Soft, latest.soft),
            ];
            let said = modes.into_iter().filter(|(_, number)| *number != NONE);
            said.map(move |(mode, number)| (thing.clone(), mode, number))
        })
    }
}
