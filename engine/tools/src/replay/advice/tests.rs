mod clients;
mod spellings;

use chrono_tz::America::Argentina::Buenos_Aires;
use proptest::prelude::*;

use super::*;
use crate::traffic::agents::AGENTS;
use crate::traffic::{SiteKind, TrafficPlan};

/// What the log of a made-up week shows.
fn study(kind: SiteKind) -> LogStudy {
    let mut study = LogStudy::new(Buenos_Aires);
    for record in TrafficPlan::week(kind).requests() {
        let agent = record.user_agent().unwrap().to_str().unwrap().to_owned();
        let is_phone = AGENTS
            .iter()
            .any(|known| known.name == agent && known.is_phone);
        study.add(&record, if is_phone { "mobile" } else { "desktop" });
    }
    study
}

const CONFIG: &str = r#"[server]
listen = ["127.0.0.1:0"]

[[policy]]
name = "hours"
module = "builtin:business-hours"

[policy.settings]
rules = [
    { name = "availability", paths = ["/api/v1/disponibilidad/*"], inside = "15s", outside = "2min", stale_while_revalidate = "15s" },
    { name = "pages", paths = ["/", "/barberias/*", "/turnos/*"], inside = "10min", outside = "1h", stale_while_revalidate = "10min" },
]

[[policy]]
name = "devices"
module = "builtin:device-variants"
settings = { variants = [{ name = "mobile", devices = ["mobile"], paths = ["/", "/img/*"] }] }

[[site]]
name = "site"
hosts = ["www.example"]
origins = ["http://127.0.0.1:1"]
policies = ["hours", "devices"]

[site.health]
path = "/health"

[[site]]
name = "other"
hosts = ["other.example"]
origins = ["http://127.0.0.1:1"]
"#;

fn config() -> ConfigText {
    ConfigText::new(CONFIG, "site")
}

fn lifetime(proposals: &[Proposal], wanted: &str) -> Option<(u64, u64)> {
    proposals
        .iter()
        .flat_map(|proposal| &proposal.edits)
        .find_map(|edit| match edit {
            ConfigEdit::Lifetime {
                pattern,
                ttl,
                stale,
            } if pattern == wanted => Some((ttl.as_secs(), stale.as_secs())),
            _ => None,
        })
}

/// The names that are proposed to be dropped.
fn dropped_parameters(proposals: Vec<Proposal>) -> Vec<String> {
    let edits = proposals.into_iter().flat_map(|proposal| proposal.edits);
    edits
        .filter_map(|edit| match edit {
            ConfigEdit::DropParameters { names } => Some(names),
            _ => None,
        })
        .flatten()
        .collect()
}

#[test]
fn lifetimes_follow_how_often_content_changes() {
    let study = study(SiteKind::Booking);
    let proposals = study.proposals(&config());
    let of = |pattern| lifetime(&proposals, pattern);
    // A shop's page changes every three days, the list of appointments every four hours.
    let shops = of("/barberias/*").unwrap();
    let appointments = of("/turnos/*").unwrap();
    assert!((3_600..=4 * 3_600).contains(&shops.0), "{shops:?}");
    assert!(
        shops.1 > shops.0 && appointments.0 < shops.0,
        "{appointments:?}"
    );
    assert!(of("/img/*").unwrap().0 >= 86_400);
    // Free appointments change every two minutes: no lifetime is right.
    assert_eq!(of("/api/v1/disponibilidad/*"), None);
    let bounds = study.bounds();
    assert!(
        bounds
            .iter()
            .any(|(pattern, share)| pattern == "/api/v1/disponibilidad/*" && *share > 0.05),
        "{bounds:?}"
    );
    // Pages for one visitor alone are not studied.
    assert_eq!(of("/checkout/*"), None);
}

