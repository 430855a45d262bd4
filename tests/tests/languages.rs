//! Projects of policies in every language, with the real tools: they build, pass their cases, and
//! decide alike.
//!
//! Rust is always tested. The others need `node`, `clang`, `go` or `zig` in the path, and the packages of
//! the examples: `npm install` in `examples/shop-hours/javascript` and in `…/typescript` and `…/assemblyscript`, a `.venv` with its
//! `requirements.txt` in `examples/shop-hours/python`. A language without its tools is skipped with
//! a message, unless `TERO_LANGUAGES` (`javascript,typescript,python,c,go,zig,assemblyscript`) names it: then the test fails.
//! So is mypy, if it isn't in that `.venv` (`TERO_LANGUAGES=mypy`).

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
    runs_with(program, "--version")
}

fn runs_with(program: impl AsRef<std::ffi::OsStr>, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
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
        "typescript" if !runs("node") => Some("node"),
        "typescript" if !example(language).join("node_modules/typescript").is_dir() => {
            Some("`npm install` in examples/shop-hours/typescript")
        }
        "python" if !runs(example(language).join(".venv/bin/componentize-py")) => Some(
            "`python3 -m venv .venv && .venv/bin/pip install -r requirements.txt` in examples/shop-hours/python",
        ),
        "mypy" if !runs(example("python").join(".venv/bin/mypy")) => {
            Some("`.venv/bin/pip install mypy` in examples/shop-hours/python")
        }
        "wheel" if !runs_with(example("python").join(".venv/bin/wheel"), "version") => {
            Some("`.venv/bin/pip install wheel` in examples/shop-hours/python")
        }
        "c" if !runs("clang") || !runs("wasm-ld") => Some("clang and lld"),
        // Neither knows `--version`.
        "go" if !runs_with("go", "version") => Some("go"),
        "zig" if !runs_with("zig", "version") => Some("zig"),
        "assemblyscript" if !runs("node") => Some("node"),
        "assemblyscript"
            if !example(language)
                .join("node_modules/assemblyscript")
                .is_dir() =>
        {
            Some("`npm install` in examples/shop-hours/assemblyscript")
        }
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

/// The folder of what projects in Rust build, beside the other targets.
fn projects_target() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_tero-under-test"));
    let target = program.parent().and_then(Path::parent);
    target
        .expect("cargo builds below a folder")
        .join("projects")
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
        let target = projects_target();
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
        "typescript" => check("null", &["trap", "TypeError", "policy.js:"]),
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
    for language in [
        "rust",
        "javascript",
        "typescript",
        "python",
        "c",
        "go",
        "zig",
        "assemblyscript",
    ] {
        if is_tested(language) {
            let module = new_project(path, language);
            check_refusals(path, &module, language);
            for (found, expected) in answers(path, &module).iter().zip(&expected) {
                assert_eq!(found, expected, "{language}");
            }
        }
    }
}

#[test]
fn every_language_reads_every_input_and_gives_every_decision() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/everything");
    for (language, source, place) in [
        ("javascript", "policy.js", "policy.js"),
        ("python", "app.py", "app.py"),
        ("go", "policy.go", "policy.go"),
        ("zig", "policy.zig", "policy.zig"),
        ("assemblyscript", "policy.ts", "assembly/policy.ts"),
    ] {
        if !is_tested(language) {
            continue;
        }
        let folder = folder();
        let new = ["policy", "new", language, "--language", language];
        done(tero(folder.path(), &new));
        let project = folder.path().join(language);
        for tools in ["node_modules", ".venv"] {
            if let Ok(installed) = example(language).join(tools).canonicalize() {
                std::os::unix::fs::symlink(installed, project.join(tools)).unwrap();
            }
        }
        std::fs::copy(fixtures.join(source), project.join(place)).unwrap();
        std::fs::copy(fixtures.join("cases.toml"), project.join("cases.toml")).unwrap();
        done(tero(&project, &["policy", "build"]));
        done(tero(&project, &["policy", "test"]));
    }
}

