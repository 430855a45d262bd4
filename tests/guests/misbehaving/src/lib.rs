//! A policy that misbehaves: its settings choose how, and in which hook.
//!
//! Settings are like `{"on_request": "spin"}`. Hooks are `configure`, `on_request`, `on_response`
//! and `plan_warm`. Every hook knows `spin`, `trap`, `recurse`, `allocate`, and `log-flood`, which
//! then gives a good answer. Each hook also knows:
//! - `configure`: `error`, `long-error`, `bad-variant`, `too-many-variants`, `double-variant`,
//!   `bad-zone`, `too-many-headers`, `bad-header`, `untouchable-edit`, `too-many-key-parts`,
//!   `one-bucket`, `huge-network`, `too-many-patterns`, `bad-pattern`
//! - `on_request`: `nonsense-variant` (undeclared), `control-reason`, `long-reason`, `bad-query`,
//!   `too-many-query`, `silent` (an empty decision, which is not a failure), `crlf-request-field`,
//!   `crlf-response-field`, `crlf-answer-field`, `crlf-path`, `undeclared-field`,
//!   `undeclared-origin`, `undeclared-query`, `undeclared-class`, `undeclared-key-part`, `endless-key-parts`,
//!   `long-key-part`, `huge-edits`, `huge-body`, `too-many-answer-fields`, `framing-answer`,
//!   `not-modified-answer`, `long-log-tag`
//! - `on_response`: `huge-ttl`, `huge-browser-ttl`, `huge-stale`, `control-tag`, `empty-tag`,
//!   `long-tag`, `too-many-tags`, `control-reason`, `long-reason`, `crlf-stored-field`,
//!   `undeclared-stored-field`, `endless-expiry`, `huge-error-ttl`
//! - `plan_warm`: `too-many-urls` (300,000), `long-url`, `control-url`, `foreign-url` (another
//!   site's), `nonsense-variant`
//!
//! Otherwise it gives good answers: for requests, variant `good` and reason `behaves`; for
//! responses, a TTL of 60 s, tag `good` and reason `behaves`; for plans, `/behaves`.
//! `"paths": "/bad"` limits misbehaving to paths with this prefix. `"after": 3` gives three good
//! answers per hook first. `"times": 2` misbehaves twice per hook and instance only. `"zone": "…"`
//! declares a zone, `"headers": ["…"]` and `"cookies": ["…"]` inputs, `"patterns": ["…"]` path patterns.
//!
//! It uses the raw bindings, because the SDK prevents most of this.
#![cfg(target_arch = "wasm32")]
#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    unconditional_recursion,
    clippy::all,
    reason = "raw bindings: the SDK prevents what these guests do"
)]

use std::cell::{Cell, RefCell};
use std::hint::black_box;

wit_bindgen::generate!({ path: "../../../sdk/wit/0.2", world: "policy" });

use tero::policy::types::{
    Abilities, Answer, BucketRule, Edit, Expiry, Hook, KeyPart, Lookup, NetworkPrefix,
    PathPatterns, QueryChoice, QueryParameters, QueryRule, Rewrite, Storing,
};

#[derive(Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    configure: String,
    on_request: String,
    on_response: String,
    plan_warm: String,
    paths: String,
    after: u64,
    times: Option<u64>,
    zone: Option<String>,
    headers: Vec<String>,
    cookies: Vec<String>,
    patterns: Option<Vec<String>>,
}

thread_local! {
    static SETTINGS: RefCell<Settings> = RefCell::default();
    /// Calls of `on_request`, `on_response` and `plan_warm`.
    static CALLS: [Cell<u64>; 3] = const { [Cell::new(0), Cell::new(0), Cell::new(0)] };
}

struct Misbehaving;
export!(Misbehaving);

