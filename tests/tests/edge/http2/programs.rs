//! Programs that others wrote: curl, nghttp, h2load. Where one is not installed, its test says so and
//! checks nothing.

use std::process::{Command, Stdio};

use super::{address, pages};

/// Runs a program and returns what it prints; `None` if it is not installed.
#[allow(
    clippy::print_stderr,
    reason = "a test that checks nothing has to say so"
)]
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        eprintln!("SKIPPED: {program} is not installed");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {text} {errors}");
    Some(text)
}

#[test]
fn curl_gets_a_page() {
    let (_origin, edge) = pages();
    let address = address(&edge);
    let url = format!("http://www.example:{}/x", address.port());
    let resolve = format!("www.example:{}:127.0.0.1", address.port());
    let arguments = [
        "-sS",
        "--http2-prior-knowledge",
        "--resolve",
        &resolve,
        "-i",
    ];
    for posted in [false, true] {
        let mut arguments = arguments.to_vec();
        if posted {
            arguments.extend(["-d", "content"]);
        }
        arguments.push(&url);
        if let Some(printed) = run("curl", &arguments) {
            assert!(printed.starts_with("HTTP/2 200"), "{printed}");
            assert!(printed.ends_with("a page"), "{printed}");
        }
    }
}

#[test]
fn nghttp_gets_several_pages_on_one_connection() {
    let (_origin, edge) = pages();
    let url = |path: &str| format!("http://{}{path}", address(&edge));
    let (one, other) = (url("/x"), url("/y"));
    let arguments = ["-H:authority: www.example", &one, &other];
    if let Some(printed) = run("nghttp", &arguments) {
        assert_eq!(printed.matches("a page").count(), 2, "{printed}");
    }
}

#[test]
fn h2load_loses_no_request() {
    let (_origin, edge) = pages();
    let url = format!("http://{}/x", address(&edge));
    let arguments = ["-n2000", "-c4", "-m20", "-H:authority: www.example", &url];
    if let Some(printed) = run("h2load", &arguments) {
        assert!(printed.contains("2000 succeeded, 0 failed"), "{printed}");
        assert!(printed.contains("2000 2xx"), "{printed}");
    }
}
