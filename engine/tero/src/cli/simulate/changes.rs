//! What a simulation changes about a configuration: modules of policies, and the size of the memory.

use std::path::Path;

use crate::cli::compile::compiler;
use tero_config::{Config, ModuleSource, units};
use tero_control::rollout::RolloutError;
use tero_control::rollout::record::CONFIGURATION;
use tero_control::rollout::shelf::VersionShelf;
use tero_policy_host::check::check_policies_with;

/// A configuration with another module of a policy, as `NAME=MODULE` says; not [checked] yet. Versions are those in the
/// state directory of `file`, the configuration as it was written.
///
/// # Errors
/// Why not, for people.
pub(super) fn with_module(
    mut config: Config,
    file: &Config,
    change: &str,
) -> Result<Config, String> {
    let (name, module) = change
        .split_once('=')
        .ok_or("it is NAME=MODULE, or NAME=VERSION")?;
    let mut policies = config.policies.iter_mut();
    let policy = policies
        .find(|policy| &*policy.name == name)
        .ok_or_else(|| format!("no policy has the name {name}"))?;
    policy.module = module_of(file, name, module)?;
    Ok(config)
}

/// A configuration whose policies can decide together, so that a mistake is told before a long simulation,
/// not after.
///
/// # Errors
/// The first mistake, with its key and its cure.
pub(super) fn checked(config: Config) -> Result<Config, String> {
    let Err(mistakes) = check_policies_with(&config, "", &compiler()) else {
        return Ok(config);
    };
    let mistake = mistakes.errors.first();
    let told = mistake.map_or_else(String::new, |mistake| {
        format!("`{}`: {}; {}", mistake.key, mistake.problem, mistake.cure)
    });
    Err(told)
}

/// The module that a text names: a shipped policy, a version in the state directory, or a file.
fn module_of(file: &Config, policy: &str, text: &str) -> Result<ModuleSource, String> {
    if let Some(name) = text.strip_prefix("builtin:") {
        return Ok(ModuleSource::Builtin(name.to_owned()));
    }
    let path = Path::new(text);
    if !may_be_version(text) {
        return Ok(ModuleSource::File(path.to_owned()));
    }
    let Some(shelf) = VersionShelf::of(file) else {
        return match path.is_file() {
            true => Ok(ModuleSource::File(path.to_owned())),
            false => Err(format!(
                "the configuration has no state directory, in which versions lie; `./{text}` names a file"
            )),
        };
    };
    match shelf.module(policy, text) {
        Err(RolloutError::UnknownVersion { .. }) if path.is_file() => {
            Ok(ModuleSource::File(path.to_owned()))
        }
        module => module.map_err(|error| error.to_string()),
    }
}

/// Whether a text may be a number of a version, the beginning of a digest, or `configuration`.
fn may_be_version(text: &str) -> bool {
    text == CONFIGURATION || text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A configuration with another size of the memory; the parts of it keep their shares.
///
/// # Errors
/// Why not, for people.
pub(super) fn with_memory(mut config: Config, size: &str) -> Result<Config, String> {
    let memory = units::size(size.trim())
        .filter(|memory| *memory >= 1 << 20)
        .ok_or("it is a size from 1MiB on")?;
    let cache = &mut config.cache;
    let part = |of: u64| {
        u64::try_from(u128::from(of) * u128::from(memory) / u128::from(cache.memory.max(1)))
            .unwrap_or(memory)
    };
    (cache.fill_memory, cache.warm_memory) = (part(cache.fill_memory), part(cache.warm_memory));
    cache.max_object = cache.max_object.min(memory / 2).max(1);
    cache.memory = memory;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let text =
            "[[site]]\nname = \"a\"\nhosts = [\"a.example\"]\norigins = [\"http://127.0.0.1:1\"]";
        Config::parse(text, "tero.toml", Path::new("")).unwrap()
    }

    #[test]
    fn parts_of_the_memory_keep_their_shares() {
        let before = config().cache;
        let half = with_memory(config(), "256MiB").unwrap().cache;
        assert_eq!(half.memory, 256 << 20);
        assert_eq!(half.warm_memory * 2, before.warm_memory);
        assert_eq!(half.fill_memory * 2, before.fill_memory);
        assert!(with_memory(config(), "1B").is_err());
        assert!(with_module(config(), &config(), "hours=x.wasm").is_err());
    }

    #[test]
    fn a_module_is_a_shipped_one_a_version_or_a_file() {
        let module = |text| module_of(&config(), "hours", text);
        let is_file =
            |text| matches!(module(text), Ok(ModuleSource::File(path)) if path == Path::new(text));
        assert!(matches!(
            module("builtin:json-rules"),
            Ok(ModuleSource::Builtin(_))
        ));
        assert!(is_file("new.wasm") && is_file("./4") && is_file("dir/ab"));
        for version in ["4", "0a1b", "configuration"] {
            let error = module(version).unwrap_err();
            assert!(error.contains("no state directory"), "{error}");
        }
    }
}
