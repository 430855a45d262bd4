//! From a core module of any language to a component: adds the contract that the module does not
//! name, gives the imports of WASI preview 1 fixed answers, and says what is missing.
//!
//! A module exports the functions of the contract by their names (`on-request`), or by the names
//! that its language can write (`on_request`, `onRequest`), with the canonical ABI of the component
//! model. It needs a memory and `cabi_realloc`.

mod core_module;
pub(super) mod preview1;

use std::borrow::Cow;

use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::abi::{AbiVariant, WasmSignature, WasmType};
use wit_parser::{Function, Resolve, WorldId, WorldItem};

use self::core_module::{CoreModule, FunctionType, ValueType};
pub use self::preview1::FixedAnswer;

/// The contracts that a module can be wrapped for: the newest first.
const CONTRACTS: [(&str, &str); 2] = [
    ("0.2.0", include_str!("../../../../sdk/wit/0.2/policy.wit")),
    ("0.1.0", include_str!("../../../../sdk/wit/0.1/policy.wit")),
];
/// The module from which a core module imports the functions of the world itself.
const ROOT: &str = "$root";
/// The custom section in which a core module names its contract.
const METADATA: &str = "component-type";
const REALLOC: &str = "cabi_realloc";
const POST_RETURN: &str = "cabi_post_";

/// A core module, wrapped.
#[derive(Clone, Debug)]
pub struct WrappedModule {
    /// The component.
    pub component: Vec<u8>,
    /// The version of the contract.
    pub contract: &'static str,
    /// The imports that have fixed answers, by name.
    pub fixed: Vec<(String, FixedAnswer)>,
    /// The exports that got another name: as they were, and as they are.
    pub renamed: Vec<(String, String)>,
}

/// Why a module can't be wrapped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// The bytes are not a core module.
    #[error("it is not a core module of WebAssembly: {0}")]
    NotAModule(String),
    /// It is a component.
    #[error("it is a component already: use it as it is")]
    Component,
    /// The contract is not offered.
    #[error("the contract {0} is not offered: write 0.1 or 0.2")]
    Contract(String),
    /// Imports or exports are wrong or missing; each with its cure.
    #[error("{}", .0.join("\n"))]
    Lacks(Vec<String>),
    /// The module can't be encoded.
    #[error("{0}")]
    Encoder(String),
}

/// Makes a component of a core module. `contract` is `0.1` or `0.2`; `None` is the version that the
/// module names in its imports, or else the newest.
///
/// # Errors
/// [`WrapError`] names everything that is missing, with its cure.
pub fn wrap(module: &[u8], contract: Option<&str>) -> Result<WrappedModule, WrapError> {
    if super::package::is_component(module) {
        return Err(WrapError::Component);
    }
    let core = CoreModule::read(module).map_err(WrapError::NotAModule)?;
    let (version, resolve, world) = chosen(&core, contract)?;
    let contract = WrappedContract {
        resolve: &resolve,
        world,
    };
    let renames = contract.renames(&core);
    let name_of = |found: &str| {
        let renamed = renames.iter().find(|(old, _)| old == found);
        renamed.map_or_else(|| found.to_owned(), |(_, new)| new.clone())
    };
    let mut lacks = contract.missing_exports(&core, name_of);
    lacks.extend(contract.foreign_imports(&core));
    if !lacks.is_empty() {
        return Err(WrapError::Lacks(lacks));
    }
    let mut ready = if renames.is_empty() {
        Cow::Borrowed(module)
    } else {
        Cow::Owned(core.with_exports(module, name_of))
    };
    if !core.names_contract {
        let encoding = StringEncoding::UTF8;
        wit_component::embed_component_metadata(ready.to_mut(), &resolve, world, encoding, false)
            .map_err(|error| WrapError::Encoder(format!("{error:#}")))?;
    }
    let fixed = preview1::answers(&core);
    Ok(WrappedModule {
        component: encode(&ready, preview1::adapter(&core))?,
        contract: version,
        fixed,
        renamed: renames,
    })
}

