//! The arrows between the crates of the engine, as cargo knows them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const PAGE: &str = include_str!("../../../ARCHITECTURE.md");

/// Libraries that mark a wall: only the crates named in ARCHITECTURE.md's table use them directly.
const WALLS: [&str; 8] = [
    "async-nats",
    "clap",
    "h2",
    "hyper",
    "jiff",
    "moka",
    "rustls",
    "wasmtime",
];

/// What the crate of RFC 9111 may depend on.
const OF_SEMANTICS: [&str; 3] = ["http", "httpdate", "sfv"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The crates of the engine by folder, with what they depend on outside of tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let of_engine = packages.iter().filter_map(|package| {
        let manifest = Path::new(package["manifest_path"].as_str()?);
        let folder = manifest.parent()?;
        let is_of_engine = folder.parent()?.file_name()? == "engine";
        is_of_engine.then(|| (folder.file_name().unwrap().to_str().unwrap(), package))
    });
    of_engine
        .map(|(folder, package)| {
            let all = package["dependencies"].as_array().unwrap();
            let normal = all.iter().filter(|dependency| dependency["kind"].is_null());
            let names = normal.map(|dependency| dependency["name"].as_str().unwrap().to_owned());
            (folder.to_owned(), names.collect())
        })
        .collect()
}

/// The rows of the table below `heading`, each as its first two cells: a name, and a list of names.
fn table(heading: &str) -> BTreeMap<String, BTreeSet<String>> {
    let (_, below) = PAGE
        .split_once(heading)
        .unwrap_or_else(|| panic!("ARCHITECTURE.md has no {heading}"));
    let rows = below
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2);
    let names = |cell: &str| -> BTreeSet<String> {
        let spans = cell.split('`').skip(1).step_by(2);
        spans.map(str::to_owned).collect()
    };
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').collect();
        let name = names(cells[1]).into_iter().next();
        (name.unwrap_or_else(|| panic!("{row}")), names(cells[2]))
    })
    .collect()
}

#[test]
fn crates_use_the_crates_that_the_architecture_allows() {
    let is = dependencies()
        .into_iter()
        .map(|(name, uses)| {
            let of_engine = uses
                .iter()
                .filter_map(|other| other.strip_prefix("tero-"))
                .map(str::to_owned);
            (name, of_engine.collect::<BTreeSet<_>>())
        })
        .collect::<BTreeMap<_, _>>();
    assert_eq!(is, table("### Arrows between crates"));
}

#[test]
fn libraries_that_mark_a_wall_are_used_where_the_architecture_says() {
    let is: BTreeMap<String, BTreeSet<String>> = WALLS
        .into_iter()
        .map(|library| {
            let users = dependencies()
                .into_iter()
                .filter(|(_, uses)| uses.contains(library));
            (
                library.to_owned(),
                users.map(|(folder, _)| folder).collect(),
            )
        })
        .collect();
    assert_eq!(is, table("### Libraries that mark a wall"));
}

#[test]
fn semantics_depends_on_http_types_dates_and_structured_fields_alone() {
    let uses = &dependencies()["semantics"];
    assert_eq!(*uses, OF_SEMANTICS.map(str::to_owned).into());
}

#[test]
fn what_is_below_cluster_nats_alone_knows_the_client_of_nats() {
    let source = workspace().join("engine/control/src");
    let mut folders = vec![source.clone()];
    let mut users = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read_to_string(&path)
                .unwrap()
                .contains("async_nats")
            {
                users.push(path.strip_prefix(&source).unwrap().to_owned());
            }
        }
    }
    assert!(!users.is_empty());
    for user in users {
        let is_below = user.starts_with("cluster/nats") || user == Path::new("cluster/nats.rs");
        assert!(is_below, "{}", user.display());
    }
}
