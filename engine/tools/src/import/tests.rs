//! Imports the sample file, and variants of it with one mistake each.

use std::path::Path;

use super::{Import, ImportTarget, OddPatterns};
use tero_config::{CalendarSource, Config, ConfigError, ConfigErrors, ModuleSource, PlanVariants};

const SAMPLE: &str = include_str!("../../../../examples/barberpro/cdn-argentina-policies.json");

fn target() -> ImportTarget {
    ImportTarget::new(
        "http://127.0.0.1:3000",
        &["www.barberpro.com.ar".to_owned()],
    )
    .unwrap()
}

fn import(json: &str, file_name: &str, target: &ImportTarget) -> Result<String, ConfigErrors> {
    super::import(json, file_name, target, OddPatterns::Translate).map(|import| import.toml)
}

fn import_file(file: &Path, target: &ImportTarget) -> Result<Import, ConfigErrors> {
    super::import_file(file, target, OddPatterns::Translate)
}

#[test]
fn the_sample_becomes_a_configuration_with_equal_settings() {
    let toml = import(SAMPLE, "dir/cdn-argentina-policies.json", &target()).unwrap();
    let config = Config::parse(&toml, "tero.toml", Path::new(""))
        .unwrap_or_else(|errors| panic!("{errors}\n{toml}"));
    assert!(toml.starts_with("# Made by `tero import` from cdn-argentina-policies.json."));

    let policy = &config.policies[0];
    assert_eq!(
        policy.module,
        ModuleSource::Builtin("json-rules".to_owned())
    );
    assert_eq!(
        policy.calendar,
        Some(CalendarSource::Builtin("argentina".to_owned()))
    );
    let mut expected: serde_json::Value = serde_json::from_str(SAMPLE).unwrap();
    expected.as_object_mut().unwrap().remove("warming");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&policy.settings).unwrap(),
        expected
    );

    let site = &config.sites[0];
    assert_eq!(
        (&*site.name, site.hosts.as_slice()),
        ("cdn-argentina", &["www.barberpro.com.ar".to_owned()][..])
    );
    assert_eq!(site.policies, ["rules".into()]);
    assert_eq!(site.origins[0].to_string(), "127.0.0.1:3000");

    let [opening, midday] = config.plans.as_slice() else {
        panic!("two plans were expected")
    };
    assert_eq!(&*opening.name, "apertura");
    assert_eq!(opening.schedule.as_deref(), Some("30 8 * * MON-SAT"));
    assert_eq!(
        opening.zone,
        Some(chrono_tz::America::Argentina::Buenos_Aires)
    );
    assert_eq!(
        opening.urls,
        [
            "/",
            "/barberias/palermo",
            "/barberias/recoleta",
            "/barberias/belgrano"
        ]
    );
    assert_eq!(opening.sitemaps, ["/sitemap.xml"]);
    let variants = PlanVariants::These(vec!["desktop".to_owned(), "mobile".to_owned()]);
    assert_eq!((opening.popular, &opening.variants), (200, &variants));
    assert_eq!(midday.schedule.as_deref(), Some("30 12 * * MON-FRI"));
    assert_eq!((midday.popular, midday.urls.len()), (50, 0));
}

#[test]
fn settings_keep_the_order_of_the_file() {
    let toml = import(SAMPLE, "x.json", &target()).unwrap();
    let config = Config::parse(&toml, "tero.toml", Path::new("")).unwrap();
    let written: String = SAMPLE
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    let rules = config.policies[0].settings.trim_end_matches('}').to_owned();
    let same = rules
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect::<String>();
    assert!(written.starts_with(&same), "{same}");
}

#[test]
fn unusual_characters_survive() {
    let json = r#"{ "name": "a \"b\"\\ \u0007 ñ \u007f", "rules": [{ "match": ["/ñ/*"], "ttl": 1, "tags": [] }] }"#;
    let toml = import(json, "a\nb.json", &target()).unwrap();
    let config = Config::parse(&toml, "tero.toml", Path::new(""))
        .unwrap_or_else(|errors| panic!("{errors}\n{toml}"));
    let settings: serde_json::Value = serde_json::from_str(&config.policies[0].settings).unwrap();
    assert_eq!(
        settings,
        serde_json::from_str::<serde_json::Value>(json).unwrap()
    );
}

