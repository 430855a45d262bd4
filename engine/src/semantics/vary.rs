//! Which of several responses stored under one key a request selects: `Vary` as secondary key (RFC 9111 §4.1).
//!
//! Values are compared in a normal form, as §4.1 allows: white space around members and the split into lines mean nothing; nor does
//! order in fields that rank their members by weight. `Accept-Encoding` is reduced to the set of codings that the client takes.

use std::hash::{Hash, Hasher};

use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_LANGUAGE, COOKIE, HOST, HeaderMap,
    HeaderName, HeaderValue, ORIGIN, REFERER, USER_AGENT, VARY,
};

use super::cache_control::list_members;

/// How many fields a `Vary` may name. Beyond it a response is taken for one that varies on everything.
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
        let members = response.get_all(VARY).iter().flat_map(|line| list_members(line.as_bytes()));
        let names: Option<Vec<HeaderName>> =
            members.map(|member| HeaderName::from_bytes(member).ok().filter(|name| name.as_str() != "*")).collect();
        let Some(mut names) = names else { return Vary::Everything };
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
    pub fn nominated(&self, request: &HeaderMap) -> Nominated {
        let value = |name: &HeaderName| {
            request.contains_key(name).then(|| {
                let mut value = Vec::new();
                write_normal(name, request, &mut value);
                value.into()
            })
        };
        Nominated { values: self.fields().iter().map(value).collect(), language: None }
    }

    /// Whether a request selects the response whose own request had the values `nominated`. Needs no memory of its own in the
    /// usual cases.
    pub fn selects(&self, nominated: &Nominated, request: &HeaderMap) -> bool {
        match self {
            Vary::Nothing => true,
            Vary::Everything => false,
            Vary::Fields(names) => {
                let same = |(name, stored): (&HeaderName, &Option<Box<[u8]>>)| {
                    agrees(name, stored.as_deref(), request)
                        || (*name == ACCEPT_LANGUAGE && stored.is_some() && prefers(nominated.language.as_deref(), request))
                };
                names.len() == nominated.values.len() && names.iter().zip(&nominated.values).all(same)
            }
        }
    }
}

fn agrees(name: &HeaderName, stored: Option<&[u8]>, request: &HeaderMap) -> bool {
    let Some(stored) = stored else { return !request.contains_key(name) };
    if !request.contains_key(name) {
        return false;
    }
    let mut comparison = Comparison { left: stored, same: true };
    write_normal(name, request, &mut comparison);
    comparison.same && comparison.left.is_empty()
}

/// The values of a request's nominated fields, in normal form.
#[derive(Clone, Debug, Default)]
pub struct Nominated {
    values: Box<[Option<Box<[u8]>>]>,
    language: Option<Box<[u8]>>,
}

impl Nominated {
    /// Remembers the language of the response, so that requests which ask for that language above all others select it too, whatever
    /// else they list: they could be given nothing better. It is no part of what makes two of these equal.
    pub fn in_language_of(self, response: &HeaderMap) -> Nominated {
        let language = response.get(CONTENT_LANGUAGE).map(|language| language.as_bytes().trim_ascii());
        let is_one = response.get_all(CONTENT_LANGUAGE).iter().nth(1).is_none();
        let is_tag =
            |language: &&[u8]| !language.is_empty() && language.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        let language = language.filter(|_| is_one).filter(is_tag).map(|language| language.to_ascii_lowercase().into());
        Nominated { language, ..self }
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
        std::mem::size_of::<Nominated>() + slots + values + self.language.as_ref().map_or(0, |language| language.len())
    }
}

impl PartialEq for Nominated {
    fn eq(&self, other: &Nominated) -> bool {
        self.values == other.values
    }
}

impl Eq for Nominated {}

impl Hash for Nominated {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.values.hash(state);
    }
}

/// Where a normal form is written to.
trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Compares with what is stored instead of writing.
struct Comparison<'a> {
    left: &'a [u8],
    same: bool,
}

impl Sink for Comparison<'_> {
    fn put(&mut self, bytes: &[u8]) {
        match self.left.strip_prefix(bytes) {
            Some(left) => self.left = left,
            None => self.same = false,
        }
    }
}

/// Writes a field's value in normal form.
fn write_normal(name: &HeaderName, headers: &HeaderMap, sink: &mut impl Sink) {
    match *name {
        ACCEPT_ENCODING => Codings::of(headers).write(sink),
        ACCEPT | ACCEPT_CHARSET | ACCEPT_LANGUAGE => write_ranked(name, headers, sink),
        // Not lists: a comma in them separates nothing.
        COOKIE => write_lines(name, headers, b"; ", sink),
        AUTHORIZATION | HOST | ORIGIN | REFERER | USER_AGENT => write_lines(name, headers, b", ", sink),
        _ => write_members(name, headers, sink),
    }
}

