//! The stubs for the parts of WASI that language runtimes import.

use super::*;

/// The contract, with a world that imports parts of WASI.
fn with_wasi() -> String {
    let world = CONTRACT.replace(
        "world policy {",
        "world policy {
          import wasi:cli/environment@0.2.0;
          import wasi:random/random@0.2.0;
          import wasi:clocks/wall-clock@0.2.0;
          import wasi:clocks/monotonic-clock@0.2.0;
          import wasi:io/poll@0.2.0;",
    );
    world
        + "package wasi:cli@0.2.0 { interface environment {
             get-environment: func() -> list<tuple<string, string>>;
             initial-cwd: func() -> option<string>; } }
           package wasi:random@0.2.0 { interface random { get-random-u64: func() -> u64; } }
           package wasi:clocks@0.2.0 { interface wall-clock { record datetime { seconds: u64, nanoseconds: u32 } now: func() -> datetime; }
                                       interface monotonic-clock { now: func() -> u64; } }
           package wasi:io@0.2.0 { interface poll { resource pollable { block: func(); } } }"
}

const WASI: &str = r#"
  (import "wasi:cli/environment@0.2.0" "get-environment" (func $environment (param i32)))
  (import "wasi:cli/environment@0.2.0" "initial-cwd" (func $cwd (param i32)))
  (import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))
  (import "wasi:clocks/wall-clock@0.2.0" "now" (func $wall_clock (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $monotonic_clock (result i64)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#;

#[test]
fn wasi_has_no_environment_and_no_folders() {
    let contract = with_wasi();
    // Traps unless there is no environment and no working folder.
    let body = "(i32.store (i32.const 4100) (i32.const 7)) (call $environment (i32.const 4096))
                (if (i32.load (i32.const 4100)) (then unreachable))
                (i32.store (i32.const 4096) (i32.const 7)) (call $cwd (i32.const 4096))
                (if (i32.load8_u (i32.const 4096)) (then unreachable))
                (i32.const 2112)";
    let (policy, chain) = chain(
        &ByHand {
            contract: &contract,
            imports: WASI,
            ..ByHand::on_request(body)
        },
        |_| {},
    );
    assert_eq!(
        on_request(&chain, "/").variant.as_deref(),
        Some("mobile"),
        "{:?}",
        policy.status(NOW)
    );
}

#[test]
fn other_calls_of_wasi_fail_including_clocks_and_random_numbers() {
    let contract = with_wasi();
    for (call, import) in [
        (
            "(drop (call $random))",
            "wasi:random/random@0.2.0#get-random-u64",
        ),
        (
            "(call $wall_clock (i32.const 4096))",
            "wasi:clocks/wall-clock@0.2.0#now",
        ),
        (
            "(drop (call $monotonic_clock))",
            "wasi:clocks/monotonic-clock@0.2.0#now",
        ),
    ] {
        let body = format!("{call} (i32.const 2112)");
        let (policy, chain) = chain(
            &ByHand {
                contract: &contract,
                imports: WASI,
                ..ByHand::on_request(&body)
            },
            |config| {
                config.limits.max_failures = 1;
            },
        );
        assert_eq!(on_request(&chain, "/").variant, None);
        let PolicyStatus::SwitchedOff { reason, .. } = policy.status(NOW) else {
            panic!("it is still asked")
        };
        assert!(
            reason.contains("trap: ") && reason.contains(import),
            "{reason}"
        );
    }
}

#[test]
fn inspection_shows_imports_and_manifest_of_a_module() {
    let (folder, contract) = (tempfile::tempdir().unwrap(), with_wasi());
    let body = "(drop (call $random)) (call $environment (i32.const 4096)) (i32.const 2112)";
    let guest = ByHand {
        contract: &contract,
        imports: WASI,
        ..ByHand::on_request(body)
    };
    let config = guest.config(folder.path());
    let inspection = host().inspect(&config).unwrap();
    assert_eq!(
        (inspection.is_component, inspection.contract.as_deref()),
        (false, Some("0.1.0"))
    );
    assert_eq!(
        (inspection.size, inspection.digest.len()),
        (guest.module().len(), 64)
    );
    for (name, expected) in [
        ("log", ImportBinding::Log),
        ("tero:policy/types@0.1.0", ImportBinding::Types),
        (
            "wasi:cli/environment@0.2.0#get-environment",
            ImportBinding::None,
        ),
        (
            "wasi:random/random@0.2.0#get-random-u64",
            ImportBinding::Failure,
        ),
    ] {
        let import = inspection.imports.iter().find(|import| import.name == name);
        assert_eq!(import.map(|import| import.given), Some(expected), "{name}");
    }
    assert_eq!(
        inspection.policy.unwrap().manifest().variants,
        ["mobile".into()]
    );
}

#[test]
fn inspection_of_a_refused_module_shows_what_can_be_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let refusing = ByHand::configure(REFUSAL).config(folder.path());
    let inspection = host().inspect(&refusing).unwrap();
    assert_eq!(inspection.contract.as_deref(), Some("0.1.0"));
    assert!(matches!(
        inspection.policy,
        Err(PolicyError::Settings { .. })
    ));
    let component = r#"(component (import "acme:net/http" (instance (export "fetch" (func)))))"#;
    let config = by_hand::config(folder.path(), &wat::parse_str(component).unwrap());
    let inspection = host().inspect(&config).unwrap();
    assert_eq!(
        inspection.imports,
        [Import {
            name: "acme:net/http".to_owned(),
            given: ImportBinding::NotOffered
        }]
    );
    assert!(matches!(
        inspection.policy,
        Err(PolicyError::NotOffered { .. })
    ));
}
