//! The disk tier: what outlives a restart, what memory had no room for, and purges of both.

mod askers;
mod large;

use std::path::Path;

use tero_admin_api::PurgeResponse;
use tero_tests::{Edge, EdgeBuilder, Origin, Reply, eventually, folder, get};

/// An origin whose pages are fresh for an hour, have entity tags and the surrogate key `all`.
fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| match asked.header("if-none-match") {
        Some(_) => Reply::status(304)
            .header("ETag", "\"1\"")
            .header("Cache-Control", "max-age=3600"),
        None => Reply::fresh(3_600, &asked.target)
            .header("ETag", "\"1\"")
            .header("Surrogate-Key", "all"),
    });
    origin
}

fn with_disk(origin: &Origin, folder: &Path) -> EdgeBuilder {
    let path = folder.join("disk");
    let disk = format!("[[cache.disk]]\npath = {path:?}\nsize = \"64MiB\"\n");
    Edge::before(origin).section(&disk)
}

/// Has pages stored, and each of them requested once more, which writes them.
fn write(edge: &Edge, targets: &[&str]) {
    for target in targets {
        edge.get(target).assert_forwarded("uri-miss", target);
        eventually("it is stored", || edge.is_quiet());
        edge.get(target).assert_hit(target);
    }
    edge.settle_disks();
}

#[track_caller]
fn assert_from_disk(edge: &Edge, target: &str) {
    let answer = edge.get(target);
    assert_eq!(answer.text(), target);
    let status = answer.header("cache-status").unwrap_or_default();
    assert!(
        status.starts_with("tero; hit") && status.contains("detail=\"disk\""),
        "{status}"
    );
    // It is in memory now.
    let again = edge.get(target);
    let status = again.header("cache-status").unwrap_or_default();
    assert!(
        status.starts_with("tero; hit") && !status.contains("detail"),
        "{status}"
    );
    assert_eq!(again.text(), target);
}

#[test]
fn what_was_requested_twice_outlives_a_restart() {
    let (origin, folder) = (origin(), folder());
    let builder = with_disk(&origin, folder.path());
    let edge = builder.start();
    write(&edge, &["/a", "/b?c=d"]);
    edge.get("/once").assert_forwarded("uri-miss", "/once");
    drop(edge);
    let asked = origin.total();
    let edge = builder.clone().at("2026-11-24T10:20:00").start();
    let answer = edge.get("/a");
    assert_eq!(answer.header("age").as_deref(), Some("1200"));
    assert_eq!(
        answer.header("cache-status").as_deref(),
        Some("tero; hit; ttl=2400; detail=\"disk\"")
    );
    assert_eq!(answer.text(), "/a");
    assert_from_disk(&edge, "/b?c=d");
    assert_eq!(origin.total(), asked, "the origin is not asked");
    edge.get("/once").assert_forwarded("uri-miss", "/once");
}

#[test]
fn a_stored_response_is_decided_about_as_if_it_came_from_memory() {
    let (origin, folder) = (origin(), folder());
    let builder = with_disk(&origin, folder.path()).site("stale_if_error = \"0s\"");
    let edge = builder.start();
    write(&edge, &["/a", "/b", "/c", "/d"]);
    drop(edge);
    let edge = builder.clone().at("2026-11-24T10:30:00").start();
    // Conditions, ranges, HEAD, only-if-cached.
    let conditional = edge.send(&get("/a").header("If-None-Match", "\"1\""));
    assert_eq!(conditional.status, 304);
    let part = edge.send(&get("/b").header("Range", "bytes=1-1"));
    assert_eq!((part.status, part.text()), (206, "b".to_owned()));
    let only = edge.send(&get("/c").header("Cache-Control", "only-if-cached"));
    assert_eq!((only.status, only.text()), (200, "/c".to_owned()));
    let only = edge.send(&get("/none").header("Cache-Control", "only-if-cached"));
    assert_eq!(only.status, 504);
    // A stale one is validated with its entity tag.
    edge.advance_secs(3_600);
    let answer = edge.get("/d");
    let status = answer.header("cache-status").unwrap_or_default();
    assert!(status.contains("fwd=stale; fwd-status=304"), "{status}");
    assert_eq!(answer.text(), "/d");
}

