mod by_hand;
pub(super) mod next;
mod nonsense;
mod shipped;

use http::{HeaderMap, Method, StatusCode};

use self::by_hand::{ByHand, CONTRACT, MOBILE, NOTHING, REFUSAL, config, host_config};
use std::sync::Arc;

use tero_config as config;

use super::*;
use crate::device::Device;
use tero_semantics::decision::{LookupDecision, RequestDecision, ResponseDecision};
use tero_semantics::timestamp::Timestamp;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

fn host() -> Arc<Host> {
    Host::new(&host_config(None)).unwrap()
}

fn load(guest: &ByHand<'_>) -> Result<Arc<Policy>, PolicyError> {
    let folder = tempfile::tempdir().unwrap();
    host().load(&guest.config(folder.path()))
}

#[track_caller]
fn refused(guest: &ByHand<'_>) -> String {
    load(guest).expect_err("it should be refused").to_string()
}

/// A chain of one policy, and the host that must outlive it no longer than it likes.
fn chain(guest: &ByHand<'_>, change: impl FnOnce(&mut config::Policy)) -> (Arc<Policy>, Chain) {
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    let mut config = guest.config(folder.path());
    change(&mut config);
    let policy = host.load(&config).unwrap();
    (
        Arc::clone(&policy),
        Chain::new(&host, vec![policy], 64).unwrap(),
    )
}

fn on_request(chain: &Chain, path: &str) -> Arc<RequestDecision> {
    chain.on_request(&ask(path, &HeaderMap::new()), NOW)
}

fn ask<'a>(path: &'a str, headers: &'a HeaderMap) -> PolicyRequest<'a> {
    let query = None;
    PolicyRequest {
        method: &Method::GET,
        scheme: "http",
        host: "h",
        path,
        query,
        headers,
        device: Device::Unknown,
        variant: None,
    }
}

fn on_response(chain: &Chain) -> ResponseDecision {
    let headers = HeaderMap::new();
    chain.on_response(&ask("/", &headers), &answered(&headers), NOW)
}

/// A 200 of which nothing is known but its fields.
pub(super) fn answered(headers: &HeaderMap) -> PolicyResponse<'_> {
    PolicyResponse {
        status: StatusCode::OK,
        headers,
        length: None,
        header_ttl: None,
        header_browser_ttl: None,
        key: b"",
    }
}

/// The guest fails in that way, the decision is as if it were not there, and the failure is
/// counted.
#[track_caller]
fn fails(guest: &ByHand<'_>, kind: FailureKind) {
    let (policy, chain) = chain(guest, |_| {});
    assert_eq!(*on_request(&chain, "/"), RequestDecision::default());
    let counters = policy.counters().on_request;
    let counts = [
        counters.trap,
        counters.deadline,
        counters.memory,
        counters.bad_answer,
    ];
    let expected = FailureKind::ALL.map(|each| u64::from(each == kind));
    assert_eq!(counts, expected, "{kind:?}");
    assert_eq!(counters.ok, 0);
}

#[test]
fn a_policy_is_loaded_asked_and_remembered() {
    let (policy, chain) = chain(
        &ByHand {
            on_request: MOBILE,
            ..ByHand::default()
        },
        |_| {},
    );
    assert_eq!(policy.manifest().hooks, Hook::ALL);
    assert_eq!(policy.digest().len(), 64);
    assert_eq!(chain.variants(), ["mobile".into()]);
    for _ in 0..3 {
        assert_eq!(on_request(&chain, "/").variant.as_deref(), Some("mobile"));
    }
    assert_eq!(policy.counters().on_request.ok, 1);
    on_request(&chain, "/other");
    assert_eq!(policy.counters().on_request.ok, 2);
    assert_eq!(on_response(&chain), ResponseDecision::default());
    assert!(chain.plan_warm("p", &[], NOW).is_empty());
    let counters = policy.counters();
    assert_eq!((counters.on_response.ok, counters.plan_warm.ok), (1, 1));
    assert!(counters.of(Hook::OnRequest).seconds > 0.0);
}

