//! `tero policy fuzz`, `test --coverage`, `test --watch` and `wrap`: the real program.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tero_tests::{compiled_cache, folder, guests, toml_string};

use crate::program::{assert_code, err, out, tero};

fn policy(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = tero(&[&["policy"], arguments].concat());
    command
        .current_dir(folder)
        .env("XDG_CACHE_HOME", compiled_cache())
        .output()
        .expect("the program can be run")
}

/// A folder with a `cases.toml` for the misbehaving guest.
fn misbehaving(settings: &str) -> tempfile::TempDir {
    let folder = folder();
    let module = toml_string(&guests::misbehaving_path().display().to_string());
    let text = format!(
        "module = {module}\nsettings = {{ {settings} }}\nlimits = {{ deadline = \"10s\", memory = \"8MiB\" }}\n\
         [[case]]\nname = \"behaves\"\nurl = \"/good\"\non_request = {{ variant = \"good\" }}\n"
    );
    std::fs::write(folder.path().join("cases.toml"), text).unwrap();
    folder
}

fn fuzzed(folder: &Path, arguments: &[&str]) -> (i32, Value) {
    let arguments = [&["fuzz", "--json", "--questions", "2000"], arguments].concat();
    let output = policy(folder, &arguments);
    let json = serde_json::from_str(&out(&output))
        .unwrap_or_else(|error| panic!("{error}: {}", err(&output)));
    (output.status.code().unwrap(), json)
}

/// The defects as kind, hook and reason.
fn defects(report: &Value) -> Vec<[&str; 3]> {
    let defects = report["defects"].as_array().unwrap().iter();
    defects
        .map(|defect| ["kind", "hook", "reason"].map(|key| defect[key].as_str().unwrap()))
        .collect()
}

#[test]
fn fuzzing_finds_traps_behind_a_path_of_the_settings_and_gives_a_case_that_shows_them() {
    let folder = misbehaving("on_request = \"trap\", paths = \"/hidden/door\"");
    let (code, report) = fuzzed(folder.path(), &[]);
    assert_eq!(code, 1);
    let found = defects(&report);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0][..2], ["trap", "on-request"]);
    let case = report["defects"][0]["case"].as_str().unwrap();
    assert!(case.contains("/hidden/door"), "{case}");
    // The case shows the defect by itself.
    let cases = folder.path().join("cases.toml");
    let text = std::fs::read_to_string(&cases).unwrap() + "\n" + case;
    std::fs::write(&cases, text).unwrap();
    let tested = policy(folder.path(), &["test"]);
    assert_code(&tested, 1);
    assert!(
        out(&tested).contains("trap of on-request"),
        "{}",
        out(&tested)
    );
    // The text for people has the same.
    let told = policy(folder.path(), &["fuzz", "--questions", "500"]);
    assert_code(&told, 1);
    for words in [
        "trap in on-request",
        "[[case]]",
        "(seed 1), 1 defect",
        "fuel: median",
    ] {
        assert!(out(&told).contains(words), "{words} in\n{}", out(&told));
    }
}

#[test]
fn fuzzing_finds_bad_impure_and_slow_answers() {
    let folder = misbehaving("on_response = \"huge-ttl\"");
    let (code, report) = fuzzed(folder.path(), &[]);
    assert_eq!((code, defects(&report)[0][0]), (1, "bad-answer"));
    assert!(defects(&report)[0][2].contains("ttl-secs 31536001"));

    let folder = misbehaving("on_request = \"silent\", after = 3");
    let (code, report) = fuzzed(folder.path(), &[]);
    assert_eq!(code, 1);
    assert_eq!(defects(&report)[0][..2], ["impure", "on-request"]);
    assert!(report["defects"][0]["count"].as_u64().unwrap() > 100);

    let folder = misbehaving("on_request = \"silent\", paths = \"/a\", patterns = [\"*\"]");
    let (code, report) = fuzzed(folder.path(), &[]);
    assert_eq!(code, 1);
    assert_eq!(defects(&report)[0][..2], ["class", "on-request"]);
    let folder = misbehaving("on_request = \"silent\", paths = \"/a\", patterns = [\"/a*\"]");
    assert_eq!(
        fuzzed(folder.path(), &[]).0,
        0,
        "it says by which pattern it decides"
    );

    let folder = misbehaving("");
    let (code, report) = fuzzed(folder.path(), &[]);
    assert_eq!((code, report["defects"].as_array().unwrap().len()), (0, 0));
    let fuel = report["fuel"]["on-request"]["max"].as_u64().unwrap();
    let below = (fuel - 1).to_string();
    let (code, report) = fuzzed(folder.path(), &["--max-fuel", &below]);
    assert_eq!((code, defects(&report)[0][0]), (1, "slow"));
    assert_eq!(fuzzed(folder.path(), &["--max-fuel", "1000000000"]).0, 0);
}

