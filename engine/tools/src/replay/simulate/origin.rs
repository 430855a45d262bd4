//! Next hops as a log shows them: for each URL, the status, length and fields that it told last.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::assumptions::{Assumptions, MAX_LATENCY, ValidatorRule};
use crate::replay::record::{LogRecord, LoggedCache};
use tero_edge::request::rehearsal::{OriginQuestion, OriginReply};
use tero_semantics::path::PathPattern;

/// URLs that are remembered, at most; of further ones, only what their own lines say is known.
const MAX_URLS: usize = 1_000_000;

/// 499, which servers log for a client that has left: it says nothing of the origin.
const CLIENT_LEFT: u16 = 499;

/// The types of content by the endings of paths.
const TYPES: [(&str, &str); 23] = [
    ("avif", "image/avif"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("gif", "image/gif"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/x-icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("mjs", "text/javascript"),
    ("mp4", "video/mp4"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain"),
    ("wasm", "application/wasm"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xml", "application/xml"),
];

/// The origins of all sites.
#[derive(Debug)]
pub(super) struct LogOrigin {
    assumptions: Assumptions,
    urls: HashMap<u64, KnownResponse>,
    forgotten: u64,
}

/// What a log has told of a URL.
#[derive(Clone, Debug)]
struct KnownResponse {
    status: StatusCode,
    bytes: Option<u64>,
    fields: Option<Arc<HeaderMap>>,
    takes: Option<Duration>,
}

impl LogOrigin {
    pub(super) fn new(assumptions: &Assumptions) -> LogOrigin {
        LogOrigin {
            assumptions: assumptions.clone(),
            urls: HashMap::new(),
            forgotten: 0,
        }
    }

    /// URLs of which nothing was remembered.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Takes account of what a line says of its URL.
    pub(super) fn hear(&mut self, record: &LogRecord) {
        let is_of_origin = record.cache != Some(LoggedCache::Own);
        if !is_of_origin || !matches!(record.method, Method::GET | Method::HEAD) {
            return;
        }
        let url = url_hash(record.host_or(&self.assumptions.host), &record.target);
        if self.urls.len() >= MAX_URLS && !self.urls.contains_key(&url) {
            self.forgotten += 1;
            return;
        }
        let known = self.urls.entry(url).or_insert(KnownResponse {
            status: StatusCode::OK,
            bytes: None,
            fields: None,
            takes: None,
        });
        if let Some(status) = told_status(record.status) {
            known.status = status;
        }
        if let Some(bytes) = record.representation_bytes()
            && told_status(record.status).is_some()
        {
            known.bytes = Some(bytes);
        }
        if !record.response.is_empty() && known.fields.as_deref() != Some(&record.response) {
            known.fields = Some(Arc::new(record.response.clone()));
        }
        let took = record.origin_took.map(|took| took.min(MAX_LATENCY));
        known.takes = took.or(known.takes);
    }

    /// The answer to a request.
    pub(super) fn reply(&mut self, question: &OriginQuestion<'_>) -> OriginReply {
        let exchange = question.exchange;
        let uri = &exchange.parts.uri;
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let known = self
            .urls
            .get(&url_hash(exchange.authority.host(), target))
            .cloned();
        // What the client was sent, unless that was about its own conditions or range, or came from the
        // server that wrote the log.
        let sent = question.sent.filter(|sent| {
            !sent.is_own
                && told_status(sent.status).is_some()
                && exchange.parts.method != Method::HEAD
        });
        let of_url = known.as_ref();
        let status = sent
            .map(|sent| sent.status)
            .or(of_url.map(|known| known.status))
            .unwrap_or(StatusCode::OK);
        let bytes = sent
            .and_then(|sent| sent.bytes)
            .or(of_url.and_then(|known| known.bytes))
            .unwrap_or(self.assumptions.size);
        let mut headers = match of_url.and_then(|known| known.fields.as_deref()) {
            Some(fields) => fields.clone(),
            None => HeaderMap::with_capacity(5),
        };
        headers.remove(CONTENT_LENGTH);
        headers.remove(header::AGE);
        headers.remove(header::TRANSFER_ENCODING);
        self.complete(&mut headers, uri.path(), bytes);
        let takes = of_url
            .and_then(|known| known.takes)
            .unwrap_or(self.assumptions.latency);
        let holds = question
            .if_changed
            .is_some_and(|stored| status == StatusCode::OK && is_same(stored, &headers));
        if holds {
            headers.remove(CONTENT_LENGTH);
            headers.remove(CONTENT_TYPE);
            return OriginReply {
                status: StatusCode::NOT_MODIFIED,
                headers,
                bytes: 0,
                takes,
            };
        }
        let bytes = match exchange.parts.method {
            Method::HEAD if question.sent.is_some() => 0,
            _ => bytes,
        };
        OriginReply {
            status,
            headers,
            bytes,
            takes,
        }
    }

    /// Adds what is assumed of a response.
    fn complete(&self, headers: &mut HeaderMap, path: &str, bytes: u64) {
        let assumptions = &self.assumptions;
        for (name, rules) in [
            (CACHE_CONTROL, &assumptions.cache_control),
            (VARY, &assumptions.vary),
        ] {
            if !headers.contains_key(&name)
                && let Some(value) = first_of(rules, path)
            {
                headers.insert(name, value.clone());
            }
        }
        if assumptions.validators == ValidatorRule::Length && !headers.contains_key(ETAG) {
            let tag = format!("\"{bytes}\"");
            headers.extend(HeaderValue::try_from(tag).ok().map(|tag| (ETAG, tag)));
        }
        if !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(type_of(path)));
        }
        headers.insert(CONTENT_LENGTH, bytes.into());
    }
}

/// The status that a line tells of its URL. 206 and 304 are about a client's request, and say that the
/// response is a good one.
fn told_status(status: StatusCode) -> Option<StatusCode> {
    match status {
        StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT => None,
        status if status.as_u16() == CLIENT_LEFT => None,
        status => Some(status),
    }
}

fn first_of<'r>(rules: &'r [(PathPattern, HeaderValue)], path: &str) -> Option<&'r HeaderValue> {
    let mut rules = rules.iter();
    rules.find_map(|(pattern, value)| pattern.matches(path).then_some(value))
}

