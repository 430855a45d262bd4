//! An edge in this process, on free ports, with a clock that the test turns by hand.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use chrono::NaiveDateTime;
use chrono_tz::Tz;
use tero_admin_api::{Endpoint, Question as _};
use tero_config::Config;
use tero_policy_host::{Compiler, CompilerCommand};
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;
use tero_time::{moment, zones};

use crate::{Answer, Client, HOST, Origin, Request, eventually, get, watch_test};

/// How long other threads get the processor for between two seconds of the edge.
const TURN: Duration = Duration::from_millis(2);

/// The zone of the examples, and the default of tests.
pub const ART: &str = "America/Argentina/Buenos_Aires";

/// The time at which an edge starts by default: a Tuesday, in [`ART`].
pub const A_TUESDAY_MORNING: &str = "2026-11-24T10:00:00";

/// A running edge. Dropping it stops it, and fails the test if a thread of an edge has panicked.
#[derive(Debug)]
pub struct Edge {
    server: Option<tero::Server>,
    clock: Clock,
    zone: Tz,
}

/// Builds the configuration of an edge, and sets its clock.
#[derive(Clone, Debug)]
pub struct EdgeBuilder {
    origins: Vec<String>,
    /// Tables `[[site.origin]]`, in place of the origins.
    next_hops: Vec<String>,
    server: String,
    admin: String,
    cache: String,
    host: String,
    site: String,
    policies: String,
    policy_names: Vec<String>,
    more: String,
    local_time: String,
    zone: Tz,
}

impl Edge {
    /// An edge in front of this origin, with one site named `site` for [`HOST`].
    pub fn before(origin: &Origin) -> EdgeBuilder {
        Edge::before_url(&origin.url())
    }

    /// Like [`Edge::before`], in front of one `[[site.origin]]` with these keys.
    pub fn before_hop(keys: &str) -> EdgeBuilder {
        Edge::before_url("").next_hop(keys)
    }

    /// Like [`Edge::before`], in front of a URL.
    pub fn before_url(url: &str) -> EdgeBuilder {
        EdgeBuilder {
            origins: vec![url.to_owned()],
            next_hops: Vec::new(),
            server: String::new(),
            admin: String::new(),
            cache: String::new(),
            host: String::new(),
            site: String::new(),
            policies: String::new(),
            policy_names: Vec::new(),
            more: String::new(),
            local_time: A_TUESDAY_MORNING.to_owned(),
            zone: ART.parse().expect("the zone exists"),
        }
    }