#[test]
fn variants_by_vary_are_told_apart_on_disk() {
    let (origin, folder) = (Origin::start(), folder());
    origin.otherwise(|asked| {
        let language = asked.header("accept-language").unwrap_or_default();
        Reply::fresh(3_600, &language).header("Vary", "Accept-Language")
    });
    let builder = with_disk(&origin, folder.path());
    let edge = builder.start();
    let asking = |language| get("/page").header("Accept-Language", language);
    for is_stored in [false, true] {
        for language in ["es", "en"] {
            let answer = edge.send(&asking(language));
            match is_stored {
                false => assert_eq!(answer.text(), language),
                true => answer.assert_hit(language),
            }
        }
        eventually("all is stored", || edge.is_quiet());
    }
    edge.settle_disks();
    drop(edge);
    let (edge, asked) = (builder.start(), origin.total());
    for language in ["en", "es"] {
        let answer = edge.send(&asking(language));
        assert_eq!(answer.text(), language);
        let status = answer.header("cache-status").unwrap_or_default();
        assert!(status.starts_with("tero; hit"), "{language}: {status}");
    }
    assert_eq!(origin.total(), asked);
    edge.send(&asking("pt")).assert_forwarded("vary-miss", "pt");
}

#[test]
fn what_was_purged_does_not_come_back_with_a_restart() {
    for (purge, targets) in [
        ("{\"url\": \"http://www.example/a\"}", &["/a"][..]),
        ("{\"tag\": \"all\"}", &["/a", "/ab", "/c"]),
        ("{\"prefix\": \"http://www.example/a\"}", &["/a", "/ab"]),
        ("{\"site\": \"site\"}", &["/a", "/ab", "/c"]),
    ] {
        for is_purged_after_restart in [false, true] {
            let (origin, folder) = (origin(), folder());
            let builder = with_disk(&origin, folder.path());
            let mut edge = builder.start();
            write(&edge, &["/a", "/ab", "/c"]);
            if is_purged_after_restart {
                drop(edge);
                edge = builder.start();
            }
            let answer = edge.admin_post("/purge", purge);
            // Only what is in memory is counted.
            let in_memory = if is_purged_after_restart {
                0
            } else {
                targets.len() as u64
            };
            assert_eq!(answer.read::<PurgeResponse>().purged, in_memory, "{purge}");
            if !is_purged_after_restart {
                drop(edge);
                edge = builder.start();
            }
            for target in ["/a", "/ab", "/c"] {
                match targets.contains(&target) {
                    true => edge.get(target).assert_forwarded("uri-miss", target),
                    false => assert_from_disk(&edge, target),
                }
            }
            // What is fetched since is good.
            write(&edge, &[]);
            for target in targets {
                edge.get(target).assert_hit(target);
            }
            edge.settle_disks();
            drop(edge);
            let edge = builder.start();
            for target in targets {
                assert_from_disk(&edge, target);
            }
        }
    }
}

#[test]
fn a_soft_purge_leaves_a_stale_response_on_disk() {
    let (origin, folder) = (origin(), folder());
    let builder = with_disk(&origin, folder.path());
    let edge = builder.start();
    write(&edge, &["/a", "/b"]);
    drop(edge);
    let edge = builder.start();
    edge.admin_post("/purge", "{\"tag\": \"all\", \"soft\": true}");
    let answer = edge.get("/a");
    let status = answer.header("cache-status").unwrap_or_default();
    assert!(status.contains("fwd=stale; fwd-status=304"), "{status}");
    assert_eq!(answer.text(), "/a");
    drop(edge);
    let edge = builder.start();
    let status = edge.get("/b").header("cache-status").unwrap_or_default();
    assert!(status.contains("fwd=stale; fwd-status=304"), "{status}");
}

