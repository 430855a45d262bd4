//! The requests that lines of a log tell of.

use http::header::{ACCEPT_ENCODING, HOST};
use http::request::Parts;
use http::{HeaderValue, Request, Uri, Version};

use super::super::record::LogRecord;
use super::assumptions::Assumptions;
use tero_edge::request::admit::RequestSource;

/// Makes requests of lines.
pub(super) struct RequestMaker<'a> {
    assumptions: &'a Assumptions,
    /// The last host: most lines have the same.
    host: Option<HeaderValue>,
}

/// Target and host of a request, in a form that can be sent.
pub(super) struct SendableTarget {
    uri: Uri,
    host: HeaderValue,
}

impl RequestMaker<'_> {
    pub(super) fn new(assumptions: &Assumptions) -> RequestMaker<'_> {
        RequestMaker {
            assumptions,
            host: None,
        }
    }

    /// Target and host; `None` if they can't be sent as the log has them.
    pub(super) fn sendable(&mut self, record: &LogRecord) -> Option<SendableTarget> {
        let uri = Uri::try_from(&*record.target).ok()?;
        let host = record.host_or(&self.assumptions.host);
        let host = match &self.host {
            Some(known) if known == host => known.clone(),
            _ => HeaderValue::from_str(host).ok()?,
        };
        self.host = Some(host.clone());
        Some(SendableTarget { uri, host })
    }

    /// The request to a target.
    pub(super) fn request(
        &self,
        target: SendableTarget,
        record: LogRecord,
    ) -> (Parts, RequestSource) {
        let (mut head, ()) = Request::new(()).into_parts();
        head.version = Version::HTTP_11;
        head.uri = target.uri;
        let source = RequestSource {
            peer: record.client,
            scheme: record.scheme_or(self.assumptions.scheme),
            ..RequestSource::default()
        };
        (head.method, head.headers) = (record.method, record.request);
        head.headers.insert(HOST, target.host);
        if let Some(accepted) = &self.assumptions.accept_encoding
            && !head.headers.contains_key(ACCEPT_ENCODING)
        {
            head.headers.insert(ACCEPT_ENCODING, accepted.clone());
        }
        (head, source)
    }
}