    /// Starts an edge with a whole configuration. Its `listen` keys should name port 0.
    ///
    /// # Panics
    /// If the configuration is refused.
    pub fn from_toml(text: &str, local_time: &str, zone: &str) -> Edge {
        try_start(text, local_time, zone.parse().expect("the zone exists"))
            .unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// Starts an edge with a whole configuration and a clock that others share.
    ///
    /// # Panics
    /// If the configuration is refused.
    pub fn on_clock(text: &str, clock: Clock, zone: Tz) -> Edge {
        start_on(text, clock, zone).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// The address for visitors.
    pub fn address(&self) -> SocketAddr {
        self.server().addresses()[0]
    }

    /// The addresses of all listeners, in the configuration's order.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server().addresses()
    }

    /// The address of the admin interface.
    pub fn admin_address(&self) -> SocketAddr {
        self.server().admin_address()
    }

    /// The clock of the edge.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Opens a connection of a visitor.
    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// Sends a GET on a new connection.
    pub fn get(&self, target: &str) -> Answer {
        self.send(&get(target))
    }

    /// Sends a request on a new connection.
    pub fn send(&self, request: &Request) -> Answer {
        self.client().send(request)
    }

    /// Sends a GET to the admin interface.
    pub fn admin_get(&self, target: &str) -> Answer {
        self.admin(&get(target))
    }

    /// Sends a POST with JSON to the admin interface.
    pub fn admin_post(&self, target: &str, body: &str) -> Answer {
        self.admin(
            &Request::new("POST", target)
                .header("Content-Type", "application/json")
                .body(body),
        )
    }

    /// Sends a request to the admin interface.
    pub fn admin(&self, request: &Request) -> Answer {
        Client::connect(self.admin_address()).send(&request.clone().host("localhost"))
    }

    /// Calls an endpoint of the admin interface, and returns its good answer.
    ///
    /// # Panics
    /// If the call is refused.
    #[track_caller]
    pub fn call<E: Endpoint>(&self, parameters: &[&str], request: &E::Request) -> E::Response {
        let answer = self.ask::<E>(parameters, request);
        assert_eq!(answer.status, E::STATUS.as_u16(), "{answer:?}");
        answer.read()
    }

    /// Calls an endpoint of the admin interface, and returns its answer, good or not.
    ///
    /// # Panics
    /// If a parameter is not a name.
    pub fn ask<E: Endpoint>(&self, parameters: &[&str], request: &E::Request) -> Answer {
        let path = tero_admin_api::path_of::<E>(parameters).expect("parameters are names");
        let target = path + &request.query();
        self.admin(&Request::new(E::METHOD.as_str(), target).body(request.content()))
    }

    /// All metrics: names with labels, as written, and values.
    pub fn metrics(&self) -> Vec<(String, f64)> {
        let answer = self.admin_get("/metrics");
        assert_eq!(answer.status, 200, "{answer:?}");
        let text = answer.text();
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        let parse = |line: &str| {
            let (name, value) = line
                .rsplit_once(' ')
                .unwrap_or_else(|| panic!("not a metric: {line}"));
            (
                name.to_owned(),
                value
                    .parse()
                    .unwrap_or_else(|_| panic!("not a number: {line}")),
            )
        };
        lines.map(parse).collect()
    }

    /// The sum of a metric over the label sets that contain all of `labels` (`outcome="hit"`).
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let of_name = |full: &str| {
            full == name
                || full
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('{'))
        };
        let found = self
            .metrics()
            .into_iter()
            .filter(|(full, _)| of_name(full) && labels.iter().all(|label| full.contains(label)));
        found.map(|(_, value)| value).sum()
    }

    /// Turns the clock to a local time.
    pub fn turn_to(&self, local_time: &str) {
        self.clock.turn_to(instant(local_time, self.zone));
    }

    /// Turns the clock forward.
    pub fn advance_secs(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    /// Turns the clock forward, second by second, until a condition is met. It serves timeouts of
    /// the edge that begin at a moment that the test can't see.
    ///
    /// # Panics
    /// If it is not met within `most_secs` seconds of the edge's time.
    #[track_caller]
    #[allow(clippy::disallowed_methods)] // It gives the processor to other threads; no test depends on its length.
    pub fn advance_until(&self, most_secs: u64, mut met: impl FnMut() -> bool) {
        for _ in 0..most_secs {
            if met() {
                return;
            }
            self.advance_secs(1);
            // Threads of the edge get the processor before the next second. Where this one gets it
            // late, so do they.
            let began = std::time::Instant::now();
            std::thread::sleep(TURN);
            let late = began.elapsed().saturating_sub(TURN);
            std::thread::sleep((2 * late).min(50 * TURN));
        }
        eventually(&format!("an effect of {most_secs} s"), met);
    }

    /// Sends a GET again and again until an answer meets the condition. It serves effects of
    /// background work.
    ///
    /// # Panics
    /// If none does within [`crate::GUARD`].
    #[track_caller]
    pub fn until(&self, target: &str, mut met: impl FnMut(&Answer) -> bool) -> Answer {
        let mut last = None;
        eventually(&format!("another answer for {target}"), || {
            let answer = self.get(target);
            let good = met(&answer);
            last = Some(answer);
            good
        });
        last.expect("a request was sent")
    }

    /// Whether nothing is being fetched for the store.
    pub fn is_quiet(&self) -> bool {
        let edge = self.server().edge();
        edge.fetches_under_way() == 0 && edge.store.usage().fill_bytes == 0
    }

    /// Waits until the disks have written what they were offered.
    ///
    /// # Panics
    /// If there are none.
    pub fn settle_disks(&self) {
        let disk = self.server().edge().store.disk();
        disk.expect("the edge has disks").settle();
    }

    /// Applies another configuration. Returns the keys that wait for a restart.
    ///
    /// # Errors
    /// The message that an operator would read.
    pub fn reload(&self, builder: &EdgeBuilder) -> Result<Vec<String>, String> {
        let config = Config::parse(&builder.to_toml(), "tero.toml", &std::env::temp_dir())
            .map_err(|errors| errors.to_string())?;
        self.server()
            .reload(config)
            .map_err(|error| chained(&error))
    }

    /// Begins to stop: the edge refuses new connections, and finishes running requests.
    pub fn shutdown(&self) {
        self.server().shutdown();
    }

    fn server(&self) -> &tero::Server {
        self.server.as_ref().expect("it runs until it is dropped")
    }
}

