//! `builtin:device-variants`
