//! `[[site.never]]`.

use crate::forms;
use tero_semantics::path::PathPattern;

section! {
    /// Paths that are never stored and never looked up, whatever policies and responses say; or where
    /// no policy answers by itself. A path that policies choose for the origin counts too.
    #[derive(Clone, Debug, PartialEq)]
    [[site.never]]
    pub struct NeverRule {
        /// The paths. `*` matches any text, slashes included. They hold however a path is written: with
        /// dot segments, repeated or encoded slashes, backslashes and `;parameters`.
        paths as "match": Vec<PathPattern> = required,
            Texts("a path pattern, such as `/account/*`; at least one")
            => forms::path_pattern,
            at_least_one("write the paths, [\"/account/*\"]");
        /// What never happens: `store`, that a response is stored or looked up; `respond`, that a policy
        /// answers by itself.
        what: NeverEffects = ["store"], SomeOf("store", "respond") => never_effects;
    }
}

/// What never happens on some paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NeverEffects {
    /// A response is stored, or looked up.
    pub store: bool,
    /// A policy answers by itself.
    pub respond: bool,
}

fn never_effects(words: &[String]) -> NeverEffects {
    let has = |effect: &str| words.iter().any(|word| word == effect);
    NeverEffects {
        store: has("store"),
        respond: has("respond"),
    }
}
