//! One process takes over from another: no request is lost, and if the new one fails, the old one
//! serves on.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tero_admin_api::{
    MaintenanceResponse, PurgeRequest, PurgeTarget, UpgradeResponse,
    endpoints::{Events, Maintenance, Purge, StartMaintenance},
};
use tero_tests::{
    Client, GUARD, Gate, HOST, Origin, Reply, Request, SetWhenDropped, eventually, folder, get,
};

use crate::http2::client::{self, Http2Client};
use crate::program::{Serving, address_in, assert_code, configuration, err, out, tero};
use crate::tls::authority::{Authority, names};
use crate::tls::visitor::Visitor;

/// An edge whose program is a link, so that another one can be put in its place, and the processes
/// that follow each other.
struct Line {
    serving: Serving,
    /// The process that serves.
    process: u32,
    admin: SocketAddr,
}

impl Line {
    fn start(folder: tempfile::TempDir, configuration: &str) -> Line {
        let program = folder.path().join("tero");
        link(&program, Path::new(env!("CARGO_BIN_EXE_tero-under-test")));
        let mut command = Command::new(&program);
        command
            .arg("serve")
            .env("NO_COLOR", "1")
            .env_remove("TERO_LOG")
            .stdin(Stdio::null());
        let serving = Serving::start_in(folder, command, configuration);
        let admin = serving.admin_address();
        let process = serving.id();
        Line {
            serving,
            process,
            admin,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.serving.folder.path().join(name)
    }

    /// The address of the listener of this scheme.
    fn address(&self, scheme: &str) -> SocketAddr {
        let words = format!("serving on {scheme}://");
        address_in(&self.serving.line_with(&[&words]))
    }

    fn upgrade_by_command(&self) -> Output {
        let admin = format!("http://{}", self.admin);
        let asked = tero(&["upgrade", "--json", "--admin", &admin]).output();
        asked.expect("the program can be run")
    }

    #[track_caller]
    fn upgrade(&mut self) {
        let output = self.upgrade_by_command();
        assert_code(&output, 0);
        let answer: UpgradeResponse = serde_json::from_str(&out(&output)).unwrap();
        self.took_over(answer.before, answer.process);
    }

    #[track_caller]
    fn upgrade_by_signal(&mut self) {
        signal(self.process, "USR2");
        let before = format!("before={}", self.process);
        let line = self.serving.line_with(&["taken over", &before]);
        let (_, process) = line.split_once("process=").unwrap();
        let process = process.split_whitespace().next().unwrap().parse().unwrap();
        self.took_over(self.process, process);
    }

    #[track_caller]
    fn took_over(&mut self, before: u32, process: u32) {
        assert_eq!(before, self.process);
        assert_ne!(process, before);
        self.process = process;
    }

    fn api(&self) -> tero_admin_api::client::Client {
        tero_admin_api::client::Client::new(&format!("http://{}", self.admin), None).unwrap()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        signal(self.process, "KILL");
    }
}

fn signal(process: u32, name: &str) {
    let mut kill = Command::new("kill");
    kill.args([&format!("-{name}"), &process.to_string()]);
    drop(kill.stderr(Stdio::null()).status());
}

fn runs(process: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{process}/stat"));
    // One that has ended and waits to be asked how counts as ended.
    state.is_ok_and(|state| !state.contains(") Z "))
}

/// Puts a program in the place of another.
fn link(at: &Path, program: &Path) {
    drop(std::fs::remove_file(at));
    std::os::unix::fs::symlink(program, at).unwrap();
}

fn script(at: &Path, text: &str) {
    drop(std::fs::remove_file(at));
    std::fs::write(at, format!("#!/bin/sh\n{text}\n")).unwrap();
    let run = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(at, run).unwrap();
}

fn pages() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(600, format!("page {}", asked.target)));
    origin
}

/// More listeners, for every protocol.
fn listeners(folder: &Path) -> String {
    format!(
        "[[server.listener]]\naddress = \"127.0.0.1:0\"\nhttp2 = true\n\
         tls = {{ certificates = [{{ cert = \"{0}/own.pem\", key = \"{0}/own.key\" }}] }}\n\n\
         [[server.listener]]\naddress = \"unix:{0}/http.sock\"\n\n",
        folder.display()
    )
}