#[test]
fn parameters_that_do_not_change_the_page_are_found() {
    let dropped = |kind| dropped_parameters(study(kind).proposals(&config()));
    assert_eq!(dropped(SiteKind::Booking), ["utm_*", "fbclid", "gclid"]);
    let news = dropped(SiteKind::News);
    assert!(news.contains(&"ref".to_owned()), "{news:?}");
    assert!(
        !news.contains(&"q".to_owned()),
        "a search is another page: {news:?}"
    );
}

#[test]
fn devices_with_the_same_content_are_found() {
    let proposals = study(SiteKind::Booking).proposals(&config());
    let same: Vec<&str> = proposals
        .iter()
        .flat_map(|proposal| &proposal.edits)
        .filter_map(|edit| match edit {
            ConfigEdit::NoVariants { pattern } => Some(pattern.as_str()),
            _ => None,
        })
        .collect();
    assert!(same.contains(&"/img/*"), "{same:?}");
    assert!(
        !same.contains(&"/") && !same.contains(&"/barberias/*"),
        "{same:?}"
    );
}

#[test]
fn warming_is_proposed_before_the_doors_open() {
    let proposals = study(SiteKind::Booking).proposals(&config());
    let plan = proposals
        .iter()
        .flat_map(|proposal| &proposal.edits)
        .find_map(|edit| match edit {
            ConfigEdit::Plan {
                schedule, pages, ..
            } => Some((schedule.as_str(), *pages)),
            _ => None,
        });
    let (schedule, pages) = plan.unwrap();
    assert!(
        schedule.starts_with("30 8 * * ") && !schedule.contains("SUN"),
        "{schedule}"
    );
    assert!((10..=MAX_PATTERNS).contains(&pages), "{pages}");
    let with_plan = ConfigText::new(
        &format!("{CONFIG}\n[[warm]]\nname = \"a\"\nsite = \"site\"\n"),
        "site",
    );
    let proposals = study(SiteKind::Booking).proposals(&with_plan);
    assert!(
        !proposals
            .iter()
            .any(|proposal| proposal.title.starts_with("warm "))
    );
}

#[test]
fn a_plan_of_a_site_without_a_host_names_the_one_that_is_requested_most() {
    let mut study = LogStudy::new(chrono_tz::UTC);
    let mut host_of = |host: &str, times: i64, from: i64| {
        for round in 0..times {
            let record = LogRecord {
                host: Some(host.into()),
                ..asked(from + round, "/page")
            };
            study.add(&record, "desktop");
        }
    };
    // 2026-11-25 08:00 and 09:00 UTC.
    let (eight, nine) = (1_795_593_600, 1_795_597_200);
    host_of("seldom.example", 10, eight);
    host_of("most.example", 100, nine);
    host_of("a\"b", 300, nine);
    let host = |hosts: &str| {
        let text = format!("[[site]]\nname = \"a\"\nhosts = [{hosts}]\n");
        let proposals = study.proposals(&ConfigText::new(&text, "a"));
        let mut edits = proposals.into_iter().flat_map(|proposal| proposal.edits);
        let plan = edits.find(|edit| matches!(edit, ConfigEdit::Plan { .. }));
        let written = ConfigText::new(&text, "a").with(&plan.unwrap()).unwrap();
        let mut lines = written.as_str().lines();
        lines.find_map(|line| line.strip_prefix("host = ").map(str::to_owned))
    };
    assert_eq!(host("\"*\"").as_deref(), Some("\"most.example\""));
    assert_eq!(host("\"*\", \"own.example\""), None);
}

