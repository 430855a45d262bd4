//! What the fields of a log mean: the keys of JSON by name, with presets for known services.

use std::collections::HashMap;
use std::time::Duration;

use http::header::{CONTENT_TYPE, REFERER, USER_AGENT};
use http::{HeaderName, header};

/// What a value of a log tells about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LogFact {
    /// The time, in any form.
    At,
    /// The date, which W3C extended writes apart from the time.
    Date,
    /// The time of day.
    Time,
    Method,
    Scheme,
    Host,
    /// Path and query, or the whole URL.
    Target,
    Path,
    Query,
    /// `METHOD TARGET PROTOCOL`.
    RequestLine,
    Status,
    Bytes,
    BytesWithHead,
    Cache,
    Took(TimeUnit),
    OriginTook(TimeUnit),
    Client,
    RequestField(HeaderName),
    ResponseField(HeaderName),
}

/// The unit of a duration in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeUnit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl TimeUnit {
    /// The duration that a text says; `None` if it says none.
    pub(super) fn duration(self, text: &str) -> Option<Duration> {
        let number: f64 = text.trim().parse().ok()?;
        let divisor = match self {
            TimeUnit::Seconds => 1.0,
            TimeUnit::Milliseconds => 1e3,
            TimeUnit::Microseconds => 1e6,
            TimeUnit::Nanoseconds => 1e9,
        };
        Duration::try_from_secs_f64(number / divisor).ok()
    }
}

/// The keys of JSON and their meanings. A key of an object within an object is written with dots:
/// `request.url`.
///
/// ```
/// use tero_tools::replay::formats::FieldMap;
///
/// // Those of a service, and one of another name.
/// let map = FieldMap::parse("cloudflare,host=ZoneName").unwrap();
/// assert_ne!(map, FieldMap::default());
/// assert!(FieldMap::parse("hots=ZoneName").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldMap {
    pub(super) root: FieldNode,
}

/// The keys of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldNode {
    pub(super) facts: HashMap<Box<str>, LogFact>,
    pub(super) objects: HashMap<Box<str>, FieldNode>,
}

/// Why a text is not a field map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldMapError {
    /// No preset has this name.
    #[error("`{0}` is not a preset: use {PRESET_NAMES}, or FACT=KEY")]
    Preset(String),
    /// A record has no such fact.
    #[error("`{0}` is not a fact of a request: use one of {FACT_NAMES}")]
    Fact(String),
    /// A key is missing.
    #[error("`{0}=` names no key")]
    Key(String),
}

const PRESET_NAMES: &str = "tero, cloudflare, fastly";

/// The facts that a field map may name.
pub const FACT_NAMES: &str = "at, method, scheme, host, target, path, query, request-line, status, bytes, bytes-with-head, cache, \
    seconds, milliseconds, microseconds, nanoseconds, origin-seconds, origin-milliseconds, origin-microseconds, origin-nanoseconds, \
    client, user-agent, referer, request.NAME, response.NAME";

/// The keys of tero's own lines.
const TERO: [(&str, &str); 20] = [
    ("at", "at"),
    ("client", "client"),
    ("method", "method"),
    ("scheme", "scheme"),
    ("host", "host"),
    ("target", "target"),
    ("path", "path"),
    ("query", "query"),
    ("status", "status"),
    ("bytes", "bytes"),
    ("cache", "outcome"),
    ("seconds", "total_seconds"),
    ("origin-seconds", "origin_seconds"),
    ("user-agent", "user_agent"),
    ("referer", "referer"),
    ("response.content-type", "content_type"),
    ("response.content-encoding", "content_encoding"),
    ("response.etag", "etag"),
    ("response.cache-control", "cache_control"),
    ("response.vary", "vary"),
];

