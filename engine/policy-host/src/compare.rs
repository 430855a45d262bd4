//! Compares the decisions of two versions about the same questions, field by field: how often they
//! agree, and samples of the differences.

mod more;
mod words;

use std::collections::VecDeque;
use std::time::Duration;

pub use self::more::{DecisionWords, request_words, response_words};
pub use self::words::{admit, answer, edits, expiry, key_parts, lookup, query, rewrite, storing};

use tero_semantics::decision::{ExtendedDecision, RequestDecision, ResponseDecision};
use tero_semantics::timestamp::Timestamp;

/// How many samples are kept of each field: the latest ones.
pub const SAMPLES: usize = 10;
/// The bytes that a sample keeps of a value or a URL.
const MAX_SHOWN_BYTES: usize = 256;

/// A field of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecisionField {
    /// Whether the request is looked up.
    Lookup,
    /// The variant.
    Variant,
    /// The rule for the query.
    Query,
    /// Parts of the key.
    KeyParts,
    /// The path and the query that the origin is asked for.
    Rewrite,
    /// The origin.
    Origin,
    /// Changes of the request to the origin.
    RequestEdits,
    /// Changes of the response to the client.
    ResponseEdits,
    /// The policy's own answer.
    Answer,
    /// The word for the access log.
    LogTag,
    /// The class of the rate limit.
    RateClass,
    /// Whether the response is stored.
    Storing,
    /// How long the response is fresh at the edge.
    Ttl,
    /// How long a browser may keep it.
    BrowserTtl,
    /// How long it is served stale while it is revalidated (RFC 5861 §3).
    StaleWhileRevalidate,
    /// How long it is served stale if the origin fails (RFC 5861 §4).
    StaleIfError,
    /// How long an error is fresh.
    ErrorTtl,
    /// When the stored response ends.
    Expiry,
    /// Whether it is worth a place in the store.
    Admit,
    /// Changes of the response before it is stored.
    StoredEdits,
    /// The surrogate keys.
    Tags,
    /// The reason.
    Reason,
}

impl DecisionField {
    /// Every field.
    pub const ALL: [DecisionField; 22] = [
        DecisionField::Lookup,
        DecisionField::Variant,
        DecisionField::Query,
        DecisionField::KeyParts,
        DecisionField::Rewrite,
        DecisionField::Origin,
        DecisionField::RequestEdits,
        DecisionField::ResponseEdits,
        DecisionField::Answer,
        DecisionField::LogTag,
        DecisionField::RateClass,
        DecisionField::Storing,
        DecisionField::Ttl,
        DecisionField::BrowserTtl,
        DecisionField::StaleWhileRevalidate,
        DecisionField::StaleIfError,
        DecisionField::ErrorTtl,
        DecisionField::Expiry,
        DecisionField::Admit,
        DecisionField::StoredEdits,
        DecisionField::Tags,
        DecisionField::Reason,
    ];

    /// The name in reports and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            DecisionField::Lookup => "lookup",
            DecisionField::Variant => "variant",
            DecisionField::Query => "query",
            DecisionField::KeyParts => "key_parts",
            DecisionField::Rewrite => "rewrite",
            DecisionField::Origin => "origin",
            DecisionField::RequestEdits => "request_edits",
            DecisionField::ResponseEdits => "response_edits",
            DecisionField::Answer => "answer",
            DecisionField::LogTag => "log_tag",
            DecisionField::RateClass => "rate_class",
            DecisionField::Storing => "storing",
            DecisionField::Ttl => "ttl",
            DecisionField::BrowserTtl => "browser_ttl",
            DecisionField::StaleWhileRevalidate => "stale_while_revalidate",
            DecisionField::StaleIfError => "stale_if_error",
            DecisionField::ErrorTtl => "error_ttl",
            DecisionField::Expiry => "expiry",
            DecisionField::Admit => "admit",
            DecisionField::StoredEdits => "stored_edits",
            DecisionField::Tags => "tags",
            DecisionField::Reason => "reason",
        }
    }
}

/// The request that two versions were asked about.
#[derive(Clone, Copy, Debug)]
pub struct ComparedRequest<'a> {
    /// The time of the question.
    pub at: Timestamp,
    /// The host.
    pub host: &'a str,
    /// The path and query.
    pub target: &'a str,
    /// The device class.
    pub device: &'a str,
}

/// A question on which two versions differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DifferenceSample {
    /// The time of the question.
    pub at: Timestamp,
    /// The beginning of host, path and query.
    pub url: String,
    /// The device class.
    pub device: String,
    /// The beginning of the left version's value.
    pub left: String,
    /// The beginning of the right version's value.
    pub right: String,
}

/// The agreements and differences of one field.
#[derive(Clone, Debug, Default)]
pub struct FieldTally {
    /// Questions on which both agree.
    pub same: u64,
    /// Questions on which they differ.
    pub different: u64,
    /// The latest differences.
    pub samples: VecDeque<DifferenceSample>,
}

