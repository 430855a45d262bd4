//! Any bytes that a guest leaves as its answer are a good answer or a bad one, and cause no other
//! failure.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Answers with the bytes that the request's path spells, in two letters from `a` to `p` for each
/// byte.
const SPELLED: &str = r#"
  (local $path i32) (local $i i32)
  (local.set $path (i32.load (i32.add (local.get 0) (i32.const 24))))
  (loop
    (i32.store8 (i32.add (i32.const 3072) (local.get $i))
      (i32.or
        (i32.shl (i32.sub (i32.load8_u (local.get $path)) (i32.const 97)) (i32.const 4))
        (i32.sub (i32.load8_u (i32.add (local.get $path) (i32.const 1))) (i32.const 97))))
    (local.set $path (i32.add (local.get $path) (i32.const 2)))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if 0 (i32.lt_u (local.get $i) (i32.const 64))))
  (i32.const 3072)"#;

fn spell(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|half| char::from(b'a' + half))
        .collect()
}

/// Bytes that are often meaningful: cases of small enums, addresses in the guest's memory, and
/// random words.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        4 => Just(0_u32),
        4 => Just(1_u32),
        2 => 0_u32..8,
        2 => Just(1312_u32),
        1 => 0_u32..65_536,
        1 => any::<u32>(),
    ];
    vec(word, 16).prop_map(|words| words.into_iter().flat_map(u32::to_le_bytes).collect())
}

#[test]
fn any_bytes_are_a_good_answer_or_a_bad_one() {
    let guest = ByHand {
        on_response: SPELLED,
        plan_warm: NOTHING,
        ..ByHand::on_request(SPELLED)
    };
    let (policy, chain) = chain(&guest, |config| {
        config.limits.max_failures = 1_000_000;
        // Other tests share the processor.
        config.limits.deadline = std::time::Duration::from_secs(10);
    });
    let mobile = spell(
        &[
            &[0, 0, 0, 0, 1, 0, 0, 0, 0x20, 5, 0, 0, 6, 0, 0, 0],
            [0; 48].as_slice(),
        ]
        .concat(),
    );
    assert_eq!(
        on_request(&chain, &mobile).variant.as_deref(),
        Some("mobile")
    );
    let headers = HeaderMap::new();
    let answered = answered(&headers);
    assert_eq!(
        chain.on_response(&ask(&spell(&[0; 64]), &headers), &answered, NOW),
        ResponseDecision::default()
    );

    proptest!(ProptestConfig::with_cases(512), |(bytes in answer())| {
        let path = spell(&bytes);
        let decision = chain.on_request(&ask(&path, &headers), NOW);
        prop_assert!(decision.variant.is_none() || decision.variant.as_deref() == Some("mobile"));
        let decision = chain.on_response(&ask(&path, &headers), &answered, NOW);
        prop_assert!(decision.ttl.is_none_or(|ttl| ttl.as_secs() <= 31_536_000));
        prop_assert!(decision.tags.iter().all(|tag| tag.bytes().all(|byte| byte.is_ascii_graphic())));
    });
    let counters = policy.counters();
    for hook in [counters.on_request, counters.on_response] {
        assert!(hook.ok > 0 && hook.bad_answer > 0, "{hook:?}");
        assert_eq!((hook.trap, hook.deadline, hook.memory), (0, 0, 0));
    }
}
