//! The part of the engine that reads bytes from outside, compiled from the engine's own files but without WebAssembly and without
//! sockets. It bears the engine's name, so that [`drive`] means the same here and in the test that replays the corpus.

#![allow(dead_code, unused_imports, reason = "parts of the engine that are not here use the rest")]

extern crate self as tero;

pub mod drive;

pub use engine::{admin, config, import, policy, semantics, telemetry, warm, wire};

#[path = "../../../engine/src"]
mod engine {
    pub mod admin {
        pub mod purge {
            pub mod asked;
        }
    }

    pub mod config;
    pub mod import;
    pub mod semantics;
    pub mod wire;

    pub mod policy {
        mod answer;
        pub mod fuzzing;
        pub mod manifest;
        mod package;

        pub use package::Package;

        /// The engine has these types from the same file by another generator, which needs the WebAssembly compiler.
        #[allow(unsafe_code, clippy::all)]
        mod contract {
            wit_bindgen::generate!({ path: "../../sdk/wit", world: "policy", additional_derives: [PartialEq] });

            pub(crate) use self::tero::policy::types;
        }
    }

    pub mod telemetry {
        pub mod cache_status;
    }

    pub mod warm {
        pub mod sitemap;
    }
}

/// Policies can't be loaded here, so what they would say of a configuration is left out.
mod check {
    use crate::config::{Config, ConfigErrors};

    pub(crate) fn check_policies(_: &Config, _: &str) -> Result<(), ConfigErrors> {
        Ok(())
    }
}