fn write_lines(name: &HeaderName, headers: &HeaderMap, between: &[u8], sink: &mut impl Sink) {
    for (at, line) in headers.get_all(name).iter().enumerate() {
        if at > 0 {
            sink.put(between);
        }
        sink.put(line.as_bytes().trim_ascii());
    }
}

/// The members of a list of unknown meaning: their order and their letters count, white space around them does not.
fn write_members(name: &HeaderName, headers: &HeaderMap, sink: &mut impl Sink) {
    for (at, member) in headers.get_all(name).iter().flat_map(|line| list_members(line.as_bytes())).enumerate() {
        if at > 0 {
            sink.put(b",");
        }
        sink.put(member);
    }
}

/// A member of a list whose order has no meaning because each member has a weight (RFC 9110 §12.4.2).
#[derive(Clone, Copy, Debug, Default)]
struct Ranked<'a> {
    /// The member without its weight.
    value: &'a [u8],
    /// In thousandths.
    weight: u16,
}

impl<'a> Ranked<'a> {
    fn of(member: &'a [u8]) -> Ranked<'a> {
        let is_weight = |parameter: &[u8]| parameter.trim_ascii().get(..2).is_some_and(|name| name.eq_ignore_ascii_case(b"q="));
        let start = member.iter().enumerate().filter(|(_, byte)| **byte == b';').map(|(at, _)| at);
        match start.into_iter().find(|at| is_weight(&member[at + 1..])) {
            // What follows the weight is no part of the range any more (RFC 9110 §12.5.1), and nobody sends it.
            Some(at) => {
                let weight = member[at + 1..].split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
                Ranked { value: member[..at].trim_ascii_end(), weight: thousandths(&weight[2..]) }
            }
            None => Ranked { value: member, weight: 1_000 },
        }
    }

    fn cmp(&self, other: &Ranked<'_>) -> std::cmp::Ordering {
        let folded = |value: &'a [u8]| value.iter().map(u8::to_ascii_lowercase);
        other.weight.cmp(&self.weight).then_with(|| folded(self.value).cmp(other.value.iter().map(u8::to_ascii_lowercase)))
    }
}

/// A weight (RFC 9110 §12.4.2); one that can't be read is 1.
fn thousandths(weight: &[u8]) -> u16 {
    let (whole, fraction) = match weight {
        [whole, b'.', fraction @ ..] => (*whole, fraction),
        [whole] => (*whole, &[][..]),
        _ => return 1_000,
    };
    if !matches!(whole, b'0' | b'1') || fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return 1_000;
    }
    let digit = |at: usize| fraction.get(at).map_or(0, |digit| u16::from(digit - b'0'));
    (u16::from(whole - b'0') * 1_000 + digit(0) * 100 + digit(1) * 10 + digit(2)).min(1_000)
}

/// How many members are ranked without asking for memory.
const RANKED_IN_PLACE: usize = 24;

fn write_ranked(name: &HeaderName, headers: &HeaderMap, sink: &mut impl Sink) {
    let members = || headers.get_all(name).iter().flat_map(|line| list_members(line.as_bytes())).map(Ranked::of);
    let mut in_place = [Ranked::default(); RANKED_IN_PLACE];
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
    ranked.sort_unstable_by(Ranked::cmp);
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

/// Without white space around `;`, and in lower case up to the first one: what follows may be case-sensitive.
fn write_folded(value: &[u8], sink: &mut impl Sink) {
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
    let Some(language) = language else { return false };
    let members = || request.get_all(ACCEPT_LANGUAGE).iter().flat_map(|line| list_members(line.as_bytes())).map(Ranked::of);
    let Some(best) = members().map(|member| member.weight).max().filter(|weight| *weight > 0) else { return false };
    let mut first = members().filter(|member| member.weight == best);
    first.next().is_some_and(|member| member.value.eq_ignore_ascii_case(language)) && first.next().is_none()
}

/// The codings that a client takes (RFC 9110 §12.5.3). Which it likes best is left out: each of them will do.
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
    let coding = if coding.eq_ignore_ascii_case(b"x-gzip") { b"gzip" } else { coding };
    KNOWN.iter().position(|known| coding.eq_ignore_ascii_case(known.as_bytes())).map(|at| 1 << at)
}

