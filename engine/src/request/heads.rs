//! Heads of hits, ready made: within a second, all hits of a stored response have the same fields.
//!
//! Each worker remembers a few of the latest, as a map to be asked and as the bytes that go over the wire, so that a popular response is
//! answered without any field being copied or written again. A head is used only for the very stored response, age and lifetime that it
//! was made for.

use std::cell::RefCell;
use std::sync::Arc;

use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use super::respond::write_field;
use crate::semantics::precondition::not_modified_headers;

/// Heads that a worker remembers: a power of two.
const SLOTS: usize = 256;

thread_local! {
    static HEADS: RefCell<Vec<Option<Head>>> = RefCell::new((0..SLOTS).map(|_| None).collect());
}

/// What a head was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Made {
    /// The stored response.
    pub(super) id: u64,
    /// `Age`, in seconds.
    pub(super) age_secs: u64,
    /// What is left of its lifetime, in seconds.
    pub(super) ttl_secs: i64,
}

/// A head that was made before.
#[derive(Debug)]
pub(super) struct Head {
    made: Made,
    fields: HeaderMap,
    lines: Arc<[u8]>,
    not_modified: Option<Arc<[u8]>>,
}

impl Head {
    fn new(made: Made, fields: HeaderMap) -> Head {
        Head { made, lines: lines_of(&fields), fields, not_modified: None }
    }

    /// Its fields.
    pub(super) fn fields(&self) -> &HeaderMap {
        &self.fields
    }

    /// The lines of its fields, without that of the length of the content.
    pub(super) fn lines(&self) -> Arc<[u8]> {
        Arc::clone(&self.lines)
    }

    /// The lines of the fields of a 304 for it.
    pub(super) fn not_modified_lines(&mut self) -> Arc<[u8]> {
        let fields = &self.fields;
        Arc::clone(self.not_modified.get_or_insert_with(|| lines_of(&not_modified_headers(fields))))
    }
}

fn lines_of(fields: &HeaderMap) -> Arc<[u8]> {
    let mut lines = Vec::new();
    for (name, value) in fields.iter().filter(|(name, _)| **name != CONTENT_LENGTH) {
        write_field(&mut lines, name, value);
    }
    lines.into()
}

/// What `ask` takes from the head made for `made`, by `make` where there is none yet.
pub(super) fn head<T>(made: Made, make: impl FnOnce() -> HeaderMap, ask: impl FnOnce(&mut Head) -> T) -> T {
    HEADS.with_borrow_mut(|heads| {
        let slot = &mut heads[made.id as usize % SLOTS];
        match slot {
            Some(head) if head.made == made => ask(head),
            _ => ask(slot.insert(Head::new(made, make()))),
        }
    })
}

#[cfg(test)]
mod tests {
    use http::header::AGE;
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_head_serves_for_its_own_response_and_second_only() {
        let age = |made: Made| {
            let made_now = || HeaderMap::from_iter([(AGE, HeaderValue::from(made.age_secs))]);
            head(made, made_now, |head| head.fields()[AGE].clone())
        };
        let made = Made { id: 7, age_secs: 1, ttl_secs: 59 };
        assert_eq!(age(made), "1");
        assert_eq!(head(made, || panic!("it has been made"), |head| head.fields()[AGE].clone()), "1");
        assert_eq!(age(Made { age_secs: 2, ttl_secs: 58, ..made }), "2");
        assert_eq!(age(Made { id: 7 + SLOTS as u64, ..made }), "1", "the same place, another response");
        let mut made_anew = false;
        let make = || {
            made_anew = true;
            HeaderMap::new()
        };
        head(made, make, |_| ());
        assert!(made_anew, "the other one took the place");
    }

    #[test]
    fn its_lines_are_its_fields_without_the_length_of_the_content() {
        let fields = [("etag", "\"a\""), ("content-length", "5"), ("content-type", "text/plain"), ("age", "1")];
        let make = || fields.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect();
        let made = Made { id: 9, age_secs: 1, ttl_secs: 1 };
        let (whole, not_modified) = head(made, make, |head| (head.lines(), head.not_modified_lines()));
        assert_eq!(*whole, *b"etag: \"a\"\r\ncontent-type: text/plain\r\nage: 1\r\n");
        assert_eq!(*not_modified, *b"etag: \"a\"\r\nage: 1\r\n");
    }
}
