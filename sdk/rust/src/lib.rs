//! Write policies for the tero caching edge in Rust.
//!
//! A policy decides which responses the edge stores, for how long, in which variants, and which
//! pages it fetches ahead of demand. It is a struct with settings, the [`Policy`] trait, and one
//! line of [`export!`]. A policy is a **pure function**: all its inputs are arguments, including
//! the time. So plain `cargo test` tests it, and the edge may remember its decisions.
//!
//! # A complete policy
//! Pages are fresh for two minutes while the shop is open and for half an hour otherwise. The
//! basket is never cached.
//!
//! ```
//! use tero_policy::{
//!     Duration, Manifest, Moment, PathPattern, Policy, Request, RequestDecision, Response,
//!     ResponseDecision, Window,
//! };
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
//!         if self.0.basket.matches(&request.path) {
//!             RequestDecision::pass().because("basket")
//!         } else {
//!             RequestDecision::new()
//!         }
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
//! // Tests need neither an edge nor WebAssembly. `configure` reads settings as the edge does.
//! let settings = r#"{
//!     "zone": "America/Argentina/Buenos_Aires",
//!     "hours": { "days": ["mon-sat"], "from": "09:00", "to": "18:00" },
//!     "basket": "/basket/*"
//! }"#;
//! let shop: Shop = tero_policy::configure(settings).unwrap();
//! let page = Request::get("/haircuts");
//! let ttl_at = |time: &str| {
//!     let now = time.parse().unwrap();
//!     shop.on_response(&page, &Response::ok(), &now).ttl.unwrap().as_secs()
//! };
//! assert_eq!(ttl_at("2026-11-24T08:59:59-03:00"), 1800);
//! assert_eq!(ttl_at("2026-11-24T09:00:00-03:00"), 120);
//! ```
//!
//! # Building
//! The crate is a `cdylib` for the edge and an `rlib` for its tests. It is built with
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
//! Modules come with an allocator that is fast for small blocks. A policy with its own allocator uses
//! `default-features = false`.
//!
//! # Errors
//! If the settings are bad, [`Policy::configure`] returns an `Err`: the operator reads it, and the
//! configuration is refused. A panic becomes a trap: it is counted and logged with its message, and
//! the response's own fields decide. A policy cannot break a request.

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
mod decision;
mod duration;
mod edit;
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
mod table;
mod warm;

use serde::de::DeserializeOwned;

pub use decision::{
    Expiry, Lookup, QueryChoice, QueryParameters, QueryRule, RequestDecision, ResponseDecision,
    Storing,
};
pub use duration::Duration;
pub use edit::{Answer, FieldEdit};
pub use hours::{HolidayRule, Hours, Window};
pub use lifetime::Lifetime;
pub use local_time::{LocalTime, Weekday, Weekdays};
pub use manifest::{BucketRule, Hook, Manifest, NetworkPrefix};
pub use moment::{Holiday, Moment, NearbyHoliday, OffsetChange, Opening};
pub use names::{CookieName, QueryName, Tag, VariantName};
pub use path_pattern::{PathPattern, PathReadings, any_matches, first_idle, first_match};
pub use request::{Client, Device, DeviceSource, Request, Response};
pub use spread::spread;
pub use table::{Table, TableRow, table};
#[cfg(not(target_arch = "wasm32"))]
pub use table::{provide_networks, provide_table};
pub use warm::{PopularPage, WarmUrl};

