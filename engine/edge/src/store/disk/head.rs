//! The head of a stored response as bytes, as a record on disk has it.
//!
//! ```text
//! version   1 byte
//! status    2 bytes
//! flags     1 byte: whether the content may be coded
//! browser   4 bytes: the lifetime for browsers in seconds, or 0xffffffff for what its fields say, or
//!           0xfffffffe for that, but no longer than the edge
//! saved     8 bytes: when it was saved, by the system's clock, in milliseconds since the Unix epoch
//! freshness 36 bytes: `Freshness::save`, by the system's clock
//! site      its name
//! key       `SecondaryKey::save`
//! fields    1 byte for the kind (0 a field, 1 the policies' reason, 2 a surrogate key, 3 one of the
//!           response's own, 4 a field with a date), the name, the value; until the end
//! ```
//!
//! A text follows its length in four bytes. Numbers are little-endian. A date is a text of four bytes: the
//! seconds since 1970.

use http::StatusCode;

use crate::store::fields::{FieldPacker, FieldValue};
use crate::store::stored::{BrowserLifetime, StoredHead};
use tero_semantics::freshness::Freshness;
use tero_semantics::timestamp::Timestamp;
use tero_semantics::vary::SecondaryKey;

const VERSION: u8 = 1;
const MAY_BE_CODED: u8 = 1;
/// Stand for lifetimes of browsers that aren't so many seconds.
const AS_SENT: u32 = u32::MAX;
const AT_MOST_OURS: u32 = u32::MAX - 1;

const FIELD: u8 = 0;
const DETAIL: u8 = 1;
const TAG: u8 = 2;
const OWN_TAG: u8 = 3;
const DATE: u8 = 4;

/// The two clocks at one instant: what is stored lives by one, what is saved by the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockPair {
    /// The time that never goes back.
    pub(super) steady: Timestamp,
    /// What the system's clock shows.
    pub(super) wall: Timestamp,
}

/// A head that was read from disk.
#[derive(Debug)]
pub(super) struct SavedHead {
    /// The head, of a site without index.
    pub(super) head: StoredHead,
    /// The name of its site.
    pub(super) site: Box<str>,
    /// When it was saved, by the system's clock.
    pub(super) saved_at: Timestamp,
}

/// The bytes of a head.
pub(super) fn save(head: &StoredHead, site: &str, clocks: ClockPair) -> Vec<u8> {
    let mut saved = Vec::with_capacity(512);
    saved.push(VERSION);
    saved.extend_from_slice(&head.status.as_u16().to_le_bytes());
    saved.push(if head.may_be_coded { MAY_BE_CODED } else { 0 });
    let browser = match head.browser_lifetime {
        BrowserLifetime::AsSent => AS_SENT,
        BrowserLifetime::AtMostOurs => AT_MOST_OURS,
        BrowserLifetime::Secs(secs) => secs.min(AT_MOST_OURS - 1),
    };
    saved.extend_from_slice(&browser.to_le_bytes());
    saved.extend_from_slice(&clocks.wall.unix_millis().to_le_bytes());
    let freshness = head.freshness.moved(clocks.steady, clocks.wall);
    saved.extend_from_slice(&freshness.save());
    put(&mut saved, site.as_bytes());
    let mut key = Vec::new();
    head.secondary_key.save(&mut key);
    put(&mut saved, &key);
    if let Some(detail) = head.fields.detail() {
        put_field(&mut saved, DETAIL, b"", detail.as_bytes());
    }
    for (name, value) in head.fields.fields() {
        match value {
            FieldValue::Text(value) => put_field(&mut saved, FIELD, name, value),
            FieldValue::Date(seconds) => put_field(&mut saved, DATE, name, &seconds.to_le_bytes()),
        }
    }
    for tag in head.fields.given_tags() {
        put_field(&mut saved, TAG, b"", tag.as_bytes());
    }
    for tag in head.fields.own_tags() {
        put_field(&mut saved, OWN_TAG, b"", tag.as_bytes());
    }
    saved
}

