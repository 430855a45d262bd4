//! A record in the making: facts come one by one, in any order.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_TYPE, USER_AGENT, VARY};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use super::fields::LogFact;
use super::{time, values};
use crate::replay::record::{LineFault, LinePlace, LogRecord, LoggedCache};
use tero_semantics::authority::{NamedAuthority, Scheme};
use tero_semantics::timestamp::Timestamp;

/// Fields whose values are the same in many lines.
static REPEATED: [HeaderName; 5] = [
    USER_AGENT,
    CONTENT_TYPE,
    CACHE_CONTROL,
    ACCEPT_ENCODING,
    VARY,
];

/// What is known of a line so far.
#[derive(Debug, Default)]
pub(super) struct RecordDraft<'l> {
    at: Option<Timestamp>,
    day: Option<i64>,
    time_of_day: Option<i64>,
    method: Option<Cow<'l, str>>,
    scheme: Option<Scheme>,
    host: Option<Box<str>>,
    target: Option<Cow<'l, str>>,
    path: Option<Cow<'l, str>>,
    query: Option<Cow<'l, str>>,
    status: Option<StatusCode>,
    bytes: Option<u64>,
    bytes_have_head: bool,
    cache: Option<LoggedCache>,
    took: Option<Duration>,
    origin_took: Option<Duration>,
    client: Option<IpAddr>,
    request: HeaderMap,
    response: HeaderMap,
}

impl<'l> RecordDraft<'l> {
    /// Notes a fact. A value that says nothing (empty or `-`) or that can't be read is no fact.
    pub(super) fn set(&mut self, fact: &LogFact, value: Cow<'l, str>) {
        if matches!(&*value, "" | "-") {
            return;
        }
        match fact {
            LogFact::At => self.at = time::any_form(&value).or(self.at),
            LogFact::Date => self.day = time::date(&value),
            LogFact::Time => self.time_of_day = time::time_of_day(&value),
            LogFact::Method => self.method = Some(value),
            LogFact::Scheme => self.scheme = scheme(&value),
            LogFact::Host => self.set_host(&value),
            // A URL may be absolute or a target.
            LogFact::Target => self.target = Some(value),
            LogFact::Path => self.path = Some(value),
            LogFact::Query => self.query = Some(value),
            LogFact::RequestLine => self.request_line(value),
            LogFact::Status => {
                self.status = value.parse().ok().filter(|_| value.len() == 3);
            }
            LogFact::Bytes => self.set_bytes(&value, false),
            LogFact::BytesWithHead => {
                // A line with both numbers: that of the content is the better one.
                if self.bytes.is_none() {
                    self.set_bytes(&value, true);
                }
            }
            LogFact::Cache => self.cache = cache(&value),
            LogFact::Took(unit) => self.took = unit.duration(&value),
            LogFact::OriginTook(unit) => self.origin_took = unit.duration(&value),
            LogFact::Client => self.client = address(&value),
            LogFact::RequestField(name) => insert(&mut self.request, name, &value),
            LogFact::ResponseField(name) => insert(&mut self.response, name, &value),
        }
    }

    fn set_bytes(&mut self, value: &str, with_head: bool) {
        if let Ok(bytes) = value.parse() {
            (self.bytes, self.bytes_have_head) = (Some(bytes), with_head);
        }
    }

    /// Notes the host of a field such as `Host`, with or without a port.
    pub(super) fn set_host(&mut self, value: &str) {
        if let Some(named) = NamedAuthority::parse(value) {
            self.host = Some(named.host().to_ascii_lowercase().into());
        }
    }

    /// Notes `METHOD TARGET PROTOCOL`.
    pub(super) fn request_line(&mut self, line: Cow<'l, str>) {
        match line {
            Cow::Borrowed(line) => {
                let (method, target) = words(line);
                (self.method, self.target) = (method.map(Cow::Borrowed), target.map(Cow::Borrowed));
            }
            Cow::Owned(line) => {
                let (method, target) = words(&line);
                let owned = |word: Option<&str>| word.map(|word| Cow::Owned(word.to_owned()));
                (self.method, self.target) = (owned(method), owned(target));
            }
        }
    }

