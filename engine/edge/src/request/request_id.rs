//! The id of a request: taken over from a trusted proxy, else drawn when something first asks for it.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use http::HeaderMap;

use tero_semantics::request_id::told_id;

/// The id of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Box<str>);

/// Where a worker draws ids from. The keys of the hashers come from the system's source of random
/// numbers, so that an id can't be guessed from those before it, and no two workers share ids.
struct IdSource {
    hashers: [RandomState; 2],
    drawn: Cell<u64>,
}

thread_local! {
    static SOURCE: IdSource = IdSource {
        hashers: [RandomState::new(), RandomState::new()],
        drawn: const { Cell::new(0) },
    };
}

impl RequestId {
    /// A new id: 128 bits in hexadecimal digits.
    pub(super) fn draw() -> RequestId {
        SOURCE.with(|source| {
            let number = source.drawn.get();
            source.drawn.set(number.wrapping_add(1));
            let [high, low] = source
                .hashers
                .each_ref()
                .map(|hasher| hasher.hash_one(number));
            RequestId(format!("{high:016x}{low:016x}").into())
        })
    }

    /// The id that the fields of a trusted proxy tell; `None` if they tell none, or a malformed one.
    pub(super) fn told(headers: &HeaderMap) -> Option<RequestId> {
        told_id(headers).map(|id| RequestId(id.into()))
    }

    /// As it is sent and logged: a token of 1 to 128 bytes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_of_128_bits_and_differ_among_workers_too() {
        let draw = || -> Vec<RequestId> { (0..1_000).map(|_| RequestId::draw()).collect() };
        let other = std::thread::spawn(draw).join().unwrap();
        let ids: Vec<RequestId> = draw().into_iter().chain(other).collect();
        for id in &ids {
            assert!(id.as_str().len() == 32, "{id}");
            assert!(id.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
        let distinct: HashSet<&str> = ids.iter().map(RequestId::as_str).collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