#[cfg(all(target_arch = "wasm32", feature = "allocator"))]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// A policy: its settings, its manifest and its decisions.
///
/// The default hooks decide nothing. The edge calls only the hooks that the
/// [manifest](Policy::manifest) names.
///
/// ```
/// use tero_policy::{
///     Duration, Manifest, Moment, Policy, PopularPage, Request, RequestDecision, Response,
///     ResponseDecision, WarmUrl,
/// };
///
/// /// Caches every page for a minute, except for logged-in visitors, and warms popular pages.
/// struct Minute;
///
/// impl Policy for Minute {
///     type Settings = ();
///
///     fn configure((): ()) -> Result<Minute, String> {
///         Ok(Minute)
///     }
///
///     fn manifest(&self) -> Manifest {
///         Manifest::new().on_request().on_response().plan_warm().cookie("session")
///     }
///
///     fn on_request(&self, request: &Request, _: &Moment) -> RequestDecision {
///         match request.cookie("session") {
///             Some(_) => RequestDecision::pass().because("logged in"),
///             None => RequestDecision::cache(),
///         }
///     }
///
///     fn on_response(&self, _: &Request, _: &Response, _: &Moment) -> ResponseDecision {
///         ResponseDecision::cache_for(Duration::from_mins(1))
///     }
///
///     fn plan_warm(&self, _: &str, popular: &[PopularPage], _: &Moment) -> Vec<WarmUrl> {
///         popular.iter().map(|page| WarmUrl::new(&page.url)).collect()
///     }
/// }
///
/// tero_policy::export!(Minute);
///
/// let policy: Minute = tero_policy::configure("null").unwrap();
/// let visitor = Request::get("/").with_cookie("session", "42");
/// assert_eq!(
///     policy.on_request(&visitor, &Moment::epoch()),
///     RequestDecision::pass().because("logged in")
/// );
/// ```
pub trait Policy: Sized + 'static {
    /// The settings, as the operator writes them in the configuration.
    /// `#[serde(deny_unknown_fields)]` catches misspelt keys.
    type Settings: DeserializeOwned;

    /// Makes the policy from its settings. It is called once per instance, before any other call.
    ///
    /// # Errors
    /// The settings are bad. The operator reads the message, so name the key and the value to write
    /// instead.
    ///
    /// ```
    /// # use tero_policy::{Manifest, PathPattern, Policy};
    /// # struct Private(Vec<PathPattern>);
    /// # impl Policy for Private {
    /// # type Settings = Vec<PathPattern>;
    /// fn configure(paths: Vec<PathPattern>) -> Result<Private, String> {
    ///     if paths.is_empty() {
    ///         return Err("the list is empty: name at least one path".to_owned());
    ///     }
    ///     Ok(Private(paths))
    /// }
    /// # fn manifest(&self) -> Manifest {
    /// #     Manifest::new()
    /// # }
    /// # }
    /// # assert!(tero_policy::configure::<Private>("[]").is_err());
    /// ```
    fn configure(settings: Self::Settings) -> Result<Self, String>;

    /// The hooks, the inputs that decisions depend on, and the finite set of variants.
    ///
    /// ```
    /// # use tero_policy::{Manifest, Policy};
    /// # struct Devices;
    /// # impl Policy for Devices {
    /// # type Settings = ();
    /// # fn configure((): ()) -> Result<Devices, String> {
    /// #     Ok(Devices)
    /// # }
    /// fn manifest(&self) -> Manifest {
    ///     Manifest::new().on_request().device().variants(["mobile"])
    /// }
    /// # }
    /// # assert!(Devices.manifest().device);
    /// ```
    fn manifest(&self) -> Manifest;

    /// Decides about a request: whether it is looked up or passes, its variant, and which query
    /// parameters count. `now` is cut to the minute; if the manifest names no zone, it is the Unix
    /// epoch.
    ///
    /// ```
    /// # use tero_policy::{Device, Manifest, Moment, Policy, Request, RequestDecision};
    /// # struct Devices;
    /// # impl Policy for Devices {
    /// # type Settings = ();
    /// # fn configure((): ()) -> Result<Devices, String> {
    /// #     Ok(Devices)
    /// # }
    /// # fn manifest(&self) -> Manifest {
    /// #     Manifest::new().on_request().device().variants(["mobile"])
    /// # }
    /// fn on_request(&self, request: &Request, _: &Moment) -> RequestDecision {
    ///     match request.device {
    ///         Device::Mobile => RequestDecision::new().variant("mobile"),
    ///         _ => RequestDecision::new(),
    ///     }
    /// }
    /// # }
    /// # let phone = Request::get("/").with_device(Device::Mobile);
    /// # assert!(Devices.on_request(&phone, &Moment::epoch()).variant.is_some());
    /// ```
    fn on_request(&self, request: &Request, now: &Moment) -> RequestDecision {
        let _ = (request, now);
        RequestDecision::new()
    }

    /// Decides about a response: whether it is stored, and for how long.
    ///
    /// ```
    /// # use tero_policy::{Duration, Manifest, Moment, Policy, Request, Response, ResponseDecision};
    /// # struct Minute;
    /// # impl Policy for Minute {
    /// # type Settings = ();
    /// # fn configure((): ()) -> Result<Minute, String> {
    /// #     Ok(Minute)
    /// # }
    /// # fn manifest(&self) -> Manifest {
    /// #     Manifest::new().on_response()
    /// # }
    /// fn on_response(&self, _: &Request, response: &Response, _: &Moment) -> ResponseDecision {
    ///     if response.is_lasting() {
    ///         ResponseDecision::cache_for(Duration::from_mins(1))
    ///     } else {
    ///         ResponseDecision::by_headers()
    ///     }
    /// }
    /// # }
    /// # let decide = |status| {
    /// #     Minute.on_response(&Request::get("/"), &Response::new(status), &Moment::epoch())
    /// # };
    /// # assert!(decide(200).ttl.is_some() && decide(503).ttl.is_none());
    /// ```
    fn on_response(
        &self,
        request: &Request,
        response: &Response,
        now: &Moment,
    ) -> ResponseDecision {
        let _ = (request, response, now);
        ResponseDecision::by_headers()
    }

    /// The pages to fetch ahead of demand when the plan with this name runs. `popular` are the
    /// pages that visitors requested in the hours that the plan prepares for, the most requested
    /// first.
    ///
    /// ```
    /// # use tero_policy::{Manifest, Moment, Policy, PopularPage, WarmUrl};
    /// # struct Top;
    /// # impl Policy for Top {
    /// # type Settings = ();
    /// # fn configure((): ()) -> Result<Top, String> {
    /// #     Ok(Top)
    /// # }
    /// # fn manifest(&self) -> Manifest {
    /// #     Manifest::new().plan_warm()
    /// # }
    /// fn plan_warm(&self, _: &str, popular: &[PopularPage], _: &Moment) -> Vec<WarmUrl> {
    ///     popular.iter().take(10).map(|page| WarmUrl::new(&page.url)).collect()
    /// }
    /// # }
    /// # let popular = [PopularPage::new("/", 9)];
    /// # assert_eq!(Top.plan_warm("opening", &popular, &Moment::epoch()).len(), 1);
    /// ```
    fn plan_warm(&self, plan: &str, popular: &[PopularPage], now: &Moment) -> Vec<WarmUrl> {
        let _ = (plan, popular, now);
        Vec::new()
    }
}

