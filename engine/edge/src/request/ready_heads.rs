//! Heads of hits, ready made: within a second, all hits of a stored response have the same fields.
//!
//! Each worker remembers a few of the latest, as a map to be asked and as the bytes that go over
//! the wire, so that a popular response is answered without any field being copied or written
//! again. A head is used only for the very stored response, age, lifetime and edits that it was made
//! for.

use std::cell::RefCell;
use std::sync::Arc;

use http::header::{AGE, CONTENT_LENGTH, VIA};
use http::{HeaderMap, HeaderValue};

use crate::store::fields::StoredFields;
use tero_semantics::cache_status::CACHE_STATUS;
use tero_semantics::content_coding::ContentCoding;
use tero_semantics::decision::RequestDecision;
use tero_semantics::field_edits::FieldEdits;
use tero_semantics::precondition::not_modified_headers;
use tero_wire::write_field;

/// Heads that a worker remembers: a power of two.
const SLOTS: usize = 256;

thread_local! {
    static HEADS: RefCell<Vec<Option<ReadyHead>>> = RefCell::new((0..SLOTS).map(|_| None).collect());
}

/// What a head was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeadKey {
    /// The stored response.
    pub(super) id: u64,
    /// `Age`, in seconds.
    pub(super) age_secs: u64,
    /// The rest of its lifetime, in seconds.
    pub(super) ttl_secs: i64,
    /// The coding that the edge has given it.
    pub(super) coding: Option<ContentCoding>,
    /// The edits of its fields; 0 for none.
    pub(super) edits: u32,
}

impl HeadKey {
    /// Its place among [`SLOTS`]. The codings of one response don't share a place.
    #[inline]
    fn slot(self, decided: Option<&Arc<RequestDecision>>) -> usize {
        let coding = self.coding.map_or(0, |coding| 1 + coding.index());
        // Visitors of one page may get different decisions, which do not share a place.
        let decided = decided.map_or(0, |decision| Arc::as_ptr(decision) as usize >> 5);
        (self.id as usize + coding * (SLOTS / (1 + ContentCoding::ALL.len())) + decided) % SLOTS
    }
}

/// A head that was made before.
#[derive(Debug)]
pub(super) struct ReadyHead {
    made: HeadKey,
    /// The decision whose edits it has; `None` if policies change none of its fields. Held, so that no
    /// other decision comes to lie in its place.
    decided: Option<Arc<RequestDecision>>,
    lines: Arc<[u8]>,
    fields: Option<HeaderMap>,
    not_modified: Option<Arc<[u8]>>,
}

impl ReadyHead {
    /// Whether it was made for these, with the edits of this decision.
    #[inline]
    fn is_for(&self, made: HeadKey, decided: Option<&Arc<RequestDecision>>) -> bool {
        self.made == made
            && match (&self.decided, decided) {
                (None, None) => true,
                (Some(own), Some(other)) => Arc::ptr_eq(own, other) || has_same_edits(own, other),
                (Some(_), None) | (None, Some(_)) => false,
            }
    }

    /// The lines of its fields, without that of the length of the content.
    pub(super) fn lines(&self) -> Arc<[u8]> {
        Arc::clone(&self.lines)
    }

    /// Its fields; `make` makes them when they are first asked for.
    pub(super) fn fields(&mut self, make: impl FnOnce() -> HeaderMap) -> &HeaderMap {
        self.fields.get_or_insert_with(make)
    }

    /// The lines of the fields of a 304 for it.
    pub(super) fn not_modified_lines(&mut self, make: impl FnOnce() -> HeaderMap) -> Arc<[u8]> {
        let fields = self.fields.get_or_insert_with(make);
        Arc::clone(
            self.not_modified
                .get_or_insert_with(|| lines_of(&not_modified_headers(fields)).into()),
        )
    }
}

#[cold]
fn has_same_edits(one: &RequestDecision, other: &RequestDecision) -> bool {
    edits_of(one) == edits_of(other)
}

fn edits_of(decision: &RequestDecision) -> Option<&FieldEdits> {
    let extended = decision.extended.as_deref()?;
    Some(&extended.response_fields)
}

/// The lines of fields as they go over the wire, without that of the length of the content.
pub(super) fn lines_of(fields: &HeaderMap) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in fields.iter().filter(|(name, _)| **name != CONTENT_LENGTH) {
        write_field(&mut lines, name, value);
    }
    lines
}

/// What the edge adds to the stored fields of a hit.
#[derive(Debug)]
pub(super) struct AddedFields<'f> {
    /// `Age`, in seconds.
    pub(super) age_secs: u64,
    /// `Via`
    pub(super) via: &'f HeaderValue,
    /// `Cache-Status`, as it is written.
    pub(super) cache_status: String,
}

/// The lines of a hit whose stored fields stay as they are.
pub(super) fn lines_of_hit(stored: &StoredFields, added: AddedFields<'_>) -> Vec<u8> {
    let mut lines = Vec::with_capacity(512);
    stored.write_lines(&mut lines, &[AGE, CONTENT_LENGTH]);
    write_field(&mut lines, &AGE, &added.age_secs.into());
    write_field(&mut lines, &VIA, added.via);
    if let Ok(status) = HeaderValue::try_from(added.cache_status) {
        write_field(&mut lines, &CACHE_STATUS, &status);
    }
    lines
}

