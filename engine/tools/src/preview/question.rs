//! Asking one policy about one URL, minute by minute, and finding the second at which its answer
//! changes.
//!
//! A lifetime that ends at a fixed time gets shorter by the second; that is no change. So lifetimes
//! are compared by whether they run down, and where they do anything else within a minute, that
//! minute is asked about second by second.

use std::cell::Cell;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;

use tero_policy_host::device::Device;
use tero_policy_host::{Chain, PolicyRequest, PolicyResponse};
use tero_semantics::decision::{LookupDecision, StoringDecision};
use tero_semantics::key::{self, KeyParts};
use tero_semantics::timestamp::Timestamp;

/// What a policy decided about a URL at some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PreviewDecision {
    /// Whether requests are passed by the store.
    pub pass: bool,
    /// The variant.
    pub variant: Option<String>,
    /// `by-headers`, `never` or `always`.
    pub storing: &'static str,
    /// How long an answer with status 200 is fresh; the longest where several URLs are told
    /// together.
    pub ttl_secs: Option<u64>,
    /// What browsers are told.
    pub browser_ttl_secs: Option<u64>,
    /// How long it may be served stale while it is revalidated.
    pub stale_while_revalidate_secs: Option<u64>,
    /// How long it may be served stale when the origin fails.
    pub stale_if_error_secs: Option<u64>,
    /// The policy's own words about the response, or else about the request.
    pub reason: Option<String>,
}

impl PreviewDecision {
    /// Whether it is the same but for lifetimes.
    pub(super) fn is_like(&self, other: &PreviewDecision) -> bool {
        self.rest() == other.rest()
            && self.reason == other.reason
            && self.ttl_secs.is_some() == other.ttl_secs.is_some()
    }

    /// Takes the longer lifetimes of both.
    pub(super) fn widen(&mut self, other: &PreviewDecision) {
        self.ttl_secs = self.ttl_secs.max(other.ttl_secs);
        self.browser_ttl_secs = self.browser_ttl_secs.max(other.browser_ttl_secs);
    }

    /// What does not run down. The reason is for people: it may change where the decision does not.
    fn rest(&self) -> (bool, Option<&str>, &str, Option<u64>, Option<u64>) {
        let variant = self.variant.as_deref();
        (
            self.pass,
            variant,
            self.storing,
            self.stale_while_revalidate_secs,
            self.stale_if_error_secs,
        )
    }

    /// Whether nothing but running down, at an even pace of at most a second a second, leads from
    /// one through the other to the third.
    fn runs_down(&self, middle: &PreviewDecision, end: &PreviewDecision, half: u64) -> bool {
        let even = |lifetime: fn(&PreviewDecision) -> Option<u64>| match (
            lifetime(self),
            lifetime(middle),
            lifetime(end),
        ) {
            (None, None, None) => true,
            (Some(start), Some(middle), Some(end)) => {
                let (first, second) = (start.checked_sub(middle), middle.checked_sub(end));
                first.zip(second).is_some_and(|(first, second)| {
                    first.max(second) <= half && first.abs_diff(second) <= 2
                })
            }
            _ => false,
        };
        self.rest() == middle.rest()
            && middle.rest() == end.rest()
            && even(|decision| decision.ttl_secs)
            && even(|decision| decision.browser_ttl_secs)
    }

    /// Whether a second brings this to `next` by more than running down.
    fn changes_to(&self, next: &PreviewDecision) -> bool {
        // A spread lifetime that runs down may lose two seconds at once, or none.
        let jumps = |before: Option<u64>, after: Option<u64>| match (before, after) {
            (Some(before), Some(after)) => after > before + 1 || before > after + 2,
            (before, after) => before != after,
        };
        self.rest() != next.rest()
            || jumps(self.ttl_secs, next.ttl_secs)
            || jumps(self.browser_ttl_secs, next.browser_ttl_secs)
    }
}

