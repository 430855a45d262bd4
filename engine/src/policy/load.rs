//! From a `[[policy]]` section to a policy that can be asked.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::config::{self, ModuleSource};
use crate::policy::guest::{Configured, Template};
use crate::policy::{Host, Policy, PolicyError, answer, builtin, compiled, component, guest};
use crate::semantics::calendar::Calendar;

/// The largest module that is read. A Python policy with its interpreter has some 20 MiB.
const MAX_MODULE_BYTES: u64 = 64 << 20;

pub(super) fn load(host: &Host, config: &config::Policy) -> Result<Policy, PolicyError> {
    let name = &config.name;
    let module = read(name, &config.module)?;
    let digest = compiled::digest(&module);
    let engine = &host.runtime.engine;
    let compiled = host.compiled.component(
        engine,
        &digest,
        || component::encode(name, &module),
        |error| PolicyError::NotAModule { policy: Arc::clone(name), reason: format!("{error:#}") },
    )?;
    let template = Template {
        policy: Arc::clone(name),
        runtime: Arc::clone(&host.runtime),
        component: component::link(name, engine, &compiled)?,
        settings: config.settings.clone(),
        deadline: config.limits.deadline,
        memory_bytes: config.limits.memory,
        log: Arc::default(),
    };
    host.runtime.keep(template.deadline);
    let said = configure(&template)?;
    let manifest = answer::manifest(&said).map_err(|reason| PolicyError::Manifest { policy: Arc::clone(name), reason })?;
    Ok(Policy::new(template, compiled::hex(&digest), manifest, said, calendar(config)?, &config.limits))
}

/// The bytes of a module, as they were given.
fn read(policy: &Arc<str>, source: &ModuleSource) -> Result<Vec<u8>, PolicyError> {
    match source {
        ModuleSource::Builtin(name) => builtin::builtin(name).map(<[u8]>::to_vec).ok_or_else(|| PolicyError::UnknownBuiltin {
            policy: Arc::clone(policy),
            name: name.clone(),
            known: builtin::builtin_names().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", "),
        }),
        ModuleSource::File(path) => read_file(policy, path),
    }
}

fn read_file(policy: &Arc<str>, path: &Path) -> Result<Vec<u8>, PolicyError> {
    let unreadable = |source| PolicyError::Read { policy: Arc::clone(policy), path: path.to_owned(), source };
    let mut module = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_MODULE_BYTES + 1).read_to_end(&mut module)).map_err(unreadable)?;
    if module.len() as u64 > MAX_MODULE_BYTES {
        return Err(PolicyError::TooLarge { policy: Arc::clone(policy), limit_mib: MAX_MODULE_BYTES >> 20 });
    }
    Ok(module)
}

/// Makes one instance, for its manifest and to see that it can be made.
fn configure(template: &Template) -> Result<guest::RawManifest, PolicyError> {
    let policy = || Arc::clone(&template.policy);
    match template.instantiate() {
        Ok(Configured::Ready(_, manifest)) => Ok(manifest),
        Ok(Configured::Refused(message)) => Err(PolicyError::Settings { policy: policy(), message: readable(&message) }),
        Err(failure) => Err(PolicyError::Failed { policy: policy(), kind: failure.kind, reason: failure.reason }),
    }
}

/// The policy's own words, safe to print: at most 4 KiB, and no control characters but line breaks.
fn readable(message: &str) -> String {
    let end = message.floor_char_boundary(4 << 10);
    message[..end].chars().filter(|char| !char.is_control() || *char == '\n').collect()
}

fn calendar(config: &config::Policy) -> Result<Arc<Calendar>, PolicyError> {
    let Some(source) = &config.calendar else { return Ok(Calendar::empty()) };
    config::calendar::load(source)
        .map_err(|error| PolicyError::Calendar { policy: Arc::clone(&config.name), reason: error.to_string() })
}
