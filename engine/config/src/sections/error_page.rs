//! `[[site.error_page]]`.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::forms;
use crate::mistakes::Mistake;

section! {
    /// A page of the operator's in place of an error that tero itself answers with. The first entry
    /// with the status applies; one that names the very status goes before one that names its
    /// class.
    #[derive(Clone, Debug, PartialEq)]
    [[site.error_page]]
    pub struct ErrorPage in base_dir {
        /// The statuses that it is for.
        statuses as "status": Vec<ErrorStatus> = required,
            Texts("a status of 400 to 599, or a class: `4xx`, `5xx`")
            => error_status, at_least_one("write the statuses, [\"502\", \"504\"] or [\"5xx\"]"), distinct();
        /// The page, at most 1 MiB. It is read when the configuration is.
        content as "file": Bytes = required, Text("a path, relative to this file")
            => |path| base_dir.read_page(path);
        /// The media type of the page.
        content_type: HeaderValue = "text/html; charset=utf-8", Text("a media type")
            => forms::content_type;
        /// Whether it takes the place of errors of the origin too.
        intercept: bool = false, Flag;
    }
}

/// A status of an error, or the class of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorStatus {
    /// This status.
    Status(StatusCode),
    /// All statuses with these hundreds: 4 or 5.
    Class(u16),
}

impl ErrorStatus {
    /// Whether it means a status.
    pub fn means(self, status: StatusCode) -> bool {
        match self {
            ErrorStatus::Status(own) => own == status,
            ErrorStatus::Class(hundreds) => status.as_u16() / 100 == hundreds,
        }
    }
}

fn error_status(text: &str) -> Result<ErrorStatus, Mistake> {
    let status = match text {
        "4xx" => Some(ErrorStatus::Class(4)),
        "5xx" => Some(ErrorStatus::Class(5)),
        _ => {
            let code = text.parse().ok().filter(|code| (400..=599).contains(code));
            code.and_then(|code| StatusCode::from_u16(code).ok())
                .map(ErrorStatus::Status)
        }
    };
    status.ok_or_else(|| {
        Mistake::new(
            format!("`{text}` is not the status of an error"),
            "write one such as \"502\", or \"4xx\" or \"5xx\"",
        )
    })
}
