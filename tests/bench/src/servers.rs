//! The servers: which are installed, and how each is started as a memory cache in front of the origin.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::Arguments;
use crate::process::{self, Process};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Server {
    /// With the demo's policies on every request.
    Tero,
    /// Without any policy.
    TeroBare,
    Nginx,
    Varnish,
    Trafficserver,
}

impl Server {
    pub(crate) const ALL: [Server; 5] = [Server::Tero, Server::TeroBare, Server::Nginx, Server::Varnish, Server::Trafficserver];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Server::Tero => "tero",
            Server::TeroBare => "tero-bare",
            Server::Nginx => "nginx",
            Server::Varnish => "varnish",
            Server::Trafficserver => "trafficserver",
        }
    }

    /// The program, and how it tells its version.
    fn program(self, tero: &Path) -> (&Path, &'static str) {
        match self {
            Server::Tero | Server::TeroBare => (tero, "--version"),
            Server::Nginx => (Path::new("nginx"), "-v"),
            Server::Varnish => (Path::new("varnishd"), "-V"),
            Server::Trafficserver => (Path::new("traffic_server"), "--version"),
        }
    }
}

/// A started server, with the folder that holds its files.
pub(crate) struct Running {
    pub(crate) port: u16,
    process: Process,
    /// Removed after the process has ended.
    folder: tempfile::TempDir,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn stop(self) {
        drop(self.process);
        drop(self.folder);
    }
}

/// The tero to measure: the one that was named, or the workspace's own, built now.
pub(crate) fn tero_binary(arguments: &Arguments) -> Result<PathBuf, String> {
    if let Some(path) = &arguments.tero {
        return path.canonicalize().map_err(|error| format!("{}: {error}", path.display()));
    }
    let wanted =
        arguments.only.is_empty() || arguments.only.iter().any(|server| matches!(server, Server::Tero | Server::TeroBare));
    let workspace = workspace();
    if wanted {
        let status = Command::new("cargo").args(["build", "--release", "-p", "tero"]).current_dir(&workspace).status();
        if !status.is_ok_and(|status| status.success()) {
            return Err("cargo could not build tero".to_owned());
        }
    }
    // This program lies beside it, wherever the target folder is.
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.parent()?.join("release/tero")));
    Ok(beside.filter(|path| path.exists()).unwrap_or_else(|| workspace.join("target/release/tero")))
}

pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The servers that were asked for, or else all that are installed, each with its version.
pub(crate) fn installed(only: &[Server], tero: &Path) -> Result<Vec<(Server, String)>, String> {
    let mut found = Vec::new();
    for server in Server::ALL {
        if !only.is_empty() && !only.contains(&server) {
            continue;
        }
        match version(server, tero) {
            Some(version) => found.push((server, version)),
            None if only.is_empty() => eprintln!("{} is not installed and is left out", server.as_str()),
            None => return Err(format!("{} is not installed", server.as_str())),
        }
    }
    if found.is_empty() { Err("no server to measure".to_owned()) } else { Ok(found) }
}

fn version(server: Server, tero: &Path) -> Option<String> {
    let (program, argument) = server.program(tero);
    let output = Command::new(program).arg(argument).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let digits = |word: &&str| word.contains('.') && word.chars().filter(char::is_ascii_digit).count() >= 2;
    let word = text.split(|c: char| c.is_whitespace() || "/()".contains(c)).find(digits)?;
    Some(word.trim_start_matches("varnish-").to_owned())
}

