//! `[[site.never]]`.

use crate::forms;
use tero_semantics::path::PathPattern;

section! {
    /// Paths that are never stored and never looked up, whatever policies and responses say.
    #[derive(Clone, Debug, PartialEq)]
    [[site.never]]
    pub struct NeverRule {
        /// The paths. `*` matches any text, slashes included. They hold however a path is written: with
        /// dot segments, repeated or encoded slashes, backslashes and `;parameters`.
        paths as "match": Vec<PathPattern> = required,
            Texts("a path pattern, such as `/account/*`; at least one")
            => forms::path_pattern,
            at_least_one("write the paths, [\"/account/*\"]");
    }
}
