//! Which of several responses stored under one key a request selects: `Vary` as secondary key (RFC
//! 9111 §4.1).
//!
//! Values are compared in a normal form, as §4.1 allows: white space around members and the split
//! into lines mean nothing; nor does order in fields that rank their members by weight.
//! `Accept-Encoding` is reduced to the set of codings that the client takes.

use std::hash::{Hash, Hasher};

use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_LANGUAGE,
    COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, REFERER, USER_AGENT, VARY,
};

use super::list::list_members;

/// How many fields a `Vary` may name. Beyond it a response is taken for one that varies on
/// everything.
pub const MAX_VARY_FIELDS: usize = 32;

/// What a response's `Vary` says (RFC 9110 §12.5.5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Vary {
    /// Any request selects it.
    #[default]
    Nothing,
    /// No request selects it: `*`, or something that can't be read.
    Everything,
    /// Requests that agree with its own in these fields select it. In order, without doubles.
    Fields(Box<[HeaderName]>),
}

impl Vary {
    /// What a response's `Vary` says, all its lines together.
    pub fn of(response: &HeaderMap) -> Vary {
        if !response.contains_key(VARY) {
            return Vary::Nothing;
        }
        let members = response
            .get_all(VARY)
            .iter()
            .flat_map(|line| list_members(line.as_bytes()));
        let names: Option<Vec<HeaderName>> = members
            .map(|member| {
                HeaderName::from_bytes(member)
                    .ok()
                    .filter(|name| name.as_str() != "*")
            })
            .collect();
        let Some(mut names) = names else {
            return Vary::Everything;
        };
        names.sort_unstable_by(|left, right| left.as_str().cmp(right.as_str()));
        names.dedup();
        match names.len() {
            0 => Vary::Nothing,
            1..=MAX_VARY_FIELDS => Vary::Fields(names.into()),
            _ => Vary::Everything,
        }
    }

    /// The fields that are named.
    pub fn fields(&self) -> &[HeaderName] {
        match self {
            Vary::Fields(names) => names,
            Vary::Nothing | Vary::Everything => &[],
        }
    }

    /// The request's values of the fields that are named, in normal form.
    pub fn nominated(&self, request: &HeaderMap) -> NominatedFields {
        let value = |name: &HeaderName| {
            request.contains_key(name).then(|| {
                let mut value = Vec::new();
                write_normal(name, request, &mut value);
                value.into()
            })
        };
        NominatedFields {
            values: self.fields().iter().map(value).collect(),
            language: None,
        }
    }

    /// Whether a request selects the response whose own request had the values `nominated`. Needs
    /// no memory of its own in the usual cases.
    pub fn selects(&self, nominated: &NominatedFields, request: &HeaderMap) -> bool {
        match self {
            Vary::Nothing => true,
            Vary::Everything => false,
            Vary::Fields(names) => {
                let same = |(name, stored): (&HeaderName, &Option<Box<[u8]>>)| {
                    agrees(name, stored.as_deref(), request)
                        || (*name == ACCEPT_LANGUAGE
                            && stored.is_some()
                            && prefers(nominated.language.as_deref(), request))
                };
                names.len() == nominated.values.len()
                    && names.iter().zip(&nominated.values).all(same)
            }
        }
    }
}

fn agrees(name: &HeaderName, stored: Option<&[u8]>, request: &HeaderMap) -> bool {
    let Some(stored) = stored else {
        return !request.contains_key(name);
    };
    if !request.contains_key(name) {
        return false;
    }
    let mut comparison = KeyComparison {
        left: stored,
        same: true,
    };
    write_normal(name, request, &mut comparison);
    comparison.same && comparison.left.is_empty()
}

/// The secondary key of a stored response (§4.1): the request fields that select it, and what its
/// own request said in them. Takes memory of its own only where there are such fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecondaryKey(Option<Box<(Vary, NominatedFields)>>);

impl SecondaryKey {
    /// That of a response, by its own `Vary` and the request for it.
    pub fn of(response: &HeaderMap, request: &HeaderMap) -> SecondaryKey {
        SecondaryKey(match Vary::of(response) {
            Vary::Nothing => None,
            vary => {
                let nominated = vary.nominated(request).in_language_of(response);
                Some(Box::new((vary, nominated)))
            }
        })
    }

    /// Whether a request selects the response.
    pub fn selects(&self, request: &HeaderMap) -> bool {
        self.0
            .as_ref()
            .is_none_or(|key| key.0.selects(&key.1, request))
    }

