//! Responses that are too large for memory.

use super::*;

/// An origin with a page of 3 MB that is fresh for an hour, and others.
fn large_origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| match asked.header("if-none-match") {
        Some(_) => Reply::status(304)
            .header("ETag", "\"1\"")
            .header("Cache-Control", "max-age=3600"),
        None => Reply::fresh(3_600, large(&asked.target)).header("ETag", "\"1\""),
    });
    origin
}

fn large(target: &str) -> Vec<u8> {
    let line = |number: usize| format!("{target} {number:07}\n").into_bytes();
    (0..3_000_000 / 16).flat_map(line).collect()
}

/// Content of 3 MB is three times too large for memory.
fn with_small_memory(origin: &Origin, folder: &Path) -> EdgeBuilder {
    with_disk(origin, folder).cache("max_object = \"1MiB\"")
}

#[test]
fn what_is_too_large_for_memory_streams_to_the_disk_and_from_it() {
    let (origin, folder) = (large_origin(), folder());
    let builder = with_small_memory(&origin, folder.path());
    let mut edge = builder.start();
    let whole = large("/film");
    let first = edge.get("/film");
    assert_status(
        &first,
        "tero; fwd=uri-miss; fwd-status=200; ttl=3600; stored",
    );
    assert!(first.body == whole, "the first client gets it as it comes");
    eventually("it is stored", || edge.is_quiet());
    edge.settle_disks();
    for _ in 0..2 {
        let answer = edge.get("/film");
        assert_status(&answer, "tero; hit; ttl=3600; detail=\"disk\"");
        assert!(answer.body == whole && answer.whole);
        let length = whole.len();
        for (range, expected) in [
            ("bytes=0-0", 0..1),
            ("bytes=65535-65536", 65_535..65_537),
            ("bytes=1000000-2200000", 1_000_000..2_200_001),
            ("bytes=-5", length - 5..length),
        ] {
            let part = edge.send(&get("/film").header("Range", range));
            assert_eq!(part.status, 206);
            assert!(part.body == whole[expected], "{range}");
        }
        let parts = edge.send(&get("/film").header("Range", "bytes=0-1,500000-500001"));
        assert_eq!((parts.status, parts.body.len()), (200, length));
        let beyond = edge.send(&get("/film").header("Range", "bytes=9000000-"));
        assert_eq!(beyond.status, 416);
        let conditional = edge.send(&get("/film").header("If-None-Match", "\"1\""));
        assert_eq!(conditional.status, 304);
        let head = edge.send(&tero_tests::Request::new("HEAD", "/film"));
        let announced = head.header("content-length");
        assert_eq!(announced, Some(length.to_string()));
        assert_eq!(origin.total(), 1);
        drop(edge);
        edge = builder.start();
    }
    let purged = edge.admin_post("/purge", "{\"url\": \"http://www.example/film\"}");
    assert_eq!(purged.status, 200);
    assert_status(&edge.get("/film"), "tero; fwd=uri-miss");
    assert_eq!(origin.total(), 2);
}

#[test]
fn content_of_unknown_length_goes_to_the_disk_once_it_is_too_large_for_memory() {
    let (origin, folder) = (Origin::start(), folder());
    origin.otherwise(|asked| Reply::fresh(3_600, large(&asked.target)).chunked());
    let builder = with_small_memory(&origin, folder.path());
    let mut edge = builder.start();
    let whole = large("/film");
    let first = edge.get("/film");
    assert!(first.body == whole && first.whole);
    eventually("it is stored", || edge.is_quiet());
    edge.settle_disks();
    for _ in 0..2 {
        let answer = edge.get("/film");
        assert_status(&answer, "tero; hit; ttl=3600; detail=\"disk\"");
        assert!(answer.body == whole && answer.whole);
        let part = edge.send(&get("/film").header("Range", "bytes=1000000-2200000"));
        assert_eq!(part.status, 206);
        assert!(part.body == whole[1_000_000..2_200_001]);
        drop(edge);
        edge = builder.start();
    }
    assert_eq!(origin.total(), 1);
}

#[test]
fn a_304_gives_large_content_a_new_head() {
    let (origin, folder) = (large_origin(), folder());
    let builder = with_small_memory(&origin, folder.path());
    let edge = builder.start();
    let whole = large("/film");
    edge.get("/film");
    eventually("it is stored", || edge.is_quiet());
    edge.settle_disks();
    edge.advance_secs(3_700);
    let answer = edge.get("/film");
    assert_status(&answer, "tero; fwd=stale; fwd-status=304");
    assert!(answer.body == whole);
    eventually("it is stored", || edge.is_quiet());
    edge.settle_disks();
    assert_eq!(edge.metric("tero_disk_written_heads_total", &[]), 1.0);
    drop(edge);
    let edge = builder.at("2026-11-24T11:02:00").start();
    let answer = edge.get("/film");
    assert_status(&answer, "tero; hit; ttl=3");
    assert!(answer.body == whole);
    assert_eq!(origin.total(), 2);
}

#[test]
fn a_range_of_large_content_does_not_wait_for_all_of_it() {
    let (origin, folder) = (Origin::start(), folder());
    origin.otherwise(|asked| match asked.header("range") {
        Some(_) => Reply::status(206)
            .header("Content-Range", "bytes 0-3/3000000")
            .header("Cache-Control", "max-age=60")
            .body("part"),
        None => Reply::fresh(60, large("/film")),
    });
    let edge = with_small_memory(&origin, folder.path()).start();
    let part = edge.send(&get("/film").header("Range", "bytes=0-3"));
    assert_eq!((part.status, part.text()), (206, "part".to_owned()));
    // The next client that wants all of it has it stored.
    edge.get("/film");
    eventually("it is stored", || edge.is_quiet());
    edge.settle_disks();
    assert_status(&edge.get("/film"), "tero; hit");
}

#[test]
fn large_content_above_the_bound_of_the_disk_passes_through() {
    let (origin, folder) = (large_origin(), folder());
    let path = folder.path().join("disk");
    let disk =
        format!("[[cache.disk]]\npath = {path:?}\nsize = \"64MiB\"\nmax_object = \"2MiB\"\n");
    let edge = Edge::before(&origin)
        .section(&disk)
        .cache("max_object = \"1MiB\"")
        .start();
    for _ in 0..2 {
        let answer = edge.get("/film");
        assert!(answer.body == large("/film"));
        assert_status(&answer, "tero; fwd=uri-miss");
    }
    assert_eq!(origin.total(), 2);
}

#[test]
fn a_client_that_leaves_early_leaves_no_part_behind_that_is_taken_for_the_whole() {
    let (origin, folder) = (Origin::start(), folder());
    let gate = tero_tests::Gate::new();
    let whole = large("/film");
    origin.on("/film", Reply::fresh(3_600, &whole).in_halves(&gate));
    let edge = with_small_memory(&origin, folder.path()).start();
    let mut client = edge.client();
    client.start(&get("/film"));
    client.head();
    client.exactly(1_000_000);
    client.reset();
    gate.open();
    eventually("it is given up", || edge.is_quiet());
    edge.settle_disks();
    let answer = edge.get("/film");
    assert_status(&answer, "tero; fwd=");
    assert!(answer.body == whole);
}
