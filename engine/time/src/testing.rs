//! What the tests of these files share.

use chrono::DateTime;
use chrono_tz::Tz;

use tero_semantics::timestamp::Timestamp;

pub(crate) const BUENOS_AIRES: Tz = chrono_tz::America::Argentina::Buenos_Aires;
pub(crate) const SANTIAGO: Tz = chrono_tz::America::Santiago;
pub(crate) const MADRID: Tz = chrono_tz::Europe::Madrid;
pub(crate) const NEW_YORK: Tz = chrono_tz::America::New_York;

pub(crate) fn at(text: &str) -> Timestamp {
    Timestamp::from_unix_secs(text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp())
}
