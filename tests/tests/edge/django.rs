//! An application as operators have it behind the edge: Django, which demands https, sets cookies and
//! refuses forged forms (`tests/django/application.py`).
//!
//! It needs Python with Django in `tests/django/.venv`, which `.ci/run` makes. There
//! `TERO_DEMAND_DJANGO` is set, and its absence is a failure; otherwise these tests are skipped. With
//! Chromium and `playwright-core`, a browser logs in too (`TERO_DEMAND_BROWSER`).

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tero_tests::{Answer, Edge, HOST, Request, folder, get};

use crate::tls::authority::{Authority, listener, names};
use crate::tls::secure_address;
use crate::tls::visitor::Visitor;

fn tests() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program of Python, if it has Django.
fn python() -> Option<PathBuf> {
    let python = tests().join("django/.venv/bin/python");
    let has_django = Command::new(&python)
        .args(["-c", "import django"])
        .output()
        .is_ok_and(|output| output.status.success());
    if has_django {
        return Some(python);
    }
    assert!(
        std::env::var_os("TERO_DEMAND_DJANGO").is_none(),
        "Django is missing: install it into tests/django/.venv"
    );
    eprintln!("SKIPPED: there is no tests/django/.venv with Django, so no application was tried");
    None
}

/// The program of the browser, if all that is needed is there.
fn chromium() -> Option<PathBuf> {
    let works = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let has_library = tests()
        .join("browser/node_modules/playwright-core")
        .exists();
    let names = ["/usr/bin/chromium", "/usr/bin/google-chrome"];
    let found = names.iter().map(PathBuf::from).find(|name| name.exists());
    let found = found.filter(|_| has_library && works("node"));
    if found.is_none() {
        assert!(
            std::env::var_os("TERO_DEMAND_BROWSER").is_none(),
            "the browser is missing: install Chromium, node and playwright-core"
        );
        eprintln!("SKIPPED: there is no browser, so none has logged in");
    }
    found
}

