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

/// A file for a policy that looks its redirects up in a table, with these lines.
fn with_table(lines: &str) -> Result<Cases, ConfigErrors> {
    parse(&devices(&format!(
        "{lines}\n[[case]]\nname = \"x\"\non_request = {{ variant = false }}"
    )))
}

#[test]
fn tables_are_given_by_rows_or_by_file() {
    let given = with_table("[[table]]\nname = \"prices\"\nrows = { apple = \"3\" }").unwrap();
    let table = given.tables.table("prices").unwrap();
    assert_eq!(table.get("apple").as_deref(), Some("3"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("nets.csv"), "203.0.113.0/24,cordoba\n").unwrap();
    let text = devices(
        "[[table]]\nname = \"nets\"\nfile = \"nets.csv\"\nkind = \"networks\"\n[[case]]\nname = \"x\"\non_request = { variant = false }",
    );
    let given = Cases::parse(&text, "cases.toml", folder.path(), None).unwrap();
    let table = given.tables.table("nets").unwrap();
    assert_eq!(table.get("203.0.113.0/24").as_deref(), Some("cordoba"));
    for (lines, expected) in [
        ("[[table]]\nname = \"t\"", "either `file` or `rows`"),
        (
            "[[table]]\nname = \"t\"\nrows = { a = 1 }",
            "a text was expected",
        ),
        (
            "[[table]]\nname = \"t\"\nfile = \"t.txt\"",
            "neither `.csv`",
        ),
        (
            "[[table]]\nname = \"t\"\nrows = { a = \"1\" }\n[[table]]\nname = \"t\"\nrows = { a = \"1\" }",
            "a second table `t`",
        ),
    ] {
        let mistakes = with_table(lines).unwrap_err().to_string();
        assert!(mistakes.contains(expected), "{mistakes}");
    }
}

#[test]
fn cases_that_come_with_a_push_read_no_file() {
    let written = with_table("").unwrap();
    let text = devices(
        "[[table]]\nname = \"t\"\nfile = \"/etc/passwd.csv\"\n[[case]]\nname = \"x\"\non_request = { variant = false }",
    );
    let error = Cases::for_policy(&text, "pushed", written.policy.clone(), 10).unwrap_err();
    let GivenCasesError::Mistakes(mistakes) = error else {
        panic!("{error:?}")
    };
    assert!(
        mistakes.to_string().contains("can't read files"),
        "{mistakes}"
    );
    let text = text.replace("file = \"/etc/passwd.csv\"", "rows = { a = \"1\" }");
    assert!(Cases::for_policy(&text, "pushed", written.policy, 10).is_ok());
}

#[test]
fn what_is_known_of_the_client_is_checked() {
    let refused = |line: &str| {
        let text = format!("[[case]]\nname = \"x\"\n{line}\non_request = {{ variant = false }}");
        match parse(&devices(&text)) {
            Ok(_) => String::new(),
            Err(mistakes) => mistakes.to_string(),
        }
    };
    for good in [
        "client = \"203.0.113.7\"",
        "client = \"2001:db8::/32\"",
        "country = \"AR\"\nregion = \"C\"",
        "bucket = 9999",
        "route = \"search\"",
        "device_source = \"client-hints\"",
    ] {
        assert_eq!(refused(good), "", "{good}");
    }
    for (bad, expected) in [
        (
            "client = \"203.0.113.0/33\"",
            "neither an address nor a network",
        ),
        ("client = \"here\"", "neither an address nor a network"),
        ("country = \"ar\"", "is not a country"),
        ("region = \"ABCD\"", "is not a region"),
        ("bucket = 10000", "10000"),
        ("route = \"A\"", "is not a name"),
        ("device_source = \"guess\"", "client-hints"),
    ] {
        assert!(refused(bad).contains(expected), "{bad}: {}", refused(bad));
    }
}

/// What a case file expects of an answer that does everything.
const EVERYTHING: &str = r#"
  lookup = "cache", key_parts = { market = "ar" }, path = "/b", query = "c=d", origin = "eu",
  set_request = { x-a = "1" }, remove_request = ["x-b"], set_response = {}, remove_response = [],
  answer = "301", answer_headers = { location = "/c" }, answer_body_contains = "mov",
  log_tag = "t", rate_class = false"#;

#[test]
fn what_else_is_decided_is_compared_by_field() {
    use tero_semantics::decision::{
        Expiry, ExtendedDecision, KeyPart, LookupDecision, OriginEdits, PolicyAnswer,
    };
    use tero_semantics::field_edits::FieldEdits;

    let field = |name, value| {
        (
            http::HeaderName::from_static(name),
            http::HeaderValue::from_static(value),
        )
    };
    let answer = crate::RequestAnswer {
        lookup: Some(LookupDecision::Cache),
        extended: Some(Box::new(ExtendedDecision {
            key_parts: vec![KeyPart {
                name: "market".into(),
                value: "ar".into(),
            }],
            origin: OriginEdits {
                path: Some("/b".into()),
                query: Some("c=d".into()),
                origin: Some("eu".into()),
                fields: FieldEdits {
                    set: vec![field("x-a", "1")],
                    remove: vec![http::HeaderName::from_static("x-b")],
                },
            },
            answer: Some(Arc::new(PolicyAnswer {
                status: StatusCode::MOVED_PERMANENTLY,
                fields: vec![field("location", "/c")],
                body: b"moved"[..].into(),
            })),
            log_tag: Some("t".into()),
            ..ExtendedDecision::default()
        })),
        ..crate::RequestAnswer::default()
    };
    let differences = |hook: &str, expected: &str, answer: crate::HookAnswer| {
        let expected = expected.replace('\n', " ");
        let text = format!("[[case]]\nname = \"x\"\n{hook} = {{ {expected} }}");
        let cases = parse(&devices(&text)).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let fields = matching::fields(&answer);
        let problems = matching::differences(&cases.cases[0].expected[0].1, &fields);
        problems.into_iter().map(|it| it.field).collect::<Vec<_>>()
    };
    let of_request = |expected: &str| {
        differences(
            "on_request",
            expected,
            crate::HookAnswer::Request(answer.clone()),
        )
    };
    assert_eq!(of_request(EVERYTHING), Vec::<String>::new());
    let other = EVERYTHING
        .replace("\"ar\"", "\"cl\"")
        .replace("\"/b\"", "false")
        .replace("x-a = \"1\"", "x-a = \"2\"")
        .replace("\"301\"", "\"302\"")
        .replace("\"mov\"", "\"gone\"");
    assert_eq!(
        of_request(&other),
        ["key_parts", "path", "set_request", "answer", "answer_body"]
    );
    let response = crate::ResponseAnswer {
        expiry: Some(Expiry::StaleAt(Timestamp::from_unix_secs(1_795_532_400))),
        admit: Some(false),
        error_ttl: Some(Duration::from_secs(5)),
        ..crate::ResponseAnswer::default()
    };
    let of_response = |expected: &str| {
        differences(
            "on_response",
            expected,
            crate::HookAnswer::Response(response.clone()),
        )
    };
    assert_eq!(
        of_response(
            "stale_at = \"2026-11-24T12:00:00-03:00\", purge_at = false, admit = \"no\", error_ttl = \"5s\", set_stored = {}"
        ),
        Vec::<String>::new()
    );
    assert_eq!(
        of_response("stale_at = \"2026-11-24T12:00:01-03:00\", admit = \"yes\""),
        ["stale_at", "admit"]
    );
}
