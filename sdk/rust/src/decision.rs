//! The decisions of policies. A field that is `None` is left to the site's next policy, and then to
//! the edge.

use crate::Duration;

/// Whether the cache is used for a request.
///
/// ```
/// use tero_policy::{Lookup, RequestDecision};
///
/// assert_eq!(RequestDecision::pass().lookup, Some(Lookup::Pass));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// The request is looked up, and its response may be stored.
    Cache,
    /// The request passes to the origin: it is not looked up, and its response is not stored.
    Pass,
}

/// The query parameters that count. A name may end in `*`: `utm_*` means every name that begins
/// with `utm_`.
///
/// ```
/// use tero_policy::{QueryParameters, QueryRule, RequestDecision};
///
/// let parameters = QueryParameters::Only(vec!["page".to_owned()]);
/// let decision = RequestDecision::new().query(QueryRule { parameters, sort: false });
/// assert!(decision.query.is_some());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum QueryParameters {
    /// All parameters.
    #[default]
    All,
    /// All parameters except these.
    Ignore(Vec<String>),
    /// Only these parameters.
    Only(Vec<String>),
}

/// The rule by which the query becomes part of the key. Parameters that do not count are not sent
/// to the origin either.
///
/// ```
/// use tero_policy::QueryRule;
///
/// let rule = QueryRule { sort: true, ..QueryRule::default() };
/// assert_eq!(rule.parameters, tero_policy::QueryParameters::All);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct QueryRule {
    /// The parameters that count.
    pub parameters: QueryParameters,
    /// Whether the order of parameters is ignored: `?b=2&a=1` is then the same as `?a=1&b=2`.
    pub sort: bool,
}

/// A decision about a request.
///
/// ```
/// use tero_policy::RequestDecision;
///
/// let decision = RequestDecision::cache()
///     .variant("mobile")
///     .ignore_query(["utm_*", "fbclid"])
///     .because("a phone");
/// assert_eq!(decision.variant.as_deref(), Some("mobile"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestDecision {
    /// Whether the request is looked up or passes. `Pass` of any policy wins.
    pub lookup: Option<Lookup>,
    /// The variant, one of the manifest's.
    pub variant: Option<String>,
    /// The rule for the query.
    pub query: Option<QueryRule>,
    /// The reason, for people who read `Cache-Status`; see [`RequestDecision::because`].
    pub reason: Option<String>,
}

impl RequestDecision {
    /// Decides nothing.
    ///
    /// ```
    /// # use tero_policy::RequestDecision;
    /// assert_eq!(RequestDecision::new(), RequestDecision::default());
    /// ```
    pub fn new() -> RequestDecision {
        RequestDecision::default()
    }

    /// Looks the request up, unless another policy passes it.
    ///
    /// ```
    /// # use tero_policy::{Lookup, RequestDecision};
    /// assert_eq!(RequestDecision::cache().lookup, Some(Lookup::Cache));
    /// ```
    pub fn cache() -> RequestDecision {
        RequestDecision {
            lookup: Some(Lookup::Cache),
            ..RequestDecision::default()
        }
    }

    /// Passes the request to the origin.
    ///
    /// ```
    /// # use tero_policy::{Lookup, RequestDecision};
    /// assert_eq!(RequestDecision::pass().lookup, Some(Lookup::Pass));
    /// ```
    pub fn pass() -> RequestDecision {
        RequestDecision {
            lookup: Some(Lookup::Pass),
            ..RequestDecision::default()
        }
    }

    /// Chooses a variant, which the manifest must declare.
    ///
    /// ```
    /// # use tero_policy::RequestDecision;
    /// let decision = RequestDecision::new().variant("mobile");
    /// assert_eq!(decision.variant.as_deref(), Some("mobile"));
    /// ```
    pub fn variant(mut self, name: impl Into<String>) -> RequestDecision {
        self.variant = Some(name.into());
        self
    }

    /// Ignores these query parameters and the order of the others.
    ///
    /// ```
    /// # use tero_policy::{QueryParameters, RequestDecision};
    /// let rule = RequestDecision::new().ignore_query(["utm_*"]).query.unwrap();
    /// assert_eq!(rule.parameters, QueryParameters::Ignore(vec!["utm_*".to_owned()]));
    /// assert!(rule.sort);
    /// ```
    pub fn ignore_query<S: Into<String>>(
        self,
        names: impl IntoIterator<Item = S>,
    ) -> RequestDecision {
        self.query(QueryRule {
            parameters: QueryParameters::Ignore(names.into_iter().map(Into::into).collect()),
            sort: true,
        })
    }

