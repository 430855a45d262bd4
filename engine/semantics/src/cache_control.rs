//! What the directives of requests and responses say: `Cache-Control` (RFC 9111 §5.2), `Pragma`
//! (§5.4) and the targeted fields of RFC 9213.
//!
//! What can't be read is read the careful way: a lifetime that isn't a number is zero (§4.2.1), a
//! restriction with an argument that makes no sense restricts the whole response, and a permission
//! counts only as the grammar writes it.

use std::time::Duration;

use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, PRAGMA};

use super::list::{closing_quote, list_members};

/// The greatest lifetime that is told apart, in seconds: what lies beyond is read as this (§1.2.2).
pub const MAX_DELTA_SECS: u64 = 1 << 31;

/// How much of a response `no-cache` or `private` covers (§5.2.2.4, §5.2.2.7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Nothing: the directive is absent.
    #[default]
    Nothing,
    /// The whole response.
    All,
    /// These fields alone.
    Fields(Box<[HeaderName]>),
}

impl Scope {
    /// Whether the whole response is covered.
    pub fn is_all(&self) -> bool {
        *self == Scope::All
    }

    /// The fields that are named; none where the whole response or nothing is covered.
    pub fn fields(&self) -> &[HeaderName] {
        match self {
            Scope::Fields(fields) => fields,
            Scope::Nothing | Scope::All => &[],
        }
    }

    /// Both together: the more of the two where the directive is written twice.
    fn widen(&mut self, other: Scope) {
        *self = match (std::mem::take(self), other) {
            (Scope::All, _) | (_, Scope::All) => Scope::All,
            (Scope::Fields(left), Scope::Fields(right)) => {
                Scope::Fields(left.into_iter().chain(right).collect())
            }
            (Scope::Nothing, scope) | (scope, Scope::Nothing) => scope,
        };
    }
}

/// The directives of a response that govern a shared cache (§5.2.2, RFC 5861, RFC 8246).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// The targeted field that these come from (RFC 9213); none where they come from
    /// `Cache-Control`.
    pub targeted: Option<HeaderName>,
    /// §5.2.2.5
    pub no_store: bool,
    /// §5.2.2.4
    pub no_cache: Scope,
    /// §5.2.2.7
    pub private: Scope,
    /// §5.2.2.9
    pub public: bool,
    /// §5.2.2.2
    pub must_revalidate: bool,
    /// §5.2.2.8
    pub proxy_revalidate: bool,
    /// §5.2.2.3
    pub must_understand: bool,
    /// §5.2.2.1. Zero where it is written but can't be read.
    pub max_age: Option<Duration>,
    /// §5.2.2.10. Zero where it is written but can't be read.
    pub s_maxage: Option<Duration>,
    /// RFC 5861 §3. None where it can't be read.
    pub stale_while_revalidate: Option<Duration>,
    /// RFC 5861 §4. None where it can't be read.
    pub stale_if_error: Option<Duration>,
    /// RFC 8246 §2
    pub immutable: bool,
    /// §5.2.2.6
    pub no_transform: bool,
}

impl ResponseDirectives {
    /// What `Cache-Control` says; nothing where it is absent.
    pub fn of(headers: &HeaderMap) -> ResponseDirectives {
        let mut said = ResponseDirectives::default();
        for line in headers.get_all(CACHE_CONTROL) {
            each_directive(line.as_bytes(), |name, argument| said.take(name, argument));
        }
        said
    }

    /// What the first of the `targets` says that is present and well-formed, else what
    /// `Cache-Control` says (RFC 9213 §2.2).
    pub fn governing(headers: &HeaderMap, targets: &[HeaderName]) -> ResponseDirectives {
        targets
            .iter()
            .find_map(|target| targeted(headers, target))
            .unwrap_or_else(|| ResponseDirectives::of(headers))
    }

    /// Whether a stale response must not be used without validation (§4.2.4): `no-cache`,
    /// `must-revalidate`, `proxy-revalidate`, and `s-maxage`, which means `proxy-revalidate` too
    /// (§5.2.2.10).
    pub fn forbids_stale(&self) -> bool {
        self.must_revalidate
            || self.proxy_revalidate
            || self.s_maxage.is_some()
            || self.no_cache.is_all()
    }

    /// Whether the answer to a request with `Authorization` may be stored and used again (§3.5).
    pub fn allows_authorized(&self) -> bool {
        self.public || self.must_revalidate || self.s_maxage.is_some()
    }

