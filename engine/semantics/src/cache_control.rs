//! The directives of requests and responses: `Cache-Control` (RFC 9111 §5.2), `Pragma` (§5.4) and
//! the targeted fields of RFC 9213.
//!
//! Malformed directives are read cautiously: a lifetime that isn't a number is zero (§4.2.1), a
//! restriction with a malformed argument restricts the whole response, and a permission counts only
//! as the grammar writes it.

use std::time::Duration;

use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, PRAGMA};

mod directive;

pub use directive::MAX_DELTA_SECS;
pub(crate) use directive::delta_seconds;
use directive::{Argument, each_directive, field_names};

/// How much of a response `no-cache` or `private` covers (§5.2.2.4, §5.2.2.7).
///
/// ```
/// use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, SET_COOKIE};
/// use tero_semantics::cache_control::{ResponseDirectives, Scope};
///
/// let private = |value| {
///     let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static(value))]);
///     ResponseDirectives::of(&headers).private
/// };
/// assert_eq!(private("max-age=60"), Scope::Nothing);
/// assert!(private("private").is_all());
/// assert_eq!(private("private=\"set-cookie\"").fields(), [SET_COOKIE]);
/// ```
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
    #[inline]
    pub fn is_all(&self) -> bool {
        *self == Scope::All
    }

    /// The named fields; empty if the whole response or nothing is covered.
    pub fn fields(&self) -> &[HeaderName] {
        match self {
            Scope::Fields(fields) => fields,
            Scope::Nothing | Scope::All => &[],
        }
    }

    /// What `no-cache` or `private` covers with this argument: the whole response if it names no
    /// field, or something that isn't a field name.
    fn of(argument: Argument<'_>) -> Scope {
        match argument {
            // `*` is written like a name, and means every field.
            Argument::Value(list) if list.trim_ascii() == b"*" => Scope::All,
            Argument::Value(list) => field_names(list).map_or(Scope::All, Scope::Fields),
            Argument::Absent | Argument::Malformed => Scope::All,
        }
    }

    /// Adds what a second directive of the same name covers.
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
    /// The targeted field that these come from (RFC 9213); `None` if they come from
    /// `Cache-Control`.
    pub targeted: Option<HeaderName>,
    /// `no-store` (§5.2.2.5)
    pub no_store: bool,
    /// `no-cache` (§5.2.2.4)
    pub no_cache: Scope,
    /// `private` (§5.2.2.7)
    pub private: Scope,
    /// `public` (§5.2.2.9)
    pub public: bool,
    /// `must-revalidate` (§5.2.2.2)
    pub must_revalidate: bool,
    /// `proxy-revalidate` (§5.2.2.8)
    pub proxy_revalidate: bool,
    /// `must-understand` (§5.2.2.3)
    pub must_understand: bool,
    /// `max-age` (§5.2.2.1), at most [`MAX_DELTA_SECS`]; zero if it is malformed.
    pub max_age: Option<Duration>,
    /// `s-maxage` (§5.2.2.10), at most [`MAX_DELTA_SECS`]; zero if it is malformed.
    pub s_maxage: Option<Duration>,
    /// `stale-while-revalidate` (RFC 5861 §3); `None` if it is malformed.
    pub stale_while_revalidate: Option<Duration>,
    /// `stale-if-error` (RFC 5861 §4); `None` if it is malformed.
    pub stale_if_error: Option<Duration>,
    /// `immutable` (RFC 8246 §2)
    pub immutable: bool,
    /// `no-transform` (§5.2.2.6)
    pub no_transform: bool,
}

impl ResponseDirectives {
    /// The directives of `Cache-Control`; the default if it is absent.
    ///
    /// ```
    /// use std::time::Duration;
    /// use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
    /// use tero_semantics::cache_control::ResponseDirectives;
    ///
    /// let read = |value| {
    ///     let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static(value))]);
    ///     ResponseDirectives::of(&headers)
    /// };
    /// let directives = read("public, max-age=60");
    /// assert!(directives.public);
    /// assert_eq!(directives.max_age, Some(Duration::from_secs(60)));
    ///
    /// // A malformed lifetime counts as stale (§4.2.1).
    /// assert_eq!(read("max-age=soon").max_age, Some(Duration::ZERO));
    /// ```
    pub fn of(headers: &HeaderMap) -> ResponseDirectives {
        let mut directives = ResponseDirectives::default();
        for line in headers.get_all(CACHE_CONTROL) {
            each_directive(line.as_bytes(), |name, argument| {
                directives.take(name, argument);
            });
        }
        directives
    }

