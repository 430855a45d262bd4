//! A week of a booking site on a clock turned by hand: what visitors and the origin see of it
//! without policies, with a static policy file, and with the shipped policies and warming.
//!
//! Real requests go through a real edge to a real origin over sockets; only the time is not real.
//! The visitors come from a seeded generator, so that the same week can be had again, and each way
//! of serving it gets the same ones.

mod origin;
mod page;
mod visitors;
mod week;

pub use page::{chart, page};
pub use visitors::Traffic;
pub use week::{Figures, Way, simulate};
