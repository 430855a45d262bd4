//! `docs/disk-format.md`: a reader that knows the page alone finds what an edge has written.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tero_tests::{Edge, Origin, Reply, eventually, folder, get};

/// What the reader finds, by URL.
fn read(folder: &Path) -> BTreeMap<String, Vec<Value>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/edge/disk_format/read_disk.py");
    let output = Command::new("python3").arg(script).arg(folder).output();
    let output = output.expect("Python is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        let url = value["url"].as_str().unwrap().to_owned();
        found.entry(url).or_default().push(value);
    }
    found
}

fn digest(content: &str) -> String {
    let digest = Sha256::digest(content);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_reader_that_knows_the_page_alone_finds_what_an_edge_has_written() {
    let (origin, folder) = (Origin::start(), folder());
    origin.otherwise(|asked| {
        let reply = match asked.path() {
            // Several pieces.
            "/long" => Reply::fresh(600, "long ".repeat(30_000)),
            // Too large for memory: several parts.
            "/film" => Reply::fresh(600, "film ".repeat(120_000)),
            path => Reply::fresh(600, path),
        };
        let reply = match asked.path() {
            "/vary" => reply.header("Vary", "Accept-Language"),
            _ => reply,
        };
        reply.header("Surrogate-Key", "all own")
    });
    let disk = folder.path().join("disk");
    let section = format!("[[cache.disk]]\npath = {disk:?}\nsize = \"64MiB\"\n");
    let edge = Edge::before(&origin)
        .cache("max_object = \"256KiB\"")
        .section(&section)
        .start();
    let ask = |request: &tero_tests::Request| {
        for _ in 0..2 {
            assert_eq!(edge.send(request).status, 200);
            eventually("it is stored", || edge.is_quiet());
        }
    };
    for target in ["/a", "/long", "/film", "/gone", "/tagged", "/stale"] {
        ask(&get(target));
    }
    for language in ["en", "es"] {
        ask(&get("/vary").header("Accept-Language", language));
    }
    edge.settle_disks();
    let purge = |what: &str| assert_eq!(edge.admin_post("/purge", what).status, 200);
    purge("{\"url\": \"http://www.example/gone\"}");
    purge("{\"prefix\": \"http://www.example/tag\"}");
    purge("{\"url\": \"http://www.example/stale\", \"soft\": true}");
    drop(edge);

    let found = read(&disk);
    let one = |path: &str| {
        let url = format!("http://www.example{path}");
        let of_url = &found[&url];
        assert_eq!(of_url.len(), 1, "{url}");
        &of_url[0]
    };
    for (path, content, state) in [
        ("/a", "/a".to_owned(), "current"),
        ("/long", "long ".repeat(30_000), "current"),
        ("/film", "film ".repeat(120_000), "current"),
        ("/gone", "/gone".to_owned(), "gone"),
        ("/tagged", "/tagged".to_owned(), "gone"),
        ("/stale", "/stale".to_owned(), "stale"),
    ] {
        let value = one(path);
        assert_eq!(value["sha256"], digest(&content), "{path}");
        assert_eq!(value["length"], content.len(), "{path}");
        assert_eq!(value["state"], state, "{path}");
        assert_eq!(value["status"], 200);
        assert_eq!(value["site"], "site");
        assert_eq!(value["lifetime"], 600);
        assert_eq!(value["has_secondary_key"], false);
        assert_eq!(value["tags"], serde_json::json!(["all", "own"]));
        assert_eq!(value["has_extents"], path == "/film");
        assert_eq!(value["footers"], 1, "the segment was sealed");
        let fields = value["fields"].to_string();
        assert!(
            fields.contains("[\"cache-control\",\"max-age=600\"]"),
            "{fields}"
        );
    }
    let variants = &found["http://www.example/vary"];
    assert_eq!(variants.len(), 2);
    assert!(
        variants
            .iter()
            .all(|value| value["has_secondary_key"] == true)
    );
}
