//! The loader: defaults, written values, and files that can't be read.

mod acme;
mod cluster;
mod damage;
mod limits;
mod mistakes;

use std::path::Path;
use std::time::Duration;

use super::*;
use tero_semantics::authority::Scheme;

/// The smallest configuration; the cases are written behind it or before it.
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
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:9090");
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
            scheme: Scheme::Http,
            endpoint: OriginEndpoint::Tcp {
                host: "127.0.0.1".to_owned(),
                port: 3000
            },
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
fn a_listener_of_its_own_takes_the_place_of_the_default() {
    let listener = "[[server.listener]]\naddress = \"[::]:81\"\ndual_stack = true\n";
    let config = parse(&format!("{SITE}{listener}")).unwrap();
    assert!(config.server.listen.is_empty());
    let listeners = config.server.all_listeners();
    assert_eq!(listeners.len(), 1);
    assert_eq!(listeners[0].address.to_string(), "[::]:81");
    let both = format!("{SITE}[server]\nlisten = [\"0.0.0.0:80\"]\n{listener}");
    let both = parse(&both).unwrap().server.all_listeners();
    let addresses: Vec<_> = both.iter().map(|one| one.address.to_string()).collect();
    assert_eq!(addresses, ["0.0.0.0:80", "[::]:81"]);
}

#[test]
fn written_values_replace_the_defaults() {
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

#[test]
fn every_default_is_good() {
    let tables = "[site.refresh_ahead]\n[access_log]\n\
        [[policy]]\nname = \"p\"\nmodule = \"builtin:x\"\n[policy.limits]\n\
        [[warm]]\nname = \"w\"\nsite = \"shop\"\n";
    let config = parse(&format!("{SITE}{tables}")).unwrap();
    let refresh_ahead = config.sites[0].refresh_ahead.as_ref().unwrap();
    assert_eq!(refresh_ahead.before, Duration::from_secs(10));
    assert_eq!(config.policies[0].limits, PolicyLimits::default());
    assert_eq!(config.policies[0].settings, "{}");
    assert_eq!(config.plans[0].variants, PlanVariants::Seen);
    assert_eq!(config.access_log.unwrap().path, Path::new("-"));
    assert_eq!(PolicyHost::default().state_dir, None);
}

#[test]
fn a_file_without_a_site_is_refused_with_a_cure() {
    let found = mistakes("");
    assert_eq!(found.len(), 1);
    assert!(found[0].cure.contains("[[site]]"));
}

#[test]
fn a_missing_file_is_a_mistake() {
    let errors = Config::load(Path::new("/nowhere/tero.toml")).unwrap_err();
    assert!(
        errors.to_string().contains("/nowhere/tero.toml"),
        "{errors}"
    );
}

#[test]
fn a_file_is_read_no_further_than_its_bound() {
    // It has a length of zero, and never ends.
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
