//! `builtin:json-rules`
