//! Guests as modules, compiled by the build script.

use std::path::Path;

/// The policy that does whatever is forbidden; `tests/guests/misbehaving` says how its settings
/// choose what.
pub fn misbehaving() -> &'static [u8] {
    include_bytes!(env!("GUEST_MISBEHAVING"))
}

/// The same as a file, for a configuration to name.
pub fn misbehaving_path() -> &'static Path {
    Path::new(env!("GUEST_MISBEHAVING"))
}

/// The README's first policy, `examples/first-policy`.
pub fn first_policy() -> &'static [u8] {
    include_bytes!(env!("GUEST_FIRST_POLICY"))
}

/// The same as a file, for a configuration to name.
pub fn first_policy_path() -> &'static Path {
    Path::new(env!("GUEST_FIRST_POLICY"))
}

/// The example that there is in every language, `examples/shop-hours`, in Rust.
pub fn shop_hours_path() -> &'static Path {
    Path::new(env!("GUEST_SHOP_HOURS"))
}
