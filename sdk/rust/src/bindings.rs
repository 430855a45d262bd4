//! Bindings that wit-bindgen generates from `sdk/wit/policy.wit`. [`export!`](crate::export) uses
//! them, authors do not.
#![allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]

wit_bindgen::generate!({
    path: "../wit",
    world: "policy",
    pub_export_macro: true,
    export_macro_name: "export_bindings",
    default_bindings_module: "tero_policy::bindings",
    runtime_path: "wit_bindgen::rt",
});

pub use tero::policy::types;
pub use wit_bindgen::rt;