    fn take(&mut self, name: &[u8], argument: Argument<'_>) {
        let is = |directive: &str| name.eq_ignore_ascii_case(directive.as_bytes());
        if is("max-age") {
            // Of several values the first is used (§4.2.1).
            self.max_age
                .get_or_insert_with(|| argument.delta().unwrap_or(Duration::ZERO));
        } else if is("s-maxage") {
            self.s_maxage
                .get_or_insert_with(|| argument.delta().unwrap_or(Duration::ZERO));
        } else if is("no-store") {
            self.no_store = true;
        } else if is("no-cache") {
            self.no_cache.widen(argument.scope());
        } else if is("private") {
            self.private.widen(argument.scope());
        } else if is("must-revalidate") {
            self.must_revalidate = true;
        } else if is("proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if is("no-transform") {
            self.no_transform = true;
        } else if is("stale-while-revalidate") {
            self.stale_while_revalidate = self.stale_while_revalidate.or(argument.delta());
        } else if is("stale-if-error") {
            self.stale_if_error = self.stale_if_error.or(argument.delta());
        } else if argument == Argument::Absent {
            self.public |= is("public");
            self.must_understand |= is("must-understand");
            self.immutable |= is("immutable");
        }
    }
}

/// How stale a client accepts a response (§5.2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxStale {
    /// However stale.
    Any,
    /// By no more than this.
    Within(Duration),
}

/// The directives of a request (§5.2.1, RFC 5861 §4). What can't be read says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// §5.2.1.4, or `Pragma: no-cache` where there is no `Cache-Control` (§5.4).
    pub no_cache: bool,
    /// §5.2.1.5
    pub no_store: bool,
    /// §5.2.1.7
    pub only_if_cached: bool,
    /// §5.2.1.6
    pub no_transform: bool,
    /// §5.2.1.1
    pub max_age: Option<Duration>,
    /// §5.2.1.3
    pub min_fresh: Option<Duration>,
    /// §5.2.1.2
    pub max_stale: Option<MaxStale>,
    /// RFC 5861 §4
    pub stale_if_error: Option<Duration>,
}

impl RequestDirectives {
    /// What the request says.
    pub fn of(headers: &HeaderMap) -> RequestDirectives {
        let mut said = RequestDirectives::default();
        if headers.contains_key(CACHE_CONTROL) {
            for line in headers.get_all(CACHE_CONTROL) {
                each_directive(line.as_bytes(), |name, argument| said.take(name, argument));
            }
        } else {
            for line in headers.get_all(PRAGMA) {
                each_directive(line.as_bytes(), |name, _| {
                    said.no_cache |= name.eq_ignore_ascii_case(b"no-cache")
                });
            }
        }
        said
    }

    /// Whether the request says nothing about caching.
    pub fn is_empty(&self) -> bool {
        *self == RequestDirectives::default()
    }

    fn take(&mut self, name: &[u8], argument: Argument<'_>) {
        let is = |directive: &str| name.eq_ignore_ascii_case(directive.as_bytes());
        if is("no-cache") {
            self.no_cache = true;
        } else if is("no-store") {
            self.no_store = true;
        } else if is("only-if-cached") {
            self.only_if_cached = true;
        } else if is("no-transform") {
            self.no_transform = true;
        } else if is("max-age") {
            self.max_age = self.max_age.or(argument.delta());
        } else if is("min-fresh") {
            self.min_fresh = self.min_fresh.or(argument.delta());
        } else if is("stale-if-error") {
            self.stale_if_error = self.stale_if_error.or(argument.delta());
        } else if is("max-stale") {
            let within = match argument {
                Argument::Absent => Some(MaxStale::Any),
                _ => argument.delta().map(MaxStale::Within),
            };
            self.max_stale = self.max_stale.or(within);
        }
    }
}

/// What stands after a directive's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Argument<'a> {
    /// Nothing.
    Absent,
    /// A value, without its quotes where it had any. Both forms are to be accepted (§5.2). A
    /// backslash is left in place: no value that we read has use for one.
    Value(&'a [u8]),
    /// Something that the grammar does not allow: white space beside the `=`, or a quote that isn't
    /// closed.
    Malformed,
}

impl Argument<'_> {
    /// delta-seconds (§1.2.2): digits, and nothing but digits.
    fn delta(self) -> Option<Duration> {
        match self {
            Argument::Value(digits) => delta_seconds(digits),
            Argument::Absent | Argument::Malformed => None,
        }
    }

    /// The fields that `no-cache` or `private` names; the whole response where it names none, or
    /// something that isn't a name.
    fn scope(self) -> Scope {
        match self {
            Argument::Value(list) => field_names(list).map_or(Scope::All, Scope::Fields),
            Argument::Absent | Argument::Malformed => Scope::All,
        }
    }
}

