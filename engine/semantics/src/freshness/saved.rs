//! A freshness as bytes, for a store that outlives the process.

use super::Freshness;
use super::lifetime::LifetimeSource;
use crate::timestamp::Timestamp;

/// The sources of lifetimes by their numbers. A number keeps its meaning for ever.
const SOURCES: [LifetimeSource; 9] = [
    LifetimeSource::None,
    LifetimeSource::AtMost,
    LifetimeSource::Policy,
    LifetimeSource::Targeted,
    LifetimeSource::SMaxage,
    LifetimeSource::MaxAge,
    LifetimeSource::Expires,
    LifetimeSource::DefaultTtl,
    LifetimeSource::Heuristic,
];

const MUST_VALIDATE: u8 = 1;
const FORBIDS_STALE: u8 = 2;
const CAN_BRIDGE: u8 = 4;

impl Freshness {
    /// The length of its saved form, in bytes.
    pub const SAVED_BYTES: usize = 32;

    /// Its saved form. Numbers are little-endian: the birth and the end of freshness in milliseconds
    /// since the Unix epoch (8 bytes each), the lifetime and the two stale windows in seconds (4 bytes
    /// each), the number of the source, flags, and two zeros.
    ///
    /// ```
    /// # use http::StatusCode;
    /// # use http::header::HeaderMap;
    /// # use tero_semantics::cache_control::ResponseDirectives;
    /// # use tero_semantics::decision::ResponseDecision;
    /// # use tero_semantics::freshness::{Freshness, FreshnessInput, SiteDefaults};
    /// # use tero_semantics::timestamp::Timestamp;
    /// # let (fields, now) = (HeaderMap::new(), Timestamp::from_unix_secs(1_773_144_000));
    /// # let freshness = Freshness::of(&FreshnessInput {
    /// #     status: StatusCode::OK,
    /// #     response_headers: &fields,
    /// #     directives: &ResponseDirectives::of(&fields),
    /// #     decision: &ResponseDecision::default(),
    /// #     defaults: SiteDefaults::default(),
    /// #     request_time: now,
    /// #     response_time: now,
    /// # });
    /// assert_eq!(Freshness::restore(&freshness.save()), Some(freshness));
    /// ```
    pub fn save(&self) -> [u8; Self::SAVED_BYTES] {
        let mut saved = [0; Self::SAVED_BYTES];
        saved[..8].copy_from_slice(&self.born.unix_millis().to_le_bytes());
        saved[8..16].copy_from_slice(&self.fresh_until.unix_millis().to_le_bytes());
        saved[16..20].copy_from_slice(&self.lifetime_secs.to_le_bytes());
        saved[20..24].copy_from_slice(&self.while_revalidate_secs.to_le_bytes());
        saved[24..28].copy_from_slice(&self.if_error_secs.to_le_bytes());
        let source = SOURCES.iter().position(|source| *source == self.source);
        saved[28] = source.unwrap_or_default() as u8;
        let flags = [
            (self.must_validate, MUST_VALIDATE),
            (self.forbids_stale, FORBIDS_STALE),
            (self.can_bridge, CAN_BRIDGE),
        ];
        saved[29] = flags
            .iter()
            .map(|(is_set, bit)| u8::from(*is_set) * bit)
            .sum();
        saved
    }

    /// Reads its saved form; `None` if another version of tero wrote it.
    pub fn restore(saved: &[u8; Self::SAVED_BYTES]) -> Option<Freshness> {
        let (words, _) = saved.as_chunks::<4>();
        let word = |place: usize| u32::from_le_bytes(words[place]);
        let millis = |place: usize| {
            let millis = u64::from(word(place)) | u64::from(word(place + 1)) << 32;
            Timestamp::from_unix_millis(millis as i64)
        };
        let [source, flags, 0, 0] = words[7] else {
            return None;
        };
        if flags & !(MUST_VALIDATE | FORBIDS_STALE | CAN_BRIDGE) != 0 {
            return None;
        }
        Some(Freshness {
            born: millis(0),
            fresh_until: millis(2),
            lifetime_secs: word(4),
            while_revalidate_secs: word(5),
            if_error_secs: word(6),
            source: *SOURCES.get(usize::from(source))?,
            must_validate: flags & MUST_VALIDATE != 0,
            forbids_stale: flags & FORBIDS_STALE != 0,
            can_bridge: flags & CAN_BRIDGE != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_restored_and_the_form_stays() {
        let freshness = Freshness {
            born: Timestamp::from_unix_millis(-5),
            fresh_until: Timestamp::from_unix_millis(1_773_144_000_001),
            lifetime_secs: 1,
            while_revalidate_secs: 2,
            if_error_secs: 3,
            source: LifetimeSource::MaxAge,
            must_validate: true,
            forbids_stale: false,
            can_bridge: true,
        };
        let saved = freshness.save();
        assert_eq!(Freshness::restore(&saved), Some(freshness));
        let mut expected = Vec::new();
        expected.extend_from_slice(&(-5_i64).to_le_bytes());
        expected.extend_from_slice(&1_773_144_000_001_i64.to_le_bytes());
        for secs in [1_u32, 2, 3] {
            expected.extend_from_slice(&secs.to_le_bytes());
        }
        expected.extend_from_slice(&[5, 5, 0, 0]);
        assert_eq!(saved[..], expected);
        for source in SOURCES {
            let one = Freshness {
                source,
                ..freshness
            };
            assert_eq!(Freshness::restore(&one.save()), Some(one));
        }
    }

    #[test]
    fn what_another_version_may_have_written_is_refused() {
        for (place, byte) in [(28, SOURCES.len() as u8), (29, 8), (30, 1), (31, 1)] {
            let mut saved = [0; Freshness::SAVED_BYTES];
            assert!(Freshness::restore(&saved).is_some());
            saved[place] = byte;
            assert_eq!(Freshness::restore(&saved), None);
        }
    }
}