/// The agreements and differences of all fields.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Questions about requests.
    pub requests: u64,
    /// Questions about responses.
    pub responses: u64,
    fields: [FieldTally; DecisionField::ALL.len()],
}

impl Comparison {
    /// Counts the decisions of two versions about a request.
    pub fn request(
        &mut self,
        about: &ComparedRequest<'_>,
        left: &RequestDecision,
        right: &RequestDecision,
    ) {
        self.requests += 1;
        self.count(
            DecisionField::Lookup,
            about,
            left.lookup == right.lookup,
            || (lookup(left.lookup), lookup(right.lookup)),
        );
        self.count(
            DecisionField::Variant,
            about,
            left.variant == right.variant,
            || {
                (
                    optional(left.variant.as_deref()),
                    optional(right.variant.as_deref()),
                )
            },
        );
        self.count(
            DecisionField::Query,
            about,
            left.query == right.query,
            || (query(&left.query), query(&right.query)),
        );
        self.extended(about, left.extended.as_deref(), right.extended.as_deref());
        self.reason(about, left.reason.as_deref(), right.reason.as_deref());
    }

    /// Counts the decisions of two versions about a response.
    pub fn response(
        &mut self,
        about: &ComparedRequest<'_>,
        left: &ResponseDecision,
        right: &ResponseDecision,
    ) {
        self.responses += 1;
        self.count(
            DecisionField::Storing,
            about,
            left.storing == right.storing,
            || {
                (
                    storing(left.storing).to_owned(),
                    storing(right.storing).to_owned(),
                )
            },
        );
        for ((field, left), (_, right)) in lifetimes(left).into_iter().zip(lifetimes(right)) {
            self.count(field, about, left == right, || (secs(left), secs(right)));
        }
        self.count(
            DecisionField::Expiry,
            about,
            left.expiry == right.expiry,
            || (expiry(left.expiry), expiry(right.expiry)),
        );
        self.count(
            DecisionField::Admit,
            about,
            left.admit == right.admit,
            || (admit(left.admit), admit(right.admit)),
        );
        self.count(
            DecisionField::StoredEdits,
            about,
            left.fields == right.fields,
            || (edits(&left.fields), edits(&right.fields)),
        );
        self.count(DecisionField::Tags, about, left.tags == right.tags, || {
            (words(&left.tags), words(&right.tags))
        });
        self.reason(about, left.reason.as_deref(), right.reason.as_deref());
    }

    /// The tally of a field.
    pub fn field(&self, field: DecisionField) -> &FieldTally {
        &self.fields[field as usize]
    }

    /// The differences of all fields but the reason, each field counted by itself.
    pub fn differences(&self) -> u64 {
        DecisionField::ALL
            .into_iter()
            .filter(|field| *field != DecisionField::Reason)
            .map(|field| self.field(field).different)
            .sum()
    }

    fn extended(
        &mut self,
        about: &ComparedRequest<'_>,
        left: Option<&ExtendedDecision>,
        right: Option<&ExtendedDecision>,
    ) {
        let nothing = ExtendedDecision::default();
        let (left, right) = (left.unwrap_or(&nothing), right.unwrap_or(&nothing));
        for (field, same, shown) in PARTS {
            self.count(field, about, same(left, right), || {
                (shown(left), shown(right))
            });
        }
    }

    fn reason(&mut self, about: &ComparedRequest<'_>, left: Option<&str>, right: Option<&str>) {
        self.count(DecisionField::Reason, about, left == right, || {
            (optional(left), optional(right))
        });
    }

    fn count(
        &mut self,
        field: DecisionField,
        about: &ComparedRequest<'_>,
        same: bool,
        values: impl FnOnce() -> (String, String),
    ) {
        let tally = &mut self.fields[field as usize];
        if same {
            tally.same += 1;
            return;
        }
        tally.different += 1;
        if tally.samples.len() == SAMPLES {
            tally.samples.pop_front();
        }
        let (left, right) = values();
        let url = shown(format!("{}{}", about.host, about.target));
        let device = about.device.to_owned();
        tally.samples.push_back(DifferenceSample {
            at: about.at,
            url,
            device,
            left: shown(left),
            right: shown(right),
        });
    }
}

/// A field of what else is decided: whether two decisions agree on it, and the value for people.
type Part = (
    DecisionField,
    fn(&ExtendedDecision, &ExtendedDecision) -> bool,
    fn(&ExtendedDecision) -> String,
);

const PARTS: [Part; 8] = [
    (
        DecisionField::KeyParts,
        |left, right| left.key_parts == right.key_parts,
        |it| key_parts(&it.key_parts),
    ),
    (
        DecisionField::Rewrite,
        |left, right| {
            (&left.origin.path, &left.origin.query) == (&right.origin.path, &right.origin.query)
        },
        |it| rewrite(&it.origin),
    ),
    (
        DecisionField::Origin,
        |left, right| left.origin.origin == right.origin.origin,
        |it| optional(it.origin.origin.as_deref()),
    ),
    (
        DecisionField::RequestEdits,
        |left, right| left.origin.fields == right.origin.fields,
        |it| edits(&it.origin.fields),
    ),
    (
        DecisionField::ResponseEdits,
        |left, right| left.response_fields == right.response_fields,
        |it| edits(&it.response_fields),
    ),
    (
        DecisionField::Answer,
        |left, right| left.answer == right.answer,
        |it| optional(it.answer.as_deref().map(answer).as_deref()),
    ),
    (
        DecisionField::LogTag,
        |left, right| left.log_tag == right.log_tag,
        |it| optional(it.log_tag.as_deref()),
    ),
    (
        DecisionField::RateClass,
        |left, right| left.rate_class == right.rate_class,
        |it| optional(it.rate_class.as_deref()),
    ),
];

