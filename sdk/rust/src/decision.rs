//! What a policy decides. A field left out is left to the site's next policy, and then to the edge.

use crate::Duration;

/// Whether the cache takes part in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// Look up and store.
    Cache,
    /// Neither look up nor store: the request goes to the origin.
    Pass,
}

/// Which query parameters count. Names may end in `*`: `utm_*` is every name that begins with
/// `utm_`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum QueryParameters {
    /// All of them.
    #[default]
    All,
    /// All but these.
    Ignore(Vec<String>),
    /// None but these.
    Only(Vec<String>),
}

/// How the query becomes part of the key. What does not count is not sent to the origin either.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct QueryRule {
    /// Which parameters count.
    pub parameters: QueryParameters,
    /// Whether `?b=2&a=1` and `?a=1&b=2` are the same.
    pub sort: bool,
}

/// What a policy decides about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestDecision {
    /// Look up or pass. `Pass` from any policy wins.
    pub lookup: Option<Lookup>,
    /// One of the manifest's variants.
    pub variant: Option<String>,
    /// Which query parameters count.
    pub query: Option<QueryRule>,
    /// For people, in `Cache-Status`; see [`RequestDecision::because`].
    pub reason: Option<String>,
}

impl RequestDecision {
    /// Decides nothing.
    pub fn new() -> RequestDecision {
        RequestDecision::default()
    }

    /// Look up and store, unless another policy passes.
    pub fn cache() -> RequestDecision {
        RequestDecision {
            lookup: Some(Lookup::Cache),
            ..RequestDecision::default()
        }
    }

    /// Neither look up nor store.
    pub fn pass() -> RequestDecision {
        RequestDecision {
            lookup: Some(Lookup::Pass),
            ..RequestDecision::default()
        }
    }

    /// In that variant, which the manifest declares.
    pub fn variant(mut self, name: impl Into<String>) -> RequestDecision {
        self.variant = Some(name.into());
        self
    }

    /// All query parameters count but these, and their order does not.
    pub fn ignore_query<S: Into<String>>(
        self,
        names: impl IntoIterator<Item = S>,
    ) -> RequestDecision {
        self.query(QueryRule {
            parameters: QueryParameters::Ignore(names.into_iter().map(Into::into).collect()),
            sort: true,
        })
    }

    /// No query parameters count but these, and their order does not.
    pub fn only_query<S: Into<String>>(
        self,
        names: impl IntoIterator<Item = S>,
    ) -> RequestDecision {
        self.query(QueryRule {
            parameters: QueryParameters::Only(names.into_iter().map(Into::into).collect()),
            sort: true,
        })
    }

    /// With that rule for the query.
    pub fn query(mut self, rule: QueryRule) -> RequestDecision {
        self.query = Some(rule);
        self
    }

    /// For people, in `Cache-Status`: accents are dropped, other characters than printable ASCII
    /// become `?`, and it is cut at 200 bytes.
    pub fn because(mut self, reason: impl AsRef<str>) -> RequestDecision {
        self.reason = Some(printable(reason.as_ref()));
        self
    }
}

/// Whether to store a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Storing {
    /// Left to the next policy, and then to the response's own fields.
    #[default]
    ByHeaders,
    /// Not, whatever they say.
    Never,
    /// Also where the fields give no lifetime; the safety floor of the edge still holds.
    Always,
}

/// What a policy decides about a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseDecision {
    /// Whether to store.
    pub storing: Storing,
    /// How long the edge serves it as fresh.
    pub ttl: Option<Duration>,
    /// What `Cache-Control: max-age` tells the visitor's browser.
    pub browser_ttl: Option<Duration>,
    /// How long after that it is served stale while it is revalidated (RFC 5861 §3).
    pub stale_while_revalidate: Option<Duration>,
    /// How long it is served stale when the origin fails (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
    /// Surrogate keys: 1 to 128 bytes of visible ASCII each, at most 64.
    pub tags: Vec<String>,
    /// For people, in `Cache-Status`; see [`ResponseDecision::because`].
    pub reason: Option<String>,
}

