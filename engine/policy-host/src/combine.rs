//! How the answers of several policies become one decision: for each field the first that answers
//! wins; `pass` and `never` win over all; tags add up; variants join.

use std::sync::Arc;

use crate::PolicyError;
use crate::answer::{RequestAnswer, ResponseAnswer};
use tero_semantics::decision::{
    LookupDecision, RequestDecision, ResponseDecision, StoringDecision,
};

/// Tags that all policies of a site give one response together; what is beyond it in the alphabet
/// is left out.
const MAX_TAGS: usize = 128;
/// Bytes of all reasons together.
const MAX_REASON_BYTES: usize = 512;

/// Every combination of one or none from each set, but none from all, in the order of the sets,
/// joined with `+`; sorted.
pub(super) fn variants(sets: &[&[Arc<str>]], bound: usize) -> Result<Vec<Arc<str>>, PolicyError> {
    let count = sets
        .iter()
        .fold(1_usize, |count, set| count.saturating_mul(set.len() + 1))
        - 1;
    if count > bound {
        return Err(PolicyError::TooManyVariants { count, bound });
    }
    let mut joined = vec![String::new()];
    for set in sets {
        let longer = joined
            .iter()
            .flat_map(|head| set.iter().map(move |name| join(head, "+", name)))
            .collect::<Vec<_>>();
        joined.extend(longer);
    }
    joined.retain(|name| !name.is_empty());
    joined.sort_unstable();
    joined.dedup();
    Ok(joined.into_iter().map(Arc::from).collect())
}

fn join(head: &str, separator: &str, tail: &str) -> String {
    match head.is_empty() {
        true => tail.to_owned(),
        false => format!("{head}{separator}{tail}"),
    }
}

/// The decision that these answers make, in the order of the policies. `shared` turns a combined
/// variant into its shared name.
pub(super) fn requests(
    answers: Vec<(&str, RequestAnswer)>,
    shared: impl FnOnce(&str) -> Arc<str>,
) -> RequestDecision {
    let mut decision = RequestDecision::default();
    let (mut variant, mut query, mut reasons) = (String::new(), None, String::new());
    for (policy, answer) in answers {
        if answer.lookup == Some(LookupDecision::Pass) {
            decision.lookup = LookupDecision::Pass;
        }
        if let Some(name) = &answer.variant {
            variant = join(&variant, "+", name);
        }
        query = query.or(answer.query);
        reasons = with_reason(reasons, policy, answer.reason.as_deref());
    }
    decision.variant = (!variant.is_empty()).then(|| shared(&variant));
    decision.query = query.unwrap_or_default();
    decision.reason = (!reasons.is_empty()).then(|| reasons.into());
    decision
}

/// The decision that these answers make, in the order of the policies.
pub(super) fn responses(answers: Vec<(&str, ResponseAnswer)>) -> ResponseDecision {
    let mut decision = ResponseDecision::default();
    let mut reasons = String::new();
    for (policy, answer) in answers {
        decision.storing = match (decision.storing, answer.storing) {
            (StoringDecision::Never, _) | (_, StoringDecision::Never) => StoringDecision::Never,
            (StoringDecision::ByHeaders, later) => later,
            (StoringDecision::Always, _) => StoringDecision::Always,
        };
        decision.ttl = decision.ttl.or(answer.ttl);
        decision.browser_ttl = decision.browser_ttl.or(answer.browser_ttl);
        decision.stale_while_revalidate = decision
            .stale_while_revalidate
            .or(answer.stale_while_revalidate);
        decision.stale_if_error = decision.stale_if_error.or(answer.stale_if_error);
        decision.tags.extend(answer.tags);
        reasons = with_reason(reasons, policy, answer.reason.as_deref());
    }
    decision.tags.sort_unstable();
    decision.tags.dedup();
    decision.tags.truncate(MAX_TAGS);
    decision.reason = (!reasons.is_empty()).then(|| reasons.into());
    decision
}

