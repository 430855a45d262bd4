//! `[[site.at_most]]`.

use std::time::Duration;

use crate::forms;
use tero_semantics::path::PathPattern;

section! {
    /// Paths whose responses have a greatest lifetime, whatever policies and responses say. Of several
    /// tables that match, the least holds.
    #[derive(Clone, Debug, PartialEq)]
    [[site.at_most]]
    pub struct AtMostRule {
        /// The paths, as in `[[site.never]]`.
        paths as "match": Vec<PathPattern> = required,
            Texts("a path pattern, such as `/api/*`; at least one")
            => forms::path_pattern,
            at_least_one("write the paths, [\"/api/*\"]");
        /// How long a response is fresh at most. With `0s` each use is validated.
        ttl: Duration = required, Duration("0s", "1y");
        /// How long it may be served stale at most, while it is revalidated or while the origin fails.
        stale: Duration = rule("as `ttl`", ttl), Duration("0s", "1y");
    }
}