/// Cloudflare's data set `http_requests`.
const CLOUDFLARE: [(&str, &str); 17] = [
    ("at", "EdgeStartTimestamp"),
    ("client", "ClientIP"),
    ("method", "ClientRequestMethod"),
    ("scheme", "ClientRequestScheme"),
    ("host", "ClientRequestHost"),
    ("target", "ClientRequestURI"),
    ("path", "ClientRequestPath"),
    ("status", "EdgeResponseStatus"),
    ("bytes", "EdgeResponseBodyBytes"),
    ("bytes-with-head", "EdgeResponseBytes"),
    ("cache", "CacheCacheStatus"),
    ("origin-milliseconds", "OriginResponseDurationMs"),
    ("origin-nanoseconds", "OriginResponseTime"),
    ("user-agent", "ClientRequestUserAgent"),
    ("referer", "ClientRequestReferer"),
    ("response.content-type", "EdgeResponseContentType"),
    ("milliseconds", "EdgeTimeToFirstByteMs"),
];

/// The keys that Fastly's documentation suggests for JSON.
const FASTLY: [(&str, &str); 13] = [
    ("at", "timestamp"),
    ("client", "client_ip"),
    ("method", "request_method"),
    ("host", "host"),
    ("target", "url"),
    ("status", "response_status"),
    ("bytes", "response_body_size"),
    ("cache", "response_state"),
    ("microseconds", "time_elapsed"),
    ("user-agent", "request_user_agent"),
    ("referer", "request_referer"),
    ("request.accept-encoding", "request_accept_encoding"),
    ("response.content-type", "content_type"),
];

impl Default for FieldMap {
    /// The keys of every preset: no two of them disagree about a key.
    fn default() -> FieldMap {
        let mut map = FieldMap::empty();
        for (fact, key) in TERO.iter().chain(&CLOUDFLARE).chain(&FASTLY) {
            map.add_known(fact, key);
        }
        map
    }
}

impl FieldMap {
    fn empty() -> FieldMap {
        FieldMap {
            root: FieldNode::default(),
        }
    }

    /// Reads a list of presets and `FACT=KEY`, split by commas. A later fact takes the place of an
    /// earlier one.
    ///
    /// # Errors
    /// [`FieldMapError`]
    pub fn parse(text: &str) -> Result<FieldMap, FieldMapError> {
        let mut map = FieldMap::empty();
        for item in text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            let Some((name, key)) = item.split_once('=') else {
                let preset: &[(&str, &str)] = match item {
                    "tero" => &TERO,
                    "cloudflare" => &CLOUDFLARE,
                    "fastly" => &FASTLY,
                    _ => return Err(FieldMapError::Preset(item.to_owned())),
                };
                preset
                    .iter()
                    .for_each(|(fact, key)| map.add_known(fact, key));
                continue;
            };
            let fact = fact(name).ok_or_else(|| FieldMapError::Fact(name.to_owned()))?;
            if key.is_empty() {
                return Err(FieldMapError::Key(name.to_owned()));
            }
            map.root.remove(&fact);
            map.root.add(key, fact);
        }
        Ok(map)
    }

    fn add_known(&mut self, name: &str, key: &str) {
        if let Some(fact) = fact(name) {
            self.root.add(key, fact);
        }
    }
}

impl FieldNode {
    fn add(&mut self, key: &str, fact: LogFact) {
        match key.split_once('.') {
            Some((object, rest)) if !object.is_empty() && !rest.is_empty() => {
                self.objects
                    .entry(object.into())
                    .or_default()
                    .add(rest, fact);
            }
            _ => {
                self.facts.insert(key.into(), fact);
            }
        }
    }

    fn remove(&mut self, fact: &LogFact) {
        self.facts.retain(|_, known| known != fact);
        self.objects.values_mut().for_each(|node| node.remove(fact));
    }
}

