//! `[site.refresh_ahead]`.

use std::time::Duration;

use crate::forms;

section! {
    /// Revalidates popular responses shortly before they expire, when a visitor requests them, so
    /// that no visitor waits.
    #[derive(Clone, Debug, PartialEq)]
    [site.refresh_ahead]
    pub struct RefreshAhead {
        /// How long before its expiry a response is revalidated. A response whose lifetime is at
        /// most twice this is left alone.
        before: Duration = "10s", Duration("1s", "1h");
        /// Only responses with one of these surrogate keys, so that policies can choose them. An
        /// empty list means all responses.
        tags: Vec<String> = [], Texts("a surrogate key") => forms::tag;
        /// Hits since the last fetch that make a response popular.
        min_hits: u32 = 3, Count(1, 1_000_000);
        /// Maximum share of these revalidations in all requests to the origins.
        share: f64 = 0.5, Number(0.01, 0.95);
        /// Maximum number of revalidations per second. It falls as soon as the origin is slow or
        /// fails.
        rate: f64 = 20, Number(0.1, 10_000.0);
        /// Maximum number of stored responses whose expiry is watched.
        max_watched: usize = 100000, Count(1, 10_000_000);
    }
}