/// Reads the bytes of a head; `None` if they are damaged, or another version of tero wrote them.
pub(super) fn restore(mut saved: &[u8], clocks: ClockPair) -> Option<SavedHead> {
    let saved = &mut saved;
    let [version] = take(saved)?;
    if version != VERSION {
        return None;
    }
    let status = StatusCode::from_u16(u16::from_le_bytes(take(saved)?)).ok()?;
    let [flags] = take(saved)?;
    let browser = u32::from_le_bytes(take(saved)?);
    let saved_at = Timestamp::from_unix_millis(i64::from_le_bytes(take(saved)?));
    let freshness = Freshness::restore(&take(saved)?)?.moved(clocks.wall, clocks.steady);
    let site = std::str::from_utf8(text(saved)?).ok()?.into();
    let secondary_key = SecondaryKey::restore(text(saved)?)?;
    let mut fields = FieldPacker::new();
    while !saved.is_empty() {
        let [kind] = take(saved)?;
        let (name, value) = (text(saved)?, text(saved)?);
        let text = || std::str::from_utf8(value).ok();
        match kind {
            FIELD => fields.field(name, value)?,
            DATE => fields.date(name, u32::from_le_bytes(value.try_into().ok()?))?,
            DETAIL => fields.detail(text()?),
            TAG => fields.tag(text()?, false),
            OWN_TAG => fields.tag(text()?, true),
            _ => return None,
        }
    }
    let head = StoredHead {
        status,
        fields: fields.packed(),
        freshness,
        secondary_key,
        browser_lifetime: match browser {
            AS_SENT => BrowserLifetime::AsSent,
            AT_MOST_OURS => BrowserLifetime::AtMostOurs,
            secs => BrowserLifetime::Secs(secs),
        },
        site: 0,
        warm_run: None,
        may_be_coded: flags & MAY_BE_CODED != 0,
    };
    Some(SavedHead {
        head,
        site,
        saved_at,
    })
}

fn put(saved: &mut Vec<u8>, text: &[u8]) {
    saved.extend_from_slice(&(text.len() as u32).to_le_bytes());
    saved.extend_from_slice(text);
}

fn put_field(saved: &mut Vec<u8>, kind: u8, name: &[u8], value: &[u8]) {
    saved.push(kind);
    put(saved, name);
    put(saved, value);
}

fn take<const N: usize>(saved: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = saved.split_first_chunk()?;
    *saved = rest;
    Some(*taken)
}

