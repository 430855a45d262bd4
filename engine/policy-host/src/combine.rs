//! How the answers of several policies become one decision: for each field the first that answers
//! wins; `pass` and `never` win over all; tags add up; variants, parts of the key and changes of fields join. An explanation hears the
//! rulings; the request path does not, and pays nothing for them.

mod extended;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::PolicyError;
use crate::answer::{RequestAnswer, ResponseAnswer};
use crate::compare::DecisionField;
use tero_semantics::decision::{
    LookupDecision, RequestDecision, ResponseDecision, StoringDecision,
};

/// Tags that all policies of a site give one response together, at most; the last in the alphabet
/// are left out.
pub const MAX_TAGS: usize = 128;
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

/// Which rule decides between policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precedence {
    /// The first policy that says something decides.
    FirstWins,
    /// A pass wins over every other answer.
    PassWins,
    /// A never wins over every other answer.
    NeverWins,
    /// All variants are joined, in the order of the policies.
    VariantsJoin,
    /// All tags are joined; of those, [`MAX_TAGS`] are kept.
    TagsBounded,
    /// An answer of a policy's own wins over a pass.
    AnswerWins,
    /// A response that one policy doesn't admit isn't kept.
    RefusalWins,
    /// The earliest end wins.
    EarliestWins,
    /// All are joined; the first policy that names a part of the key or a field decides it.
    NamesJoin,
}

/// A rule that decided between policies. Policies are told by their place among the answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// About what.
    pub field: DecisionField,
    /// By which rule.
    pub rule: Precedence,
    /// The policy whose answer stands, or the first of those that were joined.
    pub by: usize,
    /// The policies that said something else, or are joined to it.
    pub over: Vec<usize>,
}

/// Hears of rulings.
pub trait Rulings {
    /// Adds a ruling, if `ruling` makes one.
    fn add(&mut self, ruling: impl FnOnce() -> Option<Ruling>);
}

/// The request path hears no rulings, and pays nothing for them.
impl Rulings for () {
    #[inline(always)]
    fn add(&mut self, _: impl FnOnce() -> Option<Ruling>) {}
}

impl Rulings for Vec<Ruling> {
    fn add(&mut self, ruling: impl FnOnce() -> Option<Ruling>) {
        self.extend(ruling());
    }
}

/// The decision that these answers make, in the order of the policies. `shared` turns a combined
/// variant into its shared name.
pub(super) fn requests(
    answers: &[(&str, RequestAnswer)],
    shared: impl FnOnce(&str) -> Arc<str>,
    rulings: &mut impl Rulings,
) -> RequestDecision {
    let says = |lookup| places(answers, move |answer| answer.lookup == Some(lookup));
    let passing = says(LookupDecision::Pass).next();
    if let Some(by) = passing {
        rulings.add(|| {
            Some(Ruling {
                field: DecisionField::Lookup,
                rule: Precedence::PassWins,
                by,
                over: says(LookupDecision::Cache).collect(),
            })
        });
    }
    let query = first(answers, DecisionField::Query, rulings, |answer| {
        answer.query.as_ref()
    });
    let variant = joined_variant(answers, rulings);
    RequestDecision {
        lookup: passing.map_or_else(LookupDecision::default, |_| LookupDecision::Pass),
        variant: variant.map(|joined| shared(&joined)),
        query: query.cloned().unwrap_or_default(),
        reason: reasons(answers, |answer| answer.reason.as_deref()),
        extended: extended::requests(answers, passing.is_some(), rulings),
    }
}

