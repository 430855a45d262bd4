//! Policies written by hand in the text format, which do what no SDK allows. They are core modules
//! that name their contract, so they are loaded like any other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use wit_parser::Resolve;

use tero_config::{FilePosition, ModuleSource, Policy, PolicyHost, PolicyLimits};

/// The contract that the engine offers.
pub(super) const CONTRACT: &str = include_str!("../../../../sdk/wit/0.1/policy.wit");

/// The bodies of a guest's hooks. Each leaves the address of its answer on the stack.
pub(super) struct ByHand<'a> {
    pub(super) contract: &'a str,
    pub(super) configure: &'a str,
    pub(super) on_request: &'a str,
    pub(super) on_response: &'a str,
    pub(super) plan_warm: &'a str,
    /// Imports in the text format.
    pub(super) imports: &'a str,
    /// Data segments, functions, globals in the text format.
    pub(super) more: &'a str,
    pub(super) memory_pages: u32,
}

/// Addresses of prepared answers.
pub(super) const MANIFEST: &str = "(i32.const 1024)";
pub(super) const REFUSAL: &str = "(i32.const 1152)";
pub(super) const NOTHING: &str = "(i32.const 2048)";
pub(super) const MOBILE: &str = "(i32.const 2112)";

impl Default for ByHand<'_> {
    fn default() -> Self {
        ByHand {
            contract: CONTRACT,
            configure: MANIFEST,
            on_request: NOTHING,
            on_response: NOTHING,
            plan_warm: NOTHING,
            imports: "",
            more: "",
            memory_pages: 1,
        }
    }
}

impl<'a> ByHand<'a> {
    /// A guest with this body of `on-request`.
    pub(super) fn on_request(body: &'a str) -> ByHand<'a> {
        ByHand {
            on_request: body,
            ..ByHand::default()
        }
    }

    /// A guest with this body of `configure`.
    pub(super) fn configure(body: &'a str) -> ByHand<'a> {
        ByHand {
            configure: body,
            ..ByHand::default()
        }
    }

    /// A guest built for this contract.
    pub(super) fn contract(text: &'a str) -> ByHand<'a> {
        ByHand {
            contract: text,
            ..ByHand::default()
        }
    }

    /// A core module.
    pub(super) fn module(&self) -> Vec<u8> {
        let ByHand {
            configure,
            on_request,
            on_response,
            plan_warm,
            imports,
            more,
            memory_pages,
            ..
        } = self;
        // The answers are laid out as in the canonical ABI. The manifest declares all hooks, the
        // query, and the variant `mobile`.
        let text = format!(
            r#"(module
              (import "$root" "log" (func $log (param i32 i32)))
              {imports}
              (memory (export "memory") {memory_pages})
              (global $free (mut i32) (i32.const 8192))
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
                (global.set $free (i32.add (local.get $at) (local.get 3)))
                (if (i32.gt_u (global.get $free) (i32.const 60000)) (then (global.set $free (i32.const 8192))))
                (local.get $at))
              (func (export "configure") (param i32 i32) (result i32) {configure})
              (func (export "on-request") (param i32) (result i32) {on_request})
              (func (export "on-response") (param i32) (result i32) {on_response})
              (func (export "plan-warm") (param i32) (result i32) {plan_warm})
              ;; ok(manifest): hooks, headers, cookies, response-headers, query, device, zone, variants
              (data (i32.const 1024) "\00\00\00\00"
                "\00\05\00\00\03\00\00\00" "\00\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00"
                "\01\00\00\00" "\00\00\00\00\00\00\00\00\00\00\00\00" "\10\05\00\00\01\00\00\00")
              (data (i32.const 1280) "\00\01\02")
              (data (i32.const 1296) "\20\05\00\00\06\00\00\00")
              (data (i32.const 1312) "mobile")
              ;; error("no such shop")
              (data (i32.const 1152) "\01\00\00\00" "\30\05\00\00\0c\00\00\00")
              (data (i32.const 1328) "no such shop")
              ;; request-decision with the variant `mobile`
              (data (i32.const 2112) "\00\00\00\00" "\01\00\00\00\20\05\00\00\06\00\00\00")
              {more})"#
        );
        let mut module = wat::parse_str(text).unwrap();
        let mut resolve = Resolve::default();
        let package = resolve.push_str("policy.wit", self.contract).unwrap();
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

    /// A configured policy with this guest's module in a file.
    pub(super) fn config(&self, folder: &Path) -> Policy {
        config(folder, &self.module())
    }
}

/// A configured policy with this module in a file.
pub(super) fn config(folder: &Path, module: &[u8]) -> Policy {
    let path = folder.join("by-hand.wasm");
    std::fs::write(&path, module).unwrap();
    Policy {
        place: FilePosition::default(),
        name: Arc::from("by-hand"),
        module: ModuleSource::File(path),
        settings: "{}".into(),
        calendar: None,
        limits: PolicyLimits {
            deadline: Duration::from_millis(200),
            memory: 1 << 20,
            ..PolicyLimits::default()
        },
    }
}

pub(super) fn host_config(compiled_cache: Option<PathBuf>) -> PolicyHost {
    PolicyHost {
        compiled_cache,
        decision_cache: 1 << 20,
        ..PolicyHost::default()
    }
}
