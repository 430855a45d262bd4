//! The servers: which are installed, and how to start each as a memory cache in front of the
//! origin.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::certificates;
use crate::floors::Answer;
use crate::load;
use crate::origin::Size;
use crate::process::{self, Process};

/// A server to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Server {
    /// With the demo's policies on every request.
    Tero,
    /// Without any policy.
    TeroBare,
    /// With four policies in a chain.
    TeroFour,
    /// With a policy in JavaScript: see `--javascript`.
    TeroJavascript,
    /// With a policy in Python: see `--python`.
    TeroPython,
    /// Like [`Server::Tero`], with another build: see `--other`.
    TeroOther,
    Nginx,
    Varnish,
    Trafficserver,
    Squid,
    Haproxy,
    /// A constant answer from a bare epoll loop.
    Epoll,
    /// A constant answer through hyper.
    Hyper,
}

impl Server {
    pub(crate) const ALL: [Server; 13] = [
        Server::Tero,
        Server::TeroBare,
        Server::TeroFour,
        Server::TeroJavascript,
        Server::TeroPython,
        Server::TeroOther,
        Server::Nginx,
        Server::Varnish,
        Server::Trafficserver,
        Server::Squid,
        Server::Haproxy,
        Server::Epoll,
        Server::Hyper,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Server::Tero => "tero",
            Server::TeroBare => "tero-bare",
            Server::TeroFour => "tero-four",
            Server::TeroJavascript => "tero-javascript",
            Server::TeroPython => "tero-python",
            Server::TeroOther => "tero-other",
            Server::Nginx => "nginx",
            Server::Varnish => "varnish",
            Server::Trafficserver => "trafficserver",
            Server::Squid => "squid",
            Server::Haproxy => "haproxy",
            Server::Epoll => "epoll",
            Server::Hyper => "hyper",
        }
    }

    pub(crate) fn is_tero(self) -> bool {
        use Server::{Tero, TeroBare, TeroFour, TeroJavascript, TeroOther, TeroPython};
        matches!(
            self,
            Tero | TeroBare | TeroFour | TeroJavascript | TeroPython | TeroOther
        )
    }

    /// Whether it is a floor: a constant answer without an origin.
    pub(crate) fn is_floor(self) -> bool {
        matches!(self, Server::Epoll | Server::Hyper)
    }

    /// The program, and its argument for printing the version.
    fn program(self, start: &Start<'_>) -> (PathBuf, &'static str) {
        let named = |name: &str| PathBuf::from(name);
        match self {
            Server::Nginx => (named("nginx"), "-v"),
            Server::Varnish => (named("varnishd"), "-V"),
            Server::Trafficserver => (named("traffic_server"), "--version"),
            Server::Squid => (named("squid"), "--version"),
            Server::Haproxy => (named("haproxy"), "-v"),
            Server::Epoll | Server::Hyper => {
                (std::env::current_exe().unwrap_or_default(), "--version")
            }
            Server::TeroOther => (start.other.unwrap_or(start.tero).to_owned(), "--version"),
            _ => (start.tero.to_owned(), "--version"),
        }
    }
}

/// A running server, with the folder of its files.
pub(crate) struct Running {
    pub(crate) port: u16,
    /// The port with TLS: see [`Start::tls`].
    pub(crate) tls: u16,
    /// The port of its admin interface, if it has one.
    pub(crate) admin: u16,
    // Fields are dropped in order: the process ends before its files are removed.
    process: Process,
    folder: tempfile::TempDir,
    _left: LeftBySquid,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its memory in bytes, with its files in memory, mapped or not. The kernel's own memory for
    /// those files is not included.
    pub(crate) fn memory(&self) -> u64 {
        process::memory(self.pid(), self.folder.path()) + size_of_files(self.folder.path())
    }

    /// CPU time for a request while `load` runs, in microseconds.
    pub(crate) fn cpu_of_request(
        &self,
        load: impl FnOnce() -> Result<load::LoadResult, String>,
    ) -> Result<f64, String> {
        let before = process::cpu_ticks(self.pid());
        let result = load()?;
        if result.failed > 0 {
            return Err(format!("{} requests failed", result.failed));
        }
        let ticks = process::cpu_ticks(self.pid()).saturating_sub(before);
        Ok(ticks as f64 / process::TICKS_PER_SECOND * 1e6 / result.requests as f64)
    }

    /// The last lines of its log; empty if there are none.
    pub(crate) fn last_words(&self) -> String {
        const LINES: usize = 3;
        let logs = ["error.log", LOG]
            .map(|name| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default());
        let lines: Vec<&str> = logs
            .iter()
            .flat_map(|log| log.lines().rev().take(LINES))
            .collect();
        lines
            .into_iter()
            .rev()
            .map(|line| format!("  {line}\n"))
            .collect()
    }

