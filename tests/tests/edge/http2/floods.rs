//! What a client can do to cost the edge more than itself: each is bounded, counted, and nobody else
//! is affected.

use super::client::{self, Http2Client};
use super::raw::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, PING, PRIORITY,
    REFUSED_STREAM, RESET, RawClient, SETTINGS, WINDOW_UPDATE, block, frame, get,
};
use super::{address, before, before_with, ended, pages, pages_with};
use tero_tests::{Edge, Gate, Origin, Reply, eventually};

const CANCEL: [u8; 4] = 8_u32.to_be_bytes();

/// Checks that the edge has ended the connection of a flood, counted it, and serves others.
#[track_caller]
fn check_ended(edge: &Edge, client: &mut RawClient, reason: &str) {
    // What was on its way may have reset the connection before its last frame.
    if let Some(error) = client.end() {
        assert_eq!(error, ENHANCE_YOUR_CALM);
    }
    eventually("the fault is counted", || ended(edge, reason) == 1.0);
    assert_eq!(edge.get("/other").text(), "a page");
    let other = Http2Client::connect(address(edge));
    assert_eq!(other.send(client::get("/other")).text(), "a page");
}

#[test]
fn a_rapid_reset_ends_the_connection() {
    let (origin, edge) = pages_with("http2_max_resets = 50");
    let mut client = RawClient::connect(address(&edge));
    let mut sent = 0;
    for number in 0..50_000_u32 {
        let stream = 2 * number + 1;
        let path = format!("/reset/{number}");
        let bytes = [
            frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                stream,
                &block(&get(&path)),
            ),
            frame(RESET, 0, stream, &CANCEL),
        ];
        if !client.write(&bytes.concat()) {
            break;
        }
        sent += 1;
    }
    assert!(sent < 50_000, "the edge takes no more");
    check_ended(&edge, &mut client, "resets");
    assert!(origin.total() <= 60, "{}", origin.total());
}

#[test]
fn resets_after_the_requests_have_begun_are_bounded_too() {
    let origin = Origin::start();
    let gate = Gate::new();
    let held = gate.clone();
    origin.otherwise(move |asked| {
        let reply = Reply::fresh(600, "a page");
        if asked.path().starts_with("/slow/") {
            reply.behind(&held)
        } else {
            reply
        }
    });
    let edge = before_with(&origin, "http2_max_resets = 20")
        .site("max_fetches = 100")
        .start();
    let mut client = RawClient::connect(address(&edge));
    for number in 0..21_u32 {
        let (stream, path) = (2 * number + 1, format!("/slow/{number}"));
        client.request(stream, &get(&path));
        // The request has been accepted and forwarded.
        origin.wait_for(&path, 1);
        client.send(RESET, 0, stream, &CANCEL);
    }
    check_ended(&edge, &mut client, "resets");
    gate.open();
}

#[test]
fn some_resets_are_what_browsers_do() {
    let (_origin, edge) = pages_with("http2_max_resets = 20");
    let mut client = RawClient::connect(address(&edge));
    for number in 0..20_u32 {
        let stream = 2 * number + 1;
        client.request(stream, &get("/x"));
        client.send(RESET, 0, stream, &CANCEL);
    }
    client.request(41, &get("/x"));
    assert_eq!(client.first_of(41).status(), 200);
    assert_eq!(ended(&edge, "resets"), 0.0);
}

#[test]
fn floods_of_frames_that_ask_for_nothing_end_the_connection() {
    for (kind, flags, stream, content) in [
        (PING, 0, 0, &[0; 8][..]),
        (PING, ACK, 0, &[0; 8]),
        (SETTINGS, 0, 0, &[]),
        (SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]),
        (PRIORITY, 0, 3, &[0, 0, 0, 0, 16]),
        (WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        (DATA, 0, 1, &[]),
        (0xfe, 0, 0, b"unknown"),
    ] {
        let (_origin, edge) = pages_with("http2_max_control_frames = 100");
        let mut client = RawClient::connect(address(&edge));
        if kind == DATA {
            let mut fields = get("/upload");
            fields[0].1 = "POST";
            client.send(HEADERS, END_HEADERS, stream, &block(&fields));
        }
        let flood = frame(kind, flags, stream, content).repeat(200);
        client.write(&flood);
        check_ended(&edge, &mut client, "control_frames");
    }
}