fn with_listeners(origin: &Origin, folder: &Path, server: &str, more: &str) -> String {
    configuration(origin, more)
        .replace("[server]\n", &format!("[server]\n{server}\n"))
        .replace("[admin]\n", &format!("{}[admin]\n", listeners(folder)))
}

/// Clients that ask again and again, each on a connection that it keeps as long as it may.
pub(crate) struct Load {
    stopped: AtomicBool,
    answered: AtomicUsize,
    /// Connections that were opened.
    opened: AtomicUsize,
}

impl Load {
    pub(crate) fn new() -> Load {
        Load {
            stopped: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
            opened: AtomicUsize::new(0),
        }
    }

    /// Waits until so many more requests were answered.
    pub(crate) fn wait_for_more(&self, enough: usize) {
        let answered = self.answered.load(Ordering::Relaxed);
        eventually("visitors are served", || {
            self.answered.load(Ordering::Relaxed) >= answered + enough
        });
    }

    /// Has the clients stop when it is dropped.
    pub(crate) fn stop_when_dropped(&self) -> SetWhenDropped<'_> {
        SetWhenDropped(&self.stopped)
    }

    fn goes_on(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed)
    }

    fn count(&self, status: u16, body: &[u8], expected: &str) {
        assert_eq!((status, body), (200, expected.as_bytes()));
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn http1(&self, connect: impl Fn() -> Client) {
        let mut number = 0;
        while self.goes_on() {
            let mut client = connect();
            self.opened.fetch_add(1, Ordering::Relaxed);
            while self.goes_on() {
                number += 1;
                let target = format!("/{}", number % 20);
                let answer = client.send(&get(&target));
                assert!(answer.whole, "{answer:?}");
                self.count(answer.status, &answer.body, &format!("page {target}"));
                if answer.header("connection").as_deref() == Some("close") {
                    break;
                }
            }
        }
    }

    fn http2(&self, address: SocketAddr) {
        let mut number = 0;
        while self.goes_on() {
            let client = Http2Client::connect(address);
            self.opened.fetch_add(1, Ordering::Relaxed);
            while self.goes_on() {
                number += 1;
                let target = format!("/{}", number % 20);
                // After GOAWAY the client opens no stream; what it has opened is answered.
                let Ok(request) = client.try_start(client::get(&target), true) else {
                    break;
                };
                let answer = match request.try_answer() {
                    Ok(answer) => answer,
                    // One that crosses the GOAWAY was not processed, and is sent again (RFC 9113 §6.8).
                    Err(error) if error.is_go_away() && error.is_remote() => {
                        assert_eq!(error.reason(), Some(h2::Reason::NO_ERROR));
                        break;
                    }
                    Err(error) => panic!("{error}"),
                };
                assert!(answer.whole, "{answer:?}");
                self.count(answer.status, &answer.body, &format!("page {target}"));
            }
        }
    }

    fn unix(&self, path: &Path) {
        while self.goes_on() {
            let mut stream = UnixStream::connect(path).expect("a process listens");
            stream.set_read_timeout(Some(GUARD)).unwrap();
            self.opened.fetch_add(1, Ordering::Relaxed);
            let request = get("/unix").header("Connection", "close").to_bytes();
            stream.write_all(&request).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            self.count(200, body.as_bytes(), "page /unix");
        }
    }
}