/// The seconds after `from` and up to `until` at which the answer changes, with what it was and
/// what it becomes. The answers are looked at every minute; where one differs, at every second of
/// that minute.
pub(super) fn changes(
    from: Timestamp,
    until: Timestamp,
    ask: impl Fn(Timestamp) -> PreviewDecision,
) -> Vec<(Timestamp, PreviewDecision, PreviewDecision)> {
    let mut found = Vec::new();
    let at = Timestamp::from_unix_secs;
    let (mut start, end) = (from.unix_secs(), until.unix_secs());
    let mut before = ask(from);
    while start < end {
        let next = (start - start.rem_euclid(60) + 60).min(end);
        let after = ask(at(next));
        if after != before {
            let middle = start + (next - start) / 2;
            let half = u64::try_from(next - middle).unwrap_or_default();
            if !before.runs_down(&ask(at(middle)), &after, half) {
                let mut last = before;
                for second in start + 1..=next {
                    let now = if second == next {
                        after.clone()
                    } else {
                        ask(at(second))
                    };
                    if last.changes_to(&now) {
                        found.push((at(second), last, now.clone()));
                    }
                    last = now;
                }
            }
        }
        (start, before) = (next, after);
    }
    found
}

/// A URL as one policy is asked about it.
pub(super) struct UrlQuestion<'a> {
    alone: &'a Chain,
    policy: &'a str,
    host: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    device: Device,
    /// What all policies of the site decide together at the beginning.
    variant: Option<String>,
    headers: HeaderMap,
    key: Vec<u8>,
    unanswered: Cell<u64>,
}

/// How often a policy is asked the same again when it fails; a machine with much else to do makes
/// it miss a deadline.
const ATTEMPTS: usize = 5;

