//! What policies decide beyond look-up, variant, query, lifetimes and tags. Most decide nothing of
//! it, so it is a box that most decisions don't have.

use super::{Precedence, Ruling, Rulings, first, places};
use crate::answer::{RequestAnswer, ResponseAnswer};
use crate::compare::DecisionField;
use tero_semantics::decision::{Expiry, ExtendedDecision, KeyPart, LookupDecision};
use tero_semantics::field_edits::FieldEdits;
use tero_semantics::timestamp::Timestamp;

/// What these answers decide of a request, sealed; `None` if nothing. `passes` says whether any of
/// them passes.
pub(super) fn requests(
    answers: &[(&str, RequestAnswer)],
    passes: bool,
    rulings: &mut impl Rulings,
) -> Option<Box<ExtendedDecision>> {
    if answers.iter().all(|(_, answer)| answer.extended.is_none()) {
        return None;
    }
    Some(Box::new(joined(answers, passes, rulings)))
}

#[cold]
fn joined(
    answers: &[(&str, RequestAnswer)],
    passes: bool,
    rulings: &mut impl Rulings,
) -> ExtendedDecision {
    let mut decision = ExtendedDecision {
        key_parts: key_parts(answers, rulings),
        response_fields: fields(answers, DecisionField::ResponseEdits, rulings, |answer| {
            Some(&answer.extended.as_ref()?.response_fields)
        }),
        ..ExtendedDecision::default()
    };
    decision.origin.fields = fields(answers, DecisionField::RequestEdits, rulings, |answer| {
        Some(&answer.extended.as_ref()?.origin.fields)
    });
    let rewrite = first(answers, DecisionField::Rewrite, rulings, |answer| {
        let origin = &answer.extended.as_ref()?.origin;
        let is_rewritten = origin.path.is_some() || origin.query.is_some();
        is_rewritten.then_some((&origin.path, &origin.query))
    });
    if let Some((path, query)) = rewrite {
        decision.origin.path.clone_from(path);
        decision.origin.query.clone_from(query);
    }
    decision.origin.origin = first(answers, DecisionField::Origin, rulings, |answer| {
        answer.extended.as_ref()?.origin.origin.clone()
    });
    decision.answer = first(answers, DecisionField::Answer, rulings, |answer| {
        answer.extended.as_ref()?.answer.clone()
    });
    if passes {
        rulings.add(|| over_a_pass(answers));
    }
    decision.log_tag = first(answers, DecisionField::LogTag, rulings, |answer| {
        answer.extended.as_ref()?.log_tag.clone()
    });
    decision.rate_class = first(answers, DecisionField::RateClass, rulings, |answer| {
        answer.extended.as_ref()?.rate_class.clone()
    });
    decision.seal();
    decision
}

/// The ruling that an answer of a policy's own wins over those that pass.
fn over_a_pass(answers: &[(&str, RequestAnswer)]) -> Option<Ruling> {
    let answering = |answer: &RequestAnswer| {
        let extended = answer.extended.as_ref();
        extended.is_some_and(|extended| extended.answer.is_some())
    };
    let by = places(answers, answering).next()?;
    let passing = places(answers, |answer| {
        answer.lookup == Some(LookupDecision::Pass)
    });
    let over: Vec<_> = passing.filter(|place| *place != by).collect();
    (!over.is_empty()).then_some(Ruling {
        field: DecisionField::Answer,
        rule: Precedence::AnswerWins,
        by,
        over,
    })
}

/// All parts of the key; of a name that two policies give, the first.
fn key_parts(answers: &[(&str, RequestAnswer)], rulings: &mut impl Rulings) -> Vec<KeyPart> {
    let mut parts: Vec<KeyPart> = Vec::new();
    for (_, answer) in answers {
        for part in answer.extended.iter().flat_map(|it| &it.key_parts) {
            if !parts.iter().any(|known| known.name == part.name) {
                parts.push(part.clone());
            }
        }
    }
    rulings.add(|| {
        ruling(answers, DecisionField::KeyParts, |answer| {
            let extended = answer.extended.as_ref();
            extended.is_some_and(|extended| !extended.key_parts.is_empty())
        })
    });
    parts
}

