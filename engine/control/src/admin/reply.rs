//! Answers: JSON, or the error and its cure as JSON.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

use super::asked::Problem;

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
    error: String,
    cure: String,
    /// Mistakes one by one, where there are several.
    errors: Option<Value>,
    field: Option<RefusalField>,
}

/// A field that the refusal needs.
#[derive(Clone, Copy, Debug)]
enum RefusalField {
    /// `WWW-Authenticate: Bearer`
    Authenticate,
    /// `Allow`, with these methods.
    Allow(&'static str),
}

const JSON: &str = "application/json";

impl AdminResponse {
    pub(super) fn json(value: &Value) -> AdminResponse {
        AdminResponse {
            status: StatusCode::OK,
            content_type: JSON,
            content: format!("{value}\n").into(),
        }
    }

    pub(super) fn json_text(text: &'static str) -> AdminResponse {
        AdminResponse {
            status: StatusCode::OK,
            content_type: JSON,
            content: text.into(),
        }
    }

    pub(super) fn text(content_type: &'static str, text: String) -> AdminResponse {
        AdminResponse {
            status: StatusCode::OK,
            content_type,
            content: text.into(),
        }
    }

    /// Something that there was not before.
    pub(super) fn created(value: &Value) -> AdminResponse {
        AdminResponse {
            status: StatusCode::CREATED,
            ..AdminResponse::json(value)
        }
    }

    /// Work that goes on after the answer.
    pub(super) fn accepted(value: &Value) -> AdminResponse {
        AdminResponse {
            status: StatusCode::ACCEPTED,
            ..AdminResponse::json(value)
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
            error: error.into(),
            cure: cure.into(),
            errors: None,
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

    /// With these mistakes one by one.
    pub(super) fn with_errors(self, errors: Value) -> AdminRefusal {
        AdminRefusal {
            errors: Some(errors),
            ..self
        }
    }

    pub(super) fn not_ready(error: impl Into<String>, cure: impl Into<String>) -> AdminRefusal {
        AdminRefusal::new(StatusCode::SERVICE_UNAVAILABLE, error, cure)
    }

    pub(super) fn unauthorized(error: impl Into<String>, cure: impl Into<String>) -> AdminRefusal {
        AdminRefusal {
            field: Some(RefusalField::Authenticate),
            ..AdminRefusal::new(StatusCode::UNAUTHORIZED, error, cure)
        }
    }

    pub(super) fn method(allow: &'static str) -> AdminRefusal {
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
            "the content did not come in time",
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

    #[cfg(test)]
    pub(super) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut content = json!({ "error": self.error, "cure": self.cure });
        if let Some(errors) = self.errors {
            content["errors"] = errors;
        }
        let mut response = response(self.status, JSON, format!("{content}\n").into());
        let field = match self.field {
            Some(RefusalField::Authenticate) => Some((header::WWW_AUTHENTICATE, "Bearer")),
            Some(RefusalField::Allow(methods)) => Some((header::ALLOW, methods)),
            None => None,
        };
        if let Some((name, value)) = field {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

impl From<Problem> for AdminRefusal {
    fn from(wrong: Problem) -> AdminRefusal {
        AdminRefusal::bad(wrong.error, wrong.cure)
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
