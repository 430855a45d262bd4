//! The loader: defaults, every limit from both sides, every kind of mistake with its line, key and
//! cure.

use std::path::Path;
use std::time::Duration;

use super::keys::{Form, Section};
use super::*;

/// The least that is a configuration; a case is written behind it or in front.
const SITE: &str = "[[site]]\nname = \"shop\"\nhosts = [\"shop.example\"]\norigins = [\"http://127.0.0.1:3000\"]\n";

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, "tero.toml", Path::new("/nowhere"))
}

fn mistakes(text: &str) -> Vec<ConfigError> {
    parse(text).map_or_else(|errors| errors.errors, |_| Vec::new())
}

#[test]
fn defaults_are_filled_in() {
    let config = parse(SITE).unwrap();
    assert_eq!(config.server.listen, ["0.0.0.0:8080".parse().unwrap()]);
    assert!(config.server.workers >= 1);
    assert_eq!(config.server.name, "tero");
    assert_eq!(config.server.max_connections, 10_000);
    assert_eq!(config.server.max_header_bytes, 32 << 10);
    assert_eq!(config.server.header_timeout, Duration::from_secs(10));
    assert_eq!(config.admin.listen, "127.0.0.1:9090".parse().unwrap());
    assert_eq!(config.admin.token, None);
    assert_eq!(config.cache.memory, 512 << 20);
    assert_eq!(config.cache.max_object, 64 << 20);
    assert_eq!(config.cache.fill_memory, 64 << 20);
    assert_eq!(config.cache.warm_memory, 64 << 20);
    assert_eq!(config.cache.max_policy_variants, 64);
    assert!(config.access_log.is_none());
    assert_eq!(config.policy_host.decision_cache, 32 << 20);
    let site = &config.sites[0];
    assert_eq!(
        site.origins,
        [OriginAddress {
            host: "127.0.0.1".to_owned(),
            port: 3000
        }]
    );
    assert_eq!(site.max_fetches, 256);
    assert_eq!(
        site.targeted_fields,
        ["tero-cache-control", "cdn-cache-control"]
    );
    assert_eq!(site.client_directives, ClientDirectives::Ignore);
    assert_eq!(site.place, FilePosition { line: 1, column: 1 });
}

#[test]
fn what_is_written_is_what_holds() {
    let config = parse(&format!(
        r#"
[server]
listen = ["127.0.0.1:0", "[::1]:0"]
workers = 3
drain = "0s"

[admin]
listen = "0.0.0.0:9091"
token = "0123456789abcdef"

[cache]
memory = "1GiB"
max_object = "16MiB"

[access_log]
format = "json"

[policies]
compiled_cache = ""

[[policy]]
name = "hours"
module = "builtin:business-hours"
settings = {{ zone = "America/Argentina/Buenos_Aires", rules = [{{ b = 1, a = 2.5 }}] }}
calendar = "builtin:argentina"

[policy.limits]
deadline = "5ms"

{SITE}
host_header = "app.internal:81"
policies = ["hours"]
policy_may_override = ["set-cookie"]
zone = "America/Argentina/Buenos_Aires"
client_directives = "obey"
cache_status_key = true

[[warm]]
name = "apertura"
site = "shop"
schedule = "30 8 * * MON-SAT"
zone = "America/Argentina/Buenos_Aires"
urls = ["/", "/barberias?zona=palermo"]
rate = 2
"#
    ))
    .unwrap();
    assert_eq!(config.server.listen.len(), 2);
    assert_eq!(
        (config.server.workers, config.server.drain),
        (3, Duration::ZERO)
    );
    assert_eq!(config.admin.token.as_deref(), Some("0123456789abcdef"));
    assert_eq!(
        (config.cache.max_object, config.cache.fill_memory),
        (16 << 20, 128 << 20)
    );
    assert_eq!(config.access_log.unwrap().format, AccessLogFormat::Json);
    assert_eq!(config.policy_host.compiled_cache, None);
    let policy = &config.policies[0];
    assert_eq!(
        policy.module,
        ModuleSource::Builtin("business-hours".to_owned())
    );
    assert_eq!(
        policy.settings,
        r#"{"zone":"America/Argentina/Buenos_Aires","rules":[{"b":1,"a":2.5}]}"#
    );
    assert_eq!(policy.limits.deadline, Duration::from_millis(5));
    assert_eq!(policy.limits.memory, 64 << 20);
    assert_eq!(policy.place.line, 21);
    let site = &config.sites[0];
    assert!(site.policy_may_override.set_cookie && !site.policy_may_override.private);
    assert_eq!(site.zone, Some(chrono_tz::America::Argentina::Buenos_Aires));
    assert_eq!(site.client_directives, ClientDirectives::Obey);
    assert_eq!(config.plans[0].urls, ["/", "/barberias?zona=palermo"]);
    assert!((config.plans[0].rate - 2.0).abs() < f64::EPSILON);
}

