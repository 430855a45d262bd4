//! From a `[[policy]]` section to a loaded policy.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use wasmtime::component::Component;

use super::compiled::CompiledFolder;
use super::compiler::Compiler;
use super::component::Import;
use super::digest::digest;
use super::package::Package;
use super::{builtin, component, package};
use crate::answer;
use crate::error::PolicyError;
use crate::escape::escaped;
use crate::guest::{ConfigureResult, GuestTemplate, RawManifest};
use crate::policy::{Policy, PolicyModule};
use crate::runtime::Runtime;
use crate::tables::TableSet;
use crate::trust::TrustedKeys;
use tero_config as config;
use tero_config::ModuleSource;
use tero_time::calendar::Calendar;

/// What is kept of a policy's message about its settings, in bytes.
const MAX_MESSAGE_BYTES: usize = 4 << 10;

/// The properties of a module, as far as they can be found out.
#[derive(Debug)]
pub struct Inspection {
    /// The size of the module file, in bytes.
    pub size: usize,
    /// The SHA-256 of the module file, in hexadecimal.
    pub digest: String,
    /// Whether it is a component already. A core module is turned into one.
    pub is_component: bool,
    /// The version of the contract that it was built for; `None` if it names none that is offered.
    pub contract: Option<String>,
    /// All imports with their bindings; empty if they cannot be found out.
    pub imports: Vec<Import>,
    /// The policy with these settings, or the reason for which the module cannot be used.
    pub policy: Result<Policy, PolicyError>,
}

/// Loads modules: it knows the folder of compiled modules and the size limit.
#[derive(Debug)]
pub(crate) struct ModuleLoader {
    runtime: Arc<Runtime>,
    tables: Arc<TableSet>,
    compiled: CompiledFolder,
    max_module: u64,
    trust: TrustedKeys,
}

impl ModuleLoader {
    pub(crate) fn new(
        runtime: Runtime,
        tables: &Arc<TableSet>,
        config: &config::PolicyHost,
        compiler: Compiler,
    ) -> ModuleLoader {
        ModuleLoader {
            runtime: Arc::new(runtime),
            tables: Arc::clone(tables),
            compiled: CompiledFolder::new(config, compiler),
            max_module: config.max_module,
            trust: TrustedKeys::new(&config.trusted_keys),
        }
    }

    /// The size of the largest module that is loaded, in bytes.
    pub(crate) fn max_module(&self) -> u64 {
        self.max_module
    }

    /// The keys whose signatures are trusted.
    pub(crate) fn trust(&self) -> &TrustedKeys {
        &self.trust
    }

    /// Reads the module that the configuration names, and loads it.
    pub(crate) fn load(&self, config: &config::Policy) -> Result<Policy, PolicyError> {
        let module = self.read(&config.name, &config.module)?;
        self.load_module(config, &module)
    }

    /// Loads `module` in place of the module that the configuration names.
    pub(crate) fn load_module(
        &self,
        config: &config::Policy,
        module: &[u8],
    ) -> Result<Policy, PolicyError> {
        let package = unpack(&config.name, module)?;
        let compiled = self.compile(&config.name, &package.module)?;
        self.configured(config, &compiled, module, package.settings)
    }

    /// Inspects a module.
    ///
    /// # Errors
    /// The module cannot be read.
    pub(crate) fn inspect(&self, config: &config::Policy) -> Result<Inspection, PolicyError> {
        let module = self.read(&config.name, &config.module)?;
        let mut contract = None;
        let mut imports = Vec::new();
        let policy = unpack(&config.name, &module).and_then(|package| {
            let compiled = self.compile(&config.name, &package.module)?;
            let engine = &self.runtime.engine;
            imports = component::imports(engine, &compiled);
            contract = component::contract(&config.name, engine, &compiled)
                .ok()
                .map(|(_, found)| found);
            self.configured(config, &compiled, &module, package.settings)
        });
        Ok(Inspection {
            size: module.len(),
            digest: digest(&module),
            is_component: package::is_component(&module),
            contract,
            imports,
            policy,
        })
    }

    /// The bytes of the module that the configuration names.
    fn read(&self, policy: &Arc<str>, source: &ModuleSource) -> Result<Vec<u8>, PolicyError> {
        match source {
            ModuleSource::Builtin(name) => {
                builtin::builtin(name).map(<[u8]>::to_vec).ok_or_else(|| {
                    PolicyError::UnknownBuiltin {
                        policy: Arc::clone(policy),
                        name: name.clone(),
                        known: builtin::builtin_names()
                            .map(|known| format!("`{known}`"))
                            .collect::<Vec<_>>()
                            .join(", "),
                    }
                })
            }
            ModuleSource::File(path) => {
                let module = read_file(policy, path, self.max_module)?;
                match self.trust.check_file(path, &module) {
                    Ok(()) => Ok(module),
                    Err(source) => Err(PolicyError::Untrusted {
                        policy: Arc::clone(policy),
                        source,
                    }),
                }
            }
        }
    }

    /// The component of a module, from disk or compiled.
    fn compile(&self, name: &Arc<str>, module: &[u8]) -> Result<Component, PolicyError> {
        self.compiled.component(&self.runtime, name, module)
    }

    /// Configures a policy. `module` is the whole file, whose digest identifies the policy.
    /// Settings of a package replace those of the configuration.
    fn configured(
        &self,
        config: &config::Policy,
        compiled: &Component,
        module: &[u8],
        settings: Option<Cow<'_, str>>,
    ) -> Result<Policy, PolicyError> {
        let name = &config.name;
        let template = GuestTemplate {
            policy: Arc::clone(name),
            runtime: Arc::clone(&self.runtime),
            component: component::link(name, &self.runtime.engine, compiled)?,
            settings: settings.map_or_else(|| config.settings.clone(), Cow::into_owned),
            limits: config.limits,
            usage: Arc::default(),
        };
        self.runtime.keep(template.limits.deadline);
        let raw_manifest = configure(&template)?;
        let manifest = answer::manifest(&raw_manifest).map_err(|reason| PolicyError::Manifest {
            policy: Arc::clone(name),
            reason,
        })?;
        Ok(Policy::new(PolicyModule {
            template: Arc::new(template),
            digest: digest(module).into(),
            manifest,
            raw_manifest,
            calendar: calendar(config)?,
            tables: Arc::clone(&self.tables),
        }))
    }
}

fn unpack<'a>(name: &Arc<str>, module: &'a [u8]) -> Result<Package<'a>, PolicyError> {
    Package::of(module).map_err(|error| PolicyError::NotAModule {
        policy: Arc::clone(name),
        reason: error.to_string(),
    })
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

/// Makes one instance, to get its manifest and to see that it can be made.
fn configure(template: &GuestTemplate) -> Result<RawManifest, PolicyError> {
    let policy = || Arc::clone(&template.policy);
    match template.instantiate() {
        Ok(ConfigureResult::Ready(_, manifest)) => Ok(*manifest),
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

/// The policy's own message, safe to print: one line of at most 4 KiB.
fn readable(message: &str) -> String {
    let end = message.floor_char_boundary(MAX_MESSAGE_BYTES);
    let mut line = escaped(&message[..end]).into_owned();
    line.truncate(line.floor_char_boundary(MAX_MESSAGE_BYTES));
    line
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