/// The decision that these answers make, in the order of the policies.
pub(super) fn responses(
    mut answers: Vec<(&str, ResponseAnswer)>,
    rulings: &mut impl Rulings,
) -> ResponseDecision {
    let given = &answers[..];
    let decision = ResponseDecision {
        storing: storing(given, rulings),
        ttl: first(given, DecisionField::Ttl, rulings, |answer| answer.ttl),
        browser_ttl: first(given, DecisionField::BrowserTtl, rulings, |answer| {
            answer.browser_ttl
        }),
        stale_while_revalidate: first(
            given,
            DecisionField::StaleWhileRevalidate,
            rulings,
            |answer| answer.stale_while_revalidate,
        ),
        stale_if_error: first(given, DecisionField::StaleIfError, rulings, |answer| {
            answer.stale_if_error
        }),
        error_ttl: first(given, DecisionField::ErrorTtl, rulings, |answer| {
            answer.error_ttl
        }),
        expiry: extended::expiry(given, rulings),
        admit: extended::admit(given, rulings),
        fields: extended::stored_fields(given, rulings),
        reason: reasons(given, |answer| answer.reason.as_deref()),
        tags: Vec::new(),
    };
    ResponseDecision {
        tags: bounded_tags(&mut answers, rulings),
        ..decision
    }
}

/// The places of the answers that meet `is_meant`.
fn places<'a, A>(
    answers: &'a [(&str, A)],
    is_meant: impl Fn(&A) -> bool + 'a,
) -> impl Iterator<Item = usize> + 'a {
    let places = answers.iter().enumerate();
    places.filter_map(move |(place, (_, answer))| is_meant(answer).then_some(place))
}

