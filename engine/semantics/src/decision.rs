//! What policies decided about a request and its response.
//!
//! A policy is the operator's own code. The other modules weigh its decisions against the fields of
//! the response and the safety floor. Without policies, the `Default` of each type leaves every
//! decision to the fields, as RFC 9111 has it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

use super::field_edits::FieldEdits;
use super::timestamp::Timestamp;

/// Whether the cache takes part in a request at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LookupDecision {
    /// Look up and store.
    #[default]
    Cache,
    /// Forward: nothing is looked up and nothing is stored.
    Pass,
}

/// Which query parameters are part of the key. A pattern is a name, or a prefix followed by `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum QueryParameters {
    /// All of them.
    #[default]
    All,
    /// All except those that one of these patterns names.
    Ignore(Vec<String>),
    /// Only those that one of these patterns names.
    Only(Vec<String>),
}

/// How the query becomes part of the key, and what of it is sent to the next hop. Applied by
/// [`canonical_query`](crate::key::canonical_query).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct QueryRule {
    /// Which parameters count.
    pub parameters: QueryParameters,
    /// Whether parameters are sorted by name, because their order means nothing.
    pub sort: bool,
}

/// What the policies of a site decided about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestDecision {
    /// Look up or pass.
    pub lookup: LookupDecision,
    /// The policies' variants joined with `+`; `None` if no policy named one.
    pub variant: Option<Arc<str>>,
    /// Which query parameters count.
    pub query: QueryRule,
    /// `policy: reason` of each policy that gave one, joined with `; `: printable ASCII, at most
    /// 512 bytes.
    pub reason: Option<Arc<str>>,
    /// What else they decided; `None` if nothing, so that a hit pays for one comparison.
    pub extended: Option<Box<ExtendedDecision>>,
}

/// What policies may decide about a request beyond look-up, variant and query.
///
/// The response depends on [`key_parts`](Self::key_parts) and [`origin`](Self::origin) alone, so
/// these are part of the key ([`key_suffix`](Self::key_suffix)). The rest concerns one answer.
/// A remembered decision is [sealed](Self::seal): its part of the key is made once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtendedDecision {
    /// Parts of the key beyond the variant, in the order of the policies.
    pub key_parts: Vec<KeyPart>,
    /// What is changed in the request that the origin gets.
    pub origin: OriginEdits,
    /// Fields that the answer gets and loses on its way to the client, whether it was stored or not.
    pub response_fields: FieldEdits,
    /// The answer, in place of any other. Nothing is looked up, fetched or stored.
    pub answer: Option<Arc<PolicyAnswer>>,
    /// A word for the access log: 1 to 64 bytes of visible ASCII.
    pub log_tag: Option<Arc<str>>,
    /// The class by which the configuration limits the rate of such requests.
    pub rate_class: Option<Arc<str>>,
    /// [`key_suffix`](Self::key_suffix), ready made; `None` before [`seal`](Self::seal).
    pub sealed_suffix: Option<Box<[u8]>>,
}

/// A part of the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyPart {
    /// What it is of, such as `market`: 1 to 32 bytes of `a-z`, `0-9`, `-` and `_`.
    pub name: Box<str>,
    /// Its value: at most 128 bytes.
    pub value: Box<str>,
}

/// What a decision changes in the request that the origin gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginEdits {
    /// The path that the origin is asked for, percent-encoded; `None` for the client's.
    pub path: Option<Box<str>>,
    /// The query that the origin is asked for, without the question mark, empty for none; `None` for
    /// the client's. The rule for the query applies to either.
    pub query: Option<Box<str>>,
    /// The name of the origin; `None` if the site chooses.
    pub origin: Option<Arc<str>>,
    /// Fields of the request.
    pub fields: FieldEdits,
}

/// An answer that a policy gives by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyAnswer {
    /// The status: 200 to 599, but not 204 to 206 or 304.
    pub status: StatusCode,
    /// Its fields; the length is added.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// Its content: at most 64 KiB.
    pub body: Arc<[u8]>,
}

impl OriginEdits {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.path.is_none()
            && self.query.is_none()
            && self.origin.is_none()
            && self.fields.is_empty()
    }
}

impl ExtendedDecision {
    /// Whether nothing was decided.
    pub fn is_empty(&self) -> bool {
        *self == ExtendedDecision::default()
    }

    /// What stands at the end of the key of the request's response: all that its content depends on
    /// beyond URL and variant. Two decisions with different parts never have the same suffix. Empty
    /// if there is nothing.
    ///
    /// Each part is a letter, its length in bytes, and its bytes. It contains no line feed, which
    /// ends the parts of a key.
    pub fn key_suffix(&self) -> Cow<'_, [u8]> {
        match &self.sealed_suffix {
            Some(ready) => Cow::Borrowed(ready),
            None => Cow::Owned(self.made_suffix()),
        }
    }

    /// Makes the suffix ready, for a decision that is remembered and doesn't change any more.
    pub fn seal(&mut self) {
        self.sealed_suffix = Some(self.made_suffix().into());
    }

    fn made_suffix(&self) -> Vec<u8> {
        let mut suffix = Vec::new();
        for KeyPart { name, value } in &self.key_parts {
            push(&mut suffix, b'k', name.as_bytes());
            push(&mut suffix, b'v', value.as_bytes());
        }
        let OriginEdits {
            path,
            query,
            origin,
            fields,
        } = &self.origin;
        for (letter, text) in [
            (b'p', path.as_deref()),
            (b'q', query.as_deref()),
            (b'o', origin.as_deref()),
        ] {
            if let Some(text) = text {
                push(&mut suffix, letter, text.as_bytes());
            }
        }
        for (name, value) in &fields.set {
            push(&mut suffix, b's', name.as_str().as_bytes());
            push(&mut suffix, b'v', value.as_bytes());
        }
        for name in &fields.remove {
            push(&mut suffix, b'r', name.as_str().as_bytes());
        }
        suffix
    }
}