impl ResponseDecision {
    /// Leaves storing and lifetime to the response's own fields.
    pub fn by_headers() -> ResponseDecision {
        ResponseDecision::default()
    }

    /// Not stored, whatever the fields say.
    pub fn never() -> ResponseDecision {
        ResponseDecision {
            storing: Storing::Never,
            ..ResponseDecision::default()
        }
    }

    /// Stored and fresh for `ttl`, also where the fields give no lifetime.
    pub fn cache_for(ttl: Duration) -> ResponseDecision {
        ResponseDecision {
            storing: Storing::Always,
            ttl: Some(ttl),
            ..ResponseDecision::default()
        }
    }

    /// Fresh for `ttl`, if it is stored.
    pub fn ttl(mut self, ttl: Duration) -> ResponseDecision {
        self.ttl = Some(ttl);
        self
    }

    /// What `Cache-Control: max-age` tells the visitor's browser.
    pub fn browser_ttl(mut self, ttl: Duration) -> ResponseDecision {
        self.browser_ttl = Some(ttl);
        self
    }

    /// Served stale for that long while it is revalidated.
    pub fn stale_while_revalidate(mut self, duration: Duration) -> ResponseDecision {
        self.stale_while_revalidate = Some(duration);
        self
    }

    /// Served stale for that long when the origin fails.
    pub fn stale_if_error(mut self, duration: Duration) -> ResponseDecision {
        self.stale_if_error = Some(duration);
        self
    }

    /// With one more surrogate key.
    pub fn tag(mut self, tag: impl Into<String>) -> ResponseDecision {
        self.tags.push(tag.into());
        self
    }

    /// With more surrogate keys.
    pub fn tags<S: Into<String>>(mut self, tags: impl IntoIterator<Item = S>) -> ResponseDecision {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// For people, in `Cache-Status`: accents are dropped, other characters than printable ASCII
    /// become `?`, and it is cut at 200 bytes.
    pub fn because(mut self, reason: impl AsRef<str>) -> ResponseDecision {
        self.reason = Some(printable(reason.as_ref()));
        self
    }
}

/// The contract wants printable ASCII, and holidays are called "Día de la Independencia".
fn printable(text: &str) -> String {
    if text.len() <= 200 && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    text.chars().take(200).map(plain).collect()
}

const ACCENTED: [(&str, char); 16] = [
    ("áàâäãå", 'a'),
    ("éèêë", 'e'),
    ("íìîï", 'i'),
    ("óòôöõ", 'o'),
    ("úùûü", 'u'),
    ("ñ", 'n'),
    ("ç", 'c'),
    ("ÁÀÂÄÃÅ", 'A'),
    ("ÉÈÊË", 'E'),
    ("ÍÌÎÏ", 'I'),
    ("ÓÒÔÖÕ", 'O'),
    ("ÚÙÛÜ", 'U'),
    ("Ñ", 'N'),
    ("Ç", 'C'),
    ("–—", '-'),
    ("’‘", '\''),
];

fn plain(c: char) -> char {
    match c {
        ' '..='~' => c,
        _ => ACCENTED
            .iter()
            .find(|(accented, _)| accented.contains(c))
            .map_or('?', |(_, plain)| *plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_made_printable_and_short() {
        let reason = |text: &str| RequestDecision::new().because(text).reason.unwrap();
        assert_eq!(
            reason("holiday: Día de la Niñez"),
            "holiday: Dia de la Ninez"
        );
        assert_eq!(reason("a\nb\u{1f600}"), "a?b?");
        assert_eq!(reason(&"é".repeat(300)), "e".repeat(200));
        assert_eq!(
            ResponseDecision::never().because("ünï").reason.unwrap(),
            "uni"
        );
    }
}