impl EdgeBuilder {
    /// Adds an origin to the site.
    pub fn origin(mut self, url: &str) -> EdgeBuilder {
        self.origins.push(url.to_owned());
        self
    }

    /// Adds a `[[site.origin]]` with these keys; then no other origins count.
    pub fn next_hop(mut self, keys: &str) -> EdgeBuilder {
        self.next_hops.push(format!("[[site.origin]]\n{keys}\n"));
        self
    }

    /// Adds keys to `[server]`.
    pub fn server(mut self, keys: &str) -> EdgeBuilder {
        writeln!(self.server, "{keys}").expect("a string takes it");
        self
    }

    /// Adds keys to `[admin]`.
    pub fn admin(mut self, keys: &str) -> EdgeBuilder {
        writeln!(self.admin, "{keys}").expect("a string takes it");
        self
    }

    /// Adds keys to `[cache]`.
    pub fn cache(mut self, keys: &str) -> EdgeBuilder {
        writeln!(self.cache, "{keys}").expect("a string takes it");
        self
    }

    /// Adds keys to `[policies]`.
    pub fn policies(mut self, keys: &str) -> EdgeBuilder {
        writeln!(self.host, "{keys}").expect("a string takes it");
        self
    }

    /// Sets the folder for pushed versions.
    pub fn state_dir(self, folder: &Path) -> EdgeBuilder {
        let folder = toml_string(&folder.display().to_string());
        self.policies(&format!("state_dir = {folder}"))
    }

    /// Adds keys to the site.
    pub fn site(mut self, keys: &str) -> EdgeBuilder {
        writeln!(self.site, "{keys}").expect("a string takes it");
        self
    }

    /// Adds a policy to the site: its name, its module and other keys. Without `limits`, its
    /// deadline is five seconds, since many tests share the processor.
    pub fn policy(mut self, name: &str, module: &str, keys: &str) -> EdgeBuilder {
        let (name, module) = (toml_string(name), toml_string(module));
        let limits = if keys.contains("limits") {
            ""
        } else {
            "limits = { deadline = \"5s\" }\n"
        };
        writeln!(
            self.policies,
            "[[policy]]\nname = {name}\nmodule = {module}\n{limits}{keys}\n"
        )
        .expect("a string takes it");
        self.policy_names.push(name);
        self
    }

    /// Adds whole tables, after that of the site.
    pub fn section(mut self, text: &str) -> EdgeBuilder {
        writeln!(self.more, "{text}").expect("a string takes it");
        self
    }

    /// Sets the local time at which the edge starts.
    pub fn at(mut self, local_time: &str) -> EdgeBuilder {
        self.local_time = local_time.to_owned();
        self
    }

    /// Sets the zone of local times in the test.
    pub fn zone(mut self, zone: &str) -> EdgeBuilder {
        self.zone = zone.parse().expect("the zone exists");
        self
    }

    /// The configuration as text.
    pub fn to_toml(&self) -> String {
        let origins: Vec<_> = self.origins.iter().map(|url| toml_string(url)).collect();
        let origins = match &self.next_hops[..] {
            [] => format!("origins = [{}]", origins.join(", ")),
            _ => String::new(),
        };
        let or_default = |section: &str, key: &str, default: &str| match section.contains(key) {
            true => section.to_owned(),
            false => format!("{default}\n{section}"),
        };
        format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\n{server}\n[admin]\nlisten = \"127.0.0.1:0\"\n{admin}\n[cache]\n{cache}\n\
             [policies]\ncompiled_cache = {compiled}\n{host}\n{policies}\n[[site]]\nname = \"site\"\nhosts = [\"{HOST}\"]\n\
             {origins}\npolicies = [{names}]\n{site}\n{next_hops}\n{more}",
            server = or_default(&self.server, "workers", "workers = 2"),
            admin = self.admin,
            cache = self.cache,
            compiled = toml_string(&compiled_cache().display().to_string()),
            host = self.host,
            policies = self.policies,
            next_hops = self.next_hops.concat(),
            names = self.policy_names.join(", "),
            site = self.site,
            more = self.more,
        )
    }

    /// Starts the edge.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn start(&self) -> Edge {
        self.try_start()
            .unwrap_or_else(|error| panic!("{error}\n{}", self.to_toml()))
    }

    /// Starts the edge.
    ///
    /// # Errors
    /// The message that an operator would read.
    pub fn try_start(&self) -> Result<Edge, String> {
        try_start(&self.to_toml(), &self.local_time, self.zone)
    }
}

