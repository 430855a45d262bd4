//! The load: `wrk` for most measurements, and a plain request that checks the response first.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::cases::{Case, Kind};
use crate::report;

/// The `User-Agent` of all requests, from which policies learn the device.
pub(crate) const USER_AGENT: &str = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36";

/// How many connections wrk opens in a second.
const CONNECTIONS_A_SECOND: u64 = 2_000;
/// How long after its time wrk is killed.
const GRACE_SECS: u64 = 60;
/// The exit code of `timeout` if it had to stop its command.
const TIMED_OUT: i32 = 124;
/// The longest time for a single request.
const PATIENCE: Duration = Duration::from_secs(30);

/// The arguments of wrk.
pub(crate) struct Load<'a> {
    pub(crate) port: u16,
    pub(crate) case: &'a Case,
    pub(crate) core: u32,
    /// Makes the names of new objects.
    pub(crate) seed: &'a str,
    /// The host of requests; `None` is the address.
    pub(crate) host: Option<&'a str>,
    pub(crate) over: Over,
}

/// What carries the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// HTTP/1.1 in the clear.
    Plain,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2 over TLS, with this many requests under way on each connection.
    Http2 { streams: u32 },
}

/// The result of a measurement.
#[derive(Debug)]
pub(crate) struct LoadResult {
    pub(crate) seconds: f64,
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    /// Responses with a status other than 2xx and 3xx, and broken or timed-out connections.
    pub(crate) failed: u64,
    pub(crate) p50_micros: f64,
    pub(crate) p99_micros: f64,
    pub(crate) p999_micros: f64,
}

/// Checks that wrk, taskset and timeout are installed.
pub(crate) fn installed() -> Result<(), String> {
    for program in ["wrk", "taskset", "timeout"] {
        if Command::new(program).arg("--version").output().is_err() {
            return Err(format!(
                "{program} is not installed (Debian: apt-get install wrk util-linux coreutils)"
            ));
        }
    }
    Ok(())
}

