//! Counters, popularity and the access log: records outcomes, decides nothing.

pub mod access_log;
pub mod coding_counters;
pub mod connection_faults;
pub mod counters;
pub mod edge_counters;
pub mod handshake_counters;
pub mod limit_counters;
pub mod live_requests;
pub mod popularity;
pub mod purge_counters;
pub mod repeats;
pub mod route_counters;
pub mod rule_counters;
pub mod spans;
pub mod status_counts;
pub mod trial_counters;
pub mod warm_use;

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Answered from a fresh stored response.
    Hit,
    /// Answered from a stale stored response: while it is revalidated, or because the origin
    /// failed.
    Stale,
    /// Answered from a stored response that the origin has confirmed with a 304.
    Revalidated,
    /// Answered from the fetch of another request.
    Collapsed,
    /// Fetched from the next hop.
    Miss,
    /// Not looked up, by decision.
    Pass,
    /// Answered with an error that the edge made itself.
    Error,
    /// Answered by a rule of the site, before anything was looked up.
    Rule,
}

impl Outcome {
    /// Every outcome, in the order of [`Outcome::index`].
    pub const ALL: [Outcome; 8] = [
        Outcome::Hit,
        Outcome::Stale,
        Outcome::Revalidated,
        Outcome::Collapsed,
        Outcome::Miss,
        Outcome::Pass,
        Outcome::Error,
        Outcome::Rule,
    ];

    /// Its name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Hit => "hit",
            Outcome::Stale => "stale",
            Outcome::Revalidated => "revalidated",
            Outcome::Collapsed => "collapsed",
            Outcome::Miss => "miss",
            Outcome::Pass => "pass",
            Outcome::Error => "error",
            Outcome::Rule => "rule",
        }
    }

    /// Its place in [`Outcome::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}
