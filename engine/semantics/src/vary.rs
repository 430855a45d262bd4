//! Which of the responses stored under one key a request selects: `Vary` as a secondary key (RFC
//! 9111 §4.1).
//!
//! Values are compared in a normal form, as §4.1 allows. White space around members and the split
//! into lines don't count, nor does order in lists whose members have weights. `Accept-Encoding` is
//! reduced to the set of known codings that the client accepts.

mod codings;
mod normal_form;
mod saved;
mod sink;
mod weighted;

use std::hash::{DefaultHasher, Hash, Hasher};

use http::header::{
    ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_ENCODING, CONTENT_LANGUAGE, FORWARDED, HeaderMap,
    HeaderName, HeaderValue, VARY,
};

use super::content_coding::{accepts_all, codings_of};
use super::forwarded::X_FORWARDED_FOR;
use super::list::list_members;
use super::request_id::X_REQUEST_ID;
use super::weights::weighted_members;
pub use codings::normalised_accept_encoding;
use normal_form::write_normal;
use sink::KeyComparison;

/// How many fields a `Vary` may name. A response that names more counts as one that varies on
/// everything.
pub const MAX_VARY_FIELDS: usize = 32;

/// The `Vary` of a response (RFC 9110 §12.5.5).
///
/// ```
/// use http::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue, VARY};
/// use tero_semantics::vary::Vary;
///
/// let response = HeaderMap::from_iter([(VARY, HeaderValue::from_static("Accept-Language"))]);
/// let vary = Vary::of(&response);
/// assert_eq!(vary.fields(), [ACCEPT_LANGUAGE]);
///
/// let request = |language| {
///     HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static(language))])
/// };
/// // What the request for the response said is stored with it.
/// let nominated = vary.nominated(&request("es, en;q=0.5"));
/// assert!(vary.selects(&nominated, &request("en;q=0.5,es")));
/// assert!(!vary.selects(&nominated, &request("en")));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Vary {
    /// Every request selects the response.
    #[default]
    Nothing,
    /// No request selects the response: `*`, a field that differs with each request or client as we
    /// write it, or a malformed field.
    Everything,
    /// Requests that agree in these fields with the original request select the response. The names
    /// are sorted and occur once.
    Fields(Box<[HeaderName]>),
}

impl Vary {
    /// The `Vary` of a response, all its lines together.
    pub fn of(response: &HeaderMap) -> Vary {
        if !response.contains_key(VARY) {
            return Vary::Nothing;
        }
        let members = response
            .get_all(VARY)
            .iter()
            .flat_map(|line| list_members(line.as_bytes()));
        let names: Option<Vec<HeaderName>> = members.map(field_name).collect();
        names.map_or(Vary::Everything, Vary::of_names)
    }

    fn of_names(mut names: Vec<HeaderName>) -> Vary {
        names.sort_unstable_by(|left, right| left.as_str().cmp(right.as_str()));
        names.dedup();
        match names.len() {
            0 => Vary::Nothing,
            1..=MAX_VARY_FIELDS => Vary::Fields(names.into()),
            _ => Vary::Everything,
        }
    }

    /// The same with further fields.
    fn and(self, names: impl IntoIterator<Item = HeaderName>) -> Vary {
        match self {
            Vary::Everything => Vary::Everything,
            _ => Vary::of_names(self.fields().iter().cloned().chain(names).collect()),
        }
    }

    /// The fields that are named.
    pub fn fields(&self) -> &[HeaderName] {
        match self {
            Vary::Fields(names) => names,
            Vary::Nothing | Vary::Everything => &[],
        }
    }

    /// Whether a response with this `Vary` is selected by no request that one with `other` is not
    /// selected by: this one names every field that `other` names.
    ///
    /// ```
    /// use http::header::{HeaderMap, HeaderValue, VARY};
    /// use tero_semantics::vary::Vary;
    ///
    /// let vary = |names| Vary::of(&HeaderMap::from_iter([(VARY, HeaderValue::from_static(names))]));
    /// assert!(vary("a, b").covers(&vary("b")));
    /// assert!(!vary("b").covers(&vary("a, b")));
    /// assert!(vary("*").covers(&vary("a")));
    /// ```
    pub fn covers(&self, other: &Vary) -> bool {
        match (self, other) {
            (Vary::Everything, _) => true,
            (_, Vary::Everything) => false,
            _ => {
                let own = self.fields();
                other.fields().iter().all(|name| own.contains(name))
            }
        }
    }

