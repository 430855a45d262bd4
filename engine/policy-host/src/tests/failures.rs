//! Guests that fail, in each of the four ways.

use super::*;

/// Checks that the guest fails in this way, that it decides nothing, and that the failure is
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

/// Bodies of `on-request` that exceed a limit. `NEST` needs the function [`DEEP`].
const SPIN: &str = "(loop (br 0)) unreachable";
const NEST: &str = "(call $deep (i32.const 0))";
const GROW: &str = "(if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then unreachable)) (i32.const 2048)";
const DEEP: &str =
    "(func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))";

/// A guest that nests its calls without end.
fn nesting() -> ByHand<'static> {
    ByHand {
        more: DEEP,
        ..ByHand::on_request(NEST)
    }
}

#[test]
fn each_kind_of_failure_is_counted_and_decides_nothing() {
    fails(&ByHand::on_request(SPIN), FailureKind::Deadline);
    fails(&ByHand::on_request("unreachable"), FailureKind::Trap);
    fails(&nesting(), FailureKind::Trap);
    fails(&ByHand::on_request(GROW), FailureKind::Memory);
    // A lookup of 7 out of 2, the string "\ff", a string of 2 GiB, a string beyond the memory, an
    // undeclared variant.
    for nonsense in [
        r#""\01\07""#,
        r#""\00\00\00\00\01\00\00\00\00\0d\00\00\01\00\00\00""#,
        r#""\00\00\00\00\01\00\00\00\00\0d\00\00\00\00\00\80""#,
        r#""\00\00\00\00\01\00\00\00\ff\ff\00\00\06\00\00\00""#,
        r#""\00\00\00\00\01\00\00\00\01\0d\00\00\01\00\00\00""#,
    ] {
        let more = format!(r#"(data (i32.const 3072) {nonsense}) (data (i32.const 3328) "\ffx")"#);
        let guest = ByHand {
            more: &more,
            ..ByHand::on_request("(i32.const 3072)")
        };
        fails(&guest, FailureKind::BadAnswer);
    }
    fails(
        &ByHand::on_request("(i32.const 0x7fffffff)"),
        FailureKind::BadAnswer,
    );
}

/// The reason for which a policy was switched off after its first failure.
fn reason(guest: &ByHand<'_>) -> String {
    let (policy, chain) = chain(guest, |config| config.limits.max_failures = 1);
    on_request(&chain, "/");
    match policy.status() {
        PolicyStatus::SwitchedOff { reason, .. } => reason,
        PolicyStatus::Active => panic!("it did not fail"),
    }
}

#[test]
fn a_failure_names_the_policy_and_the_limit() {
    assert!(reason(&ByHand::on_request(SPIN)).ends_with("it took longer than 200ms (`deadline`)"));
    let deep = reason(&nesting());
    assert!(
        deep.ends_with("it nested its calls deeper than 512KiB of stack (`policies.stack`)"),
        "{deep}"
    );
    let greedy = reason(&ByHand::on_request(GROW));
    assert!(
        greedy.contains("it wanted more memory than 1MiB (`memory`)"),
        "{greedy}"
    );
    // A list of 2^26 names of query parameters.
    let more = r#"(data (i32.const 3072) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\01\00\00\00\00\00\00\00\00\00\00\04")"#;
    let gigantic = reason(&ByHand {
        more,
        ..ByHand::on_request("(i32.const 3072)")
    });
    assert!(gigantic.contains("bad_answer: "), "{gigantic}");
    let logging = "(call $log (i32.const 1312) (i32.const 6)) unreachable";
    let logged = reason(&ByHand::on_request(logging));
    assert!(
        logged.contains("trap: mobile (") && logged.contains("unreachable"),
        "{logged}"
    );
    let more = r#"(data (i32.const 1028) "\ff\ff\ff\7f")"#;
    let configured = refused(&ByHand {
        more,
        ..ByHand::configure(SPIN)
    });
    assert!(
        configured.contains("`by-hand`")
            && configured.ends_with("it took longer than 4s (20 times `deadline`)"),
        "{configured}"
    );
}

#[test]
fn a_gigantic_answer_is_not_copied() {
    // A reason of 30 MiB, which fits in the guest's memory.
    let more = r#"(data (i32.const 3072) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00\00\00\e0\01")"#;
    let guest = ByHand {
        more,
        memory_pages: 500,
        ..ByHand::on_request("(i32.const 3072)")
    };
    let (policy, chain) = chain(&guest, |config| config.limits.memory = 64 << 20);
    assert_eq!(*on_request(&chain, "/"), RequestDecision::default());
    assert_eq!(policy.counters().on_request.bad_answer, 1);
    let (policy, chain) = super::chain(&guest, |config| {
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
fn a_guest_that_recovers_from_denied_memory_has_not_failed() {
    let copes = "(drop (memory.grow (i32.const 100))) (i32.const 2112)";
    let (policy, chain) = chain(&ByHand::on_request(copes), |_| {});
    assert_eq!(on_request(&chain, "/").variant.as_deref(), Some("mobile"));
    assert_eq!(policy.counters().on_request.memory, 0);
}

#[test]
fn a_deadline_is_kept_within_a_fifth() {
    let guest = ByHand::on_request(SPIN);
    let (policy, chain) = chain(&guest, |config| {
        config.limits.deadline = std::time::Duration::from_millis(50)
    });
    for path in ["/1", "/2", "/3", "/4", "/5"] {
        on_request(&chain, path);
    }
    let counters = policy.counters().on_request;
    assert_eq!(counters.deadline, 5);
    // The lower bound is exact. A loaded machine may take any time longer, so only absurd values
    // fail here.
    assert!(
        (0.25..2.5).contains(&counters.seconds),
        "{}",
        counters.seconds
    );
}

#[test]
fn a_failed_answer_is_not_remembered_and_the_next_instance_is_fresh() {
    // Traps at the second call of every instance, and answers at the first.
    let more = "(global $calls (mut i32) (i32.const 0))";
    let body = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                (if (i32.eq (global.get $calls) (i32.const 2)) (then unreachable)) (i32.const 2112)";
    let (policy, chain) = chain(
        &ByHand {
            more,
            ..ByHand::on_request(body)
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
fn a_policy_that_keeps_failing_is_switched_off_and_its_decisions_are_dropped() {
    let guest = ByHand {
        on_response: "unreachable",
        ..ByHand::on_request(MOBILE)
    };
    let (policy, chain) = chain(&guest, |config| config.limits.max_failures = 3);
    for _ in 0..2 {
        on_response(&chain);
        // Good answers of another hook do not keep it on.
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
fn a_good_answer_resets_the_count_of_failures() {
    // Traps if the path has three bytes.
    let body = "(if (i32.eq (i32.load (i32.add (local.get 0) (i32.const 28))) (i32.const 3)) (then unreachable)) (i32.const 2112)";
    let (policy, chain) = chain(&ByHand::on_request(body), |config| {
        config.limits.max_failures = 2
    });
    for good in ["/", "/1", "/123"] {
        on_request(&chain, "/xx");
        assert_eq!(on_request(&chain, good).variant.as_deref(), Some("mobile"));
    }
    assert_eq!(policy.status(), PolicyStatus::Active);
    on_request(&chain, "/xx");
    on_request(&chain, "/xx");
    assert!(matches!(policy.status(), PolicyStatus::SwitchedOff { .. }));
}
