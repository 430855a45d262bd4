//! What single clients and pages may decide.

use super::*;

/// The time of the first request of a made log.
const START: i64 = 1_795_607_940;

/// The names that are proposed to be dropped after these rounds, 16 s apart, of targets with their
/// content.
fn dropped_after(rounds: i64, requests: impl Fn(i64) -> Vec<(String, String)>) -> Vec<String> {
    let mut study = LogStudy::new(Buenos_Aires);
    for round in 0..rounds {
        for (target, content) in requests(round) {
            let record = answered(START + round * 16, &target, &content);
            study.add(&record, "desktop");
        }
    }
    dropped_parameters(study.proposals(&config()))
}

fn same(target: String) -> (String, String) {
    (target, "a".to_owned())
}

#[test]
fn a_parameter_that_counts_on_one_page_is_kept() {
    // It is idle on a popular page, and counts on another one, which is asked for now and then.
    let dropped = |products: i64| {
        dropped_after(1_000, |round| {
            let mut requests = vec![
                same(format!("/?id={round}")),
                same(format!("/news?ref={round}")),
            ];
            if round < products {
                requests.push((format!("/product?id={round}"), round.to_string()));
            }
            requests
        })
    };
    assert_eq!(dropped(0), ["id", "ref"]);
    assert_eq!(dropped(10), ["ref"]);
}

#[test]
fn a_path_of_a_folder_does_not_speak_for_the_others() {
    // A client asks one page of the folder again and again.
    let dropped = dropped_after(2_000, |round| {
        let mut requests = vec![same(format!("/shop/home?page={round}"))];
        if round < 20 {
            requests.push((format!("/shop/list?page={round}"), round.to_string()));
        }
        requests
    });
    assert!(dropped.is_empty(), "{dropped:?}");
    // Many idle pages don't either.
    let dropped = dropped_after(60, |round| {
        let mut requests: Vec<_> = (0..60)
            .map(|page| same(format!("/shop/{page}?page={round}")))
            .collect();
        if round < 20 {
            requests.push((format!("/shop/list?page={round}"), round.to_string()));
        }
        requests
    });
    assert!(dropped.is_empty(), "{dropped:?}");
}

#[test]
fn a_parameter_is_kept_where_most_of_its_pages_are_unknown() {
    // The other pages are asked for too seldom to be compared.
    let dropped = dropped_after(200, |round| {
        let mut requests = vec![same(format!("/about?page={round}"))];
        if round % 50 == 0 {
            requests.push((format!("/list-{}?page={round}", round / 50), "b".to_owned()));
        }
        requests
    });
    assert!(dropped.is_empty(), "{dropped:?}");
    // Pages that have few pairs each are judged together.
    for (content, expected) in [(None, vec!["page"]), (Some(()), Vec::new())] {
        let dropped = dropped_after(3, |round| {
            (0..60)
                .map(|page| {
                    let target = format!("/p{page}/x?page={round}");
                    match content {
                        Some(()) => (target, round.to_string()),
                        None => same(target),
                    }
                })
                .collect()
        });
        assert_eq!(dropped, expected);
    }
}

#[test]
fn clients_do_not_choose_what_is_written() {
    let mut study = LogStudy::new(Buenos_Aires);
    let hostile = ["/*/", "/a'\"]/b", "/{x}/b", "/a,b/c", "/../b", "//b"];
    for round in 0..600 {
        let at = 1_795_607_940 + round * 16;
        for path in hostile {
            study.add(&asked(at, path), "desktop");
        }
        study.add(&asked(at, "/plain/page"), "desktop");
        for name in ["*", "a%5B%5D", "x']", "ref"] {
            let target = format!("/plain/page?{name}={round}");
            study.add(&asked(at, &target), "desktop");
        }
    }
    let proposals = study.proposals(&config());
    let told = format!("{proposals:?}");
    assert!(lifetime(&proposals, "/plain/*").is_some(), "{told}");
    let is_plain = |edit: &ConfigEdit| match edit {
        ConfigEdit::Lifetime { pattern, .. } | ConfigEdit::NoVariants { pattern } => {
            pattern == "/plain/*"
        }
        ConfigEdit::DropParameters { names } => *names == ["ref"],
        ConfigEdit::SiteTable { .. } | ConfigEdit::Plan { .. } => true,
    };
    let mut edits = proposals.iter().flat_map(|proposal| &proposal.edits);
    assert!(edits.all(is_plain), "{told}");
    let not_plain = hostile.len() as f64 / (hostile.len() + 5) as f64;
    assert!((study.not_plain() - not_plain).abs() < 1e-9);
    // An edit that was made elsewhere is not written either.
    let hour = std::time::Duration::from_secs(3_600);
    for pattern in ["*", "/*/b", "/a\"]\n[server]"] {
        let pattern = pattern.to_owned();
        let edit = ConfigEdit::Lifetime {
            pattern,
            ttl: hour,
            stale: hour,
        };
        assert_eq!(config().with(&edit), Err(EditRefusal::Elsewhere));
    }
    for name in ["*", "a\"", "a]"] {
        let names = vec![name.to_owned()];
        let edit = ConfigEdit::DropParameters { names };
        assert_eq!(config().with(&edit), Err(EditRefusal::Elsewhere));
    }
}