/// Upgrades under load, and demands that each client gets an answer to every request. `enough` says
/// how many there are to be between two upgrades.
fn upgrade_under_load(upgrades: usize, enough: usize) {
    let (origin, folder) = (pages(), folder());
    let authority = Authority::new("root");
    authority.issue(names(&[HOST])).write(folder.path(), "own");
    let clear = "[[server.listener]]\naddress = \"127.0.0.2:0\"\nhttp2 = true\n\n";
    let text = with_listeners(&origin, folder.path(), "", "")
        .replace("[admin]\n", &format!("{clear}[admin]\n"));
    // Another file with the same content: what is there when the upgrade begins is started.
    let programs = ["one", "two"].map(|name| folder.path().join(name));
    for program in &programs {
        link(program, Path::new(env!("CARGO_BIN_EXE_tero-under-test")));
    }
    let mut line = Line::start(folder, &text);
    let plain = line.serving.address();
    let secure = line.address("https");
    let clear = address_in(&line.serving.line_with(&["serving on http://127.0.0.2"]));
    let visitor = Visitor::new(HOST, authority.roots());
    let visitor = visitor.offering(&["http/1.1"]);
    let socket = line.path("http.sock");
    let plain = line
        .serving
        .log()
        .lines()
        .find(|line| line.contains("serving on http://127.0.0.1"))
        .map_or(plain, address_in);
    let load = Load::new();
    let mut most_opened = 0;
    std::thread::scope(|scope| {
        let load = &load;
        let _ending = load.stop_when_dropped();
        for _ in 0..40 {
            scope.spawn(|| load.http1(|| Client::connect(plain)));
        }
        for _ in 0..8 {
            scope.spawn(|| load.http1(|| visitor.client(secure)));
        }
        for _ in 0..8 {
            scope.spawn(|| load.http2(clear));
        }
        for _ in 0..8 {
            scope.spawn(|| load.unix(&socket));
        }
        for upgrade in 0..upgrades {
            load.wait_for_more(enough);
            link(&line.path("tero"), &programs[upgrade % 2]);
            let before = line.process;
            match upgrade % 2 {
                0 => line.upgrade(),
                _ => line.upgrade_by_signal(),
            }
            eventually("the process before ends", || !runs(before));
            most_opened = load.opened.load(Ordering::Relaxed);
        }
    });
    let answered = load.answered.load(Ordering::Relaxed);
    assert!(answered >= upgrades * enough);
    assert!(most_opened >= 64, "connections went over to the successors");
    assert!(!line.serving.log().contains("panicked"));
}

#[test]
fn no_request_is_lost_while_processes_follow_each_other() {
    upgrade_under_load(4, 200);
}

/// `cargo test -p tero-tests --test edge -- --ignored fifty_upgrades`, best with `--release`.
#[test]
#[ignore = "takes minutes"]
fn fifty_upgrades_lose_none_of_300_000_requests() {
    upgrade_under_load(50, 6_000);
}

#[test]
fn open_connections_end_politely() {
    let origin = pages();
    let gate = Gate::new();
    origin.on("/slow", Reply::fresh(60, "firstlast!").in_halves(&gate));
    let clear = "[[server.listener]]\naddress = \"127.0.0.2:0\"\nhttp2 = true\n\n";
    let text = configuration(&origin, "").replace("[admin]\n", &format!("{clear}[admin]\n"));
    let mut line = Line::start(folder(), &text);
    let plain = address_in(&line.serving.line_with(&["serving on http://127.0.0.1"]));
    let clear = address_in(&line.serving.line_with(&["serving on http://127.0.0.2"]));
    let [mut kept, mut idle, mut slow] = [(); 3].map(|()| Client::connect(plain));
    kept.send(&get("/a"));
    idle.send(&get("/a"));
    slow.start(&get("/slow"));
    let mut half = slow.head();
    half.body = slow.exactly(5);
    let multiplexed = Http2Client::connect(clear);
    assert_eq!(multiplexed.send(client::get("/a")).status, 200);
    let before = line.process;
    line.upgrade();
    // The old process says with the next answer that it is the last one.
    let last = kept.send(&get("/a"));
    assert_eq!(last.header("connection").as_deref(), Some("close"));
    last.assert_hit("page /a");
    assert!(kept.is_closed());
    eventually("HTTP/2 ends in order", || {
        multiplexed.ended() == Some(Ok(()))
    });
    assert!(idle.is_closed());
    gate.open();
    slow.rest(&mut half);
    assert_eq!((half.text().as_str(), half.whole), ("firstlast!", true));
    eventually("the old process ends", || !runs(before));
    // The new one began with an empty store.
    let mut new = Client::connect(plain);
    new.send(&get("/a")).assert_forwarded("uri-miss", "page /a");
    new.send(&get("/a")).assert_hit("page /a");
    assert_eq!(line.serving.exit_code(), Some(0), "{}", line.serving.log());
}