    /// Stops it, and removes its files.
    pub(crate) fn stop(self) {}
}

/// Removes, when dropped, the shared memory that a killed Squid leaves, and with which it would not
/// start again.
struct LeftBySquid;

impl Drop for LeftBySquid {
    fn drop(&mut self) {
        for left in std::fs::read_dir("/dev/shm")
            .into_iter()
            .flatten()
            .flatten()
        {
            if left
                .file_name()
                .to_string_lossy()
                .starts_with(SQUID_NAME_IN_MEMORY)
            {
                let _ = std::fs::remove_file(left.path());
            }
        }
    }
}

/// The file with the output of a server, in its folder.
const LOG: &str = "output.log";

/// The largest cache that HAProxy allows, in MiB.
pub(crate) const HAPROXY_MOST_MIB: u32 = 4_095;

/// How the names of shared memory of our Squid begin.
const SQUID_NAME_IN_MEMORY: &str = "squid-terobench";

/// The size of all files in a folder, in bytes.
fn size_of_files(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_of_files(&entry.path()),
        Ok(metadata) => std::os::unix::fs::MetadataExt::blocks(&metadata) * 512,
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// The settings for starting a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start<'a> {
    pub(crate) tero: &'a Path,
    /// The component of [`Server::TeroJavascript`] or [`Server::TeroPython`].
    pub(crate) javascript: Option<&'a Path>,
    pub(crate) python: Option<&'a Path>,
    /// The program of [`Server::TeroOther`].
    pub(crate) other: Option<&'a Path>,
    pub(crate) origin: u16,
    /// The port of the origin with TLS: see [`Start::tls`].
    pub(crate) origin_tls: u16,
    pub(crate) core: u32,
    pub(crate) memory_mib: u32,
    /// The end of tero's configuration after the common part, in place of the policies of
    /// [`Server::Tero`].
    pub(crate) config: Option<&'a str>,
    /// Where the folder of the server is made; `None` for one in memory, if the system has a place for it.
    pub(crate) parent: Option<&'a Path>,
    /// Whether nginx and HAProxy also listen with TLS, and compress texts. tero does so by `config`.
    pub(crate) tls: bool,
    /// The answer of [`Server::Epoll`] and [`Server::Hyper`].
    pub(crate) floor: Answer,
}