    /// The directives of the first of `targets` that is present and well-formed; if none is, those
    /// of `Cache-Control` (RFC 9213 §2.2).
    ///
    /// ```
    /// use std::time::Duration;
    /// use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue};
    /// use tero_semantics::cache_control::ResponseDirectives;
    ///
    /// let cdn = HeaderName::from_static("cdn-cache-control");
    /// let response = HeaderMap::from_iter([
    ///     (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ///     (cdn.clone(), HeaderValue::from_static("max-age=60")),
    /// ]);
    /// let directives = ResponseDirectives::governing(&response, &[cdn]);
    /// assert!(!directives.no_store);
    /// assert_eq!(directives.max_age, Some(Duration::from_secs(60)));
    /// ```
    pub fn governing(headers: &HeaderMap, targets: &[HeaderName]) -> ResponseDirectives {
        targets
            .iter()
            .find_map(|target| targeted(headers, target))
            .unwrap_or_else(|| ResponseDirectives::of(headers))
    }

    /// Whether a stale response must not be used without validation (§4.2.4): `no-cache`,
    /// `must-revalidate`, `proxy-revalidate`, and `s-maxage`, which implies `proxy-revalidate`
    /// (§5.2.2.10).
    ///
    /// ```
    /// use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
    /// use tero_semantics::cache_control::ResponseDirectives;
    ///
    /// for (value, expected) in [("max-age=60", false), ("max-age=60, must-revalidate", true)] {
    ///     let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static(value))]);
    ///     assert_eq!(ResponseDirectives::of(&headers).forbids_stale(), expected);
    /// }
    /// ```
    pub fn forbids_stale(&self) -> bool {
        self.must_revalidate
            || self.proxy_revalidate
            || self.s_maxage.is_some()
            || self.no_cache.is_all()
    }

    /// Whether the response to a request with `Authorization` may be stored and used again (§3.5):
    /// `public`, `must-revalidate` or `s-maxage`.
    ///
    /// ```
    /// use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
    /// use tero_semantics::cache_control::ResponseDirectives;
    ///
    /// for (value, expected) in [("max-age=60", false), ("max-age=60, public", true)] {
    ///     let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static(value))]);
    ///     assert_eq!(ResponseDirectives::of(&headers).allows_authorized(), expected);
    /// }
    /// ```
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
            self.no_cache.widen(Scope::of(argument));
        } else if is("private") {
            self.private.widen(Scope::of(argument));
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
        } else if HeaderName::from_bytes(name).is_err() {
            self.take_malformed(name);
        } else if argument == Argument::Absent {
            self.public |= is("public");
            self.must_understand |= is("must-understand");
            self.immutable |= is("immutable");
        }
    }

    /// Takes a member whose name isn't a token, as `private;` or `"no-store"`: what it seems to forbid
    /// is forbidden.
    #[cold]
    fn take_malformed(&mut self, member: &[u8]) {
        let names = |word: &[u8]| {
            let mut places = member.windows(word.len());
            places.any(|place| place.eq_ignore_ascii_case(word))
        };
        self.no_store |= names(b"no-store");
        if names(b"no-cache") {
            self.no_cache.widen(Scope::All);
        }
        if names(b"private") {
            self.private.widen(Scope::All);
        }
    }
}

/// How stale a response a client accepts (§5.2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxStale {
    /// However stale.
    Any,
    /// Stale by no more than this.
    Within(Duration),
}

/// The directives of a request (§5.2.1, RFC 5861 §4). A malformed directive is ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// `no-cache` (§5.2.1.4); also `Pragma: no-cache` if there is no `Cache-Control` (§5.4).
    pub no_cache: bool,
    /// `no-store` (§5.2.1.5)
    pub no_store: bool,
    /// `only-if-cached` (§5.2.1.7)
    pub only_if_cached: bool,
    /// `no-transform` (§5.2.1.6)
    pub no_transform: bool,
    /// `max-age` (§5.2.1.1), at most [`MAX_DELTA_SECS`].
    pub max_age: Option<Duration>,
    /// `min-fresh` (§5.2.1.3), at most [`MAX_DELTA_SECS`].
    pub min_fresh: Option<Duration>,
    /// `max-stale` (§5.2.1.2)
    pub max_stale: Option<MaxStale>,
    /// `stale-if-error` (RFC 5861 §4), at most [`MAX_DELTA_SECS`].
    pub stale_if_error: Option<Duration>,
}