impl Guest for Misbehaving {
    fn configure(settings: String) -> Result<Manifest, String> {
        let settings: Settings =
            serde_json::from_str(&settings).map_err(|error| error.to_string())?;
        let by = |patterns| PathPatterns {
            patterns,
            each_response: false,
        };
        let mut manifest = Manifest {
            hooks: vec![Hook::OnRequest, Hook::OnResponse, Hook::PlanWarm],
            headers: settings.headers.clone(),
            cookies: settings.cookies.clone(),
            response_headers: vec![],
            query: false,
            device: false,
            device_source: false,
            zone: settings.zone.clone(),
            network: None,
            country: false,
            region: false,
            bucket: None,
            route: false,
            tables: vec![],
            variants: vec!["good".to_owned()],
            query_rules: vec![],
            key_parts: vec!["part".to_owned(), "other".to_owned()],
            origins: vec![],
            rate_classes: vec![],
            request_edits: vec!["x-request".to_owned()],
            response_edits: vec!["x-response".to_owned()],
            stored_edits: vec!["x-stored".to_owned()],
            abilities: Abilities::from_bits_retain(0x3f),
            path_patterns: settings.patterns.clone().map(by),
        };
        let bucket = |buckets| BucketRule {
            experiment: "e".to_owned(),
            buckets,
            cookie: None,
            network: NetworkPrefix { ipv4: 32, ipv6: 64 },
        };
        match settings.configure.as_str() {
            "error" => return Err("`configure` is \"error\": write something else".to_owned()),
            "long-error" => return Err("no\u{7} ".repeat(100_000)),
            "bad-variant" => manifest.variants = vec!["Not A Name".to_owned()],
            "too-many-variants" => manifest.variants = (0..33).map(|n| format!("v{n}")).collect(),
            "double-variant" => manifest.variants = vec!["good".to_owned(), "good".to_owned()],
            "bad-zone" => manifest.zone = Some("America/Macondo".to_owned()),
            "too-many-headers" => manifest.headers = (0..33).map(|n| format!("x-{n}")).collect(),
            "untouchable-edit" => manifest.request_edits = vec!["Host".to_owned()],
            "too-many-key-parts" => manifest.key_parts = (0..9).map(|n| format!("p{n}")).collect(),
            "one-bucket" => manifest.bucket = Some(bucket(1)),
            "huge-network" => manifest.network = Some(NetworkPrefix { ipv4: 33, ipv6: 64 }),
            "too-many-patterns" => {
                manifest.path_patterns = Some(by((0..257).map(|n| format!("/{n}")).collect()))
            }
            "bad-pattern" => manifest.path_patterns = Some(by(vec!["shops/*".to_owned()])),
            "bad-header" => manifest.headers = vec!["not a field\n".to_owned()],
            other => misbehave(other),
        }
        SETTINGS.set(settings);
        Ok(manifest)
    }

