//! Child processes: started on a core, measured for CPU time and memory, and stopped in any case.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Running process groups.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Folders to remove if a signal ends the program; otherwise their owners remove them.
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Scheduler ticks each second in `/proc/PID/stat`: the kernel's `USER_HZ`, 100 on all common
/// architectures.
pub(crate) const TICKS_PER_SECOND: f64 = 100.0;

/// A server in a process group of its own, so that its child processes end with it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Runs `program` on `core`, with its output in `log`.
    pub(crate) fn start(
        core: u32,
        program: &Path,
        arguments: &[String],
        log: &Path,
    ) -> Result<Process, String> {
        let failed =
            |error: std::io::Error| format!("{} did not start: {error}", program.display());
        let output = std::fs::File::create(log).map_err(failed)?;
        let child = Command::new("taskset")
            .arg("-c")
            .arg(core.to_string())
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(failed)?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        running().push(child.id());
        Ok(Process { child })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process has ended by itself.
    pub(crate) fn ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }
}

impl Drop for Process {
    /// Asks the process to end, waits, and then kills it.
    fn drop(&mut self) {
        let group = self.child.id();
        signal("TERM", group);
        let patience = Instant::now() + Duration::from_secs(5);
        while !self.ended() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(20));
        }
        signal("KILL", group);
        let _ = self.child.wait();
        running().retain(|other| *other != group);
    }
}

/// Removes `folder` if a signal ends the program.
pub(crate) fn remove_on_signal(folder: &Path) {
    FOLDERS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(folder.to_owned());
}

/// Stops all running processes.
pub(crate) fn stop_all() {
    for group in running().drain(..) {
        signal("KILL", group);
    }
}

/// Stops all running processes when a signal stops the benchmark.
pub(crate) fn stop_all_on_signal() {
    std::thread::spawn(|| {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
        else {
            return;
        };
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut interrupt), Ok(mut terminate)) = (
                signal(SignalKind::interrupt()),
                signal(SignalKind::terminate()),
            ) else {
                return;
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            stop_all();
            for folder in FOLDERS
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .drain(..)
            {
                let _ = std::fs::remove_dir_all(folder);
            }
            std::process::exit(130);
        });
    });
}

fn running() -> std::sync::MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends a signal to a process group, which may have ended already.
fn signal(name: &str, group: u32) {
    let _ = Command::new("kill")
        .args([format!("-{name}"), "--".to_owned(), format!("-{group}")])
        .stderr(Stdio::null())
        .status();
}

/// User and system time of `root` and its descendants, with all threads, in ticks.
pub(crate) fn cpu_ticks(root: u32) -> u64 {
    family(root).iter().map(|process| process.ticks).sum()
}

/// The memory of `root` and its descendants, in bytes. Shared pages are divided among processes;
/// files in `folder` are left out.
pub(crate) fn memory(root: u32, folder: &Path) -> u64 {
    let held = |process: &Stat| {
        Some(held(
            &std::fs::read_to_string(format!("/proc/{}/smaps", process.id)).ok()?,
            folder,
        ))
    };
    family(root).iter().filter_map(held).sum::<u64>() * 1024
}

/// The sum of `Pss` of the mappings in `/proc/PID/smaps`, in KiB.
fn held(smaps: &str, folder: &Path) -> u64 {
    let folder = folder.display().to_string();
    let (mut sum, mut is_counted) = (0, true);
    for line in smaps.lines() {
        let first = line.split(' ').next().unwrap_or_default();
        // A mapping begins with its addresses; the names of its values end with a colon.
        if !first.ends_with(':') {
            is_counted = !line.contains(&folder);
        } else if first == "Pss:" && is_counted {
            let number = line
                .trim_start_matches("Pss:")
                .trim_end_matches("kB")
                .trim();
            sum += number.parse::<u64>().unwrap_or_default();
        }
    }
    sum
}

fn family(root: u32) -> Vec<Stat> {
    let processes: Vec<Stat> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Stat::of)
        .collect();
    let mut family = vec![root];
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        family.extend(
            processes
                .iter()
                .filter(|process| process.parent == parent)
                .map(|process| process.id),
        );
        next += 1;
    }
    processes
        .into_iter()
        .filter(|process| family.contains(&process.id))
        .collect()
}

struct Stat {
    id: u32,
    parent: u32,
    ticks: u64,
}

impl Stat {
    fn of(id: u32) -> Option<Stat> {
        let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name in parentheses may contain anything, so the fields are counted from its end:
        // state, parent, …, utime and stime.
        let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Stat {
            id,
            parent: u32::try_from(number(1)?).ok()?,
            ticks: number(11)? + number(12)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_of_this_process_grows() {
        let before = cpu_ticks(std::process::id());
        let until = Instant::now() + Duration::from_millis(200);
        let mut sum = 0u64;
        while Instant::now() < until {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_ticks(std::process::id()) > before);
        assert!(memory(std::process::id(), Path::new("/nowhere")) > 100_000);
    }

    #[test]
    fn memory_leaves_out_files_in_the_folder() {
        let smaps = "\
            7f00-7f01 rw-p 00000000 00:00 0 \nRss:  90 kB\nPss:  40 kB\nVmFlags: rd wr\n\
            7f02-7f03 rw-s 00000000 00:1a 5   /dev/shm/bench-1/log\nPss:  1000 kB\nPss_Dirty:  7 kB\n\
            7f04-7f05 rw-s 00000000 00:01 6   /dev/zero (deleted)\nPss:  2 kB\n";
        assert_eq!(held(smaps, Path::new("/dev/shm/bench-1")), 42);
        assert_eq!(held(smaps, Path::new("/dev/shm/bench-2")), 1042);
    }
}
