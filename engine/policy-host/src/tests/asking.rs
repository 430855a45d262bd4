//! Policies that are asked, one by one and as a chain.

use super::*;

#[test]
fn a_policy_is_loaded_asked_and_remembered() {
    let (policy, chain) = chain(&ByHand::on_request(MOBILE), |_| {});
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
    let guest = ByHand::on_request(MOBILE);
    let policy = host.load(&guest.config(folder.path())).unwrap();
    let chain = || Chain::new(&host, vec![Arc::clone(&policy)], 64).unwrap();
    on_request(&chain(), "/");
    on_request(&chain(), "/");
    assert_eq!(policy.counters().on_request.ok, 2);
    assert_eq!((host.decisions().hits, host.decisions().misses), (0, 2));
}

#[test]
fn instances_and_memory_of_a_policy_are_counted() {
    let (policy, chain) = chain(&ByHand::on_request(MOBILE), |config| {
        config.limits.decisions_per_instance = 1;
    });
    for path in ["/1", "/2", "/3"] {
        on_request(&chain, path);
    }
    let usage = policy.usage();
    // One instance for the first configuration, and one for each decision.
    assert_eq!((usage.instances, usage.memory_bytes), (4, 1 << 16));
}

#[test]
fn an_instance_is_replaced_after_its_limit_of_decisions() {
    let more = "(global $calls (mut i32) (i32.const 0))";
    let body = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                (if (i32.gt_u (global.get $calls) (i32.const 2)) (then unreachable)) (i32.const 2112)";
    let (policy, chain) = chain(
        &ByHand {
            more,
            ..ByHand::on_request(body)
        },
        |config| config.limits.decisions_per_instance = 2,
    );
    for path in ["/1", "/2", "/3", "/4", "/5"] {
        assert_eq!(on_request(&chain, path).variant.as_deref(), Some("mobile"));
    }
    assert_eq!(policy.counters().on_request.trap, 0);
}

#[test]
fn a_flood_of_log_lines_does_no_harm() {
    let flood = "(local $i i32)
        (loop (call $log (i32.const 1312) (i32.const 6))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if 0 (i32.lt_u (local.get $i) (i32.const 10000))))
        (i32.const 2112)";
    let (policy, chain) = chain(&ByHand::on_request(flood), |config| {
        config.limits.log_lines = 10
    });
    assert_eq!(on_request(&chain, "/").variant.as_deref(), Some("mobile"));
    let usage = policy.usage();
    assert_eq!((usage.lines, usage.dropped_lines), (10, 9_990));
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
