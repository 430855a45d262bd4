//! The request that a line of a log tells of.

use http::header::{ACCEPT_ENCODING, HOST};
use http::request::Parts;
use http::{HeaderValue, Request, Uri, Version};

use super::super::record::LogRecord;
use super::assumptions::Assumptions;
use tero_edge::request::admit::RequestSource;

/// The request; `None` if it can't be sent as the log has it.
pub(super) fn request_of(
    record: &LogRecord,
    assumptions: &Assumptions,
) -> Option<(Parts, RequestSource)> {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = record.method.clone();
    head.version = Version::HTTP_11;
    head.uri = Uri::try_from(&*record.target).ok()?;
    head.headers.clone_from(&record.request);
    let host = HeaderValue::from_str(record.host_or(&assumptions.host)).ok()?;
    head.headers.insert(HOST, host);
    if let Some(accepted) = &assumptions.accept_encoding
        && !head.headers.contains_key(ACCEPT_ENCODING)
    {
        head.headers.insert(ACCEPT_ENCODING, accepted.clone());
    }
    let source = RequestSource {
        peer: record.client,
        scheme: record.scheme_or(assumptions.scheme),
        ..RequestSource::default()
    };
    Some((head, source))
}