/// delta-seconds (§1.2.2), at most [`MAX_DELTA_SECS`]; none where it is anything but digits.
pub(crate) fn delta_seconds(digits: &[u8]) -> Option<Duration> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let secs = digits.iter().fold(0_u64, |secs, digit| {
        secs.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    Some(Duration::from_secs(secs.min(MAX_DELTA_SECS)))
}

fn field_names(list: &[u8]) -> Option<Box<[HeaderName]>> {
    let names = list
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty());
    let names: Option<Box<[HeaderName]>> = names
        .map(|name| HeaderName::from_bytes(name).ok())
        .collect();
    names.filter(|names| !names.is_empty())
}

fn each_directive<'a>(line: &'a [u8], mut take: impl FnMut(&'a [u8], Argument<'a>)) {
    for member in list_members(line) {
        let (name, argument) = match member.iter().position(|byte| *byte == b'=') {
            None => (member, Argument::Absent),
            Some(at) => (&member[..at], argument(&member[..at], &member[at + 1..])),
        };
        take(name.trim_ascii_end(), argument);
    }
}

fn argument<'a>(name: &[u8], value: &'a [u8]) -> Argument<'a> {
    let spaced = name.last().is_some_and(u8::is_ascii_whitespace)
        || value.first().is_some_and(u8::is_ascii_whitespace);
    if spaced || value.is_empty() {
        return Argument::Malformed;
    }
    match value.strip_prefix(b"\"") {
        None => Argument::Value(value),
        Some(quoted) => match closing_quote(quoted) {
            Some(end) if end + 1 == quoted.len() => Argument::Value(&quoted[..end]),
            Some(_) | None => Argument::Malformed,
        },
    }
}

/// What a targeted field says; none where it is absent, empty, not a dictionary, or gives a
/// directive that we know a value of the wrong type: such a field must be ignored (RFC 9213 §2.1).
fn targeted(headers: &HeaderMap, target: &HeaderName) -> Option<ResponseDirectives> {
    let mut lines = headers.get_all(target).iter();
    let mut value = lines.next()?.as_bytes().to_vec();
    for line in lines {
        value.extend_from_slice(b", ");
        value.extend_from_slice(line.as_bytes());
    }
    let members: sfv::Dictionary = sfv::Parser::new(&value)
        .with_version(sfv::Version::Rfc8941)
        .parse()
        .ok()?;
    if members.is_empty() {
        return None;
    }
    let mut said = ResponseDirectives {
        targeted: Some(target.clone()),
        ..ResponseDirectives::default()
    };
    for (name, member) in &members {
        // No directive that we know takes an inner list, nor a byte sequence, which stands for it.
        let value = match member {
            sfv::ListEntry::Item(item) => &item.bare_item,
            sfv::ListEntry::InnerList(_) => &sfv::BareItem::ByteSequence(Vec::new()),
        };
        said.take_structured(name.as_str(), value)?;
    }
    Some(said)
}

impl ResponseDirectives {
    /// None where the value is of the wrong type.
    fn take_structured(&mut self, name: &str, value: &sfv::BareItem) -> Option<()> {
        match name {
            "max-age" => self.max_age = Some(structured_delta(value)?),
            "s-maxage" => self.s_maxage = Some(structured_delta(value)?),
            "stale-while-revalidate" => {
                self.stale_while_revalidate = Some(structured_delta(value)?)
            }
            "stale-if-error" => self.stale_if_error = Some(structured_delta(value)?),
            "no-cache" => self.no_cache = structured_scope(value)?,
            "private" => self.private = structured_scope(value)?,
            "no-store" => self.no_store = value.as_boolean()?,
            "public" => self.public = value.as_boolean()?,
            "must-revalidate" => self.must_revalidate = value.as_boolean()?,
            "proxy-revalidate" => self.proxy_revalidate = value.as_boolean()?,
            "must-understand" => self.must_understand = value.as_boolean()?,
            "immutable" => self.immutable = value.as_boolean()?,
            "no-transform" => self.no_transform = value.as_boolean()?,
            _ => {}
        }
        Some(())
    }
}

/// A negative number of seconds is invalid freshness information, which means stale (§4.2.1).
fn structured_delta(value: &sfv::BareItem) -> Option<Duration> {
    let secs = i64::from(value.as_integer()?);
    Some(Duration::from_secs(
        u64::try_from(secs).unwrap_or(0).min(MAX_DELTA_SECS),
    ))
}

fn structured_scope(value: &sfv::BareItem) -> Option<Scope> {
    if let Some(whole) = value.as_boolean() {
        return Some(if whole { Scope::All } else { Scope::Nothing });
    }
    let names = value.as_string()?;
    Some(field_names(names.as_str().as_bytes()).map_or(Scope::All, Scope::Fields))
}

#[cfg(test)]
mod tests;
