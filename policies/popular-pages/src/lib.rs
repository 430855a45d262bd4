//! `builtin:popular-pages`
