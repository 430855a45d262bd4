//! Ends a run of tests when one of them goes on for ever, and says which one and where.
//!
//! It is on where `TERO_TEST_MINUTES` says how long a test may take: in `.ci/run`. Whoever runs tests
//! by hand sees the one that is left, and some long ones take an hour.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::sync::{Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often the tests that run are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The tests that run, by name, and when each was first seen.
static RUNNING: Mutex<BTreeMap<String, Instant>> = Mutex::new(BTreeMap::new());

thread_local! {
    static TEST: Option<Running> = Running::of_this_thread();
}

/// Counts the test on whose thread this is called as one that runs, until its thread ends.
pub fn watch_test() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let minutes = std::env::var("TERO_TEST_MINUTES").ok();
        if let Some(minutes) = minutes.and_then(|minutes| minutes.parse::<u64>().ok()) {
            thread::spawn(move || watch(Duration::from_secs(60 * minutes)));
        }
    });
    TEST.with(|_| {});
}

/// A test that runs. Dropped with its thread.
struct Running(String);

impl Running {
    /// Threads of tests have their names. With one test at a time, all run on the first thread.
    fn of_this_thread() -> Option<Running> {
        let name = thread::current().name()?.to_owned();
        if name == "main" {
            return None;
        }
        running().insert(name.clone(), now());
        Some(Running(name))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        running().remove(&self.0);
    }
}

fn running() -> std::sync::MutexGuard<'static, BTreeMap<String, Instant>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[allow(
    clippy::disallowed_methods,
    reason = "a test that hangs does so in real time"
)]
fn now() -> Instant {
    Instant::now()
}

#[allow(
    clippy::disallowed_methods,
    reason = "a test that hangs does so in real time"
)]
fn watch(most: Duration) {
    loop {
        thread::sleep(LOOK_EVERY);
        let late: Vec<String> = running()
            .iter()
            .filter(|(_, began)| began.elapsed() > most)
            .map(|(name, _)| name.clone())
            .collect();
        if !late.is_empty() {
            // Not by a macro: those are caught with the output of the test that came first.
            let report = format!(
                "\nstill running after {} s: {}\n{}",
                most.as_secs(),
                late.join(", "),
                threads() + &children()
            );
            let _ = std::io::stderr().write_all(report.as_bytes());
            std::process::exit(101);
        }
    }
}

/// The threads of this process, and what each waits for in the kernel.
fn threads() -> String {
    let mut lines = String::new();
    for task in fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let part = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let parts = ["comm", "wchan", "syscall"].map(|name| part(name).trim().to_owned());
        lines += &format!("thread {}\n", parts.join(" "));
    }
    lines
}

/// The processes that this one has started, and that run.
fn children() -> String {
    let parent = format!("PPid:\t{}", std::process::id());
    let mut lines = String::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let part = |name: &str| fs::read_to_string(process.path().join(name)).unwrap_or_default();
        if part("status").lines().any(|line| line == parent) {
            lines += &format!("process {}\n", part("cmdline").replace('\0', " "));
        }
    }
    lines
}