/// All changes of fields; of a field that two policies change, the first.
fn fields<'a, A: 'a>(
    answers: &'a [(&str, A)],
    field: DecisionField,
    rulings: &mut impl Rulings,
    edits: impl Fn(&'a A) -> Option<&'a FieldEdits>,
) -> FieldEdits {
    let mut joined = FieldEdits::default();
    for given in answers.iter().filter_map(|(_, answer)| edits(answer)) {
        let mut more = given.clone();
        more.set.retain(|(name, _)| !joined.names(name));
        more.remove.retain(|name| !joined.names(name));
        joined.set.append(&mut more.set);
        joined.remove.append(&mut more.remove);
    }
    rulings.add(|| {
        ruling(answers, field, |answer| {
            edits(answer).is_some_and(|edits| !edits.is_empty())
        })
    });
    joined
}

/// The ruling that what several answers name is joined; `None` if fewer than two name anything.
fn ruling<'a, A: 'a>(
    answers: &'a [(&str, A)],
    field: DecisionField,
    names_any: impl Fn(&'a A) -> bool,
) -> Option<Ruling> {
    let mut places = answers
        .iter()
        .enumerate()
        .filter(|(_, (_, answer))| names_any(answer))
        .map(|(place, _)| place);
    let (by, over) = (places.next()?, places.collect::<Vec<_>>());
    (!over.is_empty()).then_some(Ruling {
        field,
        rule: Precedence::NamesJoin,
        by,
        over,
    })
}

/// The changes of fields before a response is stored.
pub(super) fn stored_fields(
    answers: &[(&str, ResponseAnswer)],
    rulings: &mut impl Rulings,
) -> FieldEdits {
    if answers.iter().all(|(_, answer)| answer.fields.is_empty()) {
        return FieldEdits::default();
    }
    fields(answers, DecisionField::StoredEdits, rulings, |answer| {
        Some(&answer.fields)
    })
}

/// No, if any answer says so.
pub(super) fn admit(
    answers: &[(&str, ResponseAnswer)],
    rulings: &mut impl Rulings,
) -> Option<bool> {
    let says = |admit| places(answers, move |answer| answer.admit == Some(admit));
    let Some(by) = says(false).next() else {
        return says(true).next().map(|_| true);
    };
    rulings.add(|| {
        let over: Vec<_> = says(true).collect();
        (!over.is_empty()).then_some(Ruling {
            field: DecisionField::Admit,
            rule: Precedence::RefusalWins,
            by,
            over,
        })
    });
    Some(false)
}

/// The earliest; of two at the same time, the purge.
pub(super) fn expiry(
    answers: &[(&str, ResponseAnswer)],
    rulings: &mut impl Rulings,
) -> Option<Expiry> {
    let given = || {
        let places = answers.iter().enumerate();
        places.filter_map(|(place, (_, answer))| Some((place, answer.expiry?)))
    };
    let (by, earliest) = given().min_by_key(|(_, expiry)| order(*expiry))?;
    rulings.add(|| {
        let others = given().filter(|(_, expiry)| *expiry != earliest);
        let over: Vec<_> = others.map(|(place, _)| place).collect();
        (!over.is_empty()).then_some(Ruling {
            field: DecisionField::Expiry,
            rule: Precedence::EarliestWins,
            by,
            over,
        })
    });
    Some(earliest)
}

fn order(expiry: Expiry) -> (Timestamp, u8) {
    match expiry {
        Expiry::PurgeAt(at) => (at, 0),
        Expiry::StaleAt(at) => (at, 1),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderName, HeaderValue, StatusCode};
    use proptest::prelude::*;

    use super::super::{requests as combined, responses};
    use super::*;
    use tero_semantics::decision::{OriginEdits, PolicyAnswer};

    fn part(name: &str, value: &str) -> KeyPart {
        KeyPart {
            name: name.into(),
            value: value.into(),
        }
    }

    fn field(name: u8, value: u8) -> (HeaderName, HeaderValue) {
        (
            HeaderName::try_from(format!("x-{name}")).unwrap(),
            HeaderValue::from(u16::from(value)),
        )
    }

    /// Changes of fields, each of a field of its own.
    fn edits() -> impl Strategy<Value = FieldEdits> {
        prop::collection::btree_map(0..4_u8, prop::option::of(0..3_u8), 0..4).prop_map(|edits| {
            let mut made = FieldEdits::default();
            for (name, value) in edits {
                match value {
                    Some(value) => made.set.push(field(name, value)),
                    None => made.remove.push(field(name, 0).0),
                }
            }
            made
        })
    }

    fn text() -> impl Strategy<Value = Option<&'static str>> {
        prop::option::of(prop_oneof![Just("a"), Just("b")])
    }

    fn answer() -> impl Strategy<Value = RequestAnswer> {
        let parts = prop::collection::btree_map(prop_oneof![Just("p"), Just("q")], 0..3_u8, 0..2);
        let own = prop::option::of(prop_oneof![Just(301_u16), Just(410)]);
        let passes = prop::option::of(any::<bool>());
        let texts = (text(), text(), text(), text(), text());
        (parts, texts, edits(), edits(), own, passes).prop_map(
            |(parts, (path, query, origin, tag, class), of_request, of_response, own, passes)| {
                let extended = ExtendedDecision {
                    key_parts: parts
                        .into_iter()
                        .map(|(name, value)| part(name, &value.to_string()))
                        .collect(),
                    origin: OriginEdits {
                        path: path.map(Into::into),
                        query: query.map(Into::into),
                        origin: origin.map(Into::into),
                        fields: of_request,
                    },
                    response_fields: of_response,
                    answer: own.map(|status| {
                        Arc::new(PolicyAnswer {
                            status: StatusCode::from_u16(status).unwrap(),
                            fields: Vec::new(),
                            body: Arc::default(),
                        })
                    }),
                    log_tag: tag.map(Into::into),
                    rate_class: class.map(Into::into),
                    sealed_suffix: None,
                };
                RequestAnswer {
                    lookup: passes.map(|passes| match passes {
                        true => LookupDecision::Pass,
                        false => LookupDecision::Cache,
                    }),
                    extended: Some(Box::new(extended)).filter(|it| !it.is_empty()),
                    ..RequestAnswer::default()
                }
            },
        )
    }

    /// What the first answer says that says anything.
    fn first_said<T>(
        answers: &[(&str, RequestAnswer)],
        part: impl Fn(&ExtendedDecision) -> Option<T>,
    ) -> Option<T> {
        let mut extended = answers
            .iter()
            .filter_map(|(_, answer)| answer.extended.as_deref());
        extended.find_map(part)
    }

    fn ruling(rulings: &[Ruling], field: DecisionField, rule: Precedence) -> Option<&Ruling> {
        let mut about = rulings.iter();
        about.find(|ruling| ruling.field == field && ruling.rule == rule)
    }

    /// What the first of all changes of a field makes of it: a value, or nothing.
    fn first_edit<'a>(
        all: impl Iterator<Item = &'a FieldEdits>,
        name: &HeaderName,
    ) -> Option<Option<HeaderValue>> {
        for edits in all {
            if edits.remove.contains(name) {
                return Some(None);
            }
            if let Some((_, value)) = edits.set.iter().find(|(other, _)| other == name) {
                return Some(Some(value.clone()));
            }
        }
        None
    }

    fn check_edits<'a>(joined: &FieldEdits, all: impl Iterator<Item = &'a FieldEdits> + Clone) {
        for name in 0..4 {
            let name = field(name, 0).0;
            let expected = first_edit(all.clone(), &name);
            assert_eq!(first_edit([joined].into_iter(), &name), expected, "{name}");
            let set = joined
                .set
                .iter()
                .filter(|(other, _)| *other == name)
                .count();
            let removed = joined.remove.iter().filter(|other| **other == name).count();
            assert_eq!(set + removed, usize::from(expected.is_some()), "{name}");
        }
    }

    proptest! {
        #[test]
        fn the_first_policy_that_says_something_decides_it(
            answers in prop::collection::vec(answer(), 0..5)
        ) {
            let answers: Vec<_> = answers.into_iter().map(|answer| ("p", answer)).collect();
            let mut rulings = Vec::new();
            let decision = combined(&answers, |name| name.into(), &mut rulings);
            prop_assert_eq!(&decision, &combined(&answers, |name| name.into(), &mut ()));
            let nothing = answers.iter().all(|(_, answer)| answer.extended.is_none());
            prop_assert_eq!(decision.extended.is_none(), nothing);
            let Some(decision) = decision.extended else {
                return Ok(());
            };
            let rewrite = first_said(&answers, |it| {
                let OriginEdits { path, query, .. } = &it.origin;
                (path.is_some() || query.is_some()).then(|| (path.clone(), query.clone()))
            });
            let got = (decision.origin.path.clone(), decision.origin.query.clone());
            prop_assert_eq!(got, rewrite.unwrap_or_default());
            prop_assert_eq!(&decision.origin.origin, &first_said(&answers, |it| it.origin.origin.clone()));
            prop_assert_eq!(&decision.answer, &first_said(&answers, |it| it.answer.clone()));
            prop_assert_eq!(&decision.log_tag, &first_said(&answers, |it| it.log_tag.clone()));
            prop_assert_eq!(&decision.rate_class, &first_said(&answers, |it| it.rate_class.clone()));
            for name in ["p", "q"] {
                let of = |it: &ExtendedDecision| {
                    it.key_parts.iter().find(|part| *part.name == *name).cloned()
                };
                prop_assert_eq!(of(&decision), first_said(&answers, of));
            }
            let extended = answers.iter().filter_map(|(_, answer)| answer.extended.as_deref());
            check_edits(&decision.origin.fields, extended.clone().map(|it| &it.origin.fields));
            check_edits(&decision.response_fields, extended.map(|it| &it.response_fields));
            // It is sealed.
            let mut again = (*decision).clone();
            again.seal();
            prop_assert_eq!(&again, &*decision);
            // A pass that an answer overrules is told.
            let answers_itself = |answer: &RequestAnswer| {
                answer.extended.as_ref().is_some_and(|it| it.answer.is_some())
            };
            let by = places(&answers, answers_itself).next();
            let passing = places(&answers, |answer| answer.lookup == Some(LookupDecision::Pass));
            let over: Vec<_> = passing.filter(|place| Some(*place) != by).collect();
            let told = ruling(&rulings, DecisionField::Answer, Precedence::AnswerWins);
            prop_assert_eq!(told.is_some(), by.is_some() && !over.is_empty());
            prop_assert_eq!(told.map(|it| it.over.clone()).unwrap_or_default(), if by.is_some() { over } else { Vec::new() });
        }
    }

    fn response(change: impl FnOnce(&mut ResponseAnswer)) -> (&'static str, ResponseAnswer) {
        let mut answer = ResponseAnswer::default();
        change(&mut answer);
        ("p", answer)
    }

    #[test]
    fn a_refused_place_wins_and_is_ruled_only_against_an_admission() {
        let admits = |admit| response(|it| it.admit = Some(admit));
        let silent = || response(|_| ());
        let check = |answers: Vec<_>, expected, ruled: Option<(usize, Vec<usize>)>| {
            let mut rulings = Vec::new();
            assert_eq!(responses(answers, &mut rulings).admit, expected);
            let told = ruling(&rulings, DecisionField::Admit, Precedence::RefusalWins);
            assert_eq!(told.map(|it| (it.by, it.over.clone())), ruled);
        };
        check(vec![silent()], None, None);
        check(vec![silent(), admits(true)], Some(true), None);
        check(vec![admits(false), silent()], Some(false), None);
        check(
            vec![admits(true), admits(false), admits(true)],
            Some(false),
            Some((1, vec![0, 2])),
        );
    }

    #[test]
    fn the_earliest_end_wins_and_a_purge_before_staleness() {
        let at = Timestamp::from_unix_secs;
        let ends = |expiry| response(|it| it.expiry = Some(expiry));
        let check = |answers: Vec<_>, expected, ruled: Option<(usize, Vec<usize>)>| {
            let mut rulings = Vec::new();
            assert_eq!(responses(answers, &mut rulings).expiry, Some(expected));
            let told = ruling(&rulings, DecisionField::Expiry, Precedence::EarliestWins);
            assert_eq!(told.map(|it| (it.by, it.over.clone())), ruled);
        };
        let (early, late) = (Expiry::StaleAt(at(10)), Expiry::PurgeAt(at(20)));
        check(vec![ends(late), ends(early)], early, Some((1, vec![0])));
        check(vec![ends(early), ends(early)], early, None);
        let purge = Expiry::PurgeAt(at(10));
        check(vec![ends(early), ends(purge)], purge, Some((1, vec![0])));
    }

    #[test]
    fn stored_fields_and_error_lifetimes_join() {
        let secs = std::time::Duration::from_secs;
        let one = response(|it| {
            it.fields.remove.push(field(1, 0).0);
            it.error_ttl = Some(secs(5));
        });
        let other = response(|it| {
            it.fields.set = vec![field(1, 7), field(2, 7)];
            it.error_ttl = Some(secs(9));
        });
        let mut rulings = Vec::new();
        let decision = responses(vec![one, other], &mut rulings);
        assert_eq!(decision.error_ttl, Some(secs(5)));
        assert_eq!(decision.fields.remove, [field(1, 0).0]);
        assert_eq!(decision.fields.set, [field(2, 7)]);
        assert!(ruling(&rulings, DecisionField::StoredEdits, Precedence::NamesJoin).is_some());
        assert!(ruling(&rulings, DecisionField::ErrorTtl, Precedence::FirstWins).is_some());
    }
}
