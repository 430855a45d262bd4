//! From the bytes of a module to a component that can be instantiated: its version of the contract,
//! its imports, and the stubs for the parts of WASI that language runtimes import.

use std::borrow::Cow;
use std::sync::Arc;

use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{Component, Linker, LinkerInstance, Val, WasmStr};
use wasmtime::{Engine, StoreContextMut};

use super::{package, wrap};
use crate::contract::ContractVersion;
use crate::contract::exports::LinkedComponent;
use crate::contract::types::Row;
use crate::error::PolicyError;
use crate::escape::escaped;
use crate::guest::state::{GuestState, MissingImport};

const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
/// The package of the contract.
const PACKAGE: &str = "tero:policy/";
/// The interface of data tables, of any version.
const TABLES: &str = "tero:policy/tables@";
/// The module from which a core module imports the functions of the world itself: the log.
const ROOT: &str = "$root";
/// The beginning of the names of the custom sections with a core module's contract.
const METADATA: &str = "component-type";
/// The interfaces that have stubs.
const WASI: &str = "wasi:";

/// The binary of a component: the module itself, or made from a core module that names its
/// contract. Custom sections that say nothing about the contract are left out: they mean nothing
/// for what the module does, so a malformed one doesn't refuse it.
pub(super) fn encode(policy: &Arc<str>, module: &[u8]) -> Result<Vec<u8>, PolicyError> {
    if package::is_component(module) {
        return Ok(package::without_custom_sections(module, |_| false).into_owned());
    }
    let module = &*package::without_custom_sections(module, |name| name.starts_with(METADATA));
    if wrap::is_bare(module) {
        return wrap::wrap(module, None)
            .map(|wrapped| wrapped.component)
            .map_err(|error| PolicyError::NoContract {
                policy: Arc::clone(policy),
                reason: error.to_string(),
            });
    }
    let found = named_versions(policy, module)?;
    version(policy, found.iter().map(String::as_str))?;
    wrap::encoded(module).map_err(|error| {
        let policy = Arc::clone(policy);
        match foreign_import(module) {
            Some(import) => PolicyError::NotOffered { policy, import },
            None => PolicyError::NoContract {
                policy,
                reason: error.to_string(),
            },
        }
    })
}

/// The versions of the contract that a core module names; at least one.
fn named_versions(policy: &Arc<str>, module: &[u8]) -> Result<Vec<String>, PolicyError> {
    let no_module = |reason: String| PolicyError::NotAModule {
        policy: Arc::clone(policy),
        reason,
    };
    if !module.starts_with(CORE_MODULE) {
        return Err(no_module("it does not begin like one".to_owned()));
    }
    // The decoder trusts the lengths of sections, so they are checked first.
    let mut parts = wasmparser::Parser::new(0).parse_all(module);
    if let Some(Err(error)) = parts.find(Result::is_err) {
        return Err(no_module(error.to_string()));
    }
    let (_, described) =
        wit_component::metadata::decode(module).map_err(|error| no_module(format!("{error:#}")))?;
    let packages = described.resolve.packages.iter();
    let found = packages
        .map(|(_, package)| &package.name)
        .filter(|name| name.namespace == "tero" && name.name == "policy")
        .map(|name| {
            let version = name.version.as_ref();
            version.map(ToString::to_string).unwrap_or_default()
        })
        .collect::<Vec<_>>();
    if found.is_empty() {
        return Err(PolicyError::NoContract {
            policy: Arc::clone(policy),
            reason: "it does not name a contract that it implements (was it built with an SDK?)"
                .to_owned(),
        });
    }
    Ok(found)
}

/// The first import of a core module that is not offered. It has a better cure than the encoder's
/// error.
fn foreign_import(module: &[u8]) -> Option<String> {
    wasmparser::Parser::new(0)
        .parse_all(module)
        .filter_map(|part| match part {
            Ok(wasmparser::Payload::ImportSection(imports)) => Some(imports),
            _ => None,
        })
        .flat_map(|imports| imports.into_imports().flatten())
        .find(|import| !is_offered(import.module))
        .map(|import| format!("{}#{}", import.module, import.name))
}

/// Whether a core module may import from this module.
fn is_offered(from: &str) -> bool {
    from == ROOT
        || from == wrap::preview1::MODULE
        || from.starts_with(PACKAGE)
        || from.starts_with(WASI)
}

/// The newest of the named versions.
fn version<'a>(
    policy: &Arc<str>,
    found: impl IntoIterator<Item = &'a str>,
) -> Result<(&'static ContractVersion, &'a str), PolicyError> {
    match ContractVersion::of(found) {
        Ok(Some(version)) => Ok(version),
        Ok(None) => {
            let reason = "it does not import the contract, not even its types".to_owned();
            Err(PolicyError::NoContract {
                policy: Arc::clone(policy),
                reason,
            })
        }
        Err(found) => Err(PolicyError::ContractVersion {
            policy: Arc::clone(policy),
            found: found.to_owned(),
        }),
    }
}

