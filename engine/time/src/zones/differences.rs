//! Where two releases show different times.

use chrono_tz::Tz;

use super::ZoneData;
use tero_semantics::timestamp::Timestamp;

/// A span of time in which two data show different times in a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneDifference {
    /// Its first second.
    pub from: Timestamp,
    /// The second after its last; the end of the search if it goes on there.
    pub until: Timestamp,
    /// The offset by the first data, in seconds east of UTC.
    pub offset_secs: i64,
    /// The offset by the second data, in seconds east of UTC.
    pub other_offset_secs: i64,
}

impl ZoneData {
    /// The spans between two instants in which `other` shows other times in `zone`, in order.
    pub fn differences(
        &self,
        other: &ZoneData,
        zone: Tz,
        from: Timestamp,
        until: Timestamp,
    ) -> Vec<ZoneDifference> {
        let (mut at, end) = (from.unix_secs(), until.unix_secs());
        let mut found = Vec::new();
        while at < end {
            let next = |data: &ZoneData| data.next_change(at, end, zone).map_or(end, |(at, _)| at);
            // Each step passes a change, and a zone has few in a file and two a year after it.
            let next = next(self).min(next(other));
            let (offset_secs, other_offset_secs) =
                (self.offset_at(at, zone), other.offset_at(at, zone));
            if offset_secs != other_offset_secs {
                found.push(ZoneDifference {
                    from: Timestamp::from_unix_secs(at),
                    until: Timestamp::from_unix_secs(next),
                    offset_secs,
                    other_offset_secs,
                });
            }
            at = next;
        }
        found
    }
}
