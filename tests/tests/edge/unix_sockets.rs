//! Listeners on Unix sockets: the file, who may connect, and who the client is.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tero_tests::{Edge, EdgeBuilder, GUARD, Origin, Reply, Request, eventually, folder, get};

use crate::program::{Serving, configuration};

/// An origin whose pages say who asks, by which scheme, and for which host.
fn naming() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let field = |name| asked.header(name).unwrap_or_else(|| "-".to_owned());
        Reply::ok(format!(
            "{} {} {} {}",
            field("x-forwarded-for"),
            field("x-forwarded-proto"),
            field("host"),
            field("forwarded")
        ))
    });
    origin
}

fn listener(path: &Path, keys: &str) -> String {
    format!(
        "[[server.listener]]\naddress = \"unix:{}\"\n{keys}",
        path.display()
    )
}

fn on(origin: &Origin, path: &Path, keys: &str) -> EdgeBuilder {
    Edge::before(origin).server(&listener(path, keys))
}

/// Sends `bytes` and returns all that comes back.
fn exchange(path: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(GUARD)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut text = String::new();
    match stream.read_to_string(&mut text) {
        // It was closed before it was read to its end.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        read => drop(read.unwrap()),
    }
    text
}

fn ask(path: &Path, request: &Request) -> String {
    exchange(
        path,
        &request.clone().header("Connection", "close").to_bytes(),
    )
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn in_new_folder() -> (tempfile::TempDir, PathBuf) {
    let folder = folder();
    let path = folder.path().join("http.sock");
    (folder, path)
}

#[test]
fn a_socket_has_its_mode_is_replaced_if_stale_and_removed_at_the_end() {
    let origin = naming();
    let (_folder, path) = in_new_folder();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a process has left its socket behind");
    for (keys, expected) in [("", 0o660), ("unix_mode = \"0600\"", 0o600)] {
        let edge = on(&origin, &path, keys).start();
        assert_eq!(mode(&path), expected);
        assert!(ask(&path, &get("/x")).starts_with("HTTP/1.1 200 "));
        drop(edge);
        eventually("the file is removed", || !path.exists());
    }
}

#[test]
fn a_socket_in_use_and_other_files_are_left_alone() {
    let origin = naming();
    let (folder, path) = in_new_folder();
    let _edge = on(&origin, &path, "").start();
    let refused = on(&origin, &path, "").try_start().unwrap_err();
    assert!(
        refused.contains("http.sock") && refused.contains("in use"),
        "{refused}"
    );
    assert!(
        ask(&path, &get("/x")).starts_with("HTTP/1.1 200 "),
        "the first one serves on"
    );
    let file = folder.path().join("file");
    std::fs::write(&file, "text").unwrap();
    let refused = on(&origin, &file, "").try_start().unwrap_err();
    assert!(refused.contains("not a socket"), "{refused}");
    assert_eq!(std::fs::read(&file).unwrap(), b"text");
    let nowhere = folder.path().join("nowhere/http.sock");
    let refused = on(&origin, &nowhere, "").try_start().unwrap_err();
    assert!(refused.contains("nowhere/http.sock"), "{refused}");
}

#[test]
fn a_client_of_a_unix_socket_is_unknown_unless_it_is_trusted() {
    let origin = naming();
    let (_folder, path) = in_new_folder();
    let told = get("/x")
        .header("X-Forwarded-For", "198.51.100.7")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "www.example");
    let untold = get("/x");
    for (trusted, told_page, untold_page) in [
        (
            "",
            "- http www.example for=unknown;host=www.example;proto=http",
            "- http www.example for=unknown;host=www.example;proto=http",
        ),
        (
            "trusted_proxies = [\"127.0.0.1\"]\n",
            "- http www.example for=unknown;host=www.example;proto=http",
            "- http www.example for=unknown;host=www.example;proto=http",
        ),
        (
            "trusted_proxies = [\"unix\"]\n",
            "198.51.100.7 https www.example for=198.51.100.7;host=www.example;proto=https",
            "- http www.example for=unknown;host=www.example;proto=http",
        ),
    ] {
        let keys = format!("{trusted}{}", listener(&path, ""));
        let edge = Edge::before(&origin).server(&keys).start();
        for (request, page) in [(&told, told_page), (&untold, untold_page)] {
            let answer = ask(&path, request);
            assert!(
                answer.ends_with(&format!("\r\n\r\n{page}")),
                "{trusted}: {answer}"
            );
        }
        drop(edge);
        eventually("the file is removed", || !path.exists());
    }
}

