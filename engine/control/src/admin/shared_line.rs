//! A line that all listeners of a second share.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use tero_semantics::timestamp::Timestamp;

/// How long a line serves all listeners, in milliseconds: a little less than the second after which
/// a listener is due again.
const SHARED_MS: i64 = 900;

/// The latest line, and when it was made.
#[derive(Debug, Default)]
pub(crate) struct SharedLine(Mutex<Option<(Timestamp, Bytes)>>);

impl SharedLine {
    /// The line of this second; `make` makes it for the first listener that asks.
    pub(super) fn at(&self, now: Timestamp, make: impl FnOnce() -> Bytes) -> Bytes {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, line)) = &*latest
            && (0..SHARED_MS).contains(&(now.unix_millis() - made.unix_millis()))
        {
            return line.clone();
        }
        let line = make();
        *latest = Some((now, line.clone()));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_of_a_second_share_a_line() {
        let line = SharedLine::default();
        let at = |millis: i64, text: &'static str| {
            line.at(Timestamp::from_unix_millis(millis), || text.into())
        };
        assert_eq!(at(10_000, "a"), "a");
        assert_eq!(at(10_899, "b"), "a");
        assert_eq!(at(10_900, "c"), "c");
        // The clock was set back.
        assert_eq!(at(5_000, "d"), "d");
    }
}
