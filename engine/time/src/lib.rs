//! Time: the one reader of the real clock, and local times in zones.
//!
//! [`clock`] is what everything else asks; its twin for tests stands still until it is turned.
//! [`moment`] turns what the clock on a wall shows into instants and back, [`cron`] says when a
//! schedule comes due, [`calendar`] knows the holidays, [`local_time`] reads times as people write
//! them.

pub mod calendar;
pub mod clock;
pub mod cron;
pub mod local_time;
pub mod moment;

#[cfg(test)]
mod testing;
