//! Checks a configuration together with its policies: the mistakes that only appear once the
//! policies are loaded.

mod settings;
mod warnings;

pub use warnings::warnings;

use std::path::Path;
use std::sync::Arc;

use crate::chain::Chain;
use crate::device::{Device, DeviceModels};
use crate::error::PolicyError;
use crate::host::Host;
use crate::manifest::Hook;
use crate::module::compiler::Compiler;
use crate::names::check_names;
use crate::policy::Policy;
use crate::tables::{TableData, TableFileError};
use crate::trust::{TrustedKeys, signature_path};
use tero_config::{
    Config, ConfigError, ConfigErrors, FilePosition, Mistake, Mistakes, ModuleSource, Plan,
    PlanVariants, Site, calendars, did_you_mean, forms, read_text,
};
use tero_semantics::host_pattern::{belongs, is_pattern};
use tero_semantics::timestamp::Timestamp;

/// Reads the configuration at `path`, loads its policies with their settings, and checks whether
/// sites and plans can use them. Their modules are compiled as `compiler` says.
///
/// # Errors
/// Every mistake in the file. If there is none, every mistake that the policies bring to light.
pub fn check_file(path: &Path, compiler: &Compiler) -> Result<Config, ConfigErrors> {
    let config = Config::load(path)?;
    // The file could be read a moment ago. Without its text, mistakes have no excerpt.
    let text = read_text(path).unwrap_or_default();
    check_policies_with(&config, &text, compiler)?;
    Ok(config)
}

/// Loads the policies of `config`, whose file has this `text`, and checks whether sites and plans
/// can use them.
///
/// # Errors
/// Every mistake that comes to light, with the place of its entry.
pub fn check_policies(config: &Config, text: &str) -> Result<(), ConfigErrors> {
    check_policies_with(config, text, &Compiler::InProcess)
}

/// As [`check_policies`]. Modules are compiled as `compiler` says.
///
/// # Errors
/// As [`check_policies`].
pub fn check_policies_with(
    config: &Config,
    text: &str,
    compiler: &Compiler,
) -> Result<(), ConfigErrors> {
    let mistakes = Mistakes::of(&config.file, text);
    let add = |place: FilePosition, key: &str, mistake: Mistake| {
        mistakes.add(&line_at(text, place), key, mistake)
    };
    match Host::with_compiler(&config.policy_host, compiler) {
        Ok(host) => {
            let policies = load(&host, config, text, &mistakes);
            chains(&host, config, &policies, &add);
        }
        Err(error) => add(FilePosition::default(), "policies", mistake_of(&error)),
    }
    tables(config, &add);
    if let Err(error) = DeviceModels::load(config.server.device_models.as_deref()) {
        let cure = "correct the file, or leave `device_models` out to take the list of tero";
        add(
            FilePosition::default(),
            "server.device_models",
            Mistake::new(error.to_string(), cure),
        );
    }
    mistakes.into_result()
}

/// Reads the data tables.
fn tables(config: &Config, add: Add<'_>) {
    let trust = TrustedKeys::new(&config.policy_host.trusted_keys);
    for entry in &config.tables {
        if let Err(error) = TableData::read(entry, config.policy_host.max_table, &trust, None) {
            // The cure comes by itself.
            let problem = match &error {
                TableFileError::Content { path, source } => {
                    let line = source
                        .line
                        .map_or_else(String::new, |line| format!(" line {line}:"));
                    format!("{},{line} {}", path.display(), source.problem)
                }
                _ => error.to_string(),
            };
            add(
                entry.place,
                "table.file",
                Mistake::new(problem, error.cure()),
            );
        }
    }
    if config.tables.len() > config.policy_host.max_tables {
        let problem = format!("these are {} tables", config.tables.len());
        let cure = "write fewer, or raise policies.max_tables";
        let place = config.tables[config.policy_host.max_tables].place;
        add(place, "table", Mistake::new(problem, cure));
    }
}

type Add<'a> = &'a dyn Fn(FilePosition, &str, Mistake);

