//! Simulates a week of a booking site and of a news site: what visitors and the origin see with fixed
//! lifetimes, with a static policy file, and with the shipped policies and warming.
//!
//! Real requests go through a real edge to a real origin over sockets; only the clock is turned by
//! hand. The visitors are those of `tero traffic`: each way of serving gets the same ones, and a run
//! can be repeated. All ways have the same lifetimes.

mod chart;
mod figures;
mod origin;
mod page;
mod settings;
mod week;

pub use chart::chart;
pub use figures::{Figures, Hour, Spread};
pub use page::page;
pub use settings::Way;
pub use week::simulate;
