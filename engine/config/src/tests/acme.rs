//! Certificates by ACME: what they need, and which names they are for.

use super::*;

/// A listener with certificates by ACME, and everything that it needs.
const GOOD: &str = "[[server.listener]]\naddress = \"127.0.0.1:0\"\ntls = \"acme\"\n[acme]\nterms_agreed = true\n[policies]\nstate_dir = \"state\"\n";

fn names(text: &str) -> Vec<String> {
    let config = parse(text).unwrap_or_else(|errors| panic!("{errors}"));
    config
        .acme_names()
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// The keys and problems of the mistakes, as one text.
fn told(text: &str) -> String {
    let lines = mistakes(text).into_iter();
    let lines = lines.map(|mistake| mistake.to_string());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn exact_names_of_all_sites_are_ordered_once() {
    let hosts = "[\"shop.example\", \"Shop.example:8443\", \"www.shop.example\", \"127.0.0.1\", \"[::1]\", \"localhost\", \"under_score.example\"]";
    let site = SITE.replace("[\"shop.example\"]", hosts);
    let more = SITE.replace("shop", "blog");
    assert_eq!(
        names(&format!("{site}{more}{GOOD}")),
        ["shop.example", "www.shop.example", "blog.example"]
    );
    assert!(names(SITE).is_empty());
}

#[test]
fn the_short_form_stands_for_a_table() {
    let long = GOOD.replace("\"acme\"", "{ acme = true }");
    let of = |text: &str| parse(&format!("{SITE}{text}")).unwrap().server.listeners;
    assert_eq!(of(GOOD), of(&long));
    let other = GOOD.replace("\"acme\"", "\"letsencrypt\"");
    assert!(told(&format!("{SITE}{other}")).contains("`letsencrypt` is unknown; write \"acme\""));
}

#[test]
fn what_is_missing_is_told() {
    let check = |text: &str, words: &[&str]| {
        let told = told(&format!("{SITE}{text}"));
        for words in words {
            assert!(told.contains(words), "{words}: {told}");
        }
    };
    let listener = GOOD.split_once("[acme]").unwrap().0;
    check(
        listener,
        &[
            "acme.terms_agreed",
            "policies.state_dir",
            "no place to be kept",
        ],
    );
    check(
        &GOOD.replace("terms_agreed = true", "terms_agreed = false"),
        &["nobody has agreed"],
    );
    check(
        &GOOD.replace("agreed = true", "agreed = true\nchallenges = []"),
        &["acme.challenges: the list is empty"],
    );
    for (key, words) in [
        (
            "directory = \"http://acme.example/\"",
            "https://acme.example",
        ),
        ("directory = \"acme.example\"", "not the URL of a directory"),
        (
            "contact = [\"ops@example.com\"]",
            "write \"mailto:ops@example.com\"",
        ),
        ("contact = [\"mailto:nobody\"]", "not a contact"),
        ("challenges = [\"dns-01\"]", "http-01"),
        ("ca = \"ca.pem\"", "there is no file /nowhere/ca.pem"),
    ] {
        let text = format!("agreed = true\n{key}");
        check(&GOOD.replace("agreed = true", &text), &[words]);
    }
    check(
        "[admin]\ntls = { acme = true }\n",
        &["admin.tls", "for visitors"],
    );
}

#[test]
fn wildcards_are_refused_unless_there_is_a_certificate_for_them() {
    let site = |hosts: &str| SITE.replace("[\"shop.example\"]", hosts);
    let refused = told(&format!("{}{GOOD}", site("[\"shop.example\", \"*\"]")));
    assert!(
        refused.contains("no certificate can be ordered for `*`")
            && refused.contains("name each host"),
        "{refused}"
    );
    let both = GOOD.replace(
        "\"acme\"",
        "{ acme = true, certificates = [{ cert = \"a.pem\", key = \"a.key\" }] }",
    );
    let names = names(&format!("{}{both}", site("[\"shop.example\", \"*\"]")));
    assert_eq!(names, ["shop.example"]);
    let nearby = told(&format!("{}{GOOD}", site("[\"localhost\", \"127.0.0.1\"]")));
    assert!(nearby.contains("no site has a host"), "{nearby}");
}
