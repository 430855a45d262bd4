//! The dashboard in a real browser: `tests/browser/browse.cjs` looks at each view and uses each button.
//!
//! It needs node, Chromium and `playwright-core`, which `.ci/run` installs. There `TERO_DEMAND_BROWSER`
//! is set, and their absence is a failure; otherwise the test is skipped. With `TERO_WRITE_PICTURES`
//! set, it makes the pictures of the documentation.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tero_policy_host::{Package, builtin, with_forecast};
use tero_time::clock::Clock;

use super::{PHONE, TOKEN};
use tero_tests::{ART, Client, Edge, Gate, Origin, Reply, Request, compiled_cache, folder, get};

const DESKTOP: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const PAGES: [&str; 6] = [
    "/prices", "/shops", "/shops/1", "/shops/2", "/about", "/help",
];
/// How long a turn of the clock takes, in real time too.
const TURN: Duration = Duration::from_millis(50);

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/browse.cjs")
}

/// The program of the browser, if all that is needed is there.
fn chromium() -> Option<PathBuf> {
    let works = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let has_library = script()
        .with_file_name("node_modules/playwright-core")
        .exists();
    let names = [
        "/usr/bin/chromium",
        "/usr/bin/chromium-browser",
        "/usr/bin/google-chrome",
    ];
    let found = names.iter().find(|name| Path::new(name).exists());
    found
        .filter(|_| has_library && works("node"))
        .map(PathBuf::from)
}

/// An address that was free a moment ago, for an edge that comes back at the same place.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Where an edge is, and what its configuration says.
struct Setup {
    public: SocketAddr,
    admin: SocketAddr,
    text: String,
    clock: Clock,
}

impl Setup {
    fn new(origin: &Origin, state: &Path) -> Setup {
        let (public, admin) = (free(), free());
        let url = origin.url();
        let text = format!(
            r#"
[server]
listen = ["{public}"]
workers = 2
[admin]
listen = "{admin}"
token = "{TOKEN}"
[policies]
compiled_cache = {compiled:?}
state_dir = {state:?}
[[policy]]
name = "rules"
module = "builtin:json-rules"
limits = {{ deadline = "5s" }}
[policy.settings]
version = 3
rules = [{{ name = "payments", match = ["/pay/*"], cache = "never" }}, {{ name = "news", match = ["/new/*"], ttl = 60 }}, {{ name = "pages", match = ["/*"], ttl = 600 }}]
[policy.settings.variants.mobile]
devices = ["mobile"]
[[site]]
name = "shop"
hosts = ["shop.example"]
policies = ["rules"]
zone = "{ART}"
[[site.origin]]
name = "app-1"
url = "{url}"
[[site.origin]]
name = "app-2"
url = "{url}"
[[site]]
name = "blog"
hosts = ["blog.example"]
origins = ["{url}"]
zone = "Europe/Madrid"
[[warm]]
name = "opening"
site = "shop"
schedule = "30 8 * * MON-SAT"
zone = "{ART}"
urls = ["/opening/1", "/opening/2", "/opening/3"]
"#,
            compiled = compiled_cache(),
        );
        let zone = ART.parse().unwrap();
        Setup {
            public,
            admin,
            text,
            clock: Clock::by_hand(tero_tests::instant("2026-11-17T10:20:00", zone)),
        }
    }

    fn start(&self) -> Edge {
        Edge::on_clock(&self.text, self.clock.clone(), ART.parse().unwrap())
    }

    /// Asks the admin interface, with the token.
    fn admin(&self, request: Request) -> Value {
        let request = request
            .host("localhost")
            .header("Authorization", format!("Bearer {TOKEN}"));
        let answer = Client::connect(self.admin).send(&request);
        assert!(answer.status < 300, "{answer:?}");
        answer.json()
    }

    fn post(&self, path: &str, content: &Value) -> Value {
        self.admin(Request::new("POST", path).body(content.to_string()))
    }

    /// Sends a request of a visitor; whether there was an answer.
    fn visit(&self, host: &str, target: &str, agent: &str) -> bool {
        let Ok(mut client) = Client::try_connect(self.public) else {
            return false;
        };
        let request = get(target).host(host).header("User-Agent", agent);
        if client.try_write(request.to_bytes()).is_err() {
            return false;
        }
        let Ok(Some(mut answer)) = client.try_head(false) else {
            return false;
        };
        client.rest(&mut answer);
        true
    }

    /// A week of visits: many while the shops are open, few at night.
    fn live_a_week(&self) {
        for hour in 0..7 * 24_usize {
            let local = (10 + hour) % 24;
            let visits = match local {
                9..18 => 14 + hour % 5,
                7..9 | 18..23 => 7 + hour % 4,
                _ => 2,
            };
            for visit in 0..visits {
                let agent = if visit % 3 == 0 { DESKTOP } else { PHONE };
                let page = PAGES[(visit * visit + hour) % if visits > 6 { 3 } else { 6 }];
                assert!(self.visit("shop.example", page, agent));
            }
            self.visit("blog.example", "/", DESKTOP);
            self.admin(get("/stats/week"));
            self.clock.advance(Duration::from_secs(3_600));
        }
    }

