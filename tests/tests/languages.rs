//! Projects of policies in every language, with the real tools: they build, pass their cases, and
//! decide alike.
//!
//! Rust is always tested. The others need `node` or `clang` in the path, and the packages of the
//! examples: `npm install` in `examples/shop-hours/javascript`, a `.venv` with its
//! `requirements.txt` in `examples/shop-hours/python`. A language without its tools is skipped with
//! a message, unless `TERO_LANGUAGES` (`javascript,python,c`) names it: then the test fails.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tero_tests::{compiled_cache, folder, guests};

fn tero(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tero-under-test"));
    command
        .args(arguments)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .env("XDG_CACHE_HOME", compiled_cache())
        .stdin(Stdio::null());
    command
}

/// Runs a command to its end, and returns its output.
#[track_caller]
fn done(mut command: Command) -> String {
    let output = command.output().expect("the command can be run");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    out.into_owned()
}

fn example(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/shop-hours")
        .join(language)
}

fn runs(program: impl AsRef<std::ffi::OsStr>) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What is missing to build policies in this language.
fn missing(language: &str) -> Option<&'static str> {
    match language {
        "javascript" if !runs("node") => Some("node"),
        "javascript"
            if !example(language)
                .join("node_modules/@bytecodealliance/componentize-js")
                .is_dir() =>
        {
            Some("`npm install` in examples/shop-hours/javascript")
        }
        "python" if !runs(example(language).join(".venv/bin/componentize-py")) => Some(
            "`python3 -m venv .venv && .venv/bin/pip install -r requirements.txt` in examples/shop-hours/python",
        ),
        "c" if !runs("clang") || !runs("wasm-ld") => Some("clang and lld"),
        _ => None,
    }
}

/// Whether this language is tested.
fn is_tested(language: &str) -> bool {
    let Some(missing) = missing(language) else {
        return true;
    };
    let demanded = std::env::var("TERO_LANGUAGES").unwrap_or_default();
    assert!(
        !demanded.split(',').any(|name| name == language),
        "{language} must be tested, but {missing} is missing"
    );
    eprintln!("NOT TESTED: policies in {language}, since {missing} is missing");
    false
}

/// Creates and builds a project in this language, and returns the path of its module.
fn new_project(folder: &Path, language: &str) -> PathBuf {
    done(tero(
        folder,
        &["policy", "new", language, "--language", language],
    ));
    let project = folder.join(language);
    for tools in ["node_modules", ".venv"] {
        if example(language).join(tools).is_dir() {
            std::os::unix::fs::symlink(
                example(language).join(tools).canonicalize().unwrap(),
                project.join(tools),
            )
            .unwrap();
        }
    }
    let mut build = tero(folder, &["policy", "build", language]);
    if language == "rust" {
        // The project depends on crates of the workspace; they are built once, in a folder beside
        // the other targets.
        std::fs::copy(example("../../Cargo.lock"), project.join("Cargo.lock")).unwrap();
        let target = Path::new(env!("CARGO_BIN_EXE_tero-under-test"))
            .parent()
            .unwrap()
            .parent()
            .unwrap()
            .join("projects");
        build.env("CARGO_TARGET_DIR", &target);
        let mut test = Command::new("cargo");
        test.arg("test")
            .current_dir(&project)
            .env("CARGO_TARGET_DIR", &target);
        assert!(done(build).contains("policy.wasm"));
        done(test);
    } else {
        assert!(done(build).contains("policy.wasm"));
    }
    project.join("policy.wasm")
}

/// Cases on both sides of every boundary, without expectations.
fn sweep(zone: &str, days: &[&str]) -> String {
    let mut cases = format!(
        "module = \"policy.wasm\"\ncalendar = \"builtin:argentina\"\n\
         settings = {{ zone = \"{zone}\", open = \"09:00\", close = \"18:00\", private = \"/checkout/\" }}\n"
    );
    for day in days {
        for time in [
            "00:00:00", "01:59:59", "03:00:00", "08:30:01", "08:59:59", "09:00:00", "12:59:59",
            "13:00:00", "17:58:00", "18:00:00", "23:59:59",
        ] {
            for (path, device, status) in [
                ("/", "mobile", 200),
                ("/checkout/1", "desktop", 200),
                ("/checkout", "tablet", 404),
            ] {
                let _ = write!(
                    cases,
                    "[[case]]\nname = \"{day} {time} {path}\"\nat = \"{day}T{time}\"\nurl = \"{path}\"\ndevice = \"{device}\"\n\
                     response = {{ status = {status} }}\non_request = {{}}\non_response = {{}}\n"
                );
            }
        }
    }
    cases
}

