//! What is assumed where a log doesn't tell it, and how to state it otherwise.

use std::time::Duration;

use http::HeaderValue;

use tero_config::units;
use tero_semantics::authority::Scheme;
use tero_semantics::path::PathPattern;

/// The longest that a next hop takes, by a log or by what is assumed.
pub const MAX_LATENCY: Duration = Duration::from_secs(60);

/// What is assumed of requests and of next hops.
#[derive(Clone, Debug)]
pub struct Assumptions {
    /// The host of requests whose line has none.
    pub host: String,
    /// The scheme of requests whose line has none.
    pub scheme: Scheme,
    /// `Accept-Encoding` of requests whose line has none.
    pub accept_encoding: Option<HeaderValue>,
    /// How long a next hop takes for an answer, where the log doesn't tell.
    pub latency: Duration,
    /// The length of content that the log never shows, in bytes.
    pub size: u64,
    /// `Cache-Control` of responses by path, where the log doesn't tell it. The first that fits holds.
    pub cache_control: Vec<(PathPattern, HeaderValue)>,
    /// `Vary` of responses by path, where the log doesn't tell it.
    pub vary: Vec<(PathPattern, HeaderValue)>,
    /// When a response that is validated still holds.
    pub validators: ValidatorRule,
}

/// What next hops are assumed to do about validation (RFC 9111 §4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValidatorRule {
    /// Responses have the validators that the log tells.
    #[default]
    Log,
    /// Each response has an `ETag`, which changes with the length of its content.
    Length,
}

impl Default for Assumptions {
    fn default() -> Assumptions {
        Assumptions {
            host: "localhost".to_owned(),
            scheme: Scheme::Http,
            accept_encoding: None,
            latency: Duration::from_millis(200),
            size: 20 << 10,
            cache_control: Vec::new(),
            vary: Vec::new(),
            validators: ValidatorRule::Log,
        }
    }
}

/// An assumption, for people.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AssumptionNote {
    /// What the log doesn't tell.
    pub untold: &'static str,
    /// What is assumed.
    pub assumed: String,
    /// How to state it otherwise.
    pub otherwise: &'static str,
}

/// An assumption that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--assume {text}: {fault}")]
pub struct AssumptionError {
    text: String,
    fault: String,
}

const NAMES: &str = "host, scheme, accept-encoding, latency, size, cache-control, vary, validators";

impl Assumptions {
    /// Takes an assumption: `NAME=VALUE`. `cache-control` and `vary` may be stated for a path:
    /// `cache-control=/static/*: max-age=3600`; a later one does not replace an earlier one.
    ///
    /// # Errors
    /// [`AssumptionError`] with what is wrong with it.
    pub fn state(&mut self, text: &str) -> Result<(), AssumptionError> {
        self.take(text).map_err(|fault| AssumptionError {
            text: text.to_owned(),
            fault,
        })
    }

    fn take(&mut self, text: &str) -> Result<(), String> {
        let (name, value) = text
            .split_once('=')
            .ok_or("it is not NAME=VALUE".to_owned())?;
        let (name, value) = (name.trim(), value.trim());
        match name {
            "host" if !value.is_empty() && !value.contains(['/', ' ']) => {
                self.host = value.to_ascii_lowercase();
            }
            "host" => return Err("it is not a host".to_owned()),
            "scheme" => {
                self.scheme = Scheme::from_name(value).ok_or("it is http or https".to_owned())?;
            }
            "accept-encoding" => self.accept_encoding = Some(field(value)?),
            "latency" => {
                self.latency = units::duration(value)
                    .filter(|latency| *latency <= MAX_LATENCY)
                    .ok_or("it is a duration of at most 1min, such as 200ms".to_owned())?;
            }
            "size" => {
                self.size = units::size(value).ok_or("it is a size, such as 20KiB".to_owned())?;
            }
            "cache-control" => self.cache_control.push(by_path(value)?),
            "vary" => self.vary.push(by_path(value)?),
            "validators" => {
                self.validators = match value {
                    "log" => ValidatorRule::Log,
                    "length" => ValidatorRule::Length,
                    _ => return Err("it is log or length".to_owned()),
                };
            }
            _ => return Err(format!("nothing has that name; there are {NAMES}")),
        }
        Ok(())
    }