    /// Uses only these query parameters, in any order.
    ///
    /// ```
    /// # use tero_policy::{QueryParameters, RequestDecision};
    /// let rule = RequestDecision::new().only_query(["page"]).query.unwrap();
    /// assert_eq!(rule.parameters, QueryParameters::Only(vec!["page".to_owned()]));
    /// assert!(rule.sort);
    /// ```
    pub fn only_query<S: Into<String>>(
        self,
        names: impl IntoIterator<Item = S>,
    ) -> RequestDecision {
        self.query(QueryRule {
            parameters: QueryParameters::Only(names.into_iter().map(Into::into).collect()),
            sort: true,
        })
    }

    /// Sets the rule for the query.
    ///
    /// ```
    /// # use tero_policy::{QueryRule, RequestDecision};
    /// let decision = RequestDecision::new().query(QueryRule::default());
    /// assert_eq!(decision.query, Some(QueryRule::default()));
    /// ```
    pub fn query(mut self, rule: QueryRule) -> RequestDecision {
        self.query = Some(rule);
        self
    }

    /// Sets the reason, for people who read `Cache-Status`. Accents are dropped, other characters
    /// beyond printable ASCII become `?`, and it is cut at 200 bytes.
    ///
    /// ```
    /// # use tero_policy::RequestDecision;
    /// let decision = RequestDecision::pass().because("día feriado");
    /// assert_eq!(decision.reason.as_deref(), Some("dia feriado"));
    /// ```
    pub fn because(mut self, reason: impl AsRef<str>) -> RequestDecision {
        self.reason = Some(printable(reason.as_ref()));
        self
    }
}

/// Whether a response is stored.
///
/// ```
/// use tero_policy::{ResponseDecision, Storing};
///
/// assert_eq!(ResponseDecision::never().storing, Storing::Never);
/// assert_eq!(ResponseDecision::by_headers().storing, Storing::ByHeaders);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Storing {
    /// Left to the next policy, and then to the response's own fields.
    #[default]
    ByHeaders,
    /// Never stored, whatever its fields say.
    Never,
    /// Stored even if the fields give no lifetime. The edge's safety rules still apply.
    Always,
}

/// A decision about a response.
///
/// ```
/// use tero_policy::{Duration, ResponseDecision};
///
/// let decision = ResponseDecision::cache_for(Duration::from_mins(2))
///     .stale_if_error(Duration::from_days(1))
///     .tag("pages")
///     .because("open");
/// assert_eq!(decision.ttl, Some(Duration::from_secs(120)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseDecision {
    /// Whether the response is stored.
    pub storing: Storing,
    /// How long the response is fresh at the edge.
    pub ttl: Option<Duration>,
    /// How long a browser may keep it: the edge sends it as `Cache-Control: max-age`.
    pub browser_ttl: Option<Duration>,
    /// How much longer it is served stale while it is revalidated (RFC 5861 §3).
    pub stale_while_revalidate: Option<Duration>,
    /// How much longer it is served stale if the origin fails (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
    /// The surrogate keys: at most 64, of 1 to 128 bytes of visible ASCII each.
    pub tags: Vec<String>,
    /// The reason, for people who read `Cache-Status`; see [`ResponseDecision::because`].
    pub reason: Option<String>,
}

impl ResponseDecision {
    /// Leaves storing and lifetime to the response's own fields.
    ///
    /// ```
    /// # use tero_policy::ResponseDecision;
    /// assert_eq!(ResponseDecision::by_headers(), ResponseDecision::default());
    /// ```
    pub fn by_headers() -> ResponseDecision {
        ResponseDecision::default()
    }

    /// Does not store the response, whatever its fields say.
    ///
    /// ```
    /// # use tero_policy::{ResponseDecision, Storing};
    /// assert_eq!(ResponseDecision::never().storing, Storing::Never);
    /// ```
    pub fn never() -> ResponseDecision {
        ResponseDecision {
            storing: Storing::Never,
            ..ResponseDecision::default()
        }
    }

