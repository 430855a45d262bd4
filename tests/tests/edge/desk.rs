//! `tero policy …` for authors of policies: the real program, without a running edge.

use std::process::Output;

use serde_json::Value;
use tero_tests::{compiled_cache, folder, guests, toml_string};

use crate::program::{assert_code, err, out, tero};

/// Runs `tero policy …` with the folder of compiled modules that tests share.
fn policy(arguments: &[&str]) -> Output {
    let mut command = tero(&[&["policy"], arguments].concat());
    command
        .env("XDG_CACHE_HOME", compiled_cache())
        .output()
        .expect("the program can be run")
}

/// A file of cases for the misbehaving guest. The deadline is short only if the guest spins: on a
/// busy machine a good guest could miss it too.
fn misbehaving(settings: &str, cases: &str) -> (tempfile::TempDir, String) {
    let folder = folder();
    let module = toml_string(&guests::misbehaving_path().display().to_string());
    let path = folder.path().join("cases.toml");
    let deadline = if settings.contains("spin") {
        "100ms"
    } else {
        "10s"
    };
    let text = format!(
        "module = {module}\nsettings = {{ {settings} }}\nlimits = {{ deadline = \"{deadline}\", memory = \"8MiB\" }}\n{cases}"
    );
    std::fs::write(&path, text).unwrap();
    (folder, path.display().to_string())
}

const GOOD: &str = "[[case]]\nname = \"behaves\"\non_request = { variant = \"good\" }\non_response = { ttl = \"1min\", tags = [\"good\"] }\n";

#[test]
fn passing_cases_print_a_table_and_succeed() {
    let (folder, _) = misbehaving("", GOOD);
    let tested = policy(&["test", &folder.path().display().to_string()]);
    assert_code(&tested, 0);
    for part in [
        "cases.toml",
        "ok",
        "behaves",
        "on-request",
        "on-response",
        "fuel",
        "µs",
        "2 passed, 0 failed",
    ] {
        assert!(
            out(&tested).contains(part),
            "{part} is not in\n{}",
            out(&tested)
        );
    }
}