#[test]
fn a_header_of_the_proxy_protocol_names_the_client_of_a_unix_socket() {
    let origin = naming();
    let (_folder, path) = in_new_folder();
    let _edge = on(&origin, &path, "proxy_protocol = [\"unix\"]").start();
    let request = get("/x").header("Connection", "close").to_bytes();
    let header = b"PROXY TCP4 192.0.2.9 10.0.0.1 1 2\r\n";
    let answer = exchange(&path, &[&header[..], &request].concat());
    assert!(answer.contains("\r\n\r\n192.0.2.9 http "), "{answer}");
    assert_eq!(
        exchange(&path, &request),
        "",
        "it is closed without a header"
    );
}

#[test]
fn large_bodies_pass_whole_and_requests_are_refused_as_elsewhere() {
    let origin = Origin::start();
    let body = "0123456789abcdef".repeat(200_000);
    origin.on("/large", Reply::fresh(60, &body));
    let (_folder, path) = in_new_folder();
    let edge = on(&origin, &path, "").start();
    for _ in 0..2 {
        let answer = ask(&path, &get("/large"));
        assert!(
            answer.ends_with(&format!("\r\n\r\n{body}")),
            "{} bytes",
            answer.len()
        );
    }
    let smuggling =
        b"POST / HTTP/1.1\r\nHost: www.example\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx";
    assert!(exchange(&path, smuggling).starts_with("HTTP/1.1 400 "));
    let mut waiting = UnixStream::connect(&path).unwrap();
    waiting.set_read_timeout(Some(GUARD)).unwrap();
    waiting.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    eventually("it is accepted", || {
        edge.metric("tero_connections_open", &[]) == 1.0
    });
    let mut answer = String::new();
    edge.advance_until(60, || edge.metric("tero_connections_open", &[]) == 0.0);
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn the_program_says_where_it_serves_and_checks_paths() {
    let origin = naming();
    let (_folder, path) = in_new_folder();
    let text = configuration(&origin, "").replacen(
        "\n[admin]",
        &format!("\n{}\n\n[admin]", listener(&path, "")),
        1,
    );
    let serving = Serving::start(&text);
    serving.line_with(&["serving on unix:", "http.sock"]);
    assert!(ask(&path, &get("/x")).starts_with("HTTP/1.1 200 "));
    let checked = crate::program::run_in(serving.folder.path(), &["check"]);
    let told = crate::program::err(&checked);
    assert!(told.contains("http.sock is in use"), "{told}");
    crate::program::assert_code(&checked, 0);
    drop(serving);
    let nowhere = text.replace("http.sock", "nowhere/http.sock");
    let folder = folder();
    std::fs::write(folder.path().join("tero.toml"), nowhere).unwrap();
    let checked = crate::program::run_in(folder.path(), &["check"]);
    crate::program::assert_code(&checked, 1);
    let told = crate::program::err(&checked);
    assert!(told.contains("nowhere/http.sock"), "{told}");
}

// A real proxy.

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn behind_nginx_on_a_unix_socket_the_client_is_known() {
    let is_installed = Command::new("nginx")
        .arg("-v")
        .stderr(Stdio::null())
        .status()
        .is_ok();
    assert!(
        is_installed || std::env::var_os("TERO_DEMAND_PROXIES").is_none(),
        "nginx is not installed"
    );
    if !is_installed {
        eprintln!("SKIPPED: nginx is not installed, so tero was not tried behind it");
        return;
    }
    let origin = naming();
    let (folder, path) = in_new_folder();
    let keys = format!(
        "trusted_proxies = [\"unix\"]\n{}",
        listener(&path, "unix_mode = \"0666\"")
    );
    let _edge = Edge::before(&origin).server(&keys).start();
    let front = folder.path().join("front.sock");
    let (folder, path) = (folder.path().display(), path.display());
    let text = format!(
        "daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n\
         events {{}}\n\
         http {{\n access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;\n\
         fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;\n\
         server {{\n listen unix:{front};\n location / {{\n proxy_pass http://unix:{path}:;\n\
         proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;\n\
         proxy_set_header X-Forwarded-For 198.51.100.7; proxy_set_header X-Forwarded-Proto https;\n\
         }}\n}}\n}}\n",
        front = front.display()
    );
    let file = front.with_file_name("nginx.conf");
    std::fs::write(&file, text).unwrap();
    let child = Command::new("nginx")
        .args(["-p", &folder.to_string(), "-c"])
        .arg(&file)
        .stderr(Stdio::null())
        .spawn();
    let _running = Running(child.unwrap());
    eventually("nginx listens", || UnixStream::connect(&front).is_ok());
    let answer = ask(&front, &get("/x"));
    assert!(
        answer.contains("198.51.100.7 https www.example for=198.51.100.7;"),
        "{answer}"
    );
}
