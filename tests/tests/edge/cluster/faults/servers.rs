//! A cluster of three servers of NATS whose ways between each other can be cut.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tero_tests::{eventually, folder};

use super::super::nats::{copy, free_port};
use super::super::{PreparedStream, try_init_at};
use super::link::Link;
use super::small_disk::SmallDisk;

/// How many servers there are.
pub(super) const SERVERS: usize = 3;
/// The size of the disk of a server, in MiB.
const DISK_MIB: u64 = 128;

/// Three servers.
pub(super) struct NatsCluster {
    servers: Vec<NatsMember>,
    /// From each server to each other one.
    links: Vec<((usize, usize), Link)>,
}

struct NatsMember {
    program: PathBuf,
    port: u16,
    disk: SmallDisk,
    file: PathBuf,
    child: Option<Child>,
    _folder: tempfile::TempDir,
}

impl NatsCluster {
    /// Starts three servers, and makes the streams of a fleet with three copies.
    pub(super) fn start(program: &Path) -> NatsCluster {
        let ports: Vec<u16> = (0..SERVERS).map(|_| free_port()).collect();
        let routes: Vec<u16> = (0..SERVERS).map(|_| free_port()).collect();
        let pairs = (0..SERVERS).flat_map(|from| (0..SERVERS).map(move |to| (from, to)));
        let links: Vec<_> = pairs
            .filter(|(from, to)| from != to)
            .map(|(from, to)| ((from, to), Link::to(routes[to])))
            .collect();
        let servers = (0..SERVERS).map(|place| {
            let folder = folder();
            let disk = SmallDisk::new(&folder.path().join("disk"), DISK_MIB);
            let ways = links.iter().filter(|((from, _), _)| *from == place);
            let ways: Vec<String> = ways
                .map(|(_, link)| format!("nats://{}", link.address()))
                .collect();
            let file = folder.path().join("nats.conf");
            let text = format!(
                "server_name: n{place}\nlisten: 127.0.0.1:{}\n\
                 jetstream {{ store_dir: {:?}, max_file_store: 8G, sync_interval: always }}\n\
                 cluster {{ name: fleet, listen: 127.0.0.1:{}, no_advertise: true,\n\
                 advertise: \"127.0.0.1:9\", routes: [{}] }}\n",
                ports[place],
                disk.path().join("store"),
                routes[place],
                ways.join(", ")
            );
            std::fs::write(&file, text).unwrap();
            NatsMember {
                program: program.to_owned(),
                port: ports[place],
                disk,
                file,
                child: None,
                _folder: folder,
            }
        });
        let mut cluster = NatsCluster {
            servers: servers.collect(),
            links,
        };
        (0..SERVERS).for_each(|place| cluster.run(place));
        cluster.prepare();
        cluster
    }

    /// Makes the streams, with three copies each.
    pub(super) fn prepare(&self) {
        patiently("the streams", || match try_init_at(&self.url(0), "") {
            Ok(streams) if streams.iter().all(|it| it.replicas == SERVERS) => true,
            Ok(streams) => {
                // One server knew too few others yet.
                self.delete(&streams);
                false
            }
            Err(_) => false,
        });
    }

    fn delete(&self, streams: &[PreparedStream]) {
        let few = streams.iter().filter(|it| it.replicas < SERVERS);
        few.for_each(|stream| self.delete_stream(&stream.name));
    }

    /// Deletes a stream.
    pub(super) fn delete_stream(&self, name: &str) {
        let subject = format!("$JS.API.STREAM.DELETE.{name}");
        drop(self.ask(0, &subject));
    }

    /// Asks a server, and returns what it answers within some seconds.
    fn ask(&self, place: usize, subject: &str) -> std::io::Result<String> {
        let stream = TcpStream::connect(("127.0.0.1", self.servers[place].port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let asked = format!(
            "CONNECT {{\"verbose\":false}}\r\nSUB answers 1\r\nPUB {subject} answers 0\r\n\r\n"
        );
        (&stream).write_all(asked.as_bytes())?;
        let mut lines = BufReader::new(&stream).lines();
        while let Some(line) = lines.next().transpose()? {
            if line.starts_with("MSG ") {
                return lines.next().unwrap_or_else(|| Ok(String::new()));
            }
        }
        Ok(String::new())
    }

    /// The port of a server.
    pub(super) fn port(&self, place: usize) -> u16 {
        self.servers[place].port
    }

    /// The URL of a server.
    pub(super) fn url(&self, place: usize) -> String {
        format!("nats://127.0.0.1:{}", self.port(place))
    }

    /// Starts a server, unless it runs.
    pub(super) fn run(&mut self, place: usize) {
        let server = &mut self.servers[place];
        if server.child.is_some() {
            return;
        }
        let child = Command::new(&server.program)
            .arg("-c")
            .arg(&server.file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        server.child = Some(child.unwrap());
        let port = server.port;
        eventually("a server of NATS", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
    }

    /// Ends a server at once.
    pub(super) fn kill(&mut self, place: usize) {
        if let Some(mut child) = self.servers[place].child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends all servers at once.
    pub(super) fn kill_all(&mut self) {
        (0..SERVERS).for_each(|place| self.kill(place));
    }

    /// Starts all servers that don't run.
    pub(super) fn run_all(&mut self) {
        (0..SERVERS).for_each(|place| self.run(place));
    }

    /// Copies what the servers have, which don't run.
    pub(super) fn backup(&self) -> tempfile::TempDir {
        let backup = folder();
        for (place, server) in self.servers.iter().enumerate() {
            let kept = backup.path().join(place.to_string());
            copy(&server.disk.path().join("store"), &kept);
        }
        backup
    }

    /// Sets the servers back, which don't run.
    pub(super) fn restore(&self, backup: &Path) {
        for (place, server) in self.servers.iter().enumerate() {
            let store = server.disk.path().join("store");
            std::fs::remove_dir_all(&store).unwrap();
            copy(&backup.join(place.to_string()), &store);
        }
    }

    /// Cuts a server off from the others.
    pub(super) fn cut_off(&self, place: usize) {
        self.links_of(place).for_each(Link::cut);
    }

    /// Connects all servers again.
    pub(super) fn heal(&self) {
        self.links.iter().for_each(|(_, link)| link.heal());
    }

    fn links_of(&self, place: usize) -> impl Iterator<Item = &Link> {
        let links = self.links.iter();
        let of = links.filter(move |((from, to), _)| *from == place || *to == place);
        of.map(|(_, link)| link)
    }

    /// Fills the disk of a server, where it is one.
    pub(super) fn fill(&self, place: usize) {
        self.servers[place].disk.fill();
    }

    /// Makes room on all disks, and starts the servers anew that had none.
    pub(super) fn make_room(&mut self) {
        for place in 0..SERVERS {
            if self.servers[place].disk.make_room() {
                self.kill(place);
                self.run(place);
            }
        }
    }
}

impl Drop for NatsCluster {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// Waits for what takes servers longer than one wait of a test.
#[track_caller]
pub(super) fn patiently(what: &str, mut met: impl FnMut() -> bool) {
    for _ in 0..2 {
        let mut is_met = false;
        let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(what, || {
                is_met = met();
                is_met
            });
        }));
        if waited.is_ok() {
            return;
        }
    }
    panic!("still waiting: {what}");
}
