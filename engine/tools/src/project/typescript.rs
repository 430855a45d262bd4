//! The contract as TypeScript types, in the form that componentize-js passes them: names in camel
//! case, enums as strings, 64-bit integers as `bigint`, empty options left out, errors thrown.

use std::fmt::Write as _;

use wit_parser::{Docs, Function, Resolve, Type, TypeDefKind, TypeId, WorldItem};

use super::contract::contract;

const HEAD: &str = "// The contract with the edge, written by `tero policy build` from wit/policy.wit: changes here are lost.\n";

/// The text of `log.d.ts`: the log that a policy imports.
pub(super) const LOG: &str = "// Written by `tero policy build`: changes here are lost.\ndeclare module \"log\" {\n  /** Writes a line to the operator's log; cut at 1 KiB, and at 16 lines a call. */\n  export default function log(message: string): void;\n}\n";

/// Writes the text of `policy.d.ts` in a project in JavaScript, of `contract.d.ts` in TypeScript.
pub(super) fn declarations() -> String {
    let (resolve, world) = contract();
    let mut out = HEAD.to_owned();
    for (_, interface) in resolve.interfaces.iter() {
        for (name, id) in &interface.types {
            declare(&resolve, name, *id, &mut out);
        }
    }
    let world = &resolve.worlds[world];
    for item in world.exports.values() {
        if let WorldItem::Function(function) = item {
            docs(&function.docs, "", &mut out);
            let _ = writeln!(
                out,
                "export type {} = {};\n",
                pascal(&function.name),
                signature(&resolve, function, "=>")
            );
        }
    }
    out
}

fn declare(resolve: &Resolve, name: &str, id: TypeId, out: &mut String) {
    let def = &resolve.types[id];
    docs(&def.docs, "", out);
    let name = pascal(name);
    match &def.kind {
        TypeDefKind::Record(record) => {
            let _ = writeln!(out, "export interface {name} {{");
            for field in &record.fields {
                docs(&field.docs, "  ", out);
                let (mark, ty) = match option_of(resolve, &field.ty) {
                    Some(inner) => ("?", show(resolve, &inner)),
                    None => ("", show(resolve, &field.ty)),
                };
                let _ = writeln!(out, "  {}{mark}: {ty};", camel(&field.name));
            }
            out.push_str("}\n\n");
        }
        TypeDefKind::Enum(cases) => {
            let names = cases
                .cases
                .iter()
                .map(|case| format!("\"{}\"", case.name))
                .collect::<Vec<_>>();
            let _ = writeln!(out, "export type {name} = {};\n", names.join(" | "));
        }
        TypeDefKind::Variant(variant) => {
            let _ = write!(out, "export type {name} =");
            for case in &variant.cases {
                let value = case
                    .ty
                    .map(|ty| format!(", val: {}", show(resolve, &ty)))
                    .unwrap_or_default();
                let _ = write!(out, "\n  | {{ tag: \"{}\"{value} }}", case.name);
            }
            out.push_str(";\n\n");
        }
        _ => {
            let _ = writeln!(out, "export type {name} = {};\n", show_def(resolve, id));
        }
    }
}

fn signature(resolve: &Resolve, function: &Function, arrow: &str) -> String {
    let params = function
        .params
        .iter()
        .map(|param| format!("{}: {}", camel(&param.name), show(resolve, &param.ty)));
    let result = function
        .result
        .map_or_else(|| "void".to_owned(), |ty| show(resolve, &ty));
    format!(
        "({}) {arrow} {result}",
        params.collect::<Vec<_>>().join(", ")
    )
}

fn option_of(resolve: &Resolve, ty: &Type) -> Option<Type> {
    match ty {
        Type::Id(id) => match &resolve.types[*id].kind {
            TypeDefKind::Option(inner) => Some(*inner),
            _ => None,
        },
        _ => None,
    }
}

fn show(resolve: &Resolve, ty: &Type) -> String {
    match ty {
        Type::Bool => "boolean".to_owned(),
        Type::U64 | Type::S64 => "bigint".to_owned(),
        Type::String | Type::Char => "string".to_owned(),
        Type::Id(id) => match &resolve.types[*id].name {
            Some(name) => pascal(name),
            None => show_def(resolve, *id),
        },
        _ => "number".to_owned(),
    }
}

fn show_def(resolve: &Resolve, id: TypeId) -> String {
    match &resolve.types[id].kind {
        TypeDefKind::List(item) => format!("{}[]", show(resolve, item)),
        TypeDefKind::Option(inner) => format!("{} | undefined", show(resolve, inner)),
        TypeDefKind::Tuple(tuple) => {
            let types = tuple
                .types
                .iter()
                .map(|ty| show(resolve, ty))
                .collect::<Vec<_>>();
            format!("[{}]", types.join(", "))
        }
        // Errors are thrown, so only the good value has a type.
        TypeDefKind::Result(result) => result
            .ok
            .map_or_else(|| "void".to_owned(), |ok| show(resolve, &ok)),
        TypeDefKind::Type(ty) => show(resolve, ty),
        _ => "unknown".to_owned(),
    }
}

fn docs(docs: &Docs, indent: &str, out: &mut String) {
    let Some(text) = &docs.contents else { return };
    let lines = text.trim().lines().collect::<Vec<_>>();
    match &*lines {
        [line] => {
            let _ = writeln!(out, "{indent}/** {line} */");
        }
        lines => {
            let _ = writeln!(out, "{indent}/**");
            for line in lines {
                let _ = writeln!(out, "{indent} * {line}");
            }
            let _ = writeln!(out, "{indent} */");
        }
    }
}

fn pascal(name: &str) -> String {
    name.split('-')
        .map(|part| part[..1].to_ascii_uppercase() + &part[1..])
        .collect()
}

pub(super) fn camel(name: &str) -> String {
    let name = pascal(name);
    name[..1].to_ascii_lowercase() + &name[1..]
}