#[test]
fn control_frames_up_to_the_bound_are_answered() {
    let (_origin, edge) = pages_with("http2_max_control_frames = 100");
    let mut client = RawClient::connect(address(&edge));
    // The settings that every client sends count, too.
    client.write(&frame(PING, 0, 0, &[7; 8]).repeat(99));
    for _ in 0..99 {
        assert_eq!(client.next_of(&[PING]).unwrap().content, [7; 8]);
    }
    client.request(1, &get("/x"));
    assert_eq!(client.first_of(1).status(), 200);
    assert_eq!(ended(&edge, "control_frames"), 0.0);
}

#[test]
fn a_flood_of_continuations_ends_the_connection() {
    let (origin, edge) = pages();
    for (size, count) in [(16_000, 20), (0, 50), (100, 500)] {
        let before = ended(&edge, "header_block");
        let mut client = RawClient::connect(address(&edge));
        // A field whose value has a mebibyte to come.
        let mut begun = block(&get("/x"));
        begun.extend([0, 1, b'x']);
        super::raw::integer(&mut begun, 0, 7, 1 << 20);
        client.send(HEADERS, END_STREAM, 1, &begun);
        let piece = vec![b'a'; size];
        client.write(&frame(CONTINUATION, 0, 1, &piece).repeat(count));
        if let Some(error) = client.end() {
            assert_eq!(error, ENHANCE_YOUR_CALM, "{size}");
        }
        eventually("the fault is counted", || {
            ended(&edge, "header_block") == before + 1.0
        });
    }
    assert_eq!(origin.total(), 0);
    edge.get("/other").assert_forwarded("uri-miss", "a page");
}

#[test]
fn a_bomb_of_compressed_fields_is_refused() {
    let (origin, edge) = pages();
    let mut client = RawClient::connect(address(&edge));
    // A field of 4,000 bytes enters the table, and each further byte means all of it again.
    let mut bomb = block(&get("/x"));
    bomb.push(0x40);
    super::raw::text(&mut bomb, b"x");
    super::raw::text(&mut bomb, &[b'a'; 4_000]);
    bomb.extend([0xbe; 10_000]);
    client.send(HEADERS, END_HEADERS | END_STREAM, 1, &bomb);
    assert_eq!(client.end(), Some(ENHANCE_YOUR_CALM));
    eventually("the fault is counted", || ended(&edge, "protocol") == 1.0);
    // A smaller one is a header that is too long.
    let mut client = RawClient::connect(address(&edge));
    bomb.truncate(bomb.len() - 10_000 + 40);
    client.send(HEADERS, END_HEADERS | END_STREAM, 1, &bomb);
    assert_eq!(client.first_of(1).status(), 431);
    assert_eq!(origin.total(), 0);
}

#[test]
fn streams_beyond_the_bound_are_refused() {
    let origin = Origin::start();
    let gate = Gate::new();
    let held = gate.clone();
    origin.otherwise(move |_| Reply::fresh(600, "a page").behind(&held));
    let edge = before_with(&origin, "http2_max_streams = 5").start();
    let mut client = RawClient::connect(address(&edge));
    for number in 0..5_u32 {
        let path = format!("/{number}");
        client.request(2 * number + 1, &get(&path));
        origin.wait_for(&path, 1);
    }
    client.request(11, &get("/too-many"));
    assert_eq!(client.first_of(11).error(), REFUSED_STREAM);
    gate.open();
    for _ in 0..5 {
        assert_eq!(client.next_of(&[HEADERS, RESET]).unwrap().status(), 200);
    }
    assert_eq!(origin.requests("/too-many"), 0);
}

#[test]
fn a_reset_stream_gives_up_its_request() {
    let origin = Origin::start();
    origin.on("/pass", Reply::silence());
    origin.otherwise(|_| Reply::fresh(600, "a page"));
    let edge = before(&origin).start();
    let mut client = RawClient::connect(address(&edge));
    let mut fields = get("/pass");
    fields[0].1 = "POST";
    client.request(1, &fields);
    origin.wait_for("/pass", 1);
    client.send(RESET, 0, 1, &CANCEL);
    origin.wait_for_hang_ups(1);
    client.request(3, &get("/x"));
    assert_eq!(client.first_of(3).status(), 200);
}