    fn on_request(texts: String, request: Request, _: Moment) -> RequestDecision {
        let mut decision = RequestDecision {
            lookup: Some(Lookup::Cache),
            variant_name: Some("good".to_owned()),
            reason: Some("behaves".to_owned()),
            ..nothing()
        };
        let part = |name: &str, value: &str| KeyPart {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let ignore = |names| {
            Some(QueryChoice::Rule(QueryRule {
                parameters: QueryParameters::Ignore(names),
                sort: false,
            }))
        };
        match mode(0, text(&texts, request.path)).as_str() {
            "nonsense-variant" => decision.variant_name = Some("undeclared".to_owned()),
            "control-reason" => decision.reason = Some("two\r\nlines".to_owned()),
            "long-reason" => decision.reason = Some("long ".repeat(2_000)),
            "bad-query" => decision.query = ignore(vec!["a*b\n".to_owned()]),
            "silent" => decision = nothing(),
            "crlf-request-field" => decision.request_edits = vec![edit("x-request", CRLF)],
            "crlf-response-field" => decision.response_edits = vec![edit("x-response", CRLF)],
            "crlf-answer-field" => decision.answer = Some(answer(200, "x-answer", CRLF)),
            "crlf-path" => {
                decision.rewrite = Some(Rewrite {
                    path: Some(format!("/{CRLF}")),
                    query: None,
                })
            }
            "undeclared-field" => decision.request_edits = vec![edit("x-undeclared", "v")],
            "undeclared-query" => decision.query = Some(QueryChoice::Declared(0)),
            "undeclared-origin" => decision.origin = Some("elsewhere".to_owned()),
            "undeclared-class" => decision.rate_class = Some("elsewhere".to_owned()),
            "undeclared-key-part" => decision.key_parts = vec![part("undeclared", "v")],
            "endless-key-parts" => {
                decision.key_parts = (0..5_000).map(|n| part("part", &n.to_string())).collect()
            }
            "long-key-part" => decision.key_parts = vec![part("part", &"v".repeat(129))],
            "huge-edits" => {
                decision.request_edits = (0..4_000).map(|_| edit("x-request", "v")).collect()
            }
            "huge-body" => {
                decision.answer = Some(Answer {
                    body: "b".repeat((64 << 10) + 1),
                    ..answer(200, "x-answer", "v")
                })
            }
            "too-many-answer-fields" => {
                decision.answer = Some(Answer {
                    fields: vec![("x-answer".to_owned(), "v".to_owned()); 33],
                    ..answer(200, "x-answer", "v")
                })
            }
            "framing-answer" => decision.answer = Some(answer(200, "content-length", "1")),
            "not-modified-answer" => decision.answer = Some(answer(304, "x-answer", "v")),
            "long-log-tag" => decision.log_tag = Some("t".repeat(65)),
            "too-many-query" => {
                decision.query = ignore((0..100_000).map(|n| format!("p{n}")).collect())
            }
            other => misbehave(other),
        }
        decision
    }

    fn on_response(texts: String, request: Request, _: Response, _: Moment) -> ResponseDecision {
        let mut decision = ResponseDecision {
            storing: Storing::Always,
            ttl_secs: Some(60),
            browser_ttl_secs: None,
            stale_while_revalidate_secs: None,
            stale_if_error_secs: None,
            admit: None,
            error_ttl_secs: None,
            expiry: None,
            edits: vec![],
            tags: vec!["good".to_owned()],
            reason: Some("behaves".to_owned()),
        };
        match mode(1, text(&texts, request.path)).as_str() {
            "crlf-stored-field" => decision.edits = vec![edit("x-stored", CRLF)],
            "undeclared-stored-field" => decision.edits = vec![edit("x-undeclared", "v")],
            "endless-expiry" => decision.expiry = Some(Expiry::StaleAt(u64::MAX)),
            "huge-error-ttl" => decision.error_ttl_secs = Some(u32::MAX),
            "huge-ttl" => decision.ttl_secs = Some(31_536_001),
            "huge-browser-ttl" => decision.browser_ttl_secs = Some(u32::MAX),
            "huge-stale" => decision.stale_if_error_secs = Some(u32::MAX),
            "control-tag" => decision.tags = vec!["bad\ntag".to_owned()],
            "empty-tag" => decision.tags = vec![String::new()],
            "long-tag" => decision.tags = vec!["t".repeat(129)],
            "too-many-tags" => decision.tags = (0..65).map(|n| format!("t{n}")).collect(),
            "control-reason" => decision.reason = Some("two\r\nlines".to_owned()),
            "long-reason" => decision.reason = Some("long ".repeat(2_000)),
            other => misbehave(other),
        }
        decision
    }

    fn plan_warm(texts: String, plan: Span, _: Vec<PopularPage>, _: Moment) -> Vec<WarmUrl> {
        let page = |url: String| WarmUrl {
            url,
            variants: vec![],
            priority: 0,
        };
        match mode(2, text(&texts, plan)).as_str() {
            "too-many-urls" => return (0..300_000).map(|n| page(format!("/{n}"))).collect(),
            "long-url" => return vec![page(format!("/{}", "long".repeat(100_000)))],
            "control-url" => return vec![page("/a b\r\nhost: elsewhere".to_owned())],
            "foreign-url" => return vec![page("http://elsewhere.example/".to_owned())],
            "nonsense-variant" => {
                return vec![WarmUrl {
                    variants: vec!["undeclared".to_owned()],
                    ..page("/behaves".to_owned())
                }];
            }
            other => misbehave(other),
        }
        vec![page("/behaves".to_owned())]
    }
}

/// A text that would end a line and begin another field.
const CRLF: &str = "v\r\nset-cookie: stolen=1";

fn text(texts: &str, span: Span) -> &str {
    let start = span.start as usize;
    &texts[start..start + span.length as usize]
}

fn edit(name: &str, value: &str) -> Edit {
    Edit {
        name: name.to_owned(),
        value: Some(value.to_owned()),
    }
}

fn answer(status: u16, name: &str, value: &str) -> Answer {
    Answer {
        status,
        fields: vec![(name.to_owned(), value.to_owned())],
        body: "own".to_owned(),
    }
}

/// A decision that decides nothing.
fn nothing() -> RequestDecision {
    RequestDecision {
        lookup: None,
        variant_name: None,
        query: None,
        key_parts: vec![],
        rewrite: None,
        origin: None,
        request_edits: vec![],
        response_edits: vec![],
        answer: None,
        log_tag: None,
        rate_class: None,
        reason: None,
    }
}

/// How this call misbehaves; empty if it gives a good answer.
fn mode(hook: usize, path: &str) -> String {
    SETTINGS.with_borrow(|settings| {
        if !path.starts_with(&settings.paths) {
            return String::new();
        }
        let call = CALLS.with(|calls| calls[hook].replace(calls[hook].get() + 1));
        let last = settings
            .times
            .map_or(u64::MAX, |times| settings.after.saturating_add(times));
        if (settings.after..last).contains(&call) {
            [
                &settings.on_request,
                &settings.on_response,
                &settings.plan_warm,
            ][hook]
                .clone()
        } else {
            String::new()
        }
    })
}

fn misbehave(mode: &str) {
    match mode {
        "" => {}
        "spin" => loop {
            black_box(0);
        },
        "trap" => std::process::abort(),
        "recurse" => drop(black_box(recurse(0))),
        "allocate" => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(black_box(vec![1; 1 << 20]));
            }
        }
        "log-flood" => {
            (0..1_000).for_each(|line| log(&format!("{line} {}", "flood\n".repeat(2_000))))
        }
        unknown => {
            log(&format!("the mode {unknown:?} is not one of this hook"));
            std::process::abort()
        }
    }
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    black_box(recurse(depth + 1)) + frame[depth as usize % 64]
}
