//! Answers: JSON, or the error and its cure as JSON.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use tero_admin_api::{Answer as _, Endpoint, JSON, Mistake, Problem};

/// A good answer.
#[derive(Debug)]
pub(super) struct AdminResponse {
    status: StatusCode,
    content_type: &'static str,
    content: Bytes,
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
            status: E::STATUS,
            content_type: response.media_type(),
            content: response.to_text().into(),
        }
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
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

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = response(self.status, JSON, self.problem.to_text().into());
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

fn response(
    status: StatusCode,
    content_type: &'static str,
    content: Bytes,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(content));
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
