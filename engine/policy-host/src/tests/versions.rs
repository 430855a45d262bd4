//! Modules of other versions of the contract.

use super::*;

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
fn a_module_of_the_next_version_is_asked_in_its_own_types() {
    let contract = format!("{NEXT}\n{}", nested(CONTRACT));
    // Answers the variant if the protocol, which is the last field of the request, has eight bytes.
    let body = "(if (i32.ne (i32.load (i32.add (local.get 0) (i32.const 80))) (i32.const 8)) (then unreachable)) (i32.const 2112)";
    // Leaves storing to the response's fields, with a TTL of 90,500 milliseconds.
    let more = r#"(data (i32.const 3072) "\00\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00\84\61\01\00\00\00\00\00")"#;
    let guest = ByHand {
        contract: &contract,
        on_response: "(i32.const 3072)",
        more,
        ..ByHand::on_request(body)
    };
    let (policy, chain) = chain(&guest, |_| {});
    assert_eq!(
        on_request(&chain, "/").variant.as_deref(),
        Some("mobile"),
        "{:?}",
        policy.counters()
    );
    assert_eq!(
        on_response(&chain).ttl,
        Some(std::time::Duration::from_secs(90)),
        "{:?}",
        policy.counters()
    );
}

const NEXT: &str = include_str!("next/policy.wit");

/// A package as it is written within the file of another.
fn nested(package: &str) -> String {
    package.replacen(
        "package tero:policy@0.1.0;",
        "package tero:policy@0.1.0 {",
        1,
    ) + "}"
}