#[test]
fn a_successor_that_fails_leaves_the_old_one_serving() {
    let origin = pages();
    let text = configuration(&origin, "");
    let text = text.replace("[server]\n", "[server]\nupgrade_timeout = \"5s\"\n");
    let mut line = Line::start(folder(), &text);
    let plain = line.serving.address();
    let (program, file) = (line.path("tero"), line.path("tero.toml"));
    Client::connect(plain).send(&get("/a"));
    let fails_with = |line: &Line, reason: &str| {
        let output = line.upgrade_by_command();
        assert_code(&output, 1);
        assert!(err(&output).contains(reason), "{reason}: {}", err(&output));
        assert!(err(&output).contains("this process serves on"));
        // What it has stored is there.
        Client::connect(plain)
            .send(&get("/a"))
            .assert_hit("page /a");
        let mut maintenance = Client::connect(line.admin);
        let order = Request::new("DELETE", "/maintenance/site").host("localhost");
        assert_eq!(
            maintenance.send(&order).status,
            200,
            "changes are taken again"
        );
    };
    std::fs::write(&file, text.replace("workers = 2", "workers = 0")).unwrap();
    fails_with(&line, "server.workers");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = format!("127.0.0.1:{}\"", taken.local_addr().unwrap().port());
    std::fs::write(&file, text.replacen("127.0.0.1:0\"", &other, 1)).unwrap();
    fails_with(&line, "could not listen on");
    std::fs::write(&file, &text).unwrap();
    script(&program, "exit 3");
    fails_with(&line, "exit status: 3");
    script(&program, "exec sleep 60");
    fails_with(&line, "not ready within");
    std::fs::remove_file(&program).unwrap();
    fails_with(&line, "can't be started");
    eventually("operators are told", || {
        let events = Request::new("GET", "/events").host("localhost");
        let events = Client::connect(line.admin).send(&events);
        events.text().contains("upgrade_failed")
    });
    link(&program, Path::new(env!("CARGO_BIN_EXE_tero-under-test")));
    line.upgrade();
    Client::connect(plain)
        .send(&get("/a"))
        .assert_forwarded("uri-miss", "page /a");
}