#[test]
fn a_replaced_chain_does_not_use_old_decisions() {
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    let guest = ByHand {
        on_request: MOBILE,
        ..ByHand::default()
    };
    let policy = host.load(&guest.config(folder.path())).unwrap();
    let chain = || Chain::new(&host, vec![Arc::clone(&policy)], 64).unwrap();
    on_request(&chain(), "/");
    on_request(&chain(), "/");
    assert_eq!(policy.counters().on_request.ok, 2);
    assert_eq!((host.decisions().hits, host.decisions().misses), (0, 2));
}

#[test]
fn each_of_the_four_failures_is_told_apart_and_decides_nothing() {
    let spin = "(loop (br 0)) unreachable";
    fails(
        &ByHand {
            on_request: spin,
            ..ByHand::default()
        },
        FailureKind::Deadline,
    );
    fails(
        &ByHand {
            on_request: "unreachable",
            ..ByHand::default()
        },
        FailureKind::Trap,
    );
    let recurse =
        "(func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))";
    fails(
        &ByHand {
            on_request: "(call $deep (i32.const 0))",
            more: recurse,
            ..ByHand::default()
        },
        FailureKind::Trap,
    );
    let greedy = "(if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then unreachable)) (i32.const 2048)";
    fails(
        &ByHand {
            on_request: greedy,
            ..ByHand::default()
        },
        FailureKind::Memory,
    );
    // Lookup 7 of 2, the string "\ff", a string of 2 GiB, a string beyond the memory, an undeclared
    // variant.
    for nonsense in [
        r#""\01\07""#,
        r#""\00\00\00\00\01\00\00\00\00\0d\00\00\01\00\00\00""#,
        r#""\00\00\00\00\01\00\00\00\00\0d\00\00\00\00\00\80""#,
        r#""\00\00\00\00\01\00\00\00\ff\ff\00\00\06\00\00\00""#,
        r#""\00\00\00\00\01\00\00\00\01\0d\00\00\01\00\00\00""#,
    ] {
        let more = format!(r#"(data (i32.const 3072) {nonsense}) (data (i32.const 3328) "\ffx")"#);
        fails(
            &ByHand {
                on_request: "(i32.const 3072)",
                more: &more,
                ..ByHand::default()
            },
            FailureKind::BadAnswer,
        );
    }
    fails(
        &ByHand {
            on_request: "(i32.const 0x7fffffff)",
            ..ByHand::default()
        },
        FailureKind::BadAnswer,
    );
}

#[test]
fn a_failure_names_the_policy_and_the_limit() {
    let reason = |guest: &ByHand<'_>| {
        let (policy, chain) = chain(guest, |config| config.limits.max_failures = 1);
        on_request(&chain, "/");
        match policy.status() {
            PolicyStatus::SwitchedOff { reason, .. } => reason,
            PolicyStatus::Active => panic!("it did not fail"),
        }
    };
    let spin = "(loop (br 0)) unreachable";
    assert!(
        reason(&ByHand {
            on_request: spin,
            ..ByHand::default()
        })
        .ends_with("it took longer than 200ms (`deadline`)")
    );
    let more =
        "(func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))";
    let deep = reason(&ByHand {
        on_request: "(call $deep (i32.const 0))",
        more,
        ..ByHand::default()
    });
    assert!(
        deep.ends_with("it nested its calls deeper than 512KiB of stack (`policies.stack`)"),
        "{deep}"
    );
    let greedy = "(if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then unreachable)) (i32.const 2048)";
    let greedy = reason(&ByHand {
        on_request: greedy,
        ..ByHand::default()
    });
    assert!(
        greedy.contains("it wanted more memory than 1MiB (`memory`)"),
        "{greedy}"
    );
    // A list of 2^26 names of query parameters.
    let more = r#"(data (i32.const 3072) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\01\00\00\00\00\00\00\00\00\00\00\04")"#;
    let gigantic = reason(&ByHand {
        on_request: "(i32.const 3072)",
        more,
        ..ByHand::default()
    });
    assert!(gigantic.contains("bad_answer: "), "{gigantic}");
    let told = "(call $log (i32.const 1312) (i32.const 6)) unreachable";
    let told = reason(&ByHand {
        on_request: told,
        ..ByHand::default()
    });
    assert!(
        told.contains("trap: mobile (") && told.contains("unreachable"),
        "{told}"
    );
    let more = r#"(data (i32.const 1028) "\ff\ff\ff\7f")"#;
    let configured = refused(&ByHand {
        configure: spin,
        more,
        ..ByHand::default()
    });
    assert!(
        configured.contains("`by-hand`")
            && configured.ends_with("it took longer than 4s (20 times `deadline`)"),
        "{configured}"
    );
}