impl RequestDirectives {
    /// The directives of a request.
    ///
    /// ```
    /// use std::time::Duration;
    /// use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, PRAGMA};
    /// use tero_semantics::cache_control::{MaxStale, RequestDirectives};
    ///
    /// let patient = HeaderValue::from_static("max-stale=30");
    /// let request = HeaderMap::from_iter([(CACHE_CONTROL, patient)]);
    /// let directives = RequestDirectives::of(&request);
    /// let limit = Duration::from_secs(30);
    /// assert_eq!(directives.max_stale, Some(MaxStale::Within(limit)));
    ///
    /// let request = HeaderMap::from_iter([(PRAGMA, HeaderValue::from_static("no-cache"))]);
    /// assert!(RequestDirectives::of(&request).no_cache);
    /// ```
    pub fn of(headers: &HeaderMap) -> RequestDirectives {
        let mut directives = RequestDirectives::default();
        if !headers.contains_key(CACHE_CONTROL) {
            directives.no_cache = pragma_says_no_cache(headers);
            return directives;
        }
        for line in headers.get_all(CACHE_CONTROL) {
            each_directive(line.as_bytes(), |name, argument| {
                directives.take(name, argument);
            });
        }
        directives
    }

    /// Whether the request has no directive that is known here.
    ///
    /// ```
    /// use http::HeaderMap;
    /// use tero_semantics::cache_control::RequestDirectives;
    ///
    /// assert!(RequestDirectives::of(&HeaderMap::new()).is_empty());
    /// ```
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
            let max_stale = match argument {
                Argument::Absent => Some(MaxStale::Any),
                _ => argument.delta().map(MaxStale::Within),
            };
            self.max_stale = self.max_stale.or(max_stale);
        }
    }
}

fn pragma_says_no_cache(headers: &HeaderMap) -> bool {
    let mut no_cache = false;
    for line in headers.get_all(PRAGMA) {
        each_directive(line.as_bytes(), |name, _| {
            no_cache |= name.eq_ignore_ascii_case(b"no-cache");
        });
    }
    no_cache
}

/// The directives of a targeted field. `None` if it is absent, empty, not a dictionary, or gives a
/// known directive a value of the wrong type: such a field must be ignored (RFC 9213 §2.1).
fn targeted(headers: &HeaderMap, target: &HeaderName) -> Option<ResponseDirectives> {
    let members = dictionary(headers, target)?;
    let mut directives = ResponseDirectives {
        targeted: Some(target.clone()),
        ..ResponseDirectives::default()
    };
    for (name, member) in &members {
        // No known directive takes an inner list, nor a byte sequence, which stands for one here.
        let value = match member {
            sfv::ListEntry::Item(item) => &item.bare_item,
            sfv::ListEntry::InnerList(_) => &sfv::BareItem::ByteSequence(Vec::new()),
        };
        directives.take_structured(name.as_str(), value)?;
    }
    Some(directives)
}

/// The members of a field that is a dictionary (RFC 8941 §3.2), all its lines together; `None` if
/// it is absent, empty or malformed.
pub(super) fn dictionary(headers: &HeaderMap, name: &HeaderName) -> Option<sfv::Dictionary> {
    let mut lines = headers.get_all(name).iter();
    let mut value = lines.next()?.as_bytes().to_vec();
    for line in lines {
        value.extend_from_slice(b", ");
        value.extend_from_slice(line.as_bytes());
    }
    let members: sfv::Dictionary = sfv::Parser::new(&value)
        .with_version(sfv::Version::Rfc8941)
        .parse()
        .ok()?;
    (!members.is_empty()).then_some(members)
}

impl ResponseDirectives {
    /// `None` if the value is of the wrong type.
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

/// The number of seconds. A negative one is invalid freshness information, which means stale
/// (§4.2.1).
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
