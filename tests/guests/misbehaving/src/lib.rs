//! A policy that misbehaves: its settings choose how, and in which hook.
//!
//! Settings are like `{"on_request": "spin"}`. Hooks are `configure`, `on_request`, `on_response`
//! and `plan_warm`. Every hook knows `spin`, `trap`, `recurse`, `allocate`, and `log-flood`, which
//! then gives a good answer. Each hook also knows:
//! - `configure`: `error`, `long-error`, `bad-variant`, `too-many-variants`, `double-variant`,
//!   `bad-zone`, `too-many-headers`, `bad-header`
//! - `on_request`: `nonsense-variant` (undeclared), `control-reason`, `long-reason`, `bad-query`,
//!   `too-many-query`, `silent` (an empty decision, which is not a failure)
//! - `on_response`: `huge-ttl`, `huge-browser-ttl`, `huge-stale`, `control-tag`, `empty-tag`,
//!   `long-tag`, `too-many-tags`, `control-reason`, `long-reason`
//! - `plan_warm`: `too-many-urls` (300,000), `long-url`, `control-url`, `foreign-url` (another
//!   site's), `nonsense-variant`
//!
//! Otherwise it gives good answers: for requests, variant `good` and reason `behaves`; for
//! responses, a TTL of 60 s, tag `good` and reason `behaves`; for plans, `/behaves`.
//! `"paths": "/bad"` limits misbehaving to paths with this prefix. `"after": 3` gives three good
//! answers per hook first. `"times": 2` misbehaves twice per hook and instance only. `"zone": "…"`
//! declares a zone, `"headers": ["…"]` and `"cookies": ["…"]` inputs.
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

wit_bindgen::generate!({ path: "../../../sdk/wit", world: "policy" });

use tero::policy::types::{Hook, Lookup, QueryParameters, QueryRule, Storing};

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
        let mut manifest = Manifest {
            hooks: vec![Hook::OnRequest, Hook::OnResponse, Hook::PlanWarm],
            headers: settings.headers.clone(),
            cookies: settings.cookies.clone(),
            response_headers: vec![],
            query: false,
            device: false,
            zone: settings.zone.clone(),
            variants: vec!["good".to_owned()],
        };
        match settings.configure.as_str() {
            "error" => return Err("`configure` is \"error\": write something else".to_owned()),
            "long-error" => return Err("no\u{7} ".repeat(100_000)),
            "bad-variant" => manifest.variants = vec!["Not A Name".to_owned()],
            "too-many-variants" => manifest.variants = (0..33).map(|n| format!("v{n}")).collect(),
            "double-variant" => manifest.variants = vec!["good".to_owned(), "good".to_owned()],
            "bad-zone" => manifest.zone = Some("America/Macondo".to_owned()),
            "too-many-headers" => manifest.headers = (0..33).map(|n| format!("x-{n}")).collect(),
            "bad-header" => manifest.headers = vec!["not a field\n".to_owned()],
            other => misbehave(other),
        }
        SETTINGS.set(settings);
        Ok(manifest)
    }

    fn on_request(request: Request, _: Moment) -> RequestDecision {
        let mut decision = RequestDecision {
            lookup: Some(Lookup::Cache),
            variant_name: Some("good".to_owned()),
            query: None,
            reason: Some("behaves".to_owned()),
        };
        let ignore = |names| {
            Some(QueryRule {
                parameters: QueryParameters::Ignore(names),
                sort: false,
            })
        };
        match mode(0, &request.path).as_str() {
            "nonsense-variant" => decision.variant_name = Some("undeclared".to_owned()),
            "control-reason" => decision.reason = Some("two\r\nlines".to_owned()),
            "long-reason" => decision.reason = Some("long ".repeat(2_000)),
            "bad-query" => decision.query = ignore(vec!["a*b\n".to_owned()]),
            "silent" => {
                decision = RequestDecision {
                    lookup: None,
                    variant_name: None,
                    query: None,
                    reason: None,
                }
            }
            "too-many-query" => {
                decision.query = ignore((0..100_000).map(|n| format!("p{n}")).collect())
            }
            other => misbehave(other),
        }
        decision
    }

    fn on_response(request: Request, _: Response, _: Moment) -> ResponseDecision {
        let mut decision = ResponseDecision {
            storing: Storing::Always,
            ttl_secs: Some(60),
            browser_ttl_secs: None,
            stale_while_revalidate_secs: None,
            stale_if_error_secs: None,
            tags: vec!["good".to_owned()],
            reason: Some("behaves".to_owned()),
        };
        match mode(1, &request.path).as_str() {
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

    fn plan_warm(plan: String, _: Vec<PopularPage>, _: Moment) -> Vec<WarmUrl> {
        let page = |url: String| WarmUrl {
            url,
            variants: vec![],
            priority: 0,
        };
        match mode(2, &plan).as_str() {
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
