//! WASI preview 1 with fixed answers, as an adapter module that is made for the imports of one
//! module: a clock that stands at the epoch, constant bytes for random numbers, no arguments, no
//! environment, no files. What goes to standard output and standard error goes to the log.
//!
//! The answers depend on nothing, so a policy stays a pure function.

use wasm_encoder::{
    BlockType, CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    ImportSection, InstructionSink, MemArg, MemArgTarget, MemoryType, Module, TypeSection, ValType,
};
use wit_component::StringEncoding;
use wit_parser::Resolve;

use super::ROOT;
use super::core_module::{CoreModule, FunctionType, ValueType};

/// The module from which core modules import WASI preview 1.
pub(in crate::module) const MODULE: &str = "wasi_snapshot_preview1";

/// What the adapter itself imports.
const WORLD: &str = "package tero:preview1@0.1.0;\n\
    world adapter { import log: func(message: string); }\n";

/// The byte that random numbers are made of. Runtimes take zeros for a broken source.
const RANDOM_BYTE: i32 = 0x5a;
/// What the monotonic clock shows, in nanoseconds. Runtimes take 0 for a broken clock.
const MONOTONIC_NANOS: i64 = 1;
const ERRNO_BADF: i32 = 8;
const ERRNO_NOTSUP: i32 = 58;
const FILE_TYPE_CHARACTER_DEVICE: i32 = 2;

/// The fixed answer to an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FixedAnswer {
    /// A clock at the Unix epoch.
    Clock,
    /// Always the same bytes.
    Random,
    /// There are none: arguments, variables, files, sockets.
    None,
    /// What is written goes to the log.
    Log,
    /// It does nothing, with success.
    Nothing,
    /// The call ends with a trap.
    Trap,
}

impl FixedAnswer {
    /// The text for people and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            FixedAnswer::Clock => "a clock at the epoch",
            FixedAnswer::Random => "always the same bytes",
            FixedAnswer::None => "answers that there is none",
            FixedAnswer::Log => "the log",
            FixedAnswer::Nothing => "does nothing",
            FixedAnswer::Trap => "ends the call",
        }
    }
}

/// The functions that the module imports from WASI preview 1, with their answers.
pub(super) fn answers(core: &CoreModule) -> Vec<(String, FixedAnswer)> {
    let mut answers: Vec<(String, FixedAnswer)> = Vec::new();
    for (name, ty) in imported(core) {
        // A module may import a function twice.
        if !answers.iter().any(|(known, _)| known == name) {
            answers.push((name.to_owned(), Stub::of(name, ty).answer()));
        }
    }
    answers
}

fn imported(core: &CoreModule) -> impl Iterator<Item = (&str, &FunctionType)> {
    let ours = core.imports.iter().filter(|import| import.module == MODULE);
    ours.filter_map(|import| Some((import.name.as_str(), import.ty.as_ref()?)))
}

/// The adapter; `None` if the module imports nothing from WASI preview 1.
pub(super) fn adapter(core: &CoreModule) -> Option<Vec<u8>> {
    let mut names: Vec<&str> = Vec::new();
    let mut types = TypeSection::new();
    types
        .ty()
        .function([ValType::I32, ValType::I32], std::iter::empty());
    let mut functions = FunctionSection::new();
    let mut exports = ExportSection::new();
    let mut code = CodeSection::new();
    for (name, ty) in imported(core) {
        // A module may import a function twice.
        if names.contains(&name) {
            continue;
        }
        names.push(name);
        let index = u32::try_from(names.len()).expect("a module has fewer imports");
        types.ty().function(values(&ty.params), values(&ty.results));
        functions.function(index);
        // Function 0 is the log.
        exports.export(name, ExportKind::Func, index);
        code.function(&Stub::of(name, ty).body(ty));
    }
    if names.is_empty() {
        return None;
    }
    let mut imports = ImportSection::new();
    imports.import(ROOT, "log", EntityType::Function(0));
    let memory = MemoryType {
        minimum: 0,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    };
    imports.import("env", "memory", EntityType::Memory(memory));
    let mut module = Module::new();
    module
        .section(&types)
        .section(&imports)
        .section(&functions)
        .section(&exports)
        .section(&code);
    let mut bytes = module.finish();
    let mut resolve = Resolve::default();
    let package = resolve
        .push_str("adapter.wit", WORLD)
        .expect("the adapter's world is WIT");
    let world = resolve
        .select_world(&[package], Some("adapter"))
        .expect("the package has this world");
    wit_component::embed_component_metadata(
        &mut bytes,
        &resolve,
        world,
        StringEncoding::UTF8,
        false,
    )
    .expect("the adapter imports what its world says");
    Some(bytes)
}

fn values(types: &[ValueType]) -> Vec<ValType> {
    let value = |ty: &ValueType| match ty {
        ValueType::I64 => ValType::I64,
        ValueType::F32 => ValType::F32,
        ValueType::F64 => ValType::F64,
        ValueType::I32 | ValueType::Other => ValType::I32,
    };
    types.iter().map(value).collect()
}

/// What a function of the adapter does.
#[derive(Clone, Copy)]
enum Stub {
    /// Stores two zeros of 32 bits: there are none, and they take no bytes.
    Sizes,
    ClockTime,
    ClockResolution,
    Random,
    Write,
    Describe,
    Success,
    Errno(i32),
    Trap,
}