#[test]
fn a_component_of_too_many_core_modules_is_refused() {
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    let mut config = ByHand::default().config(folder.path());
    config.limits.core_instances = 1;
    let message = host.load(&config).unwrap_err().to_string();
    assert!(
        message.contains("`by-hand`")
            && message.contains("more than 1 core modules (`core_instances`)"),
        "{message}"
    );
}

#[test]
fn what_a_policy_uses_is_counted() {
    let (policy, chain) = chain(
        &ByHand {
            on_request: MOBILE,
            ..ByHand::default()
        },
        |config| {
            config.limits.decisions_per_instance = 1;
        },
    );
    for path in ["/1", "/2", "/3"] {
        on_request(&chain, path);
    }
    let usage = policy.usage();
    // One to be configured, and one for each decision.
    assert_eq!((usage.instances, usage.memory_bytes), (4, 1 << 16));
}

#[test]
fn a_gigantic_answer_is_not_copied() {
    // A reason of 30 MiB, which the guest's memory does hold.
    let more = r#"(data (i32.const 3072) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00\00\00\e0\01")"#;
    let guest = ByHand {
        on_request: "(i32.const 3072)",
        more,
        memory_pages: 500,
        ..ByHand::default()
    };
    let (policy, chain) = chain(&guest, |config| config.limits.memory = 64 << 20);
    assert_eq!(*on_request(&chain, "/"), RequestDecision::default());
    assert_eq!(policy.counters().on_request.bad_answer, 1);
    let (policy, chain) = self::chain(&guest, |config| {
        config.limits.memory = 64 << 20;
        config.limits.max_failures = 1;
    });
    on_request(&chain, "/");
    let PolicyStatus::SwitchedOff { reason, .. } = policy.status() else {
        panic!("it is still asked")
    };
    assert!(
        reason.contains("it answered more than 256KiB (`answer`)"),
        "{reason}"
    );
}

#[test]
fn a_guest_that_copes_with_denied_memory_has_not_failed() {
    let copes = "(drop (memory.grow (i32.const 100))) (i32.const 2112)";
    let (policy, chain) = chain(
        &ByHand {
            on_request: copes,
            ..ByHand::default()
        },
        |_| {},
    );
    assert_eq!(on_request(&chain, "/").variant.as_deref(), Some("mobile"));
    assert_eq!(policy.counters().on_request.memory, 0);
}

#[test]
fn a_deadline_is_kept_within_a_fifth() {
    let guest = ByHand {
        on_request: "(loop (br 0)) unreachable",
        ..ByHand::default()
    };
    let (policy, chain) = chain(&guest, |config| {
        config.limits.deadline = std::time::Duration::from_millis(50)
    });
    for path in ["/1", "/2", "/3", "/4", "/5"] {
        on_request(&chain, path);
    }
    let counters = policy.counters().on_request;
    assert_eq!(counters.deadline, 5);
    // The lower bound is exact; above, a loaded machine may add what it likes, so only absurd
    // values fail here.
    assert!(
        (0.25..2.5).contains(&counters.seconds),
        "{}",
        counters.seconds
    );
}

#[test]
fn a_failed_answer_is_not_remembered_and_the_next_instance_is_a_fresh_one() {
    // Traps at every second call of one instance; the first call of every instance is answered.
    let more = "(global $calls (mut i32) (i32.const 0))";
    let body = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                (if (i32.eq (global.get $calls) (i32.const 2)) (then unreachable)) (i32.const 2112)";
    let (policy, chain) = chain(
        &ByHand {
            on_request: body,
            more,
            ..ByHand::default()
        },
        |_| {},
    );
    assert_eq!(on_request(&chain, "/1").variant.as_deref(), Some("mobile"));
    assert_eq!(on_request(&chain, "/2").variant, None);
    assert_eq!(on_request(&chain, "/2").variant.as_deref(), Some("mobile"));
    assert_eq!(policy.counters().on_request.trap, 1);
    assert_eq!(policy.status(), PolicyStatus::Active);
}