#[test]
fn an_unsafe_request_invalidates_what_is_on_disk() {
    let (origin, folder) = (origin(), folder());
    let builder = with_disk(&origin, folder.path());
    let edge = builder.start();
    write(&edge, &["/a", "/b"]);
    drop(edge);
    let edge = builder.start();
    edge.send(&tero_tests::Request::new("POST", "/a").body("x"));
    edge.get("/a").assert_forwarded("uri-miss", "/a");
    drop(edge);
    assert_from_disk(&builder.start(), "/b");
}

#[test]
fn what_memory_has_no_room_for_is_found_on_disk() {
    let (origin, folder) = (Origin::start(), folder());
    let page = |target: &str| format!("{target} ").repeat(2_000);
    origin.otherwise(move |asked| Reply::fresh(3_600, page(&asked.target)));
    let edge = with_disk(&origin, folder.path())
        .cache("memory = \"1MiB\"")
        .start();
    let targets: Vec<String> = (0..200).map(|number| format!("/{number:04}")).collect();
    for target in &targets {
        edge.get(target);
        edge.get(target);
    }
    edge.settle_disks();
    let asked = origin.total();
    for target in &targets {
        assert_eq!(edge.get(target).text(), page(target));
    }
    let again = origin.total() - asked;
    assert!(again < 20, "{again} of 200 were fetched again");
    let on_disk = edge.metric("tero_disk_responses", &[]);
    assert!(on_disk > 150.0, "{on_disk}");
    assert!(edge.metric("tero_disk_hits_total", &[]) > 100.0);
}

/// How often a disk has answered a look-up.
fn disk_hits(edge: &Edge) -> f64 {
    edge.metric("tero_disk_hits_total", &[])
}

/// Pages of 12 kB, of which 1 MiB of memory holds a third.
fn many_pages(folder: &Path) -> (Origin, Edge, Vec<String>) {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let reply = match asked.header("if-none-match") {
            Some(_) => Reply::status(304).header("Cache-Control", "max-age=3600"),
            None => Reply::fresh(3_600, asked.target.repeat(2_000)),
        };
        reply.header("ETag", "\"1\"").header("Surrogate-Key", "all")
    });
    let edge = with_disk(&origin, folder)
        .cache("memory = \"1MiB\"")
        .start();
    let targets: Vec<String> = (0..150).map(|number| format!("/{number:05}")).collect();
    for target in &targets {
        edge.get(target);
        edge.get(target);
    }
    edge.settle_disks();
    (origin, edge, targets)
}

#[test]
fn a_full_memory_takes_back_what_is_requested_twice_soon() {
    let folder = folder();
    let (origin, edge, targets) = many_pages(folder.path());
    let asked = origin.total();
    let is_from_disk = |target: &str| {
        let answer = edge.get(target);
        assert_eq!(answer.text(), target.repeat(2_000));
        let status = answer.header("cache-status").unwrap_or_default();
        status.contains("detail=\"disk\"")
    };
    let mut came_back = 0;
    for target in &targets {
        if is_from_disk(target) && is_from_disk(target) {
            assert!(!is_from_disk(target), "{target} is in memory now");
            came_back += 1;
        }
    }
    assert!(came_back > 30, "{came_back}");
    let again = origin.total() - asked;
    assert!(again < 20, "{again} of 150 were fetched again");
}