impl Stub {
    /// What a function does. One that is imported with another type than WASI gives it traps.
    fn of(name: &str, ty: &FunctionType) -> Stub {
        use ValueType::{I32, I64};
        let params = ty.params.as_slice();
        if ty.results != [I32] {
            return Stub::Trap;
        }
        match (name, params) {
            ("args_get" | "environ_get", [I32, I32]) | ("sched_yield", []) => Stub::Success,
            ("args_sizes_get" | "environ_sizes_get", [I32, I32]) => Stub::Sizes,
            ("clock_time_get", [I32, I64, I32]) => Stub::ClockTime,
            ("clock_res_get", [I32, I32]) => Stub::ClockResolution,
            ("random_get", [I32, I32]) => Stub::Random,
            ("fd_write", [I32, I32, I32, I32]) => Stub::Write,
            ("fd_fdstat_get", [I32, I32]) => Stub::Describe,
            ("poll_oneoff" | "proc_raise", _) => Stub::Errno(ERRNO_NOTSUP),
            _ if name.starts_with("sock_") => Stub::Errno(ERRNO_NOTSUP),
            _ => Stub::Errno(ERRNO_BADF),
        }
    }

    fn answer(self) -> FixedAnswer {
        match self {
            Stub::ClockTime | Stub::ClockResolution => FixedAnswer::Clock,
            Stub::Random => FixedAnswer::Random,
            Stub::Write => FixedAnswer::Log,
            Stub::Sizes | Stub::Errno(_) | Stub::Describe => FixedAnswer::None,
            Stub::Success => FixedAnswer::Nothing,
            Stub::Trap => FixedAnswer::Trap,
        }
    }

    fn body(self, ty: &FunctionType) -> Function {
        let params = u32::try_from(ty.params.len()).expect("a function has fewer parameters");
        // Three locals, behind the parameters: the next piece, the pieces left, the bytes so far.
        let mut function = Function::new([(3, ValType::I32)]);
        let mut code = function.instructions();
        match self {
            Stub::Sizes => {
                code.local_get(0).i32_const(0).i32_store(WORD);
                code.local_get(1).i32_const(0).i32_store(WORD);
                code.i32_const(0);
            }
            Stub::ClockTime => {
                // Clock 1 is the monotonic one; clock 0 stands at the epoch.
                code.local_get(2);
                code.i64_const(MONOTONIC_NANOS).i64_const(0);
                code.local_get(0).i32_const(1).i32_eq().select();
                code.i64_store(LONG);
                code.i32_const(0);
            }
            Stub::ClockResolution => {
                code.local_get(1).i64_const(1).i64_store(LONG);
                code.i32_const(0);
            }
            Stub::Random => {
                code.local_get(0).i32_const(RANDOM_BYTE).local_get(1);
                code.memory_fill(0);
                code.i32_const(0);
            }
            Stub::Write => {
                refuse_files(&mut code);
                log_pieces(&mut code, params);
            }
            Stub::Describe => {
                refuse_files(&mut code);
                code.local_get(1).i32_const(0).i32_const(24).memory_fill(0);
                code.local_get(1);
                code.i32_const(FILE_TYPE_CHARACTER_DEVICE).i32_store8(BYTE);
                code.i32_const(0);
            }
            Stub::Success => {
                code.i32_const(0);
            }
            Stub::Errno(number) => {
                code.i32_const(number);
            }
            Stub::Trap => {
                code.unreachable();
            }
        }
        code.end();
        function
    }
}

const WORD: MemArg = MemArg {
    offset: 0,
    align: 2,
    target: MemArgTarget::Memory(0),
    ordering: None,
};
const LONG: MemArg = MemArg {
    offset: 0,
    align: 3,
    target: MemArgTarget::Memory(0),
    ordering: None,
};
const BYTE: MemArg = MemArg {
    offset: 0,
    align: 0,
    target: MemArgTarget::Memory(0),
    ordering: None,
};

/// Every descriptor but those of the three standard streams is a bad one.
fn refuse_files(code: &mut InstructionSink<'_>) {
    code.local_get(0)
        .i32_const(2)
        .i32_gt_u()
        .if_(BlockType::Empty);
    code.i32_const(ERRNO_BADF).return_();
    code.end();
}

/// The function `fd_write`: each piece of what is written is a line of the log.
fn log_pieces(code: &mut InstructionSink<'_>, params: u32) {
    let (piece, left, bytes) = (params, params + 1, params + 2);
    let length = MemArg { offset: 4, ..WORD };
    code.local_get(1).local_set(piece);
    code.local_get(2).local_set(left);
    code.block(BlockType::Empty).loop_(BlockType::Empty);
    code.local_get(left).i32_eqz().br_if(1);
    code.local_get(piece).i32_load(length).if_(BlockType::Empty);
    code.local_get(piece).i32_load(WORD);
    code.local_get(piece).i32_load(length);
    code.call(0);
    code.end();
    code.local_get(bytes);
    code.local_get(piece).i32_load(length);
    code.i32_add().local_set(bytes);
    code.local_get(piece)
        .i32_const(8)
        .i32_add()
        .local_set(piece);
    code.local_get(left).i32_const(1).i32_sub().local_set(left);
    code.br(0).end().end();
    code.local_get(3).local_get(bytes).i32_store(WORD);
    code.i32_const(0);
}