#[test]
fn days_may_be_ranges_and_hours_may_pass_midnight() {
    let json = r#"{ "business_hours": { "days": ["Fri-mon"], "from": "20:00", "to": "02:00" },
        "rules": [{ "match": ["/a/*/b", "*"], "ttl": { "business_hours": 1, "otherwise": 2 } }],
        "warming": [{ "name": "night", "at": "19:30", "days": ["fri-mon"], "popular": 5 }] }"#;
    let toml = import(json, "x.json", &target()).unwrap_or_else(|errors| panic!("{errors}"));
    let config = Config::parse(&toml, "tero.toml", Path::new("")).unwrap();
    assert_eq!(
        config.plans[0].schedule.as_deref(),
        Some("30 19 * * MON,FRI-SUN")
    );
    assert_eq!(config.plans[0].zone, Some(chrono_tz::UTC));
}

#[test]
fn lifetimes_may_end_at_a_time_of_day() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.json");
    let rules = r#"{ "business_hours": { "days": ["mon"], "from": "09:00", "to": "18:00" }, "spread": 10, "rules": [
        { "match": ["/a"], "ttl": "until 18:00", "spread": 0 },
        { "match": ["*"], "ttl": { "business_hours": "until 13:00", "otherwise": 60 } }] }"#;
    std::fs::write(&file, rules).unwrap();
    import_file(&file, &target()).unwrap_or_else(|errors| panic!("{errors}"));
    std::fs::write(&file, rules.replace("13:00", "13")).unwrap();
    let errors = import_file(&file, &target()).unwrap_err();
    assert!(
        errors.to_string().contains("rules.json:3:") && errors.to_string().contains("until 18:00"),
        "{errors}"
    );
}

#[test]
fn the_policy_checks_imported_settings() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.json");
    std::fs::write(&file, SAMPLE).unwrap();
    import_file(&file, &target()).unwrap_or_else(|errors| panic!("{errors}"));
    // The policy itself refuses what exceeds its limits.
    let many = vec!["\"*\""; 257].join(",");
    std::fs::write(
        &file,
        format!("{{ \"rules\": [{{ \"match\": [{many}], \"ttl\": 1 }}] }}"),
    )
    .unwrap();
    let errors = import_file(&file, &target()).unwrap_err();
    assert!(errors.to_string().contains("257 entries"), "{errors}");
}

#[test]
fn holidays_of_a_country_without_a_calendar_need_a_file() {
    let json = r#"{ "timezone": "America/Montevideo",
        "business_hours": { "days": ["mon"], "from": "09:00", "to": "18:00", "holidays": "closed" },
        "rules": [{ "match": ["*"], "ttl": "origin" }] }"#;
    let toml = import(json, "x.json", &target()).unwrap();
    assert!(toml.contains("# calendar = "));
    assert!(
        Config::parse(&toml, "tero.toml", Path::new(""))
            .unwrap()
            .policies[0]
            .calendar
            .is_none()
    );
}

