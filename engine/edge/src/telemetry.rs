//! Counters, the access log and `Cache-Status` (RFC 9211): records outcomes, decides nothing.

pub mod access_log;
pub mod counters;
pub mod popularity;
pub mod trial_counters;
pub mod warm_use;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Answered from a fresh stored response.
    Hit,
    /// Answered from a stale one: while it is revalidated, or because the origin failed.
    Stale,
    /// Answered from a stored response after the origin said that it still holds.
    Revalidated,
    /// Answered by another request's fetch.
    Collapsed,
    /// Fetched.
    Miss,
    /// Not looked up, by decision.
    Pass,
    /// Answered by an error of our own.
    Error,
}

impl Outcome {
    /// Every outcome, in the order of [`Outcome::index`].
    pub const ALL: [Outcome; 7] = [
        Outcome::Hit,
        Outcome::Stale,
        Outcome::Revalidated,
        Outcome::Collapsed,
        Outcome::Miss,
        Outcome::Pass,
        Outcome::Error,
    ];

    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Hit => "hit",
            Outcome::Stale => "stale",
            Outcome::Revalidated => "revalidated",
            Outcome::Collapsed => "collapsed",
            Outcome::Miss => "miss",
            Outcome::Pass => "pass",
            Outcome::Error => "error",
        }
    }

    /// Its place in [`Outcome::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}
