//! Guests of contract 0.2, written by hand in the text format, as the canonical ABI lays them out.

use std::fmt::Write;

use wit_parser::Resolve;

use super::by_hand::config;
use super::*;

const CONTRACT: &str = include_str!("../../../../sdk/wit/0.2/policy.wit");

/// The functions of the data tables, as a core module imports them.
pub(super) const TABLES: &str = r#"
  (import "tero:policy/tables@0.2.0" "get" (func $get (param i32 i32 i32 i32 i32)))
  (import "tero:policy/tables@0.2.0" "longest-prefix" (func $longest (param i32 i32 i32 i32 i32)))"#;

/// Where an answer is made. It decides nothing until a body writes into it.
pub(super) const ANSWER: u32 = 4096;
/// The names of the manifest begin here.
const NAMES: u32 = 16_384;

/// A guest, with the bodies of its hooks. Each leaves the address of its answer on the stack.
pub(super) struct Crafted<'a> {
    pub(super) imports: &'a str,
    pub(super) on_request: &'a str,
    pub(super) on_response: &'a str,
    pub(super) tables: &'a [&'a str],
    /// Names of key parts, and of fields that may be edited in each message.
    pub(super) names: &'a [&'a str],
    pub(super) abilities: u8,
    /// Patterns by which its decisions depend on the path.
    pub(super) path_patterns: Option<&'a [&'a str]>,
}

impl Default for Crafted<'_> {
    fn default() -> Self {
        Crafted {
            imports: "",
            on_request: "(i32.const 4096)",
            on_response: "(i32.const 4096)",
            tables: &[],
            names: &[],
            abilities: 0,
            path_patterns: None,
        }
    }
}

impl Crafted<'_> {
    pub(super) fn module(&self) -> Vec<u8> {
        let mut data = Data::default();
        let (tables, names) = (data.list(self.tables), data.list(self.names));
        let patterns = self.path_patterns.map(|patterns| data.list(patterns));
        // ok(manifest), with the hooks on-request and on-response.
        let mut manifest = vec![0_u8; 188];
        let mut put = |at: usize, (address, length): (u32, u32)| {
            manifest[at..at + 4].copy_from_slice(&address.to_le_bytes());
            manifest[at + 4..at + 8].copy_from_slice(&length.to_le_bytes());
        };
        put(4, data.bytes(&[0, 1]));
        put(96, tables);
        for at in [120, 144, 152, 160] {
            put(at, names);
        }
        if let Some(patterns) = patterns {
            put(176, patterns);
            manifest[172] = 1;
        }
        manifest[168] = self.abilities;
        let (at, _) = data.bytes(&manifest);
        let text = format!(
            r#"(module
              {}
              (memory (export "memory") 1)
              (global $free (mut i32) (i32.const 32768))
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
                (global.set $free (i32.add (local.get $at) (local.get 3)))
                (if (i32.gt_u (global.get $free) (i32.const 60000)) (then (global.set $free (i32.const 32768))))
                (local.get $at))
              (func (export "configure") (param i32 i32) (result i32) (i32.const {at}))
              (func (export "on-request") (param i32) (result i32) {})
              (func (export "on-response") (param i32) (result i32) {})
              (func (export "plan-warm") (param i32) (result i32) (i32.const 4096))
              (data (i32.const {NAMES}) "{}"))"#,
            self.imports,
            self.on_request,
            self.on_response,
            data.escaped()
        );
        let mut module = wat::parse_str(text).unwrap();
        let mut resolve = Resolve::default();
        let package = resolve.push_str("policy.wit", CONTRACT).unwrap();
        let world = resolve.select_world(&[package], Some("policy")).unwrap();
        wit_component::embed_component_metadata(
            &mut module,
            &resolve,
            world,
            wit_component::StringEncoding::UTF8,
            false,
        )
        .unwrap();
        module
    }

    /// The host, the policy and a chain of it.
    pub(super) fn chain(&self) -> (Arc<Host>, Arc<Policy>, Chain) {
        let (folder, host) = (tempfile::tempdir().unwrap(), host());
        let mut config = config(folder.path(), &self.module());
        config.limits.max_failures = 1_000_000;
        // Other tests share the processor.
        config.limits.deadline = std::time::Duration::from_secs(10);
        let policy = host.load(&config).unwrap();
        let chain = Chain::new(&host, vec![Arc::clone(&policy)], 64).unwrap();
        (host, policy, chain)
    }
}

/// Bytes at [`NAMES`].
#[derive(Default)]
struct Data(Vec<u8>);

impl Data {
    /// Appends bytes; their address and length.
    fn bytes(&mut self, bytes: &[u8]) -> (u32, u32) {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        let at = NAMES + u32::try_from(self.0.len()).unwrap();
        self.0.extend_from_slice(bytes);
        (at, u32::try_from(bytes.len()).unwrap())
    }

    /// Appends a list of texts; its address and length.
    fn list(&mut self, texts: &[&str]) -> (u32, u32) {
        let mut list = Vec::new();
        for text in texts {
            let (at, length) = self.bytes(text.as_bytes());
            list.extend_from_slice(&at.to_le_bytes());
            list.extend_from_slice(&length.to_le_bytes());
        }
        (self.bytes(&list).0, u32::try_from(texts.len()).unwrap())
    }

    fn escaped(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "\\{byte:02x}");
            text
        })
    }
}