/// What the first answer says that says anything about `field`.
fn first<'a, A, T: PartialEq + 'a>(
    answers: &'a [(&str, A)],
    field: DecisionField,
    rulings: &mut impl Rulings,
    part: impl Fn(&'a A) -> Option<T>,
) -> Option<T> {
    let part = &part;
    let mut said = answers
        .iter()
        .enumerate()
        .filter_map(move |(place, (_, answer))| Some((place, part(answer)?)));
    let (by, value) = said.next()?;
    rulings.add(|| {
        let others: Vec<_> = said.collect();
        let is_overruled = others.iter().any(|(_, other)| *other != value);
        is_overruled.then(|| Ruling {
            field,
            rule: Precedence::FirstWins,
            by,
            over: others.into_iter().map(|(place, _)| place).collect(),
        })
    });
    Some(value)
}

/// All variants, joined.
fn joined_variant(answers: &[(&str, RequestAnswer)], rulings: &mut impl Rulings) -> Option<String> {
    let mut joined: Option<String> = None;
    for (_, answer) in answers {
        if let Some(name) = &answer.variant {
            joined = Some(join(joined.as_deref().unwrap_or_default(), "+", name));
        }
    }
    rulings.add(|| {
        let mut places = places(answers, |answer| answer.variant.is_some());
        let (by, over) = (places.next()?, places.collect::<Vec<_>>());
        (!over.is_empty()).then_some(Ruling {
            field: DecisionField::Variant,
            rule: Precedence::VariantsJoin,
            by,
            over,
        })
    });
    joined
}

/// Never, if any answer says so; else what the first says that says anything.
fn storing(answers: &[(&str, ResponseAnswer)], rulings: &mut impl Rulings) -> StoringDecision {
    let says = |storing| places(answers, move |answer| answer.storing == storing);
    if let Some(by) = says(StoringDecision::Never).next() {
        rulings.add(|| {
            Some(Ruling {
                field: DecisionField::Storing,
                rule: Precedence::NeverWins,
                by,
                over: says(StoringDecision::Always).collect(),
            })
        });
        return StoringDecision::Never;
    }
    match says(StoringDecision::Always).next() {
        Some(_) => StoringDecision::Always,
        None => StoringDecision::ByHeaders,
    }
}

/// All tags, taken out of the answers: sorted, without doubles, and not too many.
fn bounded_tags(
    answers: &mut [(&str, ResponseAnswer)],
    rulings: &mut impl Rulings,
) -> Vec<Box<str>> {
    rulings.add(|| {
        let tags = answers.iter().flat_map(|(_, answer)| &answer.tags);
        let is_bounded = tags.collect::<BTreeSet<_>>().len() > MAX_TAGS;
        let mut places = places(answers, |answer| !answer.tags.is_empty());
        is_bounded.then_some(Ruling {
            field: DecisionField::Tags,
            rule: Precedence::TagsBounded,
            by: places.next()?,
            over: places.collect(),
        })
    });
    let mut tags: Vec<Box<str>> = Vec::new();
    for (_, answer) in answers {
        tags.append(&mut answer.tags);
    }
    tags.sort_unstable();
    tags.dedup();
    tags.truncate(MAX_TAGS);
    tags
}

/// All reasons, joined.
fn reasons<A>(answers: &[(&str, A)], reason: impl Fn(&A) -> Option<&str>) -> Option<Arc<str>> {
    let mut reasons = String::new();
    for (policy, answer) in answers {
        reasons = with_reason(reasons, policy, reason(answer));
    }
    (!reasons.is_empty()).then(|| reasons.into())
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

    use proptest::prelude::*;

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
            ..RequestAnswer::default()
        };
        let second = RequestAnswer {
            lookup: Some(LookupDecision::Pass),
            variant: Some("ar".into()),
            query: Some(rule("second")),
            reason: Some("two".into()),
            ..RequestAnswer::default()
        };
        let decision = requests(
            &[("a", first), ("b", RequestAnswer::default()), ("c", second)],
            |name| name.into(),
            &mut (),
        );
        assert_eq!(decision.lookup, LookupDecision::Pass);
        assert_eq!(decision.variant.as_deref(), Some("m+ar"));
        assert_eq!(decision.query, rule("first"));
        assert_eq!(decision.reason.as_deref(), Some("a: one; c: two"));
        assert_eq!(
            requests(&[], |name| name.into(), &mut ()),
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
        let decision = responses(vec![("x", first.clone()), ("y", second)], &mut ());
        assert_eq!(decision.storing, StoringDecision::Never);
        assert_eq!((decision.ttl, decision.browser_ttl), (secs(60), secs(7)));
        assert_eq!(
            decision.tags,
            ["a".into(), "b".into(), Box::<str>::from("c")]
        );
        assert_eq!(
            responses(
                vec![("y", ResponseAnswer::default()), ("x", first)],
                &mut ()
            )
            .storing,
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
        let decision = responses(
            (0..5).map(|policy| ("p", answer(policy))).collect(),
            &mut (),
        );
        assert_eq!(decision.tags.len(), MAX_TAGS);
        assert_eq!(decision.reason.unwrap().len(), MAX_REASON_BYTES);
    }

    /// What the answers say, with each ruling obeyed: the answer that stands, or those that are
    /// joined to it, by their places. `None` where nothing was ruled.
    fn standing(rulings: &[Ruling], field: DecisionField) -> Option<(usize, Vec<usize>)> {
        let mut about = rulings.iter().filter(|ruling| ruling.field == field);
        let ruling = about.next()?;
        assert!(about.next().is_none(), "ruled twice: {rulings:?}");
        assert!(!ruling.over.contains(&ruling.by), "over itself: {ruling:?}");
        Some((ruling.by, ruling.over.clone()))
    }

    /// The field by its ruling; without one, all that say anything about it agree.
    fn replayed<A, T: PartialEq + std::fmt::Debug>(
        answers: &[(&str, A)],
        rulings: &[Ruling],
        field: DecisionField,
        part: impl Fn(&A) -> Option<T>,
    ) -> Option<T> {
        if let Some((by, _)) = standing(rulings, field) {
            return part(&answers[by].1);
        }
        let said: Vec<T> = answers
            .iter()
            .filter_map(|(_, answer)| part(answer))
            .collect();
        assert!(said.windows(2).all(|pair| pair[0] == pair[1]), "{said:?}");
        said.into_iter().next()
    }

    fn request_answer() -> impl Strategy<Value = RequestAnswer> {
        let lookup = prop::option::of(prop_oneof![
            Just(LookupDecision::Cache),
            Just(LookupDecision::Pass)
        ]);
        let query = prop::option::of(any::<bool>().prop_map(|sort| QueryRule {
            sort,
            ..QueryRule::default()
        }));
        let variant = prop::option::of(prop_oneof![Just("m"), Just("d")]);
        (lookup, query, variant).prop_map(|(lookup, query, variant)| RequestAnswer {
            lookup,
            query,
            variant: variant.map(Arc::from),
            ..RequestAnswer::default()
        })
    }

    fn response_answer() -> impl Strategy<Value = ResponseAnswer> {
        let storing = prop_oneof![
            Just(StoringDecision::ByHeaders),
            Just(StoringDecision::Never),
            Just(StoringDecision::Always)
        ];
        let secs = || prop::option::of((1..3_u64).prop_map(Duration::from_secs));
        let tags = prop::collection::vec(0..100_u8, 0..64);
        (storing, secs(), secs(), secs(), secs(), tags).prop_map(
            |(storing, ttl, browser_ttl, stale_while_revalidate, stale_if_error, tags)| {
                ResponseAnswer {
                    storing,
                    ttl,
                    browser_ttl,
                    stale_while_revalidate,
                    stale_if_error,
                    tags: tags.into_iter().map(|tag| tag.to_string().into()).collect(),
                    ..ResponseAnswer::default()
                }
            },
        )
    }

    proptest! {
        #[test]
        fn rulings_about_requests_replayed_give_the_decision(
            answers in prop::collection::vec(request_answer(), 0..5)
        ) {
            let answers: Vec<_> = answers.into_iter().map(|answer| ("p", answer)).collect();
            let mut rulings = Vec::new();
            let decision = requests(&answers, |name| name.into(), &mut rulings);
            prop_assert_eq!(&decision, &requests(&answers, |name| name.into(), &mut ()));
            let lookup = replayed(&answers, &rulings, DecisionField::Lookup, |answer| {
                answer.lookup
            });
            prop_assert_eq!(decision.lookup, lookup.unwrap_or_default());
            let query = replayed(&answers, &rulings, DecisionField::Query, |answer| {
                answer.query.clone()
            });
            prop_assert_eq!(&decision.query, &query.unwrap_or_default());
            let variants: Vec<&str> = match standing(&rulings, DecisionField::Variant) {
                Some((by, over)) => std::iter::once(by)
                    .chain(over)
                    .filter_map(|place| answers[place].1.variant.as_deref())
                    .collect(),
                None => answers
                    .iter()
                    .filter_map(|(_, answer)| answer.variant.as_deref())
                    .collect(),
            };
            prop_assert_eq!(decision.variant.as_deref().unwrap_or_default(), variants.join("+"));
        }

        #[test]
        fn rulings_about_responses_replayed_give_the_decision(
            answers in prop::collection::vec(response_answer(), 0..5)
        ) {
            let answers: Vec<_> = answers.into_iter().map(|answer| ("p", answer)).collect();
            let mut rulings = Vec::new();
            let decision = responses(answers.clone(), &mut rulings);
            prop_assert_eq!(&decision, &responses(answers.clone(), &mut ()));
            let storing = replayed(&answers, &rulings, DecisionField::Storing, |answer| {
                Some(answer.storing).filter(|storing| *storing != StoringDecision::ByHeaders)
            });
            prop_assert_eq!(decision.storing, storing.unwrap_or_default());
            let check = |field, of: fn(&ResponseAnswer) -> Option<Duration>| {
                replayed(&answers, &rulings, field, of)
            };
            prop_assert_eq!(decision.ttl, check(DecisionField::Ttl, |answer| answer.ttl));
            prop_assert_eq!(
                decision.browser_ttl,
                check(DecisionField::BrowserTtl, |answer| answer.browser_ttl)
            );
            prop_assert_eq!(
                decision.stale_while_revalidate,
                check(DecisionField::StaleWhileRevalidate, |answer| {
                    answer.stale_while_revalidate
                })
            );
            prop_assert_eq!(
                decision.stale_if_error,
                check(DecisionField::StaleIfError, |answer| answer.stale_if_error)
            );
            let mut tags: Vec<_> =
                answers.into_iter().flat_map(|(_, answer)| answer.tags).collect();
            tags.sort();
            tags.dedup();
            prop_assert_eq!(
                tags.len() > MAX_TAGS,
                standing(&rulings, DecisionField::Tags).is_some()
            );
            tags.truncate(MAX_TAGS);
            prop_assert_eq!(decision.tags, tags);
        }
    }
}
