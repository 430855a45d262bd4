//! Makes the request to be explained out of the question.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};

use tero_admin_api::{ExplainRequest, FieldValues, Problem};
use tero_policy_host::device::Device;
use tero_semantics::authority::Scheme;
use tero_time::local_time::LocalDateTime;

/// How to write a URL.
pub const URL: &str = "write http://www.example.org/path";

/// A request that a visitor could send.
#[derive(Debug)]
pub struct ExplainSubject {
    /// Its method, its path with the query, and its fields.
    pub request: Request<()>,
    /// The scheme of the URL; that of a path is `http`.
    pub scheme: Scheme,
    /// The host with its port; `None` if the URL is only a path.
    pub host: Option<HeaderValue>,
    /// When it would come; `None` means now.
    pub at: Option<LocalDateTime>,
    /// The device class, in place of the one that the fields give.
    pub device: Option<Device>,
    /// The response that policies are asked about.
    pub response: Option<(StatusCode, HeaderMap)>,
}

/// The subject of a question.
///
/// # Errors
/// [`Problem`] for the first part that is malformed.
pub fn subject(question: &ExplainRequest) -> Result<ExplainSubject, Problem> {
    let (host, scheme, uri) = url(&question.url)?;
    let method = question.method.as_deref().unwrap_or("GET");
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|_| no("a method", method, "write GET"))?;
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = fields(&question.headers)?;
    let response = question.response.as_ref().map(|given| {
        let status = StatusCode::from_u16(given.status)
            .map_err(|_| no("a status", &given.status.to_string(), "write 200"))?;
        Ok((status, fields(&given.headers)?))
    });
    Ok(ExplainSubject {
        request,
        scheme,
        host,
        at: question.at.as_deref().map(time).transpose()?,
        device: question.device.as_deref().map(device).transpose()?,
        response: response.transpose()?,
    })
}

fn no(what: &str, text: &str, cure: impl Into<String>) -> Problem {
    Problem::new(format!("`{}` is not {what}", text.escape_debug()), cure)
}

/// The host, if the URL is absolute, the scheme, and the path with the query.
fn url(text: &str) -> Result<(Option<HeaderValue>, Scheme, Uri), Problem> {
    let wrong = |what: &str| no(what, text, URL);
    if text.starts_with('/') {
        // Without the host in front, a path that begins with two slashes would be read as a host.
        let uri: Uri = format!("http://host{text}")
            .parse()
            .map_err(|_| wrong("a URL"))?;
        return Ok((None, Scheme::Http, target(&uri)));
    }
    let uri: Uri = text.parse().map_err(|_| wrong("a URL"))?;
    let (Some(named @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority())
    else {
        return Err(wrong("an absolute URL"));
    };
    let scheme = Scheme::from_name(named).unwrap_or_default();
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| wrong("a URL"))?;
    Ok((Some(host), scheme, target(&uri)))
}

/// Path and query; if the path is empty, a slash.
fn target(absolute: &Uri) -> Uri {
    absolute
        .path_and_query()
        .and_then(|target| target.to_string().parse().ok())
        .unwrap_or_default()
}

fn device(name: &str) -> Result<Device, Problem> {
    let known = || Device::ALL.map(Device::as_str).join(", ");
    Device::from_name(name).ok_or_else(|| {
        no(
            "a device class",
            name,
            format!("the classes are {}", known()),
        )
    })
}

fn time(text: &str) -> Result<LocalDateTime, Problem> {
    let cure = "write a local time of the site, 2026-11-24T08:59 or 2026-11-24T08:59:00, or one with its offset, 2026-11-24T08:59:00-03:00";
    LocalDateTime::parse(text).ok_or_else(|| no("a time", text, cure))
}

fn fields(given: &BTreeMap<String, FieldValues>) -> Result<HeaderMap, Problem> {
    let mut headers = HeaderMap::new();
    for (name, values) in given {
        let values = match values {
            FieldValues::One(value) => std::slice::from_ref(value),
            FieldValues::Many(values) => values,
        };
        for value in values {
            let field = HeaderName::try_from(name.as_str())
                .ok()
                .zip(HeaderValue::from_str(value).ok());
            let (field, value) = field
                .ok_or_else(|| no("a field", name, "write a name and a value, `user-agent: …`"))?;
            headers
                .try_append(field, value)
                .map_err(|_| Problem::new("there are too many fields", "leave some out"))?;
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_becomes_a_host_and_a_target() {
        for (url, expected) in [
            (
                "http://www.example.org:8080/a?b=c",
                Some((Some("www.example.org:8080"), "/a?b=c")),
            ),
            ("https://a", Some((Some("a"), "/"))),
            ("http://a?b", Some((Some("a"), "/?b"))),
            ("http://a/b#c", Some((Some("a"), "/b"))),
            ("/a?b", Some((None, "/a?b"))),
            ("//a/b", Some((None, "//a/b"))),
            ("ftp://a/", None),
            ("a/b", None),
            ("http://", None),
            ("/a b", None),
            ("", None),
        ] {
            let question = ExplainRequest {
                url: url.to_owned(),
                ..ExplainRequest::default()
            };
            let subject = subject(&question).ok();
            let found = subject.as_ref().map(|subject| {
                let target = subject.request.uri().path_and_query().unwrap().as_str();
                (
                    subject.host.as_ref().map(|host| host.to_str().unwrap()),
                    target,
                )
            });
            assert_eq!(found, expected, "{url}");
        }
    }
}
