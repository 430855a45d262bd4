//! The part of the engine that reads bytes from outside, compiled from the engine's own files but
//! without WebAssembly and without sockets. It bears the engine's name, so that [`drive`] means the
//! same here and in the test that replays the corpus.

#![allow(
    dead_code,
    unused_imports,
    reason = "parts of the engine that are not here use the rest"
)]

extern crate self as tero;

pub mod drive;

pub use engine::{
    admin, cases, config, diff, import, policy, request, rollout, semantics, telemetry, warm, wire,
};

#[path = "../../../engine/src"]
mod engine {
    pub mod config;
    pub mod import;
    pub mod semantics;
    pub mod telemetry;
    pub mod wire;

    pub mod admin {
        pub mod asked;
        pub mod fuzzing;
        mod guard;
        mod reply;
        mod route;
    }

    pub mod cases {
        pub mod keys;
        mod read;
        mod written;

        pub use written::Cases;
    }

    pub mod diff {
        mod line;

        pub use line::{Logged, parse};
    }

    pub mod policy {
        mod answer;
        pub mod fuzzing;
        mod manifest;
        mod package;

        pub use manifest::{Hook, Manifest};
        pub use package::Package;

        /// The engine has these types from the same file by another generator, which needs the
        /// WebAssembly compiler.
        #[allow(unsafe_code, clippy::all)]
        mod contract {
            wit_bindgen::generate!({ path: "../../sdk/wit", world: "policy", additional_derives: [PartialEq] });

            pub(crate) use self::tero::policy::types;
        }
    }

    pub mod request {
        pub mod trial {
            mod share;

            pub use share::Share;
        }
    }

    pub mod rollout {
        pub mod record;
    }

    pub mod warm {
        pub mod remembered;
        pub mod sitemap;

        pub mod sources {
            pub mod pages;
        }
    }
}

/// Policies can't be loaded here, so what they would say of a configuration is left out.
mod check {
    use crate::config::{Config, ConfigErrors};

    pub(crate) fn check_policies(_: &Config, _: &str) -> Result<(), ConfigErrors> {
        Ok(())
    }
}