/// One mistake each: what is written, then the line, the key and a part of problem and cure. `SITE`
/// comes first (lines 1 to 4).
#[test]
fn each_mistake_has_its_line_key_and_cure() {
    let cases: &[(&str, usize, &str, &str, &str)] = &[
        (
            "[server]\nworker = 2",
            6,
            "server.worker",
            "unknown key",
            "did you mean `workers`?",
        ),
        (
            "[server]\nzzz = 2",
            6,
            "server.zzz",
            "unknown key",
            "the keys of [server] are listen, workers",
        ),
        (
            "[sevrer]\n",
            5,
            "sevrer",
            "unknown section",
            "did you mean `server`?",
        ),
        (
            "[server]\nworkers = \"2\"",
            6,
            "server.workers",
            "a whole number was expected, this is a text",
            "write a whole number",
        ),
        (
            "[server]\nworkers = -1",
            6,
            "server.workers",
            "-1 is too small",
            "1 to 1,024",
        ),
        (
            "[server]\nworkers = 99999999999999999999",
            6,
            "server.workers",
            "too large",
            "1 to 1,024",
        ),
        (
            "[server]\nname = \"a b\"",
            6,
            "server.name",
            "is no token",
            "without spaces",
        ),
        (
            "[server]\ndrain = 30",
            6,
            "server.drain",
            "30 has no unit",
            "\"30s\"",
        ),
        (
            "[server]\ndrain = \"30\"",
            6,
            "server.drain",
            "`30` is no duration",
            "\"5min\"",
        ),
        (
            "[server]\ndrain = \"1h\"",
            6,
            "server.drain",
            "1h is too large",
            "\"0s\" to \"10min\"",
        ),
        (
            "[server]\nlisten = []",
            6,
            "server.listen",
            "the list is empty",
            "at least one",
        ),
        (
            "[server]\nlisten = \"0.0.0.0:80\"",
            6,
            "server.listen",
            "a list",
            "[\"…\"]",
        ),
        (
            "[server]\nlisten = [\"localhost:80\"]",
            6,
            "server.listen",
            "is no address",
            "\"127.0.0.1:80\"",
        ),
        (
            "[server]\nlisten = [\":80\"]",
            6,
            "server.listen",
            "is no address",
            "\"0.0.0.0:80\"",
        ),
        (
            "[server]\nlisten = [\"1.2.3.4\"]",
            6,
            "server.listen",
            "is no address",
            "\"1.2.3.4:8080\"",
        ),
        (
            "[server]\nlisten = [\"1.2.3.4:80\",\n \"1.2.3.4:80\"]",
            7,
            "server.listen",
            "in the list already",
            "each once",
        ),
        (
            "[admin]\nlisten = \"0.0.0.0:9090\"",
            6,
            "admin.listen",
            "is not loopback",
            "token_file",
        ),
        (
            "[admin]\ntoken = \"short\"",
            6,
            "admin.token",
            "a token of 5 bytes",
            "16 to 4096",
        ),
        (
            "[admin]\ntoken = \"0123456789 abcdef\"",
            6,
            "admin.token",
            "spaces",
            "visible ASCII",
        ),
        (
            "[admin]\ntoken_file = \"secret\"",
            6,
            "admin.token_file",
            "can't be read",
            "readable",
        ),
        (
            "[server]\nlisten = [\"127.0.0.1:9090\"]",
            1,
            "admin.listen",
            "public listener's",
            "port of their own",
        ),
        (
            "[cache]\nmemory = 512",
            6,
            "cache.memory",
            "has no unit",
            "\"512B\"",
        ),
        (
            "[cache]\nmemory = \"512\"",
            6,
            "cache.memory",
            "is no size",
            "\"64MiB\"",
        ),
        (
            "[cache]\nmemory = \"1KiB\"",
            6,
            "cache.memory",
            "too small",
            "\"1MiB\" to",
        ),
        (
            "[cache]\nmemory = \"10MiB\"\nmax_object = \"6MiB\"",
            7,
            "cache.max_object",
            "more than half",
            "at most 5MiB",
        ),
        (
            "[cache]\nmax_object = \"64MiB\"\nfill_memory = \"1MiB\"",
            7,
            "cache.fill_memory",
            "would not fit",
            "at least 64MiB",
        ),
        (
            "[cache]\nfill_memory = \"256MiB\"\nwarm_memory = \"256MiB\"",
            7,
            "cache.warm_memory",
            "leave nothing",
            "smaller",
        ),
        (
            "[access_log]\nformat = \"jsno\"",
            6,
            "access_log.format",
            "not known",
            "did you mean \"json\"?",
        ),
        (
            "[[policy]]\nmodule = \"builtin:x\"",
            5,
            "policy.name",
            "`name` is missing",
            "write `name`",
        ),
        (
            "[[policy]]\nname = \"Big\"\nmodule = \"builtin:x\"",
            6,
            "policy.name",
            "is no name",
            "a-z",
        ),
        (
            "[[policy]]\nname = \"a\"\nmodule = \"gone.wasm\"",
            7,
            "policy.module",
            "there is no file /nowhere/gone.wasm",
            "builtin:NAME",
        ),
        (
            "[[policy]]\nname = \"a\"\nmodule = \"builtin:x\"\nsettings = 1",
            8,
            "policy.settings",
            "a table",
            "[policy.settings]",
        ),
        (
            "[[policy]]\nname = \"a\"\nmodule = \"builtin:x\"\nsettings_file = \"x\"",
            8,
            "policy.settings_file",
            "can't be read",
            "readable",
        ),
        (
            "[[policy]]\nname = \"a\"\nmodule = \"builtin:x\"\ncalendar = \"builtin:mars\"",
            8,
            "policy.calendar",
            "there is no calendar",
            "argentina",
        ),
        (
            "[[policy]]\nname = \"a\"\nmodule = \"builtin:x\"\n[policy.limits]\ndeadline = \"1h\"",
            9,
            "policy.limits.deadline",
            "too large",
            "\"10s\"",
        ),
        (
            "[[policy]]\nname = \"a\"\nmodule = \"builtin:x\"\n[policy.limits]\ndeadlin = \"1s\"",
            9,
            "policy.limits.deadlin",
            "unknown key",
            "`deadline`",
        ),
        (
            "[policy]\nname = \"a\"\nmodule = \"builtin:x\"",
            5,
            "policy",
            "a list of tables",
            "[[policy]]",
        ),
        (
            "policies = [\"hours\"]",
            5,
            "site.policies",
            "there is no policy `hours`",
            "add [[policy]]",
        ),
        (
            "policies = [\"a\"]\n[[policy]]\nname = \"a\"\nmodule = \"builtin:x\"\n[[policy]]\nname = \"a\"\nmodule = \"builtin:y\"",
            10,
            "policy.name",
            "line 7 too",
            "own name",
        ),
        (
            "policy_may_override = [\"cookies\"]",
            5,
            "site.policy_may_override",
            "not known",
            "set-cookie",
        ),
        (
            "zone = \"Buenos Aires\"",
            5,
            "site.zone",
            "is no zone",
            "did you mean \"America/Argentina/Buenos_Aires\"?",
        ),
        (
            "zone = \"America/Argentina/Buenos_Aries\"",
            5,
            "site.zone",
            "is no zone",
            "did you mean \"America/Argentina/Buenos_Aires\"?",
        ),
        (
            "zone = \"-03:00\"",
            5,
            "site.zone",
            "is no zone",
            "IANA name",
        ),
        (
            "host_header = \"a b\"",
            5,
            "site.host_header",
            "is no host",
            "HOST:PORT",
        ),
        (
            "cache_status_key = 1",
            5,
            "site.cache_status_key",
            "true or false was expected",
            "true or false",
        ),
        (
            "targeted_fields = [\"a b\"]",
            5,
            "site.targeted_fields",
            "is no field name",
            "cdn-cache-control",
        ),
        (
            "stale_if_error = \"2y\"",
            5,
            "site.stale_if_error",
            "2y is too large",
            "\"1y\"",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"Shop.Example\"]\norigins = [\"http://a\"]",
            7,
            "site.hosts",
            "named in line 3",
            "once",
        ),
        (
            "[[site]]\nname = \"shop\"\nhosts = [\"b\"]\norigins = [\"http://a\"]",
            6,
            "site.name",
            "line 2 too",
            "own name",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = []\norigins = [\"http://a\"]",
            7,
            "site.hosts",
            "empty",
            "[\"*\"]",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\norigins = []",
            8,
            "site.origins",
            "empty",
            "at least one",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b:80\"]\norigins = [\"http://a\"]",
            7,
            "site.hosts",
            "has a port",
            "\"b\"",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"*.b\"]\norigins = [\"http://a\"]",
            7,
            "site.hosts",
            "stands alone",
            "\"*\"",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\norigins = [\"https://a\"]",
            8,
            "site.origins",
            "https origins are not offered",
            "\"http://a\"",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\norigins = [\"a:3000\"]",
            8,
            "site.origins",
            "is no origin",
            "\"http://a:3000\"",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\norigins = [\"http://a/x\"]",
            8,
            "site.origins",
            "no path",
            "\"http://a\"",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\norigins = [\"http://a:0\"]",
            8,
            "site.origins",
            "is no origin",
            "1 to 65535",
        ),
        (
            "[[site]]\nname = \"b\"\nhosts = [\"b\"]\norigins = [\"http://u:p@a\"]",
            8,
            "site.origins",
            "no user",
            "HOST:PORT",
        ),
        (
            "[[warm]]\nname = \"w\"\nsite = \"shpo\"",
            7,
            "warm.site",
            "there is no site `shpo`",
            "did you mean \"shop\"?",
        ),
        (
            "[[warm]]\nname = \"w\"\nsite = \"shop\"\nschedule = \"0 30 8 * * *\"",
            8,
            "warm.schedule",
            "6 fields",
            "five fields",
        ),
        (
            "[[warm]]\nname = \"w\"\nsite = \"shop\"\nschedule = \"61 8 * * *\"",
            8,
            "warm.schedule",
            "is no schedule: number out of bounds",
            "five fields",
        ),
        (
            "[[warm]]\nname = \"w\"\nsite = \"shop\"\nurls = [\"http://shop/x\"]",
            8,
            "warm.urls",
            "is no path",
            "\"/x\"",
        ),
        (
            "[[warm]]\nname = \"w\"\nsite = \"shop\"\nurls = [\"/é\"]",
            8,
            "warm.urls",
            "can't carry",
            "percent-encoded",
        ),
        (
            "[[warm]]\nname = \"w\"\nsite = \"shop\"\nvariants = [\"Mobile\"]",
            8,
            "warm.variants",
            "is no variant",
            "a-z",
        ),
        (
            "[[warm]]\nname = \"w\"\nsite = \"shop\"\nrate = 0",
            8,
            "warm.rate",
            "0 is too small",
            "0.1 to 10000",
        ),
        ("x = ", 5, "", "", "TOML"),
    ];
    for (written, line, key, problem, cure) in cases {
        let found = mistakes(&format!("{SITE}{written}\n"));
        assert_eq!(found.len(), 1, "{written}: {found:#?}");
        let mistake = &found[0];
        assert_eq!(
            (mistake.line, mistake.key.as_str()),
            (*line, *key),
            "{written}: {mistake}"
        );
        assert!(mistake.problem.contains(problem), "{written}: {mistake}");
        assert!(mistake.cure.contains(cure), "{written}: {mistake}");
    }
}

#[test]
fn ten_mistakes_are_ten_messages_in_the_order_of_the_file() {
    let text = r#"
[server]
listen = ["here"]
workers = 0
drain = "soon"
colour = "red"
[cache]
memory = "huge"
[[site]]
name = "Shop"
hosts = ["shop.example:80"]
origins = ["https://app"]
policies = ["none"]
[[warm]]
name = "w"
site = "Shop"
schedule = "daily"
"#;
    let lines: Vec<usize> = mistakes(text).iter().map(|mistake| mistake.line).collect();
    // `Shop` is no name, and a plan that refers to it repeats that.
    assert_eq!(lines, [3, 4, 5, 6, 8, 10, 11, 12, 13, 16, 17]);
}

#[test]
fn a_file_without_a_site_says_what_to_add() {
    let found = mistakes("");
    assert_eq!(found.len(), 1);
    assert!(found[0].cure.contains("[[site]]"));
}

#[test]
fn a_file_that_is_not_there_is_a_mistake_too() {
    let errors = Config::load(Path::new("/nowhere/tero.toml")).unwrap_err();
    assert!(
        errors.to_string().contains("/nowhere/tero.toml"),
        "{errors}"
    );
}

#[test]
fn a_file_is_read_no_further_than_its_bound() {
    // It says that it is empty, and never ends.
    let errors = Config::load(Path::new("/dev/zero")).unwrap_err();
    assert!(errors.to_string().contains("larger than 16MiB"), "{errors}");
}

#[test]
fn a_token_is_never_shown() {
    let config = parse(&format!("[admin]\ntoken = \"0123456789abcdef\"\n{SITE}")).unwrap();
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    let errors = parse(&format!(
        "[admin]\ntoken = \"not a good token 123\"\n{SITE}"
    ))
    .unwrap_err();
    assert!(!format!("{errors:?} {errors}").contains("not a good token"));
}

#[test]
fn the_first_line_of_the_token_file_is_the_token() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("token"),
        "0123456789abcdef\nsecond line\n",
    )
    .unwrap();
    let text = format!("[admin]\nlisten = \"0.0.0.0:9090\"\ntoken_file = \"token\"\n{SITE}");
    let config = Config::parse(&text, "tero.toml", folder.path()).unwrap();
    assert_eq!(config.admin.token.as_deref(), Some("0123456789abcdef"));
}

#[test]
fn every_limit_holds_on_both_sides() {
    for section in sections::SECTIONS {
        for key in section.keys {
            let (good, bad) = bounds(key.form);
            for value in good {
                let found = with(section, key.name, &value);
                assert!(
                    !found
                        .iter()
                        .any(|mistake| mistake.problem.contains(" is too ")),
                    "{}.{} = {value}: {found:?}",
                    section.name,
                    key.name
                );
            }
            for value in bad {
                let found = with(section, key.name, &value);
                assert!(
                    found
                        .iter()
                        .any(|mistake| mistake.problem.contains(" is too ")),
                    "{}.{} = {value}: {found:?}",
                    section.name,
                    key.name
                );
            }
        }
    }
}

/// The values at the bounds of `form`, and those just past them.
fn bounds(form: Form) -> (Vec<String>, Vec<String>) {
    match form {
        Form::Count(min, max) => {
            let below = i64::try_from(min).unwrap() - 1;
            (
                vec![min.to_string(), max.to_string()],
                vec![below.to_string(), (max + 1).to_string()],
            )
        }
        Form::Number(min, max) => (
            vec![min.to_string(), max.to_string()],
            vec![(min / 2.0).to_string(), (max + 0.5).to_string()],
        ),
        Form::Duration(min, max) => {
            let millis = |text: &str| units::duration(text).unwrap().as_millis();
            let below = millis(min)
                .checked_sub(1)
                .map(|below| format!("\"{below}ms\""));
            let above = format!("\"{}ms\"", millis(max) + 1);
            (
                vec![format!("\"{min}\""), format!("\"{max}\"")],
                below.into_iter().chain([above]).collect(),
            )
        }
        Form::Size(min, max) => {
            let below = units::size(min)
                .unwrap()
                .checked_sub(1)
                .map(|below| format!("\"{below}B\""));
            let above = format!("\"{}B\"", units::size(max).unwrap() + 1);
            (
                vec![format!("\"{min}\""), format!("\"{max}\"")],
                below.into_iter().chain([above]).collect(),
            )
        }
        _ => (Vec::new(), Vec::new()),
    }
}

fn with(section: &Section, key: &str, value: &str) -> Vec<ConfigError> {
    let memory = if section.name == "cache" && key != "memory" {
        "memory = \"16TiB\"\n"
    } else {
        ""
    };
    let entry = match section.name {
        "policy.limits" => format!(
            "[[policy]]\nname = \"p\"\nmodule = \"builtin:x\"\n[policy.limits]\n{key} = {value}\n"
        ),
        "warm" => format!("[[warm]]\nname = \"w\"\nsite = \"shop\"\n{key} = {value}\n"),
        "site" => format!("{key} = {value}\n"),
        _ => format!("{}\n{memory}{key} = {value}\n", section.header),
    };
    mistakes(&format!("{SITE}{entry}"))
}

proptest::proptest! {
    #[test]
    fn a_damaged_file_is_read_or_refused_without_panic(at in 0..REFERENCE.len(), length in 0_usize..40, put in "[\\\\\"'{}\\[\\],=#\na-z0-9é\u{0}-]{0,4}") {
        let floor = |mut at: usize| {
            while !REFERENCE.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (start, end) = (floor(at), floor((at + length).min(REFERENCE.len())));
        let damaged = format!("{}{put}{}", &REFERENCE[..start], &REFERENCE[end..]);
        if let Err(errors) = parse(&damaged) {
            proptest::prop_assert!(!errors.errors.is_empty());
            proptest::prop_assert!(errors.errors.iter().all(|error| error.line >= 1 && error.column >= 1 && !error.cure.is_empty()));
        }
    }
}

/// A file with a bit of everything, to be damaged.
const REFERENCE: &str = r#"# é
[server]
listen = ["127.0.0.1:8080"]
workers = 4
drain = "30s"
[admin]
token = "0123456789abcdef"
[cache]
memory = "512MiB"
[[policy]]
name = "hours"
module = "builtin:business-hours"
settings = { zone = "UTC", n = 1.5, at = 07:30:00, x = [true, """a
b"""] }
[policy.limits]
deadline = "5ms"
[[site]]
name = "shop"
hosts = ["shop.example", "*"]
origins = ["http://127.0.0.1:3000"]
policies = ["hours"]
[[warm]]
name = "opening"
site = "shop"
schedule = "30 8 * * MON-SAT"
rate = 0.5
"#;

#[test]
fn the_file_to_be_damaged_is_good() {
    parse(REFERENCE).unwrap_or_else(|errors| panic!("{errors}"));
}
