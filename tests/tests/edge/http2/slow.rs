//! Clients that send or read slowly, or nothing.

use super::client::{self, Http2Client};
use super::raw::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, RawClient, WINDOW_UPDATE, block, get,
};
use super::{address, before, ended, pages};
use tero_tests::{Edge, Origin, Reply, eventually};

/// `SETTINGS_INITIAL_WINDOW_SIZE` (RFC 9113 §6.5.2).
const INITIAL_WINDOW: u16 = 4;

#[test]
fn a_connection_without_a_preface_ends() {
    let (_origin, edge) = pages();
    let mut silent = RawClient::silent(address(&edge));
    edge.advance_until(1_000, || silent.has_ended());
    let mut half = RawClient::silent(address(&edge));
    half.write(&PREFACE[..20]);
    edge.advance_until(1_000, || half.has_ended());
}

#[test]
fn a_connection_without_a_request_ends_whatever_else_it_sends() {
    let (_origin, edge) = pages();
    let mut client = RawClient::connect(address(&edge));
    let mut secs = 0;
    edge.advance_until(1_000, || {
        secs += 1;
        if secs % 10 == 0 {
            client.send(PING, 0, 0, &[0; 8]);
        }
        client.has_ended()
    });
    assert!(secs > 70, "{secs}");
    assert_eq!(client.end(), Some(0), "GOAWAY without an error");
    assert_eq!(ended(&edge, "late"), 0.0);
}

#[test]
fn an_idle_connection_is_kept_for_its_time_after_each_request() {
    let (_origin, edge) = pages();
    let client = Http2Client::connect(address(&edge));
    for _ in 0..3 {
        assert_eq!(client.send(client::get("/x")).status, 200);
        for _ in 0..70 {
            edge.advance_secs(1);
        }
    }
    edge.advance_until(1_000, || client.ended().is_some());
    assert_eq!(client.ended(), Some(Ok(())));
}

#[test]
fn a_header_block_that_does_not_end_is_late() {
    let (_origin, edge) = pages();
    let mut client = RawClient::connect(address(&edge));
    client.request(1, &get("/x"));
    assert_eq!(client.first_of(1).status(), 200);
    client.send(HEADERS, END_STREAM, 3, &block(&get("/x")));
    edge.advance_until(1_000, || client.has_ended());
    eventually("the fault is counted", || ended(&edge, "late") == 1.0);
    assert_eq!(edge.get("/x").text(), "a page");
}

/// A client that asks for a large page, and takes nothing of its content.
fn stalled(edge: &Edge, path: &str) -> RawClient {
    let mut client = RawClient::connect_with(address(edge), &[(INITIAL_WINDOW, 0)]);
    client.request(1, &get(path));
    assert_eq!(client.first_of(1).status(), 200);
    client
}

fn large_pages() -> (Origin, Edge) {
    let origin = Origin::start();
    let large = "x".repeat(300_000);
    origin.otherwise(move |asked| {
        let lifetime = match asked.path() {
            "/stored" => "max-age=600",
            _ => "no-store",
        };
        Reply::ok(&large).header("Cache-Control", lifetime)
    });
    let edge = before(&origin).start();
    assert_eq!(edge.get("/stored").body.len(), 300_000);
    (origin, edge)
}

#[test]
fn a_reader_with_a_closed_window_is_cut_whatever_else_it_sends() {
    for path in ["/stored", "/passed"] {
        let (_origin, edge) = large_pages();
        let mut client = stalled(&edge, path);
        let mut secs = 0;
        edge.advance_until(1_000, || {
            secs += 1;
            if secs % 3 == 0 {
                client.send(PING, 0, 0, &[0; 8]);
            }
            client.has_ended()
        });
        assert!(secs >= 10, "{path}: {secs}");
        eventually("the fault is counted", || ended(&edge, "stalled") == 1.0);
        assert_eq!(edge.get("/stored").body.len(), 300_000, "{path}");
    }
}

#[test]
fn a_reader_that_opens_its_window_by_single_bytes_is_too_slow() {
    let (_origin, edge) = large_pages();
    let mut client = stalled(&edge, "/stored");
    edge.advance_until(1_000, || {
        client.send(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes());
        client.has_ended()
    });
    eventually("the fault is counted", || ended(&edge, "stalled") == 1.0);
}

#[test]
fn a_reader_that_keeps_the_least_rate_is_served() {
    let (_origin, edge) = large_pages();
    let mut client = stalled(&edge, "/stored");
    for _ in 0..120 {
        edge.advance_secs(1);
        for stream in [0, 1] {
            client.send(WINDOW_UPDATE, 0, stream, &2_000_u32.to_be_bytes());
        }
        let mut taken = 0;
        while taken < 2_000 {
            let data = client.next_of(&[DATA]).expect("the edge goes on");
            taken += data.content.len();
        }
    }
    assert_eq!(ended(&edge, "stalled"), 0.0);
}

#[test]
fn a_stalled_upload_is_answered_with_408_and_its_connection_goes_on() {
    let (origin, edge) = pages();
    let mut client = RawClient::connect(address(&edge));
    let mut fields = get("/upload");
    fields[0].1 = "POST";
    fields.push(("content-length", "100"));
    client.send(HEADERS, END_HEADERS, 1, &block(&fields));
    client.send(DATA, 0, 1, b"ten bytes!");
    let mut sent = 0;
    edge.advance_until(90, || {
        // Frames without content don't count as progress.
        client.send(PING, 0, 0, &[0; 8]);
        sent += 1;
        sent > 60
    });
    assert_eq!(client.first_of(1).status(), 408);
    client.request(3, &get("/x"));
    assert_eq!(client.first_of(3).status(), 200);
    assert_eq!(origin.requests("/upload"), 0);
}
