//! The shapes of answers as JSON in a script, from the contract: what the entry of a policy in
//! JavaScript checks before an answer leaves it.

use serde_json::{Map, Value, json};
use wit_parser::{Resolve, Type, TypeDefKind, TypeId, WorldItem};

use super::contract::contract;
use super::typescript::camel;

/// The constants `TYPES`, by the names of the contract, and `ANSWERS`, by exported function.
pub(super) fn constants() -> String {
    let (resolve, world) = contract();
    let mut types = Map::new();
    for (_, interface) in resolve.interfaces.iter() {
        for (name, id) in &interface.types {
            types.insert(name.clone(), definition(&resolve, *id));
        }
    }
    let mut answers = Map::new();
    for item in resolve.worlds[world].exports.values() {
        if let WorldItem::Function(function) = item {
            let answer = function.result.map(|ty| shape(&resolve, &ty));
            answers.insert(camel(&function.name), answer.unwrap_or_default());
        }
    }
    let (types, answers) = (Value::Object(types), Value::Object(answers));
    format!("const TYPES = {types};\nconst ANSWERS = {answers};\n")
}

/// What a named type is.
fn definition(resolve: &Resolve, id: TypeId) -> Value {
    match &resolve.types[id].kind {
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter();
            let fields: Map<_, _> = fields
                .map(|field| (camel(&field.name), shape(resolve, &field.ty)))
                .collect();
            json!({ "record": fields })
        }
        TypeDefKind::Enum(names) => {
            let names: Vec<_> = names.cases.iter().map(|case| &case.name).collect();
            json!({ "enum": names })
        }
        TypeDefKind::Variant(variant) => {
            let cases = variant.cases.iter().map(|case| {
                let content = case.ty.map(|ty| shape(resolve, &ty));
                (case.name.clone(), content.unwrap_or_default())
            });
            json!({ "variant": cases.collect::<Map<_, _>>() })
        }
        _ => unnamed(resolve, id),
    }
}

fn shape(resolve: &Resolve, ty: &Type) -> Value {
    match ty {
        Type::Bool => "flag".into(),
        Type::U8 => json!({ "whole": [0, u8::MAX] }),
        Type::S8 => json!({ "whole": [i8::MIN, i8::MAX] }),
        Type::U16 => json!({ "whole": [0, u16::MAX] }),
        Type::S16 => json!({ "whole": [i16::MIN, i16::MAX] }),
        Type::U32 => json!({ "whole": [0, u32::MAX] }),
        Type::S32 => json!({ "whole": [i32::MIN, i32::MAX] }),
        Type::U64 | Type::S64 => json!({ "big": true }),
        Type::Id(id) => match &resolve.types[*id].kind {
            TypeDefKind::Type(alias) => shape(resolve, alias),
            _ => match &resolve.types[*id].name {
                Some(name) => json!({ "named": name }),
                None => unnamed(resolve, *id),
            },
        },
        _ => "text".into(),
    }
}

fn unnamed(resolve: &Resolve, id: TypeId) -> Value {
    match &resolve.types[id].kind {
        TypeDefKind::List(item) => json!({ "list": shape(resolve, item) }),
        TypeDefKind::Option(inner) => json!({ "option": shape(resolve, inner) }),
        TypeDefKind::Tuple(tuple) => {
            let items: Vec<_> = tuple.types.iter().map(|ty| shape(resolve, ty)).collect();
            json!({ "tuple": items })
        }
        // Errors are thrown, so only the good value is an answer.
        TypeDefKind::Result(result) => result.ok.map_or(Value::Null, |ok| shape(resolve, &ok)),
        TypeDefKind::Type(ty) => shape(resolve, ty),
        _ => Value::Null,
    }
}