/// Starts `server` on a free port and waits until it listens.
pub(crate) fn start(server: Server, tero: &Path, origin: u16, core: u32) -> Result<Running, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", server.as_str());
    // nginx keeps its cache in files, so the folder lies in memory where the system has such a place.
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = tempfile::Builder::new().prefix("tero-bench-").tempdir_in(parent).map_err(failed)?;
    process::remove_on_signal(folder.path());
    let port = free_port().map_err(failed)?;
    let setup = Setup { dir: folder.path(), port, origin, admin: free_port().map_err(failed)? };
    let arguments = setup.arguments(server).map_err(failed)?;
    let log = folder.path().join("output.log");
    let mut process = Process::start(core, server.program(tero).0, &arguments, &log)?;
    let patience = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if process.ended() || Instant::now() > patience {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("{} did not come up:\n{log}", server.as_str()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // Those with several threads listen a little before all of them work.
    std::thread::sleep(Duration::from_millis(500));
    Ok(Running { port, process, folder })
}

pub(crate) fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// What the configuration files are filled in with.
struct Setup<'a> {
    dir: &'a Path,
    port: u16,
    origin: u16,
    admin: u16,
}

impl Setup<'_> {
    /// Writes the server's files, and returns its arguments.
    fn arguments(&self, server: Server) -> std::io::Result<Vec<String>> {
        let words = |line: &str| line.split(' ').map(|word| self.fill(word)).collect();
        match server {
            Server::Tero => {
                self.write(
                    "tero.toml",
                    concat!(include_str!("../peers/tero.toml"), include_str!("../peers/tero-policies.toml")),
                )?;
                Ok(words("serve --config @DIR@/tero.toml"))
            }
            Server::TeroBare => {
                self.write("tero.toml", include_str!("../peers/tero.toml"))?;
                Ok(words("serve --config @DIR@/tero.toml"))
            }
            Server::Nginx => {
                self.write("nginx.conf", include_str!("../peers/nginx.conf"))?;
                Ok(words("-p @DIR@ -e @DIR@/error.log -c @DIR@/nginx.conf"))
            }
            Server::Varnish => {
                self.write("bench.vcl", include_str!("../peers/varnish.vcl"))?;
                Ok(words(
                    "-F -j none -n @DIR@/work -a 127.0.0.1:@PORT@ -f @DIR@/bench.vcl -s malloc,256m -p idle_send_timeout=300 -p timeout_idle=300",
                ))
            }
            Server::Trafficserver => {
                self.traffic_server_layout()?;
                Ok(words("--run-root=@DIR@/runroot.yaml"))
            }
        }
    }

    /// Traffic Server wants a tree of its own, with the files that come with the package and ours over them.
    fn traffic_server_layout(&self) -> std::io::Result<()> {
        let info = Command::new("traffic_layout").arg("info").output()?;
        let info = String::from_utf8_lossy(&info.stdout);
        let shipped = info.lines().find_map(|line| line.strip_prefix("SYSCONFDIR: ")).unwrap_or("/etc/trafficserver").trim();
        for folder in ["etc", "run", "log", "cache", "bin", "lib"] {
            std::fs::create_dir_all(self.dir.join(folder))?;
        }
        Command::new("cp").args(["-r", &format!("{shipped}/."), &self.fill("@DIR@/etc")]).status()?;
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
        let runroot: String = places.iter().map(|(name, place)| format!("{name}: @DIR@/{place}\n")).collect();
        self.write("runroot.yaml", &runroot)?;
        self.write("etc/records.config", include_str!("../peers/records.config"))?;
        self.write("etc/storage.config", "@DIR@/cache 256M\n")?;
        self.write("etc/remap.config", "map / http://127.0.0.1:@ORIGIN@/\n")?;
        self.write("etc/plugin.config", "")
    }

    fn write(&self, name: &str, template: &str) -> std::io::Result<()> {
        std::fs::write(self.dir.join(name), self.fill(template))
    }

    fn fill(&self, template: &str) -> String {
        template
            .replace("@DIR@", &self.dir.display().to_string())
            .replace("@PORT@", &self.port.to_string())
            .replace("@ORIGIN@", &self.origin.to_string())
            .replace("@ADMIN@", &self.admin.to_string())
            .replace("@EXAMPLES@", &workspace().join("examples").display().to_string())
    }
}
