//! The guide for authors of policies is correct: its examples are run, or compared with files that
//! other tests run. Examples in Rust are documentation tests of the SDK.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use tero_config::{Config, PolicyHost};
use tero_policy_host::cases::{Cases, keys};
use tero_policy_host::{Compiler, Host};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The pages of the guide, by name.
fn pages() -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(root().join("docs/policies"))
        .unwrap()
        .flatten();
    let pages = entries.map(|entry| {
        (
            entry.file_name().into_string().unwrap(),
            std::fs::read_to_string(entry.path()).unwrap(),
        )
    });
    let pages = pages.collect::<BTreeMap<_, _>>();
    assert!(pages.len() >= 8, "{:?}", pages.keys());
    pages
}

/// The code blocks in this language, with their pages.
fn blocks(language: &str) -> Vec<(String, String)> {
    let fence = format!("```{language}\n");
    let of_page = |(name, text): (String, String)| {
        let blocks = text
            .split(&fence)
            .skip(1)
            .filter_map(|rest| rest.split("\n```").next());
        blocks
            .map(|block| (name.clone(), block.to_owned()))
            .collect::<Vec<_>>()
    };
    let blocks = pages().into_iter().flat_map(of_page).collect::<Vec<_>>();
    assert!(!blocks.is_empty(), "no block in {language}");
    blocks
}

#[test]
fn cases_in_the_guide_pass() {
    let folder = tero_tests::compiled_cache().join("tero");
    let settings = PolicyHost {
        compiled_cache: Some(folder),
        ..PolicyHost::default()
    };
    let host = Host::counting(&settings, &Compiler::InProcess).unwrap();
    let mut run = 0;
    for (page, block) in blocks("toml")
        .into_iter()
        .filter(|(_, block)| block.contains("[[case]]"))
    {
        let cases = Cases::parse(&block, &page, Path::new(""), None)
            .unwrap_or_else(|errors| panic!("{errors}"));
        let report = cases
            .run(&host, None)
            .unwrap_or_else(|errors| panic!("{errors}"));
        assert!(report.has_passed(), "{report:#?}");
        run += 1;
    }
    assert!(run >= 3, "{run}");
}

#[test]
fn configurations_in_the_guide_are_good() {
    let site =
        "[[site]]\nname = \"shop\"\nhosts = [\"*\"]\norigins = [\"http://127.0.0.1:3000\"]\n";
    let blocks: Vec<_> = blocks("toml")
        .into_iter()
        .filter(|(_, block)| !block.contains("[[case]]"))
        .collect();
    assert!(!blocks.is_empty());
    let folder = tero_tests::folder();
    let file = |name: &str, rows: &str| std::fs::write(folder.path().join(name), rows).unwrap();
    file("prices.csv", "a,1\n");
    file("countries.csv", "203.0.113.0/24,AR\n");
    let key = "RWQAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYn";
    file("team.pub", key);
    for (page, block) in blocks {
        Config::parse(&format!("{site}{block}"), &page, folder.path())
            .unwrap_or_else(|errors| panic!("{errors}"));
    }
}

#[test]
fn code_in_the_guide_comes_from_the_examples() {
    for (language, file) in [
        ("js", "javascript/policy.js"),
        ("python", "python/app.py"),
        ("c", "c/policy.c"),
        ("go", "go/policy.go"),
        ("zig", "zig/policy.zig"),
    ] {
        let example =
            std::fs::read_to_string(root().join("examples/shop-hours").join(file)).unwrap();
        for (page, block) in blocks(language) {
            assert!(
                example.contains(&block),
                "{page} shows what is not in {file}:\n{block}"
            );
        }
    }
    let contract = include_str!("../../sdk/wit/0.2/policy.wit");
    for (page, block) in blocks("wit") {
        assert!(
            contract.contains(&block),
            "{page} shows what is not in the contract:\n{block}"
        );
    }
}

#[test]
fn commands_in_the_guide_exist() {
    for (page, block) in blocks("sh") {
        for line in block.lines().filter(|line| line.starts_with("tero ")) {
            let words = line
                .split_whitespace()
                .skip(1)
                .take_while(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()));
            let words = words.take(2).collect::<Vec<_>>();
            let mut command = Command::new(env!("CARGO_BIN_EXE_tero-under-test"));
            let help = command.args(&words).arg("--help").output().unwrap();
            assert!(help.status.success(), "{page}: {line}");
            let help = String::from_utf8(help.stdout).unwrap();
            let flags = line
                .split_whitespace()
                .filter(|word| word.starts_with("--"));
            flags.for_each(|flag| assert!(help.contains(flag), "{page}: {flag} of {line}"));
        }
    }
}

#[test]
fn the_guide_explains_every_field_of_the_contract() {
    let page = &pages()["contract.md"];
    let contract = include_str!("../../sdk/wit/0.2/policy.wit");
    let lines = contract
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("///"));
    // Fields of records, of which a line may hold several.
    let records = lines
        .flat_map(|line| line.split(['{', ',', '}']))
        .filter_map(|part| part.trim().split_once(": "));
    let names = records.map(|(name, _)| name.trim()).filter(|name| {
        name.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    });
    let names = names.collect::<Vec<_>>();
    assert!(names.len() > 50, "{names:?}");
    for name in names.into_iter().filter(|name| {
        !matches!(
            *name,
            "message" | "settings" | "request" | "response" | "now" | "plan" | "popular"
        )
    }) {
        assert!(
            page.contains(&format!("`{name}`")),
            "`{name}` is not on the page"
        );
    }
}

#[test]
fn the_guide_lists_the_keys_of_cases() {
    assert!(
        pages()["testing.md"].ends_with(&keys::reference()),
        "testing.md is behind: end it with `tero policy test --keys`"
    );
}
