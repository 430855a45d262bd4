//! Guests that fail, in each of the four ways.

use std::net::IpAddr;

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
    match policy.status(NOW) {
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
    let PolicyStatus::SwitchedOff { reason, .. } = policy.status(NOW) else {
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
    let later = request_at(&chain, "/2", after(1_000));
    assert_eq!(later.variant.as_deref(), Some("mobile"));
    assert_eq!(policy.counters().on_request.trap, 1);
    assert_eq!(policy.status(NOW), PolicyStatus::Active);
}

/// The instant so many milliseconds after [`NOW`].
fn after(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(NOW.unix_millis() + millis)
}

fn request_at(chain: &Chain, path: &str, now: Timestamp) -> Arc<RequestDecision> {
    chain.on_request(&ask(path, &HeaderMap::new()), now)
}

fn response_at(chain: &Chain, path: &str, now: Timestamp) -> ResponseDecision {
    let headers = HeaderMap::new();
    chain.on_response(&ask(path, &headers), &answered(&headers), now)
}

/// Traps if the path has three bytes, and answers otherwise.
const TRAPS_AT_THREE: &str = "(if (i32.eq (i32.load (i32.add (local.get 0) (i32.const 28))) (i32.const 3)) (then unreachable)) (i32.const 2112)";

#[test]
fn a_policy_that_keeps_failing_is_switched_off_and_its_decisions_are_not_used() {
    let guest = ByHand {
        on_response: "unreachable",
        ..ByHand::on_request(MOBILE)
    };
    let (policy, chain) = chain(&guest, |config| config.limits.max_failures = 3);
    for path in ["/1", "/2"] {
        response_at(&chain, path, NOW);
        // Good answers of another hook do not keep it on.
        assert_eq!(on_request(&chain, "/").variant.as_deref(), Some("mobile"));
        on_request(&chain, "/other");
    }
    assert_eq!(policy.status(NOW), PolicyStatus::Active);
    response_at(&chain, "/3", NOW);
    let PolicyStatus::SwitchedOff {
        since,
        until,
        reason,
    } = policy.status(NOW)
    else {
        panic!("it is still asked")
    };
    assert_eq!((since, until), (NOW, after(5_000)));
    assert!(
        reason.contains("3 of 3 questions failed") && reason.contains("trap"),
        "{reason}"
    );
    response_at(&chain, "/4", NOW);
    assert_eq!(policy.counters().on_response.trap, 3);
    assert_eq!(on_request(&chain, "/").variant, None);
    assert_eq!(policy.counters().on_request.ok, 2);
    assert_eq!(policy.counters().switched_off, 1);
}

#[test]
fn a_failed_question_is_not_asked_again_for_a_moment() {
    let guest = ByHand {
        on_response: "unreachable",
        ..ByHand::on_request(TRAPS_AT_THREE)
    };
    let (policy, chain) = chain(&guest, |config| config.limits.max_failures = 100);
    for (millis, asked, withheld) in [
        (0, 1, 0),
        (1, 1, 2),
        (999, 1, 4),
        (1_000, 2, 4),
        (1_999, 2, 6),
    ] {
        assert_eq!(request_at(&chain, "/xx", after(millis)).variant, None);
        response_at(&chain, "/xx", after(millis));
        let counters = policy.counters();
        assert_eq!(
            (
                counters.on_request.trap,
                counters.on_response.trap,
                counters.withheld
            ),
            (asked, asked, withheld),
            "after {millis} ms"
        );
    }
    // Other questions are asked.
    assert!(request_at(&chain, "/", after(1)).variant.is_some());
    request_at(&chain, "/yy", after(1));
    assert_eq!(policy.counters().on_request.trap, 3);
}

#[test]
fn a_question_that_fails_again_and_again_switches_nothing_off() {
    let (policy, chain) = chain(&ByHand::on_request(TRAPS_AT_THREE), |config| {
        config.limits.max_failures = 2;
        config.limits.failure_memory = std::time::Duration::ZERO;
    });
    for number in 0..50 {
        request_at(&chain, "/xx", after(number * 100));
    }
    assert_eq!(policy.counters().on_request.trap, 50);
    assert_eq!(policy.status(after(5_000)), PolicyStatus::Active);
    request_at(&chain, "/yy", after(5_000));
    assert_ne!(policy.status(after(5_000)), PolicyStatus::Active);
}

/// Asks about so many good paths and then about so many that fail, and says whether the policy is
/// asked after that.
fn is_asked_after(good: usize, bad: usize, share: &str) -> bool {
    let (policy, chain) = chain(&ByHand::on_request(TRAPS_AT_THREE), |config| {
        config.limits.max_failure_share = config::units::Share::parse(share).unwrap();
    });
    for number in 0..good {
        on_request(&chain, &format!("/good/{number}"));
    }
    for number in 10..10 + bad {
        on_request(&chain, &format!("/{number}"));
    }
    policy.status(NOW) == PolicyStatus::Active
}

#[test]
fn a_policy_is_switched_off_beyond_its_share_of_failures() {
    assert!(is_asked_after(0, 9, "10%"), "fewer than `max_failures`");
    assert!(!is_asked_after(0, 10, "10%"));
    assert!(is_asked_after(90, 10, "10%"), "as many as are allowed");
    assert!(!is_asked_after(90, 11, "10%"));
    assert!(!is_asked_after(10, 11, "50%"));
    assert!(is_asked_after(0, 50, "100%"));
}

/// Asks as the client with this number.
fn request_of(chain: &Chain, client: u32, path: &str) -> Arc<RequestDecision> {
    let headers = HeaderMap::new();
    let request = PolicyRequest {
        client: ClientFacts::of(Some(IpAddr::V4(client.into()))),
        ..ask(path, &headers)
    };
    chain.on_request(&request, NOW)
}

#[test]
fn one_client_switches_nothing_off_and_is_held_back() {
    let (policy, chain) = chain(&ByHand::on_request(TRAPS_AT_THREE), |_| {});
    for number in 0..9 {
        request_of(&chain, 2, &format!("/good/{number}"));
    }
    for number in 10..100 {
        request_of(&chain, 1, &format!("/{number}"));
    }
    assert_eq!(policy.status(NOW), PolicyStatus::Active);
    // From its tenth failure on it is not asked for.
    let counters = policy.counters();
    assert_eq!((counters.on_request.trap, counters.withheld), (10, 80));
    // Others are, and their failures count for themselves.
    assert!(request_of(&chain, 2, "/good").variant.is_some());
    assert_eq!(request_of(&chain, 1, "/other").variant, None);
    request_of(&chain, 3, "/aa");
    assert_eq!(policy.counters().on_request.trap, 11);
    assert_eq!(policy.status(NOW), PolicyStatus::Active);
    // Not for ever.
    let headers = HeaderMap::new();
    let later = PolicyRequest {
        client: ClientFacts::of(Some(IpAddr::V4(1.into()))),
        ..ask("/later", &headers)
    };
    assert!(chain.on_request(&later, after(5_000)).variant.is_some());
}

#[test]
fn a_client_that_asks_alone_counts_in_full() {
    let (policy, chain) = chain(&ByHand::on_request(TRAPS_AT_THREE), |_| {});
    for number in 10..20 {
        request_of(&chain, 1, &format!("/{number}"));
    }
    assert_ne!(policy.status(NOW), PolicyStatus::Active);
}

#[test]
fn a_client_whose_failures_are_a_small_share_is_asked_for() {
    let (policy, chain) = chain(&ByHand::on_request(TRAPS_AT_THREE), |_| {});
    for number in 0..1_000 {
        request_of(&chain, 2, &format!("/good/{number}"));
    }
    for number in 10..60 {
        request_of(&chain, 1, &format!("/{number}"));
    }
    let counters = policy.counters();
    assert_eq!((counters.on_request.trap, counters.withheld), (50, 0));
    assert_eq!(policy.status(NOW), PolicyStatus::Active);
}

#[test]
fn failures_of_several_clients_switch_a_policy_off() {
    let (policy, chain) = chain(&ByHand::on_request(TRAPS_AT_THREE), |_| {});
    for client in 1..=5 {
        assert_eq!(policy.status(NOW), PolicyStatus::Active, "{client}");
        for number in 0..2 {
            request_of(&chain, client, &format!("/{client}{number}"));
        }
    }
    assert_ne!(policy.status(NOW), PolicyStatus::Active);
}

#[test]
fn the_time_of_one_clients_failures_switches_nothing_off() {
    let (policy, chain) = chain(&ByHand::on_request(SPIN), |config| {
        config.limits.max_failures = 1_000;
    });
    // Another client asks, too.
    request_of(&chain, 2, "/");
    for number in 0..20 {
        request_of(&chain, 1, &format!("/{number}"));
    }
    assert_eq!(policy.status(NOW), PolicyStatus::Active);
    // The first one is that of the other client.
    let asked = policy.counters().on_request.deadline - 1;
    assert!((2..=6).contains(&asked), "{asked}");
}

#[test]
fn a_policy_is_switched_off_for_the_time_that_failures_take() {
    let (policy, chain) = chain(&ByHand::on_request(SPIN), |config| {
        config.limits.max_failures = 1_000;
    });
    // Each takes 200 ms; a second is a tenth of ten.
    let mut asked = 0;
    while policy.status(NOW) == PolicyStatus::Active && asked < 20 {
        on_request(&chain, &format!("/{asked}"));
        asked += 1;
    }
    assert!((2..=6).contains(&asked), "{asked}");
    let reason = policy.last_trouble().unwrap();
    assert!(reason.contains("% of a thread's time"), "{reason}");
}

#[test]
fn rests_grow_while_a_policy_fails_again_and_begin_anew_once_it_behaved() {
    let (policy, chain) = chain(&ByHand::on_request(TRAPS_AT_THREE), |config| {
        config.limits.max_failures = 3;
        config.limits.max_rest = std::time::Duration::from_secs(12);
    });
    let mut now = 0;
    let mut page = 10;
    let mut fail = |now: i64, times: usize| {
        for _ in 0..times {
            request_at(&chain, &format!("/{page}"), after(now));
            page += 1;
        }
    };
    fail(now, 3);
    for rest in [5_000, 10_000, 12_000, 12_000] {
        assert_ne!(
            policy.status(after(now + rest - 1)),
            PolicyStatus::Active,
            "{rest}"
        );
        now += rest;
        assert_eq!(policy.status(after(now)), PolicyStatus::Active, "{rest}");
        // After a rest, two failures suffice.
        fail(now, 1);
        assert_eq!(policy.status(after(now)), PolicyStatus::Active);
        fail(now, 1);
        assert_ne!(policy.status(after(now)), PolicyStatus::Active);
    }
    assert_eq!(policy.counters().switched_off, 5);
    // It has not failed for as long as it rested.
    now += 12_000 + 12_000;
    fail(now, 2);
    assert_eq!(policy.status(after(now)), PolicyStatus::Active);
    fail(now, 1);
    assert_ne!(policy.status(after(now + 4_999)), PolicyStatus::Active);
    assert_eq!(policy.status(after(now + 5_000)), PolicyStatus::Active);
    // A clock that is set back to before the rest ends it.
    assert_eq!(policy.status(after(now - 1)), PolicyStatus::Active);
}

#[test]
fn after_a_rest_remembered_decisions_are_used_again() {
    let (policy, chain) = chain(&ByHand::on_request(TRAPS_AT_THREE), |config| {
        config.limits.max_failures = 1;
    });
    assert!(on_request(&chain, "/").variant.is_some());
    on_request(&chain, "/xx");
    assert_eq!(on_request(&chain, "/").variant, None);
    assert_eq!(on_request(&chain, "/other").variant, None);
    assert!(request_at(&chain, "/", after(5_000)).variant.is_some());
    assert_eq!(policy.counters().on_request.ok, 1, "it was remembered");
    assert!(request_at(&chain, "/other", after(5_000)).variant.is_some());
}

#[test]
fn when_off_pass_takes_requests_without_an_answer_out_of_the_cache() {
    let guest = ByHand {
        on_response: "unreachable",
        ..ByHand::on_request(TRAPS_AT_THREE)
    };
    let (_, chain) = chain(&guest, |config| {
        config.limits.max_failures = 2;
        config.limits.when_off = config::WhenOff::Pass;
    });
    let failed = on_request(&chain, "/xx");
    assert_eq!(failed.lookup, LookupDecision::Pass);
    assert_eq!(failed.reason.as_deref(), Some("by-hand: failed"));
    assert_eq!(on_request(&chain, "/").lookup, LookupDecision::Cache);
    let failed = response_at(&chain, "/", NOW);
    assert_eq!(failed.storing, StoringDecision::Never);
    on_request(&chain, "/yy");
    let off = on_request(&chain, "/");
    assert_eq!(off.lookup, LookupDecision::Pass);
    assert_eq!(off.reason.as_deref(), Some("by-hand: switched off"));
    assert_eq!(
        response_at(&chain, "/", NOW).storing,
        StoringDecision::Never
    );
    let on = request_at(&chain, "/", after(5_000));
    assert_eq!(on.lookup, LookupDecision::Cache);
}

#[test]
fn a_renewed_policy_has_no_failures() {
    let (policy, chain) = chain(&ByHand::on_request("unreachable"), |config| {
        config.limits.max_failures = 1;
    });
    on_request(&chain, "/");
    assert_ne!(policy.status(NOW), PolicyStatus::Active);
    let renewed = policy.renewed();
    assert_eq!(renewed.status(NOW), PolicyStatus::Active);
    assert_eq!(renewed.counters(), PolicyCounters::default());
    assert_eq!(
        (renewed.name(), renewed.digest()),
        (policy.name(), policy.digest())
    );
}

#[test]
fn what_a_guest_says_is_one_line_without_control_and_direction_characters() {
    let more = r#"(data (i32.const 3072) "a\0ab\1b[31m\e2\80\aec")"#;
    let body = "(call $log (i32.const 3072) (i32.const 12)) unreachable";
    let logged = reason(&ByHand {
        more,
        ..ByHand::on_request(body)
    });
    assert!(
        logged.contains(r"trap: a\nb\u{1b}[31m\u{202e}c ("),
        "{logged}"
    );
    let more = r#"(data (i32.const 1328) "no\0ashop \e2\80\ae!")"#;
    let refusal = refused(&ByHand {
        more,
        ..ByHand::configure(REFUSAL)
    });
    assert!(
        refusal.ends_with(r"refuses its settings: no\nshop \u{202e}!"),
        "{refusal}"
    );
}
