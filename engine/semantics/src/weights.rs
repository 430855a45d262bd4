//! Lists whose members have weights (RFC 9110 §12.4.2).

use http::header::{HeaderMap, HeaderName};

use super::list::list_members;

/// The weight of a member without `q`, in thousandths.
pub(super) const FULL_WEIGHT: u16 = 1_000;

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
