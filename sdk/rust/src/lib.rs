//! Write policies for the tero caching edge in Rust.
//!
//! A policy decides what the edge caches, for how long, in which variants, and what it fetches
//! ahead of demand. It is a struct with settings, the [`Policy`] trait, and one line of
//! [`export!`]; the rest of this crate is the words it is written in. It is a **pure function**:
//! all that it may know comes in as arguments, the clock included. So it is tested with plain
//! `cargo test`, and the edge may remember its decisions.
//!
//! # A complete policy
//! Pages are fresh for two minutes while the shop is open and for half an hour otherwise; the
//! basket is never cached.
//!
//! ```
//! use tero_policy::{Duration, Manifest, Moment, PathPattern, Policy, Request, RequestDecision, Response, ResponseDecision, Window};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     zone: String,
//!     hours: Window,
//!     basket: PathPattern,
//! }
//!
//! struct Shop(Settings);
//!
//! impl Policy for Shop {
//!     type Settings = Settings;
//!
//!     fn configure(settings: Settings) -> Result<Shop, String> {
//!         Ok(Shop(settings))
//!     }
//!
//!     fn manifest(&self) -> Manifest {
//!         Manifest::new().on_request().on_response().zone(&self.0.zone)
//!     }
//!
//!     fn on_request(&self, request: &Request, _: &Moment) -> RequestDecision {
//!         if self.0.basket.matches(&request.path) { RequestDecision::pass().because("basket") } else { RequestDecision::new() }
//!     }
//!
//!     fn on_response(&self, _: &Request, _: &Response, now: &Moment) -> ResponseDecision {
//!         if self.0.hours.contains(now) {
//!             ResponseDecision::cache_for(Duration::from_mins(2)).because("open")
//!         } else {
//!             ResponseDecision::cache_for(Duration::from_mins(30)).because("closed")
//!         }
//!     }
//! }
//!
//! tero_policy::export!(Shop);
//!
//! // Its tests need no edge and no WebAssembly; `configure` reads settings just as the edge has them read.
//! let settings = r#"{ "zone": "America/Argentina/Buenos_Aires", "hours": { "days": ["mon-sat"], "from": "09:00", "to": "18:00" },
//!     "basket": "/basket/*" }"#;
//! let shop: Shop = tero_policy::configure(settings).unwrap();
//! let page = Request::get("/haircuts");
//! let ttl_at = |time: &str| shop.on_response(&page, &Response::ok(), &time.parse().unwrap()).ttl.unwrap().as_secs();
//! assert_eq!(ttl_at("2026-11-24T08:59:59-03:00"), 1800);
//! assert_eq!(ttl_at("2026-11-24T09:00:00-03:00"), 120);
//! ```
//!
//! # Building
//! The crate is a `cdylib` for the edge and an `rlib` for its tests, built with
//! `cargo build --release --target wasm32-unknown-unknown`:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//!
//! [dependencies]
//! tero-policy = { path = "../sdk/rust" }
//! serde = { version = "1", features = ["derive"] }
//! ```
//!
//! Modules come with an allocator that is quick with small blocks, of which a call takes a hundred.
//! One that brings its own leaves it out with `default-features = false`.
//!
//! # When something goes wrong
//! Settings that do not fit are an `Err` of [`Policy::configure`]: the operator reads it, and the
//! configuration is refused. A panic becomes a trap: it is logged with its message, counted, and
//! the response's own fields decide. A policy can't break a request.

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
mod decision;
mod duration;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod glue;
mod hours;
mod lifetime;
mod local_time;
mod manifest;
mod moment;
mod names;
mod path_pattern;
mod request;
mod spread;
mod warm;

use serde::de::DeserializeOwned;

pub use decision::{
    Lookup, QueryParameters, QueryRule, RequestDecision, ResponseDecision, Storing,
};
pub use duration::Duration;
pub use hours::{HolidayRule, Hours, Window};
pub use lifetime::Lifetime;
pub use local_time::{LocalTime, Weekday, Weekdays};
pub use manifest::{Hook, Manifest};
pub use moment::{Holiday, Moment, NearbyHoliday, OffsetChange, Opening};
pub use names::{QueryName, Tag, VariantName};
pub use path_pattern::{PathPattern, any_matches, first_idle, first_match};
pub use request::{Device, Request, Response};
pub use spread::spread;
pub use warm::{PopularPage, WarmUrl};

#[cfg(all(target_arch = "wasm32", feature = "allocator"))]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// A policy: what it is configured with, what it needs to know, and what it decides.
///
/// The hooks have defaults that decide nothing, and the edge calls only those that the
/// [manifest](Policy::manifest) names.
pub trait Policy: Sized + 'static {
    /// The settings, as the operator writes them in the configuration.
    /// `#[serde(deny_unknown_fields)]` catches misspelt keys.
    type Settings: DeserializeOwned;

    /// Makes the policy from its settings. Called once per instance, before anything else.
    ///
    /// # Errors
    /// What the operator should read when the settings do not make sense: name the key, and what to
    /// write instead.
    fn configure(settings: Self::Settings) -> Result<Self, String>;

    /// The hooks, the inputs that decisions depend on, and the finite set of variants.
    fn manifest(&self) -> Manifest;

    /// Whether to look up or pass, which variant, which query parameters count. `now` is cut to the
    /// minute, and is the Unix epoch where the manifest names no zone.
    fn on_request(&self, request: &Request, now: &Moment) -> RequestDecision {
        let _ = (request, now);
        RequestDecision::new()
    }

    /// Whether to store a response, and for how long.
    fn on_response(
        &self,
        request: &Request,
        response: &Response,
        now: &Moment,
    ) -> ResponseDecision {
        let _ = (request, response, now);
        ResponseDecision::by_headers()
    }

    /// The pages to fetch ahead of demand when the plan of that name runs. `popular` are the pages
    /// that visitors wanted in the hours that the plan prepares for, most wanted first.
    fn plan_warm(&self, plan: &str, popular: &[PopularPage], now: &Moment) -> Vec<WarmUrl> {
        let _ = (plan, popular, now);
        Vec::new()
    }
}