#[test]
fn each_mistake_has_its_line_key_and_cure() {
    // A part of the sample, its replacement, and the line, key, problem and cure of the mistake.
    let cases: &[(&str, &str, usize, &str, &str, &str)] = &[
        (
            "\"version\": 3",
            "\"version\": 4",
            2,
            "version",
            "4 is too large",
            "1 to 3",
        ),
        (
            "\"rules\": [",
            "\"ruels\": [], \"rules\": [",
            11,
            "ruels",
            "unknown key",
            "did you mean `rules`?",
        ),
        (
            "\"timezone\": \"America/Argentina/Buenos_Aires\"",
            "\"timezone\": \"Buenos Aires\"",
            4,
            "timezone",
            "not a zone",
            "America/Argentina/Buenos_Aires",
        ),
        (
            "\"from\": \"09:00\"",
            "\"from\": \"9\"",
            5,
            "business_hours.from",
            "not a time of day",
            "\"08:30\"",
        ),
        (
            "\"from\": \"09:00\"",
            "\"from\": \"18:00\"",
            5,
            "business_hours.to",
            "cover nothing",
            "differs",
        ),
        (
            "\"days\": [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"],",
            "\"days\": [],",
            22,
            "warming.days",
            "no day is named",
            "at least one",
        ),
        (
            "\"devices\": [\"tablet\"]",
            "\"devices\": []",
            9,
            "variants.devices",
            "empty",
            "at least one",
        ),
        (
            "\"sat\"], \"from\"",
            "\"sax\"], \"from\"",
            5,
            "business_hours.days",
            "`sax` is not a day",
            "sat",
        ),
        (
            "\"holidays\": \"closed\"",
            "\"holidays\": \"close\"",
            5,
            "business_hours.holidays",
            "not known",
            "closed",
        ),
        (
            "\"sort_query\": true",
            "\"sort_query\": \"yes\"",
            6,
            "key.sort_query",
            "true or false",
            "true or false",
        ),
        (
            "\"devices\": [\"tablet\"]",
            "\"devices\": [\"tablett\"]",
            9,
            "variants.devices",
            "not a device class",
            "\"tablet\"",
        ),
        (
            "\"tablet\": {",
            "\"Tablet\": {",
            9,
            "variants",
            "not a variant",
            "a-z",
        ),
        (
            "\"cache\": \"never\" },\n    { \"name\": \"account\"",
            "\"cache\": \"nevr\" },\n    { \"name\": \"account\"",
            12,
            "rules.cache",
            "not known",
            "\"never\"",
        ),
        (
            "\"ttl\": 86400,",
            "\"ttl\": -1,",
            16,
            "rules.ttl",
            "out of range",
            "31536000",
        ),
        (
            "\"ttl\": 86400,",
            "\"ttl\": \"1 day\",",
            16,
            "rules.ttl",
            "`1 day` is not a ttl",
            "seconds",
        ),
        (
            "\"ttl\": 86400,",
            "",
            16,
            "rules.ttl",
            "decides nothing",
            "never",
        ),
        (
            "\"ttl\": 31536000",
            "\"ttl\": 31536001",
            17,
            "rules.ttl",
            "out of range",
            "31536000",
        ),
        (
            "\"otherwise\": 120 }",
            "\"otherwise\": 120, \"sunday\": 1 }",
            14,
            "rules.ttl.sunday",
            "unknown key",
            "otherwise",
        ),
        (
            ", \"otherwise\": 120 }",
            " }",
            14,
            "rules.ttl.otherwise",
            "is missing",
            "write `otherwise`",
        ),
        (
            "\"match\": [\"/img/*\"]",
            "\"match\": [\"img\"]",
            16,
            "rules.match",
            "not a pattern",
            "/path/*",
        ),
        (
            "\"match\": [\"/img/*\"]",
            "\"match\": []",
            16,
            "rules.match",
            "empty",
            "at least one",
        ),
        (
            "\"stale_if_error\": 604800",
            "\"stale_if_error\": \"1y\"",
            16,
            "rules.stale_if_error",
            "a whole number",
            "whole number",
        ),
        (
            "\"name\": \"images\"",
            "\"name\": \"assets\"",
            17,
            "rules.name",
            "already",
            "its own name",
        ),
        (
            "\"at\": \"08:30\"",
            "\"at\": \"8.30\"",
            21,
            "warming.at",
            "not a time of day",
            "\"08:30\"",
        ),
        (
            "\"name\": \"mediodia\"",
            "\"name\": \"Mediodía\"",
            22,
            "warming.name",
            "not a name",
            "a-z",
        ),
        (
            "\"popular\": 50",
            "\"popular\": 100001",
            22,
            "warming.popular",
            "too large",
            "100,000",
        ),
        (
            "\"variants\": [\"mobile\"]",
            "\"variants\": [\"mobil\"]",
            22,
            "warming.variants",
            "neither",
            "\"mobile\"",
        ),
        (
            "\"at\": \"12:30\", ",
            "",
            22,
            "warming.days",
            "without a time",
            "`at`",
        ),
        (
            "\"urls\": [\"/\",",
            "\"urls\": [\"x\",",
            21,
            "warming.urls",
            "not a path",
            "/",
        ),
        (
            "\"version\": 3",
            "\"version\": 3, \"version\": 3",
            2,
            "version",
            "twice",
            "one of the two",
        ),
        (
            "\"version\": 3,",
            "\"version\": 3",
            3,
            "",
            "expected `,`",
            "JSON",
        ),
    ];
    for (good, bad, line, key, problem, cure) in cases {
        assert!(SAMPLE.contains(good), "{good} is not in the sample");
        let found: Vec<ConfigError> = import(&SAMPLE.replacen(good, bad, 1), "x.json", &target())
            .unwrap_err()
            .errors;
        assert_eq!(found.len(), 1, "{bad}: {found:#?}");
        let mistake = &found[0];
        assert_eq!(
            (mistake.line, mistake.key.as_str()),
            (*line, *key),
            "{bad}: {mistake}"
        );
        assert!(
            mistake.problem.contains(problem) && mistake.cure.contains(cure),
            "{bad}: {mistake}"
        );
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let json =
        "{\n\"version\": 9,\n\"timezone\": 1,\n\"rules\": {},\n\"warming\": [1],\n\"x\": null\n}";
    let lines: Vec<usize> = import(json, "x.json", &target())
        .unwrap_err()
        .errors
        .iter()
        .map(|mistake| mistake.line)
        .collect();
    assert_eq!(lines, [2, 3, 4, 5, 6]);
}

