//! The control plane: puts the parts of an edge together and changes them while they run.
//!
//! [`serve`] starts an edge, [`mod@acme`] orders certificates, [`cluster`] makes many nodes one, [`data`] knows which version of each data table decides, [`reload`] applies a new configuration, [`rollout`] knows which
//! version of each policy decides, [`warm`] runs warming plans, [`housekeeping`] does what is due
//! every second or every few minutes, [`events`] knows what operators must know, [`handover`] leaves serving to another
//! process, [`supervisor`] talks to systemd, and [`admin`] shows and changes all of it over HTTP. The
//! rules of HTTP caching are not known here.

pub mod acme;
pub mod admin;
pub mod admin_listener;
pub mod admin_token;
pub mod build_info;
pub mod certificates;
pub mod cluster;
pub mod data;
mod descriptors;
mod disks;
mod event_memory;
mod event_turn;
mod event_watch;
pub mod events;
pub mod handover;
pub mod housekeeping;
pub mod maintenance;
pub mod openable;
#[cfg(feature = "otlp")]
mod otlp;
mod outgoing;
pub mod purge;
pub mod rehearsal;
pub mod reload;
pub mod rollout;
pub mod serve;
pub mod state_report;
pub mod supervisor;
pub mod version_files;
pub mod warm;
mod webhooks;
mod workers;