/// The fields of a decision that are lifetimes.
fn lifetimes(decision: &ResponseDecision) -> [(DecisionField, Option<Duration>); 5] {
    [
        (DecisionField::Ttl, decision.ttl),
        (DecisionField::BrowserTtl, decision.browser_ttl),
        (
            DecisionField::StaleWhileRevalidate,
            decision.stale_while_revalidate,
        ),
        (DecisionField::StaleIfError, decision.stale_if_error),
        (DecisionField::ErrorTtl, decision.error_ttl),
    ]
}

fn secs(duration: Option<Duration>) -> String {
    duration.map_or_else(
        || "-".to_owned(),
        |duration| format!("{} s", duration.as_secs()),
    )
}

fn words(tags: &[impl AsRef<str>]) -> String {
    match tags {
        [] => "-".to_owned(),
        tags => tags.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" "),
    }
}

fn optional(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

fn shown(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_SHOWN_BYTES));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_semantics::decision::{KeyPart, LookupDecision};

    const ABOUT: ComparedRequest<'static> = ComparedRequest {
        at: Timestamp::from_unix_secs(60),
        host: "h",
        target: "/x?y",
        device: "mobile",
    };

    #[test]
    fn each_field_is_counted_by_itself() {
        let mut comparison = Comparison::default();
        let left = RequestDecision {
            variant: Some("a".into()),
            ..RequestDecision::default()
        };
        let right = RequestDecision {
            lookup: LookupDecision::Pass,
            ..left.clone()
        };
        comparison.request(&ABOUT, &left, &left);
        comparison.request(&ABOUT, &left, &right);
        let left = ResponseDecision {
            ttl: Some(Duration::from_secs(60)),
            ..ResponseDecision::default()
        };
        let right = ResponseDecision {
            reason: Some("r".into()),
            ..ResponseDecision::default()
        };
        comparison.response(&ABOUT, &left, &right);
        for (field, same, different) in [
            (DecisionField::Lookup, 1, 1),
            (DecisionField::Variant, 2, 0),
            (DecisionField::Query, 2, 0),
            (DecisionField::KeyParts, 2, 0),
            (DecisionField::Ttl, 0, 1),
            (DecisionField::Admit, 1, 0),
            (DecisionField::Tags, 1, 0),
            (DecisionField::Reason, 2, 1),
        ] {
            let tally = comparison.field(field);
            assert_eq!(
                (tally.same, tally.different),
                (same, different),
                "{field:?}"
            );
        }
        let counts = (comparison.requests, comparison.responses);
        assert_eq!((counts, comparison.differences()), ((2, 1), 2));
        let sample = &comparison.field(DecisionField::Ttl).samples[0];
        assert_eq!(
            [&sample.url, &sample.left, &sample.right],
            ["h/x?y", "60 s", "-"]
        );
    }

    #[test]
    fn a_decision_that_does_more_differs_from_one_that_does_not() {
        let mut comparison = Comparison::default();
        let right = RequestDecision {
            extended: Some(Box::new(ExtendedDecision {
                key_parts: vec![KeyPart {
                    name: "market".into(),
                    value: "ar".into(),
                }],
                ..ExtendedDecision::default()
            })),
            ..RequestDecision::default()
        };
        comparison.request(&ABOUT, &RequestDecision::default(), &right);
        comparison.request(&ABOUT, &right, &right);
        let tally = comparison.field(DecisionField::KeyParts);
        assert_eq!((tally.same, tally.different), (1, 1));
        let sample = &tally.samples[0];
        assert_eq!((&*sample.left, &*sample.right), ("-", "market=ar"));
        assert_eq!(comparison.differences(), 1);
    }

    #[test]
    fn samples_are_few_and_short() {
        let mut comparison = Comparison::default();
        let long = "é".repeat(10_000);
        let about = ComparedRequest {
            target: &long,
            ..ABOUT
        };
        let right = RequestDecision {
            variant: Some(long.as_str().into()),
            ..RequestDecision::default()
        };
        for _ in 0..100 {
            comparison.request(&about, &RequestDecision::default(), &right);
        }
        let tally = comparison.field(DecisionField::Variant);
        assert_eq!((tally.different, tally.samples.len()), (100, SAMPLES));
        assert!(
            tally
                .samples
                .iter()
                .all(|sample| sample.url.len() <= 256 && sample.right.len() <= 256)
        );
    }
}
