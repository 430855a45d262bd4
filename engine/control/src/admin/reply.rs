//! Answers: JSON, or the error and its cure as JSON.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::sync::mpsc;

use tero_admin_api::{Answer as _, Endpoint, JSON, Mistake, Problem};

/// A good answer.
#[derive(Debug)]
pub(super) struct AdminResponse {
    status: StatusCode,
    content_type: &'static str,
    content: AdminBody,
}

/// The content of an answer: all of it, or a stream.
#[derive(Debug)]
pub(super) enum AdminBody {
    /// All of it.
    Whole(Full<Bytes>),
    /// Pieces as they come, until the sender is dropped.
    Stream(mpsc::Receiver<Bytes>),
}

impl Body for AdminBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            AdminBody::Whole(content) => Pin::new(content).poll_frame(context),
            AdminBody::Stream(pieces) => {
                let piece = pieces.poll_recv(context);
                piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            AdminBody::Whole(content) => content.is_end_stream(),
            AdminBody::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            AdminBody::Whole(content) => content.size_hint(),
            AdminBody::Stream(_) => SizeHint::default(),
        }
    }
}

/// A refusal: what is wrong with the request, and what to do instead.
#[derive(Debug)]
pub(super) struct AdminRefusal {
    status: StatusCode,
    problem: Problem,
    field: Option<RefusalField>,
}

/// A header field of a refusal.
#[derive(Clone, Debug)]
enum RefusalField {
    /// `WWW-Authenticate: Bearer`
    Authenticate,
    /// `Allow`, with these methods.
    Allow(String),
}

/// What the log shows of a reason.
const REASON_CHARS: usize = 160;

impl AdminResponse {
    /// The good answer of `E`.
    pub(super) fn of<E: Endpoint>(response: &E::Response) -> AdminResponse {
        AdminResponse {
            status: E::status_of(response),
            content_type: response.media_type(),
            content: whole(response.to_text()),
        }
    }

    /// The good answer of `E`, whose content comes in pieces.
    pub(super) fn stream_of<E: Endpoint>(pieces: mpsc::Receiver<Bytes>) -> AdminResponse {
        AdminResponse {
            status: E::STATUS,
            content_type: E::Response::MEDIA_TYPE,
            content: AdminBody::Stream(pieces),
        }
    }

    pub(super) fn into_response(self) -> Response<AdminBody> {
        response(self.status, self.content_type, self.content)
    }
}

impl AdminRefusal {
    fn new(status: StatusCode, error: impl Into<String>, cure: impl Into<String>) -> AdminRefusal {
        AdminRefusal {
            status,
            problem: Problem::new(error, cure),
            field: None,
        }
    }

    pub(super) fn bad(error: impl Into<String>, cure: impl Into<String>) -> AdminRefusal {
        AdminRefusal::new(StatusCode::BAD_REQUEST, error, cure)
    }

    pub(super) fn forbidden(error: impl Into<String>, cure: impl Into<String>) -> AdminRefusal {
        AdminRefusal::new(StatusCode::FORBIDDEN, error, cure)
    }

    pub(super) fn unknown(error: impl Into<String>, cure: impl Into<String>) -> AdminRefusal {
        AdminRefusal::new(StatusCode::NOT_FOUND, error, cure)
    }

    pub(super) fn conflict(error: impl Into<String>, cure: impl Into<String>) -> AdminRefusal {
        AdminRefusal::new(StatusCode::CONFLICT, error, cure)
    }

    pub(super) fn unprocessable(error: impl Into<String>, cure: impl Into<String>) -> AdminRefusal {
        AdminRefusal::new(StatusCode::UNPROCESSABLE_ENTITY, error, cure)
    }

    pub(super) fn internal(error: impl Into<String>, cure: impl Into<String>) -> AdminRefusal {
        AdminRefusal::new(StatusCode::INTERNAL_SERVER_ERROR, error, cure)
    }

    /// Adds the mistakes one by one.
    pub(super) fn with_mistakes(mut self, mistakes: Vec<Mistake>) -> AdminRefusal {
        self.problem.errors = mistakes;
        self
    }

    pub(super) fn not_ready(error: impl Into<String>, cure: impl Into<String>) -> AdminRefusal {
        AdminRefusal::new(StatusCode::SERVICE_UNAVAILABLE, error, cure)
    }

    /// Another process serves, and this one changes nothing any more.
    pub(super) fn handed_over() -> AdminRefusal {
        AdminRefusal::not_ready("another process has taken over", "ask again: it answers")
    }

    pub(super) fn unauthorized(error: impl Into<String>, cure: impl Into<String>) -> AdminRefusal {
        AdminRefusal {
            field: Some(RefusalField::Authenticate),
            ..AdminRefusal::new(StatusCode::UNAUTHORIZED, error, cure)
        }
    }

    /// `allow` lists the methods that are offered.
    pub(super) fn method(allow: String) -> AdminRefusal {
        let refusal = AdminRefusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "this method is not offered here",
            format!("use {allow}"),
        );
        AdminRefusal {
            field: Some(RefusalField::Allow(allow)),
            ..refusal
        }
    }

    pub(super) fn too_large(limit: usize) -> AdminRefusal {
        let cure = format!("send at most {limit} bytes");
        AdminRefusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the content is too large",
            cure,
        )
    }

    pub(super) fn slow() -> AdminRefusal {
        AdminRefusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "the content did not arrive in time",
            "send it at once",
        )
    }

    pub(super) fn busy() -> AdminRefusal {
        AdminRefusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the answer took too long",
            "try again later",
        )
    }

    pub(super) fn full(error: impl Into<String>, cure: impl Into<String>) -> AdminRefusal {
        AdminRefusal::new(StatusCode::SERVICE_UNAVAILABLE, error, cure)
    }

    pub(super) fn failed() -> AdminRefusal {
        AdminRefusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the edge failed to answer",
            "see its log, and report it",
        )
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong, for the log: no more than a line's worth.
    pub(super) fn reason(&self) -> String {
        self.problem.error.chars().take(REASON_CHARS).collect()
    }

    pub(super) fn into_response(self) -> Response<AdminBody> {
        let mut response = response(self.status, JSON, whole(self.problem.to_text()));
        let field = match self.field {
            Some(RefusalField::Authenticate) => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
            }
            Some(RefusalField::Allow(methods)) => HeaderValue::try_from(methods)
                .ok()
                .map(|methods| (header::ALLOW, methods)),
            None => None,
        };
        response.headers_mut().extend(field);
        response
    }
}

impl From<Problem> for AdminRefusal {
    fn from(problem: Problem) -> AdminRefusal {
        AdminRefusal {
            status: StatusCode::BAD_REQUEST,
            problem,
            field: None,
        }
    }
}

fn whole(text: String) -> AdminBody {
    AdminBody::Whole(Full::new(text.into()))
}

/// An answer that browsers don't keep, and take for nothing but its type.
pub(super) fn response(
    status: StatusCode,
    content_type: &'static str,
    content: AdminBody,
) -> Response<AdminBody> {
    let mut response = Response::new(content);
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}