#[test]
fn an_instance_is_replaced_after_so_many_decisions() {
    let more = "(global $calls (mut i32) (i32.const 0))";
    let body = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                (if (i32.gt_u (global.get $calls) (i32.const 2)) (then unreachable)) (i32.const 2112)";
    let (policy, chain) = chain(
        &ByHand {
            on_request: body,
            more,
            ..ByHand::default()
        },
        |config| config.limits.decisions_per_instance = 2,
    );
    for path in ["/1", "/2", "/3", "/4", "/5"] {
        assert_eq!(on_request(&chain, path).variant.as_deref(), Some("mobile"));
    }
    assert_eq!(policy.counters().on_request.trap, 0);
}

#[test]
fn a_policy_that_keeps_failing_is_switched_off_and_its_decisions_are_forgotten() {
    let guest = ByHand {
        on_request: MOBILE,
        on_response: "unreachable",
        ..ByHand::default()
    };
    let (policy, chain) = chain(&guest, |config| config.limits.max_failures = 3);
    for _ in 0..2 {
        on_response(&chain);
        // Good answers of another hook don't keep it on.
        assert_eq!(on_request(&chain, "/").variant.as_deref(), Some("mobile"));
        on_request(&chain, "/other");
    }
    assert_eq!(policy.status(), PolicyStatus::Active);
    on_response(&chain);
    let PolicyStatus::SwitchedOff { since, reason } = policy.status() else {
        panic!("it is still asked")
    };
    assert_eq!(since, NOW);
    assert!(
        reason.contains("3 failures in a row") && reason.contains("trap"),
        "{reason}"
    );
    on_response(&chain);
    assert_eq!(policy.counters().on_response.trap, 3);
    assert_eq!(on_request(&chain, "/").variant, None);
    assert_eq!(policy.counters().on_request.ok, 2);
}

#[test]
fn a_good_answer_in_between_starts_the_count_of_failures_anew() {
    // Traps where the path has three bytes.
    let body = "(if (i32.eq (i32.load (i32.add (local.get 0) (i32.const 28))) (i32.const 3)) (then unreachable)) (i32.const 2112)";
    let (policy, chain) = chain(
        &ByHand {
            on_request: body,
            ..ByHand::default()
        },
        |config| config.limits.max_failures = 2,
    );
    for good in ["/", "/1", "/123"] {
        on_request(&chain, "/xx");
        assert_eq!(on_request(&chain, good).variant.as_deref(), Some("mobile"));
    }
    assert_eq!(policy.status(), PolicyStatus::Active);
    on_request(&chain, "/xx");
    on_request(&chain, "/xx");
    assert!(matches!(policy.status(), PolicyStatus::SwitchedOff { .. }));
}

#[test]
fn a_flood_of_log_lines_does_no_harm() {
    let flood = "(local $i i32)
        (loop (call $log (i32.const 1312) (i32.const 6))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if 0 (i32.lt_u (local.get $i) (i32.const 10000))))
        (i32.const 2112)";
    let (policy, chain) = chain(
        &ByHand {
            on_request: flood,
            ..ByHand::default()
        },
        |config| config.limits.log_lines = 10,
    );
    assert_eq!(on_request(&chain, "/").variant.as_deref(), Some("mobile"));
    let usage = policy.usage();
    assert_eq!((usage.lines, usage.dropped_lines), (10, 9_990));
}

