//! Bindings generated from `sdk/wit/0.2`. Arguments are borrowed, results are owned.

#![allow(
    unsafe_code,
    reason = "the generated implementations of wasmtime's own traits are marked unsafe"
)]
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated; the text of the contract is in `sdk/wit/0.2/policy.wit`"
)]

wasmtime::component::bindgen!({
    path: "../../sdk/wit/0.2",
    world: "policy",
    ownership: Borrowing { duplicate_if_necessary: true },
    additional_derives: [PartialEq],
});
