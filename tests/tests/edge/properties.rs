//! Properties that hold for all requests and responses, over the lives of stored responses: random
//! exchanges are sent through sockets and checked afterwards.

mod life;
mod model;

use std::collections::HashMap;

use life::{ClientResponse, Life, lives, lives_in_parts};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

/// How many lives each property is checked on. A life has about ten exchanges.
const LIVES: u32 = 48;

#[test]
fn age_falls_only_after_a_revalidation() {
    lives(LIVES, |life| {
        // For each response of the origin: when it was last served, its age then, and the last 304
        // before that.
        let mut latest: HashMap<u64, (u64, u64, u64)> = HashMap::new();
        for told in &life.responses {
            let Some(reply) = told.reply else { continue };
            let age = told.answer.age().unwrap_or(0);
            if let Some((at, before, validated)) = latest.get(&reply) {
                let least = before + (told.at - at);
                prop_assert!(
                    age >= least || told.validated > *validated,
                    "{age} s after {before} s: {told:?}"
                );
            }
            latest.insert(reply, (told.at, age, told.validated));
        }
        Ok(())
    });
}

#[test]
fn no_response_mixes_two_variants() {
    lives(LIVES, |life| {
        for told in life
            .responses
            .iter()
            .filter(|told| !told.answer.body.is_empty())
        {
            let Some(representation) = &told.representation else {
                continue;
            };
            prop_assert!(
                representation.variant == life.model.variant_of(&|name| told.asked(name)),
                "for another: {told:?}"
            );
            check_content(life, told)?;
        }
        Ok(())
    });
}

#[test]
fn parts_are_combined_from_one_representation_only() {
    lives_in_parts(2 * LIVES, |life| {
        for told in life
            .responses
            .iter()
            .filter(|told| told.representation.is_some() && !told.answer.body.is_empty())
        {
            check_content(life, told)?;
        }
        Ok(())
    });
}

/// The bytes are those of one representation, at the position in `Content-Range`.
fn check_content(life: &Life, told: &ClientResponse) -> TestCaseResult {
    let representation = told.representation.as_ref().expect("it was looked at");
    let whole = life.model.content(representation);
    let expected = match told.answer.header("content-range") {
        None => &whole[..],
        Some(range) => {
            let (first, last) = range
                .trim_start_matches("bytes ")
                .split('/')
                .next()
                .unwrap()
                .split_once('-')
                .unwrap();
            prop_assert!(range.ends_with(&format!("/{}", whole.len())), "{told:?}");
            &whole[first.parse().unwrap()..=last.parse().unwrap()]
        }
    };
    // An incomplete body is a beginning of the expected one.
    let expected = if told.answer.whole {
        expected
    } else {
        &expected[..told.answer.body.len().min(expected.len())]
    };
    prop_assert!(
        told.answer.body == expected,
        "{} bytes of {}: {told:?}",
        told.answer.body.len(),
        expected.len()
    );
    Ok(())
}

#[test]
fn responses_under_the_safety_floor_reach_one_client_only() {
    lives(LIVES, |life| {
        let mut reached: HashMap<u64, usize> = HashMap::new();
        for told in &life.responses {
            if let Some(reply) = told.reply {
                *reached.entry(reply).or_default() += 1;
            }
        }
        for (reply, clients) in reached {
            let made = life.model.reply(reply);
            prop_assert!(
                clients == 1 || !made.under_floor,
                "{clients} clients got {made:#?}"
            );
        }
        Ok(())
    });
}

#[test]
fn responses_from_the_store_are_what_the_origin_sent() {
    // Fields that an intermediary writes itself, and those of the framing (RFC 9111 §5.1, RFC 9110
    // §7.6.1, §7.6.3, RFC 9211).
    let of_the_hop = [
        "age",
        "via",
        "cache-status",
        "connection",
        "transfer-encoding",
        "content-length",
        "content-range",
        "x-hop",
        "keep-alive",
    ];
    lives(LIVES, |life| {
        for told in life
            .responses
            .iter()
            .filter(|told| matches!(told.answer.status, 200 | 203 | 404))
        {
            let Some(reply) = told.reply else { continue };
            let made = life.model.reply(reply);
            let status = told.answer.cache_status();
            let is_first = status.fwd.is_some()
                && !status.collapsed
                && status.fwd_status.is_none_or(|status| status == made.status);
            // A field that `no-cache` names is for the first client only (RFC 9111 §5.2.2.4).
            let is_kept_back = !is_first
                && made
                    .headers
                    .iter()
                    .any(|(_, value)| value.contains("no-cache=\"x-secret\""));
            prop_assert!(
                !is_kept_back || told.answer.header("x-secret").is_none(),
                "{told:?}"
            );
            let is_kept_back = |name: &str| name == "x-secret" && is_kept_back;
            // Fields that a 304 updates (RFC 9111 §3.2).
            let is_updated =
                |name: &str| name == "x-validated" || (name == "date" && told.validated > 0);
            let left = |headers: &[(String, String)]| {
                let lines = headers
                    .iter()
                    .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
                let mut lines: Vec<_> = lines
                    .filter(|(name, _)| {
                        !of_the_hop.contains(&&**name) && !is_kept_back(name) && !is_updated(name)
                    })
                    .collect();
                // The order of fields with different names does not matter (RFC 9110 §5.3).
                lines.sort_by(|left, right| left.0.cmp(&right.0));
                lines
            };
            prop_assert_eq!(
                left(&told.answer.headers),
                left(&made.headers),
                "{:?}",
                told
            );
            // A 206 may have completed it (RFC 9111 §3.4).
            prop_assert!(
                told.answer.status == made.status || made.to_head || made.status == 206,
                "{told:?}"
            );
            prop_assert!(told.answer.whole || made.cut, "{told:?}");
            if told.method != "HEAD" {
                check_content(life, told)?;
            }
        }
        Ok(())
    });
}