#[test]
fn malformed_files_are_refused_without_panic() {
    for json in [
        "",
        "null",
        "[]",
        "{}",
        "{\"rules\": 1}",
        "{\"rules\": [null]}",
        "{\"rules\": [{\"match\": null, \"ttl\": null}]}",
        "\u{feff}{}",
    ] {
        assert!(import(json, "x.json", &target()).is_err(), "{json}");
    }
}

proptest::proptest! {
    #[test]
    fn damaged_files_are_imported_or_refused_without_panic(at in 0..SAMPLE.len(), length in 0_usize..40, put in "[\\\\\"{}\\[\\],:a-z0-9é\u{0}-]{0,4}") {
        let end = (at + length).min(SAMPLE.len());
        let damaged = format!("{}{put}{}", &SAMPLE[..at], &SAMPLE[end..]);
        if let Ok(toml) = import(&damaged, "x.json", &target()) {
            // Whatever is imported is a valid configuration.
            Config::parse(&toml, "tero.toml", Path::new("")).unwrap_or_else(|errors| panic!("{errors}\n{toml}"));
        }
    }
}

#[test]
fn malformed_targets_are_refused() {
    assert!(ImportTarget::new("127.0.0.1:3000", &[]).is_err());
    assert!(ImportTarget::new("http://a", &["a b".to_owned()]).is_err());
    assert_eq!(
        ImportTarget::new("http://a", &[]).unwrap().hosts,
        ["localhost", "*"]
    );
}

/// What each sample in `tests/data/import` becomes, by file name: parts of the configuration, or
/// line, key and a part of every mistake.
enum Expected {
    Toml(&'static [&'static str]),
    Mistakes(&'static [(usize, &'static str, &'static str)]),
}