#[test]
fn a_full_memory_and_the_disk_below_decide_alike() {
    let folder = folder();
    let (_origin, edge, targets) = many_pages(folder.path());
    let before = disk_hits(&edge);
    let status_of = |answer: &tero_tests::Answer| answer.header("cache-status").unwrap_or_default();
    // Some pages may be in neither.
    let is_hit = |answer: &tero_tests::Answer| status_of(answer).starts_with("tero; hit");
    let mut hits = 0;
    for (number, target) in targets.iter().enumerate() {
        let page = target.repeat(2_000);
        let answer = match number % 4 {
            0 => edge.send(&get(target).header("If-None-Match", "\"1\"")),
            1 => edge.send(&get(target).header("Range", "bytes=6-11")),
            2 => edge.send(&get(target).header("Range", "bytes=0-1,-2")),
            _ => edge.send(&get(target).header("Cache-Control", "only-if-cached")),
        };
        if !is_hit(&answer) {
            continue;
        }
        hits += 1;
        match number % 4 {
            0 => assert_eq!((answer.status, answer.text()), (304, String::new())),
            1 => assert_eq!((answer.status, answer.text()), (206, target.clone())),
            2 => {
                let text = answer.text();
                assert_eq!(answer.status, 206);
                assert!(text.contains("\r\n\r\n/0\r\n"), "{text}");
            }
            _ => assert_eq!((answer.status, answer.text()), (200, page)),
        }
    }
    assert!(hits > 130, "{hits}");
    assert!(disk_hits(&edge) > before + 60.0);
    // What is stale is validated, and its new head holds.
    edge.admin_post("/purge", "{\"tag\": \"all\", \"soft\": true}");
    let before = disk_hits(&edge);
    for target in &targets[..60] {
        let answer = edge.get(target);
        let status = status_of(&answer);
        if !status.contains("fwd=uri-miss") {
            assert!(status.contains("fwd=stale; fwd-status=304"), "{status}");
        }
        assert_eq!(answer.text(), target.repeat(2_000));
        edge.get(target).assert_hit(&target.repeat(2_000));
    }
    assert!(disk_hits(&edge) > before + 20.0);
    edge.admin_post("/purge", "{\"tag\": \"all\"}");
    for target in &targets {
        edge.get(target)
            .assert_forwarded("uri-miss", &target.repeat(2_000));
    }
}

#[test]
fn large_bodies_that_come_back_to_be_validated_count_once() {
    let (origin, folder) = (Origin::start(), folder());
    let body = |target: &str| format!("{target:-<16}").repeat(25_000);
    origin.otherwise(move |asked| {
        let reply = match asked.header("if-none-match") {
            Some(_) => Reply::status(304).header("Cache-Control", "max-age=3600"),
            None => Reply::fresh(3_600, body(&asked.target)),
        };
        reply.header("ETag", "\"1\"").header("Surrogate-Key", "all")
    });
    let edge = with_disk(&origin, folder.path())
        .cache("memory = \"16MiB\"")
        .start();
    // Of 400 kB each: more than memory holds.
    let targets: Vec<String> = (0..65).map(|number| format!("/{number}")).collect();
    for target in &targets {
        edge.get(target);
        eventually("it is stored", || edge.is_quiet());
        edge.get(target).assert_hit(&body(target));
    }
    edge.settle_disks();
    // Those that memory had no room for are asked for more often now, so that they get it.
    let before = disk_hits(&edge);
    for _ in 0..4 {
        edge.admin_post("/purge", "{\"tag\": \"all\", \"soft\": true}");
        for target in &targets[25..] {
            assert_eq!(edge.get(target).text(), body(target));
            edge.get(target).assert_hit(&body(target));
        }
    }
    let came_back = disk_hits(&edge) - before;
    assert!(came_back > 40.0, "{came_back}");
    eventually("each counts once", || {
        edge.metric("tero_cache_bytes", &[]) <= f64::from(16 << 20)
    });
    edge.get("/new").assert_forwarded("uri-miss", &body("/new"));
    eventually("it is stored", || edge.is_quiet());
    edge.get("/new").assert_hit(&body("/new"));
}

#[test]
fn a_clock_that_was_set_back_makes_what_is_on_disk_stale() {
    let (origin, folder) = (origin(), folder());
    let builder = with_disk(&origin, folder.path());
    let edge = builder.start();
    write(&edge, &["/a"]);
    drop(edge);
    let edge = builder.clone().at("2026-11-24T09:00:00").start();
    let status = edge.get("/a").header("cache-status").unwrap_or_default();
    assert!(status.contains("fwd=stale; fwd-status=304"), "{status}");
}