#[test]
fn what_is_no_policy_is_refused_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let host = host();
    let load = |module: &[u8]| host.load(&config(folder.path(), module)).unwrap_err();
    assert!(matches!(load(b""), PolicyError::NotAModule { .. }));
    assert!(matches!(load(b"#!/bin/sh"), PolicyError::NotAModule { .. }));
    assert!(matches!(
        load(b"\0asm\x01\0\0\0\x63"),
        PolicyError::NotAModule { .. }
    ));
    assert!(matches!(
        load(b"\0asm\x0d\0\x01\0\x63"),
        PolicyError::NotAModule { .. }
    ));
    let without_contract = load(&wat::parse_str("(module)").unwrap());
    assert!(
        matches!(without_contract, PolicyError::NoContract { .. }),
        "{without_contract}"
    );
    let empty_component = load(&wat::parse_str("(component)").unwrap());
    assert!(
        matches!(empty_component, PolicyError::NoContract { .. }),
        "{empty_component}"
    );
    let missing = config::Policy {
        module: config::ModuleSource::File("/nowhere.wasm".into()),
        ..config(folder.path(), b"")
    };
    assert!(
        host.load(&missing)
            .unwrap_err()
            .to_string()
            .contains("/nowhere.wasm")
    );
    let unknown = config::Policy {
        module: config::ModuleSource::Builtin("nonesuch".into()),
        ..config(folder.path(), b"")
    };
    assert!(
        host.load(&unknown)
            .unwrap_err()
            .to_string()
            .contains("`nonesuch`")
    );
}

#[test]
fn a_module_of_a_hundred_mebibytes_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), b"\0asm\x01\0\0\0");
    let config::ModuleSource::File(path) = &config.module else {
        unreachable!()
    };
    std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(100 << 20)
        .unwrap();
    let error = host().load(&config).unwrap_err();
    assert!(matches!(error, PolicyError::TooLarge { .. }), "{error}");
    assert!(
        error.to_string().contains("`by-hand`")
            && error.to_string().contains("64MiB (`policies.max_module`)"),
        "{error}"
    );
}

#[test]
fn an_import_that_is_not_offered_is_named() {
    let component = r#"(component (import "acme:net/http" (instance (export "fetch" (func)))))"#;
    let folder = tempfile::tempdir().unwrap();
    let error = host()
        .load(&config(folder.path(), &wat::parse_str(component).unwrap()))
        .unwrap_err();
    assert!(
        matches!(&error, PolicyError::NotOffered { import, .. } if import == "acme:net/http"),
        "{error}"
    );
    let message = refused(&ByHand {
        imports: r#"(import "env" "fetch" (func))"#,
        ..ByHand::default()
    });
    assert_eq!(
        message,
        "policy `by-hand`: the module imports `env#fetch`, which is not offered to policies"
    );
    let contract = CONTRACT.replace(
        "import log:",
        "import fetch: func(url: string); import log:",
    );
    let message = refused(&ByHand {
        contract: &contract,
        imports: r#"(import "$root" "fetch" (func (param i32 i32)))"#,
        ..ByHand::default()
    });
    assert_eq!(
        message,
        "policy `by-hand`: the module imports `fetch`, which is not offered to policies"
    );
}

#[test]
fn another_version_of_the_contract_is_named() {
    let next = CONTRACT.replace("tero:policy@0.1.0", "tero:policy@0.3.0");
    let message = refused(&ByHand {
        contract: &next,
        ..ByHand::default()
    });
    assert!(
        message.contains("`by-hand`")
            && message.contains("tero:policy@0.3.0")
            && message.contains("0.1"),
        "{message}"
    );
    let patch = CONTRACT.replace("tero:policy@0.1.0", "tero:policy@0.1.7");
    assert!(
        load(&ByHand {
            contract: &patch,
            ..ByHand::default()
        })
        .is_ok()
    );
}

/// The contract as it came out, without a word of explanation. It never changes: what it describes
/// loads for good.
const FIRST_CONTRACT: &str = include_str!("tests/contract-0.1.0.wit");

#[test]
fn a_module_of_the_first_version_loads_for_good() {
    let (_, chain) = chain(
        &ByHand {
            contract: FIRST_CONTRACT,
            on_request: MOBILE,
            ..ByHand::default()
        },
        |_| {},
    );
    assert_eq!(on_request(&chain, "/").variant.as_deref(), Some("mobile"));
}

