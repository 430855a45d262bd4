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
