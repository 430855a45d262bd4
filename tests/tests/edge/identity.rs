//! What is true of a request is decided once, at admission: its scheme, authority and client, and
//! the fields that are forwarded. The origin sees nothing that changes an answer and that the key
//! does not contain.

use tero_tests::{Edge, Origin, Reply};

#[test]
fn edges_with_the_same_name_may_stand_in_line() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "x"));
    let inner = Edge::before(&origin).start();
    let outer = Edge::before_url(&format!("http://{}", inner.address())).start();
    outer.get("/x").assert_forwarded("uri-miss", "x");
    let entries = origin.only("/x").header("cdn-loop").unwrap();
    let entries: Vec<_> = entries.split(", ").collect();
    assert!(
        entries.len() == 2
            && entries.iter().all(|entry| entry.starts_with("tero; id="))
            && entries[0] != entries[1],
        "{entries:?}"
    );
}

#[test]
fn an_edge_keeps_its_identity_and_another_start_has_another() {
    let origin = Origin::start();
    origin.on("/x", Reply::ok("x").header("Cache-Control", "no-store"));
    let entries = |edge: &Edge| {
        let before = origin.requests("/x");
        edge.get("/x");
        edge.get("/x");
        let asked = origin.asked("/x").split_off(before);
        let mut entries = asked.iter().map(|asked| asked.header("cdn-loop").unwrap());
        let first = entries.next().unwrap();
        assert!(entries.all(|entry| entry == first));
        first
    };
    let edge = Edge::before(&origin).start();
    let first = entries(&edge);
    drop(edge);
    assert_ne!(first, entries(&Edge::before(&origin).start()));
}
