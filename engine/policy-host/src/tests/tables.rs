//! Guests that look things up in data tables.

use super::crafted::{ANSWER, Crafted, TABLES};
use super::*;
use crate::tables::Table;
use tero_config::{TableFormat, TableKind};

/// The ability to give a word for the log.
pub(super) const LOG_TAG: u8 = 1 << 2;

/// Looks the path up in the first table of the manifest and gives the value as the word for the log.
/// The parameters begin with the address of the texts; the span of the path is at 32.
pub(super) const BY_PATH: &str = r#"
  (i32.store8 (i32.const 4224) (i32.const 0))
  (call $get (i32.const 16384) (i32.const 6)
    (i32.add (i32.load (local.get 0)) (i32.load offset=32 (local.get 0))) (i32.load offset=36 (local.get 0))
    (i32.const 12288))
  (if (i32.load8_u (i32.const 12288)) (then
    (i32.store8 (i32.const 4224) (i32.const 1))
    (i32.store (i32.const 4228) (i32.load (i32.const 12292)))
    (i32.store (i32.const 4232) (i32.load (i32.const 12296)))))
  (i32.const 4096)"#;

/// The same by the longest prefix, with the key of the row.
const BY_PREFIX: &str = r#"
  (i32.store8 (i32.const 4224) (i32.const 0))
  (call $longest (i32.const 16384) (i32.const 6)
    (i32.add (i32.load (local.get 0)) (i32.load offset=32 (local.get 0))) (i32.load offset=36 (local.get 0))
    (i32.const 12288))
  (if (i32.load8_u (i32.const 12288)) (then
    (i32.store8 (i32.const 4224) (i32.const 1))
    (i32.store (i32.const 4228) (i32.load (i32.const 12292)))
    (i32.store (i32.const 4232) (i32.load (i32.const 12296)))))
  (i32.const 4096)"#;

fn guest(on_request: &'static str, tables: &'static [&'static str]) -> Crafted<'static> {
    assert_eq!(ANSWER + 128, 4224, "where the word for the log begins");
    Crafted {
        imports: TABLES,
        on_request,
        tables,
        abilities: LOG_TAG,
        ..Crafted::default()
    }
}

fn put(host: &Host, name: &str, rows: &str) {
    let table = Table::parse(rows.as_bytes(), TableFormat::Json, TableKind::Keys).unwrap();
    host.tables().put(name, Some(Arc::new(table)));
}

fn tag(chain: &Chain, path: &str) -> Option<Arc<str>> {
    let decision = on_request(chain, path);
    decision.extended.as_ref()?.log_tag.clone()
}

#[test]
fn a_new_table_is_seen_and_drops_the_decisions_that_depend_on_it() {
    let (host, policy, chain) = guest(BY_PATH, &["prices"]).chain();
    let asked = || policy.counters().on_request.ok;
    assert_eq!(tag(&chain, "/a"), None, "there is no table yet");
    put(&host, "prices", r#"{"/a": "one"}"#);
    for _ in 0..3 {
        assert_eq!(tag(&chain, "/a").as_deref(), Some("one"));
    }
    assert_eq!(tag(&chain, "/b"), None);
    assert_eq!(asked(), 3);
    put(&host, "others", r#"{"/a": "other"}"#);
    assert_eq!(tag(&chain, "/a").as_deref(), Some("one"));
    assert_eq!(asked(), 3, "another table's change drops nothing");
    put(&host, "prices", r#"{"/a": "two"}"#);
    assert_eq!(tag(&chain, "/a").as_deref(), Some("two"));
    assert_eq!(asked(), 4);
    host.tables().put("prices", None);
    assert_eq!(tag(&chain, "/a"), None);
    assert_eq!(asked(), 4, "without a table it is as in the beginning");
    assert_eq!(policy.counters().failures(), 0);
}

#[test]
fn a_policy_that_names_no_table_keeps_its_decisions_when_tables_change() {
    let (host, policy, chain) = Crafted::default().chain();
    on_request(&chain, "/a");
    put(&host, "prices", r#"{"/a": "one"}"#);
    on_request(&chain, "/a");
    assert_eq!(policy.counters().on_request.ok, 1);
}

#[test]
fn a_table_that_the_manifest_does_not_name_has_no_rows() {
    // The guest asks for the first six bytes of its names, `prices`, and the manifest names another.
    let (host, policy, chain) = guest(BY_PATH, &["prices-of-old"]).chain();
    put(&host, "prices", r#"{"/a": "one"}"#);
    assert_eq!(tag(&chain, "/a"), None);
    assert_eq!(policy.counters().on_request.ok, 1);
}

#[test]
fn the_row_with_the_longest_key_is_found() {
    let (host, _, chain) = guest(BY_PREFIX, &["owners"]).chain();
    put(&host, "owners", r#"{"/": "a", "/shop/": "b"}"#);
    assert_eq!(tag(&chain, "/shop/1").as_deref(), Some("/shop/"));
    assert_eq!(tag(&chain, "/other").as_deref(), Some("/"));
}

#[test]
fn an_instance_that_waits_keeps_no_table() {
    let (host, _, chain) = guest(BY_PATH, &["prices"]).chain();
    put(&host, "prices", r#"{"/a": "one"}"#);
    let table = Arc::downgrade(&host.tables().table("prices").unwrap());
    assert!(tag(&chain, "/a").is_some());
    host.tables().put("prices", None);
    assert!(table.upgrade().is_none());
}

#[test]
fn a_trial_may_see_tables_of_its_own() {
    let (host, policy, _) = guest(BY_PATH, &["prices"]).chain();
    put(&host, "prices", r#"{"/a": "live"}"#);
    let headers = HeaderMap::new();
    let answer = |mut trial: Trial| {
        let request = ask("/a", &headers);
        let pair = trial.ask(&HookQuestion::Request(&request), NOW).unwrap();
        match pair.used.answer.unwrap() {
            HookAnswer::Request(answer) => answer.extended.unwrap().log_tag,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        answer(Trial::new(Arc::clone(&policy))).as_deref(),
        Some("live")
    );
    let own = crate::tables::TableSet::default();
    let table = Table::parse(br#"{"/a": "own"}"#, TableFormat::Json, TableKind::Keys).unwrap();
    own.put("prices", Some(Arc::new(table)));
    let trial = Trial::new(policy).with_tables(&own);
    assert_eq!(answer(trial).as_deref(), Some("own"));
}
