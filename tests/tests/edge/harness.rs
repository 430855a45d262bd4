//! The harness itself: what the other tests rely on.

use tero_tests::{Client, Gate, Origin, Reply, get};

#[test]
fn an_origin_answers_by_path_and_records_requests() {
    let origin = Origin::start();
    origin.on_in_turn("/x", [Reply::ok("one"), Reply::fresh(60, "two").chunked()]);
    let mut client = Client::connect(origin.address());
    assert_eq!(client.send(&get("/x?a=1")).text(), "one");
    let second = client.send(&get("/x"));
    assert_eq!(
        (
            second.text().as_str(),
            second.header("cache-control").as_deref()
        ),
        ("two", Some("max-age=60"))
    );
    assert_eq!(client.send(&get("/x")).text(), "two");
    assert_eq!(client.send(&get("/y")).status, 404);
    assert_eq!(origin.requests("/x"), 3);
    assert_eq!(origin.asked("/x")[0].target, "/x?a=1");
}

#[test]
fn the_second_half_of_a_body_waits_for_its_gate() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.on("/x", Reply::ok("firstlast!").in_halves(&gate));
    let mut client = Client::connect(origin.address());
    client.start(&get("/x"));
    let mut answer = client.head();
    assert_eq!(client.exactly(5), b"first");
    gate.wait_for_arrivals(1);
    gate.open();
    client.rest(&mut answer);
    assert_eq!((answer.text().as_str(), answer.whole), ("last!", true));
}

#[test]
fn a_body_shorter_than_announced_is_incomplete() {
    let origin = Origin::start();
    origin.on("/short", Reply::ok("abc").announcing(10).then_close());
    origin.on("/reset", Reply::ok("abc").chunked().then_reset());
    for path in ["/short", "/reset"] {
        let answer = Client::connect(origin.address()).send(&get(path));
        assert!(!answer.whole, "{answer:?}");
    }
}

#[test]
fn a_stopped_origin_refuses_connections_until_it_starts_again() {
    let origin = Origin::start();
    origin.on("/x", Reply::ok("here"));
    origin.stop();
    assert!(std::net::TcpStream::connect(origin.address()).is_err());
    origin.start_again();
    assert_eq!(
        Client::connect(origin.address()).send(&get("/x")).text(),
        "here"
    );
}

#[test]
fn responses_are_held_until_they_are_released() {
    let origin = Origin::start();
    origin.on("/x", Reply::ok("at last"));
    origin.hold();
    let mut client = Client::connect(origin.address());
    client.start(&get("/x"));
    origin.wait_for("/x", 1);
    origin.release();
    assert_eq!(client.head().status, 200);
}

#[test]
fn a_silent_response_notices_when_the_other_side_hangs_up() {
    let origin = Origin::start();
    origin.on("/x", Reply::silence());
    let mut client = Client::connect(origin.address());
    client.start(&get("/x"));
    origin.wait_for("/x", 1);
    drop(client);
    origin.wait_for_hang_ups(1);
}
