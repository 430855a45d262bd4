//! The WebAssembly engine that all policies share, and the clock thread that lets a running guest
//! notice its deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Config, Engine};

use crate::error::PolicyError;

/// The longest and the shortest time between two looks at a running guest's deadline.
const TICK_MICROS: std::ops::RangeInclusive<u64> = 1_000..=10_000;
/// After that many ticks without a guest the clock stands still, and costs nothing, until the next
/// one runs.
const IDLE_TICKS: u32 = 100;

/// The engine, and the thread that makes it look at deadlines.
pub(super) struct Runtime {
    pub(super) engine: Engine,
    /// Whether guests' instructions are counted, which costs time: at the desk only.
    pub(super) counts_fuel: bool,
    /// How deep a guest may nest its calls, in bytes of the thread's stack.
    pub(super) stack_bytes: u64,
    ticks: Arc<Ticks>,
    thread: Option<JoinHandle<()>>,
}

/// What the clock thread shares with the threads that run guests.
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
    /// Sets up the engine and starts its clock.
    ///
    /// # Errors
    /// [`PolicyError::Engine`] when the machine or its limits do not allow it.
    pub(super) fn new(stack_bytes: u64) -> Result<Runtime, PolicyError> {
        Runtime::start(stack_bytes, false)
    }

    /// The same, with every instruction of guests counted.
    ///
    /// # Errors
    /// As [`Runtime::new`].
    pub(super) fn counting(stack_bytes: u64) -> Result<Runtime, PolicyError> {
        Runtime::start(stack_bytes, true)
    }

    fn start(stack_bytes: u64, counts_fuel: bool) -> Result<Runtime, PolicyError> {
        let engine = Engine::new(settings(stack_bytes).consume_fuel(counts_fuel))
            .map_err(|error| unable(format!("{error:#}")))?;
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

    /// Sees to it that a deadline as short as this is kept within a fifth (a millisecond at least).
    pub(super) fn keep(&self, deadline: Duration) {
        let tenth = u64::try_from(deadline.as_micros() / 10).unwrap_or(u64::MAX);
        self.ticks.period_micros.fetch_min(
            tenth.clamp(*TICK_MICROS.start(), *TICK_MICROS.end()),
            Ordering::Relaxed,
        );
    }

    /// To be held while a guest runs.
    pub(super) fn enter(&self) -> RunningGuard<'_> {
        self.ticks.running.fetch_add(1, Ordering::SeqCst);
        // Either this sees that the clock fell asleep, or the clock sees the new guest before it
        // does.
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
            // It does not panic; if it did, there would be nothing left to stop.
            let _ = thread.join();
        }
    }
}

fn unable(reason: String) -> PolicyError {
    PolicyError::Engine { reason }
}

/// Some guest is running.
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
            // Waking too early does no harm: guests compare with the real time.
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
        // A policy is a pure function: the same question has the same answer on every machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .concurrency_support(false)
        // Fresh instances share the module's memory image until they write to it. Memory is
        // reserved as it is used: a pool of slots would have to be as large as the largest policy's
        // limit, for all of them.
        .memory_init_cow(true)
        // A failure is reported by kind and message; its stack would only be paid for.
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
    fn the_clock_stands_still_without_guests_and_runs_again_with_one() {
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
