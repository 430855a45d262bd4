//! Lists whose members have weights (RFC 9110 §12.4.2), so that their order has no meaning.

use std::cmp::Ordering;

use http::header::{HeaderMap, HeaderName};

use super::sink::NormalFormSink;
use crate::list::list_members;

/// The weight of a member without `q`, in thousandths.
const FULL_WEIGHT: u16 = 1_000;

/// How many members are sorted without allocating.
const SORTED_IN_PLACE: usize = 24;

/// A member of a weighted list.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WeightedMember<'a> {
    /// The member without its weight.
    pub(super) value: &'a [u8],
    /// In thousandths, at most 1000.
    pub(super) weight: u16,
}

impl<'a> WeightedMember<'a> {
    fn of(member: &'a [u8]) -> WeightedMember<'a> {
        let mut semicolons = (0..member.len()).filter(|at| member[*at] == b';');
        match semicolons.find(|at| is_weight(&member[at + 1..])) {
            None => WeightedMember {
                value: member,
                weight: FULL_WEIGHT,
            },
            // Parameters after the weight no longer belong to the range (RFC 9110 §12.5.1), and no
            // client sends any.
            Some(at) => WeightedMember {
                value: member[..at].trim_ascii_end(),
                weight: weight_of(&member[at + 1..]),
            },
        }
    }

    /// The greater weight first, then by value, upper and lower case alike.
    fn cmp(&self, other: &WeightedMember<'_>) -> Ordering {
        let value = self.value.iter().map(u8::to_ascii_lowercase);
        other
            .weight
            .cmp(&self.weight)
            .then_with(|| value.cmp(other.value.iter().map(u8::to_ascii_lowercase)))
    }

    fn write(&self, sink: &mut impl NormalFormSink) {
        write_folded(self.value, sink);
        if self.weight != FULL_WEIGHT {
            let digit = |tens: u16| b'0' + u8::try_from(self.weight / tens % 10).unwrap_or(0);
            sink.put(&[b';', b'q', b'=', b'.', digit(100), digit(10), digit(1)]);
        }
    }
}

/// Whether these parameters begin with a weight.
fn is_weight(parameters: &[u8]) -> bool {
    let name = parameters.trim_ascii().get(..2);
    name.is_some_and(|name| name.eq_ignore_ascii_case(b"q="))
}

/// The weight that these parameters begin with, in thousandths.
fn weight_of(parameters: &[u8]) -> u16 {
    let first = parameters.split(|byte| *byte == b';').next();
    thousandths(&first.unwrap_or_default().trim_ascii()[2..])
}

/// A weight (RFC 9110 §12.4.2) in thousandths; a malformed one is 1.
fn thousandths(weight: &[u8]) -> u16 {
    let (whole, fraction) = match weight {
        [whole, b'.', fraction @ ..] => (*whole, fraction),
        [whole] => (*whole, &[][..]),
        _ => return FULL_WEIGHT,
    };
    if !matches!(whole, b'0' | b'1')
        || fraction.len() > 3
        || !fraction.iter().all(u8::is_ascii_digit)
    {
        return FULL_WEIGHT;
    }
    let digit = |at: usize| fraction.get(at).map_or(0, |digit| u16::from(digit - b'0'));
    let sum = u16::from(whole - b'0') * 1_000 + digit(0) * 100 + digit(1) * 10 + digit(2);
    sum.min(FULL_WEIGHT)
}

/// The members of a field, all its lines together.
pub(super) fn weighted_members<'h>(
    name: &HeaderName,
    headers: &'h HeaderMap,
) -> impl Iterator<Item = WeightedMember<'h>> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|line| list_members(line.as_bytes()))
        .map(WeightedMember::of)
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
    sorted.sort_unstable_by(WeightedMember::cmp);
    for (at, member) in sorted.iter().enumerate() {
        if at > 0 {
            sink.put(b",");
        }
        member.write(sink);
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
