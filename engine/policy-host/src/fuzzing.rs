//! Answers of guests made from text, for the fuzz targets. The raw answers are visible in this
//! crate alone.
//!
//! Each line is a word and a value: `variant mobile`, `ttl 60`, `tag prices`. Every answer that is
//! accepted must keep the bounds of `sdk/wit/0.2/policy.wit`.

use http::{HeaderName, HeaderValue};

use super::answer::{self, RequestAnswer, ResponseAnswer};
use super::contract::types;
use super::manifest::Manifest;
use tero_semantics::decision::ExtendedDecision;
use tero_semantics::field_edits::FieldEdits;

const A_YEAR_SECS: u64 = 31_536_000;

/// Reads a text as a manifest and as an answer to each hook, and checks the accepted ones.
///
/// # Panics
/// An answer out of bounds is accepted.
pub fn answers(text: &str) {
    let text = AnswerText(text);
    let manifest = match answer::manifest(&text.manifest()) {
        Err(reason) => {
            assert!(!reason.is_empty());
            Manifest {
                variants: vec!["mobile".into()],
                ..Manifest::default()
            }
        }
        Ok(manifest) => manifest,
    };
    check_manifest(&manifest);
    if let Ok(answered) = answer::request(text.request(), &manifest) {
        check_request(answered, &manifest);
    }
    if let Ok(answered) = answer::response(text.response(), &manifest) {
        check_response(answered, &manifest);
    }
    let variants = manifest.variants;
    if let Ok(urls) = answer::warm_urls(text.warm_urls(), &variants) {
        assert!(
            urls.iter()
                .all(|url| url.url.starts_with('/') && !url.url.chars().any(char::is_control))
        );
    }
}

fn check_manifest(manifest: &Manifest) {
    let lists = [
        manifest.headers.len(),
        manifest.cookies.len(),
        manifest.response_headers.len(),
        manifest.variants.len(),
        manifest.origins.len(),
        manifest.rate_classes.len(),
        manifest.request_edits.len(),
        manifest.response_edits.len(),
        manifest.stored_edits.len(),
    ];
    assert!(lists.into_iter().all(|length| length <= 32));
    assert!(manifest.key_parts.len() <= 8 && manifest.tables.len() <= 16);
    let patterns = manifest.path_patterns.as_ref();
    assert!(patterns.is_none_or(|paths| paths.patterns.len() <= 256));
    let network = manifest.bucket.as_ref().map(|rule| rule.network);
    for prefix in [manifest.network, network].into_iter().flatten() {
        assert!(prefix.ipv4 <= 32 && prefix.ipv6 <= 128);
    }
    let buckets = manifest.bucket.as_ref().map(|rule| rule.buckets);
    assert!(buckets.is_none_or(|buckets| (2..=10_000).contains(&buckets)));
    assert!(
        manifest
            .variants
            .iter()
            .all(|name| !name.contains(['+', '\n', ' ']) && (1..=32).contains(&name.len()))
    );
}

fn check_request(answered: RequestAnswer, manifest: &Manifest) {
    assert!(
        answered
            .variant
            .is_none_or(|name| manifest.variants.contains(&name))
    );
    assert!(answered.reason.is_none_or(|reason| is_reason(&reason)));
    if let Some(extended) = answered.extended {
        check_extended(&extended, manifest);
    }
}

fn check_extended(extended: &ExtendedDecision, manifest: &Manifest) {
    for (place, part) in extended.key_parts.iter().enumerate() {
        assert!(manifest.key_parts.iter().any(|name| **name == *part.name));
        assert!(part.value.len() <= 128 && is_printable(&part.value));
        let others = &extended.key_parts[..place];
        assert!(others.iter().all(|other| other.name != part.name));
    }
    let origin = &extended.origin;
    let may = manifest.abilities;
    if let Some(path) = &origin.path {
        assert!(may.rewrite && path.starts_with('/') && path.len() <= 8 << 10);
        assert!(is_printable(path) && !path.contains(['?', '#', ' ']));
    }
    if let Some(query) = &origin.query {
        assert!(may.rewrite && query.len() <= 8 << 10);
        assert!(is_printable(query) && !query.contains(['#', ' ']));
    }
    let name = origin.origin.as_ref();
    assert!(name.is_none_or(|name| manifest.origins.contains(name)));
    let class = extended.rate_class.as_ref();
    assert!(class.is_none_or(|class| manifest.rate_classes.contains(class)));
    let tag = extended.log_tag.as_deref();
    assert!(tag.is_none_or(|tag| may.log_tag && (1..=64).contains(&tag.len())));
    assert!(tag.is_none_or(|tag| is_printable(tag) && !tag.contains(' ')));
    check_edits(&origin.fields, &manifest.request_edits);
    check_edits(&extended.response_fields, &manifest.response_edits);
    if let Some(answer) = &extended.answer {
        assert!(may.answer && answer.fields.len() <= 32 && answer.body.len() <= 64 << 10);
        assert!(answer.status.as_u16() >= 200);
        for (name, value) in &answer.fields {
            assert!(!matches!(name.as_str(), "content-length" | "connection"));
            assert!(is_value(value));
        }
    }
}