/// Whether a core module names no contract, but exports functions of one: it can only be used
/// wrapped.
pub(super) fn is_bare(module: &[u8]) -> bool {
    CoreModule::read(module).is_ok_and(|core| {
        !core.names_contract
            && core
                .exports
                .iter()
                .any(|export| kebab(&export.name) == "on-request")
    })
}

/// The component of a core module that names its contract, with fixed answers for what it imports
/// from WASI preview 1.
pub(super) fn encoded(module: &[u8]) -> Result<Vec<u8>, WrapError> {
    let core = CoreModule::read(module).map_err(WrapError::NotAModule)?;
    encode(module, preview1::adapter(&core))
}

fn encode(module: &[u8], adapter: Option<Vec<u8>>) -> Result<Vec<u8>, WrapError> {
    let mut encoder = ComponentEncoder::default();
    let made = encoder.module(module).and_then(|encoder| {
        if let Some(adapter) = &adapter {
            encoder.adapter(preview1::MODULE, adapter)?;
        }
        encoder.validate(true).encode()
    });
    made.map_err(|error| WrapError::Encoder(format!("{error:#}")))
}

/// The contract that a module is wrapped for, parsed.
fn chosen(
    core: &CoreModule,
    asked: Option<&str>,
) -> Result<(&'static str, Resolve, WorldId), WrapError> {
    let named = core.imports.iter().find_map(|import| {
        let interface = import.module.strip_prefix("tero:policy/")?;
        Some(interface.split_once('@')?.1)
    });
    let wanted = asked.or(named);
    let is_it = |(version, _): &&(&'static str, &str)| {
        wanted.is_none_or(|wanted| {
            let minor = version.trim_end_matches(".0");
            wanted == minor
                || wanted
                    .strip_prefix(minor)
                    .is_some_and(|rest| rest.starts_with('.'))
        })
    };
    let (version, text) = CONTRACTS
        .iter()
        .find(is_it)
        .ok_or_else(|| WrapError::Contract(wanted.unwrap_or_default().to_owned()))?;
    let mut resolve = Resolve::default();
    let package = resolve
        .push_str("policy.wit", text)
        .expect("the contract is WIT");
    let world = resolve
        .select_world(&[package], Some("policy"))
        .expect("the contract has a world");
    Ok((version, resolve, world))
}

/// The world that a module implements.
struct WrappedContract<'r> {
    resolve: &'r Resolve,
    world: WorldId,
}

