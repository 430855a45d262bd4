//! The bytes of a connection, from a client or from a next hop.
//!
//! What they mean must not depend on how they come: the same bytes in one piece, in pieces and one by one are the same requests, up to
//! the same fault.

use tero::wire::{Fault, Requests, Responses};

/// Reads bytes as requests and as responses, cut in several ways.
pub fn wire(bytes: &[u8]) {
    let (single, _) = requests(bytes, 1);
    for size in [2, 7, 16, bytes.len().max(1)] {
        let (pieces, glanced) = requests(bytes, size);
        // Of a head that was only glanced at, the parser has the rest to say.
        if !glanced || !needs_parser(bytes) {
            assert_eq!(pieces, single, "in pieces of {size}");
        }
    }
    let whole = responses(bytes, bytes.len().max(1));
    assert_eq!(responses(bytes, 1), whole);
    assert_eq!(responses(bytes, 5), whole);
}

/// Where the requests end, the fault that ended them, and whether a head was only glanced at.
fn requests(bytes: &[u8], size: usize) -> ((Vec<usize>, Option<Fault>), bool) {
    let (mut checker, mut ends, mut glanced, mut at) = (Requests::default(), Vec::new(), false, 0);
    for piece in bytes.chunks(size) {
        let mut rest = piece;
        while !rest.is_empty() {
            let taken = match checker.take(rest) {
                Ok(taken) => taken,
                Err(fault) => return ((ends, Some(fault)), glanced),
            };
            assert!(taken.ended || taken.bytes == rest.len(), "what belongs to a request is taken as it comes");
            assert!(taken.bytes > 0 || taken.ended);
            glanced |= taken.lines > 0;
            at += taken.bytes;
            rest = &rest[taken.bytes..];
            if taken.ended {
                assert!(!checker.is_in_body());
                ends.push(at);
            }
        }
    }
    ((ends, None), glanced)
}

fn responses(bytes: &[u8], size: usize) -> Result<(), Fault> {
    let mut checker = Responses::default();
    checker.expect();
    bytes.chunks(size).try_for_each(|piece| checker.take(piece))
}

/// Whether a head may hold content, which is checked when it is parsed, or a CR that stands alone, which no parser takes.
fn needs_parser(bytes: &[u8]) -> bool {
    let text = bytes.to_ascii_lowercase();
    let stands_alone = |pair: &[u8]| pair[0] == b'\r' && pair[1] != b'\n';
    let names = |name: &[u8]| text.windows(name.len()).any(|window| window == name);
    names(b"content-length:") || names(b"transfer-encoding:") || text.windows(2).any(stands_alone)
}
