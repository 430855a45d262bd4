//! Field values that are in most lines of a log: each is made once, and shared.

use std::cell::RefCell;

use http::HeaderValue;

/// How many values are at hand. One that falls on the place of another takes it.
const PLACES: usize = 256;

/// Longer ones are made anew.
const MAX_BYTES: usize = 1_024;

thread_local! {
    static AT_HAND: RefCell<Vec<Option<HeaderValue>>> = const { RefCell::new(Vec::new()) };
}

/// A value of a field that has few values in a log, such as `User-Agent`; `None` if a field can't have
/// it.
pub(super) fn repeated(text: &str) -> Option<HeaderValue> {
    let bytes = text.as_bytes();
    if bytes.len() > MAX_BYTES {
        return HeaderValue::from_bytes(bytes).ok();
    }
    AT_HAND.with_borrow_mut(|at_hand| {
        at_hand.resize(PLACES, None);
        let place = &mut at_hand[place_of(bytes)];
        match place {
            Some(known) if known.as_bytes() == bytes => Some(known.clone()),
            _ => {
                let made = HeaderValue::from_bytes(bytes).ok()?;
                *place = Some(made.clone());
                Some(made)
            }
        }
    })
}

fn place_of(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain([&last]);
    let sum = words.fold(bytes.len() as u64, |sum, word| {
        (sum ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    });
    (sum >> 56) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_was_given_however_many_there_are() {
        for round in 0..3 {
            for number in 0..2_000 {
                let text = format!("Browser/{number} ({})", "x".repeat(number % 40));
                assert_eq!(repeated(&text).unwrap(), text, "{round}");
            }
        }
        let long = "y".repeat(MAX_BYTES + 1);
        assert_eq!(repeated(&long).unwrap(), long);
        assert_eq!(repeated("a\nb"), None);
        assert_eq!(repeated("").unwrap(), "");
    }
}
