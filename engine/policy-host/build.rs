//! Compiles the built-in policies to WebAssembly, which `module/builtin.rs` embeds.

#[path = "build/guests.rs"]
mod guests;

use std::path::Path;
use std::process::ExitCode;

const POLICIES: [&str; 4] = [
    "business-hours",
    "device-variants",
    "json-rules",
    "popular-pages",
];

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the crate lies in a folder of the workspace");
    guests::build(
        root,
        &POLICIES,
        &[
            "policies",
            "engine/policy-host/build.rs",
            "engine/policy-host/build",
        ],
        |modules| {
            let entries: String = modules
                .iter()
                .map(|module| {
                    format!(
                        "    ({:?}, include_bytes!({:?})),\n",
                        module.name, module.path
                    )
                })
                .collect();
            let out = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
            std::fs::write(
                Path::new(&out).join("builtin.rs"),
                format!("&[\n{entries}]\n"),
            )
        },
    )
}