#[test]
fn a_site_of_another_name_gets_nothing_of_it() {
    let (origin, folder) = (origin(), folder());
    let builder = with_disk(&origin, folder.path());
    let edge = builder.start();
    write(&edge, &["/a"]);
    drop(edge);
    let renamed = builder
        .to_toml()
        .replace("name = \"site\"", "name = \"other\"");
    let edge = Edge::from_toml(&renamed, tero_tests::A_TUESDAY_MORNING, tero_tests::ART);
    edge.get("/a").assert_forwarded("uri-miss", "/a");
}

#[test]
fn a_folder_of_another_edge_is_refused() {
    let (origin, folder) = (origin(), folder());
    let builder = with_disk(&origin, folder.path());
    let first = builder.start();
    let error = builder.try_start().unwrap_err();
    assert!(error.contains("in use by another running edge"), "{error}");
    drop(first);
    builder.start();
}

#[test]
fn damaged_files_lose_pages_and_never_change_them() {
    let (origin, folder) = (origin(), folder());
    let builder = with_disk(&origin, folder.path());
    let targets: Vec<String> = (0..40).map(|number| format!("/{number}")).collect();
    let edge = builder.start();
    let all: Vec<&str> = targets.iter().map(String::as_str).collect();
    write(&edge, &all);
    drop(edge);
    let files = std::fs::read_dir(folder.path().join("disk")).unwrap();
    let segment = files
        .map(|file| file.unwrap().path())
        .find(|file| file.extension().is_some_and(|end| end == "segment"))
        .unwrap();
    let written = std::fs::read(&segment).unwrap();
    for seed in 0..20_usize {
        let mut damaged = written.clone();
        let at = seed.wrapping_mul(2_654_435_761) % (damaged.len() - 64) + 64;
        damaged[at] ^= 1 << (seed % 8);
        std::fs::write(&segment, &damaged).unwrap();
        let (edge, asked) = (builder.start(), origin.total());
        for target in &targets {
            assert_eq!(edge.get(target).text(), *target);
        }
        assert!(origin.total() - asked <= 2, "bit {seed} of byte {at}");
        drop(edge);
        std::fs::write(&segment, &written).unwrap();
    }
}

#[track_caller]
fn assert_status(answer: &tero_tests::Answer, start: &str) {
    let status = answer.header("cache-status").unwrap_or_default();
    assert!(status.starts_with(start), "{status}");
}

#[test]
fn a_304_is_written_as_a_small_record() {
    let (origin, folder) = (Origin::start(), folder());
    let page = "x".repeat(100_000);
    let body = page.clone();
    origin.otherwise(move |asked| match asked.header("if-none-match") {
        Some(_) => Reply::status(304)
            .header("ETag", "\"1\"")
            .header("Cache-Control", "max-age=7200"),
        None => Reply::fresh(3_600, &body).header("ETag", "\"1\""),
    });
    let builder = with_disk(&origin, folder.path());
    let edge = builder.start();
    edge.get("/a");
    eventually("it is stored", || edge.is_quiet());
    edge.get("/a").assert_hit(&page);
    edge.settle_disks();
    let before = edge.metric("tero_disk_bytes", &[]);
    edge.advance_secs(3_700);
    assert_status(&edge.get("/a"), "tero; fwd=stale; fwd-status=304");
    eventually("it is stored", || edge.is_quiet());
    edge.settle_disks();
    let grown = edge.metric("tero_disk_bytes", &[]) - before;
    assert!(grown > 0.0 && grown < 1_000.0, "{grown}");
    drop(edge);
    let edge = builder.at("2026-11-24T11:30:00").start();
    let answer = edge.get("/a");
    assert_status(&answer, "tero; hit; ttl=5");
    assert_eq!(answer.text(), page);
}

