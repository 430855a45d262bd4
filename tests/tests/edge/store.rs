//! The store keeps within its limits whatever clients request.

use tero_tests::{Edge, Gate, Origin, Reply, get};

#[test]
fn the_store_is_bounded_by_bytes() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(3_600, "x".repeat(50_000)));
    let edge = Edge::before(&origin).cache("memory = \"2MiB\"").start();
    let mut client = edge.client();
    for number in 0..200 {
        assert_eq!(client.send(&get(format!("/{number}"))).status, 200);
        assert!(
            edge.metric("tero_cache_bytes", &[]) <= f64::from(2 << 20),
            "after {number}"
        );
    }
    assert!(edge.metric("tero_cache_evictions_total", &[]) > 100.0);
    assert!(
        edge.metric("tero_cache_entries", &[]) >= 10.0,
        "what fits is kept"
    );
}

#[test]
fn header_bytes_count_like_content() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(3_600, "x").header("X-Large", "y".repeat(10_000)));
    let edge = Edge::before(&origin).cache("memory = \"1MiB\"").start();
    let mut client = edge.client();
    for number in 0..300 {
        client.send(&get(format!("/{number}")));
    }
    assert!(edge.metric("tero_cache_entries", &[]) < 110.0);
    assert!(edge.metric("tero_cache_bytes", &[]) <= f64::from(1 << 20));
}

#[test]
fn responses_in_flight_count_and_excess_is_forwarded_unstored() {
    let origin = Origin::start();
    let gate = Gate::new();
    let body = "x".repeat(400_000);
    origin.otherwise({
        let (gate, body) = (gate.clone(), body.clone());
        move |_| Reply::fresh(3_600, &body).in_halves(&gate)
    });
    let edge = Edge::before(&origin)
        .cache("memory = \"8MiB\"\nmax_object = \"500KiB\"\nfill_memory = \"1MiB\"")
        .start();
    let mut clients: Vec<_> = (0..8)
        .map(|number| {
            let mut client = edge.client();
            client.start(&get(format!("/{number}")));
            let mut answer = client.head();
            answer.body = client.exactly(200_000);
            (client, answer)
        })
        .collect();
    // Eight times 200,000 bytes are in flight, and fills may keep 1 MiB, windows included.
    assert!(edge.metric("tero_cache_bytes", &[]) <= 1_150_000.0);
    gate.open();
    for (client, answer) in &mut clients {
        client.rest(answer);
        assert!(answer.whole && answer.text() == body);
    }
    let stored = (0..8)
        .filter(|number| edge.get(&format!("/{number}")).cache_status().hit)
        .count();
    assert!((1..8).contains(&stored), "{stored} of 8 are stored");
}

#[test]
fn a_slow_reader_does_not_delay_others() {
    let origin = Origin::start();
    let body = "x".repeat(8_000_000);
    origin.on("/x", Reply::fresh(3_600, &body));
    let edge = Edge::before(&origin).start();
    let mut slow = edge.client();
    slow.start(&get("/x"));
    let mut answer = slow.head();
    let quick = edge.get("/x");
    assert!(quick.whole && quick.body.len() == body.len());
    assert_eq!(origin.requests("/x"), 1);
    slow.rest(&mut answer);
    assert!(answer.whole && answer.body.len() == body.len());
}

#[test]
fn a_large_body_arrives_unchanged() {
    let origin = Origin::start();
    let body: Vec<u8> = (0..3_000_000_u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for (path, reply) in [
        ("/length", Reply::fresh(60, &body)),
        ("/chunked", Reply::fresh(60, &body).chunked()),
    ] {
        origin.on(path, reply);
    }
    let edge = Edge::before(&origin).start();
    for path in ["/length", "/length", "/chunked", "/chunked"] {
        let answer = edge.get(path);
        assert!(answer.whole && answer.body == body, "{path}");
    }
    assert_eq!(origin.total(), 2);
}