#[test]
fn a_module_of_the_next_version_is_told_and_understood_in_its_own_types() {
    let contract = format!("{NEXT}\n{}", nested(CONTRACT));
    // Answers the variant if the protocol, the last of the request's fields, has eight bytes.
    let body = "(if (i32.ne (i32.load (i32.add (local.get 0) (i32.const 80))) (i32.const 8)) (then unreachable)) (i32.const 2112)";
    // Stored by the response's fields, for 90,500 milliseconds.
    let more = r#"(data (i32.const 3072) "\00\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00\84\61\01\00\00\00\00\00")"#;
    let guest = ByHand {
        contract: &contract,
        on_request: body,
        on_response: "(i32.const 3072)",
        more,
        ..ByHand::default()
    };
    let (policy, chain) = chain(&guest, |_| {});
    assert_eq!(
        on_request(&chain, "/").variant.as_deref(),
        Some("mobile"),
        "{:?}",
        policy.counters()
    );
    assert_eq!(
        on_response(&chain).ttl,
        Some(std::time::Duration::from_secs(90)),
        "{:?}",
        policy.counters()
    );
}

const NEXT: &str = include_str!("tests/next/policy.wit");

/// A package as it stands within the file of another.
fn nested(package: &str) -> String {
    package.replacen(
        "package tero:policy@0.1.0;",
        "package tero:policy@0.1.0 {",
        1,
    ) + "}"
}

#[test]
fn refused_settings_are_told_in_the_policys_own_words() {
    let message = refused(&ByHand {
        configure: REFUSAL,
        ..ByHand::default()
    });
    assert_eq!(
        message,
        "policy `by-hand` refuses its settings: no such shop"
    );
}

#[test]
fn a_guest_that_fails_while_it_is_configured_is_refused_with_how() {
    #[track_caller]
    fn check(guest: &ByHand<'_>, expected: FailureKind) {
        let error = load(guest).unwrap_err();
        assert!(
            matches!(error, PolicyError::Failed { kind, .. } if kind == expected),
            "{error}"
        );
    }
    check(
        &ByHand {
            configure: "unreachable",
            ..ByHand::default()
        },
        FailureKind::Trap,
    );
    check(
        &ByHand {
            configure: "(loop (br 0)) unreachable",
            ..ByHand::default()
        },
        FailureKind::Deadline,
    );
    check(
        &ByHand {
            memory_pages: 17,
            ..ByHand::default()
        },
        FailureKind::Memory,
    );
    let start = "(func $start unreachable) (start $start)";
    check(
        &ByHand {
            more: start,
            ..ByHand::default()
        },
        FailureKind::Trap,
    );
    let bad = r#"(data (i32.const 1028) "\ff\ff\ff\7f")"#;
    check(
        &ByHand {
            more: bad,
            ..ByHand::default()
        },
        FailureKind::BadAnswer,
    );
}

#[test]
fn a_bad_manifest_refuses_the_policy() {
    let shouted = r#"(data (i32.const 1312) "MOBILE")"#;
    let message = refused(&ByHand {
        more: shouted,
        ..ByHand::default()
    });
    assert!(
        message.contains("bad manifest") && message.contains("MOBILE"),
        "{message}"
    );
}

#[test]
fn variants_of_a_site_are_bounded() {
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    let policy = host.load(&ByHand::default().config(folder.path())).unwrap();
    assert!(Chain::new(&host, vec![Arc::clone(&policy)], 1).is_ok());
    let error = Chain::new(&host, vec![policy; 7], 64).unwrap_err();
    assert!(
        matches!(
            error,
            PolicyError::TooManyVariants {
                count: 127,
                bound: 64
            }
        ),
        "{error}"
    );
}

#[test]
fn a_chain_without_policies_decides_nothing() {
    let chain = Chain::new(&host(), Vec::new(), 64).unwrap();
    assert!(
        chain.is_empty()
            && chain.variants().is_empty()
            && chain.zone().is_none()
            && !chain.needs_device()
    );
    assert_eq!(on_request(&chain, "/").lookup, LookupDecision::Cache);
}