#[test]
fn the_state_directory_goes_along_and_stays_locked() {
    let origin = pages();
    let text = configuration(&origin, "");
    let text = text.replace("[policies]\n", "[policies]\nstate_dir = \"state\"\n");
    let mut line = Line::start(folder(), &text);
    let plain = line.serving.address();
    let order = serde_json::from_str(r#"{ "message": "Back soon." }"#).unwrap();
    let begun = line.api().call::<StartMaintenance>(&["site"], &order);
    begun.unwrap();
    for _ in 0..2 {
        let before = line.process;
        line.upgrade();
        let sites: MaintenanceResponse = line.api().call::<Maintenance>(&[], &()).unwrap();
        assert_eq!(sites.sites.len(), 1);
        let answer = Client::connect(plain).send(&get("/a"));
        assert_eq!(answer.status, 503, "{answer:?}");
        eventually("the process before ends", || !runs(before));
        // A stranger gets neither the directory nor the port.
        let stranger = |text: &str, reason: &str| {
            std::fs::write(line.path("stranger.toml"), text).unwrap();
            let mut command = tero(&["serve", "stranger.toml"]);
            let output = command.current_dir(line.serving.folder.path()).output();
            let output = output.unwrap();
            assert_code(&output, 1);
            assert!(err(&output).contains(reason), "{}", err(&output));
        };
        stranger(&text, "in use by another running edge");
        let same_port = text.replacen("127.0.0.1:0", &plain.to_string(), 1);
        stranger(
            &same_port.replace("state_dir = \"state\"\n", ""),
            "could not listen on",
        );
    }
}

#[test]
fn a_successor_that_takes_no_sockets_is_given_up_in_time() {
    let (origin, folder) = (pages(), folder());
    let text = configuration(&origin, "");
    let mut text = text.replace("[server]\n", "[server]\nupgrade_timeout = \"1s\"\n");
    // The system keeps some 280 on the way to a process that reads nothing.
    for number in 0..320 {
        let socket = folder.path().join(format!("{number}.sock"));
        let socket = socket.display();
        text += &format!("\n[[server.listener]]\naddress = \"unix:{socket}\"\n");
    }
    let line = Line::start(folder, &text);
    script(&line.path("tero"), "exec sleep 1000");
    let output = line.upgrade_by_command();
    assert_code(&output, 1);
    let said = err(&output);
    assert!(said.contains("not ready within 1s"), "{said}");
    Client::connect(line.serving.address()).send(&get("/a"));
}

#[test]
fn a_purge_is_answered_when_the_old_process_answers_no_more_requests() {
    let origin = pages();
    let mut line = Line::start(folder(), &configuration(&origin, ""));
    let plain = line.serving.address();
    let mut old = Client::connect(plain);
    old.send(&get("/a"));
    line.upgrade();
    let purge = PurgeRequest::new(PurgeTarget::Site("site".to_owned()), false);
    line.api().call::<Purge>(&[], &purge).unwrap();
    assert!(old.is_closed(), "it could be served what was purged");
}

#[test]
fn plans_run_before_the_takeover_and_purges_meanwhile_undo_them() {
    for purges in [false, true] {
        let origin = pages();
        let plan = "\n[[warm]]\nname = \"plan\"\nsite = \"site\"\nurls = [\"/a\", \"/last\"]\nconcurrency = 1\n";
        let text = configuration(&origin, plan);
        let mut line = Line::start(folder(), &text);
        let (plain, admin) = (line.serving.address(), line.admin);
        let text = text.replace("[admin]\n", "[admin]\nready_after = [\"plan\"]\n");
        std::fs::write(line.path("tero.toml"), text).unwrap();
        let gate = Gate::new();
        origin.on("/last", Reply::fresh(600, "last").behind(&gate));
        origin.on("/b", Reply::fresh(600, "b"));
        Client::connect(plain).send(&get("/b"));
        std::thread::scope(|scope| {
            let upgrade = scope.spawn(|| line.upgrade());
            // The new process has warmed all but the last page.
            gate.wait_for_arrivals(1);
            Client::connect(plain).send(&get("/b")).assert_hit("b");
            let post = |path: &str| Request::new("POST", path).host("localhost");
            let ask = |request: Request| Client::connect(admin).send(&request).status;
            assert_eq!(
                ask(post("/reload").body("")),
                503,
                "the new one has read its own"
            );
            if purges {
                let order = post("/purge").header("Content-Type", "application/json");
                assert_eq!(ask(order.body("{\"site\": \"site\"}")), 200);
            }
            gate.open();
            upgrade.join().unwrap();
        });
        let answer = Client::connect(plain).send(&get("/a"));
        match purges {
            false => answer.assert_hit("page /a"),
            true => answer.assert_forwarded("uri-miss", "page /a"),
        }
    }
}

#[test]
fn what_is_told_while_a_successor_starts_is_not_told_by_that_again() {
    let (origin, hook) = (pages(), Origin::start());
    hook.otherwise(|_| Reply::ok("ok"));
    let more = format!(
        "\n[[warm]]\nname = \"plan\"\nsite = \"site\"\nurls = [\"/last\"]\n\
         \n[[warm]]\nname = \"bad\"\nsite = \"site\"\nsitemap = \"/none.xml\"\n\
         \n[[webhook]]\nname = \"chat\"\nurl = \"{}/hook\"\nformat = \"json\"\n",
        hook.url()
    );
    let text = configuration(&origin, &more);
    let text = text.replace("[policies]\n", "[policies]\nstate_dir = \"state\"\n");
    let mut line = Line::start(folder(), &text);
    let text = text.replace("[admin]\n", "[admin]\nready_after = [\"plan\"]\n");
    std::fs::write(line.path("tero.toml"), text).unwrap();
    let (last, sitemap) = (Gate::new(), Gate::new());
    origin.on("/last", Reply::fresh(600, "last").behind(&last));
    origin.on("/none.xml", Reply::status(404).behind(&sitemap));
    let run = Request::new("POST", "/warm/bad").host("localhost").body("");
    assert_eq!(Client::connect(line.admin).send(&run).status, 202);
    sitemap.wait_for_arrivals(1);
    let api = line.api();
    std::thread::scope(|scope| {
        let upgrade = scope.spawn(|| line.upgrade());
        last.wait_for_arrivals(1);
        // A plan fails while the successor starts.
        sitemap.open();
        hook.wait_for("/hook", 1);
        last.open();
        upgrade.join().unwrap();
    });
    let told = || api.call::<Events>(&[], &()).unwrap().events;
    eventually("the successor knows it", || !told().is_empty());
    assert_eq!((told().len(), &*told()[0].kind), (1, "warming_failed"));
    let saved = std::fs::read_to_string(line.path("state/events.json")).unwrap();
    assert!(saved.contains("\"told\":{\"chat\":[1]}"), "{saved}");
    assert_eq!(hook.requests("/hook"), 1);
}

#[test]
fn a_reload_by_signal_is_refused_while_a_successor_starts() {
    let origin = pages();
    let plan = "\n[[warm]]\nname = \"plan\"\nsite = \"site\"\nurls = [\"/last\"]\n";
    let text = configuration(&origin, plan);
    let mut line = Line::start(folder(), &text);
    let waits = text.replace("[admin]\n", "[admin]\nready_after = [\"plan\"]\n");
    std::fs::write(line.path("tero.toml"), waits).unwrap();
    let gate = Gate::new();
    origin.on("/last", Reply::fresh(600, "last").behind(&gate));
    let output = std::thread::scope(|scope| {
        let upgrade = scope.spawn(|| line.upgrade_by_command());
        gate.wait_for_arrivals(1);
        signal(line.process, "HUP");
        let refused = ["the old configuration stays", "an upgrade is under way"];
        line.serving.line_with(&refused);
        gate.open();
        upgrade.join().unwrap()
    });
    assert_code(&output, 0);
    let answer: UpgradeResponse = serde_json::from_str(&out(&output)).unwrap();
    line.took_over(answer.before, answer.process);
    signal(line.process, "HUP");
    line.serving
        .line_with(&["the configuration has been read again"]);
}

/// Passes a listening socket as systemd does, as number 3.
fn activated(folder: tempfile::TempDir, socket: impl Into<OwnedFd>, text: &str) -> Serving {
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec 3<&0 </dev/null; LISTEN_FDS=1 exec \"$0\" serve"])
        .arg(env!("CARGO_BIN_EXE_tero-under-test"))
        .env("NO_COLOR", "1")
        .env("NOTIFY_SOCKET", folder.path().join("notify"))
        .env_remove("TERO_LOG")
        .stdin(Stdio::from(socket.into()));
    Serving::start_in(folder, command, text)
}