#[test]
fn an_edit_changes_what_it_says_and_nothing_else() {
    let config = config();
    let hour = std::time::Duration::from_secs(3_600);
    let changed = |edit: &ConfigEdit| {
        let new = config.with(edit).unwrap();
        difference("tero.toml", CONFIG, new.as_str())
    };
    let lines = |diff: &str| -> Vec<String> {
        diff.lines()
            .filter(|line| {
                line.starts_with(['+', '-'])
                    && line.len() > 1
                    && !line.starts_with("+++")
                    && !line.starts_with("---")
            })
            .map(str::to_owned)
            .collect()
    };
    // A pattern of several gets a rule of its own before the others.
    let diff = changed(&ConfigEdit::Lifetime {
        pattern: "/barberias/*".to_owned(),
        ttl: hour,
        stale: 12 * hour,
    });
    assert_eq!(
        lines(&diff),
        [
            r#"-    { name = "pages", paths = ["/", "/barberias/*", "/turnos/*"], inside = "10min", outside = "1h", stale_while_revalidate = "10min" },"#,
            r#"+    { name = "pages-barberias", paths = ["/barberias/*"], inside = "1h", outside = "1h", stale_while_revalidate = "12h" },"#,
            r#"+    { name = "pages", paths = ["/", "/turnos/*"], inside = "10min", outside = "1h", stale_while_revalidate = "10min" },"#
        ]
    );
    assert!(
        diff.starts_with("--- tero.toml\n+++ tero.toml\n@@ -8,7 +8,8 @@\n"),
        "{diff}"
    );
    // A rule is only raised.
    let low = ConfigEdit::Lifetime {
        pattern: "/turnos/*".to_owned(),
        ttl: hour / 60,
        stale: hour / 60,
    };
    assert_eq!(config.with(&low), Err(EditRefusal::Elsewhere));
    // Its only pattern: in place.
    let diff = changed(&ConfigEdit::Lifetime {
        pattern: "/api/v1/disponibilidad/*".to_owned(),
        ttl: hour / 60,
        stale: hour / 60,
    });
    assert_eq!(lines(&diff).len(), 2);
    assert!(
        diff.contains(r#"inside = "1min", outside = "2min", stale_while_revalidate = "1min""#),
        "{diff}"
    );
    // Without a policy's rule: a route of the site, which stands after its other tables.
    let diff = changed(&ConfigEdit::Lifetime {
        pattern: "/docs/*".to_owned(),
        ttl: hour,
        stale: hour,
    });
    assert_eq!(
        lines(&diff),
        [
            "+[[site.route]]",
            "+match = [\"/docs/*\"]",
            "+cache_control = \"public, max-age=3600, stale-while-revalidate=3600\""
        ]
    );
    let new = config
        .with(&ConfigEdit::Lifetime {
            pattern: "/docs/*".to_owned(),
            ttl: hour,
            stale: hour,
        })
        .unwrap();
    assert!(new.as_str().find("[[site.route]]") < new.as_str().find("name = \"other\""));
    let diff = changed(&ConfigEdit::DropParameters {
        names: vec!["utm_*".to_owned(), "ref".to_owned()],
    });
    assert_eq!(lines(&diff), [r#"+query = { drop = ["utm_*", "ref"] }"#]);
    let diff = changed(&ConfigEdit::NoVariants {
        pattern: "/img/*".to_owned(),
    });
    assert!(diff.contains(r#"paths = ["/"] }"#), "{diff}");
    assert_eq!(
        config.with(&ConfigEdit::NoVariants {
            pattern: "/turnos/*".to_owned()
        }),
        Err(EditRefusal::Elsewhere)
    );
    let ahead = refresh_ahead(&config).unwrap();
    let diff = changed(&ahead.edits[0]);
    assert_eq!(
        lines(&diff),
        [
            "+[site.refresh_ahead]",
            "+before = \"10s\"",
            "+min_hits = 3"
        ]
    );
    assert_eq!(refresh_ahead(&config.with(&ahead.edits[0]).unwrap()), None);
}

/// Two sites, each with its policy; `policies` are those of the second.
fn two_sites(policies: &str) -> String {
    let policy = |name: &str| {
        format!(
            "[[policy]]\nname = \"{name}\"\nmodule = \"{name}.wasm\"\n# As \"/img/*\" of {{ old = 1 }}.\n[policy.settings]\n\
            rules = [{{ paths = [\"/img/*\"], inside = \"1min\", outside = \"1min\", stale_while_revalidate = \"1min\" }}]\n\
            devices = [{{ devices = [\"mobile\"], paths = [\"/\", \"/img/*\"] }}]\n\n"
        )
    };
    format!(
        "{}{}[[site]]\nname = \"a\"\npolicies = [\"one\"]\n\n[[site]]\nname = \"b\"\npolicies = [{policies}]\n",
        policy("one"),
        policy("two")
    )
}

#[test]
fn the_rule_of_another_site_is_not_changed() {
    let hour = std::time::Duration::from_secs(3_600);
    let edits = [
        ConfigEdit::Lifetime {
            pattern: "/img/*".to_owned(),
            ttl: hour,
            stale: hour,
        },
        ConfigEdit::NoVariants {
            pattern: "/img/*".to_owned(),
        },
    ];
    let text = two_sites("\"two\"");
    for edit in &edits {
        let of = |site| ConfigText::new(&text, site).with(edit).unwrap();
        let border = text.find("name = \"two\"").unwrap();
        let (a, b) = (of("a"), of("b"));
        assert!(a.as_str().ends_with(&text[border..]), "{}", a.as_str());
        assert!(b.as_str().starts_with(&text[..border]), "{}", b.as_str());
    }
    // Its own policy is the one that the other site has too.
    let shared = two_sites("\"two\", \"one\"");
    for edit in &edits {
        let refusal = ConfigText::new(&shared, "a").with(edit).unwrap_err();
        let expected = EditRefusal::Shared {
            policy: "one".to_owned(),
            site: "b".to_owned(),
        };
        assert_eq!(refusal, expected);
    }
    // The first rule for a pattern decides; a variant of any of its policies would be left.
    let of_b = ConfigText::new(&shared, "b");
    assert!(of_b.with(&edits[0]).is_ok());
    let shared_with_a = EditRefusal::Shared {
        policy: "one".to_owned(),
        site: "a".to_owned(),
    };
    assert_eq!(of_b.with(&edits[1]), Err(shared_with_a));
    // A site without a policy gets a route of its own, whatever the others' rules name.
    let none = ConfigText::new(&two_sites(""), "b");
    let routed = none.with(&edits[0]).unwrap();
    assert!(
        routed
            .as_str()
            .contains("[[site.route]]\nmatch = [\"/img/*\"]")
    );
    assert_eq!(none.with(&edits[1]), Err(EditRefusal::Elsewhere));
    // Its own route names the pattern already.
    assert_eq!(routed.with(&edits[0]), Err(EditRefusal::Elsewhere));
}

#[test]
fn no_variant_is_left_where_devices_get_the_same() {
    let mobile = r#"mobile = { devices = ["mobile"], paths = ["/", "/img/*"] }"#;
    let tablet = r#"tablet = { devices = ["tablet"], paths = ["/img/*"] }"#;
    let left = r#"mobile = { devices = ["mobile"], paths = ["/"] }"#;
    let of = |variants: &str| {
        let old =
            r#"variants = [{ name = "mobile", devices = ["mobile"], paths = ["/", "/img/*"] }]"#;
        assert!(CONFIG.contains(old));
        CONFIG.replace(old, &format!("variants = {variants}"))
    };
    for (variants, expected) in [
        (format!("{{ {mobile}, {tablet} }}"), format!("{{ {left} }}")),
        (format!("{{ {tablet}, {mobile} }}"), format!("{{ {left} }}")),
        (
            format!("[{{ {mobile} }}, {{ {tablet} }}]"),
            format!("[{{ {left} }}, {{ }}]"),
        ),
        (
            r#"[{ devices = ["tv"], paths = ["/img/*"] }, { devices = ["bot"], paths = ["/a"] }]"#
                .to_owned(),
            r#"[{ devices = ["bot"], paths = ["/a"] }]"#.to_owned(),
        ),
    ] {
        let pattern = "/img/*".to_owned();
        let edited = ConfigText::new(&of(&variants), "site")
            .with(&ConfigEdit::NoVariants { pattern })
            .unwrap();
        assert_eq!(edited.as_str(), of(&expected), "{variants}");
    }
}

/// A request of the log, answered with the same content.
fn asked(at: i64, target: &str) -> LogRecord {
    answered(at, target, "a")
}

/// A request of the log, answered with this content.
fn answered(at: i64, target: &str, content: &str) -> LogRecord {
    let line = format!(
        "{{\"at\":{at},\"method\":\"GET\",\"host\":\"www.example\",\"status\":200,\"bytes\":5,\"etag\":\"\\\"{content}\\\"\",\"target\":{}}}",
        serde_json::to_string(target).unwrap()
    );
    crate::replay::log::parse(&line).unwrap()
}

#[test]
fn tables_and_plans_of_other_sites_are_not_the_sites_own() {
    let text = "[[site]]\nname = \"a\"\n[[site]]\nname = \"b\"\n[site.refresh_ahead]\nbefore = \"10s\"\n\
        [[warm]]\nname = \"before-09\"\nsite = \"b\"\n";
    let (a, b) = (ConfigText::new(text, "a"), ConfigText::new(text, "b"));
    assert_eq!((a.has_plan(), b.has_plan()), (false, true));
    let ahead = refresh_ahead(&a).unwrap();
    assert_eq!(refresh_ahead(&b), None);
    let better = a.with(&ahead.edits[0]).unwrap();
    assert!(better.site_has_table("refresh_ahead"));
    assert!(
        better
            .as_str()
            .starts_with("[[site]]\nname = \"a\"\n\n[site.refresh_ahead]\n"),
        "{}",
        better.as_str()
    );
    let plan = ConfigEdit::Plan {
        name: "before-09".to_owned(),
        host: None,
        schedule: "30 8 * * MON".to_owned(),
        zone: "UTC".to_owned(),
        pages: 5,
    };
    let planned = a.with(&plan).unwrap();
    assert!(
        planned
            .as_str()
            .contains("name = \"a-before-09\"\nsite = \"a\"\n")
    );
}

#[test]
fn parameters_join_those_that_are_dropped_already() {
    let text = "[[site]]\nname = \"a\"\nquery = { drop = [\"utm_*\"] }\n";
    let config = ConfigText::new(text, "a");
    let with = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        config.with(&ConfigEdit::DropParameters { names })
    };
    assert_eq!(with(&["utm_*"]), Err(EditRefusal::Elsewhere));
    assert_eq!(
        with(&["ref"]).unwrap().as_str(),
        text.replace("\"utm_*\"", "\"utm_*\", \"ref\"")
    );
    let kept = ConfigText::new("[[site]]\nname = \"a\"\nquery = \"none\"\n", "a");
    assert_eq!(
        kept.with(&ConfigEdit::DropParameters {
            names: vec!["x".to_owned()]
        }),
        Err(EditRefusal::Elsewhere)
    );
}

#[test]
fn seconds_and_tables_of_lifetimes_are_raised() {
    let rules = |inside: u32, stale: u32| {
        format!(
            "[[policy]]\nname = \"p\"\n[policy.settings]\nrules = [{{ match = [\"/a/*\"], ttl = {{ business_hours = {inside}, \
            otherwise = 1800 }}, stale_while_revalidate = {stale} }}]\n[[site]]\nname = \"a\"\npolicies = [\"p\"]\n"
        )
    };
    let config = ConfigText::new(&rules(120, 300), "a");
    let ttl = std::time::Duration::from_secs(900);
    let new = config
        .with(&ConfigEdit::Lifetime {
            pattern: "/a/*".to_owned(),
            ttl,
            stale: ttl,
        })
        .unwrap();
    assert_eq!(new.as_str(), rules(900, 900));
}

#[test]
fn a_rule_gets_the_stale_window_that_the_title_tells() {
    let hour = std::time::Duration::from_secs(3_600);
    let raised = |rule: &str, of_site: &str| {
        let text = |rule: &str| {
            format!(
                "[[policy]]\nname = \"p\"\n[policy.settings]\nrules = [{{ paths = [\"/a/*\"], {rule} }}]\n\
                [[site]]\nname = \"a\"\npolicies = [\"p\"]\n{of_site}"
            )
        };
        let edit = ConfigEdit::Lifetime {
            pattern: "/a/*".to_owned(),
            ttl: hour,
            stale: 12 * hour,
        };
        let new = ConfigText::new(&text(rule), "a").with(&edit);
        new.map(|new| {
            let line = new.as_str().lines().find(|line| line.starts_with("rules"));
            let line = line
                .unwrap()
                .strip_prefix("rules = [{ paths = [\"/a/*\"], ");
            line.unwrap().strip_suffix(" }]").unwrap().to_owned()
        })
    };
    for (rule, of_site, expected) in [
        (
            r#"inside = "2min", outside = "2h""#,
            "",
            r#"inside = "1h", outside = "2h", stale_while_revalidate = "12h""#,
        ),
        (
            r#"inside = "2h", outside = "until-open", tags = ["a"]"#,
            "stale_while_revalidate = \"1h\"\n",
            r#"inside = "2h", outside = "until-open", stale_while_revalidate = "12h", tags = ["a"]"#,
        ),
        (
            "ttl = { business_hours = 120, otherwise = 7200 }",
            "",
            "ttl = { business_hours = 3600, otherwise = 7200 }, stale_while_revalidate = 43200",
        ),
        // The site's own window is longer.
        (
            "ttl = 120",
            "stale_while_revalidate = \"1d\"\n",
            "ttl = 3600",
        ),
    ] {
        assert_eq!(raised(rule, of_site).as_deref(), Ok(expected));
    }
    // What has no duration is for a person.
    for rule in [
        r#"inside = "never", outside = "never""#,
        r#"stale_while_revalidate = "1min""#,
    ] {
        assert_eq!(raised(rule, ""), Err(EditRefusal::Elsewhere), "{rule}");
    }
}

/// Applies a difference to the old text.
fn patched(old: &str, diff: &str) -> String {
    let old: Vec<&str> = old.lines().collect();
    let (mut out, mut at) = (Vec::new(), 0);
    for line in diff.lines().skip(2) {
        if let Some(range) = line.strip_prefix("@@ -") {
            let (start, rest) = range.split_once(',').unwrap();
            let count: usize = rest.split(' ').next().unwrap().parse().unwrap();
            let start: usize = start.parse::<usize>().unwrap() - usize::from(count > 0);
            out.extend(&old[at..start]);
            at = start;
        } else {
            match line.split_at(1) {
                (" ", text) => {
                    assert_eq!(old[at], text);
                    out.push(text);
                    at += 1;
                }
                ("-", text) => {
                    assert_eq!(old[at], text);
                    at += 1;
                }
                (_, text) => out.push(text),
            }
        }
    }
    out.extend(&old[at..]);
    out.iter().map(|line| format!("{line}\n")).collect()
}

proptest! {
    #[test]
    fn a_difference_leads_from_one_text_to_the_other(
        old in proptest::collection::vec("[abc]", 0..40),
        new in proptest::collection::vec("[abc]", 0..40),
    ) {
        let text = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let (old, new) = (text(&old), text(&new));
        let diff = difference("f", &old, &new);
        prop_assert_eq!(diff.is_empty(), old == new);
        prop_assert_eq!(patched(&old, &diff), new);
    }

    #[test]
    fn any_text_is_edited_without_a_panic(text in "[\\PC\n\"{}\\[\\]=,]{0,200}", pattern in "[/a*]{1,5}") {
        let config = ConfigText::new(&text, "a");
        let hour = std::time::Duration::from_secs(3_600);
        for edit in [
            ConfigEdit::Lifetime { pattern: pattern.clone(), ttl: hour, stale: hour },
            ConfigEdit::NoVariants { pattern },
            ConfigEdit::DropParameters { names: vec!["x".to_owned()] },
            ConfigEdit::SiteTable { name: "x".to_owned(), keys: Vec::new() },
        ] {
            if let Ok(new) = config.with(&edit) {
                prop_assert_ne!(new.as_str(), text.as_str());
            }
        }
    }
}
