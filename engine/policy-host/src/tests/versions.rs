//! Modules of other versions of the contract.

use std::path::Path;

use super::*;
use crate::cases::Cases;
use tero_config::ModuleSource;

#[test]
fn another_version_of_the_contract_is_named() {
    let next = CONTRACT.replace("tero:policy@0.1.0", "tero:policy@0.3.0");
    let message = refused(&ByHand::contract(&next));
    assert!(
        message.contains("`by-hand`")
            && message.contains("tero:policy@0.3.0")
            && message.contains("0.1"),
        "{message}"
    );
    let patch = CONTRACT.replace("tero:policy@0.1.0", "tero:policy@0.1.7");
    assert!(load(&ByHand::contract(&patch)).is_ok());
}

/// The contract as it was released, without comments. It never changes: a module built for it loads
/// for ever.
const FIRST_CONTRACT: &str = include_str!("contract-0.1.0.wit");

#[test]
fn a_module_of_the_first_version_still_loads() {
    let (_, chain) = chain(
        &ByHand {
            contract: FIRST_CONTRACT,
            ..ByHand::on_request(MOBILE)
        },
        |_| {},
    );
    assert_eq!(on_request(&chain, "/").variant.as_deref(), Some("mobile"));
}

#[test]
fn released_modules_of_the_first_version_decide_as_they_did() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/contract-0.1");
    let folder = Path::new(folder);
    for (module, count) in [("shop-hours-rust.wasm", 10), ("shop-hours-c.wasm", 10)] {
        let module = ModuleSource::File(folder.join(module));
        let cases = Cases::load(&folder.join("cases.toml"), Some(module)).unwrap();
        let host = host();
        let contract = host.inspect(&cases.policy).unwrap().contract;
        assert_eq!(contract.as_deref(), Some("0.1.0"));
        let passed = cases.pass(&host.load(&cases.policy).unwrap());
        assert_eq!(
            passed.map_err(|outcomes| format!("{outcomes:?}")),
            Ok(count)
        );
    }
}