impl<'a> Start<'a> {
    /// In front of the origin on this port, on the first core, with 256 MiB.
    pub(crate) fn new(tero: &'a Path, origin: u16) -> Start<'a> {
        let floor = Answer {
            size: Size::of_kib(1),
            not_modified: false,
        };
        Start {
            tero,
            javascript: None,
            python: None,
            other: None,
            origin,
            origin_tls: 0,
            core: 0,
            memory_mib: 256,
            config: None,
            parent: None,
            tls: false,
            floor,
        }
    }
}

/// The profile for building tero: that of production.
pub(crate) const PRODUCTION: &str = "dist";

/// The tero to measure: the named one, or that of the workspace in this profile, which is built if
/// `wanted`.
pub(crate) fn tero_binary(
    named: Option<&Path>,
    wanted: bool,
    profile: &str,
) -> Result<PathBuf, String> {
    if let Some(path) = named {
        return path
            .canonicalize()
            .map_err(|error| format!("{}: {error}", path.display()));
    }
    let workspace = workspace();
    if wanted {
        let status = Command::new("cargo")
            .args(["build", "--profile", profile, "-p", "tero"])
            .current_dir(&workspace)
            .status();
        if !status.is_ok_and(|status| status.success()) {
            return Err("cargo could not build tero".to_owned());
        }
    }
    // This program is in the folder of another profile, beside that of tero.
    let target = std::env::current_exe()
        .ok()
        .and_then(|path| Some(path.parent()?.parent()?.to_owned()));
    let beside = target
        .map(|target| target.join(profile).join("tero"))
        .filter(|path| path.exists());
    Ok(beside.unwrap_or_else(|| workspace.join("target").join(profile).join("tero")))
}

pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The named servers, or else all that are installed, each with its version.
pub(crate) fn installed(
    only: &[Server],
    start: &Start<'_>,
) -> Result<Vec<(Server, String)>, String> {
    let mut found = Vec::new();
    for server in Server::ALL {
        if !only.is_empty() && !only.contains(&server) {
            continue;
        }
        match available(server, start) {
            Ok(version) => found.push((server, version)),
            Err(why) if only.is_empty() => eprintln!("{why}: left out"),
            Err(why) => return Err(why),
        }
    }
    if found.is_empty() {
        Err("no server to measure".to_owned())
    } else {
        Ok(found)
    }
}

fn available(server: Server, start: &Start<'_>) -> Result<String, String> {
    match server {
        Server::TeroJavascript if start.javascript.is_none() => {
            Err("no --javascript COMPONENT was given".to_owned())
        }
        Server::TeroPython if start.python.is_none() => {
            Err("no --python COMPONENT was given".to_owned())
        }
        Server::TeroOther if start.other.is_none() => Err("no --other TERO was given".to_owned()),
        _ => version(server, start).ok_or_else(|| format!("{} is not installed", server.as_str())),
    }
}

fn version(server: Server, start: &Start<'_>) -> Option<String> {
    let (program, argument) = server.program(start);
    let output = Command::new(program).arg(argument).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let digits =
        |word: &&str| word.contains('.') && word.chars().filter(char::is_ascii_digit).count() >= 2;
    let word = text
        .split(|c: char| c.is_whitespace() || "/()".contains(c))
        .find(digits)?;
    Some(word.trim_start_matches("varnish-").to_owned())
}

/// Starts `server` on a free port and waits until it listens.
pub(crate) fn start(server: Server, start: &Start<'_>) -> Result<Running, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", server.as_str());
    // nginx keeps its cache in files, so the folder is in memory if the system has a place for it.
    let memory = Path::new("/dev/shm");
    let parent = match start.parent {
        Some(parent) => parent.to_owned(),
        None if memory.is_dir() => memory.to_owned(),
        None => std::env::temp_dir(),
    };
    let folder = tempfile::Builder::new()
        .prefix("tero-bench-")
        .tempdir_in(parent)
        .map_err(failed)?;
    process::remove_on_signal(folder.path());
    let free = || free_port().map_err(failed);
    let (port, tls, admin) = (free()?, free()?, free()?);
    if start.tls {
        certificates::write(folder.path())?;
    }
    let setup = Setup {
        dir: folder.path(),
        port,
        tls,
        admin,
        start,
    };
    let arguments = setup.arguments(server).map_err(failed)?;
    let log = folder.path().join(LOG);
    let mut process = Process::start(start.core, &server.program(start).0, &arguments, &log)?;
    let patience = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if process.ended() || Instant::now() > patience {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("{} did not come up:\n{log}", server.as_str()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // Servers with several threads listen a little before all threads work.
    std::thread::sleep(Duration::from_millis(500));
    Ok(Running {
        port,
        tls,
        admin,
        process,
        folder,
        _left: LeftBySquid,
    })
}

pub(crate) fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Values for the gaps in configuration files.
struct Setup<'a> {
    dir: &'a Path,
    port: u16,
    tls: u16,
    admin: u16,
    start: &'a Start<'a>,
}

impl Setup<'_> {
    /// Writes the server's files, and returns its arguments.
    fn arguments(&self, server: Server) -> std::io::Result<Vec<String>> {
        let words = |line: &str| line.split(' ').map(|word| self.fill(word)).collect();
        let tero = |policies: &str| {
            self.write(
                "tero.toml",
                &format!("{}{policies}", include_str!("../peers/tero.toml")),
            )?;
            Ok(words("serve --config @DIR@/tero.toml"))
        };
        let component = |path: Option<&Path>| {
            let path = path.unwrap_or(Path::new("")).display().to_string();
            tero(&include_str!("../peers/tero-component.toml").replace("@COMPONENT@", &path))
        };
        match server {
            Server::Tero | Server::TeroOther => tero(
                self.start
                    .config
                    .unwrap_or(include_str!("../peers/tero-policies.toml")),
            ),
            Server::TeroFour => tero(include_str!("../peers/tero-four.toml")),
            Server::TeroBare => tero(""),
            Server::TeroJavascript => component(self.start.javascript),
            Server::TeroPython => component(self.start.python),
            Server::Epoll | Server::Hyper => {
                let Answer { size, not_modified } = self.start.floor;
                let not_modified = if not_modified { " --not-modified" } else { "" };
                Ok(words(&format!(
                    "floor {} @PORT@ {size}{not_modified}",
                    server.as_str()
                )))
            }
            Server::Squid => {
                self.write("squid.conf", include_str!("../peers/squid.conf"))?;
                drop(LeftBySquid);
                Ok(words("-N -n terobench -f @DIR@/squid.conf"))
            }
            Server::Haproxy => {
                let tls = self.with_tls(include_str!("../peers/haproxy-tls.cfg"));
                let backend = self.with_tls(include_str!("../peers/haproxy-tls-origin.cfg"));
                let config = include_str!("../peers/haproxy.cfg").replace("@TLS@", tls) + backend;
                self.write("haproxy.cfg", &config)?;
                Ok(words("-db -f @DIR@/haproxy.cfg"))
            }
            Server::Nginx => {
                let tls = self.with_tls(include_str!("../peers/nginx-tls.conf"));
                let origin = self.with_tls(include_str!("../peers/nginx-tls-origin.conf"));
                let config = include_str!("../peers/nginx.conf")
                    .replace("@TLS@", tls)
                    .replace("@TLS_SERVER@", origin);
                self.write("nginx.conf", &config)?;
                Ok(words("-p @DIR@ -e @DIR@/error.log -c @DIR@/nginx.conf"))
            }
            Server::Varnish => {
                self.write("bench.vcl", include_str!("../peers/varnish.vcl"))?;
                Ok(words(
                    "-F -j none -n @DIR@/work -a 127.0.0.1:@PORT@ -f @DIR@/bench.vcl -s malloc,@MEMORY_MIB@m \
                     -p idle_send_timeout=300 -p timeout_idle=300 -p listen_depth=4096 -p thread_queue_limit=20000",
                ))
            }
            Server::Trafficserver => {
                self.traffic_server_layout()?;
                Ok(words("--run-root=@DIR@/runroot.yaml"))
            }
        }
    }

    /// Makes the folders that Traffic Server needs: the files of its package, with ours over them.
    fn traffic_server_layout(&self) -> std::io::Result<()> {
        let info = Command::new("traffic_layout").arg("info").output()?;
        let info = String::from_utf8_lossy(&info.stdout);
        let shipped = info
            .lines()
            .find_map(|line| line.strip_prefix("SYSCONFDIR: "))
            .unwrap_or("/etc/trafficserver")
            .trim();
        for folder in ["etc", "run", "log", "cache", "bin", "lib"] {
            std::fs::create_dir_all(self.dir.join(folder))?;
        }
        Command::new("cp")
            .args(["-r", &format!("{shipped}/."), &self.fill("@DIR@/etc")])
            .status()?;
        let places = [
            ("prefix", ""),
            ("exec_prefix", ""),
            ("bindir", "bin"),
            ("sbindir", "bin"),
            ("sysconfdir", "etc"),
            ("datadir", "cache"),
            ("includedir", "bin"),
            ("libdir", "lib"),
            ("libexecdir", "lib"),
            ("localstatedir", "run"),
            ("runtimedir", "run"),
            ("logdir", "log"),
            ("cachedir", "cache"),
        ];
        let runroot: String = places
            .iter()
            .map(|(name, place)| format!("{name}: @DIR@/{place}\n"))
            .collect();
        self.write("runroot.yaml", &runroot)?;
        self.write(
            "etc/records.config",
            include_str!("../peers/records.config"),
        )?;
        self.write("etc/storage.config", "@DIR@/cache @MEMORY_MIB@M\n")?;
        self.write("etc/remap.config", "map / http://127.0.0.1:@ORIGIN@/\n")?;
        self.write("etc/plugin.config", "")
    }

    /// The lines for TLS, or none if they are not wanted.
    fn with_tls(&self, lines: &'static str) -> &'static str {
        if self.start.tls { lines } else { "" }
    }

    fn write(&self, name: &str, template: &str) -> std::io::Result<()> {
        std::fs::write(self.dir.join(name), self.fill(template))
    }

    fn fill(&self, template: &str) -> String {
        let haproxy_mib = self.start.memory_mib.min(HAPROXY_MOST_MIB);
        template
            .replace("@DIR@", &self.dir.display().to_string())
            .replace("@PORT@", &self.port.to_string())
            .replace("@TLS_PORT@", &self.tls.to_string())
            .replace("@ORIGIN@", &self.start.origin.to_string())
            .replace("@ORIGIN_TLS@", &self.start.origin_tls.to_string())
            .replace("@HAPROXY_MIB@", &haproxy_mib.to_string())
            .replace(
                "@HAPROXY_OBJECT@",
                &((u64::from(haproxy_mib) << 20) / 2).to_string(),
            )
            .replace("@MEMORY_MIB@", &self.start.memory_mib.to_string())
            // At most half of the memory.
            .replace(
                "@OBJECT_MIB@",
                &(self.start.memory_mib / 2).min(128).to_string(),
            )
            // A megabyte of keys for eight thousand objects, as nginx's documentation says.
            .replace("@ZONE_MIB@", &(self.start.memory_mib / 8).to_string())
            .replace("@ADMIN@", &self.admin.to_string())
            .replace(
                "@EXAMPLES@",
                &workspace().join("examples").display().to_string(),
            )
    }
}
