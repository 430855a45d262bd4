//! What wrapping must know of a core module: its imports and exports with their types.

use std::fmt;

use wasmparser::{ExternalKind, Parser, Payload, TypeRef};

use super::METADATA;

/// A type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueType {
    I32,
    I64,
    F32,
    F64,
    /// Any other; no function of the contract has one.
    Other,
}

/// The type of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FunctionType {
    pub(super) params: Vec<ValueType>,
    pub(super) results: Vec<ValueType>,
}

impl fmt::Display for FunctionType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |types: &[ValueType]| {
            let names = types.iter().map(|ty| match ty {
                ValueType::I32 => "i32",
                ValueType::I64 => "i64",
                ValueType::F32 => "f32",
                ValueType::F64 => "f64",
                ValueType::Other => "?",
            });
            names.collect::<Vec<_>>().join(", ")
        };
        write!(out, "({}) → ({})", list(&self.params), list(&self.results))
    }
}

pub(super) struct CoreImport {
    pub(super) module: String,
    pub(super) name: String,
    /// The type of a function; `None` for a memory, a table or a global.
    pub(super) ty: Option<FunctionType>,
}

pub(super) struct CoreExport {
    pub(super) name: String,
    pub(super) ty: FunctionType,
}

/// The interface of a core module.
#[derive(Default)]
pub(super) struct CoreModule {
    pub(super) imports: Vec<CoreImport>,
    /// The exported functions.
    pub(super) exports: Vec<CoreExport>,
    pub(super) exports_memory: bool,
    /// Whether it says which contract it implements.
    pub(super) names_contract: bool,
}

impl CoreModule {
    /// Reads a core module.
    ///
    /// # Errors
    /// The defect, if the bytes are not a core module.
    pub(super) fn read(module: &[u8]) -> Result<CoreModule, String> {
        let mut core = CoreModule::default();
        let mut types = Vec::new();
        // The types of the functions, imported ones first.
        let mut functions: Vec<usize> = Vec::new();
        let mut exported = Vec::new();
        let wrong = |error: wasmparser::BinaryReaderError| error.to_string();
        for part in Parser::new(0).parse_all(module) {
            match part.map_err(wrong)? {
                Payload::Version { encoding, .. } if encoding != wasmparser::Encoding::Module => {
                    return Err("it is a component".to_owned());
                }
                Payload::TypeSection(section) => {
                    for ty in section.into_iter_err_on_gc_types() {
                        types.push(function_type(&ty.map_err(wrong)?));
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import.map_err(wrong)?;
                        let index = match import.ty {
                            TypeRef::Func(index) => Some(index as usize),
                            _ => None,
                        };
                        functions.extend(index);
                        core.imports.push(CoreImport {
                            module: import.module.to_owned(),
                            name: import.name.to_owned(),
                            ty: index.and_then(|index| types.get(index).cloned()),
                        });
                    }
                }
                Payload::FunctionSection(section) => {
                    for index in section {
                        functions.push(index.map_err(wrong)? as usize);
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export.map_err(wrong)?;
                        match export.kind {
                            ExternalKind::Func => {
                                exported.push((export.name.to_owned(), export.index as usize));
                            }
                            ExternalKind::Memory if export.name == "memory" => {
                                core.exports_memory = true;
                            }
                            _ => {}
                        }
                    }
                }
                Payload::CustomSection(section) if section.name().starts_with(METADATA) => {
                    core.names_contract = true;
                }
                _ => {}
            }
        }
        for (name, index) in exported {
            let ty = functions.get(index).and_then(|ty| types.get(*ty));
            let ty = ty.ok_or_else(|| format!("the export `{name}` has no type"))?;
            core.exports.push(CoreExport {
                name,
                ty: ty.clone(),
            });
        }
        Ok(core)
    }

    /// The module with its exports renamed. `module` is the one that this was read from.
    pub(super) fn with_exports(&self, module: &[u8], name_of: impl Fn(&str) -> String) -> Vec<u8> {
        let mut out = wasm_encoder::Module::new();
        for part in Parser::new(0).parse_all(module) {
            let part = part.expect("the module was read before");
            if let Payload::ExportSection(section) = &part {
                let mut exports = wasm_encoder::ExportSection::new();
                for export in section.clone() {
                    let export = export.expect("the module was read before");
                    let name = match export.kind {
                        ExternalKind::Func => name_of(export.name),
                        _ => export.name.to_owned(),
                    };
                    exports.export(&name, kind(export.kind), export.index);
                }
                out.section(&exports);
            } else if let Some((id, range)) = part.as_section() {
                out.section(&wasm_encoder::RawSection {
                    id,
                    data: &module[range.start as usize..range.end as usize],
                });
            }
        }
        out.finish()
    }
}

fn kind(kind: ExternalKind) -> wasm_encoder::ExportKind {
    match kind {
        ExternalKind::Func | ExternalKind::FuncExact => wasm_encoder::ExportKind::Func,
        ExternalKind::Table => wasm_encoder::ExportKind::Table,
        ExternalKind::Memory => wasm_encoder::ExportKind::Memory,
        ExternalKind::Global => wasm_encoder::ExportKind::Global,
        ExternalKind::Tag => wasm_encoder::ExportKind::Tag,
    }
}

fn function_type(ty: &wasmparser::FuncType) -> FunctionType {
    let value = |ty: &wasmparser::ValType| match ty {
        wasmparser::ValType::I32 => ValueType::I32,
        wasmparser::ValType::I64 => ValueType::I64,
        wasmparser::ValType::F32 => ValueType::F32,
        wasmparser::ValType::F64 => ValueType::F64,
        _ => ValueType::Other,
    };
    FunctionType {
        params: ty.params().iter().map(value).collect(),
        results: ty.results().iter().map(value).collect(),
    }
}