#[test]
fn a_reload_by_a_client_is_what_a_restart_finds() {
    let (origin, folder) = (Origin::start(), folder());
    let replies = ["old", "new"].map(|text| Reply::fresh(3_600, text));
    origin.on_in_turn("/a", replies);
    let builder = with_disk(&origin, folder.path()).site("client_directives = \"obey\"");
    let edge = builder.start();
    edge.get("/a");
    eventually("it is stored", || edge.is_quiet());
    edge.get("/a").assert_hit("old");
    edge.settle_disks();
    edge.send(&get("/a").header("Cache-Control", "no-cache"));
    eventually("it is stored", || edge.is_quiet());
    edge.get("/a").assert_hit("new");
    edge.settle_disks();
    drop(edge);
    let edge = builder.start();
    assert_eq!(edge.get("/a").text(), "new");
    assert_eq!(origin.total(), 2);
}

#[test]
fn a_response_that_the_origin_withdrew_stays_away() {
    let (origin, folder) = (Origin::start(), folder());
    origin.on_in_turn(
        "/a",
        [
            Reply::fresh(60, "page").header("ETag", "\"1\""),
            Reply::status(410).header("Cache-Control", "no-store"),
            Reply::hang_up(),
        ],
    );
    let builder = with_disk(&origin, folder.path()).site("stale_if_error = \"1d\"");
    let edge = builder.start();
    edge.get("/a");
    eventually("it is stored", || edge.is_quiet());
    edge.get("/a").assert_hit("page");
    edge.settle_disks();
    edge.advance_secs(70);
    assert_eq!(edge.get("/a").status, 410);
    edge.settle_disks();
    drop(edge);
    let edge = builder.at("2026-11-24T10:02:00").start();
    assert_eq!(edge.get("/a").status, 502, "it may not stand in either");
}

#[test]
fn the_disks_are_told_of_checked_and_exported() {
    use crate::program::{assert_code, err, out, run};
    let (origin, folder) = (origin(), folder());
    let builder = with_disk(&origin, folder.path());
    let edge = builder.start();
    write(&edge, &["/a", "/b", "/c"]);
    edge.admin_post("/purge", "{\"url\": \"http://www.example/b\"}");
    let told = edge.call::<tero_admin_api::endpoints::Disks>(&[], &());
    let [disk] = &told.disks[..] else {
        panic!("{told:?}");
    };
    let path = folder.path().join("disk");
    assert_eq!(disk.path, path.display().to_string());
    assert_eq!(
        (disk.state, disk.written),
        (tero_admin_api::DiskState::InUse, 3)
    );
    let admin = format!("http://{}", edge.admin_address());
    let stats = run(&["disk", "stats", "--admin", &admin]);
    assert_code(&stats, 0);
    assert!(out(&stats).contains("in use") && out(&stats).contains("64.0 MiB"));
    drop(edge);
    let disk = path.display().to_string();
    let verified = run(&["disk", "verify", &disk]);
    assert_code(&verified, 0);
    let text = out(&verified);
    assert!(
        text.contains("3 sound records") && text.contains("0 damaged, 1 purged"),
        "{text}"
    );
    let to = folder.path().join("export").display().to_string();
    let exported = run(&["disk", "export", &disk, "--to", &to]);
    assert_code(&exported, 0);
    let list = std::fs::read_to_string(folder.path().join("export/responses.jsonl")).unwrap();
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 2, "the purged one is left out");
    assert!(
        lines[0].contains("\"url\":\"http://www.example/a\""),
        "{list}"
    );
    let content = std::fs::read(folder.path().join("export/00000001.content")).unwrap();
    assert_eq!(content, b"/a");
    // Nothing is overwritten.
    assert_code(&run(&["disk", "export", &disk, "--to", &to]), 1);
    let other = format!("{to}-other");
    let none = run(&[
        "disk",
        "export",
        &disk,
        "--to",
        &other,
        "--prefix",
        "https://none",
    ]);
    assert!(out(&none).contains("wrote 0 responses"));
    // Damage is told.
    let files = std::fs::read_dir(&path).unwrap();
    let segment = files
        .map(|file| file.unwrap().path())
        .find(|file| file.extension().is_some_and(|end| end == "segment"))
        .unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    // The first record ends with its content.
    let magic = b"TEROREC";
    let records = bytes.windows(magic.len()).enumerate();
    let mut records = records.filter(|(_, window)| window == magic);
    let end = records.nth(1).unwrap().0;
    let at = bytes[..end].windows(2).rposition(|two| two == b"/a");
    bytes[at.unwrap()] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let verified = run(&["disk", "verify", &disk, "--json"]);
    assert_code(&verified, 1);
    assert!(
        out(&verified).contains("\"damaged\":1"),
        "{}",
        out(&verified)
    );
    let rest = format!("{to}-rest");
    let exported = run(&["disk", "export", &disk, "--to", &rest]);
    assert_code(&exported, 1);
    assert!(out(&exported).contains("wrote 1 responses"));
    assert!(err(&exported).contains("1 records are damaged or gone"));
    let list = std::fs::read_to_string(format!("{rest}/responses.jsonl")).unwrap();
    assert!(list.contains("\"url\":\"http://www.example/c\""), "{list}");
    assert_code(&run(&["disk", "verify", &to]), 1);
}

