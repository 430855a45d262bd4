//! A freshness as bytes, for a store that outlives the process.

use super::lifetime::LifetimeSource;
use super::{CAN_BRIDGE, FORBIDS_STALE, Freshness, FreshnessTraits, MUST_VALIDATE, SecondsToEnd};
use crate::timestamp::Timestamp;

/// The sources of lifetimes by their numbers. A number keeps its meaning for ever.
const SOURCES: [LifetimeSource; 10] = [
    LifetimeSource::None,
    LifetimeSource::AtMost,
    LifetimeSource::Policy,
    LifetimeSource::Targeted,
    LifetimeSource::SMaxage,
    LifetimeSource::MaxAge,
    LifetimeSource::Expires,
    LifetimeSource::DefaultTtl,
    LifetimeSource::Heuristic,
    LifetimeSource::Expiry,
];

/// The flags by their numbers.
const FLAGS: [u8; 3] = [MUST_VALIDATE, FORBIDS_STALE, CAN_BRIDGE];

impl Freshness {
    /// The length of its saved form, in bytes.
    pub const SAVED_BYTES: usize = 36;

    /// Its saved form. Numbers are little-endian: the birth and the end of freshness in milliseconds
    /// since the Unix epoch (8 bytes each), the lifetime and the two stale windows in seconds (4 bytes
    /// each), the number of the source, flags, the seconds from the end of freshness to the end of all
    /// use (3 bytes, all ones if there is none), and three zeros.
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
        let own = self.source();
        let source = SOURCES.iter().position(|source| *source == own);
        saved[28] = source.unwrap_or_default() as u8;
        let flags = FLAGS.iter().zip(0..);
        saved[29] = flags
            .map(|(flag, place)| u8::from(self.traits.has(*flag)) << place)
            .sum();
        saved[30..33].copy_from_slice(&self.over_after.0);
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
        let ([source, flags, low, middle], [high, 0, 0, 0]) = (words[7], words[8]) else {
            return None;
        };
        if flags >> FLAGS.len() != 0 {
            return None;
        }
        let source = *SOURCES.get(usize::from(source))?;
        let traits = FLAGS.iter().zip(0..);
        Some(Freshness {
            born: millis(0),
            fresh_until: millis(2),
            lifetime_secs: word(4),
            while_revalidate_secs: word(5),
            if_error_secs: word(6),
            over_after: SecondsToEnd([low, middle, high]),
            traits: traits.fold(FreshnessTraits::of(source), |traits, (flag, place)| {
                traits.with(*flag, flags >> place & 1 == 1)
            }),
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
            over_after: SecondsToEnd([7, 8, 9]),
            traits: FreshnessTraits::of(LifetimeSource::MaxAge)
                .with(MUST_VALIDATE, true)
                .with(CAN_BRIDGE, true),
        };
        let saved = freshness.save();
        assert_eq!(Freshness::restore(&saved), Some(freshness));
        let mut expected = Vec::new();
        expected.extend_from_slice(&(-5_i64).to_le_bytes());
        expected.extend_from_slice(&1_773_144_000_001_i64.to_le_bytes());
        for secs in [1_u32, 2, 3] {
            expected.extend_from_slice(&secs.to_le_bytes());
        }
        expected.extend_from_slice(&[5, 5, 7, 8, 9, 0, 0, 0]);
        assert_eq!(saved[..], expected);
        for source in SOURCES {
            let one = Freshness {
                traits: FreshnessTraits::of(source),
                ..freshness
            };
            assert_eq!(Freshness::restore(&one.save()), Some(one));
        }
    }

    #[test]
    fn what_another_version_may_have_written_is_refused() {
        for (place, byte) in [(28, SOURCES.len() as u8), (29, 8), (33, 1), (35, 1)] {
            let mut saved = [0; Freshness::SAVED_BYTES];
            assert!(Freshness::restore(&saved).is_some());
            saved[place] = byte;
            assert_eq!(Freshness::restore(&saved), None);
        }
    }
}