/// Makes a policy from the JSON text of its settings, as the edge does. For tests.
///
/// # Errors
/// The path of the bad setting and the reason, or the policy's own message.
///
/// ```
/// use tero_policy::{Manifest, PathPattern, Policy};
///
/// #[derive(Debug, serde::Deserialize)]
/// struct Private {
///     paths: Vec<PathPattern>,
/// }
///
/// impl Policy for Private {
///     type Settings = Private;
///
///     fn configure(settings: Private) -> Result<Private, String> {
///         Ok(settings)
///     }
///
///     fn manifest(&self) -> Manifest {
///         Manifest::new()
///     }
/// }
///
/// let policy: Private = tero_policy::configure(r#"{ "paths": ["/account/*"] }"#).unwrap();
/// assert!(policy.paths[0].matches("/account/1"));
/// let error = tero_policy::configure::<Private>(r#"{ "paths": ["css"] }"#).unwrap_err();
/// assert!(error.starts_with("settings: `paths[0]`: \"css\""));
/// ```
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

/// Removes line and column from a message. They are positions in a JSON text that the operator did
/// not write: the configuration is TOML.
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

/// Writes a line to the operator's log, under the policy's name. Lines are cut at 1 KiB, and at
/// most 16 lines of one call are logged. A native build writes to standard error.
///
/// ```
/// tero_policy::log("the settings name no path");
/// ```
pub fn log(message: &str) {
    #[cfg(target_arch = "wasm32")]
    bindings::log(message);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{message}");
}

/// Exports a [`Policy`] from the module: one line per crate.
///
/// A native build exports nothing, so tests need no WebAssembly.
///
/// ```
/// # use tero_policy::{Manifest, Policy};
/// struct Nothing;
///
/// impl Policy for Nothing {
///     type Settings = ();
///
///     fn configure((): ()) -> Result<Nothing, String> {
///         Ok(Nothing)
///     }
///
///     fn manifest(&self) -> Manifest {
///         Manifest::new()
///     }
/// }
///
/// tero_policy::export!(Nothing);
/// ```
#[macro_export]
macro_rules! export {
    ($policy:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all, reason = "generated by wit-bindgen")]
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
                    texts: ::std::string::String,
                    request: $crate::bindings::Request,
                    now: $crate::bindings::Moment,
                ) -> $crate::bindings::RequestDecision {
                    $crate::glue::on_request(&POLICY, &texts, request, now)
                }
                fn on_response(
                    texts: ::std::string::String,
                    request: $crate::bindings::Request,
                    response: $crate::bindings::Response,
                    now: $crate::bindings::Moment,
                ) -> $crate::bindings::ResponseDecision {
                    $crate::glue::on_response(&POLICY, &texts, request, response, now)
                }
                fn plan_warm(
                    texts: ::std::string::String,
                    plan: $crate::bindings::Span,
                    popular: ::std::vec::Vec<$crate::bindings::PopularPage>,
                    now: $crate::bindings::Moment,
                ) -> ::std::vec::Vec<$crate::bindings::WarmUrl> {
                    $crate::glue::plan_warm(&POLICY, &texts, plan, popular, now)
                }
            }
    $crate::bindings::export_bindings!(Exported with_types_in $crate::bindings);
        };
        // A native build also checks that the type is a policy, so a missing trait is found before
        // the module is built.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() = || {
            fn is_a_policy<P: $crate::Policy>() {}
            is_a_policy::<$policy>();
        };
    };
}

/// The guide for authors. Its examples in Rust are compiled and run.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../README.md")]
    mod readme {}
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
