//! The WebAssembly engine that all policies share, and the thread by whose ticks a running guest
//! notices its deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Config, Engine};

use crate::error::PolicyError;

/// The shortest and the longest time between two ticks.
const TICK_MICROS: std::ops::RangeInclusive<u64> = 1_000..=10_000;
/// After this many ticks without a running guest the thread sleeps, and costs nothing, until the
/// next guest runs.
const IDLE_TICKS: u32 = 100;

/// The engine, and the thread that ticks.
pub(super) struct Runtime {
    pub(super) engine: Engine,
    /// Whether the instructions of guests are counted. Counting is slow, so the edge does not.
    pub(super) counts_fuel: bool,
    /// The stack that a guest may use, in bytes of the thread's stack.
    pub(super) stack_bytes: u64,
    ticks: Arc<Ticks>,
    thread: Option<JoinHandle<()>>,
}

/// The state that the ticking thread shares with the threads that run guests.
#[derive(Debug)]
struct Ticks {
    running: AtomicUsize,
    asleep: AtomicBool,
    stop: AtomicBool,
    period_micros: AtomicU64,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime")
            .field("ticks", &self.ticks)
            .finish_non_exhaustive()
    }
}

impl Runtime {
    /// Sets up the engine and starts the ticks.
    ///
    /// # Errors
    /// [`PolicyError::Engine`] if the machine or its limits do not allow it.
    pub(super) fn new(stack_bytes: u64) -> Result<Runtime, PolicyError> {
        Runtime::start(stack_bytes, false)
    }

    /// Like [`Runtime::new`], with every instruction of guests counted.
    ///
    /// # Errors
    /// As [`Runtime::new`].
    pub(super) fn counting(stack_bytes: u64) -> Result<Runtime, PolicyError> {
        Runtime::start(stack_bytes, true)
    }

    fn start(stack_bytes: u64, counts_fuel: bool) -> Result<Runtime, PolicyError> {
        let engine = engine(stack_bytes, counts_fuel)?;
        let ticks = Arc::new(Ticks {
            running: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            period_micros: AtomicU64::new(*TICK_MICROS.end()),
        });
        let thread = std::thread::Builder::new()
            .name("tero-deadlines".into())
            .spawn({
                let (engine, ticks) = (engine.clone(), Arc::clone(&ticks));
                move || ticks.run(&engine)
            })
            .map_err(|error| unable(format!("no thread for deadlines: {error}")))?;
        Ok(Runtime {
            engine,
            counts_fuel,
            stack_bytes,
            ticks,
            thread: Some(thread),
        })
    }

    /// Ticks often enough to notice a deadline as short as this within a fifth of it, and within a
    /// millisecond at the shortest.
    pub(super) fn keep(&self, deadline: Duration) {
        let tenth = u64::try_from(deadline.as_micros() / 10).unwrap_or(u64::MAX);
        self.ticks.period_micros.fetch_min(
            tenth.clamp(*TICK_MICROS.start(), *TICK_MICROS.end()),
            Ordering::Relaxed,
        );
    }

    /// The returned guard must be held while a guest runs.
    pub(super) fn enter(&self) -> RunningGuard<'_> {
        self.ticks.running.fetch_add(1, Ordering::SeqCst);
        // Either this thread sees that the ticking thread sleeps, or that thread sees the new guest
        // before it falls asleep.
        if self.ticks.asleep.load(Ordering::SeqCst) {
            self.wake();
        }
        RunningGuard(&self.ticks)
    }

    #[cold]
    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.ticks.stop.store(true, Ordering::SeqCst);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // It does not panic. If it did, there would be nothing left to stop.
            let _ = thread.join();
        }
    }
}

/// The engine alone, without ticks.
///
/// # Errors
/// As [`Runtime::new`].
pub(super) fn engine(stack_bytes: u64, counts_fuel: bool) -> Result<Engine, PolicyError> {
    Engine::new(settings(stack_bytes).consume_fuel(counts_fuel))
        .map_err(|error| unable(format!("{error:#}")))
}

fn unable(reason: String) -> PolicyError {
    PolicyError::Engine { reason }
}

/// Held while a guest runs.
#[derive(Debug)]
pub(super) struct RunningGuard<'a>(&'a Ticks);

impl Drop for RunningGuard<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Ticks {
    fn run(&self, engine: &Engine) {
        let mut idle = 0;
        while !self.stop.load(Ordering::SeqCst) {
            idle = if self.running.load(Ordering::SeqCst) == 0 {
                idle + 1
            } else {
                0
            };
            if idle > IDLE_TICKS {
                self.asleep.store(true, Ordering::SeqCst);
                if self.running.load(Ordering::SeqCst) == 0 && !self.stop.load(Ordering::SeqCst) {
                    std::thread::park();
                }
                self.asleep.store(false, Ordering::SeqCst);
                idle = 0;
            }
            // An early tick does no harm: guests compare with the real time.
            std::thread::park_timeout(Duration::from_micros(
                self.period_micros.load(Ordering::Relaxed),
            ));
            engine.increment_epoch();
        }
    }
}

fn settings(stack_bytes: u64) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .max_wasm_stack(usize::try_from(stack_bytes).unwrap_or(usize::MAX))
        // A policy is a pure function, so the same question must have the same answer on every
        // machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .concurrency_support(false)
        // Fresh instances share the module's memory image until they write to it. Memory is
        // reserved as it is used. In a pool, all slots would have to be as large as the largest
        // memory limit of any policy.
        .memory_init_cow(true)
        // A failure is reported by kind and message. Its backtrace would cost time and is not used.
        .wasm_backtrace_max_frames(None);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asleep(runtime: &Runtime) -> bool {
        runtime.ticks.asleep.load(Ordering::SeqCst)
    }

    #[test]
    fn ticks_stop_without_a_guest_and_start_again_with_one() {
        let runtime = Runtime::new(512 << 10).unwrap();
        runtime.keep(Duration::from_millis(1));
        while !asleep(&runtime) {
            std::thread::yield_now();
        }
        let running = runtime.enter();
        while asleep(&runtime) {
            std::thread::yield_now();
        }
        drop(running);
    }
}