#[test]
fn the_same_seed_asks_the_same_and_a_log_adds_its_requests() {
    let folder = misbehaving("");
    let one = fuzzed(folder.path(), &["--seed", "7"]).1;
    assert_eq!(one, fuzzed(folder.path(), &["--seed", "7"]).1);
    assert_ne!(
        one["fuel"],
        fuzzed(folder.path(), &["--seed", "8"]).1["fuel"]
    );
    // Only the log knows the path that traps.
    let log = "10.0.0.1 - - [24/Nov/2026:08:59:00 -0300] \"GET /from/the/log HTTP/1.1\" 200 5\nnonsense\n";
    std::fs::write(folder.path().join("access.log"), log).unwrap();
    let cases = std::fs::read_to_string(folder.path().join("cases.toml")).unwrap();
    let settings = r#"{"on_request": "trap", "paths": "/from/the/log"}"#;
    std::fs::write(folder.path().join("settings.json"), settings).unwrap();
    let cases = cases.replace("settings = {  }", "settings_file = \"settings.json\"");
    assert!(cases.contains("settings_file"), "{cases}");
    std::fs::write(folder.path().join("cases.toml"), cases).unwrap();
    let (code, report) = fuzzed(folder.path(), &["--log", "access.log"]);
    assert_eq!((code, defects(&report)[0][0]), (1, "trap"));
}

#[test]
fn fuzzing_needs_a_policy_that_can_be_loaded() {
    let folder = folder();
    for (arguments, words) in [
        (&["fuzz"][..], "cases.toml"),
        (&["fuzz", "builtin:nothing"], "nothing"),
        (
            &["fuzz", "builtin:json-rules", "--module", "x.wasm"],
            "--module is for a file of cases",
        ),
        (
            &["fuzz", "cases.toml", "--settings", "{}"],
            "a file of cases has its own",
        ),
    ] {
        let told = policy(folder.path(), arguments);
        assert_code(&told, 2);
        assert!(err(&told).contains(words), "{words} in\n{}", err(&told));
    }
}

/// A folder with the cases of the example of all languages, for its module in Rust.
fn shop_hours(kept: &str) -> tempfile::TempDir {
    let folder = folder();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop-hours/cases.toml");
    let cases = std::fs::read_to_string(example).unwrap();
    let module = toml_string(&guests::shop_hours_path().display().to_string());
    let cases = cases.replace("\"policy.wasm\"", &module);
    let (head, rest) = cases.split_once("[[case]]").unwrap();
    let kept: Vec<&str> = rest
        .split("[[case]]")
        .filter(|case| case.contains(kept))
        .collect();
    let text = format!("{head}[[case]]{}", kept.join("[[case]]"));
    std::fs::write(folder.path().join("cases.toml"), text).unwrap();
    folder
}

