//! When something is asked of a directory again: arithmetic, without clocks and files.

use std::time::Duration;

use http::HeaderValue;
use sha2::{Digest as _, Sha256};
use tero_edge::validity::Validity;
use tero_semantics::http_date::http_date;
use tero_semantics::timestamp::Timestamp;

/// The pause after the first failure of a name, which doubles with each further one up to the
/// longest. A name fails no more than four times in its first hour: Let's Encrypt allows five.
pub(super) const NAME_PAUSES: Pauses = Pauses {
    first: Duration::from_secs(5 * 60),
    longest: Duration::from_secs(12 * 60 * 60),
};

/// The pauses after failures that concern every name: the directory can't be reached, or refuses the
/// account.
pub(super) const DIRECTORY_PAUSES: Pauses = Pauses {
    first: Duration::from_secs(60),
    longest: Duration::from_secs(60 * 60),
};

/// The longest `Retry-After` that is heeded. A mistake must not silence a name for good.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Pauses that double.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pauses {
    first: Duration,
    longest: Duration,
}

impl Pauses {
    /// The pause after so many failures in a row, at least one: up to a tenth longer by `spread`, and
    /// never shorter than what the directory has asked for.
    pub(super) fn after(self, failures: u32, asked: Option<Duration>, spread: Spread) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let pause = self.first.saturating_mul(1 << doublings);
        let pause = spread.of(pause.min(self.longest), 10);
        pause.max(asked.unwrap_or_default().min(LONGEST_RETRY_AFTER))
    }
}

/// When to order the next certificate: when a third of the lifetime is left, or up to a tenth of
/// that third later, so that names and edges don't ask at the same moment.
pub(super) fn renewal(validity: Validity, spread: Spread) -> Timestamp {
    let third = validity.lifetime() / 3;
    let begin = validity.not_after.saturating_sub(third);
    begin.saturating_add(spread.share_of(third / 10))
}

/// A place between 0 and 1 that differs between names and moments, without a source of random
/// numbers: the same question always gets the same answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread(u16);

impl Spread {
    /// The place of a name at a moment.
    pub(super) fn of_name(name: &str, at: Timestamp) -> Spread {
        let digest = Sha256::new()
            .chain_update(name)
            .chain_update(at.unix_millis().to_be_bytes())
            .finalize();
        Spread(u16::from_be_bytes([digest[0], digest[1]]))
    }

    /// `duration`, longer by up to one `part`th of it.
    fn of(self, duration: Duration, part: u32) -> Duration {
        duration.saturating_add(self.share_of(duration / part))
    }

    /// From nothing to all of `duration`.
    fn share_of(self, duration: Duration) -> Duration {
        duration.saturating_mul(u32::from(self.0)) / u32::from(u16::MAX)
    }
}

/// What `Retry-After` asks for (RFC 9110 §10.2.3): seconds, or a date. `None` for nonsense.
pub(super) fn retry_after(value: &HeaderValue, wall: Timestamp) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER));
    }
    Some(http_date(value)?.since(wall).min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_unix_secs(1_795_608_000);
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses = Pauses {
            first: MINUTE,
            longest: 10 * MINUTE,
        };
        for (failures, minutes) in [
            (0, 1),
            (1, 1),
            (2, 2),
            (4, 8),
            (5, 10),
            (6, 10),
            (u32::MAX, 10),
        ] {
            let pause = |spread| pauses.after(failures, None, Spread(spread));
            assert_eq!(pause(0), minutes * MINUTE, "{failures}");
            assert_eq!(pause(u16::MAX), minutes * MINUTE * 11 / 10, "{failures}");
        }
    }

    #[test]
    fn a_name_fails_four_times_in_its_first_hour() {
        let mut at = Duration::ZERO;
        let mut within_an_hour = 1;
        for failures in 1.. {
            at += NAME_PAUSES.after(failures, None, Spread(0));
            if at >= 60 * MINUTE {
                break;
            }
            within_an_hour += 1;
        }
        assert_eq!(within_an_hour, 4);
    }

    #[test]
    fn a_directory_can_ask_for_a_longer_pause_but_not_for_ever() {
        let after = |asked| NAME_PAUSES.after(1, Some(asked), Spread(0));
        assert_eq!(after(MINUTE), 5 * MINUTE);
        assert_eq!(after(30 * MINUTE), 30 * MINUTE);
        assert_eq!(after(Duration::MAX), LONGEST_RETRY_AFTER);
    }

    #[test]
    fn a_certificate_is_renewed_when_a_third_of_its_lifetime_is_left() {
        let day = Duration::from_secs(24 * 60 * 60);
        let validity = Validity {
            not_before: NOON,
            not_after: NOON.saturating_add(90 * day),
        };
        let renewal = |spread| super::renewal(validity, Spread(spread)).since(NOON);
        assert_eq!(renewal(0), 60 * day);
        assert_eq!(renewal(u16::MAX), 63 * day);
        assert!(renewal(u16::MAX / 2) > 61 * day && renewal(u16::MAX / 2) < 62 * day);
        // A certificate that ends before it begins is due at once.
        let nonsense = Validity {
            not_before: NOON,
            not_after: Timestamp::from_unix_secs(0),
        };
        assert!(super::renewal(nonsense, Spread(u16::MAX)) < NOON);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        for (value, expected) in [
            ("0", Some(Duration::ZERO)),
            (" 120 ", Some(2 * MINUTE)),
            ("99999999999999999999999", Some(LONGEST_RETRY_AFTER)),
            ("18446744073709551615", Some(LONGEST_RETRY_AFTER)),
            ("", None),
            ("-1", None),
            ("soon", None),
        ] {
            let field = HeaderValue::from_static(value);
            assert_eq!(retry_after(&field, NOON), expected, "{value}");
        }
        for (date, expected) in [
            (NOON.saturating_add(10 * MINUTE), 10 * MINUTE),
            (NOON.saturating_sub(MINUTE), Duration::ZERO),
            (
                NOON.saturating_add(100 * LONGEST_RETRY_AFTER),
                LONGEST_RETRY_AFTER,
            ),
        ] {
            let field = tero_semantics::http_date::date_value(date);
            assert_eq!(retry_after(&field, NOON), Some(expected));
        }
    }

    #[test]
    fn names_are_spread() {
        let places: std::collections::BTreeSet<u16> = ["a", "b", "c", "d"]
            .map(|name| Spread::of_name(name, NOON).0)
            .into();
        assert_eq!(places.len(), 4);
    }
}