#[test]
fn a_failing_case_shows_expected_and_actual_values() {
    let (_folder, file) = misbehaving("", &GOOD.replace("1min", "2min"));
    let tested = policy(&["test", &file]);
    assert_code(&tested, 1);
    let shown = out(&tested);
    for part in [
        "FAILED",
        "cases.toml:4: behaves (on-response)",
        "ttl",
        "2min",
        "1min",
        "1 passed, 1 failed",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let json: Value = serde_json::from_str(&out(&policy(&["test", "--json", &file]))).unwrap();
    assert_eq!(json["passed"], false);
    let outcomes = json["files"][0]["outcomes"].as_array().unwrap();
    assert_eq!(outcomes[0]["problems"], serde_json::json!([]));
    assert_eq!(
        outcomes[1]["problems"],
        serde_json::json!([{ "field": "ttl", "expected": "2min", "got": "1min" }])
    );
    assert_eq!(
        (
            &outcomes[1]["line"],
            &outcomes[1]["hook"],
            &outcomes[1]["answer"]["ttl"]
        ),
        (&4.into(), &"on-response".into(), &"1min".into())
    );
    assert!(outcomes[0]["fuel"].as_u64().unwrap() > 100);
}

#[test]
fn every_kind_of_policy_failure_is_reported() {
    for (settings, kind) in [
        ("on_request = \"trap\"", "trap: "),
        (
            "on_request = \"spin\"",
            "deadline: it took longer than 100ms",
        ),
        (
            "on_request = \"allocate\"",
            "memory: it wanted more memory than 8MiB (`memory`)",
        ),
        (
            "on_request = \"nonsense-variant\"",
            "bad_answer: the variant \"undeclared\" is not in its manifest",
        ),
    ] {
        let (_folder, file) = misbehaving(settings, GOOD);
        let tested = policy(&["test", &file]);
        assert_code(&tested, 1);
        assert!(
            out(&tested).contains(kind) && out(&tested).contains("1 passed, 1 failed"),
            "{kind}\n{}",
            out(&tested)
        );
    }
}

#[test]
fn an_answer_that_depends_on_earlier_calls_fails() {
    let (_folder, file) = misbehaving("on_request = \"silent\", after = 1", GOOD);
    let tested = policy(&["test", &file]);
    assert_code(&tested, 1);
    let shown = out(&tested);
    assert!(
        shown.contains("variant of a used instance") && shown.contains("good, as of a fresh one"),
        "{shown}"
    );
}

#[test]
fn an_answer_beyond_the_fuel_limit_fails() {
    let (_folder, file) = misbehaving("", GOOD);
    assert_code(&policy(&["test", "--max-fuel", "1000000", &file]), 0);
    let tested = policy(&["test", "--max-fuel", "10", &file]);
    assert_code(&tested, 1);
    assert!(
        out(&tested).contains("at most 10") && out(&tested).contains("0 passed, 2 failed"),
        "{}",
        out(&tested)
    );
}

#[test]
fn cases_can_be_run_with_another_module() {
    let (_folder, file) = misbehaving("", GOOD);
    let other = guests::first_policy_path().display().to_string();
    let tested = policy(&["test", "--module", &other, &file]);
    assert_code(&tested, 1);
    assert!(
        err(&tested).contains("refuses its settings"),
        "{}",
        err(&tested)
    );
}

#[test]
fn wrong_usage_and_mistakes_have_different_exit_codes() {
    let empty = folder();
    let nothing = policy(&["test", &empty.path().display().to_string()]);
    assert_code(&nothing, 2);
    assert!(err(&nothing).contains("no cases.toml"), "{}", err(&nothing));
    assert_code(&policy(&["test", "/nowhere.toml"]), 1);
    let (_folder, file) = misbehaving("", &GOOD.replace("tags", "tag"));
    let mistaken = policy(&["test", &file]);
    assert_code(&mistaken, 1);
    assert!(
        err(&mistaken).contains("unknown key `tag`")
            && err(&mistaken).contains("did you mean `tags`?"),
        "{}",
        err(&mistaken)
    );
    let json: Value = serde_json::from_str(&out(&policy(&["test", "--json", &file]))).unwrap();
    assert_eq!(json["files"][0]["errors"][0]["key"], "case.on_response.tag");
}

#[test]
fn inspect_shows_a_module_and_its_manifest() {
    let module = guests::misbehaving_path().display().to_string();
    let looked = policy(&[
        "inspect",
        &module,
        "--settings",
        "{\"zone\": \"UTC\", \"patterns\": [\"/\", \"/a/*\"]}",
    ]);
    assert_code(&looked, 0);
    let shown = out(&looked);
    for part in [
        "a core module",
        "KiB",
        "digest",
        "tero:policy@0.2.0",
        "log: log",
        "on-request, on-response, plan-warm",
        "UTC",
        "good",
        "key-parts         part, other",
        "abilities         rewrite, answer, log-tag, admission, error-ttl, expiry",
        "path-patterns     /, /a/*",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let json: Value = serde_json::from_str(&out(&policy(&[
        "inspect",
        "--json",
        "builtin:device-variants",
        "--settings",
        "{\"variants\": [{\"name\": \"m\", \"devices\": [\"mobile\"]}]}",
    ])))
    .unwrap();
    assert_eq!(
        (&json["contract"], &json["manifest"]["variants"]),
        (&"tero:policy@0.2.0".into(), &serde_json::json!(["m"]))
    );
    assert_eq!(
        (&json["manifest"]["device"], &json["error"]),
        (&true.into(), &Value::Null)
    );
    let refused = policy(&[
        "inspect",
        &module,
        "--settings",
        "{\"configure\": \"error\"}",
    ]);
    assert_code(&refused, 1);
    assert!(
        out(&refused).contains("tero:policy@0.2.0")
            && err(&refused).contains("write something else"),
        "{}",
        err(&refused)
    );
    assert_code(&policy(&["inspect", &module, "--settings", "zone = 1"]), 2);
    assert_code(&policy(&["inspect", "/nowhere.wasm"]), 1);
}

#[test]
fn projects_are_created_in_every_language_and_missing_tools_are_named() {
    for (language, missing) in [
        (
            "rust",
            "policies in Rust are built with cargo, which is missing: install Rust with rustup",
        ),
        (
            "javascript",
            "policies in JavaScript are built with node, which is missing: install Node.js",
        ),
        (
            "python",
            "policies in Python are built with componentize-py, which is missing: run `python3 -m venv .venv",
        ),
        (
            "c",
            "policies in C are built with clang with wasm-ld, which is missing: install clang",
        ),
    ] {
        let folder = folder();
        let made = tero(&["policy", "new", "my-shop", "--language", language])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_code(&made, 0);
        assert!(
            out(&made).contains("cd my-shop") && out(&made).contains("tero policy build"),
            "{}",
            out(&made)
        );
        // A machine without any tools.
        let mut build = tero(&["policy", "build", "my-shop"]);
        let built = build
            .current_dir(folder.path())
            .env("PATH", "/nowhere")
            .env_remove("RUSTC")
            .env_remove("CARGO")
            .output()
            .unwrap();
        assert_code(&built, 1);
        assert!(err(&built).contains(missing), "{}", err(&built));
    }
    for wrong in [
        &["policy", "new", "My Shop", "--language", "c"][..],
        &["policy", "new", "x", "--language", "cobol"],
        &["policy", "new", "x", "--language", "c", "--sdk", "."],
    ] {
        assert_code(&crate::program::run(wrong), 2);
    }
}

#[test]
fn a_shipped_policy_with_many_patterns_depends_on_the_whole_path() {
    let patterns = |count: usize| -> Option<usize> {
        let rule =
            |number: usize| serde_json::json!({ "match": [format!("/{number}")], "ttl": 60 });
        let rules: Vec<Value> = (0..count).map(rule).collect();
        // A variant names a pattern of a rule again.
        let phones = serde_json::json!({ "devices": ["mobile"], "paths": ["/0"] });
        let settings =
            serde_json::json!({ "variants": { "m": phones }, "rules": rules }).to_string();
        let arguments = [
            "inspect",
            "--json",
            "builtin:json-rules",
            "--settings",
            &settings,
        ];
        let json: Value = serde_json::from_str(&out(&policy(&arguments))).unwrap();
        assert_eq!(json["error"], Value::Null);
        let told = &json["manifest"]["path-patterns"];
        Some(told.as_object()?["patterns"].as_array()?.len())
    };
    assert_eq!(patterns(256), Some(256));
    assert_eq!(patterns(257), None);
}