fn is_same(stored: &HeaderMap, now: &HeaderMap) -> bool {
    now.get(ETAG)
        .is_some_and(|tag| stored.get(ETAG) == Some(tag))
}

/// The type of content, by the ending of its path.
fn type_of(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    let known = ending.and_then(|ending| {
        let place = TYPES.binary_search_by(|(known, _)| (*known).cmp(ending));
        place.ok().map(|place| TYPES[place].1)
    });
    known.unwrap_or("text/html")
}

fn url_hash(host: &str, target: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (host, target).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::record::LogRecord;
    use crate::replay::simulate::tests::record;

    fn known_after(records: &[LogRecord]) -> Option<KnownResponse> {
        let assumptions = Assumptions::default();
        let mut origin = LogOrigin::new(&assumptions);
        for record in records {
            origin.hear(record);
        }
        origin.urls.into_values().next()
    }

    #[test]
    fn what_the_server_answers_by_itself_says_nothing_of_the_origin() {
        let own = LogRecord {
            cache: Some(LoggedCache::Own),
            status: StatusCode::MOVED_PERMANENTLY,
            ..record(2_000, "/a")
        };
        assert!(known_after(std::slice::from_ref(&own)).is_none());
        let known = known_after(&[record(1_000, "/a"), own]).unwrap();
        assert_eq!((known.status, known.bytes), (StatusCode::OK, Some(100)));
    }

    #[test]
    fn a_line_without_a_length_leaves_the_known_one() {
        let untold = LogRecord {
            bytes: None,
            ..record(2_000, "/a")
        };
        assert_eq!(
            known_after(std::slice::from_ref(&untold)).unwrap().bytes,
            None
        );
        let known = known_after(&[record(1_000, "/a"), untold]).unwrap();
        assert_eq!(known.bytes, Some(100));
    }

    #[test]
    fn an_origin_takes_a_minute_at_most() {
        let of = |took: Duration| {
            let record = LogRecord {
                origin_took: Some(took),
                ..record(1_000, "/a")
            };
            known_after(&[record]).unwrap().takes.unwrap()
        };
        assert_eq!(of(Duration::from_secs(59)), Duration::from_secs(59));
        assert_eq!(of(Duration::MAX), MAX_LATENCY);
    }

    #[test]
    fn the_ending_of_a_path_tells_the_type() {
        assert!(TYPES.is_sorted());
        for (path, expected) in [
            ("/", "text/html"),
            ("/a.b/c", "text/html"),
            ("/a/b.css", "text/css"),
            ("/x.JPG", "text/html"),
            ("/i.webp", "image/webp"),
        ] {
            assert_eq!(type_of(path), expected, "{path}");
        }
    }
}
