//! Decisions by the class of a path.

use std::sync::atomic::{AtomicU32, Ordering};

use super::crafted::{Crafted, TABLES};
use super::tables::{BY_PATH, LOG_TAG};
use super::*;
use crate::tables::Table;
use tero_config::{TableFormat, TableKind};

/// A guest that decides by the whole path, whatever it says.
fn guest(patterns: &'static [&'static str]) -> Crafted<'static> {
    Crafted {
        imports: TABLES,
        on_request: BY_PATH,
        tables: &["prices"],
        abilities: LOG_TAG,
        path_patterns: Some(patterns),
        ..Crafted::default()
    }
}

/// A table with a row for each of these pages.
fn table(pages: std::ops::Range<u32>) -> Arc<Table> {
    let rows: Vec<String> = pages
        .map(|page| format!(r#""/shops/{page}": "known""#))
        .collect();
    let rows = format!("{{{}}}", rows.join(","));
    Arc::new(Table::parse(rows.as_bytes(), TableFormat::Json, TableKind::Keys).unwrap())
}

fn fill(host: &Host, pages: std::ops::Range<u32>) {
    host.tables().put("prices", Some(table(pages)));
}

fn is_tagged(chain: &Chain, path: &str) -> bool {
    on_request(chain, path).extended.is_some()
}

#[test]
fn pages_of_a_class_are_asked_about_once() {
    let (host, policy, chain) = guest(&["/shops/*", "*.css"]).chain();
    let asked = || policy.counters().on_request.ok;
    for page in 0..50 {
        on_request(&chain, &format!("/shops/{page}"));
        on_request(&chain, &format!("/shops/{page}"));
    }
    assert_eq!(asked(), 1);
    on_request(&chain, "/shops/1.css");
    on_request(&chain, "/about");
    assert_eq!(asked(), 3, "other patterns match");
    assert_eq!(host.decisions().entries, 3);
    assert_eq!((host.decisions().hits, host.decisions().misses), (99, 3));
    // A path that servers may read in several ways is asked about by itself, and remembered.
    for odd in ["//shops/1", "/shops/1;v=2", "/sh%6Fps/1"] {
        for _ in 0..2 {
            on_request(&chain, odd);
        }
    }
    let long = format!("/shops/{}", "x".repeat(1_024));
    on_request(&chain, &long);
    on_request(&chain, &long);
    assert_eq!(asked(), 7);
}

#[test]
fn a_changed_table_asks_about_each_class_again() {
    let (host, policy, chain) = guest(&["/shops/*"]).chain();
    on_request(&chain, "/shops/1");
    fill(&host, 0..100);
    assert!(is_tagged(&chain, "/shops/1") && is_tagged(&chain, "/shops/2"));
    assert_eq!(policy.counters().on_request.ok, 2);
}

#[test]
fn a_policy_that_decides_by_more_of_the_path_is_found_out() {
    let (host, policy, chain) = guest(&["/shops/*"]).chain();
    fill(&host, 1..1_000);
    assert!(!is_tagged(&chain, "/shops/0"));
    let tagged = (1..200).filter(|page| is_tagged(&chain, &format!("/shops/{page}")));
    assert_eq!(tagged.count(), 199 - 63, "the check of the 64th tells");
    assert!(is_tagged(&chain, "/shops/1"), "what was kept is forgotten");
    assert!(!is_tagged(&chain, "/shops/0"));
    assert!(policy.counters().on_request.ok > 100);
}

#[test]
fn chains_with_a_policy_that_names_no_patterns_ask_about_each_page() {
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    let named = config(folder.path(), &guest(&["*"]).module());
    let one = host.load(&named).unwrap();
    let unnamed = Crafted {
        path_patterns: None,
        ..guest(&[])
    };
    let other = host
        .load(&config(folder.path(), &unnamed.module()))
        .unwrap();
    let chain = Chain::new(&host, vec![Arc::clone(&one), other], 64).unwrap();
    for page in 0..5 {
        on_request(&chain, &format!("/{page}"));
    }
    assert_eq!(one.counters().on_request.ok, 5);
}

#[test]
fn responses_of_a_class_are_asked_about_once_a_second() {
    let (_, policy, chain) = guest(&["/shops/*"]).chain();
    let headers = HeaderMap::new();
    let asked = || policy.counters().on_response.ok;
    let page = |path: &str, length: u64, status: u16, now: Timestamp| {
        let response = PolicyResponse {
            length: Some(length),
            status: StatusCode::from_u16(status).unwrap(),
            key: path.as_bytes(),
            ..answered(&headers)
        };
        chain.on_response(&ask(path, &headers), &response, now);
    };
    for number in 0..20 {
        page(&format!("/shops/{number}"), number, 200, NOW);
    }
    assert_eq!(asked(), 1, "neither length nor key is told");
    page("/shops/1", 1, 404, NOW);
    page("/about", 1, 200, NOW);
    let later = Timestamp::from_unix_secs(NOW.unix_secs() + 1);
    page("/shops/1", 1, 200, later);
    assert_eq!(asked(), 4);
    page("//shops/1", 1, 200, NOW);
    page("//shops/1", 1, 200, NOW);
    assert_eq!(asked(), 6, "a path without a class is asked each time");
}

/// Gives a lifetime of as many seconds as the path has bytes.
const BY_LENGTH: &str = r#"
  (i32.store8 (i32.const 4100) (i32.const 1))
  (i32.store (i32.const 4104) (i32.load offset=36 (local.get 0)))
  (i32.const 4096)"#;

#[test]
fn a_policy_that_decides_about_responses_by_more_of_the_path_is_found_out() {
    let (_, policy, chain) = Crafted {
        on_response: BY_LENGTH,
        ..guest(&["/shops/*"])
    }
    .chain();
    let headers = HeaderMap::new();
    let ttl = |path: &str| {
        let decision = chain.on_response(&ask(path, &headers), &answered(&headers), NOW);
        decision.ttl.map(|ttl| ttl.as_secs())
    };
    assert_eq!(ttl("/shops/1"), Some(8));
    let wrong = (0..200).filter(|_| ttl("/shops/100") == Some(8)).count();
    assert_eq!(wrong, 63, "the check of the 64th tells");
    assert_eq!(ttl("/shops/1000"), Some(11));
    assert!(policy.counters().on_response.ok > 100);
}

#[test]
fn beyond_1024_patterns_together_pages_are_asked_about_one_by_one() {
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    let load = |policy: usize| {
        let patterns: Vec<String> = (0..256).map(|page| format!("/{policy}/{page}")).collect();
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let module = Crafted {
            path_patterns: Some(&patterns),
            ..guest(&[])
        }
        .module();
        host.load(&config(folder.path(), &module)).unwrap()
    };
    let policies: Vec<_> = (0..5).map(load).collect();
    let asked = |count: usize| {
        let before = policies[0].counters().on_request.ok;
        let chain = Chain::new(&host, policies[..count].to_vec(), 64).unwrap();
        for page in 0..5 {
            on_request(&chain, &format!("/other/{page}"));
        }
        policies[0].counters().on_request.ok - before
    };
    assert_eq!(asked(4), 1);
    assert_eq!(asked(5), 5);
}

#[test]
fn a_table_that_changes_while_a_decision_is_checked_breaks_no_word() {
    const PAGES: u32 = 50_000;
    let (host, policy, chain) = guest(&["/shops/*"]).chain();
    let asked = AtomicU32::new(0);
    let count = || asked.load(Ordering::Relaxed);
    let mut tables = [table(0..PAGES + 100), table(0..0)];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while count() < PAGES {
                tables.swap(0, 1);
                host.tables().put("prices", Some(Arc::clone(&tables[0])));
                // Long enough for a check, and not a multiple of its distance.
                let next = count() + 100;
                while count() < next.min(PAGES) {
                    std::hint::spin_loop();
                }
            }
        });
        // Each page is new, so that the thread has not kept its decision.
        for page in 0..PAGES {
            on_request(&chain, &format!("/shops/{page}"));
            asked.fetch_add(1, Ordering::Relaxed);
        }
    });
    let before = policy.counters().on_request.ok;
    for page in PAGES..PAGES + 100 {
        on_request(&chain, &format!("/shops/{page}"));
    }
    let asked = policy.counters().on_request.ok - before;
    assert!(asked < 10, "{asked}: once, and what is checked");
}
