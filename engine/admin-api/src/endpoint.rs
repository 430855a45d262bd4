//! What a request of the interface is: a method, a path, what is sent along, what is answered.

use std::fmt;

use http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Problem;

/// The media type of JSON.
pub const JSON: &str = "application/json";
/// The media type of metrics in Prometheus's own text format.
pub const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The media type of metrics in the text format of OpenMetrics.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A request that the interface takes.
pub trait Endpoint {
    /// Its name, as in `push_version`.
    const NAME: &'static str;
    /// Its method.
    const METHOD: Method;
    /// Its path, with parameters in braces: `/policies/{policy}`.
    const PATH: &'static str;
    /// The status of a good answer.
    const STATUS: StatusCode;
    /// The status of a good answer that leaves something to be done; `None` if there is no such.
    const OTHER_STATUS: Option<StatusCode> = None;
    /// Whether it needs no token: probes can't carry one.
    const IS_OPEN: bool;
    /// The statuses of refusals that it gives itself, beside those that every request may get.
    const REFUSALS: &'static [u16];
    /// What it does: a summary, an empty line, and more.
    const DOC: &'static [&'static str];
    /// What is sent along.
    type Request: Question;
    /// What a good answer says.
    type Response: Answer;

    /// The status of this answer.
    fn status_of(_: &Self::Response) -> StatusCode {
        Self::STATUS
    }
}

/// The parts of an [`Endpoint`] that are values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointInfo {
    /// [`Endpoint::NAME`].
    pub name: &'static str,
    /// [`Endpoint::METHOD`].
    pub method: Method,
    /// [`Endpoint::PATH`].
    pub path: &'static str,
    /// [`Endpoint::IS_OPEN`].
    pub is_open: bool,
}

impl EndpointInfo {
    /// Those of `E`.
    pub const fn of<E: Endpoint>() -> EndpointInfo {
        EndpointInfo {
            name: E::NAME,
            method: E::METHOD,
            path: E::PATH,
            is_open: E::IS_OPEN,
        }
    }
}

/// What is sent along with a request: a query, a content, or nothing.
pub trait Question: Sized {
    /// The media type of the content; `None` if there is no content.
    const MEDIA_TYPE: Option<&'static str>;

    /// The query with its question mark; empty if there is none.
    fn query(&self) -> String {
        String::new()
    }

    /// The bytes of the content.
    fn content(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Reads it from the query without its question mark, and the content.
    ///
    /// # Errors
    /// [`Problem`] when they are not of the form that the request takes.
    fn read(query: Option<&str>, content: &[u8]) -> Result<Self, Problem>;
}

/// Nothing is sent along; what comes all the same is not looked at.
impl Question for () {
    const MEDIA_TYPE: Option<&'static str> = None;

    fn read(_: Option<&str>, _: &[u8]) -> Result<(), Problem> {
        Ok(())
    }
}

/// A [`Question`] whose content is JSON.
pub trait JsonQuestion: Serialize + DeserializeOwned {
    /// An example, for those who sent something else.
    const FORM: &'static str;
}

impl<T: JsonQuestion> Question for T {
    const MEDIA_TYPE: Option<&'static str> = Some(JSON);

    fn content(&self) -> Vec<u8> {
        to_json(self).into_bytes()
    }

    fn read(_: Option<&str>, content: &[u8]) -> Result<T, Problem> {
        serde_json::from_slice(content).map_err(|error| {
            Problem::new(
                format!("the content is not what this request takes: {error}"),
                format!("write {}", T::FORM),
            )
        })
    }
}

/// What a request is answered with.
pub trait Answer: Sized {
    /// Its media type, unless another one is asked for.
    const MEDIA_TYPE: &'static str;
    /// The media type that can be asked for instead.
    const OTHER_MEDIA_TYPE: Option<&'static str> = None;

    /// The media type of this answer.
    fn media_type(&self) -> &'static str {
        Self::MEDIA_TYPE
    }

    /// The content of the answer.
    fn to_text(&self) -> String;

    /// Reads the content of an answer.
    ///
    /// # Errors
    /// When it is something else.
    fn read(content: &[u8]) -> Result<Self, serde_json::Error>;
}

/// JSON in one line, with a line feed at its end.
impl<T: Serialize + DeserializeOwned> Answer for T {
    const MEDIA_TYPE: &'static str = JSON;

    fn to_text(&self) -> String {
        to_json(self) + "\n"
    }

    fn read(content: &[u8]) -> Result<T, serde_json::Error> {
        serde_json::from_slice(content)
    }
}

/// Metrics as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsText {
    /// The text.
    pub text: String,
    /// Whether it is in the format of OpenMetrics.
    pub is_open_metrics: bool,
}

impl Answer for MetricsText {
    const MEDIA_TYPE: &'static str = PROMETHEUS_TEXT;
    const OTHER_MEDIA_TYPE: Option<&'static str> = Some(OPEN_METRICS);

    fn media_type(&self) -> &'static str {
        if self.is_open_metrics {
            OPEN_METRICS
        } else {
            PROMETHEUS_TEXT
        }
    }

    fn to_text(&self) -> String {
        self.text.clone()
    }

    fn read(content: &[u8]) -> Result<MetricsText, serde_json::Error> {
        let text = String::from_utf8_lossy(content).into_owned();
        Ok(MetricsText {
            is_open_metrics: text.ends_with("# EOF\n"),
            text,
        })
    }
}

/// The OpenAPI document, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenApiText(pub String);

impl Answer for OpenApiText {
    const MEDIA_TYPE: &'static str = JSON;

    fn to_text(&self) -> String {
        self.0.clone()
    }

    fn read(content: &[u8]) -> Result<OpenApiText, serde_json::Error> {
        Ok(OpenApiText(String::from_utf8_lossy(content).into_owned()))
    }
}

/// The types of the contract have names for keys and finite numbers, so they always are JSON.
fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("the types of the contract can be written as JSON")
}

/// A parameter that can't stand in a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError(String);

impl fmt::Display for PathError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` is not a name", self.0.escape_debug())
    }
}

impl std::error::Error for PathError {}

/// The path of `E` with these parameters, in its order.
///
/// # Errors
/// [`PathError`] for a parameter that is not made of letters, digits, `-`, `_`, `.` and `~`.
///
/// # Panics
/// When there are more or fewer parameters than the path has.
pub fn path_of<E: Endpoint>(parameters: &[&str]) -> Result<String, PathError> {
    let mut given = parameters.iter();
    let mut path = String::with_capacity(E::PATH.len());
    for segment in E::PATH.split('/').skip(1) {
        path.push('/');
        if !segment.starts_with('{') {
            path.push_str(segment);
            continue;
        }
        let parameter = given.next().expect("each parameter of the path is given");
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        if parameter.is_empty() || !parameter.bytes().all(is_plain) {
            return Err(PathError((*parameter).to_owned()));
        }
        path.push_str(parameter);
    }
    assert!(given.next().is_none(), "{} takes fewer parameters", E::PATH);
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoints::{StopCanary, WarmRuns};

    #[test]
    fn parameters_take_their_places() {
        assert_eq!(
            path_of::<StopCanary>(&["opening-hours"]).unwrap(),
            "/policies/opening-hours/canary/stop"
        );
        assert_eq!(path_of::<WarmRuns>(&[]).unwrap(), "/warm/runs");
        for name in ["", "a/b", "a?b", "a b", "%61", "é"] {
            assert!(path_of::<StopCanary>(&[name]).is_err(), "{name}");
        }
    }
}