/// Loads each policy; `None` if it cannot be used.
fn load(
    host: &Host,
    config: &Config,
    text: &str,
    mistakes: &Mistakes<'_>,
) -> Vec<Option<Arc<Policy>>> {
    let settings = settings::SettingsDocument::of(config, text);
    let loaded = config.policies.iter().map(|entry| match host.load(entry) {
        Ok(policy) => Some(policy),
        Err(error) => {
            let (at, mistake) = settings.locate(&entry.name, &error, mistake_of(&error));
            mistakes.add(
                &at.unwrap_or_else(|| line_at(text, entry.place)),
                key_of(&error),
                mistake,
            );
            None
        }
    });
    loaded.collect()
}

/// What is worth knowing and nothing to correct: the current or coming years of which a policy's
/// calendar has what laws fix, while decrees are not known; zones that are named like
/// abbreviations.
pub fn notices(config: &Config, now: Timestamp) -> Vec<ConfigError> {
    let mut notices = Vec::new();
    for policy in &config.policies {
        let Some(Ok(calendar)) = policy.calendar.as_ref().map(calendars::load) else {
            continue;
        };
        let FilePosition { line, column } = policy.place;
        notices.extend(calendars::years_by_law(&calendar, now).into_iter().map(|year| ConfigError {
            file: config.file.to_string(),
            line,
            column,
            key: "policy.calendar".to_owned(),
            problem: format!(
                "the calendar of the policy `{}` has the holidays of {year} by law; decrees for {year} are not known",
                policy.name
            ),
            cure: format!("once they are published, add their days in a calendar file that extends this one, with years = [{year}] at its top"),
            at: 0..0,
        }));
    }
    notices.extend(unchecked_signatures(config));
    let sites = config.sites.iter();
    let sites = sites.map(|site| (site.place, "site.zone", site.zone));
    let plans = config.plans.iter();
    let plans = plans.map(|plan| (plan.place, "warm.zone", plan.zone));
    for (FilePosition { line, column }, key, zone) in sites.chain(plans) {
        let Some(zone) = zone else { continue };
        let Some(place) = forms::place_instead_of(zone) else {
            continue;
        };
        notices.push(ConfigError {
            file: config.file.to_string(),
            line,
            column,
            key: key.to_owned(),
            problem: format!(
                "the zone `{zone}` is named like an abbreviation, and has the clock of one place"
            ),
            cure: format!("name the place: \"{place}\""),
            at: 0..0,
        });
    }
    notices
}

/// Signatures beside files, while no key is trusted: perhaps the keys were removed by mistake.
fn unchecked_signatures(config: &Config) -> Vec<ConfigError> {
    if !config.policy_host.trusted_keys.is_empty() {
        return Vec::new();
    }
    let modules = config
        .policies
        .iter()
        .filter_map(|policy| match &policy.module {
            ModuleSource::File(path) => Some((policy.place, "policy.module", path)),
            ModuleSource::Builtin(_) => None,
        });
    let tables = config.tables.iter();
    let tables = tables.map(|table| (table.place, "table.file", &table.file));
    let signed = modules
        .chain(tables)
        .filter(|(_, _, path)| signature_path(path).exists());
    let notices = signed.map(|(FilePosition { line, column }, key, path)| ConfigError {
        file: config.file.to_string(),
        line,
        column,
        key: key.to_owned(),
        problem: format!(
            "{} is signed, and no signature is checked: files and pushes are accepted without one",
            path.display()
        ),
        cure: "name the public key in policies.trusted_keys".to_owned(),
        at: 0..0,
    });
    notices.collect()
}

fn chains(host: &Host, config: &Config, policies: &[Option<Arc<Policy>>], add: Add<'_>) {
    for site in &config.sites {
        let named = site.policies.iter().map(|name| {
            let index = config
                .policies
                .iter()
                .position(|policy| policy.name == *name)?;
            policies[index].clone()
        });
        // An unusable policy has been reported already.
        let Some(chosen) = named.collect::<Option<Vec<_>>>() else {
            continue;
        };
        let mut known = chosen.iter();
        if let Some(error) =
            known.find_map(|policy| check_names(policy, site, &config.limits).err())
        {
            add(site.place, "site.policies", mistake_of(&error));
            continue;
        }
        match Chain::new(host, chosen, config.cache.max_policy_variants) {
            Ok(chain) => plans(config, site, &chain, add),
            Err(error) => add(site.place, "site.policies", mistake_of(&error)),
        }
    }
}

/// The hosts of all sites but this one.
fn hosts_of_others<'c>(config: &'c Config, site: &Site) -> Vec<&'c String> {
    let others = config.sites.iter().filter(|other| other.name != site.name);
    others.flat_map(|other| &other.hosts).collect()
}

