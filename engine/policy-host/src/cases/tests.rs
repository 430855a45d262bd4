use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::case::CaseResponse;
use super::*;
use crate::host::Host;
use crate::module::compiler::Compiler;
use tero_config::{ConfigErrors, ModuleSource, PolicyHost};
use tero_semantics::timestamp::Timestamp;

/// A file for `device-variants` with one variant and these cases.
fn devices(cases: &str) -> String {
    format!(
        "module = \"builtin:device-variants\"\nsettings = {{ variants = [{{ name = \"m\", devices = [\"mobile\"] }}] }}\n{cases}"
    )
}

fn parse(text: &str) -> Result<Cases, ConfigErrors> {
    Cases::parse(text, "cases.toml", Path::new(""), None)
}

/// A new host. All hosts share the compiled modules.
fn host() -> Arc<Host> {
    static FOLDER: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().unwrap());
    let settings = PolicyHost {
        compiled_cache: Some(folder.path().join("tero")),
        ..PolicyHost::default()
    };
    Host::counting(&settings, &Compiler::InProcess).unwrap()
}

fn run(text: &str, max_fuel: Option<u64>) -> Result<CasesReport, ConfigErrors> {
    parse(text)?.run(&host(), max_fuel)
}

/// `field: expected, got` of the only question.
fn problems(text: &str) -> Vec<String> {
    let report = run(&devices(text), None).unwrap();
    let [outcome] = &*report.outcomes else {
        panic!("one question: {report:?}")
    };
    outcome
        .problems
        .iter()
        .map(|problem| format!("{}: {}, {}", problem.field, problem.expected, problem.got))
        .collect()
}

#[test]
fn built_in_policies_pass_their_cases() {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let host = host();
    for name in crate::builtin_names() {
        let cases = Cases::load(&policies.join(name).join("cases.toml"), None)
            .unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(cases.policy.module, ModuleSource::Builtin(name.to_owned()));
        let report = cases
            .run(&host, Some(100_000))
            .unwrap_or_else(|errors| panic!("{errors}"));
        let failed = report
            .outcomes
            .iter()
            .filter(|outcome| !outcome.problems.is_empty())
            .collect::<Vec<_>>();
        assert!(
            failed.is_empty() && report.outcomes.len() >= 2,
            "{name}: {failed:#?}"
        );
    }
}

#[test]
fn differences_from_the_expected_answer_are_reported_by_field() {
    assert_eq!(
        problems(
            "[[case]]\nname = \"x\"\ndevice = \"mobile\"\non_request = { variant = \"m\", reason = \"m: mobile\" }"
        ),
        [""; 0]
    );
    assert_eq!(
        problems(
            "[[case]]\nname = \"x\"\ndevice = \"tv\"\non_request = { variant = \"m\", lookup = \"pass\", query_sort = true }"
        ),
        [
            "lookup: pass, none",
            "variant: m, none",
            "query_sort: true, false"
        ]
    );
    assert_eq!(
        problems(
            "[[case]]\nname = \"x\"\ndevice = \"mobile\"\non_request = { variant = false, reason_contains = \"open\" }"
        ),
        ["variant: none, m", "reason: … open …, m: mobile"]
    );
    assert_eq!(
        problems("[[case]]\nname = \"x\"\non_response = { ttl = \"1min\" }"),
        ["hook: on-response, the manifest does not name it"]
    );
}

#[test]
fn planned_pages_are_compared_one_by_one_by_their_written_keys() {
    let pages = |expected: &str| {
        let text = format!(
            "module = \"builtin:popular-pages\"\n[[case]]\nname = \"x\"\nplan = \"p\"\n\
             popular = [{{ url = \"/a\", requests = 9 }}, {{ url = \"/b\", requests = 8 }}]\nplan_warm = [{expected}]"
        );
        let report = run(&text, None).unwrap();
        let shown = |problem: &Mismatch| {
            format!("{}: {}, {}", problem.field, problem.expected, problem.got)
        };
        report.outcomes[0]
            .problems
            .iter()
            .map(shown)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        pages("{ url = \"/a\" }, { url = \"/b\", variants = [\"desktop\"] }"),
        [""; 0]
    );
    assert_eq!(
        pages("{ url = \"/b\", priority = 3 }"),
        [
            "page 1: priority: 3, 255",
            "page 1: url: /b, /a",
            "page 2: no page, /b"
        ]
    );
    assert_eq!(
        pages("{ url = \"/a\" }, { url = \"/b\" }, { url = \"/c\" }"),
        ["page 3: /c, no page"]
    );
}

#[test]
fn fuel_is_the_same_each_time_and_can_be_limited() {
    let text = devices("[[case]]\nname = \"x\"\non_request = {}");
    let fuel = |max_fuel| {
        let outcome = run(&text, max_fuel).unwrap().outcomes.remove(0);
        (outcome.fuel, outcome.problems)
    };
    let (used, problems) = fuel(None);
    assert!(used > 100 && problems.is_empty(), "{used}");
    assert_eq!(fuel(Some(used)), (used, Vec::new()));
    let [problem] = <[Mismatch; 1]>::try_from(fuel(Some(used - 1)).1).unwrap();
    assert_eq!(
        (problem.field.as_str(), problem.got),
        ("fuel", used.to_string())
    );
}

/// `line key: problem; cure` of every mistake.
fn mistakes(text: &str) -> Vec<String> {
    let errors = run(text, None).expect_err("it has mistakes").errors;
    errors
        .iter()
        .map(|error| {
            format!(
                "{} {}: {}; {}",
                error.line, error.key, error.problem, error.cure
            )
        })
        .collect()
}