    /// Pushes a version of the policy that decides, and one that is a canary.
    fn push_versions(&self) {
        let push = |ttl: u64| {
            let settings = json!({ "version": 3, "variants": { "mobile": { "devices": ["mobile"] } },
                "rules": [{ "name": "payments", "match": ["/pay/*"], "cache": "never" }, { "name": "news", "match": ["/new/*"], "ttl": 60 }, { "name": "pages", "match": ["/*"], "ttl": ttl }] });
            let package = Package {
                module: builtin("json-rules").unwrap().into(),
                settings: Some(settings.to_string().into()),
                cases: None,
            };
            let mut hours = [Some(0.5); 24];
            hours[3] = None;
            let forecast = json!({ "requests": 1_000, "days": 7, "hit_rate": 0.625, "unwaited": 0.75,
                "origin_requests_a_day": 40.5, "hours": hours });
            let version = with_forecast(&package.to_bytes(), &forecast.to_string());
            let request = Request::new("POST", "/policies/rules/versions").body(version);
            self.admin(request)["version"].clone()
        };
        let (active, canary) = (push(900), push(300));
        self.post("/policies/rules/activate", &json!({ "digest": active }));
        let canary = json!({ "digest": canary, "share": "20%" });
        self.post("/policies/rules/canary", &canary);
    }
}

/// Ends the visits, whatever becomes of the test.
struct Ending<'s>(&'s AtomicBool, &'s Gate);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.open();
    }
}

/// Sends visitors and turns the clock, as long as it is not told to stop.
#[allow(clippy::disallowed_methods)] // The browser lives in real time.
fn live(setup: &Setup, stop: &AtomicBool) {
    let count = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                setup.clock.advance(TURN);
                std::thread::sleep(TURN);
            }
        });
        while !stop.load(Ordering::Relaxed) {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let agent = if number.is_multiple_of(3) {
                DESKTOP
            } else {
                PHONE
            };
            setup.visit("shop.example", PAGES[number * number % PAGES.len()], agent);
            setup.visit("shop.example", PAGES[number % 3], PHONE);
            if number.is_multiple_of(3) {
                setup.visit("shop.example", &format!("/new/{number}"), agent);
                setup.visit("blog.example", "/", agent);
            }
            if number.is_multiple_of(7) {
                setup.visit("shop.example", "/pay/1", agent);
            }
            std::thread::sleep(TURN / 2);
        }
    });
}

#[test]
fn a_browser_shows_every_view_and_every_button_works() {
    let Some(chromium) = chromium() else {
        assert!(
            std::env::var_os("TERO_DEMAND_BROWSER").is_none(),
            "node, chromium or tests/browser/node_modules is missing: see .ci/run"
        );
        eprintln!("SKIPPED: there is no browser, so the dashboard was not looked at");
        return;
    };
    let (origin, state) = (Origin::start(), folder());
    let (gate, is_slow) = (Gate::new(), Arc::new(AtomicBool::new(false)));
    let (held, slow) = (gate.clone(), Arc::clone(&is_slow));
    origin.otherwise(move |asked| {
        let page = Reply::fresh(600, vec![b'x'; 200 + 900 * (asked.target.len() % 7)]);
        match asked.target.starts_with("/opening") && slow.load(Ordering::Relaxed) {
            true => page.behind(&held),
            false => page,
        }
    });
    let setup = Setup::new(&origin, state.path());
    let mut edge = Some(setup.start());
    setup.live_a_week();
    setup.push_versions();
    let pictures = std::env::var_os("TERO_WRITE_PICTURES")
        .map(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures"));
    let stop = AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        let _ending = Ending(&stop, &gate);
        scope.spawn(|| live(&setup, &stop));
        let mut browser = Command::new("node")
            .arg(script())
            .arg(format!("http://{}/", setup.admin))
            .args([TOKEN, chromium.to_str().unwrap()])
            .args(pictures)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut answers = browser.stdin.take().unwrap();
        for word in BufReader::new(browser.stdout.take().unwrap()).lines() {
            match &*word.unwrap() {
                "stop" => drop(edge.take()),
                "start" => edge = Some(setup.start()),
                "slow" => {
                    is_slow.store(true, Ordering::Relaxed);
                    let opening = json!({ "prefix": "http://shop.example/opening" });
                    setup.post("/purge", &opening);
                }
                "fast" => {
                    is_slow.store(false, Ordering::Relaxed);
                    gate.open();
                }
                other => panic!("{other}"),
            }
            answers.write_all(b"done\n").unwrap();
        }
        browser.wait_with_output().unwrap()
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
