//! Heads of hits, ready made: within a second, all hits of a stored response have the same fields.
//!
//! Each worker remembers a few of the latest, so that a popular response is answered with a copy instead of being written again,
//! field by field. A head is used only for the very stored response, age and lifetime that it was made for.

use std::cell::RefCell;

use http::HeaderMap;

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

#[derive(Debug)]
struct Head {
    made: Made,
    headers: HeaderMap,
}

/// A copy of the head made for `made`, by `make` where there is none yet.
pub(super) fn head(made: Made, make: impl FnOnce() -> HeaderMap) -> HeaderMap {
    HEADS.with_borrow_mut(|heads| {
        let slot = &mut heads[made.id as usize % SLOTS];
        match slot {
            Some(head) if head.made == made => head.headers.clone(),
            _ => {
                let headers = make();
                *slot = Some(Head { made, headers: headers.clone() });
                headers
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::AGE;

    use super::*;

    #[test]
    fn a_head_serves_for_its_own_response_and_second_only() {
        let age = |made: Made| {
            let made_now = || HeaderMap::from_iter([(AGE, HeaderValue::from(made.age_secs))]);
            head(made, made_now)[AGE].clone()
        };
        let made = Made { id: 7, age_secs: 1, ttl_secs: 59 };
        assert_eq!(age(made), "1");
        assert_eq!(head(made, || panic!("it has been made"))[AGE], "1");
        assert_eq!(age(Made { age_secs: 2, ttl_secs: 58, ..made }), "2");
        assert_eq!(age(Made { id: 7 + SLOTS as u64, ..made }), "1", "the same place, another response");
        let mut made_anew = false;
        head(made, || {
            made_anew = true;
            HeaderMap::new()
        });
        assert!(made_anew, "the other one took the place");
    }
}