/// Makes a policy from the JSON text of its settings, as the edge has it done. For tests.
///
/// # Errors
/// Where in the settings a value does not fit and why, or the policy's own words.
pub fn configure<P: Policy>(settings: &str) -> Result<P, String> {
    let mut json = serde_json::Deserializer::from_str(settings);
    let settings = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let what = without_position(&error.into_inner().to_string());
        if path == "." {
            format!("settings: {what}")
        } else {
            format!("settings: `{path}`: {what}")
        }
    })?;
    json.end().map_err(|error| format!("settings: {error}"))?;
    P::configure(settings)
}

/// Line and column would be those of a JSON text that nobody wrote: the configuration is TOML.
fn without_position(message: &str) -> String {
    match message.rfind(" at line ") {
        Some(at)
            if message[at..]
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b' ') =>
        {
            message[..at].to_owned()
        }
        _ => message.to_owned(),
    }
}

/// Writes a line to the operator's log, under the policy's name: cut at 1 KiB, and at 16 lines a
/// call. Natively, to standard error.
pub fn log(message: &str) {
    #[cfg(target_arch = "wasm32")]
    bindings::log(message);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{message}");
}

/// Makes a [`Policy`] what the module exports: one line per crate,
/// `tero_policy::export!(MyPolicy);`.
///
/// It does nothing in a native build, so that tests need no WebAssembly.
#[macro_export]
macro_rules! export {
    ($policy:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
        const _: () = {
            ::std::thread_local! {
                static POLICY: $crate::glue::Slot<$policy> = const { $crate::glue::Slot::new(None) };
            }
            struct Exported;
            impl $crate::bindings::Guest for Exported {
                fn configure(
                    settings: ::std::string::String,
                ) -> ::std::result::Result<$crate::bindings::Manifest, ::std::string::String> {
                    $crate::glue::configure(&POLICY, &settings)
                }
                fn on_request(
                    request: $crate::bindings::Request,
                    now: $crate::bindings::Moment,
                ) -> $crate::bindings::RequestDecision {
                    $crate::glue::on_request(&POLICY, request, now)
                }
                fn on_response(
                    request: $crate::bindings::Request,
                    response: $crate::bindings::Response,
                    now: $crate::bindings::Moment,
                ) -> $crate::bindings::ResponseDecision {
                    $crate::glue::on_response(&POLICY, request, response, now)
                }
                fn plan_warm(
                    plan: ::std::string::String,
                    popular: ::std::vec::Vec<$crate::bindings::PopularPage>,
                    now: $crate::bindings::Moment,
                ) -> ::std::vec::Vec<$crate::bindings::WarmUrl> {
                    $crate::glue::plan_warm(&POLICY, &plan, popular, now)
                }
            }
    $crate::bindings::export_bindings!(Exported with_types_in $crate::bindings);
        };
        // A native build checks the same promise, so that a missing trait is found before the
        // module is built.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() = || {
            fn is_a_policy<P: $crate::Policy>() {}
            is_a_policy::<$policy>();
        };
    };
}

/// The guide for authors: what it shows in Rust is compiled and run.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../../../docs/policies/concepts.md")]
    mod concepts {}
    #[doc = include_str!("../../../docs/policies/time.md")]
    mod time {}
    #[doc = include_str!("../../../docs/policies/variants.md")]
    mod variants {}
    #[doc = include_str!("../../../docs/policies/warming.md")]
    mod warming {}
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Never;

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct NeverSettings {
        #[serde(default)]
        paths: Vec<PathPattern>,
    }

    impl Policy for Never {
        type Settings = NeverSettings;
        fn configure(settings: NeverSettings) -> Result<Never, String> {
            if settings.paths.is_empty() {
                Err("`paths` is empty: name at least one".to_owned())
            } else {
                Ok(Never)
            }
        }
        fn manifest(&self) -> Manifest {
            Manifest::new()
        }
    }

    fn refusal(settings: &str) -> String {
        configure::<Never>(settings)
            .err()
            .expect("these settings are refused")
    }

    #[test]
    fn settings_errors_name_the_key_and_not_a_position_in_the_json() {
        assert_eq!(
            refusal(r#"{"path": []}"#),
            "settings: `path`: unknown field `path`, expected `paths`"
        );
        let message = refusal(r#"{"paths": ["/ok", "css"]}"#);
        assert!(
            message.starts_with("settings: `paths[1]`: \"css\" begins with neither `/` nor `*`"),
            "{message}"
        );
        assert!(!message.contains("line"), "{message}");
        assert_eq!(
            refusal(r#"{"paths": []}"#),
            "`paths` is empty: name at least one"
        );
        assert!(refusal("{").starts_with("settings: "));
        assert!(refusal("{} {}").starts_with("settings: trailing characters"));
    }

    #[test]
    fn default_hooks_decide_nothing() {
        let policy: Never = configure(r#"{"paths": ["*"]}"#).unwrap();
        let now = "2026-11-24T09:00:00-03:00".parse().unwrap();
        assert_eq!(
            policy.on_request(&Request::get("/"), &now),
            RequestDecision::new()
        );
        assert_eq!(
            policy.on_response(&Request::get("/"), &Response::ok(), &now),
            ResponseDecision::by_headers()
        );
        assert_eq!(policy.plan_warm("x", &[], &now), []);
    }
}
