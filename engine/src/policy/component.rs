//! From the bytes of a module to a component, and from a component to something that can be instantiated: which version of the
//! contract it is for, what it imports, and what stands in for the parts of WASI that a language's runtime drags in.

use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{Component, Linker, LinkerInstance, Val, WasmStr};
use wit_component::ComponentEncoder;

use crate::policy::PolicyError;
use crate::policy::contract::PolicyPre;
use crate::policy::guest::{GuestState, NotGiven};

const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
/// The package of the contract, and the versions of it that are offered: these beginnings.
const PACKAGE: &str = "tero:policy/";
/// Where a core module imports functions of the world itself from: the log.
const ROOT: &str = "$root";
/// Interfaces with stubs.
const WASI: &str = "wasi:";
const OFFERED_VERSIONS: &[&str] = &["0.1."];

/// The binary of a component: as given, or made from a core module that says which contract it implements.
pub(super) fn encode(policy: &Arc<str>, module: &[u8]) -> Result<Vec<u8>, PolicyError> {
    let no_module = |reason: String| PolicyError::NotAModule { policy: Arc::clone(policy), reason };
    if module.starts_with(COMPONENT) {
        return Ok(module.to_vec());
    }
    if !module.starts_with(CORE_MODULE) {
        return Err(no_module("it does not begin as one".to_owned()));
    }
    // The decoder takes the lengths that sections give for true.
    if let Some(Err(error)) = wasmparser::Parser::new(0).parse_all(module).find(Result::is_err) {
        return Err(no_module(error.to_string()));
    }
    let (_, described) = wit_component::metadata::decode(module).map_err(|error| no_module(format!("{error:#}")))?;
    let packages = described.resolve.packages.iter().map(|(_, package)| &package.name);
    let ours = packages.filter(|name| name.namespace == "tero" && name.name == "policy").collect::<Vec<_>>();
    if ours.is_empty() {
        let reason = "it says of no contract that it implements it (was it built with an SDK?)".to_owned();
        return Err(PolicyError::NoContract { policy: Arc::clone(policy), reason });
    }
    for name in ours {
        let found = name.version.as_ref().map(ToString::to_string).unwrap_or_default();
        check_version(policy, &found)?;
    }
    let mut encoder = ComponentEncoder::default();
    encoder.module(module).and_then(|encoder| encoder.validate(true).encode()).map_err(|error| {
        let policy = Arc::clone(policy);
        match foreign_import(module) {
            Some(import) => PolicyError::NotOffered { policy, import },
            None => PolicyError::NoContract { policy, reason: format!("{error:#}") },
        }
    })
}

/// The first import of a core module that belongs to no component: what the encoder stumbles over has its own cure.
fn foreign_import(module: &[u8]) -> Option<String> {
    let offered = |from: &str| from == ROOT || from.starts_with(PACKAGE) || from.starts_with(WASI);
    wasmparser::Parser::new(0)
        .parse_all(module)
        .filter_map(|part| match part {
            Ok(wasmparser::Payload::ImportSection(imports)) => Some(imports),
            _ => None,
        })
        .flat_map(|imports| imports.into_imports().flatten())
        .find(|import| !offered(import.module))
        .map(|import| format!("{}#{}", import.module, import.name))
}

fn check_version(policy: &Arc<str>, found: &str) -> Result<(), PolicyError> {
    if OFFERED_VERSIONS.iter().any(|offered| found.starts_with(offered)) {
        return Ok(());
    }
    Err(PolicyError::ContractVersion { policy: Arc::clone(policy), found: found.to_owned() })
}

/// Gives the component what it imports, if all of that is offered, and checks that it exports the contract.
pub(super) fn link(policy: &Arc<str>, engine: &Engine, component: &Component) -> Result<PolicyPre<GuestState>, PolicyError> {
    let unlike = |error: wasmtime::Error| PolicyError::NoContract { policy: Arc::clone(policy), reason: format!("{error:#}") };
    let mut linker = Linker::new(engine);
    for (name, import) in component.component_type().imports(engine) {
        match &import.ty {
            ComponentItem::ComponentFunc(_) if name == "log" => {
                linker.root().func_wrap("log", |mut store, (message,): (WasmStr,)| log(&mut store, &message)).map_err(unlike)?;
            }
            ComponentItem::ComponentInstance(_) if name.starts_with(PACKAGE) => {
                check_version(policy, name.split_once('@').map_or("", |(_, version)| version))?;
            }
            ComponentItem::ComponentInstance(instance) if name.starts_with(WASI) => {
                deny(&mut linker, engine, name, instance).map_err(unlike)?;
            }
            _ => return Err(PolicyError::NotOffered { policy: Arc::clone(policy), import: name.to_owned() }),
        }
    }
    // What is still missing is functions and resources of WASI.
    linker.define_unknown_imports_as_traps(component).map_err(unlike)?;
    let instance = linker.instantiate_pre(component).map_err(unlike)?;
    PolicyPre::new(instance).map_err(unlike)
}

/// Stands in for an interface of WASI. Where the truth is "there is none", that is the answer: no arguments, no environment, no
/// folders, no terminal. Whatever else is called fails; a stub never makes something up.
fn deny(linker: &mut Linker<GuestState>, engine: &Engine, interface: &str, instance: &ComponentInstance) -> wasmtime::Result<()> {
    let mut stub = linker.instance(interface)?;
    for (name, export) in instance.exports(engine) {
        if let ComponentItem::ComponentFunc(_) = export.ty {
            match name {
                "get-environment" | "get-arguments" | "get-directories" => answer(&mut stub, name, Val::List(Vec::new()))?,
                "initial-cwd" | "get-initial-cwd" | "get-terminal-stdin" | "get-terminal-stdout" | "get-terminal-stderr" => {
                    answer(&mut stub, name, Val::Option(None))?;
                }
                _ => {
                    let denied = NotGiven(format!("{interface}#{name}").into());
                    stub.func_new(name, move |_, _, _, _| Err(wasmtime::Error::new(denied.clone())))?;
                }
            }
        }
    }
    Ok(())
}

fn answer(stub: &mut LinkerInstance<'_, GuestState>, name: &str, truth: Val) -> wasmtime::Result<()> {
    stub.func_new(name, move |_, _, _, results| {
        if let Some(result) = results.first_mut() {
            *result = truth.clone();
        }
        Ok(())
    })
}

/// The only import: a line for the operator's log.
fn log(store: &mut wasmtime::StoreContextMut<'_, GuestState>, message: &WasmStr) -> wasmtime::Result<()> {
    if !store.data_mut().may_log() {
        return Ok(());
    }
    let line = one_line(&message.to_str(&*store)?);
    tracing::info!(policy = &*store.data().policy, "{line}");
    Ok(())
}

/// How long a line of a policy in the log may be, in bytes.
const MAX_LOG_LINE_BYTES: usize = 1 << 10;

/// The beginning of the message, without what would break the log's own lines.
fn one_line(message: &str) -> String {
    let end = message.floor_char_boundary(MAX_LOG_LINE_BYTES);
    message[..end].chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_is_cut_between_characters_and_stays_one_line() {
        assert_eq!(one_line("a\nb\x1b[31m"), "a b [31m");
        let long = "ñ".repeat(1_000);
        assert_eq!(one_line(&long).len(), MAX_LOG_LINE_BYTES);
        assert_eq!(one_line(&format!("x{long}")).len(), MAX_LOG_LINE_BYTES - 1);
    }
}