#[test]
fn one_client_does_not_decide_the_lifetime_of_a_folder() {
    // Ten pages change with every visitor. A client asks another one with queries that it invents.
    let study = |invented: i64| {
        let mut study = LogStudy::new(Buenos_Aires);
        for round in 0..600 {
            let at = START + round * 16;
            if round % 4 == 0 {
                let page = round / 4 % 10;
                let target = format!("/shop/{page}");
                study.add(&answered(at, &target, &round.to_string()), "desktop");
                study.add(
                    &answered(at + 15, &target, &(round + 1).to_string()),
                    "desktop",
                );
            }
            for query in 0..invented {
                study.add(
                    &asked(at + 15, &format!("/shop/still?x={query}")),
                    "desktop",
                );
            }
        }
        study
    };
    for invented in [0, 40] {
        let study = study(invented);
        assert_eq!(lifetime(&study.proposals(&config()), "/shop/*"), None);
        assert_eq!(study.bounds().len(), 1);
    }
}

#[test]
fn one_page_does_not_decide_that_devices_get_the_same_content() {
    let proposed = |others: i64| {
        let mut study = LogStudy::new(Buenos_Aires);
        for round in 0..1_000 {
            let at = START + round * 16;
            for (secs, device) in [(0, "mobile"), (1, "desktop")] {
                study.add(&asked(at + secs, "/shop/still"), device);
                if round < others {
                    let target = format!("/shop/{}", round % 5);
                    study.add(&answered(at + secs, &target, device), device);
                }
            }
        }
        let proposals = study.proposals(&config());
        let mut edits = proposals.iter().flat_map(|proposal| &proposal.edits);
        edits.any(|edit| matches!(edit, ConfigEdit::NoVariants { .. }))
    };
    assert!(proposed(0));
    assert!(!proposed(15));
}

#[test]
fn a_pattern_keeps_its_variants_for_one_page_that_differs_by_device() {
    let proposed = |different: i64| {
        let mut study = LogStudy::new(Buenos_Aires);
        for round in 0..60 {
            let at = START + round * 400;
            for (secs, device) in [(0, "mobile"), (1, "desktop")] {
                for page in 0..20 {
                    study.add(&asked(at + secs, &format!("/shop/{page}")), device);
                }
                if round < different {
                    study.add(&answered(at + secs, "/shop/other", device), device);
                }
            }
        }
        let proposals = study.proposals(&config());
        let mut edits = proposals.iter().flat_map(|proposal| &proposal.edits);
        edits.any(|edit| matches!(edit, ConfigEdit::NoVariants { .. }))
    };
    assert!(proposed(9));
    assert!(!proposed(10));
}

#[test]
fn invented_queries_leave_room_for_other_pages() {
    let mut study = LogStudy::new(Buenos_Aires);
    for query in 0..110_000 {
        study.add(&asked(START, &format!("/still?x={query}")), "desktop");
    }
    for round in 0..300 {
        let at = START + round * 16;
        study.add(&asked(at, "/shop/page"), "desktop");
    }
    assert!(lifetime(&study.proposals(&config()), "/shop/*").is_some());
}

#[test]
fn what_the_server_answered_by_itself_is_not_studied() {
    let mut study = LogStudy::new(Buenos_Aires);
    for round in 0..600 {
        let own = LogRecord {
            cache: Some(LoggedCache::Own),
            ..asked(1_795_607_940 + round * 16, "/plain/page")
        };
        study.add(&own, "desktop");
    }
    assert_eq!(lifetime(&study.proposals(&config()), "/plain/*"), None);
}