#[test]
fn sockets_of_systemd_are_served_and_it_is_told_of_the_stages() {
    let (origin, folder) = (pages(), folder());
    let told = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    told.set_read_timeout(Some(GUARD)).unwrap();
    let next = || {
        let mut text = [0; 512];
        let length = told.recv(&mut text).expect("systemd is told");
        String::from_utf8_lossy(&text[..length])
            .trim_end()
            .to_owned()
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let text = configuration(&origin, "").replacen("127.0.0.1:0", &address.to_string(), 1);
    // A visitor who came before the process did is served.
    let mut early = Client::connect(address);
    early.start(&get("/early"));
    let serving = activated(folder, listener, &text);
    assert!(next().starts_with("READY=1"));
    let mut answer = early.head();
    early.rest(&mut answer);
    assert_eq!(answer.text(), "page /early");
    serving.signal("HUP");
    let reloading = next();
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert!(next().starts_with("READY=1"));
    serving.signal("USR2");
    assert!(next().starts_with("RELOADING=1"));
    let successor = next();
    let process: u32 = successor
        .strip_prefix("MAINPID=")
        .and_then(|rest| rest.strip_suffix("\nREADY=1"))
        .unwrap_or_else(|| panic!("{successor}"))
        .parse()
        .unwrap();
    assert_ne!(process, serving.id());
    assert!(next().starts_with("READY=1"), "the new process says so too");
    let mut client = Client::connect(address);
    assert_eq!(client.send(&get("/later")).text(), "page /later");
    signal(process, "TERM");
    assert!(next().starts_with("STOPPING=1"));
    eventually("the new process ends", || !runs(process));
}

#[test]
fn a_socket_of_systemd_that_no_listener_names_is_an_error() {
    let (origin, folder) = (pages(), folder());
    let path = folder.path().join("other.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mut serving = activated(folder, listener, &configuration(&origin, ""));
    assert_eq!(serving.exit_code(), Some(1));
    serving.line_with(&["systemd has opened unix:", "other.sock", "ListenStream"]);
    assert!(path.exists(), "it is not ours");
}

#[test]
fn a_watched_process_says_that_it_works() {
    let (origin, folder) = (pages(), folder());
    let told = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    told.set_read_timeout(Some(GUARD)).unwrap();
    let mut command = tero(&["serve"]);
    command
        .env("NOTIFY_SOCKET", folder.path().join("notify"))
        .env(
            "WATCHDOG_USEC",
            Duration::from_millis(20).as_micros().to_string(),
        );
    let _serving = Serving::start_in(folder, command, &configuration(&origin, ""));
    let mut alive = 0;
    while alive < 3 {
        let mut text = [0; 512];
        let length = told.recv(&mut text).expect("systemd is told");
        alive += usize::from(text[..length].starts_with(b"WATCHDOG=1"));
    }
}

#[test]
fn a_disk_goes_over_to_the_successor_with_all_that_is_on_it() {
    let (origin, folder) = (pages(), folder());
    let disk = folder.path().join("disk");
    let section = format!("\n[[cache.disk]]\npath = {disk:?}\nsize = \"64MiB\"\n");
    let text = format!("{}{section}", configuration(&origin, ""));
    let mut line = Line::start(folder, &text);
    let mut client = line.serving.client();
    // Used, so that it is worth keeping; the last ones are not written yet.
    let targets: Vec<String> = (0..50).map(|number| format!("/{number}")).collect();
    for target in &targets {
        client.send(&get(target));
        eventually("it is stored", || {
            let answer = client.send(&get(target));
            let status = answer.header("cache-status").unwrap_or_default();
            status.starts_with("tero; hit")
        });
    }
    let purge = |target: &str| {
        let target = PurgeTarget::Url(format!("http://{HOST}{target}"));
        PurgeRequest::new(target, false)
    };
    line.api().call::<Purge>(&[], &purge("/1")).unwrap();
    let asked = origin.total();
    for _ in 0..2 {
        let before = line.process;
        line.upgrade();
        line.api().call::<Purge>(&[], &purge("/2")).unwrap();
        eventually("the process before ends", || !runs(before));
        let mut client = line.serving.client();
        eventually("the disk is there", || {
            let answer = client.send(&get("/0"));
            answer
                .header("cache-status")
                .is_some_and(|status| status.starts_with("tero; hit"))
        });
    }
    let mut client = line.serving.client();
    let mut fetched = 0;
    for target in &targets {
        let answer = client.send(&get(target));
        assert_eq!(answer.text(), format!("page {target}"));
        let status = answer.header("cache-status").unwrap_or_default();
        let is_hit = status.starts_with("tero; hit");
        assert!(
            !(is_hit && ["/1", "/2"].contains(&&**target)),
            "{target}: {status}"
        );
        fetched += usize::from(!is_hit);
    }
    // Those that were purged, and /0 once if it was asked for too early.
    assert!(fetched <= 3 && origin.total() - asked <= 5, "{fetched}");
}