fn check_edits(edits: &FieldEdits, declared: &[HeaderName]) {
    assert!(edits.set.len() + edits.remove.len() <= declared.len());
    for (name, value) in &edits.set {
        assert!(declared.contains(name) && is_value(value) && !edits.remove.contains(name));
    }
    assert!(edits.remove.iter().all(|name| declared.contains(name)));
}

fn is_value(value: &HeaderValue) -> bool {
    (1..=4096).contains(&value.len()) && value.to_str().is_ok_and(is_printable)
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn check_response(answered: ResponseAnswer, manifest: &Manifest) {
    let may = manifest.abilities;
    assert!(answered.admit.is_none() || may.admission);
    assert!(answered.error_ttl.is_none() || may.error_ttl);
    assert!(answered.expiry.is_none() || may.expiry);
    check_edits(&answered.fields, &manifest.stored_edits);
    let spans = [
        answered.ttl,
        answered.browser_ttl,
        answered.stale_while_revalidate,
        answered.stale_if_error,
        answered.error_ttl,
    ];
    assert!(
        spans
            .into_iter()
            .flatten()
            .all(|span| span.as_secs() <= A_YEAR_SECS)
    );
    assert!(
        answered.tags.len() <= 64
            && answered
                .tags
                .iter()
                .all(|tag| tag.bytes().all(|byte| byte.is_ascii_graphic()))
    );
    assert!(answered.reason.is_none_or(|reason| is_reason(&reason)));
}

/// Whether the text can stand in `Cache-Status` unchanged.
fn is_reason(reason: &str) -> bool {
    (1..=200).contains(&reason.len()) && is_printable(reason)
}

/// A text, read as what a guest answers.
struct AnswerText<'t>(&'t str);