/// A running application; it ends when this is dropped.
struct Application {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Application {
    fn start(python: &Path) -> Application {
        let folder = folder();
        let mut process = Command::new(python)
            .arg(tests().join("django/application.py"))
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.next().expect("it starts").unwrap();
        Application {
            process,
            port: port.parse().unwrap(),
            _folder: folder,
        }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An edge in front of an application, which speaks TLS as well and sends all to it.
struct Site {
    edge: Edge,
    authority: Authority,
    _application: Application,
    _folder: tempfile::TempDir,
}

impl Site {
    fn start(python: &Path) -> Site {
        let application = Application::start(python);
        let (authority, folder) = (Authority::new("root"), folder());
        authority.issue(names(&[HOST])).write(folder.path(), "own");
        let start = || {
            // Redirects need a port that is known. Another test may be faster to take it.
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let listener = listener(folder.path(), &["own"], "")
                .replace("127.0.0.1:0", &format!("127.0.0.1:{port}"))
                .replace(
                    "[server.listener.tls]",
                    "http2 = true\n[server.listener.tls]",
                );
            let site = format!(
                "redirect_to_https = true\nhttps_port = {port}\npass_cookies = [\"sessionid\"]\n\
                 compress = {{ min = \"100B\" }}"
            );
            Edge::before_url(&format!("http://127.0.0.1:{}", application.port))
                .server(&listener)
                .site(&site)
                .try_start()
        };
        let edge = (0..10).find_map(|_| start().ok());
        let edge = edge.expect("one of ten ports is free");
        Site {
            edge,
            authority,
            _application: application,
            _folder: folder,
        }
    }
}

/// A browser without a window: it keeps cookies.
struct Browser<'s> {
    site: &'s Site,
    cookies: BTreeMap<String, String>,
}

impl Browser<'_> {
    fn send(&mut self, request: Request) -> Answer {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = match cookies.is_empty() {
            true => request,
            false => request.header("Cookie", cookies.join("; ")),
        };
        let visitor = Visitor::new(HOST, self.site.authority.roots());
        let mut client = visitor.client(secure_address(&self.site.edge));
        let answer = client.send(&request);
        for (_, cookie) in answer
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        {
            assert!(cookie.contains("; Secure"), "{cookie}");
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    fn log_in(&mut self, token: &str) -> Answer {
        let form =
            format!("csrfmiddlewaretoken={token}&username=ana&password=secret-9&next=/account/");
        let post = Request::new("POST", "/admin/login/?next=/account/")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Referer", format!("https://{HOST}/admin/login/"))
            .body(form);
        self.send(post)
    }
}

#[test]
fn an_application_that_demands_https_has_logins_forms_and_pages_for_all() {
    let Some(python) = python() else { return };
    let site = Site::start(&python);
    let asked = site.edge.get("/account/?a=1");
    assert_eq!(asked.status, 301);
    let port = secure_address(&site.edge).port();
    let to = format!("https://{HOST}:{port}/account/?a=1");
    assert_eq!(asked.header("location"), Some(to));
    let mut ana = Browser {
        site: &site,
        cookies: BTreeMap::new(),
    };
    let mut anybody = Browser {
        site: &site,
        cookies: BTreeMap::new(),
    };
    // The front page is made once, for all.
    let front = || get("/").header("Accept-Encoding", "gzip");
    let first = ana.send(front());
    assert_eq!(first.status, 200, "no redirect in a circle: {first:?}");
    first.cache_status();
    let hit = anybody.send(front());
    assert!(hit.cache_status().hit, "{hit:?}");
    assert_eq!(hit.header("content-encoding").as_deref(), Some("gzip"));
    // A login, with a token against forgery.
    let sent_away = ana.send(get("/account/"));
    assert_eq!(sent_away.status, 302);
    let login = sent_away.header("location").unwrap();
    assert_eq!(login, "/admin/login/?next=/account/");
    let form = ana.send(get(login)).text();
    let token = form.split("csrfmiddlewaretoken\" value=\"").nth(1).unwrap();
    let token = token.split('"').next().unwrap();
    assert_eq!(ana.log_in("forged").status, 403);
    let welcome = ana.log_in(token);
    assert_eq!(welcome.status, 302, "{welcome:?}");
    assert_eq!(welcome.header("location").as_deref(), Some("/account/"));
    assert_eq!(ana.cookies.len(), 2, "{:?}", ana.cookies);
    for _ in 0..2 {
        let account = ana.send(get("/account/"));
        assert_eq!(account.text(), "the account of ana by https");
        assert!(!account.cache_status().hit);
    }
    // It is for nobody else.
    assert_eq!(anybody.send(get("/account/")).status, 302);
    assert_eq!(anybody.send(get("/admin/")).status, 302);
    assert!(anybody.cookies.is_empty(), "{:?}", anybody.cookies);
    let admin = ana.send(get("/admin/"));
    assert!(admin.text().contains("Site administration"), "{admin:?}");
    // The pages for all stay as they are.
    assert!(anybody.send(front()).cache_status().hit);
}

#[test]
fn a_browser_comes_by_http_and_logs_in_over_http_2() {
    let (Some(python), Some(chromium)) = (python(), chromium()) else {
        return;
    };
    let site = Site::start(&python);
    let (plain, secure) = (
        site.edge.address().port(),
        secure_address(&site.edge).port(),
    );
    let output = Command::new("node")
        .arg(tests().join("browser/application.cjs"))
        .arg(chromium)
        .args([plain.to_string(), secure.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    let https = |path: &str| json!(format!("https://{HOST}:{secure}{path}"));
    assert_eq!(seen["front"]["url"], https("/"));
    assert_eq!(seen["protocol"], "h2");
    assert_eq!(seen["front"]["title"], seen["again"], "a hit");
    assert_eq!(seen["login"], https("/admin/login/?next=/account/"));
    assert_eq!(seen["account"]["url"], https("/account/"));
    assert_eq!(seen["account"]["text"], "the account of ana by https");
    assert_eq!(seen["admin"], "Site administration | Django site admin");
    let cookies = seen["cookies"].as_array().unwrap();
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    assert!(cookies.iter().all(|cookie| cookie["secure"] == true));
    let responses = seen["responses"].as_array().unwrap();
    let coded = responses
        .iter()
        .find(|response| response["url"] == https("/") && response["coding"] != "");
    let coded = coded.unwrap_or_else(|| panic!("nothing was compressed: {responses:?}"));
    assert!(coded["cache"].as_str().unwrap().contains("hit"), "{coded}");
}