impl<'h> Codings<'h> {
    fn of(headers: &'h HeaderMap) -> Codings<'h> {
        let mut codings = Codings { taken: 0, refused: 0, others: false, no_identity: false, has_unknown: false, headers };
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

    fn members(headers: &HeaderMap) -> impl Iterator<Item = Ranked<'_>> {
        headers.get_all(ACCEPT_ENCODING).iter().flat_map(|line| list_members(line.as_bytes())).map(Ranked::of)
    }

    fn write(&self, sink: &mut impl Sink) {
        // A coding that is refused means something only where all others are welcome.
        let refused = if self.others { self.refused } else { 0 };
        sink.put(&[self.taken, refused, u8::from(self.others) << 1 | u8::from(self.no_identity)]);
        if self.has_unknown {
            self.write_unknown(sink);
        }
    }

    /// In alphabetical order, so that two clients that list the same ones agree.
    fn write_unknown(&self, sink: &mut impl Sink) {
        let is_unknown = |coding: &Ranked<'_>| {
            known(coding.value).is_none() && coding.value != b"*" && !coding.value.eq_ignore_ascii_case(b"identity")
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

/// The `Accept-Encoding` to forward in place of the client's, so that the next hop sees few different ones and so stores few: the codings
/// that the client takes, in an order of our own, without weights. None where the client sent none, or one that says more than a set of
/// known codings can, which then is forwarded as it is or not at all.
pub fn normalised_accept_encoding(request: &HeaderMap) -> Option<HeaderValue> {
    if !request.contains_key(ACCEPT_ENCODING) {
        return None;
    }
    let codings = Codings::of(request);
    if codings.others || codings.no_identity || codings.has_unknown {
        return None;
    }
    let taken: Vec<&str> =
        KNOWN.iter().enumerate().filter(|(at, _)| codings.taken & (1 << at) != 0).map(|(_, coding)| *coding).collect();
    let value = if taken.is_empty() { "identity".to_owned() } else { taken.join(", ") };
    HeaderValue::from_str(&value).ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Lines, headers};
    use super::*;

    fn vary(lines: &[&str]) -> Vary {
        let lines: Vec<_> = lines.iter().map(|line| ("vary", *line)).collect();
        Vary::of(&headers(&lines))
    }

    /// Whether the second request selects what was stored for the first one. The hash agrees with equality, and both with selecting.
    fn selects(fields: &str, first: Lines<'_>, second: Lines<'_>) -> bool {
        let vary = vary(&[fields]);
        let (first, second) = (headers(first), headers(second));
        let (stored, own) = (vary.nominated(&first), vary.nominated(&second));
        let selects = vary.selects(&stored, &second);
        assert!(vary.selects(&stored, &first) && vary.selects(&own, &second));
        assert_eq!(stored == own, selects);
        assert_eq!(stored.digest() == own.digest(), selects);
        selects
    }

    #[test]
    fn vary_names_fields_in_any_spelling() {
        let fields =
            |names: &[&str]| Vary::Fields(names.iter().map(|name| HeaderName::from_bytes(name.as_bytes()).unwrap()).collect());
        let rows: &[(&[&str], Vary)] = &[
            (&[], Vary::Nothing),
            (&[""], Vary::Nothing),
            (&[" , ,"], Vary::Nothing),
            (&["Foo"], fields(&["foo"])),
            (&["foo, BAR", "baz,foo"], fields(&["bar", "baz", "foo"])),
            (&["*"], Vary::Everything),
            (&["*, *"], Vary::Everything),
            (&["*", "*"], Vary::Everything),
            (&[", *"], Vary::Everything),
            (&["", "*"], Vary::Everything),
            (&["*, Foo"], Vary::Everything),
            (&["Foo, *"], Vary::Everything),
            (&["foo bar"], Vary::Everything),
            (&["foo\u{e9}"], Vary::Everything),
        ];
        for (lines, expected) in rows {
            assert_eq!(vary(lines), *expected, "{lines:?}");
        }
    }

    #[test]
    fn beyond_the_bound_a_response_varies_on_everything() {
        let names = |count: usize| (0..count).map(|at| format!("x-{at}")).collect::<Vec<_>>().join(",");
        assert_eq!(vary(&[&names(MAX_VARY_FIELDS)]).fields().len(), MAX_VARY_FIELDS);
        assert_eq!(vary(&[&names(MAX_VARY_FIELDS + 1)]), Vary::Everything);
    }

    #[test]
    fn nothing_selects_what_varies_on_everything_and_all_select_what_varies_on_nothing() {
        let request = headers(&[("foo", "1")]);
        assert!(!vary(&["*"]).selects(&vary(&["*"]).nominated(&request), &request));
        assert!(vary(&[]).selects(&vary(&[]).nominated(&request), &headers(&[])));
        assert!(!vary(&["foo"]).selects(&Nominated::default(), &request));
    }

    #[test]
    fn requests_must_agree_in_every_field_that_is_named() {
        let foo = ("foo", "1");
        assert!(selects("foo", &[foo], &[foo]));
        assert!(selects("foo", &[foo, ("other", "2")], &[foo, ("other", "3")]));
        assert!(!selects("foo", &[foo], &[("foo", "2")]));
        assert!(!selects("foo", &[foo], &[]));
        assert!(!selects("foo", &[], &[foo]));
        assert!(!selects("foo", &[], &[("foo", "")]));
        assert!(selects("foo, bar", &[foo, ("bar", "a")], &[("bar", "a"), foo]));
        assert!(!selects("foo, bar", &[foo, ("bar", "a")], &[foo, ("bar", "b")]));
        assert!(!selects("foo, bar", &[foo], &[]));
        assert!(selects("foo, bar, baz", &[foo, ("baz", "7")], &[foo, ("baz", "7")]));
        assert!(!selects("foo, bar", &[foo, ("bar", "2")], &[("foo", "2"), ("bar", "1")]));
    }

    #[test]
    fn white_space_and_lines_mean_nothing_in_lists() {
        assert!(selects("foo", &[("foo", "1,2")], &[("foo", " 1, 2 ")]));
        assert!(selects("foo", &[("foo", "1, 2")], &[("foo", "1"), ("foo", "2")]));
        assert!(selects("foo", &[("foo", "1,,2")], &[("foo", "1,2,")]));
        assert!(!selects("foo", &[("foo", "1,2")], &[("foo", "2,1")]));
        assert!(!selects("foo", &[("foo", "a b")], &[("foo", "a  b")]));
        assert!(!selects("foo", &[("foo", "a")], &[("foo", "A")]));
        assert!(!selects("foo", &[("foo", "\"a,b\"")], &[("foo", "\"a, b\"")]));
    }

    #[test]
    fn fields_that_are_no_lists_are_compared_as_they_are() {
        for name in ["user-agent", "cookie", "authorization", "referer"] {
            assert!(selects(name, &[(name, "a, b")], &[(name, "a, b")]));
            assert!(!selects(name, &[(name, "a, b")], &[(name, "a,b")]));
        }
        // HTTP/2 clients may send one line for each cookie (RFC 9113 §8.2.3).
        assert!(selects("cookie", &[("cookie", "a=1; b=2")], &[("cookie", "a=1"), ("cookie", "b=2")]));
        assert!(!selects("cookie", &[("cookie", "a=1; b=2")], &[("cookie", "b=2; a=1")]));
    }

    #[test]
    fn order_means_nothing_where_members_have_weights() {
        let same = |first: &str, second: &str| {
            let name = "accept-language";
            selects(name, &[(name, first)], &[(name, second)])
        };
        assert!(same("en, de", "de, en"));
        assert!(same("en, de", "eN, De"));
        assert!(same("en, de", " en ,   de"));
        assert!(same("en;q=0.5, de", "de;q=1.0, en; Q=0.50"));
        assert!(same("de;q=1", "de"));
        assert!(same("de;q=0", "de;q=0.000"));
        assert!(!same("en;q=0.5, de", "en, de;q=0.5"));
        assert!(!same("en", "de"));
        assert!(!same("en;q=0.5", "en"));
        assert!(!same("en;q=0.5, de;q=0.5", "en;q=0.5, de;q=0.501"));
        // What can't be read is 1.
        assert!(same("en;q=x, de;q=2, fr;q=0.1234, it;q=", "en,de,fr,it"));
        let many: Vec<String> = (0..200).map(|at| format!("x-{at};q=0.{}", at % 10)).collect();
        let reversed: Vec<String> = many.iter().rev().cloned().collect();
        assert!(same(&many.join(","), &reversed.join(", ")));
        let accept = |first: &str, second: &str| selects("accept", &[("accept", first)], &[("accept", second)]);
        assert!(accept("text/html;level=1;q=.5, */*;q=0.1", "*/*;q=0.1, TEXT/html ; level=1"));
        assert!(accept("text/html, image/*;q=0.5", "image/*; q=0.5,text/HTML"));
        assert!(!accept("text/html;level=1", "text/html;level=2"));
    }

    #[test]
    fn accept_encoding_is_the_set_of_codings_that_the_client_takes() {
        let same = |first: &str, second: &str| {
            let name = "accept-encoding";
            selects(name, &[(name, first)], &[(name, second)])
        };
        assert!(same("gzip, br", "br;q=0.1, GZIP;q=1.0"));
        assert!(same("gzip, br, zstd;q=0", "x-gzip,br"));
        assert!(same("", "identity"));
        assert!(same("gzip, identity;q=0.5", "gzip"));
        assert!(same("gzip, *;q=0", "*;q=0.0, gzip"));
        assert!(same("gzip, identity;q=0", "gzip, *;q=0"));
        assert!(same("*, gzip;q=0", "gzip;q=0, *;q=0.1"));
        assert!(same("gzip, dcb, dcz", "dcz, gzip, DCB"));
        assert!(!same("gzip", "gzip, br"));
        assert!(!same("gzip", "gzip, deflate"));
        assert!(!same("gzip", "gzip, identity;q=0"));
        assert!(!same("gzip", "gzip, dcb"));
        assert!(!same("gzip, dcb", "gzip, dcz"));
        assert!(!same("gzip", "*"));
        assert!(!same("*", "*, gzip;q=0"));
        assert!(!same("*", "*, dcb;q=0"));
        assert!(!same("*", ""));
        assert!(!selects("accept-encoding", &[], &[("accept-encoding", "")]));
    }

    #[test]
    fn a_response_in_the_language_that_a_request_wants_most_is_selected() {
        let vary = vary(&["accept-language, foo"]);
        let stored =
            |response: Lines<'_>| vary.nominated(&headers(&[("accept-language", "en, de")])).in_language_of(&headers(response));
        let wants = |stored: &Nominated, language: &str| vary.selects(stored, &headers(&[("accept-language", language)]));
        let german = stored(&[("content-language", "DE")]);
        assert!(wants(&german, "fr;q=0.5, de;q=1.0"));
        assert!(wants(&german, "De"));
        for other in ["fr, de;q=0.5", "fr, de", "de-AT", "*", "de;q=0", ""] {
            assert!(!wants(&german, other), "{other}");
        }
        assert!(!vary.selects(&german, &headers(&[])));
        assert!(!vary.selects(&german, &headers(&[("accept-language", "de"), ("foo", "1")])));
        for response in [
            &[][..],
            &[("content-language", "de, en")],
            &[("content-language", "de"), ("content-language", "en")],
            &[("content-language", "")],
        ] {
            assert!(!wants(&stored(response), "de"), "{response:?}");
        }
        // The language is no part of equality.
        assert_eq!(german, stored(&[]));
        let none = vary.nominated(&headers(&[])).in_language_of(&headers(&[("content-language", "de")]));
        assert!(!wants(&none, "de"));
    }

    #[test]
    fn weight_counts_what_is_held() {
        let light = vary(&["foo"]).nominated(&headers(&[("foo", "")]));
        let heavy = vary(&["foo"]).nominated(&headers(&[("foo", &"x".repeat(1_000))]));
        assert_eq!(heavy.weight() - light.weight(), 1_000);
    }

    #[test]
    fn what_is_forwarded_is_the_same_set_of_codings() {
        let rows: &[(&[&str], Option<&str>)] = &[
            (&[], None),
            (&[""], Some("identity")),
            (&["identity"], Some("identity")),
            (&["gzip, deflate, br, zstd"], Some("zstd, br, gzip, deflate")),
            (&["br;q=0.1", "gzip"], Some("br, gzip")),
            (&["x-gzip"], Some("gzip")),
            (&["gzip, br;q=0"], Some("gzip")),
            // What a set of known codings can't say is left as it is.
            (&["gzip, *"], None),
            (&["gzip, identity;q=0"], None),
            (&["*;q=0"], None),
            (&["gzip, dcb"], None),
        ];
        for (lines, expected) in rows {
            let lines: Vec<_> = lines.iter().map(|line| ("accept-encoding", *line)).collect();
            let request = headers(&lines);
            let forwarded = normalised_accept_encoding(&request);
            assert_eq!(forwarded.as_ref().map(|value| value.to_str().unwrap()), *expected, "{lines:?}");
            if let Some(forwarded) = forwarded {
                let after = headers(&[("accept-encoding", forwarded.to_str().unwrap())]);
                let vary = vary(&["accept-encoding"]);
                assert!(vary.selects(&vary.nominated(&request), &after));
                assert_eq!(normalised_accept_encoding(&after).as_ref(), Some(&forwarded));
            }
        }
    }
}
