//! Guests' answers made from text, for the fuzz targets: what guests may answer is nobody's
//! business outside of `policy`.
//!
//! Each line is a word and what belongs to it: `variant mobile`, `ttl 60`, `tag prices`. Whatever
//! is let through must keep the bounds that `sdk/wit/policy.wit` tells.

use std::sync::Arc;

use super::answer;
use super::contract::types;

const A_YEAR_SECS: u64 = 31_536_000;

/// Reads a text as a manifest, an answer to each hook, and checks what is let through.
///
/// # Panics
/// When an answer out of bounds is let through.
pub fn answers(text: &str) {
    let all = |word: &str| {
        let of_word = move |line: &str| {
            line.split_once(' ')
                .filter(|(said, _)| *said == word)
                .map(|(_, rest)| rest.to_owned())
        };
        text.lines().filter_map(of_word).collect::<Vec<String>>()
    };
    let one = |word: &str| all(word).into_iter().next();
    let variants: Vec<Arc<str>> = match answer::manifest(&manifest(&all, &one)) {
        Err(reason) => {
            assert!(!reason.is_empty());
            vec!["mobile".into()]
        }
        Ok(manifest) => {
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
            let answered = answer::request(request(&all, &one), &manifest);
            if let Ok(answered) = answered {
                assert!(
                    answered
                        .variant
                        .is_none_or(|name| manifest.variants.contains(&name))
                );
                assert!(answered.reason.is_none_or(|reason| is_reason(&reason)));
            }
            manifest.variants
        }
    };
    if let Ok(answered) = answer::response(response(&all, &one)) {
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
    if let Ok(urls) = answer::warm_urls(warm_urls(&all), &variants) {
        assert!(
            urls.iter()
                .all(|url| url.url.starts_with('/') && !url.url.chars().any(char::is_control))
        );
    }
}

/// Whether it can stand in `Cache-Status` as it is.
fn is_reason(reason: &str) -> bool {
    (1..=200).contains(&reason.len()) && reason.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

type All<'t> = &'t dyn Fn(&str) -> Vec<String>;
type One<'t> = &'t dyn Fn(&str) -> Option<String>;

fn manifest(all: All<'_>, one: One<'_>) -> types::Manifest {
    types::Manifest {
        hooks: vec![types::Hook::OnRequest, types::Hook::PlanWarm],
        headers: all("header"),
        cookies: all("cookie"),
        response_headers: all("response-header"),
        query: one("query").is_some(),
        device: one("device").is_some(),
        zone: one("zone"),
        variants: all("variant"),
    }
}

fn request(all: All<'_>, one: One<'_>) -> types::RequestDecision {
    let parameters = match one("query").as_deref() {
        Some("ignore") => Some(types::QueryParameters::Ignore(all("parameter"))),
        Some("only") => Some(types::QueryParameters::Only(all("parameter"))),
        Some("all") => Some(types::QueryParameters::All),
        _ => None,
    };
    types::RequestDecision {
        lookup: one("lookup").map(|lookup| {
            if lookup == "pass" {
                types::Lookup::Pass
            } else {
                types::Lookup::Cache
            }
        }),
        variant_name: one("name"),
        query: parameters.map(|parameters| types::QueryRule {
            parameters,
            sort: one("sort").is_some(),
        }),
        reason: one("reason"),
    }
}

fn response(all: All<'_>, one: One<'_>) -> types::ResponseDecision {
    let secs = |word: &str| one(word)?.parse().ok();
    types::ResponseDecision {
        storing: match one("storing").as_deref() {
            Some("never") => types::Storing::Never,
            Some("always") => types::Storing::Always,
            _ => types::Storing::ByHeaders,
        },
        ttl_secs: secs("ttl"),
        browser_ttl_secs: secs("browser-ttl"),
        stale_while_revalidate_secs: secs("swr"),
        stale_if_error_secs: secs("sie"),
        tags: all("tag"),
        reason: one("reason"),
    }
}

fn warm_urls(all: All<'_>) -> Vec<types::WarmUrl> {
    let variants = all("for");
    all("url")
        .into_iter()
        .map(|url| types::WarmUrl {
            url,
            variants: variants.clone(),
            priority: 1,
        })
        .collect()
}
