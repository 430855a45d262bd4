//! The edge's side: it starts a compiler, gives it a module, and waits no longer than it may take.

use std::io::{self, Read, Write as _};
use std::num::NonZeroUsize;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::child::{CODE, REFUSAL, Refusal, cpu_secs};
use super::{CompileFailure, CompilerCommand, CompilerLimits, EngineSettings};
use crate::real_time::real_time;
use tero_config::units::{show_duration, show_size};

/// The most code of one module, in bytes. It is at most half of the compiler's memory too, since
/// the compiler held it beside everything else.
const MAX_CODE_BYTES: u64 = 512 << 20;
/// The most threads of a compiler.
const MAX_THREADS: usize = 4;
/// What is read of a compiler's last words, in bytes.
const MAX_WORDS_BYTES: u64 = 4 << 10;
/// How long a compiler may take to end after its last byte.
const END_WITHIN: Duration = Duration::from_secs(1);
/// The pause between two looks whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// The signal of a process that used its processor time up.
const SIGXCPU: i32 = 24;
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;

/// Compiles `module` by a process of `command`.
pub(super) fn run(
    command: &CompilerCommand,
    limits: CompilerLimits,
    settings: EngineSettings,
    policy: &Arc<str>,
    module: &[u8],
) -> Result<Vec<u8>, CompileFailure> {
    let mut child = start(command, limits, settings).map_err(|error| {
        let program = command.program.display();
        CompileFailure::Compiler(format!("the compiler {program} can't be started: {error}"))
    })?;
    let most = MAX_CODE_BYTES.min(limits.memory / 2);
    let ended = talk(&mut child, limits.timeout, most, module);
    let Some(Output { content, words }) = ended.output else {
        let most = show_duration(limits.timeout);
        return Err(CompileFailure::Limit(format!(
            "it took longer than {most} (`policies.compile_timeout`)"
        )));
    };
    if content.len() as u64 > most {
        let most = show_size(most);
        return Err(CompileFailure::Limit(format!(
            "its code is larger than {most} (half of `policies.compile_memory`)"
        )));
    }
    match (content.split_first(), ended.status) {
        (Some((&CODE, code)), Ok(status)) if status.success() => Ok(code.to_vec()),
        (Some((&REFUSAL, refusal)), Ok(status)) if status.success() => {
            Err(refused(policy, refusal, limits))
        }
        (_, status) => Err(died(status, &words, limits)),
    }
}

fn start(
    command: &CompilerCommand,
    limits: CompilerLimits,
    settings: EngineSettings,
) -> io::Result<Child> {
    let mut compiler = Command::new(&command.program);
    compiler
        .args(&command.arguments)
        .args(["--stack", &settings.stack_bytes.to_string()])
        .args(["--memory", &limits.memory.to_string()])
        .args([
            "--cpu-secs",
            &cpu_secs(limits.timeout.as_secs()).to_string(),
        ]);
    if settings.counts_fuel {
        compiler.arg("--fuel");
    }
    compiler
        .env_clear()
        .env("RAYON_NUM_THREADS", threads().to_string())
        .envs(command.environment.iter().cloned())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// The threads of a compiler. Each takes address space, so a large machine has no more than a small
/// one needs.
fn threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    cores.min(MAX_THREADS)
}

/// How a compiler ended.
struct End {
    /// `None` if its time was up.
    output: Option<Output>,
    status: io::Result<ExitStatus>,
}

struct Output {
    content: Vec<u8>,
    words: String,
}

/// Gives the module to a compiler, and hears it until it ends or its time is up. It has ended when
/// this returns.
fn talk(child: &mut Child, timeout: Duration, most: u64, module: &[u8]) -> End {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let (sender, output) = mpsc::channel();
        scope.spawn(move || {
            // A compiler that has ended reads no more; its end tells why.
            let _ = stdin.map(|mut stdin| stdin.write_all(module));
        });
        let words = scope.spawn(move || read_at_most(stderr, MAX_WORDS_BYTES));
        scope.spawn(move || sender.send(read_at_most(stdout, most)));
        let content = output.recv_timeout(timeout).ok();
        let status = match content {
            Some(_) => end(child),
            None => child.kill().and_then(|()| child.wait()),
        };
        let words = words.join().unwrap_or_default();
        End {
            output: content.map(|content| Output {
                content,
                words: String::from_utf8_lossy(&words).into_owned(),
            }),
            status,
        }
    })
}

/// Reads up to one byte more than `most`, and drops the stream, so that its writer ends.
fn read_at_most(stream: Option<impl Read>, most: u64) -> Vec<u8> {
    let mut content = Vec::new();
    if let Some(stream) = stream {
        // What was read before an error counts; the compiler's end tells the rest.
        let _ = stream.take(most + 1).read_to_end(&mut content);
    }
    content
}

/// Waits until a compiler that has said all has ended, and kills it if it does not.
fn end(child: &mut Child) -> io::Result<ExitStatus> {
    let started = real_time();
    while started.elapsed() < END_WITHIN {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
    child.kill()?;
    child.wait()
}

fn refused(policy: &Arc<str>, refusal: &[u8], limits: CompilerLimits) -> CompileFailure {
    match serde_json::from_slice::<Refusal>(refusal) {
        Ok(Refusal::NotAModule(reason)) if reason.contains(OUT_OF_MEMORY) => too_much(limits),
        Ok(refusal) => CompileFailure::Refused(refusal.into_error(policy)),
        Err(error) => CompileFailure::Compiler(format!("the compiler speaks badly: {error}")),
    }
}

/// What the system says when there is no more memory.
const OUT_OF_MEMORY: &str = "os error 12";

/// The failure of a compiler that ended without an answer.
fn died(status: io::Result<ExitStatus>, words: &str, limits: CompilerLimits) -> CompileFailure {
    let status = match status {
        Ok(status) => status,
        Err(error) => return CompileFailure::Compiler(format!("the compiler is lost: {error}")),
    };
    let lacks_memory = ["memory allocation", "out of memory", OUT_OF_MEMORY];
    if lacks_memory.iter().any(|sign| words.contains(sign)) {
        return too_much(limits);
    }
    match status.signal() {
        Some(SIGXCPU) => {
            let most = show_duration(limits.timeout);
            CompileFailure::Limit(format!(
                "it used more processor time than all cores have in {most} (`policies.compile_timeout`)"
            ))
        }
        // The system's own killer of processes ends one that takes too much, or a limit of a
        // container.
        Some(SIGKILL) => too_much(limits),
        Some(SIGABRT) | None | Some(_) => {
            let last = words.lines().last().unwrap_or_default().escape_debug();
            CompileFailure::Limit(format!("its compiler ended with {status}: {last}"))
        }
    }
}

fn too_much(limits: CompilerLimits) -> CompileFailure {
    let most = show_size(limits.memory);
    CompileFailure::Limit(format!(
        "it took more memory than {most} (`policies.compile_memory`)"
    ))
}
