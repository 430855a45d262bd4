//! The figures of a node of a fleet.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::follower::LogDoubt;

/// By which way a purge came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeWay {
    /// It was taken here.
    Here,
    /// By the log.
    Log,
    /// From a peer.
    Peer,
}

/// Why a purge of an application is not told to the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayRefusal {
    /// Too many wait for the log.
    Full,
    /// Nodes would not read its entry.
    TooLarge,
    /// No id could be drawn.
    NoId,
}

/// The figures of a node of a fleet, since the start.
#[derive(Debug, Default)]
pub struct ClusterCounters {
    purges: [AtomicU64; 3],
    doubts: [AtomicU64; LogDoubt::ALL.len()],
    refused: [AtomicU64; RelayRefusal::ALL.len()],
    /// Responses that became stale by doubts.
    pub doubted_responses: AtomicU64,
    /// Entries of the log that were applied, beats among them.
    pub entries: AtomicU64,
    /// Entries that were appended.
    pub appended: AtomicU64,
    /// Attempts to append that failed.
    pub append_failures: AtomicU64,
    /// Purges that the log took and lost, and that were appended again.
    pub lost_again: AtomicU64,
    /// Times when the node became blind.
    pub blind_times: AtomicU64,
    /// Milliseconds in which it was blind.
    pub blind_millis: AtomicU64,
    /// Times when the position could not be written.
    pub position_failures: AtomicU64,
    /// Comparisons with a peer that succeeded.
    pub comparisons: AtomicU64,
}

impl PurgeWay {
    /// All of them.
    pub const ALL: [PurgeWay; 3] = [PurgeWay::Here, PurgeWay::Log, PurgeWay::Peer];

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            PurgeWay::Here => "here",
            PurgeWay::Log => "log",
            PurgeWay::Peer => "peer",
        }
    }
}

impl RelayRefusal {
    /// All of them.
    pub const ALL: [RelayRefusal; 3] = [
        RelayRefusal::Full,
        RelayRefusal::TooLarge,
        RelayRefusal::NoId,
    ];

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            RelayRefusal::Full => "full",
            RelayRefusal::TooLarge => "too_large",
            RelayRefusal::NoId => "no_id",
        }
    }
}

impl ClusterCounters {
    /// Counts a purge that is new here.
    pub(super) fn purged(&self, way: PurgeWay) {
        self.purges[way as usize].fetch_add(1, Relaxed);
    }

    /// Purges that came first by this way.
    pub fn purges(&self, way: PurgeWay) -> u64 {
        self.purges[way as usize].load(Relaxed)
    }

    /// Counts a purge of an application that is not told to the fleet.
    pub(super) fn refused(&self, cause: RelayRefusal) {
        self.refused[cause as usize].fetch_add(1, Relaxed);
    }

    /// Purges of applications that were not told to the fleet for this cause.
    pub fn refusals(&self, cause: RelayRefusal) -> u64 {
        self.refused[cause as usize].load(Relaxed)
    }

    /// Counts a doubt, and the responses that it made stale.
    pub(super) fn doubted(&self, doubt: LogDoubt, responses: u64) {
        self.doubts[doubt as usize].fetch_add(1, Relaxed);
        self.doubted_responses.fetch_add(responses, Relaxed);
    }

    /// How often there was this doubt.
    pub fn doubts(&self, doubt: LogDoubt) -> u64 {
        self.doubts[doubt as usize].load(Relaxed)
    }
}
