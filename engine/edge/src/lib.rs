//! The data plane: from sockets to responses, out of memory or from the next hop.
//!
//! ```text
//! server → request → { store, collapse, origin, coding, telemetry }        pace, client_rate, limit_table
//! ```
//!
//! [`request`] is the path of a request, where the other modules meet. [`store`], [`collapse`],
//! [`origin`], [`coding`] and [`pace`] do one thing each and don't know each other. How versions of policies and
//! warming plans are chosen, stored and scheduled is unknown here, as are the admin interface and
//! other nodes.

pub mod acme;
mod client_rate;
pub mod coding;
pub mod collapse;
pub mod limit_table;
pub mod origin;
pub mod pace;
pub mod request;
pub mod run_id;
pub mod server;
pub mod store;
pub mod succession;
pub mod telemetry;
pub mod validity;
