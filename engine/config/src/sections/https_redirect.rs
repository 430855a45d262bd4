//! `redirect_to_https` of a site.

use http::{Method, StatusCode};

use crate::forms;
use crate::mistakes::Mistake;
use crate::raw::RawKind;
use crate::reader::TableReader;

/// Whether requests over http are sent to https.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpsRedirect {
    /// They are answered.
    #[default]
    Off,
    /// They are: GET and HEAD with 301, others with 308.
    ByMethod,
    /// They are, with this status.
    With(StatusCode),
}

impl HttpsRedirect {
    /// The status for a request with this method; `None` if it isn't redirected.
    pub fn status(self, method: &Method) -> Option<StatusCode> {
        match self {
            HttpsRedirect::Off => None,
            HttpsRedirect::With(status) => Some(status),
            HttpsRedirect::ByMethod if matches!(*method, Method::GET | Method::HEAD) => {
                Some(StatusCode::MOVED_PERMANENTLY)
            }
            HttpsRedirect::ByMethod => Some(StatusCode::PERMANENT_REDIRECT),
        }
    }
}

/// Reads `true`, `false` or a status.
pub(super) fn https_redirect(reader: &TableReader<'_>, key: &str) -> Option<HttpsRedirect> {
    let Some(value) = reader.written(key) else {
        return Some(HttpsRedirect::Off);
    };
    let read = match value.kind {
        RawKind::Flag(true) => Ok(HttpsRedirect::ByMethod),
        RawKind::Flag(false) => Ok(HttpsRedirect::Off),
        RawKind::Integer(status) => u64::try_from(status)
            .map_err(|_| forms::not_a_redirect(status))
            .and_then(forms::redirect_status)
            .map(HttpsRedirect::With),
        _ => Err(Mistake::new(
            format!(
                "true, false or a status was expected, this is {}",
                value.describe()
            ),
            "write true, or a status such as 301",
        )),
    };
    read.map_err(|mistake| reader.refuse(key, mistake))
        .ok()
        .or(Some(HttpsRedirect::Off))
}