impl WrappedContract<'_> {
    fn functions(&self) -> impl Iterator<Item = &Function> {
        let exports = self.resolve.worlds[self.world].exports.values();
        exports.filter_map(|item| match item {
            WorldItem::Function(function) => Some(function),
            _ => None,
        })
    }

    /// The exports whose names are those of the contract in the writing of another language.
    fn renames(&self, core: &CoreModule) -> Vec<(String, String)> {
        let is_there = |name: &str| core.exports.iter().any(|export| export.name == name);
        let wanted = self.functions().flat_map(|function| {
            let post = format!("{POST_RETURN}{}", function.name);
            [function.name.clone(), post]
        });
        let renamed = wanted.filter(|name| !is_there(name)).filter_map(|name| {
            let (start, rest) = match name.strip_prefix(POST_RETURN) {
                Some(rest) => (POST_RETURN, rest),
                None => ("", &*name),
            };
            let found = core.exports.iter().find(|export| {
                export
                    .name
                    .strip_prefix(start)
                    .is_some_and(|it| kebab(it) == rest)
            })?;
            Some((found.name.clone(), name.clone()))
        });
        renamed.collect()
    }

    /// What is wrong with the exports, each with its cure.
    fn missing_exports(&self, core: &CoreModule, name_of: impl Fn(&str) -> String) -> Vec<String> {
        let find = |name: &str| {
            core.exports
                .iter()
                .find(|export| name_of(&export.name) == name)
        };
        let mut lacks = Vec::new();
        if !core.exports_memory {
            lacks.push("it does not export its memory: export it as `memory`".to_owned());
        }
        let realloc = FunctionType {
            params: vec![ValueType::I32; 4],
            results: vec![ValueType::I32],
        };
        let functions = self.functions().map(|function| {
            let variant = AbiVariant::GuestExport;
            let signature = self.resolve.wasm_signature(variant, function);
            (function.name.as_str(), function_type(&signature))
        });
        for (name, expected) in functions.chain([(REALLOC, realloc)]) {
            match find(name) {
                None => lacks.push(format!("it does not export `{name}`: {}", cure(name))),
                Some(found) if found.ty != expected => lacks.push(format!(
                    "`{name}` is {}: the contract wants {expected} (the canonical ABI, as the SDK file of the language has it)",
                    found.ty
                )),
                Some(_) => {}
            }
        }
        if find("_start").is_some() && find("_initialize").is_none() {
            lacks.push(
                "it is a program with `_start`: build a library (Go: -buildmode=c-shared; wasi-sdk: -mexec-model=reactor; Rust: crate-type cdylib)"
                    .to_owned(),
            );
        }
        lacks
    }

    /// The imports that have no answer, each with its cure.
    fn foreign_imports(&self, core: &CoreModule) -> Vec<String> {
        let mut lacks = Vec::new();
        for import in &core.imports {
            let name = format!("{}#{}", import.module, import.name);
            let known = match import.module.as_str() {
                ROOT => self.world_imports(&import.name),
                preview1::MODULE => import.ty.is_some(),
                module => self.interface_has(module, &import.name),
            };
            if !known {
                lacks.push(format!(
                    "it imports `{name}`, which policies are not given: {}",
                    import_cure(&import.module, &import.name)
                ));
            }
        }
        lacks
    }

    fn world_imports(&self, name: &str) -> bool {
        let imports = self.resolve.worlds[self.world].imports.values();
        imports
            .filter_map(|item| match item {
                WorldItem::Function(function) => Some(function),
                _ => None,
            })
            .any(|function| function.name == name)
    }

    /// Whether the contract offers this function of this interface.
    fn interface_has(&self, interface: &str, name: &str) -> bool {
        self.resolve.interfaces.iter().any(|(id, found)| {
            self.resolve.id_of(id).as_deref() == Some(interface)
                && found.functions.contains_key(name)
        })
    }
}

/// How to get an export.
fn cure(name: &str) -> &'static str {
    match name {
        REALLOC => {
            "the SDK file of the language has it (tero policy new); it gives the engine memory for its questions"
        }
        "plan-warm" | "on-response" | "on-request" => {
            "export it, even if the manifest does not name the hook"
        }
        _ => "export it",
    }
}

/// What to do about an import that is not offered.
fn import_cure(module: &str, name: &str) -> &'static str {
    match (module, name) {
        ("env", "abort" | "trace" | "seed") => {
            "compile with `--use abort=` (AssemblyScript), and without Math.random and trace"
        }
        ("env", "memory") => "let the module define its own memory, and export it",
        ("env", _) => {
            "link the function in, or leave it out: a policy has no functions of a host but `$root#log` and the tables of the contract"
        }
        _ if module.starts_with("wasi:") => {
            "build for WASI preview 1 (wasip1), or make a component with the tools of the language"
        }
        ("gojs", _) | ("go", _) => "build with GOOS=wasip1",
        _ => "a policy may import `$root#log`, the tables of the contract, and WASI preview 1",
    }
}

fn function_type(signature: &WasmSignature) -> FunctionType {
    let value = |ty: &WasmType| match ty {
        WasmType::I64 | WasmType::PointerOrI64 => ValueType::I64,
        WasmType::F32 => ValueType::F32,
        WasmType::F64 => ValueType::F64,
        WasmType::I32 | WasmType::Pointer | WasmType::Length => ValueType::I32,
    };
    FunctionType {
        params: signature.params.iter().map(value).collect(),
        results: signature.results.iter().map(value).collect(),
    }
}

/// A name as the contract writes it: `onRequest` and `on_request` are `on-request`.
fn kebab(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 2);
    for char in name.chars() {
        match char {
            '_' => out.push('-'),
            upper if upper.is_ascii_uppercase() => {
                out.push('-');
                out.push(upper.to_ascii_lowercase());
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests;
