//! The README, the pages in `docs/` and the examples match what the code does.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use tero_config::Config;
use tero_time::clock::Clock;

const README: &str = include_str!("../../README.md");
const OPERATING: &str = include_str!("../../docs/operating.md");
const ADMIN: &str = include_str!("../../docs/admin.md");
const BUILTIN: &str = include_str!("../../docs/policies/builtin.md");
const COMMANDS: &str = include_str!("../../docs/commands.md");
const METRICS: &str = include_str!("../../docs/metrics.md");
const SHIPPING: &str = include_str!("../../docs/policies/shipping.md");

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The code blocks in `language` on `page`.
fn blocks<'page>(page: &'page str, language: &str) -> Vec<&'page str> {
    page.split(&format!("```{language}\n"))
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next())
        .collect()
}

/// The code spans of the first cell of every table row on `page`.
fn first_cells(page: &str) -> Vec<&str> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split(" |").next())
        .flat_map(|cell| cell.split('`').step_by(2))
        .collect()
}

/// The content of a `GET` on the admin interface of the booking site.
fn admin_answer(path: &str) -> String {
    let mut config = Config::load(&workspace().join("examples/barberpro/tero.toml")).unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    config.server.listen = vec![any];
    config.server.workers = 1;
    config.admin.listen = any.into();
    config.access_log = None;
    // A node of a fleet has metrics more. The servers need not be there.
    let text = "[cluster]\nnats = [\"nats://127.0.0.1:9\"]\n[[site]]\nname = \"a\"\nhosts = [\"*\"]\norigins = [\"http://127.0.0.1:9\"]\n";
    config.cluster = Config::parse(text, "tero.toml", workspace())
        .unwrap()
        .cluster;
    let server = tero::serve(config, Clock::real(), &tero_tests::compiler()).unwrap();
    let mut stream = TcpStream::connect(server.admin_address()).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, content) = answer.split_once("\r\n\r\n").unwrap();
    content.to_owned()
}

#[test]
fn first_policy_of_the_readme_is_the_tested_example() {
    let example = include_str!("../../examples/first-policy/src/lib.rs");
    assert!(
        blocks(README, "rust").contains(&example.trim()),
        "the README shows another policy than examples/first-policy"
    );
}

#[test]
fn configuration_of_the_readme_is_valid() {
    let configuration = blocks(README, "toml")
        .into_iter()
        .find(|block| block.contains("[[policy]]"))
        .unwrap();
    // The reader has built the module by then.
    let module = "target/wasm32-unknown-unknown/release/my_shop.wasm";
    assert!(configuration.contains(module));
    // The README tells the reader to make this folder, so it must not exist.
    assert!(
        README.contains("cargo new --lib examples/my-shop")
            && !workspace().join("examples/my-shop").exists()
    );
    let configuration = configuration.replace(module, "builtin:business-hours");
    let config = Config::parse(&configuration, "README.md", Path::new("")).unwrap();
    assert_eq!((config.sites.len(), config.policies.len()), (1, 1));
}

#[test]
fn configurations_with_certificates_by_acme_are_valid() {
    for page in [README, OPERATING] {
        let block = blocks(page, "toml")
            .into_iter()
            .find(|block| block.contains("[acme]"))
            .unwrap();
        let site = "[[site]]\nname = \"shop\"\nhosts = [\"shop.example\"]\norigins = [\"http://127.0.0.1:3000\"]\n";
        let text = match block.contains("[[site]]") {
            true => block.to_owned(),
            false => format!("{block}\n{site}"),
        };
        let config = Config::parse(&text, "page.md", Path::new("")).unwrap();
        let names = config.acme_names();
        assert!(names.iter().map(|name| &**name).eq(["shop.example"]));
    }
}