impl<'a> UrlQuestion<'a> {
    pub(super) fn new(
        site: &Chain,
        alone: &'a Chain,
        policy: &'a str,
        host: &'a str,
        url: &'a str,
        device: Device,
        from: Timestamp,
    ) -> UrlQuestion<'a> {
        let (path, query) = url
            .split_once('?')
            .map_or((url, None), |(path, query)| (path, Some(query)));
        let headers = HeaderMap::new();
        let (variant, key, unanswered) = (None, Vec::new(), Cell::new(0));
        let mut question = UrlQuestion {
            alone,
            policy,
            host,
            path,
            query,
            device,
            variant,
            headers,
            key,
            unanswered,
        };
        let decided = site.on_request(&question.request(), from);
        question.variant = decided.variant.as_deref().map(str::to_owned);
        let query = key::canonical_query(query, &decided.query);
        let parts = KeyParts {
            scheme: "http",
            host,
            path,
            query: query.as_deref(),
            variant: decided.variant.as_deref(),
        };
        key::write_key(&mut question.key, &parts);
        question
    }

    fn request(&self) -> PolicyRequest<'_> {
        PolicyRequest {
            method: &Method::GET,
            scheme: "http",
            host: self.host,
            path: self.path,
            query: self.query,
            headers: &self.headers,
            device: self.device,
            variant: self.variant.as_deref(),
        }
    }

    /// What the policy decides at that moment, about a request for the URL and about a 200 without
    /// fields. A policy that fails decides nothing, which would look like a change: it is asked
    /// again.
    pub(super) fn ask(&self, now: Timestamp) -> PreviewDecision {
        let failures = || {
            self.alone
                .policies()
                .iter()
                .map(|policy| policy.counters().failures())
                .sum::<u64>()
        };
        for _ in 0..ATTEMPTS {
            let before = failures();
            let decision = self.ask_once(now);
            if failures() == before {
                return decision;
            }
        }
        self.unanswered.set(self.unanswered.get() + 1);
        self.ask_once(now)
    }

    /// How many moments the policy had no good answer for.
    pub(super) fn unanswered(&self) -> u64 {
        self.unanswered.get()
    }

    fn ask_once(&self, now: Timestamp) -> PreviewDecision {
        let answered = PolicyResponse {
            status: StatusCode::OK,
            headers: &self.headers,
            length: None,
            header_ttl: None,
            header_browser_ttl: None,
            key: &self.key,
        };
        let request = self.alone.on_request(&self.request(), now);
        let response = self.alone.on_response(&self.request(), &answered, now);
        let reason = response.reason.or_else(|| request.reason.clone());
        let secs = |duration: Option<Duration>| duration.map(|duration| duration.as_secs());
        PreviewDecision {
            pass: request.lookup == LookupDecision::Pass,
            variant: request.variant.as_deref().map(str::to_owned),
            storing: match response.storing {
                StoringDecision::ByHeaders => "by-headers",
                StoringDecision::Never => "never",
                StoringDecision::Always => "always",
            },
            ttl_secs: secs(response.ttl),
            browser_ttl_secs: secs(response.browser_ttl),
            stale_while_revalidate_secs: secs(response.stale_while_revalidate),
            stale_if_error_secs: secs(response.stale_if_error),
            // Only one was asked, so its name before each reason tells nothing.
            reason: reason.map(|reason| {
                reason
                    .strip_prefix(self.policy)
                    .unwrap_or(&reason)
                    .trim_start_matches(": ")
                    .to_owned()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds at which a lifetime by `ttl` changes, within an hour.
    fn found(ttl: impl Fn(u64) -> u64) -> Vec<i64> {
        let ask = |now: Timestamp| PreviewDecision {
            ttl_secs: Some(ttl(now.unix_secs().unsigned_abs())),
            ..PreviewDecision::default()
        };
        let changes = changes(
            Timestamp::from_unix_secs(0),
            Timestamp::from_unix_secs(3_600),
            ask,
        );
        changes.into_iter().map(|(at, ..)| at.unix_secs()).collect()
    }

    #[test]
    fn a_change_is_found_at_its_second_and_running_down_is_none() {
        assert_eq!(found(|_| 120), [0; 0]);
        assert_eq!(found(|now| 7_200 - now), [0; 0]);
        assert_eq!(found(|now| (7_200 - now).min(120)), [0; 0]);
        // Spread by a third.
        assert_eq!(found(|now| (7_200 - now) * 2 / 3), [0; 0]);
        // A lifetime of a minute and a half, clipped at the half hour, and one of five minutes from
        // then on.
        assert_eq!(
            found(|now| if now < 1_800 {
                (1_800 - now).min(90)
            } else {
                300
            }),
            [1_800]
        );
        assert_eq!(found(|now| if now < 1_234 { 60 } else { 120 }), [1_234]);
        // By just as much as running down would bring within the minute, and by less.
        assert_eq!(found(|now| if now < 1_800 { 120 } else { 60 }), [1_800]);
        assert_eq!(found(|now| if now < 1_800 { 120 } else { 100 }), [1_800]);
        assert_eq!(
            found(|now| if now < 1_234 {
                3_600 - now
            } else {
                9_000 - now
            }),
            [1_234]
        );
        assert_eq!(
            found(|now| if now % 1_200 < 600 { 10 } else { 20 }),
            [600, 1_200, 1_800, 2_400, 3_000, 3_600]
        );
    }

    #[test]
    fn what_is_no_lifetime_is_a_change_too() {
        let ask = |now: Timestamp| {
            let open = now.unix_secs() >= 90;
            PreviewDecision {
                storing: if open { "always" } else { "never" },
                reason: Some(now.unix_secs().to_string()),
                ..PreviewDecision::default()
            }
        };
        let found = changes(
            Timestamp::from_unix_secs(7),
            Timestamp::from_unix_secs(600),
            ask,
        );
        let told: Vec<_> = found
            .iter()
            .map(|(at, before, after)| (at.unix_secs(), before.storing, after.storing))
            .collect();
        assert_eq!(told, [(90, "never", "always")]);
    }
}