/// Checks that the plans of a site fetch something, in variants that exist.
fn plans(config: &Config, site: &Site, chain: &Chain, add: Add<'_>) {
    for plan in config.plans.iter().filter(|plan| plan.site == site.name) {
        let refuse = |key: &str, mistake: Mistake| add(plan.place, key, mistake);
        match &plan.host {
            None if site.hosts.iter().all(|host| is_pattern(host)) => {
                let problem = format!(
                    "the site `{}` has no host name, so it is unknown under which host its pages will be requested",
                    site.name
                );
                let cure = "write `host` here, or add the site's own host name to `hosts`";
                refuse("warm.site", Mistake::new(problem, cure));
            }
            Some(host) if !belongs(host, &site.hosts, &hosts_of_others(config, site)) => {
                let problem = format!("`{host}` is not a host of the site `{}`", site.name);
                let cure = format!("write one of {}", site.hosts.join(", "));
                refuse("warm.host", Mistake::new(problem, cure));
            }
            _ => {}
        }
        for variant in unknown_variants(plan, chain) {
            refuse("warm.variants", variant_mistake(variant, chain));
        }
        if !has_source(plan, chain) {
            let cure =
                "write urls, url_files, sitemap or popular, or give the site a policy that plans";
            let problem = format!("the plan `{}` has nothing to fetch", plan.name);
            refuse("warm", Mistake::new(problem, cure));
        }
    }
}

/// The names that a plan may use for variants: the variants of the site's policies, and the device
/// classes.
fn known_variants(chain: &Chain) -> impl Iterator<Item = &str> {
    chain
        .variants()
        .iter()
        .map(AsRef::as_ref)
        .chain(Device::ALL.map(Device::as_str))
}

/// The unknown variants that a plan names.
fn unknown_variants<'a>(plan: &'a Plan, chain: &'a Chain) -> impl Iterator<Item = &'a String> {
    let named: &[String] = match &plan.variants {
        PlanVariants::These(named) => named,
        PlanVariants::Seen | PlanVariants::All => &[],
    };
    named
        .iter()
        .filter(|variant| !known_variants(chain).any(|name| name == **variant))
}

fn variant_mistake(variant: &str, chain: &Chain) -> Mistake {
    let known = || known_variants(chain);
    let cure = match did_you_mean(variant, known()) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("the site has {}", known().collect::<Vec<_>>().join(", ")),
    };
    Mistake::new(
        format!("`{variant}` is neither a variant of the site's policies nor a device class"),
        cure,
    )
}

/// Whether a plan names pages, or the site has a policy that does.
fn has_source(plan: &Plan, chain: &Chain) -> bool {
    !plan.urls.is_empty()
        || !plan.url_files.is_empty()
        || !plan.sitemaps.is_empty()
        || plan.popular > 0
        || chain
            .policies()
            .iter()
            .any(|policy| policy.manifest().hooks.contains(&Hook::PlanWarm))
}

/// The key of `[[policy]]` that the error is about.
pub(crate) fn key_of(error: &PolicyError) -> &'static str {
    match error {
        PolicyError::Settings { .. } => "policy.settings",
        PolicyError::Calendar { .. } => "policy.calendar",
        _ => "policy.module",
    }
}

/// The cure for a policy that cannot be used.
pub fn cure(error: &PolicyError) -> &'static str {
    match error {
        PolicyError::Engine { .. } => "run it on a machine that allows WebAssembly to be compiled",
        PolicyError::Read { .. } => "write the path of a .wasm file",
        PolicyError::UnknownBuiltin { .. } => {
            "write one of these names, or the path of a .wasm file"
        }
        PolicyError::TooLarge { .. } => {
            "build it with optimisation and without debug information, or raise policies.max_module"
        }
        PolicyError::CompileLimit { .. } => {
            "make the module smaller or its functions simpler, or raise policies.compile_timeout and policies.compile_memory"
        }
        PolicyError::NotAModule { .. } => "build the policy for wasm32-unknown-unknown",
        PolicyError::NoContract { .. } | PolicyError::ContractVersion { .. } => {
            "build it with the SDK of this version"
        }
        PolicyError::NotOffered { .. } => {
            "build it for wasm32-unknown-unknown: a policy gets all its inputs as arguments"
        }
        PolicyError::Untrusted { source, .. } => source.cure(),
        PolicyError::Settings { .. } => "correct the settings",
        PolicyError::Manifest { .. } | PolicyError::Failed { .. } => {
            "correct the policy, or use the previous version"
        }
        PolicyError::Calendar { .. } => "correct the calendar file",
        PolicyError::UnknownName { kind, .. } => match *kind {
            "origin" => {
                "name the origin in a [[site.origin]], or correct the settings of the policy"
            }
            _ => "write class in a [[limit]] of the site, or correct the settings of the policy",
        },
        PolicyError::TooManyVariants { .. } => {
            "use fewer policies with variants, or raise cache.max_policy_variants"
        }
    }
}

