//! The decisions of policies. A field that is `None` is left to the site's next policy, and then to
//! the edge.

use crate::{Answer, Duration, FieldEdit};

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

/// A rule for the query: written into the decision, or one of the manifest's.
///
/// ```
/// use tero_policy::{QueryChoice, RequestDecision};
///
/// let decision = RequestDecision::new().declared_query(0);
/// assert_eq!(decision.query, Some(QueryChoice::Declared(0)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QueryChoice {
    /// The rule at this place in [`Manifest::query_rules`](crate::Manifest::query_rules), from 0 on.
    Declared(u8),
    /// This rule.
    Rule(QueryRule),
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
    pub query: Option<QueryChoice>,
    /// Parts of the key beyond the variant, by the manifest's names: at most 8, each at most 128 bytes
    /// of printable ASCII.
    pub key_parts: Vec<(String, String)>,
    /// The path that the origin is asked for, percent-encoded. It is part of the key.
    pub rewrite_path: Option<String>,
    /// The query that the origin is asked for, without the question mark; empty for none. It is part
    /// of the key.
    pub rewrite_query: Option<String>,
    /// The origin, one of the manifest's. It is part of the key.
    pub origin: Option<String>,
    /// Changes of the request to the origin. They are part of the key.
    pub request_edits: Vec<FieldEdit>,
    /// Changes of the response to this client, whether it was stored or not.
    pub response_edits: Vec<FieldEdit>,
    /// The answer, without any origin or store.
    pub answer: Option<Answer>,
    /// A word for the access log: 1 to 64 bytes of visible ASCII.
    pub log_tag: Option<String>,
    /// The class of its rate limit, one of the manifest's.
    pub rate_class: Option<String>,
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
    /// # use tero_policy::{QueryChoice, QueryParameters, QueryRule, RequestDecision};
    /// let parameters = QueryParameters::Ignore(vec!["utm_*".to_owned()]);
    /// let rule = QueryRule { parameters, sort: true };
    /// let decision = RequestDecision::new().ignore_query(["utm_*"]);
    /// assert_eq!(decision.query, Some(QueryChoice::Rule(rule)));
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
    /// # use tero_policy::{QueryChoice, QueryParameters, QueryRule, RequestDecision};
    /// let parameters = QueryParameters::Only(vec!["page".to_owned()]);
    /// let rule = QueryRule { parameters, sort: true };
    /// let decision = RequestDecision::new().only_query(["page"]);
    /// assert_eq!(decision.query, Some(QueryChoice::Rule(rule)));
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
    /// # use tero_policy::{QueryChoice, QueryRule, RequestDecision};
    /// let decision = RequestDecision::new().query(QueryRule::default());
    /// assert_eq!(decision.query, Some(QueryChoice::Rule(QueryRule::default())));
    /// ```
    pub fn query(mut self, rule: QueryRule) -> RequestDecision {
        self.query = Some(QueryChoice::Rule(rule));
        self
    }

    /// Chooses the rule for the query at this place in
    /// [`Manifest::query_rules`](crate::Manifest::query_rules), from 0 on. This costs less than a rule
    /// that is written into each decision.
    ///
    /// ```
    /// # use tero_policy::{Manifest, QueryRule, RequestDecision};
    /// let manifest = Manifest::new().query_rules([QueryRule::default()]);
    /// let decision = RequestDecision::new().declared_query(0);
    /// assert!(decision.query.is_some() && manifest.query_rules.len() == 1);
    /// ```
    pub fn declared_query(mut self, place: u8) -> RequestDecision {
        self.query = Some(QueryChoice::Declared(place));
        self
    }

    /// Adds a part to the key: responses with different values are stored apart.
    ///
    /// ```
    /// # use tero_policy::RequestDecision;
    /// assert_eq!(RequestDecision::new().key_part("market", "ar").key_parts.len(), 1);
    /// ```
    pub fn key_part(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> RequestDecision {
        self.key_parts.push((name.into(), value.into()));
        self
    }

    /// Asks the origin for this path.
    ///
    /// ```
    /// # use tero_policy::RequestDecision;
    /// assert!(RequestDecision::new().rewrite_path("/v2/search").rewrite_path.is_some());
    /// ```
    pub fn rewrite_path(mut self, path: impl Into<String>) -> RequestDecision {
        self.rewrite_path = Some(path.into());
        self
    }

    /// Asks the origin with this query; empty for none.
    ///
    /// ```
    /// # use tero_policy::RequestDecision;
    /// assert!(RequestDecision::new().rewrite_query("page=1").rewrite_query.is_some());
    /// ```
    pub fn rewrite_query(mut self, query: impl Into<String>) -> RequestDecision {
        self.rewrite_query = Some(query.into());
        self
    }

    /// Asks this origin.
    ///
    /// ```
    /// # use tero_policy::RequestDecision;
    /// assert_eq!(RequestDecision::new().origin("eu").origin.as_deref(), Some("eu"));
    /// ```
    pub fn origin(mut self, name: impl Into<String>) -> RequestDecision {
        self.origin = Some(name.into());
        self
    }

    /// Sets a field of the request to the origin.
    ///
    /// ```
    /// # use tero_policy::RequestDecision;
    /// assert_eq!(RequestDecision::new().set_request_field("x-tenant", "a").request_edits.len(), 1);
    /// ```
    pub fn set_request_field(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> RequestDecision {
        self.request_edits.push(FieldEdit::set(name, value));
        self
    }

    /// Removes a field of the request to the origin.
    ///
    /// ```
    /// # use tero_policy::RequestDecision;
    /// assert_eq!(RequestDecision::new().remove_request_field("x-a").request_edits.len(), 1);
    /// ```
    pub fn remove_request_field(mut self, name: impl Into<String>) -> RequestDecision {
        self.request_edits.push(FieldEdit::remove(name));
        self
    }

    /// Sets a field of the response to this client.
    ///
    /// ```
    /// # use tero_policy::RequestDecision;
    /// assert_eq!(RequestDecision::new().set_response_field("x-a", "b").response_edits.len(), 1);
    /// ```
    pub fn set_response_field(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> RequestDecision {
        self.response_edits.push(FieldEdit::set(name, value));
        self
    }

    /// Removes a field of the response to this client.
    ///
    /// ```
    /// # use tero_policy::RequestDecision;
    /// assert_eq!(RequestDecision::new().remove_response_field("server").response_edits.len(), 1);
    /// ```
    pub fn remove_response_field(mut self, name: impl Into<String>) -> RequestDecision {
        self.response_edits.push(FieldEdit::remove(name));
        self
    }

    /// Answers by itself, without any origin or store.
    ///
    /// ```
    /// # use tero_policy::{Answer, RequestDecision};
    /// assert!(RequestDecision::new().answer(Answer::new(410)).answer.is_some());
    /// ```
    pub fn answer(mut self, answer: Answer) -> RequestDecision {
        self.answer = Some(answer);
        self
    }

    /// Sets the word for the access log.
    ///
    /// ```
    /// # use tero_policy::RequestDecision;
    /// assert_eq!(RequestDecision::new().log_tag("b").log_tag.as_deref(), Some("b"));
    /// ```
    pub fn log_tag(mut self, word: impl Into<String>) -> RequestDecision {
        self.log_tag = Some(word.into());
        self
    }

    /// Chooses the class of its rate limit.
    ///
    /// ```
    /// # use tero_policy::RequestDecision;
    /// assert!(RequestDecision::new().rate_class("search").rate_class.is_some());
    /// ```
    pub fn rate_class(mut self, name: impl Into<String>) -> RequestDecision {
        self.rate_class = Some(name.into());
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
    pub fn because(mut self, reason: impl Into<String>) -> RequestDecision {
        self.reason = Some(printable(reason.into()));
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

/// The instant that ends a stored response, in seconds since the Unix epoch.
///
/// ```
/// use tero_policy::{Expiry, ResponseDecision};
///
/// let decision = ResponseDecision::by_headers().stale_at(1_800_000_000);
/// assert_eq!(decision.expiry, Some(Expiry::StaleAt(1_800_000_000)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expiry {
    /// It is purged then.
    PurgeAt(u64),
    /// It is stale from then on.
    StaleAt(u64),
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
    /// How long an answer with a status of 400 or above is fresh, in place of `ttl`.
    pub error_ttl: Option<Duration>,
    /// When the stored response ends at the latest, whatever its lifetimes are.
    pub expiry: Option<Expiry>,
    /// Whether it is worth a place in the store; `Some(false)` serves it without keeping it.
    pub admit: Option<bool>,
    /// Changes of its fields before it is stored.
    pub edits: Vec<FieldEdit>,
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

    /// Sets how long an answer with a status of 400 or above is fresh.
    ///
    /// ```
    /// # use tero_policy::{Duration, ResponseDecision};
    /// assert!(ResponseDecision::by_headers().error_ttl(Duration::from_secs(5)).error_ttl.is_some());
    /// ```
    pub fn error_ttl(mut self, ttl: Duration) -> ResponseDecision {
        self.error_ttl = Some(ttl);
        self
    }

    /// Purges the stored response at this instant, in seconds since the Unix epoch.
    ///
    /// ```
    /// # use tero_policy::{Expiry, ResponseDecision};
    /// let decision = ResponseDecision::by_headers().purge_at(1_800_000_000);
    /// assert_eq!(decision.expiry, Some(Expiry::PurgeAt(1_800_000_000)));
    /// ```
    pub fn purge_at(mut self, unix_secs: u64) -> ResponseDecision {
        self.expiry = Some(Expiry::PurgeAt(unix_secs));
        self
    }

    /// Makes the stored response stale at this instant, in seconds since the Unix epoch.
    ///
    /// ```
    /// # use tero_policy::{Expiry, ResponseDecision};
    /// let decision = ResponseDecision::by_headers().stale_at(1_800_000_000);
    /// assert_eq!(decision.expiry, Some(Expiry::StaleAt(1_800_000_000)));
    /// ```
    pub fn stale_at(mut self, unix_secs: u64) -> ResponseDecision {
        self.expiry = Some(Expiry::StaleAt(unix_secs));
        self
    }

    /// Says whether it is worth a place in the store.
    ///
    /// ```
    /// # use tero_policy::ResponseDecision;
    /// assert_eq!(ResponseDecision::by_headers().admit(false).admit, Some(false));
    /// ```
    pub fn admit(mut self, admit: bool) -> ResponseDecision {
        self.admit = Some(admit);
        self
    }

    /// Sets a field before the response is stored.
    ///
    /// ```
    /// # use tero_policy::ResponseDecision;
    /// assert_eq!(ResponseDecision::by_headers().set_field("x-a", "b").edits.len(), 1);
    /// ```
    pub fn set_field(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> ResponseDecision {
        self.edits.push(FieldEdit::set(name, value));
        self
    }

    /// Removes a field before the response is stored.
    ///
    /// ```
    /// # use tero_policy::ResponseDecision;
    /// assert_eq!(ResponseDecision::by_headers().remove_field("server").edits.len(), 1);
    /// ```
    pub fn remove_field(mut self, name: impl Into<String>) -> ResponseDecision {
        self.edits.push(FieldEdit::remove(name));
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
    pub fn because(mut self, reason: impl Into<String>) -> ResponseDecision {
        self.reason = Some(printable(reason.into()));
        self
    }
}

/// The text in printable ASCII, as the contract requires. Names of holidays have accents.
fn printable(text: String) -> String {
    if text.len() <= 200 && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text;
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