#[test]
fn every_mistake_is_reported_at_once_with_line_key_and_cure() {
    let told = mistakes(
        "module = \"builtin:device-variants\"\nzone = \"Buenos Aires\"\nlimits = { deadline = \"1h\" }\n\
         [[case]]\nname = \"x\"\nat = \"noon\"\nurl = \"palermo\"\nmethod = \"get\"\ndevice = \"phone\"\n\
         [case.headers]\n\"a b\" = \"x\"\nok = 1\n[case.on_response]\nttl = 60\nstoring = \"yes\"\nlookup = \"pass\"\n\
         [[case]]\n[case.response]\nstatus = 999\n",
    );
    for (line, parts) in [
        (
            "2 zone",
            [
                "`Buenos Aires` is not a zone",
                "America/Argentina/Buenos_Aires",
            ],
        ),
        ("3 limits.deadline", ["1h is too large", "10s"]),
        (
            "6 case.at",
            ["a local time was expected", "2026-11-24T08:59:00"],
        ),
        ("7 case.url", ["`palermo` is not a URL", "write a path"]),
        ("8 case.method", ["`get` is not a method", "\"GET\""]),
        ("9 case.device", ["`phone` is not known", "write one of"]),
        (
            "11 case.headers",
            ["`a b` is not a field name", "write a field name"],
        ),
        (
            "12 case.headers",
            [
                "the value of a field was expected, this is a whole number",
                "write a text",
            ],
        ),
        (
            "14 case.on_response.ttl",
            ["a text in quotes was expected", "write"],
        ),
        (
            "15 case.on_response.storing",
            ["`yes` is not known", "by-headers"],
        ),
        (
            "16 case.on_response.lookup",
            ["unknown key `lookup`", "storing"],
        ),
        ("17 case.name", ["`name` is missing", "write"]),
        ("17 case.on_request", ["expects nothing", "plan_warm"]),
        ("19 case.response.status", ["999 is too large", "599"]),
    ] {
        let found = told.iter().find(|mistake| {
            mistake.starts_with(line) && parts.iter().all(|part| mistake.contains(part))
        });
        assert!(found.is_some(), "{line} {parts:?} is not in {told:#?}");
    }
    assert_eq!(told.len(), 14, "{told:#?}");
    assert_eq!(mistakes("").len(), 2, "module and case are missing");
    assert_eq!(mistakes("module = ").len(), 1);
}

#[test]
fn an_unusable_policy_is_reported_at_the_key_that_names_it() {
    let case = "[[case]]\nname = \"x\"\non_request = {}\n";
    let told = mistakes(&format!("module = \"builtin:no-such\"\n{case}"));
    assert!(
        told.len() == 1 && told[0].starts_with("1 module: ") && told[0].contains("no-such"),
        "{told:?}"
    );
    let told = mistakes(&format!(
        "module = \"builtin:popular-pages\"\nsettings = {{ top = 0 }}\n{case}"
    ));
    assert!(
        told.len() == 1 && told[0].starts_with("2 settings: ") && told[0].contains("`top` is 0"),
        "{told:?}"
    );
}

#[test]
fn a_time_without_offset_is_in_the_zone_of_the_file_or_of_the_policy() {
    let ttl = |zone: &str, at: &str| {
        let text = format!(
            "module = \"builtin:business-hours\"\n{zone}\n\
             settings = {{ zone = \"America/New_York\", open = \"09:00\", close = \"18:00\", rules = [{{ paths = [\"*\"], inside = \"1s\", outside = \"until-open\" }}] }}\n\
             [[case]]\nname = \"x\"\nat = {at}\non_response = {{}}"
        );
        run(&text, None).unwrap().outcomes.remove(0).answer["ttl"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(ttl("", "\"2026-01-05T08:00:00\""), "1h");
    assert_eq!(ttl("", "2026-01-05 08:00:00"), "1h");
    assert_eq!(ttl("", "\"2026-01-05T08:00\""), "1h");
    assert_eq!(ttl("zone = \"UTC\"", "\"2026-01-05T13:00:00\""), "1h");
    assert_eq!(ttl("zone = \"UTC\"", "\"2026-01-05T08:00:00-05:00\""), "1h");
    // At 02:00 the clocks go to 03:00, so 02:30 means 03:00.
    assert_eq!(ttl("", "\"2026-03-08T02:30:00\""), "6h");
}

#[test]
fn a_response_is_told_as_the_edge_tells_it() {
    let fields = http::HeaderMap::from_iter([
        (
            http::header::CONTENT_LENGTH,
            http::HeaderValue::from_static("12"),
        ),
        (
            http::header::CACHE_CONTROL,
            http::HeaderValue::from_static("max-age=60, s-maxage=90"),
        ),
    ]);
    let response = CaseResponse {
        status: StatusCode::OK,
        headers: fields,
    };
    let response = response.facts(b"", Timestamp::from_unix_secs(1_700_000_000));
    assert_eq!(
        (response.length, response.header_ttl),
        (Some(12), Some(Duration::from_secs(90)))
    );
}

#[test]
fn a_message_with_too_many_fields_is_a_mistake() {
    let with = |count: usize| {
        let fields: Vec<String> = (0..count)
            .map(|number| format!("x-{number} = \"\""))
            .collect();
        let case = format!(
            "[[case]]\nname = \"x\"\nheaders = {{ {} }}\ncookies = {{ a = \"b\" }}\non_request = {{}}\n",
            fields.join(", ")
        );
        parse(&devices(&case))
    };
    assert!(with(1_000).is_ok());
    assert!(
        with(40_000)
            .unwrap_err()
            .to_string()
            .contains("the message has too many fields")
    );
}