fn text<'a>(saved: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(take(saved)?) as usize;
    let (text, rest) = saved.split_at_checked(length)?;
    *saved = rest;
    Some(text)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;
    use crate::store::fields::StoredFields;
    use crate::store::tests::head_with;

    fn clocks(steady: i64, wall: i64) -> ClockPair {
        ClockPair {
            steady: Timestamp::from_unix_secs(steady),
            wall: Timestamp::from_unix_secs(wall),
        }
    }

    fn head() -> StoredHead {
        let fields = HeaderMap::from_iter([
            (http::header::ETAG, HeaderValue::from_static("\"a\"")),
            (
                http::header::DATE,
                HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"),
            ),
        ]);
        let (tags, own) = (["given"].into_iter(), ["own"].into_iter());
        StoredHead {
            fields: StoredFields::with_own_tags(&fields, Some("policy: reason"), tags, own),
            browser_lifetime: BrowserLifetime::Secs(7),
            may_be_coded: true,
            ..head_with(&[])
        }
    }

    #[test]
    fn a_head_is_restored_and_lives_on_by_the_clock_of_the_new_process() {
        let head = head();
        let saved = save(&head, "shop", clocks(1_000, 900));
        let restored = restore(&saved, clocks(5_000, 960)).unwrap();
        assert_eq!(&*restored.site, "shop");
        let new = restored.head;
        assert_eq!(new.status, head.status);
        assert_eq!(new.browser_lifetime, head.browser_lifetime);
        assert_eq!(new.fields.to_headers(0), head.fields.to_headers(0));
        assert_eq!(new.fields.detail(), Some("policy: reason"));
        assert!(new.fields.given_tags().eq(["given"]) && new.fields.own_tags().eq(["own"]));
        assert!(new.may_be_coded && new.secondary_key == head.secondary_key);
        // A minute has passed by the system's clock, and the other one began anew.
        let (old_now, new_now) = (
            Timestamp::from_unix_secs(1_060),
            Timestamp::from_unix_secs(5_000),
        );
        let (old, new) = (head.freshness, new.freshness);
        assert_eq!(new.age(new_now), old.age(old_now));
        assert_eq!(new.remaining_secs(new_now), old.remaining_secs(old_now));
    }

    #[test]
    fn fields_are_restored_as_they_were_packed() {
        let fields = HeaderMap::from_iter([
            (http::header::DATE, HeaderValue::from_static("yesterday")),
            (
                HeaderName::from_static("x-own"),
                HeaderValue::from_bytes(b"a\tb \xe9").unwrap(),
            ),
            (http::header::EXPIRES, HeaderValue::from_static("")),
            (
                http::header::LAST_MODIFIED,
                HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"),
            ),
        ]);
        let given = ["a".repeat(300), "b".to_owned()];
        let tags = given.iter().map(String::as_str);
        let packed = StoredFields::with_own_tags(&fields, Some("why"), tags, ["own"].into_iter());
        let (written, weight) = (lines(&packed), packed.weight());
        let head = StoredHead {
            fields: packed,
            ..head_with(&[])
        };
        let saved = save(&head, "shop", clocks(0, 0));
        let fields = restore(&saved, clocks(0, 0)).unwrap().head.fields;
        assert_eq!((lines(&fields), fields.weight()), (written, weight));
        assert!(fields.given_tags().eq(given.iter().map(String::as_str)));
        assert!(fields.own_tags().eq(["own"]) && fields.detail() == Some("why"));
    }

    #[test]
    fn fields_that_would_be_others_on_the_wire_are_refused() {
        for (name, value) in [
            ("x-a", "b\r\nx-c: d"),
            ("x-a", "\0"),
            ("etag", "\n"),
            ("x a", "b"),
            ("", "b"),
            ("etag\r\nx-b", "c"),
        ] {
            let mut saved = save(&head_with(&[]), "shop", clocks(0, 0));
            assert!(restore(&saved, clocks(0, 0)).is_some());
            put_field(&mut saved, FIELD, name.as_bytes(), value.as_bytes());
            assert!(
                restore(&saved, clocks(0, 0)).is_none(),
                "{name:?} {value:?}"
            );
        }
    }

    #[test]
    fn dates_are_saved_as_seconds_and_those_of_other_fields_refused() {
        let mut saved = save(&head_with(&[]), "shop", clocks(0, 0));
        let length = saved.len();
        put_field(&mut saved, DATE, b"expires", &784_111_777_u32.to_le_bytes());
        let fields = restore(&saved, clocks(0, 0)).unwrap().head.fields;
        assert_eq!(
            lines(&fields),
            b"expires: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        );
        for (name, value) in [("x-own", &b"1234"[..]), ("", b"1234"), ("date", b"123")] {
            saved.truncate(length);
            put_field(&mut saved, DATE, name.as_bytes(), value);
            assert!(restore(&saved, clocks(0, 0)).is_none(), "{name:?}");
        }
    }

    fn lines(fields: &StoredFields) -> Vec<u8> {
        let mut lines = Vec::new();
        fields.write_lines(&mut lines, &[]);
        lines
    }

    #[test]
    fn damaged_heads_are_refused() {
        let saved = save(&head(), "shop", clocks(0, 0));
        let mut whole = 0;
        for end in 0..saved.len() {
            // A head may end after any of its fields: the record has its length and checksum.
            whole += usize::from(restore(&saved[..end], clocks(0, 0)).is_some());
        }
        assert!(whole <= 5, "{whole}");
        let mut other = saved.clone();
        other[0] += 1;
        assert!(restore(&other, clocks(0, 0)).is_none(), "another version");
    }
}