/// The contract, with a world that drags in some of WASI.
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
fn what_is_empty_in_wasi_is_told_as_empty() {
    let contract = with_wasi();
    // Traps unless there is neither an environment nor a folder.
    let body = "(i32.store (i32.const 4100) (i32.const 7)) (call $environment (i32.const 4096))
                (if (i32.load (i32.const 4100)) (then unreachable))
                (i32.store (i32.const 4096) (i32.const 7)) (call $cwd (i32.const 4096))
                (if (i32.load8_u (i32.const 4096)) (then unreachable))
                (i32.const 2112)";
    let (policy, chain) = chain(
        &ByHand {
            contract: &contract,
            imports: WASI,
            on_request: body,
            ..ByHand::default()
        },
        |_| {},
    );
    assert_eq!(
        on_request(&chain, "/").variant.as_deref(),
        Some("mobile"),
        "{:?}",
        policy.status()
    );
}

#[test]
fn the_rest_of_wasi_is_denied_and_clocks_and_chance_are_never_made_up() {
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
                on_request: &body,
                ..ByHand::default()
            },
            |config| {
                config.limits.max_failures = 1;
            },
        );
        assert_eq!(on_request(&chain, "/").variant, None);
        let PolicyStatus::SwitchedOff { reason, .. } = policy.status() else {
            panic!("it is still asked")
        };
        assert!(
            reason.contains("trap: ") && reason.contains(import),
            "{reason}"
        );
    }
}

#[test]
fn a_module_can_be_looked_at() {
    let (folder, contract) = (tempfile::tempdir().unwrap(), with_wasi());
    let body = "(drop (call $random)) (call $environment (i32.const 4096)) (i32.const 2112)";
    let guest = ByHand {
        contract: &contract,
        imports: WASI,
        on_request: body,
        ..ByHand::default()
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
    let given = |name: &str| {
        inspection
            .imports
            .iter()
            .find(|import| import.name == name)
            .map(|import| import.given)
    };
    assert_eq!(given("log"), Some(ImportBinding::Log));
    assert_eq!(given("tero:policy/types@0.1.0"), Some(ImportBinding::Types));
    assert_eq!(
        given("wasi:cli/environment@0.2.0#get-environment"),
        Some(ImportBinding::None)
    );
    assert_eq!(
        given("wasi:random/random@0.2.0#get-random-u64"),
        Some(ImportBinding::Failure)
    );
    assert_eq!(
        inspection.policy.unwrap().manifest().variants,
        ["mobile".into()]
    );
    // What can't be used is looked at as far as it goes.
    let refusing = ByHand {
        configure: REFUSAL,
        ..ByHand::default()
    }
    .config(folder.path());
    let inspection = host().inspect(&refusing).unwrap();
    assert_eq!(inspection.contract.as_deref(), Some("0.1.0"));
    assert!(matches!(
        inspection.policy,
        Err(PolicyError::Settings { .. })
    ));
    let component = r#"(component (import "acme:net/http" (instance (export "fetch" (func)))))"#;
    let inspection = host()
        .inspect(&by_hand::config(
            folder.path(),
            &wat::parse_str(component).unwrap(),
        ))
        .unwrap();
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

#[test]
fn compiled_modules_are_kept_and_damaged_or_foreign_ones_are_not_used() {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    let (folder, modules) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let cache = folder.path().join("tero");
    let config = ByHand {
        on_request: MOBILE,
        ..ByHand::default()
    }
    .config(modules.path());
    let load = || {
        Host::new(&host_config(Some(cache.clone())))
            .unwrap()
            .load(&config)
            .unwrap()
    };
    let files = || {
        fs::read_dir(&cache)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<_>>()
    };
    load();
    let [file] = files().try_into().unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&cache), mode(&file)), (0o700, 0o600));
    let good = fs::read(&file).unwrap();

    // A good file is used as it is.
    let written = fs::metadata(&file).unwrap().modified().unwrap();
    load();
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), written);

    // A damaged, a cut and an empty one are replaced.
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for bad in [damaged.as_slice(), &good[..good.len() / 2], b""] {
        fs::write(&file, bad).unwrap();
        load();
        assert!(fs::read(&file).unwrap() == good);
    }
    // One that others may write is not believed, whatever is in it.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    load();
    assert_eq!(mode(&file), 0o600);
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    load();
}
