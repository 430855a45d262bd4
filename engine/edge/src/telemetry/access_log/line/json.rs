//! A line of the access log as a JSON object.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, REFERER, USER_AGENT};
use serde::Serialize;

use super::super::LineFormat;
use super::{AccessLogLine, SentResponse, header, rfc3339, shown};
use tero_config::AccessLogField;

/// An object that is being written.
struct JsonObject(String);

impl JsonObject {
    fn put(&mut self, field: AccessLogField, value: &impl Serialize) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push('"');
        self.0.push_str(field.as_str());
        self.0.push_str("\":");
        let value = serde_json::to_string(value);
        self.0.push_str(value.as_deref().unwrap_or("null"));
    }
}

/// The object without its end, with what is known before the response is sent.
pub(super) fn begin(line: &AccessLogLine<'_>, format: &LineFormat) -> String {
    let mut json = JsonObject(String::with_capacity(512));
    for field in &format.fields {
        put(&mut json, line, format, *field);
    }
    json.0
}

/// The rest of the object.
pub(super) fn end(json: String, format: ClosingFields, sent: SentResponse) -> String {
    let mut json = JsonObject(json);
    if format.bytes {
        json.put(AccessLogField::Bytes, &sent.bytes);
    }
    if format.total_seconds {
        json.put(AccessLogField::TotalSeconds, &seconds(sent.took_micros));
    }
    if json.0.is_empty() {
        json.0.push('{');
    }
    json.0.push('}');
    json.0
}

/// The fields that are known when the response has been sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ClosingFields {
    bytes: bool,
    total_seconds: bool,
}

impl ClosingFields {
    pub(super) fn of(format: &LineFormat) -> ClosingFields {
        ClosingFields {
            bytes: format.has(AccessLogField::Bytes),
            total_seconds: format.has(AccessLogField::TotalSeconds),
        }
    }
}

fn put(
    json: &mut JsonObject,
    line: &AccessLogLine<'_>,
    format: &LineFormat,
    field: AccessLogField,
) {
    use AccessLogField as Field;
    let facts = &line.facts;
    let shown = |address| shown(address, format.client_address);
    match field {
        Field::At => json.put(field, &rfc3339(line.at)),
        Field::RequestId => json.put(field, &line.request_id),
        Field::Client => json.put(field, &line.client.map(shown)),
        Field::Peer => json.put(field, &line.peer.map(shown)),
        Field::Proxies => {
            let proxies: Vec<_> = line.proxies.iter().copied().map(shown).collect();
            json.put(field, &proxies);
        }
        Field::Method => json.put(field, &line.method.map_or("", http::Method::as_str)),
        Field::Scheme => json.put(field, &facts.scheme),
        Field::Host => json.put(field, &line.host),
        Field::Authority => json.put(field, &facts.authority.unwrap_or(line.host)),
        Field::Target => json.put(field, &line.target),
        Field::Path => json.put(field, &path_and_query(line.target).0),
        Field::Query => json.put(field, &path_and_query(line.target).1),
        Field::Protocol => json.put(field, &format!("{:?}", line.version)),
        Field::TlsVersion => json.put(field, &line.tls.and_then(|tls| tls.version)),
        Field::TlsCipher => json.put(field, &line.tls.and_then(|tls| tls.cipher)),
        Field::Sni => json.put(field, &line.tls.and_then(|tls| tls.server_name)),
        Field::Referer => put_header(json, field, line.request, &REFERER),
        Field::UserAgent => put_header(json, field, line.request, &USER_AGENT),
        Field::Site => json.put(field, &facts.site),
        Field::Route => json.put(field, &facts.route),
        Field::Device => json.put(field, &facts.device),
        Field::Variant => json.put(field, &facts.variant),
        Field::Status => json.put(field, &line.status.as_u16()),
        Field::Outcome => json.put(field, &line.outcome.as_str()),
        Field::Forward => json.put(field, &facts.forward),
        Field::Collapsed => json.put(field, &facts.collapsed),
        Field::Stored => json.put(field, &facts.stored),
        Field::NotStored => json.put(field, &facts.not_stored),
        Field::Limit => json.put(field, &facts.limit),
        Field::Failure => json.put(field, &facts.failure),
        Field::Age => json.put(field, &facts.age_secs),
        Field::Ttl => json.put(field, &facts.ttl_secs),
        Field::LogTag => json.put(field, &facts.log_tag),
        Field::PolicyReason => json.put(field, &facts.policy_reason),
        Field::Origin => json.put(field, &facts.origin),
        Field::OriginStatus => {
            json.put(field, &facts.origin_status.map(|status| status.as_u16()));
        }
        Field::OriginSeconds => json.put(field, &facts.origin_micros.map(seconds)),
        Field::CacheStatus => json.put(field, &line.cache_status()),
        Field::ContentType => put_header(json, field, line.response, &CONTENT_TYPE),
        Field::ContentEncoding => put_header(json, field, line.response, &CONTENT_ENCODING),
        Field::Seconds => json.put(field, &seconds(line.took_micros)),
        // These are known later.
        Field::Bytes | Field::TotalSeconds => {}
    }
}

fn put_header(
    json: &mut JsonObject,
    field: AccessLogField,
    headers: &HeaderMap,
    name: &http::HeaderName,
) {
    json.put(field, &header(headers, name));
}

fn path_and_query(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