    /// A request's values of the fields that are named, in normal form.
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
            codings: None,
        }
    }

    /// Whether a request selects the response whose original request had the values `nominated`.
    /// Allocates nothing in the usual cases.
    pub fn selects(&self, nominated: &NominatedFields, request: &HeaderMap) -> bool {
        match self {
            Vary::Nothing => true,
            Vary::Everything => false,
            Vary::Fields(names) => {
                let selects = |(name, value)| nominated.selects_in(name, value, request);
                names.len() == nominated.values.len()
                    && names.iter().zip(&nominated.values).all(selects)
            }
        }
    }
}

/// A member of `Vary`; `None` if it is `*` or malformed. The next hop sees a client's address and the
/// id of the request in fields that we write: a response that varies on one of them is for that
/// client or that request alone.
fn field_name(member: &[u8]) -> Option<HeaderName> {
    let is_own = |name: &HeaderName| [X_FORWARDED_FOR, FORWARDED, X_REQUEST_ID].contains(name);
    HeaderName::from_bytes(member)
        .ok()
        .filter(|name| name.as_str() != "*" && !is_own(name))
}

/// The secondary key of a stored response (§4.1): the request fields that select it, and the values
/// that the original request had in them. Allocates only if there are such fields.
///
/// ```
/// use http::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue, VARY};
/// use tero_semantics::vary::SecondaryKey;
///
/// let language = |value| {
///     HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static(value))])
/// };
/// let response = HeaderMap::from_iter([(VARY, HeaderValue::from_static("accept-language"))]);
/// let key = SecondaryKey::of(&response, &language("es"));
/// assert_eq!(key.fields(), [ACCEPT_LANGUAGE]);
/// assert!(key.selects(&language("ES")));
/// assert!(!key.selects(&language("en")));
///
/// // Equal values have equal digests, and hold memory.
/// assert_eq!(key.digest(&language("ES")), key.digest(&language("es")));
/// assert!(key.weight() > 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecondaryKey(Option<Box<VaryKey>>);

#[derive(Clone, Debug)]
struct VaryKey {
    vary: Vary,
    nominated: NominatedFields,
    /// Whether the response itself has that `Vary`.
    is_own: bool,
}

/// Keys are equal if the same requests select both.
impl PartialEq for VaryKey {
    fn eq(&self, other: &VaryKey) -> bool {
        self.vary == other.vary && self.nominated == other.nominated
    }
}

impl Eq for VaryKey {}

impl SecondaryKey {
    /// The secondary key of a response, from its `Vary`, its language, its content codings and the
    /// request for it. A response with a content coding is only for requests that accept it (RFC
    /// 9110 §12.5.3), also if it forgets to say `Vary: Accept-Encoding`; and for those that the
    /// next hop would answer alike.
    ///
    /// ```
    /// use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue};
    /// use tero_semantics::vary::SecondaryKey;
    ///
    /// let fields = |name, value| HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
    /// let accepting = |value| fields(ACCEPT_ENCODING, value);
    /// let key = SecondaryKey::of(&fields(CONTENT_ENCODING, "gzip"), &accepting("gzip, br"));
    /// assert!(key.selects(&accepting("gzip;q=0.1")));
    /// assert!(!key.selects(&accepting("br")) && !key.selects(&HeaderMap::new()));
    /// ```
    pub fn of(response: &HeaderMap, request: &HeaderMap) -> SecondaryKey {
        let own = Vary::of(response);
        let is_own = own != Vary::Nothing;
        let codings = joined_codings(response).filter(|_| !own.fields().contains(&ACCEPT_ENCODING));
        let vary = match codings {
            Some(_) => own.and([ACCEPT_ENCODING]),
            None => own,
        };
        if vary == Vary::Nothing {
            return SecondaryKey(None);
        }
        let nominated = NominatedFields {
            codings,
            ..vary.nominated(request).in_language_of(response)
        };
        SecondaryKey(Some(Box::new(VaryKey {
            vary,
            nominated,
            is_own,
        })))
    }

