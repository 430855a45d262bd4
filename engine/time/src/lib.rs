//! Time: the only reader of the real clock, and local times in zones.
//!
//! Everything asks [`clock`] for the time; a test turns its clock by hand. [`moment`] turns what a
//! wall clock shows into instants and back. [`cron`] turns a cron expression into instants.
//! [`zones`] holds the time zone data behind them. [`calendar`] holds holidays, and [`local_time`] reads times as people write them.

pub mod calendar;
pub mod clock;
pub mod cron;
pub mod local_time;
pub mod moment;
pub mod zones;

#[cfg(test)]
mod testing;