/// The version of the contract that a component was built for, and its number as the imports name
/// it.
pub(super) fn contract(
    policy: &Arc<str>,
    engine: &Engine,
    component: &Component,
) -> Result<(&'static ContractVersion, String), PolicyError> {
    let ty = component.component_type();
    let ours = ty
        .imports(engine)
        .filter(|(name, _)| name.starts_with(PACKAGE));
    let found = ours
        .map(|(name, _)| {
            name.split_once('@')
                .map_or("", |(_, version)| version)
                .to_owned()
        })
        .collect::<Vec<_>>();
    version(policy, found.iter().map(String::as_str))
        .map(|(version, found)| (version, found.to_owned()))
}

/// An import of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The name as the component writes it. A function of an interface follows `#`.
    pub name: String,
    /// The binding that it is given.
    pub given: ImportBinding,
}

/// The binding that a component is given for an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportBinding {
    /// The operator's log.
    Log,
    /// The types of the contract, which hold no code.
    Types,
    /// The data tables that the manifest names.
    Tables,
    /// A stub that truthfully answers that there are none: no arguments, no environment, no
    /// folders, no terminal.
    None,
    /// A stub that fails when it is called.
    Failure,
    /// Nothing. A module that imports it is refused.
    NotOffered,
}

impl ImportBinding {
    /// The text for people and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            ImportBinding::Log => "log",
            ImportBinding::Types => "types",
            ImportBinding::Tables => "data tables",
            ImportBinding::None => "answers that there is none",
            ImportBinding::Failure => "fails when it is called",
            ImportBinding::NotOffered => "not offered",
        }
    }
}

/// All imports of a component, with their bindings.
pub(super) fn imports(engine: &Engine, component: &Component) -> Vec<Import> {
    let ty = component.component_type();
    let seen =
        ty.imports(engine).flat_map(
            |(name, import)| match (given(name, &import.ty), &import.ty) {
                (ImportBinding::Failure, ComponentItem::ComponentInstance(instance)) => instance
                    .exports(engine)
                    .filter(|(_, export)| matches!(export.ty, ComponentItem::ComponentFunc(_)))
                    .map(|(function, _)| Import {
                        name: format!("{name}#{function}"),
                        given: stub(name, function).0,
                    })
                    .collect::<Vec<_>>(),
                (given, _) => vec![Import {
                    name: name.to_owned(),
                    given,
                }],
            },
        );
    seen.collect()
}

/// The binding of an import; [`ImportBinding::Failure`] for every interface with stubs.
fn given(name: &str, ty: &ComponentItem) -> ImportBinding {
    match ty {
        ComponentItem::ComponentFunc(_) if name == "log" => ImportBinding::Log,
        ComponentItem::ComponentInstance(_) if name.starts_with(TABLES) => ImportBinding::Tables,
        ComponentItem::ComponentInstance(_) if name.starts_with(PACKAGE) => ImportBinding::Types,
        ComponentItem::ComponentInstance(_) if name.starts_with(WASI) => ImportBinding::Failure,
        _ => ImportBinding::NotOffered,
    }
}

/// Links a component with its imports, if all are offered, and checks that it exports the contract.
pub(super) fn link(
    policy: &Arc<str>,
    engine: &Engine,
    component: &Component,
) -> Result<Box<dyn LinkedComponent>, PolicyError> {
    let unlike = |error: wasmtime::Error| PolicyError::NoContract {
        policy: Arc::clone(policy),
        reason: format!("{error:#}"),
    };
    let mut linker = Linker::new(engine);
    for (name, import) in component.component_type().imports(engine) {
        match (given(name, &import.ty), &import.ty) {
            (ImportBinding::Log, _) => {
                linker
                    .root()
                    .func_wrap("log", |mut store, (message,): (WasmStr,)| {
                        log(&mut store, &message)
                    })
                    .map_err(unlike)?;
            }
            (ImportBinding::Types, _) => {}
            (ImportBinding::Tables, _) => {
                let mut tables = linker.instance(name).map_err(unlike)?;
                offer_tables(&mut tables).map_err(unlike)?;
            }
            (ImportBinding::Failure, ComponentItem::ComponentInstance(instance)) => {
                deny(&mut linker, engine, name, instance).map_err(unlike)?;
            }
            _ => {
                return Err(PolicyError::NotOffered {
                    policy: Arc::clone(policy),
                    import: name.to_owned(),
                });
            }
        }
    }
    let (version, _) = contract(policy, engine, component)?;
    // Only functions and resources of WASI are still missing.
    linker
        .define_unknown_imports_as_traps(component)
        .map_err(unlike)?;
    let instance = linker.instantiate_pre(component).map_err(unlike)?;
    (version.link)(instance).map_err(unlike)
}