#[test]
fn calendar_of_the_guide_is_valid() {
    let calendar = blocks(BUILTIN, "text")
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
fn configuration_of_the_booking_site_is_valid() {
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
fn metrics_page_names_the_metrics_that_are_served() {
    let metrics = admin_answer("/metrics");
    let served: BTreeSet<&str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let named: Vec<&str> = first_cells(METRICS)
        .into_iter()
        .filter(|cell| cell.starts_with("tero_"))
        .collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        assert!(served.contains(name), "there is no {name} in\n{metrics}");
    }
    for name in served {
        let span = format!("`{name}");
        assert!(
            METRICS.contains(&span) || SHIPPING.contains(&span),
            "{name} is on no page"
        );
    }
}

#[test]
fn admin_page_names_the_requests_that_are_served() {
    let openapi: serde_json::Value = serde_json::from_str(&admin_answer("/openapi.json")).unwrap();
    let paths = openapi["paths"].as_object().unwrap();
    let served: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let named: BTreeSet<String> = first_cells(ADMIN).into_iter().map(str::to_owned).collect();
    assert_eq!(named, served);
}

/// The commands that the help of `tero WORDS` lists.
fn commands_below(words: &[&str]) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tero-under-test"));
    let output = command.args(words).arg("--help").output().unwrap();
    assert!(output.status.success(), "tero {words:?}");
    let help = String::from_utf8(output.stdout).unwrap();
    let (_, listed) = help.split_once("Commands:\n").unwrap();
    // A description that goes on in a second line is indented further.
    listed
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn commands_page_names_the_commands_that_exist() {
    let named: BTreeSet<&str> = first_cells(COMMANDS)
        .into_iter()
        .map(|cell| {
            cell.trim_start_matches("tero ")
                .trim_start_matches("policy ")
        })
        .collect();
    let mut existing = commands_below(&[]);
    existing.remove("policy");
    existing.extend(commands_below(&["policy"]));
    assert_eq!(named, existing.iter().map(String::as_str).collect());
}

/// What a folder holds.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Every page of Markdown in the root, in `docs/` and in `examples/`.
fn pages() -> Vec<PathBuf> {
    let mut files = entries(workspace());
    let mut folders = vec![workspace().join("docs"), workspace().join("examples")];
    while let Some(folder) = folders.pop() {
        let (inner, found): (Vec<_>, Vec<_>) =
            entries(&folder).into_iter().partition(|path| path.is_dir());
        // What package managers and tools put there isn't ours, nor is what links lead to.
        let is_ours = |path: &PathBuf| !path.is_symlink() && !path.ends_with("node_modules");
        folders.extend(inner.into_iter().filter(is_ours));
        files.extend(found);
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    assert!(files.len() > 20, "{files:?}");
    files
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> Vec<String> {
    let outside_code = page.split("```").step_by(2);
    let headings = outside_code
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix('#'));
    headings
        .map(|heading| {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            heading
                .chars()
                .filter(|char| char.is_alphanumeric() || [' ', '-', '_'].contains(char))
                .map(|char| if char == ' ' { '-' } else { char })
                .collect()
        })
        .collect()
}

#[test]
fn every_relative_link_resolves() {
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let outside_code = text.split("```").step_by(2);
        let targets = outside_code
            .flat_map(|part| part.split("](").skip(1))
            .filter_map(|rest| rest.split(')').next())
            .filter(|target| !target.starts_with("http"));
        for target in targets {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let linked = if file.is_empty() {
                page.clone()
            } else {
                page.parent().unwrap().join(file)
            };
            assert!(linked.exists(), "{} links {target}", page.display());
            if !anchor.is_empty() {
                let linked = std::fs::read_to_string(&linked).unwrap();
                assert!(
                    anchors(&linked).iter().any(|found| found == anchor),
                    "{} links {target}, which has no such heading",
                    page.display()
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

/// `CRATE/FILE` of the engine, as the page writes it.
fn engine_file(file: &str) -> PathBuf {
    let (name, file) = file.split_once('/').unwrap_or((file, "lib"));
    let folder = workspace().join("engine").join(name).join("src");
    folder.join(file).with_extension("rs")
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
            let text = std::fs::read_to_string(engine_file(file));
            let text = text.unwrap_or_else(|error| panic!("{file}.rs: {error}"));
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
        let test = workspace().join("tests/tests").join(format!("{file}.rs"));
        let texts = [test, engine_file(file)].map(std::fs::read_to_string);
        let before = texts.iter().flatten().find_map(|text| {
            let (before, _) = text.split_once(&format!("fn {name}("))?;
            Some(before)
        });
        let Some(before) = before else {
            panic!("{file}.rs has no {name}")
        };
        assert!(
            before.trim_end().ends_with("#[test]"),
            "{file}.rs: {name} is no test"
        );
    }
}