/// `policy: reason` joined with `; `. Names of policies and reasons are ASCII, so any byte is a
/// boundary.
fn with_reason(reasons: String, policy: &str, reason: Option<&str>) -> String {
    let Some(reason) = reason else { return reasons };
    let mut joined = join(&reasons, "; ", &[policy, reason].join(": "));
    joined.truncate(joined.floor_char_boundary(MAX_REASON_BYTES));
    joined
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use tero_semantics::decision::{QueryParameters, QueryRule};

    fn names(sets: &[&[&str]], bound: usize) -> Result<Vec<String>, PolicyError> {
        let sets = sets
            .iter()
            .map(|set| {
                set.iter()
                    .map(|name| Arc::from(*name))
                    .collect::<Vec<Arc<str>>>()
            })
            .collect::<Vec<_>>();
        let sets = sets.iter().map(Vec::as_slice).collect::<Vec<_>>();
        Ok(variants(&sets, bound)?
            .iter()
            .map(ToString::to_string)
            .collect())
    }

    #[test]
    fn variants_are_the_product_of_the_sets_without_none() {
        assert_eq!(names(&[], 1).unwrap(), Vec::<String>::new());
        assert_eq!(
            names(&[&["m", "d"], &["ar"]], 5).unwrap(),
            ["ar", "d", "d+ar", "m", "m+ar"]
        );
        assert!(matches!(
            names(&[&["m", "d"], &["ar"]], 4),
            Err(PolicyError::TooManyVariants { count: 5, bound: 4 })
        ));
        let many = ["a", "b", "c", "d", "e", "f", "g", "h"];
        assert!(names(&[many.as_slice(); 40], 10_000).is_err());
    }

    #[test]
    fn for_a_request_the_first_wins_pass_wins_over_all_and_variants_join() {
        let rule = |name: &str| QueryRule {
            parameters: QueryParameters::Ignore(vec![name.into()]),
            sort: false,
        };
        let first = RequestAnswer {
            lookup: Some(LookupDecision::Cache),
            variant: Some("m".into()),
            query: Some(rule("first")),
            reason: Some("one".into()),
        };
        let second = RequestAnswer {
            lookup: Some(LookupDecision::Pass),
            variant: Some("ar".into()),
            query: Some(rule("second")),
            reason: Some("two".into()),
        };
        let decision = requests(
            vec![("a", first), ("b", RequestAnswer::default()), ("c", second)],
            |name| name.into(),
        );
        assert_eq!(decision.lookup, LookupDecision::Pass);
        assert_eq!(decision.variant.as_deref(), Some("m+ar"));
        assert_eq!(decision.query, rule("first"));
        assert_eq!(decision.reason.as_deref(), Some("a: one; c: two"));
        assert_eq!(
            requests(Vec::new(), |name| name.into()),
            RequestDecision::default()
        );
    }

    #[test]
    fn for_a_response_the_first_wins_never_wins_over_all_and_tags_add_up() {
        let secs = |secs| Some(Duration::from_secs(secs));
        let first = ResponseAnswer {
            storing: StoringDecision::Always,
            ttl: secs(60),
            tags: vec!["b".into(), "a".into()],
            ..Default::default()
        };
        let second = ResponseAnswer {
            storing: StoringDecision::Never,
            ttl: secs(5),
            browser_ttl: secs(7),
            tags: vec!["c".into(), "a".into()],
            ..Default::default()
        };
        let decision = responses(vec![("x", first.clone()), ("y", second)]);
        assert_eq!(decision.storing, StoringDecision::Never);
        assert_eq!((decision.ttl, decision.browser_ttl), (secs(60), secs(7)));
        assert_eq!(
            decision.tags,
            ["a".into(), "b".into(), Box::<str>::from("c")]
        );
        assert_eq!(
            responses(vec![("y", ResponseAnswer::default()), ("x", first)]).storing,
            StoringDecision::Always
        );
    }

    #[test]
    fn tags_and_reasons_of_many_policies_are_bounded() {
        let answer = |policy: usize| ResponseAnswer {
            tags: (0..64)
                .map(|tag| format!("{policy}-{tag}").into())
                .collect(),
            reason: Some("r".repeat(200)),
            ..Default::default()
        };
        let decision = responses((0..5).map(|policy| ("p", answer(policy))).collect());
        assert_eq!(decision.tags.len(), MAX_TAGS);
        assert_eq!(decision.reason.unwrap().len(), MAX_REASON_BYTES);
    }
}