    /// The same without this field among those that select the response. For a field that the next
    /// hop saw the same in every request.
    ///
    /// ```
    /// use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, VARY};
    /// use tero_semantics::vary::SecondaryKey;
    ///
    /// let vary = HeaderValue::from_static("accept-encoding, origin");
    /// let response = HeaderMap::from_iter([(VARY, vary)]);
    /// let key = SecondaryKey::of(&response, &HeaderMap::new()).without(&ACCEPT_ENCODING);
    /// assert_eq!(key.fields(), ["origin"]);
    /// ```
    pub fn without(self, name: &HeaderName) -> SecondaryKey {
        let Some(key) = self.0 else { return self };
        let Some(place) = key.vary.fields().iter().position(|own| own == name) else {
            return SecondaryKey(Some(key));
        };
        let mut names = key.vary.fields().to_vec();
        let mut values = key.nominated.values.into_vec();
        names.remove(place);
        values.remove(place);
        if names.is_empty() {
            return SecondaryKey(None);
        }
        SecondaryKey(Some(Box::new(VaryKey {
            vary: Vary::Fields(names.into()),
            nominated: NominatedFields {
                values: values.into(),
                ..key.nominated
            },
            is_own: key.is_own,
        })))
    }

    /// The secondary key that a response without `Vary` has beside others that have one: the fields
    /// that theirs name, as they were in its own request (§4.1). Origins leave `Vary` out of some
    /// answers, of those to requests without `Origin` for instance; without a key of its own, such
    /// an answer would stand for all. A response with `Vary` keeps its key; to that of its codings
    /// theirs is added.
    ///
    /// ```
    /// use http::header::{HeaderMap, HeaderValue, ORIGIN};
    /// use tero_semantics::vary::SecondaryKey;
    ///
    /// let (without, bare) = (HeaderMap::new(), HeaderMap::new());
    /// let with = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static("https://a.example"))]);
    /// let alone = SecondaryKey::of(&bare, &without);
    /// assert!(alone.selects(&with));
    /// let beside = alone.beside([ORIGIN], &without);
    /// assert!(beside.selects(&without) && !beside.selects(&with));
    /// assert!(!beside.is_by_vary());
    /// ```
    pub fn beside(
        self,
        names: impl IntoIterator<Item = HeaderName>,
        request: &HeaderMap,
    ) -> SecondaryKey {
        if self.is_by_vary() {
            return self;
        }
        let (own, codings) = match self.0 {
            Some(key) => (key.vary, key.nominated.codings),
            None => (Vary::Nothing, None),
        };
        let vary = own.and(names);
        if vary == Vary::Nothing {
            return SecondaryKey(None);
        }
        let nominated = NominatedFields {
            codings,
            ..vary.nominated(request)
        };
        SecondaryKey(Some(Box::new(VaryKey {
            vary,
            nominated,
            is_own: false,
        })))
    }

    /// Whether the response's own `Vary` gave the key.
    #[inline]
    pub fn is_by_vary(&self) -> bool {
        self.0.as_ref().is_some_and(|key| key.is_own)
    }

    /// Whether a request selects the response.
    #[inline]
    pub fn selects(&self, request: &HeaderMap) -> bool {
        self.0
            .as_ref()
            .is_none_or(|key| key.vary.selects(&key.nominated, request))
    }

    /// The fields that `Vary` names: its own, or that of the responses beside it.
    #[inline]
    pub fn fields(&self) -> &[HeaderName] {
        self.0.as_ref().map_or(&[], |key| key.vary.fields())
    }

    /// A number that is equal for requests that agree in these fields, and almost never for others.
    /// It may differ between versions of this crate.
    #[inline]
    pub fn digest(&self, request: &HeaderMap) -> u64 {
        self.0
            .as_ref()
            .map_or(0, |key| key.vary.nominated(request).digest())
    }

    /// The memory that it occupies beside this structure, in bytes.
    pub fn weight(&self) -> usize {
        self.0.as_ref().map_or(0, |key| {
            let fixed = size_of::<VaryKey>() - size_of::<NominatedFields>();
            fixed + size_of_val(key.vary.fields()) + key.nominated.weight()
        })
    }
}