/// Answers of another shape than the contract's, by path.
const WRONG_JAVASCRIPT: &str = r#"
const requests = {
  "/good": { variantName: "a", lookup: undefined },
  "/number": { variantName: 5 },
  "/misspelt": { variantname: "a" },
  "/null": { variantName: null },
  "/nothing": undefined,
  "/word": { lookup: "skip" },
  "/deep": { query: { only: ["a", 1] } },
  "/edit": { responseEdits: { "x-a": 5 } },
  "/answer": { answer: { body: "no status" } },
};
const responses = {
  "/good": { storing: "always", tags: [], ttlSecs: 1 },
  "/fraction": { storing: "always", ttlSecs: 1.5 },
  "/negative": { ttlSecs: -1 },
  "/year": { ttlSecs: 31536001 },
  "/tags": { tags: "all" },
};
export const configure = () => ({ variants: ["a"] });
export const onRequest = (request) => requests[request.path];
export const onResponse = (request) => responses[request.path];
"#;

const WRONG_PYTHON: &str = r#"# mypy: ignore-errors
from tero_policy import *


def misspelt():
    decision = RequestDecision(variant_name="a")
    decision.variantname = "b"
    return decision


def configure(settings):
    return Manifest(variants=["a"])


def on_request(request, now):
    return {
        "/good": lambda: RequestDecision(variant_name="a"),
        "/number": lambda: RequestDecision(variant_name=5),
        "/misspelt": misspelt,
        "/nothing": lambda: None,
        "/word": lambda: RequestDecision(lookup="skip"),
        "/deep": lambda: RequestDecision(query=QueryRule(only=["a", 1])),
        "/edit": lambda: RequestDecision(response_edits={"x-a": 5}),
        "/answer": lambda: RequestDecision(answer=Answer("301")),
    }[request.path]()


def on_response(request, response, now):
    return {
        "/good": lambda: ResponseDecision(ttl_secs=1),
        "/fraction": lambda: ResponseDecision(ttl_secs=1.5),
        "/negative": lambda: ResponseDecision(ttl_secs=-1),
        "/tags": lambda: ResponseDecision(tags=None),
    }[request.path]()
"#;

