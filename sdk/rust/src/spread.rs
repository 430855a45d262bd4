//! Spreads lifetimes, so that responses that were stored together do not expire together.

use crate::Duration;

/// Shortens `ttl` by 0 to `percent` percent (at most 100). The result is the same for the same
/// `key` at every edge. [`Response::spread`](crate::Response::spread) does this for a page with its
/// query and variant.
///
/// Without it, a thousand pages that are warmed in one minute expire in one minute, and all come
/// back to the origin. The lifetime only gets shorter, so a TTL that ends at a closing time still
/// ends before it.
///
/// ```
/// use tero_policy::{Duration, spread};
/// let ttl = spread(Duration::from_mins(10), 10, "/barberias/palermo");
/// assert!(Duration::from_mins(9) <= ttl && ttl <= Duration::from_mins(10));
/// assert_eq!(ttl, spread(Duration::from_mins(10), 10, "/barberias/palermo"));
/// ```
pub fn spread(ttl: Duration, percent: u8, key: &str) -> Duration {
    shorten(ttl, percent, hash(key))
}

pub(crate) fn shorten(ttl: Duration, percent: u8, hash: u64) -> Duration {
    let range = u64::from(ttl.as_secs()) * u64::from(percent.min(100)) / 100;
    // The high half of the hash times the range, as in Lemire's reduction: no division, and a
    // negligible bias.
    let cut = ((u128::from(hash) * u128::from(range + 1)) >> 64) as u64;
    Duration::from_secs(u64::from(ttl.as_secs()) - cut)
}

/// FNV-1a, then the finaliser of SplitMix64: with FNV alone, the high bits of short keys differ
/// little.
pub(crate) fn hash(key: &str) -> u64 {
    let fnv = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_ttl_stays_in_its_range_and_fills_it() {
        let ttl = Duration::from_secs(1_000);
        let mut tenths = [0_u32; 11];
        for page in 0..1_000 {
            let secs = spread(ttl, 20, &format!("/barberias/{page}")).as_secs();
            assert!((800..=1_000).contains(&secs), "{secs}");
            tenths[((secs - 800) / 20) as usize] += 1;
        }
        assert!(tenths[..10].iter().all(|&count| count > 60), "{tenths:?}");
    }

    #[test]
    fn nothing_to_spread_leaves_the_ttl_alone() {
        assert_eq!(
            spread(Duration::from_secs(60), 0, "/"),
            Duration::from_secs(60)
        );
        assert_eq!(spread(Duration::ZERO, 100, "/"), Duration::ZERO);
        assert!(spread(Duration::from_secs(60), 255, "/") <= Duration::from_secs(60));
    }
}
