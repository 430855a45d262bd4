//! The control plane: puts the parts together and changes them while they run.
//!
//! [`serve`] starts an edge, [`reload`] takes over a new configuration, [`rollout`] holds which
//! version of each policy decides, [`warm`] carries out plans, [`housekeeping`] does what comes up
//! every second or few minutes, and [`admin`] looks at all of it from outside. Rules of HTTP are
//! unknown here.

pub mod admin;
pub mod housekeeping;
pub mod purge;
pub mod reload;
pub mod rollout;
pub mod serve;
pub mod warm;