#[test]
fn coverage_shows_rules_that_no_case_reaches_and_cases_that_would() {
    // Without the cases about private pages.
    let folder = shop_hours("opening");
    let report: Value = serde_json::from_str(&out(&policy(
        folder.path(),
        &["test", "--coverage", "--json"],
    )))
    .unwrap();
    let rules = report["files"][0]["coverage"]["rules"].as_array().unwrap();
    let cases_of = |hook: &str, reason: &str| {
        let rule = rules
            .iter()
            .find(|rule| rule["hook"] == hook && rule["reason"] == reason);
        let rule = rule.unwrap_or_else(|| panic!("{hook} {reason} in {report}"));
        (
            rule["cases"].as_u64().unwrap(),
            rule["case"].as_str().map(str::to_owned),
        )
    };
    assert_eq!(cases_of("on-request", "private").0, 0);
    assert_eq!(cases_of("on-response", "open").0, 0);
    assert!(cases_of("on-response", "closed").0 > 0);
    // The cases that are offered reach the rules.
    let offered = [
        cases_of("on-request", "private").1.unwrap(),
        cases_of("on-response", "private").1.unwrap(),
        cases_of("on-response", "open").1.unwrap(),
    ];
    let file = folder.path().join("cases.toml");
    let text = std::fs::read_to_string(&file).unwrap() + "\n" + &offered.join("\n");
    std::fs::write(&file, text).unwrap();
    let told = policy(folder.path(), &["test", "--coverage"]);
    assert_code(&told, 0);
    for words in [
        "rule, by its reason",
        "the cases reach every rule that was found",
        "gave no reason",
    ] {
        assert!(out(&told).contains(words), "{words} in\n{}", out(&told));
    }
}

#[test]
fn the_cases_of_the_example_reach_every_rule() {
    let folder = shop_hours("");
    let told = policy(folder.path(), &["test", "--coverage"]);
    assert_code(&told, 0);
    assert!(
        out(&told).contains("the cases reach every rule"),
        "{}",
        out(&told)
    );
}

#[test]
fn watching_runs_the_cases_again_when_a_file_changes() {
    let folder = shop_hours("private");
    let mut watching = tero(&["policy", "test", "--watch"])
        .current_dir(folder.path())
        .env("XDG_CACHE_HOME", compiled_cache())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut next = |words: &str| loop {
        let line = lines.next().expect("it goes on").unwrap();
        if line.contains("passed,") {
            assert_eq!(line, words);
            break;
        }
    };
    next("2 passed, 0 failed");
    let file = folder.path().join("cases.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        good.replace("reason = \"private\"", "reason = \"secret\""),
    )
    .unwrap();
    next("0 passed, 2 failed");
    std::fs::write(&file, good).unwrap();
    next("2 passed, 0 failed");
    watching.kill().unwrap();
    watching.wait().unwrap();
}

#[test]
fn a_core_module_is_wrapped_and_passes_its_cases() {
    let folder = shop_hours("");
    let core = guests::shop_hours_path().display().to_string();
    let wrapped = policy(folder.path(), &["wrap", &core, "--output", "policy.wasm"]);
    assert_code(&wrapped, 0);
    assert!(
        out(&wrapped).starts_with("policy.wasm: tero:policy@"),
        "{}",
        out(&wrapped)
    );
    let tested = policy(folder.path(), &["test", "--module", "policy.wasm"]);
    assert_code(&tested, 0);
    let again = policy(
        folder.path(),
        &["wrap", "policy.wasm", "--output", "x.wasm"],
    );
    assert_code(&again, 1);
    assert!(
        err(&again).contains("a component already"),
        "{}",
        err(&again)
    );
}

#[test]
fn wrapping_says_what_a_module_lacks() {
    let folder = folder();
    std::fs::write(folder.path().join("empty.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let told = policy(folder.path(), &["wrap", "empty.wasm"]);
    assert_code(&told, 1);
    for words in [
        "empty.wasm: ",
        "export it as `memory`",
        "`on-request`",
        "`cabi_realloc`",
    ] {
        assert!(err(&told).contains(words), "{words} in\n{}", err(&told));
    }
    assert!(!folder.path().join("empty.policy.wasm").exists());
    assert_code(
        &policy(folder.path(), &["wrap", "empty.wasm", "--contract", "0.9"]),
        2,
    );
    assert_code(&policy(folder.path(), &["wrap", "missing.wasm"]), 2);
}