    /// Makes the record.
    pub(super) fn finish(mut self) -> Result<LogRecord, LineFault> {
        let at = self.at.or_else(|| {
            let millis = self.day?.checked_mul(86_400_000)?;
            Some(Timestamp::from_unix_millis(millis + self.time_of_day?))
        });
        let at = at.ok_or(LineFault::Time)?;
        let method = self.method.as_deref().ok_or(LineFault::Request)?;
        let method: Method = method.parse().map_err(|_| LineFault::Request)?;
        let target = self.take_target().ok_or(LineFault::Request)?;
        Ok(LogRecord {
            at,
            method,
            scheme: self.scheme,
            host: self.host,
            target,
            status: self.status.ok_or(LineFault::Status)?,
            bytes: self.bytes,
            bytes_have_head: self.bytes_have_head,
            cache: self.cache,
            took: self.took,
            origin_took: self.origin_took,
            client: self.client,
            request: self.request,
            response: self.response,
            place: LinePlace::default(),
        })
    }

    /// Path and query. An absolute target names scheme and host too (RFC 9112 §3.2.2). A fragment is
    /// left out: servers log it unchecked.
    fn take_target(&mut self) -> Option<Box<str>> {
        if let Some(target) = self.target.take() {
            return if target.starts_with('/') {
                path_and_query(&target)
            } else {
                self.absolute(&target)
            };
        }
        let path = self.path.take()?;
        let target = match self.query.take() {
            Some(query) => Cow::Owned(format!("{path}?{}", query.trim_start_matches('?'))),
            None => path,
        };
        target
            .starts_with('/')
            .then(|| path_and_query(&target))
            .flatten()
    }

    fn absolute(&mut self, target: &str) -> Option<Box<str>> {
        let uri: Uri = target.parse().ok()?;
        let scheme = Scheme::from_name(uri.scheme_str()?)?;
        let named = NamedAuthority::parse(uri.authority()?.as_str())?;
        self.scheme = Some(scheme);
        self.host = Some(named.host().to_ascii_lowercase().into());
        let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        match target.starts_with('/') {
            true => Some(target.into()),
            false => Some(format!("/{target}").into()),
        }
    }
}

/// A target as a visitor could send it.
fn path_and_query(text: &str) -> Option<Box<str>> {
    let read: PathAndQuery = text.parse().ok()?;
    Some(read.as_str().into())
}

/// The method and the target of a request line.
fn words(line: &str) -> (Option<&str>, Option<&str>) {
    let mut words = line.split(' ');
    (words.next(), words.next())
}

/// A scheme by its name, or the protocol's version: CloudFront and others log `https`, some `on`.
fn scheme(value: &str) -> Option<Scheme> {
    match value {
        "on" | "true" => Some(Scheme::Https),
        "off" | "false" => Some(Scheme::Http),
        name => Scheme::from_name(name),
    }
}

/// An address, alone or with a port.
fn address(value: &str) -> Option<IpAddr> {
    let bare = value.trim_start_matches('[').trim_end_matches(']');
    bare.parse()
        .ok()
        .or_else(|| value.parse().ok().map(|peer: SocketAddr| peer.ip()))
}

fn insert(fields: &mut HeaderMap, name: &HeaderName, value: &str) {
    let value = match REPEATED.contains(name) {
        true => values::repeated(value),
        false => HeaderValue::from_bytes(value.as_bytes()).ok(),
    };
    if let Some(value) = value {
        fields.insert(name, value);
    }
}

/// What a cache did, in the words of tero, nginx, Varnish, CloudFront, Cloudflare, Fastly and Squid.
pub(super) fn cache(word: &str) -> Option<LoggedCache> {
    let mut lower = [0_u8; 24];
    let word = word.trim();
    let bytes = lower.get_mut(..word.len())?;
    bytes.copy_from_slice(word.as_bytes());
    bytes.make_ascii_lowercase();
    let word = std::str::from_utf8(bytes).ok()?;
    let word = word.strip_prefix("tcp_").unwrap_or(word);
    Some(match word {
        "stale" | "updating" | "hit-stale" => LoggedCache::Stale,
        "revalidated" | "refreshhit" | "refresh_hit" => LoggedCache::Revalidated,
        "miss" | "expired" | "collapsed" | "fetch" => LoggedCache::Miss,
        "pass" | "bypass" | "dynamic" | "ignored" | "pipe" | "hitpass" | "hit-for-pass"
        | "hitmiss" => LoggedCache::Pass,
        "error" | "rule" | "refused" | "abandoned" | "redirect" | "synth" | "limitexceeded"
        | "capacityexceeded" | "denied" => LoggedCache::Own,
        "originshieldhit" | "mem_hit" => LoggedCache::Hit,
        word if word.starts_with("hit") => LoggedCache::Hit,
        word if word.starts_with("miss") => LoggedCache::Miss,
        word if word.starts_with("pass") => LoggedCache::Pass,
        _ => return None,
    })
}
