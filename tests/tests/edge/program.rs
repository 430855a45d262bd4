//! Runs the real program.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use tero_tests::{Client, GUARD, Origin, compiled_cache, eventually, get, toml_string, watch_test};

/// The program with these arguments. Its environment holds the path only.
pub(crate) fn tero(arguments: &[&str]) -> Command {
    watch_test();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tero-under-test"));
    command
        .args(arguments)
        .env("NO_COLOR", "1")
        .env_remove("TERO_LOG")
        .stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    tero(arguments).output().expect("the program can be run")
}

/// Runs the program to its end in a folder.
pub(crate) fn run_in(folder: &Path, arguments: &[&str]) -> Output {
    tero(arguments)
        .current_dir(folder)
        .output()
        .expect("the program can be run")
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Checks the exit code.
#[track_caller]
pub(crate) fn assert_code(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}\n{}",
        out(output),
        err(output)
    );
}

/// The static JSON policy file of the example.
pub(crate) fn sample_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/barberpro/cdn-argentina-policies.json")
}

/// A running `tero serve`. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Serving {
    child: Child,
    log: Arc<Log>,
    pub(crate) folder: tempfile::TempDir,
}

#[derive(Debug, Default)]
struct Log {
    text: Mutex<String>,
    grown: Condvar,
}

/// A configuration with one site in front of this origin, on free ports.
pub(crate) fn configuration(origin: &Origin, more: &str) -> String {
    format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n\n[admin]\nlisten = \"127.0.0.1:0\"\n\n[policies]\ncompiled_cache = {}\n\n\
         [[site]]\nname = \"site\"\nhosts = [\"www.example\"]\norigins = [\"{}\"]\n{more}",
        toml_string(&compiled_cache().display().to_string()),
        origin.url(),
    )
}

impl Serving {
    /// Starts `tero serve` with this configuration.
    pub(crate) fn start(configuration: &str) -> Serving {
        Serving::start_by(tero(&["serve"]), configuration)
    }

    /// Starts `tero serve` with this configuration and these limits of open files.
    pub(crate) fn start_within(configuration: &str, soft: u64, hard: u64) -> Serving {
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                "ulimit -Sn \"$1\" && ulimit -Hn \"$2\" && exec \"$0\" serve",
            ])
            .arg(env!("CARGO_BIN_EXE_tero-under-test"))
            .args([soft.to_string(), hard.to_string()])
            .env("NO_COLOR", "1")
            .env_remove("TERO_LOG")
            .stdin(Stdio::null());
        Serving::start_by(command, configuration)
    }

    pub(crate) fn start_by(command: Command, configuration: &str) -> Serving {
        Serving::start_in(tero_tests::folder(), command, configuration)
    }

    /// Starts a command in a folder, where it finds this configuration.
    pub(crate) fn start_in(
        folder: tempfile::TempDir,
        mut command: Command,
        configuration: &str,
    ) -> Serving {
        std::fs::write(folder.path().join("tero.toml"), configuration)
            .expect("the folder can be written");
        command
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be run");
        let log = Arc::new(Log::default());
        log.follow(child.stdout.take().expect("it is piped"));
        log.follow(child.stderr.take().expect("it is piped"));
        Serving { child, log, folder }
    }

    /// Waits until the log holds a line with all of these words, and returns it.
    pub(crate) fn line_with(&self, words: &[&str]) -> String {
        let found = |text: &str| {
            text.lines()
                .find(|line| words.iter().all(|word| line.contains(word)))
                .map(str::to_owned)
        };
        let text = self.log.text.lock().unwrap();
        let (text, _) = self
            .log
            .grown
            .wait_timeout_while(text, GUARD, |text| found(text).is_none())
            .unwrap();
        found(&text).unwrap_or_else(|| panic!("no line with {words:?} in:\n{text}"))
    }

    /// The address for visitors.
    pub(crate) fn address(&self) -> SocketAddr {
        address_in(&self.line_with(&["serving", "127.0.0.1:"]))
    }

    /// The address of the admin interface.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        address_in(&self.line_with(&["admin", "127.0.0.1:"]))
    }

    /// A new connection of a visitor.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The value of a metric.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let metrics = get("/metrics").host("localhost");
        let text = Client::connect(self.admin_address()).send(&metrics).text();
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// The memory that the program has in use, as the system counts it.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("the program runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = kib
            .and_then(|kib| kib.parse().ok())
            .expect("it is a number");
        kib * 1_024
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .expect("kill can be run");
        assert!(sent.success());
    }

    /// Waits until the program ends, and returns the exit code.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let mut code = None;
        eventually("the program ends", || {
            match self.child.try_wait().expect("a child can be waited for") {
                Some(status) => {
                    code = status.code();
                    true
                }
                None => false,
            }
        });
        code
    }

    /// Everything that the program has written so far.
    pub(crate) fn log(&self) -> String {
        self.log.text.lock().unwrap().clone()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Log {
    fn follow(self: &Arc<Log>, stream: impl Read + Send + 'static) {
        let log = Arc::clone(self);
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let mut text = log.text.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
                log.grown.notify_all();
            }
        });
    }
}

/// The last address in a line.
pub(crate) fn address_in(line: &str) -> SocketAddr {
    let words = line.split(|char: char| !(char.is_ascii_digit() || char == '.' || char == ':'));
    let addresses: Vec<SocketAddr> = words
        .filter_map(|word| word.trim_end_matches('.').parse().ok())
        .collect();
    *addresses
        .last()
        .unwrap_or_else(|| panic!("no address in {line:?}"))
}