/// What `ask` takes from the head made for `made`, with the edits of `decided`; `make` makes its lines
/// where it is not there yet.
pub(super) fn head<T>(
    made: HeadKey,
    decided: Option<&Arc<RequestDecision>>,
    make: impl FnOnce() -> Vec<u8>,
    ask: impl FnOnce(&mut ReadyHead) -> T,
) -> T {
    HEADS.with_borrow_mut(|heads| {
        let slot = &mut heads[made.slot(decided)];
        match slot {
            Some(head) if head.is_for(made, decided) => ask(head),
            _ => ask(slot.insert(ReadyHead {
                made,
                decided: decided.cloned(),
                lines: make().into(),
                fields: None,
                not_modified: None,
            })),
        }
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use tero_semantics::decision::ExtendedDecision;

    use super::*;

    #[test]
    fn a_head_serves_for_its_own_response_and_second_only() {
        let age = |made: HeadKey| {
            head(
                made,
                None,
                || made.age_secs.to_string().into_bytes(),
                |head| head.lines().to_vec(),
            )
        };
        let made = HeadKey {
            id: 7,
            age_secs: 1,
            ttl_secs: 59,
            coding: None,
            edits: 0,
        };
        assert_eq!(age(made), b"1");
        assert_eq!(
            head(
                made,
                None,
                || panic!("it has been made"),
                |head| head.lines().to_vec()
            ),
            b"1"
        );
        assert_eq!(
            age(HeadKey {
                age_secs: 2,
                ttl_secs: 58,
                ..made
            }),
            b"2"
        );
        let mut edited = false;
        let other_edits = HeadKey { edits: 1, ..made };
        head(
            other_edits,
            None,
            || {
                edited = true;
                Vec::new()
            },
            |_| (),
        );
        assert!(edited, "other fields of the same response");
        assert_eq!(
            age(HeadKey {
                id: 7 + SLOTS as u64,
                ..made
            }),
            b"1",
            "the same place, another response"
        );
        let coded = HeadKey {
            coding: Some(ContentCoding::Br),
            age_secs: 8,
            ..made
        };
        assert_eq!((age(coded), age(made)), (b"8".to_vec(), b"1".to_vec()));
        head(coded, None, || panic!("it kept its place"), |_| ());
        head(
            HeadKey {
                id: 7 + SLOTS as u64,
                ..made
            },
            None,
            || b"1".to_vec(),
            |_| (),
        );
        let mut made_anew = false;
        let make = || {
            made_anew = true;
            Vec::new()
        };
        head(made, None, make, |_| ());
        assert!(made_anew, "the other one took the place");
    }

    #[test]
    fn decisions_with_different_edits_never_share_a_head() {
        let made = HeadKey {
            id: 11,
            age_secs: 1,
            ttl_secs: 59,
            coding: None,
            edits: 0,
        };
        let decision = |value: &'static str| {
            let set = (
                HeaderName::from_static("x-a"),
                HeaderValue::from_static(value),
            );
            Arc::new(RequestDecision {
                extended: Some(Box::new(ExtendedDecision {
                    response_fields: FieldEdits {
                        set: vec![set],
                        remove: Vec::new(),
                    },
                    ..ExtendedDecision::default()
                })),
                ..RequestDecision::default()
            })
        };
        let (one, two) = (decision("1"), decision("2"));
        let lines = |decided: Option<&Arc<RequestDecision>>, text: &'static str| {
            let make = || text.as_bytes().to_vec();
            head(made, decided, make, |head| head.lines().to_vec())
        };
        for _ in 0..2 {
            assert_eq!(lines(None, "none"), b"none");
            assert_eq!(lines(Some(&one), "1"), b"1");
            assert_eq!(lines(Some(&two), "2"), b"2");
        }
        let places = SLOTS << 5;
        let one_is_made = |decided: &Arc<RequestDecision>| {
            HEADS.with_borrow(|heads| {
                let head = heads[made.slot(Some(decided))].as_ref();
                head.is_some_and(|head| head.is_for(made, Some(decided)))
            })
        };
        assert!(
            one_is_made(&one)
                || Arc::as_ptr(&one) as usize % places == Arc::as_ptr(&two) as usize % places
        );
        // An equal decision may use it, and one without edits may not.
        let head = ReadyHead {
            made,
            decided: Some(Arc::clone(&one)),
            lines: Arc::from([]),
            fields: None,
            not_modified: None,
        };
        assert!(head.is_for(made, Some(&decision("1"))));
        assert!(!head.is_for(made, Some(&two)) && !head.is_for(made, None));
    }

    #[test]
    fn its_fields_and_those_of_a_304_are_made_when_they_are_asked_for() {
        let fields = [
            ("etag", "\"a\""),
            ("content-length", "5"),
            ("content-type", "text/plain"),
            ("age", "1"),
        ];
        let make = || {
            fields
                .iter()
                .map(|(name, value)| {
                    (
                        name.parse::<HeaderName>().unwrap(),
                        value.parse::<HeaderValue>().unwrap(),
                    )
                })
                .collect()
        };
        assert_eq!(
            lines_of(&make()),
            b"etag: \"a\"\r\ncontent-type: text/plain\r\nage: 1\r\n"
        );
        let made = HeadKey {
            id: 9,
            age_secs: 1,
            ttl_secs: 1,
            coding: None,
            edits: 0,
        };
        let not_modified = head(made, None, Vec::new, |head| head.not_modified_lines(make));
        assert_eq!(*not_modified, *b"etag: \"a\"\r\nage: 1\r\n");
        head(made, None, Vec::new, |head| {
            assert_eq!(head.fields(|| panic!("they have been made"))[AGE], "1")
        });
    }
}
