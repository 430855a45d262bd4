//! `GET /live`: figures once a second, and requests while they are answered.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Answer, OutcomeCounts, Problem, Question, StoreStats};

/// The media type of JSON in lines.
pub const NDJSON: &str = "application/x-ndjson";

/// What a listener wants to be told. Of requests, those that fit all that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LiveQuestion {
    /// Only requests of this site.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub site: Option<String>,
    /// Only requests with such a path: `/prices` or `/shops/*`.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub path: Option<String>,
    /// Only requests with this outcome.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", extend("enum" = ["hit", "stale", "revalidated", "collapsed", "miss", "pass", "error", "rule"]))
    )]
    pub outcome: Option<String>,
    /// Only requests about which this policy was asked.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub policy: Option<String>,
    /// Requests per second, at most; further ones are left out. 0 for none, at most 1000.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "u32", range(max = 1000), extend("default" = 200))
    )]
    pub requests: Option<u32>,
    /// Whether figures are told.
    #[cfg_attr(feature = "schema", schemars(with = "bool", extend("default" = true)))]
    pub figures: Option<bool>,
}

impl LiveQuestion {
    /// The most requests per second that a listener is told.
    pub const MAX_REQUESTS: u32 = 1_000;
    /// As many are told if the question doesn't say it.
    pub const DEFAULT_REQUESTS: u32 = 200;
    /// An empty line comes when there was nothing to tell for so long, so that both sides notice if the other one has
    /// gone without a word.
    pub const EMPTY_LINE_AFTER: Duration = Duration::from_secs(15);
}

impl Question for LiveQuestion {
    const MEDIA_TYPE: Option<&'static str> = None;

    fn query(&self) -> String {
        let mut query = String::new();
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                query.push(if query.is_empty() { '?' } else { '&' });
                query.push_str(name);
                query.push('=');
                query.push_str(&escaped(&value));
            }
        };
        add("site", self.site.clone());
        add("path", self.path.clone());
        add("outcome", self.outcome.clone());
        add("policy", self.policy.clone());
        add("requests", self.requests.map(|count| count.to_string()));
        add("figures", self.figures.map(|told| told.to_string()));
        query
    }

    fn read(query: Option<&str>, _: &[u8]) -> Result<LiveQuestion, Problem> {
        let mut question = LiveQuestion::default();
        for pair in query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = unescaped(value).ok_or_else(|| of_query(name))?;
            match name {
                "site" => question.site = Some(value),
                "path" => question.path = Some(value),
                "outcome" => question.outcome = Some(value),
                "policy" => question.policy = Some(value),
                "requests" => {
                    let count = value.parse().ok();
                    let count = count.filter(|count| *count <= LiveQuestion::MAX_REQUESTS);
                    question.requests = Some(count.ok_or_else(|| of_query(name))?);
                }
                "figures" => {
                    question.figures = Some(value.parse().map_err(|_| of_query(name))?);
                }
                _ => return Err(of_query(name)),
            }
        }
        Ok(question)
    }
}

fn of_query(name: &str) -> Problem {
    Problem::new(
        format!("`{}` of the query can't be used", name.escape_debug()),
        "write site=NAME, path=/PATTERN, outcome=OUTCOME, policy=NAME, requests=0 to 1000, figures=true or false",
    )
}

/// Bytes that may stand in a query as they are; others are escaped.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/*".contains(&byte) {
            text.push(byte.into());
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// `None` for what is not escaped text.
fn unescaped(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        if *first != b'%' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let (digits, after) = after.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// A line of the stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum LiveEvent {
    /// What was counted since the edge started: at once, and then once a second.
    Figures(LiveFigures),
    /// A request that was answered.
    Request(RequestReport),
}

/// What was counted since the edge started, and how it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LiveFigures {
    /// When.
    pub at_unix_ms: i64,
    /// When the process started. A change means that everything counts from zero again.
    pub started_unix_secs: i64,
    /// Upper bounds of the classes of `latency`, in seconds. There is one class more, for all above.
    pub latency_bounds: Vec<f64>,
    /// All sites together.
    pub total: TrafficReport,
    /// The sites with the most requests, at most 64, in the order of the configuration.
    pub sites: Vec<LiveSite>,
    /// Stored responses.
    pub cache: StoreStats,
    /// What the store may use, in bytes.
    pub cache_limit_bytes: u64,
    /// Memory of the process, in bytes; 0 where the system doesn't tell.
    pub resident_bytes: u64,
    /// CPU time of the process, in seconds; 0 where the system doesn't tell.
    pub cpu_seconds: f64,
    /// Threads that answer requests.
    pub workers: u64,
    /// Client connections that are open.
    pub connections: u64,
    /// Client connections that may be open.
    pub max_connections: u64,
    /// Requests that wait for a place among `max_fetches`.
    pub waiting: u64,
}