/// The values of a request's nominated fields, in normal form.
///
/// ```
/// use http::header::{ACCEPT_LANGUAGE, CONTENT_LANGUAGE, HeaderMap, HeaderValue, VARY};
/// use tero_semantics::vary::Vary;
///
/// let request = |language| {
///     HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static(language))])
/// };
/// let response = HeaderMap::from_iter([
///     (VARY, HeaderValue::from_static("accept-language")),
///     (CONTENT_LANGUAGE, HeaderValue::from_static("es")),
/// ]);
/// let vary = Vary::of(&response);
/// let nominated = vary.nominated(&request("es, en"));
/// assert_eq!(nominated.digest(), vary.nominated(&request("en,es")).digest());
/// assert!(nominated.weight() > 0);
///
/// // A client that wants Spanish most gets the Spanish response, whatever else it lists.
/// let spanish = nominated.in_language_of(&response);
/// assert!(vary.selects(&spanish, &request("es, pt;q=0.5")));
/// ```
#[derive(Clone, Debug, Default)]
pub struct NominatedFields {
    /// `None` for a field that the request does not have.
    values: Box<[Option<Box<[u8]>>]>,
    language: Option<Box<[u8]>>,
    /// The content codings of the response, where its own `Vary` doesn't name `Accept-Encoding`:
    /// requests that accept them all select it. They have no part in equality.
    codings: Option<Box<[u8]>>,
}

impl NominatedFields {
    /// Adds the language of the response, so that requests that want this language most select it
    /// too, whatever else they list: there is nothing better for them. It has no part in equality.
    pub fn in_language_of(self, response: &HeaderMap) -> NominatedFields {
        let mut lines = response.get_all(CONTENT_LANGUAGE).iter();
        let only = lines.next().filter(|_| lines.next().is_none());
        let language = only.and_then(language_tag);
        NominatedFields { language, ..self }
    }

    /// A number that is equal for equal values, and almost never for others. It may differ between
    /// versions of this crate.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// The memory that these occupy, in bytes, allocations included.
    pub fn weight(&self) -> usize {
        let held = self.values.iter().chain([&self.language, &self.codings]);
        let bytes: usize = held.flatten().map(|value| value.len()).sum();
        size_of::<NominatedFields>() + size_of_val::<[Option<Box<[u8]>>]>(&self.values) + bytes
    }

    /// Whether a request agrees in one of the fields, whose stored value is `value`.
    fn selects_in(
        &self,
        name: &HeaderName,
        value: &Option<Box<[u8]>>,
        request: &HeaderMap,
    ) -> bool {
        agrees(name, value.as_deref(), request)
            || (*name == ACCEPT_LANGUAGE
                && value.is_some()
                && prefers(self.language.as_deref(), request))
            || (*name == ACCEPT_ENCODING
                && self
                    .codings
                    .as_deref()
                    .is_some_and(|codings| accepts_all(request, codings)))
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

/// The language tag (RFC 9110 §8.5.1) in lower case; `None` if the field isn't a single tag.
fn language_tag(language: &HeaderValue) -> Option<Box<[u8]>> {
    let tag = language.as_bytes().trim_ascii();
    let is_tag = tag
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    (is_tag && !tag.is_empty()).then(|| tag.to_ascii_lowercase().into())
}

/// The content codings of a response as one list; `None` if it has none.
fn joined_codings(response: &HeaderMap) -> Option<Box<[u8]>> {
    if !response.contains_key(CONTENT_ENCODING) {
        return None;
    }
    let codings: Vec<&[u8]> = codings_of(response).collect();
    (!codings.is_empty()).then(|| codings.join(&b","[..]).into())
}

/// Whether a request's value of a field, in normal form, is the stored one.
fn agrees(name: &HeaderName, stored: Option<&[u8]>, request: &HeaderMap) -> bool {
    let Some(stored) = stored else {
        return !request.contains_key(name);
    };
    if !request.contains_key(name) {
        return false;
    }
    let mut comparison = KeyComparison::with(stored);
    write_normal(name, request, &mut comparison);
    comparison.is_same()
}

/// Whether a request wants `language` more than any other.
fn prefers(language: Option<&[u8]>, request: &HeaderMap) -> bool {
    let Some(language) = language else {
        return false;
    };
    let members = || weighted_members(&ACCEPT_LANGUAGE, request);
    let best = members().map(|member| member.weight).max().unwrap_or(0);
    if best == 0 {
        return false;
    }
    let mut most_wanted = members().filter(|member| member.weight == best);
    most_wanted
        .next()
        .is_some_and(|member| member.value.eq_ignore_ascii_case(language))
        && most_wanted.next().is_none()
}

#[cfg(test)]
mod tests;