/// Defines stubs for an interface of WASI.
fn deny(
    linker: &mut Linker<GuestState>,
    engine: &Engine,
    interface: &str,
    instance: &ComponentInstance,
) -> wasmtime::Result<()> {
    let mut stubs = linker.instance(interface)?;
    for (name, export) in instance.exports(engine) {
        if !matches!(export.ty, ComponentItem::ComponentFunc(_)) {
            continue;
        }
        match stub(interface, name).1 {
            Some(truth) => answer(&mut stubs, name, truth)?,
            None => {
                let denied = MissingImport(format!("{interface}#{name}").into());
                stubs.func_new(name, move |_, _, _, _| {
                    Err(wasmtime::Error::new(denied.clone()))
                })?;
            }
        }
    }
    Ok(())
}

/// The stub for a function of WASI. If "there are none" is the truth, the stub answers so. Every
/// other function fails, including clocks and random numbers: a stub never invents a value.
fn stub(interface: &str, function: &str) -> (ImportBinding, Option<Val>) {
    let interface = interface
        .split_once('@')
        .map_or(interface, |(interface, _)| interface);
    let truth = match (interface, function) {
        ("wasi:cli/environment", "get-environment" | "get-arguments")
        | ("wasi:filesystem/preopens", "get-directories") => Some(Val::List(Vec::new())),
        ("wasi:cli/environment", "initial-cwd" | "get-initial-cwd")
        | ("wasi:cli/terminal-stdin", "get-terminal-stdin")
        | ("wasi:cli/terminal-stdout", "get-terminal-stdout")
        | ("wasi:cli/terminal-stderr", "get-terminal-stderr") => Some(Val::Option(None)),
        _ => None,
    };
    (
        if truth.is_some() {
            ImportBinding::None
        } else {
            ImportBinding::Failure
        },
        truth,
    )
}

fn answer(
    stubs: &mut LinkerInstance<'_, GuestState>,
    name: &str,
    truth: Val,
) -> wasmtime::Result<()> {
    stubs.func_new(name, move |_, _, _, results| {
        if let Some(result) = results.first_mut() {
            *result = truth.clone();
        }
        Ok(())
    })
}

/// Offers the look-ups in data tables. A name that the manifest doesn't have, or that no table has, is
/// a table without rows.
fn offer_tables(tables: &mut LinkerInstance<'_, GuestState>) -> wasmtime::Result<()> {
    tables.func_wrap(
        "get",
        |store: StoreContextMut<'_, GuestState>, (table, key): (WasmStr, WasmStr)| {
            let (table, key) = (table.to_str(&store)?, key.to_str(&store)?);
            let table = store.data().table(&table);
            let value = table.and_then(|table| table.get(&key));
            Ok((value.map(Cow::into_owned),))
        },
    )?;
    tables.func_wrap(
        "longest-prefix",
        |store: StoreContextMut<'_, GuestState>, (table, text): (WasmStr, WasmStr)| {
            let (table, text) = (table.to_str(&store)?, text.to_str(&store)?);
            let table = store.data().table(&table);
            let row = table.and_then(|table| table.longest_prefix(&text));
            Ok((row.map(|row| Row {
                key: row.key.into_owned(),
                value: row.value.into_owned(),
            }),))
        },
    )
}

/// Writes a line to the operator's log.
fn log(
    store: &mut wasmtime::StoreContextMut<'_, GuestState>,
    message: &WasmStr,
) -> wasmtime::Result<()> {
    if !store.data_mut().may_log() {
        return Ok(());
    }
    let line = one_line(&message.to_str(&*store)?);
    tracing::info!(policy = &*store.data().policy, "{line}");
    store.data_mut().logged(line);
    Ok(())
}

/// The longest line that a policy may log, in bytes.
const MAX_LOG_LINE_BYTES: usize = 1 << 10;

/// The beginning of the message as one line.
fn one_line(message: &str) -> String {
    let end = message.floor_char_boundary(MAX_LOG_LINE_BYTES);
    let mut line = escaped(&message[..end]).into_owned();
    line.truncate(line.floor_char_boundary(MAX_LOG_LINE_BYTES));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_is_cut_between_characters_and_has_no_line_breaks() {
        assert_eq!(one_line("a\nb\x1b[31m\u{202e}"), r"a\nb\u{1b}[31m\u{202e}");
        assert_eq!(one_line(&"\n".repeat(2_000)).len(), MAX_LOG_LINE_BYTES);
        let long = "ñ".repeat(1_000);
        assert_eq!(one_line(&long).len(), MAX_LOG_LINE_BYTES);
        assert_eq!(one_line(&format!("x{long}")).len(), MAX_LOG_LINE_BYTES - 1);
    }
}
