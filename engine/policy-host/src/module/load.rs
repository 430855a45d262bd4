//! From a `[[policy]]` section to a policy that can be asked.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use wasmtime::component::Component;

use super::component::Import;
use super::package::Package;
use super::{builtin, compiled, component};
use crate::guest::{ConfigureResult, GuestTemplate};
use crate::{Host, Policy, PolicyError, answer, guest};
use tero_config as config;
use tero_config::ModuleSource;
use tero_time::calendar::Calendar;

/// Reads the module that the configuration names, and loads it.
pub(crate) fn load(host: &Host, config: &config::Policy) -> Result<Policy, PolicyError> {
    let module = read(host, &config.name, &config.module)?;
    load_module(host, config, &module)
}

/// Loads `module` in the place of the one that the configuration names.
pub(crate) fn load_module(
    host: &Host,
    config: &config::Policy,
    module: &[u8],
) -> Result<Policy, PolicyError> {
    let package = unpack(&config.name, module)?;
    let compiled = compile(host, &config.name, &package.module)?;
    configured(host, config, &compiled, module, package.settings)
}

fn unpack<'a>(name: &Arc<str>, module: &'a [u8]) -> Result<Package<'a>, PolicyError> {
    Package::of(module).map_err(|error| PolicyError::NotAModule {
        policy: Arc::clone(name),
        reason: error.to_string(),
    })
}

/// The component of a module: from disk, or compiled.
fn compile(host: &Host, name: &Arc<str>, module: &[u8]) -> Result<Component, PolicyError> {
    host.compiled.component(
        &host.runtime.engine,
        &compiled::digest(module),
        || component::encode(name, module),
        |error| PolicyError::NotAModule {
            policy: Arc::clone(name),
            reason: format!("{error:#}"),
        },
    )
}

/// A policy of a module as it was given. Settings that came along with it hold in the place of
/// those of the configuration.
fn configured(
    host: &Host,
    config: &config::Policy,
    compiled: &Component,
    module: &[u8],
    settings: Option<Cow<'_, str>>,
) -> Result<Policy, PolicyError> {
    let name = &config.name;
    let template = GuestTemplate {
        policy: Arc::clone(name),
        runtime: Arc::clone(&host.runtime),
        component: component::link(name, &host.runtime.engine, compiled)?,
        settings: settings.map_or_else(|| config.settings.clone(), Cow::into_owned),
        limits: config.limits,
        usage: Arc::default(),
    };
    host.runtime.keep(template.limits.deadline);
    let said = configure(&template)?;
    let manifest = answer::manifest(&said).map_err(|reason| PolicyError::Manifest {
        policy: Arc::clone(name),
        reason,
    })?;
    Ok(Policy::new(
        template,
        compiled::hex(&compiled::digest(module)),
        manifest,
        said,
        calendar(config)?,
        &config.limits,
    ))
}

/// What can be told of a module, as far as it goes.
#[derive(Debug)]
pub struct Inspection {
    /// Of the module as it was given, in bytes.
    pub size: usize,
    /// The SHA-256 of the module as it was given, in hexadecimal.
    pub digest: String,
    /// Whether it is a component already, and not a core module that is made one.
    pub is_component: bool,
    /// The version of the contract that it was built for, where it names one that is offered.
    pub contract: Option<String>,
    /// All that it imports, and what it is given; empty where that can't be told.
    pub imports: Vec<Import>,
    /// The policy with these settings, or why the module can't be used.
    pub policy: Result<Policy, PolicyError>,
}

/// Looks at a module.
///
/// # Errors
/// When it can't be read.
pub(crate) fn inspect(host: &Host, config: &config::Policy) -> Result<Inspection, PolicyError> {
    let module = read(host, &config.name, &config.module)?;
    let (mut contract, mut imports) = (None, Vec::new());
    let policy = unpack(&config.name, &module).and_then(|package| {
        let compiled = compile(host, &config.name, &package.module)?;
        let engine = &host.runtime.engine;
        imports = component::imports(engine, &compiled);
        contract = component::contract(&config.name, engine, &compiled)
            .ok()
            .map(|(_, found)| found);
        configured(host, config, &compiled, &module, package.settings)
    });
    let is_component = component::is_component(&module);
    let digest = compiled::hex(&compiled::digest(&module));
    Ok(Inspection {
        size: module.len(),
        digest,
        is_component,
        contract,
        imports,
        policy,
    })
}

/// The bytes of a module, as they were given.
fn read(host: &Host, policy: &Arc<str>, source: &ModuleSource) -> Result<Vec<u8>, PolicyError> {
    match source {
        ModuleSource::Builtin(name) => {
            builtin::builtin(name)
                .map(<[u8]>::to_vec)
                .ok_or_else(|| PolicyError::UnknownBuiltin {
                    policy: Arc::clone(policy),
                    name: name.clone(),
                    known: builtin::builtin_names()
                        .map(|known| format!("`{known}`"))
                        .collect::<Vec<_>>()
                        .join(", "),
                })
        }
        ModuleSource::File(path) => read_file(policy, path, host.max_module),
    }
}

fn read_file(policy: &Arc<str>, path: &Path, limit: u64) -> Result<Vec<u8>, PolicyError> {
    let unreadable = |source| PolicyError::Read {
        policy: Arc::clone(policy),
        path: path.to_owned(),
        source,
    };
    let mut module = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut module))
        .map_err(unreadable)?;
    if module.len() as u64 > limit {
        return Err(PolicyError::TooLarge {
            policy: Arc::clone(policy),
            limit,
        });
    }
    Ok(module)
}

/// Makes one instance, for its manifest and to see that it can be made.
fn configure(template: &GuestTemplate) -> Result<guest::RawManifest, PolicyError> {
    let policy = || Arc::clone(&template.policy);
    match template.instantiate() {
        Ok(ConfigureResult::Ready(_, manifest)) => Ok(manifest),
        Ok(ConfigureResult::Refused(message)) => Err(PolicyError::Settings {
            policy: policy(),
            message: readable(&message),
        }),
        Err(failure) => Err(PolicyError::Failed {
            policy: policy(),
            kind: failure.kind,
            reason: failure.reason,
        }),
    }
}

/// The policy's own words, safe to print: at most 4 KiB, and no control characters but line breaks.
fn readable(message: &str) -> String {
    let end = message.floor_char_boundary(4 << 10);
    message[..end]
        .chars()
        .filter(|char| !char.is_control() || *char == '\n')
        .collect()
}

fn calendar(config: &config::Policy) -> Result<Arc<Calendar>, PolicyError> {
    let Some(source) = &config.calendar else {
        return Ok(Calendar::empty());
    };
    config::calendars::load(source).map_err(|error| PolicyError::Calendar {
        policy: Arc::clone(&config.name),
        reason: error.to_string(),
    })
}
