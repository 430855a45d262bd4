//! The walls of the house: which crate may use which, who may use which library, and that no files
//! of a crate stand in a circle. `ARCHITECTURE.md` has the same tables for people.

mod circles;
mod crates;
