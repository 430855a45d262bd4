//! The readers of bytes from outside whose crates also hold WebAssembly or sockets, compiled from
//! the engine's own files without either. They bear their crates' names here, so that [`drive`]
//! means the same as in the test that replays the corpus. The other readers are dependencies.

#![allow(
    dead_code,
    unused_imports,
    reason = "parts of the engine that are not here use the rest"
)]

extern crate self as tero_control;
extern crate self as tero_edge;
extern crate self as tero_policy_host;
extern crate self as tero_tools;

pub mod drive;

pub use control::{admin, purge, rollout, warm};
pub use policy_host::{
    Hook, Manifest, Package, PopularPage, WarmUrl, answer, cases, contract, cookies, device, facts,
    fuzzing, manifest,
};
pub use request_path::{run_id, telemetry};
pub use tools::{import, replay};

#[path = "../../../engine/policy-host/src"]
mod policy_host {
    pub mod answer;
    pub mod cookies;
    pub mod device;
    pub mod facts;
    pub mod fuzzing;
    pub mod manifest;

    pub use answer::WarmUrl;
    pub use facts::PopularPage;
    pub use manifest::{Hook, Manifest};
    pub use module::package::Package;

    pub mod module {
        pub mod package;
    }

    pub mod cases {
        mod case;
        pub mod keys;
        mod read;

        pub use case::Cases;
    }

    /// The host has these types from the same file by another generator, which needs the
    /// WebAssembly compiler.
    #[allow(unsafe_code, clippy::all)]
    pub mod contract {
        wit_bindgen::generate!({ path: "../../sdk/wit", world: "policy", additional_derives: [PartialEq] });

        pub(crate) use self::tero::policy::types;
    }
}

#[path = "../../../engine/edge/src"]
mod request_path {
    pub mod run_id;
    pub mod telemetry;
}

#[path = "../../../engine/control/src"]
mod control {
    pub mod admin {
        pub mod fuzzing;
        mod guard;
        mod reply;
        mod route;
        pub mod subject;
    }

    pub mod purge {
        pub mod target;
    }

    pub mod rollout {
        pub mod record;
    }

    pub mod warm {
        pub mod sitemap;

        pub mod sources {
            pub mod pages;
        }
    }
}

#[path = "../../../engine/tools/src"]
mod tools {
    pub mod import;

    pub mod replay {
        pub mod log;
    }
}

/// Policies can't be loaded here, so what they would say of a configuration is left out.
pub mod check {
    use tero_config::{Config, ConfigErrors};

    /// The configuration is good as far as its policies are concerned.
    ///
    /// # Errors
    /// Never.
    pub fn check_policies(_: &Config, _: &str) -> Result<(), ConfigErrors> {
        Ok(())
    }
}