/// The error of a policy as a mistake with its cure.
pub(crate) fn mistake_of(error: &PolicyError) -> Mistake {
    Mistake::new(error.to_string(), cure(error))
}

/// The range of the line at `place`.
fn line_at(text: &str, place: FilePosition) -> std::ops::Range<usize> {
    let start: usize = text
        .split_inclusive('\n')
        .take(place.line.saturating_sub(1))
        .map(str::len)
        .sum();
    let line = text[start..].lines().next().unwrap_or_default();
    start..start + line.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = r#"
[policies]
compiled_cache = ""
[[policy]]
name = "rules"
module = "builtin:json-rules"
settings = { rules = [{ match = ["*"], ttl = 1 }], variants = { phone = { devices = ["mobile"] }, slab = { devices = ["tablet"] } } }
[[site]]
name = "shop"
hosts = ["shop.example"]
origins = ["http://127.0.0.1:1"]
policies = ["rules"]
[[warm]]
name = "opening"
site = "shop"
urls = ["/"]
variants = ["phone", "desktop"]
"#;

    fn check(text: &str, folder: &Path) -> Vec<String> {
        // Later cases find the modules that earlier ones compiled there.
        let text = &text.replace(
            "compiled_cache = \"\"",
            &format!("compiled_cache = {:?}", folder.display().to_string()),
        );
        let config = Config::parse(text, "tero.toml", Path::new(""))
            .unwrap_or_else(|errors| panic!("{errors}"));
        let errors = check_policies(&config, text)
            .err()
            .map(|errors| errors.errors)
            .unwrap_or_default();
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
    fn mistakes_that_policies_reveal_are_reported_at_their_entries() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(check(START, folder.path()), [""; 0]);
        for (good, bad, parts) in [
            (
                "ttl = 1",
                "tll = 1",
                &["7 policy.settings: ", "tll", "correct the settings"][..],
            ),
            (
                "builtin:json-rules",
                "builtin:json-rulse",
                &["4 policy.module: ", "json-rulse", "json-rules"],
            ),
            (
                "[\"phone\", ",
                "[\"phne\", ",
                &["13 warm.variants: ", "`phne`", "did you mean \"phone\"?"],
            ),
            (
                "urls = [\"/\"]",
                "urls = []",
                &[
                    "13 warm: ",
                    "nothing to fetch",
                    "urls, url_files, sitemap or popular",
                ],
            ),
            (
                "[\"shop.example\"]",
                "[\"*\"]",
                &["13 warm.site: ", "no host name", "hosts"],
            ),
            (
                "[policies]",
                "[cache]\nmax_policy_variants = 1\n[policies]",
                &["10 site.policies: ", "2", "max_policy_variants"],
            ),
        ] {
            assert!(START.contains(good), "{good}");
            let told = check(&START.replace(good, bad), folder.path());
            assert_eq!(told.len(), 1, "{bad}: {told:?}");
            assert!(
                told[0].starts_with(parts[0]) && parts.iter().all(|part| told[0].contains(part)),
                "{bad}: {told:?}"
            );
        }
    }

    #[test]
    fn a_file_that_is_not_a_module_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.wasm"), "not wasm").unwrap();
        std::fs::write(
            folder.path().join("tero.toml"),
            START.replace("builtin:json-rules", "x.wasm"),
        )
        .unwrap();
        let errors =
            check_file(&folder.path().join("tero.toml"), &Compiler::InProcess).unwrap_err();
        assert_eq!(
            (errors.errors.len(), errors.errors[0].key.as_str()),
            (1, "policy.module"),
            "{errors}"
        );
    }
}
