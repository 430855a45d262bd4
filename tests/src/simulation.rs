//! Simulates a week of a booking site: what visitors and the origin see without policies, with a
//! static policy file, and with the shipped policies and warming.
//!
//! Real requests go through a real edge to a real origin over sockets; only the clock is turned by
//! hand. A seeded generator makes the visitors, so each way of serving gets the same ones, and a
//! run can be repeated.

mod origin;
mod page;
mod visitors;
mod week;

pub use page::{chart, page};
pub use visitors::Traffic;
pub use week::{Figures, Way, simulate};
