use wasm_encoder::{
    CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection,
    MemorySection, MemoryType, Module, TypeSection, ValType,
};

use super::*;

/// A core module with these imports and exported functions; each function gives 0.
fn module(imports: &[(&str, &str, usize)], exports: &[(&str, usize)], memory: bool) -> Vec<u8> {
    let (mut types, mut imported, mut functions) = (
        TypeSection::new(),
        ImportSection::new(),
        FunctionSection::new(),
    );
    let (mut exported, mut code) = (ExportSection::new(), CodeSection::new());
    for (index, (from, name, params)) in imports.iter().enumerate() {
        types
            .ty()
            .function(vec![ValType::I32; *params], [ValType::I32]);
        imported.import(from, name, EntityType::Function(index as u32));
    }
    for (index, (name, params)) in exports.iter().enumerate() {
        let index = (index + imports.len()) as u32;
        let results: &[ValType] = if name.starts_with("cabi_post") || *name == "_start" {
            &[]
        } else {
            &[ValType::I32]
        };
        types
            .ty()
            .function(vec![ValType::I32; *params], results.iter().copied());
        functions.function(index);
        exported.export(name, ExportKind::Func, index);
        let mut body = Function::new([]);
        if !results.is_empty() {
            body.instructions().i32_const(64);
        }
        body.instructions().end();
        code.function(&body);
    }
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 1,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    if memory {
        exported.export("memory", ExportKind::Memory, 0);
    }
    let mut module = Module::new();
    module
        .section(&types)
        .section(&imported)
        .section(&functions)
        .section(&memories)
        .section(&exported)
        .section(&code);
    module.finish()
}

const GOOD: [(&str, usize); 5] = [
    ("configure", 2),
    ("on-request", 1),
    ("on-response", 1),
    ("plan-warm", 1),
    ("cabi_realloc", 4),
];

fn lacks(module: &[u8]) -> String {
    match wrap(module, None) {
        Err(WrapError::Lacks(lacks)) => lacks.join("\n"),
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[test]
fn a_core_module_becomes_a_component_of_the_newest_contract_or_of_the_asked_one() {
    let bare = module(&[], &GOOD, true);
    let wrapped = wrap(&bare, None).unwrap();
    assert!(super::super::package::is_component(&wrapped.component));
    assert_eq!((wrapped.contract, wrapped.fixed.len()), ("0.2.0", 0));
    assert_eq!(wrap(&bare, Some("0.1")).unwrap().contract, "0.1.0");
    assert_eq!(
        wrap(&bare, Some("0.3")).unwrap_err(),
        WrapError::Contract("0.3".to_owned())
    );
    assert_eq!(
        wrap(&wrapped.component, None).unwrap_err(),
        WrapError::Component
    );
    assert!(is_bare(&bare) && !is_bare(&wrapped.component));
    assert!(matches!(
        wrap(b"\0asm\x01\0\0\0\x01", None),
        Err(WrapError::NotAModule(_))
    ));
}

#[test]
fn names_as_other_languages_write_them_are_understood() {
    let exports = [
        ("configure", 2),
        ("on_request", 1),
        ("onResponse", 1),
        ("planWarm", 1),
        ("cabi_realloc", 4),
        ("cabi_post_onResponse", 1),
    ];
    let wrapped = wrap(&module(&[], &exports, true), None).unwrap();
    let renamed = wrapped
        .renamed
        .iter()
        .map(|(old, new)| (old.as_str(), new.as_str()));
    assert_eq!(
        renamed.collect::<Vec<_>>(),
        [
            ("on_request", "on-request"),
            ("onResponse", "on-response"),
            ("cabi_post_onResponse", "cabi_post_on-response"),
            ("planWarm", "plan-warm")
        ]
    );
}

#[test]
fn preview_1_gets_fixed_answers() {
    let imports = [
        (preview1::MODULE, "fd_write", 4),
        (preview1::MODULE, "random_get", 2),
        (preview1::MODULE, "random_get", 2),
        (preview1::MODULE, "environ_sizes_get", 2),
        (preview1::MODULE, "fd_fdstat_get", 2),
        (preview1::MODULE, "path_open", 9),
        (preview1::MODULE, "clock_res_get", 2),
    ];
    let wrapped = wrap(&module(&imports, &GOOD, true), None).unwrap();
    let answer = |name: &str| {
        let found = wrapped.fixed.iter().find(|(fixed, _)| fixed == name);
        found.map(|(_, answer)| *answer)
    };
    assert_eq!(wrapped.fixed.len(), imports.len() - 1, "each once");
    assert_eq!(answer("fd_write"), Some(FixedAnswer::Log));
    assert_eq!(answer("random_get"), Some(FixedAnswer::Random));
    assert_eq!(answer("path_open"), Some(FixedAnswer::None));
    assert_eq!(answer("clock_res_get"), Some(FixedAnswer::Clock));
}

#[test]
fn what_is_missing_is_named_with_its_cure() {
    let told = lacks(&module(&[], &[("on-request", 3), ("_start", 0)], false));
    for words in [
        "export it as `memory`",
        "it does not export `configure`",
        "it does not export `plan-warm`: export it, even if",
        "it does not export `cabi_realloc`: the SDK file",
        "`on-request` is (i32, i32, i32) → (i32): the contract wants (i32) → (i32)",
        "it is a program with `_start`: build a library",
    ] {
        assert!(told.contains(words), "{words} in\n{told}");
    }
    let imports = [
        ("env", "abort", 4),
        ("env", "printf", 1),
        ("wasi:clocks/wall-clock@0.2.0", "now", 1),
        ("gojs", "x", 1),
        ("tero:policy/tables@0.2.0", "put", 1),
        (ROOT, "fetch", 1),
    ];
    let told = lacks(&module(&imports, &GOOD, true));
    for words in [
        "`env#abort`, which policies are not given: compile with `--use abort=`",
        "`env#printf`, which policies are not given: link the function in",
        "wasi:clocks/wall-clock@0.2.0#now`, which policies are not given: build for WASI preview 1",
        "build with GOOS=wasip1",
        "tero:policy/tables@0.2.0#put`",
        "`$root#fetch`",
    ] {
        assert!(told.contains(words), "{words} in\n{told}");
    }
}