    /// All assumptions, for a report.
    pub fn notes(&self) -> Vec<AssumptionNote> {
        let note = |untold, assumed: String, otherwise| AssumptionNote {
            untold,
            assumed,
            otherwise,
        };
        let rules = |rules: &[(PathPattern, HeaderValue)], none: &str| match rules {
            [] => none.to_owned(),
            rules => {
                let rules = rules.iter().map(|(pattern, value)| {
                    let value = String::from_utf8_lossy(value.as_bytes());
                    format!("{}: {value}", pattern.as_str())
                });
                rules.collect::<Vec<_>>().join("; ")
            }
        };
        vec![
            note(
                "host and scheme of a request",
                format!("{}://{}", self.scheme.as_str(), self.host),
                "--assume host=NAME, --assume scheme=https",
            ),
            note(
                "Cache-Control of the origin",
                rules(
                    &self.cache_control,
                    "none: policies, cache_control and default_ttl of the site decide",
                ),
                "--assume 'cache-control=/static/*: max-age=3600'",
            ),
            note(
                "Vary of the origin",
                rules(&self.vary, "none"),
                "--assume 'vary=/*: Accept-Language'",
            ),
            note(
                "whether a stored response still holds",
                match self.validators {
                    ValidatorRule::Log => "as ETag in the log says; without one it is fetched anew",
                    ValidatorRule::Length => "as long as its length stays",
                }
                .to_owned(),
                "--assume validators=length",
            ),
            note(
                "how long the origin takes",
                format!(
                    "{} where the log doesn't say, and at most {}",
                    units::show_duration(self.latency),
                    units::show_duration(MAX_LATENCY)
                ),
                "--assume latency=200ms",
            ),
            note(
                "the length of content where a line doesn't say it",
                format!(
                    "the length that its URL had last, or {}",
                    units::show_size(self.size)
                ),
                "--assume size=20KiB",
            ),
            note(
                "the type of content",
                "by the ending of its path, or text/html".to_owned(),
                "a log with Content-Type",
            ),
            note(
                "cookies and credentials of clients",
                "none".to_owned(),
                "a log with these fields",
            ),
            note(
                "purges, maintenance, and origins that are full or slow",
                "none".to_owned(),
                "nothing does so far",
            ),
            note(
                "the pages of sitemaps",
                "none: plans fetch what lists, popularity and policies name".to_owned(),
                "url_files in the plan",
            ),
            note(
                "content that the edge codes, disks, other nodes",
                "nothing of it is in memory or elsewhere".to_owned(),
                "nothing does so far",
            ),
        ]
    }
}

/// `PATTERN: VALUE`, or a value for all paths.
fn by_path(text: &str) -> Result<(PathPattern, HeaderValue), String> {
    let (pattern, value) = match text.split_once(':') {
        Some((pattern, value)) if pattern.starts_with(['/', '*']) => (pattern.trim(), value.trim()),
        _ => ("/*", text),
    };
    let pattern: PathPattern = pattern
        .parse()
        .map_err(|_| format!("{pattern} is not a pattern of paths"))?;
    Ok((pattern, field(value)?))
}

fn field(value: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(value).map_err(|_| "it is not a field's value".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assumptions_are_stated_one_by_one() {
        let mut assumptions = Assumptions::default();
        for text in [
            "host=Www.Example",
            "scheme=https",
            "latency=1s",
            "size=1MiB",
            "cache-control=/static/*: max-age=3600",
            "cache-control=no-cache",
            "vary=/*: Accept-Language",
            "validators=length",
            "accept-encoding=gzip, br",
        ] {
            assumptions.state(text).unwrap();
        }
        assert_eq!(assumptions.host, "www.example");
        assert_eq!(assumptions.scheme, Scheme::Https);
        assert_eq!(assumptions.latency, Duration::from_secs(1));
        let rules: Vec<_> = assumptions
            .cache_control
            .iter()
            .map(|(pattern, value)| (pattern.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(rules, [("/static/*", "max-age=3600"), ("/*", "no-cache")]);
        assert_eq!(assumptions.notes().len(), 11);
    }

    #[test]
    fn what_can_not_be_assumed_is_refused_with_the_reason() {
        for (text, fault) in [
            ("latency", "it is not NAME=VALUE"),
            (
                "latency=2h",
                "it is a duration of at most 1min, such as 200ms",
            ),
            ("size=many", "it is a size, such as 20KiB"),
            ("scheme=ftp", "it is http or https"),
            ("host=a/b", "it is not a host"),
            ("validators=x", "it is log or length"),
            ("vary=/*: a\u{7f}b", "it is not a field's value"),
        ] {
            let error = Assumptions::default().state(text).unwrap_err().to_string();
            assert_eq!(error, format!("--assume {text}: {fault}"));
        }
        let error = Assumptions::default().state("colour=red").unwrap_err();
        assert!(error.to_string().contains("there are host, scheme"));
    }
}