/// The answers of the module to the cases of the example, all of which it must pass, and to the
/// sweeps.
fn answers(folder: &Path, module: &Path) -> Vec<(String, Value)> {
    let cases = example("cases.toml").display().to_string();
    let json = done(tero(
        folder,
        &[
            "policy",
            "test",
            "--json",
            "--module",
            &module.display().to_string(),
            &cases,
            "art.toml",
            "new-york.toml",
        ],
    ));
    let report: Value = serde_json::from_str(&json).unwrap();
    let outcomes = report["files"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|file| file["outcomes"].as_array().unwrap());
    outcomes
        .map(|outcome| {
            (
                format!("{} {}", outcome["case"], outcome["hook"]),
                outcome["answer"].clone(),
            )
        })
        .collect()
}

/// Checks that wrong settings are refused with a message that names the key, and that exceptions of
/// the policy are reported.
fn check_refusals(folder: &Path, module: &Path, language: &str) {
    let check = |settings: &str, words: &[&str]| {
        let written = folder.join("settings.json");
        std::fs::write(&written, settings).unwrap();
        let arguments = [
            "policy",
            "inspect",
            &module.display().to_string(),
            "--settings",
            &written.display().to_string(),
        ];
        let looked = tero(folder, &arguments).output().unwrap();
        let err = String::from_utf8_lossy(&looked.stderr);
        assert!(
            looked.status.code() == Some(1) && words.iter().all(|word| err.contains(word)),
            "{language}: {settings}: {words:?} in\n{err}"
        );
    };
    let rest = r#""zone": "UTC", "private": "/""#;
    check(
        &format!(r#"{{{rest}, "open": "18:00", "close": "09:00"}}"#),
        &["refuses its settings", "`close` is not after `open`"],
    );
    check(
        &format!(r#"{{{rest}, "open": "9", "close": "18:00"}}"#),
        &["refuses its settings", "`open`", "time of day"],
    );
    check(
        &format!(r#"{{{rest}, "open": "09:00", "close": "18:00", "shut": "x"}}"#),
        &["refuses its settings", "unknown"],
    );
    check(
        &format!(r#"{{{rest}, "open": "09:00"}}"#),
        &["refuses its settings", "`close`"],
    );
    check(
        &format!(r#"{{{rest}, "open": "09:00", "close": "18:00"}}"#)
            .replace("UTC", "America/Macondo"),
        &["America/Macondo"],
    );
    check(
        r#"{ "open": "09:00", "close": "18:00", "private": "/" }"#,
        &["refuses its settings", "`zone`"],
    );
    match language {
        "javascript" => check("null", &["trap", "TypeError", "at configure@policy.js:"]),
        "python" => check("null", &["trap", "AttributeError", "at app.py:"]),
        _ => check("null", &["refuses its settings"]),
    }
}

#[test]
fn projects_in_all_languages_build_pass_their_cases_and_decide_alike() {
    let folder = folder();
    let path = folder.path();
    // An ordinary day, a half-day and Christmas; and the nights of clock changes in New York.
    std::fs::write(
        path.join("art.toml"),
        sweep(
            "America/Argentina/Buenos_Aires",
            &["2026-11-24", "2026-12-24", "2026-12-25"],
        ),
    )
    .unwrap();
    std::fs::write(
        path.join("new-york.toml"),
        sweep("America/New_York", &["2026-03-08", "2026-11-01"]),
    )
    .unwrap();
    let expected = answers(path, guests::shop_hours_path());
    assert!(
        expected.len() > 300 && expected.iter().any(|(_, answer)| answer["ttl"] == "30min"),
        "{}",
        expected.len()
    );
    for language in ["rust", "javascript", "python", "c"] {
        if is_tested(language) {
            let module = new_project(path, language);
            check_refusals(path, &module, language);
            for (found, expected) in answers(path, &module).iter().zip(&expected) {
                assert_eq!(found, expected, "{language}");
            }
        }
    }
}