#[test]
fn an_export_has_the_newest_response_of_each_variant() {
    use crate::program::{assert_code, out, run};
    let (origin, folder) = (Origin::start(), folder());
    let reply = |text| Reply::fresh(3_600, text).header("Vary", "Accept-Language");
    origin.on_in_turn("/a", ["old en", "fr", "new en"].map(reply));
    let edge = with_disk(&origin, folder.path())
        .site("client_directives = \"obey\"")
        .start();
    let asking = |language| get("/a").header("Accept-Language", language);
    let has_stored = |language, text| {
        eventually("it is stored", || edge.is_quiet());
        edge.send(&asking(language)).assert_hit(text);
        edge.settle_disks();
    };
    edge.send(&asking("en"));
    has_stored("en", "old en");
    edge.send(&asking("fr"));
    has_stored("fr", "fr");
    edge.send(&asking("en").header("Cache-Control", "no-cache"));
    has_stored("en", "new en");
    drop(edge);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let exported = run(&["disk", "export", &path("disk"), "--to", &path("export")]);
    assert_code(&exported, 0);
    assert!(
        out(&exported).contains("wrote 2 responses"),
        "{}",
        out(&exported)
    );
    let content = |number| std::fs::read(path(&format!("export/0000000{number}.content"))).unwrap();
    assert_eq!(
        (content(1), content(2)),
        (b"fr".to_vec(), b"new en".to_vec())
    );
}

#[test]
fn files_that_were_removed_by_hand_lose_their_pages_and_nothing_else() {
    let (origin, folder) = (origin(), folder());
    let builder = with_disk(&origin, folder.path());
    let edge = builder.start();
    write(&edge, &["/a"]);
    drop(edge);
    let edge = builder.start();
    write(&edge, &["/b"]);
    edge.admin_post("/purge", "{\"url\": \"http://www.example/c\"}");
    drop(edge);
    let disk = folder.path().join("disk");
    std::fs::remove_file(disk.join("0000000001.segment")).unwrap();
    std::fs::remove_file(disk.join("secret")).unwrap();
    let edge = builder.start();
    edge.get("/a").assert_forwarded("uri-miss", "/a");
    assert_from_disk(&edge, "/b");
    drop(edge);
    // Without the purges, it isn't known what may be there.
    std::fs::remove_file(disk.join("purges")).unwrap();
    let edge = builder.start();
    edge.get("/b").assert_forwarded("uri-miss", "/b");
    drop(edge);
    // While it runs: what is open stays readable.
    let edge = builder.start();
    write(&edge, &["/d"]);
    drop(edge);
    let edge = builder.start();
    for file in std::fs::read_dir(&disk).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    assert_from_disk(&edge, "/d");
    write(&edge, &["/e"]);
}
