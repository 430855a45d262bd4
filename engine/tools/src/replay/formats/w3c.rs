//! W3C extended log format: `#Fields:` names the columns of the lines after it. CloudFront splits
//! columns by tabs, IIS by spaces; both encode what clients send, so that a value has neither.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::draft::RecordDraft;
use super::fields::{LogFact, TimeUnit, of_column};
use crate::replay::record::{LineFault, LogRecord};

/// The columns of lines, as `#Fields:` names them.
#[derive(Clone, Debug)]
pub(super) struct W3cColumns {
    facts: Vec<Option<LogFact>>,
    /// The writer is CloudFront, which encodes values as URLs do; IIS writes `+` for a space.
    is_cloudfront: bool,
    /// What stands between values; `None` before the first line.
    delimiter: Option<char>,
}

impl W3cColumns {
    /// The names of a directive, without its `#`; `None` for other directives.
    pub(super) fn names(directive: &str) -> Option<&str> {
        directive.trim_start().strip_prefix("Fields:")
    }

    /// Columns by their names.
    pub(super) fn of(names: &str) -> W3cColumns {
        let names: Vec<&str> = names.split_ascii_whitespace().collect();
        let is_cloudfront = names.iter().any(|name| name.starts_with("x-edge-"));
        let has_visible_host = names.contains(&"x-host-header");
        let facts = names.iter().map(|name| match *name {
            // The host of the distribution, where another column has the client's.
            "cs(Host)" if has_visible_host => None,
            // CloudFront counts seconds, IIS milliseconds.
            "time-taken" if is_cloudfront => Some(LogFact::Took(TimeUnit::Seconds)),
            "time-taken" => Some(LogFact::Took(TimeUnit::Milliseconds)),
            name => of_column(name),
        });
        W3cColumns {
            facts: facts.collect(),
            is_cloudfront,
            delimiter: None,
        }
    }

    /// Reads a line.
    pub(super) fn record(&mut self, line: &str) -> Result<LogRecord, LineFault> {
        let delimiter = match self.delimiter {
            Some(delimiter) => delimiter,
            None => {
                let count = |delimiter| line.split(delimiter).count();
                let delimiter = if count('\t') == self.facts.len() && self.facts.len() > 1 {
                    '\t'
                } else if count(' ') == self.facts.len() {
                    ' '
                } else {
                    return Err(LineFault::Fields);
                };
                *self.delimiter.insert(delimiter)
            }
        };
        if line.split(delimiter).count() != self.facts.len() {
            return Err(LineFault::Fields);
        }
        let mut draft = RecordDraft::default();
        for (fact, value) in self.facts.iter().zip(line.split(delimiter)) {
            if let Some(fact) = fact {
                draft.set(fact, self.plain(fact, value));
            }
        }
        draft.finish()
    }

    /// A value as the client sent it.
    fn plain<'l>(&self, fact: &LogFact, value: &'l str) -> Cow<'l, str> {
        match fact {
            LogFact::Path | LogFact::Query | LogFact::Target if self.is_cloudfront => {
                encoded_once(value)
            }
            LogFact::RequestField(_) | LogFact::ResponseField(_) if self.is_cloudfront => {
                decoded(value)
            }
            LogFact::RequestField(_) if value.contains('+') => Cow::Owned(value.replace('+', " ")),
            _ => Cow::Borrowed(value),
        }
    }
}

/// A part of a URL: where the writer encoded a percent sign that stood before two digits, the sign is
/// taken back. Other encoded bytes are as good as the plain ones.
fn encoded_once(value: &str) -> Cow<'_, str> {
    if !value.contains("%25") {
        return Cow::Borrowed(value);
    }
    let mut plain = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find("%25") {
        let after = &rest[at + 3..];
        plain.push_str(&rest[..at]);
        let is_code = after.len() >= 2 && after.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
        plain.push_str(if is_code { "%" } else { "%25" });
        rest = after;
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// The value of a field. Older logs have it encoded twice.
fn decoded(value: &str) -> Cow<'_, str> {
    if !value.contains('%') {
        return Cow::Borrowed(value);
    }
    let once = percent_decode_str(value).decode_utf8_lossy();
    if once.contains("%20") && !once.contains(' ') {
        return Cow::Owned(percent_decode_str(&once).decode_utf8_lossy().into_owned());
    }
    once
}