    /// The fields that are named.
    pub fn fields(&self) -> &[HeaderName] {
        self.0.as_ref().map_or(&[], |key| key.0.fields())
    }

    /// A number that is the same for requests that agree in these fields, and hardly ever for
    /// others.
    pub fn digest(&self, request: &HeaderMap) -> u64 {
        self.0
            .as_ref()
            .map_or(0, |key| key.0.nominated(request).digest())
    }

    /// Memory that it takes, in bytes, beside this structure.
    pub fn weight(&self) -> usize {
        self.0.as_ref().map_or(0, |key| {
            size_of::<Vary>() + size_of_val(key.0.fields()) + key.1.weight()
        })
    }
}

/// The values of a request's nominated fields, in normal form.
#[derive(Clone, Debug, Default)]
pub struct NominatedFields {
    values: Box<[Option<Box<[u8]>>]>,
    language: Option<Box<[u8]>>,
}

impl NominatedFields {
    /// Remembers the language of the response, so that requests which ask for that language above
    /// all others select it too, whatever else they list: they could be given nothing better. It is
    /// no part of what makes two of these equal.
    pub fn in_language_of(self, response: &HeaderMap) -> NominatedFields {
        let language = response
            .get(CONTENT_LANGUAGE)
            .map(|language| language.as_bytes().trim_ascii());
        let is_one = response.get_all(CONTENT_LANGUAGE).iter().nth(1).is_none();
        let is_tag = |language: &&[u8]| {
            !language.is_empty()
                && language
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        };
        let language = language
            .filter(|_| is_one)
            .filter(is_tag)
            .map(|language| language.to_ascii_lowercase().into());
        NominatedFields { language, ..self }
    }

    /// A number that is the same for equal values, and hardly ever for others.
    pub fn digest(&self) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// Memory that these take, in bytes, allocations included.
    pub fn weight(&self) -> usize {
        let value = |value: &Option<Box<[u8]>>| value.as_ref().map_or(0, |value| value.len());
        let values: usize = self.values.iter().map(value).sum();
        let slots = std::mem::size_of_val::<[Option<Box<[u8]>>]>(&self.values);
        std::mem::size_of::<NominatedFields>()
            + slots
            + values
            + self.language.as_ref().map_or(0, |language| language.len())
    }
}

impl PartialEq for NominatedFields {
    fn eq(&self, other: &NominatedFields) -> bool {
        self.values == other.values
    }
}

impl Eq for NominatedFields {}

impl Hash for NominatedFields {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.values.hash(state);
    }
}

/// Where a normal form is written to.
trait NormalFormSink {
    fn put(&mut self, bytes: &[u8]);
}

impl NormalFormSink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Compares with what is stored instead of writing.
struct KeyComparison<'a> {
    left: &'a [u8],
    same: bool,
}

impl NormalFormSink for KeyComparison<'_> {
    fn put(&mut self, bytes: &[u8]) {
        match self.left.strip_prefix(bytes) {
            Some(left) => self.left = left,
            None => self.same = false,
        }
    }
}

/// Writes a field's value in normal form.
fn write_normal(name: &HeaderName, headers: &HeaderMap, sink: &mut impl NormalFormSink) {
    match *name {
        ACCEPT_ENCODING => Codings::of(headers).write(sink),
        ACCEPT | ACCEPT_CHARSET | ACCEPT_LANGUAGE => write_ranked(name, headers, sink),
        // Not lists: a comma in them separates nothing.
        COOKIE => write_lines(name, headers, b"; ", sink),
        AUTHORIZATION | HOST | ORIGIN | REFERER | USER_AGENT => {
            write_lines(name, headers, b", ", sink)
        }
        _ => write_members(name, headers, sink),
    }
}

fn write_lines(
    name: &HeaderName,
    headers: &HeaderMap,
    between: &[u8],
    sink: &mut impl NormalFormSink,
) {
    for (at, line) in headers.get_all(name).iter().enumerate() {
        if at > 0 {
            sink.put(between);
        }
        sink.put(line.as_bytes().trim_ascii());
    }
}

/// The members of a list of unknown meaning: their order and their letters count, white space
/// around them does not.
fn write_members(name: &HeaderName, headers: &HeaderMap, sink: &mut impl NormalFormSink) {
    for (at, member) in headers
        .get_all(name)
        .iter()
        .flat_map(|line| list_members(line.as_bytes()))
        .enumerate()
    {
        if at > 0 {
            sink.put(b",");
        }
        sink.put(member);
    }
}