#[test]
fn shapes_that_people_write_are_translated_or_refused() {
    use Expected::{Mistakes, Toml};
    let samples: &[(&str, &str, Expected)] = &[
        (
            "minutes",
            include_str!("../../../../tests/data/import/02-minutes.json"),
            Mistakes(&[
                (1, "ttl_unit", "counts lifetimes in seconds"),
                (3, "rules.ttl", "a number with a fraction"),
                (3, "rules.ttl", "`300` is not a ttl"),
            ]),
        ),
        (
            "days in Spanish",
            include_str!("../../../../tests/data/import/04-dias-es.json"),
            Toml(&[
                r#"days = ["mon", "tue", "wed", "thu", "fri", "sat"], from = "09:00", to = "18:00""#,
            ]),
        ),
        (
            "two windows",
            include_str!("../../../../tests/data/import/05-two-windows.json"),
            Mistakes(&[(2, "business_hours", "2 windows")]),
        ),
        (
            "several zones",
            include_str!("../../../../tests/data/import/06-several-zones.json"),
            Mistakes(&[
                (1, "timezone", "2 zones"),
                (2, "business_hours.timezone", "unknown key"),
                (3, "rules.timezone", "unknown key"),
                (4, "warming.timezone", "unknown key"),
            ]),
        ),
        (
            "expressions",
            include_str!("../../../../tests/data/import/07c.json"),
            Mistakes(&[
                (1, "rules.match", "`/producto/[0-9]+`"),
                (1, "rules.match", "`/p/{id}`"),
                (1, "rules.match", "`/q/:id`"),
                (1, "rules.match", "`/x/\\\\d+`"),
                (1, "rules.match", "`/img/(a|b).png`"),
            ]),
        ),
        (
            "CloudFront",
            include_str!("../../../../tests/data/import/08-cloudfront.json"),
            Mistakes(&[(1, "DistributionConfig", "CloudFront")]),
        ),
        (
            "byte order mark",
            include_str!("../../../../tests/data/import/15-bom.json"),
            Toml(&[r#"match = ["/"], ttl = 60"#]),
        ),
        (
            "holidays of Chile",
            include_str!("../../../../tests/data/import/26-holidays.json"),
            Toml(&["calendar = \"builtin:chile\""]),
        ),
        (
            "payments",
            include_str!("../../../../tests/data/import/27-pay.json"),
            Toml(&[r#"match = ["/pagos/*"], cache = "never""#]),
        ),
    ];
    for (name, json, expected) in samples {
        match (import(json, "x.json", &target()), expected) {
            (Ok(toml), Toml(parts)) => {
                Config::parse(&toml, "tero.toml", Path::new(""))
                    .unwrap_or_else(|errors| panic!("{name}: {errors}\n{toml}"));
                for part in *parts {
                    assert!(toml.contains(part), "{name}: {part}\n{toml}");
                }
            }
            (Err(errors), Mistakes(mistakes)) => {
                let found = errors.errors.iter();
                let found: Vec<_> = found
                    .map(|error| (error.line, error.key.as_str(), error.problem.as_str()))
                    .collect();
                let is_as_expected = found.len() == mistakes.len()
                    && found
                        .iter()
                        .zip(*mistakes)
                        .all(|(found, (line, key, problem))| {
                            found.0 == *line && found.1 == *key && found.2.contains(problem)
                        });
                assert!(is_as_expected, "{name}: {found:#?}");
                assert!(errors.errors.iter().all(|error| !error.cure.is_empty()));
            }
            (result, _) => panic!("{name}: {result:?}"),
        }
    }
}

#[test]
fn strict_refuses_what_is_merely_odd() {
    let json = "{ \"rules\": [\n{ \"match\": [\"/tienda/**\"], \"ttl\": 1 },\n{ \"match\": [\"/with space\"], \"ttl\": 2 },\n{ \"match\": [\"*.{css,js}\"], \"ttl\": 3 }] }";
    let lenient = super::import(json, "x.json", &target(), OddPatterns::Translate).unwrap();
    let notes: Vec<usize> = lenient.rules.iter().map(|rule| rule.notes.len()).collect();
    assert_eq!(notes, [1, 1, 0]);
    assert_eq!(lenient.rules[2].patterns, ["*.css", "*.js"]);
    assert_eq!(lenient.rules[2].written, ["*.{css,js}"]);
    assert_eq!(lenient.rules[2].decision, "3 s");
    let errors = super::import(json, "x.json", &target(), OddPatterns::Refuse).unwrap_err();
    let lines: Vec<usize> = errors.errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [2, 3]);
    assert!(errors.errors[1].cure.contains("\"/with%20space\""));
}