impl AnswerText<'_> {
    /// The values of all lines with this word.
    fn all(&self, word: &str) -> Vec<String> {
        let of_word = |line: &str| {
            line.split_once(' ')
                .filter(|(said, _)| *said == word)
                .map(|(_, rest)| rest.to_owned())
        };
        self.0.lines().filter_map(of_word).collect()
    }

    /// The value of the first line with this word.
    fn one(&self, word: &str) -> Option<String> {
        self.all(word).into_iter().next()
    }

    fn secs(&self, word: &str) -> Option<u32> {
        self.one(word)?.parse().ok()
    }

    fn number(&self, word: &str) -> u16 {
        self.one(word)
            .and_then(|number| number.parse().ok())
            .unwrap_or_default()
    }

    /// `network 24 48`
    fn network(&self, word: &str) -> Option<types::NetworkPrefix> {
        let written = self.one(word)?;
        let (ipv4, ipv6) = written.split_once(' ')?;
        Some(types::NetworkPrefix {
            ipv4: ipv4.parse().ok()?,
            ipv6: ipv6.parse().ok()?,
        })
    }

    /// Pairs of a name and what follows it.
    fn pairs(&self, word: &str) -> Vec<(String, String)> {
        let lines = self.all(word).into_iter().map(|line| {
            let (name, value) = line.split_once(' ').unwrap_or((&line, ""));
            (name.to_owned(), value.to_owned())
        });
        lines.collect()
    }

    /// `set-request x-a b` and `remove-request x-b`
    fn edits(&self, message: &str) -> Vec<types::Edit> {
        let set = self.pairs(&format!("set-{message}"));
        let removed = self.all(&format!("remove-{message}")).into_iter();
        set.into_iter()
            .map(|(name, value)| types::Edit {
                name,
                value: Some(value.replace("\\n", "\n")),
            })
            .chain(removed.map(|name| types::Edit { name, value: None }))
            .collect()
    }

    fn manifest(&self) -> types::Manifest {
        types::Manifest {
            hooks: vec![types::Hook::OnRequest, types::Hook::PlanWarm],
            headers: self.all("header"),
            cookies: self.all("cookie"),
            response_headers: self.all("response-header"),
            query: self.one("query").is_some(),
            device: self.one("device").is_some(),
            device_source: self.one("device-source").is_some(),
            zone: self.one("zone"),
            network: self.network("network"),
            country: self.one("country").is_some(),
            region: self.one("region").is_some(),
            bucket: self.one("experiment").map(|experiment| types::BucketRule {
                experiment,
                buckets: self.number("buckets"),
                cookie: self.one("bucket-cookie"),
                network: self
                    .network("bucket-network")
                    .unwrap_or(types::NetworkPrefix { ipv4: 32, ipv6: 64 }),
            }),
            route: self.one("route").is_some(),
            tables: self.all("table"),
            variants: self.all("variant"),
            query_rules: match self.all("query-rule") {
                names if names.is_empty() => Vec::new(),
                names => vec![types::QueryRule {
                    parameters: types::QueryParameters::Only(names),
                    sort: true,
                }],
            },
            key_parts: self.all("key-part"),
            origins: self.all("origin"),
            rate_classes: self.all("rate-class"),
            request_edits: self.all("request-edit"),
            response_edits: self.all("response-edit"),
            stored_edits: self.all("stored-edit"),
            abilities: match self.one("able") {
                Some(_) => types::Abilities::all(),
                None => types::Abilities::empty(),
            },
            path_patterns: self.one("each").map(|each| types::PathPatterns {
                patterns: self.all("path-pattern"),
                each_response: each == "response",
            }),
        }
    }

    fn request(&self) -> types::RequestDecision {
        let parameters = match self.one("query").as_deref() {
            Some("ignore") => Some(types::QueryParameters::Ignore(self.all("parameter"))),
            Some("only") => Some(types::QueryParameters::Only(self.all("parameter"))),
            Some("all") => Some(types::QueryParameters::All),
            _ => None,
        };
        types::RequestDecision {
            lookup: self.one("lookup").map(|lookup| {
                if lookup == "pass" {
                    types::Lookup::Pass
                } else {
                    types::Lookup::Cache
                }
            }),
            variant_name: self.one("name"),
            query: match self.one("declared-query") {
                Some(_) => Some(types::QueryChoice::Declared(
                    self.number("declared-query").try_into().unwrap_or(u8::MAX),
                )),
                None => parameters.map(|parameters| {
                    types::QueryChoice::Rule(types::QueryRule {
                        parameters,
                        sort: self.one("sort").is_some(),
                    })
                }),
            },
            key_parts: self
                .pairs("part")
                .into_iter()
                .map(|(name, value)| types::KeyPart { name, value })
                .collect(),
            rewrite: self.one("path").map(|path| types::Rewrite {
                path: Some(path),
                query: self.one("to-query"),
            }),
            origin: self.one("from"),
            request_edits: self.edits("request"),
            response_edits: self.edits("response"),
            answer: self.one("answer").map(|_| types::Answer {
                status: self.number("answer"),
                fields: self.pairs("answer-field"),
                body: self.all("body").join("\n"),
            }),
            log_tag: self.one("log-tag"),
            rate_class: self.one("class"),
            reason: self.one("reason"),
        }
    }

    fn response(&self) -> types::ResponseDecision {
        types::ResponseDecision {
            storing: match self.one("storing").as_deref() {
                Some("never") => types::Storing::Never,
                Some("always") => types::Storing::Always,
                _ => types::Storing::ByHeaders,
            },
            ttl_secs: self.secs("ttl"),
            browser_ttl_secs: self.secs("browser-ttl"),
            stale_while_revalidate_secs: self.secs("swr"),
            stale_if_error_secs: self.secs("sie"),
            admit: self.one("admit").map(|admit| admit == "yes"),
            error_ttl_secs: self.secs("error-ttl"),
            expiry: self
                .one("purge-at")
                .and_then(|secs| secs.parse().ok())
                .map(types::Expiry::PurgeAt),
            edits: self.edits("stored"),
            tags: self.all("tag"),
            reason: self.one("reason"),
        }
    }

    fn warm_urls(&self) -> Vec<types::WarmUrl> {
        let variants = self.all("for");
        self.all("url")
            .into_iter()
            .map(|url| types::WarmUrl {
                url,
                variants: variants.clone(),
                priority: 1,
            })
            .collect()
    }
}