/// A fact by its name.
fn fact(name: &str) -> Option<LogFact> {
    let field = |name: &str| HeaderName::from_bytes(name.as_bytes()).ok();
    if let Some(name) = name.strip_prefix("request.") {
        return field(name).map(LogFact::RequestField);
    }
    if let Some(name) = name.strip_prefix("response.") {
        return field(name).map(LogFact::ResponseField);
    }
    Some(match name {
        "at" => LogFact::At,
        "method" => LogFact::Method,
        "scheme" => LogFact::Scheme,
        "host" => LogFact::Host,
        "target" => LogFact::Target,
        "path" => LogFact::Path,
        "query" => LogFact::Query,
        "request-line" => LogFact::RequestLine,
        "status" => LogFact::Status,
        "bytes" => LogFact::Bytes,
        "bytes-with-head" => LogFact::BytesWithHead,
        "cache" => LogFact::Cache,
        "seconds" => LogFact::Took(TimeUnit::Seconds),
        "milliseconds" => LogFact::Took(TimeUnit::Milliseconds),
        "microseconds" => LogFact::Took(TimeUnit::Microseconds),
        "nanoseconds" => LogFact::Took(TimeUnit::Nanoseconds),
        "origin-seconds" => LogFact::OriginTook(TimeUnit::Seconds),
        "origin-milliseconds" => LogFact::OriginTook(TimeUnit::Milliseconds),
        "origin-microseconds" => LogFact::OriginTook(TimeUnit::Microseconds),
        "origin-nanoseconds" => LogFact::OriginTook(TimeUnit::Nanoseconds),
        "client" => LogFact::Client,
        "user-agent" => LogFact::RequestField(USER_AGENT),
        "referer" => LogFact::RequestField(REFERER),
        _ => return None,
    })
}

/// What a column of W3C extended tells; `None`: nothing that a record has.
pub(super) fn of_column(name: &str) -> Option<LogFact> {
    Some(match name {
        "date" => LogFact::Date,
        "time" => LogFact::Time,
        "timestamp" | "timestamp(ms)" => LogFact::At,
        "c-ip" => LogFact::Client,
        "cs-method" => LogFact::Method,
        "cs-protocol" | "cs-uri-scheme" => LogFact::Scheme,
        "x-host-header" | "cs(Host)" | "cs-host" => LogFact::Host,
        "cs-uri-stem" => LogFact::Path,
        "cs-uri-query" => LogFact::Query,
        "cs-uri" => LogFact::Target,
        "sc-status" => LogFact::Status,
        "sc-bytes" => LogFact::BytesWithHead,
        "sc-content-len" => LogFact::Bytes,
        "x-edge-result-type" | "x-cache" => LogFact::Cache,
        "cs(User-Agent)" => LogFact::RequestField(USER_AGENT),
        "cs(Referer)" => LogFact::RequestField(REFERER),
        "cs(Accept-Encoding)" => LogFact::RequestField(header::ACCEPT_ENCODING),
        "cs-accept-encoding" => LogFact::RequestField(header::ACCEPT_ENCODING),
        "sc-content-type" => LogFact::ResponseField(CONTENT_TYPE),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_that_is_named_can_be_used() {
        for name in FACT_NAMES.split(", ").map(str::trim) {
            let name = name.replace("NAME", "x-cache");
            assert!(fact(&name).is_some(), "{name}");
        }
        for preset in PRESET_NAMES.split(", ") {
            assert!(!FieldMap::parse(preset).unwrap().root.facts.is_empty());
        }
        for (name, key) in TERO.iter().chain(&CLOUDFLARE).chain(&FASTLY) {
            assert!(fact(name).is_some(), "{name}={key}");
        }
    }

    #[test]
    fn no_two_presets_disagree_about_a_key() {
        let mut known: HashMap<&str, &str> = HashMap::new();
        for (fact, key) in TERO.iter().chain(&CLOUDFLARE).chain(&FASTLY) {
            assert_eq!(known.entry(key).or_insert(fact), fact, "{key}");
        }
    }

    #[test]
    fn a_map_that_makes_no_sense_is_refused() {
        for (text, error) in [
            ("akamai", FieldMapError::Preset("akamai".to_owned())),
            ("hots=x", FieldMapError::Fact("hots".to_owned())),
            (
                "request.a b=x",
                FieldMapError::Fact("request.a b".to_owned()),
            ),
            ("host=", FieldMapError::Key("host".to_owned())),
        ] {
            assert_eq!(FieldMap::parse(text), Err(error));
        }
    }

    #[test]
    fn a_named_key_takes_the_place_of_a_presets() {
        let map = FieldMap::parse("tero, host=a.b").unwrap();
        assert_eq!(map.root.facts.get("host"), None);
        assert_eq!(map.root.objects["a"].facts["b"], LogFact::Host);
    }
}
