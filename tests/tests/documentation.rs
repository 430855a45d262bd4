//! What the README and the examples say is what there is.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use tero_config::Config;
use tero_time::clock::Clock;

const README: &str = include_str!("../../README.md");

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The README's code blocks of that language.
fn blocks(language: &str) -> Vec<&'static str> {
    README
        .split(&format!("```{language}\n"))
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next())
        .collect()
}

#[test]
fn the_first_policy_of_the_readme_is_the_one_that_is_tested() {
    let example = include_str!("../../examples/first-policy/src/lib.rs");
    assert!(
        blocks("rust").contains(&example.trim()),
        "the README shows another policy than examples/first-policy"
    );
}

#[test]
fn the_configuration_of_the_readme_is_good() {
    let configuration = blocks("toml")
        .into_iter()
        .find(|block| block.contains("[[site]]"))
        .unwrap();
    // The reader has built the module by then.
    let module = "target/wasm32-unknown-unknown/release/my_shop.wasm";
    assert!(configuration.contains(module));
    // What it tells to make must not be there already.
    assert!(
        README.contains("cargo new --lib examples/my-shop")
            && !workspace().join("examples/my-shop").exists()
    );
    let configuration = configuration.replace(module, "builtin:business-hours");
    let config = Config::parse(&configuration, "README.md", Path::new("")).unwrap();
    assert_eq!((config.sites.len(), config.policies.len()), (1, 1));
}

#[test]
fn the_calendar_of_the_readme_is_good() {
    let calendar = blocks("text")
        .into_iter()
        .find(|block| block.contains("extends = "))
        .unwrap();
    let folder = tero_tests::folder();
    let path = folder.path().join("days.toml");
    std::fs::write(&path, calendar).unwrap();
    let calendar = tero_config::calendars::load(&tero_config::CalendarSource::File(path)).unwrap();
    assert!(calendar.days().any(|(_, day)| day.name == "Nochebuena"));
}

#[test]
fn the_configuration_of_the_booking_site_is_good() {
    let config = Config::load(&workspace().join("examples/barberpro/tero.toml")).unwrap();
    assert_eq!(
        (
            config.sites.len(),
            config.policies.len(),
            config.plans.len()
        ),
        (1, 4, 2)
    );
}

#[test]
fn the_booking_site_serves_and_has_every_metric_of_the_readme() {
    let mut config = Config::load(&workspace().join("examples/barberpro/tero.toml")).unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    config.server.listen = vec![any];
    config.server.workers = 1;
    config.admin.listen = any;
    config.access_log = None;
    let server = tero::serve(config, Clock::real()).unwrap();
    let mut stream = TcpStream::connect(server.admin_address()).unwrap();
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut metrics = String::new();
    stream.read_to_string(&mut metrics).unwrap();
    let named: Vec<&str> = README
        .split("`tero_")
        .skip(1)
        .filter_map(|rest| rest.split('`').next())
        .collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        let family = format!("# TYPE tero_{}", name.trim_end_matches("_total"));
        assert!(
            metrics.contains(&family),
            "there is no tero_{name} in\n{metrics}"
        );
    }
}

#[test]
fn every_file_that_the_readme_links_is_there() {
    for page in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "examples/README.md",
        "docs/configuration.md",
        "docs/rfc9111.md",
        "docs/performance.md",
        "docs/policies/README.md",
        "docs/policies/concepts.md",
        "docs/policies/contract.md",
        "docs/policies/languages.md",
        "docs/policies/shipping.md",
    ] {
        let path = workspace().join(page);
        let text = std::fs::read_to_string(&path).unwrap();
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', '#']).next())
        {
            if !target.is_empty() && !target.starts_with("http") {
                assert!(
                    path.parent().unwrap().join(target).exists(),
                    "{page} links {target}"
                );
            }
        }
    }
}

/// The rows of the tables of `docs/rfc9111.md`, in their cells.
fn requirements() -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(workspace().join("docs/rfc9111.md")).unwrap();
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| § |"));
    rows.map(|row| {
        row.trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect()
    })
    .collect()
}

/// What a text names as `file.rs::name`, in its code spans.
fn functions(text: &str) -> Vec<(&str, &str)> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|span| span.split_once(".rs::"))
        .collect()
}

#[test]
fn every_requirement_names_what_meets_it_and_the_test_that_shows_it() {
    let rows = requirements();
    assert!(rows.len() > 120, "{} rows", rows.len());
    for row in rows {
        let [_, requirement, place, tests] = &row[..] else {
            panic!("not four cells: {row:?}")
        };
        assert!(
            !requirement.is_empty() && !functions(place).is_empty() && !functions(tests).is_empty(),
            "{row:?}"
        );
        for (file, name) in functions(place) {
            let text = std::fs::read_to_string(
                workspace()
                    .join("engine/src")
                    .join(file)
                    .with_extension("rs"),
            );
            let text = text.unwrap_or_else(|error| panic!("engine/src/{file}.rs: {error}"));
            assert!(
                text.contains(&format!("fn {name}(")) || text.contains(&format!("fn {name}<")),
                "{file}.rs has no {name}"
            );
        }
    }
}

#[test]
fn every_test_that_shows_a_requirement_is_there() {
    let text = std::fs::read_to_string(workspace().join("docs/rfc9111.md")).unwrap();
    let in_prose: String = text.lines().filter(|line| !line.starts_with('|')).collect();
    let rows = requirements();
    let named = rows
        .iter()
        .flat_map(|row| functions(&row[3]))
        .chain(functions(&in_prose));
    for (file, name) in named.filter(|(file, _)| *file != "file") {
        let folders = ["engine/src", "tests/tests"]
            .map(|folder| workspace().join(folder).join(format!("{file}.rs")));
        let text = folders
            .iter()
            .find_map(|path| std::fs::read_to_string(path).ok());
        let text = text.unwrap_or_else(|| panic!("there is no {file}.rs"));
        let Some((before, _)) = text.split_once(&format!("fn {name}(")) else {
            panic!("{file}.rs has no {name}")
        };
        assert!(
            before.trim_end().ends_with("#[test]"),
            "{file}.rs: {name} is no test"
        );
    }
}
