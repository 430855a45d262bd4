//! A map of stored responses.

use foldhash::quality::SeedableRandomState;
use moka::sync::Cache;

use super::{Key, Variants};

/// The responses of each key.
pub(super) type ResponseMap = Cache<Key, Variants, SeedableRandomState>;

/// The responses of `key` in one of the maps. A look-up of an absent key would count as a use of
/// it.
pub(super) fn present(map: &ResponseMap, key: &[u8]) -> Option<Variants> {
    if map.contains_key(key) {
        map.get(key)
    } else {
        None
    }
}
