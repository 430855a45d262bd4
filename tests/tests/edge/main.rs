//! Black-box tests, by behaviour, in one binary. Only what uses [`program`] runs the real program; everything else runs an edge in this
//! process, with a clock turned by hand.

mod admin;
mod bad_input;
mod binary;
mod cache_status;
mod calendars;
mod chunks;
mod collapse;
mod configuration;
mod deploy;
mod desk;
mod explain;
mod followers;
mod freshness;
mod harness;
mod hostile;
mod hours;
mod import;
mod interim;
mod methods;
mod platform;
mod policy;
mod preview;
mod program;
mod properties;
mod purge;
mod ranges;
mod stale;
mod store;
mod templates;
mod tunnels;
mod variants;
mod warm_window;
mod warming;
mod wire;
mod yaml;