/// A member of a list whose order has no meaning because each member has a weight (RFC 9110
/// §12.4.2).
#[derive(Clone, Copy, Debug, Default)]
struct WeightedMember<'a> {
    /// The member without its weight.
    value: &'a [u8],
    /// In thousandths.
    weight: u16,
}

impl<'a> WeightedMember<'a> {
    fn of(member: &'a [u8]) -> WeightedMember<'a> {
        let is_weight = |parameter: &[u8]| {
            parameter
                .trim_ascii()
                .get(..2)
                .is_some_and(|name| name.eq_ignore_ascii_case(b"q="))
        };
        let start = member
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b';')
            .map(|(at, _)| at);
        match start.into_iter().find(|at| is_weight(&member[at + 1..])) {
            // What follows the weight is no part of the range any more (RFC 9110 §12.5.1), and
            // nobody sends it.
            Some(at) => {
                let weight = member[at + 1..]
                    .split(|byte| *byte == b';')
                    .next()
                    .unwrap_or_default()
                    .trim_ascii();
                WeightedMember {
                    value: member[..at].trim_ascii_end(),
                    weight: thousandths(&weight[2..]),
                }
            }
            None => WeightedMember {
                value: member,
                weight: 1_000,
            },
        }
    }

    fn cmp(&self, other: &WeightedMember<'_>) -> std::cmp::Ordering {
        let folded = |value: &'a [u8]| value.iter().map(u8::to_ascii_lowercase);
        other
            .weight
            .cmp(&self.weight)
            .then_with(|| folded(self.value).cmp(other.value.iter().map(u8::to_ascii_lowercase)))
    }
}

/// A weight (RFC 9110 §12.4.2); one that can't be read is 1.
fn thousandths(weight: &[u8]) -> u16 {
    let (whole, fraction) = match weight {
        [whole, b'.', fraction @ ..] => (*whole, fraction),
        [whole] => (*whole, &[][..]),
        _ => return 1_000,
    };
    if !matches!(whole, b'0' | b'1')
        || fraction.len() > 3
        || !fraction.iter().all(u8::is_ascii_digit)
    {
        return 1_000;
    }
    let digit = |at: usize| fraction.get(at).map_or(0, |digit| u16::from(digit - b'0'));
    (u16::from(whole - b'0') * 1_000 + digit(0) * 100 + digit(1) * 10 + digit(2)).min(1_000)
}

/// How many members are ranked without asking for memory.
const RANKED_IN_PLACE: usize = 24;

fn write_ranked(name: &HeaderName, headers: &HeaderMap, sink: &mut impl NormalFormSink) {
    let members = || {
        headers
            .get_all(name)
            .iter()
            .flat_map(|line| list_members(line.as_bytes()))
            .map(WeightedMember::of)
    };
    let mut in_place = [WeightedMember::default(); RANKED_IN_PLACE];
    let mut on_heap = Vec::new();
    let count = members().take(RANKED_IN_PLACE + 1).count();
    let ranked = if count <= RANKED_IN_PLACE {
        for (slot, member) in in_place.iter_mut().zip(members()) {
            *slot = member;
        }
        &mut in_place[..count]
    } else {
        on_heap.extend(members());
        &mut on_heap[..]
    };
    ranked.sort_unstable_by(WeightedMember::cmp);
    for (at, member) in ranked.iter().enumerate() {
        if at > 0 {
            sink.put(b",");
        }
        write_folded(member.value, sink);
        if member.weight != 1_000 {
            let digit = |tens: u16| b'0' + u8::try_from(member.weight / tens % 10).unwrap_or(0);
            sink.put(&[b';', b'q', b'=', b'.', digit(100), digit(10), digit(1)]);
        }
    }
}

/// Without white space around `;`, and in lower case up to the first one: what follows may be
/// case-sensitive.
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

/// Whether a request asks for `language` above all others.
fn prefers(language: Option<&[u8]>, request: &HeaderMap) -> bool {
    let Some(language) = language else {
        return false;
    };
    let members = || {
        request
            .get_all(ACCEPT_LANGUAGE)
            .iter()
            .flat_map(|line| list_members(line.as_bytes()))
            .map(WeightedMember::of)
    };
    let Some(best) = members()
        .map(|member| member.weight)
        .max()
        .filter(|weight| *weight > 0)
    else {
        return false;
    };
    let mut first = members().filter(|member| member.weight == best);
    first
        .next()
        .is_some_and(|member| member.value.eq_ignore_ascii_case(language))
        && first.next().is_none()
}

