//! Policies as WebAssembly modules, compiled by the build script.

use std::path::Path;

/// The policy that misbehaves as its settings say; `tests/guests/misbehaving` explains them.
pub fn misbehaving() -> &'static [u8] {
    include_bytes!(env!("GUEST_MISBEHAVING"))
}

/// The path of this module, for configurations.
pub fn misbehaving_path() -> &'static Path {
    Path::new(env!("GUEST_MISBEHAVING"))
}

/// The path of the policy that decides as its settings say; `tests/guests/deciding` explains them.
pub fn deciding_path() -> &'static Path {
    Path::new(env!("GUEST_DECIDING"))
}

/// The first policy of the README, `examples/first-policy`.
pub fn first_policy() -> &'static [u8] {
    include_bytes!(env!("GUEST_FIRST_POLICY"))
}

/// The path of this module, for configurations.
pub fn first_policy_path() -> &'static Path {
    Path::new(env!("GUEST_FIRST_POLICY"))
}

/// The path of `examples/shop-hours` in Rust; the example exists in every language.
pub fn shop_hours_path() -> &'static Path {
    Path::new(env!("GUEST_SHOP_HOURS"))
}

/// The policies of `examples/policies` in Rust: their names and the paths of their modules.
pub fn examples() -> [(&'static str, &'static Path); 6] {
    [
        ("redirects", env!("GUEST_REDIRECTS")),
        ("ab-test", env!("GUEST_AB_TEST")),
        ("crawler-guard", env!("GUEST_CRAWLER_GUARD")),
        ("header-rules", env!("GUEST_HEADER_RULES")),
        ("scheduled-publishing", env!("GUEST_SCHEDULED_PUBLISHING")),
        ("country", env!("GUEST_COUNTRY")),
    ]
    .map(|(name, path)| (name, Path::new(path)))
}

/// A module that takes very long to compile: so many loops within each other.
pub fn nested_loops(depth: usize) -> Vec<u8> {
    let mut body = [0x03, 0x40].repeat(depth);
    body.extend(vec![0x0b; depth]);
    component(&body)
}

/// A module that takes very much memory to compile: so many tables of branches with a thousand
/// entries each.
pub fn branch_tables(count: usize) -> Vec<u8> {
    // block (i32.const 0) (br_table 0 0 … 0) end
    let mut table = vec![0x02, 0x40, 0x41, 0x00, 0x0e];
    push_leb(&mut table, 1_000);
    table.extend([0; 1_001]);
    table.push(0x0b);
    component(&table.repeat(count))
}

/// A component around a core module whose only function has this body.
fn component(instructions: &[u8]) -> Vec<u8> {
    let mut body = vec![0x00];
    body.extend(instructions);
    body.push(0x0b);
    let mut code = vec![0x01];
    push_sized(&mut code, &body);
    let mut module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a".to_vec();
    push_sized(&mut module, &code);
    let mut component = b"\0asm\x0d\0\x01\0\x01".to_vec();
    push_sized(&mut component, &module);
    component
}

fn push_sized(bytes: &mut Vec<u8>, content: &[u8]) {
    push_leb(bytes, content.len());
    bytes.extend(content);
}

fn push_leb(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}
