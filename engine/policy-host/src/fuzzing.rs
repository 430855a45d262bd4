//! Answers of guests made from text, for the fuzz targets. The raw answers are visible in this
//! crate alone.
//!
//! Each line is a word and a value: `variant mobile`, `ttl 60`, `tag prices`. Every answer that is
//! accepted must keep the bounds of `sdk/wit/policy.wit`.

use std::sync::Arc;

use super::answer::{self, RequestAnswer, ResponseAnswer};
use super::contract::types;
use super::manifest::Manifest;

const A_YEAR_SECS: u64 = 31_536_000;

/// Reads a text as a manifest and as an answer to each hook, and checks the accepted ones.
///
/// # Panics
/// An answer out of bounds is accepted.
pub fn answers(text: &str) {
    let text = AnswerText(text);
    let variants: Vec<Arc<str>> = match answer::manifest(&text.manifest()) {
        Err(reason) => {
            assert!(!reason.is_empty());
            vec!["mobile".into()]
        }
        Ok(manifest) => {
            check_manifest(&manifest);
            if let Ok(answered) = answer::request(text.request(), &manifest) {
                check_request(answered, &manifest);
            }
            manifest.variants
        }
    };
    if let Ok(answered) = answer::response(text.response()) {
        check_response(answered);
    }
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
    ];
    assert!(lists.into_iter().all(|length| length <= 32));
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
}

fn check_response(answered: ResponseAnswer) {
    let spans = [
        answered.ttl,
        answered.browser_ttl,
        answered.stale_while_revalidate,
        answered.stale_if_error,
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
    (1..=200).contains(&reason.len()) && reason.bytes().all(|byte| (b' '..=b'~').contains(&byte))
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

    fn manifest(&self) -> types::Manifest {
        types::Manifest {
            hooks: vec![types::Hook::OnRequest, types::Hook::PlanWarm],
            headers: self.all("header"),
            cookies: self.all("cookie"),
            response_headers: self.all("response-header"),
            query: self.one("query").is_some(),
            device: self.one("device").is_some(),
            zone: self.one("zone"),
            variants: self.all("variant"),
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
            query: parameters.map(|parameters| types::QueryRule {
                parameters,
                sort: self.one("sort").is_some(),
            }),
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