    /// Stores the response, fresh for `ttl`, even if its fields give no lifetime.
    ///
    /// ```
    /// # use tero_policy::{Duration, ResponseDecision, Storing};
    /// let decision = ResponseDecision::cache_for(Duration::from_mins(1));
    /// assert_eq!(decision.storing, Storing::Always);
    /// assert_eq!(decision.ttl, Some(Duration::from_mins(1)));
    /// ```
    pub fn cache_for(ttl: Duration) -> ResponseDecision {
        ResponseDecision {
            storing: Storing::Always,
            ttl: Some(ttl),
            ..ResponseDecision::default()
        }
    }

    /// Makes the response fresh for `ttl`, if it is stored.
    ///
    /// ```
    /// # use tero_policy::{Duration, ResponseDecision, Storing};
    /// let decision = ResponseDecision::by_headers().ttl(Duration::from_mins(1));
    /// assert_eq!(decision.storing, Storing::ByHeaders);
    /// assert_eq!(decision.ttl, Some(Duration::from_mins(1)));
    /// ```
    pub fn ttl(mut self, ttl: Duration) -> ResponseDecision {
        self.ttl = Some(ttl);
        self
    }

    /// Sets how long a browser may keep the response: the edge sends it as
    /// `Cache-Control: max-age`.
    ///
    /// ```
    /// # use tero_policy::{Duration, ResponseDecision};
    /// let decision = ResponseDecision::by_headers().browser_ttl(Duration::from_mins(1));
    /// assert_eq!(decision.browser_ttl, Some(Duration::from_mins(1)));
    /// ```
    pub fn browser_ttl(mut self, ttl: Duration) -> ResponseDecision {
        self.browser_ttl = Some(ttl);
        self
    }

    /// Serves the response stale for this long while it is revalidated.
    ///
    /// ```
    /// # use tero_policy::{Duration, ResponseDecision};
    /// let window = Duration::from_mins(5);
    /// let decision = ResponseDecision::by_headers().stale_while_revalidate(window);
    /// assert_eq!(decision.stale_while_revalidate, Some(window));
    /// ```
    pub fn stale_while_revalidate(mut self, duration: Duration) -> ResponseDecision {
        self.stale_while_revalidate = Some(duration);
        self
    }

    /// Serves the response stale for this long if the origin fails.
    ///
    /// ```
    /// # use tero_policy::{Duration, ResponseDecision};
    /// let decision = ResponseDecision::by_headers().stale_if_error(Duration::from_days(1));
    /// assert_eq!(decision.stale_if_error, Some(Duration::from_days(1)));
    /// ```
    pub fn stale_if_error(mut self, duration: Duration) -> ResponseDecision {
        self.stale_if_error = Some(duration);
        self
    }

    /// Adds a surrogate key.
    ///
    /// ```
    /// # use tero_policy::ResponseDecision;
    /// assert_eq!(ResponseDecision::by_headers().tag("product:42").tags, ["product:42"]);
    /// ```
    pub fn tag(mut self, tag: impl Into<String>) -> ResponseDecision {
        self.tags.push(tag.into());
        self
    }

    /// Adds surrogate keys.
    ///
    /// ```
    /// # use tero_policy::ResponseDecision;
    /// let decision = ResponseDecision::by_headers().tags(["pages", "product:42"]);
    /// assert_eq!(decision.tags, ["pages", "product:42"]);
    /// ```
    pub fn tags<S: Into<String>>(mut self, tags: impl IntoIterator<Item = S>) -> ResponseDecision {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Sets the reason, for people who read `Cache-Status`. Accents are dropped, other characters
    /// beyond printable ASCII become `?`, and it is cut at 200 bytes.
    ///
    /// ```
    /// # use tero_policy::ResponseDecision;
    /// let decision = ResponseDecision::never().because("día feriado");
    /// assert_eq!(decision.reason.as_deref(), Some("dia feriado"));
    /// ```
    pub fn because(mut self, reason: impl AsRef<str>) -> ResponseDecision {
        self.reason = Some(printable(reason.as_ref()));
        self
    }
}

/// The text in printable ASCII, as the contract requires. Names of holidays have accents.
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