fn try_start(text: &str, local_time: &str, zone: Tz) -> Result<Edge, String> {
    start_on(text, Clock::by_hand(instant(local_time, zone)), zone)
}

fn start_on(text: &str, clock: Clock, zone: Tz) -> Result<Edge, String> {
    watch_test();
    watch_for_panics();
    let config = Config::parse(text, "tero.toml", &std::env::temp_dir())
        .map_err(|errors| errors.to_string())?;
    let server =
        tero::serve(config, clock.clone(), &compiler()).map_err(|error| chained(&error))?;
    Ok(Edge {
        server: Some(server),
        clock,
        zone,
    })
}

fn chained(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, ": {error}").expect("a string takes it");
        cause = error.source();
    }
    text
}

impl Drop for Edge {
    fn drop(&mut self) {
        let Some(server) = self.server.take() else {
            return;
        };
        server.shutdown();
        let waiter = std::thread::spawn(move || server.wait());
        // Draining ends when its time has passed, so the clock is turned.
        eventually("the edge stops", || {
            self.clock.advance(Duration::from_secs(1));
            waiter.is_finished()
        });
        let ended = waiter.join();
        if !std::thread::panicking() {
            assert!(ended.is_ok(), "the edge panicked while it stopped");
            let panics = PANICS
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            assert!(panics.is_empty(), "threads of an edge panicked: {panics:?}");
        }
    }
}

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Records panics in threads of edges. Panics in other threads fail their test by themselves.
fn watch_for_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name().is_some_and(is_of_an_edge) {
                PANICS
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(panic.to_string());
            }
            before(panic);
        }));
    });
}

/// Whether this is the name of a thread of an edge. Threads of tests have the paths of functions.
fn is_of_an_edge(name: &str) -> bool {
    name.starts_with("worker-")
        || matches!(
            name,
            "acme" | "admin" | "housekeeping" | "rollout" | "warmer"
        )
}

/// The instant of a local time; the first of two at a clock change.
///
/// # Panics
/// If the text is not like [`A_TUESDAY_MORNING`], or a clock change skips the time.
pub fn instant(local_time: &str, zone: Tz) -> Timestamp {
    let local: NaiveDateTime = local_time
        .parse()
        .unwrap_or_else(|_| panic!("{local_time} is not like {A_TUESDAY_MORNING}"));
    let instant = moment::instant_of(local, zone);
    assert_eq!(
        zones::local(instant, zone).naive_local(),
        local,
        "{local_time} does not exist in {zone}"
    );
    instant
}

/// Quotes a string for TOML.
pub fn toml_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The folder of compiled modules, beside the test binaries. All tests share it.
pub fn compiled_cache() -> PathBuf {
    let binary = std::env::current_exe().expect("a test knows its binary");
    binary
        .parent()
        .expect("a binary lies in a folder")
        .join("tero-compiled-policies")
}

/// The compiler of modules: the program under test, which cargo builds before it runs a test. In a
/// test that has no such program, such as one in the documentation, this process.
pub fn compiler() -> Compiler {
    let program = compiled_cache()
        .with_file_name("")
        .join("../tero-under-test");
    if !program.exists() {
        return Compiler::InProcess;
    }
    Compiler::Process(CompilerCommand {
        program,
        arguments: vec!["compile-module".into()],
        // As the program does it: threads of the allocator can't be made within a small address space.
        environment: vec![(
            "_RJEM_MALLOC_CONF".into(),
            "narenas:4,retain:false,background_thread:false".into(),
        )],
    })
}

/// A new temporary folder, removed with the value.
pub fn folder() -> tempfile::TempDir {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let prefix = format!("tero-tests-{}-", NEXT.fetch_add(1, Ordering::Relaxed));
    tempfile::Builder::new()
        .prefix(&prefix)
        .tempdir()
        .expect("a folder can be made")
}
