//! The normal form of lists whose members have weights (RFC 9110 §12.4.2): their order has no
//! meaning.

use std::cmp::Ordering;

use http::header::{HeaderMap, HeaderName};

use super::sink::NormalFormSink;
use crate::weights::{FULL_WEIGHT, WeightedMember, weighted_members};

/// How many members are sorted without allocating.
const SORTED_IN_PLACE: usize = 24;

/// The greater weight first, then by value, upper and lower case alike.
fn order(left: &WeightedMember<'_>, right: &WeightedMember<'_>) -> Ordering {
    let value = left.value.iter().map(u8::to_ascii_lowercase);
    right
        .weight
        .cmp(&left.weight)
        .then_with(|| value.cmp(right.value.iter().map(u8::to_ascii_lowercase)))
}

fn write_member(member: &WeightedMember<'_>, sink: &mut impl NormalFormSink) {
    write_folded(member.value, sink);
    let weight = member.weight;
    if weight != FULL_WEIGHT {
        let digit = |tens: u16| b'0' + u8::try_from(weight / tens % 10).unwrap_or(0);
        sink.put(&[b';', b'q', b'=', b'.', digit(100), digit(10), digit(1)]);
    }
}

/// Writes the members of a field, sorted.
pub(super) fn write_weighted(
    name: &HeaderName,
    headers: &HeaderMap,
    sink: &mut impl NormalFormSink,
) {
    let mut in_place = [WeightedMember::default(); SORTED_IN_PLACE];
    let mut on_heap = Vec::new();
    let count = weighted_members(name, headers)
        .take(SORTED_IN_PLACE + 1)
        .count();
    let sorted = if count <= SORTED_IN_PLACE {
        for (slot, member) in in_place.iter_mut().zip(weighted_members(name, headers)) {
            *slot = member;
        }
        &mut in_place[..count]
    } else {
        on_heap.extend(weighted_members(name, headers));
        &mut on_heap[..]
    };
    sorted.sort_unstable_by(order);
    for (at, member) in sorted.iter().enumerate() {
        if at > 0 {
            sink.put(b",");
        }
        write_member(member, sink);
    }
}

/// Writes a value without white space around `;`, and in lower case up to the first one:
/// parameters may be case-sensitive.
fn write_folded(value: &[u8], sink: &mut impl NormalFormSink) {
    for (at, part) in value.split(|byte| *byte == b';').enumerate() {
        if at > 0 {
            sink.put(b";");
            sink.put(part.trim_ascii());
        } else {
            for byte in part.trim_ascii() {
                sink.put(&[byte.to_ascii_lowercase()]);
            }
        }
    }
}