/// A site at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LiveSite {
    /// The name of the site.
    pub site: String,
    /// The zone whose clock its hours follow.
    pub zone: String,
    /// What the clock of the zone shows, in RFC 3339.
    pub local: String,
    /// Whether it is in maintenance.
    pub maintenance: bool,
    /// Its requests.
    #[serde(flatten)]
    pub traffic: TrafficReport,
}

/// Requests, bytes, latencies and what went to origins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TrafficReport {
    /// Requests by outcome.
    pub requests: OutcomeCounts,
    /// Bytes of content sent, by outcome.
    pub bytes: OutcomeCounts,
    /// Times to the heads of responses, by class.
    pub latency: Vec<u64>,
    /// Requests to origins.
    pub origin_requests: u64,
    /// Of these, those that failed: without a response, or with a 5xx.
    pub origin_failed: u64,
    /// Time spent waiting for the heads of origins' responses, in seconds.
    pub origin_seconds: f64,
}

/// A request that was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RequestReport {
    /// When it was received.
    pub at_unix_ms: i64,
    /// From its head to the head of its response, in milliseconds.
    pub took_ms: f64,
    /// The name of its site.
    pub site: String,
    /// Its method.
    pub method: String,
    /// Authority, path and query, cut to 1024 bytes.
    pub url: String,
    /// The status of its response.
    pub status: u16,
    /// How it was answered.
    #[cfg_attr(
        feature = "schema",
        schemars(extend("enum" = ["hit", "stale", "revalidated", "collapsed", "miss", "pass", "error", "rule"]))
    )]
    pub outcome: String,
    /// Why it went forward, as `Cache-Status` says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<String>,
    /// Whether the answer is stored.
    pub stored: bool,
    /// Why it is not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_stored: Option<String>,
    /// What went wrong, or which rule of the site answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The policies that gave a reason, and their reasons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The class of the device, if a policy asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The name of its route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The age of the stored response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_secs: Option<u64>,
    /// The rest of its freshness lifetime; negative if it is stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_secs: Option<i64>,
    /// The origin that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// The lines of a stream: JSON, each with a line feed at its end.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveStream(pub Vec<LiveEvent>);

impl Answer for LiveStream {
    const MEDIA_TYPE: &'static str = NDJSON;

    fn to_text(&self) -> String {
        self.0.iter().map(Answer::to_text).collect()
    }

    fn read(content: &[u8]) -> Result<LiveStream, serde_json::Error> {
        let lines = content.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty());
        lines
            .map(LiveEvent::read)
            .collect::<Result<_, _>>()
            .map(LiveStream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<LiveQuestion, Problem> {
        LiveQuestion::read(Some(query), b"")
    }

    #[test]
    fn a_question_is_read_as_it_is_asked() {
        let question = LiveQuestion {
            site: Some("shop".to_owned()),
            path: Some("/a b/ñ&*".to_owned()),
            outcome: Some("miss".to_owned()),
            policy: Some("hours".to_owned()),
            requests: Some(5),
            figures: Some(false),
        };
        let query = question.query();
        assert!(
            query.starts_with("?site=shop&path=/a%20b/%C3%B1%26*&"),
            "{query}"
        );
        assert_eq!(read(&query[1..]).unwrap(), question);
        assert_eq!(read("").unwrap(), LiveQuestion::default());
    }

    #[test]
    fn what_is_not_a_question_is_refused() {
        for query in [
            "sites=a",
            "requests=1001",
            "requests=-1",
            "requests=",
            "figures=yes",
            "path=%4",
            "path=%zz",
            "path=%FF",
        ] {
            assert!(read(query).is_err(), "{query}");
        }
        assert_eq!(read("requests=1000").unwrap().requests, Some(1_000));
    }
}
