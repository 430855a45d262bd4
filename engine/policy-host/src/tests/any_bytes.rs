//! Any bytes that a guest of contract 0.2 leaves as its answer are a good answer or a bad one, and
//! cause no other failure.

use proptest::collection::vec;
use proptest::prelude::*;

use super::crafted::Crafted;
use super::*;

/// The names of the guest's manifest.
const NAMES: [&str; 2] = ["part", "x-edit"];

/// The bytes of a decision about a request; one about a response is shorter.
const REQUEST_BYTES: usize = 164;

/// Answers with the bytes that the request's path spells, in two letters from `a` to `p` for each
/// byte.
const SPELLED: &str = r#"
  (local $path i32) (local $end i32) (local $to i32)
  (local.set $path (i32.add (i32.load (local.get 0)) (i32.load offset=32 (local.get 0))))
  (local.set $end (i32.add (local.get $path) (i32.load offset=36 (local.get 0))))
  (local.set $to (i32.const 4096))
  (loop
    (i32.store8 (local.get $to)
      (i32.or
        (i32.shl (i32.sub (i32.load8_u (local.get $path)) (i32.const 97)) (i32.const 4))
        (i32.sub (i32.load8_u (i32.add (local.get $path) (i32.const 1))) (i32.const 97))))
    (local.set $path (i32.add (local.get $path) (i32.const 2)))
    (local.set $to (i32.add (local.get $to) (i32.const 1)))
    (br_if 0 (i32.lt_u (local.get $path) (local.get $end))))
  (i32.const 4096)"#;

fn spell(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|half| char::from(b'a' + half))
        .collect()
}

/// Bytes that are often meaningful: cases of small enums, addresses of the manifest's names, and
/// random words.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        8 => Just(0_u32),
        3 => Just(1_u32),
        2 => 0_u32..8,
        1 => Just(16_384_u32),
        1 => Just(16_392_u32),
        1 => Just(0xc8_u32),
        1 => 0_u32..65_536,
        1 => any::<u32>(),
    ];
    vec(word, REQUEST_BYTES / 4)
        .prop_map(|words| words.into_iter().flat_map(u32::to_le_bytes).collect())
}

#[test]
fn any_bytes_are_a_good_answer_of_0_2_or_a_bad_one() {
    let guest = Crafted {
        on_request: SPELLED,
        on_response: SPELLED,
        names: &NAMES,
        abilities: 0x3f,
        ..Crafted::default()
    };
    let (_, policy, chain) = guest.chain();
    let headers = HeaderMap::new();
    let answered = answered(&headers);
    let nothing = spell(&[0; REQUEST_BYTES]);
    assert_eq!(*on_request(&chain, &nothing), RequestDecision::default());
    assert_eq!(
        chain.on_response(&ask(&nothing, &headers), &answered, NOW),
        ResponseDecision::default()
    );
    // The word `part` for the log, at 128.
    let mut tagged = [0; REQUEST_BYTES];
    tagged[128] = 1;
    tagged[132..136].copy_from_slice(&16_384_u32.to_le_bytes());
    tagged[136] = 4;
    let decision = on_request(&chain, &spell(&tagged));
    let extended = decision.extended.as_ref().unwrap();
    assert_eq!(
        extended.log_tag.as_deref(),
        Some("part"),
        "{:?}",
        policy.counters()
    );

    proptest!(ProptestConfig::with_cases(512), |(bytes in answer())| {
        let path = spell(&bytes);
        let decision = chain.on_request(&ask(&path, &headers), NOW);
        if let Some(extended) = &decision.extended {
            prop_assert!(extended.key_parts.iter().all(|part| NAMES.contains(&&*part.name)));
            prop_assert!(extended.origin.origin.is_none() && extended.rate_class.is_none());
            prop_assert!(!extended.key_suffix().contains(&b'\n'));
            for (name, value) in &extended.origin.fields.set {
                prop_assert!(NAMES.contains(&name.as_str()) && value.to_str().is_ok());
            }
        }
        let decision = chain.on_response(&ask(&path, &headers), &answered, NOW);
        prop_assert!(decision.error_ttl.is_none_or(|ttl| ttl.as_secs() <= 31_536_000));
        let mut set = decision.fields.set.iter();
        prop_assert!(set.all(|(name, _)| NAMES.contains(&name.as_str())));
    });
    let counters = policy.counters();
    for hook in [counters.on_request, counters.on_response] {
        assert!(hook.ok > 0 && hook.bad_answer > 0, "{hook:?}");
        assert_eq!((hook.trap, hook.deadline, hook.memory), (0, 0, 0));
    }
}