/// Checks that the policy's wrong answers are refused with the field and what it wants.
fn check_wrong_answers(project: &Path, refusals: &[(&str, &str, &str)]) {
    let mut cases = "module = \"policy.wasm\"\nlimits = { deadline = \"10s\" }\n".to_owned();
    let good = [("/good", "on_request", ""), ("/good", "on_response", "")];
    for (path, hook, _) in good.iter().chain(refusals) {
        let _ = write!(
            cases,
            "[[case]]\nname = \"{hook} {path}\"\nurl = \"{path}\"\n{hook} = {{}}\n"
        );
    }
    std::fs::write(project.join("wrong.toml"), cases).unwrap();
    let tested = tero(project, &["policy", "test", "--json", "wrong.toml"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&tested.stdout).unwrap();
    let outcomes = report["files"][0]["outcomes"].as_array().unwrap();
    let failure = |case: String| {
        let outcome = outcomes.iter().find(|outcome| outcome["case"] == case);
        outcome.unwrap_or_else(|| panic!("{case} is not in {report}"))["problems"].to_string()
    };
    for (path, hook, _) in good {
        assert_eq!(failure(format!("{hook} {path}")), "[]");
    }
    for (path, hook, words) in refusals {
        // As in JSON.
        let words = words.replace('"', "\\\"");
        let told = failure(format!("{hook} {path}")).replace("\\\\\"", "\\\"");
        assert!(told.contains(&words), "{hook} {path}: {words} in\n{told}");
    }
}

#[test]
fn answers_of_another_shape_are_refused_with_the_field_and_what_it_wants() {
    let folder = folder();
    let project = |language: &str, file: &str, content: &str| {
        done(tero(
            folder.path(),
            &["policy", "new", language, "--language", language],
        ));
        let project = folder.path().join(language);
        for tools in ["node_modules", ".venv"] {
            let installed = example(language).join(tools);
            if installed.is_dir() {
                let installed = installed.canonicalize().unwrap();
                std::os::unix::fs::symlink(installed, project.join(tools)).unwrap();
            }
        }
        std::fs::write(project.join(file), content).unwrap();
        project
    };
    if is_tested("javascript") {
        let wrong = format!("// @ts-nocheck\n{WRONG_JAVASCRIPT}");
        let project = project("javascript", "policy.js", &wrong);
        done(tero(&project, &["policy", "build"]));
        check_wrong_answers(
            &project,
            &[
                (
                    "/number",
                    "on_request",
                    "`variantName` in the answer of onRequest is 5: it wants a text of at most 32 bytes, or to be left out",
                ),
                (
                    "/misspelt",
                    "on_request",
                    "the answer of onRequest has the field `variantname`, which is not one of lookup, variantName, query",
                ),
                (
                    "/null",
                    "on_request",
                    "`variantName` in the answer of onRequest is null: it wants a text",
                ),
                (
                    "/nothing",
                    "on_request",
                    "the answer of onRequest is undefined: it wants an object with lookup, variantName, query",
                ),
                (
                    "/word",
                    "on_request",
                    "`lookup` in the answer of onRequest is \"skip\": it wants one of \"cache\", \"pass\", or to be left out",
                ),
                (
                    "/deep",
                    "on_request",
                    "`query.only[1]` in the answer of onRequest is 1: it wants a text",
                ),
                (
                    "/edit",
                    "on_request",
                    "`responseEdits.x-a` in the answer of onRequest is 5: it wants a text",
                ),
                (
                    "/answer",
                    "on_request",
                    "`answer.status` in the answer of onRequest is undefined: it wants a whole number from 200 to 599",
                ),
                (
                    "/fraction",
                    "on_response",
                    "`ttlSecs` in the answer of onResponse is 1.5: it wants a whole number from 0 to 31536000, or to be left out",
                ),
                (
                    "/negative",
                    "on_response",
                    "`ttlSecs` in the answer of onResponse is -1: it wants a whole number",
                ),
                (
                    "/year",
                    "on_response",
                    "`ttlSecs` in the answer of onResponse is 31536001: it wants a whole number from 0 to 31536000",
                ),
                (
                    "/tags",
                    "on_response",
                    "`tags` in the answer of onResponse is \"all\": it wants a list of at most 64",
                ),
            ],
        );
    }
    if is_tested("python") {
        let project = project("python", "app.py", WRONG_PYTHON);
        done(tero(&project, &["policy", "build"]));
        check_wrong_answers(
            &project,
            &[
                (
                    "/number",
                    "on_request",
                    "`variant_name` in the answer of on_request is 5: it wants a text of at most 32 bytes or None",
                ),
                (
                    "/misspelt",
                    "on_request",
                    "the answer of on_request has the field `variantname`, which is not one of lookup, variant_name",
                ),
                (
                    "/nothing",
                    "on_request",
                    "the answer of on_request is None: it wants a RequestDecision",
                ),
                (
                    "/word",
                    "on_request",
                    "`lookup` in the answer of on_request is 'skip': it wants one of \"cache\", \"pass\" or None",
                ),
                (
                    "/deep",
                    "on_request",
                    "`query.only[1]` in the answer of on_request is 1: it wants a text",
                ),
                (
                    "/edit",
                    "on_request",
                    "`response_edits.x-a` in the answer of on_request is 5: it wants a text",
                ),
                (
                    "/answer",
                    "on_request",
                    "`answer.status` in the answer of on_request is '301': it wants a whole number",
                ),
                (
                    "/fraction",
                    "on_response",
                    "`ttl_secs` in the answer of on_response is 1.5: it wants a whole number from 0 to 31536000 or None",
                ),
                (
                    "/negative",
                    "on_response",
                    "`ttl_secs` in the answer of on_response is -1: it wants a whole number",
                ),
                (
                    "/tags",
                    "on_response",
                    "`tags` in the answer of on_response is None: it wants a list",
                ),
            ],
        );
    }
    if is_tested("typescript") {
        // With its compiler there, a wrong shape does not even build, in JavaScript neither.
        for (language, file) in [("typescript", "policy.ts"), ("javascript", "policy.js")] {
            let folder = folder.path().join("checked");
            std::fs::create_dir_all(&folder).unwrap();
            done(tero(
                &folder,
                &["policy", "new", language, "--language", language],
            ));
            let project = folder.join(language);
            let modules = example("typescript")
                .join("node_modules")
                .canonicalize()
                .unwrap();
            std::os::unix::fs::symlink(modules, project.join("node_modules")).unwrap();
            let good = std::fs::read_to_string(project.join(file)).unwrap();
            let wrong = good.replace("{ variantName: \"mobile\" }", "{ variantName: 5 }");
            assert_ne!(good, wrong);
            std::fs::write(project.join(file), wrong).unwrap();
            let built = tero(&project, &["policy", "build"]).output().unwrap();
            let told =
                String::from_utf8_lossy(&built.stderr) + String::from_utf8_lossy(&built.stdout);
            assert!(
                !built.status.success() && told.contains(file) && told.contains("tsc failed"),
                "{told}"
            );
        }
    }
}

#[test]
fn the_type_checker_of_a_python_project_stops_a_build() {
    if !is_tested("python") || !is_tested("mypy") {
        return;
    }
    let folder = folder();
    // The template is without fault: `new_project` builds it.
    let module = new_project(folder.path(), "python");
    let project = module.parent().unwrap();
    let file = project.join("app.py");
    let good = std::fs::read_to_string(&file).unwrap();
    for (right, wrong, told) in [
        (
            "lookup=\"pass\"",
            "lookup=\"skip\"",
            "incompatible type \"Literal['skip']\"",
        ),
        ("device=True,", "devices=True,", "\"devices\""),
    ] {
        let text = good.replacen(right, wrong, 1);
        assert_ne!(text, good, "{right}");
        std::fs::write(&file, text).unwrap();
        std::fs::remove_file(&module).unwrap_or_default();
        let built = tero(project, &["policy", "build"]).output().unwrap();
        let said = String::from_utf8_lossy(&built.stderr) + String::from_utf8_lossy(&built.stdout);
        assert!(!built.status.success(), "{said}");
        assert!(said.contains("app.py:") && said.contains(told), "{said}");
        assert!(said.contains("mypy failed"), "{said}");
        assert!(!module.exists(), "{said}");
    }
}

/// The names in a package, as its tool lists them.
fn names_in(listing: &str, names: &[&str]) {
    for name in names {
        assert!(listing.contains(name), "{name} is not in\n{listing}");
    }
}

#[test]
fn the_crate_is_packed_with_the_contract() {
    let mut list = Command::new("cargo");
    list.args(["package", "--list", "--allow-dirty", "--offline"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/rust"));
    let names = ["wit/policy.wit", "src/lib.rs", "README.md", "LICENSE-MIT"];
    names_in(&done(list), &names);
}

#[test]
fn the_packages_for_npm_and_pypi_can_be_packed() {
    let sdk = |language: &str| {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../sdk")
            .join(language)
            .canonicalize()
            .unwrap()
    };
    let folder = folder();
    if is_tested("javascript") {
        let mut pack = Command::new("npm");
        pack.args(["pack", "--dry-run", "--json", "--ignore-scripts"])
            .current_dir(sdk("javascript"));
        let packed: Value = serde_json::from_str(&done(pack)).unwrap();
        assert_eq!(packed[0]["name"], "tero-policy");
        let names = [
            "index.js",
            "index.d.ts",
            "adapter.js",
            "answers.js",
            "testing.js",
            "README.md",
        ];
        names_in(&packed[0]["files"].to_string(), &names);
        // Its tests with Node.js, and its types, as an author has them.
        std::fs::create_dir_all(folder.path().join("node_modules")).unwrap();
        let package = folder.path().join("node_modules/tero-policy");
        std::os::unix::fs::symlink(sdk("javascript"), package).unwrap();
        let test = r#"
import { tables, redirect } from "tero-policy";
import { request, response, moment, setTable } from "tero-policy/testing";
setTable("redirects", { "/old": "/new", "/old/deep": "/" });
const asked = request({ path: "/old", headers: { "Accept-Language": "es" }, cookies: { a: "1" } });
const { answer } = { answer: redirect(301, tables.get("redirects", asked.path)) };
const row = tables.longestPrefix("redirects", "/old/deep/er");
console.log(answer.fields.location, asked.header("accept-language"), asked.cookie("a"), row.key,
  moment({ hour: 9, minute: 30 }).mins, response({ status: 404 }).status);
"#;
        std::fs::write(folder.path().join("test.mjs"), test).unwrap();
        let mut node = Command::new("node");
        node.arg("test.mjs").current_dir(folder.path());
        assert_eq!(done(node).trim(), "/new es 1 /old/deep 570 404");
    }
    if is_tested("python") && is_tested("wheel") {
        let python = example("python").join(".venv/bin/python");
        let mut copy = Command::new("cp");
        let copied = folder.path().join("sdk");
        copy.arg("-r").arg(sdk("python")).arg(&copied);
        done(copy);
        let mut wheel = Command::new(&python);
        wheel.args([
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
        ]);
        wheel.arg(folder.path()).arg(&copied);
        done(wheel);
        let found = std::fs::read_dir(folder.path()).unwrap().flatten();
        let wheel = found
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|it| it == "whl"))
            .expect("a wheel");
        let mut list = Command::new(&python);
        list.args(["-m", "zipfile", "--list"]).arg(wheel);
        names_in(
            &done(list),
            &[
                "tero_policy/__init__.py",
                "tero_policy/py.typed",
                "tero_policy/testing.py",
            ],
        );
    }
}

fn example_policy(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/policies");
    folder.join(name).canonicalize().unwrap()
}

/// Runs the cases of an example policy with a module, and shows that none of its rules goes
/// without.
fn check_example(name: &str, module: &Path) {
    let (cases, module) = (example_policy(name), module.display().to_string());
    let arguments = ["policy", "test", "--coverage", "--module", &module];
    let told = done(tero(&cases, &arguments));
    assert!(!told.contains("reached by no case"), "{name}\n{told}");
    let arguments = ["policy", "fuzz", "--questions", "2000", "--module", &module];
    done(tero(&cases, &arguments));
}

#[test]
fn example_policies_in_rust_pass_their_cases_and_are_fuzzed() {
    for (name, module) in guests::examples() {
        check_example(name, module);
    }
}

#[test]
fn example_policies_in_typescript_pass_the_same_cases() {
    if !is_tested("typescript") {
        return;
    }
    for (name, _) in guests::examples() {
        let folder = folder();
        for file in ["policy.ts", "package.json", "tsconfig.json"] {
            let from = example_policy(name).join("typescript").join(file);
            std::fs::copy(from, folder.path().join(file)).unwrap();
        }
        let modules = example("typescript").join("node_modules");
        let modules = modules.canonicalize().unwrap();
        std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
        done(tero(folder.path(), &["policy", "build"]));
        let module = folder.path().join("policy.wasm").display().to_string();
        let arguments = ["policy", "test", "--module", &module];
        done(tero(&example_policy(name), &arguments));
    }
}

/// The files in the text of the tutorial, by name.
fn tutorial() -> Vec<(String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policies/first-policy.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("\n```").skip(1).step_by(2).filter_map(|block| {
        let (fence, text) = block.split_once('\n')?;
        let (_, file) = fence.split_once(' ')?;
        Some((file.to_owned(), format!("{text}\n")))
    });
    blocks.collect()
}

#[test]
fn the_tutorial_works_by_its_text() {
    let files = tutorial();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["src/lib.rs", "policy.ts", "cases.toml", "tero.toml"]
    );
    for (language, source) in [("rust", "src/lib.rs"), ("typescript", "policy.ts")] {
        if !is_tested(language) {
            continue;
        }
        let folder = folder();
        done(tero(
            folder.path(),
            &["policy", "new", "ab-redirect", "--language", language],
        ));
        let project = folder.path().join("ab-redirect");
        for (name, text) in &files {
            if [source, "cases.toml", "tero.toml"].contains(&name.as_str()) {
                std::fs::write(project.join(name), text).unwrap();
            }
        }
        // A busy machine may take longer than the usual 30 s.
        let config = project.join("tero.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        let patience = "\n[policies]\ncompile_timeout = \"10min\"\n";
        std::fs::write(&config, text + patience).unwrap();
        let mut build = tero(&project, &["policy", "build"]);
        if language == "rust" {
            std::fs::copy(example("../../Cargo.lock"), project.join("Cargo.lock")).unwrap();
            build.env("CARGO_TARGET_DIR", projects_target());
        } else {
            let modules = example(language)
                .join("node_modules")
                .canonicalize()
                .unwrap();
            std::os::unix::fs::symlink(modules, project.join("node_modules")).unwrap();
        }
        done(build);
        let told = done(tero(&project, &["policy", "test", "--coverage"]));
        assert!(told.contains("3 passed, 0 failed"), "{told}");
        assert!(told.contains("the cases reach every rule"), "{told}");
        done(tero(&project, &["policy", "fuzz", "--questions", "1000"]));
        done(tero(&project, &["check", "tero.toml"]));
    }
}
