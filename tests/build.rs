//! Compiles the policies that the tests need: one that misbehaves, one that decides as it is told, and
//! the examples.

#[path = "../engine/policy-host/build/guests.rs"]
mod guests;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests lie in the workspace");
    let sources = [
        "tests/guests",
        "tests/build.rs",
        "examples/first-policy",
        "examples/shop-hours/rust",
        "examples/policies",
        "engine/policy-host/build",
    ];
    guests::build(
        root,
        &[
            "misbehaving",
            "deciding",
            "first-policy",
            "shop-hours",
            "redirects",
            "ab-test",
            "crawler-guard",
            "header-rules",
            "scheduled-publishing",
            "country",
        ],
        &sources,
        |modules| {
            for module in modules {
                println!(
                    "cargo::rustc-env=GUEST_{}={}",
                    module.name.replace('-', "_").to_uppercase(),
                    module.path.display()
                );
            }
            Ok(())
        },
    )
}