/// The codings that a client takes (RFC 9110 §12.5.3). Which it likes best is left out: each of
/// them will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Codings<'h> {
    /// One bit for each of [`KNOWN`].
    taken: u8,
    refused: u8,
    /// `*` with a weight above 0.
    others: bool,
    /// `identity;q=0`, or `*;q=0` without `identity`.
    no_identity: bool,
    /// Whether there are codings that are not in [`KNOWN`]; they are told apart one by one.
    has_unknown: bool,
    headers: &'h HeaderMap,
}

/// The codings of the registry that are in use, in the order of the normal form.
const KNOWN: [&str; 4] = ["zstd", "br", "gzip", "deflate"];

fn known(coding: &[u8]) -> Option<u8> {
    // `x-gzip` is `gzip` (RFC 9110 §8.4.1.3).
    let coding = if coding.eq_ignore_ascii_case(b"x-gzip") {
        b"gzip"
    } else {
        coding
    };
    KNOWN
        .iter()
        .position(|known| coding.eq_ignore_ascii_case(known.as_bytes()))
        .map(|at| 1 << at)
}

impl<'h> Codings<'h> {
    fn of(headers: &'h HeaderMap) -> Codings<'h> {
        let mut codings = Codings {
            taken: 0,
            refused: 0,
            others: false,
            no_identity: false,
            has_unknown: false,
            headers,
        };
        let (mut identity, mut star) = (None, None);
        for coding in Codings::members(headers) {
            let wanted = coding.weight > 0;
            match known(coding.value) {
                Some(bit) if wanted => codings.taken |= bit,
                Some(bit) => codings.refused |= bit,
                None if coding.value == b"*" => star = Some(wanted),
                None if coding.value.eq_ignore_ascii_case(b"identity") => identity = Some(wanted),
                None => codings.has_unknown = true,
            }
        }
        codings.others = star == Some(true);
        codings.no_identity = identity.or(star) == Some(false);
        codings.refused &= !codings.taken;
        codings
    }

    fn members(headers: &HeaderMap) -> impl Iterator<Item = WeightedMember<'_>> {
        headers
            .get_all(ACCEPT_ENCODING)
            .iter()
            .flat_map(|line| list_members(line.as_bytes()))
            .map(WeightedMember::of)
    }

    fn write(&self, sink: &mut impl NormalFormSink) {
        // A coding that is refused means something only where all others are welcome.
        let refused = if self.others { self.refused } else { 0 };
        sink.put(&[
            self.taken,
            refused,
            u8::from(self.others) << 1 | u8::from(self.no_identity),
        ]);
        if self.has_unknown {
            self.write_unknown(sink);
        }
    }

    /// In alphabetical order, so that two clients that list the same ones agree.
    fn write_unknown(&self, sink: &mut impl NormalFormSink) {
        let is_unknown = |coding: &WeightedMember<'_>| {
            known(coding.value).is_none()
                && coding.value != b"*"
                && !coding.value.eq_ignore_ascii_case(b"identity")
        };
        let mut unknown: Vec<(Vec<u8>, bool)> = Codings::members(self.headers)
            .filter(is_unknown)
            .map(|coding| (coding.value.to_ascii_lowercase(), coding.weight > 0))
            .filter(|(_, wanted)| *wanted || self.others)
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        for (coding, wanted) in unknown {
            sink.put(if wanted { b"," } else { b"!" });
            sink.put(&coding);
        }
    }
}

/// The `Accept-Encoding` to forward in place of the client's, so that the next hop sees few
/// different ones and so stores few: the codings that the client takes, in an order of our own,
/// without weights. None where the client sent none, or one that says more than a set of known
/// codings can, which then is forwarded as it is or not at all.
pub fn normalised_accept_encoding(request: &HeaderMap) -> Option<HeaderValue> {
    if !request.contains_key(ACCEPT_ENCODING) {
        return None;
    }
    let codings = Codings::of(request);
    if codings.others || codings.no_identity || codings.has_unknown {
        return None;
    }
    let taken: Vec<&str> = KNOWN
        .iter()
        .enumerate()
        .filter(|(at, _)| codings.taken & (1 << at) != 0)
        .map(|(_, coding)| *coding)
        .collect();
    let value = if taken.is_empty() {
        "identity".to_owned()
    } else {
        taken.join(", ")
    };
    HeaderValue::from_str(&value).ok()
}

#[cfg(test)]
mod tests;
