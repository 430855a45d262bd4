//! The calendars that come with tero.

/// The names behind `builtin:` that a calendar may have.
pub const BUILTIN_CALENDARS: [&str; 4] = ["argentina", "chile", "mexico", "spain"];

/// Their files, in the same order.
pub(super) const BUILTIN_TEXTS: [&str; 4] = [
    include_str!("../../data/calendars/argentina.toml"),
    include_str!("../../data/calendars/chile.toml"),
    include_str!("../../data/calendars/mexico.toml"),
    include_str!("../../data/calendars/spain.toml"),
];

/// The calendars that come with tero, as they are written: `"builtin:argentina", …`.
pub fn builtin_names() -> String {
    BUILTIN_CALENDARS
        .map(|name| format!("\"builtin:{name}\""))
        .join(", ")
}