impl Load<'_> {
    /// Runs wrk for this many seconds, or h2load for HTTP/2.
    pub(crate) fn run(&self, seconds: u64) -> Result<LoadResult, String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/wrk.lua");
        let (case, size) = (self.case, self.case.size.to_string());
        let scheme = match self.over {
            Over::Plain => "http",
            Over::Tls => "https",
            Over::Http2 { streams } => return self.run_http2(seconds, streams),
        };
        // wrk's time includes opening thousands of connections, which takes a while.
        let seconds = seconds + u64::from(case.connections) / CONNECTIONS_A_SECOND;
        let limit = seconds + GRACE_SECS;
        let mut wrk = Command::new("timeout");
        wrk.args(["--foreground", "--kill-after=5", &limit.to_string()])
            .args([
                "taskset",
                "-c",
                &self.core.to_string(),
                "wrk",
                "-t1",
                "--latency",
                "--timeout",
                "30s",
            ])
            .args([format!("-c{}", case.connections), format!("-d{seconds}s")])
            .args(["-H", &format!("User-Agent: {USER_AGENT}")]);
        if let Some(host) = self.host {
            wrk.args(["-H", &format!("Host: {host}")]);
        }
        match case.kind {
            Kind::NotModified => wrk.args(["-H", &format!("If-None-Match: {}", case.size.etag())]),
            Kind::Range => wrk.args(["-H", "Range: bytes=1000-1999"]),
            Kind::Coded => wrk.args(["-H", "Accept-Encoding: gzip"]),
            Kind::NewConnections => wrk.args(["-H", "Connection: close"]),
            _ => &mut wrk,
        };
        wrk.arg("-s")
            .arg(script)
            .arg(format!("{scheme}://127.0.0.1:{}{}", self.port, case.path()))
            .arg("--");
        match case.kind {
            Kind::Zipf(objects) => wrk.args(["zipf", &objects.to_string(), &size]),
            Kind::Cycle(objects) => wrk.args(["cycle", &objects.to_string(), &size]),
            Kind::Misses => wrk.args(["unique", &size, self.seed]),
            Kind::Mixed => wrk.args(["mixed", &case.objects().to_string(), &size, self.seed]),
            _ => wrk.arg("fixed"),
        };
        let output = wrk
            .output()
            .map_err(|error| format!("wrk did not start: {error}"))?;
        if output.status.code() == Some(TIMED_OUT) {
            return Err(format!(
                "wrk should end after {seconds} s, and was killed after {limit}"
            ));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("BENCH "))
            .ok_or_else(|| {
                format!(
                    "wrk printed no result: {text}{}",
                    String::from_utf8_lossy(&output.stderr)
                )
            })?;
        let values: serde_json::Value =
            serde_json::from_str(line).map_err(|error| format!("wrk printed {line}: {error}"))?;
        let number = |name: &str| values[name].as_f64().unwrap_or_default();
        let whole = |name: &str| values[name].as_u64().unwrap_or_default();
        if whole("requests") == 0 {
            return Err("no request was answered".to_owned());
        }
        Ok(LoadResult {
            seconds: number("micros") / 1e6,
            requests: whole("requests"),
            bytes: whole("bytes"),
            failed: whole("failed"),
            p50_micros: number("p50"),
            p99_micros: number("p99"),
            p999_micros: number("p999"),
        })
    }

    fn run_http2(&self, seconds: u64, streams: u32) -> Result<LoadResult, String> {
        let case = self.case;
        let output = Command::new("taskset")
            .args(["-c", &self.core.to_string(), "h2load"])
            .args([format!("-D{seconds}"), format!("-c{}", case.connections)])
            .args([format!("-m{streams}"), "-t1".to_owned()])
            .args(["-H", &format!("user-agent: {USER_AGENT}")])
            .arg(format!("https://127.0.0.1:{}{}", self.port, case.path()))
            .output()
            .map_err(|error| {
                format!("h2load did not start (Debian: apt-get install nghttp2-client): {error}")
            })?;
        let text = String::from_utf8_lossy(&output.stdout);
        of_h2load(&text, seconds).ok_or_else(|| {
            format!(
                "h2load printed no result: {text}{}",
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }
}

/// The result that h2load prints. It tells no percentiles.
fn of_h2load(text: &str, seconds: u64) -> Option<LoadResult> {
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let number_before = |line: &str, what: &str| -> Option<u64> {
        let mut words = line.split([' ', ',']).filter(|word| !word.is_empty());
        let mut before = words.next()?;
        words
            .find(|word| {
                let found = *word == what;
                if !found {
                    before = word;
                }
                found
            })
            .and_then(|_| before.trim_matches(['(', ')']).parse().ok())
    };
    let protocol = line("Application protocol: ")?;
    let (requests, codes) = (line("requests: ")?, line("status codes: ")?);
    let done = number_before(requests, "done")?;
    let good = number_before(codes, "2xx")?.min(number_before(requests, "succeeded")?);
    let bytes = number_before(line("traffic: ")?, "data")?;
    (protocol == "h2" && done > 0).then_some(LoadResult {
        seconds: seconds as f64,
        requests: done,
        bytes,
        failed: done - good.min(done),
        p50_micros: f64::NAN,
        p99_micros: f64::NAN,
        p999_micros: f64::NAN,
    })
}

impl LoadResult {
    /// The result of requests that were sent one by one.
    pub(crate) fn of_latencies(micros: &[f64], seconds: f64) -> LoadResult {
        let sorted = report::sorted(micros);
        let at = |share: f64| report::percentile(&sorted, share);
        let requests = micros.len() as u64;
        LoadResult {
            seconds,
            requests,
            bytes: 0,
            failed: 0,
            p50_micros: at(0.5),
            p99_micros: at(0.99),
            p999_micros: at(0.999),
        }
    }
}

/// Whether the server on `port` answers `path` with 200 and exactly `expected`.
pub(crate) fn check_body(port: u16, path: &str, expected: &[u8]) -> Result<(), String> {
    let answer = request(port, path).map_err(|error| format!("{path}: {error}"))?;
    let head_end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .ok_or_else(|| format!("{path}: no complete answer"))?;
    let (head, body) = (
        String::from_utf8_lossy(&answer[..head_end]),
        &answer[head_end + 4..],
    );
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!(
            "{path} was answered with {}",
            head.lines().next().unwrap_or_default()
        ));
    }
    if body != expected {
        return Err(format!(
            "{path}: {} bytes instead of the {} that the origin sent",
            body.len(),
            expected.len()
        ));
    }
    Ok(())
}

fn request(port: u16, path: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: {USER_AGENT}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
starting benchmark...
Application protocol: h2

finished in 2.00s, 45001.00 req/s, 51.22MB/s
requests: 90002 total, 90130 started, 90002 done, 90001 succeeded, 1 failed, 0 errored, 0 timeout
status codes: 90001 2xx, 0 3xx, 0 4xx, 1 5xx
traffic: 102.44MB (107418421) total, 8.24MB (8640192) headers (space savings 75.51%), 87.89MB (92160924) data
                     min         max         mean         sd        +/- sd
time for request:      300us     9.31ms      2.80ms       510us    71.11%
";

    #[test]
    fn the_result_of_h2load_is_read() {
        let result = of_h2load(PRINTED, 2).unwrap();
        assert_eq!(
            (result.requests, result.failed, result.bytes),
            (90_002, 1, 92_160_924)
        );
        for broken in [
            PRINTED.replace("protocol: h2", "protocol: http/1.1"),
            PRINTED.replace("90002 done", "0 done"),
            String::new(),
        ] {
            assert!(of_h2load(&broken, 2).is_none(), "{broken}");
        }
    }
}