/// Appends a part of a key. A byte that ends a line or escapes is written as `\\` and a letter.
fn push(suffix: &mut Vec<u8>, letter: u8, bytes: &[u8]) {
    suffix.push(letter);
    suffix.extend_from_slice(bytes.len().to_string().as_bytes());
    suffix.push(b':');
    for byte in bytes {
        match byte {
            b'\n' => suffix.extend_from_slice(b"\\n"),
            b'\\' => suffix.extend_from_slice(b"\\\\"),
            byte => suffix.push(*byte),
        }
    }
}

/// Whether to store a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StoringDecision {
    /// As the fields of the response say.
    #[default]
    ByHeaders,
    /// No, whatever the fields say.
    Never,
    /// Yes, even if the fields give no lifetime; the safety floor still holds.
    Always,
}

/// What the policies of a site decided about a response. Whatever is `None` is left to the fields
/// of the response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDecision {
    /// Whether to store.
    pub storing: StoringDecision,
    /// The TTL: how long the response is fresh at the edge, from its arrival on.
    pub ttl: Option<Duration>,
    /// How long a browser may keep the response.
    pub browser_ttl: Option<Duration>,
    /// The `stale-while-revalidate` window (RFC 5861 §3).
    pub stale_while_revalidate: Option<Duration>,
    /// The `stale-if-error` window (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
    /// Surrogate keys, sorted, without duplicates.
    pub tags: Vec<Box<str>>,
    /// Fields that the response gets and loses before it is stored. None of them says anything about
    /// caching, so the response is judged as it came.
    pub fields: FieldEdits,
    /// Whether it is worth a place in the store: `Some(false)` serves it without keeping it.
    pub admit: Option<bool>,
    /// How long an answer with a status of 400 or above is fresh; it takes the place of `ttl` there.
    pub error_ttl: Option<Duration>,
    /// When its freshness, or its being stored, ends at the latest.
    pub expiry: Option<Expiry>,
    /// As in [`RequestDecision::reason`].
    pub reason: Option<Arc<str>>,
}

impl ResponseDecision {
    /// The TTL of a response with this status.
    pub fn ttl_of(&self, status: StatusCode) -> Option<Duration> {
        self.ttl_of_error(status).or(self.ttl)
    }

    /// The TTL of a response with this status, if that is an error.
    pub fn ttl_of_error(&self, status: StatusCode) -> Option<Duration> {
        self.error_ttl.filter(|_| status.as_u16() >= 400)
    }
}

/// An instant that ends the use of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It is purged then: it isn't even used stale.
    PurgeAt(Timestamp),
    /// It is stale from then on.
    StaleAt(Timestamp),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suffix(change: impl FnOnce(&mut ExtendedDecision)) -> Vec<u8> {
        let mut decision = ExtendedDecision::default();
        change(&mut decision);
        let made = decision.key_suffix().into_owned();
        decision.seal();
        assert_eq!(*decision.key_suffix(), *made);
        made
    }

    fn part(name: &str, value: &str) -> KeyPart {
        KeyPart {
            name: name.into(),
            value: value.into(),
        }
    }

    fn field(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    }

    #[test]
    fn different_changes_of_the_origin_request_have_different_suffixes() {
        let suffixes = [
            suffix(|_| ()),
            suffix(|it| it.key_parts = vec![part("a", "b")]),
            suffix(|it| it.key_parts = vec![part("a", "")]),
            suffix(|it| it.key_parts = vec![part("a", "b"), part("c", "d")]),
            suffix(|it| it.key_parts = vec![part("a", "b1:c")]),
            suffix(|it| it.key_parts = vec![part("a", "\n")]),
            suffix(|it| it.key_parts = vec![part("a", "\\n")]),
            suffix(|it| it.origin.path = Some("/a".into())),
            suffix(|it| it.origin.query = Some("/a".into())),
            suffix(|it| it.origin.query = Some("".into())),
            suffix(|it| it.origin.origin = Some("/a".into())),
            suffix(|it| it.origin.fields.set = vec![field("x-a", "b")]),
            suffix(|it| it.origin.fields.remove = vec![HeaderName::from_static("x-a")]),
        ];
        for (place, one) in suffixes.iter().enumerate() {
            assert!(!one.contains(&b'\n'));
            assert!(!suffixes[..place].contains(one), "{place}");
        }
        assert!(suffixes[0].is_empty());
    }

    #[test]
    fn what_concerns_one_answer_is_not_part_of_the_key() {
        let decided = suffix(|it| {
            it.response_fields.set = vec![field("x-a", "b")];
            it.log_tag = Some("tag".into());
            it.rate_class = Some("class".into());
        });
        assert!(decided.is_empty());
    }
}
